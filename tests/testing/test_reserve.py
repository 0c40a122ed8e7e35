"""Connections of async stores that serve one test after the other, each with an event loop of its own."""

import asyncio
import dataclasses
import os
import uuid

import psycopg
import pytest

from docsession import RavenException, SessionOptions
from docsession.testing import start_server
from docsession.testing._lending import close_async


@dataclasses.dataclass
class Order:
    name: str = ""
    Id: str | None = None


@pytest.fixture
def server(direct_url):
    with start_server("url", url=direct_url, options={"application_name": uuid.uuid4().hex}) as started:
        yield started


@pytest.fixture
def database(server):
    made = server.make_database()
    yield made
    made.drop()


def backends(database):
    """Return the server's processes that serve the stores."""
    with psycopg.connect(database.url) as connection:
        name = database.server.options["application_name"]
        rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", [name])
        return {pid for (pid,) in rows}


async def save(store, name="a"):
    async with store.open_session() as session:
        await session.store(Order(name))
        await session.save_changes()


async def names(store):
    async with store.open_session() as session:
        return sorted(order.name for order in await session.query(Order).all())


def in_a_test(database, use):
    """Do what the fixture does around a test that runs a loop itself."""
    store = database.async_store()
    try:
        return asyncio.run(use(store))
    finally:
        close_async(store)


class TestReserve:
    def test_the_next_test_goes_on_with_the_connections_of_the_last(self, database):
        in_a_test(database, save)
        before = backends(database)
        for _ in range(7):  # more often than it takes until statements are prepared
            in_a_test(database, save)
        assert backends(database) == before

    def test_so_does_a_store_that_is_closed_in_its_loop(self, database):
        async def use(store):
            async with store:
                await save(store)

        in_a_test(database, use)
        before = backends(database)
        in_a_test(database, use)
        assert backends(database) == before

    def test_what_a_test_leaves_open_is_rolled_back_and_reaches_nobody_else(self, database):
        async def leave_open(store):
            session = store.open_session(session_options=SessionOptions(isolation_level="SERIALIZABLE"))
            assert await session.query(Order).count() == 1
            return session

        in_a_test(database, save)
        before = backends(database)
        session = in_a_test(database, leave_open)

        async def go_on(store):
            found = await names(store)
            with pytest.raises(RavenException, match="the connection is closed"):
                await session.query(Order).all()
            return [found, await names(store)]

        assert in_a_test(database, go_on) == [["a"], ["a"]]
        assert backends(database) == before

    @pytest.mark.parametrize("level", [None, "serializable"])
    def test_a_connection_that_the_user_had_serves_nobody_else(self, database, level):
        async def use(store):
            await save(store)
            async with store.open_session(session_options=SessionOptions(isolation_level=level)) as session:
                if level is None:
                    await session.advanced.begin()
                await session.query(Order).all()
                await session.advanced.connection.execute("SELECT pg_advisory_lock(4711)")
                await (session.advanced.commit() if level is None else session.save_changes())

        in_a_test(database, use)
        with psycopg.connect(database.url, options="-c lock_timeout=30s") as connection:
            connection.execute("SELECT pg_advisory_lock(4711)")

    def test_one_that_the_server_has_ended_is_replaced(self, database):
        in_a_test(database, save)
        ended = backends(database)
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid, 30000) FROM unnest(%s::int[]) AS pid", [list(ended)])
        in_a_test(database, save)
        assert backends(database).isdisjoint(ended)

    def test_they_end_with_the_server(self, direct_url):
        with start_server("url", url=direct_url) as server:
            database = server.make_database()
            in_a_test(database, save)
            database.drop()
            (kept, *_) = server._reserve._kept
            server.stop()
            assert kept.pgconn.status == psycopg.pq.ConnStatus.BAD
            in_a_test(database, save)
            assert server._reserve._kept == []
            database.drop()

    def test_a_forked_process_makes_its_own(self, database):
        in_a_test(database, save)
        before = backends(database)
        taken = set()
        child = os.fork()
        if child == 0:
            try:
                in_a_test(database, save)
                taken = backends(database) - before
            finally:
                os._exit(0 if taken else 1)
        assert os.waitpid(child, 0)[1] == 0
        in_a_test(database, save)
        assert before <= backends(database)  # those of the child may not have ended yet
