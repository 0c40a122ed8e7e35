"""The shapes of queries: what is told of their conditions and orders, and never a value."""

import datetime as dt
import json
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from docsession import (
    Query,
    all_,
    any_,
    between,
    contains,
    contains_any,
    desc,
    ends_with,
    given,
    id_,
    in_,
    len_,
    matches,
    meta,
    nearest,
    not_,
    search,
    starts_with,
    value,
)
from docsession._query import _shapes
from docsession._query._shape_of import shape_of
from docsession._query._shapes import FieldShape, NearestShape, field_text, shape_from

MOMENT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass
class Line:
    product: str
    quantity: int


@dataclass
class Order:
    company: str
    freight: Decimal | None
    ordered_at: dt.datetime
    paid: bool
    tags: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    either: int | str = 0
    id: str | None = None


def shape(query, *, ordered=True, limited=False):
    return shape_of("Orders", query.specification, "id", ordered=ordered, limited=limited)


def told(query):
    """What a shape says, short."""

    def operand(of):
        match of:
            case _shapes.FieldShape():
                return f"{of.name}:{of.holds}"
            case _shapes.LengthShape():
                return f"len({of.of.name})"
            case _shapes.KeyShape():
                return of.key

    def one(condition):
        match condition:
            case _shapes.ValueCondition():
                return f"{operand(condition.of)} {condition.how} {condition.compared_as.value}"
            case _shapes.ListCondition():
                return f"{operand(condition.of)} {'items' if condition.by_items else 'holds'}"
            case _shapes.SearchCondition():
                return f"{','.join(map(operand, condition.of))} search {condition.language}"
            case _shapes.Alternatives():
                return [[one(each) for each in together] for together in condition.of]

    found = shape(query)
    return [one(each) for each in found.where] + (["..."] if found.is_filtered else [])


q = Query(Order)

CONDITIONS = [
    (lambda o: o.company == "x", ["company:text equal text"]),
    (lambda o: not_(o.company != "x"), ["company:text equal text"]),
    (lambda o: given(o.freight) > 3, ["freight:number range number"]),
    (lambda o: between(o.freight, 1, 2), ["freight:number range number"]),
    (lambda o: o.ordered_at >= MOMENT, ["ordered_at:datetime range instant"]),
    (lambda o: o.ordered_at == MOMENT.replace(tzinfo=None), ["ordered_at:datetime equal text"]),
    (lambda o: o.paid, ["paid:text equal text"]),
    (lambda o: o.attributes == {"a": "x"}, ["attributes:object equal json"]),
    (lambda o: o.attributes["colour"] == "x", ["attributes['colour']:text equal text"]),
    (lambda o: o.either == 3, ["either:any equal number"]),
    (lambda o: in_(o.company, ["x", "y"]), ["company:text in text"]),
    (
        lambda o: in_(o.company, ["x", None]),
        [[["company:text in text"], ["company:text null text"]]],
    ),
    (lambda o: starts_with(o.company, "x"), ["company:text prefix text"]),
    (lambda o: ends_with(o.company, "x"), ["company:text part text"]),
    (lambda o: contains(o.company, "x"), ["company:text part text"]),
    (lambda o: matches(o.company, "x"), ["company:text regex text"]),
    (lambda o: o.company == None, ["company:text null text"]),
    (lambda o: contains(o.tags, "x"), ["tags:list holds"]),
    (lambda o: contains_any(o.tags, ["x", "y"]), ["tags:list holds"]),
    (lambda o: any_(o.lines, lambda i: (i.product == "x") & (i.quantity > 3)), ["lines:list items", "..."]),
    (lambda o: search((o.company, o.tags), "x", language="english"), ["company:text,tags:list search english"]),
    (lambda o: search(o.company, "x"), ["company:text search None"]),
    (lambda o: len_(o.tags) > 3, ["len(tags) range number"]),
    (lambda o: id_(o) == "x", ["@id equal text"]),
    (lambda o: o.id == "x", ["@id equal text"]),
    (lambda o: meta("@last-modified") > MOMENT, ["@last-modified range instant"]),
    (lambda o: meta("own") == "x", ["own equal text"]),
    (
        lambda o: (o.company == "x") & (o.paid | (given(o.freight) > 3)),
        [[["freight:number range number"], ["paid:text equal text"]], "company:text equal text"],
    ),
    (
        lambda o: not_((o.company != "x") | not_(o.paid)),
        ["company:text equal text", "paid:text equal text"],
    ),
]


@pytest.mark.parametrize(("predicate", "expected"), CONDITIONS)
def test_what_an_index_serves_is_told(predicate, expected):
    assert told(q.where(predicate)) == expected


@pytest.mark.parametrize(
    "predicate",
    [
        lambda o: o.company != "x",
        lambda o: not_(given(o.freight) > 3),
        lambda o: not_(contains(o.tags, "x")),
        lambda o: all_(o.lines, lambda i: i.product == "x"),
        lambda o: any_(o.lines, lambda i: i.quantity > 3),
        lambda o: value(o.freight).is_missing(),
        lambda o: given(o.freight) * 2 > 3,
        lambda o: (o.company == "x") | (o.company != "y"),
    ],
)
def test_of_what_none_serves_it_is_told_that_there_is_more(predicate):
    assert told(q.where(predicate)) == ["..."]


def test_what_is_said_first_makes_no_difference():
    one = q.where(lambda o: (o.company == "x") & (o.paid | contains(o.tags, "y")))
    other = q.where(lambda o: (contains(o.tags, "y") | o.paid) & (o.company == "x"))
    assert shape(one).digest == shape(other).digest


def test_keywords_and_the_same_twice():
    assert told(q.where(company__iexact="x")) == ["company:text equal folded"]
    assert told(q.where(company="x").where(company="y")) == ["company:text equal text"]


def test_orders():
    def order(query):
        found = shape(query).order
        return None if found is None else [(each.of, each.down, each.ignores_case) for each in found]

    company, ordered_at = (
        FieldShape("company", ("company",), "text"),
        FieldShape("ordered_at", ("ordered_at",), "datetime"),
    )
    assert order(q) == []
    assert order(q.order_by(lambda o: (o.company, desc(o.ordered_at)))) == [
        (company, False, False),
        (ordered_at, True, False),
    ]
    assert order(q.order_by(lambda o: given(o.freight) * 2)) is None
    assert order(q.group_by(lambda o: o.company).order_by(lambda o: o.company)) == []
    assert shape(q.order_by("company"), ordered=False).order == ()
    assert shape(q, limited=True).is_limited


def test_the_nearest():
    q = Query(dict, "Orders")
    query = q.order_by(lambda o: nearest(o["v"], [1, 2], 5, metric="l2"))
    assert shape(query).nearest == NearestShape(FieldShape("['v']", ("v",), "any"), 2, "l2")
    assert shape_from(shape(query).json) == shape(query)
    assert shape(q.order_by(lambda o: nearest(o["v"], [1, 2], 5, exact=True))).nearest is None


def test_values_are_told_of_nowhere():
    secret = "s3cret"
    query = q.where(lambda o: (o.company == secret) & contains(o.tags, secret) & search(o.company, secret)).order_by(
        lambda o: o.company
    )
    assert secret not in shape(query).json.decode()
    other = q.where(lambda o: (o.company == "x") & contains(o.tags, "y") & search(o.company, "z")).order_by("company")
    assert shape(other).digest == shape(query).digest
    assert shape(other.order_by("paid")).digest != shape(query).digest


@pytest.mark.parametrize(("predicate", "_"), CONDITIONS)
def test_a_shape_is_read_back_as_it_was(predicate, _):
    made = shape(q.where(predicate).order_by("company"), limited=True)
    assert shape_from(made.json) == made
    # PostgreSQL gives jsonb back with its keys in another order.
    again = shape_from(json.dumps(json.loads(made.json), sort_keys=True))
    assert again == made
    assert again.digest == made.digest


@pytest.mark.parametrize("json", [b"", b"[]", b'{"collection": 3}', b'{"collection": "a", "where": [{"type": "x"}]}'])
def test_what_is_no_shape_is_none(json):
    assert shape_from(json) is None


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("company", ("company",), "o.company"),
        ("address.city", ("address", "city"), "o.address.city"),
        ("attributes['a b']", ("attributes", "a b"), "o.attributes['a b']"),
        ("['page']", ("page",), "o['page']"),
        ("lines[-1].product", ("lines", -1, "product"), "o.lines[-1].product"),
        ("from", ("from",), "o['from']"),
        ("größe", ("größe",), "o.größe"),
        ("a or __import__('os').system('x')", ("a",), "o['a']"),
        ("a(print)", ("a",), "o['a']"),
        ("a\n", ("a\x1b[31m'",), 'o["a\\x1b[31m\'"]'),
        ("a[print()]", ("a",), "o['a']"),
        ("a; b", (1, "a"), "o[1]['a']"),
    ],
)
def test_a_field_is_written_as_code_that_names_a_field_and_does_nothing_else(name, path, expected):
    assert field_text(FieldShape(name, path, "text")) == expected
