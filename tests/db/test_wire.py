"""What crosses the wire: one round trip for whatever a session asks or saves."""

from dataclasses import dataclass, field

import pytest

from docsession import ConcurrencyException, OptimisticConcurrencyMode, SessionOptions
from tests.support.documents import change, save
from tests.support.proxy import CountingProxy


@dataclass
class Company:
    name: str
    id: str | None = None


@dataclass
class Order:
    company: str
    lines: list[str] = field(default_factory=list)
    id: str | None = None


@dataclass
class Note:
    text: str
    id: str | None = None


@pytest.fixture
def proxy(postgres_url):
    with CountingProxy(postgres_url) as proxy:
        yield proxy


async def opened(make_store, proxy):
    """A store behind the proxy that has seen every collection, so that only the session's requests are counted."""
    store = make_store(proxy.url, min_size=1)
    companies = [(Company(f"c{i}"), f"companies/{i}") for i in range(10)]
    await save(store, *companies, (Order("companies/1", ["companies/2"]), "orders/1"), (Note("n"), "notes/1"))
    proxy.reset()
    return store


@pytest.mark.parametrize("mode", list(OptimisticConcurrencyMode))
async def test_a_save_is_one_round_trip_whatever_it_carries(make_store, proxy, mode):
    store = await opened(make_store, proxy)
    async with store.open_session(session_options=SessionOptions(optimistic_concurrency_mode=mode)) as session:
        companies = await session.load([f"companies/{i}" for i in range(10)], Company)
        order = await session.load("orders/1", Order)
        assert proxy.round_trips == 2
        for company in list(companies.values())[:5]:
            company.name += "!"
        session.delete(companies["companies/7"])
        order.lines.append("companies/3")
        await session.store(Note("new"), "notes/2")
        await session.store(Company("new"), "companies/new")
        await session.save_changes()
        assert proxy.round_trips == 3
        assert session.advanced.number_of_requests == 3


async def test_a_save_without_changes_sends_nothing(make_store, proxy):
    store = await opened(make_store, proxy)
    async with store.open_session() as session:
        await session.load(["companies/1", "orders/1"])
        await session.save_changes()
        assert proxy.round_trips == 1


async def test_a_single_document_is_saved_without_a_transaction(make_store, proxy):
    store = await opened(make_store, proxy)
    await change(store, "companies/1", Company, name="changed")
    assert proxy.round_trips == 2
    assert proxy.messages.count(b"E") + proxy.messages.count(b"Q") == 2


async def test_a_load_with_includes_is_one_round_trip(make_store, proxy):
    store = await opened(make_store, proxy)
    async with store.open_session() as session:
        loaded = await session.include("company", Company).include("lines", Company).load("orders/1", Order)
        assert (await session.load(loaded["orders/1"].company, Company)).name == "c1"
        assert (await session.load("companies/2", Company)).name == "c2"
        assert proxy.round_trips == 1


async def test_an_include_that_names_no_class_is_one_round_trip_too(make_store, proxy):
    store = await opened(make_store, proxy)
    for _ in range(2):
        proxy.reset()
        async with store.open_session() as session:
            await session.include("company").load("orders/1", Order)
            await session.load("companies/1", Company)
            assert proxy.round_trips == 1


async def test_what_the_session_has_does_not_come_again(make_store, proxy):
    store = await opened(make_store, proxy)
    async with store.open_session() as session:
        await session.load(["companies/1", "companies/404"], Company)
        await session.load("companies/1", Company)
        await session.load("companies/404", Company)
        await session.load(["companies/404", "companies/1"], Company)
        assert proxy.round_trips == 1


async def test_a_conditional_load_does_not_transfer_what_is_known(make_store, proxy):
    store = await opened(make_store, proxy)
    await save(store, (Note("x" * 100_000), "notes/long"))
    async with store.open_session() as session:
        note = await session.load("notes/long", Note)
        vector = session.advanced.get_change_vector_for(note)
    proxy.reset()
    async with store.open_session() as session:
        result = await session.advanced.conditional_load("notes/long", vector, Note)
        assert (result.entity, result.change_vector) == (None, vector)
    assert proxy.bytes_received < 1000


async def test_a_conflict_costs_one_look_more(make_store, proxy):
    store = await opened(make_store, proxy)
    async with store.open_session() as session:
        session.advanced.use_optimistic_concurrency = True
        company = await session.load("companies/1", Company)
        await change(store, "companies/1", Company, name="other")
        proxy.reset()
        company.name = "mine"
        with pytest.raises(ConcurrencyException):
            await session.save_changes()
        assert proxy.round_trips == 2


async def test_ten_thousand_documents_are_saved_at_once(make_store, proxy):
    store = await opened(make_store, proxy)
    async with store.open_session() as session:
        for i in range(10_000):
            await session.store(Note(f"note {i}"), f"notes/{i:05}")
        await session.save_changes()
        assert proxy.round_trips == 1
    assert (await store.maintenance.get_collection_statistics())["Notes"] == 10_001
