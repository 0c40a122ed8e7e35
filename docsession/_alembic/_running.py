"""How operations run their SQL: as it is, in the schema that is migrated, or into a script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docsession._errors import MigrationException

if TYPE_CHECKING:
    # It is not there yet while Alembic imports its plugins.
    from alembic.runtime.migration import MigrationContext


def database_of(context: MigrationContext) -> str:
    """Return the schema that is being migrated.

    Raises:
        MigrationException: It is none of docsession's migrations that runs.
    """
    schema = context.version_table_schema
    if schema is None:
        raise MigrationException(
            "docsession's revisions run on a database of docsession only: use `docsession upgrade`, or Alembic with "
            "the alembic.ini beside them"
        )
    return str(schema)


def run_sql(context: MigrationContext, sql: str) -> list[tuple[object, ...]]:
    """Run *sql* as it is (a name may hold what SQLAlchemy takes for a parameter or a schema) and return its rows."""
    if context.as_sql:
        context.impl.static_output(f"{sql};")
        return []
    connection = context.connection
    assert connection is not None  # noqa: S101  # only a script has none
    result = connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
    return [tuple(row) for row in result] if result.returns_rows else []
