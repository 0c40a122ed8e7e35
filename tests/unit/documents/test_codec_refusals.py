"""What cannot be stored without loss is refused with id and path, and what does not fit says so."""

# ruff: noqa: DTZ001 (naive datetimes are values too)

import dataclasses
import datetime as dt
import enum
import math
import sys
import uuid
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pydantic
import pytest

from docsession._documents._codec import MAX_DEPTH
from docsession._errors import ConversionException, DocumentMismatchException, UnsupportedValueException
from tests.support.codecs import KEY, make_codec, trip, types_of
from tests.support.jsonb import stored

NAN = math.nan
SECONDS = dt.timezone(dt.timedelta(minutes=53, seconds=28))


@dataclasses.dataclass
class Line:
    product: str
    price: float | None = None
    at: dt.datetime | None = None
    cost: Decimal | None = None


@dataclasses.dataclass
class SpecialLine(Line):
    extra: int = 1


@dataclasses.dataclass
class Order:
    name: str | None = None
    total: float | None = 0.0
    at: dt.datetime | None = None
    time: dt.time | None = None
    cost: Decimal | None = None
    qty: int | None = None
    lines: list[Line] = dataclasses.field(default_factory=list)
    by_name: dict[str, Line] = dataclasses.field(default_factory=dict)
    factors: tuple[float, ...] = ()
    either: float | str | None = None
    by_number: dict[int, float] = dataclasses.field(default_factory=dict)
    anything: Any = None


class StructLine(msgspec.Struct):
    price: float | None = None


class StructOrder(msgspec.Struct):
    lines: list[StructLine] = []
    total: float | None = None


@attrs.define
class AttrsOrder:
    total: float | None = None


class ModelOrder(pydantic.BaseModel):
    total: float | None = None
    lines: list[StructLine] = []
    cost: Decimal | None = None
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)


class PlainOrder:
    def __init__(self, total=None):
        self.total = total


def refuse(entity, *, verify=False, aliases=None):
    """(path, message) of the refusal of a save, as a session comes to it."""
    codec = make_codec(type(entity), None, aliases)
    with pytest.raises(UnsupportedValueException) as caught:
        try:
            snapshot = codec.snapshot(entity)
            body = codec.body(snapshot, KEY)
            codec.check(entity, snapshot, KEY)
            if verify:
                codec.verify(KEY, body, types_of(codec, snapshot))
        except ConversionException:
            raise
        except Exception as error:
            raise codec.explain(entity, KEY, error) from error
    assert caught.value.id == KEY
    assert repr(KEY) in str(caught.value)
    assert caught.value.path in str(caught.value)
    return caught.value.path, str(caught.value)


NOT_STORABLE = [
    (Order(total=NAN), "total"),
    (Order(total=math.inf), "total"),
    (Order(name=NAN), "name"),
    (Order(either=-math.inf), "either"),
    (Order(factors=(1.0, NAN)), "factors[1]"),
    (Order(lines=[Line("a"), Line("b", NAN)]), "lines[1].price"),
    (Order(by_name={"a.b": Line("a", NAN)}), '["a.b"]'),
    (Order(by_number={1: NAN}), "by_number.1"),
    (Order(anything={"a": [1, {"b": NAN}]}), "anything.a[1].b"),
    (Order(anything=(NAN,)), "anything[0]"),
    (Order(cost=Decimal("NaN")), "cost"),
    (Order(cost=Decimal("-Infinity")), "cost"),
    (Order(cost=Decimal("sNaN")), "cost"),
    (Order(cost=Decimal("1E+200000")), "cost"),
    (Order(cost=Decimal("1E-20000")), "cost"),
    (Order(cost=Decimal("1." + "1" * 17000)), "cost"),
    (Order(lines=[Line("a", cost=Decimal("NaN"))]), "lines[0].cost"),
    (Order(cost="1.5"), "cost"),
    (Order(lines=[Line("a", cost=Decimal(1)), Line("b", cost="1.5")]), "lines[1].cost"),
    (ModelOrder.model_construct(cost="1.5"), "cost"),
    (Order(anything=Decimal("Infinity")), "anything"),
    (Order(at=dt.datetime(2020, 1, 1, tzinfo=SECONDS)), "at"),
    (Order(at=dt.datetime(1850, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))), "at"),
    (Order(time=dt.time(1, tzinfo=SECONDS)), "time"),
    (Order(lines=[Line("a", at=dt.datetime(2020, 1, 1, tzinfo=SECONDS))]), "lines[0].at"),
    (Order(anything={"x": dt.datetime(2020, 1, 1, tzinfo=SECONDS)}), "anything.x"),
    (Order(name="a\0b"), "name"),
    (Order(lines=[Line("a\0")]), "lines[0].product"),
    (Order(by_name={"\0": Line("a")}), 'by_name["\\u0000"]'),
    (Order(anything={"a": {"\0": 1}}), 'anything.a["\\u0000"]'),
    (Order(name="\ud800"), "name"),
    (Order(by_name={"\udfff": Line("a")}), "by_name['\\udfff']"),
    (Order(anything=["\ud800"]), "anything[0]"),
    (Order(anything={1: "a"}), "anything"),
    (Order(anything={"a": {None: 1}}), "anything.a"),
    (Order(by_name={1: Line("a")}), "by_name"),
    (Order(by_number={"1": 1.0}), "by_number"),
    (Order(by_number={True: 1.0}), "by_number"),
    (Order(anything=object()), "anything"),
    (Order(anything=[Line("a")]), "anything[0]"),
    (Order(anything=range(3)), "anything"),
    (Order(anything=1j), "anything"),
    (Order(anything=Order), "anything"),
    (Order(anything=print), "anything"),
    (Order(name=object()), "name"),
    (Order(lines=[object()]), "lines[0]"),
    (Order(lines=[SpecialLine("a")]), "lines[0]"),
    (Order(by_name={"a": SpecialLine("a")}), "by_name.a"),
    (Order(lines=[StructLine()]), "lines[0]"),
    (Order(qty=10**5000), "qty"),
    (Order(anything=10**5000), "anything"),
    (StructOrder([StructLine(NAN)]), "lines[0].price"),
    (StructOrder(total=NAN), "total"),
    (AttrsOrder(NAN), "total"),
    (ModelOrder(total=NAN), "total"),
    (ModelOrder(lines=[StructLine(math.inf)]), "lines[0].price"),
    (PlainOrder(NAN), "total"),
    (PlainOrder({"a": NAN}), "total.a"),
    (PlainOrder("\0"), "total"),
    ({"a": {"b": NAN}}, "a.b"),
    ({"a": "\0"}, "a"),
    ({"a": {1, "1"}, "b": {2: 1}}, "b"),
    ({"a": uuid}, "a"),
    ({1: 1}, ""),
]


@pytest.mark.parametrize(("entity", "path"), NOT_STORABLE)
def test_what_would_be_lost_is_refused_with_its_path(entity, path):
    found, _ = refuse(entity)
    assert found == path or found.startswith(f"by_name{path}")


def test_a_number_as_text_says_what_it_is_to_be():
    """It would come back as a number, and yet be found by no condition on numbers."""
    assert refuse(Order(cost="1.5")) == (
        "cost",
        f"document {KEY!r} cannot be stored: at cost: expected Decimal, found str '1.5': make it a Decimal",
    )


def test_text_that_only_looks_like_a_nul_is_kept():
    assert trip(make_codec(Order, None), Order(name="\\u0000", anything="\\\\u0000")).name == "\\u0000"


def test_two_keys_with_one_text_are_refused():
    class Size(enum.Enum):
        ONE = 1
        TEXT = "1"

    @dataclasses.dataclass
    class Holder:
        counts: dict[Size, int]

    for counts in ({Size.ONE: 1, Size.TEXT: 2}, {Size.TEXT: 2}):
        path, message = refuse(Holder(counts))
        assert path == "counts"
        assert "another member" in message
    assert trip(make_codec(Holder, None), Holder({Size.ONE: 1})).counts == {Size.ONE: 1}


@pytest.mark.parametrize("make", [lambda value: Order(anything=value), lambda value: {"anything": value}, PlainOrder])
def test_what_contains_itself_is_refused_with_its_path(make):
    loop: dict[str, Any] = {"a": []}
    loop["a"].append(loop)
    path, message = refuse(make(loop))
    assert path in {"anything.a[0]", "total.a[0]"}
    assert "itself" in message


def test_an_object_that_contains_itself_is_refused():
    class Node(msgspec.Struct):
        next: "Node | None" = None

    node = Node()
    node.next = Node(node)
    assert refuse(node)[0] == "next.next"


def test_documents_are_as_deep_as_allowed_and_not_deeper():
    class Node(msgspec.Struct):
        next: "Node | None" = None

    def chain(length):
        node = None
        for _ in range(length):
            node = Node(node)
        return node

    def nested(depth):
        value: Any = 1
        for _ in range(depth):
            value = [value]
        return {"a": value}

    trip(make_codec(Node, None), chain(MAX_DEPTH))
    trip(make_codec(dict, None), nested(MAX_DEPTH - 1))
    assert "deeper" in refuse(chain(MAX_DEPTH + 1))[1]
    assert "deeper" in refuse(nested(MAX_DEPTH))[1]
    assert "deep" in refuse(nested(sys.getrecursionlimit() * 3))[1]
    trip(make_codec(dict, None), {"a": ["[" * 300]})


UNLOADABLE = [
    (Order(qty="5"), "qty", "int | None", "str '5'"),
    (Order(qty=1.5), "qty", "int | None", "float 1.5"),
    (Order(lines=None), "lines", "list[Line]", "null"),
    (Order(lines=[Line(5)]), "lines[0].product", "str", "int 5"),
    (Order(at="yesterday"), "at", "datetime | None", "str 'yesterday'"),
    (Order(by_name=[1]), "by_name", "dict[str, Line]", "array"),
    (Order(factors=("x",)), "factors[0]", "float", "str 'x'"),
    (Order(lines=[{"price": 1.0}]), "lines[0].product", "str", "nothing: the document lacks it"),
    (StructOrder(lines=5), "lines", "list[StructLine]", "int 5"),
    (AttrsOrder([]), "total", "float | None", "array"),
]


@pytest.mark.parametrize(("entity", "path", "expected", "found"), UNLOADABLE)
def test_what_could_not_be_loaded_again_is_refused_when_it_is_verified(entity, path, expected, found):
    assert refuse(entity, verify=True) == (
        path,
        (
            f"document {KEY!r} cannot be stored, since it could not be loaded again: at {path}: "
            f"expected {expected}, found {found}"
        ),
    )


MISFITS = [
    (Order, {"lines": [{"product": "a"}, {"product": 1}]}, "lines[1].product", "str", "int 1"),
    (Order, {"lines": [{}]}, "lines[0].product", "str", "nothing: the document lacks it"),
    (Order, {"by_name": {"a.b": {"product": []}}}, 'by_name["a.b"].product', "str", "array"),
    (Order, {"qty": "5"}, "qty", "int | None", "str '5'"),
    (Order, {"by_number": {"x": 1.0}}, "by_number.x", "key of type int", "str 'x'"),
    (Order, {"either": {}}, "either", "float | str | None", "object"),
    (StructOrder, {"lines": {}}, "lines", "list[StructLine]", "object"),
    (StructOrder, {"lines": [{"price": "x"}]}, "lines[0].price", "float | None", "str 'x'"),
    (AttrsOrder, {"total": "x"}, "total", "float | None", "str 'x'"),
    (ModelOrder, {"total": []}, "total", "float | None", "array"),
]


@pytest.mark.parametrize(("cls", "json", "path", "expected", "found"), MISFITS)
def test_a_document_that_does_not_fit_says_where_and_why(cls, json, path, expected, found):
    codec = make_codec(cls, None)
    with pytest.raises(DocumentMismatchException) as caught:
        codec.decode(KEY, stored(msgspec.json.encode(json)))
    error = caught.value
    assert (error.id, error.path, error.expected, error.found) == (KEY, path, expected, found)
    assert str(error) == (
        f"document {KEY!r} does not fit {cls.__qualname__}: at {path}: expected {expected}, found {found}"
    )
    assert error.__cause__ is not None


def test_text_that_is_no_json_does_not_fit():
    for cls in (Order, StructOrder, dict, PlainOrder):
        with pytest.raises(DocumentMismatchException):
            make_codec(cls, None).decode(KEY, b'\x01{"a": ')


def test_checks_leave_what_can_be_stored_alone():
    entity = Order(
        name="null NaN Infinity 1E+200000 \\u0000",
        total=1e308,
        at=dt.datetime(2020, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")),
        cost=Decimal("1E+100"),
        qty=10**4000,
        lines=[Line("a", None), Line("b", 1.0, dt.datetime(2020, 1, 1))],
        factors=(1e308, 1e308),
        either=None,
    )
    fresh = trip(make_codec(Order, None), entity)
    assert fresh.at.utcoffset() == dt.timedelta(hours=1)
    assert fresh == dataclasses.replace(entity, at=fresh.at, cost=fresh.cost)


def test_a_typed_place_writes_what_json_has_a_form_for():
    """It is verified whether the declared type reads it; where that is off, nothing gets lost silently."""

    class Text(str):
        __slots__ = ()

    class Size(enum.IntEnum):
        SMALL = 1

    values = [
        (1, 2),
        {2, 1},
        {"a": (1, {"b"})},
        Size.SMALL,
        Text("x"),
        dt.date(2020, 1, 2),
        bytearray(b"a"),
        memoryview(b"a"),
        Decimal("1.5"),
        [uuid.UUID(int=1)],
        type("Day", (dt.date,), {})(2020, 1, 2),
        type("Time", (dt.time,), {})(1, 2),
        type("Delta", (dt.timedelta,), {})(1),
        type("Number", (int,), {})(5),
        type("Binary", (bytes,), {})(b"a"),
        type("Id", (uuid.UUID,), {})(int=1),
        type("Moment", (dt.datetime,), {})(2020, 1, 2),
    ]
    codec = make_codec(Order, None)
    for value in values:
        for entity in (
            Order(qty=value),
            Order(by_name=value),
            Order(either=value),
            Order(lines=[value]),
            *(() if isinstance(value, str) else (Order(cost=value),)),
        ):
            strict = msgspec.json.decode(codec._write(entity, quick=False))
            try:
                assert strict == msgspec.json.decode(codec.snapshot(entity))
            except TypeError:
                pytest.fail(f"the form writes {value!r} and msgspec does not")


def test_none_in_a_place_that_declares_nothing_else():
    holder = dataclasses.make_dataclass("Holder", [("nothing", None), ("either", int | str)])
    codec = make_codec(holder, None)
    assert trip(codec, holder(None, 1)).nothing is None
    with pytest.raises(DocumentMismatchException):
        codec.decode(KEY, b'\x01{"nothing": 1, "either": 2}')
    assert refuse(holder(1, 1), verify=True)[0] == "nothing"
    assert refuse(holder(None, None), verify=True)[0] == "either"
