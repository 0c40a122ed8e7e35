"""psycopg's errors -> ours: what happened, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeVar

import psycopg

from docsession._errors import (
    AuthenticationException,
    ConnectionFailedException,
    ConnectionLostException,
    DatabaseDoesNotExistException,
    ForeignKeyViolation,
    IndexedValueTooLongException,
    PermissionDeniedException,
    RavenException,
    RequestTimeoutException,
    TableDoesNotExistException,
    TransactionRetryException,
    UniqueConstraintViolation,
    UnknownOutcomeException,
    _GuardFailed,
)
from docsession._executors._wire import LinkLostError

E = TypeVar("E", bound=RavenException)

MARKER = re.compile(r"docsession:([a-z]+)(?: (\d+))?")

SCHEMA_IS_MISSING = "Run `docsession upgrade`, or let the convention `auto_create` make tables on first use"
_REFERENCE_IS_BROKEN: Final = "A row refers to what is not there, or to what is to be deleted: change either"
RULES: Mapping[str, tuple[type[RavenException], str]] = {
    "08": (ConnectionLostException, "Repeat it"),
    "08007": (ConnectionLostException, "Whether it was committed is not known: look before you repeat it"),
    "08P01": (ConnectionLostException, "Server and client, or a pooler between them, do not understand each other"),
    "25P03": (
        RequestTimeoutException,
        "The transaction was idle for longer than the server allows, and is rolled back",
    ),
    "25P04": (RequestTimeoutException, "The transaction took longer than the server allows, and is rolled back"),
    "26000": (RavenException, "The prepared statements of the connection were deallocated: repeat it"),
    "28": (AuthenticationException, "Check the user and the password of the URL"),
    "53": (RavenException, "The server is short of a resource: repeat it later"),
    "25P02": (RavenException, "An earlier statement of this transaction failed: call session.advanced.rollback()"),
    "25006": (
        RavenException,
        "The server is read-only, a replica or no longer the primary; nothing was written: repeat it, on the primary",
    ),
    # ON DELETE RESTRICT has a code of its own since PostgreSQL 18.
    "23001": (ForeignKeyViolation, _REFERENCE_IS_BROKEN),
    "23503": (ForeignKeyViolation, _REFERENCE_IS_BROKEN),
    "23505": (UniqueConstraintViolation, "Another row has the same values: change them"),
    "3D000": (DatabaseDoesNotExistException, "Create that PostgreSQL database, or name another one in the URL"),
    "3F000": (TableDoesNotExistException, SCHEMA_IS_MISSING),
    "40001": (TransactionRetryException, "Nothing was written: repeat it"),
    "40P01": (TransactionRetryException, "Nothing was written: repeat it"),
    "42501": (PermissionDeniedException, "Grant the right to the role of the URL, or use another role"),
    "42P01": (TableDoesNotExistException, SCHEMA_IS_MISSING),
    "55P03": (RequestTimeoutException, "Another transaction held a lock for too long: repeat it"),
    "57014": (
        RequestTimeoutException,
        "It was cancelled, or took longer than `statement_timeout` (the session's or the role's); nothing was written",
    ),
    "57P01": (ConnectionLostException, "The server is shutting down; nothing was written: repeat it"),
    "57P02": (ConnectionLostException, "The server is recovering from a crash; nothing was written: repeat it"),
    "57P03": (ConnectionLostException, "The server is starting or stopping; nothing was written: repeat it"),
    "57P04": (ConnectionLostException, "The PostgreSQL database was dropped; nothing was written"),
    "57P05": (ConnectionLostException, "The connection was idle for longer than the server allows: repeat it"),
}
"""SQLSTATE, or its first two characters -> the error, and what to do."""

RETRYABLE = frozenset(
    "08000 08001 08003 08004 08006 25006 40001 40P01 53 55P03 57P01 57P02 57P03 57P05".split()  # noqa: SIM905 - a list of words
)
"""SQLSTATE, or its first two characters: the transaction is gone for certain, and another try may succeed.

A statement that took too long (57014) is not among them: the same work would take as long again. Whoever translates
an error has made sure that no commit can have come before it; see `Wire`.
"""

_INDEX_ROW = re.compile(r"index row .*(?:exceeds|maximum)")
_INDEX_NAME = re.compile(r"index \"(.*)\"$")

# A refused connection has no SQLSTATE: libpq gives out the text alone.
CANNOT_AUTHENTICATE = re.compile(
    r"authentication failed|no password supplied|role \".*\" does not exist|no pg_hba\.conf entry"
    r"|no such user|is not permitted to log in|pg_hba\.conf rejects",
    re.IGNORECASE,
)
NO_DATABASE = re.compile(r"database \".*\" does not exist|no such database", re.IGNORECASE)
STARTUP_PARAMETER = re.compile(r"unsupported startup parameter", re.IGNORECASE)
MAY_NOT_CONNECT = re.compile(r"permission denied for database", re.IGNORECASE)
TOO_MANY_CONNECTIONS = re.compile(
    r"too many clients|remaining connection slots|too many connections|connection limit exceeded", re.IGNORECASE
)


def translate(error: psycopg.Error) -> RavenException:
    """Return our error for a statement that the server refused; raise it from *error*."""
    sqlstate = error.sqlstate
    text = error.diag.message_primary or str(error)
    if sqlstate is None:
        return RavenException(text)
    if sqlstate == "22P02" and (match := MARKER.search(text)):
        return _with_state(_GuardFailed(text, match[1], int(match[2]) if match[2] else None), sqlstate)
    kind, advice = RULES.get(sqlstate) or RULES.get(sqlstate[:2]) or (RavenException, error.diag.message_hint or "")
    if sqlstate == "54000" and _INDEX_ROW.search(text):
        kind, advice = IndexedValueTooLongException, "A value is too long for an index"
    translated = _with_state(kind(f"PostgreSQL refused: {text} (SQLSTATE {sqlstate}). {advice}".rstrip(". ")), sqlstate)
    if isinstance(translated, (UniqueConstraintViolation, IndexedValueTooLongException)):
        named = _INDEX_NAME.search(text)
        translated.index = error.diag.constraint_name or (named[1] if named else None)
    elif isinstance(translated, ForeignKeyViolation):
        translated.constraint = error.diag.constraint_name
    translated.retryable = not RETRYABLE.isdisjoint((sqlstate, sqlstate[:2]))
    return translated


def translate_lost(lost: LinkLostError, *, write: bool) -> ConnectionLostException:
    """Return our error for a connection that broke before the answer came."""
    cause = lost.__cause__
    reason = _first_line(cause)
    sqlstate = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    if write:
        return _with_state(
            UnknownOutcomeException(
                f"the connection to PostgreSQL broke before the save was acknowledged ({reason}): whether it is "
                "committed is not known yet. Call save_changes() again: it asks first, and sends again what is missing"
            ),
            sqlstate,
        )
    return _with_state(
        ConnectionLostException(f"the connection to PostgreSQL broke, twice in a row ({reason}): repeat it"), sqlstate
    )


def lost_in_transaction(lost: LinkLostError) -> ConnectionLostException:
    """Return our error for a connection that broke in a transaction, before its end was sent."""
    cause = lost.__cause__
    return _with_state(
        ConnectionLostException(
            f"the connection to PostgreSQL broke in a transaction ({_first_line(cause)}), which is rolled back: "
            "begin again"
        ),
        cause.sqlstate if isinstance(cause, psycopg.Error) else None,
    )


def translate_streamed(error: psycopg.Error, *, is_lost: bool) -> RavenException:
    """Return our error for a stream that ended early."""
    if is_lost:
        return ConnectionLostException(
            f"the connection to PostgreSQL broke while a stream was read ({_first_line(error)}): stream again"
        )
    return translate(error)


def translate_connect(error: psycopg.Error, place: str) -> RavenException:
    """Return our error for a connection that could not be made to *place*."""
    text = str(error)
    reason = _first_line(error)
    if NO_DATABASE.search(text):
        return DatabaseDoesNotExistException(
            f"there is no such PostgreSQL database at {place} ({reason}). Create it, or name another one in the URL"
        )
    if MAY_NOT_CONNECT.search(text):
        return PermissionDeniedException(f"the role may not connect to {place} ({reason}): grant it CONNECT")
    if CANNOT_AUTHENTICATE.search(text):
        return AuthenticationException(
            f"PostgreSQL refused the user or the password for {place} ({reason}). Check those of the URL"
        )
    if TOO_MANY_CONNECTIONS.search(text):
        return TooManyConnectionsException(
            f"PostgreSQL has no connection left for {place} ({reason}). "
            "Use smaller pools (max_size), or raise the server's max_connections"
        )
    if STARTUP_PARAMETER.search(text):
        return ConnectionFailedException(
            f"cannot connect to {place} ({reason}). A pooler does not take the URL's `options`: set them for the role, "
            "with ALTER ROLE … SET …, or for the database"
        )
    return ConnectionFailedException(
        f"cannot connect to {place} ({reason}). Check that the server runs, and host and port of the URL"
    )


class TooManyConnectionsException(ConnectionFailedException):
    """The server is there, but has no connection left; those of the pool may still do."""


def without_secrets(error: psycopg.Error) -> psycopg.Error:
    """Return a copy of an error of connecting, which would carry libpq's parameters, the password among them."""
    return type(error)(str(error))


def _with_state(error: E, sqlstate: str | None) -> E:
    error.sqlstate = sqlstate
    return error


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines() if error is not None else []
    return lines[0].rstrip(".:") if lines else "no answer came"
