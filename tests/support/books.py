"""A workload whose outcome can be checked to the last document, however often its connections break.

A group is a few documents in two collections. Every flush adds its token to the history of each of them, stores a
receipt, and now and then deletes an earlier one. So the documents of a group always have one history, a receipt is
there where its token is in the history, and each flush is told in full by whether its token is.
"""

import asyncio
import random
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

from docsession import (
    ConcurrencyException,
    ConnectionFailedException,
    ConnectionLostException,
    OptimisticConcurrencyMode,
    SessionOptions,
    UnknownOutcomeException,
)
from tests.support.proxy import CuttingProxy, Stage


@dataclass
class Account:
    history: list[str] = field(default_factory=list)
    id: str | None = None


@dataclass
class Article:
    history: list[str] = field(default_factory=list)
    id: str | None = None


@dataclass
class Receipt:
    token: str
    id: str | None = None


CHECKED = [OptimisticConcurrencyMode.WRITES, OptimisticConcurrencyMode.WRITES_AND_READS]


def group_of(number):
    """The ids of a group, each with its class."""
    return {f"accounts/{number}-a": Account, f"articles/{number}": Article, f"accounts/{number}-b": Account}


async def keep_books(store, rng, *, seconds, groups, own):
    """Flush until the time is over; returns what became of each flush."""
    flushes = []
    done = []
    torn = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        flush = {
            "token": f"{own}.{len(flushes)}", "group": rng.randrange(groups),
            "drop": done.pop(rng.randrange(len(done))) if done and rng.random() < 0.3 else None,
        }  # fmt: skip
        flush["outcome"] = await post(store, rng, **flush)
        flushes.append(flush)
        if flush["outcome"] == "acknowledged":
            done.append(flush["token"])
        elif flush["drop"] and flush["outcome"] == "refused":
            done.append(flush["drop"])
        torn += await is_torn(store, rng.randrange(groups))
    return {"flushes": flushes, "torn": torn}


async def post(store, rng, *, token, group, drop):
    """Write one flush, and return "acknowledged", "refused" or, where nobody waited for the answer, "undecided"."""
    options = SessionOptions(optimistic_concurrency_mode=rng.choice(CHECKED))
    async with store.open_session(session_options=options) as session:
        session.advanced.max_number_of_requests_per_session = 10_000
        found = await patiently(lambda: session.load(list(group_of(group))))
        session.advanced.clear()
        found = await patiently(lambda: load_group(session, group))
        for key, kind in group_of(group).items():
            if found[key] is None:
                await session.store(kind([token]), key)
            else:
                found[key].history.append(token)
        await session.store(Receipt(token), f"receipts/{token}")
        if drop is not None:
            session.delete(f"receipts/{drop}")
        while True:
            try:
                await session.save_changes()
            except ConcurrencyException:
                return "refused"
            except UnknownOutcomeException:
                if rng.random() < 0.1:
                    return "undecided"
            except (ConnectionFailedException, ConnectionLostException):
                await asyncio.sleep(0.001)
            else:
                return "acknowledged"


async def load_group(session, group):
    """Load a group's documents, each as its class, from one snapshot where they are not known yet."""
    loaded = {}
    for kind in (Account, Article):
        loaded |= await session.load([key for key, each in group_of(group).items() if each is kind], kind)
    return loaded


async def is_torn(store, group):
    """Whether the documents of a group, read by one statement, have more than one history."""
    async with store.open_session(session_options=SessionOptions(no_tracking=True)) as session:
        session.advanced.max_number_of_requests_per_session = 10_000
        found = await patiently(lambda: session.load(list(group_of(group))))
    return len({tuple(each["history"]) if each else () for each in found.values()}) > 1


async def patiently(ask):
    """Ask again until the link holds."""
    while True:
        try:
            return await ask()
        except (ConnectionFailedException, ConnectionLostException):
            await asyncio.sleep(0.001)


@contextmanager
def chaos(url, seed):
    """A way to the server whose links break at random, at every stage of a flush; gives its URL."""
    rng = random.Random(seed)
    stopped = threading.Event()

    def disturb(proxy):
        while not stopped.wait(rng.uniform(0.002, 0.05)):
            what = rng.random()
            if what < 0.7:
                if not proxy.is_armed:
                    n = rng.choice((0, 1, 3, 8, 30, 200, 1000))
                    proxy.cut_next(rng.choice(list(Stage)), n, containing=b"COMMIT")
            elif what < 0.95:
                proxy.cut_all()
            else:
                proxy.refuse()
                stopped.wait(rng.uniform(0, 0.1))
                proxy.refuse(False)

    with CuttingProxy(url) as proxy:
        thread = threading.Thread(target=disturb, args=(proxy,))
        thread.start()
        try:
            yield proxy.url
        finally:
            stopped.set()
            thread.join()
