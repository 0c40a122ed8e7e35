"""Statements on the shapes of the queries that a database was asked."""

from __future__ import annotations

from typing import Final

from docsession._port import Statement
from docsession._sql._quoting import qualified
from docsession._sql._schema import QUERY_SHAPES_TABLE

MOST_SHAPES: Final = 1000
"""Shapes that a database keeps; those that were not seen for the longest time go."""


def add_shapes(database: str, shapes: bytes) -> list[Statement]:
    """Return what adds shapes to those that a database keeps, and removes what is too many.

    The rows are taken in one order, so that two processes never wait for each other.

    Args:
        database: The database.
        shapes: JSON, with the version of its binary format: a list of objects with digest, collection, shape, count,
            microseconds and last_seen.
    """
    table = qualified(database, QUERY_SHAPES_TABLE)
    columns = "digest, collection, shape, count, microseconds, last_seen"
    types = "digest text, collection text, shape jsonb, count bigint, microseconds bigint, last_seen timestamptz"
    add = (
        f"INSERT INTO {table} AS t ({columns}) SELECT {columns} FROM jsonb_to_recordset($1) AS r({types}) "
        "ORDER BY digest ON CONFLICT (digest) DO UPDATE SET count = t.count + excluded.count, "
        "microseconds = t.microseconds + excluded.microseconds, "
        "last_seen = GREATEST(t.last_seen, excluded.last_seen)"
    )
    trim = (
        f"DELETE FROM {table} WHERE digest IN (SELECT digest FROM {table} WHERE digest IN "
        f"(SELECT digest FROM {table} ORDER BY last_seen DESC, digest OFFSET {MOST_SHAPES}) "
        "ORDER BY digest FOR UPDATE SKIP LOCKED)"
    )
    return [Statement(add.encode(), (shapes,)), Statement(trim.encode())]
