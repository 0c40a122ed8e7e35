"""Rows as entities that a session tracks: the loops that run for every document that is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from docsession._documents._batches import Batch
from docsession._documents._mapping import DocumentMapping
from docsession._documents._polymorphism import is_special
from docsession._port import NULL_JSONB, Row
from docsession._session._changes import metadata_of, types_of
from docsession._session._context import SessionContext
from docsession._session._conversions import converted
from docsession._session._identity_map import IdentityMap
from docsession._session._tracked import Tracked
from docsession._sql._tables import TableStatements

_AT_ONCE: Final = 100
"""How many documents are decoded before the first of them is tracked."""


def entities_of(
    context: SessionContext,
    rows: Sequence[Row],
    table: TableStatements,
    mapping: DocumentMapping[Any] | None,
    *,
    track: bool,
) -> list[object]:
    """Return the entity of each row: the one that is tracked, or a new one, which is tracked from now on if *track*.

    Raises:
        DocumentMismatchException: A document does not fit the class.
    """
    asked = context.mappings.for_dict(table.collection) if mapping is None else mapping
    made: list[object] = []
    batch = asked.codec.batch
    if context.handlers is not None and context.handlers.convert_to_entities:
        _one_by_one(context, converted(context, rows, table, asked, made, track=track), table, asked, made, track=track)
    elif batch is None or len(rows) == 1:
        _one_by_one(context, rows, table, asked, made, track=track)
    else:
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            decoded = batch.decode(part) if _are_plain(part, asked, context.map, track=track) else None
            if decoded is None:
                _one_by_one(context, part, table, asked, made, track=track)
            elif track:
                _track(context.map, part, table, asked, batch, decoded, made)
            else:
                made += decoded
    known = context.map
    if track and known.missing:
        known.missing.difference_update([row[0] for row in rows])
    if track and known.included:
        for row in rows:
            known.included.pop(row[0], None)
    return made


def _are_plain(rows: Sequence[Row], mapping: DocumentMapping[Any], known: IdentityMap, *, track: bool) -> bool:
    """Return True where none is tracked, and the metadata of all say what those of new documents of the class do."""
    if {row[2] for row in rows} != {mapping.metadata or None}:
        return False
    return not (track and known.by_id) or known.by_id.keys().isdisjoint([row[0] for row in rows])


def _track(
    known: IdentityMap,
    rows: Sequence[Row],
    table: TableStatements,
    mapping: DocumentMapping[Any],
    batch: Batch[Any],
    decoded: Sequence[Any],
    made: list[object],
) -> None:
    """Track what was decoded at once."""
    by_id, by_entity = known.by_id, known.by_entity
    encode, encode_into, anchors = mapping.codec.snapshot, batch.encode_into, batch.anchors
    metadata, buffer = mapping.metadata, bytearray()
    for row, entity in zip(rows, decoded, strict=True):
        key = row[0]
        if key in by_id:  # SQL of the user's own can return a document twice
            made.append(by_id[key].entity)
            continue
        try:
            encode_into(entity, buffer)
        except Exception as error:
            raise mapping.codec.explain(entity, key, error) from error
        by_id[key] = by_entity[id(entity)] = Tracked(
            key,
            entity,
            mapping,
            encode,
            table,
            row[1],
            metadata,
            row[3],
            row[4],
            bytes(buffer),
            anchors(entity),
        )
        made.append(entity)


def _one_by_one(
    context: SessionContext,
    rows: Iterable[Row],
    table: TableStatements,
    asked: DocumentMapping[Any],
    made: list[object],
    *,
    track: bool,
) -> None:
    """Put the entities of rows into *made*, each before the next row is asked for."""
    by_id, by_entity = context.map.by_id, context.map.by_entity
    mapping, codec = asked, asked.codec
    decode, encode, first = codec.decode, codec.snapshot, codec.first_snapshot
    anchors = codec.anchors if codec.has_anchors else None
    usual, is_class = asked.metadata, asked.entity_class is not dict
    for row in rows:
        key, data, stored, version, last_modified = row if len(row) == 5 else row[:5]
        if track and key in by_id:
            made.append(by_id[key].entity)
            continue
        actual = asked
        if is_class and stored != usual and (usual or (stored and is_special(stored))):
            actual, data, stored = context.mappings.of_document(asked, key, data, stored)
        if actual is not mapping:
            mapping, codec = actual, actual.codec
            decode, encode, first = codec.decode, codec.snapshot, codec.first_snapshot
            anchors = codec.anchors if codec.has_anchors else None
        entity: Any = decode(key, data, types_of(stored)) if stored else decode(key, data)
        made.append(entity)
        if not track:
            if mapping.entity_class is dict:
                shown = Tracked(key, entity, mapping, encode, table, data, stored or NULL_JSONB, version, last_modified)
                entity["@metadata"] = metadata_of(shown)
            continue
        try:
            snapshot = encode(entity) if stored else first(entity)
        except Exception as error:
            raise codec.explain(entity, key, error) from error
        kept = anchors(entity, snapshot) if anchors is not None else ()
        metadata = stored or NULL_JSONB
        tracked = Tracked(key, entity, mapping, encode, table, data, metadata, version, last_modified, snapshot, kept)
        by_id[key] = by_entity[id(entity)] = tracked
        if mapping.entity_class is dict:
            entity["@metadata"] = metadata_of(tracked)
