"""What a session knows of one document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from docsession._documents._codec import DocumentCodec
from docsession._documents._mapping import DocumentMapping
from docsession._documents._merge import Anchors
from docsession._documents._metadata import SCHEMA_VERSION, TYPE, MetadataAsDictionary, stored_metadata
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._port import NULL_JSONB
from docsession._sql._tables import TableStatements

MUST_NOT_EXIST = 0
"""The expected version of a document that must be new; as a change vector: ""."""

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class Tracked(msgspec.Struct, eq=False):
    """An entity and the state in which the session and the database last agreed on its document.

    Attributes:
        encode: The codec's `snapshot`, bound, because it runs for every document of every save.
        table: None until the collection's table is known.
        raw: The document as stored, a jsonb value; None for one that was never saved.
        snapshot: The entity's canonical form at that time; None likewise.
        anchors: The codec's `anchors` at that time, where list items were.
        version: The version stored; None where it is not known.
        last_modified: Microseconds since 2000; None likewise.
        stored_metadata: The metadata column, a jsonb value.
        metadata: What `get_metadata_for` has given out.
        expected: The version that the next save is to find, given with `store`.
        generated: True where docsession made the id, which therefore must be new.
        replaces: True where it takes the place of a deletion by id, whatever was there.
        ignored: True after `ignore_changes_for`.
    """

    id: str
    entity: object
    mapping: DocumentMapping[Any]
    encode: Callable[[Any], bytes]
    table: TableStatements | None = None
    raw: bytes | None = None
    stored_metadata: bytes = NULL_JSONB
    version: int | None = None
    last_modified: int | None = None
    snapshot: bytes | None = None
    anchors: Anchors = ()
    metadata: MetadataAsDictionary | None = None
    expected: int | None = None
    generated: bool = False
    replaces: bool = False
    ignored: bool = False

    @property
    def reserved_metadata(self) -> dict[str, str | int | None]:
        """The keys of the metadata that the session keeps."""
        collection = self.table.collection if self.table else self.mapping.collection
        stored = stored_metadata(self.stored_metadata)
        return reserved_metadata(self.id, collection, self.version, self.last_modified, stored)


class Deletion:
    """A document that the next save deletes.

    Attributes:
        tracked: What was known of it; None where it was not loaded.
        expected: The version to be found, given with `delete`.
        seen: The version that the session has seen of a document without tracking it; `MUST_NOT_EXIST` where it
            found none.
    """

    __slots__ = ("expected", "id", "seen", "tracked")

    def __init__(self, key: str, tracked: Tracked | None, expected: int | None, seen: int | None = None) -> None:
        self.id = key
        self.tracked = tracked
        self.expected = expected
        self.seen = seen


def reserved_metadata(
    key: str, collection: str, version: int | None, last_modified: int | None, stored: Mapping[str, Any]
) -> dict[str, str | int | None]:
    """Return the keys of a document's metadata that nobody but the session changes; *stored* is its column."""
    modified = moment_of(last_modified)
    return {
        "@id": key,
        "@collection": collection,
        "@change-vector": change_vector_of(version),
        "@last-modified": modified.isoformat().replace("+00:00", "Z") if modified else None,
        TYPE: stored.get(TYPE),
        SCHEMA_VERSION: stored.get(SCHEMA_VERSION),
    }


def change_vector_of(version: int | None) -> str | None:
    """Return a version as the change vector that users see."""
    return None if version is None else str(version)


def version_of(change_vector: object) -> int:
    """Return a change vector as a version; "" is `MUST_NOT_EXIST`.

    Raises:
        InvalidArgumentException: It is not a change vector of docsession's.
    """
    if not isinstance(change_vector, str):
        raise InvalidArgumentTypeException(
            f"a change vector is a str, as get_change_vector_for() returns it, not {type(change_vector).__qualname__}"
        )
    if change_vector == "":
        return MUST_NOT_EXIST
    if not (change_vector.isascii() and change_vector.isdigit() and 0 < len(change_vector) < 20):
        raise InvalidArgumentException(
            f"{change_vector[:60]!r} is no change vector; use what get_change_vector_for() returned, "
            'or "" for a document that must not exist'
        )
    version = int(change_vector)
    if not 0 < version < 2**63 - 2048:  # the next version must fit, too
        raise InvalidArgumentException(f"{change_vector!r} is no change vector: it is out of range")
    return version


def moment_of(last_modified: int | None) -> datetime | None:
    """Return a timestamp column's value as an aware datetime in UTC."""
    return None if last_modified is None else _EPOCH + timedelta(microseconds=last_modified)


def own_id(codec: DocumentCodec[Any], entity: object) -> object:
    """Return what *entity* holds as its id; a dict holds it under `Id`."""
    return entity.get("Id") if type(entity) is dict else codec.get_id(entity)


def give_id(codec: DocumentCodec[Any], entity: object, key: str) -> bool:
    """Let *entity* hold *key* as its id, where it can; return True where it held another one."""
    if type(entity) is dict:
        if entity.get("Id", key) == key:
            return False
        entity["Id"] = key
        return True
    attribute = codec.id_attribute
    own = None if attribute is None else getattr(entity, attribute, None)
    if attribute is None or (own == key and type(own) is str):
        return False
    codec.set_id(entity, key)
    return True


def succeed(tracked: Tracked, deletion: Deletion) -> bool:
    """Let a new entity take the place of one whose deletion was not saved yet.

    Returns:
        False where the deletion has to be saved all the same: the new document goes into another table.
    """
    earlier = deletion.tracked
    if earlier is not None and earlier.table is not None:
        if earlier.table.collection != tracked.mapping.collection:
            return False
        tracked.table = earlier.table
    if earlier is not None:
        tracked.version = earlier.version
    else:
        tracked.replaces = True
    if tracked.expected is None:
        tracked.expected = deletion.expected
    return True
