"""Somebody else's connection that leads to another PostgreSQL database than the store's."""

import re
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from docsession import DocumentConventions, TableDoesNotExistException
from tests.conftest import STORES
from tests.support.documents import read, save
from tests.support.faces import Face
from tests.support.hosts import session_on
from tests.support.proxy import Proxy
from tests.support.refusals import refused


@dataclass
class Item:
    value: int
    id: str | None = None


@dataclass
class Other:
    value: int
    id: str | None = None


@pytest.fixture
def store(host_store):
    return host_store


@pytest.fixture(scope="module")
def elsewhere_url(postgres_url):
    """Another PostgreSQL database of the server."""
    name = "docsession_elsewhere"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name}")
        yield make_conninfo(postgres_url, dbname=name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def there(host, elsewhere_url, database, request):
    """A store of the face with the URL of that database."""
    made = Face(host.face).store(elsewhere_url, database=database)
    request.node.stash.setdefault(STORES, []).append(made)
    yield made
    with psycopg.connect(elsewhere_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(database)))


SOME = ["psycopg", "sqlalchemy-async-session", "django"]


@pytest.mark.parametrize("host", SOME, indirect=True)
class TestAnotherDatabase:
    async def test_documents_are_written_and_read_there(self, host, store, there, elsewhere_url):
        await save(there, (Item(1), "items/1"))
        await save(store, (Item(9), "items/1"))
        await host.open(elsewhere_url)
        async with session_on(store, host) as session:
            item = await session.load("items/1", Item)
            assert item.value == 1
            item.value = 2
            await session.store(Item(3), "items/3")
            await session.save_changes()
            assert (await read(there, "items/1", Item)).value == 1
            await host.commit()
        assert [(await read(there, f"items/{i}", Item)).value for i in (1, 3)] == [2, 3]
        assert (await read(store, "items/1", Item)).value == 9

    async def test_ids_are_ordered_by_time_and_need_no_range(self, host, store, there, elsewhere_url):
        await save(there, (Item(1), "items/1"))
        await host.open(elsewhere_url)
        async with session_on(store, host) as session:
            items = [Item(i) for i in range(5)]
            for item in items:
                await session.store(item)
            ids = [item.id for item in items]
            assert ids == sorted(ids)
            assert all(re.fullmatch(r"items/[0-9a-f-]{36}", each) for each in ids)
            await session.save_changes()
            await host.commit()
        assert (await read(there, ids[0], Item)).value == 0

    async def test_a_table_that_is_missing_is_not_made(self, host, store, there, elsewhere_url, database):
        await save(there, (Item(1), "items/1"))
        await host.open(elsewhere_url)
        async with session_on(store, host) as session:
            assert await session.load("others/1", Other) is None
            await session.store(Other(1), "others/1")
            with refused(TableDoesNotExistException, "docsession upgrade", "'others'", "nothing was written"):
                await session.save_changes()
            await save(there, (Other(2), "others/2"))
            await session.save_changes()
            await host.commit()
        assert (await read(there, "others/1", Other)).value == 1

    async def test_a_database_that_is_missing_is_not_made_either(self, host, store, elsewhere_url):
        await host.open(elsewhere_url)
        async with session_on(store, host) as session:
            assert await session.load("items/1", Item) is None
            await session.store(Item(1), "items/1")
            with refused(TableDoesNotExistException, "docsession upgrade"):
                await session.save_changes()

    async def test_a_new_prefix_is_rolled_back_with_the_document(self, host, store, there, elsewhere_url):
        await save(there, (Item(1), "items/1"))
        await host.open(elsewhere_url)
        async with session_on(store, host) as session:
            await session.store(Item(1), "things/1")
            for i in range(2):
                await session.save_changes()
                await host.rollback()
                await session.load(f"items/40{i}")  # any request finds out
                assert session.advanced.has_changes()
            await session.save_changes()
            await host.commit()
        assert (await read(there, "things/1"))["value"] == 1

    async def test_a_rollback_that_only_a_new_prefix_finds_out_is_undone_first(self, host, store, there, elsewhere_url):
        await save(there, (Item(1), "items/1"))
        await host.open(elsewhere_url)
        async with session_on(store, host) as session:
            item = await session.load("items/1", Item)
            item.value = 2
            await session.save_changes()
            await host.rollback()
            await session.store(Item(3), "things/3")
            await session.save_changes()
            await session.store(Item(4), "more/4")
            await session.save_changes()
            await host.commit()
        assert [(await read(there, key, Item)).value for key in ("items/1", "things/3", "more/4")] == [2, 3, 4]

    async def test_identities_are_a_part_of_the_transaction(self, host, store, there, elsewhere_url):
        await save(there, (Item(1), "items|"))
        await host.open(elsewhere_url)
        async with session_on(store, host) as session:
            for i in range(2):
                await session.store(item := Item(i), "items|")
                assert item.id == "items/2"
                await session.save_changes()
                await host.rollback()
                session.advanced.clear()
                await session.load(f"items/40{i}", Item)

    async def test_without_auto_create_a_missing_database_is_told_at_once(
        self, host, elsewhere_url, postgres_url, database
    ):
        store = Face(host.face).store(
            postgres_url, database=database, conventions=DocumentConventions(auto_create=False)
        )
        await host.open(elsewhere_url)
        session = session_on(store, host)
        with pytest.raises(Exception, match="docsession upgrade"):
            await session.load("items/1", Item)
        await session.close()
        await store.close()


@pytest.mark.parametrize("host", SOME, indirect=True)
class TestTheStoresOwnDatabase:
    async def test_a_server_that_was_started_anew_is_still_the_stores(self, host, store, postgres_url):
        await save(store, (Item(1), "items/1"))
        getattr(store, "wrapped", store)._place = ("postgres", "0")  # what it was when the store asked
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            item = Item(2)
            await session.store(item)
            assert item.id == "items/1-A"

    async def test_it_is_known_by_whatever_name_it_is_reached(self, host, store, postgres_url):
        await save(store, (Item(1), "items/1"))
        with Proxy(postgres_url) as proxy:
            await host.open(proxy.url)
            async with session_on(store, host) as session:
                item = Item(2)
                await session.store(item)
                assert item.id == "items/1-A"
                await session.save_changes()
                await host.commit()
        assert (await read(store, "items/1-A", Item)).value == 2
