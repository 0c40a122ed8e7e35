"""Many documents of one class read at a time, which is quicker for each of them than one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from docsession._documents._merge import Anchors
from docsession._documents._values import write_json
from docsession._port import JSONB_VERSION

T = TypeVar("T")

_MOST_BYTES: Final = 4 << 20
"""What is copied to be read at a time; above it nothing would be gained."""


class Batch(Generic[T]):
    """Reads documents of a class without recorded types, and writes the first snapshots of what it has read.

    Args:
        decode_lines: Reads lines of JSON.
        encode_into: Writes the snapshot of an entity into a buffer.
        anchors: Finds the anchors of an entity that holds no objects in untyped places.
        id_member: What stands before the id in the text; None where the text does not hold it.
        set_id: Sets the id of an entity; None where the text holds it.
    """

    __slots__ = ("_decode_lines", "_id_member", "_set_id", "anchors", "encode_into")

    def __init__(
        self,
        decode_lines: Callable[[bytes], list[T]],
        encode_into: Callable[[T, bytearray], None],
        anchors: Callable[[T], Anchors],
        id_member: bytes | None,
        set_id: Callable[[T, str], None] | None,
    ) -> None:
        self._decode_lines = decode_lines
        self.encode_into = encode_into
        self.anchors = anchors
        self._id_member = id_member
        self._set_id = set_id

    def decode(self, rows: Sequence[Sequence[Any]]) -> list[T] | None:
        """Return the entities of *rows*, of which the first columns are the id and the jsonb, with their ids set.

        Returns:
            None where they have to be read one by one, which also tells what is wrong with one.
        """
        member, set_id = self._id_member, self._set_id
        try:
            columns = [row[1] for row in rows]
            if sum(map(len, columns)) > _MOST_BYTES:
                return None
            if member is None:
                # Only a jsonb's version is a control character: those in strings are written as escapes.
                lines = b"".join(columns).replace(JSONB_VERSION, b"\n")
            elif min(map(len, columns)) < 4:
                return None  # an object without members wants no comma before the id
            else:
                lines = b"\n".join([b"".join((row[1][1:-1], member, write_json(row[0]), b"}")) for row in rows])
            entities = self._decode_lines(lines)
        except Exception:
            return None
        if len(entities) != len(rows):
            return None
        if set_id is not None:
            for entity, row in zip(entities, rows, strict=True):
                set_id(entity, row[0])
        return entities


def without_anchors(_: object) -> Anchors:
    """Return the anchors of entities whose class has no place for any."""
    return ()
