"""The statements of compare-exchange values.

Their table stands among those of the collections in a flush: the key is the id, the index the version. On the way a
value is the member `Object` of an object; the column holds the value itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from typing_extensions import override

from docsession._port import Statement, TextArray
from docsession._sql._load import begins_with, page_end
from docsession._sql._schema import COMPARE_EXCHANGE_TABLE
from docsession._sql._tables import CONFLICT, TableStatements

_COLUMNS = 'key, "index", value, metadata'
_READ = "key, jsonb_build_object('Object', value), metadata, \"index\""


class CompareExchangeStatements(TableStatements):
    """The SQL of one database's compare-exchange values; rows are (key, value, metadata, index)."""

    def __init__(self, database: str) -> None:
        super().__init__(database, COMPARE_EXCHANGE_TABLE, COMPARE_EXCHANGE_TABLE)
        self.load_one = f"SELECT {_READ} FROM {self.name} WHERE key = $1".encode()
        self.load_many = f"SELECT {_READ} FROM {self.name} WHERE key = ANY($1)".encode()

    @cached_property
    @override
    def versions(self) -> bytes:
        return f'SELECT key, "index" FROM {self.name} WHERE key = ANY($1) ORDER BY key'.encode()

    @cached_property
    @override
    def insert(self) -> bytes:
        """$1 key, $2 value, $3 metadata, $4 index."""
        return (
            f"INSERT INTO {self.name} ({_COLUMNS}) VALUES ($1, $4, $2 -> 'Object', $3) ON CONFLICT (key) DO NOTHING "
            'RETURNING "index"'
        ).encode()

    @cached_property
    @override
    def update(self) -> bytes:
        """$1 key, $2 value, $3 metadata, $4 the new index, $5 the expected index."""
        return (
            f"UPDATE {self.name} SET value = $2 -> 'Object', metadata = $3, \"index\" = $4 "
            'WHERE key = $1 AND "index" = $5 RETURNING "index"'
        ).encode()

    @cached_property
    @override
    def delete_checked(self) -> bytes:
        return f'DELETE FROM {self.name} WHERE key = $1 AND "index" = $2 RETURNING {_READ}'.encode()

    @cached_property
    @override
    def delete_guarded(self) -> bytes:
        return (
            f'WITH w AS (DELETE FROM {self.name} WHERE key = $1 AND "index" = $2 RETURNING "index") '
            f"SELECT CASE WHEN count(*) = 1 THEN 1 ELSE {CONFLICT} END FROM w"
        ).encode()

    def is_there(self) -> Statement:
        """Whether there is such a table."""
        return Statement(b"SELECT to_regclass($1) IS NOT NULL", (self.name,))

    @override
    def put_guarded(self, size: int) -> bytes:
        """See `TableStatements.put_guarded`; $4n+1, the time, is not used."""
        if size not in self._guarded:
            n = 4 * size
            rows = ", ".join(
                f"(${4 * i + 1}, ${4 * i + 4}, ${4 * i + 2} -> 'Object', ${4 * i + 3})" for i in range(size)
            )
            self._guarded[size] = (
                f"WITH w AS (INSERT INTO {self.name} AS t ({_COLUMNS}) VALUES {rows} ON CONFLICT (key) "
                "DO UPDATE SET value = excluded.value, metadata = excluded.metadata, "
                f'"index" = GREATEST(t."index" + ${n + 2}, ${n + 3}) '
                'WHERE t."index" = excluded."index" RETURNING t."index") '
                f'SELECT CASE WHEN count(*) = {size} AND sum("index") = ${n + 4}::numeric THEN 1 '
                f"ELSE {CONFLICT} END FROM w"
            ).encode()
        return self._guarded[size]

    def load(self, keys: Sequence[str]) -> Statement:
        """The values of *keys*."""
        if len(keys) == 1:
            return Statement(self.load_one, (keys[0],))
        return Statement(self.load_many, (TextArray(keys),))

    def load_starting_with(self, prefix: str, start: int, page_size: int | None) -> Statement:
        """The values whose key begins with *prefix*, in the order of their keys."""
        params: list[object] = []
        conditions = " AND ".join(begins_with("key", prefix, params))
        page = page_end(start, page_size, params)
        sql = f"SELECT {_READ} FROM {self.name} WHERE {conditions} ORDER BY key{page}"
        return Statement(sql.encode(), params)
