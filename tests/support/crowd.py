"""Processes that work on one database at the same time, each with threads or tasks of its own.

`Crowd` starts them and gives orders, lines of JSON, which all begin to carry out at the same moment.
A process's work is written once for both faces: threads share a blocking store, tasks an async one.
"""

import asyncio
import faulthandler
import json
import logging
import random
import select
import signal
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from docsession import (
    ConcurrencyException,
    DocSessionError,
    InvalidArgumentException,
    OptimisticConcurrencyMode,
    SessionOptions,
)
from tests.support.books import chaos, keep_books
from tests.support.faces import Face

ROOT = Path(__file__).parents[2]
FACES = ("blocking", "async")


@dataclass
class Product:
    value: int
    id: str | None = None


@dataclass
class Article:
    value: int
    id: str | None = None


@dataclass
class Counter:
    count: int = 0
    id: str | None = None


KINDS = {"products": Product, "articles": Article}
MODES = list(OptimisticConcurrencyMode)


def options(mode):
    return SessionOptions(optimistic_concurrency_mode=mode)


async def overlap(store, rng, *, seconds, ids):
    """Save flushes of every kind of operation on a few documents, in random order, checked and not."""
    tally = {"saved": 0, "conflicts": 0, "operations": 0}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        async with store.open_session(session_options=options(rng.choice(MODES))) as session:
            # A fifth of the documents is in every second flush.
            keys = [f"{rng.choice(list(KINDS))}/{rng.randrange(rng.choice((ids // 5, ids)))}" for _ in range(10)]
            loaded = await session.load(keys)
            for key in rng.sample(list(loaded), len(loaded)):
                entity = loaded[key]
                action = rng.randrange(6)
                tally["operations"] += action < 5
                if action == 0 or (entity is None and action < 4):
                    if entity is not None:
                        session.advanced.evict(entity)
                    await session.store(KINDS[key.split("/")[0]](rng.randrange(1000)), key)
                elif action == 1:
                    entity["value"] += 1
                elif action == 2:
                    session.delete(entity)
                elif action == 3:
                    session.advanced.evict(entity)
                    session.delete(key)
                elif action == 4:
                    vector = "" if entity is None else session.advanced.get_change_vector_for(entity)
                    session.advanced.register_for_concurrency_check(key, vector)
            try:
                await session.save_changes()
                tally["saved"] += 1
            except ConcurrencyException:
                tally["conflicts"] += 1
    return tally


async def increment(store, rng, *, seconds, counters):
    """Count up under checks; returns how often each counter was counted up for certain."""
    acknowledged = dict.fromkeys((f"counters/{i}" for i in range(counters)), 0)
    conflicts = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        async with store.open_session(session_options=options(OptimisticConcurrencyMode.WRITES)) as session:
            keys = rng.sample(list(acknowledged), rng.choice([1, 1, 2]))
            for counter in (await session.load(keys, Counter)).values():
                counter.count += 1
            try:
                await session.save_changes()
            except ConcurrencyException:
                conflicts += 1
            else:
                for key in keys:
                    acknowledged[key] += 1
    return {"acknowledged": acknowledged, "conflicts": conflicts}


async def take_ids(store, _rng, *, count):
    """Store new documents of two collections; returns their ids."""
    taken = []
    async with store.open_session() as session:
        for i in range(count):
            entity = (Product, Article)[i % 2](i)
            await session.store(entity)
            taken.append(entity.id)
            if i % 50 == 49:
                await asyncio.sleep(0)
                await session.save_changes()
        await session.save_changes()
    return taken


async def begin_collections(store, rng, *, shared, own):
    """Be the first to store documents of collections, some of which everybody stores."""
    names = [*(f"Shared{i}" for i in range(shared)), f"Own{own}{rng.randrange(10**9)}"]
    rng.shuffle(names)
    async with store.open_session() as session:
        for name in names:
            await session.store({"by": own, "@metadata": {"@collection": name}}, f"{name.lower()}/{rng.random()}")
        await session.save_changes()
    return names


async def create_database(store, _rng, *, name):
    await store.maintenance.create_database(name)
    return name in await store.maintenance.get_database_names()


async def delete_database(store, _rng, *, name):
    try:
        await store.maintenance.delete_database(name)
    except InvalidArgumentException:
        return False
    return True


WORK = {
    "overlap": overlap,
    "increment": increment,
    "take_ids": take_ids,
    "begin_collections": begin_collections,
    "create_database": create_database,
    "delete_database": delete_database,
    "keep_books": keep_books,
}


def carry_out(order):
    """Do one order with a new store, and return what each thread or task says."""
    if order.pop("chaos", False):
        with chaos(order["store"]["urls"], order["seed"]) as url:
            return carry_out({**order, "store": {**order["store"], "urls": url}})
    face, work, workers = Face(order["face"]), WORK[order["work"]], order["workers"]
    arguments, store_options = order["arguments"], order["store"]
    pause = order["at"] - time.monotonic()

    async def work_one(store, number):
        arguments_of_one = {
            key: f"{value}-{order['number']}-{number}" if key == "own" else value for key, value in arguments.items()
        }
        try:
            return await work(store, random.Random(f"{order['seed']}-{number}"), **arguments_of_one)
        except DocSessionError as error:
            return {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}

    async def with_tasks():
        async with face.store(**store_options) as store:
            await asyncio.sleep(pause)
            return await asyncio.gather(*(work_one(store, i) for i in range(workers)))

    async def with_threads():
        async with face.store(**store_options) as store:
            await asyncio.sleep(pause)
            with ThreadPoolExecutor(workers) as threads:
                return list(threads.map(lambda i: asyncio.run(work_one(store, i)), range(workers)))

    return asyncio.run(with_tasks() if face.is_async else with_threads())


class Crowd:
    """Processes that wait for orders.

    Attributes:
        size: How many.
    """

    def __init__(self, size):
        self.size = size
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-m", __name__],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(size)
        ]

    def do(self, work, store, *, workers=2, seed=0, faces=FACES, chaos=False, **arguments):
        """Let every process do *work* with *workers* threads or tasks; returns all that they say, none an error.

        With *chaos* the links to the server break all the time.
        """
        at = time.monotonic() + 0.3
        for number, process in enumerate(self._processes):
            order = {
                "work": work, "store": store, "workers": workers, "seed": f"{seed}-{number}", "arguments": arguments,
                "face": faces[number % len(faces)], "at": at, "number": number, "chaos": chaos,
            }  # fmt: skip
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        said = []
        give_up = time.monotonic() + arguments.get("seconds", 0) + 60
        for process in self._processes:
            if not select.select([process.stdout], [], [], max(0, give_up - time.monotonic()))[0]:
                process.send_signal(signal.SIGABRT)
                raise AssertionError("a process of the crowd does not come to an end; see its threads above")
            line = process.stdout.readline()
            assert line, "a process of the crowd has died"
            said += json.loads(line)
        errors = [each["trace"] for each in said if isinstance(each, dict) and "trace" in each]
        assert not errors, "\n".join(errors)
        return said

    def close(self):
        for process in self._processes:
            process.stdin.close()
        for process in self._processes:
            process.wait(10)
            process.stdout.close()


if __name__ == "__main__":
    faulthandler.enable()
    # Links that are cut are what some orders are about.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    for line in sys.stdin:
        print(json.dumps(carry_out(json.loads(line))), flush=True)
