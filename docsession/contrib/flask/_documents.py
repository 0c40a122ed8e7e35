"""Documents that clients ask for by their ids, and the answers that are made of stored JSON."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, request

from docsession._documents._ids import check_id
from docsession._documents._metadata import COLLECTION, METADATA
from docsession._errors import DocumentMismatchException, InvalidArgumentException
from docsession._faces._includes import Includes
from docsession._faces._session import DocumentSession
from docsession._session._raw_json import DocumentJson, QueryJson
from docsession.contrib._http import check_version


def load(session: DocumentSession, key: str, object_type: type[Any] | None, includes: Includes) -> Any:
    """Return a document of the class's collection; None where *key* is not the id of one."""
    try:
        check_id(key)
    except InvalidArgumentException:
        return None
    try:
        found = session.load(key, object_type, includes)
    except DocumentMismatchException:
        # It may have another shape because it is something else.
        if _collection(session, key, None) == _expected(session, object_type):
            raise
        return None
    if found is None or object_type is None or object_type is dict:
        return found
    if _collection(session, key, found) == _expected(session, object_type):
        return found
    if not session._core.context.no_tracking:
        session.advanced.evict(found)
    return None


def _expected(session: DocumentSession, object_type: type[Any] | None) -> str | None:
    return None if object_type is None else session._core.context.mappings.for_class(object_type).collection


def _collection(session: DocumentSession, key: str, entity: object | None) -> str | None:
    """Return the collection that a document is in; a session that tracks nothing has to read it as a dict for that."""
    if entity is None or session._core.context.no_tracking:
        document = session.load(key)
        metadata = {} if document is None else document[METADATA]
    else:
        metadata = session.advanced.get_metadata_for(entity)
    return metadata.get(COLLECTION)


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


def json_response(content: DocumentJson | QueryJson) -> Response:
    """Return the answer that hands on stored JSON, which nothing has parsed, to the current request.

    It has an `ETag`, and is 304 without a body where the client has the same already (`If-None-Match`).

    Args:
        content: What `session.load_json(…)` or `query.json(…)` has returned.
    """
    response = current_app.response_class(bytes(content), mimetype="application/json")
    response.headers["ETag"] = content.etag
    response.make_conditional(request)  # changes it in place
    return response
