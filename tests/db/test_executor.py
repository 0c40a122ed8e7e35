"""Requests on real PostgreSQL: values, round trips, prepared statements, refusals, streams."""

import uuid

import psycopg
import pytest

from docsession._errors import (
    InvalidOperationException,
    PermissionDeniedException,
    RavenException,
    RequestTimeoutException,
    StoreClosedException,
    TableDoesNotExistException,
    UnknownOutcomeException,
    _GuardFailed,
)
from docsession._executors._wire import statement_name
from docsession._port import NULL_JSONB, Request, TextArray, Timestamp
from tests.support.executors import PID, pid_of, read, statement, write
from tests.support.proxy import CountingProxy, Proxy

BIGGEST = 2**63 - 1


class TestValues:
    async def test_every_type_comes_back_as_it_went(self, executor):
        params = ["Zoë \U0001f40d", BIGGEST, -BIGGEST - 1, b'\x01{"a": 1}', Timestamp(-1), ""]
        rows = await read(executor, "SELECT $1, $2, $3, $4, $5, $6, true, $2 = $3", *params)
        assert rows == [(*params, True, False)]

    async def test_text_arrays_of_any_length_and_content(self, executor):
        for items in ([], [""], ["a", 'b",{}\\', "é"], [f"companies/{i}-A" for i in range(1000)]):
            rows = await read(
                executor, "SELECT x FROM unnest($1::text[]) WITH ORDINALITY AS u (x, i) ORDER BY i", TextArray(items)
            )
            assert rows == [(item,) for item in items]

    async def test_null_comes_back_as_none(self, executor):
        assert await read(executor, "SELECT $1::jsonb, NULL::text, NULL::bigint", NULL_JSONB) == [(None, None, None)]

    @pytest.mark.direct("what one connection to the server has prepared")
    async def test_a_null_jsonb_shares_the_prepared_statement(self, make_executor):
        executor = make_executor(prepare_threshold=0)
        for value in (NULL_JSONB, b"\x01[]"):
            await read(executor, "SELECT $1", value)
        rows = await read(
            executor,
            "SELECT count(*), min(parameter_types::text) FROM pg_prepared_statements WHERE statement = 'SELECT $1'",
        )
        assert rows == [(1, "{jsonb}")]

    async def test_small_integers_names_and_void(self, executor):
        rows = await read(executor, "SELECT 1::int2, 2::int4, 3::oid, 'n'::name, 'v'::varchar, 'x', pg_sleep(0)")
        assert rows == [(1, 2, 3, "n", "v", "x", "")]

    async def test_a_timestamp_counts_microseconds_from_2000(self, executor):
        assert await read(executor, "SELECT '2000-01-01T00:00:01Z'::timestamptz") == [(1_000_000,)]

    async def test_a_type_that_the_port_does_not_know_is_an_error(self, executor):
        with pytest.raises(RavenException, match="oid 1700"):
            await read(executor, "SELECT 1.5")
        assert await read(executor, "SELECT 1") == [(1,)]

    async def test_the_applications_adapters_do_not_matter(self, make_executor):
        class Loud(psycopg.adapt.Loader):
            format = psycopg.pq.Format.BINARY

            def load(self, data):
                return "LOUD"

        before = psycopg.adapters.get_loader(20, psycopg.pq.Format.BINARY)
        psycopg.adapters.register_loader(20, Loud)
        try:
            assert await read(make_executor(), "SELECT $1", 5) == [(5,)]
        finally:
            psycopg.adapters.register_loader(20, before)


class TestRoundTrips:
    @pytest.fixture
    def proxy(self, postgres_url):
        with CountingProxy(postgres_url) as proxy:
            yield proxy

    async def test_one_for_a_read(self, proxy, make_executor):
        executor = make_executor(proxy.url)
        await read(executor, "SELECT 1")
        proxy.reset()
        await read(executor, "SELECT $1", "x")
        assert (proxy.round_trips, proxy.messages) == (1, [b"P", b"B", b"D", b"E", b"S"])

    async def test_one_for_several_reads(self, proxy, make_executor):
        executor = make_executor(proxy.url)
        await read(executor, "SELECT 1")
        proxy.reset()
        results = await executor.run(Request([statement("SELECT $1", i) for i in range(5)]))
        assert results == [[(i,)] for i in range(5)]
        assert proxy.round_trips == 1

    async def test_one_for_a_transaction(self, proxy, make_executor, table):
        executor = make_executor(proxy.url)
        await read(executor, "SELECT 1")
        proxy.reset()
        results = await write(executor, table.insert("a", 1), statement("SELECT 1 WHERE false"), table.insert("b", 2))
        assert results == [[(1,)], [], [(2,)]]
        assert (proxy.round_trips, proxy.messages.count(b"S")) == (1, 1)
        assert table.ids() == ["a", "b"]

    @pytest.mark.direct("prepares statements")
    async def test_one_also_when_a_statement_is_prepared_and_another_gives_way(self, proxy, make_executor):
        executor = make_executor(proxy.url, prepare_threshold=1, prepared_max=1, max_size=1)
        for text in ("SELECT $1", "SELECT $1 || 'x'"):
            for _ in range(4):
                await read(executor, "SELECT 1 + 1")
                proxy.reset()
                await read(executor, text, "y")
                assert proxy.round_trips == 1

    async def test_one_for_ten_megabytes(self, proxy, make_executor):
        executor = make_executor(proxy.url)
        await read(executor, "SELECT 1")
        proxy.reset()
        big = "x" * 1_000_000
        results = await executor.run(Request([statement("SELECT $1", big) for _ in range(10)], transaction=True))
        assert [len(rows[0][0]) for rows in results] == [1_000_000] * 10
        assert proxy.round_trips == 1


PREPARED = "SELECT statement FROM pg_prepared_statements WHERE statement NOT LIKE '%pg_prepared%' ORDER BY 1"


@pytest.mark.direct("what one connection to the server has prepared")
class TestPreparedStatements:
    async def prepared(self, executor):
        return [row[0] for row in await read(executor, PREPARED)]

    async def test_a_statement_is_prepared_after_as_many_uses_as_the_threshold_says(self, make_executor):
        executor = make_executor(prepare_threshold=3, max_size=1)
        for _ in range(3):
            await read(executor, "SELECT $1", "x")
            assert await self.prepared(executor) == []
        for _ in range(3):
            await read(executor, "SELECT $1", "x")
            assert await self.prepared(executor) == ["SELECT $1"]

    async def test_none_never_prepares(self, make_executor, table):
        executor = make_executor(prepare_threshold=None, max_size=1)
        for i in range(8):
            await read(executor, "SELECT $1", "x")
            await write(executor, table.insert(f"{i}"))
        assert await self.prepared(executor) == []

    async def test_transactions_prepare_too_and_once(self, make_executor, table):
        executor = make_executor(prepare_threshold=1, max_size=1)
        for i in range(4):
            await write(executor, *(table.insert(f"{i}/{j}") for j in range(3)))
        assert await self.prepared(executor) == ["BEGIN", "COMMIT", table.insert("x").sql.decode()]
        assert len(table.ids()) == 12

    async def test_other_parameter_types_are_another_statement(self, make_executor):
        executor = make_executor(prepare_threshold=0, max_size=1)
        assert await read(executor, "SELECT $1", "x") == [("x",)]
        assert await read(executor, "SELECT $1", 1) == [(1,)]
        assert await read(executor, "SELECT $1", "y") == [("y",)]
        assert await self.prepared(executor) == ["SELECT $1", "SELECT $1"]

    async def test_the_least_recently_used_one_gives_way(self, make_executor):
        executor = make_executor(prepare_threshold=0, prepared_max=3, max_size=1)
        for i in (1, 2, 1, 3, 4):
            await read(executor, f"SELECT {i}")
        # The question itself takes the place of 1.
        assert await self.prepared(executor) == ["SELECT 3", "SELECT 4"]
        rows = await read(executor, "SELECT count(*) FROM pg_prepared_statements")
        assert rows == [(3,)]

    @pytest.mark.parametrize("transaction", [False, True])
    async def test_statements_that_the_server_forgot_are_prepared_again(self, make_executor, transaction, table):
        executor = make_executor(prepare_threshold=0, max_size=1)
        request = [table.insert("a"), table.insert("b")] if transaction else [statement("SELECT $1", "x")]
        await executor.run(Request(request[-1:], transaction=transaction))
        await read(executor, "DISCARD ALL")
        table.connection.execute(f"TRUNCATE {table.name}")
        results = await executor.run(Request(request, transaction=transaction, write=transaction))
        assert results == ([[(0,)], [(0,)]] if transaction else [[("x",)]])
        assert table.ids() == (["a", "b"] if transaction else [])

    async def test_a_name_that_is_taken_is_another_clients_who_shares_the_connection(self, make_executor, table):
        """As behind a pooler: from then on nothing is prepared there, and nothing is lost."""
        taker = make_executor(prepare_threshold=0, max_size=1)
        await write(taker, table.insert("a"))
        ((name,),) = await read(taker, "SELECT name FROM pg_prepared_statements WHERE statement LIKE 'INSERT%'")
        executor = make_executor(prepare_threshold=0, max_size=1)
        await read(executor, f'PREPARE "{name}" (text, bigint) AS SELECT $1, $2')
        for key in "bcd":
            assert await write(executor, table.insert(key, 7)) == [[(7,)]]
        assert table.ids() == ["a", "b", "c", "d"]
        await read(executor, "SELECT $1", "x")
        assert "SELECT $1" not in await self.prepared(executor)

    async def test_one_that_is_gone_and_another_that_is_taken_in_one_request(self, make_executor):
        executor = make_executor(prepare_threshold=1, max_size=1)
        gone, taken = statement("SELECT $1", "x"), statement("SELECT $1, $1", "y")
        for each in (gone, gone, taken):
            await executor.run(Request([each]))
        await read(executor, "DEALLOCATE ALL")
        await read(executor, f'PREPARE "{statement_name((taken.sql, (str,))).decode()}" AS SELECT 1')
        assert await executor.run(Request([gone, taken])) == [[("x",)], [("y", "y")]]

    async def test_where_statements_are_lost_again_and_again_nothing_is_prepared(self, make_executor):
        executor = make_executor(prepare_threshold=0, max_size=1)
        for _ in range(3):
            assert await read(executor, "SELECT $1", "x") == [("x",)]
            await read(executor, "DISCARD ALL")
        assert await read(executor, "SELECT $1", "x") == [("x",)]
        assert await self.prepared(executor) == []

    async def test_a_column_that_changed_its_type_meanwhile(self, make_executor, table):
        executor = make_executor(prepare_threshold=0, max_size=1)
        table.connection.execute(f"INSERT INTO {table.name} VALUES ('a', 1)")
        text = f"SELECT n FROM {table.name}"
        assert await read(executor, text) == [(1,)]
        table.connection.execute(f"ALTER TABLE {table.name} ALTER COLUMN n TYPE text")
        assert await read(executor, text) == [("1",)]
        assert await read(executor, text) == [("1",)]
        assert text in await self.prepared(executor)

    async def test_a_statement_that_cannot_be_prepared_is_refused_each_time(self, make_executor, table):
        executor = make_executor(prepare_threshold=0, max_size=1)
        for _ in range(3):
            with pytest.raises(RavenException, match="42601"):
                await read(executor, "SELEKT $1", "x")
            with pytest.raises(RavenException, match="42601"):
                await write(executor, table.insert("a"), statement("SELEKT $1", "x"), table.insert("b"))
        assert table.ids() == []
        assert "SELEKT $1" not in await self.prepared(executor)


class TestRefusals:
    async def test_a_transaction_is_undone_as_a_whole_and_names_the_first_reason(self, make_executor, table):
        executor = make_executor(max_size=1)
        pid = await pid_of(executor)
        statements = [table.insert("a"), statement("SELECT 1 / $1", 0), statement("SELEKT"), table.insert("b")]
        for _ in range(3):
            with pytest.raises(RavenException, match="division by zero") as caught:
                await write(executor, *statements)
            assert caught.value.sqlstate == "22012"
            assert isinstance(caught.value.__cause__, psycopg.errors.DivisionByZero)
        assert table.ids() == []
        await write(executor, table.insert("a"))
        assert table.ids() == ["a"]
        assert await pid_of(executor) == pid

    async def test_one_of_several_reads(self, executor):
        with pytest.raises(RavenException, match="22012"):
            await executor.run(Request([statement("SELECT 1"), statement("SELECT 1 / $1", 0), statement("SELECT 2")]))
        assert await read(executor, "SELECT 1") == [(1,)]

    @pytest.mark.parametrize("threshold", [None, 0, 1])
    @pytest.mark.parametrize("transaction", [True, False])
    async def test_a_commit_that_is_refused(self, make_executor, table, threshold, transaction):
        table.connection.execute(f"CREATE TABLE {table.schema}.d (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        executor = make_executor(max_size=1, prepare_threshold=threshold)
        double = statement(f"INSERT INTO {table.schema}.d SELECT 1 FROM generate_series(1, 2) RETURNING id")
        for _ in range(3):
            with pytest.raises(RavenException) as caught:
                await executor.run(Request([double], transaction=transaction, write=True))
            assert not isinstance(caught.value, UnknownOutcomeException)
            assert caught.value.sqlstate == "23505"
        assert table.one(f"SELECT count(*) FROM {table.schema}.d") == (0,)
        assert await read(executor, "SELECT 1") == [(1,)]

    async def test_a_commit_that_is_answered_with_rollback(self, postgres_url, make_executor, table):
        class Changing(Proxy):
            def from_server(self, link, data):
                super().from_server(link, data.replace(b"C\0\0\0\x0bCOMMIT\0", b"C\0\0\0\x0dROLLBACK\0"))

        with Changing(postgres_url) as proxy:
            executor = make_executor(proxy.url)
            with pytest.raises(RavenException, match="COMMIT was answered with ROLLBACK"):
                await write(executor, table.insert("a"))
            await executor.close()

    async def test_a_guard_is_told_from_everything_else(self, executor, table):
        with pytest.raises(_GuardFailed) as caught:
            refuse = "CASE WHEN count(*) = 0 THEN 1 ELSE ('docsession:conflict ' || count(*))::int END"
            await write(executor, table.insert("a"), statement(f"SELECT {refuse} FROM {table.name}"))
        assert (caught.value.marker, caught.value.found) == ("conflict", 1)
        assert table.ids() == []

    @pytest.mark.parametrize("name", ['"nowhere".t', '"{schema}".nothing'])
    async def test_a_missing_table_or_schema(self, executor, table, name):
        with pytest.raises(TableDoesNotExistException, match="docsession upgrade"):
            await read(executor, f"SELECT 1 FROM {name.format(schema=table.schema)}")

    async def test_a_missing_right(self, executor, table):
        role = f"r{uuid.uuid4().hex[:10]}"
        table.connection.execute(f"CREATE ROLE {role}")
        try:
            with pytest.raises(PermissionDeniedException):
                await write(executor, statement(f"SET LOCAL ROLE {role}"), table.insert("a"))
        finally:
            table.connection.execute(f"DROP ROLE {role}")

    @pytest.mark.direct("the URL's `options`, which pgbouncer refuses")
    async def test_a_statement_that_takes_longer_than_allowed(self, make_executor):
        executor = make_executor(conninfo={"options": "-c statement_timeout=300"})
        with pytest.raises(RequestTimeoutException):
            await read(executor, "SELECT pg_sleep(60)")
        assert await read(executor, "SELECT 1") == [(1,)]

    async def test_a_value_that_cannot_be_sent_does_no_harm(self, make_executor, table):
        executor = make_executor(max_size=1)
        with pytest.raises(UnicodeEncodeError):
            await write(executor, table.insert("a"), table.insert("\ud800"))
        await write(executor, table.insert("b"))
        assert table.ids() == ["b"]


class TestSent:
    async def test_it_is_set_when_the_first_byte_leaves(self, executor, table):
        request = Request([table.insert("a")], write=True)
        assert not request.sent
        await executor.run(request)
        assert request.sent

    async def test_it_is_not_set_where_nothing_left(self, executor, table):
        request = Request([table.insert("\ud800")], write=True)
        with pytest.raises(UnicodeEncodeError):
            await executor.run(request)
        assert not request.sent


class TestApart:
    async def apart(self, executor, *statements, write=True):
        return await executor.run_apart(lambda: Request(statements, transaction=True, write=write))

    @pytest.mark.direct("which connection it is")
    async def test_it_is_another_connection_and_always_the_same(self, make_executor):
        executor = make_executor(max_size=1)
        pids = {(await self.apart(executor, PID))[0][0][0] for _ in range(3)}
        assert len(pids) == 1
        assert await pid_of(executor) not in pids

    async def test_it_commits_by_itself_and_is_undone_by_itself(self, executor, table):
        await self.apart(executor, table.insert("a"))
        with pytest.raises(RavenException, match="22012"):
            await self.apart(executor, table.insert("b"), statement("SELECT 1 / $1", 0))
        await self.apart(executor, table.insert("c"))
        assert table.ids() == ["a", "c"]

    async def test_where_nothing_is_left_to_do_nothing_is_done(self, make_executor):
        executor = make_executor("host=/nowhere")
        assert await executor.run_apart(lambda: None) == []

    @pytest.mark.direct("ends a connection to the server")
    async def test_it_is_made_anew_when_it_broke(self, make_executor, table):
        name = f"apart-{uuid.uuid4().hex[:8]}"
        executor = make_executor(application_name=name)
        (before,) = (await self.apart(executor, PID))[0][0]
        assert table.terminate(name) >= 1
        (after,) = (await self.apart(executor, PID))[0][0]
        assert before != after


class TestStreams:
    @pytest.mark.parametrize("size", [1, 100, 20_000])
    async def test_every_row_comes_once(self, executor, size):
        rows = executor.stream(statement("SELECT i, $1 FROM generate_series(1, 10000) i", "x"), size)
        assert [row async for row in rows] == [(i, "x") for i in range(1, 10_001)]

    async def test_a_stream_that_is_left_early_gives_its_connection_back(self, make_executor):
        executor = make_executor(max_size=1)
        pid = await pid_of(executor)
        rows = executor.stream(statement("SELECT i FROM generate_series(1, 1000000) i"), 100)
        async for row in rows:
            if row == (150,):
                break
        await rows.aclose()
        assert await pid_of(executor) == pid

    @pytest.mark.parametrize("size", [1, 3])
    @pytest.mark.parametrize("left_early", [False, True])
    async def test_what_follows_on_the_connection_has_all_its_rows(self, make_executor, size, left_early):
        executor = make_executor(max_size=1)
        numbers = statement("SELECT i FROM generate_series(1, 10) i")
        rows = executor.stream(numbers, size)
        async for _ in rows:
            if left_early:
                break
        await rows.aclose()
        assert await executor.run(Request([numbers, numbers])) == [[(i,) for i in range(1, 11)]] * 2

    async def test_an_error_on_the_way(self, executor):
        seen = []
        with pytest.raises(RavenException, match="22012"):
            async for (number,) in executor.stream(
                statement("SELECT i / (500 - i) FROM generate_series(1, 1000) i"), 9
            ):
                seen.append(number)
        assert 400 < len(seen) < 500
        assert await read(executor, "SELECT 1") == [(1,)]

    async def test_every_parameter_type(self, executor):
        params = ["x", 5, Timestamp(7), b"\x01{}"]
        rows = executor.stream(
            statement("SELECT $1, $2, $3, $4, u FROM unnest($5) u", *params, TextArray(["a", "b"])), 10
        )
        assert [row async for row in rows] == [(*params, "a"), (*params, "b")]


class TestClosing:
    async def test_twice_and_before_the_first_use(self, make_executor):
        executor = make_executor()
        await executor.close()
        await executor.close()

    async def test_whatever_comes_afterwards_is_refused(self, executor):
        await read(executor, "SELECT 1")
        await executor.close()
        with pytest.raises(StoreClosedException):
            await read(executor, "SELECT 1")
        with pytest.raises(StoreClosedException):
            await executor.run_apart(lambda: Request([PID]))
        with pytest.raises(StoreClosedException):
            await anext(executor.stream(PID, 1))
        assert issubclass(StoreClosedException, InvalidOperationException)

    @pytest.mark.direct("counts connections to the server")
    async def test_every_connection_is_given_back(self, make_executor, table):
        name = f"closing-{uuid.uuid4().hex[:8]}"
        executor = make_executor(application_name=name, min_size=3)
        await read(executor, "SELECT 1")
        await executor.close()
        table.wait_for("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = %s", name)
