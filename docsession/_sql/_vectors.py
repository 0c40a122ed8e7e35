"""Vectors of documents, as values of pgvector."""

from __future__ import annotations

from typing import Final

from docsession._sql._quoting import quote_identifier
from docsession._sql._values import Path, json_at, literal, text_at

EXTENSION: Final = "vector"

OPERATORS: Final = {"cosine": "<=>", "l2": "<->", "inner_product": "<#>"}
"""The distances, each with pgvector's operator: the nearest have the least."""

# In strict mode nothing is unwrapped, and what is no number compares as unknown.
_MISFIT: Final = literal(
    "strict $[*] ? (!(@ == 0 || (@ >= 1e-44 && @ <= 3.4e38) || (@ <= -1e-44 && @ >= -3.4e38)) "
    "|| (@ == 0 || @ > 0 || @ < 0) is unknown)"
)
_SOMETHING: Final = literal("strict $[*] ? (@ != 0)")


def vector_at(document: str, path: Path, size: int, schema: str) -> str:
    """Return the vector at *path*: null for anything but an array of *size* numbers that pgvector can hold.

    Args:
        document: An SQL expression of type jsonb.
        path: Where in it.
        size: How many numbers it has.
        schema: The schema of the extension.
    """
    json = json_at(document, path)
    fits = f"jsonb_array_length({json}) = {size} AND NOT jsonb_path_exists({json}, {_MISFIT})"
    vector = f"({text_at(document, path)})::{vector_type(size, schema)}"
    return f"(CASE WHEN jsonb_typeof({json}) = 'array' THEN CASE WHEN {fits} THEN {vector} END END)"


def is_not_zero(document: str, path: Path) -> str:
    """Return the condition that the array at *path* has another number than 0, without which it has no direction."""
    return f"jsonb_path_exists({json_at(document, path)}, {_SOMETHING})"


def vector_type(size: int, schema: str) -> str:
    """Return the type of vectors."""
    return f"{quote_identifier(schema)}.vector({size})"


def distance(left: str, metric: str, right: str, schema: str) -> str:
    """Return the distance of two vectors; null where it is no number that JSON has."""
    raw = f"({left} OPERATOR({quote_identifier(schema)}.{OPERATORS[metric]}) {right})"
    return f"(CASE WHEN abs{raw} < 'Infinity'::float8 THEN {raw}::numeric END)"
