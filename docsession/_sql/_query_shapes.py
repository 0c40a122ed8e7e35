"""Statements on the shapes of the queries that a database was asked."""

from __future__ import annotations

from typing import Final

from docsession._port import Statement, TextArray, Timestamp
from docsession._sql._quoting import qualified, quote_identifier
from docsession._sql._schema import QUERY_SHAPES_TABLE

_TYPES: Final = {str: "text", int: "bigint", bytes: "jsonb", Timestamp: "timestamptz", TextArray: "text[]"}

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


def has_schema(database: str) -> Statement:
    """Whether the database is there."""
    return Statement(b"SELECT to_regnamespace($1) IS NOT NULL", (quote_identifier(database),))


def read_shapes(database: str) -> str:
    """Return the question for the shapes that a database keeps: collection, shape as JSON, count, microseconds."""
    return f"SELECT collection, shape::text, count, microseconds FROM {qualified(database, QUERY_SHAPES_TABLE)}"


def explain_for_any_values(statement: Statement, name: str, *, by_order: bool) -> list[str]:
    """Return what asks for the plan of a statement whatever its values are, as JSON, and would rather use indexes.

    To be run in a savepoint that is rolled back, but for the last one, which takes away what is prepared; the one
    before has the answer. (`EXPLAIN (GENERIC_PLAN)` says the same from PostgreSQL 16 on.)

    Args:
        statement: The statement; of its parameters the types are needed.
        name: What it is called meanwhile.
        by_order: True would rather read an index in its order, False rather look something up in one.
    """
    disliked = ("seqscan", "sort") if by_order else ("seqscan", "indexscan", "indexonlyscan")
    types = ", ".join(_TYPES[type(each)] for each in statement.params)
    nothing = ", ".join("NULL" for _ in statement.params)
    prepared, used = (f"({each})" if statement.params else "" for each in (types, nothing))
    return [
        *(f"SET LOCAL enable_{each} = off" for each in disliked),
        "SET LOCAL plan_cache_mode = force_generic_plan",
        f"PREPARE {name}{prepared} AS {statement.sql.decode()}",
        f"EXPLAIN (FORMAT JSON) EXECUTE {name}{used}",
        f"DEALLOCATE {name}",
    ]
