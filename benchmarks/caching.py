"""Loading what the store has read before: with its cache, and with `no_caching`, which makes 1.0."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from documents import Line, Order, make_order
from environment import Database, Server, order_id
from harness import Candidate, Effort, Result, compare, measure
from loads import some_keys

from docsession import SessionOptions

GROUP = "cache"

LARGE = [f"orders/large-{i}" for i in range(10)]
MIDDLE = [f"orders/middle-{i}" for i in range(10)]


def run(server: Server, effort: Effort) -> Iterator[Result]:
    with server.database("caching") as database:
        store_larger(database)
        yield again(database, effort, "load 1 of 48 kB", lambda: random.choice(LARGE), calls=30)
        yield again(database, effort, "load 1 of 3 kB", lambda: random.choice(MIDDLE), calls=100)
        yield again(database, effort, "load 1 of 0.8 kB (not asked of the cache)", lambda: order_id(7), calls=300)
        yield again(database, effort, "load 100 of 0.8 kB", some_keys, calls=20)
        yield again(database, effort, "load 5 of 0.8 kB (not asked of the cache)", lambda: some_keys()[:5], calls=100)
        yield unread(database, effort)


def store_larger(database: Database) -> None:
    with database.store.open_session() as session:
        for keys, lines in ((LARGE, 770), (MIDDLE, 40)):
            for i, key in enumerate(keys):
                order = make_order(i)
                order.lines = [Line(f"products/{i * line}-A", line % 7, 14.5 + line / 7) for line in range(lines)]
                session.store(order, key)
        session.save_changes()


def again(database: Database, effort: Effort, name: str, make: Any, *, calls: int) -> Result:
    """New sessions that read the same documents over and over."""

    def load(*, no_caching: bool) -> Candidate:
        options = SessionOptions(no_caching=no_caching)

        def run(key: Any) -> Any:
            with database.store.open_session(session_options=options) as session:
                return session.load(key, Order)

        return Candidate(run, make)

    samples = measure({"off": load(no_caching=True), "on": load(no_caching=False)}, effort, calls=calls, warm_up=50)
    return compare(GROUP, f"{name} again, to no_caching", samples, base="off", ours="on")


def unread(database: Database, effort: Effort) -> Result:
    """What it costs to keep 100 documents that nobody asks for again."""
    cache = database.store._cache

    def load(*, no_caching: bool) -> Candidate:
        options = SessionOptions(no_caching=no_caching)

        def run(keys: list[str]) -> Any:
            with database.store.open_session(session_options=options) as session:
                return session.load(keys, Order)

        return Candidate(run, some_keys, cache.clear)

    samples = measure({"off": load(no_caching=True), "on": load(no_caching=False)}, effort, calls=20)
    return compare(GROUP, "load 100 for the first time, to no_caching", samples, base="off", ours="on")
