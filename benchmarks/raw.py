"""What a careful programmer writes by hand on psycopg, for the same result: 1.0 in every ratio.

The statements are docsession's own. Connections come from a psycopg pool in autocommit mode, statements
are prepared and parameters and results binary, JSON is msgspec's, several statements go in one pipeline.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
from documents import Order
from psycopg import AsyncRawCursor, RawCursor
from psycopg.types.array import ListBinaryDumper
from psycopg.types.numeric import Int8BinaryLoader
from psycopg.types.string import ByteaBinaryLoader, BytesBinaryDumper
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from docsession._sql._tables import TableStatements, split_sizes

JSONB = 3802

encode = msgspec.json.Encoder(order="deterministic", decimal_format="number").encode
decode_order = msgspec.json.Decoder(Order).decode

numbers = itertools.count(10**9)
"""For new ids; docsession's own come from ranges that begin at 1."""


class JsonbDumper(BytesBinaryDumper):
    oid = JSONB


def register(connection: psycopg.Connection | psycopg.AsyncConnection) -> None:
    """jsonb as bytes both ways, versions and times as integers, lists in the binary format."""
    adapters = connection.adapters
    adapters.register_dumper(bytes, JsonbDumper)
    adapters.register_dumper(list, ListBinaryDumper)
    adapters.register_loader("jsonb", ByteaBinaryLoader)
    adapters.register_loader("timestamptz", Int8BinaryLoader)


async def register_async(connection: psycopg.AsyncConnection) -> None:
    register(connection)


def new_order_id(order: Order) -> str:
    """Give a new order its id."""
    key = f"orders/{next(numbers)}-A"
    order.Id = key
    return key


def column(order: Order) -> bytes:
    """Return the jsonb of an order: without its id, which is the last member."""
    return b"\x01%b}" % encode(order)[: -len(order.Id) - 9]


def entity(row: Sequence[Any], decode: Callable[[bytes], Any] = decode_order) -> Any:
    found = decode(row[1][1:])
    found.Id = row[0]
    return found


class Statements:
    """Makes the statements of a save, with their parameters."""

    def __init__(self, database: str) -> None:
        self.table = TableStatements(database, "Orders", "orders")

    def insert(self, order: Order) -> tuple[bytes, list[Any]]:
        """One new document."""
        version, _, modified = moment()
        return self.table.insert, [order.Id, column(order), None, version, modified]

    def batch(self, orders: Sequence[Order], *, new: bool) -> list[tuple[bytes, list[Any]]]:
        """Several documents: new ones must not exist, of others the last write wins."""
        version, step, modified = moment()
        statements = []
        start = 0
        for size in split_sizes(len(orders)):
            params: list[Any] = []
            for order in orders[start : start + size]:
                params += (order.Id, column(order), None, version)
            start += size
            params += (modified, step, version)
            if new:
                params.append(str(size * version))
            statements.append((self.table.put_guarded(size) if new else self.table.put(size), params))
        return statements


def moment() -> tuple[int, int, datetime]:
    """Return a new version, a step and the time."""
    now = time.time_ns() // 1000
    return now << 10 | random.getrandbits(10), 1 + random.getrandbits(10), datetime.fromtimestamp(now / 1e6, UTC)


class Raw:
    """Blocking psycopg."""

    def __init__(self, url: str, database: str) -> None:
        self.statements = Statements(database)
        self.pool = ConnectionPool(
            url,
            kwargs={"autocommit": True, "cursor_factory": RawCursor},
            configure=register,
            min_size=1,
            max_size=10,
            open=True,
        )

    def load(self, key: str) -> tuple[Any, int]:
        with self.pool.connection() as connection:
            row = connection.execute(self.statements.table.load_one, (key,), binary=True).fetchone()
        return entity(row), row[3]

    def load_many(self, keys: list[str], decode: Callable[[bytes], Any] = decode_order) -> dict[str, tuple[Any, int]]:
        """Return entities and their versions, without which nobody can save safely."""
        with self.pool.connection() as connection:
            rows = connection.execute(self.statements.table.load_many, (keys,), binary=True).fetchall()
        return {row[0]: (entity(row, decode), row[3]) for row in rows}

    def load_dicts(self, keys: list[str], decode: Callable[[bytes], Any]) -> dict[str, tuple[Any, int]]:
        with self.pool.connection() as connection:
            rows = connection.execute(self.statements.table.load_many, (keys,), binary=True).fetchall()
        return {row[0]: (decode(row[1][1:]), row[3]) for row in rows}

    def insert(self, order: Order) -> None:
        new_order_id(order)
        with self.pool.connection() as connection:
            if connection.execute(*self.statements.insert(order), binary=True).fetchone() is None:
                raise LookupError(order.Id)

    def insert_many(self, orders: Sequence[Order]) -> None:
        for order in orders:
            new_order_id(order)
        self._send(self.statements.batch(orders, new=True))

    def update_many(self, orders: Sequence[Order]) -> None:
        self._send(self.statements.batch(orders, new=False))

    def _send(self, statements: Sequence[tuple[bytes, list[Any]]]) -> None:
        with self.pool.connection() as connection, connection.pipeline():
            connection.execute("BEGIN")
            for sql, params in statements:
                connection.execute(sql, params, binary=True)
            connection.execute("COMMIT")

    def close(self) -> None:
        self.pool.close()


class AsyncRaw:
    """The same on async psycopg."""

    def __init__(self, url: str, database: str) -> None:
        self.statements = Statements(database)
        self.pool = AsyncConnectionPool(
            url,
            kwargs={"autocommit": True, "cursor_factory": AsyncRawCursor},
            configure=register_async,
            min_size=1,
            max_size=10,
            open=False,
        )

    async def load(self, key: str) -> tuple[Any, int]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(self.statements.table.load_one, (key,), binary=True)
            row = await cursor.fetchone()
        return entity(row), row[3]

    async def load_many(self, keys: list[str]) -> dict[str, tuple[Any, int]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(self.statements.table.load_many, (keys,), binary=True)
            rows = await cursor.fetchall()
        return {row[0]: (entity(row), row[3]) for row in rows}

    async def insert_many(self, orders: Sequence[Order]) -> None:
        for order in orders:
            new_order_id(order)
        statements = self.statements.batch(orders, new=True)
        async with self.pool.connection() as connection, connection.pipeline():
            await connection.execute("BEGIN")
            for sql, params in statements:
                await connection.execute(sql, params, binary=True)
            await connection.execute("COMMIT")

    async def close(self) -> None:
        await self.pool.close()
