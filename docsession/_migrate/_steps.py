"""What a revision given on the command line means, where there are several lines of revisions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from alembic.util import CommandError

from docsession._errors import MigrationException
from docsession._migrate._scripts import LIBRARY, Line, scripts

_RELATIVE = re.compile(r"(.*?)([+-][0-9]+)")


@dataclass(frozen=True, slots=True)
class Step:
    """A line, and the revision of it to go to."""

    line: Line
    revision: str


def steps_to(revision: str, lines: Sequence[Line], *, down: bool = False) -> list[Step]:
    """Return what leads to *revision*, in order.

    "head" is that of every line, "base" nothing at all, `label@revision` one of a line. A bare revision is looked for
    in all of them.

    Raises:
        MigrationException: There is no such line or revision, or several.
    """
    label, at, rest = revision.rpartition("@")
    if at:
        return [Step(_line_called(label, lines), rest)]
    if len(lines) == 1:
        return [Step(lines[0], "head" if revision == "heads" else revision)]
    if revision in {"head", "heads"} and not down:
        # A project's revisions build on docsession's.
        return [Step(line, "head") for line in lines]
    if revision == "base" and down:
        return [Step(line, "base") for line in reversed(lines)]
    relative = _RELATIVE.fullmatch(revision)
    wanted = revision if relative is None else relative[1]
    found = [line for line in lines if wanted and _has(line, wanted)]
    if len(found) == 1:
        return [Step(found[0], revision)]
    labels = ", ".join(f"{line.label}@{revision}" for line in lines)
    if wanted and not found:
        raise MigrationException(f"there is no revision {wanted!r}; `docsession history` shows those there are")
    raise MigrationException(f"{revision!r} may be meant of several lines of revisions; say which: {labels}")


def range_of(given: str, lines: Sequence[Line]) -> tuple[str, list[Step]]:
    """Return where a range `from:to` begins, and what leads to its end; without a colon it begins at "base".

    Raises:
        MigrationException: There is no such line or revision, or several.
    """
    label, at, rest = given.rpartition("@")
    start, colon, end = rest.partition(":")
    if not colon:
        start, end = "base", rest
    if at:
        return start, [Step(_line_called(label, lines), end)]
    if start == "base" and end in {"head", "heads"}:
        return start, [Step(line, "head") for line in lines]
    ends = [each for each in (start, end) if each not in {"base", "head", "heads"}]
    if not ends:
        return start, [Step(LIBRARY, end)] if len(lines) == 1 else [Step(line, end) for line in reversed(lines)]
    return start, [Step(steps_to(ends[0], lines)[0].line, end)]


def _line_called(label: str, lines: Sequence[Line]) -> Line:
    for line in lines:
        if line.label == label:
            return line
    raise MigrationException(
        f"there is no line of revisions {label!r} here; there are: {', '.join(line.label for line in lines)}"
    )


def _has(line: Line, revision: str) -> bool:
    try:
        return scripts(line).get_revision(revision) is not None
    except CommandError:
        return False
