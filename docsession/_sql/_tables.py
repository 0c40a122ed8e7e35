"""The statements of one collection's table, each text made once.

Sizes of multi-row statements are fixed (`SIZES`), so that a table has a handful of texts and a
connection a handful of plans, however many documents a flush holds.
"""

from __future__ import annotations

from functools import cached_property

from typing_extensions import override

from docsession._sql._quoting import qualified

COLUMNS = "id, data, metadata, version, last_modified"
SIZES = (256, 64, 16, 4, 1)

# A guard makes the server refuse the whole flush. The text reaches the error's message, where the
# session recognises it; count(*) keeps the planner from evaluating it beforehand.
CONFLICT = "('docsession:conflict ' || count(*))::int"
MISMATCH = "('docsession:mismatch ' || count(*))::int"
CATALOGUE = "('docsession:catalogue ' || count(*))::int"


class TableStatements:
    """The SQL of one table of one database.

    Attributes:
        collection: The collection whose documents the table holds.
        table: The table's name, not quoted.
        name: The qualified and quoted name.
    """

    def __init__(self, database: str, collection: str, table: str) -> None:
        self.collection = collection
        self.table = table
        self.name = qualified(database, table)
        self._guarded: dict[int, bytes] = {}
        self._unguarded: dict[int, bytes] = {}
        self.load_one = f"SELECT {COLUMNS} FROM {self.name} WHERE id = $1".encode()
        self.load_many = f"SELECT {COLUMNS} FROM {self.name} WHERE id = ANY($1)".encode()

    @override
    def __repr__(self) -> str:
        return f"<TableStatements {self.name}>"

    @cached_property
    def load_changed(self) -> bytes:
        """$1 id, $2 the known version: the document only where its version is another one."""
        body = "CASE WHEN version = $2 THEN NULL ELSE data END, CASE WHEN version = $2 THEN NULL ELSE metadata END"
        return f"SELECT id, {body}, version, last_modified FROM {self.name} WHERE id = $1".encode()

    @cached_property
    def exists(self) -> bytes:
        return f"SELECT id FROM {self.name} WHERE id = $1".encode()

    @cached_property
    def versions(self) -> bytes:
        """$1 ids: what a look after a conflict asks."""
        return f"SELECT id, version FROM {self.name} WHERE id = ANY($1) ORDER BY id".encode()

    @cached_property
    def count(self) -> bytes:
        return f"SELECT count(*) FROM {self.name}".encode()

    @cached_property
    def upsert(self) -> bytes:
        """$1 id, $2 data, $3 metadata, $4 the version if new, $5 last_modified, $6 step."""
        return (
            f"INSERT INTO {self.name} AS t ({COLUMNS}) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE "
            "SET data = excluded.data, metadata = excluded.metadata, "
            "version = GREATEST(t.version + $6, excluded.version), last_modified = excluded.last_modified "
            "RETURNING version"
        ).encode()

    @cached_property
    def hold(self) -> bytes:
        """$1 ids: their rows, held against other writers until the transaction ends."""
        held = f"SELECT id FROM {self.name} WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"
        return f"WITH w AS ({held}) SELECT count(*) FROM w".encode()

    @cached_property
    def insert(self) -> bytes:
        """$1 id, $2 data, $3 metadata, $4 version, $5 last_modified."""
        return (
            f"INSERT INTO {self.name} ({COLUMNS}) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING "
            "RETURNING version"
        ).encode()

    @cached_property
    def update(self) -> bytes:
        """$1 id, $2 data, $3 metadata, $4 the new version, $5 last_modified, $6 the expected version."""
        return (
            f"UPDATE {self.name} SET data = $2, metadata = $3, version = $4, last_modified = $5 "
            "WHERE id = $1 AND version = $6 RETURNING version"
        ).encode()

    @cached_property
    def delete(self) -> bytes:
        return f"DELETE FROM {self.name} WHERE id = $1".encode()

    @cached_property
    def delete_checked(self) -> bytes:
        return f"DELETE FROM {self.name} WHERE id = $1 AND version = $2 RETURNING version".encode()

    @cached_property
    def delete_guarded(self) -> bytes:
        return (
            f"WITH w AS (DELETE FROM {self.name} WHERE id = $1 AND version = $2 RETURNING version) "
            f"SELECT CASE WHEN count(*) = 1 THEN 1 ELSE {CONFLICT} END FROM w"
        ).encode()

    @cached_property
    def check(self) -> bytes:
        """$1 id: the version, held against changes until the transaction ends."""
        return f"SELECT version FROM {self.name} WHERE id = $1 FOR SHARE".encode()

    @cached_property
    def check_guarded(self) -> bytes:
        """$1 id, $2 the expected version."""
        return (
            f"WITH w AS (SELECT version FROM {self.name} WHERE id = $1 FOR SHARE) SELECT CASE WHEN "
            f"count(*) = 1 AND sum(version) = $2 THEN 1 ELSE {CONFLICT} END FROM w"
        ).encode()

    @cached_property
    def check_absent(self) -> bytes:
        """$1 id, which must not exist."""
        return f"SELECT CASE WHEN count(*) = 0 THEN 1 ELSE {CONFLICT} END FROM {self.name} WHERE id = $1".encode()

    @cached_property
    def refuse_ids(self) -> bytes:
        """$1 ids that this table must not hold, because another collection's documents have them."""
        return (
            f"SELECT CASE WHEN count(*) = 0 THEN 1 ELSE {MISMATCH} END FROM {self.name} WHERE id = ANY($1)"
        ).encode()

    def put_guarded(self, size: int) -> bytes:
        """*size* rows, each refused unless the version stored is the one in its row.

        A row: id, data, metadata, and the expected version, or the new one where the document must
        be new. Then last_modified, step, now, and the sum of the versions that will be stored.
        A row that was deleted meanwhile is inserted with the expected version, which the sum tells.
        """
        if size not in self._guarded:
            n = 4 * size
            self._guarded[size] = (
                f"WITH w AS (INSERT INTO {self.name} AS t ({COLUMNS}) VALUES {_rows(size)} ON CONFLICT (id) "
                "DO UPDATE SET data = excluded.data, metadata = excluded.metadata, "
                f"version = GREATEST(t.version + ${n + 2}, ${n + 3}), last_modified = excluded.last_modified "
                "WHERE t.version = excluded.version RETURNING t.version) "
                f"SELECT CASE WHEN count(*) = {size} AND sum(version) = ${n + 4}::numeric THEN 1 "
                f"ELSE {CONFLICT} END FROM w"
            ).encode()
        return self._guarded[size]

    def put(self, size: int) -> bytes:
        """*size* rows, the last write wins; comes back with the versions that are not `now`.

        A row: id, data, metadata, now. Then last_modified, step and now.
        """
        if size not in self._unguarded:
            n = 4 * size
            self._unguarded[size] = (
                f"WITH w AS (INSERT INTO {self.name} AS t ({COLUMNS}) VALUES {_rows(size)} ON CONFLICT (id) "
                "DO UPDATE SET data = excluded.data, metadata = excluded.metadata, "
                f"version = GREATEST(t.version + ${n + 2}, ${n + 3}), last_modified = excluded.last_modified "
                f"RETURNING t.id, t.version) SELECT id, version FROM w WHERE version <> ${n + 3}"
            ).encode()
        return self._unguarded[size]


def _rows(size: int) -> str:
    moment = 4 * size + 1
    return ", ".join(f"(${4 * i + 1}, ${4 * i + 2}, ${4 * i + 3}, ${4 * i + 4}, ${moment})" for i in range(size))


def split_sizes(count: int) -> list[int]:
    """Return the sizes of the statements that carry *count* rows: 100 is 64, 16, 16, 4."""
    sizes: list[int] = []
    for size in SIZES:
        n, count = divmod(count, size)
        sizes += [size] * n
    return sizes
