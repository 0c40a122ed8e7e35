"""Indexes wait for transactions, and must not wait for the caller's own."""

import threading
from dataclasses import dataclass

import psycopg
import pytest

from docsession import (
    DocumentConventions,
    DocumentStore,
    Index,
    InvalidOperationException,
    RequestExecutor,
    SessionOptions,
)
from docsession._held import pids_of_caller
from tests.support.documents import save


@dataclass
class Crate:
    town: str
    id: str | None = None


@dataclass
class Lid:
    size: int
    id: str | None = None


@pytest.fixture
def declaring(make_store):
    """A store that declares an index, which the table does not have yet."""
    return make_store(conventions=DocumentConventions(indexes={Crate: [Index(lambda c: c.town, name="by_town")]}))


@pytest.mark.direct("behind pgbouncer it counts before it has, too")
async def test_a_transaction_that_has_used_the_table(make_store, declaring):
    await save(make_store(), Crate("Oslo", "crates/1"), Lid(5, "lids/1"))
    async with declaring.open_session() as session:
        await session.advanced.begin()
        assert await declaring.maintenance.create_indexes(Crate) == ["by_town"], "it has used nothing yet"
        await session.load("crates/1", Crate)
        assert await declaring.maintenance.create_indexes(Crate) == [], "there is nothing to be made"
        dropping = make_store(conventions=DocumentConventions(indexes={Crate: []})).maintenance
        with pytest.raises(InvalidOperationException, match=r"'Crates' waits for .* your own"):
            await dropping.drop_undeclared_indexes(Crate)
        await session.advanced.rollback()
        assert await dropping.drop_undeclared_indexes(Crate) == ["by_town"]


async def test_a_transaction_of_one_moment_is_waited_for_whatever_it_has_used(make_store, declaring):
    await save(make_store(), Crate("Oslo", "crates/1"), Lid(5, "lids/1"))
    options = SessionOptions(isolation_level="repeatable read")
    async with make_store().open_session(session_options=options) as session:
        await session.load("lids/1", Lid)
        with pytest.raises(InvalidOperationException, match="your own"):
            await declaring.maintenance.create_indexes(Crate)
        await session.save_changes()
        assert await declaring.maintenance.create_indexes(Crate) == ["by_town"]


async def test_a_stream(face, make_store, declaring, postgres_url, database):
    await save(make_store(), Crate("Oslo", "crates/1"))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        # More than fits between server and client, so that the server is still at it.
        connection.execute(
            f"INSERT INTO \"{database}\".crates SELECT 'crates/x' || n, jsonb_build_object('town', repeat('x', 1000)), "
            "NULL, 1, now() FROM generate_series(1, 20000) AS n"
        )
    async with declaring.open_session() as session:
        rows = session.query(Crate).stream()
        await anext(rows) if face.is_async else next(rows)
        with pytest.raises(InvalidOperationException, match="leave the stream first"):
            await declaring.maintenance.create_indexes(Crate)
        await rows.aclose() if face.is_async else rows.close()
        assert await declaring.maintenance.create_indexes(Crate) == ["by_town"]


def test_a_transaction_on_the_applications_own_connection(postgres_url, database):
    conventions = DocumentConventions(indexes={Crate: [Index(lambda c: c.town, name="by_town")]})
    with DocumentStore(postgres_url, database=database) as plain, plain.open_session() as session:
        session.store(Crate("Oslo"), "crates/1")
        session.save_changes()
    with (
        DocumentStore(postgres_url, database=database, conventions=conventions) as store,
        psycopg.connect(postgres_url) as connection,
    ):
        options = SessionOptions(request_executor=RequestExecutor.for_connection(connection))
        with store.open_session(session_options=options) as session:
            session.load("crates/1", Crate)
            with pytest.raises(InvalidOperationException, match="your own"):
                store.maintenance.create_indexes(Crate)
            connection.rollback()
            assert store.maintenance.create_indexes(Crate) == ["by_town"]


def test_a_transaction_of_another_thread_is_not_the_callers(postgres_url, database):
    seen = []
    with DocumentStore(postgres_url, database=database) as store, store.open_session() as session:
        session.advanced.begin()
        session.store(Crate("Oslo"), "crates/1")
        session.save_changes()
        thread = threading.Thread(target=lambda: seen.append(pids_of_caller()))
        thread.start()
        thread.join()
        assert (seen, len(pids_of_caller())) == ([[]], 1)
        session.advanced.rollback()
        assert pids_of_caller() == []
