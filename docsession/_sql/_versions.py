"""Statements that find documents of older versions of their class."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from docsession._port import JSONB_VERSION, Statement, TextArray
from docsession._sql._tables import COLUMNS, TableStatements

# $1 is {alias: version} as JSON; "" stands for documents without an alias. Documents of other aliases match nothing.
_CURRENT = "($1 ->> coalesce(metadata ->> '@type', ''))"
_OUTDATED = f"coalesce(metadata ->> '@schema-version', '1') <> {_CURRENT}"


def count_outdated(table: TableStatements, versions: Mapping[str, int], after: str) -> Statement:
    """Count the documents that are not of the current version of their class, and those of unknown aliases.

    Args:
        table: Where they are.
        versions: The current version by alias.
        after: Only ids behind this one.
    """
    sql = (
        f"SELECT count(*) FILTER (WHERE {_OUTDATED}), count(*) FILTER (WHERE {_CURRENT} IS NULL) "
        f"FROM {table.name} WHERE id > $2"
    )
    return Statement(sql.encode(), (_jsonb(versions), after))


def load_outdated(table: TableStatements, versions: Mapping[str, int], after: str, size: int) -> Statement:
    """Load the next *size* of them, in the order of their ids."""
    sql = f"SELECT {COLUMNS} FROM {table.name} WHERE id > $2 AND {_OUTDATED} ORDER BY id LIMIT $3"
    return Statement(sql.encode(), (_jsonb(versions), after, size))


def load_outdated_of(table: TableStatements, versions: Mapping[str, int], keys: list[str]) -> Statement:
    """Load those of them that have one of the ids *keys*."""
    sql = f"SELECT {COLUMNS} FROM {table.name} WHERE id = ANY($2) AND {_OUTDATED} ORDER BY id"
    return Statement(sql.encode(), (_jsonb(versions), TextArray(keys)))


def _jsonb(versions: Mapping[str, int]) -> bytes:
    return JSONB_VERSION + msgspec.json.encode({alias: str(version) for alias, version in versions.items()})
