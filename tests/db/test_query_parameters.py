"""Values that a query gets later: it then is what it would be with the values in their places."""

from dataclasses import dataclass, field

import pytest

from docsession import (
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    Query,
    any_,
    count,
    in_,
    not_,
    parameter,
    starts_with,
)
from tests.support.documents import save


@dataclass
class Item:
    name: str
    number: int


@dataclass
class Parcel:
    town: str
    weight: float | None = None
    tags: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    id: str | None = None


PARCELS = [
    Parcel("Oslo", 1.5, ["red"], [Item("a", 1)], "parcels/1"),
    Parcel("Rome", 7, ["red", "blue"], [Item("b", 2), Item("a", 3)], "parcels/2"),
    Parcel("Bonn", None, [], [], "parcels/3"),
]

SAME = {
    "a comparison": lambda q, p: q.where(lambda o: o.town == p("town", str, "Oslo")),
    "two, one of them negated": lambda q, p: q.where(
        lambda o: (o.weight < p("weight", float, 5)) & not_(o.town == p("town", str, "Oslo"))
    ),
    "below a list": lambda q, p: q.where(
        lambda o: any_(o.items, lambda i: (i.name == p("name", str, "a")) & (i.number > p("number", int, 2)))
    ),
    "several values": lambda q, p: q.where(lambda o: in_(o.town, p("towns", list, ["Rome", "Bonn"]))),
    "a function": lambda q, p: q.where(lambda o: starts_with(o.town, p("start", str, "Ro"))),
    "keywords": lambda q, p: q.where(town=p("town", str, "Rome"), weight__gte=p("weight", float, 2)),
    "one name twice": lambda q, p: q.where(tags__contains=p("tag", str, "red")).where(
        lambda o: o.town != p("tag", str, "red")
    ),
    "groups": lambda q, p: (
        q.where(lambda o: o.weight >= p("weight", float, 0.0))
        .group_by(lambda o: o.town)
        .having(lambda o: count() >= p("least", int, 1))
        .select(lambda o: o.town)
    ),
    "where_equals": lambda q, p: q.where_equals("town", p("town", str, "OSLO")),
    "where_not_equals": lambda q, p: q.where_not_equals("town", p("town", str, "oslo"), exact=True),
    "alternatives": lambda q, p: (
        q.where_equals("town", p("town", str, "oslo"))
        .or_else()
        .open_subclause()
        .not_()
        .where_in("town", [p("one", str, "rome"), "bonn"])
        .close_subclause()
        .and_also(True)
        .where_between("weight", p("from", float, 1), p("to", float, 9))
    ),
    "lists": lambda q, p: q.contains_any("tags", p("tags", list, ["RED"])).contains_all("tags", [p("tag", str, "red")]),
    "texts": lambda q, p: (
        q.where_starts_with("town", p("start", str, "o"))
        .where_ends_with("town", p("end", str, "o"))
        .where_regex("town", p("pattern", str, "sl"))
    ),
    "a range": lambda q, p: q.where_greater_than("weight", p("weight", float, 1)).where_less_than_or_equal(
        "weight", p("most", float, 7)
    ),
}


async def test_it_is_the_query_with_the_values_in_their_places(store):
    await save(store, *PARCELS)
    async with store.open_session() as session:
        session.advanced.max_number_of_requests_per_session = 1000
        for name, make in SAME.items():
            given = {}

            def later(key, type_, value, given=given):
                given[key] = value
                return parameter(key, type_)

            waiting = make(session.query(Parcel), later)
            written = make(session.query(Parcel), lambda key, type_, value: value)
            added = set()
            while more := sorted(given.keys() - added):  # a condition tells one name at a time
                waiting = waiting.add_parameter(more[0], given[more[0]])
                added.add(more[0])
            assert await waiting.sql() == await written.sql(), name
            assert await waiting.all() == await written.all(), name


async def test_a_value_is_given_for_one_asking_and_the_query_stays_as_it_was(store):
    of_town = Query(Parcel).where(lambda o: o.town == parameter("town", str)).order_by("town")
    await save(store, *PARCELS)
    async with store.open_session() as session:
        for town in ("Rome", "Bonn"):
            assert (await session.query(of_town).add_parameter("$town", town).one()).town == town
        assert (await session.query(of_town.add_parameter("town", "Oslo")).where(weight=1.5).one()).id == "parcels/1"
        early = session.query(Parcel).add_parameter("town", "Oslo").where(lambda o: o.town == parameter("town", str))
        assert await early.count() == 1
        changed = session.query(of_town).add_parameter("town", "Bonn")
        assert await changed.delete() == 1


async def test_a_query_without_its_values_is_not_asked(store):
    of_town = Query(Parcel).where(lambda o: o.town == parameter("town", str))
    async with store.open_session() as session:
        for query in (session.query(of_town), session.query(Parcel).where_equals("town", parameter("town", str))):
            for ask in (query.all, query.count, query.json, query.sql, query.delete, query.page):
                with pytest.raises(InvalidOperationException, match=r"parameter\('town'\)|add_parameter"):
                    await ask()
            with pytest.raises(InvalidOperationException, match="parameter"):
                query.lazily()
        assert session.advanced.number_of_requests == 0


async def test_what_is_wrong_is_told(store):
    async with store.open_session() as session:
        query = session.query(Parcel).where(lambda o: o.town == parameter("town", str))
        with pytest.raises(InvalidArgumentTypeException, match=r"parameter\('town'\) is a value of type str, not int"):
            query.add_parameter("town", 5)
        with pytest.raises(InvalidArgumentTypeException, match="str"):
            query.add_parameter("town", None)
        with pytest.raises(InvalidOperationException, match="already"):
            query.add_parameter("town", "x").add_parameter("$town", "y")
        with pytest.raises(InvalidArgumentException, match="no condition of the query has parameter"):
            await query.add_parameter("town", "x").add_parameter("twon", "x").all()
        with pytest.raises(InvalidArgumentTypeException, match="town holds str"):
            session.query(Parcel).where(lambda o: o.town == parameter("n", int)).add_parameter("n", 5)
        for wrong in ("", "a b", 5, None):
            with pytest.raises(InvalidArgumentException, match="name"):
                parameter(wrong, str)
            with pytest.raises(InvalidArgumentException, match="name"):
                query.add_parameter(wrong, 5)
        with pytest.raises(InvalidArgumentTypeException, match="type"):
            parameter("town", "str")
        for elsewhere in (
            lambda: session.query(Parcel).take(parameter("n", int)),
            lambda: session.query(Parcel).order_by(lambda o: o.weight * parameter("n", int)),
            lambda: session.query(Parcel).search("town", parameter("words", str)),
        ):
            with pytest.raises(InvalidArgumentException, match=r"(?i)parameter"):
                elsewhere()


async def test_a_handler_sees_the_query_with_its_values(store):
    await save(store, *PARCELS)
    async with store.open_session() as session:

        def narrow(event):
            asked = event.query_customization.query
            narrower = asked.where(lambda o: o.town == parameter("town", str))
            with pytest.raises(InvalidOperationException, match="town"):
                event.query_customization.query = narrower
            event.query_customization.query = narrower.add_parameter("town", "Oslo")

        session.advanced.add_before_query(narrow)
        query = session.query(Parcel).where(lambda o: o.weight > parameter("w", float)).order_by("weight")
        assert [each.town for each in await query.add_parameter("w", 1).all()] == ["Oslo"]
