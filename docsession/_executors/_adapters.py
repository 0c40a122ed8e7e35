"""How parameters and results cross the wire: our own adapters, built from nothing.

Always PostgreSQL's binary format. Nothing is registered on a connection or globally, so that
neither the application's adapters change ours nor ours the application's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NoReturn

from psycopg import AsyncConnection, AsyncRawCursor, Connection, InterfaceError, RawCursor
from psycopg.adapt import AdaptersMap, Buffer, Dumper, Loader
from psycopg.pq import Format
from psycopg.rows import TupleRow, tuple_row
from psycopg.types.bool import BoolBinaryLoader
from psycopg.types.none import NoneDumper
from psycopg.types.numeric import (
    Int2BinaryLoader,
    Int4BinaryLoader,
    Int8BinaryDumper,
    Int8BinaryLoader,
    OidBinaryLoader,
)
from psycopg.types.string import ByteaBinaryLoader, StrBinaryDumper, TextBinaryLoader
from typing_extensions import override

from docsession._port import TextArray, Timestamp

BOOL, CHAR, NAME, INT8, INT2, INT4, TEXT, OID, UNKNOWN = 16, 18, 19, 20, 21, 23, 25, 26, 705
JSON = 114
TEXT_ARRAY, BPCHAR, VARCHAR, TIMESTAMPTZ, VOID, JSONB = 1009, 1042, 1043, 1184, 2278, 3802

OIDS: dict[type, int] = {str: TEXT, bytes: JSONB, int: INT8, Timestamp: TIMESTAMPTZ, TextArray: TEXT_ARRAY}

_int8 = struct.Struct("!q").pack
_int4 = struct.Struct("!i").pack
_array_header = struct.Struct("!iiIii").pack
_EMPTY_ARRAY = struct.pack("!iiI", 0, 0, TEXT)


def encode(params: Iterable[object]) -> list[bytes | None]:
    """Return *params* in PostgreSQL's binary format, as the port says which type is which.

    A chain of tests beats psycopg's own compiled dumpers here (64 rows of five: 20 µs to 25, or 44
    where two of the five are written in Python), because it need not find out what to send as what.

    Raises:
        UnicodeEncodeError: A text holds a lone surrogate.
    """
    out: list[bytes | None] = []
    append = out.append
    for value in params:
        kind = type(value)
        if kind is bytes:
            append(value or None)  # type: ignore[arg-type]  # `kind` says that it is bytes; empty ones are null
        elif kind is str:
            append(value.encode())  # type: ignore[attr-defined]  # `kind` says that it is a str
        elif kind is int or kind is Timestamp:
            append(_int8(value))
        elif kind is TextArray:
            append(encode_text_array(value))  # type: ignore[arg-type]  # `kind` says that it is an array
        else:
            raise TypeError(f"a parameter may not be a {kind.__qualname__}")
    return out


def oids_of(types: Iterable[type]) -> list[int]:
    """Return the PostgreSQL type of each parameter."""
    return [OIDS[kind] for kind in types]


def encode_text_array(items: Sequence[str]) -> bytes:
    """Return a one-dimensional text[]: a header, then length and bytes of each element."""
    if not items:
        return _EMPTY_ARRAY
    texts = [item.encode() for item in items]
    parts: list[bytes] = [b""] * (2 * len(texts) + 1)
    parts[0] = _array_header(1, 0, TEXT, len(texts), 1)
    parts[1::2] = map(_int4, map(len, texts))
    parts[2::2] = texts
    return b"".join(parts)


class _OwnDumper(Dumper):
    """For `Cursor.stream`, which encodes by itself: the same as `encode`."""

    format = Format.BINARY

    @override
    def dump(self, obj: object) -> Buffer | None:
        return encode((obj,))[0]


class JsonbDumper(_OwnDumper):
    oid = JSONB


class TimestampDumper(_OwnDumper):
    oid = TIMESTAMPTZ


class TextArrayDumper(_OwnDumper):
    oid = TEXT_ARRAY


class RefusingLoader(Loader):
    """A type that the port does not know: better an error than bytes taken for text."""

    format = Format.BINARY

    @override
    def load(self, data: Buffer) -> NoReturn:  # psycopg's signature
        raise InterfaceError(f"a column of the PostgreSQL type with oid {self.oid} cannot be read; cast it to text")


def make_adapters() -> AdaptersMap:
    """Return a map that knows the types of the port and nothing else."""
    adapters = AdaptersMap()
    adapters.register_dumper(type(None), NoneDumper)  # psycopg asks for it before 3.3
    adapters.register_dumper(str, StrBinaryDumper)
    adapters.register_dumper(int, Int8BinaryDumper)
    adapters.register_dumper(bytes, JsonbDumper)
    adapters.register_dumper(Timestamp, TimestampDumper)
    adapters.register_dumper(TextArray, TextArrayDumper)
    for oid in (JSON, TEXT, VARCHAR, BPCHAR, CHAR, NAME, UNKNOWN, VOID):
        adapters.register_loader(oid, TextBinaryLoader)
    adapters.register_loader(INT8, Int8BinaryLoader)
    adapters.register_loader(INT4, Int4BinaryLoader)
    adapters.register_loader(INT2, Int2BinaryLoader)
    adapters.register_loader(OID, OidBinaryLoader)
    adapters.register_loader(BOOL, BoolBinaryLoader)
    adapters.register_loader(TIMESTAMPTZ, Int8BinaryLoader)
    adapters.register_loader(JSONB, ByteaBinaryLoader)
    adapters.register_loader(0, RefusingLoader)
    return adapters


ADAPTERS = make_adapters()


class StreamCursor(RawCursor[TupleRow]):
    """A cursor for `$1` parameters with our adapters, whatever is set on its connection."""

    def __init__(self, connection: Connection[TupleRow]) -> None:
        super().__init__(connection, row_factory=tuple_row)
        self._adapters = AdaptersMap(ADAPTERS)


class AsyncStreamCursor(AsyncRawCursor[TupleRow]):
    """The same for an async connection."""

    def __init__(self, connection: AsyncConnection[TupleRow]) -> None:
        super().__init__(connection, row_factory=tuple_row)
        self._adapters = AdaptersMap(ADAPTERS)
