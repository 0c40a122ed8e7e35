"""The document session of RavenDB on PostgreSQL.

Documents are JSONB rows; a session is a unit of work over them: one instance per id, every change
found by comparing, and one request and transaction for each `save_changes()`.
"""

from docsession._commands import CommandData, DeleteCommandData, PutCommandDataWithJson
from docsession._conventions import DocumentConventions, ShouldIgnoreEntityChanges
from docsession._declarations import IndexDeclaration
from docsession._documents._compare_exchange import CompareExchangeValue
from docsession._documents._declaration import document
from docsession._documents._diff import ChangeType, DocumentsChanges
from docsession._documents._ids import uuid7, uuid7_ids
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
    ForeignKeyViolation,
    IncompatibleSchemaException,
    IndexedValueTooLongException,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    InvalidPageTokenException,
    MigrationException,
    MissingDependencyException,
    MultipleResultsException,
    NonUniqueObjectException,
    NoResultException,
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
    UniqueConstraintViolation,
    UnknownOutcomeException,
    UnsupportedValueException,
)
from docsession._faces._advanced import AdvancedSession
from docsession._faces._assertions import assert_uses_index
from docsession._faces._async_advanced import AsyncAdvancedSession
from docsession._faces._async_document_query import AsyncDocumentQuery, AsyncReturningQuery
from docsession._faces._async_lazy_reading import AsyncBatch, AsyncLazyLoaderWithInclude, AsyncLazySessionOperations
from docsession._faces._async_raw_query import AsyncRawDocumentQuery
from docsession._faces._async_session import AsyncDocumentSession, AsyncLoaderWithInclude
from docsession._faces._async_store import AsyncDocumentStore
from docsession._faces._cluster_transaction import (
    AsyncClusterTransactionOperations,
    AsyncLazyClusterTransactionOperations,
    ClusterTransactionOperations,
    LazyClusterTransactionOperations,
)
from docsession._faces._document_query import DocumentQuery, ReturningQuery
from docsession._faces._includes import IncludeBuilder
from docsession._faces._lazy import AsyncEagerSessionOperations, AsyncLazy, EagerSessionOperations, Lazy
from docsession._faces._lazy_reading import Batch, LazyLoaderWithInclude, LazySessionOperations
from docsession._faces._maintenance import AsyncMaintenance, Maintenance
from docsession._faces._operations import AsyncOperationExecutor, OperationExecutor
from docsession._faces._raw_query import RawDocumentQuery
from docsession._faces._request_executor import RequestExecutor
from docsession._faces._session import DocumentSession, LoaderWithInclude
from docsession._faces._store import DocumentStore
from docsession._faces._transaction import AsyncSessionTransaction, SessionTransaction
from docsession._options import OptimisticConcurrencyMode, ReadPreference, SessionOptions, TransactionMode
from docsession._query._clauses import QueryOperator, SearchOperator
from docsession._query._customization import (
    BeforeQueryEventArgs,
    BeforeRawQueryEventArgs,
    DocumentQueryCustomization,
)
from docsession._query._facets import FacetValue
from docsession._query._full_text import highlight, rank, search
from docsession._query._functions import (
    Value,
    all_,
    all_of,
    any_,
    avg,
    between,
    contains,
    contains_all,
    contains_any,
    count,
    desc,
    ends_with,
    exists,
    given,
    id_,
    in_,
    len_,
    matches,
    max_,
    meta,
    min_,
    not_,
    starts_with,
    sum_,
    value,
)
from docsession._query._indexes import GinIndex, Index, Statistics
from docsession._query._ordering import NullsOrdering, OrderingType
from docsession._query._parameters import parameter
from docsession._query._patches import PatchOperation, append, increment, remove, rename, set_
from docsession._query._promoted import Promoted
from docsession._query._query import Query
from docsession._query._raven_results import GroupByDocumentQuery, GroupByField
from docsession._query._search_indexes import FullText, Trigram, VectorIndex
from docsession._query._vectors import distance, nearest
from docsession._query._watching import QueryResult, QueryStatistics, QueryTimings
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
from docsession._session._loads import ConditionalLoadResult
from docsession._session._operations import (
    CompareExchangeResult,
    DeleteCompareExchangeValueOperation,
    GetCompareExchangeValueOperation,
    GetCompareExchangeValuesOperation,
    PutCompareExchangeValueOperation,
)
from docsession._session._query_values import Page, QueryPlan, QuerySql
from docsession._session._raw_json import DocumentJson, QueryJson
from docsession._session._statistics import StoreStatistics

__all__ = [
    "AdvancedSession",
    "AfterConversionToDocumentEventArgs",
    "AfterConversionToEntityEventArgs",
    "AfterSaveChangesEventArgs",
    "AsyncAdvancedSession",
    "AsyncBatch",
    "AsyncClusterTransactionOperations",
    "AsyncDocumentQuery",
    "AsyncDocumentSession",
    "AsyncDocumentStore",
    "AsyncEagerSessionOperations",
    "AsyncLazy",
    "AsyncLazyClusterTransactionOperations",
    "AsyncLazyLoaderWithInclude",
    "AsyncLazySessionOperations",
    "AsyncLoaderWithInclude",
    "AsyncMaintenance",
    "AsyncOperationExecutor",
    "AsyncRawDocumentQuery",
    "AsyncReturningQuery",
    "AsyncSessionTransaction",
    "AuthenticationException",
    "Batch",
    "BeforeConversionToDocumentEventArgs",
    "BeforeConversionToEntityEventArgs",
    "BeforeDeleteEventArgs",
    "BeforeQueryEventArgs",
    "BeforeRawQueryEventArgs",
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
    "DocumentJson",
    "DocumentMismatchException",
    "DocumentQuery",
    "DocumentQueryCustomization",
    "DocumentSession",
    "DocumentStore",
    "DocumentsChanges",
    "EagerSessionOperations",
    "EmbeddedServer",
    "EmbeddedServerException",
    "EventLoopException",
    "FacetValue",
    "FailedRequestEventArgs",
    "ForeignKeyViolation",
    "FullText",
    "GetCompareExchangeValueOperation",
    "GetCompareExchangeValuesOperation",
    "GinIndex",
    "GroupByDocumentQuery",
    "GroupByField",
    "IncludeBuilder",
    "IncompatibleSchemaException",
    "Index",
    "IndexDeclaration",
    "IndexedValueTooLongException",
    "InvalidArgumentException",
    "InvalidArgumentTypeException",
    "InvalidOperationException",
    "InvalidPageTokenException",
    "Lazy",
    "LazyClusterTransactionOperations",
    "LazyLoaderWithInclude",
    "LazySessionOperations",
    "LoaderWithInclude",
    "Maintenance",
    "MetadataAsDictionary",
    "MigrationException",
    "MissingDependencyException",
    "MultipleResultsException",
    "NoResultException",
    "NonUniqueObjectException",
    "NullsOrdering",
    "OperationExecutor",
    "OptimisticConcurrencyMode",
    "OrderingType",
    "Page",
    "PatchOperation",
    "PermissionDeniedException",
    "PoolTimeoutException",
    "Promoted",
    "PutCommandDataWithJson",
    "PutCompareExchangeValueOperation",
    "Query",
    "QueryJson",
    "QueryOperator",
    "QueryPlan",
    "QueryResult",
    "QuerySql",
    "QueryStatistics",
    "QueryTimings",
    "RavenException",
    "RawDocumentQuery",
    "ReadPreference",
    "Ref",
    "ReplicationTimeoutException",
    "RequestDescription",
    "RequestExecutor",
    "RequestTimeoutException",
    "ResponseTimeInformation",
    "ReturningQuery",
    "SearchOperator",
    "SessionBusyException",
    "SessionClosedException",
    "SessionClosingEventArgs",
    "SessionCreatedEventArgs",
    "SessionOptions",
    "SessionTransaction",
    "ShouldIgnoreEntityChanges",
    "Statistics",
    "StoreClosedException",
    "StoreStatistics",
    "SucceedRequestEventArgs",
    "TableDoesNotExistException",
    "TooManyRequestsException",
    "TransactionMode",
    "TransactionRetryException",
    "Trigram",
    "UniqueConstraintViolation",
    "UnknownOutcomeException",
    "UnsupportedValueException",
    "Value",
    "VectorIndex",
    "all_",
    "all_of",
    "any_",
    "append",
    "assert_uses_index",
    "avg",
    "between",
    "contains",
    "contains_all",
    "contains_any",
    "count",
    "desc",
    "distance",
    "document",
    "ends_with",
    "exists",
    "given",
    "highlight",
    "id_",
    "in_",
    "increment",
    "len_",
    "matches",
    "max_",
    "meta",
    "min_",
    "nearest",
    "not_",
    "parameter",
    "rank",
    "remove",
    "rename",
    "search",
    "set_",
    "starts_with",
    "sum_",
    "upcaster",
    "uuid7",
    "uuid7_ids",
    "value",
]
