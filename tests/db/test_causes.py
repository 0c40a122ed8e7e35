"""What stands behind an error in its traceback: the server's own error, and nothing of docsession's insides."""

import dataclasses
import traceback

import pytest

from docsession import CollectionMismatchException, ConcurrencyException
from tests.support.documents import save


@dataclasses.dataclass
class Company:
    name: str
    id: str | None = None


@dataclasses.dataclass
class Product:
    name: str
    id: str | None = None


def shown(error):
    return "".join(traceback.format_exception(error))


async def test_of_a_conflict(store):
    await save(store, (Company("old"), "companies/1"), (Company("old"), "companies/2"))
    async with store.open_session() as session:
        session.advanced.use_optimistic_concurrency = True
        for key in ("companies/1", "companies/2"):
            (await session.load(key, Company)).name = "mine"
        async with store.open_session() as other:
            (await other.load("companies/1", Company)).name = "theirs"
            await other.save_changes()
        with pytest.raises(ConcurrencyException) as caught:
            await session.save_changes()
        assert caught.value.__cause__.sqlstate == "22P02"
        assert "_GuardFailed" not in shown(caught.value)


async def test_of_an_id_of_another_collection(store):
    await save(store, (Company("old"), "companies/1"), (Product("x"), "companies/2"))
    async with store.open_session() as session:
        await session.store(Product("new"), "companies/1")
        with pytest.raises(CollectionMismatchException) as caught:
            await session.save_changes()
        assert caught.value.__cause__.sqlstate == "22P02"
        assert "_GuardFailed" not in shown(caught.value)
