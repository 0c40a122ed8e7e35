"""The compare-exchange values that a session knows: one key, one object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from typing_extensions import override

from docsession._documents._compare_exchange import CompareExchangeValue, annotation_for, check_index, check_key, named
from docsession._documents._mapping import DocumentMapping, Mappings
from docsession._documents._metadata import TYPES, stored_metadata
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException, InvalidOperationException
from docsession._port import JSONB_VERSION, NULL_JSONB, Row
from docsession._session._changes import Write, differs, find_changed, prepare_write, snapshot_of, types_of
from docsession._session._tracked import MUST_NOT_EXIST, Tracked
from docsession._sql._compare_exchange import CompareExchangeStatements
from docsession._sql._flush import Delete, Moment


class TrackedValue(Tracked, eq=False, kw_only=True):
    """A compare-exchange value; its entity is the object with one field that is written and read for it.

    Attributes:
        shown: What the user holds.
        declared: As what type it was asked for; None where nobody said.
    """

    shown: CompareExchangeValue[Any]
    declared: object = None

    @property
    @override
    def reserved_metadata(self) -> dict[str, str | int | None]:
        return {}


class ExchangeMap:
    """The compare-exchange values of one session.

    Attributes:
        by_key: Those that exist, or will after the next save.
        deleted: Those that the next save deletes, with the index that they must have.
        missing: Keys that were found to have none.
    """

    __slots__ = ("_mappings", "by_key", "deleted", "missing")

    def __init__(self, mappings: Mappings) -> None:
        self._mappings = mappings
        self.by_key: dict[str, TrackedValue] = {}
        self.deleted: dict[str, int] = {}
        self.missing: set[str] = set()

    def knows(self, key: str) -> bool:
        """Return True where asking for *key* needs no request."""
        return key in self.by_key or key in self.deleted or key in self.missing

    def find(self, key: str) -> CompareExchangeValue[Any] | None:
        """Return the value of *key*, if the session knows one."""
        tracked = self.by_key.get(key)
        return None if tracked is None else tracked.shown

    def create(self, key: str, item: object) -> CompareExchangeValue[Any]:
        """Have the next save create a value.

        Raises:
            InvalidOperationException: The session tracks one for the key.
        """
        if isinstance(item, CompareExchangeValue):
            raise InvalidArgumentTypeException(
                "create_compare_exchange_value(key, item) takes the value itself, not a CompareExchangeValue"
            )
        if key in self.by_key:
            raise InvalidOperationException(
                f"the session tracks a compare-exchange value {key!r} already; change its `value`, or delete it first"
            )
        expected = self.deleted.pop(key, None)
        shown = CompareExchangeValue(key, 0 if expected is None else expected, item)
        mapping, holder = self._hold(None, item)
        self.by_key[key] = TrackedValue(
            key, holder, mapping, mapping.codec.snapshot, version=expected, metadata=shown.metadata, shown=shown
        )
        self.missing.discard(key)
        return shown

    def delete(self, item_or_key: object, index: int | None) -> None:
        """Have the next save delete a value, if it has *index* then.

        Raises:
            InvalidArgumentException: No index was given, and none is known.
        """
        key = check_key(item_or_key.key if isinstance(item_or_key, CompareExchangeValue) else item_or_key)
        tracked = self.by_key.get(key)
        if index is None and isinstance(item_or_key, CompareExchangeValue) and item_or_key.index:
            index = item_or_key.index
        if index is None and tracked is not None:
            index = MUST_NOT_EXIST if tracked.version is None else tracked.version
        if index is None:
            raise InvalidArgumentException(
                f"the session does not know the compare-exchange value {key!r}: give the index that it must have, as "
                "in delete_compare_exchange_value(key, index), or get it first"
            )
        if tracked is not None and tracked.version is None and index == MUST_NOT_EXIST:
            self.missing.add(key)  # it was created and not saved, so nothing is to be done
        else:
            self.deleted[key] = check_index(index, least=1)
            self.missing.discard(key)
        self.by_key.pop(key, None)

    def take(
        self, statements: CompareExchangeStatements, row: Row, declared: object, *, is_tracked: bool
    ) -> CompareExchangeValue[Any]:
        """Return the value of *row*, and track it; one that is tracked already stays as it is."""
        known = self.by_key.get(row[0])
        if known is not None:
            return known.shown
        tracked = materialise(self._mappings, row, declared)
        if not is_tracked:
            return tracked.shown
        tracked.table = statements
        self.by_key[tracked.id] = tracked
        self.missing.discard(tracked.id)
        return tracked.shown

    def changed(self, *, verify: bool) -> list[Write]:
        """Return what a save writes.

        Raises:
            UnsupportedValueException: A value cannot be stored.
        """
        if not self.by_key:
            return []
        for tracked in self.by_key.values():
            self._follow(tracked)
        with named([*self.by_key]):
            return [
                prepare_write(tracked, now, verify=verify)
                for tracked, now in find_changed(self.by_key.values())
                if differs(tracked, now)
            ]

    def has_changes(self) -> bool:
        """Return True where a save would write or delete one."""
        return bool(self.deleted) or bool(self.changed(verify=False))

    def apply(self, writes: list[Write], deletions: list[Delete]) -> None:
        """Agree that *writes* and *deletions* were committed."""
        for write in writes:
            tracked = write.tracked
            assert isinstance(tracked, TrackedValue)  # noqa: S101  # `changed` made it
            tracked.table, tracked.raw, tracked.snapshot = write.table, write.data, write.snapshot
            tracked.stored_metadata, tracked.version, tracked.anchors = write.metadata, write.version, write.anchors
            tracked.shown.index = write.version
            if tracked.metadata is not None and write.free is not None:
                tracked.metadata.mark_clean(write.free)
        for deletion in deletions:
            if self.deleted.get(deletion.id) == deletion.expected:
                del self.deleted[deletion.id]
                self.missing.add(deletion.id)

    def undo(self, writes: list[Write], deletions: list[Delete]) -> Callable[[], None]:
        """Return what brings the session back to what it is now, before `apply`, apart from what is tracked itself."""
        indexes = [(value.shown, value.shown.index) for value in self.by_key.values()] if writes else []

        def undo() -> None:
            for shown, index in indexes:
                shown.index = index
            for deletion in deletions:
                self.missing.discard(deletion.id)
                later = self.by_key.get(deletion.id)
                if later is not None:
                    later.version = deletion.expected
                elif deletion.expected is not None:
                    self.deleted[deletion.id] = deletion.expected

        return undo

    def clear(self) -> None:
        """Forget everything."""
        self.by_key.clear()
        self.deleted.clear()
        self.missing.clear()

    def _hold(self, declared: object, value: object) -> tuple[DocumentMapping[Any], object]:
        mapping = self._mappings.for_value(annotation_for(declared, value))
        return mapping, mapping.entity_class(value)

    def _follow(self, tracked: TrackedValue) -> None:
        """Take over the value that the user holds; one of another type than before is written anew, as what it is."""
        mapping, holder = self._hold(tracked.declared, tracked.shown.value)
        tracked.entity = holder
        if mapping is tracked.mapping:
            return
        tracked.mapping, tracked.encode = mapping, mapping.codec.snapshot
        tracked.raw, tracked.anchors = None, ()
        if tracked.snapshot is not None:
            tracked.snapshot = b""
        kept = stored_metadata(tracked.stored_metadata)
        if kept.pop(TYPES, None) is not None:
            tracked.stored_metadata = JSONB_VERSION + msgspec.json.encode(kept) if kept else NULL_JSONB


def materialise(mappings: Mappings, row: Row, declared: object) -> TrackedValue:
    """Return the value of a row (key, value, metadata, index).

    Raises:
        DocumentMismatchException: It is not of the type *declared*.
    """
    key, data, metadata, index = row
    mapping = mappings.for_value(Any if declared is None else declared)
    codec = mapping.codec
    with named([key]):
        holder = codec.decode(key, data, types_of(metadata))
    shown = CompareExchangeValue(key, index, holder.Object, stored_metadata(metadata))
    tracked = TrackedValue(key, holder, mapping, codec.snapshot, shown=shown, declared=declared)
    tracked.raw, tracked.stored_metadata, tracked.version = data, metadata or NULL_JSONB, index
    tracked.metadata = shown.metadata
    tracked.snapshot = snapshot_of(tracked)
    tracked.anchors = codec.anchors(holder) if codec.has_anchors else ()
    return tracked


def give_versions(writes: list[Write], statements: CompareExchangeStatements, moment: Moment) -> None:
    """Say which index each of *writes* expects and gets."""
    for write in writes:
        write.table = statements
        write.expected = expected = write.tracked.version or MUST_NOT_EXIST
        write.version = moment.version_after(expected)
