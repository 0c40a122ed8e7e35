"""The statements that spread a database over the workers of Citus."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from docsession._sql._instant import INSTANT_FUNCTION
from docsession._sql._quoting import qualified, quote_identifier, quote_literal

EXTENSION_VERSION: Final = "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'citus'"

TABLES: Final = """
    SELECT c.relname::pg_catalog.text FROM pg_catalog.pg_class c
    WHERE c.relnamespace = pg_catalog.to_regnamespace(%s) AND c.relkind IN ('r', 'p') ORDER BY 1
"""
"""All tables of a schema, which is given quoted."""

DISTRIBUTED_TABLES: Final = """
    SELECT c.relname::pg_catalog.text FROM pg_catalog.pg_dist_partition p
    JOIN pg_catalog.pg_class c ON c.oid = p.logicalrelid
    WHERE c.relnamespace = pg_catalog.to_regnamespace(%s)
"""
"""Those of them that are spread already, by id, by schema or as reference tables."""

DISTRIBUTED_SCHEMA: Final = """
    SELECT count(*) > 0 FROM pg_catalog.pg_dist_schema WHERE schemaid = pg_catalog.to_regnamespace(%s)::pg_catalog.oid
"""

IN_THE_WAY: Final = """
    SELECT c.relname::pg_catalog.text, 'unique index', i.relname::pg_catalog.text
    FROM pg_catalog.pg_index x
    JOIN pg_catalog.pg_class c ON c.oid = x.indrelid JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    WHERE c.relnamespace = pg_catalog.to_regnamespace(%(schema)s) AND c.relname = ANY(%(tables)s)
    AND x.indisunique AND NOT x.indisprimary
    UNION ALL
    SELECT c.relname::pg_catalog.text, 'foreign key', k.conname::pg_catalog.text
    FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid IN (k.conrelid, k.confrelid)
    WHERE k.contype = 'f' AND c.relnamespace = pg_catalog.to_regnamespace(%(schema)s) AND c.relname = ANY(%(tables)s)
    UNION ALL
    SELECT c.relname::pg_catalog.text, 'trigger', t.tgname::pg_catalog.text
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND c.relnamespace = pg_catalog.to_regnamespace(%(schema)s) AND c.relname = ANY(%(tables)s)
    ORDER BY 1, 2, 3
"""
"""What a table cannot have that is spread by id."""


def distribute_schema(database: str) -> list[str]:
    """Return what puts a database as a whole on one worker."""
    schema = quote_literal(quote_identifier(database))
    return [f"SELECT pg_catalog.citus_schema_distribute({schema}::pg_catalog.regnamespace)"]


def distribute_by_id(database: str, system: Iterable[str], collections: Iterable[str]) -> list[str]:
    """Return what spreads the tables of collections by id, and copies the system tables to every worker."""
    function = quote_literal(f"{qualified(database, INSTANT_FUNCTION)}(pg_catalog.jsonb)")
    statements = [f"SELECT pg_catalog.create_reference_table({_table(database, table)})" for table in system]
    statements += [f"SELECT pg_catalog.create_distributed_function({function}::pg_catalog.regprocedure)"]
    for name in collections:
        statements.append(f"SELECT pg_catalog.create_distributed_table({_table(database, name)}, 'id')")
    return statements


def _table(database: str, name: str) -> str:
    return f"{quote_literal(qualified(database, name))}::pg_catalog.regclass"
