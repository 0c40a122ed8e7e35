"""Transactions whose end is interrupted, and blocks that go on after theirs is gone."""

import _thread
import asyncio
import subprocess
import sys
import threading
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import anyio
import psycopg
import pytest
from psycopg.rows import dict_row

from docsession import (
    ConnectionLostException,
    DocumentConventions,
    DocumentStore,
    Index,
    InvalidOperationException,
    RavenException,
    SessionOptions,
    UnknownOutcomeException,
    set_,
)
from docsession._port import Request
from tests.support.documents import read, save
from tests.support.executors import statement
from tests.support.proxy import DelayProxy, Stage

ROOT = Path(__file__).parents[2]


@dataclass
class Item:
    value: int
    padding: str = ""
    id: str | None = None


async def value_of(store, key="items/1"):
    return (await read(store, key, Item)).value


async def execute(session, text):
    cursor = session.advanced.connection.execute(text)
    if not isinstance(cursor, psycopg.Cursor):
        await cursor


@pytest.mark.direct("prepared statements of one connection")
class TestDeallocatedStatements:
    async def test_a_commit_that_is_not_prepared_any_more_commits_nothing_else(self, make_store):
        store = make_store(max_size=1, prepare_threshold=1)
        await save(store, (Item(1), "items/1"))
        for _ in range(4):
            async with store.open_session() as session, session.advanced.transaction():
                (await session.load("items/1", Item)).value = 1
        async with store.open_session() as session:
            await session.advanced.begin()
            item = await session.load("items/1", Item)
            item.value = 2
            await session.save_changes()
            await execute(session, "DEALLOCATE ALL")
            with pytest.raises(RavenException, match="deallocated") as caught:
                await session.advanced.commit()
            assert caught.value.retryable
            assert session.advanced.has_changed(item)
            assert await value_of(store) == 1
            async with session.advanced.transaction():
                await session.save_changes()
        assert await value_of(store) == 2


class TestCancellation:
    @pytest.fixture
    def slow(self, postgres_url):
        with DelayProxy(postgres_url, 0) as slow:
            yield slow

    async def cancel(self, slow, call):
        """Cancel *call* while what it has sent is under way."""
        slow.hold()
        task = asyncio.ensure_future(call())
        await asyncio.to_thread(slow.wait_for_something)
        task.cancel()
        await asyncio.sleep(0)
        slow.let_go()
        await asyncio.wait([task])
        return task

    async def test_a_cancelled_commit_is_finished_and_cancels(self, face, slow, make_store):
        if not face.is_async:
            return
        store = make_store(slow.url)
        async with store.open_session() as session:
            await session.advanced.begin()
            await session.store(Item(1), "items/1")
            await session.save_changes()
            assert (await self.cancel(slow, session.advanced.commit)).cancelled()
            assert not session.advanced.has_changes()
        assert await value_of(store) == 1

    async def test_a_cancelled_rollback_is_finished_and_cancels(self, face, slow, make_store):
        if not face.is_async:
            return
        store = make_store(slow.url, max_size=1)
        async with store.open_session() as session:
            await session.advanced.begin()
            await session.store(Item(1), "items/1")
            await session.save_changes()
            assert (await self.cancel(slow, session.advanced.rollback)).cancelled()
            assert session.advanced.has_changes()
            assert await read(store, "items/1", Item) is None

    async def test_a_cancelled_end_of_one_that_has_only_read_cancels(self, face, slow, make_store):
        if not face.is_async:
            return
        store = make_store(slow.url)
        await save(store, (Item(1), "items/1"))
        options = SessionOptions(isolation_level="repeatable read")
        for tells in (False, True):
            if tells:
                store.add_on_before_request(lambda args: None)
            async with store.open_session(session_options=options) as session:
                await session.load("items/1", Item)
                assert (await self.cancel(slow, session.save_changes)).cancelled()
                assert await session.load("items/2", Item) is None

    async def test_a_cancelled_patch_is_finished_and_cancels(self, face, slow, make_store):
        if not face.is_async:
            return
        store = make_store(slow.url)
        await save(store, (Item(1), "items/1"))
        async with store.open_session() as session:
            item = await session.load("items/1", Item)

            def patch():
                return session.query(Item).patch(lambda each: set_(each.value, 2))

            assert (await self.cancel(slow, patch)).cancelled()
            assert item.value == 2
            assert (await self.cancel(slow, session.query(Item).delete)).cancelled()
            assert await session.load("items/1", Item) is None

    async def test_cancelled_maintenance_finishes_one_step_and_cancels(self, face, slow, make_store):
        if not face.is_async:
            return
        declared = {Item: [Index(lambda item: item.value), Index(lambda item: item.padding)]}
        store = make_store(slow.url, conventions=DocumentConventions(indexes=declared))
        other = make_store()
        await save(other, (Item(1), "items/1"))
        made = []

        @store.add_on_before_request
        def note(args):
            made.append(args.request.is_write)
            if made.count(True) == 1:
                asyncio.current_task().cancel()

        with pytest.raises(asyncio.CancelledError):
            await store.maintenance.create_indexes(Item)
        assert made.count(True) == 1
        assert len(await make_store(conventions=store.conventions).maintenance.create_indexes(Item)) == 1

    async def test_a_task_that_is_cancelled_anywhere_is_cancelled_and_leaves_all_or_nothing(self, face, make_store):
        if not face.is_async:
            return
        store = make_store(max_size=1, timeout=30)
        await save(store, (Item(0), "items/1"))

        async def work():
            async with store.open_session() as session, session.advanced.transaction():
                item = await session.load("items/1", Item)
                item.value += 1
                await session.save_changes()
                async with session.advanced.transaction():
                    item.value += 1
                    await session.save_changes()

        for steps in range(50):
            task = asyncio.ensure_future(work())
            for _ in range(steps):
                await asyncio.sleep(0)
            was_running = task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() == was_running
        assert await value_of(store) % 2 == 0

    async def test_a_save_in_a_scope_of_anyio_ends_with_the_scope(self, face, slow, make_store):
        """The save is finished, and the scope takes the cancellation for its own."""
        if not face.is_async:
            return
        store = make_store(slow.url)
        async with store.open_session() as session:
            await session.store(Item(1), "items/1")
            await session.save_changes()
            await session.store(Item(2), "items/2")
            slow.hold()

            async def cancel():
                await asyncio.to_thread(slow.wait_for_something)
                scope.cancel()
                await asyncio.sleep(0)
                slow.let_go()

            cancelling = asyncio.ensure_future(cancel())
            with anyio.CancelScope() as scope:
                await session.save_changes()
            await cancelling
        assert scope.cancelled_caught
        assert await value_of(store, "items/2") == 2

    @pytest.mark.parametrize("how", ["read", "saved", "stream"])
    async def test_a_task_that_is_cancelled_at_each_await_gives_its_connection_back(
        self, face, make_store, monkeypatch, how
    ):
        """As anyio does it, and Starlette with a stream whose client has gone away."""
        if not face.is_async:
            return
        # psycopg lets others go on between two steps, which it does only now and then otherwise.
        monkeypatch.setattr("psycopg.waiting.MAX_BUSY_TIME", 0, raising=False)
        store = make_store(max_size=1, timeout=30)
        await save(store, *((Item(value), f"items/{value}") for value in range(300)))

        async def work():
            async with store.open_session() as session:
                if how == "stream":
                    async for _ in session.query(Item).stream():
                        reached.set()
                        await asyncio.sleep(60)
                await session.advanced.begin()
                (await session.load("items/1", Item)).value = 7
                if how == "saved":
                    await session.save_changes()
                reached.set()
                await asyncio.sleep(60)

        for _ in range(2):
            reached = asyncio.Event()
            async with anyio.create_task_group() as group:
                group.start_soon(work)
                await reached.wait()
                group.cancel_scope.cancel()
        async with store.open_session() as session, session.advanced.transaction():
            assert (await session.load("items/1", Item)).value == 1


def test_ctrl_c_in_a_commit_leaves_it_to_the_next_save_to_ask(postgres_url, database):
    with DelayProxy(postgres_url, 0) as slow, DocumentStore(slow.url, database) as store:
        with store.open_session() as session:
            session.store(Item(1), "items/1")
            session.save_changes()
            session.advanced.begin()
            session.store(Item(2), "items/2")
            session.save_changes()
            slow.delay = 0.3
            threading.Timer(0.2, _thread.interrupt_main).start()
            with pytest.raises(KeyboardInterrupt):
                session.advanced.commit()
            slow.delay = 0
            with pytest.raises(UnknownOutcomeException):
                session.load("items/1", Item)
            try:
                session.save_changes()
            except ConnectionLostException:  # the cancel request came before the commit
                session.save_changes()
            assert not session.advanced.has_changes()
        with store.open_session() as check:
            assert check.load("items/2", Item).value == 2


def test_ctrl_c_in_a_save_rolls_the_block_back(postgres_url, database):
    with DelayProxy(postgres_url, 0) as slow, DocumentStore(slow.url, database) as store:
        with store.open_session() as session:
            session.store(item := Item(1), "items/1")
            session.save_changes()
            with pytest.raises(KeyboardInterrupt), session.advanced.transaction():
                item.value = 2
                slow.delay = 0.3
                threading.Timer(0.2, _thread.interrupt_main).start()
                session.save_changes()
            slow.delay = 0
            assert not session.advanced.in_transaction
            assert session.advanced.has_changed(item)
        with store.open_session() as check:
            assert check.load("items/1", Item).value == 1


class TestALostConnectionInABlock:
    async def lose(self, session, proxy):
        proxy.cut_next(Stage.BEFORE_ANSWER, 0)
        with pytest.raises(ConnectionLostException):
            await session.load("items/9", Item)

    async def test_nothing_in_it_commits_by_itself(self, make_store, proxy):
        store, near = make_store(proxy.url), make_store()
        await save(near, (Item(1), "items/1"))
        async with store.open_session() as session:
            item = await session.load("items/1", Item)
            with pytest.raises(ZeroDivisionError):
                async with session.advanced.transaction():
                    item.value = 2
                    await session.save_changes()
                    await self.lose(session, proxy)
                    for call in (
                        session.save_changes(),
                        session.advanced.begin(),
                        session.load("items/2", Item),
                        session.advanced.edit("items/2", Item, lambda found: None),
                    ):
                        with pytest.raises(ConnectionLostException) as caught:
                            await call
                        assert caught.value.retryable
                    raise ZeroDivisionError
            assert await value_of(near) == 1
            await session.save_changes()
            assert await value_of(near) == 2

    async def test_its_end_tells_that_it_is_not_committed(self, make_store, proxy):
        store, near = make_store(proxy.url), make_store()
        await save(near, (Item(1), "items/1"))
        async with store.open_session() as session:
            with pytest.raises(ConnectionLostException, match="rolled back"):
                async with session.advanced.transaction(), session.advanced.transaction():
                    (await session.load("items/1", Item)).value = 2
                    await session.save_changes()
                    await self.lose(session, proxy)
            assert not session.advanced.in_transaction
            async with session.advanced.transaction():
                await session.save_changes()
        assert await value_of(near) == 2


class TestEndedOnTheConnection:
    async def test_a_nested_transaction_can_be_left(self, make_store):
        store = make_store(max_size=1, timeout=30)
        async with store.open_session() as session:
            await session.advanced.begin()
            await session.advanced.begin()
            await session.store(Item(1), "items/1")
            await session.save_changes()
            await execute(session, "ROLLBACK")
            with pytest.raises(InvalidOperationException, match="rollback"):
                await session.load("items/2", Item)
            await session.advanced.rollback()
            assert not session.advanced.in_transaction
            await session.save_changes()
        assert await value_of(store) == 1


class TestStreams:
    @staticmethod
    async def fill(store):
        await save(store, *[(Item(n, "x" * 2000), f"items/{n}") for n in range(3000)])

    @staticmethod
    async def first_of(session):
        found = session.query(Item).stream()
        if not hasattr(found, "__anext__"):
            for item in found:
                return item
        async with aclosing(found) as items:
            async for item in items:
                return item
        return None

    async def test_one_that_is_left_early_leaves_the_transaction_as_it_was(self, store):
        await self.fill(store)
        async with store.open_session() as session, session.advanced.transaction():
            await session.store(Item(-1), "items/a")
            await session.save_changes()
            assert await self.first_of(session) is not None
            await session.store(Item(-2), "items/b")
            await session.save_changes()
        assert [await value_of(store, f"items/{key}") for key in "ab"] == [-1, -2]
        async with store.open_session(session_options=SessionOptions(isolation_level="repeatable read")) as session:
            item = await session.load("items/1", Item)
            assert await self.first_of(session) is not None
            item.value = -3
            await session.save_changes()
        assert await value_of(store) == -3

    async def test_the_timeout_of_requests_does_not_hold_for_it(self, make_executor):
        transaction = make_executor().begin()
        show = statement("SHOW statement_timeout")
        await transaction.run(Request([show], settings=(("statement_timeout", "7s"),)))
        assert [row async for row in transaction.stream(show, 1)] != [("7s",)]
        await transaction.rollback()

    @pytest.mark.parametrize("level", [None, "repeatable read"])
    async def test_nothing_else_goes_over_its_connection_meanwhile(self, store, level):
        await self.fill(store)
        async with store.open_session(session_options=SessionOptions(isolation_level=level)) as session:
            if level is None:
                await session.advanced.begin()
            found, count = session.query(Item).stream(), 0
            if not hasattr(found, "__anext__"):
                found = stepping(found)
            async for _item in found:
                count += 1
                if count == 3:
                    with pytest.raises(InvalidOperationException, match="stream"):
                        await session.load("items/none", Item)
            assert count == 3000
            assert await session.load("items/none", Item) is None


async def stepping(found):
    for item in found:
        yield item


FORK = """
import os, sys
from dataclasses import dataclass
from docsession import DocumentStore

@dataclass
class Item:
    value: int
    id: str | None = None

with DocumentStore(*sys.argv[1:]) as store, store.open_session() as session:
    session.advanced.begin()
    session.store(Item(1), "items/1")
    session.save_changes()
    child = os.fork()
    if child == 0:
        session.close()
        os._exit(0)
    os.waitpid(child, 0)
    session.store(Item(2), "items/2")
    session.save_changes()
    session.advanced.commit()
"""


def test_a_forked_child_that_closes_the_session_leaves_its_parents_transaction_alone(postgres_url, database, rows):
    # Python warns of forks beside threads; the child here uses none of its parent's.
    command = [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", FORK, postgres_url, database]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert rows.ids("items") == ["items/1", "items/2"]


async def test_what_its_user_sets_on_the_connection_is_not_the_next_ones(make_store):
    store = make_store(max_size=1)
    async with store.open_session() as session, session.advanced.transaction():
        session.advanced.connection.row_factory = dict_row
        await execute(session, "SELECT 1")
    async with store.open_session() as session, session.advanced.transaction():
        assert session.advanced.connection.row_factory is not dict_row
