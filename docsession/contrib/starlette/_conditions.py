"""Versions of documents in conditional requests."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from docsession._faces._async_session import AsyncDocumentSession
from docsession.contrib._http import check_version


def header_of(connection: HTTPConnection, name: str) -> str | None:
    """Return the value of a header whose several lines are one list; None where it is missing."""
    lines = connection.headers.getlist(name)
    return ", ".join(lines) if lines else None


def check_if_match(connection: HTTPConnection, session: AsyncDocumentSession, entity: object) -> None:
    """Let the request go on only if its `If-Match`, if it has one, names the version of *entity*.

    The next save checks it again, so that nobody can come between: whether a client is too late is found out now or
    then, the answer is 412 both times. Without the header nothing is checked.

    Args:
        connection: The request.
        session: The session that *entity* was loaded in.
        entity: The document that is to be changed or deleted.

    Raises:
        ConcurrencyException: The client has seen another version.
        InvalidArgumentException: *entity* is not tracked.
    """
    check_version(header_of(connection, "if-match"), session, entity)
