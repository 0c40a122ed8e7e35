"""What stands for a document while the function of a query runs: it records which fields are compared with what."""

from __future__ import annotations

import contextvars
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, NoReturn

from typing_extensions import override

from docsession._documents._aliases import AliasRegistry
from docsession._documents._containers import Dict, Items, Tuple
from docsession._documents._form import Form
from docsession._documents._forms import Forms
from docsession._documents._objects import Field, ObjectForm
from docsession._documents._places import RefusedError
from docsession._documents._unions import Union
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._compilation import Scope
from docsession._query._kinds import bare
from docsession._query._operands import Arithmetic, Operand, Place, check_key
from docsession._query._predicates import Compare, Not, Predicate, as_predicate
from docsession._query._value_predicates import CompareOperands, IsNull
from docsession._sql._values import Path

_forms: Final = Forms(AliasRegistry({}))
_roots: weakref.WeakKeyDictionary[type, Recorded] = weakref.WeakKeyDictionary()
_lock: Final = threading.Lock()
_depth: Final[contextvars.ContextVar[int]] = contextvars.ContextVar("docsession_depth", default=0)


def operand_of(given: object) -> Operand | None:
    """Return what a recorded value stands for; None for a value of Python."""
    return given._docsession_operand if type(given) is Recorded else None


def _refuse_operator(recorded: Recorded, *_: object) -> NoReturn:
    raise InvalidArgumentException(
        f"{recorded._docsession_operand.label}: a query computes with +, -, * and / alone, and joins conditions with & "
        "and |; what SQL has besides can be asked for with query_sql()"
    )


def _change(recorded: Recorded, name: object) -> InvalidArgumentException:
    label = recorded._docsession_operand.label or "the document"
    return InvalidArgumentException(
        f"{name!r:.60} of {label} cannot be set by a function that asks for documents: query.patch(…) changes them, "
        "with set_, increment, append, remove and rename"
    )


def _no_number(recorded: Recorded) -> InvalidArgumentException:
    return InvalidArgumentException(
        f"{recorded._docsession_operand.label} has no number before the server has looked: compare the field itself, "
        "without int() and float()"
    )


class Recorded:
    """A field of a document, or what is made of fields; its attributes are the fields below it.

    It has no attributes of its own but one, since every name may be a field's.
    """

    __slots__ = ("__dict__", "__weakref__", "_docsession_operand")
    _docsession_operand: Operand

    def __init__(self, operand: Operand) -> None:
        object.__setattr__(self, "_docsession_operand", operand)

    def __getattr__(self, name: str) -> Recorded:
        # Called once a declared name: afterwards it is found in __dict__. Of others there may be any number.
        if name.startswith("__"):
            raise AttributeError(name)
        place = below(self._docsession_operand, name)
        made = Recorded(place)
        if not bare(place.form).untyped:
            self.__dict__[name] = made
        return made

    def __getitem__(self, key: object) -> Recorded:
        return Recorded(item_at(self._docsession_operand, key))

    @override
    def __eq__(self, other: object) -> Predicate:  # type: ignore[override]  # it records instead
        return IsNull(self._docsession_operand) if other is None else compare("=", self._docsession_operand, other)

    @override
    def __ne__(self, other: object) -> Predicate:  # type: ignore[override]  # as above
        return (
            Not(IsNull(self._docsession_operand)) if other is None else compare("<>", self._docsession_operand, other)
        )

    def __lt__(self, other: object) -> Predicate:
        return compare("<", self._docsession_operand, other)

    def __le__(self, other: object) -> Predicate:
        return compare("<=", self._docsession_operand, other)

    def __gt__(self, other: object) -> Predicate:
        return compare(">", self._docsession_operand, other)

    def __ge__(self, other: object) -> Predicate:
        return compare(">=", self._docsession_operand, other)

    def __add__(self, other: object) -> Recorded:
        return _calculate("+", self, other)

    def __radd__(self, other: object) -> Recorded:
        return _calculate("+", other, self)

    def __sub__(self, other: object) -> Recorded:
        return _calculate("-", self, other)

    def __rsub__(self, other: object) -> Recorded:
        return _calculate("-", other, self)

    def __mul__(self, other: object) -> Recorded:
        return _calculate("*", self, other)

    def __rmul__(self, other: object) -> Recorded:
        return _calculate("*", other, self)

    def __truediv__(self, other: object) -> Recorded:
        return _calculate("/", self, other)

    def __rtruediv__(self, other: object) -> Recorded:
        return _calculate("/", other, self)

    def __neg__(self) -> Recorded:
        return _calculate("-", 0, self)

    def __and__(self, other: object) -> Predicate:
        return as_predicate(self) & other

    def __or__(self, other: object) -> Predicate:
        return as_predicate(self) | other

    def __rand__(self, other: object) -> Predicate:
        return as_predicate(other) & self

    def __ror__(self, other: object) -> Predicate:
        return as_predicate(other) | self

    def __invert__(self) -> Predicate:
        return ~as_predicate(self)

    @override
    def __hash__(self) -> int:
        label = self._docsession_operand.label
        raise InvalidArgumentException(
            f"{label} is no member of a set and no key of a dict: write in_({label}, values) for `in`"
        )

    def __bool__(self) -> NoReturn:
        raise InvalidArgumentException(
            f"{self._docsession_operand.label} is neither true nor false before the server has looked: write & for "
            "`and`, | for `or`, not_(…) for `not`, in_(x, values) for `in`, and compare what is no bool"
        )

    def __iter__(self) -> NoReturn:
        label = self._docsession_operand.label
        raise InvalidArgumentException(f"{label} cannot be iterated in a query: any_({label}, lambda item: …) looks in")

    def __len__(self) -> NoReturn:
        label = self._docsession_operand.label
        raise InvalidArgumentException(f"len({label}) is not known before the server has looked: write len_({label})")

    def __contains__(self, item: object) -> NoReturn:
        label = self._docsession_operand.label
        raise InvalidArgumentException(f"`in` cannot be recorded: write contains({label}, {item!r:.60})")

    @override
    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise _change(self, name)

    @override
    def __delattr__(self, name: str) -> NoReturn:
        raise _change(self, name)

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise _change(self, key)

    def __delitem__(self, key: object) -> NoReturn:
        raise _change(self, key)

    def __int__(self) -> NoReturn:
        raise _no_number(self)

    def __float__(self) -> NoReturn:
        raise _no_number(self)

    def __index__(self) -> NoReturn:
        raise _no_number(self)

    def __call__(self, *_: object, **__: object) -> NoReturn:
        raise InvalidArgumentException(
            f"{self._docsession_operand.label}(…) is a method, and a query knows stored fields only; starts_with, "
            "ends_with, contains, matches, len_ and their like are functions of docsession"
        )

    @override
    def __str__(self) -> NoReturn:
        raise InvalidArgumentException(
            f"{self._docsession_operand.label} has no text before the server has looked: compare the field itself, "
            "without str() and f-strings"
        )

    @override
    def __format__(self, spec: str) -> NoReturn:
        str(self)
        raise AssertionError

    __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __divmod__ = __rdivmod__ = __pow__ = __rpow__ = _refuse_operator
    __abs__ = __round__ = __trunc__ = __floor__ = __ceil__ = __xor__ = __rxor__ = __matmul__ = _refuse_operator

    @override
    def __repr__(self) -> str:
        return f"<the field {self._docsession_operand.label} of a query>"


def root_of(cls: type) -> Recorded:
    """Return what stands for the documents of a class; `dict` stands for documents without one."""
    root = _roots.get(cls)
    if root is None:
        with _lock:
            root = _roots.setdefault(cls, Recorded(Place(None, (), form_of(cls), "")))
    return root


def form_of(cls: type) -> Form:
    """Return how the instances of a class are written."""
    return _forms.untyped if cls is dict else _forms.of_class(cls)


def record(function: Callable[[Any], object], root: Recorded, what: str) -> object:
    """Return what *function* makes of a recorded document.

    Raises:
        InvalidArgumentException: It does what cannot be recorded.
    """
    if not callable(function):
        raise InvalidArgumentTypeException(
            f"{what} takes a function, as in lambda o: o.name == 'x', not {type(function).__qualname__}"
        )
    return function(root)


def record_items(items: object, function: Callable[[Any], object], name: str) -> tuple[Place, Scope, object]:
    """Return a list, its items as a scope, and what *function* makes of an item."""
    place = operand_of(items)
    if type(place) is not Place:
        raise InvalidArgumentTypeException(f"{name}() takes a list of the document and a function of its items")
    depth = _depth.get() + 1
    # Kept with the list, under a name that no attribute has.
    known: tuple[Scope, Recorded] | None = items.__dict__.get(f"[{depth}]")
    if known is None:
        scope = Scope(depth)
        known = scope, Recorded(Place(scope, (), item_form(place), f"{place.label}[]"))
        items.__dict__[f"[{depth}]"] = known
    token = _depth.set(depth)
    try:
        return place, known[0], record(function, known[1], name)
    finally:
        _depth.reset(token)


def item_form(place: Place) -> Form:
    """Return the form of the items of a list.

    Raises:
        InvalidArgumentTypeException: The field holds no list.
    """
    form = bare(place.form)
    if isinstance(form, Items):
        return form.item
    if form.untyped:
        return form
    if isinstance(form, Tuple) and form.items:
        return form.items[0]
    raise InvalidArgumentTypeException(f"{place.label} holds {form.label}, which is no list")


def below(operand: Operand, name: str) -> Place:
    """Return the field *name* of the objects that a place holds."""
    form = bare(operand.form)
    label = f"{operand.label}.{name}" if operand.label else name
    if isinstance(operand, Place):
        if form.untyped:
            return Place(operand.scope, (*operand.path, check_key(name)), form, label)
        field, known = _field(form, name)
        if field is not None:
            return Place(operand.scope, (*operand.path, field.key), field.form, label)
        if isinstance(form, ObjectForm) and form.cls.__annotations__.keys().isdisjoint(form.fields) and not known:
            return Place(operand.scope, (*operand.path, name), form.rest, label)
        if known:
            raise InvalidArgumentException(
                f"{form.label} stores no field {name!r}; it has {', '.join(known)}. A query asks for stored "
                "fields, not for properties or methods"
            )
    if isinstance(form, Items):
        raise InvalidArgumentException(
            f"{operand.label} is a list; any_({operand.label}, lambda item: item.{name} == …) looks into its items"
        )
    if isinstance(form, Dict):
        raise InvalidArgumentException(f"{operand.label} is a dict: write {operand.label}[{name!r}] for a key of it")
    raise InvalidArgumentException(
        f"{operand.label} holds {form.label}, which has no field {name!r}; for texts there are starts_with, ends_with, "
        "contains, matches and len_"
    )


def _field(form: Form, name: str) -> tuple[Field | None, list[str]]:
    """Return a field by the name of its attribute, and the names that there are."""
    if isinstance(form, Union):
        known: list[str] = []
        for member in form.members:
            field, names = _field(bare(member), name)
            if field is not None:
                return field, names
            known += [each for each in names if each not in known]
        return None, known
    if not isinstance(form, ObjectForm):
        return None, []
    return next((field for field in form.fields.values() if field.name == name), None), [
        field.name for field in form.fields.values()
    ]


def item_at(operand: Operand, key: object) -> Place:
    """Return the value under a key of a dict, or at a position of a list."""
    form = bare(operand.form)
    label = f"{operand.label}[{key!r}]"
    if not isinstance(operand, Place):
        raise InvalidArgumentTypeException(f"{operand.label} has no items")
    path: Path
    if isinstance(key, int) and not isinstance(key, bool) and (isinstance(form, (Items, Tuple)) or form.untyped):
        path = (*operand.path, key)
        if isinstance(form, Tuple) and -len(form.items) <= key < len(form.items):
            return Place(operand.scope, path, form.items[key], label)
        return Place(operand.scope, path, item_form(operand), label)
    if isinstance(form, Dict):
        try:
            written = form.key.write(key, None)
        except RefusedError as error:
            raise InvalidArgumentException(f"{operand.label} has keys of {form.key.label}: {error}") from error
        return Place(operand.scope, (*operand.path, written), form.value, label)
    if isinstance(key, str) and form.untyped:
        return Place(operand.scope, (*operand.path, check_key(key)), form, label)
    if isinstance(key, str) and isinstance(form, ObjectForm):
        field = form.fields.get(key)
        path = (*operand.path, check_key(key))
        return Place(operand.scope, path, form.rest if field is None else field.form, label)
    if isinstance(key, slice):
        raise InvalidArgumentException(f"{label}: slices cannot be asked for in a query")
    raise InvalidArgumentException(f"{operand.label or 'the document'} holds {form.label}, which has no item {key!r}")


def compare(operator: str, operand: Operand, right: object) -> Predicate:
    """Return a comparison of an operand with a value, or with another operand."""
    other = operand_of(right)
    if other is not None:
        return CompareOperands(operator, operand, other)
    if isinstance(right, Predicate):
        raise InvalidArgumentException(
            f"{operand.label} is compared with a condition: put each comparison in parentheses, since & and | bind "
            "more tightly than == and <"
        )
    if right is None:
        raise InvalidArgumentTypeException(f"{operand.label} has no order against None")
    return Compare(operator, operand, right)


def _calculate(operator: str, left: object, right: object) -> Recorded:
    sides = [operand_of(side) or side for side in (left, right)]
    return Recorded(Arithmetic(operator, *sides))
