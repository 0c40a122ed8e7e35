"""Databases are made, listed, counted and dropped; nothing that is not docsession's is touched."""

from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from docsession import (
    DatabaseDoesNotExistException,
    DocumentConventions,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    RavenException,
)
from docsession._sql._schema import build_metadata
from tests.support.documents import read, remove, save


@dataclass
class Company:
    name: str
    id: str | None = None


@dataclass
class Order:
    company: str
    id: str | None = None


@pytest.fixture
def run(postgres_url, database):
    """Run a statement past docsession, with `{}` for the test's schema; returns its rows."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:

        def run(text, *parameters, schema=database):
            cursor = connection.execute(sql.SQL(text).format(sql.Identifier(schema)), parameters or None)
            return cursor.fetchall() if cursor.description else None

        yield run


def tables(run, database):
    rows = run("SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r'", database)
    return sorted(name for (name,) in rows)


class TestCreating:
    async def test_a_database_is_a_schema_with_system_tables(self, store, database, run):
        assert database not in await store.maintenance.get_database_names()
        await store.maintenance.create_database(database)
        assert database in await store.maintenance.get_database_names()
        assert tables(run, database) == sorted([*build_metadata().tables, "docsession_alembic_version"])
        assert await store.maintenance.get_collection_statistics(database) == {}

    async def test_one_that_exists_is_left_as_it_is(self, store, database):
        key = await save(store, Company("x"))
        await store.maintenance.create_database(database)
        assert (await read(store, key, Company)).name == "x"
        assert await save(store, Company("y")) == "companies/2-A"

    async def test_it_is_made_also_where_nothing_is_made_by_itself(self, make_store, database):
        conventions = DocumentConventions()
        conventions.auto_create = False
        store = make_store(conventions=conventions)
        with pytest.raises(DatabaseDoesNotExistException):
            await read(store, "companies/1", Company)
        await store.maintenance.create_database(database)
        assert await read(store, "companies/1", Company) is None
        assert await store.maintenance.get_collection_statistics() == {}

    async def test_a_schema_that_is_there_already_becomes_one(self, store, database, run):
        run("CREATE SCHEMA {}")
        run("CREATE TABLE {}.mine (n int)")
        assert database not in await store.maintenance.get_database_names()
        await store.maintenance.create_database(database)
        await save(store, Company("x"))
        assert database in await store.maintenance.get_database_names()
        assert await store.maintenance.get_collection_statistics() == {"Companies": 1}
        assert run("SELECT count(*) FROM {}.mine") == [(0,)]

    @pytest.mark.parametrize("wrong", [5, None, b"shop", ["shop"], {}])
    async def test_what_is_no_name_is_refused(self, store, wrong):
        with pytest.raises(InvalidArgumentTypeException):
            await store.maintenance.create_database(wrong)
        with pytest.raises(InvalidArgumentException):
            await store.maintenance.delete_database(wrong)
        if wrong is not None:
            with pytest.raises(InvalidArgumentTypeException):
                await store.maintenance.get_collection_statistics(wrong)


class TestListing:
    async def test_names_are_sorted_and_only_those_of_databases(self, store, database, run):
        names = [f"{database}-{end}" for end in ("b", "a", "B", "ä")]
        run("CREATE SCHEMA {}")
        try:
            for name in names:
                await store.maintenance.create_database(name)
            found = [name for name in await store.maintenance.get_database_names() if name.startswith(database)]
            assert found == sorted(names)
        finally:
            for name in names:
                await store.maintenance.delete_database(name)

    async def test_a_store_sees_what_others_made(self, store, make_store, database):
        await save(make_store(), Company("x"))
        assert database in await store.maintenance.get_database_names()


class TestCounting:
    async def test_every_collection_has_its_number_of_documents(self, store, make_store):
        await save(store, *((Company("x"), f"companies/{i}") for i in range(300)), (Order("c"), "orders/1"))
        await remove(store, "companies/0", "companies/1", "orders/1")
        for each in (store, make_store()):
            assert await each.maintenance.get_collection_statistics() == {"Companies": 298, "Orders": 0}

    async def test_a_collection_under_several_prefixes_is_counted_once(self, store):
        await save(store, (Company("x"), "companies/1"), (Company("y"), "firms/1"), (Company("z"), "acme"))
        assert await store.maintenance.get_collection_statistics() == {"Companies": 3}

    async def test_another_database_may_be_named(self, store, database):
        other = f"{database}-other"
        await save(store, Company("x"))
        await save(store, Company("x"), Company("y"), database=other)
        try:
            assert await store.maintenance.get_collection_statistics(other) == {"Companies": 2}
            assert await store.maintenance.get_collection_statistics() == {"Companies": 1}
        finally:
            await store.maintenance.delete_database(other)

    async def test_one_that_does_not_exist_holds_nothing_and_is_not_made(self, store, database):
        assert await store.maintenance.get_collection_statistics(f"{database}-none") == {}
        assert f"{database}-none" not in await store.maintenance.get_database_names()

    async def test_it_is_no_request_of_a_session(self, store):
        async with store.open_session() as session:
            await store.maintenance.get_collection_statistics()
            await store.maintenance.get_database_names()
            assert session.advanced.number_of_requests == 0


class TestDeleting:
    async def test_the_database_is_gone_with_all_that_is_in_it(self, store, database, run):
        await save(store, Company("x"), Order("c"))
        await store.maintenance.delete_database(database)
        assert database not in await store.maintenance.get_database_names()
        assert run("SELECT count(*) FROM pg_namespace WHERE nspname = %s", database) == [(0,)]

    async def test_the_store_forgets_it_and_may_make_it_anew(self, store, database):
        key = await save(store, Company("x"))
        await store.maintenance.delete_database(database)
        assert await read(store, key, Company) is None
        assert await store.maintenance.get_collection_statistics() == {}
        # Numbers begin anew too.
        assert await save(store, Company("y")) == "companies/1-A"
        assert await store.maintenance.get_collection_statistics() == {"Companies": 1}

    async def test_others_are_left_alone(self, store, database):
        other = f"{database}-other"
        await save(store, Company("x"))
        await save(store, Company("x"), database=other)
        await store.maintenance.delete_database(other)
        assert await store.maintenance.get_collection_statistics() == {"Companies": 1}

    async def test_an_open_session_finds_nothing_any_more(self, store, database):
        await save(store, (Company("x"), "companies/1"))
        async with store.open_session() as session:
            company = await session.load("companies/1", Company)
            await store.maintenance.delete_database(database)
            assert await session.load("companies/1", Company) is company
            assert await session.load("companies/2", Company) is None
            company.name = "y"
            with pytest.raises(RavenException, match="Companies"):
                await session.save_changes()
            assert session.advanced.has_changes()

    @pytest.mark.parametrize("name", ["no such database", "", "pg_catalog", "x" * 64, "a\0b", "\ud800"])
    async def test_one_that_does_not_exist_is_refused(self, store, name):
        with pytest.raises(InvalidArgumentException, match="no database"):
            await store.maintenance.delete_database(name)

    async def test_a_schema_that_is_none_is_refused(self, store, database, run):
        run("CREATE SCHEMA {}")
        run("CREATE TABLE {}.mine (n int)")
        with pytest.raises(InvalidArgumentException, match="no database"):
            await store.maintenance.delete_database(database)
        assert tables(run, database) == ["mine"]

    async def test_one_that_holds_tables_of_others_is_refused_and_names_them(self, store, database, run):
        await save(store, (Company("x"), "companies/1"))
        run("CREATE TABLE {}.mine (n int)")
        with pytest.raises(RavenException, match="mine"):
            await store.maintenance.delete_database(database)
        assert (await read(store, "companies/1", Company)).name == "x"
        run("DROP TABLE {}.mine")
        await store.maintenance.delete_database(database)

    async def test_indexes_and_columns_that_users_added_go_with_the_tables(self, store, database, run):
        await save(store, (Company("x"), "companies/1"))
        run("CREATE INDEX ON {}.companies ((data ->> 'name'))")
        run("ALTER TABLE {}.companies ADD COLUMN note text")
        await store.maintenance.delete_database(database)
        assert database not in await store.maintenance.get_database_names()


async def test_the_schema_public_is_never_dropped(store):
    with pytest.raises(InvalidArgumentException, match="public"):
        await store.maintenance.delete_database("public")
