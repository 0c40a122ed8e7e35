"""What is marked `retryable` is gone for certain, and what may have been committed is not marked: real failures."""

import asyncio
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from docsession import (
    ConnectionLostException,
    RavenException,
    RequestTimeoutException,
    UnknownOutcomeException,
)
from tests.support.beside import begin, outsider
from tests.support.documents import read, save
from tests.support.refusals import refused


@dataclass
class Item:
    value: int
    id: str | None = None


WAITING = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ %s"


def end_waiting(url, query):
    """End the server process that waits for a lock in a statement like *query*."""
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute(f"SELECT pg_terminate_backend(pid) {WAITING}", (query,)).fetchall() == [(True,)]


async def two_changed(store, session):
    await save(store, (Item(1), "items/1"), (Item(1), "items/2"))
    for item in (await session.load(["items/1", "items/2"], Item)).values():
        item.value = 2


async def test_a_process_that_is_ended_before_the_commit_has_written_nothing(store, face, postgres_url, database):
    async with store.open_session() as session:
        await two_changed(store, session)
        with outsider(postgres_url, database) as program:
            program.hold("items", "items/2")
            saving = begin(face, session.save_changes)
            await program.until_others_wait()
            end_waiting(postgres_url, database)
            with refused(ConnectionLostException, "nothing was written", cause=psycopg.Error) as caught:
                await saving
        assert caught.value.retryable
        assert caught.value.sqlstate == "57P01"
        assert (await read(store, "items/1", Item)).value == 1
        await session.save_changes()
    assert (await read(store, "items/1", Item)).value == 2


async def test_one_that_is_ended_in_the_commit_may_have_written(store, face, postgres_url, database, rows):
    """It has not, but nobody can tell that from the goodbye: the session asks for the versions."""
    async with store.open_session() as session:
        await two_changed(store, session)
        rows.refuse("items", "value", "2", deferred=True)
        with psycopg.connect(postgres_url) as beside, outsider(postgres_url, database) as program:
            name = sql.Identifier(database, "refuse")
            beside.execute(
                sql.SQL(
                    "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS "
                    "$$BEGIN PERFORM pg_advisory_xact_lock(hashtext({})); RETURN NULL; END$$"
                ).format(name, sql.Literal(database))
            )
            beside.commit()
            program.connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (database,))
            saving = begin(face, session.save_changes)
            with psycopg.connect(postgres_url, autocommit=True) as watcher:
                pids = []
                while not pids:
                    await asyncio.sleep(0.005)
                    pids = watcher.execute(
                        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = "
                        "(hashtext(%s)::bigint & x'ffffffff'::bigint)::oid",
                        (database,),
                    ).fetchall()
                watcher.execute("SELECT pg_terminate_backend(%s)", pids[0])
            with pytest.raises(UnknownOutcomeException) as caught:
                await saving
            assert not caught.value.retryable
            assert caught.value.sqlstate == "57P01"
            program.let_go()
        assert (await read(store, "items/1", Item)).value == 1
        await session.save_changes()
    assert (await read(store, "items/1", Item)).value == 2


@pytest.mark.direct("the URL's `options`, which pgbouncer refuses")
async def test_a_lock_that_does_not_become_free_in_time(store, make_store, postgres_url, database):
    hasty = make_store(make_conninfo(postgres_url, options="-c lock_timeout=300ms"))
    async with hasty.open_session() as session:
        await two_changed(store, session)
        with outsider(postgres_url, database) as program:
            program.hold("items", "items/2")
            with refused(RequestTimeoutException, "repeat it", cause=psycopg.errors.LockNotAvailable) as caught:
                await session.save_changes()
        assert caught.value.retryable
        await session.save_changes()
    assert (await read(store, "items/1", Item)).value == 2


@pytest.mark.direct("the URL's `options`, which pgbouncer refuses")
async def test_a_statement_that_took_too_long_is_not_repeated_by_itself(store, make_store, postgres_url, database):
    hasty = make_store(make_conninfo(postgres_url, options="-c statement_timeout=300ms"))
    async with hasty.open_session() as session:
        await two_changed(store, session)
        with outsider(postgres_url, database) as program:
            program.hold("items", "items/2")
            with refused(RequestTimeoutException, "nothing was written", cause=psycopg.errors.QueryCanceled) as caught:
                await session.save_changes()
        assert not caught.value.retryable


async def test_a_refusal_of_the_data_stays_one(store, rows):
    await save(store, (Item(1), "items/1"))
    rows.refuse("items", "value", "2")
    with refused(RavenException, cause=psycopg.errors.CheckViolation) as caught:
        await save(store, (Item(2), "items/1"), (Item(2), "items/2"))
    assert not caught.value.retryable
