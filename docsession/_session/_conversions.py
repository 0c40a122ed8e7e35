"""Documents as the handlers of conversions see and change them: dicts of JSON's types.

What they leave alone stays to the digit; a document that they leave as it was is not touched at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from docsession._documents._codec import DocumentCodec
from docsession._documents._exact import decode_exact, encode_exact, plain, same
from docsession._documents._mapping import DocumentMapping
from docsession._documents._merge import merge
from docsession._documents._metadata import METADATA, TYPES, MetadataAsDictionary, stored_metadata
from docsession._errors import InvalidOperationException, UnsupportedValueException
from docsession._port import JSONB_VERSION, NULL_JSONB, Row
from docsession._session._changes import prepare_write, snapshot_of
from docsession._session._context import SessionContext
from docsession._session._event_args import AfterConversionToEntityEventArgs, BeforeConversionToEntityEventArgs
from docsession._session._tracked import Tracked, reserved_metadata
from docsession._sql._tables import TableStatements

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder(order="deterministic").encode

_WRAPPED = b'{"document":'


class ShownDocument:
    """A document that handlers may change.

    Args:
        key: Its id.
        text: Its JSON.
        metadata: What handlers see as its `@metadata`.

    Attributes:
        document: What they see.
    """

    __slots__ = ("_key", "_metadata", "_quick", "_text", "document")

    def __init__(self, key: str, text: bytes, metadata: Mapping[str, Any]) -> None:
        self._key = key
        self._text = text
        self.document = _readable(text)
        self._quick = encode_exact(self.document)
        self._metadata = _encode(metadata)
        self.document[METADATA] = dict(metadata)

    def edited(self, event: str, codec: DocumentCodec[dict[str, Any]]) -> Edited | None:
        """Return what the handlers of *event* have left, None where that is what they were given.

        Raises:
            InvalidOperationException: They changed its `@metadata`.
            UnsupportedValueException: They left what is not JSON.
        """
        left = self.document.copy()
        metadata = left.pop(METADATA, None)
        if metadata is not None and (not isinstance(metadata, dict) or _encode(metadata) != self._metadata):
            raise InvalidOperationException(
                f"a handler of {event} changed the '@metadata' of {self._key!r}, which can only be read there; "
                "change it in before_store, as args.document_metadata"
            )
        if self._is_untouched(left):
            return None
        # One writer for both, so that what was left alone is the same text.
        before, after = (self._json_of(each, event, codec) for each in (_readable(self._text), left))
        return Edited(merge(self._text, before, after), before, after)

    def _is_untouched(self, left: dict[str, Any]) -> bool:
        try:
            return encode_exact(left) == self._quick
        except (TypeError, ValueError, msgspec.MsgspecError, RecursionError):
            return False

    def _json_of(self, document: dict[str, Any], event: str, codec: DocumentCodec[dict[str, Any]]) -> bytes:
        # Below a key of its own, since a plain dict's `Id` would be no part of it.
        wrapped = {"document": document}
        try:
            snapshot = codec.snapshot(wrapped)
        except Exception as error:
            raise codec.explain(wrapped, self._key, error) from error
        codec.check(wrapped, snapshot, self._key)
        for pointer, kind in _decode(codec.types(snapshot) or b"{}").items():
            if kind != "Decimal":  # which is a number
                place = pointer.removeprefix("/document/")
                raise UnsupportedValueException(
                    f"a handler of {event} left a {kind} in {self._key!r}, at {place!r}; "
                    "it is shown JSON and leaves JSON: str, int, float, bool, None, list and dict",
                    id=self._key,
                    path=place.replace("/", "."),
                )
        return codec.body(snapshot, self._key)[len(_WRAPPED) : -1]


def _readable(text: bytes) -> dict[str, Any]:
    """Return a document as handlers see it; a Decimal is a number that neither int nor float can hold."""
    try:
        return _decode(text)
    except msgspec.ValidationError:
        document: dict[str, Any] = plain(decode_exact(text))
        return document


class Edited:
    """A document as handlers have left it.

    Attributes:
        data: The document, a jsonb value.
    """

    __slots__ = ("_after", "_before", "data")

    def __init__(self, text: bytes, before: bytes, after: bytes) -> None:
        self.data = JSONB_VERSION + text
        self._before = before
        self._after = after

    def without_stale_types(self, column: bytes) -> bytes:
        """Return a metadata column without the types of values in untyped places that handlers have replaced."""
        if b'"@types"' not in column:
            return column
        metadata = stored_metadata(column)
        before, after = decode_exact(self._before), decode_exact(self._after)
        types = {
            pointer: label
            for pointer, label in metadata.pop(TYPES, {}).items()
            if same(_value_at(before, pointer), _value_at(after, pointer))
        }
        if types:
            metadata[TYPES] = types
        return JSONB_VERSION + _encode(metadata) if metadata else NULL_JSONB


def _value_at(document: Any, pointer: str) -> object:
    value = document
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return NotImplemented  # no JSON value equals it
    return value


def shown_metadata(tracked: Tracked) -> dict[str, Any]:
    """Return the metadata of a document that is about to be written."""
    if tracked.metadata is not None:
        return tracked.metadata
    return MetadataAsDictionary(stored_metadata(tracked.stored_metadata), tracked.reserved_metadata)


class Arrival:
    """A document that was loaded, and becomes an entity."""

    __slots__ = ("_context", "_key", "_shown", "row")

    def __init__(
        self, context: SessionContext, row: Row, table: TableStatements, mapping: DocumentMapping[Any]
    ) -> None:
        key, data, stored, version, last_modified, *rest = row
        if mapping.entity_class is not dict:
            # Handlers see what becomes the entity: the document as of the current version, and its own class.
            mapping, data, stored = context.mappings.of_document(mapping, key, data, stored)
            row = (key, data, stored, version, last_modified, *rest)
        column = stored_metadata(stored)
        metadata = MetadataAsDictionary(
            column, reserved_metadata(key, table.collection, version, last_modified, column)
        )
        self._context = context
        self._key = key
        self._shown = shown = ShownDocument(key, data[1:], metadata)
        self.row = row
        event = "before_conversion_to_entity"
        args = (context.session, key, mapping.entity_class, shown.document)
        context.tell_at_once(event, BeforeConversionToEntityEventArgs, *args)
        edited = shown.edited(event, context.mappings.for_dict(table.collection).codec)
        if edited is not None:
            stored = edited.without_stale_types(stored) if stored else stored
            self.row = (key, edited.data, stored, version, last_modified, *rest)

    def tell(self, entity: object) -> None:
        """Call the handlers of `after_conversion_to_entity`."""
        context = self._context
        args = (context.session, self._key, self._shown.document, entity)
        context.tell_at_once("after_conversion_to_entity", AfterConversionToEntityEventArgs, *args)


def converted(
    context: SessionContext,
    rows: Iterable[Row],
    table: TableStatements,
    mapping: DocumentMapping[Any],
    made: Sequence[object],
    *,
    track: bool,
) -> Iterator[Row]:
    """Yield *rows* as handlers leave them, and tell the handlers once the reader has made the entity of each.

    Args:
        context: The session's state.
        rows: Rows of *table*.
        table: The table.
        mapping: How its documents are to become entities.
        made: Where the reader puts the entities, the newest last.
        track: True where the session tracks them.
    """
    known: Mapping[str, Tracked] = context.map.by_id if track else {}
    for row in rows:
        key = row[0]
        if key in known:
            yield row
            continue
        arrival = Arrival(context, row, table, mapping)
        is_new = key not in known  # a handler may have loaded it
        yield arrival.row
        if is_new:
            _finish(context, arrival, known.get(key), made[-1])


def _finish(context: SessionContext, arrival: Arrival, tracked: Tracked | None, entity: object) -> None:
    try:
        arrival.tell(entity)
        if tracked is not None:
            agree(tracked)
    except BaseException:
        if tracked is not None:
            context.map.forget(tracked)
        raise


def agree(tracked: Tracked) -> None:
    """Take what handlers have made of an entity for what is stored, as if it had been saved."""
    now = snapshot_of(tracked)
    if now == tracked.snapshot:
        return
    write = prepare_write(tracked, now, verify=False)
    tracked.raw = write.data
    tracked.stored_metadata = write.metadata
    tracked.snapshot = now
    tracked.anchors = write.anchors
