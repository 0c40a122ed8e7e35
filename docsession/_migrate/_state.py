"""At which revision a database is, and what is to be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version as installed_version

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from typing_extensions import override

from docsession._errors import MigrationException
from docsession._migrate._environment import migration_context
from docsession._migrate._scripts import LIBRARY, Line, scripts
from docsession._migrate._target import Target, connected
from docsession._sql._revisions import Standing, standing_of


@dataclass(frozen=True, slots=True)
class State:
    """What revision of a line a database is at.

    Attributes:
        target: The database.
        standing: How it stands to the newest revision.
        revision: Its revision; None where it has none.
        head: The newest revision of the line.
        line: Whose revisions.
    """

    target: Target
    standing: Standing
    revision: str | None
    head: str
    line: Line = LIBRARY

    @override
    def __str__(self) -> str:
        """Return one line that says where the database stands, and what to do about it."""
        return f"{self.line.prefix}{self._told()}"

    def _told(self) -> str:
        upgrade = f"run `{self.target.command('upgrade')}`"
        match self.standing:
            case Standing.MISSING:
                return f"does not exist; {upgrade}"
            case Standing.EMPTY:
                return f"has no revision; {upgrade}"
            case Standing.OLDER | Standing.OUTDATED:
                return f"{self.revision}, older than {self.head}; {upgrade}"
            case Standing.CURRENT:
                return f"{self.revision}, the newest"
            case Standing.NEWER | Standing.INCOMPATIBLE:
                return f"{self.revision}, which {self._newer()}"

    def _newer(self) -> str:
        if self.line.folder is not None:
            return f"is not among the revisions in {self.line.folder.name}: a newer version of the project made it"
        known = (
            f"docsession {installed_version('docsession')} does not know (its newest is {self.head}): "
            "a newer docsession made it"
        )
        if self.standing is Standing.NEWER:
            return f"{known}; it only added to the schema, so this one works with it"
        return f"{known}; install that one or a later one"


def current(target: Target, line: Line = LIBRARY) -> State:
    """Return the state of a database; changes nothing.

    Raises:
        RavenException: The server cannot be reached, or refuses.
    """
    with connected(target) as connection:
        return state_of(connection, target, line)


def state_of(connection: Connection, target: Target, line: Line = LIBRARY) -> State:
    """Return the state of the database on an open connection."""
    directory = scripts(line)
    head = head_of(directory, line)
    schema = text("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = :name")
    if connection.scalar(schema, {"name": target.database}) is None:
        return State(target, Standing.MISSING, None, head, line)
    revision = migration_context(connection, target.database, line=line).get_current_revision()
    connection.rollback()
    return State(target, _standing(directory, revision, head, line), revision, head, line)


def head_of(directory: ScriptDirectory, line: Line) -> str:
    """Return the newest revision of a line.

    Raises:
        MigrationException: A project's revisions do not form one line.
    """
    heads = directory.get_heads()
    if len(heads) > 1:
        raise MigrationException(
            f"the revisions in {line.folder} end in {len(heads)} heads ({', '.join(sorted(heads))}); let one of them "
            "follow the other, in its down_revision"
        )
    return heads[0] if heads else ""


def _standing(directory: ScriptDirectory, revision: str | None, head: str, line: Line) -> Standing:
    if line.folder is None:
        return standing_of(revision, head)
    if revision is None:
        return Standing.EMPTY
    if revision == head:
        return Standing.CURRENT
    known = {script.revision for script in directory.walk_revisions()}
    return Standing.OLDER if revision in known else Standing.INCOMPATIBLE
