"""What holds behind pgbouncer in transaction mode also with settings that are not those of the documentation."""

import asyncio
from dataclasses import dataclass

import pytest

from docsession import ConnectionFailedException, SessionOptions
from tests.support.documents import save

pytestmark = pytest.mark.pooler


@dataclass
class Company:
    name: str
    id: str | None = None


@dataclass
class Order:
    total: int
    id: str | None = None


@pytest.mark.parametrize("threshold", [0, 5])
async def test_prepared_statements_get_into_nobodys_way(make_store, threshold):
    """Many clients share the server's connections: each statement does what it says, whoever prepared it."""
    stores = [make_store(prepare_threshold=threshold, max_size=4) for _ in range(4)]
    await save(stores[0], (Company("none"), "companies/0"), (Order(0), "orders/0"))

    async def work(number, store):
        for turn in range(15):
            async with store.open_session() as session:
                await session.store(Company(f"{number}.{turn}"), f"companies/{number}")
                await session.store(Order(turn), f"orders/{number}-{turn}")
                await session.save_changes()
            async with store.open_session() as session:
                found = await session.load([f"companies/{number}", f"orders/{number}-{turn}"])
                assert found[f"companies/{number}"]["name"] == f"{number}.{turn}"
                assert found[f"orders/{number}-{turn}"]["total"] == turn
                session.delete(f"orders/{number}-{turn}")
                await session.save_changes()

    await asyncio.gather(*(work(number, store) for number, store in enumerate(stores * 3, 1)))


async def test_a_transaction_keeps_its_connection(make_store):
    one, other = make_store(), make_store()
    await save(one, (Company("old"), "companies/1"))
    async with one.open_session(session_options=SessionOptions(isolation_level="repeatable read")) as session:
        assert (await session.load("companies/1", Company)).name == "old"
        await save(other, (Company("new"), "companies/1"), (Company("new"), "companies/2"))
        assert await session.load("companies/2", Company) is None


async def test_options_of_a_url_are_refused_with_advice(make_store, postgres_url):
    store = make_store(f"{postgres_url}?options=-c%20statement_timeout%3D5s")
    with pytest.raises(ConnectionFailedException, match="ALTER ROLE"):
        await save(store, (Company("x"), "companies/1"))
