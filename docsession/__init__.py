"""The document session of RavenDB on PostgreSQL.

Documents are JSONB rows; a session is a unit of work over them: one instance per id, every change
found by comparing, and one request and transaction for each `save_changes()`.
"""

from docsession._commands import CommandData, DeleteCommandData, PutCommandDataWithJson
from docsession._conventions import DocumentConventions, ShouldIgnoreEntityChanges
from docsession._documents._compare_exchange import CompareExchangeValue
from docsession._documents._diff import ChangeType, DocumentsChanges
from docsession._documents._ids import uuid7, uuid7_ids
from docsession._documents._mapping import document
from docsession._documents._metadata import MetadataAsDictionary
from docsession._documents._paths import Ref
from docsession._documents._versions import upcaster
from docsession._embedded import EmbeddedServer
from docsession._errors import (
    AuthenticationException,
    ClusterTransactionConcurrencyException,
    CollectionMismatchException,
    CompareExchangeConflict,
    ConcurrencyException,
    Conflict,
    ConflictException,
    ConnectionFailedException,
    ConnectionLostException,
    ConversionException,
    DatabaseDoesNotExistException,
    DocSessionError,
    DocumentDoesNotExistException,
    DocumentMismatchException,
    EmbeddedServerException,
    EventLoopException,
    IncompatibleSchemaException,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    MigrationException,
    MissingDependencyException,
    NonUniqueObjectException,
    PermissionDeniedException,
    PoolTimeoutException,
    RavenException,
    ReplicationTimeoutException,
    RequestTimeoutException,
    SessionBusyException,
    SessionClosedException,
    StoreClosedException,
    TableDoesNotExistException,
    TooManyRequestsException,
    TransactionRetryException,
    UnknownOutcomeException,
    UnsupportedValueException,
)
from docsession._faces._advanced import AdvancedSession
from docsession._faces._async_advanced import AsyncAdvancedSession
from docsession._faces._async_session import AsyncDocumentSession, AsyncLoaderWithInclude
from docsession._faces._async_store import AsyncDocumentStore
from docsession._faces._cluster_transaction import (
    AsyncClusterTransactionOperations,
    AsyncLazyClusterTransactionOperations,
    ClusterTransactionOperations,
    LazyClusterTransactionOperations,
)
from docsession._faces._includes import IncludeBuilder
from docsession._faces._lazy import AsyncEagerSessionOperations, AsyncLazy, EagerSessionOperations, Lazy
from docsession._faces._maintenance import AsyncMaintenance, Maintenance
from docsession._faces._operations import AsyncOperationExecutor, OperationExecutor
from docsession._faces._request_executor import RequestExecutor
from docsession._faces._session import DocumentSession, LoaderWithInclude
from docsession._faces._store import DocumentStore
from docsession._faces._transaction import AsyncSessionTransaction, SessionTransaction
from docsession._options import OptimisticConcurrencyMode, ReadPreference, SessionOptions, TransactionMode
from docsession._session._core import ConditionalLoadResult
from docsession._session._event_args import (
    AfterConversionToDocumentEventArgs,
    AfterConversionToEntityEventArgs,
    AfterSaveChangesEventArgs,
    BeforeConversionToDocumentEventArgs,
    BeforeConversionToEntityEventArgs,
    BeforeDeleteEventArgs,
    BeforeRequestEventArgs,
    BeforeStoreEventArgs,
    FailedRequestEventArgs,
    RequestDescription,
    SessionClosingEventArgs,
    SessionCreatedEventArgs,
    SucceedRequestEventArgs,
)
from docsession._session._lazy import ResponseTimeInformation
from docsession._session._operations import (
    CompareExchangeResult,
    DeleteCompareExchangeValueOperation,
    GetCompareExchangeValueOperation,
    GetCompareExchangeValuesOperation,
    PutCompareExchangeValueOperation,
)
from docsession._session._statistics import StoreStatistics

__all__ = [
    "AdvancedSession",
    "AfterConversionToDocumentEventArgs",
    "AfterConversionToEntityEventArgs",
    "AfterSaveChangesEventArgs",
    "AsyncAdvancedSession",
    "AsyncClusterTransactionOperations",
    "AsyncDocumentSession",
    "AsyncDocumentStore",
    "AsyncEagerSessionOperations",
    "AsyncLazy",
    "AsyncLazyClusterTransactionOperations",
    "AsyncLoaderWithInclude",
    "AsyncMaintenance",
    "AsyncOperationExecutor",
    "AsyncSessionTransaction",
    "AuthenticationException",
    "BeforeConversionToDocumentEventArgs",
    "BeforeConversionToEntityEventArgs",
    "BeforeDeleteEventArgs",
    "BeforeRequestEventArgs",
    "BeforeStoreEventArgs",
    "ChangeType",
    "ClusterTransactionConcurrencyException",
    "ClusterTransactionOperations",
    "CollectionMismatchException",
    "CommandData",
    "CompareExchangeConflict",
    "CompareExchangeResult",
    "CompareExchangeValue",
    "ConcurrencyException",
    "ConditionalLoadResult",
    "Conflict",
    "ConflictException",
    "ConnectionFailedException",
    "ConnectionLostException",
    "ConversionException",
    "DatabaseDoesNotExistException",
    "DeleteCommandData",
    "DeleteCompareExchangeValueOperation",
    "DocSessionError",
    "DocumentConventions",
    "DocumentDoesNotExistException",
    "DocumentMismatchException",
    "DocumentSession",
    "DocumentStore",
    "DocumentsChanges",
    "EagerSessionOperations",
    "EmbeddedServer",
    "EmbeddedServerException",
    "EventLoopException",
    "FailedRequestEventArgs",
    "GetCompareExchangeValueOperation",
    "GetCompareExchangeValuesOperation",
    "IncludeBuilder",
    "IncompatibleSchemaException",
    "InvalidArgumentException",
    "InvalidArgumentTypeException",
    "InvalidOperationException",
    "Lazy",
    "LazyClusterTransactionOperations",
    "LoaderWithInclude",
    "Maintenance",
    "MetadataAsDictionary",
    "MigrationException",
    "MissingDependencyException",
    "NonUniqueObjectException",
    "OperationExecutor",
    "OptimisticConcurrencyMode",
    "PermissionDeniedException",
    "PoolTimeoutException",
    "PutCommandDataWithJson",
    "PutCompareExchangeValueOperation",
    "RavenException",
    "ReadPreference",
    "Ref",
    "ReplicationTimeoutException",
    "RequestDescription",
    "RequestExecutor",
    "RequestTimeoutException",
    "ResponseTimeInformation",
    "SessionBusyException",
    "SessionClosedException",
    "SessionClosingEventArgs",
    "SessionCreatedEventArgs",
    "SessionOptions",
    "SessionTransaction",
    "ShouldIgnoreEntityChanges",
    "StoreClosedException",
    "StoreStatistics",
    "SucceedRequestEventArgs",
    "TableDoesNotExistException",
    "TooManyRequestsException",
    "TransactionMode",
    "TransactionRetryException",
    "UnknownOutcomeException",
    "UnsupportedValueException",
    "document",
    "upcaster",
    "uuid7",
    "uuid7_ids",
]
