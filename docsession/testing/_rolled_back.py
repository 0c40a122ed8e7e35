"""One transaction around everything that a test does, which is rolled back in the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from types import TracebackType
from typing import Any

from docsession._errors import InvalidOperationException
from docsession._executors._wire import settings_of
from docsession._port import Request, Row, Rows, SleepingExecutor, Statement, Transaction
from docsession._sql._joining import keep_setting, restore_setting

_HINT = "Let this test have its tables emptied instead: @pytest.mark.docsession(isolation='delete')"


class RolledBackExecutor:
    """Carries requests in one transaction, on one connection; what would commit is a savepoint.

    Id ranges and tables go by the connection apart, as in any transaction of a session, and stay.

    Args:
        inner: What carries the transaction.
        is_async: True where tasks may wait for each other.
    """

    def __init__(self, inner: SleepingExecutor, *, is_async: bool) -> None:
        self._inner = inner
        self._is_async = is_async
        self._outer = inner.begin()
        self._turn: AbstractAsyncContextManager[Any] = asyncio.Lock() if is_async else _ThreadTurn()
        self._open: list[NestedTransaction] = []

    async def run(self, request: Request) -> list[Rows]:
        """See `RequestExecutor.run`."""
        async with self._turn:
            return await self.carry(request)

    async def carry(self, request: Request) -> list[Rows]:
        """Send *request* as a savepoint, so that a refusal leaves the test's transaction as it was.

        Its settings hold for it alone, as they would in a transaction of its own.
        """
        statements, settings, write = request.statements, request.settings, request.write
        names = [name for name, _ in settings]
        before = [*map(keep_setting, names), *settings_of(request)]
        request.statements = [*before, *statements, *map(restore_setting, names)]
        request.settings, request.write = (), True
        try:
            results = await self._outer.run(request)
        finally:
            request.statements, request.settings, request.write = statements, settings, write
        return results[len(before) : len(before) + len(statements)]

    async def run_apart(self, make: Callable[[], Request | None]) -> list[Rows]:
        """See `RequestExecutor.run_apart`."""
        return await self._inner.run_apart(make)

    async def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """See `RequestExecutor.stream`; until it is read, nothing else can be sent."""
        async with aclosing(self._outer.stream(statement, size)) as rows:
            async for row in rows:
                yield row

    def begin(self, isolation_level: str | None = None) -> Transaction:
        """See `RequestExecutor.begin`; what is begun is a savepoint.

        Raises:
            InvalidOperationException: An isolation level is asked for, which only a transaction has.
        """
        if isolation_level is not None:
            raise InvalidOperationException(
                f"isolation_level={isolation_level!r} needs a transaction of its own, and this test runs in one that "
                f"is rolled back. {_HINT}"
            )
        return NestedTransaction(self)

    async def sleep(self, seconds: float) -> None:
        """See `SleepingExecutor.sleep`."""
        await self._inner.sleep(seconds)

    async def close(self) -> None:
        """Leave the transaction to the test's other stores; an async store has no others, and ends it."""
        if self._is_async:
            await self.undo()
            await self._inner.close()

    async def undo(self) -> None:
        """Roll everything back."""
        self._open.clear()
        try:
            self._outer.check_free()
        except InvalidOperationException:
            self._outer.abandon()  # a stream that nobody has read to its end
        await self._outer.rollback()

    # What its nested transactions do.

    @property
    def outer(self) -> Transaction:
        """The transaction around everything."""
        return self._outer

    @property
    def turn(self) -> AbstractAsyncContextManager[Any]:
        """Held by whoever uses the transaction."""
        return self._turn

    def push(self, nested: NestedTransaction) -> None:
        """Note a savepoint of *nested*, which is the innermost now."""
        self._open.append(nested)

    def pop(self, nested: NestedTransaction) -> None:
        """Forget its innermost savepoint.

        Raises:
            InvalidOperationException: Another transaction has begun since, and goes on.
        """
        if not self._open or self._open[-1] is not nested:
            raise InvalidOperationException(
                "two sessions of this test are in a transaction, and the one that began last has to end first: the "
                f"test runs in one transaction that is rolled back, where they can only be inside each other. {_HINT}"
            )
        self._open.pop()

    def depth_of(self, nested: NestedTransaction) -> int:
        """Return how many savepoints of *nested* there are."""
        return self._open.count(nested)


class NestedTransaction:
    """A transaction of a session inside the one that is rolled back: a savepoint."""

    def __init__(self, around: RolledBackExecutor) -> None:
        self._around = around

    @property
    def is_begun(self) -> bool:
        """See `Transaction.is_begun`."""
        return self._around.depth_of(self) > 0

    @property
    def has_ended(self) -> bool:
        """See `Transaction.has_ended`."""
        return self.is_begun and self._around.outer.has_ended

    @property
    def connection(self) -> Any:
        """See `Transaction.connection`."""
        return self._around.outer.connection if self.is_begun else None

    def check_free(self) -> None:
        """See `Transaction.check_free`."""
        self._around.outer.check_free()

    async def open(self) -> None:
        """See `Transaction.open`."""
        async with self._around.turn:
            await self._begin()

    async def run(self, request: Request) -> list[Rows]:
        """See `Transaction.run`."""
        async with self._around.turn:
            await self._begin()
            return await self._around.carry(request)

    async def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """See `Transaction.stream`."""
        async with self._around.turn:
            await self._begin()
        async with aclosing(self._around.stream(statement, size)) as rows:
            async for row in rows:
                yield row

    async def commit(self, request: Request | None = None) -> list[Rows]:
        """See `Transaction.commit`: what was done is a part of the transaction around."""
        if request is None and not self.is_begun:
            return []
        async with self._around.turn:
            await self._begin()
            results: list[Rows] = []
            if request is not None and request.statements:
                try:
                    results = await self._around.carry(request)
                except BaseException:
                    await self._undo()
                    raise
            await self._release()
            return results

    async def rollback(self) -> None:
        """See `Transaction.rollback`."""
        async with self._around.turn:
            while self.is_begun:
                await self._undo()

    async def savepoint(self, request: Request) -> None:
        """See `Transaction.savepoint`."""
        async with self._around.turn:
            await self._begin()
            await self._around.outer.savepoint(request)
            self._around.push(self)

    async def release_savepoint(self, request: Request) -> None:
        """See `Transaction.release_savepoint`."""
        async with self._around.turn:
            self._around.pop(self)
            await self._around.outer.release_savepoint(request)

    async def rollback_to_savepoint(self, request: Request) -> None:
        """See `Transaction.rollback_to_savepoint`."""
        async with self._around.turn:
            self._around.pop(self)
            await self._around.outer.rollback_to_savepoint(request)

    def abandon(self) -> None:
        """See `Transaction.abandon`."""
        self._around.outer.abandon()

    async def _begin(self) -> None:
        if not self.is_begun:
            await self._around.outer.savepoint(Request((), write=True))
            self._around.push(self)

    async def _release(self) -> None:
        while self.is_begun:
            self._around.pop(self)
            await self._around.outer.release_savepoint(Request((), write=True))

    async def _undo(self) -> None:
        self._around.pop(self)
        await self._around.outer.rollback_to_savepoint(Request((), write=True))


class _ThreadTurn:
    """A lock of threads in the words of a lock of tasks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    async def __aenter__(self) -> None:
        self._lock.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()
