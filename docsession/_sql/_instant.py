"""The SQL function that turns a document's date and time into an instant.

`docsession_instant(jsonb) returns timestamptz` is immutable, so that indexes and generated columns can be
built on it; no conversion that PostgreSQL brings along is. It gives null for anything but a string as
RFC 3339 has it, with an offset: for `now`, `infinity` and `epoch`, 24:00, a date or time alone, a day that the
calendar lacks, the year 0, another type. A lower-case `t` or `z` is allowed. Fractions of a second are rounded to
microseconds, digits after the ninth are not looked at. A second 60 is taken at the end of a month (UTC) only, where
leap seconds are, and means the first second of the next.

The text is part of the revision that installs it. To change the function, add a second text and a revision; editing
this one would leave indexes behind that disagree with their function.
"""

from __future__ import annotations

from docsession._sql._quoting import qualified, quote_literal

INSTANT_FUNCTION = "docsession_instant"

CHECKED_INPUT_SERVER_VERSION = 160000
"""From this `server_version_num` on there is `pg_input_is_valid`, which parallel workers may call."""

# Offset and local time are read apart from each other, because PostgreSQL refuses offsets of 16 hours and more, and
# because its own reading of `Z` depends on the session's TimeZone (a zone may name one of its abbreviations Z).
_BODY = """
DECLARE
    given pg_catalog.text := value OPERATOR(pg_catalog.#>>) '{}';
    shift pg_catalog.interval;
    moment pg_catalog.timestamp;
    leap pg_catalog.bool := false;
BEGIN
    IF pg_catalog.jsonb_typeof(value) OPERATOR(pg_catalog.<>) 'string'
        OR given COLLATE pg_catalog."C" OPERATOR(pg_catalog.!~)
            '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)([.][0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$'
    THEN
        RETURN NULL;
    END IF;
    IF pg_catalog.lower(pg_catalog.right(given, 1)) OPERATOR(pg_catalog.=) 'z' THEN
        shift := '00:00';
        given := pg_catalog.left(given, -1);
    ELSE
        shift := pg_catalog.right(given, 6);
        given := pg_catalog.left(given, -6);
    END IF;
    given := pg_catalog.left(given, 29);
    IF pg_catalog.substr(given, 18, 2) OPERATOR(pg_catalog.=) '60' THEN
        leap := true;
        given := pg_catalog.overlay(given, '59', 18, 2);
        shift := shift OPERATOR(pg_catalog.-) '00:00:01'::pg_catalog.interval;
    END IF;
{conversion}
    moment := moment OPERATOR(pg_catalog.-) shift;
    IF leap AND pg_catalog.date_trunc('month', moment)
        OPERATOR(pg_catalog.<>) pg_catalog.date_trunc('second', moment)
    THEN
        RETURN NULL;
    END IF;
    RETURN pg_catalog.timezone('UTC', moment);
END
"""

_CHECKED_CONVERSION = """\
    IF NOT pg_catalog.pg_input_is_valid(given, 'pg_catalog.timestamp') THEN
        RETURN NULL;
    END IF;
    moment := given;"""

_CAUGHT_CONVERSION = """\
    BEGIN
        moment := given;
    EXCEPTION WHEN data_exception THEN
        RETURN NULL;
    END;"""


def instant_body(server_version: int) -> str:
    """Return the body that `docsession_instant` has on a server of *server_version* (`server_version_num`)."""
    checked = server_version >= CHECKED_INPUT_SERVER_VERSION
    return _BODY.replace("{conversion}", _CHECKED_CONVERSION if checked else _CAUGHT_CONVERSION)


def instant_parallel(server_version: int) -> str:
    """Return SAFE, or RESTRICTED where the body catches an error: a parallel worker cannot."""
    return "SAFE" if server_version >= CHECKED_INPUT_SERVER_VERSION else "RESTRICTED"


def create_instant_statement(database: str) -> str:
    """Return the statement that makes the function in *database*, in the form that the server's version needs."""

    def create(server_version: int) -> str:
        return (
            f"CREATE OR REPLACE FUNCTION {qualified(database, INSTANT_FUNCTION)}(value pg_catalog.jsonb)\n"
            f"RETURNS pg_catalog.timestamptz LANGUAGE plpgsql IMMUTABLE STRICT "
            f"PARALLEL {instant_parallel(server_version)}\n"
            f"AS {quote_literal(instant_body(server_version))};"
        )

    body = (
        "BEGIN\n"
        f"IF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 "
        f"OPERATOR(pg_catalog.>=) {CHECKED_INPUT_SERVER_VERSION} THEN\n"
        f"{create(CHECKED_INPUT_SERVER_VERSION)}\nELSE\n{create(0)}\nEND IF;\nEND"
    )
    return f"DO {quote_literal(body)}"


def drop_instant_statement(database: str) -> str:
    """Return the statement that removes the function from *database*."""
    return f"DROP FUNCTION {qualified(database, INSTANT_FUNCTION)}(pg_catalog.jsonb)"
