"""`session.advanced` of the blocking session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from docsession._faces._advanced_common import AdvancedSessionCommon
from docsession._faces._cluster_transaction import ClusterTransactionOperations
from docsession._faces._document_query import DocumentQuery
from docsession._faces._lazy import EagerSessionOperations
from docsession._faces._lazy_reading import LazySessionOperations
from docsession._faces._raw_query import RawDocumentQuery
from docsession._faces._run import run
from docsession._faces._transaction import SessionTransaction
from docsession._faces._units import BlockingWaiting, Patience, edit
from docsession._query._query import specification_of_index
from docsession._query._raw_sql import RawQuery
from docsession._session._loads import ConditionalLoadResult

T = TypeVar("T")


class AdvancedSession(AdvancedSessionCommon):
    """What is needed less often (RavenDB: session.advanced)."""

    __slots__ = ()

    _is_async = False

    def exists(self, key: str) -> bool:
        """Return True where the document exists; it is not loaded, and no request is counted."""
        return run(self._core.loads.exists(key))

    def refresh(self, entity: T) -> T:
        """Bring *entity* to the state in the database, in place; local changes are lost. One request.

        Raises:
            DocumentDoesNotExistException: It was deleted meanwhile.
            InvalidArgumentException: It is not tracked, or was never saved.
        """
        return run(self._core.loads.refresh(entity))

    @overload
    def conditional_load(
        self, key: str, change_vector: str | None, object_type: type[T]
    ) -> ConditionalLoadResult[T]: ...
    @overload
    def conditional_load(
        self, key: str, change_vector: str | None, object_type: None = None
    ) -> ConditionalLoadResult[Any]: ...
    def conditional_load(
        self, key: str, change_vector: str | None, object_type: type[Any] | None = None
    ) -> ConditionalLoadResult[Any]:
        """Load a document unless it still has *change_vector*, in which case it is not transferred.

        Returns:
            (None, the same vector) where nothing changed, (entity, new vector) where it did,
            (None, None) where there is no such document. A tracked entity is returned without a request.

        Raises:
            InvalidArgumentException: Nothing is tracked, and no change vector was given.
        """
        return run(self._core.loads.conditional_load(key, change_vector, object_type))

    @overload
    def load_starting_with(
        self,
        id_prefix: str,
        object_type: type[T],
        matches: str | None = None,
        start: int | None = None,
        page_size: int | None = None,
        exclude: str | None = None,
        start_after: str | None = None,
    ) -> list[T]: ...
    @overload
    def load_starting_with(
        self,
        id_prefix: str,
        object_type: None = None,
        matches: str | None = None,
        start: int | None = None,
        page_size: int | None = None,
        exclude: str | None = None,
        start_after: str | None = None,
    ) -> list[Any]: ...
    def load_starting_with(
        self,
        id_prefix: str,
        object_type: type[Any] | None = None,
        matches: str | None = None,
        start: int | None = None,
        page_size: int | None = None,
        exclude: str | None = None,
        start_after: str | None = None,
    ) -> list[Any]:
        """Load the documents whose id begins with *id_prefix*, in the order of their ids. One request.

        Args:
            id_prefix: As in `"companies/"`.
            object_type: The class of the documents; None gives dicts.
            matches: Wildcards for the rest of the id, `|` between alternatives: `"1*|2?-A"`.
            start: How many documents to leave out first.
            page_size: How many to return at most; None returns all.
            exclude: Wildcards for those to leave out.
            start_after: The last id of the page before.
        """
        return run(
            self._core.loads.load_starting_with(id_prefix, object_type, matches, start, page_size, exclude, start_after)
        )

    @overload
    def document_query(
        self,
        index_name: str | None = None,
        collection_name: str | None = None,
        *,
        object_type: type[T],
        is_map_reduce: bool = False,
    ) -> DocumentQuery[T]: ...
    @overload
    def document_query(
        self,
        index_name: str | None = None,
        collection_name: str | None = None,
        object_type: type[Any] | None = None,
        is_map_reduce: bool = False,
    ) -> DocumentQuery[Any]: ...
    def document_query(
        self,
        index_name: str | None = None,
        collection_name: str | None = None,
        object_type: type[Any] | None = None,
        is_map_reduce: bool = False,
    ) -> DocumentQuery[Any]:
        """Ask for documents, as `session.query` (RavenDB: advanced.document_query).

        Args:
            index_name: None: PostgreSQL finds out itself which index serves a query.
            collection_name: The collection, where no class says it.
            object_type: The class; None gives dicts.
            is_map_reduce: False; `group_by` needs no index.

        Raises:
            InvalidArgumentException: An index is named, or neither a class nor a collection.
        """
        asked = specification_of_index(index_name, collection_name, object_type, is_map_reduce=is_map_reduce)
        return DocumentQuery(self._core.context, asked)

    # what belongs together

    @property
    def cluster_transaction(self) -> ClusterTransactionOperations:
        """Compare-exchange values; of a session with `TransactionMode.CLUSTER_WIDE`.

        Raises:
            InvalidOperationException: The session is not cluster-wide.
        """
        return ClusterTransactionOperations(self._core.context)

    @property
    def lazily(self) -> LazySessionOperations:
        """Loads that are asked for together, when the value of one of them is read."""
        return LazySessionOperations(self._core.context)

    @property
    def eagerly(self) -> EagerSessionOperations:
        """What is pending, done now."""
        return EagerSessionOperations(self._core.context.lazies)

    def raw_query(self, query: str, object_type: type[T] | None = None) -> RawDocumentQuery[T]:
        """Ask for documents with SQL of your own (RavenDB: raw_query, whose language is another one).

        Args:
            query: See `query_sql` of the session; its values follow by `add_parameter`.
            object_type: The class of the documents; None gives dicts.
        """
        return RawDocumentQuery(self._core.context, RawQuery(object_type, query, {}))

    # transactions

    @overload
    def edit(self, key: str, object_type: type[T], fn: Callable[[T], T | None], attempts: int = 10) -> T: ...
    @overload
    def edit(self, key: str, object_type: None, fn: Callable[[Any], Any], attempts: int = 10) -> Any: ...
    def edit(self, key: str, object_type: type[Any] | None, fn: Callable[[Any], Any], attempts: int = 10) -> Any:
        """Load one document, change it by *fn* and save it at once; where others were faster, once more.

        Its version is checked, whatever the session's mode. Nothing else of the session is saved, and its other
        documents stay as they are. Where the session tracks the document, its instance is brought up to date;
        otherwise it tracks what was edited. Each attempt counts as two requests.

        In a transaction (`begin()`, or a connection that somebody else owns) it is a part of that one, and is
        tried again only where the transaction sees what others have committed meanwhile.

        Args:
            key: The document's id.
            object_type: The class of the document; None gives a dict.
            fn: Changes the entity in place, or returns another one to be saved in its stead. It may run several
                times, each time with a fresh entity, and may load from the session.
            attempts: How often it is tried at most, with a short wait between.

        Returns:
            The entity as it was saved.

        Raises:
            DocumentDoesNotExistException: There is no such document.
            InvalidOperationException: The session has unsaved changes of its own for it.
            ConcurrencyException: Others were faster each time.
        """
        return run(edit(self._core, key, object_type, fn, Patience(attempts), BlockingWaiting()))

    def begin(self, isolation_level: str | None = None) -> None:
        """Begin a transaction that spans requests until `commit()` or `rollback()`; inside one, set a savepoint.

        Saves inside it are savepoints: one that is refused leaves what was saved before. The connection
        is taken from the pool now and kept to the end; BEGIN goes with the first request.

        Args:
            isolation_level: "read committed", "repeatable read" or "serializable"; None is the session's,
                else the server's default.

        Raises:
            InvalidOperationException: A nested transaction cannot have an isolation level of its own.
        """
        run(self._core.begin(isolation_level))

    def commit(self) -> None:
        """Commit what was saved since `begin()`; a nested one becomes part of the surrounding one.

        What was not saved stays unsaved: call `save_changes()` first.

        Raises:
            InvalidOperationException: There is no transaction.
            UnknownOutcomeException: The connection broke before the answer; `save_changes()` finds out.
        """
        run(self._core.commit())

    def rollback(self) -> None:
        """Undo what was saved since the last `begin()`: it is unsaved again, with the old versions.

        The entities keep the values that they have; `refresh` or `evict` them to drop these, too.

        Raises:
            InvalidOperationException: There is no transaction.
        """
        run(self._core.rollback())

    def rolled_back(self) -> None:
        """Tell the session that the owner of its connection rolled back to a savepoint which docsession cannot see.

        For sessions on a bare psycopg connection (`SessionOptions.request_executor`). What the savepoint took
        away is unsaved again, with its old versions. SQLAlchemy and Django tell by themselves, and the
        rollback of a whole transaction is found out in any case.

        Raises:
            InvalidOperationException: The session's connection is the store's own.
        """
        run(self._core.rolled_back())

    def transaction(self, isolation_level: str | None = None) -> SessionTransaction:
        """Return a context manager that begins a transaction, and commits it or, on an error, rolls it back.

        Args:
            isolation_level: See `begin`.
        """
        return SessionTransaction(self._core, isolation_level)
