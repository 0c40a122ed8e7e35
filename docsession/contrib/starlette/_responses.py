"""Responses of JSON that PostgreSQL has: nothing is parsed, and clients that have it already get no copy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final

from starlette.background import BackgroundTask
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from docsession._errors import (
    ConcurrencyException,
    Conflict,
    DocumentDoesNotExistException,
    InvalidArgumentTypeException,
)
from docsession._faces._async_document_query import AsyncDocumentQuery
from docsession._query._query import Query
from docsession._session._raw_json import DocumentJson, QueryJson
from docsession.contrib._http import collection_of, if_match, if_none_match, may_be_id
from docsession.contrib.starlette._conditions import header_of
from docsession.contrib.starlette._requests import DEFAULT, RequestSession, request_session

_SAFE: Final = frozenset({"GET", "HEAD"})


class _StoredJson(Response):
    """A response whose body is asked for when it is sent, in the session of the request."""

    media_type = "application/json"

    def __init__(
        self,
        status_code: int,
        headers: Mapping[str, str] | None,
        background: BackgroundTask | None,
        name: str,
    ) -> None:
        super().__init__(None, status_code, headers, background=background)
        del self.headers["content-length"]
        self._name = name

    @abstractmethod
    async def _read(self, own: RequestSession, if_none_match: str | None) -> DocumentJson | QueryJson:
        """Return the body, which need not be read where the client has it."""

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask for the body, and send it, or that the client has it already."""
        connection = HTTPConnection(scope)
        own = request_session(connection, self._name)
        own.refuse_unsaved(type(self).__qualname__)
        is_safe = scope["method"] in _SAFE
        found = await self._read(own, header_of(connection, "if-none-match") if is_safe else None)
        self.headers["etag"] = found.etag
        if is_safe and self._is_known(connection, found.etag):
            self.status_code = 304
            del self.headers["content-type"]
        else:
            self.body = bytes(found)
            self.headers["content-length"] = str(len(self.body))
        await super().__call__(scope, receive, send)

    def _is_known(self, connection: HTTPConnection, etag: str) -> bool:
        """Return True where the client has it already; conditions on what is written are the view's to check."""
        header = header_of(connection, "if-match")
        if not if_match(header, etag):
            raise ConcurrencyException(
                f"the client asks for the version {header!r:.80}, and the present one is {etag}",
                [Conflict("", str(header)[:80], etag.strip('"'))],
            )
        return not if_none_match(header_of(connection, "if-none-match"), etag)


class JsonDocument(_StoredJson):
    """A document as it is stored, with its id as the first member, and its change vector as `ETag`.

    A client that has this version gets 304 (`If-None-Match`), one that asks for another one 412 (`If-Match`). Where
    there is no such document, it is a `DocumentDoesNotExistException`, which becomes 404.

    It is read when it is sent, in the session of the request, and leaves nothing behind there.

    Args:
        key: The id; what cannot be one is no document.
        object_type: The class. Only documents of its collection are found; None finds any document of the database.
        status_code: That of the response.
        headers: Further headers.
        background: What is done once the response is sent.
        name: The `DocSession` that it is read from.
    """

    def __init__(
        self,
        key: str,
        object_type: type[Any] | None = None,
        *,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
        name: str = DEFAULT,
    ) -> None:
        super().__init__(status_code, headers, background, name)
        self._key = key
        self._object_type = object_type

    @override
    async def _read(self, own: RequestSession, if_none_match: str | None) -> DocumentJson:
        del if_none_match  # the store's cache knows versions of documents already
        key = self._key
        nothing = DocumentDoesNotExistException(f"there is no document {key!r:.120}")
        if not may_be_id(key):
            raise nothing
        session = own.get()
        found = await session.load_json(key, self._object_type)
        expected = collection_of(session, self._object_type)
        if found is None or expected not in {None, found.collection}:
            raise nothing
        return found


class JsonDocuments(_StoredJson):
    """What a query finds, as it is stored, with a digest of the ids and versions as `ETag`.

    The digest is made in the statement that reads the documents. A client that has the same list gets 304, and
    PostgreSQL sends no document for it. What `AsyncDocumentQuery.json` says of the arguments and of the three forms of
    the body holds here, too.

    It is asked for when it is sent; a `Query` in the session of the request.

    Args:
        query: A `Query`, or a query of a session that is still open then, as that of the request is.
        size: How many documents a page by keys has; None: an array of all.
        after: A token, as clients get it in `next`.
        before: Likewise, in `previous`.
        envelope: True: an object with the total, too.
        status_code: That of the response.
        headers: Further headers.
        background: What is done once the response is sent.
        name: The `DocSession` that it is read from.

    Raises:
        InvalidArgumentTypeException: *query* is none.
    """

    def __init__(
        self,
        query: Query[Any] | AsyncDocumentQuery[Any],
        *,
        size: int | None = None,
        after: str | None = None,
        before: str | None = None,
        envelope: bool = False,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
        name: str = DEFAULT,
    ) -> None:
        given: object = query
        if not isinstance(given, Query | AsyncDocumentQuery):
            raise InvalidArgumentTypeException(
                "JsonDocuments takes a query, as in JsonDocuments(Query(Customer).where(city=city)), "
                f"not {type(given).__qualname__}"
            )
        super().__init__(status_code, headers, background, name)
        self._query = query
        self._size, self._after, self._before, self._envelope = size, after, before, envelope

    @override
    async def _read(self, own: RequestSession, if_none_match: str | None) -> QueryJson:
        query = self._query
        asked = own.get().query(query) if isinstance(query, Query) else query
        return await asked.json(
            self._size, after=self._after, before=self._before, envelope=self._envelope, if_none_match=if_none_match
        )
