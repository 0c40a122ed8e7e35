"""Which databases a server has."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

from docsession._migrate._target import Target, connect, translated
from docsession._sql._schema import COLLECTIONS_TABLE

_NAMES = """
    SELECT n.nspname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = %s AND c.relkind IN ('r', 'p') ORDER BY 1
"""


def database_names(conninfo: Mapping[str, str]) -> list[str]:
    """Return the databases of a server (schemas with docsession's catalogue), sorted.

    Raises:
        RavenException: The server cannot be reached, or refuses.
    """
    with closing(connect(Target(conninfo, ""))) as connection, translated():
        return [name for (name,) in connection.execute(_NAMES, [COLLECTIONS_TABLE])]
