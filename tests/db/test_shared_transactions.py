"""Sessions on a connection that somebody else owns: each kind of owner, the same behaviour."""

from dataclasses import dataclass, field

import psycopg
import pytest

from docsession import (
    ConcurrencyException,
    InvalidOperationException,
    OptimisticConcurrencyMode,
    PutCommandDataWithJson,
    RequestExecutor,
    SessionOptions,
    set_,
)
from tests.support.documents import change, read, save
from tests.support.hosts import finished, session_on


@dataclass
class Item:
    value: int
    tags: list[str] = field(default_factory=list)
    id: str | None = None


@pytest.fixture
def store(host_store):
    return host_store


async def value_of(store, key="items/1"):
    """What is committed."""
    item = await read(store, key, Item)
    return None if item is None else item.value


class TestCommit:
    async def test_documents_and_rows_are_committed_together(self, host, store, host_table, postgres_url):
        await host.open(postgres_url)
        await host.execute(host_table.insert(1))
        async with session_on(store, host) as session:
            await session.store(Item(1), "items/1")
            await session.save_changes()
            await host.execute(host_table.insert(2))
            assert await value_of(store) is None
            assert host_table.committed() == []
            await host.commit()
            assert await value_of(store) == 1
            assert host_table.committed() == [1, 2]

    async def test_several_saves_are_committed_together(self, host, store, postgres_url):
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            item = Item(1)
            await session.store(item, "items/1")
            await session.save_changes()
            item.value = 2
            await session.store(Item(5), "items/2")
            await session.save_changes()
            assert not session.advanced.has_changes()
            await host.commit()
            assert (await value_of(store), await value_of(store, "items/2")) == (2, 5)
            assert not session.advanced.has_changes()

    async def test_the_session_goes_on_in_the_next_transaction(self, host, store, postgres_url):
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            session.advanced.use_optimistic_concurrency = True
            item = Item(1)
            await session.store(item, "items/1")
            for value in (2, 3, 4):
                item.value = value
                await session.save_changes()
                await host.commit()
            assert await value_of(store) == 4

    async def test_what_was_not_begun_is_begun_by_a_save(self, host, store, postgres_url):
        await host.open(postgres_url)
        await host.begin()
        async with session_on(store, host) as session:
            await session.store(Item(1), "items/1")
            await session.save_changes()
            assert await value_of(store) is None
            await host.commit()
        assert await value_of(store) == 1

    async def test_a_save_with_nothing_to_save_sends_nothing_that_counts(self, host, store, postgres_url):
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            await session.store(Item(1), "items/1")
            await session.save_changes()
            await session.save_changes()
            await host.commit()
            await session.save_changes()
            assert session.advanced.number_of_requests == 1


class TestRollback:
    async def test_it_undoes_the_save_and_the_entities_are_unsaved_again(self, host, store, host_table, postgres_url):
        await save(store, (Item(1, ["a"]), "items/1"), (Item(9), "items/9"))
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            items = await session.load(["items/1", "items/9"], Item)
            item, vector = items["items/1"], session.advanced.get_change_vector_for(items["items/1"])
            item.value = 2
            item.tags.append("b")
            session.delete(items["items/9"])
            new = Item(3)
            await session.store(new, "items/3")
            await host.execute(host_table.insert(1))
            await session.save_changes()
            assert session.advanced.get_change_vector_for(item) != vector
            await host.rollback()
            assert host_table.committed() == []
            await session.save_changes()  # finds out, and saves again
            assert await value_of(store) == 1
            await host.commit()
            assert [await value_of(store, key) for key in ("items/1", "items/3", "items/9")] == [2, 3, None]
            assert (await read(store, "items/1", Item)).tags == ["a", "b"]
            assert not session.advanced.has_changes()

    async def test_the_old_versions_are_expected_again(self, host, store, postgres_url):
        await save(store, (Item(1), "items/1"))
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            session.advanced.use_optimistic_concurrency = True
            item = await session.load("items/1", Item)
            vector = session.advanced.get_change_vector_for(item)
            for value in (2, 3):
                item.value = value
                await session.save_changes()
                await host.rollback()
                await session.load("items/404", Item)  # any request finds out
                await session.load(f"items/40{value}", Item)
                assert session.advanced.get_change_vector_for(item) == vector
                assert session.advanced.has_changed(item)
            await session.save_changes()
            await host.commit()
        assert await value_of(store) == 3

    async def test_a_new_document_that_was_rolled_back_must_still_be_new(self, host, store, postgres_url):
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            session.advanced.use_optimistic_concurrency = True
            item = Item(1)
            await session.store(item, "items/1")
            await session.save_changes()
            await host.rollback()
            await save(store, (Item(7), "items/1"))
            with pytest.raises(ConcurrencyException, match="exists already"):
                await session.save_changes()
            await host.rollback()
        assert await value_of(store) == 7

    async def test_a_change_by_others_after_the_rollback_is_a_conflict(self, host, store, postgres_url):
        await save(store, (Item(1), "items/1"))
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            session.advanced.use_optimistic_concurrency = True
            item = await session.load("items/1", Item)
            item.value = 2
            await session.save_changes()
            await host.rollback()
            await change(store, "items/1", Item, value=7)
            with pytest.raises(ConcurrencyException, match="was changed meanwhile"):
                await session.save_changes()
            await host.rollback()
        assert await value_of(store) == 7

    async def test_only_what_was_saved_since_the_last_commit_is_undone(self, host, store, postgres_url):
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            item, other = Item(1), Item(1)
            await session.store(item, "items/1")
            await session.save_changes()
            await host.commit()
            await session.store(other, "items/2")
            await session.save_changes()
            await host.rollback()
            await session.load("items/404", Item)
            assert not session.advanced.has_changed(item)
            assert session.advanced.has_changed(other)
            await session.save_changes()
            await host.commit()
        assert (await value_of(store), await value_of(store, "items/2")) == (1, 1)

    async def test_a_later_save_is_never_applied_on_top_of_one_that_is_gone(self, host, store, postgres_url):
        await save(store, (Item(1), "items/1"), (Item(1), "items/2"))
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            items = await session.load(["items/1", "items/2"], Item)
            items["items/1"].value = 2
            await session.save_changes()
            await host.rollback()
            items["items/2"].value = 2
            await session.save_changes()
            await host.commit()
        assert (await value_of(store), await value_of(store, "items/2")) == (2, 2)

    async def test_what_the_session_has_forgotten_does_not_come_back(self, host, store, postgres_url):
        await save(store, (Item(1), "items/1"), (Item(2), "items/2"))
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            (await session.load("items/1", Item)).value = 5
            session.delete("items/2")
            await session.save_changes()
            session.advanced.clear()
            await host.rollback()
            await session.load("items/404", Item)
            assert not session.advanced.has_changes()
            await session.save_changes()
            await host.commit()
        assert (await value_of(store), await value_of(store, "items/2")) == (1, 2)

    async def test_what_took_the_place_of_a_document_that_is_gone_is_new(self, host, store, postgres_url):
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            session.advanced.use_optimistic_concurrency = True
            first, second = Item(1), Item(2)
            await session.store(first, "items/1")
            await session.save_changes()
            session.delete(first)
            await session.store(second, "items/1")
            await host.rollback()
            await session.save_changes()
            await host.commit()
            second.value = 3
            await session.save_changes()
            await host.commit()
        assert await value_of(store) == 3

    async def test_a_patch_is_told_from_one_that_was_taken_back(self, host, store, postgres_url):
        await save(store, (Item(1), "items/1"), (Item(1), "items/2"))
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            session.advanced.use_optimistic_concurrency = True
            items = await session.load(["items/1", "items/2"], Item)
            first, second = items.values()
            second.value = 2
            await session.save_changes()
            await session.query(Item).where(value=1).patch(lambda item: set_(item.value, 5))
            await host.savepoint()
            await session.query(Item).where(value=2).patch(lambda item: set_(item.value, 6))
            await host.rollback_to()
            await session.advanced.rolled_back()
            assert [item.value for item in items.values()] == [5, 2]
            assert not session.advanced.has_changes()
            first.value = 7
            await session.save_changes()
            await host.commit()
        assert (await value_of(store), await value_of(store, "items/2")) == (7, 2)

    async def test_a_query_changes_nothing_on_top_of_a_save_that_is_gone(self, host, store, postgres_url):
        await save(store, (Item(1), "items/1"), (Item(1), "items/2"))
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            (await session.load("items/1", Item)).value = 2
            await session.save_changes()
            await host.rollback()
            with pytest.raises(InvalidOperationException, match="items/1"):
                await session.query(Item).delete()
            await session.save_changes()
            assert await session.query(Item).where(value=2).delete() == 1
            await host.commit()
        assert (await value_of(store), await value_of(store, "items/2")) == (None, 1)

    async def test_metadata_and_deletions_are_unsaved_again(self, host, store, postgres_url):
        await save(store, (Item(1), "items/1"), (Item(2), "items/2"))
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            item = await session.load("items/1", Item)
            session.advanced.get_metadata_for(item)["by"] = "me"
            session.delete("items/2")
            await session.save_changes()
            assert not session.advanced.has_changes()
            await host.rollback()
            await session.save_changes()
            await host.commit()
        async with store.open_session() as session:
            loaded = await session.load(["items/1", "items/2"], Item)
            assert session.advanced.get_metadata_for(loaded["items/1"])["by"] == "me"
            assert loaded["items/2"] is None


class TestSavepoints:
    async def test_one_that_is_released_is_a_part_of_the_transaction(self, host, store, host_table, postgres_url):
        await host.open(postgres_url)
        await host.execute(host_table.insert(1))
        async with session_on(store, host) as session:
            await host.savepoint()
            await session.store(Item(1), "items/1")
            await session.save_changes()
            await host.release()
            assert not session.advanced.has_changes()
            await host.commit()
        assert await value_of(store) == 1

    async def test_rolling_back_to_one_undoes_what_was_saved_since(self, host, store, host_table, postgres_url):
        await host.open(postgres_url)
        await host.execute(host_table.insert(1))
        async with session_on(store, host) as session:
            session.advanced.use_optimistic_concurrency = True
            before, inside = Item(1), Item(2)
            await session.store(before, "items/1")
            await session.save_changes()
            await host.savepoint()
            await session.store(inside, "items/2")
            before.value = 5
            await session.save_changes()
            await host.rollback_to()
            if not host.tells_savepoints:
                assert not session.advanced.has_changes()
                await session.advanced.rolled_back()
            assert sorted(session.advanced.what_changed()) == ["items/1", "items/2"]
            await session.save_changes()
            await host.commit()
        assert (await value_of(store), await value_of(store, "items/2")) == (5, 2)
        assert host_table.committed() == [1]

    async def test_a_release_and_then_a_rollback_of_the_whole_undoes_it_too(
        self, host, store, host_table, postgres_url
    ):
        await host.open(postgres_url)
        await host.execute(host_table.insert(1))
        async with session_on(store, host) as session:
            await host.savepoint()
            item = Item(1)
            await session.store(item, "items/1")
            await session.save_changes()
            await host.release()
            await host.rollback()
            await session.save_changes()
            await host.commit()
        assert await value_of(store) == 1

    async def test_what_was_saved_before_them_stays(self, host, store, host_table, postgres_url):
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            item = Item(1)
            await session.store(item, "items/1")
            await session.save_changes()
            await host.savepoint()
            await host.execute(host_table.insert(1))
            await host.rollback_to()
            await session.advanced.rolled_back()
            assert not session.advanced.has_changes()
            await host.commit()
            assert not session.advanced.has_changes()
        assert await value_of(store) == 1
        assert host_table.committed() == []


class TestRefusals:
    async def test_a_conflict_leaves_their_transaction_as_it_was(self, host, store, host_table, postgres_url):
        await save(store, (Item(1), "items/1"), (Item(1), "items/2"))
        await host.open(postgres_url)
        await host.execute(host_table.insert(1))
        async with session_on(store, host) as session:
            session.advanced.use_optimistic_concurrency = True
            items = await session.load(["items/1", "items/2"], Item)
            await session.store(Item(3), "items/3")
            await session.save_changes()
            await change(store, "items/1", Item, value=7)
            items["items/1"].value = items["items/2"].value = 2
            with pytest.raises(ConcurrencyException, match="items/1"):
                await session.save_changes()
            await host.execute(host_table.insert(2))
            await host.commit()
        assert [await value_of(store, f"items/{i}") for i in (1, 2, 3)] == [7, 1, 3]
        assert host_table.committed() == [1, 2]

    async def test_so_does_a_conflict_in_a_transaction_that_the_save_began(self, host, store, host_table, postgres_url):
        await save(store, (Item(1), "items/1"))
        await host.open(postgres_url)
        async with session_on(store, host, optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES) as session:
            item = await session.load("items/1", Item)
            await host.commit()
            await change(store, "items/1", Item, value=7)
            item.value = 2
            await session.store(Item(3), "items/3")
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
            await host.execute(host_table.insert(1))
            await host.commit()
            await session.advanced.refresh(item)
            item.value = 2
            await session.save_changes()
            await host.commit()
        assert (await value_of(store), await value_of(store, "items/3")) == (2, 3)
        assert host_table.committed() == [1]

    async def test_a_read_that_is_refused_does_so_too(self, host, store, host_table, postgres_url, rows, database):
        await save(store, (Item(1), "items/1"))
        await host.open(postgres_url)
        await host.execute(host_table.insert(1))
        async with session_on(store, host) as session:
            with psycopg.connect(postgres_url, autocommit=True) as beside:
                beside.execute(f'ALTER TABLE "{database}".items RENAME TO moved')
            with pytest.raises(Exception, match="items"):
                await session.load("items/1", Item)
            with psycopg.connect(postgres_url, autocommit=True) as beside:
                beside.execute(f'ALTER TABLE "{database}".moved RENAME TO items')
            assert (await session.load("items/1", Item)).value == 1
            await host.commit()
        assert host_table.committed() == [1]


class TestReads:
    async def test_they_see_what_the_transaction_wrote(self, host, store, postgres_url, database):
        await save(store, (Item(1), "items/1"))
        await host.open(postgres_url)
        await host.execute(f'UPDATE "{database}".items SET data = \'{{"value": 5, "tags": []}}\'')
        async with session_on(store, host) as first, session_on(store, host) as second:
            assert (await first.load("items/1", Item)).value == 5
            await first.store(Item(6), "items/6")
            await first.save_changes()
            assert (await second.load("items/6", Item)).value == 6
            assert [item.value for item in await second.advanced.load_starting_with("items/", Item)] == [5, 6]
        await host.rollback()
        assert await value_of(store) == 1

    async def test_several_statements_of_one_request_are_read_in_order(self, host, store, postgres_url):
        await save(store, *[(Item(i), f"items/{i}") for i in range(5)])
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            loaded = await session.load([f"items/{i}" for i in range(6)], Item)
            assert [item and item.value for item in loaded.values()] == [0, 1, 2, 3, 4, None]
            assert await session.advanced.exists("items/1")
            assert not await session.advanced.exists("items/9")


class TestTheRestOfTheSession:
    async def test_whatever_a_session_does_is_a_part_of_the_transaction(self, host, store, host_table, postgres_url):
        await save(store, *[(Item(i), f"items/{i}") for i in range(1, 4)])
        await host.open(postgres_url)
        await host.execute(host_table.insert(1))

        def add_ten(item):
            item.value += 10

        async with session_on(store, host) as session:
            edited = await session.advanced.edit("items/1", Item, add_ten)
            session.advanced.defer(PutCommandDataWithJson("items/7", None, {"value": 7, "tags": []}))
            await session.save_changes()
            assert await session.query(Item).count() == 4
            assert sorted(item.value for item in await session.query(Item).all()) == [2, 3, 7, 11]
            streamed = [item.value async for item in as_async(session.query(Item).where(value=7).stream())]
            assert streamed == [7]
            assert await session.query(Item).where(value=3).delete() == 1
            assert await value_of(store) == 1
            await host.rollback()
            assert await session.query(Item).count() == 3
            assert session.advanced.has_changed(edited)
            with pytest.raises(InvalidOperationException, match="changes of its own"):
                await session.advanced.edit("items/1", Item, add_ten)
            session.advanced.clear()
            await session.advanced.edit("items/1", Item, add_ten)
            await host.commit()
        assert host_table.committed() == []
        assert [await value_of(store, f"items/{i}") for i in (1, 3, 7)] == [11, 3, None]

    async def test_a_unit_of_work_is_not_run_again_in_their_transaction(self, host, store, host_table, postgres_url):
        await save(store, (Item(1), "items/1"))
        await host.open(postgres_url)
        await host.execute(host_table.insert(1))
        tries = []

        async def work(session):
            tries.append(1)
            item = await finished(session.load("items/1", Item))
            await change(store, "items/1", Item, value=7)
            item.value = 2

        def blocking_work(session):
            tries.append(1)
            session.load("items/1", Item).value = 2
            with psycopg.connect(postgres_url, autocommit=True) as beside:
                beside.execute(f'UPDATE "{store.database}".items SET version = version + 5')

        options = SessionOptions(
            request_executor=RequestExecutor.for_connection(host.given),
            optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES,
        )
        with pytest.raises(ConcurrencyException):
            await store.run(work if host.face == "async" else blocking_work, session_options=options)
        assert tries == [1]
        await host.commit()
        assert host_table.committed() == [1]


def as_async(rows):
    """Iterate over *rows* as the async face does."""
    if hasattr(rows, "__aiter__"):
        return rows

    async def iterate():
        for row in rows:
            yield row

    return iterate()


class TestIds:
    async def test_they_are_taken_apart_from_the_transaction(self, host, store, postgres_url):
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            lost = Item(1)
            await session.store(lost)
            await session.save_changes()
            assert lost.id == "items/1-A"
            await host.rollback()
        async with store.open_session() as session:
            kept = Item(2)
            await session.store(kept)
            await session.save_changes()
            assert kept.id == "items/2-A"

    async def test_tables_and_prefixes_survive_a_rollback(self, host, store, postgres_url, database):
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            await session.store(Item(1), "things/1")
            await session.save_changes()
            await host.rollback()
        with psycopg.connect(postgres_url) as beside:
            rows = beside.execute(f'SELECT prefix, collection FROM "{database}".docsession_collections').fetchall()
        assert rows == [("things", "Items")]

    async def test_others_do_not_wait_for_the_transaction(self, host, store, postgres_url):
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            await session.store(Item(1), "items/1")
            await session.save_changes()
            await save(store, (Item(2), "items/2"))
            await save(store, Item(3))
            await host.commit()
        assert await value_of(store) == 1


class TestAutocommit:
    async def test_every_save_commits_by_itself(self, host, store, host_table, postgres_url):
        await host.open(postgres_url, autocommit=True)
        async with session_on(store, host) as session:
            item = Item(1)
            await session.store(item, "items/1")
            await session.save_changes()
            assert await value_of(store) == 1
            item.value = 2
            await session.store(Item(3), "items/3")
            await session.save_changes()
            assert (await value_of(store), await value_of(store, "items/3")) == (2, 3)
            await host.rollback()
            assert not session.advanced.has_changes()
            await session.save_changes()

    async def test_a_conflict_writes_nothing(self, host, store, postgres_url):
        await save(store, (Item(1), "items/1"))
        await host.open(postgres_url, autocommit=True)
        async with session_on(store, host) as session:
            session.advanced.use_optimistic_concurrency = True
            item = await session.load("items/1", Item)
            await change(store, "items/1", Item, value=7)
            item.value = 2
            await session.store(Item(3), "items/3")
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
        assert (await value_of(store), await value_of(store, "items/3")) == (7, None)


class TestTheirConnection:
    @pytest.mark.direct("what the server has prepared for a connection cannot be looked at")
    async def test_nothing_is_left_set_on_it(self, host, store, postgres_url):
        await host.open(postgres_url)
        driver = await host.driver()
        await host.commit()
        state = state_of(driver)
        prepared = "SELECT name FROM pg_prepared_statements WHERE name ~ 'docsession'"
        settings = "SELECT name, setting FROM pg_settings WHERE source = 'session' ORDER BY name"
        before = await host.execute(settings)
        async with session_on(store, host) as session:
            await session.store(Item(1), "items/1")
            await session.save_changes()
            await session.load("items/2", Item)
        assert state_of(driver) == state
        assert await host.execute(settings) == before
        assert await host.execute(prepared) == []
        await host.commit()
        assert state_of(driver) == state

    async def test_a_session_leaves_it_open(self, host, store, host_table, postgres_url):
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            await session.store(Item(1), "items/1")
            await session.save_changes()
        await host.execute(host_table.insert(1))
        await host.commit()
        assert await value_of(store) == 1
        assert host_table.committed() == [1]

    async def test_several_sessions_share_it(self, host, store, postgres_url):
        await host.open(postgres_url)
        async with session_on(store, host) as first, session_on(store, host) as second:
            await first.store(Item(1), "items/1")
            await second.store(Item(2), "items/2")
            await first.save_changes()
            await second.save_changes()
            await host.rollback()
            for session in (first, second):
                await session.save_changes()
            await host.commit()
        assert (await value_of(store), await value_of(store, "items/2")) == (1, 2)

    @pytest.mark.direct("what the server has prepared for a connection cannot be looked at")
    async def test_statements_are_prepared_where_theirs_are(self, host, store, postgres_url):
        await save(store, (Item(1), "items/1"))
        await host.open(postgres_url)
        driver = await host.driver()
        threshold = driver.prepare_threshold
        async with session_on(store, host) as session:
            session.advanced.max_number_of_requests_per_session = 100
            for _ in range(12):
                session.advanced.clear()
                await session.load("items/1", Item)
            cursor = driver.cursor()
            rows = await fetch(cursor, "SELECT count(*) FROM pg_prepared_statements WHERE name ~ 'docsession'")
            assert (rows[0][0] > 0) is (threshold is not None)
            driver.prepare_threshold = None
            await fetch(cursor, "DEALLOCATE ALL")
            for _ in range(12):
                session.advanced.clear()
                await session.load("items/1", Item)
            rows = await fetch(cursor, "SELECT count(*) FROM pg_prepared_statements WHERE name ~ 'docsession'")
            assert rows == [(0,)]
        driver.prepare_threshold = threshold


async def fetch(cursor, text):
    await finished(cursor.execute(text))
    return await finished(cursor.fetchall()) if cursor.description else None


def state_of(driver):
    """What could be set on psycopg's connection."""
    return (
        driver.row_factory,
        driver.cursor_factory,
        driver.autocommit,
        driver.isolation_level,
        driver.read_only,
        driver.deferrable,
        driver.prepare_threshold,
        driver.prepared_max,
        list(driver.adapters._dumpers),
        driver.adapters._loaders,
        driver._notice_handlers,
    )
