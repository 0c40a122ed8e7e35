"""How a database's revision stands to the newest one of this package.

A revision is four digits. The first two are its generation: within one, every revision only adds, so that a process of
an older docsession goes on working while a newer one has migrated the database under it. A revision that an older
docsession could not work with begins a new generation (`0101` after `0007`), and every docsession refuses databases of
another generation than its own.
"""

from __future__ import annotations

import enum
import re

_REVISION = re.compile(r"[0-9]{4}")


class Standing(enum.Enum):
    """How a database stands to the revisions of this package."""

    MISSING = "missing"
    EMPTY = "empty"
    OUTDATED = "outdated"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"
    INCOMPATIBLE = "incompatible"


def standing_of(revision: str | None, head: str) -> Standing:
    """Return how a database at *revision* stands to a package whose newest is *head*.

    OUTDATED is older by a generation, INCOMPATIBLE newer by one, or no revision of docsession at all.
    """
    if revision is None:
        return Standing.EMPTY
    if revision == head:
        return Standing.CURRENT
    if not _REVISION.fullmatch(revision):
        return Standing.INCOMPATIBLE
    if revision < head:
        return Standing.OLDER if revision[:2] == head[:2] else Standing.OUTDATED
    return Standing.NEWER if revision[:2] == head[:2] else Standing.INCOMPATIBLE
