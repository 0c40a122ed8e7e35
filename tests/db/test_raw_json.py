"""Documents as the JSON that is stored."""

import json
import pickle
from dataclasses import dataclass, field

import msgspec
import pytest

from docsession import DocumentJson, InvalidArgumentException, InvalidOperationException, QueryJson
from tests.support.documents import Rows, change, remove, save


@dataclass
class Item:
    name: str
    size: int = 0
    id: str | None = None


class Renamed(msgspec.Struct, rename="camel"):
    item_name: str
    Id: str | None = None


class Bare:
    pass


@dataclass
class Shelf:
    owner: str
    items: list[str] = field(default_factory=list)
    id: str | None = None


HOSTILE = 'a "quoted" \\ id/ü'


async def test_what_is_stored_with_the_id_in_it(store):
    await save(store, Item("ä", 1, "items/1"), Item('"', 2, "items/2"), (Item("x", 3), HOSTILE))
    async with store.open_session() as session:
        found = json.loads(await session.query(Item).order_by("size").json())
        assert found == [
            {"id": "items/1", "name": "ä", "size": 1},
            {"id": "items/2", "name": '"', "size": 2},
            {"id": HOSTILE, "name": "x", "size": 3},
        ]
        assert json.loads(await session.load_json("items/2")) == found[1]
        assert json.loads(await session.load_json("items/2", Item)) == found[1]
        for asked in Item, Shelf, None:
            assert (await session.load_json("items/2", asked)).collection == "Items"
        assert await session.load_json("items/404") is None
        assert not session.advanced.is_loaded("items/1")


async def test_of_several_tables_with_such_ids_in_one_request(face, store, postgres_url, database):
    await save(store, Item("ä", 1, "items/1"))
    async with store.open_session() as session:
        await session.load_json("items/1")
    other = face.store(postgres_url, database=database)
    await save(other, (Shelf("a guest"), "items/2"))
    await other.close()
    for _ in range(2):
        async with store.open_session() as session:
            guest = await session.load_json("items/2")
            assert (json.loads(guest)["owner"], guest.collection) == ("a guest", "Shelves")
            assert session.advanced.number_of_requests == 1
            assert json.loads(await session.load_json("items/1"))["name"] == "ä"
            assert await session.load_json("items/404") is None
            assert session.advanced.number_of_requests == 3


async def test_numbers_keep_their_digits(store, postgres_url, database):
    await save(store, Item("a", 1, "items/1"))
    rows = Rows(postgres_url, database)
    rows.write("items", "items/1", '{"size": 12345678901234567890.12345678901234567890}')
    rows.close()
    async with store.open_session() as session:
        assert b"12345678901234567890.12345678901234567890" in await session.query(Item).json()


async def test_the_member_is_called_as_the_class_calls_it(store):
    await save(store, (Renamed("x"), "renamed/1"), (Bare(), "bares/1"))
    async with store.open_session() as session:
        assert json.loads(await session.query(Renamed).json()) == [{"Id": "renamed/1", "itemName": "x"}]
        bare = json.loads(await session.query(Bare).json())
        assert [list(each.values()) for each in bare] == [["bares/1"]]


async def test_envelopes(store):
    await save(store, *(Item("x", i, f"items/{i}") for i in range(7)))
    async with store.open_session() as session:
        query = session.query(Item).order_by("-size")
        whole = json.loads(await query.skip(1).take(2).json(envelope=True))
        assert ([each["size"] for each in whole["items"]], whole["total"]) == ([5, 4], 7)
        first = json.loads(await query.json(3))
        assert [each["size"] for each in first["items"]] == [6, 5, 4]
        assert first["previous"] is None
        second = json.loads(await query.json(3, after=first["next"]))
        assert [each["size"] for each in second["items"]] == [3, 2, 1]
        back = json.loads(await query.json(3, before=second["previous"]))
        assert back["items"] == first["items"]
        assert (await query.page(3, after=first["next"])).items[0].size == 3


async def test_a_page_by_keys_with_the_total(store):
    await save(store, *(Item("x", i, f"items/{i}") for i in range(5)), Item("y", 9, "items/9"))
    async with store.open_session() as session:
        query = session.query(Item).where(name="x").order_by("-size")
        first = await query.json(2, envelope=True)
        second = await query.json(2, after=first.next, envelope=True)
        back = await query.json(2, before=second.previous, envelope=True)
        assert [[each["size"] for each in json.loads(page)["items"]] for page in (first, second, back)] == [
            [4, 3],
            [2, 1],
            [4, 3],
        ]
        assert [json.loads(page)["total"] for page in (first, second, back)] == [5, 5, 5]
        assert first.total == 5
        assert session.advanced.number_of_requests == 3
        none = await query.where(size=7).json(2, envelope=True)
        assert json.loads(none) == {"items": [], "total": 0, "next": None, "previous": None}
        with_shelves = await query.include("name", Shelf).json(2, after=first.next, envelope=True)
        assert (with_shelves.total, json.loads(with_shelves)["includes"]) == (5, {})


async def test_before_anything_was_stored(store):
    async with store.open_session() as session:
        query = session.query(Item)
        assert await query.json() == b"[]"
        assert json.loads(await query.json(envelope=True)) == {"items": [], "total": 0}
        assert json.loads(await query.json(5)) == {"items": [], "next": None, "previous": None}
        assert (await query.json(5, envelope=True)).total == 0
        assert await session.load_json("items/1") is None


async def test_what_gives_no_documents_is_refused(store):
    async with store.open_session() as session:
        query = session.query(Item)
        for wrong in (query.select(lambda i: i.name), query.group_by(lambda i: i.name), query.include("name")):
            with pytest.raises(InvalidOperationException, match="json"):
                await wrong.json()
        for watched in (query.statistics(print), query.timings(print)):
            with pytest.raises(InvalidOperationException, match="tells nobody"):
                await watched.json(envelope=True)
        with pytest.raises(InvalidOperationException, match="without select"):
            await query.select(lambda i: i.name).json(5)
        with pytest.raises(InvalidArgumentException, match="size"):
            await query.json(after="x")
        with pytest.raises(InvalidArgumentException):
            await session.load_json(5)


async def save_shelves(store):
    await save(
        store,
        *(Item(f"n{i}", i, f"items/{i}") for i in range(3)),
        (Renamed("r"), "renamed/1"),
        *(Shelf("renamed/1", [f"items/{i}", "items/404", "no id at all"], f"shelves/{i}") for i in range(3)),
    )


class TestIncludes:
    @pytest.mark.parametrize("of", [Item, None], ids=["of a class", "of any class"])
    async def test_stand_in_the_envelope_by_id(self, store, of):
        await save_shelves(store)
        async with store.open_session() as session:
            query = session.query(Shelf).order_by("id").include(lambda s: s.items[0], of).include("owner", Renamed)
            found = json.loads(await query.skip(1).take(1).json(envelope=True))
            assert found == {
                "items": [{"id": "shelves/1", "owner": "renamed/1", "items": ["items/1", "items/404", "no id at all"]}],
                "total": 3,
                "includes": {
                    "items/1": {"id": "items/1", "name": "n1", "size": 1},
                    "renamed/1": {"Id": "renamed/1", "itemName": "r"},
                },
            }
            assert session.advanced.number_of_requests == 1
            assert not session.advanced.is_loaded("items/1")
            assert not session.advanced.is_loaded("items/404")

    async def test_stand_in_a_page_by_keys(self, store):
        await save_shelves(store)
        async with store.open_session() as session:
            query = session.query(Shelf).order_by("id").include("items")
            first = json.loads(await query.json(2))
            assert first["includes"].keys() == {"items/0", "items/1"}
            second = json.loads(await query.json(2, after=first["next"]))
            assert (second["includes"].keys(), second["next"]) == ({"items/2"}, None)

    async def test_come_whatever_the_session_knows_of_them(self, store):
        await save_shelves(store)
        async with store.open_session() as session:
            (await session.load("items/0", Item)).name = "not saved"
            await session.load("items/404", Item)
            found = json.loads(await session.query(Shelf).where(id="shelves/0").include("items").json(envelope=True))
            assert found["includes"]["items/0"]["name"] == "n0"

    async def test_there_are_none_on_an_empty_page(self, store):
        async with store.open_session() as session:
            query = session.query(Shelf).include("items")
            assert await query.json(envelope=True) == b'{"items":[],"total":0,"includes":{}}'
        await save_shelves(store)
        async with store.open_session() as session:
            query = session.query(Shelf).include("items").skip(9)
            assert await query.json(envelope=True) == b'{"items":[],"total":3,"includes":{}}'

    @pytest.mark.parametrize("of", [Item, None], ids=["of a class", "of any class"])
    async def test_come_from_a_table_that_was_not_there_before(self, face, store, postgres_url, database, of):
        await save(store, Shelf("x", [], "shelves/1"))
        async with store.open_session() as session:
            await session.query(Shelf).include("items", of).json(envelope=True)
        other = face.store(postgres_url, database=database)
        await save(other, Item("new", 1, "items/1"), Shelf("x", ["items/1"], "shelves/2"))
        await other.close()
        async with store.open_session() as session:
            found = json.loads(await session.query(Shelf).include("items", of).json(envelope=True))
            assert found["includes"] == {"items/1": {"id": "items/1", "name": "new", "size": 1}}
            assert session.advanced.number_of_requests == 1


class TestEtags:
    async def test_a_document_has_that_of_its_version(self, store):
        await save(store, Item("a", 1, "items/1"))
        async with store.open_session() as session:
            item = await session.load("items/1", Item)
            found = await session.load_json("items/1")
            assert type(found) is DocumentJson
            assert found.change_vector == session.advanced.get_change_vector_for(item)
            assert found.last_modified == session.advanced.get_last_modified_for(item)
            assert found.etag == f'"{found.change_vector}"'
            item.name = "b"
            await session.save_changes()
            again = await session.load_json("items/1")
            assert again.change_vector == session.advanced.get_change_vector_for(item) != found.change_vector

    async def test_a_list_has_another_one_after_every_change(self, store):
        await save(store, *(Item("x", i, f"items/{i}") for i in range(4)))

        async def etags():
            async with store.open_session() as session:
                query = session.query(Item).order_by("size").where(size__lt=3)
                return [(await each).etag for each in (query.json(), query.take(2).json(envelope=True), query.json(2))]

        before = await etags()
        assert await etags() == before
        assert len(set(before)) == 3
        seen = [before]
        for change_something in (
            lambda: change(store, "items/0", Item, name="changed"),
            lambda: remove(store, "items/0"),
            lambda: save(store, Item("x", 0, "items/0")),
        ):
            await change_something()
            seen.append(await etags())
        for of_one in zip(*seen, strict=True):
            assert len(set(of_one)) == 4
        await change(store, "items/3", Item, name="changed")
        assert await etags() == seen[-1], "a document that the query does not find"

    async def test_what_stands_beside_the_documents_is_in_it(self, store):
        await save_shelves(store)
        async with store.open_session() as session:
            query = session.query(Shelf).order_by("id").take(1).include("items", Item)
            before = await query.json(envelope=True)
            await save(store, Shelf("x", [], "shelves/9"))
            more = await query.json(envelope=True)
            await change(store, "items/0", Item, name="changed")
            changed = await query.json(envelope=True)
            assert len({before.etag, more.etag, changed.etag}) == 3
            assert (await session.query(Item).json()).etag != (await session.query(Shelf).where(id="x").json()).etag

    async def test_is_one_that_http_knows(self, store):
        await save(store, Item("a", 1, "items/1"))
        async with store.open_session() as session:
            for found in (await session.query(Item).json(), await session.load_json("items/1")):
                assert found.etag[0] == found.etag[-1] == '"'
                assert found.etag[1:-1].isalnum()


async def test_the_bytes_know_total_and_tokens(store):
    await save(store, *(Item("x", i, f"items/{i}") for i in range(3)))
    async with store.open_session() as session:
        query = session.query(Item).order_by("size")
        plain, whole, page = await query.json(), await query.take(1).json(envelope=True), await query.json(2)
        assert (plain.total, plain.next, plain.previous) == (None, None, None)
        assert (whole.total, whole.next, whole.previous) == (3, None, None)
        assert (page.total, page.next, page.previous) == (None, json.loads(page)["next"], None)
        assert page.next is not None


@pytest.mark.parametrize("made", [QueryJson(b"[]", '"a"', 3, "n", "p"), DocumentJson(b"{}", "12")], ids=type)
def test_they_are_bytes_that_can_be_copied(made):
    copy = pickle.loads(pickle.dumps(made))
    assert (type(copy), copy, vars(copy)) == (type(made), bytes(made), vars(made))
