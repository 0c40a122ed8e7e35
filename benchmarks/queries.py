"""Queries: what making one costs, and what it adds to the same SQL sent by hand."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import psycopg
from django_json import DjangoOrders
from documents import Order, OrderModel, content
from environment import Database, Server, order_id
from harness import Candidate, Effort, Result, compare, measure
from raw import entity

from docsession import (
    DocumentConventions,
    DocumentQuery,
    DocumentSession,
    DocumentStore,
    Index,
    any_,
    desc,
    starts_with,
)

GROUP = "query"
ALLOWED = 30e-6
"""Seconds that building and compiling the example may take the second time."""


def run(server: Server, effort: Effort) -> Iterator[Result]:
    with server.database("queries", 5000) as database:
        yield building(database)
        yield from hundred(database, effort)
        yield as_json(database, effort)


def example(session: DocumentSession, company: str) -> DocumentQuery[Order]:
    return (
        session.query(Order)
        .where(lambda o: (o.company == company) & (o.freight > 20))
        .where(lambda o: any_(o.lines, lambda line: (line.quantity >= 5) & starts_with(line.product, "products/")))
        .order_by(lambda o: desc(o.ordered_at))
        .take(20)
    )


def building(database: Database) -> Result:
    with database.store.open_session() as session:
        times = []
        for _ in range(5000):
            start = time.perf_counter()
            example(session, "companies/1-A").sql()
            times.append(time.perf_counter() - start)
        took = sorted(times)[len(times) // 2]
    name = "build and compile the example again / 30 µs"
    return Result(GROUP, name, ALLOWED * 1e6, took * 1e6, took / ALLOWED, target=1.0)


INDEXES = (
    "CREATE INDEX ON orders_of_the_orm (((data ->> 'freight')::numeric))",
    "CREATE INDEX ON orders_of_django ((data -> 'freight'))",
    "VACUUM ANALYZE",
)
"""What the others' queries want; docsession makes its own."""


def hundred(database: Database, effort: Effort) -> Iterator[Result]:
    """Find a hundred documents by an index, in its order."""
    declared = DocumentConventions(indexes={Order: [Index(lambda o: o.freight)]})
    with ExitStack() as stack:
        store = stack.enter_context(DocumentStore(database.url, database.name, conventions=declared))
        store.maintenance.create_indexes(Order)
        django = stack.enter_context(closing(DjangoOrders(database.url, database.name)))
        django.fill([(order_id(i), content(i)) for i in range(5000)])
        with psycopg.connect(database.url, autocommit=True, options=f"-csearch_path={database.name}") as connection:
            for text in INDEXES:
                connection.execute(text)
        candidates = {
            "raw": Candidate(hundred_by_hand(store, database), quantity),
            "docsession": Candidate(lambda least: hundred_of(store, least), quantity),
            "orm": Candidate(database.orm.hundred, quantity),
            "django": Candidate(django.hundred(), quantity),
        }
        samples = measure(candidates, effort, calls=10)
    yield compare(GROUP, "100 documents of 5,000 by an index, sorted", samples, target=1.35)
    yield compare(GROUP, "the same by Django's JSONField, as dicts", samples, ours="django", peer="")


def asked(session: DocumentSession, least: int) -> DocumentQuery[Order]:
    return session.query(Order).where(lambda o: o.freight >= least).order_by("freight").take(100)


def hundred_of(store: DocumentStore, least: int) -> list[Order]:
    with store.open_session() as session:
        return asked(session, least).all()


def hundred_by_hand(store: DocumentStore, database: Database) -> Callable[[int], list[Any]]:
    with store.open_session() as session:
        text, rest = asked(session, 40).sql().text.encode(), asked(session, 40).sql().parameters[1:]

    def by_hand(least: int) -> list[Any]:
        with database.raw.pool.connection() as connection:
            rows = connection.execute(text, [str(least), *rest], binary=True, prepare=True).fetchall()
            return [entity(row) for row in rows]

    return by_hand


def quantity() -> int:
    return random.randrange(1000, 4500)


def as_json(database: Database, effort: Effort) -> Result:
    def models(_: None) -> bytes:
        with database.store.open_session() as session:
            found = session.load([f"orders/{i}-A" for i in range(5000)], OrderModel)
            return b"[" + b",".join(each.model_dump_json().encode() for each in found.values()) + b"]"

    def raw_json(_: None) -> bytes:
        with database.store.open_session() as session:
            return session.query(Order).json()

    samples = measure({"models": Candidate(models), "json": Candidate(raw_json)}, effort, calls=1, warm_up=1)
    return compare(
        GROUP, "5,000 as JSON / loaded as pydantic and dumped", samples, base="models", ours="json", target=0.25
    )
