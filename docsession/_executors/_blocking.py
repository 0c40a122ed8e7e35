"""The blocking executor: threads share a pool, and each holds a connection only while it waits for an answer."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from time import monotonic, sleep
from typing import cast

import psycopg
from psycopg import IsolationLevel, capabilities
from psycopg.abc import PQGen
from psycopg.rows import TupleRow, tuple_row
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout
from typing_extensions import override

from docsession._errors import ConnectionFailedException, StoreClosedException
from docsession._executors._adapters import StreamCursor
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

_LONGEST_EXIT = 5.0
"""Seconds after which a thread that somebody still waits for at exit, so that Python did not end it, gets its error."""


class PooledConnection(psycopg.Connection[TupleRow]):
    """A connection with our conversation on it.

    Attributes:
        wire: The conversation.
        is_extra: True for one that was made beside the pool and does not go back there.
    """

    wire: Wire
    is_extra = False

    @override
    def __del__(self, *_: object) -> None:
        """Let the connection go without psycopg's warning: a store that is never closed ends with its process."""


class Connections:
    """The connections of one process: the pool, and the one that is kept apart.

    Attributes:
        pid: The process. A forked child makes its own connections.
        apart_lock: Held by whoever uses the connection that is kept apart.
        orphans: Closed connections of transactions that nobody ended. The pool's lock may be held by
            whatever was interrupted by the garbage collector, so they wait for the next request.
    """

    def __init__(self, settings: PoolSettings) -> None:
        self.pid = os.getpid()
        self.apart_lock = threading.Lock()
        self.orphans: deque[PooledConnection] = deque()
        self._settings = settings
        self._lock = threading.Lock()
        self._pool: ConnectionPool[PooledConnection] | None = None
        self._apart: PooledConnection | None = None
        self._at_exit: Callable[[], None] | None = None
        self._is_unreachable = False
        self._demoted_at = 0.0
        self._is_closed = False
        self._is_at_exit = False

    def acquire(self) -> PooledConnection:
        """Take a living connection out of the pool.

        Raises:
            ConnectionFailedException: There is none; an error of its own for each reason.
        """
        pool = self._pool or self._open()
        while True:
            self._take_orphans_back(pool)
            try:
                connection = pool.getconn(UNREACHABLE_PATIENCE if self._is_unreachable else PATIENCE)
            except PoolTimeout:
                return self._wait(pool)
            except PoolClosed:
                raise StoreClosedException("the store is closed; make a new one") from None
            if self._may_serve(connection):
                return connection
            self._discard(pool, connection)

    def _may_serve(self, connection: PooledConnection) -> bool:
        """Return False where the server has ended the connection, or has been found not to be the primary any more."""
        return connection.wire.is_alive() and connection.wire.made_at >= self._demoted_at

    def release(self, connection: PooledConnection) -> None:
        """Give *connection* back, or give it up where something is left on it."""
        pool = self._pool
        if connection.wire.is_read_only:
            # The server is not the primary any more: what else is connected with it is of no use either.
            self._demoted_at = monotonic()
            connection.wire.give_up()
        if connection.is_extra or pool is None:
            connection.close()
        elif connection.wire.is_clean():
            pool.putconn(connection)
        else:
            self._discard(pool, connection)

    def apart(self) -> PooledConnection:
        """Return the connection that is kept apart; the caller holds `apart_lock`."""
        if self._is_closed:
            raise StoreClosedException("the store is closed; make a new one")
        connection = self._apart
        if connection is not None and connection.wire.is_read_only:
            self._demoted_at = monotonic()
        if connection is None or not connection.wire.is_clean() or not self._may_serve(connection):
            if connection is not None:
                connection.close()
            connection = self._apart = self._connect()
        return connection

    def close_at_exit(self) -> None:
        """Close everything at the end of the program."""
        self._is_at_exit = True
        self.close()

    def let_end(self) -> None:
        """Hold up a daemon thread at the end of the program, which ends it any moment, before its error is printed.

        The caller holds no lock.
        """
        if self._is_at_exit and threading.current_thread().daemon:
            sleep(_LONGEST_EXIT)

    def close(self) -> None:
        """Close everything; what is in use is closed when it comes back."""
        with self._lock:
            self._is_closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
        if self._at_exit is not None:
            atexit.unregister(self._at_exit)
        with self.apart_lock:
            if self._apart is not None:
                self._apart.close()

    def _open(self) -> ConnectionPool[PooledConnection]:
        """Open the pool; the first connection is made here, so that its failure is seen at once."""
        with self._lock:
            if self._pool is None:
                with self.apart_lock:
                    self.apart()
                self._pool = ConnectionPool(
                    connection_class=PooledConnection,
                    configure=self._configure,
                    reconnect_failed=self._reconnect_failed,
                    **self._settings.pool_arguments(),
                    open=True,
                )
                self._at_exit = partial(_close_at_exit, weakref.ref(self))
                atexit.register(self._at_exit)
            return self._pool

    def _configure(self, connection: PooledConnection) -> None:
        settings = self._settings
        connection.wire = Wire(connection.pgconn, settings.prepare_threshold, settings.prepared_max)
        connection.add_notice_handler(connection.wire.take_notice)
        self._is_unreachable = False

    def _reconnect_failed(self, _pool: ConnectionPool[PooledConnection]) -> None:
        self._is_unreachable = True

    def _connect(self) -> PooledConnection:
        """Make a connection beside the pool.

        Raises:
            ConnectionFailedException: It cannot be made; an error of its own for each reason.
        """
        settings = self._settings
        try:
            connection = PooledConnection.connect(**settings.connect_arguments())
        except psycopg.Error as error:
            failure = error
        else:
            self._configure(connection)
            return connection
        raise translate_connect(failure, settings.place) from without_secrets(failure)

    def _wait(self, pool: ConnectionPool[PooledConnection]) -> PooledConnection:
        """Wait for the pool as long as the settings allow, unless the server cannot be reached."""
        deadline = monotonic() + self._settings.timeout
        refusal: ConnectionFailedException | None = None
        while (left := deadline - monotonic()) > 0:
            self._take_orphans_back(pool)
            if self._is_unreachable:
                try:
                    connection = self._connect()
                except TooManyConnectionsException as error:
                    refusal = error
                else:
                    connection.is_extra = True
                    return connection
            try:
                connection = pool.getconn(min(left, 1.0))
            except PoolTimeout:
                continue
            except PoolClosed:
                raise StoreClosedException("the store was closed meanwhile; make a new one") from None
            if self._may_serve(connection):
                return connection
            self._discard(pool, connection)
        raise self._settings.exhausted(pool.get_stats().get("pool_size", 0), refusal) from refusal

    def _take_orphans_back(self, pool: ConnectionPool[PooledConnection]) -> None:
        while self.orphans:
            connection = self.orphans.popleft()
            if not connection.is_extra:
                self._discard(pool, connection)

    @staticmethod
    def _discard(pool: ConnectionPool[PooledConnection], connection: PooledConnection) -> None:
        connection.close()
        pool.putconn(connection)


def _close_at_exit(reference: weakref.ref[Connections]) -> None:
    """Close what a program left open, while its threads still run: a pool that is collected later waits for them."""
    connections = reference()
    if connections is not None and connections.pid == os.getpid():
        connections.close_at_exit()


class BlockingLink:
    """A connection of the pool while a transaction has it; see `Link`."""

    def __init__(self, connections: Connections, connection: PooledConnection) -> None:
        self.connection = connection
        self.wire = connection.wire
        self._connections = connections

    async def wait(self, conversation: PQGen[list[Rows]]) -> list[Rows]:
        """See `Link.wait`."""
        return self.connection.wait(conversation)

    async def finish(self, conversation: PQGen[list[Rows]], request: Request) -> list[Rows]:
        """See `Link.finish`; there is nobody to cancel."""
        return _converse(self.connection, conversation, request)

    async def open_to_user(self, level: IsolationLevel | None) -> None:
        """See `Link.open_to_user`."""
        self.connection.isolation_level = level
        self.connection.autocommit = False

    async def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """See `Link.stream`."""
        for row in _stream(self.connection, statement, size):
            yield row

    async def release(self) -> None:
        """See `Link.release`."""
        if self.wire.is_clean() and not self.connection.autocommit:
            self.connection.autocommit = True
            self.connection.row_factory = tuple_row  # it is the next user's, too
            self.connection.cursor_factory = psycopg.Cursor
            self.connection.isolation_level = None
        self._connections.release(self.connection)

    def discard(self) -> None:
        """See `Link.discard`."""
        self.connection.pgconn.finish()
        self._connections.orphans.append(self.connection)


def _converse(connection: PooledConnection, conversation: PQGen[list[Rows]], request: Request) -> list[Rows]:
    """Drive *conversation* to its end, and cancel it where it takes longer than *request* allows."""

    def cancel() -> None:
        connection.wire.give_up()
        try:
            connection.cancel_safe(timeout=CANCEL_SECONDS)
        except psycopg.Error as error:
            note_failed_cancel(error)

    if request.commit_timeout is not None:
        conversation = impatient(conversation, request.commit_timeout, cancel)
    return connection.wait(conversation)


def _stream(connection: PooledConnection, statement: Statement, size: int) -> Iterator[Row]:
    chunk = size if capabilities.has_stream_chunked() else 1
    try:
        rows = StreamCursor(connection).stream(statement.sql, statement.params, binary=True, size=chunk)
        with closing(cast("Generator[Row]", rows)):
            yield from rows
    except psycopg.Error as error:
        raise translate_streamed(error, is_lost=connection.closed) from error


class BlockingExecutor:
    """Carries requests over a pool of psycopg connections; its coroutines never suspend."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._connections = Connections(settings)
        self._is_closed = False

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} to {self._settings.place}>"

    async def run(self, request: Request) -> list[Rows]:
        """See `RequestExecutor.run`; a read whose connection breaks is sent once more on another one."""
        connections = self._current()
        try:
            return self._run(connections, request)
        except StoreClosedException:
            connections.let_end()
            raise

    def _run(self, connections: Connections, request: Request) -> list[Rows]:
        for is_last_try in (request.write, True):
            connection = connections.acquire()
            try:
                return _converse(connection, connection.wire.exchange(request), request)
            except LinkLostError as lost:
                if is_last_try:
                    raise translate_lost(lost, write=request.write) from lost.__cause__
            except psycopg.Error as error:
                raise translate(error) from error
            finally:
                connections.release(connection)
        raise AssertionError  # the last try returns or raises

    async def run_apart(self, make: Callable[[], Request | None]) -> list[Rows]:
        """See `RequestExecutor.run_apart`."""
        connections = self._current()
        try:
            return self._run_apart(connections, make)
        except StoreClosedException:
            connections.let_end()
            raise

    def _run_apart(self, connections: Connections, make: Callable[[], Request | None]) -> list[Rows]:
        with connections.apart_lock:
            request = make()
            if request is None:
                return []
            connection = connections.apart()
            try:
                return connection.wait(connection.wire.exchange(request))
            except LinkLostError as lost:
                raise translate_lost(lost, write=request.write) from lost.__cause__
            except psycopg.Error as error:
                raise translate(error) from error

    async def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """See `RequestExecutor.stream`."""
        connections = self._current()
        connection = connections.acquire()
        try:
            with holding(connection):
                for row in _stream(connection, statement, size):
                    yield row
        finally:
            connections.release(connection)

    def begin(self, isolation_level: str | None = None) -> PooledTransaction:
        """See `RequestExecutor.begin`."""

        async def acquire() -> BlockingLink:
            connections = self._current()
            return BlockingLink(connections, connections.acquire())

        return PooledTransaction(acquire, isolation_level)

    async def sleep(self, seconds: float) -> None:
        """See `SleepingExecutor.sleep`: this thread sleeps."""
        sleep(seconds)  # noqa: ASYNC251 - a blocking executor never suspends

    async def close(self) -> None:
        """Give back every connection; idempotent."""
        self._is_closed = True
        if self._connections.pid == os.getpid():
            self._connections.close()

    def _current(self) -> Connections:
        """Return the connections of this process: a forked child leaves its parent's alone and starts with none."""
        if self._is_closed:
            raise StoreClosedException("the store is closed; make a new one")
        connections = self._connections
        if connections.pid != os.getpid():
            keep_for_parent(connections)
            connections = self._connections = Connections(self._settings)
        return connections
