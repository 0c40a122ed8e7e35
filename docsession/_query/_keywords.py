"""Conditions in the manner of Django: `where(company="companies/1-A", freight__gt=20)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from docsession._documents._containers import Dict
from docsession._documents._containers import Items as ItemsForm
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query import _functions as functions
from docsession._query._kinds import bare, shape_of_value
from docsession._query._operands import Operand
from docsession._query._predicates import Compare, Not, Predicate, as_predicate
from docsession._query._recorder import Recorded, compare, operand_of
from docsession._query._text_predicates import Like, Matches, StartsWith
from docsession._query._value_predicates import IsNull
from docsession._sql._values import Shape

Lookup = Callable[[Operand, Any], object]


def _exact(operand: Operand, value: Any) -> object:
    return IsNull(operand) if value is None else compare("=", operand, value)


def _is_null(operand: Operand, value: Any) -> object:
    if not isinstance(value, bool):
        raise InvalidArgumentTypeException(f"{operand.label}__isnull is True or False, not {value!r:.40}")
    return IsNull(operand) if value else Not(IsNull(operand))


def _between(operand: Operand, value: Any) -> object:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise InvalidArgumentException(f"{operand.label}__range is (low, high), not {value!r:.60}")
    return functions.between(Recorded(operand), value[0], value[1])


def _iexact(operand: Operand, value: Any) -> object:
    if not isinstance(value, str):
        raise InvalidArgumentTypeException(f"{operand.label}__iexact is a str, not {type(value).__qualname__}")
    if shape_of_value(operand.form, value, operand.label) is not Shape.TEXT:
        raise InvalidArgumentTypeException(f"{operand.label} holds {operand.form.label}, which has no case")
    return Compare("=", operand, value, Shape.FOLDED)


LOOKUPS: Final[dict[str, Lookup]] = {
    "exact": _exact,
    "iexact": _iexact,
    "ne": lambda operand, value: Not(IsNull(operand)) if value is None else compare("<>", operand, value),
    "gt": lambda operand, value: compare(">", operand, value),
    "gte": lambda operand, value: compare(">=", operand, value),
    "lt": lambda operand, value: compare("<", operand, value),
    "lte": lambda operand, value: compare("<=", operand, value),
    "in": lambda operand, value: functions.in_(Recorded(operand), value),
    "range": _between,
    "isnull": _is_null,
    "contains": lambda operand, value: functions.contains(Recorded(operand), value),
    "icontains": lambda operand, value: Like(operand, value, "%", "%", Shape.FOLDED),
    "startswith": StartsWith,
    "istartswith": lambda operand, value: StartsWith(operand, value, Shape.FOLDED),
    "endswith": lambda operand, value: Like(operand, value, "%", ""),
    "iendswith": lambda operand, value: Like(operand, value, "%", "", Shape.FOLDED),
    "regex": Matches,
    "iregex": lambda operand, value: Matches(operand, value, Shape.FOLDED),
}
"""Django's names, and `ne`."""


def condition_of(root: Recorded, name: str, value: object) -> Predicate:
    """Return the condition of one keyword.

    Raises:
        InvalidArgumentException: There is no such field or lookup.
    """
    return _condition(root, name.split("__"), name, value)


def _condition(recorded: Recorded, parts: list[str], name: str, value: object) -> Predicate:
    operand = operand_of(recorded)
    assert operand is not None  # noqa: S101  # it was recorded
    if not parts:
        return as_predicate(LOOKUPS["exact"](operand, value))
    first, rest = parts[0], parts[1:]
    form = bare(operand.form)
    if isinstance(form, ItemsForm) and first not in LOOKUPS:
        # A field of the items of a list: one of them fulfils the rest.
        return as_predicate(functions.any_(recorded, lambda item: _condition(item, parts, name, value)))  # type: ignore[arg-type, return-value]  # it records
    if not rest and first in LOOKUPS and operand.label:
        return as_predicate(LOOKUPS[first](operand, value))
    try:
        below = recorded[first] if form.untyped or isinstance(form, Dict) else getattr(recorded, first)
    except InvalidArgumentException as error:
        lookups = ", ".join(LOOKUPS)
        raise InvalidArgumentException(f"where({name}=…): {error}. Lookups are {lookups}") from error
    return _condition(below, rest, name, value)
