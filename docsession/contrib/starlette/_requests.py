"""One session for each request: opened when it is first asked for, saved and closed before the response starts."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Protocol

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from docsession._errors import InvalidOperationException, SessionClosedException
from docsession._faces._async_session import AsyncDocumentSession
from docsession._faces._async_store import AsyncDocumentStore
from docsession.contrib._http import RequestSummary, save_session
from docsession.contrib.starlette._problems import handled

SCOPE_KEY: Final = "docsession"
DEFAULT: Final = "default"


class Documents(Protocol):
    """What a request has to know of the application's `DocSession`."""

    name: str
    autosave: bool

    @property
    def summarises(self) -> bool:
        """Whether requests are to be counted."""
        ...

    @property
    def store(self) -> AsyncDocumentStore:
        """The store, while the application runs."""
        ...

    def open_session(self, connection: HTTPConnection) -> AsyncDocumentSession:
        """Open a session for a request."""
        ...


class RequestSession:
    """The session of one request or WebSocket, and what becomes of it."""

    __slots__ = ("_connection", "_documents", "_ended", "_session", "refused")

    def __init__(self, documents: Documents, connection: HTTPConnection) -> None:
        self._documents = documents
        self._connection = connection
        self._session: AsyncDocumentSession | None = None
        self._ended = False
        self.refused: Exception | None = None

    def get(self) -> AsyncDocumentSession:
        """Return the session; the first call opens it.

        Raises:
            SessionClosedException: The response has begun.
        """
        if self._ended:
            raise SessionClosedException(
                "the session of a request is closed before its response starts; streaming responses and background "
                "tasks take one of their own: async with documents.open_session(request) as session"
            )
        if self._session is None:
            self._session = self._documents.open_session(self._connection)
        return self._session

    @property
    def store(self) -> AsyncDocumentStore:
        """The store of the application."""
        return self._documents.store

    @asynccontextmanager
    async def use(self) -> AsyncIterator[AsyncDocumentSession]:
        """Give it to a view, which may catch what its block raises, and go on with it."""
        yield self.get()

    def refuse_unsaved(self, what: str) -> None:
        """Refuse a response that would be read before what it is about is saved.

        Raises:
            InvalidOperationException: The session has changes, and they would be saved after the response is made.
        """
        if self._saves and self._session is not None and self._session.advanced.has_changes():
            raise InvalidOperationException(
                f"{what} is read from the database, and the changes of this request would be saved after that: "
                "call save_changes() before you return it"
            )

    @property
    def _saves(self) -> bool:
        session = self._session
        # While an error is handled, the response is what a handler has made of it: the view has not returned normally.
        failed = sys.exception() is not None
        return self._documents.autosave and not failed and session is not None and not is_closed(session)

    async def end(self, status: int) -> None:
        """Save, where that was asked for and the view went well, and close: the response is about to start."""
        if self._ended:
            return
        self._ended = True
        session = self._session
        if session is None:
            return
        if self._saves and status < 400:
            await save_session(session)
        await session.close()

    async def abandon(self, error: BaseException | None) -> None:
        """Close it, whatever has happened."""
        self._ended = True
        if self._session is not None:
            await self._session.__aexit__(None if error is None else type(error), error, None)


def is_closed(session: AsyncDocumentSession) -> bool:
    """Return True where the view has closed the session itself."""
    return session._core.context.closed


def request_session(connection: HTTPConnection, name: str = DEFAULT) -> RequestSession:
    """Return what a request has of a `DocSession`.

    Raises:
        InvalidOperationException: It was not installed.
    """
    known: dict[str, RequestSession] = connection.scope.get(SCOPE_KEY, {})
    found = known.get(name)
    if found is None:
        raise InvalidOperationException(
            f"this application has no DocSession of the name {name!r}: call DocSession(…).install(app) once it is made"
        )
    return found


class DocSessionMiddleware:
    """Gives each request its session, and ends it when the response starts.

    It belongs inside all other middleware: what it answers itself, as with 409 to a save that is refused, passes
    through them like any response.
    """

    def __init__(self, app: ASGIApp, documents: Documents) -> None:
        self.app = app
        self.documents = documents

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        # Without `receive`: the body is the view's, and a handler that waited for it here would wait for ever.
        connection = Request(scope) if scope["type"] == "http" else HTTPConnection(scope)
        own = RequestSession(self.documents, connection)
        scope[SCOPE_KEY] = {**scope.get(SCOPE_KEY, {}), self.documents.name: own}
        with self._summary(scope) as summary:
            exchange = _Exchange(scope["app"], own, send, summary)
            await exchange.run(self.app, connection, scope, receive)

    @contextmanager
    def _summary(self, scope: Scope) -> Iterator[RequestSummary | None]:
        if scope["type"] != "http" or not self.documents.summarises:
            yield None
            return
        with RequestSummary.collect() as summary:
            yield summary


class _Exchange:
    """What is sent for one request, watched for the moment at which the response starts."""

    __slots__ = ("_app", "_own", "_send", "_status", "_summary")

    def __init__(self, app: Starlette, own: RequestSession, send: Send, summary: RequestSummary | None) -> None:
        self._app = app  # as it is now: one that is mounted inside puts itself into the scope
        self._own = own
        self._send = send
        self._summary = summary
        self._status: int | None = None

    async def run(self, app: ASGIApp, connection: HTTPConnection, scope: Scope, receive: Receive) -> None:
        own, error = self._own, None
        try:
            try:
                await app(scope, receive, self.send)
            except Exception:
                if own.refused is None:
                    raise
            if own.refused is not None:
                # Nothing was sent yet: what is answered now is all that the client gets.
                response = await handled(self._app, connection, own.refused)
                await response(scope, receive, self.forward)
        except BaseException as raised:
            error = raised
            raise
        finally:
            await own.abandon(error or own.refused)
            if self._summary is not None:
                self._summary.log(scope["method"], scope["path"], self._status)

    async def send(self, message: Message) -> None:
        """Send what the application sends, from the start of its response on when the session has ended."""
        own = self._own
        if own.refused is None and message["type"] == "http.response.start":
            try:
                await own.end(message["status"])
            except Exception as error:
                own.refused = error
        if own.refused is not None:
            raise own.refused  # also where the application goes on after the first time
        await self.forward(message)

    async def forward(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if self._summary is not None:
                added = [(name.lower().encode(), value.encode()) for name, value in self._summary.headers().items()]
                message = {**message, "headers": [*message.get("headers", ()), *added]}
        await self._send(message)
