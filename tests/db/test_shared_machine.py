"""Anything that the owner of a connection may do, in any order: in the end what is in memory is saved and committed."""

import random
from dataclasses import dataclass

import pytest

from docsession import OptimisticConcurrencyMode, SessionOptions
from tests.support.hosts import session_on


@dataclass
class Item:
    value: int
    id: str | None = None


KEYS = [f"items/{i}" for i in range(4)]
STEPS = 40
SEEDS = (4, 17)


class Machine:
    """Does random things with a session and its connection, and knows what memory holds."""

    def __init__(self, host, session, seed):
        self.host = host
        self.session = session
        self.random = random.Random(seed)
        self.memory = {}
        self.depth = 0

    async def step(self):
        kinds = [self.change, self.change, self.delete, self.save, self.save, self.read, self.look, self.end, self.nest]
        await self.random.choice([*kinds, *([self.leave, self.leave] if self.depth else [])])()

    async def change(self):
        key = self.random.choice(KEYS)
        value = self.random.randrange(1000)
        item = self.memory.get(key)
        if item is None:
            self.memory[key] = item = Item(value)
            await self.session.store(item, key)
        item.value = value

    async def delete(self):
        key = self.random.choice(KEYS)
        item = self.memory.pop(key, None)
        if item is not None:
            self.session.delete(item)

    async def save(self):
        await self.session.save_changes()

    async def read(self):
        await self.session.load(f"items/{self.random.randrange(10**9)}", Item)

    async def look(self):
        self.session.advanced.what_changed()

    async def nest(self):
        if self.depth < 3:
            await self.host.execute("SELECT 1")
            await self.host.savepoint()
            self.depth += 1

    async def leave(self):
        self.depth -= 1
        if self.random.random() < 0.5:
            await self.host.release()
        else:
            await self.host.rollback_to()
            if not self.host.tells_savepoints:
                await self.session.advanced.rolled_back()

    async def end(self):
        while self.depth:
            await self.leave()
        await (self.host.commit if self.random.random() < 0.5 else self.host.rollback)()

    async def finish(self):
        while self.depth:
            await self.leave()
        await self.session.save_changes()
        await self.host.commit()


class OwnTransaction:
    """The session's own transactions in the words of an owner."""

    tells_savepoints = True

    def __init__(self, session):
        self.advanced = session.advanced
        self.savepoint = session.advanced.begin
        self.release = session.advanced.commit
        self.rollback_to = session.advanced.rollback

    async def execute(self, text):
        """Nothing has to be begun."""

    async def commit(self):
        await self.advanced.commit()
        await self.advanced.begin()

    async def rollback(self):
        await self.advanced.rollback()
        await self.advanced.begin()


async def run(machine, store, session):
    session.advanced.max_number_of_requests_per_session = 1000
    for _ in range(STEPS):
        await machine.step()
    await machine.finish()
    assert not session.advanced.has_changes()
    async with store.open_session() as other:
        stored = await other.load(KEYS, Item)
    assert {key: item.value for key, item in stored.items() if item} == {
        key: item.value for key, item in machine.memory.items()
    }


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mode", [OptimisticConcurrencyMode.NONE, OptimisticConcurrencyMode.WRITES])
class TestInTheEndMemoryIsStored:
    async def test_whatever_the_owner_of_the_connection_does(self, host, host_store, postgres_url, seed, mode):
        await host.open(postgres_url)
        async with session_on(host_store, host, optimistic_concurrency_mode=mode) as session:
            await run(Machine(host, session, seed), host_store, session)

    async def test_whatever_becomes_of_its_own_transactions(self, store, seed, mode):
        async with store.open_session(session_options=SessionOptions(optimistic_concurrency_mode=mode)) as session:
            await session.advanced.begin()
            await run(Machine(OwnTransaction(session), session, seed), store, session)
