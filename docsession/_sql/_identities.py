"""Statements on the identities of a database: numbers that are taken one at a time."""

from __future__ import annotations

from docsession._port import Statement
from docsession._sql._quoting import qualified
from docsession._sql._schema import IDENTITIES_TABLE


class IdentityStatements:
    """The SQL of one database's identities."""

    def __init__(self, database: str) -> None:
        table = qualified(database, IDENTITIES_TABLE)
        insert = f"INSERT INTO {table} AS i (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = "
        self._next = f"{insert}i.value + excluded.value RETURNING value".encode()
        self._raise = f"{insert}GREATEST(i.value, excluded.value) RETURNING value".encode()
        self._set = f"{insert}excluded.value RETURNING value".encode()
        self._read = f"SELECT name, value FROM {table} ORDER BY name".encode()

    def take(self, name: str) -> Statement:
        """Take the next number of an identity; comes back with it."""
        return Statement(self._next, (name, 1))

    def seed(self, name: str, value: int, *, forced: bool) -> Statement:
        """Let an identity go on after *value*, never backwards unless that is *forced*; comes back with its value."""
        return Statement(self._set if forced else self._raise, (name, value))

    def read(self) -> Statement:
        """Every (name, value)."""
        return Statement(self._read)
