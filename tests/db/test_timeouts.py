"""How long the server may work on a statement: told with each request, and never left on a connection."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest

from docsession import (
    DocumentConventions,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    RavenException,
    RequestExecutor,
    RequestTimeoutException,
    SessionOptions,
)
from tests.support.beside import outsider, settle
from tests.support.documents import read, save
from tests.support.proxy import CountingProxy
from tests.support.refusals import refused


@dataclass
class Item:
    value: int
    id: str | None = None


SHORT = timedelta(milliseconds=300)
"""What is not held up ends long before, on a busy machine too."""
LONG = timedelta(seconds=30)


def hasty(timeout=SHORT, **options):
    return SessionOptions(statement_timeout=timeout, **options)


async def setting_of(session):
    """What the server says of the session's transaction, after the session has loaded something in it."""
    async with session.advanced.transaction():
        await session.load("items/none", Item)
        session.advanced.clear()
        connection = session.advanced.connection
        cursor = connection.execute("SHOW statement_timeout")
        if not isinstance(cursor, psycopg.Cursor):
            cursor = await cursor
            return (await cursor.fetchone())[0]
        return cursor.fetchone()[0]


def timed_out():
    return refused(RequestTimeoutException, "statement_timeout", cause=psycopg.errors.QueryCanceled)


@pytest.mark.parametrize("count", [1, 2])
async def test_a_save_that_takes_longer_is_ended_and_has_written_nothing(store, postgres_url, database, count):
    await save(store, *[(Item(1), f"items/{n}") for n in range(count)])
    async with store.open_session(session_options=hasty()) as session:
        for item in (await session.load([f"items/{n}" for n in range(count)], Item)).values():
            item.value = 2
        with outsider(postgres_url, database) as program:
            program.hold("items", f"items/{count - 1}")
            with timed_out() as caught:
                await session.save_changes()
        assert not caught.value.retryable
        assert (await read(store, "items/0", Item)).value == 1
        assert session.advanced.has_changes()
        await session.save_changes()
        assert not session.advanced.has_changes()
    assert (await read(store, "items/0", Item)).value == 2


async def test_a_load_that_takes_longer_is_ended(store, postgres_url, database):
    await save(store, (Item(1), "items/1"))
    async with store.open_session(session_options=hasty()) as session:
        with outsider(postgres_url, database) as program:
            program.hold_table("items")
            for load in (
                lambda: session.load("items/1", Item),
                lambda: session.load(["items/1", "items/2"], Item),
                lambda: session.advanced.load_starting_with("items/", Item),
                lambda: session.advanced.exists("items/1"),
            ):
                with timed_out():
                    await load()
        assert (await session.load("items/1", Item)).value == 1


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_a_transaction_of_reads_and_a_flush_is_bounded_too(store, postgres_url, database, level):
    await save(store, (Item(1), "items/1"))
    async with store.open_session(session_options=hasty(isolation_level=level)) as session:
        item = await session.load("items/1", Item)
        item.value = 2
        with outsider(postgres_url, database) as program:
            program.hold("items", "items/1")
            with timed_out():
                await session.save_changes()
        await session.save_changes()
    assert (await read(store, "items/1", Item)).value == 2


async def test_a_save_inside_a_transaction_leaves_the_transaction_as_it_was(store, postgres_url, database):
    await save(store, (Item(1), "items/1"))
    async with store.open_session(session_options=hasty()) as session, session.advanced.transaction():
        await session.store(Item(5), "items/5")
        await session.save_changes()
        (await session.load("items/1", Item)).value = 2
        with outsider(postgres_url, database) as program:
            program.hold("items", "items/1")
            with timed_out():
                await session.save_changes()
        await session.save_changes()
    assert (await read(store, "items/1", Item)).value == 2
    assert (await read(store, "items/5", Item)).value == 5


async def test_a_request_is_one_round_trip_still(make_store, postgres_url):
    with CountingProxy(postgres_url) as proxy:
        store = make_store(proxy.url, min_size=1)
        await save(store, (Item(1), "items/1"), (Item(1), "items/2"))
        proxy.reset()
        async with store.open_session(session_options=hasty(LONG)) as session:
            item = await session.load("items/1", Item)
            assert proxy.round_trips == 1
            item.value = 2
            await session.save_changes()
            assert proxy.round_trips == 2
            assert (await session.load("items/2", Item)).value == 1
            item.value = 3
            await session.store(Item(3), "items/3")
            await session.save_changes()
            assert proxy.round_trips == 4
        assert (await read(store, "items/1", Item)).value == 3


async def test_nothing_is_left_on_the_connection(make_store):
    store = make_store(max_size=1)
    await save(store, (Item(1), "items/1"))
    async with store.open_session(session_options=hasty(LONG)) as session:
        assert (await session.load("items/1", Item)).value == 1
        assert await setting_of(session) == "30s"
    async with store.open_session() as session:
        assert await setting_of(session) == "0"


async def settle_call(call):
    return await settle(call())


async def test_somebody_elses_connection_has_its_own_setting_back(store, face, postgres_url, database):
    await save(store, (Item(1), "items/1"))
    kind = psycopg.AsyncConnection if face.is_async else psycopg.Connection
    connection = await settle(kind.connect(postgres_url))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(settle_call, connection.close)
        await settle(connection.execute("SET LOCAL statement_timeout = '9s'"))
        options = hasty(request_executor=RequestExecutor.for_connection(connection))
        async with store.open_session(session_options=options) as session:
            (await session.load("items/1", Item)).value = 2
            with outsider(postgres_url, database) as program:
                program.hold("items", "items/1")
                with timed_out():
                    await session.save_changes()
            await session.save_changes()
        cursor = await settle(connection.execute("SHOW statement_timeout"))
        assert (await settle(cursor.fetchone()))[0] == "9s"
        await settle(connection.commit())
    assert (await read(store, "items/1", Item)).value == 2


class TestWhatItIs:
    async def test_the_session_goes_before_the_store_and_that_before_the_convention(self, make_store):
        store = make_store(conventions=DocumentConventions(request_timeout=timedelta(seconds=7)))
        await save(store, (Item(1), "items/1"))
        async with store.open_session() as session, store.open_session(session_options=hasty(LONG)) as own:
            assert await setting_of(session) == "7s"
            restore = store.set_request_timeout(timedelta(milliseconds=1500))
            assert await setting_of(session) == "1500ms"
            assert await setting_of(own) == "30s"
            again = store.set_request_timeout(None)
            assert await setting_of(session) == "7s"
            again()
            assert await setting_of(session) == "1500ms"
            restore()
            assert await setting_of(session) == "7s"
            store.conventions.request_timeout = None
            assert await setting_of(session) == "0"

    async def test_zero_is_without_end_whatever_the_others_say(self, make_store):
        store = make_store()
        await save(store, (Item(1), "items/1"))
        store.set_request_timeout(SHORT)
        async with store.open_session(session_options=hasty(timedelta(0))) as session:
            assert await setting_of(session) == "0"

    async def test_it_is_rounded_up_to_a_millisecond(self, store):
        await save(store, (Item(1), "items/1"))
        store.set_request_timeout(timedelta(milliseconds=1999, microseconds=1))
        async with store.open_session() as session:
            assert await setting_of(session) == "2s"

    async def test_another_database_has_its_own(self, store, database):
        other = f"{database}_other"
        restore = store.set_request_timeout(timedelta(seconds=9), other)
        for name in (database, other):
            await save(store, (Item(1), "items/1"), database=name)
        async with store.open_session() as session, store.open_session(other) as elsewhere:
            assert await setting_of(session) == "0"
            assert await setting_of(elsewhere) == "9s"
            restore()
            assert await setting_of(elsewhere) == "0"
        await store.maintenance.delete_database(other)

    @pytest.mark.parametrize(
        ("value", "error"),
        [
            (5, InvalidArgumentTypeException),
            ("5s", InvalidArgumentTypeException),
            (timedelta(seconds=-1), InvalidArgumentException),
            (timedelta(days=25), InvalidArgumentException),
        ],
    )
    async def test_what_cannot_be_one_is_refused(self, store, value, error):
        for use in (
            lambda: store.set_request_timeout(value),
            lambda: store.open_session(session_options=hasty(value)),
            lambda: DocumentConventions(request_timeout=value),
            lambda: setattr(store.conventions, "request_timeout", value),
        ):
            with pytest.raises(error, match=r"timedelta|between"):
                use()

    async def test_a_refusal_of_the_server_is_not_taken_for_one(self, store, rows):
        await save(store, (Item(1), "items/1"))
        rows.refuse("items", "value", "2")
        with refused(RavenException, cause=psycopg.errors.CheckViolation):
            await save(store, (Item(2), "items/1"), session_options=hasty(LONG))
