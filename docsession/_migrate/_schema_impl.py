"""Where SQLAlchemy and Alembic find a table that is named without a schema: in the database that is migrated."""

from __future__ import annotations

from typing import Any

from alembic.ddl.base import AlterTable
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, TableClause
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.elements import quoted_name
from typing_extensions import override

from docsession._sql._schema import version_table


def find_in_schema(dialect: Dialect, database: str) -> None:
    """Let *dialect* write whatever names no schema with that of *database*.

    SQLAlchemy's own `schema_translate_map` does that for `Table`, but not for the light `table()` that revisions use
    for data, and it marks places with text that a schema's name may hold.
    """
    name = quoted_name(database, quote=True)

    def schema_of(item: Any) -> str | None:
        given: str | None = item.schema
        if given is None and (isinstance(item, TableClause) or item._use_schema_map):
            return name
        return given  # an alias, for one, has none

    dialect.identifier_preparer.schema_for_object = schema_of  # type: ignore[assignment]  # it may be None there too


class _DatabaseImpl(PostgresqlImpl):
    """Alembic's PostgreSQL, with a schema for its own ALTER TABLE statements, which it puts together as text."""

    database: quoted_name

    @override
    def _exec(self, construct: Any, *args: Any, **options: Any) -> Any:
        if isinstance(construct, AlterTable) and construct.schema is None:
            construct.schema = self.database
        return super()._exec(construct, *args, **options)


def place_in_database(made: MigrationContext, database: str, version_table_name: str) -> None:
    """Let *made* take tables without a schema, that of the revision among them, as those of *database*."""
    name = quoted_name(database, quote=True)
    # Alembic looks for it by its own schema before it makes it.
    made._version = version_table(MetaData(), version_table_name).to_metadata(MetaData(), schema=name)
    made.impl = _DatabaseImpl(
        made.dialect, made.connection, made.as_sql, made.impl.transactional_ddl, made.output_buffer, made.opts
    )
    made.impl.database = name
    find_in_schema(made.dialect, database)
