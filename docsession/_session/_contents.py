"""What a session holds: everything that can be asked or changed without the server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from docsession._documents._diff import DocumentsChanges
from docsession._documents._ids import (
    check_id,
)
from docsession._documents._metadata import MetadataAsDictionary
from docsession._errors import (
    InvalidArgumentTypeException,
    InvalidOperationException,
    NonUniqueObjectException,
)
from docsession._options import OptimisticConcurrencyMode, TransactionMode
from docsession._session._associated import associated, known_entity
from docsession._session._changes import (
    changes_of,
    deletion_change,
    differs,
    find_changed,
    is_changed,
    metadata_of,
)
from docsession._session._cluster import check_modes, refuse_change_vector
from docsession._session._context import SessionContext
from docsession._session._tracked import (
    change_vector_of,
    give_id,
    moment_of,
    version_of,
)

T = TypeVar("T")


class SessionContents:
    """The documents of one session, as its user looks at them."""

    __slots__ = ("context",)

    def __init__(self, context: SessionContext) -> None:
        self.context = context

    def _guarded(self, operation: str, answer: Callable[[], T]) -> T:
        self.context.enter(operation)
        try:
            return answer()
        finally:
            self.context.leave()

    def has_changes(self) -> bool:
        """Return True where a save would send something."""

        def answer() -> bool:
            known, values = self.context.map, self.context.exchange
            changed = (differs(each, now) for each, now in find_changed(known.by_id.values()))
            return (
                bool(known.deleted or known.deferred) or any(changed) or (values is not None and values.has_changes())
            )

        return self._guarded("has_changes", answer)

    def has_changed(self, entity: object) -> bool:
        """Return True where a save would write *entity*."""
        tracked = self.context.map.find(entity)
        return self._guarded("has_changed", lambda: tracked is not None and is_changed(tracked))

    def what_changed(self) -> dict[str, list[DocumentsChanges]]:
        """Return what a save would change, by id."""

        def answer() -> dict[str, list[DocumentsChanges]]:
            known = self.context.map
            changes = {
                each.id: changes_of(each) for each, now in find_changed(known.by_id.values()) if differs(each, now)
            }
            return changes | {key: deletion_change() for key in known.deleted}

        return self._guarded("what_changed", answer)

    def what_changed_for(self, entity: object) -> list[DocumentsChanges]:
        """Return what a save would change of *entity*."""

        def answer() -> list[DocumentsChanges]:
            for deletion in self.context.map.deleted.values():
                if deletion.tracked is not None and deletion.tracked.entity is entity:
                    return deletion_change()
            tracked = associated(self.context.map, entity, "what_changed_for")
            return changes_of(tracked) if is_changed(tracked) else []

        return self._guarded("what_changed_for", answer)

    def is_loaded(self, key: str) -> bool:
        """Return True where `load(key)` needs no request."""
        return self._guarded("is_loaded", lambda: self.context.map.knows(check_id(key)))

    def get_tracked_entities(self) -> dict[str, dict[str, object]]:
        """Return every tracked entity, those to be deleted among them."""

        def answer() -> dict[str, dict[str, object]]:
            known = self.context.map
            rows = {key: {"id": key, "entity": each.entity, "is_deleted": False} for key, each in known.by_id.items()}
            for key, deletion in known.deleted.items():
                entity = deletion.tracked.entity if deletion.tracked is not None else None
                rows[key] = {"id": key, "entity": entity, "is_deleted": True}
            return rows

        return self._guarded("get_tracked_entities", answer)

    def evict(self, entity: object) -> None:
        """Forget *entity*."""

        def answer() -> None:
            known = self.context.map
            tracked = known.find(entity)
            if tracked is not None:
                known.forget(tracked)
                known.checks.pop(tracked.id, None)
                return
            for key, deletion in list(known.deleted.items()):
                if deletion.tracked is not None and deletion.tracked.entity is entity:
                    del known.deleted[key]
                    known.missing.add(key)

        self._guarded("evict", answer)

    def set_mode(self, mode: OptimisticConcurrencyMode) -> None:
        """Change which documents saves check.

        Raises:
            InvalidOperationException: The session tracks nothing, so there is nothing to check.
        """
        if self.context.no_tracking and mode is not OptimisticConcurrencyMode.NONE:
            raise InvalidOperationException("this session tracks nothing (no_tracking), so it has no versions to check")
        check_modes(self.context.transaction_mode, mode)
        self.context.mode = mode

    def set_transaction_mode(self, mode: TransactionMode) -> None:
        """Change whether saves are cluster-wide.

        Raises:
            InvalidOperationException: The session has an optimistic concurrency mode.
        """
        self.context.transaction_mode = check_modes(mode, self.context.mode)

    def clear(self) -> None:
        """Forget everything."""

        def answer() -> None:
            self.context.forget_everything()
            if self.context.journal is not None:
                # Nor does a rollback bring it back.
                for entry in self.context.journal.entries:
                    entry.forget()

        self._guarded("clear", answer)

    def ignore_changes_for(self, entity: object) -> None:
        """Let saves leave *entity* out."""

        def answer() -> None:
            associated(self.context.map, entity, "ignore_changes_for").ignored = True

        self._guarded("ignore_changes_for", answer)

    def replace(self, old: T, new: T) -> None:
        """Let *new* stand for the document of *old*."""

        def answer() -> None:
            tracked = associated(self.context.map, old, "replace")
            if type(new) is not type(old):
                raise InvalidArgumentTypeException(
                    f"replace() takes two instances of one class, not {type(old).__qualname__} and "
                    f"{type(new).__qualname__}"
                )
            other = self.context.map.find(new)
            if other is not None and other is not tracked:
                raise NonUniqueObjectException(f"the new instance is tracked as {other.id!r} already")
            self.context.map.replace(tracked, new)
            give_id(tracked.mapping.codec, new, tracked.id)

        self._guarded("replace", answer)

    def register_for_concurrency_check(self, key: str, change_vector: str | None) -> None:
        """Have the next save check the version of *key*."""

        def answer() -> None:
            checked = check_id(key)
            if change_vector is None:
                self.context.map.checks.pop(checked, None)
            else:
                refuse_change_vector(self.context, checked)
                self.context.map.checks[checked] = version_of(change_vector)

        self._guarded("register_for_concurrency_check", answer)

    def get_metadata_for(self, entity: object) -> MetadataAsDictionary:
        """Return the metadata of *entity*'s document."""
        return self._guarded(
            "get_metadata_for", lambda: metadata_of(known_entity(self.context.map, entity, "get_metadata_for"))
        )

    def get_change_vector_for(self, entity: object) -> str | None:
        """Return the change vector of *entity*'s document; None before it was saved."""
        return self._guarded(
            "get_change_vector_for",
            lambda: change_vector_of(known_entity(self.context.map, entity, "get_change_vector_for").version),
        )

    def get_last_modified_for(self, entity: object) -> datetime | None:
        """Return when *entity*'s document was last written; None before it was saved."""
        return self._guarded(
            "get_last_modified_for",
            lambda: moment_of(known_entity(self.context.map, entity, "get_last_modified_for").last_modified),
        )

    def get_document_id(self, entity: object) -> str | None:
        """Return the id of *entity*; None where the session does not know it."""

        def answer() -> str | None:
            tracked = self.context.map.find(entity)
            return None if tracked is None else tracked.id

        return self._guarded("get_document_id", answer)
