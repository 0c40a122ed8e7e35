"""Queries: what making one costs, and what it adds to the same SQL sent by hand."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

from documents import Order, OrderModel
from environment import Database, Server
from harness import Candidate, Effort, Result, compare, measure
from raw import entity

from docsession import DocumentQuery, DocumentSession, any_, desc, starts_with

GROUP = "query"
ALLOWED = 30e-6
"""Seconds that building and compiling the example may take the second time."""


def run(server: Server, effort: Effort) -> Iterator[Result]:
    with server.database("queries", 5000) as database:
        yield building(database)
        yield hundred(database, effort)
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


def hundred(database: Database, effort: Effort) -> Result:
    def asked(session: DocumentSession, quantity: int) -> DocumentQuery[Order]:
        return session.query(Order).where(lambda o: o.freight >= quantity).order_by("freight").take(100)

    with database.store.open_session() as session:
        statement = asked(session, 40).sql()

    def by_hand(quantity: int) -> list[Any]:
        params = [str(quantity), *statement.parameters[1:]]
        with database.raw.pool.connection() as connection:
            rows = connection.execute(statement.text.encode(), params, binary=True, prepare=True).fetchall()
            return [entity(row) for row in rows]

    def ours(quantity: int) -> list[Order]:
        with database.store.open_session() as session:
            return asked(session, quantity).all()

    def quantity() -> int:
        return random.randrange(4000, 4500)

    samples = measure({"raw": Candidate(by_hand, quantity), "docsession": Candidate(ours, quantity)}, effort, calls=10)
    return compare(GROUP, "100 documents of 5,000, sorted", samples, target=1.35)


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
