"""Saves in somebody else's transaction that are cancelled, or interrupted by Ctrl-C."""

import _thread
import asyncio
import threading
from dataclasses import dataclass

import psycopg
import pytest

from docsession import DocumentStore, RequestExecutor, SessionOptions, UnknownOutcomeException
from tests.support.documents import read, save
from tests.support.hosts import HOSTS, session_on
from tests.support.proxy import DelayProxy


@dataclass
class Item:
    value: int
    id: str | None = None


@pytest.fixture
def store(host_store):
    return host_store


@pytest.mark.parametrize("host", [name for name, kind in HOSTS.items() if kind.face == "async"], indirect=True)
class TestCancellation:
    @pytest.mark.parametrize("steps", range(0, 24, 4))
    async def test_a_cancelled_save_agrees_with_the_transaction(self, host, store, host_table, postgres_url, steps):
        await save(store, (Item(1), "items/1"), (Item(1), "items/2"))
        await host.open(postgres_url)
        await host.execute(host_table.insert(1))
        async with session_on(store, host) as session, session_on(store, host) as beside:
            session.advanced.use_optimistic_concurrency = True
            items = await session.load(["items/1", "items/2"], Item)
            for item in items.values():
                item.value = 2
            task = asyncio.ensure_future(session.save_changes())
            for _ in range(steps):
                await asyncio.sleep(0)
            was_running = task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() == was_running
            seen = (await beside.load("items/1", Item)).value
            assert session.advanced.has_changes() == (seen == 1)
            items["items/2"].value = 3
            await session.save_changes()
            await host.commit()
        assert [(await read(store, f"items/{i}", Item)).value for i in (1, 2)] == [2, 3]
        assert host_table.committed() == [1]

    @pytest.mark.parametrize("steps", range(0, 12, 4))
    async def test_a_cancelled_load_leaves_the_transaction_usable(self, host, store, host_table, postgres_url, steps):
        await save(store, (Item(1), "items/1"))
        await host.open(postgres_url)
        await host.execute(host_table.insert(1))
        async with session_on(store, host) as session:
            await session.advanced.exists("items/1")
            task = asyncio.ensure_future(session.load("items/1", Item))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert (await session.load("items/1", Item)).value == 1
            await host.commit()
        assert host_table.committed() == [1]

    async def test_a_save_that_was_cancelled_and_rolled_back_is_saved_again(self, host, store, postgres_url):
        await save(store, (Item(1), "items/1"))
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            item = await session.load("items/1", Item)
            item.value = 2
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await session.save_changes()
            await host.rollback()
            await session.save_changes()
            await host.commit()
        assert (await read(store, "items/1", Item)).value == 2


@pytest.mark.parametrize("commits", [True, False])
def test_ctrl_c_leaves_it_to_the_next_save_to_ask(postgres_url, database, commits):
    with DelayProxy(postgres_url, 0) as slow, DocumentStore(postgres_url, database) as store:
        with store.open_session() as session:
            session.store(Item(1), "items/1")
            session.save_changes()
        with psycopg.connect(slow.url) as connection:
            executor = RequestExecutor.for_connection(connection)
            session = store.open_session(session_options=SessionOptions(request_executor=executor))
            item = session.load("items/1", Item)
            item.value = 2
            session.store(Item(3), "items/3")
            slow.delay = 0.3
            threading.Timer(0.2, _thread.interrupt_main).start()
            with pytest.raises(KeyboardInterrupt):
                session.save_changes()
            slow.delay = 0
            with pytest.raises(UnknownOutcomeException):
                session.load("items/2")
            if not commits:
                connection.rollback()
            session.save_changes()
            assert not session.advanced.has_changes()
            connection.commit()
            session.close()
        with store.open_session() as check:
            assert [item.value for item in check.load(["items/1", "items/3"], Item).values()] == [2, 3]
