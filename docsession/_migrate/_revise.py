"""Writing a project's next revision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.util import CommandError
from sqlalchemy import MetaData

from docsession._errors import MigrationException
from docsession._migrate._directives import is_ours, write_for_collections
from docsession._migrate._environment import placed_in, recorded_collections
from docsession._migrate._project import Model
from docsession._migrate._scripts import LIBRARY, Line, make_config, project_line, scripts
from docsession._migrate._state import head_of, state_of
from docsession._migrate._target import Target, connected
from docsession._sql._definitions import DEFINITIONS
from docsession._sql._revisions import Standing
from docsession._sql._schema import collection_table


@dataclass(frozen=True, slots=True)
class Written:
    """A revision that was written: its id and its file."""

    revision: str
    file: Path


def write_revision(folder: Path, message: str, revision: str | None = None) -> Written:
    """Write an empty revision that follows the newest one in *folder*, which is made where it is missing.

    Args:
        folder: The folder of the project's revisions.
        message: What it does, in a few words.
        revision: Its id; None makes one.

    Raises:
        MigrationException: It cannot be written.
    """
    line = project_line(folder)
    folder.mkdir(parents=True, exist_ok=True)
    head_of(scripts(line), line)
    written = _write(line, {}, message=message, rev_id=revision, head="head")
    assert written is not None  # noqa: S101  # only autogenerate may find nothing to do
    return written


def autogenerate(
    target: Target, folder: Path, models: Iterable[Model], message: str, revision: str | None = None
) -> Written | None:
    """Write the revision that makes what a database lacks of the models; None where it lacks nothing.

    Args:
        target: The database to compare with, which has to be at the newest revisions.
        folder: The folder of the project's revisions.
        models: What the models need.
        message: What it does, in a few words.
        revision: Its id; None makes one.

    Raises:
        MigrationException: The database is at another revision, or the file cannot be written.
    """
    line = project_line(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with connected(target) as connection:
        for known in (LIBRARY, line):
            state = state_of(connection, target, known)
            is_ready = state.standing in {Standing.CURRENT, Standing.NEWER} or state.revision == (state.head or None)
            if not is_ready:
                raise MigrationException(f"{target.database}: {state}; then compare again")
        metadata = MetaData()
        recorded = recorded_collections(connection, target.database)
        for model in models:
            table = recorded.get(model.collection, model.table)
            collection_table(metadata, table).info[DEFINITIONS] = model.definitions(table)
        attributes = {
            "connection": connection,
            "database": target.database,
            "metadata": placed_in(metadata, target.database),
            "include_object": is_ours,
            "process_revision_directives": write_for_collections,
        }
        return _write(line, attributes, message=message, rev_id=revision, head="head", autogenerate=True)


def _write(line: Line, attributes: dict[str, Any], **options: Any) -> Written | None:
    try:
        made = command.revision(make_config(line, attributes), **options)
    except (CommandError, OSError) as error:
        raise MigrationException(f"the revision cannot be written: {error}") from error
    if isinstance(made, list) or made is None:
        return None
    return Written(made.revision, Path(made.path))
