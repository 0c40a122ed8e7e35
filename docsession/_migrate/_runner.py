"""Bringing one database to a revision, and telling at which one it is."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import Any

from alembic import command
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection, text
from typing_extensions import override

from docsession._documents._naming import table_of_collection
from docsession._errors import InvalidArgumentException, MigrationException
from docsession._migrate._environment import LOCK_TIMEOUT_SECONDS, make_schema, migration_context
from docsession._migrate._scripts import make_config, scripts
from docsession._migrate._target import Target, connect, connected, locked, translated
from docsession._sql._instant import INSTANT_FUNCTION, create_instant_statement
from docsession._sql._quoting import qualified, quote_literal
from docsession._sql._schema import (
    COLLECTIONS_TABLE,
    build_metadata,
    collection_tables_query,
    create_collection_statements,
    create_system_table_statement,
)


class Standing(enum.Enum):
    """How a database stands to the revisions of this package."""

    MISSING = "missing"
    EMPTY = "empty"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


@dataclass(frozen=True, slots=True)
class State:
    """What revision a database is at.

    Attributes:
        target: The database.
        standing: How it stands to the revisions of this package.
        revision: Its revision; None where it has none.
        head: The newest revision of this package.
    """

    target: Target
    standing: Standing
    revision: str | None
    head: str

    @override
    def __str__(self) -> str:
        """Return one line that says where the database stands, and what to do about it."""
        upgrade = f"run `{self.target.command('upgrade')}`"
        match self.standing:
            case Standing.MISSING:
                return f"does not exist; {upgrade}"
            case Standing.EMPTY:
                return f"has no revision; {upgrade}"
            case Standing.OLDER:
                return f"{self.revision}, older than {self.head}; {upgrade}"
            case Standing.CURRENT:
                return f"{self.revision}, the newest"
            case Standing.NEWER:
                return (
                    f"{self.revision}, which docsession {installed_version('docsession')} does not know (its newest is "
                    f"{self.head}): a newer docsession made it; install that one or a later one"
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


def current(target: Target) -> State:
    """Return the state of a database; changes nothing.

    Raises:
        RavenException: The server cannot be reached, or refuses.
    """
    with connected(target) as connection:
        return state_of(connection, target)


def state_of(connection: Connection, target: Target) -> State:
    """Return the state of the database on an open connection."""
    directory = scripts()
    head = directory.get_current_head() or ""
    schema = text("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = :name")
    if connection.scalar(schema, {"name": target.database}) is None:
        return State(target, Standing.MISSING, None, head)
    revision = migration_context(connection, target.database).get_current_revision()
    connection.rollback()
    return State(target, _standing(directory, revision, head), revision, head)


def _standing(directory: ScriptDirectory, revision: str | None, head: str) -> Standing:
    if revision is None:
        return Standing.EMPTY
    if revision == head:
        return Standing.CURRENT
    known = {script.revision for script in directory.walk_revisions()}
    return Standing.OLDER if revision in known else Standing.NEWER


def upgrade(
    target: Target,
    revision: str = "head",
    *,
    lock_timeout: float = LOCK_TIMEOUT_SECONDS,
    listener: Listener | None = None,
) -> State:
    """Bring a database to a newer revision, making it where it is missing; at the newest one repair it.

    Repaired are a missing function, and missing system tables of a database that has no tables of collections.

    Args:
        target: The database.
        revision: A revision, "head", or "+1" for the next one.
        lock_timeout: Seconds to wait for another process that is changing the same database.
        listener: Who is told how it goes on.

    Raises:
        MigrationException: There is no way to that revision, a newer docsession made the database, or a system table
            is missing whose rows nothing but a backup can tell.
        PermissionDeniedException: The role may not make tables there.
    """
    return _migrate(target, command.upgrade, revision, lock_timeout, listener or Listener())


def downgrade(
    target: Target,
    revision: str,
    *,
    lock_timeout: float = LOCK_TIMEOUT_SECONDS,
    listener: Listener | None = None,
) -> State:
    """Bring a database back to an older revision, "-1" for the one before, or "base" for none at all.

    Raises:
        MigrationException: There is no way to that revision, or documents would be lost on it.
        PermissionDeniedException: The role may not change tables there.
    """
    return _migrate(target, command.downgrade, revision, lock_timeout, listener or Listener())


def create_collections(target: Target, collections: Iterable[str]) -> dict[str, str]:
    """Make the tables of collections, where they are missing, in a database that has its system tables.

    Returns:
        The table of each collection.

    Raises:
        InvalidArgumentException: A name cannot be a collection's, or another collection has its table.
        PermissionDeniedException: The role may not make tables there.
    """
    wanted = dict.fromkeys(collections)
    with closing(connect(target)) as connection, translated():
        catalogue = qualified(target.database, COLLECTIONS_TABLE)
        recorded = dict(connection.execute(f'SELECT DISTINCT collection, "table" FROM {catalogue}'.encode()).fetchall())
        owners = {table: collection for collection, table in recorded.items()}
        made = {collection: recorded.get(collection) or table_of_collection(collection) for collection in wanted}
        for collection, table in made.items():
            owner = owners.setdefault(table, collection)
            if owner != collection:
                raise InvalidArgumentException(
                    f"the collection {collection!r} would need the table {table!r}, which is that of {owner!r}; "
                    "name one of them otherwise, with @document(collection=…)"
                )
        for table in made.values():
            for statement in create_collection_statements(target.database, table):
                connection.execute(statement.encode())
    return made


def _migrate(target: Target, run: Callable[..., None], revision: str, lock_timeout: float, listener: Listener) -> State:
    def applied(*, step: Any, **_: object) -> None:
        done = "upgraded to" if step.is_upgrade else "downgraded from"
        listener.step(f"{done} {step.up_revision_id}: {step.up_revision.doc}")

    with locked(target, lock_timeout, listener.waiting), connected(target) as connection:
        state = state_of(connection, target)
        if state.standing is Standing.NEWER:
            raise MigrationException(f"{target.database}: {state}")
        if run is command.upgrade:
            make_schema(connection, target.database)
        elif state.standing is Standing.MISSING:
            raise MigrationException(f"{target.database}: {state}")
        config = make_config()
        config.attributes |= {"connection": connection, "database": target.database, "on_version_apply": applied}
        try:
            run(config, revision)
        except CommandError as error:
            if isinstance(error.__cause__, RevisionError):
                raise _no_way(state, run.__name__, revision) from error
            raise MigrationException(f"{target.database}: {error}") from error
        state = state_of(connection, target)
        if run is command.upgrade and state.standing is Standing.CURRENT:
            _repair(connection, target.database, listener)
        return state


def _no_way(state: State, command_name: str, revision: str) -> MigrationException:
    known = sorted(script.revision for script in scripts().walk_revisions())
    return MigrationException(
        f"{state.target.database}: no {command_name} leads from {state.revision or 'base'} to {revision!r}; "
        f"the revisions are base (nothing at all), {', '.join(known)} (head: {state.head})"
    )


def _repair(connection: Connection, database: str, listener: Listener) -> None:
    """Make what is missing of a database at the newest revision, whose lock is held, as far as it can be told."""

    def run(sql: str) -> list[str]:
        result = connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
        return [str(row[0]) for row in result] if result.returns_rows else []

    def is_missing(find: str, name: str) -> bool:
        return run(f"SELECT pg_catalog.{find}({quote_literal(name)}) IS NULL") == ["True"]

    tables = [name for name in build_metadata().tables if is_missing("to_regclass", qualified(database, name))]
    kept = run(collection_tables_query(database)) if tables else []
    if kept:
        raise MigrationException(
            f"{database}: {' and '.join(tables)} is missing, and an empty one would be wrong, since there are tables "
            f"of collections ({', '.join(kept)}); restore it from a backup, or write it as docs/migrations.md says"
        )
    for name in tables:
        run(create_system_table_statement(database, name))
        listener.step(f"made {name}, which was missing")
    if is_missing("to_regprocedure", f"{qualified(database, INSTANT_FUNCTION)}(jsonb)"):
        run(create_instant_statement(database))
        listener.step(f"made {INSTANT_FUNCTION}, which was missing")
    connection.commit()
