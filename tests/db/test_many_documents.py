"""Answers of so many documents that they are decoded at a time, with some among them that cannot be."""

from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from docsession import DocumentMismatchException
from tests.support.documents import save
from tests.support.families import FAMILIES


@dataclass
class Line:
    product: str


@dataclass
class Order:
    number: int
    lines: list[Line] = field(default_factory=list)
    extra: Any = None
    Id: str | None = None


def orders(count: int) -> list[tuple[Order, str]]:
    return [(Order(n, [Line(f"p{n}")]), f"orders/{n:03}") for n in range(count)]


async def test_all_are_tracked_and_only_what_changes_is_saved(store):
    await save(store, *orders(250))
    async with store.open_session() as session:
        found = await session.query(Order).order_by("number").all()
        assert [(each.Id, each.number, each.lines) for each in found] == [
            (f"orders/{n:03}", n, [Line(f"p{n}")]) for n in range(250)
        ]
        assert not session.advanced.has_changes()
        assert await session.load("orders/120", Order) is found[120]
        assert session.advanced.number_of_requests == 1
        found[120].lines.append(Line("new"))
        assert list(session.advanced.what_changed()) == ["orders/120"]
        await session.save_changes()
    async with store.open_session() as session:
        loaded = await session.load([f"orders/{n:03}" for n in range(250)], Order)
        assert [len(each.lines) for each in loaded.values()] == [1 + (n == 120) for n in range(250)]


async def test_what_the_session_has_stays_as_it_is_there(store):
    await save(store, *orders(150))
    async with store.open_session() as session:
        own = await session.load("orders/007", Order)
        own.number = -1
        session.delete("orders/008")
        found = await session.query(Order).order_by("number").all()
        assert found[7] is own
        assert own.number == -1
        assert len(found) == 150
        assert session.advanced.has_changed(own)
        assert not session.advanced.has_changed(found[6])


async def test_values_with_types_of_their_own_among_them(store):
    documents = orders(130)
    documents[50][0].extra = {1, 2}
    documents[129][0].extra = b"bytes"
    await save(store, *documents)
    async with store.open_session() as session:
        found = await session.query(Order).order_by("number").all()
        assert [each.extra for each in found if each.extra is not None] == [{1, 2}, b"bytes"]
        assert not session.advanced.has_changes()


async def test_one_that_does_not_fit_is_named_and_those_before_it_stay(store, direct_url, database):
    await save(store, *orders(150))
    with psycopg.connect(direct_url, autocommit=True) as connection:
        connection.execute(
            f"""UPDATE "{database}".orders SET data = data || '{{"number": "x"}}' WHERE id = 'orders/120'"""
        )
    async with store.open_session() as session:
        with pytest.raises(DocumentMismatchException, match=r"'orders/120' .* at number: expected int"):
            await session.query_sql(Order, "SELECT o.* FROM {table} o ORDER BY o.id").all()
        assert len(session.advanced.get_tracked_entities()) == 120
        assert not session.advanced.has_changes()


async def test_sql_that_returns_a_document_twice_returns_the_instance_twice(store):
    await save(store, *orders(3))
    sql = "SELECT o.* FROM {table} o, generate_series(1, 2) ORDER BY o.id"
    async with store.open_session() as session:
        found = await session.query_sql(Order, sql).all()
        assert [each.number for each in found] == [0, 0, 1, 1, 2, 2]
        assert found[0] is found[1]
        others = await session.query_sql(Order, sql).no_tracking().all()
        assert others == found
        assert others[0] is not others[1]


async def test_subclasses_among_them(store):
    family = FAMILIES["dataclass"]
    animals = [family.Cat(name=f"{n}", lives=n) if n % 50 == 0 else family.Animal(name=f"{n}") for n in range(120)]
    await save(store, *animals)
    for asked, count in ((family.Animal, 120), (family.Cat, 3)):
        async with store.open_session() as session:
            found = await session.query(asked).all()
            assert {each.name: type(each) for each in found} == {
                each.name: type(each) for each in animals if isinstance(each, asked)
            }
            assert len(found) == count
            assert not session.advanced.has_changes()
