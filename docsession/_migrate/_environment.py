"""What `migrations/env.py` does: tells Alembic which connection, schema and tables a run is about."""

from __future__ import annotations

import logging.config
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, text

from docsession._alembic import _plugin
from docsession._documents._naming import check_database
from docsession._errors import MigrationException
from docsession._executors._url import parse_url
from docsession._migrate._directives import write_without_schema
from docsession._migrate._schema_impl import place_in_database
from docsession._migrate._scripts import LIBRARY, Line
from docsession._migrate._target import Target, connected, locked
from docsession._sql._quoting import qualified, quote_identifier
from docsession._sql._schema import COLLECTIONS_TABLE, build_metadata, collection_table

_plugin.ensure()

DEFAULT_DATABASE = "docsession"
LOCK_TIMEOUT_SECONDS = 600.0


def run_environment() -> None:
    """Run the migration that Alembic was asked for.

    `docsession upgrade` and its like hand a connection over, which holds the lock already, and with it the line of
    revisions. Under Alembic's own command line the URL is `sqlalchemy.url` of the alembic.ini or DOCSESSION_URL, the
    database `-x database=…`; a script of SQL (`--sql`) needs no server.

    Raises:
        MigrationException: There is no URL.
    """
    attributes = context.config.attributes
    line = attributes.get("line", LIBRARY)
    if context.is_offline_mode():
        _write_script(attributes.get("database") or _database_of_command_line(), line)
        return
    with ExitStack() as stack:
        connection = attributes.get("connection")
        if connection is None:
            target = _target_of_command_line()
            stack.enter_context(locked(target, LOCK_TIMEOUT_SECONDS, lambda: None))
            connection = stack.enter_context(connected(target))
            make_schema(connection, target.database)
            attributes = {"database": target.database}
        database = attributes["database"]
        metadata = attributes.get("metadata")
        if metadata is None:
            metadata = known_metadata(connection, database)
        connection.rollback()
        context.configure(
            connection=connection,
            transaction_per_migration=True,
            on_version_apply=attributes.get("on_version_apply"),
            include_object=attributes.get("include_object"),
            process_revision_directives=attributes.get("process_revision_directives", write_without_schema),
            **_compared(connection, database, metadata, line),
        )
        place_in_database(context.get_context(), database, line.version_table)
        with context.begin_transaction():
            context.run_migrations()


def _target_of_command_line() -> Target:
    config = context.config
    if config.config_file_name is not None and Path(config.config_file_name).is_file():
        logging.config.fileConfig(config.config_file_name, disable_existing_loggers=False)
    url = config.get_main_option("sqlalchemy.url") or os.environ.get("DOCSESSION_URL")
    if not url:
        raise MigrationException("no server is named: set DOCSESSION_URL, or sqlalchemy.url in alembic.ini")
    return Target(parse_url(url), _database_of_command_line())


def _database_of_command_line() -> str:
    return check_database(context.get_x_argument(as_dictionary=True).get("database", DEFAULT_DATABASE))


def _write_script(database: str, line: Line) -> None:
    context.configure(
        dialect_name="postgresql",
        # Percent signs stay single.
        dialect_opts={"paramstyle": "named"},
        literal_binds=True,
        transaction_per_migration=True,
        **_recorded(database, line),
    )
    made = context.get_context()
    place_in_database(made, database, line.version_table)
    if line is LIBRARY and context.get_starting_revision_argument() is None:
        made.impl.static_output(f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(database)};")
    with context.begin_transaction():
        context.run_migrations()


def migration_context(
    connection: Connection, database: str, metadata: MetaData | None = None, line: Line = LIBRARY
) -> MigrationContext:
    """Return Alembic's context for reading *database* and comparing it with *metadata*."""
    opts = _recorded(database, line) if metadata is None else _compared(connection, database, metadata, line)
    made = MigrationContext.configure(connection, opts=opts)
    place_in_database(made, database, line.version_table)
    return made


def _recorded(database: str, line: Line) -> dict[str, Any]:
    return {"version_table": line.version_table, "version_table_schema": database}


def _compared(connection: Connection, database: str, metadata: MetaData, line: Line) -> dict[str, Any]:
    return {
        "target_metadata": metadata,
        "include_schemas": True,
        "include_name": only_tables_of(connection, database, metadata),
        "compare_server_default": True,
        **_recorded(database, line),
    }


def make_schema(connection: Connection, database: str) -> None:
    """Make the schema of *database* where it is missing; its lock must be held."""
    # CREATE SCHEMA IF NOT EXISTS wants the right to create schemas even where there is nothing to do.
    found = connection.scalar(text("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = :name"), {"name": database})
    if found is None:
        create = f"CREATE SCHEMA {quote_identifier(database)}"
        connection.exec_driver_sql(create, execution_options={"no_parameters": True})
    connection.commit()


def known_metadata(connection: Connection, database: str) -> MetaData:
    """Return the tables that *database* should have: the system's, and those that its catalogue names."""
    metadata = build_metadata()
    for name in sorted(set(recorded_collections(connection, database).values())):
        collection_table(metadata, name)
    return placed_in(metadata, database)


def placed_in(metadata: MetaData, database: str) -> MetaData:
    """Return the same tables with *database* as their schema."""
    placed = MetaData()
    for table in metadata.tables.values():
        table.to_metadata(placed, schema=database).info.update(table.info)
    return placed


def recorded_collections(connection: Connection, database: str) -> dict[str, str]:
    """Return the table of each collection that the catalogue of *database* names."""
    catalogue = qualified(database, COLLECTIONS_TABLE)
    if connection.scalar(text("SELECT pg_catalog.to_regclass(:name)"), {"name": catalogue}) is None:
        return {}
    rows = connection.exec_driver_sql(
        f'SELECT DISTINCT collection, "table" FROM {catalogue}', execution_options={"no_parameters": True}
    )
    return {collection: table for collection, table in rows}  # noqa: C416  # rows are no pairs to a type checker


def only_tables_of(
    connection: Connection, database: str, metadata: MetaData
) -> Callable[[str | None, str, object], bool]:
    """Return Alembic's filter that hides whatever else the server holds, so that nothing of it is ever dropped."""
    # Alembic calls the schema that is first in search_path None.
    schemas = {database, None} if connection.dialect.default_schema_name == database else {database}
    tables = {table.name for table in metadata.tables.values()}

    def include(name: str | None, kind: str, _parents: object) -> bool:
        if kind == "schema":
            return name in schemas
        return kind != "table" or name in tables

    return include
