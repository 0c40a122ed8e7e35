"""What a tracked document takes, beside what its entity takes.

Counted by `tracemalloc`: the bytes that Python has allocated and still holds, with garbage collected before
each look. The entity: the same rows decoded by msgspec into a list. Tracked: a session that has loaded
them, with its identity map, the stored JSON and the snapshots.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator

from documents import Order
from environment import COUNT, Database, Server, order_id
from harness import Effort, Result
from raw import entity

GROUP = "memory"


def run(server: Server, effort: Effort) -> Iterator[Result]:
    del effort
    with server.database("memory") as database:
        own = _held(lambda: _entities(database)) / COUNT
        tracked = _held(lambda: _tracked(database)) / COUNT
    yield Result(GROUP, "a tracked document / its entity alone", own, tracked, tracked / own, target=3.0, unit="bytes")


def _held(make: Callable[[], object]) -> int:
    """Return how many bytes the result of *make* holds."""
    make()
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    kept = make()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return after - before


def _rows(database: Database) -> list[tuple]:
    keys = [order_id(i) for i in range(COUNT)]
    with database.raw.pool.connection() as connection:
        return connection.execute(database.raw.statements.table.load_many, (keys,), binary=True).fetchall()


def _entities(database: Database) -> list[Order]:
    return [entity(row) for row in _rows(database)]


def _tracked(database: Database) -> object:
    session = database.store.open_session()
    session.load([order_id(i) for i in range(COUNT)], Order)
    return session
