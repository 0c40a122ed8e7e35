"""Untyped places: JSON as it is, the types of everything else recorded beside the document."""

# ruff: noqa: DTZ001 (naive datetimes are values too)

import dataclasses
import datetime as dt
import enum
import json
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from typing import Any, NamedTuple

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docsession._documents._aliases import AliasRegistry
from docsession._documents._codec import codec_for
from docsession._errors import DocumentMismatchException, UnsupportedValueException
from tests.support.codecs import KEY, make_codec, same, trip
from tests.support.jsonb import stored

DAY = dt.date(2020, 1, 2)


class Color(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    day: dt.date


@dataclasses.dataclass
class Line:
    product: str
    price: Decimal
    extra: Any = None


class Struct(msgspec.Struct):
    day: dt.date


@attrs.define
class Attrs:
    _day: dt.date


class Model(pydantic.BaseModel):
    day: dt.date


class Plain:
    def __init__(self, value):
        self.value = value


class Free:
    """A plain class without annotations."""


@dataclasses.dataclass
class Typed:
    anything: Any = None
    thing: object = None
    bag: dict = dataclasses.field(default_factory=dict)
    row: list = dataclasses.field(default_factory=list)
    by_name: dict[str, Any] = dataclasses.field(default_factory=dict)
    pair: tuple = ()
    items: set = dataclasses.field(default_factory=set)


CLASSES = [Color, Point, Line, Struct, Attrs, Model, Plain]
VALUES = [
    (1, 1, {}),
    (1e16, 1e16, {}),
    ("x", "x", {}),
    ({"a": [1, None, True, 0.5]}, {"a": [1, None, True, 0.5]}, {}),
    ((1, 2), [1, 2], {"/value": "tuple"}),
    ({3, 1, 2}, [1, 2, 3], {"/value": "set"}),
    ({1, "a", None}, ["a", 1, None], {"/value": "set"}),
    (frozenset({"a"}), ["a"], {"/value": "frozenset"}),
    (Decimal("1.10"), 1.1, {"/value": "Decimal"}),
    (dt.datetime(2020, 1, 2), "2020-01-02T00:00:00", {"/value": "datetime"}),
    (dt.datetime(2020, 1, 2, tzinfo=dt.UTC), "2020-01-02T00:00:00Z", {"/value": "datetime"}),
    (DAY, "2020-01-02", {"/value": "date"}),
    (dt.time(1, 2), "01:02:00", {"/value": "time"}),
    (dt.timedelta(1), "P1D", {"/value": "timedelta"}),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001", {"/value": "UUID"}),
    (b"ab", "YWI=", {"/value": "bytes"}),
    (Color.RED, "red", {"/value": "Color"}),
    (Point(1, DAY), [1, "2020-01-02"], {"/value": "Point"}),
    (Line("a", Decimal("1.0")), {"product": "a", "price": 1.0, "extra": None}, {"/value": "Line"}),
    (
        Line("a", Decimal(1), (DAY,)),
        {"product": "a", "price": 1, "extra": ["2020-01-02"]},
        {"/value": "Line", "/value/extra": "tuple", "/value/extra/0": "date"},
    ),
    (Struct(DAY), {"day": "2020-01-02"}, {"/value": "Struct"}),
    (Attrs(DAY), {"_day": "2020-01-02"}, {"/value": "Attrs"}),
    (Plain(Plain(1)), {"value": {"value": 1}}, {"/value": "Plain", "/value/value": "Plain"}),
    (
        {"a/b~c.d": [(Decimal(1), {DAY})]},
        {"a/b~c.d": [[1, ["2020-01-02"]]]},
        {
            "/value/a~1b~0c.d/0": "tuple",
            "/value/a~1b~0c.d/0/0": "Decimal",
            "/value/a~1b~0c.d/0/1": "set",
            "/value/a~1b~0c.d/0/1/0": "date",
        },
    ),
]


@pytest.mark.parametrize("kind", ["dict", "free", "annotated"])
@pytest.mark.parametrize(("value", "data", "types"), VALUES)
def test_data_stays_clean_and_types_are_recorded(kind, value, data, types):
    if kind == "dict":
        entity, id_attribute = {"value": value}, None
    elif kind == "free":
        entity, id_attribute = Free(), "Id"
        entity.value = value
    else:
        entity, id_attribute = dataclasses.make_dataclass("Holder", [("value", Any)])(value), None
    codec = make_codec(type(entity), id_attribute, CLASSES)
    snapshot = codec.snapshot(entity)
    assert json.loads(codec.body(snapshot, KEY)) == {"value": data}
    assert json.loads(codec.types(snapshot) or b"{}") == types
    fresh = trip(codec, entity)
    assert same(fresh["value"] if kind == "dict" else fresh.value, value)


def test_a_model_in_an_untyped_place():
    fresh = trip(make_codec(dict, None, [Model]), {"a": [Model(day=DAY)]})
    assert fresh == {"a": [Model(day=DAY)]}


def test_bare_containers_are_untyped_inside():
    entity = Typed(
        anything=(1,),
        thing=DAY,
        bag={"a": {DAY}},
        row=[Decimal("1.0"), [b"x"]],
        by_name={"a": Color.RED},
        pair=(1, (2,)),
        items={1, "1", DAY},
    )
    assert same(trip(make_codec(Typed, None, CLASSES), entity), entity)
    plain = Typed(1, {"a": 1.5}, {"b": []}, [1], {"c": None}, (1, 2), {1, 2})
    codec = make_codec(Typed, None)
    assert codec.types(codec.snapshot(plain)) is None
    assert same(trip(codec, plain), plain)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([1], (1,)),
        ([1], {1}),
        ({1}, frozenset({1})),
        (1, 1.0),
        (1, True),
        (1.0, Decimal("1.0")),
        ("2020-01-02", DAY),
        ("YWI=", b"ab"),
        (1, "1"),
        ({}, []),
        ({"value": 1}, Plain(1)),
        (None, 0),
        (0.0, -0.0),
    ],
)
@pytest.mark.parametrize("cls", [dict, Free, Typed])
def test_a_change_of_type_alone_is_a_change(cls, before, after):
    codec = make_codec(cls, None, CLASSES)

    def make(value):
        if cls is dict:
            return {"anything": value}
        entity = cls()
        entity.anything = value
        return entity

    assert codec.snapshot(make(before)) != codec.snapshot(make(after))
    assert codec.snapshot(make(before)) == codec.snapshot(make(before))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab./~\"'é", max_size=3), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.text("abc./~ é", max_size=4), json_values, max_size=4))
def test_any_json_comes_back(value):
    codec = make_codec(dict, None)
    assert same(trip(codec, value), value)
    assert codec.types(codec.snapshot(value)) is None


UNREGISTERED = [Color.RED, Point(1, DAY), Line("a", Decimal(1)), Plain(1), Struct(DAY), Attrs(DAY), Model(day=DAY)]
SUBCLASSES = [
    OrderedDict(a=1),
    defaultdict(int, a=1),
    Counter("a"),
    deque([1]),
    type("Text", (str,), {})("a"),
    type("Number", (int,), {})(1),
    type("Real", (float,), {})(1.0),
    type("Row", (list,), {})([1]),
    bytearray(b"a").__class__,
    memoryview(b"a"),
    ValueError("a"),
]


@pytest.mark.parametrize("value", UNREGISTERED + SUBCLASSES)
def test_what_would_come_back_as_something_else_is_refused(value):
    for codec, entity in (
        (make_codec(dict, None), {"a": {"b": value}}),
        (make_codec(Typed, None), Typed({"b": value})),
    ):
        with pytest.raises(UnsupportedValueException) as caught:
            try:
                codec.snapshot(entity)
            except Exception as error:
                raise codec.explain(entity, KEY, error) from error
        assert caught.value.path in {"a.b", "anything.b"}
        if value in UNREGISTERED:
            assert "register" in str(caught.value)


def test_the_message_for_an_unregistered_class_names_it():
    codec = make_codec(dict, None)
    error = codec.explain({"a": Plain(1)}, KEY, ValueError())
    assert f"{__name__}.Plain" in str(error)


class NeverRegistered:
    """Of a name that no other test gives to a class."""


def test_stored_data_chooses_no_class_that_is_not_registered():
    codec = make_codec(dict, None)
    for alias in ("NeverRegistered", "builtins.object", f"{__name__}.NeverRegistered", "os.system"):
        with pytest.raises(DocumentMismatchException) as caught:
            codec.decode(KEY, b'\x01{"a": {"value": 1}}', {"/a": alias})
        assert caught.value.path == "a"
        assert "register" in caught.value.found


def test_types_that_do_not_match_the_data_do_not_fit():
    codec = make_codec(dict, None, CLASSES)
    for data, types, path in (
        ({"a": 1}, {"/a": "tuple"}, "a"),
        ({"a": "x"}, {"/a": "date"}, "a"),
        ({"a": ["x", "y"]}, {"/a": "list", "/a/1": "UUID"}, "a[1]"),
        ({"a": {"b": "blue"}}, {"/a/b": "Color"}, "a.b"),
    ):
        with pytest.raises(DocumentMismatchException) as caught:
            codec.decode(KEY, stored(msgspec.json.encode(data)), types)
        assert caught.value.path == path


def test_types_of_places_that_are_gone_do_no_harm():
    codec = make_codec(dict, None)
    assert codec.decode(KEY, b'\x01{"a": 1.5}', {"/b/c": "date", "/a/x": "tuple"}) == {"a": 1.5}


def test_a_class_registered_after_the_codec_was_made():
    registry = AliasRegistry()
    codec = codec_for(dict, None, registry)
    with pytest.raises(Exception, match="register"):
        codec.snapshot({"a": Plain(1)})
    registry.register(Plain, "P")
    assert codec.types(codec.snapshot({"a": Plain(1)})) == b'{"/a":"P"}'
    assert same(trip(codec, {"a": Plain(1)}), {"a": Plain(1)})
