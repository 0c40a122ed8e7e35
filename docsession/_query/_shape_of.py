"""Queries -> their shapes: what of their conditions and orders an index can serve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from docsession._documents._form import Form
from docsession._query._clauses import Clauses
from docsession._query._full_text import Search
from docsession._query._kinds import bare, is_datetime, shape_of_form
from docsession._query._list_predicates import Holds as Holding
from docsession._query._list_predicates import Items
from docsession._query._operands import Column, Length, Operand, Place
from docsession._query._ordering import Caseless
from docsession._query._predicates import NEGATED, All, Any_, Compare, Constant, Not, Predicate
from docsession._query._query import Specification
from docsession._query._shapes import (
    Alternatives,
    ConditionShape,
    FieldShape,
    Holds,
    How,
    KeyShape,
    LengthShape,
    ListCondition,
    NearestShape,
    OperandShape,
    OrderShape,
    QueryShape,
    SearchCondition,
    ValueCondition,
)
from docsession._query._text_predicates import Like, Matches, StartsWith
from docsession._query._value_predicates import In, IsNull
from docsession._query._vectors import Nearest
from docsession._sql._values import Shape

_BY_SHAPE: Final[dict[Shape | None, Holds]] = {Shape.TEXT: "text", Shape.NUMBER: "number"}
_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_NOTHING: Final[tuple[ConditionShape, ...]] = ()


def shape_of(
    collection: str, asked: Specification, id_key: str | None = None, *, ordered: bool, limited: bool
) -> QueryShape:
    """Return the shape of a query.

    Args:
        collection: The collection that it asks.
        asked: The query.
        id_key: The key under which the class has its id.
        ordered: True where the order of the documents matters.
        limited: True where some of them are asked for.
    """
    found = _Describing(id_key)
    where, is_filtered = found.together(asked.conditions)
    order: tuple[OrderShape, ...] | None = ()
    if ordered and not asked.groups and not asked.distinct:
        order = found.order(asked.sorting)
    nearest = None if asked.nearest is None else found.nearest(asked.nearest)
    return QueryShape(collection, where, is_filtered, order, limited, nearest)


class _Describing:
    """Describes the conditions and orders of one class's documents.

    Args:
        id_key: The key under which the class has its id.
    """

    __slots__ = ("_id_key",)

    def __init__(self, id_key: str | None) -> None:
        self._id_key = id_key

    def together(self, conditions: Sequence[Predicate]) -> tuple[tuple[ConditionShape, ...], bool]:
        """Return what an index can serve of conditions that hold together, and whether there is more."""
        found: list[ConditionShape] = []
        is_filtered = False
        for each in conditions:
            shapes, is_partly = self._of(each, negated=False)
            found += shapes
            is_filtered = is_filtered or is_partly
        return _in_one_order(found), is_filtered

    def order(self, orders: Sequence[tuple[Operand, bool]]) -> tuple[OrderShape, ...] | None:
        """Return what is sorted by; None where no index has such an order."""
        found = []
        for operand, down in orders:
            caseless = isinstance(operand, Caseless)
            shape = self._operand(operand.of if isinstance(operand, Caseless) else operand)
            if shape is None:
                return None
            found.append(OrderShape(shape, down, caseless))
        return tuple(found)

    def nearest(self, nearest: Nearest) -> NearestShape | None:
        """Return what documents are the nearest of; None where no index may be asked for them."""
        distance = nearest._distance
        field = None if nearest._exact else self._field(distance.place)
        return None if field is None else NearestShape(field, distance.size, distance.metric)

    def _of(self, condition: Predicate, *, negated: bool) -> tuple[Sequence[ConditionShape], bool]:
        match condition:
            case Clauses():
                return self._of(condition._whole(), negated=negated)
            case Not():
                return self._of(condition._inner, negated=not negated)
            case All() | Any_():
                return self._joined(condition, negated=negated)
            case Constant():
                return _NOTHING, True
        made = None
        if not negated or isinstance(condition, Compare):
            made = self._leaf(condition, negated=negated)
        return (_NOTHING, True) if made is None else ((made,), isinstance(made, ListCondition) and made.by_items)

    def _joined(self, condition: All | Any_, *, negated: bool) -> tuple[Sequence[ConditionShape], bool]:
        parts = [self._of(each, negated=negated) for each in condition._parts]
        if isinstance(condition, All) is not negated:
            return [each for shapes, _ in parts for each in shapes], any(is_partly for _, is_partly in parts)
        if not all(shapes for shapes, _ in parts):
            return _NOTHING, True
        # Whichever comes first, it is the same question.
        arms = {_in_one_order(shapes) for shapes, _ in parts}
        return [Alternatives(tuple(sorted(arms, key=_encode)))], False

    def _leaf(self, condition: Predicate, *, negated: bool) -> ConditionShape | None:
        match condition:
            case Compare():
                operator = NEGATED[condition._operator] if negated else condition._operator
                # What is negated holds for null, too, and but for equality no index serves both.
                how: How | None = "equal" if operator == "=" else None if negated or operator == "<>" else "range"
                return self._value(condition._operand, how, condition._shape)
            case In():
                return self._in(condition)
            case IsNull(_form="null or missing"):
                return self._value(condition._operand, "null", Shape.TEXT)
            case StartsWith():
                return self._value(condition._operand, "prefix", condition._shape)
            case Like():
                return self._value(condition._operand, "part", condition._shape)
            case Matches(_shape=Shape.TEXT):
                return self._value(condition._operand, "regex", Shape.TEXT)
            case Holding():
                field = self._field(condition._place)
                return None if field is None else ListCondition(field, by_items=False)
            case Items(_every=False):
                field = self._field(condition._place)
                is_served = field is not None and condition._inner.implies_containment(condition._scope)
                return ListCondition(field, by_items=True) if field is not None and is_served else None
            case Search():
                fields = [self._field(place) for place in condition._asked.places]
                named = tuple(field for field in fields if field is not None)
                return SearchCondition(named, condition._asked._language) if len(named) == len(fields) else None
        return None

    def _in(self, condition: In) -> ConditionShape | None:
        found = [self._value(condition._operand, "in", shape) for shape in condition._lists if shape is not Shape.JSON]
        if condition._has_null:
            found.append(self._value(condition._operand, "null", Shape.TEXT))
        made = [each for each in found if each is not None]
        if not made or Shape.JSON in condition._lists:
            return None
        return made[0] if len(made) == 1 else Alternatives(tuple((each,) for each in made))

    def _value(self, operand: Operand, how: How | None, shape: Shape) -> ValueCondition | None:
        described = None if how is None else self._operand(operand)
        return None if how is None or described is None else ValueCondition(described, how, shape)

    def _operand(self, operand: Operand) -> OperandShape | None:
        match operand:
            case Place():
                if operand.scope is None and operand.path == (self._id_key,):
                    return KeyShape("@id")
                return self._field(operand)
            case Length():
                field = self._field(operand._of)
                return None if field is None else LengthShape(field)
            case Column():
                return KeyShape(operand.key)
        return None

    @staticmethod
    def _field(place: Place) -> FieldShape | None:
        if place.scope is not None or not place.path:
            return None
        return FieldShape(place.label, place.path, _holds(place.form))


def _in_one_order(conditions: Iterable[ConditionShape]) -> tuple[ConditionShape, ...]:
    return tuple(sorted(set(conditions), key=_encode))


def _holds(form: Form) -> Holds:
    form = bare(form)
    if form.untyped:
        return "any"
    shape = shape_of_form(form)
    if shape is Shape.JSON:
        return "list" if form.kinds == {"array"} else "object"
    return "datetime" if is_datetime(form) else _BY_SHAPE.get(shape, "any")
