"""Statements on the system tables of a database."""

from __future__ import annotations

from docsession._port import Statement, TextArray
from docsession._sql._quoting import qualified
from docsession._sql._schema import VERSION_TABLE
from docsession._sql._tables import CATALOGUE


class SystemStatements:
    """The SQL of one database's system tables."""

    def __init__(self, database: str) -> None:
        collections = qualified(database, "docsession_collections")
        hilo = qualified(database, "docsession_hilo")
        columns = 'prefix, collection, "table"'
        self._read = f"SELECT {columns} FROM {collections}".encode()
        self._revision = f"SELECT version_num FROM {qualified(database, VERSION_TABLE)}".encode()
        self._size = f"SELECT count(*) FROM {collections}".encode()
        self._record = f"INSERT INTO {collections} ({columns}) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING".encode()
        self._unchanged = (
            f"SELECT CASE WHEN count(*) = $2 THEN 1 ELSE {CATALOGUE} END FROM {collections} WHERE prefix = ANY($1)"
        ).encode()
        self._range = (
            f"INSERT INTO {hilo} AS h (collection, max) VALUES ($1, $2) ON CONFLICT (collection) "
            "DO UPDATE SET max = h.max + excluded.max RETURNING max"
        ).encode()
        self._give_back = f"UPDATE {hilo} SET max = $2 WHERE collection = $1 AND max = $3".encode()

    def read(self) -> Statement:
        """Every (prefix, collection, table) of the catalogue."""
        return Statement(self._read)

    def revision(self) -> Statement:
        """The revision of the schema, as Alembic records it."""
        return Statement(self._revision)

    def size(self) -> Statement:
        """How many rows the catalogue has: rows are only ever added."""
        return Statement(self._size)

    def record(self, prefix: str, collection: str, table: str) -> Statement:
        """Record that ids with *prefix* are used by *collection*."""
        return Statement(self._record, (prefix, collection, table))

    def unchanged(self, prefixes: tuple[str, ...], rows: int) -> Statement:
        """Refuse the flush where the catalogue has other than *rows* rows for *prefixes*."""
        return Statement(self._unchanged, (TextArray(prefixes), rows))

    def take_range(self, collection: str, size: int) -> Statement:
        """Take the next *size* numbers; comes back with the last of them."""
        return Statement(self._range, (collection, size))

    def give_back_range(self, collection: str, used: int, last: int) -> Statement:
        """Give back the numbers after *used*, unless somebody has taken a range after *last*."""
        return Statement(self._give_back, (collection, used, last))
