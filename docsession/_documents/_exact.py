"""JSON as Python values in which no number loses a digit.

A number with a point or an exponent becomes a Decimal, which keeps its value and scale (`1.50`, `1e400`),
as PostgreSQL does; everything else becomes what msgspec makes of it.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec

_decode = msgspec.json.Decoder(float_hook=Decimal).decode

encode_exact = msgspec.json.Encoder(decimal_format="number").encode
"""Python values -> JSON, members in the order they have."""
canonical_exact = msgspec.json.Encoder(decimal_format="number", order="deterministic").encode
"""Python values -> JSON, members sorted: equal bytes mean equal values of equal types."""


def decode_exact(data: bytes) -> Any:
    """Return the Python values of JSON text."""
    try:
        return _decode(data)
    except msgspec.ValidationError:
        # An integer of thousands of digits, which Python refuses to read as an int.
        return json.loads(data, parse_int=_integer, parse_float=Decimal)


def _integer(digits: str) -> int | Decimal:
    return Decimal(digits) if len(digits) > 4000 else int(digits)


def same(one: Any, other: Any) -> bool:
    """Return True where two values are equal and of the same types at any depth: `1`, `1.0` and `True` differ."""
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is Decimal:
        # 1.50 and 1.5 are equal numbers of different text.
        return bool(one.compare_total(other) == 0)
    if kind is dict:
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if kind is list:
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def plain(value: Any) -> Any:
    """Return *value* with floats instead of Decimals, wherever a float has the same digits."""
    match value:
        case Decimal():
            number = float(value)
            return number if Decimal(repr(number)).compare_total(value) == 0 else value
        case dict():
            return {key: plain(member) for key, member in value.items()}
        case list():
            return [plain(member) for member in value]
        case _:
            return value
