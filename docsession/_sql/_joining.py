"""Statements that an executor sends beside a session's own, in a transaction that somebody else ends."""

from __future__ import annotations

from typing import Final

from docsession._port import Statement

SAVEPOINT: Final = Statement(b"SAVEPOINT docsession_request")
RELEASE: Final = Statement(b"RELEASE SAVEPOINT docsession_request")
RESCUE: Final = b"ROLLBACK TO SAVEPOINT docsession_request; RELEASE SAVEPOINT docsession_request"

CURRENT_TRANSACTION: Final = Statement(b"SELECT pg_catalog.pg_current_xact_id()::text")

PLACE: Final = Statement(
    b"SELECT pg_catalog.current_database()::text, "
    b"(EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint::text"
)
"""Tells one PostgreSQL database of one running server from every other."""

_STATUS: Final = b"SELECT pg_catalog.pg_xact_status($1::text::pg_catalog.xid8)"
# The cast depends on a volatile function, so that no planner evaluates it beforehand.
_REFUSE_UNDONE: Final = (
    b"SELECT CASE WHEN s = 'aborted' THEN ('docsession:undone ' || s)::int::text "
    b"WHEN s = 'in progress' AND $1 <> coalesce(pg_catalog.pg_current_xact_id_if_assigned()::text, '') "
    b"THEN ('docsession:ongoing ' || s)::int::text ELSE s END FROM (" + _STATUS + b" AS s) x"
)
# One of an extension that is not loaded yet has no value; set to null, it has its default afterwards.
_KEEP: Final = b"SELECT pg_catalog.set_config($1, nullif(pg_catalog.current_setting($2, true), ''), true)"


def status_of(xid: str) -> Statement:
    """'committed', 'aborted' or 'in progress'; null where the transaction is too old to be known."""
    return Statement(_STATUS, (xid,))


def refuse_undone(xid: str) -> Statement:
    """The same, and refuse the request where it was rolled back, or goes on elsewhere."""
    return Statement(_REFUSE_UNDONE, (xid,))


def keep_setting(name: str) -> Statement:
    """Remember a setting for the rest of the transaction."""
    return Statement(_KEEP, (_kept(name), name))


def restore_setting(name: str) -> Statement:
    """Give a setting the value that `keep_setting` remembered."""
    return Statement(_KEEP, (name, _kept(name)))


def _kept(name: str) -> str:
    return "docsession.kept_" + name.replace(".", "_")
