"""The primary is lost, the standby takes over: sessions are told to try again, and find it without a new store."""

import asyncio
import itertools
from dataclasses import dataclass

import psycopg
import pytest

from docsession import (
    ConnectionFailedException,
    DocSessionError,
    RavenException,
    SessionOptions,
    TransactionMode,
    UnknownOutcomeException,
)
from tests.support.beside import begin
from tests.support.documents import read, save
from tests.support.servers import eventually

CLUSTER_WIDE = SessionOptions(transaction_mode=TransactionMode.CLUSTER_WIDE)


@dataclass
class Item:
    value: int
    id: str | None = None


@pytest.fixture
def database():
    return "docsession"


@pytest.fixture
def store(make_store, own_cluster):
    return make_store(own_cluster.urls, timeout=5)


async def warm(store):
    """Fill the pool, prepare statements, and take ids: what is then of the old primary."""
    for value in range(8):
        await save(store, Item(value))
    assert (await read(store, "items/1-A", Item)).value == 0


async def saved_in_the_end(store, *items):
    """Save as an application does: again while the error says that this may help."""
    for _ in range(200):
        try:
            return await save(store, *items)
        except DocSessionError as error:
            if not error.retryable:
                raise
            await asyncio.sleep(0.02)
    raise AssertionError("no server took it")


async def test_a_store_finds_the_new_primary(store, own_cluster):
    await warm(store)
    own_cluster.wait_for_standby()
    own_cluster.stop_primary("immediate")
    with pytest.raises(ConnectionFailedException) as caught:
        await save(store, (Item(1), "items/new"))
    assert caught.value.retryable
    own_cluster.promote()
    await saved_in_the_end(store, (Item(2), "items/new"))
    assert (await read(store, "items/new", Item)).value == 2
    # Numbered ids come over the connection apart from the pool.
    keys = [await save(store, Item(value)) for value in range(40)]
    assert len(set(keys)) == 40
    assert own_cluster.standby.ask("SELECT count(*) FROM docsession.items") == 8 + 1 + 40


async def test_a_server_that_has_become_read_only_is_left(store, own_cluster):
    """As in a planned switch: the connections to the old primary live on, and it refuses writes."""
    await warm(store)
    own_cluster.wait_for_standby()
    async with store.open_session() as other, store.open_session() as session:
        await other.advanced.begin()
        await other.load("items/2-A", Item)
        item = await session.load("items/1-A", Item)
        item.value = 99
        own_cluster.primary.ask("ALTER SYSTEM SET default_transaction_read_only = on")
        own_cluster.primary.ask("SELECT pg_reload_conf()")
        assert eventually(lambda: own_cluster.primary.ask("SHOW transaction_read_only") == "on")
        own_cluster.promote()
        with pytest.raises(RavenException, match="read-only") as caught:
            await session.save_changes()
        assert (caught.value.sqlstate, caught.value.retryable) == ("25006", True)
        await session.save_changes()
        await other.advanced.rollback()
    assert own_cluster.standby.ask("SELECT data ->> 'value' FROM docsession.items WHERE id = 'items/1-A'") == "99"
    # That one was enough to be told: no connection to the old primary is used any more.
    for value in range(10):
        await save(store, (Item(value), f"items/{value}"))
    keys = [await saved_in_the_end(store, Item(value)) for value in range(40)]
    assert len(set(keys)) == 40
    assert own_cluster.primary.ask("SELECT count(*) FROM docsession.items") == 8


async def test_a_transaction_that_was_open_is_gone_as_a_whole(store, own_cluster):
    await warm(store)
    own_cluster.wait_for_standby()
    async with store.open_session() as session:
        await session.advanced.begin()
        await session.store(Item(1), "items/lost")
        await session.save_changes()
        own_cluster.stop_primary("immediate")
        own_cluster.promote()
        with pytest.raises(RavenException) as caught:
            await session.load("items/1-A", Item)
        assert caught.value.retryable
        await session.save_changes()
    assert (await read(store, "items/lost", Item)).value == 1


async def test_the_old_primary_may_come_back_as_a_standby(store, own_cluster):
    await warm(store)
    own_cluster.stop_primary()
    own_cluster.promote()
    await saved_in_the_end(store, (Item(2), "items/new"))
    own_cluster.start_primary(as_standby=True)
    for value in range(40):
        await save(store, (Item(value), f"items/{value}"))
    assert own_cluster.standby.ask("SELECT count(*) FROM docsession.items") == 8 + 1 + 40


async def test_no_acknowledged_cluster_wide_write_is_lost(store, own_cluster, face):
    await warm(store)
    own_cluster.set_synchronous(True)
    acknowledged = []
    is_over = False

    async def resolve(session):
        """Find out what became of a save whose answer was lost."""
        while True:
            try:
                return await session.save_changes()
            except UnknownOutcomeException:
                await asyncio.sleep(0.01)

    async def write(number):
        for turn in itertools.count():
            if is_over:
                return
            key = f"items/{number}-{turn}"
            try:
                async with store.open_session(session_options=CLUSTER_WIDE) as session:
                    await session.store(Item(turn), key)
                    try:
                        await session.save_changes()
                    except UnknownOutcomeException:
                        await resolve(session)
                acknowledged.append(key)
            except DocSessionError as error:
                if not error.retryable:
                    raise
                await asyncio.sleep(0.01)

    async def until_more(count):
        goal = len(acknowledged) + count
        while len(acknowledged) < goal:
            for writer in writers:
                assert not writer.done() or writer.result()
            await asyncio.sleep(0.01)

    writers = [begin(face, lambda number=number: write(number)) for number in range(4)]
    try:
        async with asyncio.timeout(60):
            await until_more(40)
            await asyncio.to_thread(own_cluster.stop_primary, "immediate")
            before = len(acknowledged)
            await asyncio.to_thread(own_cluster.promote)
            await until_more(40)
    finally:
        is_over = True
        await asyncio.gather(*writers)
    with psycopg.connect(own_cluster.standby_url) as connection:
        there = {key for (key,) in connection.execute("SELECT id FROM docsession.items")}
    assert before >= 40
    assert not set(acknowledged) - there
