"""A commit that waits for a standby, and what ends the waiting."""

import asyncio
import threading

import pytest

from docsession._errors import RequestTimeoutException
from docsession._port import Request
from tests.support.executors import Table, read, run_in_thread, statement

REMOTE_APPLY = (("synchronous_commit", "remote_apply"),)
SHORT = 0.3


@pytest.fixture
def table(cluster):
    """A table on the primary."""
    table = Table(cluster.primary_url, "commit_timeout")
    yield table
    if not cluster.standby.is_running:
        cluster.start_standby()
    table.close()


def commit(*statements, timeout=SHORT):
    return Request(statements, write=True, settings=REMOTE_APPLY, commit_timeout=timeout)


def is_at_standby(cluster, table, key):
    return cluster.standby.ask(f"SELECT count(*) FROM {table.name} WHERE id = %s", key) == 1


async def test_a_commit_that_a_standby_confirms_is_at_the_standby_at_once(cluster, table, make_executor):
    cluster.set_synchronous(True)
    executor = make_executor(cluster.primary_url)
    for i in range(20):
        request = commit(table.insert(f"a{i}"), timeout=30)
        assert await executor.run(request) == [[(0,)]]
        assert not request.unconfirmed
        assert is_at_standby(cluster, table, f"a{i}")


async def test_the_setting_is_that_of_one_transaction(cluster, table, make_executor):
    executor = make_executor(cluster.primary_url, max_size=1)
    request = commit(statement("SHOW synchronous_commit"), table.insert("a"))
    rows, _ = await executor.run(request)
    assert rows == [("remote_apply",)]
    assert await read(executor, "SHOW synchronous_commit") == [("local",)]


async def test_without_a_standby_nobody_is_waited_for(cluster, table, make_executor):
    request = commit(table.insert("a"), timeout=None)
    await make_executor(cluster.primary_url).run(request)
    assert not request.unconfirmed


async def test_the_waiting_ends_and_the_transaction_stays(cluster, table, make_executor):
    cluster.set_synchronous(True)
    cluster.stop_standby()
    executor = make_executor(cluster.primary_url, max_size=1)
    request = commit(table.insert("a", 7))
    assert await executor.run(request) == [[(7,)]]
    assert request.unconfirmed
    assert table.ids() == ["a"]
    cluster.start_standby()
    cluster.wait_for_standby()
    assert is_at_standby(cluster, table, "a")
    assert await read(executor, "SELECT 1") == [(1,)]


async def test_the_same_at_the_end_of_a_longer_transaction(cluster, table, make_executor):
    cluster.set_synchronous(True)
    cluster.stop_standby()
    transaction = make_executor(cluster.primary_url).begin()
    await transaction.run(Request([table.insert("a")], write=True, settings=REMOTE_APPLY))
    request = Request((), write=True, commit_timeout=SHORT)
    await transaction.commit(request)
    assert request.unconfirmed
    assert table.ids() == ["a"]


async def test_what_is_cancelled_before_it_commits_has_done_nothing(cluster, table, make_executor):
    executor = make_executor(cluster.primary_url)
    table.connection.execute("BEGIN")
    table.connection.execute(f"LOCK TABLE {table.name}")
    with pytest.raises(RequestTimeoutException) as caught:
        await executor.run(commit(statement("SELECT 1"), table.insert("a")))
    assert caught.value.sqlstate == "57014"
    table.connection.execute("ROLLBACK")
    assert table.ids() == []
    assert await read(executor, "SELECT 1") == [(1,)]


async def test_somebody_else_may_end_the_waiting(cluster, table, make_executor):
    cluster.set_synchronous(True)
    cluster.stop_standby()
    executor = make_executor(cluster.primary_url)
    query = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

    def cancel():
        table.wait_for(query)
        table.one("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")

    thread = threading.Thread(target=cancel)
    thread.start()
    request = commit(table.insert("a"), timeout=60)
    await executor.run(request)
    await run_in_thread(thread.join)
    assert request.unconfirmed


async def test_a_warning_of_the_users_own_is_none_about_a_standby(cluster, table, make_executor):
    request = commit(statement("DO $$ BEGIN RAISE WARNING 'synchronous replication'; END $$"), table.insert("a"))
    await make_executor(cluster.primary_url).run(request)
    assert not request.unconfirmed


async def test_a_task_that_is_cancelled_meanwhile_has_its_answer_first(face, cluster, table, make_executor):
    if not face.is_async:
        return
    cluster.set_synchronous(True)
    cluster.stop_standby()
    executor = make_executor(cluster.primary_url)
    request = commit(table.insert("a"), timeout=1)
    task = asyncio.ensure_future(executor.run(request))
    await run_in_thread(table.wait_for, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    task.cancel()
    assert await task == [[(0,)]]
    assert request.cancelled
    assert request.unconfirmed
