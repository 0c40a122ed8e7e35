"""Executors in tests: made for a face, closed after the test, with a table to write into."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

import psycopg

from docsession._executors._async import AsyncExecutor
from docsession._executors._blocking import BlockingExecutor
from docsession._executors._psycopg import PoolSettings
from docsession._executors._url import parse_url
from docsession._port import Request, Statement

PID = Statement(b"SELECT pg_backend_pid()")


def settings(url: str, **options: object) -> PoolSettings:
    return PoolSettings(conninfo=parse_url(url) | options.pop("conninfo", {}), **options)


def executor_of(face: str, pool_settings: PoolSettings) -> AsyncExecutor | BlockingExecutor:
    return (AsyncExecutor if face == "async" else BlockingExecutor)(pool_settings)


async def read(executor, sql: str | bytes, *params: object):
    """Run one read and return its rows."""
    (rows,) = await executor.run(Request([statement(sql, *params)]))
    return rows


async def write(executor, *statements: Statement):
    """Run a transaction that writes."""
    return await executor.run(Request(statements, transaction=True, write=True))


async def pid_of(executor) -> int:
    return (await executor.run(Request([PID])))[0][0][0]


def statement(sql: str | bytes, *params: object) -> Statement:
    return Statement(sql.encode() if isinstance(sql, str) else sql, params)


class Table:
    """A table `t (id text PRIMARY KEY, n bigint)` in a schema of the test's own, seen from beside the executor."""

    def __init__(self, url: str, schema: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.schema = schema
        self.name = f'"{schema}".t'
        self.connection.execute(f'CREATE SCHEMA "{schema}"')
        self.connection.execute(f"CREATE TABLE {self.name} (id text PRIMARY KEY, n bigint)")

    def insert(self, key: str, n: int = 0) -> Statement:
        return statement(f"INSERT INTO {self.name} AS t (id, n) VALUES ($1, $2) RETURNING n", key, n)

    def ids(self) -> list[str]:
        return [row[0] for row in self.connection.execute(f"SELECT id FROM {self.name} ORDER BY id")]

    def one(self, query: str, *params: object):
        return self.connection.execute(query, params).fetchone()

    def terminate(self, application_name: str) -> int:
        """End the server's processes of an application, new ones too, and return how many when all are gone."""
        query = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
        ended = set()
        while rows := self.connection.execute(query, (application_name,)).fetchall():
            ended |= {row[0] for row in rows}
            time.sleep(0.01)
        return len(ended)

    def wait_for(self, query: str, *params: object, timeout: float = 60) -> None:
        """Return when *query* answers true."""
        deadline = time.monotonic() + timeout
        while not self.one(query, *params)[0]:
            assert time.monotonic() < deadline, query
            time.sleep(0.01)

    @contextlib.contextmanager
    def locked(self) -> Iterator[Callable[[], None]]:
        """Let nobody else have the table; gives a function that returns when somebody waits for it."""
        with self.connection.transaction():
            self.connection.execute(f"LOCK TABLE {self.name}")
            query = "SELECT count(*) > 0 FROM pg_locks WHERE relation = %s::regclass AND NOT granted"
            yield lambda: self.wait_for(query, self.name)

    def close(self) -> None:
        self.connection.execute(f'DROP SCHEMA "{self.schema}" CASCADE')
        self.connection.close()


async def run_in_thread(function, *arguments: object):
    """Run *function* beside the event loop, for what must happen while an executor waits."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)
