"""Saving through a link on which a round trip takes two milliseconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from documents import Order, make_order
from environment import Database, Server, order_id
from harness import Candidate, Effort, Result, compare, measure
from orm import OrderRow
from saves import store_all
from sqlalchemy import select

from tests.support.proxy import DelayProxy

GROUP = "2 ms link"
DELAY = 0.001
"""Seconds each way."""
COUNT = 10


def run(server: Server, effort: Effort) -> Iterator[Result]:
    with DelayProxy(server.url, DELAY) as proxy, server.database("links", COUNT, proxy.url) as database:
        yield changed(database, effort)
    with DelayProxy(server.url, DELAY) as proxy, server.database("links_new", 0, proxy.url) as database:
        yield new(database, effort)


def new(database: Database, effort: Effort) -> Result:
    def make() -> list[Order]:
        return [make_order(i) for i in range(COUNT)]

    candidates = {
        "raw": Candidate(database.raw.insert_many, make),
        "docsession": Candidate(lambda orders: store_all(database.store, orders), make),
        "orm": Candidate(database.orm.insert_many, make),
    }
    return compare(GROUP, "save 10 new", measure(candidates, effort, calls=10), target=1.15)


def changed(database: Database, effort: Effort) -> Result:
    keys = [order_id(i) for i in range(COUNT)]
    session = database.store.open_session()
    session.advanced.max_number_of_requests_per_session = 10**9
    ours = list(session.load(keys, Order).values())
    by_hand = [order for order, _ in database.raw.load_many(keys).values()]
    rows_session = database.orm.session()
    rows: Sequence[OrderRow] = rows_session.scalars(select(OrderRow)).all()

    def change(orders: Sequence[Order]) -> None:
        for order in orders:
            order.lines[3].quantity += 1

    candidates = {
        "raw": Candidate(lambda _: database.raw.update_many(by_hand), change=lambda: change(by_hand)),
        "docsession": Candidate(lambda _: session.save_changes(), change=lambda: change(ours)),
        "orm": Candidate(
            lambda _: database.orm.change(rows_session, rows), change=lambda: change([row.data for row in rows])
        ),
    }
    samples = measure(candidates, effort, calls=10)
    session.close()
    rows_session.close()
    return compare(GROUP, "save_changes of 10 changed", samples, target=1.15)
