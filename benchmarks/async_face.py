"""The async face against async psycopg, in one event loop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from documents import Order, make_order
from environment import COUNT, Database, Server, order_id
from harness import Candidate, Effort, Result, compare, measure_async
from loads import some_keys
from raw import AsyncRaw

from docsession import AsyncDocumentStore

GROUP = "async"


def run(server: Server, effort: Effort) -> Iterator[Result]:
    with server.database("async_loads") as database:
        yield from asyncio.run(loads(database, effort))
    with server.database("async_saves", 0) as database:
        yield asyncio.run(saves(database, effort))


def some_key() -> str:
    return order_id(random.randrange(COUNT))


async def loads(database: Database, effort: Effort) -> list[Result]:
    async with opened(database) as (raw, store):

        async def load(key: str) -> Order | None:
            async with store.open_session() as session:
                return await session.load(key, Order)

        async def load_many(keys: list[str]) -> dict[str, Order | None]:
            async with store.open_session() as session:
                return await session.load(keys, Order)

        one = await measure_async(
            {"raw": Candidate(raw.load, some_key), "docsession": Candidate(load, some_key)}, effort, calls=300
        )
        many = await measure_async(
            {"raw": Candidate(raw.load_many, some_keys), "docsession": Candidate(load_many, some_keys)},
            effort,
            calls=20,
        )
    return [
        compare(GROUP, "open a session, load 1, close", one, target=1.3),
        compare(GROUP, "open a session, load 100, close", many, target=1.3),
    ]


async def saves(database: Database, effort: Effort) -> Result:
    def make() -> list[Order]:
        return [make_order(i) for i in range(100)]

    async with opened(database) as (raw, store):

        async def save(orders: list[Order]) -> None:
            async with store.open_session() as session:
                for order in orders:
                    await session.store(order)
                await session.save_changes()

        new = await measure_async(
            {"raw": Candidate(raw.insert_many, make), "docsession": Candidate(save, make)}, effort, calls=5
        )
    return compare(GROUP, "save 100 new, verify_on_save on", new, target=1.3)


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[tuple[AsyncRaw, AsyncDocumentStore]]:
    """Pools of the event loop's own."""
    raw = AsyncRaw(database.url, database.name)
    await raw.pool.open()
    async with AsyncDocumentStore(database.url, database.name) as store:
        yield raw, store
    await raw.close()
