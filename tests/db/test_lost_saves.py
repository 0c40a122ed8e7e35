"""A link that breaks during a save: never half written, never guessed, and resolved exactly."""

import _thread
import asyncio
import threading
from dataclasses import dataclass

import pytest

from docsession import (
    ConcurrencyException,
    ConnectionFailedException,
    DocumentStore,
    EventLoopException,
    RavenException,
    UnknownOutcomeException,
)
from tests.support.answers import Answers
from tests.support.documents import change, read, remove, save
from tests.support.faces import Face
from tests.support.proxy import DelayProxy, Stage

BEFORE = [(Stage.BEFORE_BYTE, 0), (Stage.BEFORE_BYTE, 100), *((Stage.AFTER_MESSAGES, n) for n in range(0, 16, 3))]
AFTER = [(Stage.BEFORE_ANSWER, 0), (Stage.INSIDE_ANSWER, 1), (Stage.INSIDE_ANSWER, 30), (Stage.POOLER, 4)]


@dataclass
class Item:
    value: int
    id: str | None = None


@pytest.fixture
def near(make_store):
    """A store with a link of its own, to see what there is."""
    return make_store()


@pytest.fixture
def far(make_store, proxy):
    """A store behind the proxy."""
    return make_store(proxy.url)


async def state(store):
    async with store.open_session() as session:
        loaded = await session.load([f"items/{i}" for i in range(4)], Item)
        return [None if item is None else item.value for item in loaded.values()]


OLD = [10, 11, 12, None]
NEW = [20, 21, None, 23]


async def prepare(near, far, *, checked):
    """Put documents into the database, and change them in a session behind the proxy: a write of each kind."""
    await save(near, *[(Item(10 + i), f"items/{i}") for i in range(3)])
    session = far.open_session()
    session.advanced.use_optimistic_concurrency = checked
    items = await session.load([f"items/{i}" for i in range(3)], Item)
    items["items/0"].value = 20
    items["items/1"].value = 21
    session.delete(items["items/2"])
    await session.store(Item(23), "items/3")
    return session, items


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize(("stage", "n"), BEFORE + AFTER)
async def test_a_save_whose_link_breaks_is_unknown_and_then_resolved(near, far, proxy, stage, n, checked):
    session, items = await prepare(near, far, checked=checked)
    proxy.cut_next(stage, n, containing=b"COMMIT")
    with pytest.raises(UnknownOutcomeException, match="save_changes"):
        await session.save_changes()
    assert proxy.cuts == 1
    seen = await state(near)
    assert seen in (OLD, NEW)
    if (stage, n) in AFTER:
        assert seen == NEW

    with pytest.raises(UnknownOutcomeException):
        await session.load("items/9", Item)
    with pytest.raises(UnknownOutcomeException):
        session.advanced.has_changes()

    sent = session.advanced.number_of_requests
    await session.save_changes()
    assert await state(near) == NEW
    assert not session.advanced.has_changes()
    if seen == NEW:
        assert session.advanced.number_of_requests == sent

    # The session has the versions that are stored: it goes on under checks.
    session.advanced.use_optimistic_concurrency = True
    items["items/0"].value = 30
    await session.save_changes()
    assert (await read(near, "items/0", Item)).value == 30


@pytest.mark.parametrize(("stage", "n"), [(Stage.BEFORE_BYTE, 0), (Stage.BEFORE_ANSWER, 0)])
async def test_a_lone_document_is_resolved_too(near, far, proxy, stage, n):
    for kind in ("new", "changed", "deleted"):
        key = f"items/{kind}"
        if kind != "new":
            await save(near, (Item(1), key))
        session = far.open_session()
        if kind == "new":
            await session.store(Item(2), key)
        else:
            item = await session.load(key, Item)
            item.value = 2
        if kind == "deleted":
            session.delete(item)
        proxy.cut_next(stage, n, containing=key.encode())
        with pytest.raises(UnknownOutcomeException):
            await session.save_changes()
        await session.save_changes()
        found = await read(near, key, Item)
        assert found is None if kind == "deleted" else found.value == 2


@pytest.mark.parametrize(("stage", "n"), [(Stage.BEFORE_BYTE, 0), (Stage.BEFORE_ANSWER, 0)])
async def test_what_changed_after_the_break_is_saved_with_the_rest(near, far, proxy, stage, n):
    session, items = await prepare(near, far, checked=True)
    proxy.cut_next(stage, n, containing=b"COMMIT")
    with pytest.raises(UnknownOutcomeException):
        await session.save_changes()
    items["items/0"].value = 99
    await session.save_changes()
    assert await state(near) == [99, *NEW[1:]]


async def test_a_change_by_others_on_top_of_a_committed_save_is_not_overwritten(near, far, proxy):
    session, _ = await prepare(near, far, checked=True)
    proxy.cut_next(Stage.BEFORE_ANSWER, containing=b"COMMIT")
    with pytest.raises(UnknownOutcomeException):
        await session.save_changes()
    await change(near, "items/0", Item, value=50)
    await session.save_changes()
    assert await state(near) == [50, *NEW[1:]]


async def test_a_save_that_was_not_committed_meets_the_conflict_that_others_made(near, far, proxy):
    session, _ = await prepare(near, far, checked=True)
    proxy.cut_next(Stage.BEFORE_BYTE, 0, containing=b"COMMIT")
    with pytest.raises(UnknownOutcomeException):
        await session.save_changes()
    await change(near, "items/0", Item, value=50)
    with pytest.raises(ConcurrencyException) as caught:
        await session.save_changes()
    assert [conflict.id for conflict in caught.value.conflicts] == ["items/0"]
    assert "cannot be told" in caught.value.__notes__[0]
    assert await state(near) == [50, *OLD[1:]]


async def test_it_stays_unknown_while_the_server_cannot_be_asked(near, far, proxy):
    session, _ = await prepare(near, far, checked=True)
    proxy.cut_next(Stage.BEFORE_ANSWER, containing=b"COMMIT")
    with pytest.raises(UnknownOutcomeException):
        await session.save_changes()
    proxy.refuse()
    proxy.cut_all()
    for _ in range(2):
        with pytest.raises(RavenException):
            await session.save_changes()
        with pytest.raises(UnknownOutcomeException):
            session.advanced.has_changes()
    proxy.refuse(False)
    await session.save_changes()
    assert await state(near) == NEW


async def test_a_session_of_unknown_outcome_can_be_closed(near, far, proxy):
    session, _ = await prepare(near, far, checked=False)
    proxy.cut_next(Stage.BEFORE_ANSWER, containing=b"COMMIT")
    with pytest.raises(UnknownOutcomeException):
        await session.save_changes()
    await session.close()
    assert await state(near) == NEW


async def test_a_read_whose_link_breaks_is_answered_all_the_same(near, far, proxy):
    await save(near, (Item(1), "items/1"))
    async with far.open_session() as session:
        assert (await session.load("items/404", Item)) is None
        proxy.cut_next(Stage.BEFORE_ANSWER)
        assert (await session.load("items/1", Item)).value == 1
        assert session.advanced.number_of_requests == 2


async def test_an_answer_that_arrived_counts_though_the_link_breaks_after_it(near, far, proxy):
    session, _ = await prepare(near, far, checked=True)
    proxy.cut_next(Stage.AFTER_ANSWER, containing=b"COMMIT")
    await session.save_changes()
    assert await state(near) == NEW
    await remove(near, "items/0")


class TestMetadata:
    @pytest.mark.parametrize("fate", ["lost", "late"])
    async def test_what_changed_after_the_break_is_saved(self, store, rows, fate):
        await save(store, (Item(1), "items/1"))
        answers = Answers(store)
        async with store.open_session() as session:
            metadata = session.advanced.get_metadata_for(await session.load("items/1", Item))
            metadata["k"] = 1
            answers.writes = [fate]
            with pytest.raises(UnknownOutcomeException):
                await session.save_changes()
            metadata["k"] = 2
            await session.save_changes()
            assert rows.metadata("items", "items/1") == {"k": 2}
            assert not session.advanced.has_changes()

    async def test_what_changes_during_a_save_is_saved_by_the_next_one(self, store, rows):
        await save(store, (Item(1), "items/1"))
        answers = Answers(store)
        async with store.open_session() as session:
            metadata = session.advanced.get_metadata_for(await session.load("items/1", Item))
            metadata["k"] = 1

            async def edit():
                metadata["k"] = 2

            answers.meanwhile = edit
            await session.save_changes()
            assert rows.metadata("items", "items/1") == {"k": 1}
            assert session.advanced.has_changes()
            await session.save_changes()
            assert rows.metadata("items", "items/1") == {"k": 2}


class TestTwoAttempts:
    """The first one lands when the session has long begun the second."""

    @pytest.mark.parametrize(
        ("second", "error"), [("lost", UnknownOutcomeException), ("unsent", ConnectionFailedException)]
    )
    @pytest.mark.parametrize("count", [1, 2])
    async def test_the_session_is_no_conflict_for_itself(self, store, rows, second, error, count):
        await save(store, (Item(0), "items/0"))
        answers = Answers(store)
        async with store.open_session() as session:
            items = [Item(i) for i in range(count)]
            for item in items:
                await session.store(item)
            answers.writes = ["late"]
            with pytest.raises(UnknownOutcomeException):
                await session.save_changes()
            answers.writes = [second]
            answers.before_write = answers.land  # after the session has asked for it
            with pytest.raises(error):
                await session.save_changes()
            await session.save_changes()
            assert not session.advanced.has_changes()
            items[0].value = 50
            session.advanced.use_optimistic_concurrency = True
            await session.save_changes()
        assert rows.data("items", items[0].id) == {"value": 50}
        assert len(rows.ids("items")) == 1 + count

    async def test_what_the_second_runs_into_is_the_first(self, store, rows):
        await save(store, (Item(0), "items/0"))
        answers = Answers(store)
        async with store.open_session() as session:
            item = Item(1)
            await session.store(item)
            answers.writes = ["late"]
            with pytest.raises(UnknownOutcomeException):
                await session.save_changes()
            item.value = 2
            answers.before_write = answers.land  # after the session has asked for it
            await session.save_changes()
            assert rows.data("items", item.id) == {"value": 2}
            assert not session.advanced.has_changes()

    async def test_it_is_unknown_again_where_the_server_cannot_be_asked_then(self, store, rows):
        await save(store, (Item(0), "items/0"))
        answers = Answers(store)
        async with store.open_session() as session:
            item = Item(1)
            await session.store(item)
            answers.writes = ["late"]
            with pytest.raises(UnknownOutcomeException):
                await session.save_changes()
            answers.before_write = answers.land  # after the session has asked for it
            answers.reads = [None, None, "lost"]
            with pytest.raises(UnknownOutcomeException, match="could not be asked"):
                await session.save_changes()
            with pytest.raises(UnknownOutcomeException):
                session.advanced.has_changes()
            await session.save_changes()
            assert not session.advanced.has_changes()
        assert rows.data("items", item.id) == {"value": 1}

    async def test_a_conflict_that_others_made_is_one_still(self, store):
        await save(store, (Item(1), "items/1"))
        answers = Answers(store)
        async with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            item = await session.load("items/1", Item)
            item.value = 2
            answers.writes = ["unsent"]
            with pytest.raises(ConnectionFailedException):
                await session.save_changes()
            answers.writes = ["late"]
            with pytest.raises(UnknownOutcomeException):
                await session.save_changes()
            await change(store, "items/1", Item, value=9)
            for _ in range(2):
                with pytest.raises(ConcurrencyException) as caught:
                    await session.save_changes()
                assert [conflict.id for conflict in caught.value.conflicts] == ["items/1"]


class TestDeletionsAlone:
    """They leave no version behind, so what was created anew meanwhile is kept until somebody says otherwise."""

    @pytest.fixture
    def answers(self, store):
        return Answers(store)

    async def delete_and_lose(self, store, answers, session, fate="lost"):
        await save(store, (Item(3), "items/3"), (Item(4), "items/4"))
        loaded = await session.load(["items/3", "items/4"], Item)
        for item in loaded.values():
            session.delete(item)
        answers.writes = [fate]
        with pytest.raises(UnknownOutcomeException):
            await session.save_changes()
        return loaded

    @pytest.mark.parametrize("fate", ["lost", "late"])
    async def test_nobody_was_there(self, store, answers, rows, fate):
        async with store.open_session() as session:
            await self.delete_and_lose(store, answers, session, fate)
            await session.save_changes()
            assert rows.ids("items") == []
            assert await session.load("items/3", Item) is None

    async def test_a_document_that_was_created_anew_is_not_deleted(self, store, answers, rows):
        async with store.open_session() as session:
            await self.delete_and_lose(store, answers, session)
            await save(store, (Item(99), "items/3"))
            with pytest.raises(ConcurrencyException, match="'items/3'") as caught:
                await session.save_changes()
            assert [conflict.id for conflict in caught.value.conflicts] == ["items/3"]
            assert rows.ids("items") == ["items/3"]
            assert rows.data("items", "items/3") == {"value": 99}

    async def test_saving_again_deletes_it(self, store, answers, rows):
        async with store.open_session() as session:
            await self.delete_and_lose(store, answers, session)
            await save(store, (Item(99), "items/3"))
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
            await session.save_changes()
            assert rows.ids("items") == []

    async def test_evicting_the_entity_keeps_it(self, store, answers, rows):
        async with store.open_session() as session:
            loaded = await self.delete_and_lose(store, answers, session)
            await save(store, (Item(99), "items/3"))
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
            session.advanced.evict(loaded["items/3"])
            await session.save_changes()
            assert not session.advanced.has_changes()
            assert rows.ids("items") == ["items/3"]

    async def test_later_conflicts_are_told_as_what_they_are(self, store, answers):
        await save(store, (Item(1), "items/1"))
        async with store.open_session() as session:
            item = await session.load("items/1", Item)
            loaded = await self.delete_and_lose(store, answers, session)
            await save(store, (Item(99), "items/3"))
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
            for deleted in loaded.values():
                session.advanced.evict(deleted)
            await change(store, "items/1", Item, value=5)
            item.value = 6
            session.advanced.use_optimistic_concurrency = True
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
            assert [conflict.id for conflict in caught.value.conflicts] == ["items/1"]


class TestCancellation:
    """A cancelled save of the async face agrees with the database: all of it, and the session knows."""

    @pytest.fixture
    def face(self):
        return Face("async")

    @pytest.mark.parametrize("steps", range(12))
    async def test_a_cancelled_save_agrees_with_the_database(self, near, far, steps):
        session, items = await prepare(near, far, checked=True)
        task = asyncio.ensure_future(session.save_changes())
        for _ in range(steps):
            await asyncio.sleep(0)
        was_running = task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() == was_running
        seen = await state(near)
        assert seen in (OLD, NEW)
        assert session.advanced.has_changes() == (seen == OLD)
        items["items/0"].value = 77
        await session.save_changes()
        assert await state(near) == [77, *NEW[1:]]

    async def test_a_save_that_times_out_agrees_too(self, near, far):
        session, _ = await prepare(near, far, checked=False)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await session.save_changes()
        assert await state(near) in (OLD, NEW)

    async def test_another_event_loop_gets_an_error(self, near):
        await save(near, (Item(1), "items/1"))

        async def elsewhere():
            async with near.open_session() as session:
                await session.load("items/1", Item)

        with pytest.raises(EventLoopException, match="event loop"):
            await asyncio.to_thread(asyncio.run, elsewhere())


def test_ctrl_c_in_a_blocking_save_leaves_the_outcome_to_be_asked(postgres_url, database):
    with DelayProxy(postgres_url, 0) as slow, DocumentStore(slow.url, database=database) as store:
        with store.open_session() as session:
            session.store(Item(1), "items/1")
            session.save_changes()
        session = store.open_session()
        session.store(Item(2), "items/2")
        session.store(Item(3), "items/3")
        slow.delay = 0.3
        threading.Timer(0.2, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            session.save_changes()
        slow.delay = 0
        with pytest.raises(UnknownOutcomeException):
            session.load("items/2")
        session.save_changes()
        assert not session.advanced.has_changes()
        session.close()
        with store.open_session() as check:
            assert [item.value for item in check.load(["items/2", "items/3"], Item).values()] == [2, 3]
