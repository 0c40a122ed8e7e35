"""What may be compared with the values of a place, as what, and how a value is bound.

A place's form, which says how its values are stored, decides; where nothing is declared the type
of the value does.
"""

from __future__ import annotations

import datetime as dt
import enum
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from docsession._documents._containers import Dict, Items, Maybe, Tuple
from docsession._documents._form import Form
from docsession._documents._objects import ObjectForm
from docsession._documents._places import MisfitError, Recorded, RefusedError
from docsession._documents._scalars import EnumForm, Scalar
from docsession._documents._unions import Union
from docsession._documents._untyped import LOOSE
from docsession._documents._values import read_json, write_json
from docsession._errors import InvalidArgumentTypeException, UnsupportedValueException
from docsession._port import JSONB_VERSION, Timestamp
from docsession._sql._values import Shape

_EPOCH: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_TEXT_SCALARS: Final = (str, bool, dt.date, dt.time, UUID, dt.timedelta, bytes)
_UNORDERED: Final = (dt.timedelta, bytes, bool)


_SIMPLE: Final[dict[type, dict[type, Shape]]] = {
    str: {str: Shape.TEXT},
    bool: {bool: Shape.TEXT},
    UUID: {UUID: Shape.TEXT},
    dt.date: {dt.date: Shape.TEXT},
    dt.time: {dt.time: Shape.TEXT},
    int: {int: Shape.NUMBER, float: Shape.NUMBER, Decimal: Shape.NUMBER},
    float: {int: Shape.NUMBER, float: Shape.NUMBER, Decimal: Shape.NUMBER},
    Decimal: {int: Shape.NUMBER, float: Shape.NUMBER, Decimal: Shape.NUMBER},
}
"""For declared types: the shape of values of exactly these types, of which nothing else need be known."""


_NONE: Final[dict[type, Shape]] = {}


def bare(form: Form) -> Form:
    """Return the form of the values that are not None."""
    while type(form) is Maybe:
        form = form.inner
    return form


def shape_of_form(form: Form) -> Shape | None:
    """Return what every value of a place is compared as; None where that depends on the value."""
    form = bare(form)
    if isinstance(form, Scalar):
        if form.kind in {int, float, Decimal}:
            return Shape.NUMBER
        return None if form.kind is dt.datetime else Shape.TEXT
    if isinstance(form, Union):
        shapes = {shape_of_form(member) for member in form.members}
        return shapes.pop() if len(shapes) == 1 else None
    if isinstance(form, (Items, Tuple, Dict, ObjectForm)):
        return Shape.JSON
    if form.kinds == {"number"}:
        return Shape.NUMBER
    return Shape.TEXT if form.kinds and form.kinds <= {"string", "bool"} else None


def is_datetime(form: Form) -> bool:
    """Return True for a place of datetimes, whose values have an offset or none."""
    form = bare(form)
    return isinstance(form, Scalar) and form.kind is dt.datetime


def shapes_to_sort(form: Form) -> tuple[Shape, ...]:
    """Return what the values of a place are sorted as: where nothing is declared numbers come before texts."""
    shape = shape_of_form(form)
    if shape is not None and shape is not Shape.JSON:
        return (shape,)
    # One with an offset has a place in time; one without has its text.
    return (Shape.INSTANT if is_datetime(form) else Shape.NUMBER, Shape.TEXT)


def shape_of_value(form: Form, value: object, label: str) -> Shape:
    """Return what *value* and the values of a place are compared as.

    Raises:
        InvalidArgumentTypeException: No value of the place could ever be equal to it.
    """
    form = bare(form)
    if type(form) is Scalar:
        shape = _SIMPLE.get(form.kind, _NONE).get(type(value))
        if shape is not None:
            return shape
    if isinstance(form, Union):
        for member in form.members:
            if member.accepts(value):
                return shape_of_value(member, value, label)
        raise _misfit(label, form, value)
    if form.untyped:
        return _shape_of_untyped(value, label)
    if isinstance(form, Scalar):
        kind = form.kind
        if kind in {int, float, Decimal}:
            if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
                return Shape.NUMBER
        elif kind is dt.datetime:
            if isinstance(value, dt.datetime):
                return Shape.TEXT if value.tzinfo is None else Shape.INSTANT
        elif kind is dt.date:
            if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
                return Shape.TEXT
        elif isinstance(value, kind):
            return Shape.TEXT
        raise _misfit(label, form, value)
    if not form.accepts(value) and not (isinstance(form, EnumForm) and _is_value_of(form, value)):
        raise _misfit(label, form, value)
    if isinstance(form, (Items, Tuple, Dict, ObjectForm)):
        return Shape.JSON
    return _shape_of_wire(form.encode(value, None, None) if form.accepts(value) else value)


def is_ordered(form: Form, value: object) -> bool:
    """Return True where `<` has a meaning for the values of a place."""
    form = bare(form)
    if type(form) is Scalar:
        return form.kind not in _UNORDERED
    return not isinstance(value, (*_UNORDERED, list, tuple, dict, set, frozenset))


def binder(form: Form, shape: Shape) -> Callable[[Any], object]:
    """Return what makes a bound parameter of a value, of the type that `CASTS` expects for the shape."""
    form = bare(form)
    if shape is Shape.NUMBER:
        return _bind_number
    if shape is Shape.INSTANT:
        return _bind_instant
    if shape is Shape.JSON:
        return lambda value: JSONB_VERSION + write_json(_wire(form, value))
    if shape is Shape.FOLDED:
        return lambda value: _text(form, value)
    return lambda value: value if type(value) is str and _is_plain(value) else _text(form, value)


CASTS: Final = {Shape.TEXT: "", Shape.FOLDED: "", Shape.NUMBER: "::numeric", Shape.INSTANT: "", Shape.JSON: ""}
"""What stands behind a bound parameter, by shape: a number travels as text, which numeric holds to the digit."""

ARRAY_CASTS: Final = {
    Shape.TEXT: "",
    Shape.FOLDED: "",
    Shape.NUMBER: "::numeric[]",
    Shape.INSTANT: "::timestamptz[]",
}
"""The same for an array, which travels as text[]."""


def array_item(form: Form, shape: Shape) -> Callable[[Any], str]:
    """Return what makes an item of such an array."""
    if shape is Shape.INSTANT:
        return lambda value: value.astimezone(dt.UTC).isoformat()
    bind = binder(form, shape)
    return lambda value: str(bind(value))


def _shape_of_untyped(value: object, label: str) -> Shape:
    if isinstance(value, enum.Enum):
        return _shape_of_untyped(value.value, label)
    if isinstance(value, bool):
        return Shape.TEXT
    if isinstance(value, (int, float, Decimal)):
        return Shape.NUMBER
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return Shape.INSTANT
    if isinstance(value, _TEXT_SCALARS):
        return Shape.TEXT
    if isinstance(value, (list, dict, tuple, set, frozenset)):
        return Shape.JSON
    raise InvalidArgumentTypeException(
        f"{label} cannot be compared with a {type(value).__qualname__}: such values are not stored"
    )


def _shape_of_wire(wire: object) -> Shape:
    if isinstance(wire, bool) or not isinstance(wire, (int, float, Decimal)):
        return Shape.JSON if isinstance(wire, (list, dict)) else Shape.TEXT
    return Shape.NUMBER


def _is_value_of(form: EnumForm, value: object) -> bool:
    """Return True for the value of a member of an enum, which a user may write in its place."""
    return any(type(value) is type(member.value) and value == member.value for member in form.annotation)


def _wire(form: Form, value: object) -> object:
    """Return what is stored for *value*.

    Raises:
        UnsupportedValueException: It cannot be stored, so that nothing could be equal to it.
    """
    try:
        return form.encode(value, None, None) if form.accepts(value) else LOOSE.encode(value, None, None)
    except RefusedError as error:
        raise UnsupportedValueException(f"{value!r:.80} cannot be stored, so no document holds it: {error}") from error


def check_fits(form: Form, value: object, label: str) -> None:
    """Refuse a value that could not be read from a place again, as what it is.

    Raises:
        InvalidArgumentTypeException: It is of another type than the place declares, or of a type that a document has to
            record where nothing is declared.
        UnsupportedValueException: It cannot be stored.
    """
    wire: object = None
    if value is not None:
        try:
            shape_of_value(form, value, label)
        except InvalidArgumentTypeException as error:
            if form.untyped:
                raise
            raise _misfit(label, form, value, "cannot become") from error
        wire = _wire(form, value)
    special = set(_recorded_types(form, value).values())
    if special:
        raise InvalidArgumentTypeException(
            f"{label} declares no type, and the server records none: {', '.join(sorted(special))} in "
            f"{value!r:.60} would be read as text or a list. Write it so, declare a type, or change the document in a "
            "session"
        )
    try:
        form.decode(None if wire is None else read_json(write_json(wire)), None)
    except MisfitError as error:
        raise InvalidArgumentTypeException(
            f"{label} holds {form.label}, so {value!r:.60} could not be read from it again: "
            f"{error.expected} is expected, and {error.found} found"
        ) from error


def _recorded_types(form: Form, value: object) -> Mapping[str, str]:
    """Return the types that a document records of a value, beside it, by their places."""
    records = Recorded()
    if form.accepts(value):
        form.encode(value, None, records)
    return records


def _text(form: Form, value: object) -> str:
    stored = read_json(write_json(_wire(form, value)))
    if isinstance(stored, bool):
        return "true" if stored else "false"
    return str(stored)


def _is_plain(text: str) -> bool:
    return text.isascii() and "\0" not in text


def _bind_number(value: Any) -> str:
    if isinstance(value, enum.Enum):
        value = value.value
    if not math.isfinite(value):
        raise UnsupportedValueException(f"{value!r} is no JSON number, so no document holds it")
    return repr(float(value)) if isinstance(value, float) else str(int(value)) if isinstance(value, int) else str(value)


def _bind_instant(value: dt.datetime) -> Timestamp:
    return Timestamp((value - _EPOCH) // _MICROSECOND)


def _misfit(label: str, form: Form, value: object, verdict: str = "is never equal to") -> InvalidArgumentTypeException:
    name = type(value).__qualname__
    article = "an" if name[0] in "aeiouAEIOU" else "a"
    return InvalidArgumentTypeException(f"{label} holds {form.label}, so it {verdict} {article} {name} ({value!r:.60})")
