"""Where a database differs from what its revision and its catalogue say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from alembic.autogenerate import compare_metadata
from sqlalchemy import Connection, MetaData, Table, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import SchemaItem

from docsession._migrate._environment import known_metadata, migration_context, recorded_collections
from docsession._migrate._state import state_of
from docsession._migrate._target import Target, connected
from docsession._sql._instant import INSTANT_FUNCTION, instant_body, instant_parallel
from docsession._sql._revisions import Standing
from docsession._sql._schema import PROJECT_VERSION_TABLE, SYSTEM_PREFIX, VERSION_TABLE, build_metadata

_COLLATIONS = text("""
    SELECT c.relname, a.attname, o.collname
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_collation o ON o.oid = a.attcollation
    WHERE n.nspname = :database AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
""")

_FUNCTION = text("""
    SELECT p.prosrc, p.provolatile::text, p.proisstrict, p.proparallel::text,
           pg_catalog.format_type(p.prorettype, NULL), p.proconfig IS NULL AND NOT p.prosecdef
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = :database AND p.proname = :name
    AND pg_catalog.oidvectortypes(p.proargtypes) = 'jsonb'
""")

_REPAIRED = {
    *(f"table {name}: is missing" for name in build_metadata().tables),
    f"function {INSTANT_FUNCTION}: is missing",
}

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy does not annotate it


def drift(target: Target) -> list[str]:
    """Return a line for each difference between a database and what this package would make; changes nothing.

    Compared are the system tables, the tables of the collections that the catalogue names, and the function
    `docsession_instant`. Indexes, constraints, comments and tables that a user has added are the user's.

    Raises:
        RavenException: The server cannot be reached, or refuses.
    """
    with connected(target) as connection:
        state = state_of(connection, target)
        if state.standing is not Standing.CURRENT:
            return [str(state) if state.revision is None else f"revision: {state}"]
        metadata = known_metadata(connection, target.database)
        lines = [
            *_tables(connection, target.database, metadata),
            *_keys_and_collations(connection, target.database, metadata),
            *_unknown_tables(connection, target.database, metadata),
            *_function(connection, target.database),
        ]
    repair = f"; run `{target.command('upgrade')}`"
    return [f"{line}{repair}" if line in _REPAIRED else line for line in lines]


def missing_collections(target: Target, collections: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return each collection, with its table, for which a database has no table.

    Args:
        target: The database.
        collections: The table that each gets where the catalogue knows none.

    Raises:
        RavenException: The server cannot be reached, or refuses.
    """
    if not collections:
        return []
    with connected(target) as connection:
        recorded = recorded_collections(connection, target.database)
        found = set(inspect(connection).get_table_names(schema=target.database))
    tables = {collection: recorded.get(collection, table) for collection, table in collections.items()}
    return [(collection, table) for collection, table in tables.items() if table not in found]


def _tables(connection: Connection, database: str, metadata: MetaData) -> Iterator[str]:
    found = migration_context(connection, database, metadata)
    for difference in compare_metadata(found, metadata):
        # Changes of one column come as a list.
        for change in difference if isinstance(difference, list) else [difference]:
            line = _line(*change)
            if line is not None:
                yield line


def _line(kind: str, *rest: Any) -> str | None:
    """Return what Alembic's change, which would undo the difference, says; None for what users may add."""
    match kind, rest:
        case "add_table", (table, *_):
            return f"table {table.name}: is missing"
        case "add_column", (_, table, column, *_):
            return f"table {table}: the column {column.name} is missing"
        case "remove_column", (_, table, column, *_):
            return f"table {table}: the column {column.name} is not known to docsession"
        case "modify_nullable", (_, table, column, _, found, _):
            return f"table {table}: the column {column} {'takes' if found else 'does not take'} null"
        case "modify_type", (_, table, column, _, found, expected):
            types = (kind_.compile(_DIALECT).lower() for kind_ in (found, expected))
            return "table {}: the column {} has the type {}, not {}".format(table, column, *types)
        case "modify_default", (_, table, column, *_):
            return f"table {table}: the column {column} has a default that docsession does not give it"
        case (("add_index" | "add_constraint" | "add_fk"), (item, *_)):
            return f"table {item.table.name}: {_described(item)} is missing"
    return None


def _described(item: SchemaItem) -> str:
    return f"the {type(item).__name__} {getattr(item, 'name', None) or ''}".rstrip()


def _keys_and_collations(connection: Connection, database: str, metadata: MetaData) -> Iterator[str]:
    """Yield what Alembic does not compare."""
    collations = {
        (table, column): name for table, column, name in connection.execute(_COLLATIONS, {"database": database})
    }
    inspector = inspect(connection)
    for table in metadata.tables.values():
        if not inspector.has_table(table.name, schema=database):
            continue
        expected = [column.name for column in table.primary_key]
        found = inspector.get_pk_constraint(table.name, schema=database)["constrained_columns"]
        if found != expected:
            yield f"table {table.name}: the primary key is ({', '.join(found)}), not ({', '.join(expected)})"
        yield from _collations_of(table, collations)


def _collations_of(table: Table, collations: dict[tuple[str, str], str | None]) -> Iterator[str]:
    for column in table.columns:
        expected = getattr(column.type, "collation", None)
        found = collations.get((table.name, column.name), expected)
        if expected is not None and found != expected:
            yield f'table {table.name}: the column {column.name} has the collation "{found}", not "{expected}"'


def _unknown_tables(connection: Connection, database: str, metadata: MetaData) -> Iterator[str]:
    known = {VERSION_TABLE, PROJECT_VERSION_TABLE, *(table.name for table in metadata.tables.values())}
    for name in sorted(inspect(connection).get_table_names(schema=database)):
        if name.startswith(SYSTEM_PREFIX) and name not in known:
            yield f"table {name}: is not known to docsession"


def _function(connection: Connection, database: str) -> Iterator[str]:
    found = connection.execute(_FUNCTION, {"database": database, "name": INSTANT_FUNCTION}).first()
    if found is None:
        yield f"function {INSTANT_FUNCTION}: is missing"
        return
    server_version = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
    # A server that was upgraded in place keeps the function of the older version, which serves as well.
    allowed = {
        (instant_body(version), "i", True, instant_parallel(version)[0].lower(), "timestamp with time zone", True)
        for version in (server_version, 0)
    }
    if tuple(found) not in allowed:
        yield f"function {INSTANT_FUNCTION}: is not as docsession made it"
