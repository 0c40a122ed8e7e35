"""The functions that conditions and orders of queries are written with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable
from typing import Any, Generic, TypeVar, cast

from docsession._documents._form import Form
from docsession._documents._scalars import Scalar
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._kinds import bare
from docsession._query._list_predicates import Holds, Items
from docsession._query._operands import TEXTS, Column, Length, Operand, Place, check_key
from docsession._query._predicates import All, Compare, Constant, Not, Predicate, as_predicate
from docsession._query._projection import Aggregate, aggregate
from docsession._query._recorder import Recorded, compare, item_form, operand_of, record_items
from docsession._query._text_predicates import Like, Matches, StartsWith
from docsession._query._value_predicates import In, IsNull
from docsession._sql._values import Shape, text_at

S = TypeVar("S")

_MOMENTS = Scalar(dt.datetime)
_COLUMNS = {
    "@id": Column("t.id", TEXTS, 'meta("@id")', Shape.TEXT, "@id"),
    "@last-modified": Column("t.last_modified", _MOMENTS, 'meta("@last-modified")', Shape.INSTANT, "@last-modified"),
}


def given(x: S | None, /) -> S:
    """Return *x* itself: tells a type checker that a field which may be None is compared as if it were not.

    In the query it changes nothing: a comparison with null is false.
    """
    return cast("S", x)


def not_(condition: bool, /) -> bool:
    """Return the negation of a condition."""
    return cast("bool", Not(as_predicate(condition)))


def all_of(*conditions: bool) -> bool:
    """Return a condition that is true where all of *conditions* are; without any it is always true."""
    return cast("bool", All([as_predicate(each) for each in conditions]) if conditions else Constant(True))


def any_(items: Iterable[S] | None, predicate: Callable[[S], bool], /) -> bool:
    """Return a condition: one item of a list fulfils *predicate*."""
    place, scope, condition = record_items(items, predicate, "any_")
    return cast("bool", Items(place, scope, as_predicate(condition), every=False))


def all_(items: Iterable[S] | None, predicate: Callable[[S], bool], /) -> bool:
    """Return a condition: every item of a list fulfils *predicate*; it is true of an empty list and of none."""
    place, scope, condition = record_items(items, predicate, "all_")
    return cast("bool", Items(place, scope, as_predicate(condition), every=True))


def starts_with(text: str | None, start: str, /) -> bool:
    """Return a condition: a text begins with *start*."""
    return cast("bool", StartsWith(_operand(text, "starts_with"), start))


def ends_with(text: str | None, end: str, /) -> bool:
    """Return a condition: a text ends with *end*."""
    return cast("bool", Like(_operand(text, "ends_with"), end, "%", ""))


def matches(text: str | None, pattern: str, /) -> bool:
    """Return a condition: PostgreSQL's regular expression *pattern* finds something in a text."""
    return cast("bool", Matches(_operand(text, "matches"), pattern))


def contains(container: str | Collection[S] | None, part: object, /) -> bool:
    """Return a condition: a text contains the text *part*, or a list the item *part*."""
    operand = _operand(container, "contains")
    form = bare(operand.form)
    if isinstance(part, str) and ("string" in form.kinds and "array" not in form.kinds):
        return cast("bool", Like(operand, part, "%", "%"))
    place, item = _list(operand, "contains")
    return cast("bool", Holds(place, item, [part], every=True))


def contains_any(items: Iterable[S] | None, values: Iterable[object], /) -> bool:
    """Return a condition: a list holds one of *values*; of none it holds none."""
    place, item = _list(_operand(items, "contains_any"), "contains_any")
    return cast("bool", Holds(place, item, _values(values, "contains_any"), every=False))


def contains_all(items: Iterable[S] | None, values: Iterable[object], /) -> bool:
    """Return a condition: a list holds all of *values*."""
    place, item = _list(_operand(items, "contains_all"), "contains_all")
    return cast("bool", Holds(place, item, _values(values, "contains_all"), every=True))


def in_(x: S | None, values: Iterable[S | None], /) -> bool:
    """Return a condition: *x* equals one of *values*; None among them stands for null and missing."""
    return cast("bool", In(_operand(x, "in_"), _values(values, "in_")))


def between(x: S | None, low: S, high: S, /) -> bool:
    """Return a condition: `low <= x <= high`."""
    operand = _operand(x, "between")
    return cast("bool", All((Compare(">=", operand, low), Compare("<=", operand, high))))


def exists(x: object, /) -> bool:
    """Return a condition: the document has the field, though its value may be null."""
    return cast("bool", Not(IsNull(_operand(x, "exists"), "missing")))


def len_(x: Collection[Any] | None, /) -> int:
    """Return how many items a list has, or characters a text; null for anything else."""
    operand = _operand(x, "len_")
    if not isinstance(operand, Place):
        raise InvalidArgumentTypeException("len_() takes a field of the document")
    return cast("int", Recorded(Length(operand)))


def id_(document: object, /) -> str:
    """Return the id of the document."""
    operand = operand_of(document)
    if not isinstance(operand, Place) or operand.scope is not None or operand.path:
        raise InvalidArgumentTypeException("id_() takes the document itself, as in lambda o: id_(o) == 'orders/1-A'")
    return cast("str", Recorded(Column("t.id", TEXTS, "id_(o)", Shape.TEXT, "@id")))


def meta(key: str, /) -> Any:
    """Return a key of the document's metadata: `@id`, `@last-modified`, or one of the user's, as text."""
    column = _COLUMNS.get(key)
    if column is None:
        if key[:1] in {"", "@"}:
            raise InvalidArgumentException(
                f"meta() takes '@id', '@last-modified' or a key of the user's, not {key!r:.60}"
            )
        text = text_at("t.metadata", (check_key(key),))
        column = Column(f'({text} COLLATE "C")', TEXTS, f"meta({key!r})", Shape.TEXT, key)
    return Recorded(column)


def value(x: S | None, /) -> Value[S]:
    """Return *x* with its comparisons as methods, which a type checker follows where it cannot follow operators."""
    return Value(_operand(x, "value"))


class Value(Generic[S]):
    """A field, and what it can be compared with."""

    __slots__ = ("_operand",)

    def __init__(self, operand: Operand) -> None:
        self._operand = operand

    def is_(self, other: S, /) -> bool:
        """Return a condition: equal."""
        return self._compare("=", other)

    def is_not(self, other: S, /) -> bool:
        """Return a condition: not equal, which null and missing are, too."""
        return self._compare("<>", other)

    def gt(self, other: S, /) -> bool:
        """Return a condition: greater."""
        return self._compare(">", other)

    def ge(self, other: S, /) -> bool:
        """Return a condition: greater or equal."""
        return self._compare(">=", other)

    def lt(self, other: S, /) -> bool:
        """Return a condition: less."""
        return self._compare("<", other)

    def le(self, other: S, /) -> bool:
        """Return a condition: less or equal."""
        return self._compare("<=", other)

    def between(self, low: S, high: S, /) -> bool:
        """Return a condition: not less than *low* and not greater than *high*."""
        return cast("bool", All((Compare(">=", self._operand, low), Compare("<=", self._operand, high))))

    def in_(self, values: Iterable[S | None], /) -> bool:
        """Return a condition: equal to one of *values*."""
        return cast("bool", In(self._operand, _values(values, "in_")))

    def not_in(self, values: Iterable[S | None], /) -> bool:
        """Return a condition: equal to none of *values*."""
        return cast("bool", Not(In(self._operand, _values(values, "not_in"))))

    def is_null(self) -> bool:
        """Return a condition: null, or missing."""
        return cast("bool", IsNull(self._operand))

    def is_missing(self) -> bool:
        """Return a condition: the document does not have the field."""
        return cast("bool", IsNull(self._operand, "missing"))

    def _compare(self, operator: str, other: object) -> bool:
        return cast("bool", compare(operator, self._operand, other))


def count() -> int:
    """Return how many documents a group has, in `select`, `having` and `order_by` after `group_by`."""
    return cast("int", Recorded(Aggregate("count", None)))


def sum_(x: S | None, /) -> S:
    """Return the sum of a field over a group; 0 where it has no numbers."""
    return cast("S", aggregate("sum", x))


def min_(x: S | None, /) -> S:
    """Return the least value of a field in a group; None where it has none."""
    return cast("S", aggregate("min", x))


def max_(x: S | None, /) -> S:
    """Return the greatest value of a field in a group; None where it has none."""
    return cast("S", aggregate("max", x))


def avg(x: S | None, /) -> S:
    """Return the mean of a field over a group; None where it has no numbers."""
    return cast("S", aggregate("avg", x))


class Descending:
    """What `desc` returns."""

    __slots__ = ("operand",)

    def __init__(self, operand: Operand) -> None:
        self.operand = operand


def desc(x: S, /) -> S:
    """Return *x* to be sorted by from the greatest to the least."""
    return cast("S", Descending(_operand(x, "desc")))


def _operand(x: object, function: str) -> Operand:
    operand = operand_of(x)
    if operand is None:
        shown = "a condition" if isinstance(x, Predicate) else repr(x)[:60]
        raise InvalidArgumentTypeException(f"{function}() takes a field of the document first, not {shown}")
    return operand


def _list(operand: Operand, function: str) -> tuple[Place, Form]:
    if not isinstance(operand, Place):
        raise InvalidArgumentTypeException(f"{function}() takes a field of the document first, not {operand.label}")
    return operand, item_form(operand)


def _values(values: Iterable[Any], function: str) -> list[Any]:
    given: object = values
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable) or isinstance(given, Recorded):
        raise InvalidArgumentException(f"{function}() takes several values, in a list or the like, not {given!r:.60}")
    return list(values)
