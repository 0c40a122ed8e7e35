"""Which documents of a session have changed, and what a save would write for each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from docsession._documents._diff import DocumentsChanges, what_changed
from docsession._documents._merge import Anchors, merge
from docsession._documents._metadata import (
    INTERNAL,
    METADATA,
    RESERVED,
    STORED,
    TYPES,
    MetadataAsDictionary,
    free_keys_json,
    metadata_column,
    stored_metadata,
)
from docsession._errors import ConversionException, UnsupportedValueException
from docsession._port import JSONB_VERSION, NULL_JSONB
from docsession._session._tracked import Tracked
from docsession._sql._flush import Put

_decode: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
_members: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder(order="deterministic").encode


class Write(Put, eq=False):
    """A document that a save writes; its table, and which version is expected and given, come with the plan.

    Attributes:
        snapshot: The entity's canonical form as it is written.
        anchors: Where its list items are, then.
        free: The user's keys of the metadata, then; None where nobody has asked for them.
        raw: The document that the entity stands for, where handlers have written another one; else None.
    """

    tracked: Tracked
    snapshot: bytes
    anchors: Anchors
    free: bytes | None
    raw: bytes | None = None


def snapshot_of(tracked: Tracked) -> bytes:
    """Return an entity's canonical form now.

    Raises:
        UnsupportedValueException: It holds a value that cannot be stored.
    """
    try:
        return tracked.encode(tracked.entity)
    except Exception as error:
        raise tracked.mapping.codec.explain(tracked.entity, tracked.id, error) from error


def find_changed(documents: Iterable[Tracked]) -> list[tuple[Tracked, bytes]]:
    """Return the documents that are new or differ from their snapshot, with their canonical form now.

    Raises:
        UnsupportedValueException: An entity holds a value that cannot be stored.
    """
    changed = []
    tracked: Tracked | None = None
    try:
        for tracked in documents:
            if type(tracked.entity) is dict:
                _follow_metadata(tracked, tracked.entity)
            now = tracked.encode(tracked.entity)
            if now != tracked.snapshot or (tracked.metadata is not None and tracked.metadata.is_dirty):
                changed.append((tracked, now))
    except ConversionException:
        raise
    except Exception as error:
        if tracked is None:
            raise
        raise tracked.mapping.codec.explain(tracked.entity, tracked.id, error) from error
    return changed


def _follow_metadata(tracked: Tracked, entity: dict[str, Any]) -> None:
    """Where somebody has put another dict under `@metadata`, take its keys for the document's."""
    given = entity.get(METADATA)
    if given is None or given is tracked.metadata:
        return
    if not isinstance(given, dict):
        raise UnsupportedValueException(
            f"document {tracked.id!r} cannot be stored: '@metadata' is a dict, not {type(given).__qualname__}",
            id=tracked.id,
            path=METADATA,
        )
    metadata = metadata_of(tracked)
    free = {key: value for key, value in given.items() if key not in RESERVED}
    metadata.clear()
    metadata.update(free)
    entity[METADATA] = metadata


def is_changed(tracked: Tracked) -> bool:
    """Return True where a save would write this document."""
    return any(differs(each, now) for each, now in find_changed([tracked]))


def differs(tracked: Tracked, now: bytes) -> bool:
    """Return True where the document itself differs; an entity's id, which is no part of it, may differ too."""
    if tracked.snapshot is None or (tracked.metadata is not None and tracked.metadata.is_dirty):
        return True
    codec = tracked.mapping.codec
    return bool(
        codec.body(now, tracked.id) != codec.body(tracked.snapshot, tracked.id)
        or codec.types(now) != codec.types(tracked.snapshot)
    )


def prepare_write(tracked: Tracked, now: bytes, *, verify: bool) -> Write:
    """Return what to write for a document whose canonical form is *now*.

    Raises:
        UnsupportedValueException: It could not be loaded again as it is.
    """
    codec = tracked.mapping.codec
    key = tracked.id
    body = codec.body(now, key)
    codec.check(tracked.entity, now, key)
    types = codec.types(now)
    if verify:
        codec.verify(key, body, None if types is None else _decode.decode(types))
    # What its class has written whole holds no field that it does not know: then there is nothing to recognise.
    is_known = tracked.raw is not None and codec.has_anchors
    anchors: Anchors = codec.anchors(tracked.entity, now) if is_known else ()
    if tracked.raw is not None and tracked.snapshot is not None:
        body = merge(tracked.raw[1:], codec.body(tracked.snapshot, key), body, tracked.anchors, anchors)
    free = None if tracked.metadata is None else free_keys_json(tracked.metadata)
    metadata = _metadata_column(tracked, types, free)
    table = tracked.table  # None for a new document: the plan gives it one
    return Write(table, key, JSONB_VERSION + body, metadata, None, 0, tracked, now, anchors, free)  # type: ignore[arg-type]  # see above


def _metadata_column(tracked: Tracked, types: bytes | None, free: bytes | None) -> bytes:
    """Return the metadata column: the user's keys, and the types of values in untyped places."""
    if free is None and types is None and b'"@types"' not in tracked.stored_metadata:
        return tracked.stored_metadata
    stored = stored_metadata(tracked.stored_metadata)
    recorded: dict[str, Any] = stored.pop(TYPES, None) or {}
    if free is not None:
        stored = {key: value for key, value in stored.items() if key in STORED} | _decode.decode(free)
    # Values of fields that the class does not know keep their types, as they keep their place.
    known = tracked.mapping.codec.types(tracked.snapshot) if tracked.snapshot is not None else None
    for path in _decode.decode(known) if known is not None else ():
        recorded.pop(path, None)
    if types is not None:
        recorded |= _decode.decode(types)
    if recorded:
        stored[TYPES] = recorded
    return metadata_column(stored)


def renew(tracked: Tracked, data: bytes, stored: bytes | None, version: int | None, modified: int | None) -> None:
    """Bring an entity, in place, to a state of its document that was read or written past it; local changes are lost.

    Args:
        tracked: What is known of the entity.
        data: The document, a jsonb value.
        stored: The metadata column.
        version: The version.
        modified: Microseconds since 2000.

    Raises:
        DocumentMismatchException: The document does not fit the class.
    """
    codec = tracked.mapping.codec
    codec.update(tracked.entity, codec.decode(tracked.id, data, types_of(stored)))
    tracked.raw = data
    tracked.stored_metadata = stored or NULL_JSONB
    tracked.version = version
    tracked.last_modified = modified
    tracked.expected = None
    tracked.snapshot = snapshot_of(tracked)
    tracked.anchors = codec.anchors(tracked.entity, None) if codec.has_anchors else ()
    if tracked.metadata is not None:
        # What get_metadata_for() has given out stays the document's metadata.
        tracked.metadata.refill(stored_metadata(tracked.stored_metadata), tracked.reserved_metadata)
    if type(tracked.entity) is dict:
        tracked.entity[METADATA] = metadata_of(tracked)


def take_back(
    tracked: Tracked, base: bytes, data: bytes, stored: bytes | None, version: int | None, modified: int | None
) -> None:
    """Do that with an earlier state, and leave the fields as they are that the user has changed since *base*.

    Args:
        tracked: What is known of the entity.
        base: The entity's canonical form when it agreed with the later state.
        data: As in `renew`.
        stored: Likewise.
        version: Likewise.
        modified: Likewise.
    """
    codec = tracked.mapping.codec
    changed = _changed_members(tracked, base, snapshot_of(tracked))
    metadata = tracked.metadata
    free = None
    if metadata is not None and metadata.is_dirty:
        free = {key: value for key, value in metadata.items() if key not in RESERVED}
    own = codec.decode(tracked.id, data, types_of(stored))
    codec.carry(tracked.entity, own, changed)
    renew(tracked, data, stored, version, modified)
    codec.carry(own, tracked.entity, changed)
    if metadata is not None and free is not None:
        for key in [key for key in metadata if key not in RESERVED and key not in free]:
            del metadata[key]
        metadata.update(free)


def _changed_members(tracked: Tracked, base: bytes, now: bytes) -> list[str]:
    """Return the members of the document in which two canonical forms differ, their values or the types of these."""
    codec = tracked.mapping.codec
    before, after = (_members.decode(codec.body(each, tracked.id)) for each in (base, now))
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    earlier, later = (_decode.decode(codec.types(each) or b"{}") for each in (base, now))
    for path in earlier.keys() | later.keys():
        if earlier.get(path) != later.get(path):
            changed.add(path.split("/")[1].replace("~1", "/").replace("~0", "~"))
    return sorted(changed)


def types_of(column: bytes | None) -> Mapping[str, str] | None:
    """Return the types of values in untyped places, from a metadata column."""
    if not column or b'"@types"' not in column:
        return None
    types = stored_metadata(column).get(TYPES)
    return types if isinstance(types, dict) else None


def metadata_of(tracked: Tracked) -> MetadataAsDictionary:
    """Return the metadata that users see and change, made at the first call."""
    if tracked.metadata is None:
        tracked.metadata = MetadataAsDictionary(stored_metadata(tracked.stored_metadata), tracked.reserved_metadata)
    return tracked.metadata


def changes_of(tracked: Tracked) -> list[DocumentsChanges]:
    """Return what a save would change in one document.

    The metadata's keys come under `@metadata`, and where nothing but the types of values in untyped
    places differ, these under `@types`.
    """
    now = snapshot_of(tracked)
    codec = tracked.mapping.codec
    if tracked.snapshot is None:
        return what_changed(None, codec.body(now, tracked.id))
    changes = []
    if now != tracked.snapshot:
        changes = what_changed(codec.body(tracked.snapshot, tracked.id), codec.body(now, tracked.id))
        if not changes:
            # The JSON is the same: a value of an untyped place is of another type now, as a date for its text.
            changes = what_changed(_types_document(codec.types(tracked.snapshot)), _types_document(codec.types(now)))
    if tracked.metadata is not None and tracked.metadata.is_dirty:
        before = {k: v for k, v in stored_metadata(tracked.stored_metadata).items() if k not in RESERVED | INTERNAL}
        free = _encode({"@metadata": msgspec.Raw(free_keys_json(tracked.metadata))})
        changes += what_changed(_encode({"@metadata": before}), free)
    return changes


def _types_document(types: bytes | None) -> bytes:
    return _encode({TYPES: msgspec.Raw(types or b"{}")})


def deletion_change() -> list[DocumentsChanges]:
    """Return what `what_changed()` says of a deleted document."""
    return what_changed(b"{}", None)
