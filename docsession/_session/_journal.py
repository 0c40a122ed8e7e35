"""What the flushes of a transaction did to the session, kept so that a rollback can undo it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from docsession._documents._metadata import free_keys_json, stored_metadata
from docsession._session._identity_map import IdentityMap
from docsession._session._tracked import Deletion, Tracked, succeed
from docsession._sql._flush import Moment, Operation
from docsession._sql._tables import TableStatements

Undo: TypeAlias = Callable[[], None]


class Entry:
    """One flush.

    Attributes:
        operations: What it wrote, deleted and checked.
        moment: When it was planned.
        renewed: The versions of tracked documents that a statement of another kind has written.
    """

    __slots__ = ("_undos", "moment", "operations", "renewed")

    def __init__(self, operations: list[Operation], moment: Moment) -> None:
        self.operations = operations
        self.moment = moment
        self.renewed: dict[tuple[TableStatements, str], int] = {}
        self._undos: list[Undo] = []

    def remember(self, undo: Undo) -> None:
        """Have *undo* called, last one first, where the flush turns out not to be committed."""
        self._undos.append(undo)

    def forget(self) -> None:
        """Let a rollback leave the session as it is: what the flush was about is forgotten there."""
        self._undos.clear()

    def undo(self) -> None:
        """Bring the session back to the state before the flush."""
        for undo in reversed(self._undos):
            undo()


class Journal:
    """The flushes of a session that are not known to be committed, in order.

    Attributes:
        is_cluster_wide: True where one of them was a cluster-wide one, for which the commit waits for a standby.
        commit_timeout: Seconds that it does so; None waits for ever.
    """

    __slots__ = ("commit_timeout", "entries", "is_cluster_wide")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.is_cluster_wide = False
        self.commit_timeout: float | None = None

    def mark(self) -> int:
        """Return a mark to which the session can be brought back."""
        return len(self.entries)

    def undo_to(self, mark: int = 0) -> None:
        """Bring the session back to *mark*: what was saved since is unsaved again, with its old versions."""
        while len(self.entries) > mark:
            self.entries.pop().undo()

    def clear(self) -> None:
        """Forget everything, because it is committed."""
        self.entries.clear()

    def operations(self) -> list[Operation]:
        """Return what was done last to each document."""
        latest = {(each.table, each.id): each for entry in self.entries for each in entry.operations}
        return list(latest.values())


def undo_write(tracked: Tracked, known: IdentityMap) -> Undo:
    """Return what brings a document that is about to count as saved back to what it is now.

    Another entity may have taken its place by then, after a deletion, and rely on the version that was written.
    """
    table, raw, snapshot, anchors = tracked.table, tracked.raw, tracked.snapshot, tracked.anchors
    stored, version, modified = tracked.stored_metadata, tracked.version, tracked.last_modified
    expected, generated, replaces = tracked.expected, tracked.generated, tracked.replaces

    def undo() -> None:
        successor = known.by_id.get(tracked.id)
        if successor is not None and successor is not tracked and successor.version == tracked.version:
            successor.table, successor.version = table, version
        tracked.table, tracked.raw, tracked.snapshot, tracked.anchors = table, raw, snapshot, anchors
        tracked.stored_metadata, tracked.version, tracked.last_modified = stored, version, modified
        tracked.expected, tracked.generated, tracked.replaces = expected, generated, replaces
        if tracked.metadata is not None:
            tracked.metadata.agree(tracked.reserved_metadata)
            tracked.metadata.mark_clean(free_keys_json(stored_metadata(stored)))

    return undo


def undo_deletions(known: IdentityMap, deletions: Iterable[Deletion]) -> Undo:
    """Return what makes *deletions* pending again."""
    flushed = list(deletions)

    def undo() -> None:
        for deletion in flushed:
            known.missing.discard(deletion.id)
            tracked = known.by_id.get(deletion.id)
            if tracked is None or not succeed(tracked, deletion):
                known.deleted[deletion.id] = deletion

    return undo


def undo_checks(known: IdentityMap, checks: dict[str, int]) -> Undo:
    """Return what makes checks that hold for one save hold again."""

    def undo() -> None:
        for key, expected in checks.items():
            known.checks.setdefault(key, expected)

    return undo
