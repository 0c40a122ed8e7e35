"""Saving: new documents, and one changed document among many tracked ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from documents import Order, make_order
from environment import Database, Server, order_id
from harness import Candidate, Effort, Result, compare, measure
from orm import OrderRow
from raw import encode
from sqlalchemy import select

from docsession import DocumentSession, DocumentStore

GROUP = "save"
TRACKED = 1000


def run(server: Server, effort: Effort) -> Iterator[Result]:
    for count, target, strict_target, calls in ((1, 1.8, None, 100), (100, 1.3, 1.5, 8), (1000, 1.3, 1.5, 1)):
        with server.database(f"saves_{count}", 0) as database:
            yield from new(database, effort, count, target, strict_target or target, calls)
    with server.database("checks") as database:
        yield from check(database, effort)


def store_all(store: DocumentStore, orders: Sequence[Order]) -> None:
    """Open a session, save new documents, close it."""
    with store.open_session() as session:
        for order in orders:
            session.store(order)
        session.save_changes()


def new(
    database: Database, effort: Effort, count: int, target: float, strict_target: float, calls: int
) -> Iterator[Result]:
    def make() -> list[Order]:
        return [make_order(i) for i in range(count)]

    def raw(orders: list[Order]) -> None:
        if count == 1:
            database.raw.insert(orders[0])
        else:
            database.raw.insert_many(orders)

    candidates = {
        "raw": Candidate(raw, make),
        "off": Candidate(lambda orders: store_all(database.lax, orders), make),
        "on": Candidate(lambda orders: store_all(database.store, orders), make),
        "orm": Candidate(database.orm.insert_many, make),
    }
    samples = measure(candidates, effort, calls=calls, warm_up=20 if count < 1000 else 12)
    yield compare(GROUP, f"save {count:,} new, verify_on_save off", samples, target=target, ours="off")
    yield compare(GROUP, f"save {count:,} new, verify_on_save on", samples, target=strict_target, ours="on")


class Tracking:
    """Sessions that track documents, one of which is changed again and again."""

    def __init__(self, database: Database) -> None:
        keys = [order_id(i) for i in range(TRACKED)]
        self.many, self.orders = self._load(database.store, keys)
        self.lone, (self.only,) = self._load(database.store, keys[:1])
        self.rows_session = database.orm.session()
        self.rows: Sequence[OrderRow] = self.rows_session.scalars(select(OrderRow)).all()
        self._orm = database.orm

    @staticmethod
    def _load(store: DocumentStore, keys: list[str]) -> tuple[DocumentSession, list[Any]]:
        session = store.open_session()
        session.advanced.max_number_of_requests_per_session = 10**9
        return session, list(session.load(keys, Order).values())

    def encode_others(self, _: object) -> None:
        for order in self.orders[1:]:
            encode(order)

    def encode_all(self, _: object) -> None:
        for order in self.orders:
            encode(order)

    def change(self, order: Order) -> Callable[[], None]:
        def change() -> None:
            order.lines[3].quantity += 1

        return change

    def save_row(self, _: object) -> None:
        self.rows[0].data.lines[3].quantity += 1
        self._orm.change(self.rows_session, self.rows[:1])

    def close(self) -> None:
        self.many.close()
        self.lone.close()
        self.rows_session.close()


def check(database: Database, effort: Effort) -> Iterator[Result]:
    tracking = Tracking(database)
    candidates = {
        "pass": Candidate(tracking.encode_all),
        "nothing": Candidate(lambda _: tracking.many.save_changes()),
        "others": Candidate(tracking.encode_others),
        "many": Candidate(lambda _: tracking.many.save_changes(), change=tracking.change(tracking.orders[0])),
        "lone": Candidate(lambda _: tracking.lone.save_changes(), change=tracking.change(tracking.only)),
        "orm": Candidate(tracking.save_row),
    }
    samples = measure(candidates, effort, calls=5)
    tracking.close()
    yield compare(
        GROUP, "save_changes, 1,000 tracked, none changed / encode them", samples, base="pass", ours="nothing", peer=""
    )
    one, many, lone = (samples[name] for name in ("others", "many", "lone"))
    cost = many.median - lone.median
    yield Result(
        GROUP,
        "save 1 changed of 1,000: what the check of 999 adds / encode 999",
        one.median * 1e6,
        cost * 1e6,
        cost / one.median,
        target=1.2,
    )
    yield compare(GROUP, "save 1 changed of 1,000, the whole call / encode 999", samples, base="others", ours="many")
