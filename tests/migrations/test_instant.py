"""docsession_instant: which strings are instants, and which."""

import json
from datetime import UTC, datetime, timedelta, timezone

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docsession._sql._quoting import qualified
from docsession._sql._schema import create_database_statements

DATABASE = "test instant"
CALL = f"SELECT extract(epoch FROM {qualified(DATABASE, 'docsession_instant')}(%s::jsonb))::text"


@pytest.fixture(scope="module")
def connection(postgres_url):
    with psycopg.connect(postgres_url, autocommit=True) as opened:
        for statement in create_database_statements(DATABASE):
            opened.execute(statement.encode())
        yield opened
        opened.execute(f'DROP SCHEMA "{DATABASE}" CASCADE'.encode())


def instant(connection, value):
    """Return the seconds since 1970 as text, or None."""
    return connection.execute(CALL, [json.dumps(value)]).fetchone()[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", "0.000000"),
        ("1970-01-01t00:00:00z", "0.000000"),
        ("1970-01-01T00:00:00+00:00", "0.000000"),
        ("1970-01-01T00:00:00-00:00", "0.000000"),
        ("1970-01-01T00:00:00.5Z", "0.500000"),
        ("1970-01-01T00:00:00.1234567Z", "0.123457"),
        ("1970-01-01T00:00:00." + "1" * 300 + "Z", "0.111111"),
        ("1970-01-01T05:30:00+05:30", "0.000000"),
        ("1969-12-31T00:01:00-23:59", "0.000000"),
        ("1970-01-01T23:59:00+23:59", "0.000000"),
        ("2000-02-29T00:00:00Z", "951782400.000000"),
        ("1990-12-31T23:59:60Z", "662688000.000000"),
        ("1990-12-31T15:59:60-08:00", "662688000.000000"),
        ("1990-12-31T23:59:60.5Z", "662688000.500000"),
        ("0001-01-01T00:00:00+23:59", "-62135683140.000000"),
        ("9999-12-31T23:59:59.999999-23:59", "253402387139.999999"),
    ],
)
def test_a_date_and_time_with_an_offset_is_an_instant(connection, text, expected):
    assert instant(connection, text) == expected


@pytest.mark.parametrize(
    "value",
    [
        *("now", "today", "epoch", "infinity", "-infinity", "allballs", ""),
        *("1970-01-01", "00:00:00Z", "1970-01-01T00:00:00", "1970-01-01 00:00:00Z", "1970-01-01T00:00Z"),
        *("1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z", "1970-01-01T00:00:61Z", "1970-01-01T12:00:60Z"),
        *("1970-02-30T00:00:00Z", "1900-02-29T00:00:00Z", "1970-13-01T00:00:00Z", "1970-00-01T00:00:00Z"),
        *("0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "+1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z BC"),
        *("1970-01-01T00:00:00+24:00", "1970-01-01T00:00:00+00:60", "1970-01-01T00:00:00+0000"),
        *("1970-01-01T00:00:00+00", "1970-01-01T00:00:00 UTC", "1970-01-01T00:00:00 Europe/Paris"),
        *("1970-01-01T00:00:00.Z", "1970-01-01T00:00:00,5Z", " 1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z\n"),
        *("19700101T000000Z", "1970-W01-1T00:00:00Z", "1970-001T00:00:00Z", "\u0661970-01-01T00:00:00Z"),
        *(0, 1.5, True, None, [], ["1970-01-01T00:00:00Z"], {"a": 1}),
    ],
)
def test_everything_else_is_null(connection, value):
    assert instant(connection, value) is None


def test_sql_null_is_null(connection):
    assert connection.execute(CALL, [None]).fetchone() == (None,)


@given(
    moment=st.datetimes(timezones=st.just(UTC)),
    offset=st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
@settings(max_examples=200, deadline=None)
def test_every_aware_datetime_is_the_instant_that_python_says(connection, moment, offset):
    try:
        local = moment.astimezone(timezone(timedelta(minutes=offset)))
    except OverflowError:
        return
    expected = (local - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    found = instant(connection, local.isoformat())
    assert int(found.replace(".", "")) == expected


@given(
    text=st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,7})?(Z|[+-][0-9:]{2,6})?")
)
@settings(max_examples=200, deadline=None)
def test_no_text_makes_it_fail(connection, text):
    instant(connection, text.replace("\0", ""))


@pytest.mark.parametrize(
    "setting",
    [
        "DateStyle = 'German, DMY'",
        "DateStyle = 'SQL, MDY'",
        "TimeZone = 'America/St_Johns'",
        "TimeZone = '<Z>+5'",
        "IntervalStyle = 'sql_standard'",
        "IntervalStyle = 'iso_8601'",
        "extra_float_digits = -15",
    ],
)
def test_no_setting_changes_an_instant(connection, setting):
    texts = ["2024-03-04T05:06:07.089Z", "2024-03-04T05:06:07-08:30", "2024-12-31T23:59:60Z"]
    before = [instant(connection, text) for text in texts]
    with connection.transaction(force_rollback=True):
        connection.execute(f"SET LOCAL {setting}".encode())
        assert [instant(connection, text) for text in texts] == before


def test_no_function_of_the_user_takes_part(connection):
    """Not even where its schema comes before pg_catalog."""
    with connection.transaction(force_rollback=True):
        connection.execute("CREATE SCHEMA evil")
        connection.execute("CREATE FUNCTION evil.lower(text) RETURNS text AS 'SELECT ''z''' LANGUAGE sql")
        connection.execute("CREATE FUNCTION evil.no(text, text) RETURNS bool AS 'SELECT false' LANGUAGE sql")
        for operator in ("!~", "=", "<>"):
            connection.execute(
                f"CREATE OPERATOR evil.{operator} (leftarg = text, rightarg = text, function = evil.no)".encode()
            )
        connection.execute("CREATE DOMAIN evil.text AS int")
        connection.execute("SET LOCAL search_path TO evil, pg_catalog")
        row = connection.execute(
            f"SELECT pg_catalog.timezone('UTC', {qualified(DATABASE, 'docsession_instant')}"
            "('\"2024-03-04T05:06:07+01:00\"'))::pg_catalog.text"
        ).fetchone()
        assert row == ("2024-03-04 04:06:07",)


def test_an_index_can_be_built_on_it(connection):
    name = qualified(DATABASE, "docsession_instant")
    with connection.transaction(force_rollback=True):
        connection.execute("CREATE TABLE public.events (data jsonb)")
        connection.execute(f"CREATE INDEX ON public.events ({name}(data -> 'at'))".encode())
        connection.execute("SET LOCAL enable_seqscan = off")
        plan = connection.execute(
            f"EXPLAIN SELECT FROM public.events WHERE {name}(data -> 'at') > '2024-01-01Z'".encode()
        ).fetchall()
        assert any("Index" in line for (line,) in plan)


def test_it_may_run_in_parallel_where_the_server_can_check_an_input(connection):
    row = connection.execute(
        "SELECT provolatile::text, proisstrict, proparallel::text FROM pg_proc "
        "WHERE proname = 'docsession_instant' AND pronamespace = %s::regnamespace",
        [f'"{DATABASE}"'],
    ).fetchone()
    assert row == ("i", True, "s" if connection.info.server_version >= 160000 else "r")
