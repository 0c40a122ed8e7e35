"""What docsession's revisions do beyond Alembic's own operations.

Like those, they take the connection and the schema from the migration that is running; where that writes a script of
SQL, they write what checks the same when the script runs.
"""

from __future__ import annotations

from alembic import op

from docsession._alembic._running import database_of, run_sql
from docsession._errors import MigrationException
from docsession._sql._downgrade import refuse_collections_statement, refuse_rows_statement
from docsession._sql._instant import create_instant_statement, drop_instant_statement
from docsession._sql._quoting import qualified
from docsession._sql._schema import COLLECTIONS_TABLE, collection_tables_query


def create_instant_function() -> None:
    """Make `docsession_instant` in the form that the server's version needs."""
    run_sql(op.get_context(), create_instant_statement(_database()))


def drop_instant_function() -> None:
    """Remove `docsession_instant`."""
    run_sql(op.get_context(), drop_instant_statement(_database()))


def refuse_where_collections_exist() -> None:
    """Stop the migration where the database holds collections, or tables of some that hold no document yet.

    Raises:
        MigrationException: It does; names them.
    """
    database, context = _database(), op.get_context()
    if context.as_sql:
        run_sql(context, refuse_collections_statement(database))
        return
    catalogue = qualified(database, COLLECTIONS_TABLE)
    rows = run_sql(context, f"SELECT DISTINCT collection FROM {catalogue} ORDER BY collection")
    names = [str(name) for (name,) in rows]
    if names:
        raise MigrationException(
            f"the database {database!r} holds collections ({', '.join(names)}), and without the system tables their "
            "documents could no longer be found; drop the whole database instead, through store.maintenance"
        )
    tables = [str(name) for (name,) in run_sql(context, collection_tables_query(database))]
    if tables:
        raise MigrationException(
            f"the database {database!r} has tables of collections ({', '.join(tables)}), which would be left behind; "
            "drop those tables first, or the whole database, through store.maintenance"
        )


def refuse_where_rows_exist(table: str, things: str) -> None:
    """Stop the migration where *table*, which it is about to drop, is not empty.

    Raises:
        MigrationException: It is not; names *things*, which are what its rows stand for.
    """
    database, context = _database(), op.get_context()
    if context.as_sql:
        run_sql(context, refuse_rows_statement(database, table, things))
        return
    [(count,)] = run_sql(context, f"SELECT count(*) FROM {qualified(database, table)}")
    if count:
        raise MigrationException(
            f"the database {database!r} holds {count} {things} in {table}, and the older schema has no place for them; "
            "delete them first, if they are no longer needed"
        )


def _database() -> str:
    return database_of(op.get_context())
