"""Executors of a test: the blocking ones share the connections of the whole run, and everything ends with the test."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncGenerator, Callable

from docsession._errors import DocSessionError, StoreClosedException
from docsession._executors._async import AsyncExecutor
from docsession._faces._async_store import AsyncDocumentStore
from docsession._port import Request, Row, Rows, SleepingExecutor, Statement, Transaction

_CLOSING_SECONDS = 10.0


class LentExecutor:
    """Carries the requests of one store over the pool of the run, which outlives it.

    What a test has left behind, a session in a thread, say, is refused once the store is closed: it would write into
    the test that runs by then.
    """

    def __init__(self, inner: SleepingExecutor) -> None:
        self._pool: SleepingExecutor | None = inner
        self._begun: weakref.WeakSet[Transaction] = weakref.WeakSet()

    async def run(self, request: Request) -> list[Rows]:
        """See `RequestExecutor.run`."""
        return await self._inner.run(request)

    async def run_apart(self, make: Callable[[], Request | None]) -> list[Rows]:
        """See `RequestExecutor.run_apart`."""
        return await self._inner.run_apart(make)

    def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """See `RequestExecutor.stream`."""
        return self._inner.stream(statement, size)

    def begin(self, isolation_level: str | None = None) -> Transaction:
        """See `RequestExecutor.begin`."""
        transaction = self._inner.begin(isolation_level)
        self._begun.add(transaction)
        return transaction

    async def sleep(self, seconds: float) -> None:
        """See `SleepingExecutor.sleep`."""
        await self._inner.sleep(seconds)

    async def close(self) -> None:
        """Leave the connections to the next store."""
        self._pool = None

    @property
    def _inner(self) -> SleepingExecutor:
        if self._pool is None:
            raise StoreClosedException("the store is closed, as the test's fixtures are when it ends; make a new one")
        return self._pool

    async def end(self) -> None:
        """Roll back what the test has left open, whose locks would stop everybody after it."""
        for transaction in list(self._begun):
            if transaction.is_begun:
                with contextlib.suppress(DocSessionError):
                    await transaction.rollback()


def close_async(store: AsyncDocumentStore) -> None:
    """Close an async store after its test, whatever has become of its event loop."""
    executor = _own_executor(store)
    connections = None if executor is None else executor._connections
    if connections is None:
        store._disposed = True
        return
    loop = connections.loop
    try:
        if loop.is_running():
            # That of another thread: a server that a fixture runs. Inside it nobody could wait.
            if _running_loop() is not loop:
                asyncio.run_coroutine_threadsafe(store.close(), loop).result(_CLOSING_SECONDS)
        elif not loop.is_closed():
            loop.run_until_complete(store.close())
    finally:
        store._disposed = True
        connections.abandon()


def _own_executor(store: AsyncDocumentStore) -> AsyncExecutor | None:
    executor = store._executor
    while executor is not None and not isinstance(executor, AsyncExecutor):
        executor = getattr(executor, "_inner", None)
    return executor


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
