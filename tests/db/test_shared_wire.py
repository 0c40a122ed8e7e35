"""What crosses the wire on somebody else's connection: one round trip, inside a savepoint."""

from dataclasses import dataclass

import psycopg
import pytest

from docsession import ConcurrencyException, RavenException, TooManyRequestsException, TransactionRetryException
from docsession._executors._foreign import AsyncForeignExecutor, BlockingForeignExecutor
from docsession._executors._hosts import host_of
from docsession._port import Fate, Request
from tests.support.documents import change, save
from tests.support.executors import statement
from tests.support.hosts import finished, session_on
from tests.support.proxy import CountingProxy


@dataclass
class Item:
    value: int
    id: str | None = None


@pytest.fixture
def store(host_store):
    return host_store


@pytest.fixture
def proxy(postgres_url):
    with CountingProxy(postgres_url) as proxy:
        yield proxy


async def opened(host, store, proxy, **options):
    """A connection behind the proxy that has joined before, so that it is known where it leads."""
    await save(store, *[(Item(i), f"items/{i}") for i in range(4)])
    await host.open(proxy.url, **options)
    async with session_on(store, host) as session:
        await session.load("items/404", Item)
    await host.rollback()
    proxy.reset()


class TestRoundTrips:
    async def test_a_save_is_one_whatever_it_carries(self, host, store, proxy):
        await opened(host, store, proxy)
        async with session_on(store, host) as session:
            items = await session.load([f"items/{i}" for i in range(4)], Item)
            assert proxy.round_trips == 1
            items["items/1"].value = 10
            session.delete(items["items/2"])
            await session.store(Item(9), "items/9")
            await session.save_changes()
            assert proxy.round_trips == 2
            items["items/1"].value = 11
            await session.save_changes()
            assert proxy.round_trips == 3
            assert session.advanced.number_of_requests == 3
            await host.commit()
        # BEGIN and COMMIT are the owner's; the first one goes with the first request.
        assert proxy.round_trips == 4

    async def test_the_first_request_asks_where_the_connection_leads_once(self, host, store, proxy):
        await save(store, (Item(1), "items/1"))
        await host.open(proxy.url)
        await host.execute("SELECT 1")
        proxy.reset()
        for expected in (2, 3):
            async with session_on(store, host) as session:
                await session.load("items/1", Item)
            assert proxy.round_trips == expected

    async def test_a_conflict_costs_going_back_to_the_savepoint_and_a_look(self, host, store, proxy):
        await opened(host, store, proxy)
        async with session_on(store, host) as session:
            session.advanced.use_optimistic_concurrency = True
            items = await session.load(["items/1", "items/2"], Item)
            await change(store, "items/1", Item, value=5)
            items["items/1"].value = items["items/2"].value = 6
            proxy.reset()
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
            assert proxy.round_trips == 3

    async def test_in_autocommit_a_save_is_one_too(self, host, store, proxy):
        await opened(host, store, proxy, autocommit=True)
        async with session_on(store, host) as session:
            items = await session.load(["items/1", "items/2"], Item)
            items["items/1"].value = items["items/2"].value = 6
            await session.save_changes()
            await session.save_changes()
            assert proxy.round_trips == 2

    async def test_requests_are_limited_there_too(self, host, store, postgres_url):
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            session.advanced.max_number_of_requests_per_session = 2
            for key in ("items/1", "items/2"):
                await session.load(key, Item)
            with pytest.raises(TooManyRequestsException):
                await session.load("items/3", Item)


@pytest.fixture(params=["blocking", "async"])
def connect(request, postgres_url, host_table):
    """Opens a connection of psycopg with an executor on it: `connection, executor = await connect()`."""
    is_async = request.param == "async"

    async def connect(**options):
        kind = psycopg.AsyncConnection if is_async else psycopg.Connection
        connection = await finished(kind.connect(postgres_url, **options))
        opened.append(connection)
        return connection, (AsyncForeignExecutor if is_async else BlockingForeignExecutor)(host_of(connection))

    opened = []
    yield connect
    for connection in opened:
        connection.pgconn.finish()


INSERT = "INSERT INTO {} VALUES ($1)"


def write(table, n, **options):
    return Request([statement(INSERT.format(table.name), n)], write=True, **options)


def read(table, **options):
    return Request([statement(f"SELECT n::bigint FROM {table.name} ORDER BY n")], **options)


class TestTheExecutor:
    async def test_a_transaction_begins_as_the_connection_says(self, connect):
        connection, executor = await connect()
        for level in (psycopg.IsolationLevel.SERIALIZABLE, psycopg.IsolationLevel.REPEATABLE_READ, None):
            await finished(connection.set_isolation_level(level))
            await finished(connection.set_read_only(True))
            await finished(connection.set_deferrable(False))
            request = Request(
                [
                    statement(f"SELECT current_setting('transaction_{name}')")
                    for name in ("isolation", "read_only", "deferrable")
                ]
            )
            expected = level.name.replace("_", " ").lower() if level else "read committed"
            assert await executor.run(request) == [[(expected,)], [("on",)], [("off",)]]
            await finished(connection.rollback())

    async def test_settings_hold_for_the_request_alone(self, connect, host_table):
        connection, executor = await connect()
        show = [statement("SELECT current_setting('statement_timeout')")]
        for _ in range(2):
            assert await executor.run(Request(show, settings=[("statement_timeout", "7s")])) == [[("7s",)]]
            assert await executor.run(Request(show)) == [[("0",)]]
        await executor.run(write(host_table, 1, settings=[("statement_timeout", "7s")]))
        assert await executor.run(Request(show)) == [[("0",)]]
        await finished(connection.execute("SET LOCAL statement_timeout = '9s'"))
        assert await executor.run(Request(show, settings=[("statement_timeout", "7s")])) == [[("7s",)]]
        assert await executor.run(Request(show)) == [[("9s",)]]
        await finished(connection.rollback())
        await finished(connection.set_autocommit(True))
        assert await executor.run(Request(show, settings=[("statement_timeout", "7s")])) == [[("7s",)]]
        assert await executor.run(Request(show)) == [[("0",)]]

    async def test_a_setting_that_nobody_knows_yet_holds_for_the_request_alone(self, connect):
        _, executor = await connect()
        show = [statement("SELECT coalesce(current_setting('docsession_tests.depth', true), '')")]
        for _ in range(2):
            assert await executor.run(Request(show, settings=[("docsession_tests.depth", "7")])) == [[("7",)]]
            assert await executor.run(Request(show)) == [[("",)]]

    async def test_what_a_commit_waits_for_holds_until_its_owner_commits(self, connect, host_table):
        connection, executor = await connect()
        show = [statement("SELECT current_setting('synchronous_commit')")]
        ((usual,),) = await finished((await finished(connection.execute("SHOW synchronous_commit"))).fetchall())
        setting = [("synchronous_commit", "remote_apply"), ("statement_timeout", "7s")]
        await executor.run(write(host_table, 1, settings=setting))
        assert await executor.run(Request(show)) == [[("remote_apply",)]]
        await finished(connection.commit())
        assert await executor.run(Request(show)) == [[(usual,)]]
        await finished(connection.rollback())
        await finished(connection.set_autocommit(True))
        await executor.run(write(host_table, 2, settings=setting))
        assert await executor.run(Request(show)) == [[(usual,)]]
        assert host_table.committed() == [1, 2]

    async def test_statements_that_were_deallocated_are_prepared_again(self, connect, host_table):
        connection, executor = await connect()
        for command in ("DEALLOCATE ALL", "DISCARD ALL"):
            for _ in range(8):
                assert await executor.run(read(host_table)) == [[]]
            if command == "DISCARD ALL":
                await finished(connection.commit())
                await finished(connection.set_autocommit(True))
            await finished(connection.execute(command))
            if command == "DISCARD ALL":
                await finished(connection.set_autocommit(False))
            for _ in range(8):
                assert await executor.run(read(host_table)) == [[]]
        await executor.run(write(host_table, 1))
        await finished(connection.commit())
        assert host_table.committed() == [1]

    async def test_the_same_statements_as_its_owner_prepares_disturb_nobody(self, connect, host_table):
        connection, executor = await connect()
        await finished(connection.set_autocommit(False))
        for i in range(8):
            cursor = await finished(connection.execute("SELECT 1 + %s::int", (i,), prepare=True))
            assert await finished(cursor.fetchone()) == (1 + i,)
            assert await executor.run(read(host_table)) == [[]]
            await finished(connection.rollback())  # psycopg deallocates all statements then

    async def test_a_stream_is_a_part_of_the_transaction(self, connect, host_table):
        connection, executor = await connect()
        await executor.run(write(host_table, 1))
        await executor.run(write(host_table, 2))
        text = statement(f"SELECT n::bigint FROM {host_table.name} ORDER BY n")
        assert [row async for row in executor.stream(text, 2)] == [(1,), (2,)]
        wrong = statement(f"SELECT 1 / (n - 2)::bigint FROM {host_table.name} ORDER BY n")
        with pytest.raises(Exception, match="division by zero"):
            assert [row async for row in executor.stream(wrong, 1)]
        await executor.run(write(host_table, 3))
        await finished(connection.commit())
        assert host_table.committed() == [1, 2, 3]

    async def test_a_stream_that_is_left_early_leaves_the_transaction_usable(self, connect, host_table):
        connection, executor = await connect()
        await executor.run(write(host_table, 1))
        rows = executor.stream(statement("SELECT g FROM generate_series(1, 100000) g"), 10)
        async for row in rows:
            assert row == (1,)
            break
        await rows.aclose()
        await executor.run(write(host_table, 2))
        await finished(connection.commit())
        assert host_table.committed() == [1, 2]

    async def test_a_stream_begins_a_transaction_where_there_is_none(self, connect):
        connection, executor = await connect()
        assert [row async for row in executor.stream(statement("SELECT 5::bigint"), 2)] == [(5,)]
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        await finished(connection.rollback())
        with pytest.raises(Exception, match="division by zero"):
            assert [row async for row in executor.stream(statement("SELECT 1 / 0"), 2)]
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE

    async def test_what_became_of_several_transactions_is_found_out_at_once(self, connect, host_table):
        connection, executor = await connect()
        await executor.run(write(host_table, 1))
        await finished(connection.commit())
        await executor.run(Request([statement("SELECT 1")]))
        assert [premise.fate for premise in executor.premises] == [Fate.COMMITTED]
        executor.premises.clear()
        unasked = []
        for n, end in ((2, connection.commit), (3, connection.rollback)):
            await executor.run(write(host_table, n))
            unasked.append(executor.premises.pop())
            await finished(end())
        executor.premises += unasked
        with pytest.raises(Exception, match="undone"):
            await executor.run(write(host_table, 4))
        assert [premise.fate for premise in executor.premises] == [Fate.COMMITTED, Fate.UNDONE]
        await finished(connection.rollback())
        assert host_table.committed() == [1, 2]

    async def test_a_guard_joins_the_write_in_autocommit(self, connect, host_table):
        connection, executor = await connect()
        await executor.run(write(host_table, 1))
        await finished(connection.rollback())
        await finished(connection.set_autocommit(True))
        with pytest.raises(Exception, match="undone"):
            await executor.run(write(host_table, 2))
        assert [premise.fate for premise in executor.premises] == [Fate.UNDONE]
        executor.premises.clear()
        assert await executor.run(write(host_table, 2)) == [[]]
        assert executor.premises == []
        assert host_table.committed() == [2]

    async def test_nothing_is_built_on_a_transaction_that_goes_on_elsewhere(self, connect, host_table):
        first, before = await connect()
        second, executor = await connect()
        for n, end in ((1, first.commit), (2, first.rollback)):
            await before.run(write(host_table, n))
            executor.premises[:] = [before.premises.pop()]
            with pytest.raises(TransactionRetryException, match="goes on at the server"):
                await executor.run(write(host_table, 10 + n))
            assert await executor.run(Request([statement("SELECT 1::bigint")])) == [[(1,)]]
            await finished(end())
            if n == 1:
                await executor.run(write(host_table, 10 + n))
                assert executor.premises[0].fate is Fate.COMMITTED
                await finished(second.commit())
            else:
                with pytest.raises(RavenException, match="undone"):
                    await executor.run(write(host_table, 10 + n))
        await finished(second.rollback())
        assert host_table.committed() == [1, 11]

    async def test_a_block_of_psycopg_is_joined_also_on_a_connection_in_autocommit(self, connect, host_table):
        connection, executor = await connect(autocommit=True)
        for n, ends in ((1, None), (2, psycopg.Rollback())):
            block = connection.transaction()
            entered = block.__aenter__() if hasattr(block, "__aenter__") else block.__enter__()
            await finished(entered)
            await executor.run(write(host_table, n))
            assert host_table.committed() == ([1] if n == 2 else [])
            ended = (type(ends), ends, None) if ends else (None, None, None)
            left = block.__aexit__(*ended) if hasattr(block, "__aexit__") else block.__exit__(*ended)
            await finished(left)
        await executor.ask()
        assert [premise.fate for premise in executor.premises] == [Fate.COMMITTED, Fate.UNDONE]
        assert host_table.committed() == [1]

    async def test_adapters_and_row_factory_are_not_theirs(self, connect, host_table):
        connection, executor = await connect()
        connection.row_factory = psycopg.rows.dict_row

        class Shouting(psycopg.types.string.TextLoader):
            def load(self, data):
                return super().load(data).upper()

        connection.adapters.register_loader("text", Shouting)
        assert await executor.run(Request([statement("SELECT 'quiet'::text")])) == [[("quiet",)]]
        cursor = await finished(connection.execute("SELECT 'loud'::text AS said"))
        assert await finished(cursor.fetchone()) == {"said": "LOUD"}
        rows = executor.stream(statement("SELECT 'quiet'::text"), 2)
        assert [row async for row in rows] == [("quiet",)]
