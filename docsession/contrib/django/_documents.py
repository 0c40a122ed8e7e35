"""Documents that clients ask for and change, and the answers that are made of stored JSON."""

from __future__ import annotations

from typing import TypeVar

from django.db import DEFAULT_DB_ALIAS
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils.cache import get_conditional_response

from docsession._faces._includes import Includes
from docsession._faces._run import run
from docsession._session._raw_json import DocumentJson, QueryJson
from docsession.contrib._http import _versions, check_json, find_document
from docsession.contrib._http._versions import AnySession
from docsession.contrib.django._scopes import get_async_session, get_session

T = TypeVar("T")


def load_or_404(key: str, object_type: type[T], includes: Includes = None, name: str = DEFAULT_DB_ALIAS) -> T:
    """Return a document of the request's session, or let Django answer 404.

    So it does, too, where *key* is the id of another kind of document, or can be no id at all: an id in a path is
    anything that somebody types in.

    Args:
        key: The id.
        object_type: The class of the document.
        includes: As in `session.load`.
        name: One of several stores of `DOCSESSION`.

    Raises:
        Http404: There is no such document.
        DocumentMismatchException: There is one, of the class's collection, that does not fit the class.
    """
    return _or_404(run(find_document(get_session(name), key, object_type, includes)), object_type)


async def aload_or_404(key: str, object_type: type[T], includes: Includes = None, name: str = DEFAULT_DB_ALIAS) -> T:
    """Do the same with the async session; see `load_or_404`."""
    return _or_404(await find_document(get_async_session(name), key, object_type, includes), object_type)


def json_response(request: HttpRequest, content: DocumentJson | QueryJson | None) -> HttpResponse:
    """Return the answer that hands on stored JSON, which nothing has parsed.

    It has an `ETag`, and is 304 without a body where the client has the same already (`If-None-Match`). With
    `query.json(…, if_none_match=request.headers.get("If-None-Match"))` PostgreSQL sends no document for a 304.

    Args:
        request: The request.
        content: What `session.load_json(…)` or `query.json(…)` has returned.

    Raises:
        DocumentDoesNotExistException: It is None: there is no such document, and the answer is 404.
        InvalidArgumentTypeException: It is something else.
    """
    found = check_json(content)
    response: HttpResponse
    if isinstance(found, QueryJson) and found.not_modified:
        response = HttpResponseNotModified()
    else:
        response = HttpResponse(bytes(found), content_type="application/json")
    response["ETag"] = found.etag
    answer = get_conditional_response(request, etag=found.etag, response=response)
    return answer if isinstance(answer, HttpResponse) else response


def etag_of(entity: object, session: AnySession | None = None) -> str:
    """Return the header `ETag` of a tracked entity: its change vector in quotes.

    Args:
        entity: A document that the session has loaded or saved.
        session: The session that tracks it; None is that of the request.

    Raises:
        InvalidArgumentException: *entity* is not tracked.
        InvalidOperationException: It has no version before it is saved.
    """
    return _versions.etag_of(session or get_session(), entity)


def check_if_match(request: HttpRequest, entity: object, session: AnySession | None = None) -> None:
    """Let the request go on only if its `If-Match`, if it has one, names the version of *entity*.

    The next save checks it again, so that nobody can come between: whether a client is too late is found out now or
    then, the answer is 412 both times. Without the header nothing is checked.

    Args:
        request: The request.
        entity: The document that is to be changed or deleted.
        session: The session that it was loaded in; None is that of the request.

    Raises:
        ConcurrencyException: The client has seen another version.
        InvalidArgumentException: *entity* is not tracked.
    """
    _versions.check_version(request.META.get("HTTP_IF_MATCH"), session or get_session(), entity)


def expect_change_vector(entity: object, change_vector: str, session: AnySession | None = None) -> None:
    """Let the request go on only if *entity* has the change vector that the client has sent, in a body, say.

    The next save checks it again, so that nobody can come between. The answer is 409 both times.

    Args:
        entity: The document that is to be changed or deleted.
        change_vector: What the client believes to be the version; any text.
        session: The session that it was loaded in; None is that of the request.

    Raises:
        ConcurrencyException: The client has seen another version.
        InvalidArgumentException: *entity* is not tracked.
    """
    _versions.expect_change_vector(session or get_session(), entity, change_vector)


def _or_404(found: T | None, object_type: type[T]) -> T:
    if found is None:
        raise Http404(f"No {object_type.__name__} has this id.")
    return found
