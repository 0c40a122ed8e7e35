"""`session.advanced.cluster_transaction` of both faces: compare-exchange values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, overload

from docsession._documents._compare_exchange import CompareExchangeValue, check_key
from docsession._faces._lazy import AsyncLazy, Lazy
from docsession._faces._run import run
from docsession._session._cluster import ClusterTransactions, check_keys
from docsession._session._context import SessionContext

T = TypeVar("T")


class ClusterTransactionCommon:
    """What asks the server nothing, and so is the same on both faces."""

    __slots__ = ("_context", "_values")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._values = ClusterTransactions(context)
        if not self._values.has_values:
            self._values.require()

    def create_compare_exchange_value(self, key: str, item: T) -> CompareExchangeValue[T]:
        """Have the next `save_changes()` create a value, which must not exist then.

        Args:
            key: Its key: any text that an id may be.
            item: An object of a class that could be stored as a document, a dict, list or plain value.

        Returns:
            What is tracked: changes of its `value` are saved.

        Raises:
            InvalidOperationException: The session tracks a value of that key, or is not cluster-wide.
        """
        return self._values.create(key, item)

    def delete_compare_exchange_value(
        self, item_or_key: CompareExchangeValue[Any] | str, index: int | None = None
    ) -> None:
        """Have the next `save_changes()` delete a value, if its index is the expected one then.

        Args:
            item_or_key: The value, or its key.
            index: The index that it must have; None is that of the value, or of the one that the session tracks.

        Raises:
            InvalidArgumentException: No index was given, and none is known.
        """
        self._values.delete(item_or_key, index)

    def clear(self) -> None:
        """Forget every compare-exchange value of the session, and what was to be done with it."""
        self._values.clear()

    def is_tracked(self, key: str) -> bool:
        """Return True where the session knows what there is under *key*, or that there is nothing."""
        return self._values.is_tracked(key)

    @property
    def number_of_tracked_compare_exchange_values(self) -> int:
        """How many keys the session knows something of."""
        return self._values.number


class ClusterTransactionOperations(ClusterTransactionCommon):
    """Compare-exchange values, saved together with the documents (RavenDB: session.advanced.cluster_transaction)."""

    __slots__ = ()

    @overload
    def get_compare_exchange_value(self, key: str, object_type: type[T]) -> CompareExchangeValue[T] | None: ...
    @overload
    def get_compare_exchange_value(self, key: str, object_type: Any = None) -> CompareExchangeValue[Any] | None: ...
    def get_compare_exchange_value(self, key: str, object_type: Any = None) -> CompareExchangeValue[Any] | None:
        """Return the value of *key*, or None; one that the session tracks is returned as it is, without a request.

        Args:
            key: The value's key.
            object_type: The type of the value, a class or a type such as `list[str]`; None gives dicts, lists and
                plain values.

        Raises:
            DocumentMismatchException: The value is of another type.
            InvalidOperationException: The session is not cluster-wide.
        """
        return run(self._values.get(key, object_type))

    @overload
    def get_compare_exchange_values(
        self, keys: Iterable[str], object_type: type[T]
    ) -> dict[str, CompareExchangeValue[T] | None]: ...
    @overload
    def get_compare_exchange_values(
        self, keys: Iterable[str], object_type: Any = None
    ) -> dict[str, CompareExchangeValue[Any] | None]: ...
    def get_compare_exchange_values(
        self, keys: Iterable[str], object_type: Any = None
    ) -> dict[str, CompareExchangeValue[Any] | None]:
        """Return a dict with every one of *keys*, and None for those that have no value; one request at most.

        Args:
            keys: The values' keys.
            object_type: See `get_compare_exchange_value`.
        """
        return run(self._values.get_many(keys, object_type))

    @overload
    def get_compare_exchange_values_starting_with(
        self, starts_with: str, start: int | None = None, page_size: int | None = None, *, object_type: type[T]
    ) -> dict[str, CompareExchangeValue[T]]: ...
    @overload
    def get_compare_exchange_values_starting_with(
        self, starts_with: str, start: int | None = None, page_size: int | None = None, object_type: Any = None
    ) -> dict[str, CompareExchangeValue[Any]]: ...
    def get_compare_exchange_values_starting_with(
        self, starts_with: str, start: int | None = None, page_size: int | None = None, object_type: Any = None
    ) -> dict[str, CompareExchangeValue[Any]]:
        """Return the stored values whose keys begin with *starts_with*, in the order of their keys. One request.

        Args:
            starts_with: As in `"usernames/"`; "" takes all.
            start: How many values to leave out first.
            page_size: How many to return at most; None returns all.
            object_type: See `get_compare_exchange_value`.
        """
        return run(self._values.get_starting_with(starts_with, start, page_size, object_type))

    @property
    def lazily(self) -> LazyClusterTransactionOperations:
        """The same, asked for when it is read, together with everything else that waits."""
        return LazyClusterTransactionOperations(self._context, self._values)


class AsyncClusterTransactionOperations(ClusterTransactionCommon):
    """Compare-exchange values; `ClusterTransactionOperations`, awaited."""

    __slots__ = ()

    @overload
    async def get_compare_exchange_value(self, key: str, object_type: type[T]) -> CompareExchangeValue[T] | None: ...
    @overload
    async def get_compare_exchange_value(
        self, key: str, object_type: Any = None
    ) -> CompareExchangeValue[Any] | None: ...
    async def get_compare_exchange_value(self, key: str, object_type: Any = None) -> CompareExchangeValue[Any] | None:
        """See `ClusterTransactionOperations.get_compare_exchange_value`."""
        return await self._values.get(key, object_type)

    @overload
    async def get_compare_exchange_values(
        self, keys: Iterable[str], object_type: type[T]
    ) -> dict[str, CompareExchangeValue[T] | None]: ...
    @overload
    async def get_compare_exchange_values(
        self, keys: Iterable[str], object_type: Any = None
    ) -> dict[str, CompareExchangeValue[Any] | None]: ...
    async def get_compare_exchange_values(
        self, keys: Iterable[str], object_type: Any = None
    ) -> dict[str, CompareExchangeValue[Any] | None]:
        """See `ClusterTransactionOperations.get_compare_exchange_values`."""
        return await self._values.get_many(keys, object_type)

    @overload
    async def get_compare_exchange_values_starting_with(
        self, starts_with: str, start: int | None = None, page_size: int | None = None, *, object_type: type[T]
    ) -> dict[str, CompareExchangeValue[T]]: ...
    @overload
    async def get_compare_exchange_values_starting_with(
        self, starts_with: str, start: int | None = None, page_size: int | None = None, object_type: Any = None
    ) -> dict[str, CompareExchangeValue[Any]]: ...
    async def get_compare_exchange_values_starting_with(
        self, starts_with: str, start: int | None = None, page_size: int | None = None, object_type: Any = None
    ) -> dict[str, CompareExchangeValue[Any]]:
        """See `ClusterTransactionOperations.get_compare_exchange_values_starting_with`."""
        return await self._values.get_starting_with(starts_with, start, page_size, object_type)

    @property
    def lazily(self) -> AsyncLazyClusterTransactionOperations:
        """The same, asked for when it is awaited, together with everything else that waits."""
        return AsyncLazyClusterTransactionOperations(self._context, self._values)


class LazyClusterTransactionOperations:
    """Compare-exchange values that are asked for later (RavenDB: cluster_transaction.lazily)."""

    __slots__ = ("_context", "_values")

    def __init__(self, context: SessionContext, values: ClusterTransactions) -> None:
        self._context = context
        self._values = values

    @overload
    def get_compare_exchange_value(self, key: str, object_type: type[T]) -> Lazy[CompareExchangeValue[T] | None]: ...
    @overload
    def get_compare_exchange_value(
        self, key: str, object_type: Any = None
    ) -> Lazy[CompareExchangeValue[Any] | None]: ...
    def get_compare_exchange_value(self, key: str, object_type: Any = None) -> Lazy[CompareExchangeValue[Any] | None]:
        """Return what will be the value of *key*; see `ClusterTransactionOperations.get_compare_exchange_value`."""
        asked = self._values.lazily([check_key(key)], object_type)
        return Lazy(self._context.lazies, asked, lambda: asked.found[key])

    @overload
    def get_compare_exchange_values(
        self, keys: Iterable[str], object_type: type[T]
    ) -> Lazy[dict[str, CompareExchangeValue[T] | None]]: ...
    @overload
    def get_compare_exchange_values(
        self, keys: Iterable[str], object_type: Any = None
    ) -> Lazy[dict[str, CompareExchangeValue[Any] | None]]: ...
    def get_compare_exchange_values(
        self, keys: Iterable[str], object_type: Any = None
    ) -> Lazy[dict[str, CompareExchangeValue[Any] | None]]:
        """Return what will be the values of *keys*; see `ClusterTransactionOperations.get_compare_exchange_values`."""
        asked = self._values.lazily(check_keys(keys), object_type)
        return Lazy(self._context.lazies, asked, lambda: asked.found)


class AsyncLazyClusterTransactionOperations:
    """Compare-exchange values that are asked for later; `LazyClusterTransactionOperations`, awaited."""

    __slots__ = ("_context", "_values")

    def __init__(self, context: SessionContext, values: ClusterTransactions) -> None:
        self._context = context
        self._values = values

    @overload
    def get_compare_exchange_value(
        self, key: str, object_type: type[T]
    ) -> AsyncLazy[CompareExchangeValue[T] | None]: ...
    @overload
    def get_compare_exchange_value(
        self, key: str, object_type: Any = None
    ) -> AsyncLazy[CompareExchangeValue[Any] | None]: ...
    def get_compare_exchange_value(
        self, key: str, object_type: Any = None
    ) -> AsyncLazy[CompareExchangeValue[Any] | None]:
        """See `LazyClusterTransactionOperations.get_compare_exchange_value`."""
        asked = self._values.lazily([check_key(key)], object_type)
        return AsyncLazy(self._context.lazies, asked, lambda: asked.found[key])

    @overload
    def get_compare_exchange_values(
        self, keys: Iterable[str], object_type: type[T]
    ) -> AsyncLazy[dict[str, CompareExchangeValue[T] | None]]: ...
    @overload
    def get_compare_exchange_values(
        self, keys: Iterable[str], object_type: Any = None
    ) -> AsyncLazy[dict[str, CompareExchangeValue[Any] | None]]: ...
    def get_compare_exchange_values(
        self, keys: Iterable[str], object_type: Any = None
    ) -> AsyncLazy[dict[str, CompareExchangeValue[Any] | None]]:
        """See `LazyClusterTransactionOperations.get_compare_exchange_values`."""
        asked = self._values.lazily(check_keys(keys), object_type)
        return AsyncLazy(self._context.lazies, asked, lambda: asked.found)
