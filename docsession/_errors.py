"""The errors of docsession: one tree, every one with a short code.

DocSessionError
 +-- RavenException (RuntimeError)            a request that could not be answered
 |    +-- ConflictException
 |    |    +-- ConcurrencyException           another session changed the document first
 |    |         +-- ClusterTransactionConcurrencyException   … the same of a cluster-wide session
 |    +-- DatabaseDoesNotExistException
 |    +-- TableDoesNotExistException          a table of docsession is missing
 |    +-- CollectionMismatchException         an id is taken by another collection
 |    +-- DocumentDoesNotExistException       a document that has to exist does not
 |    +-- UniqueConstraintViolation           another document has the same values in a unique index
 |    +-- IndexedValueTooLongException        an index cannot hold a value of a document
 |    +-- ForeignKeyViolation                 a document refers to what is not there, or is still referred to
 |    +-- PermissionDeniedException           the role lacks a right
 |    +-- ConnectionFailedException           nothing was sent, the server cannot be reached
 |    |    +-- AuthenticationException        user or password refused
 |    |    +-- PoolTimeoutException           no connection became free in time
 |    +-- ConnectionLostException             the connection broke after something was sent
 |    |    +-- UnknownOutcomeException        … during a flush: committed or not is not known yet
 |    +-- RequestTimeoutException             the server took longer than allowed
 |    +-- TransactionRetryException           deadlock or serialization failure: gone as a whole
 |    +-- ReplicationTimeoutException         committed, but no synchronous standby has confirmed it in time
 +-- InvalidOperationException (RuntimeError) a call that the state forbids
 |    +-- NonUniqueObjectException            two instances for one id
 |    +-- SessionClosedException
 |    +-- SessionBusyException                used by a second thread or task
 |    +-- StoreClosedException
 |    +-- EventLoopException                  an async store used from another event loop
 +-- TooManyRequestsException (ValueError)    the session has used up its requests
 +-- NoResultException (IndexError)             a query found no document
 +-- MultipleResultsException (ValueError)    a query found more than one
 +-- InvalidArgumentException (ValueError)
 |    +-- InvalidArgumentTypeException (TypeError)
 |    +-- InvalidPageTokenException           a token that no page of the query gave
 +-- ConversionException (ValueError)
 |    +-- UnsupportedValueException           a value that cannot be stored
 |    +-- DocumentMismatchException           a document that does not fit the class
 +-- EmbeddedServerException (RuntimeError)
 +-- MigrationException (RuntimeError)
 |    +-- IncompatibleSchemaException         made by another generation of docsession
 +-- MissingDependencyException (ImportError)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Sequence


class DocSessionError(Exception):
    """The base of every error that docsession raises.

    Attributes:
        code: A short, stable code; the documentation has a section for each.
        retryable: True where the same unit of work may be tried again as it is.
    """

    code: ClassVar[str] = "ds000"
    retryable: bool = False


class RavenException(DocSessionError, RuntimeError):
    """A request that the database refused, or could not answer.

    Attributes:
        sqlstate: PostgreSQL's five-character code, where the server gave one.
    """

    code = "ds100"
    sqlstate: str | None = None


@dataclass(frozen=True, slots=True)
class Conflict:
    """One document of a conflict.

    Attributes:
        id: The document's id.
        expected: The change vector that the session expected; "" means that it must not exist.
        actual: The change vector found in the database; None where the document does not exist.
    """

    id: str
    expected: str
    actual: str | None

    @override
    def __str__(self) -> str:
        if self.actual is None:
            return f"{self.id!r} was deleted meanwhile (expected change vector {self.expected})"
        if self.expected == "":
            return f"{self.id!r} exists already (change vector {self.actual})"
        return f"{self.id!r} was changed meanwhile (expected change vector {self.expected}, actual {self.actual})"


class ConflictException(RavenException):
    """The base of conflicts between sessions."""

    code = "ds110"


class ConcurrencyException(ConflictException):
    """Another session changed, deleted or created a document first; nothing of the flush was written.

    Attributes:
        conflicts: Every document in conflict.
        id: The id of the first one; None where none could be told, as the others.
        expected: The change vector that the session expected of it.
        actual: The one found in the database; None where the document does not exist.
    """

    code = "ds111"

    def __init__(self, message: str, conflicts: Sequence[Conflict] = ()) -> None:
        super().__init__(message)
        self.conflicts = tuple(conflicts)
        first = self.conflicts[0] if self.conflicts else None
        self.id = first.id if first else None
        self.expected = first.expected if first else None
        self.actual = first.actual if first else None


@dataclass(frozen=True, slots=True)
class CompareExchangeConflict:
    """One compare-exchange value of a conflict.

    Attributes:
        key: The value's key.
        expected: The index that the session expected; 0 means that there must be none.
        actual: The index found in the database; None where there is no such value.
    """

    key: str
    expected: int
    actual: int | None

    @override
    def __str__(self) -> str:
        name = f"the compare-exchange value {self.key!r}"
        if self.actual is None:
            return f"{name} was deleted meanwhile (expected index {self.expected})"
        if not self.expected:
            return f"{name} exists already (index {self.actual})"
        return f"{name} was changed meanwhile (expected index {self.expected}, actual {self.actual})"


class ClusterTransactionConcurrencyException(ConcurrencyException):
    """The same in a session with `TransactionMode.CLUSTER_WIDE`.

    Attributes:
        compare_exchange_conflicts: Every compare-exchange value in conflict.
    """

    code = "ds112"

    def __init__(
        self,
        message: str,
        conflicts: Sequence[Conflict] = (),
        compare_exchange_conflicts: Sequence[CompareExchangeConflict] = (),
    ) -> None:
        super().__init__(message, conflicts)
        self.compare_exchange_conflicts = tuple(compare_exchange_conflicts)


class _GuardFailed(RavenException):
    """A guard inside a statement refused the whole flush; the session turns it into the error of its reason.

    Attributes:
        marker: Which guard: "conflict", "catalogue" or "mismatch".
        found: The number of rows that the guard found.
    """

    def __init__(self, message: str, marker: str, found: int | None) -> None:
        super().__init__(message)
        self.marker = marker
        self.found = found


class DatabaseDoesNotExistException(RavenException):
    """The server has no such database (a schema), or no such PostgreSQL database."""

    code = "ds120"


class TableDoesNotExistException(RavenException):
    """A table of docsession is missing and may not be made on first use."""

    code = "ds121"


class CollectionMismatchException(RavenException):
    """An id belongs to a document of another collection."""

    code = "ds122"


class DocumentDoesNotExistException(RavenException):
    """A document that has to exist does not."""

    code = "ds124"


class UniqueConstraintViolation(RavenException):
    """A document has the same values as another one, in the fields of a unique index; nothing of the flush was written.

    Attributes:
        id: The id of the document; None where none could be told, as the others.
        other_id: The id of the document that has the values: a stored one, or another of the same flush.
        index: The index's name in the database.
        fields: The fields of the index.
        pairs: Every (document, other document) of the flush, up to a hundred.
    """

    code = "ds125"

    def __init__(
        self,
        message: str,
        index: str | None = None,
        fields: Sequence[str] = (),
        pairs: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.index = index
        self.fields = tuple(fields)
        self.pairs = tuple(pairs)
        self.id = self.pairs[0][0] if self.pairs else None
        self.other_id = self.pairs[0][1] if self.pairs else None


class IndexedValueTooLongException(RavenException):
    """A document has a value in an indexed field that the index cannot hold; nothing of the flush was written.

    Attributes:
        id: The id of the document; None where it could not be told, as the others.
        index: The index's name in the database.
        fields: The fields of the index.
    """

    code = "ds126"

    def __init__(
        self, message: str, index: str | None = None, fields: Sequence[str] = (), id: str | None = None
    ) -> None:
        super().__init__(message)
        self.index = index
        self.fields = tuple(fields)
        self.id = id


class ForeignKeyViolation(RavenException):
    """A document refers to a row that is not there, or is deleted while it is referred to; nothing was written.

    Attributes:
        id: The id of the document; None where none could be told, as the others.
        ids: Those of all such documents of the transaction, up to a hundred.
        constraint: The foreign key's name in the database.
        fields: The field that refers, of the foreign key of a promoted field.
    """

    code = "ds127"

    def __init__(
        self, message: str, constraint: str | None = None, fields: Sequence[str] = (), ids: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.constraint = constraint
        self.fields = tuple(fields)
        self.ids = tuple(ids)
        self.id = self.ids[0] if self.ids else None


class PermissionDeniedException(RavenException):
    """The database role lacks a right that the request needs."""

    code = "ds123"


class ConnectionFailedException(RavenException):
    """The server could not be reached; nothing was sent."""

    code = "ds130"
    retryable = True


class AuthenticationException(ConnectionFailedException):
    """The server refused the user or the password."""

    code = "ds131"
    retryable = False


class PoolTimeoutException(ConnectionFailedException):
    """No connection of the pool became free in time."""

    code = "ds132"


class ConnectionLostException(RavenException):
    """The connection broke after something had been sent."""

    code = "ds133"
    retryable = True


class UnknownOutcomeException(ConnectionLostException):
    """The connection broke during a flush, or the flush before: whether it committed is not known yet.

    Call `save_changes()` again: it asks the server first, and then either adopts what was
    committed or sends the flush again.
    """

    code = "ds134"
    retryable = False


class RequestTimeoutException(RavenException):
    """The server took longer than the timeout allows; the request was ended."""

    code = "ds135"


class TransactionRetryException(RavenException):
    """A deadlock or a serialization failure: the transaction is gone as a whole and may be repeated."""

    code = "ds136"
    retryable = True


class ReplicationTimeoutException(RavenException):
    """A cluster-wide save is committed on the primary server, but no synchronous standby has confirmed it in time.

    It counts as saved. There is nothing to repeat: the standby gets it when it is back.
    """

    code = "ds137"


class InvalidOperationException(DocSessionError, RuntimeError):
    """A call that the state of the session or store does not allow."""

    code = "ds200"


class NonUniqueObjectException(InvalidOperationException):
    """A second instance for an id that the session already tracks."""

    code = "ds201"


class SessionClosedException(InvalidOperationException):
    """The session was closed."""

    code = "ds202"


class SessionBusyException(InvalidOperationException):
    """The session is in the middle of another operation, of another thread or task."""

    code = "ds203"


class StoreClosedException(InvalidOperationException):
    """The store was closed."""

    code = "ds204"


class EventLoopException(InvalidOperationException):
    """An async store was used from another event loop than that of its first use."""

    code = "ds205"


class NoResultException(DocSessionError, IndexError, ValueError):
    """A query that was to find a document found none."""

    code = "ds230"


class MultipleResultsException(DocSessionError, ValueError):
    """A query that was to find one document found several."""

    code = "ds231"


class TooManyRequestsException(DocSessionError, ValueError):
    """The session has used up its requests, most often by a select N+1."""

    code = "ds210"


class InvalidArgumentException(DocSessionError, ValueError):
    """An argument that cannot be used."""

    code = "ds220"


class InvalidArgumentTypeException(InvalidArgumentException, TypeError):
    """An argument of the wrong type."""

    code = "ds221"


class InvalidPageTokenException(InvalidArgumentException):
    """A page was asked for with a token that no page of this query gave; clients send such."""

    code = "ds222"


class _ExtensionNeeded(InvalidArgumentException):
    """SQL cannot be written before somebody has found out where an extension is; see `Asking.compiled`.

    Attributes:
        name: The extension.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"what needs the extension {name!r} belongs into queries, and not into this")
        self.name = name


class ConversionException(DocSessionError, ValueError):
    """An entity and its document do not convert into each other.

    Attributes:
        id: The document's id, where it is known.
        path: Where in the document, as in `lines[2].price`; "" is the document itself.
    """

    code = "ds300"

    def __init__(self, message: str, *, id: str | None = None, path: str = "") -> None:
        super().__init__(message)
        self.id = id
        self.path = path


class UnsupportedValueException(ConversionException):
    """An entity holds a value that cannot be stored without loss; nothing was sent."""

    code = "ds301"


class DocumentMismatchException(ConversionException):
    """A document does not fit the class it was asked as.

    Attributes:
        expected: What the class wants there.
        found: What the document holds there.
    """

    code = "ds302"

    def __init__(
        self, message: str, *, id: str | None = None, path: str = "", expected: str = "", found: str = ""
    ) -> None:
        super().__init__(message, id=id, path=path)
        self.expected = expected
        self.found = found


class EmbeddedServerException(DocSessionError, RuntimeError):
    """The embedded PostgreSQL could not be started, shared or stopped."""

    code = "ds400"


class MigrationException(DocSessionError, RuntimeError):
    """The schema could not be brought to another revision."""

    code = "ds410"


class IncompatibleSchemaException(MigrationException):
    """The schema of a database is of a generation that this version of docsession cannot work with."""

    code = "ds411"


class MissingDependencyException(DocSessionError, ImportError):
    """A package that an option needs is not installed; the message names the extra."""

    code = "ds420"
