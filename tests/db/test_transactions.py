"""Transactions that span several saves: begin, commit, rollback, savepoints, and the user's own SQL in them."""

import asyncio
import gc
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import psycopg
import pytest
from psycopg import sql

from docsession import (
    ConcurrencyException,
    ConnectionLostException,
    InvalidArgumentException,
    InvalidOperationException,
    OptimisticConcurrencyMode,
    RavenException,
    SessionOptions,
    UnknownOutcomeException,
)
from docsession._faces import _units
from tests.support.beside import outsider
from tests.support.documents import change, read, remove, save
from tests.support.proxy import CuttingProxy, Stage


@dataclass
class Item:
    value: int
    tags: list[str] = field(default_factory=list)
    id: str | None = None


async def value_of(store, key="items/1"):
    async with store.open_session() as session:
        item = await session.load(key, Item)
        return None if item is None else item.value


async def execute(session, text, *parameters):
    """Run SQL on the connection of the session's transaction, on either face."""
    cursor = session.advanced.connection.execute(text, parameters)
    if hasattr(cursor, "__await__"):
        cursor = await cursor
        return await cursor.fetchall() if cursor.description else None
    return cursor.fetchall() if cursor.description else None


class TestCommit:
    async def test_several_saves_commit_together(self, store):
        async with store.open_session() as session:
            await session.advanced.begin()
            await session.store(first := Item(1), "items/1")
            await session.save_changes()
            assert await value_of(store) is None
            first.value = 2
            await session.store(Item(3), "items/2")
            await session.save_changes()
            assert await value_of(store) is None
            await session.advanced.commit()
            assert not session.advanced.in_transaction
            assert await value_of(store) == 2
            assert await value_of(store, "items/2") == 3
            assert not session.advanced.has_changes()

    async def test_a_block_commits_at_its_end(self, store):
        async with store.open_session() as session:
            async with session.advanced.transaction():
                assert session.advanced.in_transaction
                await session.store(Item(1), "items/1")
                await session.save_changes()
            assert await value_of(store) == 1

    async def test_what_was_not_saved_is_not_committed(self, store):
        async with store.open_session() as session:
            async with session.advanced.transaction():
                await session.store(Item(1), "items/1")
            assert await value_of(store) is None
            assert session.advanced.has_changes()

    async def test_nothing_is_sent_where_nothing_was_done(self, store):
        async with store.open_session() as session:
            async with session.advanced.transaction():
                pass
            assert session.advanced.number_of_requests == 0

    async def test_a_load_sees_what_the_transaction_wrote(self, store):
        await save(store, Item(1, id="items/1"))
        async with store.open_session() as session, session.advanced.transaction():
            item = await session.load("items/1", Item)
            item.value = 2
            await session.save_changes()
            session.advanced.clear()
            assert (await session.load("items/1", Item)).value == 2

    async def test_the_connection_goes_back_to_the_pool(self, make_store):
        store = make_store(max_size=1, timeout=30)
        async with store.open_session() as session:
            for _ in range(3):
                async with session.advanced.transaction():
                    await session.store(Item(1))
                    await session.save_changes()
            assert await value_of(store, "items/1-A") == 1

    async def test_a_new_collection_is_known_to_others_afterwards(self, make_store):
        store, other = make_store(), make_store()
        assert await value_of(other, "items/1") is None
        async with store.open_session() as session, session.advanced.transaction():
            await session.store(Item(1), "items/1")
            await session.save_changes()
        async with other.open_session() as session:
            assert (await session.load("items/1"))["value"] == 1


class TestRollback:
    async def test_what_was_saved_is_unsaved_again(self, store):
        await save(store, Item(1, id="items/1"), Item(1, id="items/3"))
        async with store.open_session() as session:
            item = await session.load("items/1", Item)
            before = session.advanced.get_change_vector_for(item)
            await session.advanced.begin()
            item.value = 2
            new = Item(5)
            await session.store(new, "items/2")
            session.delete("items/3")
            await session.save_changes()
            assert session.advanced.get_change_vector_for(item) != before
            assert not session.advanced.has_changes()
            await session.advanced.rollback()
            assert [await value_of(store, f"items/{i}") for i in (1, 2, 3)] == [1, None, 1]
            assert session.advanced.get_change_vector_for(item) == before
            assert session.advanced.get_change_vector_for(new) is None
            assert session.advanced.has_changed(item)
            assert item.value == 2
            assert session.advanced.what_changed().keys() == {"items/1", "items/2", "items/3"}
            session.advanced.use_optimistic_concurrency = True
            await session.save_changes()
            assert [await value_of(store, f"items/{i}") for i in (1, 2, 3)] == [2, 5, None]

    async def test_an_error_leaves_a_block_by_rollback(self, store):
        async with store.open_session() as session:
            with pytest.raises(ZeroDivisionError):
                async with session.advanced.transaction():
                    await session.store(Item(1), "items/1")
                    await session.save_changes()
                    raise ZeroDivisionError
            assert await value_of(store) is None
            await session.save_changes()
            assert await value_of(store) == 1

    async def test_closing_rolls_back(self, make_store):
        store = make_store(max_size=1, timeout=30)
        async with store.open_session() as session:
            await session.advanced.begin()
            await session.store(Item(1), "items/1")
            await session.save_changes()
        assert await value_of(store) is None

    async def test_a_session_left_by_an_error_gives_its_connection_back(self, make_store):
        store = make_store(max_size=1, timeout=30)
        with pytest.raises(ZeroDivisionError):
            async with store.open_session() as session:
                await session.advanced.begin()
                await session.store(Item(1), "items/1")
                await session.save_changes()
                raise ZeroDivisionError
        assert await value_of(store) is None

    async def test_metadata_is_unsaved_again(self, store):
        await save(store, Item(1, id="items/1"))
        async with store.open_session() as session:
            item = await session.load("items/1", Item)
            metadata = session.advanced.get_metadata_for(item)
            await session.advanced.begin()
            metadata["by"] = "me"
            await session.save_changes()
            assert not metadata.is_dirty
            await session.advanced.rollback()
            assert metadata.is_dirty
            assert metadata["@change-vector"] == session.advanced.get_change_vector_for(item)
            await session.save_changes()
        async with store.open_session() as session:
            item = await session.load("items/1", Item)
            assert session.advanced.get_metadata_for(item)["by"] == "me"

    async def test_several_saves_of_one_document_are_undone_in_turn(self, store):
        await save(store, Item(1, id="items/1"))
        async with store.open_session() as session:
            item = await session.load("items/1", Item)
            before = session.advanced.get_change_vector_for(item)
            await session.advanced.begin()
            for value in (2, 3, 4):
                item.value = value
                await session.save_changes()
            session.delete(item)
            await session.save_changes()
            await session.advanced.rollback()
            assert session.advanced.is_loaded("items/1")
            assert session.advanced.what_changed().keys() == {"items/1"}
            assert await value_of(store) == 1
            await session.store(item)
            assert session.advanced.get_change_vector_for(item) == before

    async def test_a_document_stored_anew_after_its_deletion_was_undone(self, store):
        await save(store, Item(1, id="items/1"))
        async with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            item = await session.load("items/1", Item)
            await session.advanced.begin()
            session.delete(item)
            await session.save_changes()
            await session.store(Item(9), "items/1")
            await session.advanced.rollback()
            await session.save_changes()
            assert await value_of(store) == 9


class TestRefusedSaves:
    async def test_what_was_saved_before_survives(self, make_store):
        store, other = make_store(), make_store()
        await save(store, Item(1, id="items/1"), Item(1, id="items/2"))
        async with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            first, second = (await session.load(["items/1", "items/2"], Item)).values()
            await session.advanced.begin()
            first.value = 2
            await session.save_changes()
            await save(other, Item(7, id="items/2"))
            second.value = 2
            await session.store(Item(3), "items/3")
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
            assert [conflict.id for conflict in caught.value.conflicts] == ["items/2"]
            await session.advanced.refresh(second)
            await session.save_changes()
            await session.advanced.commit()
        assert [await value_of(store, f"items/{i}") for i in (1, 2, 3)] == [2, 7, 3]

    async def test_a_lone_statement_that_is_refused_leaves_the_transaction_usable(self, store):
        async with store.open_session() as session, session.advanced.transaction():
            await session.store(Item(1), "items/1")
            await session.save_changes()
            await session.store(Item(2), "items/2", "")
            await session.save_changes()
            session.delete("items/1", "12345")
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
            session.advanced.clear()
            assert (await session.load("items/1", Item)).value == 1


class TestSavepoints:
    async def test_an_inner_rollback_keeps_the_outer_work(self, store):
        async with store.open_session() as session:
            async with session.advanced.transaction():
                await session.store(outer := Item(1), "items/1")
                await session.save_changes()
                version = session.advanced.get_change_vector_for(outer)
                with pytest.raises(ZeroDivisionError):
                    async with session.advanced.transaction():
                        outer.value = 2
                        await session.store(inner := Item(3), "items/2")
                        await session.save_changes()
                        raise ZeroDivisionError
                assert session.advanced.get_change_vector_for(outer) == version
                assert session.advanced.get_change_vector_for(inner) is None
                assert session.advanced.has_changed(outer)
            assert await value_of(store) == 1
            assert await value_of(store, "items/2") is None

    async def test_an_inner_commit_ends_with_the_outer_rollback(self, store):
        async with store.open_session() as session:
            await session.advanced.begin()
            await session.advanced.begin()
            await session.store(item := Item(1), "items/1")
            await session.save_changes()
            await session.advanced.commit()
            assert session.advanced.in_transaction
            await session.advanced.rollback()
            assert not session.advanced.in_transaction
            assert await value_of(store) is None
            assert session.advanced.has_changed(item)

    async def test_three_deep(self, store):
        async with store.open_session() as session:
            async with session.advanced.transaction(), session.advanced.transaction():
                await session.store(Item(1), "items/1")
                await session.save_changes()
                await session.advanced.begin()
                await session.store(last := Item(2), "items/2")
                await session.save_changes()
                await session.advanced.rollback()
                session.advanced.evict(last)
            assert await value_of(store) == 1
            assert await value_of(store, "items/2") is None

    async def test_a_block_ends_what_was_begun_inside(self, store):
        async with store.open_session() as session:
            async with session.advanced.transaction():
                await session.advanced.begin()
                await session.store(Item(1), "items/1")
                await session.save_changes()
            assert not session.advanced.in_transaction
            assert await value_of(store) == 1

    async def test_a_block_may_be_ended_inside(self, store):
        async with store.open_session() as session:
            async with session.advanced.transaction():
                await session.store(Item(1), "items/1")
                await session.save_changes()
                await session.advanced.rollback()
            assert await value_of(store) is None

    async def test_a_block_that_a_stream_keeps_from_its_commit_is_rolled_back(self, store, face):
        await save(store, *[Item(number, ["x" * 1000] * 50, id=f"items/{number}") for number in range(1, 100)])
        async with store.open_session() as session:
            item = await session.load("items/1", Item)
            with pytest.raises(InvalidOperationException, match="read the stream to its end"):
                async with session.advanced.transaction():
                    item.value = -1
                    await session.save_changes()
                    rows = session.query(Item).stream()
                    await anext(rows) if face.is_async else next(rows)
            assert not session.advanced.in_transaction
            assert await value_of(store) == 1
            await session.save_changes()
        assert await value_of(store) == -1


class TestOwnSql:
    async def test_rows_and_documents_commit_together(self, store, database):
        await save(store, Item(0, id="items/0"))
        async with store.open_session() as session:
            async with session.advanced.transaction():
                await execute(session, f'CREATE TABLE "{database}".orders (n int)')
                await session.store(Item(1), "items/1")
                await session.save_changes()
                await execute(session, f'INSERT INTO "{database}".orders VALUES (%s)', 7)
            with pytest.raises(ZeroDivisionError):
                async with session.advanced.transaction():
                    await execute(session, f'INSERT INTO "{database}".orders VALUES (%s)', 8)
                    await session.store(Item(2), "items/2")
                    await session.save_changes()
                    raise ZeroDivisionError
            async with session.advanced.transaction():
                assert await execute(session, f'SELECT n FROM "{database}".orders') == [(7,)]
        assert await value_of(store, "items/1") == 1
        assert await value_of(store, "items/2") is None

    async def test_values_come_as_psycopg_gives_them(self, store):
        async with store.open_session() as session, session.advanced.transaction():
            rows = await execute(session, "SELECT %s::jsonb, %s::bytea, now() IS NOT NULL, 1.5", '{"a": 1}', b"x")
            ((document, raw, flag, number),) = rows
            assert (document, raw, flag, str(number)) == ({"a": 1}, b"x", True, "1.5")

    async def test_sql_that_comes_first_has_the_isolation_level(self, store):
        async with store.open_session() as session, session.advanced.transaction("serializable"):
            assert await execute(session, "SHOW transaction_isolation") == [("serializable",)]

    async def test_the_next_user_of_the_connection_finds_it_as_it_was(self, make_store):
        store = make_store(max_size=1, timeout=30)
        async with store.open_session() as session, session.advanced.transaction("serializable"):
            await execute(session, "SELECT 1")
        async with store.open_session() as session, session.advanced.transaction():
            assert await execute(session, "SHOW transaction_isolation") == [("read committed",)]
        await save(store, Item(1, id="items/1"))
        assert await value_of(store) == 1

    async def test_there_is_none_without_a_transaction(self, store):
        async with store.open_session() as session:
            with pytest.raises(InvalidOperationException, match=r"begin\(\)"):
                session.advanced.connection  # noqa: B018  # what it raises is asked

    async def test_a_transaction_ended_behind_the_session_is_told(self, store):
        async with store.open_session() as session:
            await session.advanced.begin()
            await session.store(item := Item(1), "items/1")
            await session.save_changes()
            await execute(session, "ROLLBACK")
            with pytest.raises(InvalidOperationException, match="rollback"):
                await session.load("items/9", Item)
            await session.advanced.rollback()
            assert session.advanced.has_changed(item)
            await session.save_changes()
        assert await value_of(store) == 1

    async def test_a_statement_of_the_user_that_fails_is_told(self, store):
        await save(store, Item(1, id="items/1"))
        async with store.open_session() as session:
            await session.advanced.begin()
            with pytest.raises(Exception, match="division by zero"):
                await execute(session, "SELECT 1/0")
            with pytest.raises(RavenException, match=r"rollback\(\)") as caught:
                await session.load("items/9", Item)
            assert caught.value.sqlstate == "25P02"
            await session.advanced.rollback()
            assert await session.load("items/9", Item) is None


class TestIsolationLevels:
    @pytest.mark.parametrize("level", ["repeatable read", "serializable", "SERIALIZABLE", "REPEATABLE_READ"])
    async def test_reads_are_of_one_moment(self, make_store, level):
        store, other = make_store(), make_store()
        await save(store, Item(1, id="items/1"), Item(1, id="items/2"))
        async with store.open_session(session_options=SessionOptions(isolation_level=level)) as session:
            assert (await session.load("items/1", Item)).value == 1
            await save(other, Item(2, id="items/2"))
            assert (await session.load("items/2", Item)).value == 1
            await session.save_changes()
            session.advanced.clear()
            assert (await session.load("items/2", Item)).value == 2

    async def test_the_flush_commits(self, store):
        async with store.open_session(session_options=SessionOptions(isolation_level="serializable")) as session:
            await session.store(item := Item(1), "items/1")
            await session.save_changes()
            assert await value_of(store) == 1
            item.value = 2
            await session.store(Item(5), "items/2")
            await session.save_changes()
        assert await value_of(store) == 2

    async def test_a_document_changed_meanwhile_may_be_tried_again(self, make_store):
        store, other = make_store(), make_store()
        await save(store, Item(1, id="items/1"))
        async with store.open_session(session_options=SessionOptions(isolation_level="repeatable read")) as session:
            item = await session.load("items/1", Item)
            await save(other, Item(5, id="items/1"))
            item.value = 2
            with pytest.raises(RavenException) as caught:
                await session.save_changes()
            assert caught.value.retryable
            assert caught.value.sqlstate == "40001"
            await session.advanced.refresh(item)
            item.value += 1
            await session.save_changes()
        assert await value_of(store) == 6

    async def test_write_skew_is_refused(self, make_store):
        store, other = make_store(), make_store()
        await save(store, Item(1, id="items/1"), Item(1, id="items/2"))
        options = SessionOptions(isolation_level="serializable")
        async with (
            store.open_session(session_options=options) as one,
            other.open_session(session_options=options) as two,
        ):
            for session in (one, two):
                await session.load(["items/1", "items/2"], Item)
            (await one.load("items/1", Item)).value = 0
            (await two.load("items/2", Item)).value = 0
            await one.save_changes()
            with pytest.raises(RavenException) as caught:
                await two.save_changes()
            assert caught.value.retryable

    async def test_no_connection_is_held_before_the_first_request_and_after_the_save(self, make_store):
        store = make_store(max_size=1, timeout=30)
        options = SessionOptions(isolation_level="serializable")
        async with store.open_session(session_options=options) as session:
            assert await value_of(store) is None
            await session.store(Item(1), "items/1")
            await session.save_changes()
            assert await value_of(store) == 1
            await session.load("items/2", Item)
            await session.save_changes()
            assert await value_of(store) == 1

    async def test_begin_goes_on_with_the_transaction_that_is_open(self, make_store):
        store, other = make_store(), make_store()
        await save(store, Item(1, id="items/1"), Item(1, id="items/2"))
        async with store.open_session(session_options=SessionOptions(isolation_level="repeatable read")) as session:
            await session.load("items/1", Item)
            await save(other, Item(2, id="items/2"))
            await session.advanced.begin()
            assert (await session.load("items/2", Item)).value == 1
            await session.advanced.commit()
            session.advanced.clear()
            assert (await session.load("items/2", Item)).value == 2

    async def test_a_refused_save_ends_the_transaction(self, make_store):
        store = make_store(max_size=1, timeout=30)
        await save(store, Item(1, id="items/1"))
        options = SessionOptions(
            isolation_level="repeatable read", optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES
        )
        async with store.open_session(session_options=options) as session:
            await session.store(Item(1), "items/1")
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
            assert await value_of(store) == 1

    @pytest.mark.parametrize("level", ["read uncommitted", "", 3, "SERIALIZABLE; DROP TABLE x"])
    async def test_unknown_levels_are_refused(self, store, level):
        with pytest.raises(InvalidArgumentException, match="isolation level"):
            store.open_session(session_options=SessionOptions(isolation_level=level))
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException, match="isolation level"):
                await session.advanced.begin(level)

    async def test_a_nested_transaction_has_no_level_of_its_own(self, store):
        async with store.open_session() as session, session.advanced.transaction():
            with pytest.raises(InvalidOperationException, match="isolation level"):
                await session.advanced.begin("serializable")


class TestMisuse:
    @pytest.mark.parametrize("call", ["commit", "rollback"])
    async def test_there_is_nothing_to_end(self, store, call):
        async with store.open_session() as session:
            with pytest.raises(InvalidOperationException, match=r"begin\(\)"):
                await getattr(session.advanced, call)()


class TestLostConnections:
    async def test_in_the_middle_everything_is_undone(self, make_store, proxy):
        store, near = make_store(proxy.url), make_store()
        await save(near, Item(1, id="items/1"))
        async with store.open_session() as session:
            item = await session.load("items/1", Item)
            await session.advanced.begin()
            item.value = 2
            await session.save_changes()
            proxy.cut_next(Stage.BEFORE_ANSWER, 0)
            with pytest.raises(ConnectionLostException) as caught:
                await session.load("items/2", Item)
            assert caught.value.retryable
            assert not isinstance(caught.value, UnknownOutcomeException)
            assert not session.advanced.in_transaction
            assert session.advanced.has_changed(item)
            assert await value_of(near) == 1
            await session.save_changes()
            assert await value_of(near) == 2

    async def test_a_save_in_the_middle_is_not_in_doubt(self, make_store, proxy):
        store, near = make_store(proxy.url), make_store()
        await save(near, Item(1, id="items/1"))
        async with store.open_session() as session:
            await session.advanced.begin()
            await session.store(item := Item(2), "items/2")
            await session.save_changes()
            item.value = 3
            proxy.cut_next(Stage.BEFORE_ANSWER, 0)
            with pytest.raises(ConnectionLostException) as caught:
                await session.save_changes()
            assert not isinstance(caught.value, UnknownOutcomeException)
            assert await value_of(near, "items/2") is None
            assert session.advanced.get_change_vector_for(item) is None

    @pytest.mark.parametrize("stage", [Stage.AFTER_MESSAGES, Stage.BEFORE_ANSWER])
    async def test_a_commit_without_an_answer_is_found_out(self, make_store, proxy, stage):
        store, near = make_store(proxy.url), make_store()
        await save(near, Item(1, id="items/1"))
        async with store.open_session() as session:
            item = await session.load("items/1", Item)
            await session.advanced.begin()
            item.value = 2
            await session.save_changes()
            await session.store(Item(3), "items/3")
            await session.save_changes()
            proxy.cut_next(stage, 0)
            with pytest.raises(UnknownOutcomeException):
                await session.advanced.commit()
            assert not session.advanced.in_transaction
            with pytest.raises(UnknownOutcomeException):
                await session.load("items/1", Item)
            if stage is Stage.BEFORE_ANSWER:
                await session.save_changes()
                assert await value_of(near) == 2
                assert not session.advanced.has_changes()
            else:
                with pytest.raises(ConnectionLostException, match="not committed") as caught:
                    await session.save_changes()
                assert caught.value.retryable
                assert await value_of(near) == 1
                assert session.advanced.has_changed(item)
                await session.save_changes()
                assert await value_of(near) == 2
                assert await value_of(near, "items/3") == 3

    async def test_a_first_read_is_sent_again(self, make_store, proxy):
        store, near = make_store(proxy.url), make_store()
        await save(near, Item(1, id="items/1"))
        async with store.open_session() as session:
            assert (await session.load("items/1", Item)).value == 1
            await session.advanced.begin()
            session.advanced.clear()
            proxy.cut_next(Stage.BEFORE_ANSWER, 0)
            assert (await session.load("items/1", Item)).value == 1
            await session.advanced.commit()

    async def test_an_isolated_flush_without_an_answer_is_found_out(self, make_store, proxy):
        store, near = make_store(proxy.url), make_store()
        await save(near, Item(1, id="items/1"))
        async with store.open_session(session_options=SessionOptions(isolation_level="serializable")) as session:
            item = await session.load("items/1", Item)
            item.value = 2
            proxy.cut_next(Stage.BEFORE_ANSWER, 0)
            with pytest.raises(UnknownOutcomeException):
                await session.save_changes()
            await session.save_changes()
            assert not session.advanced.has_changes()
        assert await value_of(near) == 2


async def test_a_deleted_document_stays_deleted_after_a_commit(store):
    await save(store, Item(1, id="items/1"))
    async with store.open_session() as session:
        async with session.advanced.transaction():
            session.delete(await session.load("items/1", Item))
            await session.save_changes()
        assert await session.load("items/1", Item) is None
        assert session.advanced.number_of_requests == 2
    assert await read(store, "items/1", Item) is None
    await remove(store, "items/1")


class TestSessionsThatAreNotClosed:
    async def test_its_connection_is_given_up_when_it_is_collected(self, make_store):
        store = make_store(max_size=1, timeout=30)
        session = store.open_session()
        await session.advanced.begin()
        await session.store(Item(1), "items/1")
        await session.save_changes()
        del session
        gc.collect()
        assert await value_of(store) is None

    async def test_a_session_abandoned_in_the_middle_of_a_call_gives_its_connection_up(
        self, face, make_store, postgres_url, database
    ):
        store = make_store(max_size=1, timeout=30)
        await save(store, Item(1, id="items/1"))
        with outsider(postgres_url, database) as other:
            other.hold("items", "items/1")
            await self.leave_in_the_middle(face, store, other)
        assert await value_of(store) == 1

    async def leave_in_the_middle(self, face, store, outsider):
        session = await store.open_session().__aenter__()
        await session.advanced.begin()
        session.delete("items/1")
        if face.is_async:
            saving = asyncio.ensure_future(session.save_changes())
            await outsider.until_others_wait()
            await session.__aexit__(ValueError, ValueError("x"), None)
            outsider.let_go()
            with pytest.raises(ConnectionLostException):
                await saving
        else:
            errors = []

            def save_it():
                try:
                    session.wrapped.save_changes()
                except ConnectionLostException as error:
                    errors.append(error)

            thread = threading.Thread(target=save_it)
            thread.start()
            await outsider.until_others_wait()
            await session.__aexit__(ValueError, ValueError("x"), None)
            outsider.let_go()
            thread.join(20)
            assert len(errors) == 1


class TestWhatWasReadBefore:
    """The server compares with what the transaction saw; what an earlier one saw is checked by version."""

    @pytest.fixture(params=["repeatable read", "serializable"])
    def options(self, request):
        return SessionOptions(isolation_level=request.param)

    async def test_a_second_save_does_not_overwrite_what_others_wrote_since(self, store, options):
        await save(store, (Item(1), "items/1"), (Item(1), "items/2"))
        async with store.open_session(session_options=options) as session:
            items = await session.load(["items/1", "items/2"], Item)
            items["items/1"].value = 2
            await session.save_changes()
            await change(store, "items/1", Item, value=50)
            items["items/2"].value = 2
            await session.save_changes()
            items["items/1"].value += 1
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
            session.advanced.evict(items["items/1"])
            session.delete(items["items/2"])
            await change(store, "items/2", Item, value=50)
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
        assert (await read(store, "items/1", Item)).value == 50

    async def test_what_was_not_read_is_not_checked(self, store, options):
        await save(store, (Item(1), "items/1"))
        async with store.open_session(session_options=options) as session:
            await session.store(Item(2), "items/1")
            session.delete("items/2")
            await session.save_changes()
        assert (await read(store, "items/1", Item)).value == 2

    @pytest.mark.parametrize("fate", ["late", "lost"])
    async def test_a_lost_save_is_taken_over_or_sent_again(self, store, options, fate):
        await save(store, (Item(1), "items/1"))
        async with store.open_session(session_options=options) as session:
            item = await session.load("items/1", Item)
            item.value = 2
            lose(session, fate)
            with pytest.raises(UnknownOutcomeException):
                await session.save_changes()
            await session.save_changes()
            assert not session.advanced.has_changes()
        assert (await read(store, "items/1", Item)).value == 2

    @pytest.mark.parametrize("key", ["items/1", "items/2"])
    async def test_it_is_not_sent_again_over_what_it_did_not_see(self, store, options, key):
        """Neither what it writes nor what it has read may be another by now."""
        await save(store, (Item(1), "items/1"), (Item(1), "items/2"))
        async with store.open_session(session_options=options) as session:
            items = await session.load(["items/1", "items/2"], Item)
            items["items/1"].value = 2
            lose(session, "late")
            with pytest.raises(UnknownOutcomeException):
                await session.save_changes()
            await change(store, key, Item, value=50)
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
            assert caught.value.id == key
        assert (await read(store, key, Item)).value == 50


def lose(session, fate):
    """Let the answer to the session's next commit be lost: done ("lost") or never sent ("late")."""
    transaction = getattr(session, "wrapped", session)._core._transactions._spanning.transaction
    commit = transaction.commit

    async def lost(request=None):
        transaction.commit = commit
        if fate == "lost":
            await commit(request)
        else:
            await transaction.rollback()
        raise UnknownOutcomeException("save_changes: cut")

    transaction.commit = lost


class TestALostCommit:
    """The server is asked whether the transaction goes on: only one that has ended has left its versions, or none."""

    @pytest.fixture
    def far(self, make_store, postgres_url):
        with CuttingProxy(postgres_url) as proxy:
            yield make_store(proxy.url), proxy

    @pytest.fixture
    def commits_wait(self, postgres_url, database, rows):
        """Let commits that touch items wait until the context is left; gives a way to see how many do."""
        with psycopg.connect(postgres_url) as beside, psycopg.connect(postgres_url, autocommit=True) as watcher:

            @contextmanager
            def waiting():
                rows.refuse("items", "value", "never", deferred=True)
                function = sql.Identifier(database, "refuse")
                beside.execute(
                    sql.SQL(
                        "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS "
                        "$$BEGIN PERFORM pg_advisory_xact_lock(hashtext({})); RETURN NULL; END$$"
                    ).format(function, sql.Literal(database))
                )
                beside.commit()
                beside.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (database,))
                yield lambda: watcher.execute(WAITING, (database,)).fetchone()[0]
                beside.rollback()

            yield waiting

    async def test_one_that_waits_is_not_taken_for_undone(self, store, far, commits_wait, rows):
        await save(store, (Item(1), "items/1"))
        behind, proxy = far
        with ExitStack() as stack:
            waiting = stack.enter_context(commits_wait())
            async with behind.open_session() as session:
                await session.advanced.begin()
                (await session.load("items/1", Item)).value = 2
                await session.save_changes()
                proxy.cut_next(Stage.AFTER_MESSAGES, 5, containing=b"COMMIT")
                with pytest.raises(UnknownOutcomeException):
                    await session.advanced.commit()
                await until(lambda: waiting() == 1)
                for _ in range(2):
                    with pytest.raises(UnknownOutcomeException, match="goes on at the server"):
                        await session.save_changes()
                stack.close()
                await until(lambda: rows.data("items", "items/1")["value"] == 2)
                await session.save_changes()
                assert not session.advanced.has_changes()

    async def test_a_unit_of_work_waits_for_it_and_runs_once(self, store, far, commits_wait, unit, monkeypatch):
        await save(store, (Item(1), "items/1"))
        behind, proxy = far
        runs = []
        with ExitStack() as stack:
            waiting = stack.enter_context(commits_wait())

            async def work(session):
                runs.append(1)
                await session.advanced.begin()
                (await session.load("items/1", Item)).value += 1
                proxy.cut_next(Stage.AFTER_MESSAGES, 5, containing=b"COMMIT")

            async def pause(_self, _seconds):
                pauses.append(waiting())
                if len(pauses) == 2:
                    stack.close()
                if len(pauses) > 2:
                    time.sleep(0.05)  # noqa: ASYNC251  # the server is done any moment

            pauses = []
            for kind in (_units.BlockingWaiting, _units.AsyncWaiting):
                monkeypatch.setattr(kind, "pause", pause)
            await behind.run(unit(work), 50)
        assert len(runs) == 1
        assert await value_of(store) == 2

    async def test_one_that_others_have_written_over_is_known_all_the_same(self, store, far):
        await save(store, (Item(1), "items/1"))
        behind, proxy = far
        async with behind.open_session() as session:
            await session.advanced.begin()
            item = await session.load("items/1", Item)
            item.value = 2
            await session.save_changes()
            proxy.cut_next(Stage.BEFORE_ANSWER, containing=b"COMMIT")
            with pytest.raises(UnknownOutcomeException):
                await session.advanced.commit()
            await change(store, "items/1", Item, value=50)
            await session.save_changes()
            assert not session.advanced.has_changes()
        assert await value_of(store) == 50


WAITING = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = "
    "(hashtext(%s)::bigint & x'ffffffff'::bigint)::oid"
)


async def until(condition):
    """Wait for *condition*, while the event loop goes on."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
