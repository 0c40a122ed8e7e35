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

from docsession._documents._naming import check_database
from docsession._errors import MigrationException
from docsession._executors._url import parse_url
from docsession._migrate._target import Target, connected, locked
from docsession._sql._quoting import qualified, quote_identifier
from docsession._sql._schema import COLLECTIONS_TABLE, VERSION_TABLE, build_metadata, collection_table, version_table

DEFAULT_DATABASE = "docsession"
LOCK_TIMEOUT_SECONDS = 600.0


def run_environment() -> None:
    """Run the migration that Alembic was asked for.

    `docsession upgrade` and its like hand a connection over, which holds the lock already. Under Alembic's own command
    line the URL is `sqlalchemy.url` of the alembic.ini or DOCSESSION_URL, the database `-x database=…`.

    Raises:
        MigrationException: An SQL script was asked for, or there is no URL.
    """
    if context.is_offline_mode():
        raise MigrationException("docsession's revisions run on a connection; SQL scripts of them are not made")
    attributes = context.config.attributes
    with ExitStack() as stack:
        connection = attributes.get("connection")
        if connection is None:
            target = _target_of_command_line()
            stack.enter_context(locked(target, LOCK_TIMEOUT_SECONDS, lambda: None))
            connection = stack.enter_context(connected(target))
            make_schema(connection, target.database)
            attributes = {"database": target.database}
        _run(connection, attributes["database"], attributes.get("on_version_apply"))


def _target_of_command_line() -> Target:
    config = context.config
    if config.config_file_name is not None and Path(config.config_file_name).is_file():
        logging.config.fileConfig(config.config_file_name, disable_existing_loggers=False)
    url = config.get_main_option("sqlalchemy.url") or os.environ.get("DOCSESSION_URL")
    if not url:
        raise MigrationException("no server is named: set DOCSESSION_URL, or sqlalchemy.url in alembic.ini")
    database = context.get_x_argument(as_dictionary=True).get("database", DEFAULT_DATABASE)
    return Target(parse_url(url), check_database(database))


def _run(connection: Connection, database: str, on_version_apply: Callable[..., None] | None) -> None:
    metadata = known_metadata(connection, database)
    connection.rollback()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_schemas=True,
        include_name=only_tables_of(connection, database, metadata),
        compare_server_default=True,
        version_table=VERSION_TABLE,
        version_table_schema=database,
        transaction_per_migration=True,
        on_version_apply=on_version_apply,
    )
    _leave_schema_to_translation(context.get_context())
    with context.begin_transaction():
        context.run_migrations()


def migration_context(connection: Connection, database: str, metadata: MetaData | None = None) -> MigrationContext:
    """Return Alembic's context for reading *database* and comparing it with *metadata*."""
    opts: dict[str, Any] = {"version_table": VERSION_TABLE, "version_table_schema": database}
    if metadata is not None:
        opts |= {
            "target_metadata": metadata,
            "include_schemas": True,
            "include_name": only_tables_of(connection, database, metadata),
            "compare_server_default": True,
        }
    made = MigrationContext.configure(connection, opts=opts)
    _leave_schema_to_translation(made)
    return made


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
    for name in catalogue_tables(connection, database):
        collection_table(metadata, name)
    placed = MetaData()
    for table in metadata.tables.values():
        table.to_metadata(placed, schema=database)
    return placed


def catalogue_tables(connection: Connection, database: str) -> list[str]:
    """Return the tables of the collections of *database*, as recorded."""
    catalogue = qualified(database, COLLECTIONS_TABLE)
    if connection.scalar(text("SELECT pg_catalog.to_regclass(:name)"), {"name": catalogue}) is None:
        return []
    rows = connection.exec_driver_sql(
        f'SELECT DISTINCT "table" FROM {catalogue} ORDER BY "table"', execution_options={"no_parameters": True}
    )
    return [name for (name,) in rows]


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


def _leave_schema_to_translation(made: MigrationContext) -> None:
    # SQLAlchemy marks the place of a schema with text that a schema's name may hold too. A version table without a
    # schema gets its own by the translation of the connection, as all others do.
    made._version = version_table(MetaData())
