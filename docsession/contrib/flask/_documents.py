"""Versions of documents in conditional requests, and the answers that are made of stored JSON."""

from __future__ import annotations

from flask import Response, current_app, request

from docsession._faces._session import DocumentSession
from docsession._session._raw_json import DocumentJson, QueryJson
from docsession.contrib._http import check_json, check_version


def check_if_match(session: DocumentSession, entity: object) -> None:
    """Let the current request go on only if its `If-Match`, if it has one, names the version of *entity*.

    The next save checks it again, so that nobody can come between: whether a client is too late is found out now or
    then, the answer is 412 both times. Without the header nothing is checked.

    Args:
        session: The session that *entity* was loaded in.
        entity: The document that is to be changed or deleted.

    Raises:
        ConcurrencyException: The client has seen another version.
        InvalidArgumentException: *entity* is not tracked.
    """
    lines = request.headers.getlist("If-Match")
    check_version(", ".join(lines) if lines else None, session, entity)


def json_response(content: DocumentJson | QueryJson | None) -> Response:
    """Return the answer that hands on stored JSON, which nothing has parsed, to the current request.

    It has an `ETag`, and is 304 without a body where the client has the same already (`If-None-Match`). With
    `query.json(…, if_none_match=request.headers.get("If-None-Match"))` PostgreSQL sends no document for a 304.

    Args:
        content: What `session.load_json(…)` or `query.json(…)` has returned.

    Raises:
        DocumentDoesNotExistException: It is None: there is no such document, and the answer is 404.
        InvalidArgumentTypeException: It is something else.
    """
    found = check_json(content)
    if isinstance(found, QueryJson) and found.not_modified:
        known: Response = current_app.response_class(status=304)
        known.headers["ETag"] = found.etag
        return known
    response = current_app.response_class(bytes(found), mimetype="application/json")
    response.headers["ETag"] = found.etag
    response.make_conditional(request)  # changes it in place
    return response
