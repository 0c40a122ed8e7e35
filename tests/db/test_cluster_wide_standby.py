"""Cluster-wide sessions with a real primary and a synchronous standby."""

import asyncio
import datetime as dt
import threading

import psycopg
import pytest

from docsession import (
    DocumentConventions,
    InvalidArgumentException,
    PutCompareExchangeValueOperation,
    ReplicationTimeoutException,
    RequestExecutor,
    RequestTimeoutException,
)
from tests.support.cluster_wide import OPTIONS, User, cluster_wide, put, value_of
from tests.support.documents import read, save
from tests.support.executors import run_in_thread
from tests.support.servers import eventually

SHORT = 0.3
WAITING = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


def wait_until_waiting(cluster):
    assert eventually(lambda: cluster.primary.ask(WAITING))


@pytest.fixture
def stores(make_store, cluster, database):
    """A store on the primary that waits for the standby, and one on the standby."""

    def make(timeout=SHORT):
        conventions = DocumentConventions(cluster_wide_timeout=timeout)
        return make_store(cluster.primary_url, conventions=conventions), make_store(cluster.standby_url)

    yield make
    if not cluster.standby.is_running:
        cluster.start_standby()
    cluster.set_synchronous(False)
    cluster.primary.ask(f'DROP SCHEMA IF EXISTS "{database}" CASCADE')


async def test_a_save_waits_for_the_standby_and_is_readable_there_at_once(stores, cluster):
    primary, standby = stores(60)
    cluster.set_synchronous(True)
    await save(primary, (User("first"), "users/0"))
    await put(primary, number=-1)
    async with cluster_wide(primary) as session:
        user = await session.load("users/0", User)
        value = await session.cluster_transaction.get_compare_exchange_value("number")
        for number in range(20):
            user.name = f"{number}"
            value.value = number
            await session.store(User("new"), f"users/new-{number}")
            await session.save_changes()
            assert (await read(standby, "users/0", User)).name == f"{number}"
            assert await read(standby, f"users/new-{number}") is not None
            assert await value_of(standby, "number") == number


async def test_an_ordinary_save_does_not_wait(stores, cluster):
    primary, _ = stores()
    await save(primary, (User("first"), "users/1"))
    cluster.set_synchronous(True)
    cluster.stop_standby()
    await save(primary, (User("second"), "users/2"))
    assert (await read(primary, "users/2", User)).name == "second"


async def test_while_the_standby_is_down_the_waiting_ends_and_the_session_counts_it_as_saved(stores, cluster):
    primary, standby = stores()
    (index,) = await put(primary, changed=1)
    cluster.set_synchronous(True)
    cluster.stop_standby()
    async with cluster_wide(primary) as session:
        await session.store(user := User("Ayende"), "users/1")
        changed = await session.cluster_transaction.get_compare_exchange_value("changed")
        changed.value = 2
        with pytest.raises(ReplicationTimeoutException, match="is committed on the primary") as caught:
            await session.save_changes()
        assert caught.value.code == "ds137"
        assert not caught.value.retryable
        assert not session.advanced.has_changes()
        vector = session.advanced.get_change_vector_for(user)
        assert vector is not None
        assert changed.index > index
        assert (await read(primary, "users/1", User)).name == "Ayende"
        assert await value_of(primary, "changed") == 2

        # It goes on from what it has saved, and what was not confirmed is there when the standby is back.
        cluster.start_standby()
        cluster.wait_for_standby()
        assert (await read(standby, "users/1", User)).name == "Ayende"
        user.name = "Oren"
        changed.value = 3
        await session.save_changes()
        assert (await read(standby, "users/1", User)).name == "Oren"
        assert await value_of(standby, "changed") == 3


async def test_handlers_are_told_of_a_save_that_nobody_confirmed(stores, cluster):
    primary, _ = stores()
    await save(primary, (User("first"), "users/0"))
    cluster.set_synchronous(True)
    cluster.stop_standby()
    saved = []
    async with cluster_wide(primary) as session:
        session.advanced.add_after_save_changes(lambda args: saved.append(args.document_id))
        await session.store(User("Ayende"), "users/1")
        with pytest.raises(ReplicationTimeoutException):
            await session.save_changes()
    assert saved == ["users/1"]


async def test_a_standby_that_comes_back_in_time_ends_the_waiting(stores, cluster):
    primary, standby = stores(60)
    await save(primary, (User("first"), "users/1"))
    cluster.set_synchronous(True)
    cluster.pause_replay()

    def resume():
        wait_until_waiting(cluster)
        cluster.standby.ask("SELECT pg_wal_replay_resume()")

    thread = threading.Thread(target=resume)
    thread.start()
    await save(primary, (User("x"), "users/2"), session_options=OPTIONS)
    thread.join()
    assert (await read(standby, "users/2", User)).name == "x"


async def test_in_a_transaction_of_the_session_the_commit_waits(stores, cluster):
    primary, _ = stores()
    await save(primary, (User("first"), "users/0"))
    cluster.set_synchronous(True)
    cluster.stop_standby()
    async with cluster_wide(primary) as session:
        await session.advanced.begin()
        for key in ("users/1", "users/2"):
            await session.store(User("Ayende"), key)
            await session.save_changes()
        with pytest.raises(ReplicationTimeoutException):
            await session.advanced.commit()
        assert not session.advanced.in_transaction
        assert not session.advanced.has_changes()
        await session.advanced.begin()
        await session.store(User("Ayende"), "users/3")
        await session.save_changes()
        await session.advanced.rollback()
        assert session.advanced.has_changes()
    assert await read(primary, "users/2") is not None
    assert await read(primary, "users/3") is None


async def test_with_an_isolation_level_the_save_waits(stores, cluster):
    primary, _ = stores()
    await save(primary, (User("first"), "users/1"))
    cluster.set_synchronous(True)
    cluster.stop_standby()
    async with cluster_wide(primary, isolation_level="serializable") as session:
        (await session.load("users/1", User)).name = "second"
        with pytest.raises(ReplicationTimeoutException):
            await session.save_changes()
        assert not session.advanced.has_changes()
        assert (await session.load("users/1", User)).name == "second"
    assert (await read(primary, "users/1", User)).name == "second"


async def test_an_operation_of_the_store_waits_too(stores, cluster):
    primary, _ = stores()
    await put(primary, a=1)
    cluster.set_synchronous(True)
    cluster.stop_standby()
    with pytest.raises(ReplicationTimeoutException):
        await primary.operations.send(PutCompareExchangeValueOperation("b", 2, 0))
    assert await value_of(primary, "b") == 2


async def test_on_somebody_elses_connection_in_autocommit_the_save_waits_no_longer(face, stores, cluster):
    primary, _ = stores()
    await save(primary, (User("first"), "users/1"))
    cluster.set_synchronous(True)
    cluster.stop_standby()
    kind = psycopg.AsyncConnection if face.is_async else psycopg.Connection
    connection = kind.connect(cluster.primary_url, autocommit=True)
    connection = await connection if face.is_async else connection
    async with cluster_wide(primary, request_executor=RequestExecutor.for_connection(connection)) as session:
        await session.store(User("second"), "users/2")
        with pytest.raises(ReplicationTimeoutException):
            await session.save_changes()
        assert not session.advanced.has_changes()
        assert (await session.load("users/1", User)).name == "first"
    closed = connection.close()
    if face.is_async:
        await closed
    assert (await read(primary, "users/2", User)).name == "second"


async def test_a_save_that_waits_for_a_lock_is_not_written(stores, cluster, database):
    primary, _ = stores()
    await save(primary, (User("first"), "users/1"))
    with psycopg.connect(cluster.primary_url) as locking:
        locking.execute(f'LOCK TABLE "{database}".users')
        async with cluster_wide(primary) as session:
            await session.store(User("second"), "users/2")
            with pytest.raises(RequestTimeoutException):
                await session.save_changes()
            assert session.advanced.has_changes()
            locking.rollback()
            await session.save_changes()
    assert (await read(primary, "users/2", User)).name == "second"


async def test_a_cancelled_task_gets_its_cancellation_once_the_save_counts(face, stores, cluster):
    if not face.is_async:
        return
    primary, _ = stores(1)
    await save(primary, (User("first"), "users/0"))
    cluster.set_synchronous(True)
    cluster.stop_standby()
    async with cluster_wide(primary) as session:
        await session.store(User("Ayende"), "users/1")
        task = asyncio.ensure_future(session.save_changes())
        await run_in_thread(wait_until_waiting, cluster)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert isinstance(caught.value.__cause__, ReplicationTimeoutException)
        assert not session.advanced.has_changes()


class TestTheConvention:
    def test_it_takes_seconds_or_a_timedelta(self):
        conventions = DocumentConventions()
        assert conventions.cluster_wide_timeout == dt.timedelta(seconds=15)
        for given, expected in [(2, 2), (0.5, 0.5), (dt.timedelta(minutes=1), 60)]:
            conventions.cluster_wide_timeout = given
            assert conventions.cluster_wide_timeout == dt.timedelta(seconds=expected)
        conventions.cluster_wide_timeout = None
        assert conventions.cluster_wide_timeout is None

    @pytest.mark.parametrize(
        "wrong", [0, -1, True, "15", float("nan"), float("inf"), dt.timedelta(0), dt.timedelta(-1)]
    )
    def test_nothing_else(self, wrong):
        with pytest.raises(InvalidArgumentException, match="cluster_wide_timeout"):
            DocumentConventions(cluster_wide_timeout=wrong)

    async def test_it_may_be_set_later(self, store):
        await store.initialize()
        store.conventions.cluster_wide_timeout = 1
