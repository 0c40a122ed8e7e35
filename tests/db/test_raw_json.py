"""Documents as the JSON that is stored."""

import json
from dataclasses import dataclass

import msgspec
import pytest

from docsession import InvalidArgumentException, InvalidOperationException
from tests.support.documents import Rows, save


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
        assert await session.load_json("items/404") is None
        assert not session.advanced.is_loaded("items/1")


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


async def test_before_anything_was_stored(store):
    async with store.open_session() as session:
        query = session.query(Item)
        assert await query.json() == b"[]"
        assert json.loads(await query.json(envelope=True)) == {"items": [], "total": 0}
        assert json.loads(await query.json(5)) == {"items": [], "next": None, "previous": None}
        assert await session.load_json("items/1") is None


async def test_what_gives_no_documents_is_refused(store):
    async with store.open_session() as session:
        query = session.query(Item)
        for wrong in (query.select(lambda i: i.name), query.group_by(lambda i: i.name), query.include("name")):
            with pytest.raises(InvalidOperationException, match="json"):
                await wrong.json()
        with pytest.raises(InvalidArgumentException, match="size"):
            await query.json(after="x")
        with pytest.raises(InvalidArgumentException):
            await session.load_json(5)
