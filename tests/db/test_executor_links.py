"""Links that break, servers that cannot be reached, pools that run dry, cancellation, forks and event loops."""

import _thread
import asyncio
import socket
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager, suppress

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from docsession._errors import (
    AuthenticationException,
    ConnectionFailedException,
    ConnectionLostException,
    DatabaseDoesNotExistException,
    EventLoopException,
    InvalidArgumentException,
    PoolTimeoutException,
    StoreClosedException,
    UnknownOutcomeException,
)
from docsession._executors._async import AsyncExecutor
from docsession._executors._blocking import BlockingExecutor
from docsession._executors._psycopg import PoolSettings
from docsession._executors._translate import TooManyConnectionsException
from docsession._faces._run import run
from docsession._port import Request
from tests.support.executors import PID, pid_of, read, run_in_thread, settings, statement, write
from tests.support.proxy import Proxy, Stage

SECRET = "s3cr3t-p4ss"
BYTES = [0, 1, 40, 150]
MESSAGES = range(17)
"""A transaction of two statements is four times Parse, Bind, Describe, Execute, and then Sync."""


LONG = 60
"""Seconds that a pool waits, and a statement takes, where the test is that nobody waits for it."""


@contextmanager
def at_once():
    """Not by waiting LONG."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < LONG / 2


class TestLostWrites:
    async def lose(self, executor, table, **request):
        statements = [table.insert("a"), table.insert("b")] if request["transaction"] else [table.insert("a")]
        with pytest.raises(UnknownOutcomeException) as caught:
            await executor.run(Request(statements, write=True, **request))
        assert isinstance(caught.value.__cause__, psycopg.OperationalError)
        assert not caught.value.retryable
        assert table.ids() in ([], ["a", "b"] if request["transaction"] else ["a"])
        await write(executor, table.insert("c"))
        assert table.ids()[-1] == "c"

    @pytest.mark.parametrize("transaction", [True, False])
    @pytest.mark.parametrize("n", BYTES)
    async def test_before_the_server_has_it(self, proxy, make_executor, table, n, transaction):
        executor = make_executor(proxy.url)
        await read(executor, "SELECT 1")
        proxy.cut_next(Stage.BEFORE_BYTE, n, containing=b"INSERT")
        await self.lose(executor, table, transaction=transaction)
        assert "a" not in table.ids()

    @pytest.mark.parametrize("n", MESSAGES)
    async def test_when_the_server_has_a_part_of_its_messages(self, proxy, make_executor, table, n):
        executor = make_executor(proxy.url)
        await read(executor, "SELECT 1")
        proxy.cut_next(Stage.AFTER_MESSAGES, n, containing=b"INSERT")
        await self.lose(executor, table, transaction=True)

    @pytest.mark.parametrize("transaction", [True, False])
    async def test_when_the_server_has_committed_it(self, proxy, make_executor, table, transaction):
        executor = make_executor(proxy.url)
        await read(executor, "SELECT 1")
        proxy.cut_next(Stage.BEFORE_ANSWER, containing=b"INSERT")
        await self.lose(executor, table, transaction=transaction)
        assert "a" in table.ids()

    @pytest.mark.parametrize("n", [1, 5, 30, 60])
    async def test_in_the_middle_of_the_answer(self, proxy, make_executor, table, n):
        executor = make_executor(proxy.url)
        await read(executor, "SELECT 1")
        proxy.cut_next(Stage.INSIDE_ANSWER, n, containing=b"INSERT")
        await self.lose(executor, table, transaction=True)
        assert "a" in table.ids()

    async def test_after_the_answer_it_is_no_loss(self, proxy, make_executor, table):
        executor = make_executor(proxy.url)
        await read(executor, "SELECT 1")
        proxy.cut_next(Stage.AFTER_ANSWER, containing=b"INSERT")
        assert await write(executor, table.insert("a", 1), table.insert("b", 2)) == [[(1,)], [(2,)]]
        proxy.wait_for_cut()
        await write(executor, table.insert("c"))
        assert table.ids() == ["a", "b", "c"]

    @pytest.mark.parametrize(
        ("transaction", "expected"), [(True, ConnectionLostException), (False, UnknownOutcomeException)]
    )
    async def test_a_server_that_says_goodbye_before_the_commit_has_written_nothing(
        self, make_executor, table, transaction, expected
    ):
        name = f"goodbye-{uuid.uuid4().hex[:8]}"
        executor = make_executor(application_name=name, timeout=LONG)
        slow = statement(f"INSERT INTO {table.name} SELECT $1, 1 FROM pg_sleep({LONG})", "slow")

        def terminate():
            query = "SELECT count(pg_terminate_backend(pid)) = 1 FROM pg_stat_activity"
            table.wait_for(f"{query} WHERE application_name = %s AND wait_event = 'PgSleep'", name)

        ending = asyncio.ensure_future(run_in_thread(terminate))
        await asyncio.sleep(0.01)
        with pytest.raises(ConnectionLostException) as caught:
            await executor.run(
                Request([slow, table.insert("b")] if transaction else [slow], transaction=transaction, write=True)
            )
        await ending
        assert type(caught.value) is expected
        assert caught.value.sqlstate == "57P01"
        assert table.ids() == []

    @pytest.mark.parametrize("n", [0, 1, 5])
    @pytest.mark.parametrize("transaction", [False, True])
    async def test_what_a_pooler_says_at_the_end_tells_nothing_of_the_server(
        self, proxy, make_executor, table, transaction, n
    ):
        executor = make_executor(proxy.url)
        await read(executor, "SELECT 1")
        proxy.cut_next(Stage.POOLER, n, containing=b"INSERT")
        await self.lose(executor, table, transaction=transaction)
        assert "a" in table.ids()


class TestLostReads:
    @pytest.mark.parametrize(
        ("stage", "n"),
        [(Stage.BEFORE_BYTE, 0), (Stage.BEFORE_ANSWER, 0), (Stage.INSIDE_ANSWER, 10), (Stage.AFTER_ANSWER, 0)],
    )
    @pytest.mark.parametrize("count", [1, 3])
    async def test_a_read_is_sent_again_on_another_connection(self, proxy, make_executor, stage, n, count):
        executor = make_executor(proxy.url)
        await read(executor, "SELECT 1")
        proxy.cut_next(stage, n, containing=b"lost")
        results = await executor.run(Request([statement("SELECT $1, 'lost'", i) for i in range(count)]))
        assert results == [[(i, "lost")] for i in range(count)]
        proxy.wait_for_cut()
        assert proxy.cuts == 1

    async def test_a_read_that_is_lost_twice_is_an_error(self, postgres_url, make_executor):
        class Cutting(Proxy):
            def from_client(self, link, data):
                if b"lost" in data:
                    link.cut()
                super().from_client(link, data)

        with Cutting(postgres_url) as proxy:
            executor = make_executor(proxy.url)
            with pytest.raises(ConnectionLostException, match="twice") as caught:
                await read(executor, "SELECT 'lost'")
            assert type(caught.value) is ConnectionLostException
            assert await read(executor, "SELECT 1") == [(1,)]
            await executor.close()

    async def test_a_stream_is_not_repeated(self, proxy, make_executor):
        executor = make_executor(proxy.url)
        await read(executor, "SELECT 1")
        proxy.cut_next(Stage.INSIDE_ANSWER, 2000, containing=b"generate_series")
        with pytest.raises(ConnectionLostException):
            async for _ in executor.stream(statement("SELECT i FROM generate_series(1, 100000) i"), 10):
                pass
        assert await read(executor, "SELECT 1") == [(1,)]


class TestStaleConnections:
    @pytest.mark.direct("ends connections to the server")
    async def test_connections_that_the_server_closed_meanwhile_are_not_used_for_a_write(self, make_executor, table):
        name = f"stale-{uuid.uuid4().hex[:8]}"
        executor = make_executor(application_name=name, min_size=4)
        await read(executor, "SELECT 1")
        await run_in_thread(
            table.wait_for, "SELECT count(*) >= 5 FROM pg_stat_activity WHERE application_name = %s", name
        )
        assert table.terminate(name) >= 5
        with at_once():
            await write(executor, table.insert("a"))
        assert table.ids() == ["a"]

    async def test_a_notice_that_came_meanwhile_does_no_harm(self, make_executor, table):
        executor = make_executor(max_size=1)
        await read(executor, "LISTEN docsession_test")
        pid = await pid_of(executor)
        table.connection.execute("NOTIFY docsession_test")
        await asyncio.sleep(0.05)
        assert await pid_of(executor) == pid


class TestUnreachable:
    """The reason is given at once, not after what a pool waits, on the first use and later, and holds no password."""

    async def fail(self, executor, expected, match=None):
        for _ in range(2):
            with at_once(), pytest.raises(expected, match=match) as caught:
                await read(executor, "SELECT 1")
            assert isinstance(caught.value.__cause__, psycopg.Error)
            assert caught.value.__cause__.pgconn is None
            assert SECRET not in f"{caught.value}{caught.value!r}{caught.value.__cause__}{executor!r}"
        with at_once(), pytest.raises(expected, match=match):
            await executor.run_apart(lambda: Request([PID]))

    async def test_no_server_at_all(self, make_executor):
        await self.fail(
            make_executor(f"postgresql://ann:{SECRET}@127.0.0.1:1/shop", timeout=LONG),
            ConnectionFailedException,
            "127.0.0.1:1",
        )
        await self.fail(make_executor("host=/nowhere dbname=shop", timeout=LONG), ConnectionFailedException, "/nowhere")

    async def test_a_host_that_does_not_exist(self, make_executor):
        with pytest.raises(ConnectionFailedException):
            await read(make_executor("postgresql://nowhere.invalid/shop"), "SELECT 1")

    @pytest.mark.direct("pgbouncer looks for the database only for the first request")
    async def test_no_such_database(self, make_executor):
        executor = make_executor(conninfo={"dbname": "no_such_database"}, timeout=LONG)
        await self.fail(executor, DatabaseDoesNotExistException, "no_such_database")

    async def test_a_role_that_does_not_exist_or_a_wrong_password(self, make_executor, postgres_url):
        executor = make_executor(conninfo={"user": "no_such_role", "password": SECRET}, timeout=LONG)
        await self.fail(executor, AuthenticationException, "no_such_role")
        wrong = conninfo_to_dict(postgres_url) | {"password": SECRET}
        with suppress(psycopg.OperationalError), psycopg.connect(**wrong):
            return  # this server asks for no password
        await self.fail(make_executor(conninfo={"password": SECRET}, timeout=LONG), AuthenticationException)

    async def test_a_server_that_never_answers(self, make_executor):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            executor = make_executor(f"postgresql://ann@127.0.0.1:{port}/shop", connect_timeout=2, timeout=LONG)
            with at_once(), pytest.raises(ConnectionFailedException, match="timeout"):
                await read(executor, "SELECT 1")

    async def test_a_server_that_goes_away_and_comes_back(self, proxy, make_executor, caplog):
        executor = make_executor(proxy.url, timeout=LONG)
        await read(executor, "SELECT 1")
        for _ in range(2):
            proxy.refuse()
            proxy.cut_all()
            for _ in range(3):
                with at_once(), pytest.raises(ConnectionFailedException) as caught:
                    await read(executor, "SELECT 1")
                assert not isinstance(caught.value, PoolTimeoutException)
            proxy.refuse(False)
            for _ in range(3):
                with at_once():
                    assert await read(executor, "SELECT 1") == [(1,)]
        password = conninfo_to_dict(proxy.url).get("password")
        assert password is None or password not in caplog.text

    @pytest.mark.direct("a limit on connections to the server")
    async def test_a_server_that_has_no_connection_left_while_the_pools_still_do(self, make_executor, table):
        role = f"r{uuid.uuid4().hex[:10]}"
        table.connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x' CONNECTION LIMIT 2")
        try:
            executor = make_executor(conninfo={"user": role, "password": "x"}, max_size=5)
            await read(executor, "SELECT 1")
            slow = Request([statement("SELECT pg_sleep(0.1)")])
            if isinstance(executor, AsyncExecutor):
                await asyncio.gather(*(executor.run(slow) for _ in range(4)))
            else:
                await asyncio.gather(*(run_in_thread(run, executor.run(slow)) for _ in range(4)))
            await executor.close()
            table.wait_for("SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = %s", role)
        finally:
            table.connection.execute(f"DROP ROLE {role}")


class TestPool:
    async def test_an_exhausted_pool_says_what_to_do(self, make_executor):
        executor = make_executor(max_size=1, timeout=1.5)
        rows = executor.stream(statement("SELECT i FROM generate_series(1, 100000) i"), 10)
        await anext(rows)
        told = r"exhausted: none of its 1 connections \(max_size 1\) became free within 1.5 s\. "
        with at_once(), pytest.raises(PoolTimeoutException, match=told):
            await read(executor, "SELECT 1")
        await rows.aclose()
        assert await read(executor, "SELECT 1") == [(1,)]

    def test_a_server_that_has_no_more_connections_is_told(self):
        pool = PoolSettings(conninfo={})
        assert "Close streams" in str(pool.exhausted(10, None))
        refused = pool.exhausted(3, TooManyConnectionsException("no connection left"))
        assert "none of its 3 connections (max_size 10)" in str(refused)
        assert "PostgreSQL has refused to open more" in str(refused)

    async def test_a_connection_that_becomes_free_in_time_is_taken(self, make_executor):
        executor = make_executor(max_size=1, timeout=LONG)
        if isinstance(executor, AsyncExecutor):
            slow = [executor.run(Request([statement("SELECT pg_sleep(0.2)")])) for _ in range(4)]
        else:
            slow = [run_in_thread(run, executor.run(Request([statement("SELECT pg_sleep(0.2)")]))) for _ in range(4)]
        results = await asyncio.gather(*slow)
        assert len(results) == 4

    async def test_threads_share_a_small_pool(self, postgres_url, table):
        executor = BlockingExecutor(settings(postgres_url, max_size=3))
        found = []

        def work(i):
            for j in range(20):
                run(write(executor, table.insert(f"{i}/{j}")))
                found.append(run(read(executor, "SELECT $1", i * 100 + j))[0][0])

        threads = [threading.Thread(target=work, args=(i,)) for i in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        await executor.close()
        assert sorted(found) == sorted(i * 100 + j for i in range(10) for j in range(20))
        assert len(table.ids()) == 200

    async def test_tasks_share_a_small_pool(self, postgres_url):
        executor = AsyncExecutor(settings(postgres_url, max_size=3))
        results = await asyncio.gather(*(read(executor, "SELECT $1", i) for i in range(100)))
        await executor.close()
        assert results == [[(i,)] for i in range(100)]

    @pytest.mark.parametrize(
        "options",
        [
            {"min_size": -1},
            {"min_size": 3, "max_size": 2},
            {"min_size": 0, "max_size": 0},
            {"timeout": 0},
            {"timeout": float("inf")},
            {"timeout": float("nan")},
            {"max_idle": -1},
            {"max_lifetime": 0},
            {"connect_timeout": 0},
            {"prepare_threshold": -1},
            {"prepared_max": 0},
        ],
    )
    def test_settings_out_of_range_are_refused_by_name(self, options):
        with pytest.raises(InvalidArgumentException, match=next(iter(options))):
            PoolSettings(conninfo={}, **options)

    def test_settings_do_not_show_the_password(self):
        shown = PoolSettings(
            conninfo={"host": "a,b", "port": "1,", "user": "ann", "password": SECRET, "dbname": "shop"}
        )
        assert SECRET not in repr(shown)
        assert shown.place == "a:1, b:5432, database 'shop' as 'ann'"
        assert repr(BlockingExecutor(shown)) == "<BlockingExecutor to a:1, b:5432, database 'shop' as 'ann'>"
        assert repr(AsyncExecutor(shown)) == "<AsyncExecutor to a:1, b:5432, database 'shop' as 'ann'>"


class TestCancellation:
    """Async only."""

    async def test_a_write_that_was_sent_is_finished_first(self, postgres_url, table):
        executor = AsyncExecutor(settings(postgres_url))
        await read(executor, "SELECT 1")
        request = Request([table.insert("a", 7)], transaction=True, write=True)
        with table.locked() as until_it_waits:
            task = asyncio.ensure_future(executor.run(request))
            await run_in_thread(until_it_waits)
            assert request.sent
            for _ in range(3):
                task.cancel()
                await asyncio.sleep(0.01)
        assert await task == [[(7,)]]
        assert request.cancelled
        assert table.ids() == ["a"]
        await executor.close()

    async def test_a_write_that_fails_after_it_was_cancelled_says_so(self, postgres_url, table):
        executor = AsyncExecutor(settings(postgres_url))
        await read(executor, "SELECT 1")
        request = Request([table.insert("a"), statement("SELECT 1 / $1", 0)], transaction=True, write=True)
        with table.locked() as until_it_waits:
            task = asyncio.ensure_future(executor.run(request))
            await run_in_thread(until_it_waits)
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(Exception, match="22012"):
            await task
        assert request.cancelled
        await executor.close()

    async def test_waiting_for_a_connection_ends_at_once_and_nothing_is_sent(self, postgres_url, table):
        executor = AsyncExecutor(settings(postgres_url, max_size=1, timeout=LONG))
        rows = executor.stream(statement("SELECT i FROM generate_series(1, 100000) i"), 10)
        await anext(rows)
        request = Request([table.insert("a")], write=True)
        with at_once(), pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await executor.run(request)
        assert not request.sent
        assert not request.cancelled
        await rows.aclose()
        assert await read(executor, "SELECT 1") == [(1,)]
        assert table.ids() == []
        await executor.close()

    @pytest.mark.parametrize("count", [1, 3])
    async def test_a_read_ends_at_once_on_the_server_too(self, postgres_url, table, count):
        name = f"cancel-{uuid.uuid4().hex[:8]}"
        executor = AsyncExecutor(settings(postgres_url, max_size=1, application_name=name))
        pid = await pid_of(executor)
        with at_once(), pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await executor.run(Request([statement(f"SELECT pg_sleep({LONG})")] * count))
        with at_once():
            assert await pid_of(executor) == pid
        await executor.close()

    async def test_a_range_of_ids_too(self, postgres_url):
        executor = AsyncExecutor(settings(postgres_url, max_size=1))
        with at_once(), pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await executor.run_apart(
                    lambda: Request([statement(f"SELECT pg_sleep({LONG})")], transaction=True, write=True)
                )
        with at_once():
            assert await executor.run_apart(lambda: Request([statement("SELECT 1")])) == [[(1,)]]
        await executor.close()

    def test_ctrl_c_ends_a_blocking_read_and_the_executor_goes_on(self, postgres_url, table):
        name = f"ctrl-c-{uuid.uuid4().hex[:8]}"
        executor = BlockingExecutor(settings(postgres_url, max_size=1, application_name=name))
        run(read(executor, "SELECT 1"))

        def press():
            query = "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = %s AND wait_event = 'PgSleep'"
            table.wait_for(query, name)
            _thread.interrupt_main()

        thread = threading.Thread(target=press)
        with at_once(), pytest.raises(KeyboardInterrupt):
            thread.start()
            run(read(executor, f"SELECT pg_sleep({LONG})"))
        thread.join()
        with at_once():
            assert run(read(executor, "SELECT 1")) == [(1,)]
        run(executor.close())


class TestEventLoops:
    def test_another_loop_gets_an_error_instead_of_a_hang(self, postgres_url):
        executor = AsyncExecutor(settings(postgres_url))

        async def other():
            with pytest.raises(EventLoopException, match="belongs to the event loop"):
                await read(executor, "SELECT 1")
            with pytest.raises(EventLoopException):
                await executor.run_apart(lambda: Request([PID]))
            with pytest.raises(EventLoopException):
                await anext(executor.stream(PID, 1))

        async def first():
            assert await read(executor, "SELECT 1") == [(1,)]
            await run_in_thread(asyncio.run, other())
            await executor.close()

        asyncio.run(first())

    def test_a_store_that_outlives_its_loop_can_be_closed(self, postgres_url):
        executor = AsyncExecutor(settings(postgres_url))

        async def first():
            await read(executor, "SELECT 1")
            # What a loop that ends would complain about is not this test's matter.
            await executor._connections.close()

        asyncio.run(first())
        asyncio.run(executor.close())
        with pytest.raises(StoreClosedException):
            asyncio.run(read(executor, "SELECT 1"))

    async def test_tasks_take_the_connection_apart_one_after_the_other(self, postgres_url):
        executor = AsyncExecutor(settings(postgres_url))
        made = []

        def make():
            if made:
                return None
            made.append(1)
            return Request([statement("SELECT pg_sleep(0.05)")])

        results = await asyncio.gather(*(executor.run_apart(make) for _ in range(5)))
        assert sorted(map(len, results)) == [0, 0, 0, 0, 1]
        await executor.close()

    def test_threads_take_the_connection_apart_one_after_the_other(self, postgres_url, table):
        executor = BlockingExecutor(settings(postgres_url))
        inside = []

        def make():
            inside.append(table.ids())
            if len(inside) > 1:
                return None
            return Request([statement("SELECT pg_sleep(0.05)"), table.insert("a")], transaction=True, write=True)

        found = []
        threads = [threading.Thread(target=lambda: found.append(len(run(executor.run_apart(make))))) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        run(executor.close())
        # The one that worked is not overtaken by those that found nothing left to do.
        assert inside == [[], ["a"], ["a"], ["a"], ["a"]]
        assert sorted(found) == [0, 0, 0, 0, 2]


PROCESS = """
import asyncio, os, sys
from docsession._executors._async import AsyncExecutor
from docsession._executors._blocking import BlockingExecutor
from docsession._executors._psycopg import PoolSettings
from docsession._executors._translate import TooManyConnectionsException
from docsession._executors._url import parse_url
from docsession._port import Request, Statement
from docsession._faces._run import run
PID = Statement(b"SELECT pg_backend_pid()")
SETTINGS = PoolSettings(conninfo=parse_url(sys.argv[1]), max_size=1)
def ask(executor):
    return run(executor.run(Request([PID])))[0][0][0]
def ask_apart(executor):
    return run(executor.run_apart(lambda: Request([PID])))[0][0][0]
"""


def run_python(code, postgres_url):
    result = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore:This process:DeprecationWarning",
            "-c",
            PROCESS + code,
            postgres_url,
        ],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


class TestProcesses:
    @pytest.mark.direct("which connections they are")
    def test_a_forked_child_makes_its_own_connections_and_leaves_the_parents_alone(self, postgres_url):
        out = run_python(
            """
executor = BlockingExecutor(SETTINGS)
before = ask(executor), ask_apart(executor)
for close in (True, False):
    child = os.fork()
    if child == 0:
        theirs = ask(executor), ask_apart(executor)
        assert not set(theirs) & set(before), theirs
        if close:
            run(executor.close())
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
assert (ask(executor), ask_apart(executor)) == before
run(executor.close())
print("ok")
""",
            postgres_url,
        )
        assert out == "ok\n"

    def test_a_forked_child_that_only_closes_leaves_the_parents_alone(self, postgres_url):
        out = run_python(
            """
executor = BlockingExecutor(SETTINGS)
before = ask(executor)
child = os.fork()
if child == 0:
    run(executor.close())
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert ask(executor) == before
run(executor.close())
print("ok")
""",
            postgres_url,
        )
        assert out == "ok\n"

    @pytest.mark.direct("which connections they are")
    def test_a_forked_child_may_have_a_loop_of_its_own(self, postgres_url):
        out = run_python(
            """
executor = AsyncExecutor(SETTINGS)
async def pid():
    return (await executor.run(Request([PID])))[0][0][0]
async def theirs():
    found = await pid()
    await executor.close()
    return found
async def main():
    before = await pid()
    child = os.fork()
    if child == 0:
        asyncio._set_running_loop(None)
        assert asyncio.run(theirs()) != before
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert await pid() == before
    await executor.close()
asyncio.run(main())
print("ok")
""",
            postgres_url,
        )
        assert out == "ok\n"

    def test_a_process_that_never_closes_ends_quietly_and_at_once(self, postgres_url):
        out = run_python(
            "executor = BlockingExecutor(SETTINGS)\nassert ask(executor) and ask_apart(executor)\nprint('ok')",
            postgres_url,
        )
        assert out == "ok\n"

    def test_a_missing_libpq_names_the_extra(self):
        code = (
            "import os; os.environ['PSYCOPG_IMPL'] = 'c'\nfrom docsession._errors import MissingDependencyException\n"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert result.returncode == 1
        assert "MissingDependencyException" in result.stderr
        assert "docsession[binary]" in result.stderr
