"""The async store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar, cast

from docsession._conventions import DocumentConventions
from docsession._executors._async import AsyncExecutor
from docsession._faces._async_session import AsyncDocumentSession
from docsession._faces._maintenance import AsyncMaintenance
from docsession._faces._operations import AsyncOperationExecutor
from docsession._faces._store_common import NOT_GIVEN, StoreCommon, StorePath, Urls
from docsession._faces._units import AsyncWaiting, Patience, run_unit
from docsession._options import ReadPreference, SessionOptions
from docsession._session._event_args import SessionCreatedEventArgs

T = TypeVar("T")


class AsyncDocumentStore(StoreCommon):
    """Opens async sessions on one PostgreSQL server; `DocumentStore`, awaited.

    It takes the same arguments, and belongs to the event loop of its first request; another loop
    gets an `EventLoopException`.
    """

    _is_async = True

    def __init__(
        self,
        urls: Urls = NOT_GIVEN,
        database: str | None = None,
        *,
        conventions: DocumentConventions | None = None,
        min_size: int = 0,
        max_size: int = 10,
        timeout: float = 30.0,
        connect_timeout: int = 10,
        max_idle: float = 600.0,
        max_lifetime: float = 3600.0,
        prepare_threshold: int | None = 5,
        prepared_max: int = 256,
        application_name: str = "docsession",
        read_preference: ReadPreference = ReadPreference.PRIMARY,
        data_directory: StorePath | None = None,
        postgres_version: int = 18,
        tcp: bool = False,
    ) -> None:
        embedded = {"data_directory": data_directory, "major_version": postgres_version, "tcp": tcp}
        pool = {
            "min_size": min_size,
            "max_size": max_size,
            "timeout": timeout,
            "connect_timeout": connect_timeout,
            "max_idle": max_idle,
            "max_lifetime": max_lifetime,
            "prepare_threshold": prepare_threshold,
            "prepared_max": prepared_max,
            "application_name": application_name,
        }
        super().__init__(AsyncExecutor, urls, database, conventions, embedded, pool, read_preference)

    async def initialize(self) -> Self:
        """Do now what the first use would do; starting the embedded server does not block the loop."""
        await asyncio.to_thread(self._start)
        return self

    def open_session(
        self, database: str | None = None, session_options: SessionOptions | None = None
    ) -> AsyncDocumentSession:
        """Open a session; see `DocumentStore.open_session`. It is not awaited."""
        context = self._open_context(database, session_options)
        session = AsyncDocumentSession(context)
        if context.handlers is not None:
            context.tell_at_once("on_session_creation", SessionCreatedEventArgs, session)
        return session

    async def run(
        self,
        fn: Callable[[AsyncDocumentSession], Awaitable[T]],
        attempts: int = 3,
        *,
        backoff: float = 0.05,
        max_backoff: float = 2.0,
        database: str | None = None,
        session_options: SessionOptions | None = None,
    ) -> T:
        """Run a whole unit of work in a session of its own and save it; see `DocumentStore.run`. *fn* is awaited."""
        patience = Patience(attempts, backoff, max_backoff)
        unit = run_unit(lambda: self.open_session(database, session_options), fn, patience, AsyncWaiting())
        return cast("T", await unit)

    @property
    def maintenance(self) -> AsyncMaintenance:
        """Creates, lists and drops databases, and counts documents."""
        return AsyncMaintenance(self._maintenance())

    @property
    def operations(self) -> AsyncOperationExecutor:
        """Does something with a database outside of sessions, as with compare-exchange values."""
        return AsyncOperationExecutor(self._database_of, self._known_mappings(), self._database)

    async def close(self) -> None:
        """Give back unused id ranges, close every connection, and leave the embedded server."""
        if not self._begin_closing():
            return
        try:
            await self._tell("before_close")
        finally:
            await self._close()
            await self._tell("after_close")

    async def _close(self) -> None:
        with self._lock:
            self._disposed = True
            if self._cache is not None:
                self._cache.close()
        try:
            if self._executor is not None:
                try:
                    await self._give_back()
                finally:
                    await self._executor.close()
                    await self._reading.close()
        finally:
            if self._server is not None:
                await asyncio.to_thread(self._server.stop)

    async def __aenter__(self) -> Self:
        return await self.initialize()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
