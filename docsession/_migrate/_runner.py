"""Bringing one database to a revision."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from alembic import command
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection

from docsession._alembic._reading import schemas_of_extensions
from docsession._documents._naming import table_of_collection
from docsession._errors import InvalidArgumentException, MigrationException
from docsession._migrate._environment import LOCK_TIMEOUT_SECONDS, make_schema
from docsession._migrate._project import Model
from docsession._migrate._scripts import LIBRARY, Line, make_config, scripts
from docsession._migrate._state import State, state_of
from docsession._migrate._target import Target, connect, connected, locked, translated
from docsession._sql._definitions import Definition, create_all
from docsession._sql._instant import INSTANT_FUNCTION, create_instant_statement
from docsession._sql._quoting import qualified, quote_literal
from docsession._sql._revisions import Standing
from docsession._sql._schema import (
    COLLECTIONS_TABLE,
    QUERY_SHAPES_TABLE,
    build_metadata,
    collection_tables_query,
    create_collection_statements,
    create_system_table_statement,
)


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told how a migration goes on.

    Attributes:
        step: Called after each revision: what was done with which revision, as in "upgraded to 0001: Base.".
        waiting: Called once where another process is changing the database.
    """

    step: Callable[[str], None] = lambda _: None
    waiting: Callable[[], None] = lambda: None


def upgrade(
    target: Target,
    revision: str = "head",
    *,
    line: Line = LIBRARY,
    lock_timeout: float = LOCK_TIMEOUT_SECONDS,
    listener: Listener | None = None,
) -> State:
    """Bring a database to a newer revision, making it where it is missing; at the newest one repair it.

    Repaired are a missing function, and missing system tables of a database that has no tables of collections. One
    that a newer docsession has added to is left as it is.

    Args:
        target: The database.
        revision: A revision, "head", or "+1" for the next one.
        line: Whose revisions. Those of a project need a database at docsession's newest one.
        lock_timeout: Seconds to wait for another process that is changing the same database.
        listener: Who is told how it goes on.

    Raises:
        MigrationException: There is no way to that revision, another generation of docsession made the database, or a
            system table is missing whose rows nothing but a backup can tell.
        PermissionDeniedException: The role may not make tables there.
    """
    listener = listener or Listener()
    with locked(target, lock_timeout, listener.waiting), connected(target) as connection:
        state = state_of(connection, target, line)
        if line is LIBRARY:
            if state.standing is Standing.NEWER:
                return state
            _refuse(state, Standing.INCOMPATIBLE)
            make_schema(connection, target.database)
        else:
            _refuse(state, Standing.INCOMPATIBLE)
            base = state_of(connection, target)
            _refuse(base, *(set(Standing) - {Standing.CURRENT, Standing.NEWER}))
        state = _run(command.upgrade, connection, state, revision, listener)
        if line is LIBRARY and state.standing is Standing.CURRENT:
            _repair(connection, target.database, listener)
        return state


def downgrade(
    target: Target,
    revision: str,
    *,
    line: Line = LIBRARY,
    lock_timeout: float = LOCK_TIMEOUT_SECONDS,
    listener: Listener | None = None,
) -> State:
    """Bring a database back to an older revision, "-1" for the one before, or "base" for none at all.

    Raises:
        MigrationException: There is no way to that revision, or documents would be lost on it.
        PermissionDeniedException: The role may not change tables there.
    """
    listener = listener or Listener()
    with locked(target, lock_timeout, listener.waiting), connected(target) as connection:
        state = state_of(connection, target, line)
        _refuse(state, Standing.NEWER, Standing.INCOMPATIBLE, Standing.MISSING)
        return _run(command.downgrade, connection, state, revision, listener)


def _refuse(state: State, *standings: Standing) -> None:
    if state.standing in standings:
        raise MigrationException(f"{state.target.database}: {state}")


def _run(run: Callable[..., None], connection: Connection, state: State, revision: str, listener: Listener) -> State:
    def applied(*, step: Any, **_: object) -> None:
        done = "upgraded to" if step.is_upgrade else "downgraded from"
        listener.step(f"{state.line.prefix}{done} {step.up_revision_id}: {step.up_revision.doc}")

    attributes = {"connection": connection, "database": state.target.database, "on_version_apply": applied}
    try:
        run(make_config(state.line, attributes), revision)
    except CommandError as error:
        raise _refusal(state, run.__name__, revision, error) from error
    return state_of(connection, state.target, state.line)


def write_sql(database: str, start: str, end: str, *, line: Line = LIBRARY, down: bool = False) -> str:
    """Return the SQL that brings a database from one revision of a line to another; asks no server.

    Args:
        database: The database.
        start: The revision that it is at, "base" for none.
        end: The revision that it shall be at, "head" for the newest.
        line: Whose revisions.
        down: True goes back.

    Raises:
        MigrationException: There is no such way.
    """
    written = io.StringIO()
    config = make_config(line, {"database": database}, written)
    run = command.downgrade if down else command.upgrade
    state = State(Target({}, database), Standing.EMPTY, start, scripts(line).get_current_head() or "", line)
    try:
        run(config, f"{start}:{end}", sql=True)
    except CommandError as error:
        raise _refusal(state, run.__name__, end, error) from error
    if "-- Running " not in written.getvalue():
        raise _no_way(state, run.__name__, end)
    return written.getvalue()


def _refusal(state: State, command_name: str, revision: str, error: CommandError) -> MigrationException:
    if not isinstance(error.__cause__, RevisionError):
        return MigrationException(f"{state.target.database}: {error}")
    return _no_way(state, command_name, revision)


def _no_way(state: State, command_name: str, revision: str) -> MigrationException:
    known = sorted(script.revision for script in scripts(state.line).walk_revisions())
    return MigrationException(
        f"{state.target.database}: {state.line.prefix}no {command_name} leads from {state.revision or 'base'} to "
        f"{revision!r}; the revisions are base (nothing at all), {', '.join(known)} (head: {state.head})"
    )


def create_collections(
    target: Target, collections: Mapping[str, str | None], models: Iterable[Model] = ()
) -> dict[str, str]:
    """Make the tables of collections, where they are missing, in a database that has its system tables.

    Tables that are made get the indexes that are declared for them; those that are there stay as they are.

    Args:
        target: The database.
        collections: The table that each gets where the catalogue knows none; None where the name decides.
        models: What the models need.

    Returns:
        The table of each collection.

    Raises:
        InvalidArgumentException: A name cannot be a collection's, or another collection has its table.
        PermissionDeniedException: The role may not make tables there.
    """
    with closing(connect(target)) as connection, translated():
        catalogue = qualified(target.database, COLLECTIONS_TABLE)
        recorded = dict(connection.execute(f'SELECT DISTINCT collection, "table" FROM {catalogue}'.encode()).fetchall())
        owners = {table: collection for collection, table in recorded.items()}
        made = {
            collection: recorded.get(collection) or table or table_of_collection(collection)
            for collection, table in collections.items()
        }
        for collection, table in made.items():
            owner = owners.setdefault(table, collection)
            if owner != collection:
                raise InvalidArgumentException(
                    f"the collection {collection!r} would need the table {table!r}, which is that of {owner!r}; "
                    "name one of them otherwise, with @document(collection=…)"
                )
        declared = {model.collection: model.definitions for model in models}
        for collection, table in made.items():
            definitions = declared[collection](table) if collection in declared else ()
            further = _statements_of(target, definitions)
            for statement in create_collection_statements(target.database, table, further):
                connection.execute(statement.encode())
    return made


def _statements_of(target: Target, definitions: Sequence[Definition]) -> list[str]:
    extensions: dict[str, str] = {}
    for each in definitions:
        if each.extensions:
            with connected(target) as connection:
                extensions |= schemas_of_extensions(connection, each)
    return create_all(definitions, target.database, extensions)


def _repair(connection: Connection, database: str, listener: Listener) -> None:
    """Make what is missing of a database at the newest revision, whose lock is held, as far as it can be told."""

    def run(sql: str) -> list[str]:
        result = connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
        return [str(row[0]) for row in result] if result.returns_rows else []

    def is_missing(find: str, name: str) -> bool:
        return run(f"SELECT pg_catalog.{find}({quote_literal(name)}) IS NULL") == ["True"]

    tables = [name for name in build_metadata().tables if is_missing("to_regclass", qualified(database, name))]
    # What queries look like is counted anew; nothing else relies on it.
    needed = [name for name in tables if name != QUERY_SHAPES_TABLE]
    kept = run(collection_tables_query(database)) if needed else []
    if kept:
        raise MigrationException(
            f"{database}: {' and '.join(needed)} is missing, and an empty one would be wrong, since there are tables "
            f"of collections ({', '.join(kept)}); restore it from a backup, or write it as docs/migrations.md says"
        )
    for name in tables:
        run(create_system_table_statement(database, name))
        listener.step(f"made {name}, which was missing")
    if is_missing("to_regprocedure", f"{qualified(database, INSTANT_FUNCTION)}(jsonb)"):
        run(create_instant_statement(database))
        listener.step(f"made {INSTANT_FUNCTION}, which was missing")
    connection.commit()
