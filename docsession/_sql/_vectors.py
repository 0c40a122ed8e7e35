"""Vectors of documents, as values of pgvector: the same text in queries, indexes and generated columns."""

from __future__ import annotations

from typing import Final

from docsession._sql._values import Path, json_at, literal, text_at

EXTENSION: Final = "vector"

OPERATORS: Final = {"cosine": "<=>", "l2": "<->", "inner_product": "<#>"}
"""The distances, each with pgvector's operator: the nearest have the least."""

_CLASSES: Final = {"cosine": "cosine_ops", "l2": "l2_ops", "inner_product": "ip_ops"}

NEARNESS: Final = "docsession_nearness"
"""The column that holds the distance where rows are the nearest."""

# What the text of a JSON array of numbers does not have; a number in it is written without an exponent.
_NO_NUMBERS: Final = r"[^][0-9., -]|.\["
_TOO_LARGE: Final = {
    False: "[0-9]{40}|[4-9][0-9]{38}|3[4-9][0-9]{37}",  # 3.4e38
    True: "[0-9]{6}|[7-9][0-9]{4}|6[5-9][0-9]{3}",  # 65,000
}
_TOO_SMALL: Final = r"0\.0{44}"
_SOMETHING: Final = literal("strict $[*] ? (@ != 0)")


def vector_at(document: str, path: Path, size: int, schema: str, *, half: bool = False) -> str:
    """Return the vector at *path*: null for anything but an array of *size* numbers that pgvector can hold.

    Args:
        document: An SQL expression of type jsonb.
        path: Where in it.
        size: How many numbers it has.
        schema: The schema of the extension, quoted.
        half: True: of half precision.
    """
    json, text = json_at(document, path), text_at(document, path)
    misfit = literal(f"{_NO_NUMBERS}|[[ -]({_TOO_SMALL}|{_TOO_LARGE[half]})")
    fits = f'jsonb_array_length({json}) = {size} AND {text} COLLATE "C" !~ {misfit}'
    vector = f"({text})::{schema}.{_name(half)}"
    # An index wants to know how many numbers there are, which CASE does not say.
    return (
        f"(CASE WHEN jsonb_typeof({json}) = 'array' THEN CASE WHEN {fits} THEN {vector} END END)"
        f"::{vector_type(size, schema, half=half)}"
    )


def vector_type(size: int, schema: str, *, half: bool = False) -> str:
    """Return the type of vectors; *schema* is that of the extension, quoted."""
    return f"{schema}.{_name(half)}({size})"


def operator_class(metric: str, schema: str, *, half: bool) -> str:
    """Return what an index sorts by; *schema* is that of the extension, quoted."""
    return f"{schema}.{_name(half)}_{_CLASSES[metric]}"


def raw_distance(left: str, metric: str, right: str, schema: str) -> str:
    """Return the distance of two vectors as pgvector computes it, which is what an index serves."""
    return f"({left} OPERATOR({schema}.{OPERATORS[metric]}) {right})"


def finite(raw: str) -> str:
    """Return a distance as a number; null where it is none that JSON has."""
    return f"nullif(nullif(nullif({raw}, 'NaN'), 'Infinity'), '-Infinity')::numeric"


def nearest_rows(
    table: str, columns: str, where: str, distance: str, limit: str, most: str | None = None, *, by_index: bool
) -> str:
    """Return what stands behind FROM for the rows with the least distances, with the distance as `NEARNESS`.

    An index serves a bare distance alone, with nothing behind it in ORDER BY. Without one the distance is
    computed once for each row, and the id decides between equal ones.

    Args:
        table: The table.
        columns: Its columns.
        where: The WHERE of the rows, or "".
        distance: As `raw_distance` returns it.
        limit: How many rows.
        most: The greatest distance; None: any.
        by_index: True: an index is declared for it.
    """
    rows = f"SELECT {columns}, {distance} AS {NEARNESS} FROM {table} AS t{where}"
    # What has no direction has no cosine; and not a number is more than any number, and less than null.
    near = f"t.{NEARNESS} < 'NaN'" if most is None else f"t.{NEARNESS} <= {most}"
    if by_index:
        return f"({rows} ORDER BY {NEARNESS} LIMIT {limit}) AS t WHERE {near}"
    kept = f"SELECT {columns}, t.{NEARNESS} FROM ({rows} OFFSET 0) AS t WHERE {near}"
    return f"({kept} ORDER BY t.{NEARNESS}, t.id LIMIT {limit}) AS t"


def _name(half: bool) -> str:
    return "halfvec" if half else "vector"
