"""The async executor: the tasks of one event loop share a pool, and each holds a connection only during a request."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from time import monotonic
from typing import Any, TypeVar, cast

import psycopg
from psycopg import IsolationLevel, capabilities
from psycopg.abc import PQGen
from psycopg.rows import TupleRow, tuple_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout
from typing_extensions import override

from docsession._errors import ConnectionFailedException, EventLoopException, StoreClosedException
from docsession._executors._adapters import AsyncStreamCursor
from docsession._executors._cancelling import CANCEL_SECONDS, impatient, note_failed_cancel
from docsession._executors._psycopg import PATIENCE, UNREACHABLE_PATIENCE, PoolSettings, keep_for_parent
from docsession._executors._transaction import PooledTransaction
from docsession._executors._translate import (
    TooManyConnectionsException,
    translate,
    translate_connect,
    translate_lost,
    translate_streamed,
    without_secrets,
)
from docsession._executors._wire import LinkLostError, Wire
from docsession._held import holding
from docsession._port import Request, Row, Rows, Statement

T = TypeVar("T")


class AsyncPooledConnection(psycopg.AsyncConnection[TupleRow]):
    """A connection with our conversation on it.

    Attributes:
        wire: The conversation.
        is_extra: True for one that was made beside the pool and does not go back there.
    """

    wire: Wire
    is_extra = False

    def talk(self, settings: PoolSettings) -> None:
        """Begin the conversation."""
        self.wire = Wire(self.pgconn, settings.prepare_threshold, settings.prepared_max)
        self.add_notice_handler(self.wire.take_notice)

    def leave(self, *, is_loop_closed: bool) -> None:
        """Close the connection where nothing can be awaited.

        Args:
            is_loop_closed: True where nobody who was at work on it can go on.
        """
        del is_loop_closed
        self.pgconn.finish()

    @override
    def __del__(self, *_: object) -> None:
        """Let the connection go without psycopg's warning: a store that is never closed ends with its process."""


class AsyncConnections:
    """The connections of one process and event loop: the pool, and the one that is kept apart.

    Attributes:
        pid: The process. A forked child makes its own connections.
        loop: The event loop of the first use.
        apart_lock: Held by whoever uses the connection that is kept apart.
        orphans: Closed connections of transactions that nobody ended, until the next request.
    """

    def __init__(self, settings: PoolSettings, connection_class: type[AsyncPooledConnection]) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.get_running_loop()
        self.apart_lock = asyncio.Lock()
        self.orphans: deque[AsyncPooledConnection] = deque()
        self._settings = settings
        self._connection_class = connection_class
        self._lock = asyncio.Lock()
        self._pool: AsyncConnectionPool[AsyncPooledConnection] | None = None
        self._apart: AsyncPooledConnection | None = None
        self._made: weakref.WeakSet[AsyncPooledConnection] = weakref.WeakSet()
        self._is_unreachable = False
        self._demoted_at = 0.0
        self._is_closed = False

    async def acquire(self) -> AsyncPooledConnection:
        """Take a living connection out of the pool.

        Raises:
            ConnectionFailedException: There is none; an error of its own for each reason.
        """
        pool = self._pool or await self._open()
        while True:
            await self._take_orphans_back(pool)
            try:
                connection = await pool.getconn(UNREACHABLE_PATIENCE if self._is_unreachable else PATIENCE)
            except PoolTimeout:
                return await self._wait(pool)
            except PoolClosed:
                raise StoreClosedException("the store is closed; make a new one") from None
            if self._may_serve(connection):
                return connection
            await self._discard(pool, connection)

    def _may_serve(self, connection: AsyncPooledConnection) -> bool:
        """Return False where the server has ended the connection, or has been found not to be the primary any more."""
        return connection.wire.is_alive() and connection.wire.made_at >= self._demoted_at

    async def release(self, connection: AsyncPooledConnection) -> None:
        """Give *connection* back, or give it up where something is left on it."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            await undisturbed(self._release(connection))
        else:
            await self._release(connection)

    async def _release(self, connection: AsyncPooledConnection) -> None:
        pool = self._pool
        if connection.wire.is_read_only:
            # The server is not the primary any more: what else is connected with it is of no use either.
            self._demoted_at = monotonic()
            connection.wire.give_up()
        if connection.is_extra or pool is None:
            await connection.close()
        elif connection.wire.is_clean():
            await pool.putconn(connection)
        else:
            await self._discard(pool, connection)

    async def apart(self) -> AsyncPooledConnection:
        """Return the connection that is kept apart; the caller holds `apart_lock`."""
        if self._is_closed:
            raise StoreClosedException("the store is closed; make a new one")
        connection = self._apart
        if connection is not None and connection.wire.is_read_only:
            self._demoted_at = monotonic()
        if connection is None or not connection.wire.is_clean() or not self._may_serve(connection):
            if connection is not None:
                await connection.close()
            connection = self._apart = await self._connect()
        return connection

    async def close(self) -> None:
        """Close everything; what is in use is closed when it comes back."""
        async with self._lock:
            self._is_closed = True
            pool, self._pool = self._pool, None
        try:
            if pool is not None:
                await pool.close()
        except asyncio.CancelledError:
            self.abandon()
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Not this task was cancelled but the pool's own, because the event loop is about to end.
            return
        async with self.apart_lock:
            if self._apart is not None:
                await self._apart.close()

    def abandon(self) -> None:
        """Close everything where the event loop has ended, or is about to: there is nothing left to wait for."""
        self._is_closed = True
        made = list(self._made)
        self._pool = self._apart = None
        for connection in made:
            connection.leave(is_loop_closed=self.loop.is_closed())

    async def _open(self) -> AsyncConnectionPool[AsyncPooledConnection]:
        """Open the pool; the first connection is made here, so that its failure is seen at once."""
        async with self._lock:
            if self._pool is None:
                async with self.apart_lock:
                    await self.apart()
                pool = AsyncConnectionPool(
                    connection_class=self._connection_class,
                    configure=self._configure,
                    reconnect_failed=self._reconnect_failed,
                    **self._settings.pool_arguments(),
                    open=False,
                )
                await pool.open()
                self._pool = pool
            return self._pool

    async def _configure(self, connection: AsyncPooledConnection) -> None:
        connection.talk(self._settings)
        self._is_unreachable = False
        self._made.add(connection)

    async def _reconnect_failed(self, _pool: AsyncConnectionPool[AsyncPooledConnection]) -> None:
        self._is_unreachable = True

    async def _connect(self) -> AsyncPooledConnection:
        """Make a connection beside the pool.

        Raises:
            ConnectionFailedException: It cannot be made; an error of its own for each reason.
        """
        settings = self._settings
        try:
            connection = await self._connection_class.connect(**settings.connect_arguments())
        except psycopg.Error as error:
            failure = error
        else:
            await self._configure(connection)
            return connection
        raise translate_connect(failure, settings.place) from without_secrets(failure)

    async def _wait(self, pool: AsyncConnectionPool[AsyncPooledConnection]) -> AsyncPooledConnection:
        """Wait for the pool as long as the settings allow, unless the server cannot be reached."""
        deadline = monotonic() + self._settings.timeout
        refusal: ConnectionFailedException | None = None
        while (left := deadline - monotonic()) > 0:
            await self._take_orphans_back(pool)
            if self._is_unreachable:
                try:
                    connection = await self._connect()
                except TooManyConnectionsException as error:
                    refusal = error
                else:
                    connection.is_extra = True
                    return connection
            try:
                connection = await pool.getconn(min(left, 1.0))
            except PoolTimeout:
                continue
            except PoolClosed:
                raise StoreClosedException("the store was closed meanwhile; make a new one") from None
            if self._may_serve(connection):
                return connection
            await self._discard(pool, connection)
        raise self._settings.exhausted(pool.get_stats().get("pool_size", 0), refusal) from refusal

    async def _take_orphans_back(self, pool: AsyncConnectionPool[AsyncPooledConnection]) -> None:
        while self.orphans:
            connection = self.orphans.popleft()
            if not connection.is_extra:
                await self._discard(pool, connection)

    @staticmethod
    async def _discard(pool: AsyncConnectionPool[AsyncPooledConnection], connection: AsyncPooledConnection) -> None:
        await connection.close()
        await pool.putconn(connection)


class AsyncLink:
    """A connection of the pool while a transaction has it; see `Link`."""

    def __init__(self, connections: AsyncConnections, connection: AsyncPooledConnection) -> None:
        self.connection = connection
        self.wire = connection.wire
        self._connections = connections

    async def wait(self, conversation: PQGen[list[Rows]]) -> list[Rows]:
        """See `Link.wait`."""
        return await self.connection.wait(conversation)

    async def finish(self, conversation: PQGen[list[Rows]], request: Request) -> list[Rows]:
        """See `Link.finish`."""
        return await finish_write(_converse(self.connection, conversation, request), request)

    async def open_to_user(self, level: IsolationLevel | None) -> None:
        """See `Link.open_to_user`."""
        await self.connection.set_isolation_level(level)
        await self.connection.set_autocommit(False)

    async def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """See `Link.stream`."""
        async with aclosing(_stream(self.connection, statement, size)) as rows:
            async for row in rows:
                yield row

    async def release(self) -> None:
        """See `Link.release`."""
        await undisturbed(self._release())

    async def _release(self) -> None:
        if self.wire.is_clean() and not self.connection.autocommit:
            await self.connection.set_autocommit(True)
            self.connection.row_factory = tuple_row  # it is the next user's, too
            self.connection.cursor_factory = psycopg.AsyncCursor
            await self.connection.set_isolation_level(None)
        await self._connections.release(self.connection)

    def discard(self) -> None:
        """See `Link.discard`."""
        self.connection.pgconn.finish()
        self._connections.orphans.append(self.connection)


async def _stream(connection: AsyncPooledConnection, statement: Statement, size: int) -> AsyncGenerator[Row]:
    chunk = size if capabilities.has_stream_chunked() else 1
    try:
        rows = AsyncStreamCursor(connection).stream(statement.sql, statement.params, binary=True, size=chunk)
        async with aclosing(cast("AsyncGenerator[Row]", rows)):
            async for row in rows:
                yield row
    except psycopg.Error as error:
        raise translate_streamed(error, is_lost=connection.closed) from error


class AsyncExecutor:
    """Carries requests over a pool of psycopg connections; it belongs to the event loop of its first use."""

    def __init__(
        self, settings: PoolSettings, connection_class: type[AsyncPooledConnection] = AsyncPooledConnection
    ) -> None:
        self._settings = settings
        self._connection_class = connection_class
        self._connections: AsyncConnections | None = None
        self._is_closed = False

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} to {self._settings.place}>"

    async def run(self, request: Request) -> list[Rows]:
        """See `RequestExecutor.run`; a read whose connection breaks is sent once more on another one.

        A write that is cancelled once it has a connection is finished first: see `Request.cancelled`.
        """
        connections = self._current()
        for is_last_try in (request.write, True):
            connection = await connections.acquire()
            carried = self._carry(connections, connection, request)
            try:
                return await (finish_write(carried, request) if request.write else carried)
            except LinkLostError as lost:
                if is_last_try:
                    raise translate_lost(lost, write=request.write) from lost.__cause__
        raise AssertionError  # the last try returns or raises

    async def run_apart(self, make: Callable[[], Request | None]) -> list[Rows]:
        """See `RequestExecutor.run_apart`."""
        connections = self._current()
        async with connections.apart_lock:
            request = make()
            if request is None:
                return []
            connection = await connections.apart()
            try:
                return await connection.wait(connection.wire.exchange(request))
            except LinkLostError as lost:
                raise translate_lost(lost, write=request.write) from lost.__cause__
            except psycopg.Error as error:
                raise translate(error) from error

    async def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """See `RequestExecutor.stream`."""
        connections = self._current()
        connection = await connections.acquire()
        try:
            with holding(connection):
                async with aclosing(_stream(connection, statement, size)) as rows:
                    async for row in rows:
                        yield row
        finally:
            await connections.release(connection)

    def begin(self, isolation_level: str | None = None) -> PooledTransaction:
        """See `RequestExecutor.begin`."""

        async def acquire() -> AsyncLink:
            connections = self._current()
            return AsyncLink(connections, await connections.acquire())

        return PooledTransaction(acquire, isolation_level)

    async def sleep(self, seconds: float) -> None:
        """See `SleepingExecutor.sleep`."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Give back every connection; idempotent.

        Raises:
            EventLoopException: Another event loop uses the connections and still runs.
        """
        self._is_closed = True
        connections = self._connections
        if connections is None or connections.pid != os.getpid():
            return
        if connections.loop.is_closed():
            connections.abandon()
            return
        self._check_loop(connections)
        await connections.close()

    def _current(self) -> AsyncConnections:
        """Return the connections of this process and event loop."""
        if self._is_closed:
            raise StoreClosedException("the store is closed; make a new one")
        connections = self._connections
        if connections is None or connections.pid != os.getpid():
            keep_for_parent(connections)
            connections = self._connections = AsyncConnections(self._settings, self._connection_class)
        self._check_loop(connections)
        return connections

    @staticmethod
    def _check_loop(connections: AsyncConnections) -> None:
        if connections.loop is not asyncio.get_running_loop():
            raise EventLoopException(
                "an async store belongs to the event loop in which it was first used, and this is another one. "
                "Make the store inside the loop, one for each loop"
            )

    @staticmethod
    async def _carry(connections: AsyncConnections, connection: AsyncPooledConnection, request: Request) -> list[Rows]:
        """Exchange *request* on *connection* and give that back.

        Raises:
            LinkLostError: The connection broke.
        """
        try:
            return await _converse(connection, connection.wire.exchange(request), request)
        except psycopg.Error as error:
            raise translate(error) from error
        finally:
            await connections.release(connection)


async def _converse(connection: AsyncPooledConnection, conversation: PQGen[list[Rows]], request: Request) -> list[Rows]:
    """Drive *conversation* to its end, and cancel it where it takes longer than *request* allows."""
    if request.commit_timeout is None:
        return await connection.wait(conversation)
    cancelling: list[asyncio.Task[None]] = []

    def cancel() -> None:
        connection.wire.give_up()
        cancelling.append(asyncio.ensure_future(cancel_on(connection)))

    try:
        return await connection.wait(impatient(conversation, request.commit_timeout, cancel))
    finally:
        # The connection is closed only when nobody uses it any more.
        await asyncio.gather(*cancelling)


async def cancel_on(connection: psycopg.AsyncConnection[Any]) -> None:
    """Send a cancel request for what a connection is doing."""
    try:
        await connection.cancel_safe(timeout=CANCEL_SECONDS)
    except psycopg.Error as error:
        note_failed_cancel(error)


async def finish_write(carried: Coroutine[None, None, T], request: Request) -> T:
    """Await *carried* to its end, whoever cancels; the cancellation is noted on *request*."""
    task = asyncio.ensure_future(carried)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            request.cancelled = request.cancelled or error


async def undisturbed(work: Coroutine[None, None, None]) -> None:
    """Await *work* to its end, and tell of a cancellation then.

    anyio, and with it Starlette, whose client has gone away in the middle of a stream, cancels again at each `await`.
    A connection that is not given back then is lost to the pool for ever.
    """
    end = Request(())
    await finish_write(work, end)
    if end.cancelled is not None:
        raise asyncio.CancelledError(*end.cancelled.args)
