"""Conditions: what is true or false of every document.

Each has its SQL and that of its negation, so that negation is pushed down to the comparisons and
the logic has two values: what compares with null or with nothing is false, its negation true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from typing_extensions import override

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._compilation import Compilation, Scope
from docsession._query._containment import (
    ANYTHING,
    IMPLYING,
    all_of_them,
    leads_through_objects,
    of_equality,
    one_of_them,
)
from docsession._query._kinds import CASTS, bare, binder, is_ordered
from docsession._query._operands import Operand, Place
from docsession._sql._values import Path, Shape

NEGATED: Final = {"=": "<>", "<>": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_EQUALITY: Final = ("=", "<>")


class Predicate:
    """A condition of a query; `&`, `|` and `not_()` make further ones. No ABC, as `Operand`."""

    __slots__ = ()

    def walk(self, key: list[object], values: list[Any]) -> None:
        """Add what tells its SQL from that of others to *key*, and its constants to *values*."""
        raise NotImplementedError

    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        """Return its SQL, or that of its negation; called once for each `walk`."""
        raise NotImplementedError

    def with_values(self, bind: Callable[[Callable[[], Predicate]], Predicate]) -> Predicate:
        """Return the same with what lacked values of parameters made by *bind*."""
        del bind
        return self

    def implies_containment(self, scope: Scope) -> bool:
        """Return True where it says of the items of a list what JSON they contain; the same for all of its form."""
        del scope
        return False

    def contained(self, scope: Scope) -> list[Any]:
        """Return what an item contains, one or another, of which it is true."""
        del scope
        return [ANYTHING]

    def __and__(self, other: object) -> Predicate:
        return All((self, as_predicate(other)))

    def __rand__(self, other: object) -> Predicate:
        return All((as_predicate(other), self))

    def __or__(self, other: object) -> Predicate:
        return Any_((self, as_predicate(other)))

    def __ror__(self, other: object) -> Predicate:
        return Any_((as_predicate(other), self))

    def __invert__(self) -> Predicate:
        return Not(self)

    def __bool__(self) -> NoReturn:
        raise InvalidArgumentException(
            "a condition of a query is neither true nor false before the server has looked: write & for `and`, | for "
            "`or`, not_(…) for `not`, each comparison in parentheses; between(x, a, b) for `a <= x <= b`, and "
            "in_(x, values) for `in`"
        )

    __hash__ = None  # type: ignore[assignment]  # conditions are no keys


def as_predicate(given: object) -> Predicate:
    """Return what a function of a condition has returned as one.

    Raises:
        InvalidArgumentException: It is none.
    """
    if isinstance(given, Predicate):
        return given
    operand = getattr(given, "_docsession_operand", None)
    if isinstance(operand, Operand):
        if bare(operand.form).kinds == {"bool"}:
            return Compare("=", operand, True)
        raise InvalidArgumentException(f"{operand.label} alone is no condition; compare it, as in {operand.label} == …")
    if isinstance(given, bool):
        raise InvalidArgumentException(
            f"the condition came out as {given} before any document was looked at: `is`, `is not` and comparisons "
            "without a field do so. Write == None, or value(x).is_null()"
        )
    raise InvalidArgumentTypeException(
        f"a condition is a comparison of fields, not {type(given).__qualname__} ({given!r:.40}); & and | bind "
        "more tightly than == and <, so put each comparison in parentheses"
    )


class _Joined(Predicate):
    __slots__ = ("_parts",)
    _word: str
    _other: str

    def __init__(self, parts: Sequence[Predicate]) -> None:
        self._parts = tuple(parts)

    @property
    def parts(self) -> tuple[Predicate, ...]:
        """The conditions."""
        return self._parts

    @override
    def with_values(self, bind: Callable[[Callable[[], Predicate]], Predicate]) -> Predicate:
        return type(self)([part.with_values(bind) for part in self._parts])

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append((self._word, len(self._parts)))
        for part in self._parts:
            part.walk(key, values)

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        word = self._other if negated else self._word
        return f"({word.join(part.sql(to, negated=negated) for part in self._parts)})"


class All(_Joined):
    """All of several conditions."""

    __slots__ = ()
    _word = " AND "
    _other = " OR "

    @override
    def implies_containment(self, scope: Scope) -> bool:
        return any(part.implies_containment(scope) for part in self._parts)

    @override
    def contained(self, scope: Scope) -> list[Any]:
        return all_of_them(part.contained(scope) for part in self._parts if part.implies_containment(scope))


class Any_(_Joined):  # noqa: N801  # `Any` is typing's
    """One of several conditions."""

    __slots__ = ()
    _word = " OR "
    _other = " AND "

    @override
    def implies_containment(self, scope: Scope) -> bool:
        return all(part.implies_containment(scope) for part in self._parts)

    @override
    def contained(self, scope: Scope) -> list[Any]:
        return one_of_them(part.contained(scope) for part in self._parts)


class Not(Predicate):
    """The negation of a condition."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Predicate) -> None:
        self._inner = inner

    @override
    def with_values(self, bind: Callable[[Callable[[], Predicate]], Predicate]) -> Predicate:
        return Not(self._inner.with_values(bind))

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append("not")
        self._inner.walk(key, values)

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        return self._inner.sql(to, negated=not negated)


class Constant(Predicate):
    """True or false of every document."""

    __slots__ = ("_value",)

    def __init__(self, value: bool) -> None:
        self._value = value

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(self._value)

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        return "TRUE" if self._value is not negated else "FALSE"


class Compare(Predicate):
    """An operand compared with a value.

    Args:
        operator: `=`, `<>`, `<`, `<=`, `>` or `>=`.
        shape: What they are compared as; None finds it out.
    """

    __slots__ = ("_operand", "_operator", "_shape", "_value")

    def __init__(self, operator: str, operand: Operand, value: Any, shape: Shape | None = None) -> None:
        self._operator = operator
        self._operand = operand
        self._value = value
        self._shape = shape or operand.shape_against(value)
        if operator not in _EQUALITY and (self._shape is Shape.JSON or not is_ordered(operand.form, value)):
            raise InvalidArgumentTypeException(
                f"{operand.label} holds {operand.form.label}, which has no order in JSON; only == and != compare it"
            )

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(self._operator)
        key.append(self._shape)
        self._operand.walk(key, values)
        values.append(self._value)

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        shape = self._shape
        left = self._operand.sql(to, shape)
        number = to.take()
        right = to.bind(number, binder(self._operand.form, shape), CASTS[shape])
        if shape is Shape.FOLDED:
            right = f"lower({right})"
        return compared(left, self._operator, right, negated=negated)

    @override
    def implies_containment(self, scope: Scope) -> bool:
        place = self._operand
        if self._operator != "=" or self._shape not in IMPLYING or not isinstance(place, Place):
            return False
        return place.scope is scope and leads_through_objects(place.path)

    @property
    def path(self) -> Path:
        """The path of the field, where a field is compared."""
        assert isinstance(self._operand, Place)  # noqa: S101  # asked only of those
        return self._operand.path

    @override
    def contained(self, scope: Scope) -> list[Any]:
        place = self._operand
        assert isinstance(place, Place)  # noqa: S101  # nothing else implies it
        return of_equality(place.form, self._shape, self._value, place.path)


def compared(left: str, operator: str, right: str, *, negated: bool) -> str:
    """Return a comparison with a value that is not null; with null it is false, but for `<>`."""
    if not negated:
        return f"({left} <> {right} OR {left} IS NULL)" if operator == "<>" else f"{left} {operator} {right}"
    if operator == "<>":
        return f"{left} = {right}"
    return f"({left} {NEGATED[operator]} {right} OR {left} IS NULL)"
