"""Values that a query gets later: a condition that lacks one is recorded anew once it is there.

So it means exactly what it would with the value written in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final, NoReturn, TypeVar, cast

import msgspec
from typing_extensions import override

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException, InvalidOperationException
from docsession._query._compilation import Compilation
from docsession._query._predicates import Predicate

S = TypeVar("S")


class Parameters(msgspec.Struct, frozen=True, eq=False):
    """The values that a query was given by name.

    Attributes:
        values: The values.
        used: The names that its conditions have asked for.
        waiting: Those that it has no value for.
    """

    values: Mapping[str, object] = MappingProxyType({})
    used: frozenset[str] = frozenset()
    waiting: frozenset[str] = frozenset()

    def check(self) -> None:
        """Refuse to ask a query that lacks a value, or was given one too many.

        Raises:
            InvalidOperationException: A value is missing.
            InvalidArgumentException: Nothing has that name.
        """
        for name in sorted(self.waiting):
            raise InvalidOperationException(
                f"the query has no value for parameter({name!r}): add_parameter({name!r}, …) comes first"
            )
        for name in sorted(self.values.keys() - self.used):
            raise InvalidArgumentException(
                f"add_parameter({name!r}, …): no condition of the query has parameter({name!r}, …)"
            )


NO_PARAMETERS: Final = Parameters()


class _UnboundError(Exception):
    """A condition asks for a value that is not there yet."""


class Parameter:
    """What stands for the value outside of functions, among the arguments of the builder."""

    __slots__ = ("name", "type")

    def __init__(self, name: str, type_: Any) -> None:
        self.name = name
        self.type = type_

    @override
    def __repr__(self) -> str:
        return f"parameter({self.name!r})"


class Late(Predicate):
    """A condition whose values are not all there."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[], Predicate]) -> None:
        self._make = make

    @override
    def with_values(self, bind: Callable[[Callable[[], Predicate]], Predicate]) -> Predicate:
        return bind(self._make)

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        _refuse()

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        _refuse()


class Binding:
    """Records conditions with the values that there are.

    Args:
        parameters: What a query was given.
    """

    __slots__ = ("_parameters", "_used", "_waiting", "values")

    def __init__(self, parameters: Parameters) -> None:
        self.values = parameters.values
        self._parameters = parameters
        self._used: set[str] = set()
        self._waiting: set[str] = set()

    def condition(self, make: Callable[[], Predicate]) -> Predicate:
        """Return what *make* returns, now or later."""
        token = _binding.set(self)
        try:
            return make()
        except _UnboundError:
            return Late(make)
        finally:
            _binding.reset(token)

    def value(self, name: str, type_: Any) -> Any:
        """Return a value by name."""
        if name not in self.values:
            self._waiting.add(name)
            raise _UnboundError(name)
        self._used.add(name)
        value = self.values[name]
        expected = (int, float) if type_ is float else type_
        if isinstance(expected, (type, tuple)) and not isinstance(value, expected):
            raise InvalidArgumentTypeException(
                f"parameter({name!r}) is a value of type {type_.__qualname__}, not {type(value).__qualname__} "
                f"({value!r:.40})"
            )
        return value

    def parameters(self, *, anew: bool = False) -> Parameters:
        """Return what the query has now; *anew*: all of its conditions were recorded by this."""
        before = self._parameters
        if not self._used and not self._waiting and not anew:
            return before
        waiting = self._waiting if anew else before.waiting | self._waiting
        return Parameters(self.values, before.used | self._used, frozenset(waiting))


_binding: ContextVar[Binding | None] = ContextVar("_binding", default=None)


def parameter(name: str, type_: type[S], /) -> S:
    """Return what stands for a value that a query gets later, by `add_parameter`, in one of its conditions.

        of_company = Query(Order).where(lambda o: o.company == parameter("company", str))
        session.query(of_company).add_parameter("company", "companies/1-A")

    A condition that has it means what it would with the value in its place, which is checked as that would be: a
    function is run again when the value is there. It may stand in the functions of `where` and `having`, and among the
    values of keywords and of the builder's conditions.

    Args:
        name: The name, an identifier.
        type_: The type of the value, which type checkers take it for; a value of another one is refused.

    Raises:
        InvalidArgumentException: *name* is none.
        InvalidArgumentTypeException: *type_* is no type.
    """
    given: object = name
    if not isinstance(given, str) or not given.isidentifier():
        raise InvalidArgumentException(f"parameter() takes a name, as in parameter('company', str), not {given!r:.40}")
    if not isinstance(type_, type) and not hasattr(type_, "__origin__"):
        raise InvalidArgumentTypeException(f"parameter({name!r}, …) takes the type of the value, not {type_!r:.40}")
    binding = _binding.get()
    return cast("S", Parameter(name, type_) if binding is None else binding.value(name, type_))


def resolved(value: object) -> Any:
    """Return a value of the builder, of which a parameter may be a part.

    To be called while a condition is recorded.
    """
    if isinstance(value, Parameter):
        return parameter(value.name, value.type)
    if isinstance(value, (list, tuple)) and any(isinstance(each, Parameter) for each in value):
        return [resolved(each) for each in value]
    return value


def with_parameter(parameters: Parameters, name: object, value: object) -> Binding:
    """Return what records conditions with one value more.

    Raises:
        InvalidArgumentException: The name is none.
        InvalidOperationException: There is a value of that name already.
    """
    key = name.removeprefix("$") if isinstance(name, str) else name
    if not isinstance(key, str) or not key.isidentifier():
        raise InvalidArgumentException(f"add_parameter() takes the name of a parameter, not {name!r:.40}")
    if key in parameters.values:
        raise InvalidOperationException(f"the query has a value for parameter({key!r}) already")
    return Binding(msgspec.structs.replace(parameters, values={**parameters.values, key: value}))


def _refuse() -> NoReturn:
    raise InvalidOperationException("the query lacks the value of a parameter: add_parameter(name, …) comes first")
