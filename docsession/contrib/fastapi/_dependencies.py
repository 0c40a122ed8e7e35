"""What views ask FastAPI for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, TypeAlias

from fastapi import Depends, Header, Request
from starlette.requests import HTTPConnection
from typing_extensions import override

from docsession._faces._async_session import AsyncDocumentSession
from docsession._faces._async_store import AsyncDocumentStore
from docsession.contrib.starlette import DocSession as StarletteDocSession
from docsession.contrib.starlette import check_if_match
from docsession.contrib.starlette._requests import request_session


class DocSession(StarletteDocSession):
    __doc__ = StarletteDocSession.__doc__

    async def document_session(self, connection: HTTPConnection) -> AsyncIterator[AsyncDocumentSession]:
        """Yield the session of the request; a dependency.

        `Archive = Annotated[AsyncDocumentSession, Depends(archive.document_session, scope="function")]` is what
        `Session` is, for a store that has another name than "default".
        """
        async with self.session(connection) as session:
            yield session

    def document_store(self) -> AsyncDocumentStore:
        """Return the store; a dependency."""
        return self.store


async def document_session(connection: HTTPConnection) -> AsyncIterator[AsyncDocumentSession]:
    """Yield the session of the request; the dependency behind `Session`.

    All who ask for it within one request get the same session. It is opened now, and closed before the response starts.

    Raises:
        InvalidOperationException: No `DocSession` is installed in the application.
    """
    async with request_session(connection).use() as session:
        yield session


def document_store(connection: HTTPConnection) -> AsyncDocumentStore:
    """Return the store of the application; the dependency behind `Store`.

    Raises:
        InvalidOperationException: No `DocSession` is installed in the application, or it has not started.
    """
    return request_session(connection).store


Session: TypeAlias = Annotated[AsyncDocumentSession, Depends(document_session, scope="function")]
"""The session of the request: `async def customers(session: Session)`."""

Store: TypeAlias = Annotated[AsyncDocumentStore, Depends(document_store)]
"""The store of the application: `async def customers(store: Store)`."""


class IfMatchHeader:
    """The condition under which a client wants to write: the version that it has read, or any."""

    __slots__ = ("_request",)

    def __init__(self, request: Request) -> None:
        self._request = request

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {', '.join(self._request.headers.getlist('if-match')) or 'missing'}>"

    def __bool__(self) -> bool:
        """Return True where the client has sent one."""
        return "if-match" in self._request.headers

    def check(self, session: AsyncDocumentSession, entity: object) -> None:
        """Let the request go on only if the client has seen the version of *entity*; see `check_if_match`.

        Raises:
            ConcurrencyException: The client has seen another version; it becomes 412.
            InvalidArgumentException: *entity* is not tracked.
        """
        check_if_match(self._request, session, entity)


def _if_match(
    request: Request,
    if_match: Annotated[
        str | None, Header(alias="If-Match", description="The ETag of the version that is to be changed.")
    ] = None,
) -> IfMatchHeader:
    del if_match  # for the schema; a request may have several such lines
    return IfMatchHeader(request)


IfMatch: TypeAlias = Annotated[IfMatchHeader, Depends(_if_match)]
"""The header `If-Match`: `if_match.check(session, customer)` before a change."""
