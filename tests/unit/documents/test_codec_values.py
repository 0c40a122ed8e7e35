"""The typed table: each type of value, in each kind of class, comes back as what it was."""

# ruff: noqa: DTZ001 (naive datetimes are values too)

import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypeVar, Union

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typing_extensions import TypedDict

from tests.support.classes import KINDS_OF_CLASSES, make_class, make_instance
from tests.support.codecs import KEY, document, make_codec, same, trip, types_of
from tests.support.jsonb import stored

T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


class Mixed(enum.Enum):
    WORD = "word"
    NUMBER = 1
    HALF = 0.5
    DAY = dt.date(2020, 1, 1)
    PAIR = (1, "a")
    PRICE = Decimal("1.10")
    NOTHING = None


class Point(NamedTuple):
    x: int
    day: dt.date
    name: str = "origin"


class Extent(TypedDict):
    size: int
    day: NotRequired[dt.date]


@dataclasses.dataclass
class Line:
    product: str
    price: Decimal
    quantity: int = 1


@dataclasses.dataclass(frozen=True)
class Tag:
    name: str
    rank: int


class Node(msgspec.Struct):
    name: str
    children: list["Node"] = []
    day: dt.date | None = None


@dataclasses.dataclass
class Box(Generic[T]):
    content: T
    more: list[T]


@attrs.define
class Place:
    city: str
    since: dt.datetime | None = None


class Address:
    street: str
    known: dt.date

    def __init__(self, street, known):
        self.street = street
        self.known = known


class Person(pydantic.BaseModel):
    name: str
    born: dt.date


CompanyId = NewType("CompanyId", str)

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
integers = st.integers() | st.integers(-(10**60), 10**60)
floats = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [1e16, 1e22, -1e300, 5e-324, 1.0, 0.1, 1e-7]
)
decimals = st.decimals(allow_nan=False, allow_infinity=False, places=None) | st.sampled_from(
    [Decimal("1.10"), Decimal("0.000"), Decimal("1E+5"), Decimal("-12345678901234567890123456789.10"), Decimal("1E-30")]
)
zones = st.one_of(
    st.none(), st.just(dt.UTC), st.integers(-1439, 1439).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
)
datetimes = st.datetimes(timezones=zones)
dates = st.dates()
times = st.times(timezones=zones)
deltas = st.timedeltas() | st.sampled_from([dt.timedelta.min, dt.timedelta.max, dt.timedelta(microseconds=-1)])
uuids = st.uuids()
binaries = st.binary(max_size=9)
lines = st.builds(Line, texts, decimals, integers)
nodes = st.recursive(
    st.builds(Node, texts, st.just([]), st.none() | dates),
    lambda inner: st.builds(Node, texts, st.lists(inner, max_size=2), st.none() | dates),
    max_leaves=4,
)


def _is_hashable(value):
    try:
        hash(value)
    except TypeError:
        return False
    # 1, 1.0 and True are one item of a set, and which of them it is depends on who came first.
    return not isinstance(value, (bool, float, Decimal, frozenset, tuple))


ROWS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "str": (str, texts),
    "int": (int, integers),
    "float": (float, floats),
    "bool": (bool, st.booleans()),
    "None": (None, st.none()),
    "Decimal": (Decimal, decimals),
    "datetime": (dt.datetime, datetimes),
    "date": (dt.date, dates),
    "time": (dt.time, times),
    "timedelta": (dt.timedelta, deltas),
    "UUID": (uuid.UUID, uuids),
    "bytes": (bytes, binaries),
    "str Enum": (Color, st.sampled_from(Color)),
    "int Enum": (Level, st.sampled_from(Level)),
    "Flag": (Access, st.sampled_from([Access(0), Access.READ, Access.READ | Access.WRITE])),
    "mixed Enum": (Mixed, st.sampled_from(Mixed)),
    "list": (list[dt.date], st.lists(dates, max_size=3)),
    "set of int": (set[int], st.sets(integers, max_size=3)),
    "set of str": (frozenset[str], st.frozensets(texts, max_size=3)),
    "set of Enum": (set[Color], st.sets(st.sampled_from(Color))),
    "set of datetime": (set[dt.datetime], st.sets(datetimes, max_size=3)),
    "set of tuples": (frozenset[tuple[int, str]], st.frozensets(st.tuples(integers, texts), max_size=3)),
    "set of sets": (set[frozenset[int]], st.sets(st.frozensets(st.integers(0, 3), max_size=2), max_size=3)),
    "mixed set": (set[int | str], st.sets(st.integers(-3, 3) | st.sampled_from(["1", "a"]), max_size=4)),
    "tuple": (tuple[int, str, dt.date], st.tuples(integers, texts, dates)),
    "tuple of any length": (tuple[Decimal, ...], st.lists(decimals, max_size=3).map(tuple)),
    "NamedTuple": (Point, st.builds(Point, integers, dates, texts)),
    "dict": (dict[str, dt.date], st.dictionaries(texts, dates, max_size=3)),
    "dict by int": (dict[int, str], st.dictionaries(integers, texts, max_size=3)),
    "dict by UUID": (dict[uuid.UUID, int], st.dictionaries(uuids, integers, max_size=3)),
    "dict by date": (dict[dt.date, float], st.dictionaries(dates, floats, max_size=3)),
    "dict by datetime": (dict[dt.datetime, int], st.dictionaries(datetimes, integers, max_size=3)),
    "dict by str Enum": (dict[Color, int], st.dictionaries(st.sampled_from(Color), integers)),
    "dict by int Enum": (dict[Level, int], st.dictionaries(st.sampled_from(Level), integers)),
    "dict by bool": (dict[bool, int], st.dictionaries(st.booleans(), integers)),
    "dict by float": (dict[float, int], st.dictionaries(floats.filter(bool), integers, max_size=3)),
    "TypedDict": (Extent, st.fixed_dictionaries({"size": integers}, optional={"day": dates})),
    "Optional": (dt.date | None, st.none() | dates),
    "Literal": (Literal["a", 1, True] | None, st.sampled_from(["a", 1, True, None])),
    "Literal of Enum": (Literal[Color.RED, "x"], st.sampled_from([Color.RED, "x"])),
    "float | int": (float | int, floats | integers),
    "Decimal | float | int": (Decimal | float | int, decimals.filter(lambda d: not d.is_zero()) | floats | integers),
    "datetime | str": (dt.datetime | str, datetimes | texts | datetimes.map(dt.datetime.isoformat)),
    "str | date | UUID": (str | dt.date | uuid.UUID, texts | dates | uuids),
    "date | datetime | None": (dt.date | dt.datetime | None, dates | datetimes | st.none()),
    "bytes | str": (bytes | str, binaries | texts),
    "list | tuple | set": (
        list[int] | tuple[int, ...] | set[int],
        st.one_of(st.lists(st.integers(0, 3), max_size=3), st.tuples(integers), st.sets(st.integers(0, 3))),
    ),
    "list | list": (list[dt.date] | list[str], st.lists(dates, max_size=2) | st.lists(texts, max_size=2)),
    "Enum | str": (Color | str, st.sampled_from(Color) | texts | st.just("red")),
    "dataclass": (Line, lines),
    "attrs": (Place, st.builds(Place, texts, st.none() | datetimes)),
    "Struct, recursive": (Node, nodes),
    "plain": (Address, st.builds(Address, texts, dates)),
    "pydantic": (Person, st.builds(lambda name, born: Person(name=name, born=born), texts, dates)),
    "generic": (Box[dt.date], st.builds(Box, dates, st.lists(dates, max_size=2))),
    "set of dataclasses": (set[Tag], st.sets(st.builds(Tag, texts, integers), max_size=2)),
    "A | B": (Line | Tag, lines | st.builds(Tag, texts, integers)),
    "A | dict": (Tag | dict[str, int], st.builds(Tag, texts, integers) | st.dictionaries(texts, integers, max_size=2)),
    "lists of A | B | None": (
        list[Line | Tag | None],
        st.lists(lines | st.none() | st.builds(Tag, texts, integers), max_size=3),
    ),
    "nested": (
        dict[str, list[tuple[int, Line | None]]],
        st.dictionaries(texts, st.lists(st.tuples(integers, st.none() | lines), max_size=2), max_size=2),
    ),
    "Annotated": (Annotated[int, msgspec.Meta(ge=0)], st.integers(0, 10**6)),
    "NewType": (CompanyId, texts),
    "Any": (
        Any,
        st.recursive(
            texts | integers | floats | decimals | datetimes | dates | uuids | binaries | st.booleans() | st.none(),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(texts, inner, max_size=2)
                | st.tuples(inner, inner)
                | st.frozensets(inner.filter(_is_hashable), max_size=2)
            ),
            max_leaves=6,
        ),
    ),
}


@pytest.mark.parametrize("kind", KINDS_OF_CLASSES)
@pytest.mark.parametrize("row", ROWS)
def test_a_value_comes_back_as_it_was(row, kind):
    annotation, strategy = ROWS[row]
    cls, id_attribute = make_class(kind, {"value": annotation}, __name__)
    codec = make_codec(cls, id_attribute, [Line, Tag, Color, Level, Access, Mixed, Point, Place, Node, Address, Person])

    @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def check(value):
        fresh = trip(codec, make_instance(cls, kind, {"value": value}))
        found = fresh["value"] if isinstance(fresh, dict) else fresh.value
        assert same(found, value), (found, value)
        if id_attribute is not None:
            assert codec.get_id(fresh) == "things/1-A"

    check()


FORMS = [
    (Decimal, Decimal("1.10"), b"1.10"),
    (Decimal, Decimal(5), b"5"),
    (dt.datetime, dt.datetime(2020, 1, 2, 3, 4, 5, 6), b'"2020-01-02T03:04:05.000006"'),
    (dt.datetime, dt.datetime(2020, 1, 2, tzinfo=dt.UTC), b'"2020-01-02T00:00:00Z"'),
    (dt.datetime, dt.datetime(2020, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=-5))), b'"2020-01-02T00:00:00-05:00"'),
    (dt.date, dt.date(2020, 1, 2), b'"2020-01-02"'),
    (dt.time, dt.time(3, 4), b'"03:04:00"'),
    (dt.timedelta, dt.timedelta(days=1, seconds=5), b'"P1DT5S"'),
    (uuid.UUID, uuid.UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
    (bytes, b"ab", b'"YWI="'),
    (Color, Color.RED, b'"red"'),
    (Mixed, Mixed.PAIR, b'[1,"a"]'),
    (Mixed, Mixed.PRICE, b"1.10"),
    (set[int], {3, 1, 2}, b"[1,2,3]"),
    (set[Color], {Color.RED, Color.GREEN}, b'["green","red"]'),
    (dict[int, str], {2: "b", 10: "a"}, b'{"10":"a","2":"b"}'),
    (dict[dt.date, int], {dt.date(2020, 1, 2): 1}, b'{"2020-01-02":1}'),
    (dict[uuid.UUID, int], {uuid.UUID(int=1): 1}, b'{"00000000-0000-0000-0000-000000000001":1}'),
    (dict[Color, int], {Color.RED: 1}, b'{"red":1}'),
    (dict[bool, int], {True: 1}, b'{"true":1}'),
    (Point, Point(1, dt.date(2020, 1, 2)), b'[1,"2020-01-02","origin"]'),
    (Line | Tag, Tag("a", 1), b'{"@type":"Tag","name":"a","rank":1}'),
    (float | int, 1e16, b"10000000000000000.0"),
    (float | int, -1.5e20, b"-150000000000000000000.0"),
    (float | int, 10**16, b"10000000000000000"),
]


@pytest.mark.parametrize("kind", [kind for kind in KINDS_OF_CLASSES if kind != "hinted plain"])
@pytest.mark.parametrize(("annotation", "value", "json"), FORMS)
def test_a_type_has_one_json_form_in_every_kind_of_class(kind, annotation, value, json):
    cls, id_attribute = make_class(kind, {"value": annotation}, __name__)
    codec = make_codec(cls, id_attribute)
    body = codec.body(codec.snapshot(make_instance(cls, kind, {"value": value})), "x")
    assert body == b'{"value":' + json + b"}"


def test_fields_that_equal_their_default_are_written():
    @dataclasses.dataclass
    class Order:
        total: int = 0
        lines: list[Line] = dataclasses.field(default_factory=list)

    assert document(make_codec(Order), Order()) == {"total": 0, "lines": []}


def test_an_exponent_in_text_is_no_number():
    codec = make_codec(dict, None)
    entity = {"a": '1e16 "2e20', "hash": "3e5", "b": 1e16, "c": [1e300, 1.5e16], "d,1e17": ":1e18"}
    assert same(trip(codec, entity), entity)
    assert document(codec, entity) == entity
    assert b"10000000000000000.0" in codec.body(codec.snapshot(entity), "x")


def test_a_value_of_a_subclass_is_stored_as_its_base():
    class Stamp(dt.datetime):
        pass

    class Weight(float):
        pass

    @dataclasses.dataclass
    class Sample:
        at: dt.datetime
        weight: float
        seen: dt.datetime | str

    fresh = trip(make_codec(Sample), Sample(Stamp(2020, 1, 2), Weight(1.5), Stamp(2020, 1, 3)))
    assert same(fresh.at, dt.datetime(2020, 1, 2))
    assert same(fresh.weight, 1.5)
    assert same(fresh.seen, dt.datetime(2020, 1, 3))


def test_sequences_and_mappings_by_their_abstract_names():
    from collections.abc import Iterable, Mapping, MutableSequence, Sequence
    from collections.abc import Set as AbstractSet

    @dataclasses.dataclass
    class Bag:
        a: Sequence[dt.date]
        b: Mapping[str, dt.date]
        c: AbstractSet[int]
        d: Iterable[int]
        e: MutableSequence[int]

    day = dt.date(2020, 1, 2)
    fresh = trip(make_codec(Bag), Bag([day], {"x": day}, {1}, [1], [2]))
    assert (fresh.a, fresh.b, fresh.c, fresh.d, fresh.e) == ([day], {"x": day}, {1}, [1], [2])


def test_old_spellings_of_annotations():
    from typing import Dict, FrozenSet, List, Set, Tuple  # noqa: UP035  # as older code has it

    @dataclasses.dataclass
    class Old:
        a: List[dt.date]  # noqa: UP006  # as older code has it
        b: Dict[int, dt.date]  # noqa: UP006  # as older code has it
        c: Set[int]  # noqa: UP006  # as older code has it
        d: Tuple[int, ...]  # noqa: UP006  # as older code has it
        e: FrozenSet[str]  # noqa: UP006  # as older code has it
        f: Union[dt.date, str]  # noqa: UP007  # as older code has it
        g: Tuple  # noqa: UP006  # as older code has it
        h: List  # noqa: UP006  # as older code has it

    day = dt.date(2020, 1, 2)
    entity = Old([day], {1: day}, {1}, (1, 2), frozenset("a"), "x", (1, (2,)), [{1}])
    assert trip(make_codec(Old), entity) == entity


@pytest.mark.parametrize("kind", KINDS_OF_CLASSES)
@pytest.mark.parametrize("row", ROWS)
def test_the_form_writes_and_reads_what_msgspec_does(row, kind):
    """Forms stand in wherever msgspec fails, so both have to agree."""
    annotation, strategy = ROWS[row]
    cls, id_attribute = make_class(kind, {"value": annotation}, __name__)
    codec = make_codec(cls, id_attribute, [Line, Tag, Color, Level, Access, Mixed, Point, Place, Node, Address, Person])
    if codec._native.encode is None and codec._native.decode is None:
        return

    @settings(max_examples=4, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def check(value):
        entity = make_instance(cls, kind, {"value": value})
        codec.set_id(entity, KEY)
        snapshot = codec.snapshot(entity)
        strict = codec._write(entity, quick=False)
        assert codec.types(strict) == codec.types(snapshot)
        assert stored(codec.body(strict, KEY)) == stored(codec.body(snapshot, KEY))
        data = stored(codec.body(snapshot, KEY))
        types = types_of(codec, snapshot)
        assert same(codec._read_slowly(KEY, data[1:], types, None), codec.decode(KEY, data, types))

    check()
