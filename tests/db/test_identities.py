"""Identities: ids whose numbers are taken one at a time."""

import asyncio
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from docsession import (
    ConcurrencyException,
    ConnectionLostException,
    DatabaseDoesNotExistException,
    DocumentConventions,
    InvalidArgumentException,
    InvalidArgumentTypeException,
)
from docsession._executors._url import parse_url
from docsession._migrate import downgrade
from docsession._migrate._target import Target
from tests.support.documents import read, save
from tests.support.proxy import CuttingProxy, Stage


@dataclass
class Invoice:
    total: int
    id: str | None = None


class TestStore:
    async def test_the_numbers_follow_each_other_and_are_known_at_once(self, store):
        async with store.open_session() as session:
            invoices = [Invoice(n) for n in range(3)]
            for invoice in invoices:
                await session.store(invoice, "invoices|")
            assert [invoice.id for invoice in invoices] == ["invoices/1", "invoices/2", "invoices/3"]
            assert session.advanced.number_of_requests == 0
            await session.save_changes()
        assert (await read(store, "invoices/3", Invoice)).total == 2
        assert await store.maintenance.get_identities() == {"invoices|": 3}

    async def test_each_name_has_numbers_of_its_own(self, store):
        keys = [await save(store, (Invoice(1), name)) for name in ("a|", "b|", "a|", "A|", "a/b|")]
        assert keys == ["a/1", "b/1", "a/2", "A/1", "a/b/1"]

    async def test_the_entity_may_ask_for_one_itself(self, store):
        invoice = Invoice(1, id="invoices|")
        assert await save(store, invoice) == invoice.id == "invoices/1"

    async def test_a_dict_goes_where_its_prefix_belongs(self, store):
        await save(store, (Invoice(1), "invoices|"))
        assert await save(store, ({"total": 2}, "invoices|")) == "invoices/2"
        assert await save(store, {"total": 3, "Id": "invoices|"}) == "invoices/3"
        assert await store.maintenance.get_collection_statistics() == {"Invoices": 3}
        assert await save(store, ({"total": 2}, "others|")) == "others/1"

    async def test_a_generator_may_ask_for_one(self, make_store):
        conventions = DocumentConventions(document_id_generator=lambda _database, _entity: "invoices|")
        store = make_store(conventions=conventions)
        assert [await save(store, Invoice(n)) for n in range(2)] == ["invoices/1", "invoices/2"]

    async def test_another_separator(self, make_store):
        store = make_store(conventions=DocumentConventions(identity_parts_separator="-"))
        assert await save(store, (Invoice(1), "invoices|")) == "invoices-1"

    async def test_storing_a_tracked_entity_again_takes_nothing(self, store):
        async with store.open_session() as session:
            invoice = Invoice(1)
            await session.store(invoice, "invoices|")
            await session.store(invoice, "invoices|")
            assert invoice.id == "invoices/1"
        assert await store.maintenance.get_identities() == {"invoices|": 1}

    async def test_what_is_refused_takes_nothing(self, store):
        async with store.open_session() as session:
            for entity, key in ((1, "invoices|"), (Invoice(1), "|"), (Invoice(1), " |")):
                with pytest.raises(InvalidArgumentException):
                    await session.store(entity, key)
        assert await store.maintenance.get_identities() == {}

    async def test_a_number_that_is_not_saved_is_left_out(self, store):
        async with store.open_session() as session:
            await session.store(Invoice(1), "invoices|")
        assert await save(store, (Invoice(2), "invoices|")) == "invoices/2"

    async def test_a_document_that_is_there_is_not_overwritten(self, store):
        await save(store, (Invoice(1), "invoices/1"))
        invoice = Invoice(2)
        async with store.open_session() as session:
            await session.store(invoice, "invoices|")
            with pytest.raises(ConcurrencyException, match="seed_identity_for") as caught:
                await session.save_changes()
            assert caught.value.id == "invoices/1"
        assert (await read(store, "invoices/1", Invoice)).total == 1
        assert await save(store, (Invoice(2), "invoices|")) == "invoices/2"

    async def test_a_rollback_gives_no_number_out_twice(self, store):
        async with store.open_session() as session:
            await session.advanced.begin()
            await session.store(Invoice(1), "invoices|")
            await session.save_changes()
            await session.advanced.rollback()
        assert await save(store, (Invoice(2), "invoices|")) == "invoices/2"

    async def test_writers_at_the_same_time_get_different_numbers(self, store):
        keys = await asyncio.gather(*(save(store, (Invoice(n), "invoices|")) for n in range(12)))
        assert sorted(keys) == sorted(f"invoices/{n + 1}" for n in range(12))


class TestMaintenance:
    async def test_the_next_number(self, store):
        assert [await store.maintenance.next_identity_for(name) for name in ("a|", "a", "b")] == [1, 2, 1]
        assert await store.maintenance.get_identities() == {"a|": 2, "b|": 1}

    async def test_seeding_goes_forward_unless_it_is_forced(self, store):
        seed = store.maintenance.seed_identity_for
        assert await seed("a|", 100) == 100
        assert await seed("a", 50) == 100
        assert await save(store, (Invoice(1), "a|")) == "a/101"
        assert await seed("a", 50, force_update=True) == 50
        assert await store.maintenance.next_identity_for("a") == 51

    async def test_another_database(self, store, postgres_url, database):
        other = f"{database}_other"
        try:
            assert await store.maintenance.next_identity_for("a", database=other) == 1
            assert await store.maintenance.seed_identity_for("a", 7, database=other) == 7
            assert await store.maintenance.get_identities(other) == {"a|": 7}
            assert await store.maintenance.get_identities() == {}
        finally:
            await store.maintenance.delete_database(other)

    @pytest.mark.parametrize("value", [-1, 2**63 - 1, 1.0, True, "1"])
    async def test_a_seed_is_a_number(self, store, value):
        with pytest.raises(InvalidArgumentException, match="seeded"):
            await store.maintenance.seed_identity_for("a", value)

    async def test_a_name_is_a_text(self, store):
        with pytest.raises(InvalidArgumentTypeException):
            await store.maintenance.next_identity_for(1)


class TestMissingTables:
    async def test_a_database_of_the_first_revision_gets_the_table_when_it_is_needed(
        self, store, make_store, postgres_url, database
    ):
        await save(store, (Invoice(1), "invoices/x"))
        downgrade(Target(parse_url(postgres_url), database), "0001")
        assert await store.maintenance.get_identities() == {}
        strict = make_store(conventions=DocumentConventions(auto_create=False))
        for use in (
            lambda: save(strict, (Invoice(1), "invoices|")),
            lambda: strict.maintenance.next_identity_for("a"),
            lambda: strict.maintenance.seed_identity_for("a", 1),
            strict.maintenance.get_identities,
        ):
            with pytest.raises(DatabaseDoesNotExistException, match="docsession upgrade"):
                await use()
        assert await save(store, (Invoice(1), "invoices|")) == "invoices/1"
        assert await save(strict, (Invoice(1), "invoices|")) == "invoices/2"

    async def test_a_table_that_somebody_dropped_is_not_made_anew(self, store, postgres_url, database):
        """Nobody knows any more which numbers were given out."""
        await save(store, (Invoice(1), "invoices|"))
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(database, "docsession_identities")))
        with pytest.raises(Exception, match="docsession_identities"):
            await save(store, (Invoice(1), "invoices|"))


class TestLostConnections:
    @pytest.mark.parametrize(("stage", "left_out"), [(Stage.BEFORE_BYTE, 0), (Stage.BEFORE_ANSWER, 1)])
    async def test_a_lost_answer_is_a_gap_at_most(self, make_store, postgres_url, stage, left_out):
        with CuttingProxy(postgres_url) as proxy:
            store = make_store(proxy.url)
            assert await save(store, (Invoice(1), "invoices|")) == "invoices/1"
            proxy.cut_next(stage, containing=b"docsession_identities")
            assert await save(store, (Invoice(1), "invoices|")) == f"invoices/{2 + left_out}"
            assert proxy.cuts == 1

    async def test_a_server_that_is_gone_is_told(self, make_store, postgres_url):
        with CuttingProxy(postgres_url) as proxy:
            store = make_store(proxy.url)
            await save(store, (Invoice(1), "invoices|"))
            proxy.refuse()
            proxy.cut_next(Stage.BEFORE_BYTE, containing=b"docsession_identities")
            with pytest.raises(Exception) as caught:
                await save(store, (Invoice(1), "invoices|"))
            assert caught.value.retryable
            assert not isinstance(caught.value, ConnectionLostException)
