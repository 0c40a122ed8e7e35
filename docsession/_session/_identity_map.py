"""The documents that a session knows: one id, one instance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from docsession._errors import NonUniqueObjectException
from docsession._port import Row
from docsession._session._tracked import MUST_NOT_EXIST, Deletion, Tracked
from docsession._sql._tables import TableStatements

if TYPE_CHECKING:
    from docsession._session._deferred import Deferred


class IdentityMap:
    """What the session has loaded, stored and deleted.

    Attributes:
        by_id: The tracked documents; never one that is deleted.
        by_entity: The same by the entity's `id()`, which stays true while the entity is held here.
        missing: Ids that were found not to exist.
        included: Rows that came along with others and have no entity yet.
        deleted: What the next save deletes.
        checks: Versions that the next save is to find, of documents that it does not write.
        deferred: Raw commands for the next save.
    """

    __slots__ = ("by_entity", "by_id", "checks", "deferred", "deleted", "included", "missing")

    def __init__(self) -> None:
        self.by_id: dict[str, Tracked] = {}
        self.by_entity: dict[int, Tracked] = {}
        self.missing: set[str] = set()
        self.included: dict[str, tuple[Row, TableStatements]] = {}
        self.deleted: dict[str, Deletion] = {}
        self.checks: dict[str, int] = {}
        self.deferred: dict[str, Deferred] = {}

    def knows(self, key: str) -> bool:
        """Return True where asking for *key* needs no request."""
        return key in self.by_id or key in self.missing or key in self.included or key in self.deleted

    def unknown(self, keys: Sequence[str]) -> Sequence[str]:
        """Return those of *keys* that have to be asked for."""
        groups = [each for each in (self.by_id, self.missing, self.included, self.deleted) if each]
        return [key for key in keys if not any(key in each for each in groups)] if groups else keys

    def seen(self, key: str) -> int | None:
        """Return the version that was seen of a document which is not tracked, 0 where none was found, else None."""
        included = self.included.get(key)
        if included is not None:
            return int(included[0][3])
        deletion = self.deleted.get(key)
        if deletion is not None:
            return deletion.seen
        return MUST_NOT_EXIST if key in self.missing else None

    def find(self, entity: object) -> Tracked | None:
        """Return what is tracked for this very instance."""
        return self.by_entity.get(id(entity))

    def add(self, tracked: Tracked) -> None:
        """Track a document.

        Raises:
            NonUniqueObjectException: Its id has another instance.
        """
        known = self.by_id.setdefault(tracked.id, tracked)
        if known is not tracked:
            raise NonUniqueObjectException(
                f"the session tracks another instance with the id {tracked.id!r}; change that one "
                "(session.load returns it), or evict it first"
            )
        self.insert(tracked)

    def insert(self, tracked: Tracked) -> None:
        """Track a document whose id has no other instance."""
        self.by_id[tracked.id] = tracked
        self.by_entity[id(tracked.entity)] = tracked
        if self.missing:
            self.missing.discard(tracked.id)
        if self.included:
            self.included.pop(tracked.id, None)

    def forget(self, tracked: Tracked) -> None:
        """Stop tracking a document."""
        self.by_id.pop(tracked.id, None)
        self.by_entity.pop(id(tracked.entity), None)

    def replace(self, tracked: Tracked, entity: object) -> None:
        """Let *entity* stand for the document from now on."""
        del self.by_entity[id(tracked.entity)]
        tracked.entity = entity
        self.by_entity[id(entity)] = tracked

    def clear(self) -> None:
        """Forget everything."""
        self.by_id.clear()
        self.by_entity.clear()
        self.missing.clear()
        self.included.clear()
        self.deleted.clear()
        self.checks.clear()
        self.deferred.clear()
