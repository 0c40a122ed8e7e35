"""A lost answer to what is done apart from the session is no question for the session: it is done once more."""

from dataclasses import dataclass

import pytest

from docsession import ConnectionLostException, UnknownOutcomeException
from tests.support.documents import read, save
from tests.support.proxy import Stage


@dataclass
class Item:
    value: int
    id: str | None = None


@dataclass
class Other:
    value: int
    id: str | None = None


@pytest.mark.parametrize("stage", [Stage.BEFORE_BYTE, Stage.BEFORE_ANSWER])
@pytest.mark.parametrize("what", [b"docsession_hilo", b"CREATE TABLE"])
async def test_a_range_and_a_table_are_asked_for_again(make_store, proxy, stage, what):
    store = make_store(proxy.url)
    await save(store, (Item(1), "items/x"))
    proxy.cut_next(stage, containing=what)
    key = await save(store, Other(2))
    assert proxy.cuts == 1
    assert (await read(store, key, Other)).value == 2


@pytest.mark.parametrize("stage", [Stage.BEFORE_BYTE, Stage.BEFORE_ANSWER])
async def test_a_prefix_is_recorded_again(make_store, proxy, stage):
    """In a transaction the catalogue is written apart."""
    store = make_store(proxy.url)
    await save(store, (Item(1), "items/x"))
    async with store.open_session() as session:
        await session.advanced.begin()
        await session.store(Item(2), "goods/1")
        proxy.cut_next(stage, containing=b"docsession_collections")
        await session.save_changes()
        await session.advanced.commit()
    assert proxy.cuts == 1
    assert (await read(store, "goods/1", Item)).value == 2


async def test_a_link_that_breaks_each_time_may_be_tried_later(store):
    await save(store, (Item(1), "items/x"))
    executor = store._start()
    original, lost = executor.run_apart, []

    async def lose(make):
        lost.append(make())
        raise UnknownOutcomeException("save_changes: cut")

    executor.run_apart = lose
    async with store.open_session() as session:
        with pytest.raises(ConnectionLostException, match="twice in a row") as caught:
            await session.store(Item(2))
        assert type(caught.value) is ConnectionLostException
        assert caught.value.retryable
        assert len(lost) == 2
        executor.run_apart = original
        await session.store(Item(2))
        await session.save_changes()
