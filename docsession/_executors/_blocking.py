"""The blocking executor: a pool of psycopg connections, one per thread that is inside a request."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator

import psycopg
from psycopg import RawCursor
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from docsession._executors._adapters import ADAPTERS
from docsession._executors._psycopg import PoolSettings
from docsession._errors import RavenException, StoreClosedException
from docsession._port import Request, Row, Rows, Statement


class BlockingExecutor:
    """Carries requests over a pool; its coroutines never suspend."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._lock = threading.RLock()
        self._apart_lock = threading.Lock()
        self._pool: ConnectionPool[psycopg.Connection[TupleRow]] | None = None
        self._apart: psycopg.Connection[TupleRow] | None = None
        self._closed = False

    def _kwargs(self) -> dict[str, object]:
        s = self._settings
        return dict(
            s.conninfo,
            autocommit=True,
            context=ADAPTERS,
            cursor_factory=RawCursor,
            prepare_threshold=s.prepare_threshold,
            application_name=s.application_name,
            connect_timeout=s.connect_timeout,
            client_encoding="UTF8",
        )

    def _open(self) -> ConnectionPool[psycopg.Connection[TupleRow]]:
        with self._lock:
            if self._closed:
                raise StoreClosedException("the store is closed")
            if self._pool is None:
                s = self._settings
                self._pool = ConnectionPool(
                    kwargs=self._kwargs(), min_size=s.min_size, max_size=s.max_size, timeout=s.timeout, open=True
                )
            return self._pool

    async def run(self, request: Request) -> list[Rows]:
        pool = self._pool or self._open()
        try:
            connection = pool.getconn()
            try:
                return self._exchange(connection, request)
            finally:
                pool.putconn(connection)
        except psycopg.Error as error:
            raised = RavenException(str(error))
            raised.sqlstate = error.sqlstate
            raise raised from error

    async def run_apart(self, request: Request) -> list[Rows]:
        with self._apart_lock:
            if self._apart is None or self._apart.closed:
                self._apart = psycopg.Connection.connect(**self._kwargs())  # type: ignore[arg-type]
            try:
                return self._exchange(self._apart, request)
            except psycopg.Error as error:
                raised = RavenException(str(error))
                raised.sqlstate = error.sqlstate
                raise raised from error

    def _exchange(self, connection: psycopg.Connection[TupleRow], request: Request) -> list[Rows]:
        statements = request.statements
        cursors = []
        request.sent = True
        if len(statements) == 1 and not request.transaction:
            statement = statements[0]
            cursor = connection.cursor(binary=True)
            cursor.execute(statement.sql, statement.params)
            return [cursor.fetchall() if cursor.description else []]
        try:
            with connection.pipeline():
                if request.transaction:
                    connection.execute(b"BEGIN")
                for statement in statements:
                    cursor = connection.cursor(binary=True)
                    cursor.execute(statement.sql, statement.params)
                    cursors.append(cursor)
                if request.transaction:
                    connection.execute(b"COMMIT")
        except BaseException:
            if not connection.closed:
                connection.rollback()
            raise
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]

    async def stream(self, statement: Statement, size: int) -> AsyncIterator[Row]:
        pool = self._pool or self._open()
        with pool.connection() as connection, connection.cursor() as cursor:
            for row in cursor.stream(statement.sql, statement.params, binary=True, size=size):
                yield row

    async def close(self) -> None:
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
        if self._apart is not None:
            self._apart.close()
