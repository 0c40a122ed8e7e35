"""A store in the life of an application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import fields, replace
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from typing_extensions import override

from docsession._errors import (
    DocSessionError,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
)
from docsession._faces._async_session import AsyncDocumentSession
from docsession._faces._async_store import AsyncDocumentStore
from docsession._options import SessionOptions
from docsession.contrib._http import ProblemMap, watch_requests
from docsession.contrib.starlette._problems import problem_handler
from docsession.contrib.starlette._requests import DEFAULT, DocSessionMiddleware, request_session

MakeStore: TypeAlias = Callable[[], AsyncDocumentStore]
Options: TypeAlias = SessionOptions | Callable[[HTTPConnection], SessionOptions | None]


class DocSession:
    """A store for an application, and a session for each of its requests.

        documents = DocSession(lambda: AsyncDocumentStore("postgresql://app@db.example/shop"))
        app = FastAPI(lifespan=documents.lifespan)
        documents.install(app)

    The store is made when the application starts, and closed when it ends. A request has one session, opened when
    the view first asks for it, and closed before the response starts; nothing is saved unless the view calls
    `save_changes()`.

    Args:
        store: A function that makes the store, or an `AsyncDocumentStore`, which serves one run of the application.
            Without it the store is that of the environment variable `DOCSESSION_URL`, else an embedded one.
        autosave: True: what the view has changed is saved after it has returned normally, if the response has a status
            below 400, and a transaction that it has begun is committed. That happens before the response starts, so
            a conflict becomes the answer 409.
        session_options: Options of the sessions of requests, or a function of the request that returns them, to choose
            the database of a tenant, say.
        problems: What the errors of docsession become; the default is `ProblemMap()`.
        summary: True: what each request has sent to PostgreSQL is logged to `docsession.http`, and told the browser in
            the header `Server-Timing`. None: where the application's `debug` is on.
        name: Tells several stores of one application apart.

    Raises:
        InvalidArgumentTypeException: An argument has the wrong type.
    """

    def __init__(
        self,
        store: AsyncDocumentStore | MakeStore = AsyncDocumentStore,
        *,
        autosave: bool = False,
        session_options: Options | None = None,
        problems: ProblemMap | None = None,
        summary: bool | None = None,
        name: str = DEFAULT,
    ) -> None:
        self._make = _maker(store)
        self._store: AsyncDocumentStore | None = None
        self._options = session_options
        self._problems = ProblemMap() if problems is None else problems
        self._summary = summary
        self._summarises = False
        self.autosave = autosave
        self.name = name

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {self.name!r}, {'started' if self._store else 'not started'}>"

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Make the store, and close it at the end; what an application takes as its `lifespan`.

        In a lifespan of your own: `async with documents.lifespan(app): yield`.

        Raises:
            InvalidOperationException: It is running already.
        """
        if self._store is not None:
            raise InvalidOperationException(f"{self!r} runs already; each application needs a DocSession of its own")
        store = _check_store(self._make())
        self._summarises = bool(app.debug) if self._summary is None else self._summary
        if self._summarises:
            watch_requests(store)
        async with store:
            self._store = store
            try:
                yield
            finally:
                self._store = None

    @contextmanager
    def override(self, store: AsyncDocumentStore | MakeStore) -> Iterator[None]:
        """Let the application start with another store while the block lasts, as tests need it.

        `with documents.override(async_document_store), TestClient(app) as client:`

        Args:
            store: As `DocSession` takes it. The application closes it at its end.

        Raises:
            InvalidArgumentTypeException: It is no store.
            InvalidOperationException: The application has started already.
        """
        if self._store is not None:
            raise InvalidOperationException("override(store) comes before the application starts")
        before, self._make = self._make, _maker(store)
        try:
            yield
        finally:
            self._make = before

    def install(self, app: Starlette) -> None:
        """Give *app* what requests need: sessions, and answers to the errors of docsession.

        The middleware goes inside all others. A handler for `DocSessionError` that the application has stays; one for
        a class below it, added before or later, comes first for that class.

        Raises:
            InvalidOperationException: The application has started already.
        """
        if app.middleware_stack is not None:
            raise InvalidOperationException("install(app) comes before the application starts")
        app.user_middleware.append(Middleware(DocSessionMiddleware, self))
        app.exception_handlers.setdefault(DocSessionError, problem_handler(self._problems))

    @property
    def store(self) -> AsyncDocumentStore:
        """The store, while the application runs.

        Raises:
            InvalidOperationException: It does not.
        """
        if self._store is None:
            raise InvalidOperationException(
                "the application has not started, or has ended: pass DocSession.lifespan to it, as in "
                "FastAPI(lifespan=documents.lifespan), and write `with TestClient(app)` in tests"
            )
        return self._store

    @property
    def summarises(self) -> bool:
        """True where requests are counted."""
        return self._summarises

    def open_session(
        self, connection: HTTPConnection | None = None, session_options: SessionOptions | None = None
    ) -> AsyncDocumentSession:
        """Open a session that the caller closes, for a stream, a background task, or a part of a request.

        Args:
            connection: The request that it is for, which a function of `session_options` is asked with.
            session_options: Options of this session; what they leave open is as for all sessions of requests.

        Raises:
            InvalidArgumentException: The options depend on the request, and none was given.
        """
        options = _together(self._options_for(connection), session_options)
        return self.store.open_session(session_options=options)

    def _options_for(self, connection: HTTPConnection | None) -> SessionOptions | None:
        options = self._options
        if options is None or isinstance(options, SessionOptions):
            return options
        if connection is None:
            raise InvalidArgumentException(
                "the options of this application's sessions depend on the request: open_session(request)"
            )
        return options(connection)

    def session(self, connection: HTTPConnection) -> AbstractAsyncContextManager[AsyncDocumentSession]:
        """Return the session of a request: `async with documents.session(request) as session`.

        It is the same one wherever it is asked for, and stays open after the block, until the response starts.
        """
        return request_session(connection, self.name).use()


def _maker(store: AsyncDocumentStore | MakeStore) -> MakeStore:
    if callable(store):
        return store
    made = _check_store(store)
    return lambda: made


def _check_store(given: object) -> AsyncDocumentStore:
    if isinstance(given, AsyncDocumentStore):
        return given
    raise InvalidArgumentTypeException(
        "DocSession takes an AsyncDocumentStore, or a function that makes one: "
        f"DocSession(lambda: AsyncDocumentStore(url)), not {type(given).__qualname__}"
    )


def _together(general: SessionOptions | None, own: SessionOptions | None) -> SessionOptions | None:
    """Return *own*, with what it leaves open taken from *general*."""
    if general is None or own is None:
        return own or general
    given = {each.name: getattr(own, each.name) for each in fields(own) if getattr(own, each.name) is not None}
    return replace(general, **given)
