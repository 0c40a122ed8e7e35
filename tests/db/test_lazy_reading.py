"""Loads and queries that wait and are asked together, in one request."""

import inspect
from dataclasses import dataclass

import pytest

from docsession import InvalidArgumentException, InvalidOperationException
from tests.support.documents import save


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
            assert (await value(owner)).name == "Ann" if not isinstance(await value(owner), dict) else True
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

    async def test_what_one_answer_leads_to_is_no_other_ones_error(self, store):
        await save(store, *DOCUMENTS)
        async with store.open_session() as session:
            wrong = session.advanced.lazily.load("owners/1", Item)
            right = session.advanced.lazily.load("items/1", Item)
            assert (await value(right)).name == "i1"
            found = await value(wrong)
            assert found is None or found.name == "Ann"

    async def test_a_page_has_25_documents_unless_told_otherwise(self, store):
        await save(store, *(Item("x", i, f"items/{i:02}") for i in range(30)))
        async with store.open_session() as session:
            lazily = session.advanced.lazily
            some, every = lazily.load_starting_with("items/", Item), lazily.load_starting_with("items/", page_size=None)
            assert len(await value(some)) == 25
            assert len(await value(every)) == 30


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
            with pytest.raises(InvalidOperationException, match="include"):
                session.query(Item).include("name").lazily()
            with pytest.raises(InvalidOperationException, match="select"):
                session.query(Item).group_by(lambda i: i.name).lazily()
            with pytest.raises(InvalidArgumentException):
                session.advanced.lazily.load(5)
