"""Which databases a server has, and what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg

from docsession._migrate._target import Target, connect, translated
from docsession._sql._quoting import qualified
from docsession._sql._schema import COLLECTIONS_TABLE, PROJECT_VERSION_TABLE, VERSION_TABLE

_NAMES = """
    SELECT n.nspname::text,
           (SELECT pg_catalog.pg_size_pretty(pg_catalog.sum(pg_catalog.pg_total_relation_size(t.oid)))
            FROM pg_catalog.pg_class t WHERE t.relnamespace = n.oid AND t.relkind IN ('r', 'p', 'm'))
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = %s AND c.relkind IN ('r', 'p') ORDER BY 1
"""

_READABLE = """
    SELECT CASE WHEN pg_catalog.has_schema_privilege(%s, 'USAGE')
        THEN coalesce(pg_catalog.has_table_privilege(pg_catalog.to_regclass(%s), 'SELECT'), false) ELSE false END
"""


@dataclass(frozen=True, slots=True)
class Overview:
    """What is known of one database.

    Attributes:
        name: The schema's name.
        revision: Docsession's revision; None where there is none or the role may not read it.
        project_revision: The same of the project's own revisions.
        collections: How many the catalogue names; None where the role may not read it.
        size: What it takes on disk, as people write it.
    """

    name: str
    revision: str | None
    project_revision: str | None
    collections: int | None
    size: str


def database_names(conninfo: Mapping[str, str]) -> list[str]:
    """Return the databases of a server (schemas with docsession's catalogue), sorted.

    Raises:
        RavenException: The server cannot be reached, or refuses.
    """
    with closing(connect(Target(conninfo, ""))) as connection, translated():
        return [name for name, _ in connection.execute(_NAMES, [COLLECTIONS_TABLE])]


def overview(conninfo: Mapping[str, str]) -> list[Overview]:
    """Return what is known of each database of a server, sorted by name.

    Raises:
        RavenException: The server cannot be reached, or refuses.
    """
    with closing(connect(Target(conninfo, ""))) as connection, translated():
        found = connection.execute(_NAMES, [COLLECTIONS_TABLE]).fetchall()
        return [_overview(connection, name, size or "0 bytes") for name, size in found]


def _overview(connection: psycopg.Connection[Any], name: str, size: str) -> Overview:
    def ask(query: str, table: str) -> Any:
        place = qualified(name, table)
        [readable] = connection.execute(_READABLE, [name, place]).fetchone() or [False]
        if not readable:
            return None
        row = connection.execute(query.replace("{table}", place).encode()).fetchone()
        return None if row is None else row[0]

    return Overview(
        name=name,
        revision=ask("SELECT max(version_num) FROM {table}", VERSION_TABLE),
        project_revision=ask("SELECT max(version_num) FROM {table}", PROJECT_VERSION_TABLE),
        collections=ask("SELECT count(DISTINCT collection) FROM {table}", COLLECTIONS_TABLE),
        size=size,
    )
