"""`store.operations` of both faces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, TypeVar

from docsession._documents._mapping import Mappings
from docsession._faces._run import run
from docsession._session._database import Database
from docsession._session._operations import StoreOperation, check_operation

R = TypeVar("R")


class _OperationsCommon:
    """The database that operations work on."""

    __slots__ = ("_database", "_mappings", "_open")

    def __init__(self, open_database: Callable[[str], Database], mappings: Mappings, name: str) -> None:
        self._open = open_database
        self._mappings = mappings
        self._database = name

    @property
    def database(self) -> str:
        """The database that they work on."""
        return self._database

    def for_database(self, database: str) -> Self:
        """Return the same for another database.

        Raises:
            InvalidArgumentException: The name cannot be used.
        """
        self._open(database)
        return type(self)(self._open, self._mappings, database)


class OperationExecutor(_OperationsCommon):
    """Does something with a database outside of sessions (RavenDB: store.operations)."""

    __slots__ = ()

    def send(self, operation: StoreOperation[R]) -> R:
        """Do *operation* in one request, and return its result.

        Args:
            operation: As in `PutCompareExchangeValueOperation("usernames/ayende", "users/1", 0)`.

        Raises:
            ReplicationTimeoutException: It is written, and no synchronous standby has confirmed it in time.
        """
        return run(check_operation(operation).run(self._open(self._database), self._mappings))


class AsyncOperationExecutor(_OperationsCommon):
    """Does something with a database outside of sessions; `OperationExecutor`, awaited."""

    __slots__ = ()

    async def send(self, operation: StoreOperation[R]) -> R:
        """See `OperationExecutor.send`."""
        return await check_operation(operation).run(self._open(self._database), self._mappings)
