"""Caching: the server is asked each time and is always right; only the transfer is saved."""

import asyncio
import dataclasses
import datetime as dt
import decimal
import itertools
import os
import signal
import threading

import pytest

from docsession import (
    ConnectionLostException,
    DocumentConventions,
    DocumentDoesNotExistException,
    DocumentStore,
    SessionOptions,
    StoreStatistics,
)
from tests.support.answers import Answers
from tests.support.documents import read, remove, save
from tests.support.proxy import CountingProxy

LONG = "long " * 1000
OFF = SessionOptions(no_caching=True)
ON = SessionOptions()


@dataclasses.dataclass
class Page:
    text: str
    number: int = 0
    link: str | None = None
    Id: str | None = None


@dataclasses.dataclass
class Remark:
    text: str
    about: str | None = None
    Id: str | None = None


def state(session):
    """Everything that a session knows of what it has loaded, to the byte."""
    context = getattr(session, "wrapped", session)._core.context
    return {
        key: (each.raw, each.stored_metadata, each.version, each.last_modified, each.snapshot, each.table.name)
        for key, each in context.map.by_id.items()
    }


async def compare(store, act):
    """Do the same in a session that caches and in one that does not; returns what the first gave."""
    seen = []
    for options in (OFF, ON):
        async with store.open_session(session_options=options) as session:
            given = await act(session)
            seen.append((given, state(session), session.advanced.number_of_requests))
    assert seen[0] == seen[1]
    return seen[1][0]


def hits(store):
    return store.statistics.cache_hits


class TestTheSameComesBack:
    async def test_one_document_and_many(self, store):
        await save(store, *((Page(LONG, i), f"pages/{i}") for i in range(30)), (Remark(LONG), "remarks/1"))
        keys = [f"pages/{i}" for i in range(30)]
        for _ in range(3):
            await compare(store, lambda session: session.load("pages/3", Page))
            await compare(store, lambda session: session.load(keys, Page))
            await compare(store, lambda session: session.load([*keys[5:9], "pages/none", "remarks/1"]))
        assert hits(store) > 60

    @pytest.mark.parametrize("number", [1, 2, 3, 17, 100, 300])
    async def test_any_number_of_hits_and_misses_together(self, store, number):
        keys = [f"pages/{i}" for i in range(number)]
        await save(store, *((Page(f"{i} " * 400, i), key) for i, key in enumerate(keys)))
        for part in (keys, keys[::2], keys[::3], keys):
            await compare(store, lambda session, part=part: session.load(part, Page))
            await remove(store, *part[3::7])
            await save(store, *((Page(f"{i}! " * 350, i), key) for i, key in enumerate(part[::5])))
            found = await compare(store, lambda session: session.load(keys, Page))
            assert {key for key, each in found.items() if each is None} >= set(part[3::7]) - set(part[::5])

    async def test_metadata_types_and_unknown_fields(self, store, rows):
        async with store.open_session() as session:
            document = {
                "text": LONG,
                "when": dt.datetime(2024, 5, 6, 7, tzinfo=dt.UTC),
                "price": decimal.Decimal("1.10"),
                "@metadata": {"@collection": "Things", "reviewed-by": "Ada", "größe": {"a": [1, 2.50]}},
            }
            await session.store(document, "things/1")
            await session.store({"text": LONG, "@metadata": {"@collection": "Things"}}, "things/2")
            await session.save_changes()
        text = '{"text": "long", "n": 1.1000000000000000000001, "b": {"z": 1e2, "y": []}}'
        rows.write("things", "things/2", text.replace("long", LONG))
        for _ in range(3):
            one = await compare(store, lambda session: session.load("things/1"))
            assert one["when"] == document["when"]
            assert repr(one["price"]) == "Decimal('1.10')"
            assert one["@metadata"]["größe"] == {"a": [1, 2.5]}
            many = await compare(store, lambda session: session.load(["things/1", "things/2"]))
            assert many["things/1"]["when"] == document["when"]
        assert hits(store) == 7
        async with store.open_session() as session:
            thing = await session.load("things/2")
            thing["text"] = "short"
            await session.save_changes()
        assert (
            rows.text("things", "things/2")
            == '{"b": {"y": [], "z": 100}, "n": 1.1000000000000000000001, "text": "short"}'
        )

    async def test_each_kind_of_class(self, store, kind):
        address = kind.Address(city="Reims", street="rue")
        lines = [kind.Line(product=LONG, quantity=3), kind.Line(product="b", quantity=1)]
        order = kind.Order(company="companies/1", address=address, lines=lines)
        await save(store, (order, "orders/1"))
        for _ in range(3):
            seen = []
            for options in (OFF, ON):
                async with store.open_session(session_options=options) as session:
                    found = await session.load("orders/1", kind.Order)
                    seen.append((found.company, found.address.city, found.lines[0].product, state(session)))
            assert seen[0] == seen[1]
        assert hits(store) == 2

    async def test_includes(self, store):
        pages = [(Page(LONG, i, f"pages/{(i * 7) % 20}"), f"pages/{i}") for i in range(20)]
        remarks = [(Remark(LONG, f"pages/{i}"), f"remarks/{i}") for i in range(5)]
        await save(store, *pages, *remarks, (Remark(LONG, "pages/none"), "remarks/none"))

        async def act(session):
            found = await session.include("about").load([key for _, key in [*remarks, (None, "remarks/none")]], Remark)
            pages = [await session.load(each.about, Page) for each in found.values()]
            further = await session.include("link").load("pages/19", Page)
            return found, pages, further, await session.load("pages/13", Page)

        before = hits(store)
        for _ in range(3):
            await compare(store, act)
        assert hits(store) - before > 20
        async with store.open_session() as session:
            (await session.load("remarks/0", Remark)).about = "pages/17"
            (await session.load("pages/1", Page)).text = "changed " + LONG
            (await session.load("pages/2", Page)).number = -5
            session.delete("pages/3")
            await session.save_changes()
        _, pages, *_ = await compare(store, act)
        assert [each and (each.Id, each.number) for each in pages] == [
            ("pages/17", 17), ("pages/1", 1), ("pages/2", -5), None, ("pages/4", 4), None,
        ]  # fmt: skip

    async def test_by_prefix_again_and_conditionally(self, store):
        await save(store, *((Page(LONG, i), f"pages/{i}") for i in range(12)))

        async def act(session):
            listed = await session.advanced.load_starting_with("pages/1", Page)
            page = await session.load("pages/7", Page)
            page.text = "changed here"
            await session.advanced.refresh(page)
            vector = session.advanced.get_change_vector_for(page)
            session.advanced.evict(page)
            same = await session.advanced.conditional_load("pages/7", vector, Page)
            other = await session.advanced.conditional_load("pages/7", "5", Page)
            return listed, page, same, other

        for _ in range(3):
            listed, page, same, other = await compare(store, act)
            assert [each.Id for each in listed] == ["pages/1", "pages/10", "pages/11"]
            assert (page.text, same.entity, other.entity) == (LONG, None, page)

    async def test_one_id_in_several_tables(self, store):
        await save(
            store, (Page(LONG), "pages/1"), (Remark(LONG, "pages/1"), "pages/1/remark"), (Page(LONG), "remarks/x")
        )
        keys = ["pages/1", "pages/1/remark", "remarks/x", "pages/none"]
        for _ in range(3):
            found = await compare(store, lambda session: session.load(keys))
            assert found["pages/1/remark"]["about"] == "pages/1"
            await compare(store, lambda session: session.load("pages/1/remark", Remark))
        await remove(store, "pages/1")
        await save(store, (Remark("x" + LONG), "pages/1"))
        found = await compare(store, lambda session: session.load(keys))
        assert found["pages/1"]["text"] == "x" + LONG

    async def test_a_session_that_tracks_nothing(self, store):
        await save(store, (Page(LONG, 5), "pages/1"))
        options = SessionOptions(no_tracking=True)
        async with store.open_session(session_options=options) as session:
            found = [await session.load("pages/1", Page) for _ in range(3)]
        assert found == [Page(LONG, 5, Id="pages/1")] * 3
        assert hits(store) == 2

    async def test_what_is_changed_in_one_session_is_not_seen_in_another(self, store):
        await save(store, (Page(LONG), "pages/1"))
        for _ in range(3):
            async with store.open_session() as session:
                page = await session.load("pages/1", Page)
                assert page.text == LONG
                page.text = "dirty"
                session.advanced.get_metadata_for(page)["dirty"] = True
            assert await read(store, "pages/1", Page) == Page(LONG, Id="pages/1")

    async def test_what_was_loaded_from_it_can_be_saved_and_conflicts(self, store, rows):
        await save(store, (Page(LONG), "pages/1"))
        await read(store, "pages/1", Page)
        async with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            page = await session.load("pages/1", Page)
            page.number = 1
            await session.save_changes()
            page.number = 2
            await session.save_changes()
        assert hits(store) == 1
        assert rows.data("pages", "pages/1")["number"] == 2


class TestNeverStale:
    async def test_what_another_store_did_is_seen_at_once(self, store, make_store, rows):
        other = make_store()
        await save(store, (Page(LONG), "pages/1"), (Page(LONG), "pages/2"))
        for turn in range(1, 6):
            await save(other, (Page(LONG, turn), "pages/1"))
            assert (await read(store, "pages/1", Page)).number == turn
            assert (await read(store, "pages/1", Page)).number == turn
            async with store.open_session() as session:
                found = await session.load(["pages/1", "pages/2"], Page)
                assert [each.number for each in found.values()] == [turn, 0]
                await save(other, (Page(LONG, -turn), "pages/1"))
                assert (await session.advanced.refresh(found["pages/1"])).number == -turn
            rows.write("pages", "pages/1", {"text": LONG, "number": turn + 100})
            assert (await read(store, "pages/1", Page)).number == turn + 100

    async def test_deleted_and_stored_again(self, store, make_store):
        other = make_store()
        for turn in range(3):
            await save(other, (Page(LONG, turn), "pages/1"))
            for _ in range(2):
                assert (await read(store, "pages/1", Page)).number == turn
            await remove(other, "pages/1")
            for _ in range(2):
                assert await read(store, "pages/1", Page) is None
                async with store.open_session() as session:
                    assert await session.load(["pages/1", "pages/2"], Page) == {"pages/1": None, "pages/2": None}

    async def test_refresh_of_what_is_gone(self, store, make_store):
        await save(store, (Page(LONG), "pages/1"))
        async with store.open_session() as session:
            page = await session.load("pages/1", Page)
            await remove(make_store(), "pages/1")
            with pytest.raises(DocumentDoesNotExistException):
                await session.advanced.refresh(page)

    async def test_a_table_that_was_dropped_and_made_again(self, store, make_store, rows):
        await save(store, (Page(LONG, 1), "pages/1"))
        await read(store, "pages/1", Page)
        other = make_store()
        rows._run("DROP TABLE {}", "pages")
        rows._run("DELETE FROM {}", "docsession_collections")
        await save(other, (Page(LONG, 2), "pages/1"))
        assert (await read(store, "pages/1", Page)).number == 2
        assert (await read(store, "pages/1", Page)).number == 2

    async def test_a_database_that_was_deleted(self, store):
        await save(store, (Page(LONG, 1), "pages/1"))
        await read(store, "pages/1", Page)
        assert store.statistics.cache_documents == 1
        await store.maintenance.delete_database(store.database)
        assert store.statistics.cache_documents == 0
        assert await read(store, "pages/1", Page) is None
        await save(store, (Page(LONG, 2), "pages/1"))
        assert (await read(store, "pages/1", Page)).number == 2

    async def test_a_rollback_takes_nothing_along(self, store):
        await save(store, (Page(LONG, 1), "pages/1"))
        await read(store, "pages/1", Page)
        async with store.open_session() as session:
            await session.advanced.begin()
            page = await session.load("pages/1", Page)
            page.number = 2
            await session.save_changes()
            session.advanced.clear()
            assert (await session.load("pages/1", Page)).number == 2
            await session.advanced.rollback()
        assert (await read(store, "pages/1", Page)).number == 1
        # What is not committed was not kept: this was the row of before, which is current again.
        assert store.statistics == StoreStatistics(
            cache_hits=2, cache_misses=1, cache_documents=1, cache_size=store.statistics.cache_size,
            cache_max_size=128 * 1024 * 1024,
        )  # fmt: skip

    async def test_inside_a_snapshot_the_state_of_the_snapshot_is_seen(self, store, make_store):
        other = make_store()
        await save(store, (Page(LONG, 1), "pages/1"), (Page(LONG, 1), "pages/2"))
        options = SessionOptions(isolation_level="repeatable read")
        async with store.open_session(session_options=options) as session:
            await session.load("pages/2", Page)
            await save(other, (Page(LONG, 2), "pages/1"))
            assert (await read(store, "pages/1", Page)).number == 2
            assert (await session.load("pages/1", Page)).number == 1
        assert (await read(store, "pages/1", Page)).number == 2

    async def test_whoever_reads_sees_at_least_what_was_saved_before(self, face, postgres_url, database):
        """Two stores, each writing and reading all the time: no read is older than a save that had returned."""
        stores = [face.store(postgres_url, database) for _ in range(2)]
        keys = [f"pages/{i}" for i in range(6)]
        await save(stores[0], *((Page(LONG), key) for key in keys))
        saved = dict.fromkeys(keys, 0)
        counter = itertools.count(1)

        async def write(store, own):
            for _ in range(25):
                for key in own:
                    number = next(counter)
                    await save(store, (Page(LONG + str(number), number), key))
                    saved[key] = number

        async def look(store):
            for turn in range(60):
                before = dict(saved)
                async with store.open_session() as session:
                    if turn % 2:
                        found = await session.load(keys, Page)
                    else:
                        found = {key: await session.load(key, Page) for key in keys}
                for key, page in found.items():
                    assert page.number >= before[key]
                    assert page.text == (LONG + str(page.number) if page.number else LONG)

        work = [write(stores[0], keys[:3]), write(stores[1], keys[3:]), *(look(each) for each in stores * 2)]
        try:
            if face.is_async:
                await asyncio.gather(*work)
            else:
                await asyncio.gather(*(asyncio.to_thread(asyncio.run, each) for each in work))
            assert sum(store.statistics.cache_hits for store in stores) > 100
        finally:
            for store in stores:
                await store.close()


class TestWhatCrossesTheWire:
    async def test_a_document_comes_once_and_each_load_is_a_request(self, make_store, postgres_url):
        with CountingProxy(postgres_url) as proxy:
            store = make_store(proxy.url)
            await save(store, (Page(LONG * 10), "pages/1"))
            received = []
            for options in (ON, ON, OFF, ON):
                async with store.open_session(session_options=options) as session:
                    proxy.reset()
                    await session.load("pages/1", Page)
                    assert (proxy.round_trips, session.advanced.number_of_requests) == (1, 1)
                    received.append(proxy.bytes_received)
        assert [each > 50_000 for each in received] == [True, False, True, False]
        assert received[3] < 1000

    async def test_a_lost_connection_during_a_load_changes_nothing(self, store):
        await save(store, (Page(LONG, 1), "pages/1"))
        await read(store, "pages/1", Page)
        answers = Answers(getattr(store, "wrapped", store))
        answers.reads = ["lost"]
        with pytest.raises(ConnectionLostException, match="cut"):
            await read(store, "pages/1", Page)
        assert (await read(store, "pages/1", Page)).number == 1


class TestTheOption:
    async def test_no_caching_neither_uses_nor_fills_it(self, store):
        await save(store, (Page(LONG), "pages/1"), (Page(LONG), "pages/2"))
        for options in (OFF, OFF):
            async with store.open_session(session_options=options) as session:
                await session.load("pages/1", Page)
                session.advanced.clear()
                await session.load(["pages/1", "pages/2"], Page)
                await session.advanced.load_starting_with("pages/", Page)
        assert store.statistics == StoreStatistics(cache_max_size=128 * 1024 * 1024)

    async def test_a_bound_of_0_turns_it_off(self, make_store):
        store = make_store(conventions=DocumentConventions(max_cache_size=0))
        await save(store, (Page(LONG), "pages/1"))
        for _ in range(3):
            await read(store, "pages/1", Page)
        assert store.statistics == StoreStatistics()

    async def test_the_bound_holds_and_may_be_set_anew(self, make_store):
        store = make_store(conventions=DocumentConventions(max_cache_size=100_000))
        await save(store, *((Page(LONG, i), f"pages/{i}") for i in range(50)))
        for _ in range(2):
            for i in range(50):
                assert (await read(store, f"pages/{i}", Page)).number == i
        assert 90_000 < store.statistics.cache_size <= 100_000
        assert store.statistics.cache_max_size == 100_000
        store.conventions.max_cache_size = 20_000
        assert store.statistics.cache_size <= 20_000

    async def test_databases_and_stores_are_told_apart(self, store, make_store, database):
        other = f"{database}_other"
        await save(store, (Page(LONG, 1), "pages/1"))
        await save(store, (Page(LONG, 2), "pages/1"), database=other)
        try:
            for _ in range(3):
                assert (await read(store, "pages/1", Page)).number == 1
                async with store.open_session(other) as session:
                    assert (await session.load("pages/1", Page)).number == 2
            assert store.statistics.cache_documents == 2
            assert make_store().statistics.cache_documents == 0
        finally:
            await store.maintenance.delete_database(other)
        assert store.statistics.cache_documents == 1

    async def test_a_session_on_another_stores_server_does_not_share_it(self, store, make_store):
        other = make_store()
        await save(store, (Page(LONG, 1), "pages/1"))
        await read(store, "pages/1", Page)
        real = getattr(other, "wrapped", other)
        options = SessionOptions(request_executor=real.get_request_executor())
        for expected in (1, 1):
            async with store.open_session(session_options=options) as session:
                assert (await session.load("pages/1", Page)).number == expected
        assert store.statistics.cache_documents == 2
        assert other.statistics.cache_documents == 0

    async def test_a_closed_store_keeps_nothing(self, face, postgres_url, database):
        store = face.store(postgres_url, database)
        assert store.statistics == StoreStatistics(cache_max_size=128 * 1024 * 1024)
        await save(store, (Page(LONG), "pages/1"))
        await read(store, "pages/1", Page)
        await store.close()
        assert (store.statistics.cache_documents, store.statistics.cache_size) == (0, 0)
        assert store.statistics.cache_misses == 1

    async def test_statistics_cannot_be_changed(self, store):
        with pytest.raises(dataclasses.FrozenInstanceError):
            store.statistics.cache_hits = 5
        assert store.statistics.cache_hit_rate == 0.0
        await save(store, (Page(LONG), "pages/1"))
        for _ in range(4):
            await read(store, "pages/1", Page)
        assert store.statistics.cache_hit_rate == 0.75


def test_a_forked_child_goes_on_with_what_was_kept(postgres_url, database):
    with DocumentStore(postgres_url, database) as store:
        with store.open_session() as session:
            session.store(Page(LONG, 1), "pages/1")
            session.save_changes()
        with store.open_session() as session:
            session.load("pages/1", Page)
        inside, go = threading.Event(), threading.Event()

        def hold():
            with store._cache._lock:
                inside.set()
                go.wait(20)

        thread = threading.Thread(target=hold)
        for is_held, expected in ((False, (1, 1)), (True, (0, 1))):
            if is_held:
                thread.start()
                inside.wait()
            child = os.fork()
            if child == 0:
                try:
                    signal.alarm(10)
                    before = store.statistics.cache_documents
                    with store.open_session() as session:
                        assert session.load("pages/1", Page).number == 1
                    assert (before, store.statistics.cache_documents) == expected
                    os._exit(0)
                finally:
                    os._exit(1)
            _, status = os.waitpid(child, 0)
            assert status == 0
        go.set()
        thread.join()
