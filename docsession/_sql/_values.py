"""The value at a path of a document, as SQL: the same text in queries, indexes and generated columns.

A path has exactly five expressions. That an index is used depends on nothing but that a query's
expression is the index's, so nobody else writes one.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final, TypeAlias

from docsession._sql._instant import INSTANT_FUNCTION
from docsession._sql._quoting import qualified, quote_literal

Path: TypeAlias = tuple[str | int, ...]
"""Keys of objects, and positions in arrays; () is the document, or the item of an array, itself."""


_DIGITS: Final = r"^[-+]?[0-9]{1,250}([.][0-9]{1,250})?$"


class Shape(enum.Enum):
    """What a value is compared as.

    TEXT: by code point; what JSON has no type of its own for, and true and false. FOLDED: the same without
    regard to case. NUMBER: numeric, null for anything but a JSON number. INSTANT: a moment, null for
    anything but a string with date, time and offset. JSON: the value as it is.
    """

    TEXT = "text"
    FOLDED = "folded"
    NUMBER = "number"
    INSTANT = "instant"
    JSON = "json"

    __hash__ = object.__hash__  # there is one of each; Enum's own is written in Python


def literal(text: str) -> str:
    """Return *text* as an SQL string, in plain quotes where that means the same under every setting."""
    return quote_literal(text) if "'" in text or "\\" in text else f"'{text}'"


def path_literal(path: Sequence[str | int]) -> str:
    """Return the path that the operators `#>` and `#>>` take, an array's literal."""
    parts = (str(part).replace("\\", "\\\\").replace('"', '\\"') for part in path)
    return literal("{" + ",".join(f'"{part}"' for part in parts) + "}")


def json_at(document: str, path: Path) -> str:
    """Return the jsonb at *path* of *document*, an SQL expression; null where there is none."""
    if not path:
        return document
    if len(path) == 1:
        return f"({document} -> {_step(path[0])})"
    return f"({document} #> {path_literal(path)})"


def text_at(document: str, path: Path) -> str:
    """Return the value at *path* as text; null for JSON's null and where there is none."""
    if len(path) == 1:
        return f"({document} ->> {_step(path[0])})"
    return f"({document} #>> {path_literal(path)})"


def value_expression(document: str, path: Path, shape: Shape, schema: str) -> str:
    """Return the SQL expression of a value.

    Args:
        document: An SQL expression of type jsonb: the column `data`, or an item of an array.
        path: Where in it.
        shape: What it is compared as.
        schema: The schema of the database, where `docsession_instant` is.
    """
    match shape:
        case Shape.TEXT:
            return f'({text_at(document, path)} COLLATE "C")'
        case Shape.FOLDED:
            return f'(lower({text_at(document, path)}) COLLATE "C")'
        case Shape.NUMBER:
            value = json_at(document, path)
            return f"(CASE WHEN jsonb_typeof({value}) = 'number' THEN ({value})::numeric END)"
        case Shape.INSTANT:
            return f"{qualified(schema, INSTANT_FUNCTION)}({json_at(document, path)})"
        case Shape.JSON:
            return json_at(document, path)


def items_of(document: str, path: Path) -> str:
    """Return the set of the items of the array at *path*; empty for anything but an array."""
    value = json_at(document, path)
    return f"jsonb_array_elements(CASE WHEN jsonb_typeof({value}) = 'array' THEN {value} ELSE '[]' END)"


def values_of(document: str, path: Path) -> str:
    """Return the set of the values at *path*: the items of an array, else the value itself, if any."""
    value = json_at(document, path)
    one = f"WHEN {value} IS NOT NULL THEN jsonb_build_array({value}) ELSE '[]' END"
    return f"jsonb_array_elements(CASE WHEN jsonb_typeof({value}) = 'array' THEN {value} {one})"


def loose_expression(document: str, path: Path, shape: Shape) -> str:
    """Return the SQL of a value of which nothing is declared: any scalar as text, or what looks like a number as one.

    No index has such expressions.

    Args:
        document: As for `value_expression`.
        path: As for that.
        shape: TEXT, FOLDED or NUMBER.
    """
    value, text = json_at(document, path), text_at(document, path)
    if shape is Shape.NUMBER:
        # As many digits as no cast fails of.
        looks = f"jsonb_typeof({value}) = 'string' AND {text} ~ '{_DIGITS}'"
        number = f"WHEN jsonb_typeof({value}) = 'number' THEN ({value})::numeric"
        return f"(CASE {number} WHEN {looks} THEN ({text})::numeric END)"
    scalar = f"CASE WHEN jsonb_typeof({value}) IN ('string', 'number', 'boolean') THEN {text} END"
    return f'(lower({scalar}) COLLATE "C")' if shape is Shape.FOLDED else f'(({scalar}) COLLATE "C")'


def _step(part: str | int) -> str:
    return str(part) if isinstance(part, int) else literal(part)
