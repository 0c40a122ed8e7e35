"""Shapes of queries -> queries of that shape, with values that stand for any: to ask the server for their plan."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from docsession._documents._form import Form
from docsession._errors import DocSessionError
from docsession._query._compilation import Scope
from docsession._query._full_text import Asked, Search
from docsession._query._functions import meta
from docsession._query._list_predicates import Holds as Holding
from docsession._query._list_predicates import Items
from docsession._query._operands import Length, Operand, Place
from docsession._query._ordering import Caseless
from docsession._query._predicates import All, Any_, Compare, Predicate
from docsession._query._query import Specification
from docsession._query._recorder import Recorded, below, form_of, operand_of, root_of
from docsession._query._shapes import (
    Alternatives,
    ConditionShape,
    FieldShape,
    Holds,
    LengthShape,
    ListCondition,
    OperandShape,
    QueryShape,
    SearchCondition,
    ValueCondition,
)
from docsession._query._text_predicates import Like, Matches, StartsWith
from docsession._query._value_predicates import In, IsNull
from docsession._sql._values import Shape


class _Forms:
    """One field for each thing that a field may hold."""

    text: str
    number: float
    datetime: dt.datetime
    list: list[Any]
    object: dict[str, Any]
    any: Any


def _form(holds: Holds) -> Form:
    place = operand_of(root_of(_Forms))
    assert place is not None  # noqa: S101  # it stands for a document
    return below(place, holds).form


_ANY: Final[dict[Shape, Any]] = {
    Shape.TEXT: "x",
    Shape.FOLDED: "x",
    Shape.NUMBER: 1,
    Shape.INSTANT: dt.datetime(2000, 1, 1, tzinfo=dt.UTC),
    Shape.JSON: {"x": 1},
}


def specification_from_shape(shape: QueryShape) -> Specification | None:
    """Return a query of a shape; None where its parts do not go together, so that no query is of it."""
    try:
        return Specification(
            dict,
            root_of(dict),
            shape.collection,
            conditions=tuple(map(_predicate, shape.where)),
            orders=tuple(
                (_caseless(each.of) if each.ignores_case else operand_from_shape(each.of), each.down)
                for each in shape.order or ()
            ),
            take=1 if shape.is_limited else None,
        )
    except DocSessionError:
        return None


def operand_from_shape(of: OperandShape) -> Operand:
    """Return what a condition compares, or an order sorts by.

    Raises:
        InvalidArgumentException: There is nothing like it.
    """
    if isinstance(of, FieldShape):
        return place_from_shape(of)
    if isinstance(of, LengthShape):
        return Length(place_from_shape(of.of))
    operand = operand_of(meta(of.key))
    assert operand is not None  # noqa: S101  # `meta` returns one
    return operand


def place_from_shape(field: FieldShape) -> Place:
    """Return a field."""
    return Place(None, field.path, _form(field.holds), field.name)


def _caseless(of: OperandShape) -> Operand:
    operand = operand_from_shape(of)
    return Caseless(operand) if isinstance(operand, Place) else operand


def _predicate(condition: ConditionShape) -> Predicate:
    match condition:
        case ValueCondition():
            return _of_value(condition, operand_from_shape(condition.of))
        case ListCondition():
            place = place_from_shape(condition.of)
            item = form_of(dict)
            if not condition.by_items:
                return Holding(place, item, ["x"], every=True)
            scope = Scope(1)
            return Items(place, scope, Compare("=", Place(scope, (), item, place.label), "x", Shape.TEXT), every=False)
        case SearchCondition():
            fields = tuple(Recorded(place_from_shape(each)) for each in condition.of)
            return Search(Asked(fields, "x", condition.language, "search"))
        case Alternatives():
            return Any_([_together(each) for each in condition.of])


def _together(conditions: Sequence[ConditionShape]) -> Predicate:
    return All([_predicate(each) for each in conditions])


def _of_value(condition: ValueCondition, operand: Operand) -> Predicate:
    shape = condition.compared_as
    match condition.how:
        case "equal":
            return Compare("=", operand, _ANY[shape], shape)
        case "in":
            return In(operand, [_ANY[shape]], shape)
        case "range":
            return Compare(">", operand, _ANY[shape], shape)
        case "prefix":
            return StartsWith(operand, "x", shape)
        case "part":
            return Like(operand, "x", "%", "%", shape)
        case "regex":
            return Matches(operand, "x", shape)
        case "null":
            return IsNull(operand)
