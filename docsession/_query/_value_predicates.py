"""Conditions on values that are more than the comparison with one: two operands, null, one of several values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from typing_extensions import override

from docsession._errors import InvalidArgumentTypeException
from docsession._port import TextArray
from docsession._query._compilation import Compilation
from docsession._query._kinds import ARRAY_CASTS, array_item, binder, is_datetime, shape_of_form
from docsession._query._operands import Operand, Place
from docsession._query._predicates import NEGATED, Predicate
from docsession._sql._values import Shape


class CompareOperands(Predicate):
    """Two operands compared with each other; where one has no value it is false, but for `<>`."""

    __slots__ = ("_left", "_operator", "_right", "_shape")

    def __init__(self, operator: str, left: Operand, right: Operand) -> None:
        self._operator = operator
        self._left = left
        self._right = right
        self._shape = _common_shape(left, right)
        if operator not in {"=", "<>"} and self._shape is Shape.JSON:
            raise InvalidArgumentTypeException(f"{left.label} and {right.label} have no order; only == and != do")

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(("operands", self._operator))
        self._left.walk(key, values)
        self._right.walk(key, values)

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        left, right = self._left.sql(to, self._shape), self._right.sql(to, self._shape)
        operator = self._operator
        if (operator == "<>") is not negated:
            operator = operator if operator == "<>" else NEGATED[operator]
            return f"({left} {operator} {right} OR {left} IS NULL OR {right} IS NULL)"
        return f"{left} {'=' if operator == '<>' else operator} {right}"


def _common_shape(left: Operand, right: Operand) -> Shape:
    one, other = shape_of_form(left.form), shape_of_form(right.form)
    if one is None and other is None:
        return Shape.INSTANT if is_datetime(left.form) and is_datetime(right.form) else Shape.JSON
    if one is not None and other is not None and one is not other:
        raise InvalidArgumentTypeException(
            f"{left.label} holds {left.form.label} and {right.label} {right.form.label}: they are never equal"
        )
    return one or other or Shape.JSON


class IsNull(Predicate):
    """A value that is JSON's null, or that the document does not have.

    Args:
        form: "null or missing", "null" or "missing".
    """

    __slots__ = ("_form", "_operand")

    def __init__(self, operand: Operand, form: str = "null or missing") -> None:
        self._operand = operand
        self._form = form
        if form != "null or missing" and not isinstance(operand, Place):
            raise InvalidArgumentTypeException(f"{operand.label} is no field of the document")

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(self._form)
        self._operand.walk(key, values)

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        no = " NOT" if negated else ""
        operand = self._operand
        if not isinstance(operand, Place) or operand.is_id(to):
            return f"{operand.sql(to, Shape.NUMBER)} IS{no} NULL"
        if self._form == "missing":
            return f"{operand.json(to)} IS{no} NULL"
        if self._form == "null":
            json = operand.json(to)
            return f"({json} <> 'null' OR {json} IS NULL)" if negated else f"{json} = 'null'"
        # The expression that an index of the field has, where it tells null as well.
        shape = shape_of_form(operand.form)
        if shape is Shape.TEXT:
            return f"{operand.sql(to, Shape.TEXT)} IS{no} NULL"
        text = operand.text(to)
        if not negated and operand.scope is None:
            # What is no text is no number and no instant either, and of those an index may know.
            for other in (Shape.NUMBER, Shape.INSTANT):
                if (operand.path, other) in to.access.trees:
                    return f"({text} IS NULL AND {operand.sql(to, other)} IS NULL)"
        return f"{text} IS{no} NULL"


class In(Predicate):
    """An operand equal to one of several values.

    Args:
        shape: What they are compared as; None finds it out.
    """

    __slots__ = ("_has_null", "_lists", "_operand")

    def __init__(self, operand: Operand, values: Sequence[Any], shape: Shape | None = None) -> None:
        self._operand = operand
        self._has_null = False
        lists: dict[Shape, list[Any]] = {}
        for value in values:
            if value is None:
                self._has_null = True
                continue
            lists.setdefault(shape or operand.shape_against(value), []).append(value)
        self._lists = lists

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        shapes = tuple((shape, len(found) if shape is Shape.JSON else None) for shape, found in self._lists.items())
        key.append(("in", self._has_null, shapes))
        self._operand.walk(key, values)
        for shape, found in self._lists.items():
            if shape is Shape.JSON:
                values.extend(found)
            else:
                values.append(tuple(found))

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        parts = []
        operand = self._operand
        for shape, found in self._lists.items():
            left = operand.sql(to, shape)
            if shape is Shape.JSON:
                bind = binder(operand.form, shape)
                parts += [f"{left} = {to.bind(to.take(), bind)}" for _ in found]
            else:
                array = to.bind(to.take(), _array_of(operand, shape), ARRAY_CASTS[shape])
                if shape is Shape.FOLDED:
                    array = f"ARRAY(SELECT lower(v) FROM unnest({array}) AS v)"
                parts.append(f"{left} = ANY({array})")
        if self._has_null:
            parts.append(IsNull(operand).sql(to))
        if not parts:
            return "TRUE" if negated else "FALSE"
        told = " OR ".join(parts)
        # `IS NOT TRUE` takes an unknown for false, once, above everything that may be unknown.
        return f"({told}) IS NOT TRUE" if negated else f"({told})"


def _array_of(operand: Operand, shape: Shape) -> Callable[[Any], TextArray]:
    item = array_item(operand.form, shape)
    return lambda values: TextArray(map(item, values))
