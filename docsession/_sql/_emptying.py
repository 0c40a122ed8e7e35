"""Statements with which tests get empty tables again, and databases of their own."""

from __future__ import annotations

from collections.abc import Iterable

from docsession._port import Statement
from docsession._sql._quoting import qualified, quote_identifier, quote_literal
from docsession._sql._schema import COLLECTIONS_TABLE, build_metadata


class EmptyingStatements:
    """The SQL that empties the tables of one database."""

    def __init__(self, database: str) -> None:
        self._database = database
        schema = quote_literal(database)
        catalogue = qualified(database, COLLECTIONS_TABLE)
        size = f"pg_catalog.pg_relation_size(pg_catalog.to_regclass(pg_catalog.format('%I.%I', {schema}, \"table\")))"
        self._tables = f'SELECT DISTINCT "table", {size} FROM {catalogue}'.encode()

    @property
    def system_tables(self) -> frozenset[str]:
        """The system tables that are emptied; what is known of collections stays, since rows are only ever added."""
        return frozenset(build_metadata().tables.keys() - {COLLECTIONS_TABLE})

    def tables(self) -> Statement:
        """Every table of a collection, and its size in bytes."""
        return Statement(self._tables)

    def empty(self, tables: Iterable[str]) -> Statement:
        """Delete every row of *tables*, in one statement, so that foreign keys between them do not mind the order."""
        parts = (
            f"d{number} AS (DELETE FROM {qualified(self._database, table)})"
            for number, table in enumerate(sorted(tables))
        )
        return Statement(f"WITH {', '.join(parts)} SELECT 1".encode())

    def vacuum(self, table: str) -> Statement:
        """Give back the room that deleted rows take; to be run alone."""
        return Statement(f"VACUUM {qualified(self._database, table)}".encode())


def create_commented(database: str, comment: str) -> list[Statement]:
    """Make a schema with a comment."""
    schema = quote_identifier(database)
    said = f"COMMENT ON SCHEMA {schema} IS {quote_literal(comment)}"
    return [Statement(f"CREATE SCHEMA {schema}".encode()), Statement(said.encode())]


def commented(beginning: str) -> Statement:
    """The schemas whose comments begin in a way, and these."""
    return Statement(
        b"SELECT n.nspname::text, d.said FROM pg_catalog.pg_namespace AS n, "
        b"LATERAL (SELECT pg_catalog.obj_description(n.oid, 'pg_namespace') AS said) AS d "
        b"WHERE pg_catalog.starts_with(d.said, $1)",
        (beginning,),
    )


def drop_statement(database: str) -> Statement:
    """Drop a schema with all that is in it."""
    return Statement(f"DROP SCHEMA IF EXISTS {quote_identifier(database)} CASCADE".encode())
