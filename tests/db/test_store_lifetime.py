"""What a store leaves behind: connections, exit handlers, locks in forked children."""

import asyncio
import atexit
import os
import signal
import threading
import uuid
from dataclasses import dataclass

import psycopg
import pytest

from docsession import AsyncDocumentStore, DocumentStore


@dataclass
class User:
    name: str
    id: str | None = None


@dataclass
class Late:
    """Used by the child alone."""

    name: str
    id: str | None = None


@pytest.fixture
def application():
    """A name that tells the connections of one test from all others."""
    return f"lifetime-{uuid.uuid4().hex[:10]}"


def connections(url, application):
    """How many connections there are, waiting a little for the last one to go."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(200):
            (count,) = connection.execute(query, (application,)).fetchone()
            if count == 0:
                break
            connection.execute("SELECT pg_sleep(0.01)")
        return count


@pytest.mark.direct("counts connections to the server")
def test_an_async_store_is_closed_in_a_second_event_loop(postgres_url, database, application):
    store = AsyncDocumentStore(postgres_url, database=database, application_name=application)

    async def use():
        async with store.open_session() as session:
            await session.store(User("a"))
            await session.save_changes()

    asyncio.run(use())
    asyncio.run(store.close())
    assert store.disposed
    assert connections(postgres_url, application) == 0
    asyncio.run(store.close())


async def test_closing_twice_is_no_trouble(store):
    async with store.open_session() as session:
        await session.store(User("a"))
        await session.save_changes()
    await store.close()
    await store.close()
    assert store.disposed


def test_a_closed_store_leaves_no_exit_handler(postgres_url, database, monkeypatch):
    registered = []
    monkeypatch.setattr(atexit, "register", registered.append)
    monkeypatch.setattr(atexit, "unregister", registered.remove)
    with DocumentStore(postgres_url, database=database) as store:
        with store.open_session() as session:
            session.store(User("a"))
            session.save_changes()
        assert len(registered) == 1
    assert registered == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("lock", ["store", "mappings"])
def test_a_child_is_not_stopped_by_a_lock_that_a_thread_of_its_parent_held(postgres_url, database, rows, lock):
    with DocumentStore(postgres_url, database=database) as store:
        with store.open_session() as session:
            session.store(User("a"), "users/1")
            session.save_changes()
        held, done = threading.Event(), threading.Event()

        def hold():
            with store._lock if lock == "store" else store._mappings._lock:
                held.set()
                done.wait(20)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(10)
                with store.open_session(f"{database}_child") as session:
                    assert session.load("users/1", User) is None
                with store.open_session() as session:
                    session.store(Late("b"), "lates/1")
                    session.save_changes()
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        done.set()
        thread.join()
        assert status == 0
        with store.open_session() as session:
            assert session.load("lates/1", Late).name == "b"
    assert rows.ids("lates") == ["lates/1"]


@pytest.mark.direct("counts connections to the server")
def test_an_async_store_may_be_closed_by_what_an_event_loop_closes_last(postgres_url, database, application):
    """The loop has cancelled the pool's tasks by then; no connection is left all the same."""
    kept = []

    async def closing(store):
        try:
            yield
        finally:
            await store.close()

    async def main():
        store = AsyncDocumentStore(postgres_url, database, application_name=application)
        async with store.open_session() as session:
            await session.store(User("Ann"))
            await session.save_changes()
        kept.append(closing(store))
        await anext(kept[0])

    asyncio.run(main())

    assert connections(postgres_url, application) == 0
