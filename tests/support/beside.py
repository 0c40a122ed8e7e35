"""What happens beside a session: other operations of the same face, and other programs that stand in the way."""

import asyncio
import inspect
import time
from contextlib import contextmanager

import psycopg
from psycopg import sql


async def settle(value):
    """Await *value* where it is to be awaited: some methods are the same on both faces."""
    return await value if inspect.isawaitable(value) else value


def begin(face, make):
    """Begin `make()`, a coroutine, and go on: a task of the async face, a thread of the blocking one."""
    if face.is_async:
        return asyncio.ensure_future(make())
    return asyncio.ensure_future(asyncio.to_thread(lambda: asyncio.run(make())))


class Outsider:
    """Another program, in the middle of a transaction on the tables of one database."""

    def __init__(self, url, database):
        self.connection = psycopg.connect(url)
        self._watcher = psycopg.connect(url, autocommit=True)
        self._database = database

    def run(self, text, table, *parameters):
        """Run a statement with the table as its `{}`, in the transaction."""
        return self.connection.execute(sql.SQL(text).format(sql.Identifier(self._database, table)), parameters)

    def hold(self, table, key):
        """Keep everybody else from writing one document."""
        self.run("SELECT FROM {} WHERE id = %s FOR UPDATE", table, key)

    def hold_table(self, table):
        """Keep everybody else from reading a table."""
        self.run("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", table)

    async def until_others_wait(self, count=1):
        """Return when *count* requests wait for a lock on the database's tables."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
        deadline = time.monotonic() + 60
        while self._watcher.execute(query, (f"%{self._database}%",)).fetchone()[0] < count:
            assert time.monotonic() < deadline, "nobody waits for a lock"
            await asyncio.sleep(0.005)

    def commit(self):
        self.connection.commit()

    def let_go(self):
        self.connection.rollback()

    def close(self):
        self.connection.close()
        self._watcher.close()


@contextmanager
def outsider(url, database):
    program = Outsider(url, database)
    try:
        yield program
    finally:
        program.close()
