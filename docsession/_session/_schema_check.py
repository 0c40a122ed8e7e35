"""Whether a database's schema is one that this version of docsession can work with; looked at once, on first use."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from docsession._documents._naming import command_line
from docsession._errors import IncompatibleSchemaException
from docsession._sql._revisions import Standing, standing_of
from docsession._sql._schema import HEAD_REVISION

_log = logging.getLogger("docsession")


def check_schema(database: str, rows: Iterable[Sequence[str]], head: str = HEAD_REVISION) -> None:
    """Compare the revision that a database has recorded with *head*.

    Of one that is older, or newer in a way that only adds, a warning tells once; it goes on working.

    Args:
        database: Its name.
        rows: The rows of the table in which Alembic records it.
        head: The newest revision of this package.

    Raises:
        IncompatibleSchemaException: The two cannot work together.
    """
    revision = max((version for (version,) in rows), default=None)
    place = f"the database {database!r} is at the revision {revision}"
    upgrade = f"run `{command_line('upgrade', database)}`"
    match standing_of(revision, head):
        case Standing.OLDER:
            _log.warning("%s, older than %s: what needs the newer schema will not work; %s", place, head, upgrade)
        case Standing.NEWER:
            _log.warning(
                "%s, newer than %s, the newest that this docsession knows: it goes on working, and a newer docsession "
                "is there to be installed",
                place,
                head,
            )
        case Standing.OUTDATED:
            raise IncompatibleSchemaException(f"{place}, too old for this docsession, which needs {head}; {upgrade}")
        case Standing.INCOMPATIBLE:
            raise IncompatibleSchemaException(
                f"{place}, which this docsession cannot work with (the newest that it knows is {head}): a newer one "
                "has migrated it; install that version"
            )
