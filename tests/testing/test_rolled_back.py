"""Everything that stores of a test do is one transaction, which is rolled back; what would commit is a savepoint."""

import asyncio
import dataclasses
from datetime import timedelta

import pytest

from docsession import ConcurrencyException, InvalidArgumentException, InvalidOperationException, SessionOptions
from docsession._faces._run import run
from docsession.testing._rolled_back import RolledBackExecutor


@dataclasses.dataclass
class Item:
    name: str = ""
    Id: str | None = None


@pytest.fixture
def plain(make_store):
    """An ordinary store on the same database, which sees what is committed."""
    return make_store()


@pytest.fixture
def store(make_store, face):
    """A store whose transaction is rolled back."""
    made = make_store()
    raw = made if face.is_async else made.wrapped
    make = raw._make_executor
    raw._make_executor = lambda settings: RolledBackExecutor(make(settings), is_async=face.is_async)
    yield made
    if not face.is_async:
        run(raw._executor.undo())


def executor_of(store, face):
    return (store if face.is_async else store.wrapped)._start()


async def save(store, *names):
    async with store.open_session() as session:
        for name in names:
            await session.store(Item(name), f"items/{name}")
        await session.save_changes()


async def names(store):
    async with store.open_session() as session:
        return sorted([each.name for each in await session.query(Item).all()])


async def connection_says(session, face, sql):
    cursor = session.advanced.connection.execute(sql)
    if face.is_async:
        cursor = await cursor
        return (await cursor.fetchone())[0]
    return cursor.fetchone()[0]


class TestWhatIsWritten:
    async def test_it_is_there_for_the_test_and_for_nobody_else(self, store, plain, face):
        await save(store, "a", "b")
        assert await names(store) == ["a", "b"]
        assert await names(plain) == []
        await executor_of(store, face).undo()
        assert await names(store) == []

    async def test_what_was_committed_before_stays(self, store, plain, face):
        await save(plain, "seed")
        async with store.open_session() as session:
            (item,) = await session.query(Item).all()
            session.delete(item)
            await session.save_changes()
        assert await names(store) == []
        await executor_of(store, face).undo()
        assert await names(store) == await names(plain) == ["seed"]

    async def test_a_refused_save_leaves_the_rest(self, store):
        await save(store, "a")
        async with store.open_session() as session, store.open_session() as other:
            session.advanced.use_optimistic_concurrency = True
            mine, theirs = await session.load("items/a", Item), await other.load("items/a", Item)
            mine.name, theirs.name = "mine", "theirs"
            await other.save_changes()
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
        assert await names(store) == ["theirs"]

    async def test_so_does_a_query_that_fails(self, store):
        await save(store, "a")
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException, match="no_such_thing"):
                await session.advanced.raw_query("SELECT no_such_thing", Item).all()
        assert await names(store) == ["a"]

    async def test_streams_are_read_in_it(self, store):
        await save(store, "a", "b")
        async with store.open_session() as session:
            found = session.query(Item).stream()
            streamed = [each.name async for each in found] if hasattr(found, "__aiter__") else [e.name for e in found]
        assert sorted(streamed) == ["a", "b"]
        assert await names(store) == ["a", "b"]


class TestTransactionsOfSessions:
    async def test_a_commit_keeps_and_a_rollback_undoes(self, store, plain):
        async with store.open_session() as session:
            await session.advanced.begin()
            await session.store(Item("kept"), "items/kept")
            await session.save_changes()
            await session.advanced.commit()
            await session.advanced.begin()
            await session.store(Item("undone"), "items/undone")
            await session.save_changes()
            await session.advanced.rollback()
        assert await names(store) == ["kept"]
        assert await names(plain) == []

    async def test_nested_ones_are_savepoints_of_savepoints(self, store):
        async with store.open_session() as session:
            await session.advanced.begin()
            await session.store(Item("outer"), "items/outer")
            await session.save_changes()
            await session.advanced.begin()
            inner = Item("inner")
            await session.store(inner, "items/inner")
            await session.save_changes()
            await session.advanced.rollback()
            session.advanced.evict(inner)  # it is unsaved again
            await session.advanced.begin()
            await session.store(Item("second"), "items/second")
            await session.save_changes()
            await session.advanced.commit()
            await session.advanced.commit()
        assert await names(store) == ["outer", "second"]

    async def test_closing_a_session_rolls_its_transaction_back(self, store):
        async with store.open_session() as session:
            await session.advanced.begin()
            await session.store(Item("a"), "items/a")
            await session.save_changes()
        assert await names(store) == []

    async def test_the_units_own_sql_is_a_part_of_it(self, store, face):
        async with store.open_session() as session, session.advanced.transaction():
            await session.store(Item("a"), "items/a")
            await session.save_changes()
            count = f'SELECT count(*) FROM "{store.database}".items'
            assert await connection_says(session, face, count) == 1

    async def test_two_at_once_end_in_the_order_of_a_stack(self, store):
        async with store.open_session() as first, store.open_session() as second:
            await first.advanced.begin()
            await second.advanced.begin()
            with pytest.raises(InvalidOperationException, match="two sessions of this test are in a transaction"):
                await first.advanced.commit()

    async def test_an_isolation_level_is_refused(self, store):
        with pytest.raises(InvalidOperationException, match=r"needs a transaction of its own.*isolation='delete'"):
            store.open_session(session_options=SessionOptions(isolation_level="serializable"))

    async def test_settings_of_a_request_end_with_it(self, store, face):
        await save(store, "a")
        options = SessionOptions(statement_timeout=timedelta(seconds=7))
        async with store.open_session(session_options=options) as session:
            assert await session.load("items/a", Item) is not None
        async with store.open_session() as session, session.advanced.transaction():
            await session.query(Item).count()
            assert await connection_says(session, face, "SHOW statement_timeout") == "0"


class TestTasksAndThreads:
    async def test_tasks_take_turns(self, store, face):
        if face.is_async:
            await asyncio.gather(*(save(store, name) for name in "abcde"))
        else:
            await asyncio.gather(*(asyncio.to_thread(asyncio.run, save(store, name)) for name in "abcde"))
        assert await names(store) == list("abcde")

    async def test_a_stream_that_is_left_does_not_stop_the_end(self, store, face):
        await save(store, *"abc")
        async with store.open_session() as session:
            stream = session.query(Item).stream()
            first = await anext(stream) if hasattr(stream, "__anext__") else next(stream)
            assert first.name in "abc"
            await executor_of(store, face).undo()
            if hasattr(stream, "aclose"):
                await stream.aclose()
            else:
                stream.close()
        assert await names(store) == []
