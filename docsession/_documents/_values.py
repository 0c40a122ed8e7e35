"""Single values: what of them can be stored, and how their JSON is read back.

Scalars stay as they are on the way to JSON: msgspec's encoder, which writes the text, has one form
for each of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from math import isfinite
from typing import Any, Final
from uuid import UUID

import msgspec

from docsession._documents._places import MisfitError, RefusedError, Trail, describe

DIGITS_BEFORE_POINT: Final = 131_072
DIGITS_AFTER_POINT: Final = 16_383
"""What PostgreSQL's numeric holds."""
MAX_INT_BITS: Final = 14_284
"""An int of 4300 digits: Python, msgspec and other readers convert no longer ones."""

write_json: Final = msgspec.json.Encoder(order="deterministic", decimal_format="number").encode
"""Writes what the codecs make of an entity: one text for equal values."""
read_json: Final = msgspec.json.Decoder(float_hook=Decimal).decode
"""Reads JSON without losing a digit: numbers with a fraction or an exponent become Decimals."""


def _as_stored(number: str) -> Decimal | int:
    """Return a number as it is read after jsonb has had it: `1E+5`, a Decimal, becomes 100000 there."""
    value = Decimal(number)
    exponent = value.as_tuple().exponent
    # msgspec writes a float's exponent with a small letter; the codec gives such a float a decimal point.
    return int(value) if "E" in number and isinstance(exponent, int) and exponent >= 0 else value


read_as_stored: Final = msgspec.json.Decoder(float_hook=_as_stored).decode
"""Reads what was just written as it will be read from the database."""

_MINUTE: Final = dt.timedelta(minutes=1)


def check_str(value: str, trail: Trail) -> str:
    """Refuse text that PostgreSQL cannot hold."""
    if "\0" in value:
        raise RefusedError(trail, "PostgreSQL's text cannot hold the character NUL (\\x00): remove it")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise RefusedError(trail, "the text holds a lone surrogate, which is no character: remove it") from None
    return value


def check_int(value: int, trail: Trail) -> int:
    """Refuse an int that cannot be read back."""
    if value.bit_length() > MAX_INT_BITS:
        raise RefusedError(trail, "the int has more than 4300 digits")
    return value


def check_float(value: float, trail: Trail) -> float:
    """Refuse NaN and the infinities, which JSON does not have."""
    if not isfinite(value):
        raise RefusedError(trail, f"JSON has no number for {value}: store None instead")
    return value


def check_decimal(value: Decimal, trail: Trail) -> Decimal:
    """Refuse what PostgreSQL's numeric does not hold."""
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise RefusedError(trail, f"JSON has no number for Decimal('{value}'): store None instead")
    if -exponent > DIGITS_AFTER_POINT or value.adjusted() >= DIGITS_BEFORE_POINT:
        raise RefusedError(
            trail,
            f"the Decimal has more than {DIGITS_BEFORE_POINT} digits before the point or {DIGITS_AFTER_POINT} after",
        )
    return value


def is_bad_decimal(value: Decimal) -> bool:
    """Return True where the value is no number, or far beyond what PostgreSQL's numeric holds."""
    return not value.is_finite() or not -DIGITS_AFTER_POINT <= value.adjusted() < DIGITS_BEFORE_POINT


def has_odd_offset(value: dt.datetime | dt.time) -> bool:
    """Return True where the value's offset from UTC is no whole number of minutes."""
    zone = value.tzinfo
    if zone is None or zone is dt.UTC:
        return False
    offset = value.utcoffset()
    return offset is not None and bool(offset % _MINUTE)


def check_offset(value: Any, trail: Trail) -> Any:
    """Refuse an offset with seconds, which RFC 3339 cannot write."""
    if has_odd_offset(value):
        raise RefusedError(
            trail, f"the offset {value.utcoffset()} is no whole number of minutes: convert the time to UTC first"
        )
    return value


def keep(value: Any, trail: Trail) -> Any:  # noqa: ARG001  # one signature for all checks
    """Return the value: all of its type can be stored."""
    return value


CHECKS: Final[dict[type, Callable[[Any, Trail], Any]]] = {
    str: check_str,
    int: check_int,
    float: check_float,
    bool: keep,
    type(None): keep,
    Decimal: check_decimal,
    dt.datetime: check_offset,
    dt.date: keep,
    dt.time: check_offset,
    dt.timedelta: keep,
    UUID: keep,
    bytes: keep,
    bytearray: keep,
}
"""What is stored as one JSON value: exact type -> check."""

SPECIAL: Final[dict[str, type]] = {
    kind.__name__: kind for kind in (Decimal, dt.datetime, dt.date, dt.time, dt.timedelta, UUID, bytes, bytearray)
}
"""Scalars that JSON has no type for, by the name that `@types` records."""

_NUMBERS_AND_BYTES: Final[tuple[Any, ...]] = (int, float, Decimal, bytes, bytearray)
_BASES: Final = (str, int, float, Decimal, dt.datetime, dt.date, dt.time, dt.timedelta, UUID, bytes, bytearray)


def as_base(value: Any) -> Any:
    """Return an instance of a subclass (of str, float, datetime, …) as the base class that it will be read as.

    Raises:
        TypeError: Its class is none of those.
    """
    if isinstance(value, dt.datetime):
        return dt.datetime.combine(value.date(), value.timetz())
    if isinstance(value, dt.date):
        return dt.date(value.year, value.month, value.day)
    if isinstance(value, dt.time):
        return dt.time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold)
    if isinstance(value, dt.timedelta):
        return dt.timedelta(value.days, value.seconds, value.microseconds)
    if isinstance(value, str):
        return str.__str__(value)
    for base in _NUMBERS_AND_BYTES:
        if isinstance(value, base):
            return base.__new__(base, value)
    if isinstance(value, UUID):
        return UUID(int=value.int)
    raise TypeError(f"a value of the class {type(value).__qualname__} cannot be stored")


def is_subclass_instance(value: object) -> bool:
    """Return True where `as_base` knows what to do."""
    return isinstance(value, _BASES)


def convert(json: Any, kind: Any, label: str) -> Any:
    """Return the value of type *kind* that JSON stands for, in msgspec's forms.

    Raises:
        MisfitError: It stands for none.
    """
    try:
        return msgspec.convert(json, kind)
    except (msgspec.ValidationError, ValueError, OverflowError):
        raise MisfitError(label, describe(json)) from None


def floats(json: Any) -> Any:
    """Return JSON that was read without losing a digit with Python's floats in it, as untyped places hold them."""
    kind = type(json)
    if kind is Decimal:
        return float(json)
    if kind is dict:
        return {key: floats(value) for key, value in json.items()}
    if kind is list:
        return [floats(value) for value in json]
    return json
