"""A schema that is older or newer than the library, on a real database."""

import logging
import uuid
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from docsession import DocumentConventions, IncompatibleSchemaException


@dataclass
class Company:
    name: str
    id: str | None = None


@pytest.fixture
def server(postgres_url):
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def stamp(server, database):
    """Write a revision into the test's database."""

    def write(revision):
        table = sql.Identifier(database, "docsession_alembic_version")
        server.execute(sql.SQL("UPDATE {} SET version_num = %s").format(table), [revision])

    return write


async def use(make_store, **options):
    store = make_store(**options)
    async with store.open_session() as session:
        await session.store(Company(name="Hibernating Rhinos"), "companies/1")
        await session.save_changes()
        return session.advanced.number_of_requests


async def test_an_older_one_goes_on_working_and_is_told_once(make_store, stamp, caplog):
    requests = await use(make_store)
    stamp("0001")
    with caplog.at_level(logging.WARNING, logger="docsession"):
        assert await use(make_store) == requests
    [line] = [record.getMessage() for record in caplog.records if record.name == "docsession"]
    assert "older than" in line
    assert "docsession upgrade" in line


async def test_a_newer_one_that_only_adds_goes_on_working(make_store, stamp, caplog):
    await use(make_store)
    stamp("0099")
    with caplog.at_level(logging.WARNING, logger="docsession"):
        await use(make_store)
    [line] = [record.getMessage() for record in caplog.records if record.name == "docsession"]
    assert "newer than" in line


async def test_one_of_another_generation_is_refused_before_anything_is_written(make_store, stamp, server, database):
    await use(make_store)
    stamp("0101")
    with pytest.raises(IncompatibleSchemaException, match="install that version"):
        await use(make_store)
    table = sql.Identifier(database, "companies")
    assert server.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone() == (1,)


@pytest.mark.direct("the URL's `options`, which pgbouncer refuses")
async def test_a_role_that_may_not_read_the_revision_works_all_the_same(
    make_store, stamp, server, database, postgres_url, caplog
):
    await use(make_store)
    stamp("0101")
    role = f"role_{uuid.uuid4().hex}"
    server.execute(f"CREATE ROLE {role}".encode())
    try:
        server.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(database), sql.Identifier(role)))
        for table in ("docsession_collections", "docsession_hilo", "companies"):
            name = sql.Identifier(database, table)
            grant = sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {}")
            server.execute(grant.format(name, sql.Identifier(role)))
        url = make_conninfo(postgres_url, options=f"-c role={role}")
        with caplog.at_level(logging.WARNING, logger="docsession"):
            store = make_store(url, conventions=DocumentConventions(auto_create=False))
            async with store.open_session() as session:
                assert await session.load("companies/1", Company) is not None
        assert [record for record in caplog.records if record.name == "docsession"] == []
    finally:
        server.execute(f"DROP OWNED BY {role}".encode())
        server.execute(f"DROP ROLE {role}".encode())
