"""Loading: one document and a hundred, each in a session of its own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec
from documents import Order, OrderAttrs, OrderModel, OrderPlain, OrderStruct, plain_order
from environment import COUNT, Database, Server, load_orders, order_id
from harness import Candidate, Effort, Result, compare, measure
from raw import decode_order

from docsession import DocumentStore

GROUP = "load"


def some_keys() -> list[str]:
    return [order_id(i) for i in random.sample(range(COUNT), 100)]


def run(server: Server, effort: Effort) -> Iterator[Result]:
    with server.database("loads") as database:
        yield one(database, effort)
        yield hundred(database, effort)
        yield from kinds(database, effort)


def load_one(store: DocumentStore, key: str) -> Order | None:
    with store.open_session() as session:
        return session.load(key, Order)


def one(database: Database, effort: Effort) -> Result:
    def key() -> str:
        return order_id(random.randrange(COUNT))

    candidates = {
        "raw": Candidate(database.raw.load, key),
        "docsession": Candidate(lambda key: load_one(database.store, key), key),
        "orm": Candidate(database.orm.load, key),
    }
    return compare(GROUP, "open a session, load 1, close", measure(candidates, effort, calls=300), target=1.5)


def hundred(database: Database, effort: Effort) -> Result:
    candidates = {
        "raw": Candidate(database.raw.load_many, some_keys),
        "docsession": Candidate(lambda keys: load_orders(database.store, keys), some_keys),
        "orm": Candidate(database.orm.load_many, some_keys),
    }
    return compare(GROUP, "open a session, load 100, close", measure(candidates, effort, calls=20), target=1.35)


def kinds(database: Database, effort: Effort) -> Iterator[Result]:
    raw = database.raw
    decode_dict = msgspec.json.Decoder(dict).decode
    validate = OrderModel.__pydantic_validator__.validate_json

    def load(kind: type) -> Candidate:
        def run(keys: list[str]) -> Any:
            with database.store.open_session() as session:
                return session.load(keys, None if kind is dict else kind)

        return Candidate(run, some_keys)

    by_hand = {
        "dataclass": (Order, Candidate(lambda keys: raw.load_many(keys, decode_order), some_keys)),
        "msgspec Struct": (OrderStruct, _typed(raw, msgspec.json.Decoder(OrderStruct).decode)),
        "attrs": (OrderAttrs, _typed(raw, msgspec.json.Decoder(OrderAttrs).decode)),
        "pydantic": (OrderModel, _typed(raw, validate)),
        "plain class": (OrderPlain, _typed(raw, lambda data: plain_order(decode_dict(data)))),
        "dict": (dict, Candidate(lambda keys: raw.load_dicts(keys, decode_dict), some_keys)),
    }
    for name, (kind, candidate) in by_hand.items():
        samples = measure({"raw": candidate, "docsession": load(kind)}, effort, calls=20)
        yield compare(GROUP, f"load 100, {name}", samples)


def _typed(raw: Any, decode: Any) -> Candidate:
    return Candidate(lambda keys: raw.load_many(keys, decode), some_keys)
