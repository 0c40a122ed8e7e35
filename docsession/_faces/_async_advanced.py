"""`session.advanced` of the async session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

from docsession._faces._advanced_common import AdvancedSessionCommon
from docsession._faces._async_document_query import AsyncDocumentQuery
from docsession._faces._async_lazy_reading import AsyncLazySessionOperations
from docsession._faces._async_raw_query import AsyncRawDocumentQuery
from docsession._faces._cluster_transaction import AsyncClusterTransactionOperations
from docsession._faces._lazy import AsyncEagerSessionOperations
from docsession._faces._transaction import AsyncSessionTransaction
from docsession._faces._units import AsyncWaiting, Patience, edit
from docsession._query._query import specification_of_index
from docsession._query._raw_sql import RawQuery
from docsession._session._loads import ConditionalLoadResult

T = TypeVar("T")


class AsyncAdvancedSession(AdvancedSessionCommon):
    """What is needed less often (RavenDB: session.advanced)."""

    __slots__ = ()

    _is_async = True

    async def exists(self, key: str) -> bool:
        """Return True where the document exists; it is not loaded, and no request is counted."""
        return await self._core.loads.exists(key)

    async def refresh(self, entity: T) -> T:
        """Bring *entity* to the state in the database, in place; see `AdvancedSession.refresh`."""
        return await self._core.loads.refresh(entity)

    @overload
    async def conditional_load(
        self, key: str, change_vector: str | None, object_type: type[T]
    ) -> ConditionalLoadResult[T]: ...
    @overload
    async def conditional_load(
        self, key: str, change_vector: str | None, object_type: None = None
    ) -> ConditionalLoadResult[Any]: ...
    async def conditional_load(
        self, key: str, change_vector: str | None, object_type: type[Any] | None = None
    ) -> ConditionalLoadResult[Any]:
        """Load a document unless it still has *change_vector*; see `AdvancedSession.conditional_load`."""
        return await self._core.loads.conditional_load(key, change_vector, object_type)

    @overload
    async def load_starting_with(
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
    async def load_starting_with(
        self,
        id_prefix: str,
        object_type: None = None,
        matches: str | None = None,
        start: int | None = None,
        page_size: int | None = None,
        exclude: str | None = None,
        start_after: str | None = None,
    ) -> list[Any]: ...
    async def load_starting_with(
        self,
        id_prefix: str,
        object_type: type[Any] | None = None,
        matches: str | None = None,
        start: int | None = None,
        page_size: int | None = None,
        exclude: str | None = None,
        start_after: str | None = None,
    ) -> list[Any]:
        """Load the documents whose id begins with *id_prefix*; see `AdvancedSession.load_starting_with`."""
        return await self._core.loads.load_starting_with(
            id_prefix, object_type, matches, start, page_size, exclude, start_after
        )

    @overload
    def document_query(
        self,
        index_name: str | None = None,
        collection_name: str | None = None,
        *,
        object_type: type[T],
        is_map_reduce: bool = False,
    ) -> AsyncDocumentQuery[T]: ...
    @overload
    def document_query(
        self,
        index_name: str | None = None,
        collection_name: str | None = None,
        object_type: type[Any] | None = None,
        is_map_reduce: bool = False,
    ) -> AsyncDocumentQuery[Any]: ...
    def document_query(
        self,
        index_name: str | None = None,
        collection_name: str | None = None,
        object_type: type[Any] | None = None,
        is_map_reduce: bool = False,
    ) -> AsyncDocumentQuery[Any]:
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
        return AsyncDocumentQuery(self._core.context, asked)

    # what belongs together

    @property
    def cluster_transaction(self) -> AsyncClusterTransactionOperations:
        """Compare-exchange values; of a session with `TransactionMode.CLUSTER_WIDE`.

        Raises:
            InvalidOperationException: The session is not cluster-wide.
        """
        return AsyncClusterTransactionOperations(self._core.context)

    @property
    def lazily(self) -> AsyncLazySessionOperations:
        """Loads that are asked for together, when the value of one of them is read."""
        return AsyncLazySessionOperations(self._core.context)

    @property
    def eagerly(self) -> AsyncEagerSessionOperations:
        """What is pending, done now."""
        return AsyncEagerSessionOperations(self._core.context.lazies)

    def raw_query(self, query: str, object_type: type[T] | None = None) -> AsyncRawDocumentQuery[T]:
        """Ask for documents with SQL of your own (RavenDB: raw_query, whose language is another one).

        Args:
            query: See `query_sql` of the session; its values follow by `add_parameter`.
            object_type: The class of the documents; None gives dicts.
        """
        return AsyncRawDocumentQuery(self._core.context, RawQuery(object_type, query, {}))

    # transactions

    @overload
    async def edit(
        self, key: str, object_type: type[T], fn: Callable[[T], Awaitable[T | None] | T | None], attempts: int = 10
    ) -> T: ...
    @overload
    async def edit(self, key: str, object_type: None, fn: Callable[[Any], Any], attempts: int = 10) -> Any: ...
    async def edit(self, key: str, object_type: type[Any] | None, fn: Callable[[Any], Any], attempts: int = 10) -> Any:
        """Load one document, change it by *fn*, which may be awaited, and save it; see `AdvancedSession.edit`."""
        return await edit(self._core, key, object_type, fn, Patience(attempts), AsyncWaiting())

    async def begin(self, isolation_level: str | None = None) -> None:
        """Begin a transaction that spans requests until `commit()` or `rollback()`; inside one, set a savepoint.

        Saves inside it are savepoints: one that is refused leaves what was saved before. The connection
        is taken from the pool now and kept to the end; BEGIN goes with the first request.

        Args:
            isolation_level: "read committed", "repeatable read" or "serializable"; None is the session's,
                else the server's default.

        Raises:
            InvalidOperationException: A nested transaction cannot have an isolation level of its own.
        """
        await self._core.begin(isolation_level)

    async def commit(self) -> None:
        """Commit what was saved since `begin()`; a nested one becomes part of the surrounding one.

        What was not saved stays unsaved: call `save_changes()` first.

        Raises:
            InvalidOperationException: There is no transaction.
            UnknownOutcomeException: The connection broke before the answer; `save_changes()` finds out.
        """
        await self._core.commit()

    async def rollback(self) -> None:
        """Undo what was saved since the last `begin()`: it is unsaved again, with the old versions.

        The entities keep the values that they have; `refresh` or `evict` them to drop these, too.

        Raises:
            InvalidOperationException: There is no transaction.
        """
        await self._core.rollback()

    async def rolled_back(self) -> None:
        """Tell the session that the owner of its connection rolled back to a savepoint which docsession cannot see.

        For sessions on a bare psycopg connection (`SessionOptions.request_executor`). What the savepoint took
        away is unsaved again, with its old versions. SQLAlchemy and Django tell by themselves, and the
        rollback of a whole transaction is found out in any case.

        Raises:
            InvalidOperationException: The session's connection is the store's own.
        """
        await self._core.rolled_back()

    def transaction(self, isolation_level: str | None = None) -> AsyncSessionTransaction:
        """Return a context manager that begins a transaction, and commits it or, on an error, rolls it back.

        Args:
            isolation_level: See `begin`.
        """
        return AsyncSessionTransaction(self._core, isolation_level)
