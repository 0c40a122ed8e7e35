"""What each option of a session costs, against the plain session: load one document, change it, save it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta

import psycopg
from documents import Order
from environment import COUNT, Database, Server, order_id
from harness import Candidate, Effort, Result, compare, measure

from docsession import DocumentSession, OptimisticConcurrencyMode, RequestExecutor, SessionOptions, TransactionMode

GROUP = "option / plain session"


def run(server: Server, effort: Effort) -> Iterator[Result]:
    with server.database("options") as database:
        for name, work in ways(database).items():
            candidates = {"plain": Candidate(plain(database), key), "option": Candidate(work, key)}
            samples = measure(candidates, effort, calls=100)
            yield compare(GROUP, f"load 1, change, save: {name}", samples, base="plain", ours="option")


def key() -> str:
    return order_id(random.randrange(COUNT))


def change(session: DocumentSession, key: str) -> None:
    order = session.load(key, Order)
    assert order is not None
    order.lines[3].quantity += 1
    session.save_changes()


def plain(database: Database) -> Callable[[str], None]:
    checked = SessionOptions(optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES)

    def work(key: str) -> None:
        with database.store.open_session(session_options=checked) as session:
            change(session, key)

    return work


def ways(database: Database) -> dict[str, Callable[[str], None]]:
    """Return each option by its name."""
    mode = OptimisticConcurrencyMode.WRITES
    store = database.store

    def isolated(level: str) -> Callable[[str], None]:
        options = SessionOptions(optimistic_concurrency_mode=mode, isolation_level=level)

        def work(key: str) -> None:
            with store.open_session(session_options=options) as session:
                change(session, key)

        return work

    def explicit(key: str) -> None:
        options = SessionOptions(optimistic_concurrency_mode=mode)
        with store.open_session(session_options=options) as session, session.advanced.transaction():
            change(session, key)

    def cluster_wide(key: str) -> None:
        with store.open_session(
            session_options=SessionOptions(transaction_mode=TransactionMode.CLUSTER_WIDE)
        ) as session:
            change(session, key)

    def timed(key: str) -> None:
        options = SessionOptions(optimistic_concurrency_mode=mode, statement_timeout=timedelta(seconds=30))
        with store.open_session(session_options=options) as session:
            change(session, key)

    shared = psycopg.connect(database.url)
    executor = RequestExecutor.for_connection(shared)

    def joined(key: str) -> None:
        options = SessionOptions(optimistic_concurrency_mode=mode, request_executor=executor)
        with store.open_session(session_options=options) as session:
            change(session, key)
        shared.commit()

    return {
        'isolation_level="repeatable read"': isolated("repeatable read"),
        'isolation_level="serializable"': isolated("serializable"),
        "with advanced.transaction()": explicit,
        "transaction_mode=CLUSTER_WIDE, no standby": cluster_wide,
        "statement_timeout": timed,
        "a psycopg connection of the program's own, and its commit": joined,
    }
