"""What the library sends keeps the rules that let it work behind poolers, on replicas and on Citus.

Main operations of every kind run here, and every text that crosses the wire is read by PostgreSQL's own parser.
"""

from dataclasses import dataclass

import pytest

from docsession import ConcurrencyException, SessionOptions, TransactionMode
from docsession._sql._position import POSITION, has_reached
from tests.support.beside import settle
from tests.support.documents import change
from tests.support.sql_rules import Recorder, broken_rules, recording


@dataclass
class Company:
    name: str
    id: str | None = None


@dataclass
class Order:
    company: str
    total: int
    id: str | None = None


@pytest.fixture
def recorder():
    with recording(Recorder()) as started:
        yield started


async def save_and_delete(store):
    async with store.open_session() as session:
        for n in range(30):
            await session.store(Company(f"{n}"))
        await session.store(Order("companies/1-A", 1), "orders/1")
        await session.store({"name": "x", "@metadata": {"@collection": "Others"}}, "others/1")
        await session.save_changes()
        session.delete("others/1")
        session.delete("companies/3-A")
        await session.save_changes()
    async with store.open_session() as session:
        await session.store(Company("first"), "invoices|")
        await session.save_changes()


async def load_in_every_way(store):
    async with store.open_session() as session:
        await session.load("companies/1-A", Company)
        await session.load(["companies/2-A", "orders/1", "nobody"])
        session.advanced.clear()
        await session.include("company").load("orders/1", Order)
        session.advanced.clear()
        found = await session.advanced.load_starting_with("companies/", Company, matches="1*", page_size=5)
        await session.advanced.exists("companies/999-A")
        vector = session.advanced.get_change_vector_for(found[0])
        session.advanced.clear()
        await session.advanced.conditional_load(found[0].id, vector, Company)
        found = await session.load("companies/1-A", Company)
        await session.advanced.refresh(found)


async def check_versions(store):
    async with store.open_session() as session:
        session.advanced.use_optimistic_concurrency = True
        one, other = await session.load("companies/1-A", Company), await session.load("companies/2-A", Company)
        await change(store, "companies/1-A", Company, name="theirs")
        one.name = other.name = "mine"
        with pytest.raises(ConcurrencyException):
            await session.save_changes()
        await session.advanced.refresh(one)
        one.name = "mine"
        await session.save_changes()


async def span_transactions(store):
    async with store.open_session() as session:
        await session.advanced.begin()
        await session.store(Company("x"), "companies/x")
        await session.save_changes()
        await session.advanced.begin()
        session.delete("companies/x")
        await session.save_changes()
        await session.advanced.rollback()
        await session.advanced.commit()
    async with store.open_session(session_options=SessionOptions(isolation_level="serializable")) as session:
        company = await session.load("companies/x", Company)
        company.name = "y"
        await session.save_changes()


async def write_cluster_wide(store):
    options = SessionOptions(transaction_mode=TransactionMode.CLUSTER_WIDE)
    async with store.open_session(session_options=options) as session:
        await settle(session.advanced.cluster_transaction.create_compare_exchange_value("a", 1))
        await session.store(Company("z"), "companies/z")
        await session.save_changes()
    async with store.open_session(session_options=options) as session:
        value = await session.advanced.cluster_transaction.get_compare_exchange_value("a", int)
        value.value = 2
        company = await session.load("companies/z", Company)
        company.name = "w"
        await session.save_changes()


async def maintain(store):
    await store.maintenance.get_collection_statistics()
    await store.maintenance.get_database_names()


PARTS = {
    save_and_delete: ("INSERT INTO", "ON CONFLICT", "DELETE FROM", "docsession_hilo", "docsession_identities", "DO "),
    load_in_every_way: ("SELECT", "UNION ALL"),
    check_versions: ("docsession:conflict",),
    span_transactions: ("SAVEPOINT", "ROLLBACK TO", "BEGIN ISOLATION LEVEL SERIALIZABLE"),
    write_cluster_wide: ("docsession_compare_exchange", "set_config"),
    maintain: ("pg_namespace",),
}


async def test_every_statement_keeps_them(store, recorder):
    for part, expected in PARTS.items():
        await part(store)
        sent = "\n".join(recorder.texts)
        assert [text for text in expected if text not in sent] == []
    assert recorder.broken() == []
    assert len(recorder.texts) > 40


@pytest.mark.parametrize("sql", [POSITION, has_reached(1).sql])
def test_the_questions_of_reads_from_standbys_keep_them_too(sql):
    assert broken_rules(sql.decode()) == []
