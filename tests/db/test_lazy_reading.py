"""Loads and queries that wait and are asked together, in one request."""

import inspect
from dataclasses import dataclass

import pytest

from docsession import (
    DocumentMismatchException,
    InvalidArgumentException,
    InvalidOperationException,
    SessionOptions,
    matches,
)
from tests.support.documents import change, save


@dataclass
class Item:
    name: str
    size: int = 0
    id: str | None = None


@dataclass
class Owner:
    name: str
    id: str | None = None


DOCUMENTS = [*(Item(f"i{i}", i, f"items/{i}") for i in range(5)), Owner("Ann", "owners/1")]


async def value(lazy):
    found = lazy.value
    return await found if inspect.isawaitable(found) else found


class TestLazily:
    async def test_all_go_in_one_request(self, store):
        await save(store, *DOCUMENTS)
        async with store.open_session() as session:
            lazily = session.advanced.lazily
            item = lazily.load("items/1", Item)
            several = lazily.load(["items/2", "items/404", "owners/1"])
            owner = lazily.load("owners/1", Owner)
            start = lazily.load_starting_with("items/", Item, matches="3|4")
            query = session.query(Item).where(lambda i: i.size >= 3).lazily()
            number = session.query(Item).count_lazily()
            assert not item.is_value_created
            assert session.advanced.number_of_requests == 0
            assert (await value(item)).name == "i1"
            assert session.advanced.number_of_requests == 1
            found = await value(several)
            assert {key: each and each["name"] for key, each in found.items() if key != "owners/1"} == {
                "items/2": "i2",
                "items/404": None,
            }
            # The load before it asked for the same document, without a class: a document has one instance.
            assert await value(owner) is found["owners/1"]
            assert found["owners/1"]["name"] == "Ann"
            assert list(await value(start)) == ["items/3", "items/4"]
            assert [each.id for each in await value(query)] == ["items/3", "items/4"]
            assert await value(number) == 5
            assert session.advanced.number_of_requests == 1
            assert await session.load("items/3", Item) is (await value(start))["items/3"]
            assert session.advanced.number_of_requests == 1

    async def test_what_is_known_is_not_asked_for(self, store):
        await save(store, *DOCUMENTS)
        async with store.open_session() as session:
            loaded = await session.load("items/1", Item)
            lazy = session.advanced.lazily.load("items/1", Item)
            assert await value(lazy) is loaded
            assert session.advanced.number_of_requests == 1
            assert await value(session.advanced.lazily.load("items/404", Item)) is None
            assert await session.load("items/404", Item) is None
            assert session.advanced.number_of_requests == 2

    async def test_eagerly(self, store):
        await save(store, *DOCUMENTS)
        async with store.open_session() as session:
            lazy = session.query(Item).where(name="i2").lazily()
            await session.advanced.eagerly.execute_all_pending_lazy_operations()
            assert lazy.is_value_created
            assert [each.id for each in await value(lazy)] == ["items/2"]
            assert session.advanced.number_of_requests == 1

    async def test_before_anything_was_stored(self, store):
        async with store.open_session() as session:
            lazily = session.advanced.lazily
            one, start = lazily.load("items/1", Item), lazily.load_starting_with("items/", Item)
            query, number = session.query(Item).lazily(), session.query(Item).count_lazily()
            assert await value(one) is None
            assert await value(start) == {}
            assert await value(query) == []
            assert await value(number) == 0

    async def test_what_one_answer_leads_to_is_no_other_ones_error(self, store, rows):
        await save(store, *DOCUMENTS, (Item("wrong"), "items/wrong"))
        rows.write("items", "items/wrong", '{"name": "x", "size": "no number"}')
        async with store.open_session() as session:
            wrong = session.advanced.lazily.load("items/wrong", Item)
            right = session.advanced.lazily.load("items/1", Item)
            assert (await value(right)).name == "i1"
            for _ in range(2):
                with pytest.raises(DocumentMismatchException, match="items/wrong"):
                    await value(wrong)
            assert session.advanced.number_of_requests == 1

    async def test_what_the_server_refuses_waits_no_longer(self, store):
        await save(store, *DOCUMENTS)
        async with store.open_session() as session:
            wrong = session.query(Item).where(lambda i: matches(i.name, "(")).lazily()
            beside = session.advanced.lazily.load("items/1", Item)
            for lazy in (wrong, beside):
                with pytest.raises(InvalidArgumentException, match="regular expression"):
                    await value(lazy)
            assert (await value(session.advanced.lazily.load("items/1", Item))).name == "i1"

    async def test_a_handler_that_fails_is_the_answer_of_its_query_alone(self, store, face):
        await save(store, *DOCUMENTS)

        async def refuse(args):
            if args.query_customization.query.specification.take == 1:
                raise ZeroDivisionError

        async with store.open_session() as session:
            session.add_before_query(face.handler(refuse))
            wrong = session.query(Item).take(1).lazily()
            right = session.query(Item).take(2).lazily()
            assert [each.id for each in await value(right)] == ["items/0", "items/1"]
            with pytest.raises(ZeroDivisionError):
                await value(wrong)

    async def test_a_value_stays_what_it_was(self, store):
        await save(store, *DOCUMENTS)
        async with store.open_session() as session:
            lazy = session.advanced.lazily.load(["items/1", "items/404"], Item)
            found = await value(lazy)
            session.advanced.clear()
            assert await value(lazy) == found == {"items/1": DOCUMENTS[1], "items/404": None}

    async def test_in_a_session_that_tracks_nothing(self, store):
        await save(store, *DOCUMENTS)
        async with store.open_session(session_options=SessionOptions(no_tracking=True)) as session:
            assert (await value(session.advanced.lazily.load("items/1", Item))).name == "i1"
            start = session.advanced.lazily.load_starting_with("items/", Item)
            assert len(await value(start)) == 5

    async def test_documents_of_tables_that_are_new(self, face, store, postgres_url, database):
        await save(store, *DOCUMENTS)
        async with store.open_session() as session:
            await session.load("items/1", Item)
        other = face.store(postgres_url, database=database)
        await save(other, (Owner("a guest"), "items/guest"))
        await other.close()
        async with store.open_session() as session:
            lazy = session.advanced.lazily.load_starting_with("items/g")
            assert list(await value(lazy)) == ["items/guest"]
        async with store.open_session() as session:
            one = session.advanced.lazily.load("items/guest")
            assert (await value(one))["name"] == "a guest"
            assert session.advanced.number_of_requests == 1

    async def test_a_table_that_was_dropped(self, store, rows):
        await save(store, *DOCUMENTS)
        rows._run("DROP TABLE {}", "items")
        rows._run("DELETE FROM {} WHERE collection = 'Items'", "docsession_collections")
        async with store.open_session() as session:
            item, owner = session.advanced.lazily.load("items/1", Item), session.advanced.lazily.load("owners/1", Owner)
            number = session.query(Item).count_lazily()
            assert await value(item) is None
            assert (await value(owner)).name == "Ann"
            assert await value(number) == 0
            assert session.advanced.number_of_requests == 1

    async def test_who_wants_to_know_is_called(self, store):
        await save(store, *DOCUMENTS)
        async with store.open_session() as session:
            told = []
            session.advanced.lazily.load("items/1", Item, lambda item: told.append(item.name))
            session.advanced.lazily.load(["items/404"], Item, on_eval=told.append)
            lazy = session.query(Item).where(size=4).lazily(lambda found: told.append(len(found)))
            assert told == []
            assert len(await value(lazy)) == 1
            assert told == ["i1", {"items/404": None}, 1]
            await session.advanced.eagerly.execute_all_pending_lazy_operations()
            assert len(told) == 3

    async def test_who_watches_a_query_is_told(self, store):
        await save(store, *DOCUMENTS)
        async with store.open_session() as session:
            told = []
            lazy = session.query(Item).order_by("size").take(2).statistics(told.append).lazily()
            timed = session.query(Item).timings(told.append).lazily()
            assert [each.size for each in await value(lazy)] == [0, 1]
            assert len(await value(timed)) == 5
            assert told[0].total_results == 5
            assert told[1].duration_in_ms > 0
            assert session.advanced.number_of_requests == 1

    async def test_a_page_has_25_documents_unless_told_otherwise(self, store):
        await save(store, *(Item("x", i, f"items/{i:02}") for i in range(30)))
        async with store.open_session() as session:
            lazily = session.advanced.lazily
            some, every = lazily.load_starting_with("items/", Item), lazily.load_starting_with("items/", page_size=None)
            assert len(await value(some)) == 25
            assert len(await value(every)) == 30


@dataclass
class Shelf:
    owner: str
    items: list[str]
    id: str | None = None


SHELVES = [Shelf("owners/1", ["items/1", "items/2"], "shelves/1"), Shelf("owners/1", ["items/3"], "shelves/2")]


class TestIncludes:
    async def test_of_loads(self, store):
        await save(store, *DOCUMENTS, *SHELVES)
        async with store.open_session() as session:
            lazily = session.advanced.lazily
            one = lazily.include("items").include(lambda s: s.owner, Owner).load("shelves/1", Shelf)
            other = lazily.load("items/4", Item)
            assert (await value(one))["shelves/1"].items == ["items/1", "items/2"]
            assert (await value(other)).name == "i4"
            assert (await session.load("items/1", Item)).name == "i1"
            assert (await session.load("owners/1", Owner)).name == "Ann"
            assert session.advanced.number_of_requests == 1
            assert not session.advanced.is_loaded("items/3")
            both = lazily.include("items").load(["shelves/1", "shelves/2", "shelves/404"], Shelf)
            assert [each and each.id for each in (await value(both)).values()] == ["shelves/1", "shelves/2", None]
            assert session.advanced.is_loaded("items/3")
            assert session.advanced.number_of_requests == 2

    async def test_of_queries(self, store):
        await save(store, *DOCUMENTS, *SHELVES)
        async with store.open_session() as session:
            lazy = session.query(Shelf).where(id="shelves/2").include("items").lazily()
            async with session.batch() as batch:
                page = batch.page(session.query(Shelf).order_by("id").take(1).include("owner", Owner))
                number = batch.count(session.query(Shelf).include("items"))
            assert [each.id for each in await value(lazy)] == ["shelves/2"]
            assert ((await value(page)).total, await value(number)) == (2, 2)
            for key in ("items/3", "owners/1"):
                assert session.advanced.is_loaded(key)
            assert not session.advanced.is_loaded("items/1")
            assert session.advanced.number_of_requests == 1

    async def test_where_there_is_nothing(self, store):
        async with store.open_session() as session:
            one = session.advanced.lazily.include("items").load("shelves/1", Shelf)
            every = session.query(Shelf).include("items").lazily()
            assert await value(one) == {"shelves/1": None}
            assert await value(every) == []

    async def test_what_has_nowhere_to_keep_them(self, store):
        await save(store, *SHELVES)
        async with store.open_session(session_options=SessionOptions(no_tracking=True)) as session:
            with pytest.raises(InvalidOperationException, match="included"):
                session.advanced.lazily.include("items").load("shelves/1", Shelf)
            lazy = session.query(Shelf).include("items").lazily()
            with pytest.raises(InvalidOperationException, match="included"):
                await value(lazy)

    async def test_of_documents_that_are_new(self, face, store, postgres_url, database):
        await save(store, *SHELVES)
        async with store.open_session() as session:
            await value(session.advanced.lazily.include("items").load("shelves/1", Shelf))
        other = face.store(postgres_url, database=database)
        await save(other, *DOCUMENTS)
        await other.close()
        async with store.open_session() as session:
            await value(session.advanced.lazily.include("items").load("shelves/1", Shelf))
            assert (await session.load("items/1", Item)).name == "i1"
            assert session.advanced.number_of_requests == 1


class TestConditionalLoads:
    async def test_only_what_has_changed_comes(self, store):
        await save(store, *DOCUMENTS)
        async with store.open_session() as session:
            vectors = {
                key: session.advanced.get_change_vector_for(await session.load(key, Item))
                for key in ("items/1", "items/2")
            }
        await change(store, "items/2", Item, name="changed")
        async with store.open_session() as session:
            lazily = session.advanced.lazily
            same = lazily.conditional_load("items/1", vectors["items/1"], Item)
            changed = lazily.conditional_load("items/2", vectors["items/2"], Item)
            missing = lazily.conditional_load("items/404", "1", Item)
            assert (await value(same)).entity is None
            assert (await value(same)).change_vector == vectors["items/1"]
            assert (await value(changed)).entity.name == "changed"
            assert (await value(missing)).change_vector is None
            assert session.advanced.number_of_requests == 1
            again = lazily.conditional_load("items/2", vectors["items/2"], Item)
            assert (await value(again)).entity is (await value(changed)).entity
            assert session.advanced.number_of_requests == 1

    async def test_of_a_table_that_is_new(self, face, store, postgres_url, database):
        await save(store, *DOCUMENTS)
        other = face.store(postgres_url, database=database)
        await save(other, (Owner("a guest"), "items/guest"))
        await other.close()
        async with store.open_session() as session:
            found = await value(session.advanced.lazily.conditional_load("items/guest", "1"))
            assert found.entity["name"] == "a guest"

    async def test_it_needs_a_change_vector(self, store):
        async with store.open_session() as session:
            for wrong in (None, "", "no vector"):
                with pytest.raises(InvalidArgumentException, match="change vector"):
                    session.advanced.lazily.conditional_load("items/1", wrong)


class TestBatch:
    async def test_it_is_sent_at_its_end(self, store):
        await save(store, *DOCUMENTS)
        async with store.open_session() as session:
            async with session.batch() as batch:
                owner = batch.load("owners/1", Owner)
                items = batch.all(session.query(Item).where(lambda i: i.size > 2))
                number = batch.count(session.query(Item))
                page = batch.page(session.query(Item).order_by("-size").take(2))
                names = batch.all(session.query(Item).take(2).select(lambda i: i.name))
                assert session.advanced.number_of_requests == 0
            assert session.advanced.number_of_requests == 1
            assert all(each.is_value_created for each in (owner, items, number, page, names))
            assert (await value(owner)).name == "Ann"
            assert [each.id for each in await value(items)] == ["items/3", "items/4"]
            assert await value(number) == 5
            assert ([each.size for each in (await value(page)).items], (await value(page)).total) == ([4, 3], 5)
            assert await value(names) == ["i0", "i1"]
            (await value(items))[0].name = "changed"
            await session.save_changes()
        async with store.open_session() as session:
            assert (await session.load("items/3", Item)).name == "changed"

    async def test_an_error_sends_nothing(self, store):
        await save(store, *DOCUMENTS)
        async with store.open_session() as session:
            with pytest.raises(ZeroDivisionError):
                async with session.batch() as batch:
                    batch.load("items/1", Item)
                    raise ZeroDivisionError
            assert session.advanced.number_of_requests == 0

    async def test_what_cannot_wait_is_refused(self, store):
        async with store.open_session() as session:
            with pytest.raises(InvalidOperationException, match="select"):
                session.query(Item).group_by(lambda i: i.name).lazily()
            with pytest.raises(InvalidArgumentException):
                session.advanced.lazily.load(5)
