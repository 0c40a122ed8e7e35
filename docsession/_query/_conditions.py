"""The conditions of RavenDB's builder: what each means for a field of which something is declared, or nothing."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from docsession._documents._form import Form
from docsession._documents._places import MisfitError
from docsession._documents._scalars import Scalar
from docsession._errors import InvalidArgumentException
from docsession._query._fields import Leaf, Loose
from docsession._query._full_text import Asked, Search
from docsession._query._kinds import bare, shape_of_value
from docsession._query._list_predicates import Holds
from docsession._query._operands import Column, Operand, Place
from docsession._query._predicates import All, Any_, Compare, Constant, Not, Predicate
from docsession._query._recorder import Recorded
from docsession._query._text_predicates import Like, Matches, StartsWith
from docsession._query._value_predicates import In, IsNull
from docsession._sql._values import Shape

_NUMBER: Final = re.compile(r"[-+]?[0-9]{1,250}([.][0-9]{1,250})?", re.ASCII)
"""What is taken for a number where a text is given; the same as in documents."""
_WHOLE: Final = (list, tuple, set, frozenset)


def equal_to(value: Any, *, exact: bool) -> Leaf:
    """Return the condition: equal; None equals only a null that is there."""
    if isinstance(value, _WHOLE):
        return Leaf(lambda operand: Compare("=", operand, value), whole=True)

    def in_list(place: Place, item: Form) -> Predicate | None:
        if value is None:
            return Any_((IsNull(place, "null"), Holds(place, item, [None], every=True)))
        return _held(place, item, [value], exact=exact)

    return Leaf(lambda operand: _equal(operand, value, exact=exact), in_list)


def one_of(values: Sequence[Any], *, exact: bool) -> Leaf:
    """Return the condition: equal to one of *values*; of none nothing is."""
    if not values:
        return Leaf(lambda _: Constant(False), whole=True)
    if any(isinstance(value, _WHOLE) for value in values):
        return Leaf(lambda operand: Any_([equal_to(value, exact=exact).of(operand) for value in values]), whole=True)

    def in_list(place: Place, item: Form) -> Predicate | None:
        if None in values:
            others = [value for value in values if value is not None]
            null = Any_((IsNull(place, "null"), Holds(place, item, [None], every=True)))
            held = _held(place, item, others, exact=exact) if others else Constant(False)
            return None if held is None else Any_((null, held))
        return _held(place, item, values, exact=exact)

    return Leaf(lambda operand: _one_of(operand, values, exact=exact), in_list)


def between(low: Any, high: Any, *, exact: bool) -> Leaf:
    """Return the condition: not less than *low* and not greater than *high*, of which None is open.

    Raises:
        InvalidArgumentException: Both are open.
    """
    bounds = [(operator, value) for operator, value in ((">=", low), ("<=", high)) if value is not None]
    if not bounds:
        raise InvalidArgumentException("where_between() takes a start or an end; where_exists() asks for any value")
    return Leaf(lambda operand: All([_compared(operand, each, value, exact=exact) for each, value in bounds]))


def compared(operator: str, value: Any, *, exact: bool) -> Leaf:
    """Return the condition: less or greater than *value*, which is not null."""
    return Leaf(lambda operand: _compared(operand, operator, value, exact=exact))


def starting_with(text: str, *, exact: bool) -> Leaf:
    """Return the condition: a text that begins with *text*."""
    return _on_text(lambda operand, shape: StartsWith(operand, text, shape), exact=exact)


def ending_with(text: str, *, exact: bool) -> Leaf:
    """Return the condition: a text that ends with *text*."""
    return _on_text(lambda operand, shape: Like(operand, text, "%", "", shape), exact=exact)


def matching(pattern: str) -> Leaf:
    """Return the condition: a text in which a regular expression finds something, whatever the case."""
    return _on_text(lambda operand, shape: Matches(operand, pattern, shape), exact=False)


def searching(terms: str, joined: str) -> Leaf:
    """Return the condition: a text, or a list of texts, that holds words."""
    return Leaf(lambda operand: Search(Asked(Recorded(operand), terms, None, "search", joined)), whole=True)


def existing() -> Leaf:
    """Return the condition: the document has the field, though its value may be null."""
    return Leaf(
        lambda operand: Not(IsNull(operand, "missing")) if isinstance(operand, Place) else Constant(True), whole=True
    )


def _equal(operand: Operand, value: Any, *, exact: bool) -> Predicate:
    if value is None:
        return IsNull(operand, "null") if isinstance(operand, Place) else Constant(False)
    if not _is_loose(operand):
        value, shape = _adapted(operand, value, exact=exact)
        return Compare("=", operand, value, shape)
    alternatives = [Compare("=", one, value, shape) for one, value, shape in _loosely(operand, value, exact=exact)]
    return alternatives[0] if len(alternatives) == 1 else Any_(alternatives)


def _one_of(operand: Operand, values: Sequence[Any], *, exact: bool) -> Predicate:
    parts: list[Predicate] = []
    lists: dict[tuple[str, Shape | None], tuple[Operand, list[Any]]] = {}
    for value in values:
        if value is None:
            parts.append(_equal(operand, None, exact=exact))
        elif _is_loose(operand):
            for one, made, shape in _loosely(operand, value, exact=exact):
                lists.setdefault((type(one).__name__, shape), (one, []))[1].append(made)
        else:
            made, shape = _adapted(operand, value, exact=exact)
            lists.setdefault(("", shape), (operand, []))[1].append(made)
    parts += [In(one, found, shape) for (_, shape), (one, found) in lists.items()]
    return parts[0] if len(parts) == 1 else Any_(parts)


def _compared(operand: Operand, operator: str, value: Any, *, exact: bool) -> Predicate:
    if _is_loose(operand):
        # As a number or as a text, as the value is; a text that looks like a number is one of texts.
        one, made, shape = _loosely(operand, value, exact=exact)[0]
        return Compare(operator, one, made, shape)
    made, shape = _adapted(operand, value, exact=exact)
    return Compare(operator, operand, made, shape)


def _on_text(make: Callable[[Operand, Shape], Predicate], *, exact: bool) -> Leaf:
    def of(operand: Operand) -> Predicate:
        shape = Shape.TEXT if exact or isinstance(operand, Column) else Shape.FOLDED
        if _is_loose(operand):
            assert isinstance(operand, Place)  # noqa: S101  # nothing else is
            return make(Loose(operand, shape), shape)
        return make(operand, shape)

    return Leaf(of)


def _held(place: Place, item: Form, values: Sequence[Any], *, exact: bool) -> Predicate | None:
    """Return a condition on a list that an index of what it contains serves; None where that says something else."""
    form = bare(item)
    if form.untyped or form.kinds & {"array", "object"}:
        return None
    adapted = [_adapted_to(form, value, place.label, exact=exact) for value in values]
    for value, shape in adapted:
        if (shape or shape_of_value(form, value, f"an item of {place.label}")) not in {Shape.TEXT, Shape.NUMBER}:
            return None
    return Holds(place, item, [value for value, _ in adapted], every=False)


def _is_loose(operand: Operand) -> bool:
    return isinstance(operand, Place) and bare(operand.form).untyped


def _loosely(operand: Operand, value: Any, *, exact: bool) -> list[tuple[Operand, Any, Shape | None]]:
    """Return what a value of which nothing is declared is compared with, and as what: any of these."""
    assert isinstance(operand, Place)  # noqa: S101  # nothing else is undeclared
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, str):
        folded = Shape.TEXT if exact else Shape.FOLDED
        text = (Loose(operand, folded), value, folded)
        if exact or not _NUMBER.fullmatch(value):
            return [text]
        return [text, (Loose(operand, Shape.NUMBER), Decimal(value), Shape.NUMBER)]
    shape = shape_of_value(operand.form, value, operand.label)
    if shape in {Shape.TEXT, Shape.NUMBER}:
        return [(Loose(operand, shape), value, shape)]
    return [(operand, value, shape)]


def _adapted(operand: Operand, value: Any, *, exact: bool) -> tuple[Any, Shape | None]:
    if isinstance(operand, Column):
        return value, None
    return _adapted_to(bare(operand.form), value, operand.label, exact=exact)


def _adapted_to(form: Form, value: Any, label: str, *, exact: bool) -> tuple[Any, Shape | None]:
    """Return what a declared field is compared with, and as what; None: as the value says."""
    if not isinstance(value, str) or isinstance(value, enum.Enum):
        return value, None
    if isinstance(form, Scalar) and form.kind is not str:
        return _read(form, value, label), None
    if "string" in form.kinds:
        return value, Shape.TEXT if exact else Shape.FOLDED
    if "number" in form.kinds and _NUMBER.fullmatch(value):
        return Decimal(value), Shape.NUMBER
    return value, None


def _read(form: Scalar, text: str, label: str) -> Any:
    """Return the value of the declared type that a text stands for; the text itself where it stands for none."""
    if "number" in form.kinds:
        return Decimal(text) if _NUMBER.fullmatch(text) else text
    if form.kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return form.decode(text, None)
    except MisfitError as error:
        raise InvalidArgumentException(f"{label} holds {form.label}, which {text!r:.60} is not") from error
