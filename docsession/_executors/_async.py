"""The async executor: a pool of psycopg connections on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
from psycopg import AsyncRawCursor
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from docsession._executors._adapters import ADAPTERS
from docsession._executors._psycopg import PoolSettings
from docsession._errors import RavenException, StoreClosedException
from docsession._port import Request, Row, Rows, Statement


class AsyncExecutor:
    """Carries requests over a pool."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._lock = None
        self._apart_lock = asyncio.Lock()
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[TupleRow]] | None = None
        self._apart: psycopg.AsyncConnection[TupleRow] | None = None
        self._closed = False

    def _kwargs(self) -> dict[str, object]:
        s = self._settings
        return dict(
            s.conninfo,
            autocommit=True,
            context=ADAPTERS,
            cursor_factory=AsyncRawCursor,
            prepare_threshold=s.prepare_threshold,
            application_name=s.application_name,
            connect_timeout=s.connect_timeout,
            client_encoding="UTF8",
        )

    async def _open(self) -> AsyncConnectionPool[psycopg.AsyncConnection[TupleRow]]:
        if True:
            if self._closed:
                raise StoreClosedException("the store is closed")
            if self._pool is None:
                s = self._settings
                self._pool = AsyncConnectionPool(
                    kwargs=self._kwargs(), min_size=s.min_size, max_size=s.max_size, timeout=s.timeout, open=False
                )
                await self._pool.open()
            return self._pool

    async def run(self, request: Request) -> list[Rows]:
        pool = self._pool or await self._open()
        try:
            connection = await pool.getconn()
            try:
                return await self._exchange(connection, request)
            finally:
                await pool.putconn(connection)
        except psycopg.Error as error:
            raised = RavenException(str(error))
            raised.sqlstate = error.sqlstate
            raise raised from error

    async def run_apart(self, request: Request) -> list[Rows]:
        async with self._apart_lock:
            if self._apart is None or self._apart.closed:
                self._apart = await psycopg.AsyncConnection.connect(**self._kwargs())  # type: ignore[arg-type]
            try:
                return await self._exchange(self._apart, request)
            except psycopg.Error as error:
                raised = RavenException(str(error))
                raised.sqlstate = error.sqlstate
                raise raised from error

    async def _exchange(self, connection: psycopg.AsyncConnection[TupleRow], request: Request) -> list[Rows]:
        statements = request.statements
        cursors = []
        request.sent = True
        if len(statements) == 1 and not request.transaction:
            statement = statements[0]
            cursor = connection.cursor(binary=True)
            await cursor.execute(statement.sql, statement.params)
            return [await cursor.fetchall() if cursor.description else []]
        try:
            async with connection.pipeline():
                if request.transaction:
                    await connection.execute(b"BEGIN")
                for statement in statements:
                    cursor = connection.cursor(binary=True)
                    await cursor.execute(statement.sql, statement.params)
                    cursors.append(cursor)
                if request.transaction:
                    await connection.execute(b"COMMIT")
        except BaseException:
            if not connection.closed:
                await connection.rollback()
            raise
        return [await cursor.fetchall() if cursor.description else [] for cursor in cursors]

    async def stream(self, statement: Statement, size: int) -> AsyncIterator[Row]:
        pool = self._pool or await self._open()
        async with pool.connection() as connection, connection.cursor() as cursor:
            async for row in cursor.stream(statement.sql, statement.params, binary=True, size=size):
                yield row

    async def close(self) -> None:
        if True:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()
        if self._apart is not None:
            await self._apart.close()
