"""Every type of value through a real jsonb column, in every kind of class."""

# ruff: noqa: DTZ001 (naive datetimes are values too)

import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import pytest

from docsession import DocumentConventions
from tests.support.classes import KINDS_OF_CLASSES, make_class, make_instance
from tests.support.codecs import same
from tests.support.documents import save


class Color(enum.Enum):
    RED = "red"
    HALF = 0.5


class Point(NamedTuple):
    x: int
    day: dt.date


@dataclasses.dataclass
class Line:
    product: str
    price: Decimal


@dataclasses.dataclass
class Tag:
    name: str


DAY = dt.date(2020, 1, 2)
ZONE = dt.timezone(-dt.timedelta(hours=5, minutes=30))
FIELDS: dict[str, tuple[Any, Any]] = {
    "text": (str, 'é\u2028😀\\u0000"\x7f\x1f'),
    "integer": (int, -(10**40)),
    "real": (float, 1e300),
    "small": (float, 5e-324),
    "tenth": (float, 0.1),
    "decimal": (Decimal, Decimal("12345678901234567890.12345678901234567890")),
    "scale": (Decimal, Decimal("1.10")),
    "naive": (dt.datetime, dt.datetime(1, 1, 1, 0, 0, 0, 1)),
    "aware": (dt.datetime, dt.datetime(9999, 12, 31, 23, 59, 59, 999999, ZONE)),
    "day": (dt.date, DAY),
    "time": (dt.time, dt.time(1, 2, 3, 4, ZONE)),
    "delta": (dt.timedelta, dt.timedelta(-3, 5, 7)),
    "uuid": (uuid.UUID, uuid.UUID(int=5)),
    "bytes": (bytes, b"\x00\xff"),
    "color": (Color, Color.HALF),
    "numbers": (set[int], {10, 9, 1}),
    "colors": (frozenset[Color], frozenset(Color)),
    "point": (Point, Point(1, DAY)),
    "row": (tuple[int, Line], (1, Line("a", Decimal("2.50")))),
    "lines": (list[Line], [Line("a", Decimal(1)), Line("b", Decimal("0.10"))]),
    "by_day": (dict[dt.date, int], {DAY: 1, dt.date(1999, 1, 1): 2}),
    "by_id": (dict[uuid.UUID, list[int]], {uuid.UUID(int=1): [1]}),
    "by_number": (dict[int, str], {10: "a", 9: "b"}),
    "either": (Line | Tag, Tag("x")),
    "when": (dt.datetime | str, "2020-01-02T00:00:00"),
    "number": (float | int, 1e16),
    "literal": (Literal["a", 1], 1),
    "nothing": (dt.date | None, None),
    "anything": (Any, {"a/b": (1, {DAY}, Decimal("1E+5")), "": [1e16, 10**16, b"x", 1e-7], "k": -1.5e20}),
}


@pytest.mark.parametrize("kind", [kind for kind in KINDS_OF_CLASSES if kind != "TypedDict"])
async def test_values_come_back_and_a_load_makes_nothing_dirty(kind, make_store):
    cls, _ = make_class(kind, {name: annotation for name, (annotation, _) in FIELDS.items()}, __name__)
    conventions = DocumentConventions()
    for each in (Color, Point, Line, Tag):
        conventions.register(each)
    store = make_store(conventions=conventions)
    async with store.open_session() as session:
        await session.store(make_instance(cls, kind, {name: value for name, (_, value) in FIELDS.items()}), "holders/1")
        await session.save_changes()
    async with store.open_session() as session:
        fresh = await session.load("holders/1", cls)
        for name, (_, value) in FIELDS.items():
            assert same(getattr(fresh, name), value), name
        before = session.advanced.number_of_requests
        assert session.advanced.what_changed() == {}
        await session.save_changes()
        assert session.advanced.number_of_requests == before


async def test_dicts_come_back_with_the_types_of_their_values(make_store):
    conventions = DocumentConventions()
    for each in (Color, Point, Line):
        conventions.register(each)
    store = make_store(conventions=conventions)
    declared_only = {"by_day", "by_id", "by_number", "either"}
    entity = {name: value for name, (_, value) in FIELDS.items() if name not in declared_only}
    await save(store, (dict(entity), "holders/1"))
    async with store.open_session() as session:
        fresh = await session.load("holders/1")
        assert same({name: fresh[name] for name in entity}, entity)
        assert session.advanced.what_changed() == {}
