"""Where Alembic finds a table that a revision names without a schema: in the database that is migrated."""

from __future__ import annotations

from typing import Any

from alembic.ddl.base import AlterTable
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData
from sqlalchemy.sql.elements import quoted_name
from typing_extensions import override

from docsession._sql._schema import version_table


class _DatabaseImpl(PostgresqlImpl):
    """Alembic's PostgreSQL, with a schema for its own ALTER TABLE statements.

    Those are text that Alembic puts together itself: the connection's translation of schemas, which serves all others,
    does not reach them.
    """

    database: quoted_name

    @override
    def _exec(self, construct: Any, *args: Any, **options: Any) -> Any:
        if isinstance(construct, AlterTable) and construct.schema is None:
            construct.schema = self.database
        return super()._exec(construct, *args, **options)


def place_in_database(made: MigrationContext, database: str, version_table_name: str) -> None:
    """Let *made* take tables without a schema, that of the revision among them, as those of *database*."""
    name = quoted_name(database, quote=True)
    # SQLAlchemy marks the place of a schema with text that a schema's name may hold too. A version table without a
    # schema gets its own by the translation of the connection, as all others do.
    made._version = version_table(MetaData(), version_table_name)
    made.impl = _DatabaseImpl(
        made.dialect, made.connection, made.as_sql, made.impl.transactional_ddl, made.output_buffer, made.opts
    )
    made.impl.database = name
    if made.as_sql:
        # There is no connection whose translation could do it.
        made.dialect.identifier_preparer.schema_for_object = lambda item: item.schema or name
