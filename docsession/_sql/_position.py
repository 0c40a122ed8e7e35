"""How far the write-ahead log has got: on the primary, and on a standby that follows it."""

from __future__ import annotations

from typing import Final

from docsession._port import Statement

_NUMBER: Final = b"OPERATOR(pg_catalog.-) '0/0'::pg_catalog.pg_lsn)::pg_catalog.int8"

POSITION: Final = b"SELECT (pg_catalog.pg_current_wal_insert_lsn() " + _NUMBER
"""On the primary; asked after a COMMIT it is not before that. (What is on the disk may be: `synchronous_commit`.)"""

BEHIND: Final = 0
REACHED: Final = 1
NOT_TOLD: Final = 2

_HAS_REACHED: Final = (
    b"SELECT CASE WHEN pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed' "
    b"THEN 2 WHEN NOT pg_catalog.pg_is_in_recovery() "
    b"OR (pg_catalog.pg_last_wal_replay_lsn() " + _NUMBER + b" OPERATOR(pg_catalog.>=) $1 THEN 1 ELSE 0 END"
)

PAGE: Final = 8192
HEADER: Final = 40


def has_reached(position: int) -> Statement:
    """Return the question whether a standby has applied all up to *position*; what is read after it is not older.

    Answers: `BEHIND`, `REACHED`, and `NOT_TOLD` where the statements of a transaction share a view of the database that
    was taken before the question.
    """
    return Statement(_HAS_REACHED, (end_of_record(position),))


def end_of_record(position: int) -> int:
    """Return *position*, or where the record before it ended.

    The next record begins after the header of a page (24 bytes, 40 at the beginning of a file); a standby has got to
    the page only until that record comes. No record ends within a header.
    """
    offset = position % PAGE
    return position - offset if offset <= HEADER else position
