"""RavenDB's query builder: what its conditions find, among documents of one shape and of many."""

import datetime as dt
import enum
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pytest

from docsession import (
    DocumentConventions,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    QueryOperator,
)
from tests.support.documents import save

MIXED = {
    "01": {"name": "John", "age": 30, "tags": ["Red", "blue"], "home": {"city": "Oslo"}},
    "02": {"name": "john", "age": 30.0, "tags": "red", "home": {"city": "oslo"}},
    "03": {"name": "Jane", "age": "30", "tags": [], "home": {"city": None}},
    "04": {"name": "Äsa", "age": 9, "tags": None, "home": None},
    "05": {"name": "äsa", "age": 100, "tags": ["RED"], "home": [{"city": "Rome"}, {"city": "OSLO"}]},
    "06": {"name": None, "age": None, "tags": [None]},
    "07": {},
    "08": {"name": True, "age": [30, 9], "tags": {"red": "red"}, "home": "Oslo"},
    "09": {"name": ["John", "Bob"], "age": "thirty", "tags": [["red"]], "home": {"city": ["Oslo", "Rome"]}},
}
ALL = sorted(MIXED)


def but(*numbers):
    return [each for each in ALL if each not in numbers]


UNDECLARED = [
    (lambda q: q.where_equals("name", "JOHN"), ["01", "02", "09"]),
    (lambda q: q.where_equals("name", "John", exact=True), ["01", "09"]),
    (lambda q: q.where_equals("name", "ÄSA"), ["04", "05"]),
    (lambda q: q.where_equals("name", "äsa", exact=True), ["05"]),
    (lambda q: q.where_equals("name", True), ["08"]),
    (lambda q: q.where_equals("age", 30), ["01", "02", "03", "08"]),
    (lambda q: q.where_equals("age", 30.0), ["01", "02", "03", "08"]),
    (lambda q: q.where_equals("age", "30"), ["01", "02", "03", "08"]),
    (lambda q: q.where_equals("age", Decimal("9.00")), ["04", "08"]),
    (lambda q: q.where_equals("age", True), []),
    (lambda q: q.where_equals("name", None), ["06"]),
    (lambda q: q.where_equals("home.city", None), ["03"]),
    (lambda q: q.where_equals("tags", None), ["04", "06"]),
    (lambda q: q.where_equals("tags", "red"), ["01", "02", "05"]),
    (lambda q: q.where_equals("tags", "red", exact=True), ["02"]),
    (lambda q: q.where_equals("tags", {"red": "red"}), ["08"]),
    (lambda q: q.where_equals("tags", ["Red", "blue"]), ["01"]),
    (lambda q: q.where_equals("home.city", "oslo"), ["01", "02", "05", "09"]),
    (lambda q: q.where_not_equals("name", "john"), but("01", "02", "09")),
    (lambda q: q.where_not_equals("name", None), but("06")),
    (lambda q: q.where_not_none("name"), but("06")),
    (lambda q: q.where_not_equals("home.city", "oslo"), but("01", "02", "05", "09")),
    (lambda q: q.where_in("name", ["JANE", "äsa"]), ["03", "04", "05"]),
    (lambda q: q.where_in("name", ["Jane", "äsa"], exact=True), ["03", "05"]),
    (lambda q: q.where_in("name", ["jane", None, True]), ["03", "06", "08"]),
    (lambda q: q.where_in("name", []), []),
    (lambda q: q.where_in("age", [9, "100", 30.0]), ["01", "02", "03", "04", "05", "08"]),
    (lambda q: q.where_in("age", [None]), ["06"]),
    (lambda q: q.where_in("tags", [["Red", "blue"], []]), ["01", "03"]),
    (lambda q: q.where_in("tags", ["Blue", "x"]), ["01"]),
    (lambda q: q.contains_any("tags", ["BLUE", "red"]), ["01", "02", "05"]),
    (lambda q: q.contains_any("tags", []), []),
    (lambda q: q.contains_all("tags", ["BLUE", "red"]), ["01"]),
    (lambda q: q.contains_all("tags", []), ALL),
    (lambda q: q.where_starts_with("name", "J"), ["01", "02", "03", "09"]),
    (lambda q: q.where_starts_with("name", "J", exact=True), ["01", "03", "09"]),
    (lambda q: q.where_starts_with("name", "äS"), ["04", "05"]),
    (lambda q: q.where_starts_with("name", ""), ["01", "02", "03", "04", "05", "08", "09"]),
    (lambda q: q.where_ends_with("name", "OHN"), ["01", "02", "09"]),
    (lambda q: q.where_ends_with("name", "N", exact=True), []),
    (lambda q: q.where_ends_with("name", "%"), []),
    (lambda q: q.where_between("age", 9, 30), ["01", "02", "03", "04", "08"]),
    (lambda q: q.where_between("age", None, 29), ["04", "08"]),
    (lambda q: q.where_between("age", 31, None), ["05"]),
    (lambda q: q.where_between("name", "JA", "JO"), ["03"]),
    (lambda q: q.where_greater_than("age", 30), ["05"]),
    (lambda q: q.where_greater_than_or_equal("age", 30), ["01", "02", "03", "05", "08"]),
    (lambda q: q.where_less_than("age", 30), ["04", "08"]),
    (lambda q: q.where_less_than_or_equal("age", 9), ["04", "08"]),
    (lambda q: q.where_greater_than("name", "JANE"), ["01", "02", "04", "05", "08", "09"]),
    (lambda q: q.where_less_than("name", "Jane", exact=True), ["09"]),
    (lambda q: q.where_exists("name"), but("07")),
    (lambda q: q.where_exists("home.city"), ["01", "02", "03", "05", "09"]),
    (lambda q: q.where_exists("tags"), but("07")),
    (lambda q: q.where_regex("name", "^[jb]o"), ["01", "02", "09"]),
    (lambda q: q.where_regex("name", "^Ä"), ["04", "05"]),
    (lambda q: q.where_equals("id()", "things/03"), ["03"]),
    (lambda q: q.where_equals("Id", "THINGS/03"), []),
    (lambda q: q.where_in("Id", ["things/03", "things/04", None]), ["03", "04"]),
    (lambda q: q.where_starts_with("id()", "things/0"), ALL),
    (lambda q: q.where_not_equals("id()", None), ALL),
    (lambda q: q.where_exists("id()"), ALL),
    (lambda q: q.where_greater_than("id()", "things/07"), ["08", "09"]),
]


async def numbers(query):
    return [each[-2:] for each in await query.select_fields(str, "id()").all()]


async def answers(query, table, read):
    """What each row of a table finds, and what its negation does."""
    session_answers = []
    for build, _ in table:
        session_answers.append((await read(build(query())), await read(build(query().negate_next()))))
    return session_answers


async def test_where_nothing_is_declared_any_form_of_a_value_is_found(store):
    documents = [({**data, "@metadata": {"@collection": "Things"}}, f"things/{key}") for key, data in MIXED.items()]
    await save(store, *documents)
    async with store.open_session() as session:
        session.advanced.max_number_of_requests_per_session = 1000
        found = await answers(lambda: session.query_collection("Things"), UNDECLARED, numbers)
    assert found == [(expected, but(*expected)) for _, expected in UNDECLARED]


NOBODY = UUID(int=0)


HOSTILE = [
    "1" * 251,
    "1e999999999",
    "-0.0",
    "+7",
    ".5",
    "NaN",
    "infinity",
    "\n30",
    "30\n",
    "٣٠",
    "{}",
    '"30"',
    1e300,
    -(10**400),
    [[[]], {}],
    {"": {"": ""}},
    [{"city": [{}]}],
    "2026-13-45T99:99:99Z",
    "\U0010ffff",
    "%",
    "\\",
]


async def test_no_document_makes_a_query_fail(store):
    things = [dict.fromkeys(("name", "age", "tags", "home"), value) for value in HOSTILE]
    things += [{"home": {"city": value}} for value in HOSTILE]
    documents = [({**data, "@metadata": {"@collection": "Things"}}, f"things/{i}") for i, data in enumerate(things)]
    await save(store, *documents)
    async with store.open_session() as session:
        session.advanced.max_number_of_requests_per_session = 1000
        query = session.query_collection("Things")
        for value in (30, "30", "-0", "x"):
            for build, _ in (
                *UNDECLARED,
                (lambda q, value=value: q.where_equals("age", value), None),
                (lambda q, value=value: q.where_less_than("age", value), None),
                (lambda q, value=value: q.where_starts_with("age", str(value)), None),
            )[:: 1 if value == 30 else len(UNDECLARED)]:
                assert await build(query).count() + await build(query.not_()).count() == len(things)
        assert await numbers(query.where_equals("age", "30")) == []
        assert await numbers(query.where_equals("age", 7)) == ["/3"]
        assert await numbers(query.where_equals("age", 0)) == ["/2"]


class Level(enum.Enum):
    LOW = "low"
    HIGH = "High"


@dataclass
class Line:
    product: str
    quantity: int


@dataclass
class Person:
    name: str
    age: int | None
    height: Decimal = Decimal(0)
    tags: list[str] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    level: Level = Level.LOW
    kind: Literal["A", "b"] = "A"
    paid: bool = False
    born: dt.date = dt.date(2000, 1, 1)
    seen: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    key: UUID = NOBODY
    nicknames: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    id: str | None = None


PEOPLE = [
    Person("John", 30, Decimal("1.80"), ["Red", "blue"], [1, 2], [Line("products/1-A", 5), Line("PRODUCTS/2-A", 1)]),
    Person("john", 9, Decimal("1.8"), ["RED"], [2], [Line("products/2-A", 10)], level=Level.HIGH, kind="b", paid=True),
    Person("Äsa", None, born=dt.date(2001, 5, 5), seen=dt.datetime(2026, 2, 1, tzinfo=dt.UTC), key=UUID(int=1)),
    Person("Bob", 100, nicknames={"de": "Bobby"}, extra={"eye": "Blue", "shoes": ["40", 41]}),
]
DECLARED = [
    (lambda q: q.where_equals("name", "JOHN"), [0, 1]),
    (lambda q: q.where_equals("name", "John", True), [0]),
    (lambda q: q.where_equals("age", "30"), [0]),
    (lambda q: q.where_equals("age", 30.0), [0]),
    (lambda q: q.where_equals("age", None), [2]),
    (lambda q: q.where_not_equals("age", None), [0, 1, 3]),
    (lambda q: q.where_not_equals("age", 30), [1, 2, 3]),
    (lambda q: q.where_equals("height", "1.8"), [0, 1]),
    (lambda q: q.where_equals("tags", "red"), [0, 1]),
    (lambda q: q.where_equals("tags", "RED", exact=True), [1]),
    (lambda q: q.where_equals("tags", ["RED"]), [1]),
    (lambda q: q.where_equals("tags", None), []),
    (lambda q: q.where_equals("tags[]", "blue"), [0]),
    (lambda q: q.where_equals("marks", "2"), [0, 1]),
    (lambda q: q.where_in("marks", [1, 7]), [0]),
    (lambda q: q.where_in("marks", [1, None]), [0]),
    (lambda q: q.where_greater_than("marks", 1), [0, 1]),
    (lambda q: q.where_between("marks", "2", 3), [0, 1]),
    (lambda q: q.where_equals("lines[].product", "products/2-a"), [0, 1]),
    (lambda q: q.where_equals("lines.product", "products/2-A", exact=True), [1]),
    (lambda q: q.where_greater_than("lines.quantity", 5), [1]),
    (lambda q: q.where_exists("lines.quantity"), [0, 1]),
    (lambda q: q.where_equals("lines", Line("products/2-A", 10)), [1]),
    (lambda q: q.where_equals("level", Level.HIGH), [1]),
    (lambda q: q.where_equals("level", "HIGH"), [1]),
    (lambda q: q.where_in("level", [Level.HIGH, "LOW"]), [0, 1, 2, 3]),
    (lambda q: q.where_equals("kind", "B"), [1]),
    (lambda q: q.where_equals("paid", True), [1]),
    (lambda q: q.where_equals("paid", "True"), [1]),
    (lambda q: q.where_greater_than("born", "2001-01-01"), [2]),
    (lambda q: q.where_equals("born", dt.date(2001, 5, 5)), [2]),
    (lambda q: q.where_greater_than("seen", "2026-01-15T00:00:00+00:00"), [2]),
    (lambda q: q.where_less_than("seen", dt.datetime(2026, 1, 15, tzinfo=dt.UTC)), [0, 1, 3]),
    (lambda q: q.where_equals("key", str(UUID(int=1)).upper()), [2]),
    (lambda q: q.where_equals("nicknames.de", "BOBBY"), [3]),
    (lambda q: q.where_exists("nicknames.de"), [3]),
    (lambda q: q.where_equals("extra.eye", "blue"), [3]),
    (lambda q: q.where_equals("extra.shoes", 40), [3]),
    (lambda q: q.where_equals("extra.shoes", "41"), [3]),
    (lambda q: q.where_starts_with("name", "jO"), [0, 1]),
    (lambda q: q.where_starts_with("tags", "re"), [0, 1]),
    (lambda q: q.where_ends_with("name", "SA"), [2]),
    (lambda q: q.where_regex("name", "^[JB]O"), [0, 1, 3]),
    (lambda q: q.contains_any("tags", ["blue", "green"]), [0]),
    (lambda q: q.contains_any("marks", [1, "2"]), [0, 1]),
    (lambda q: q.contains_all("tags", ["RED", "BLUE"]), [0]),
    (lambda q: q.contains_all("marks", [1, 2]), [0]),
    (lambda q: q.where_in("name", ["JOHN", "äsa"]), [0, 1, 2]),
    (lambda q: q.where_in("age", ["30", None, 100]), [0, 2, 3]),
    (lambda q: q.where_in("age", iter(())), []),
    (lambda q: q.where_between("name", "b", "john"), [0, 1, 3]),
    (lambda q: q.where_equals("id", "people/2"), [2]),
    (lambda q: q.where_equals("id", "PEOPLE/2"), []),
    (lambda q: q.where_equals("Id", "people/2"), [2]),
    (lambda q: q.where_starts_with("id", "people/"), [0, 1, 2, 3]),
    (lambda q: q.where_starts_with("id", "People/"), []),
]


async def people(store):
    for number, person in enumerate(PEOPLE):
        person.id = f"people/{number}"
    await save(store, *PEOPLE)


async def positions(query):
    return [int(each.id.removeprefix("people/")) for each in await query.all()]


async def test_a_declared_field_is_compared_as_what_it_holds(store):
    await people(store)
    async with store.open_session() as session:
        session.advanced.max_number_of_requests_per_session = 1000
        found = await answers(lambda: session.query(object_type=Person), DECLARED, positions)
    assert found == [(expected, [each for each in range(4) if each not in expected]) for _, expected in DECLARED]


REFUSED = [
    (lambda q: q.where_equals("nickname", "x"), InvalidArgumentException, "stores no field 'nickname'"),
    (lambda q: q.where_equals("name[]", "x"), InvalidArgumentTypeException, "no list"),
    (lambda q: q.where_equals("name.", "x"), InvalidArgumentException, "no name of a field"),
    (lambda q: q.where_equals(None, "x"), InvalidArgumentTypeException, "a field is named"),
    (lambda q: q.where_equals("age", "thirty"), InvalidArgumentTypeException, "age holds int"),
    (lambda q: q.where_equals("name", 30), InvalidArgumentTypeException, "name holds str"),
    (lambda q: q.where_equals("born", "yesterday"), InvalidArgumentException, "born holds date"),
    (lambda q: q.where_in("name", "John"), InvalidArgumentException, "several values"),
    (lambda q: q.contains_any("tags", 5), InvalidArgumentException, "several values"),
    (lambda q: q.where_greater_than("age", None), InvalidArgumentException, "than null"),
    (lambda q: q.where_between("age", None, None), InvalidArgumentException, "a start or an end"),
    (lambda q: q.where_starts_with("age", "3"), InvalidArgumentTypeException, "looks at texts"),
    (lambda q: q.where_starts_with("name", 3), InvalidArgumentTypeException, "takes a str"),
    (lambda q: q.using_default_operator("OR"), InvalidArgumentTypeException, "QueryOperator.AND or"),
    (
        lambda q: q.where_equals("name", "x").using_default_operator(QueryOperator.OR),
        InvalidOperationException,
        "first",
    ),
    (lambda q: q.close_subclause(), InvalidOperationException, "without an open_subclause"),
    (lambda q: q.open_subclause().close_subclause(), InvalidOperationException, "without conditions"),
    (lambda q: q.where_equals("age", 1).or_else().and_also(), InvalidOperationException, "AND follows or_else"),
    (lambda q: q.not_().or_else(), InvalidOperationException, r"OR follows not_\(\)"),
    (lambda q: q.where(name="x").or_else(), InvalidOperationException, "always holds"),
    (lambda q: q.where_equals("age", 1).or_else().where(name="x"), InvalidOperationException, "comes after or_else"),
    (lambda q: q.select_fields(str, "name").where_equals("age", 1), InvalidOperationException, "before select"),
]


async def test_what_makes_no_sense_is_refused_where_it_is_said(store):
    async with store.open_session() as session:
        for build, error, message in REFUSED:
            with pytest.raises(error, match=message):
                build(session.query(Person))


class TestJoining:
    JOINED = [
        (lambda q: q.where_equals("name", "john").where_equals("age", 9), [1]),
        (lambda q: q.where_equals("name", "john").and_also().where_equals("age", 9), [1]),
        (lambda q: q.where_equals("age", 100).or_else().where_equals("age", 9), [1, 3]),
        # AND binds more tightly.
        (lambda q: q.where_equals("age", 100).or_else().where_equals("name", "john").where_equals("age", 9), [1, 3]),
        (lambda q: q.where_equals("name", "john").where_equals("age", 9).or_else().where_equals("age", 100), [1, 3]),
        (
            lambda q: (
                q.open_subclause()
                .where_equals("age", 100)
                .or_else()
                .where_equals("name", "john")
                .close_subclause()
                .where_equals("age", 9)
            ),
            [1],
        ),
        (
            lambda q: (
                q.where_equals("age", 100)
                .or_else()
                .where_equals("name", "john")
                .and_also(wrap_previous_query_clauses=True)
                .where_equals("age", 9)
            ),
            [1],
        ),
        (
            lambda q: (
                q.where_equals("name", "john")
                .and_also()
                .not_()
                .open_subclause()
                .where_equals("age", 9)
                .or_else()
                .open_subclause()
                .where_equals("age", 100)
                .close_subclause()
                .close_subclause()
            ),
            [0],
        ),
        (lambda q: q.not_().where_equals("age", 9), [0, 2, 3]),
        (lambda q: q.not_().negate_next().where_equals("age", 9), [1]),
        (lambda q: q.where_equals("age", 9).or_else().not_().where_exists("name"), [1]),
        (
            lambda q: q.using_default_operator(QueryOperator.OR).where_equals("age", 9).where_equals("age", 30),
            [0, 1],
        ),
        (
            lambda q: (
                q.using_default_operator(QueryOperator.OR)
                .where_equals("age", 9)
                .and_also()
                .where_equals("paid", False)
                .where_equals("age", 30)
            ),
            [0],
        ),
        (lambda q: q.using_default_operator(QueryOperator.OR), [0, 1, 2, 3]),
        # At the beginning there is nothing to join.
        (lambda q: q.or_else().where_equals("age", 9).or_else().where_equals("age", 30), [0, 1]),
        (lambda q: q.open_subclause().and_also().where_equals("age", 9).close_subclause(), [1]),
        # What where() says always holds.
        (lambda q: q.where_equals("age", 9).where(name="John").or_else().where_equals("age", 30), [0]),
        (lambda q: q.where(lambda p: p.age > 9).where_equals("age", 9).or_else().where_equals("age", 30), [0]),
    ]

    async def test_and_binds_more_tightly_than_or_and_groups_more_than_both(self, store):
        await people(store)
        async with store.open_session() as session:
            found = [await positions(build(session.query(Person))) for build, _ in self.JOINED]
        assert found == [expected for _, expected in self.JOINED]

    UNFINISHED = (
        lambda q: q.where_equals("age", 1).or_else(),
        lambda q: q.where_equals("age", 1).and_also(),
        lambda q: q.not_(),
        lambda q: q.open_subclause().where_equals("age", 1),
    )

    async def test_a_query_that_is_not_complete_is_not_asked(self, store):
        async with store.open_session() as session:
            for build in self.UNFINISHED:
                query = build(session.query(Person))
                for ask in (query.all, query.count, query.any, query.page, query.delete, query.sql):
                    with pytest.raises(InvalidOperationException, match="has to follow first"):
                        await ask()
            assert session.advanced.number_of_requests == 0

    async def test_a_step_leaves_the_query_before_as_it_was(self, store):
        await people(store)
        async with store.open_session() as session:
            johns = session.query(Person).where_equals("name", "john")
            either = johns.or_else()
            assert await positions(either.where_equals("age", 100)) == [0, 1, 3]
            assert await positions(either.where_equals("name", "Äsa")) == [0, 1, 2]
            assert await positions(johns) == [0, 1]


async def test_a_handler_cannot_be_drawn_into_an_alternative(store, face):
    await people(store)

    async def only_the_young(args):
        asked = args.query_customization
        asked.query = asked.query.where(age__lt=50)

    store.add_before_query(face.handler(only_the_young))
    async with store.open_session() as session:
        query = session.query(Person).where_equals("age", 100).or_else().where_equals("age", 9)
        assert await positions(query) == [1]


async def test_texts_are_exact_where_the_conventions_say_so(make_store):
    store = make_store(conventions=DocumentConventions(exact_queries=True))
    await people(store)
    async with store.open_session() as session:
        query = session.query(Person)
        assert await positions(query.where_equals("name", "John")) == [0]
        assert await positions(query.where_equals("name", "John", exact=False)) == [0, 1]
        assert await positions(query.where_in("name", ["JOHN"])) == []
        assert await positions(query.contains_any("tags", ["RED"])) == [1]
        assert await positions(query.contains_all("tags", ["Red", "blue"])) == [0]
        assert await positions(query.where_starts_with("name", "jo")) == [1]


class TestWhere:
    async def test_a_collection_may_be_asked_for_by_its_name(self, store):
        await people(store)
        async with store.open_session() as session:
            people_of = session.query_collection("People")
            found = await people_of.where_equals("name", "bob").single()
            assert found["age"] == 100
            assert (await session.query_collection("People", Person).where_equals("age", 9).first()).name == "john"
            assert (await session.advanced.document_query(object_type=Person).count()) == 4
            assert (await session.advanced.document_query(None, "People", Person).count()) == 4
            assert (await session.advanced.document_query(collection_name="People").first())["name"] == "John"
            assert await session.query(source=Person).count() == 4

    async def test_an_index_cannot_be_named(self, store):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException, match="takes no index"):
                session.advanced.document_query("People/ByName", object_type=Person)
            with pytest.raises(InvalidArgumentException, match="takes no index"):
                session.advanced.document_query(object_type=Person, is_map_reduce=True)
            with pytest.raises(InvalidArgumentException, match="a class or a collection"):
                session.advanced.document_query()

    async def test_two_classes_are_refused(self, store):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException, match="two classes"):
                session.query(Person, object_type=Line)
            with pytest.raises(InvalidArgumentTypeException, match="takes a class"):
                session.query()

    async def test_first_and_single_raise_what_ravendb_raises(self, store):
        await people(store)
        async with store.open_session() as session:
            with pytest.raises(IndexError):
                await session.query(Person).where_equals("name", "x").first()
            with pytest.raises(ValueError, match="more than one"):
                await session.query(Person).where_equals("name", "john").single()
