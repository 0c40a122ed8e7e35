"""What a request is about and how much it carries, for those who watch requests: never what it holds."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any

from docsession._port import Row, Statement
from docsession._session._catalogue import Catalogue
from docsession._sql._quoting import quote_identifier

_NAME = r'"((?:[^"]|"")+)"'
_NUMBER = 8


def collections_of(statements: Sequence[Statement], schema: str, catalogue: Catalogue | None) -> tuple[str, ...]:
    """Return the collections that statements name, as far as they are known.

    A table is never written but as `"schema"."table"`, so the text tells. What a query of the user's own holds beside
    names cannot get out: only tables of the catalogue are looked for.
    """
    if catalogue is None:
        return ()
    tables: set[str] = set()
    for statement in statements:
        tables |= _tables_of(statement.sql, schema)
    return tuple(sorted(name for name, each in catalogue.by_collection.items() if each.table in tables))


@functools.lru_cache(maxsize=256)
def _tables_of(sql: bytes, schema: str) -> frozenset[str]:
    pattern = re.escape(quote_identifier(schema)) + rf"\.{_NAME}"
    return frozenset(name.replace('""', '"') for name in re.findall(pattern, sql.decode()))


def is_document(row: Row) -> bool:
    """Return True for a row that begins as those of a load do."""
    return len(row) >= 5 and type(row[0]) is str and type(row[1]) is bytes and type(row[3]) is int


def size_of(values: Iterable[Any]) -> int:
    """Return about how many bytes values take on their way, without what PostgreSQL puts around them."""
    size = 0
    for value in values:
        kind = type(value)
        if kind is bytes:
            size += len(value)
        elif kind is str:
            size += len(value) if value.isascii() else len(value.encode(errors="replace"))
        elif isinstance(value, tuple):
            size += size_of(value)
        elif value is not None:
            size += _NUMBER
    return size
