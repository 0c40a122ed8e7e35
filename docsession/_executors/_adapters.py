"""How parameters and results cross the wire: our own adapters, built from nothing.

Always PostgreSQL's binary format. Nothing is registered on a connection or globally, so neither
the application's adapters change ours nor ours the application's.
"""

from __future__ import annotations

import struct

from psycopg.adapt import AdaptersMap, Buffer, Dumper
from psycopg.pq import Format
from psycopg.types.bool import BoolBinaryLoader
from psycopg.types.numeric import Int4BinaryLoader, Int8BinaryDumper, Int8BinaryLoader
from psycopg.types.string import BytesBinaryDumper, ByteaBinaryLoader, StrBinaryDumper, TextBinaryLoader

from docsession._port import TextArray, Timestamp

BOOL, INT8, INT4, TEXT, VARCHAR, NAME, TEXT_ARRAY, TIMESTAMPTZ, JSONB = 16, 20, 23, 25, 1043, 19, 1009, 1184, 3802


class JsonbDumper(BytesBinaryDumper):
    """`bytes` are a jsonb value with its version byte; empty ones are SQL's null."""

    oid = JSONB

    def dump(self, obj: Buffer) -> Buffer | None:
        return obj or None


class TimestampDumper(Int8BinaryDumper):
    oid = TIMESTAMPTZ


class TextArrayDumper(Dumper):
    """A one-dimensional text[]: header, then length and bytes of each element."""

    format = Format.BINARY
    oid = TEXT_ARRAY
    _header = struct.Struct("!iiIii")
    _length = struct.Struct("!i")

    def dump(self, obj: TextArray) -> Buffer | None:
        if not obj:
            return struct.pack("!iiI", 0, 0, TEXT)
        pack = self._length.pack
        parts = [self._header.pack(1, 0, TEXT, len(obj), 1)]
        for item in obj:
            data = item.encode()
            parts.append(pack(len(data)))
            parts.append(data)
        return b"".join(parts)


def make_adapters() -> AdaptersMap:
    """Return a map that knows the types of the port and nothing else."""
    adapters = AdaptersMap()
    adapters.register_dumper(str, StrBinaryDumper)
    adapters.register_dumper(int, Int8BinaryDumper)
    adapters.register_dumper(bytes, JsonbDumper)
    adapters.register_dumper(Timestamp, TimestampDumper)
    adapters.register_dumper(TextArray, TextArrayDumper)
    adapters.register_loader(0, TextBinaryLoader)
    for oid in (TEXT, VARCHAR, NAME):
        adapters.register_loader(oid, TextBinaryLoader)
    adapters.register_loader(INT8, Int8BinaryLoader)
    adapters.register_loader(INT4, Int4BinaryLoader)
    adapters.register_loader(BOOL, BoolBinaryLoader)
    adapters.register_loader(TIMESTAMPTZ, Int8BinaryLoader)
    adapters.register_loader(JSONB, ByteaBinaryLoader)
    return adapters


ADAPTERS = make_adapters()
