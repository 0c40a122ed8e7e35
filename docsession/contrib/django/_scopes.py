"""The sessions of a request, or of a block: opened when they are first asked for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeAlias

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS, transaction
from django.utils.asyncio import async_unsafe

from docsession._errors import InvalidOperationException
from docsession._faces._async_session import AsyncDocumentSession
from docsession._faces._request_executor import RequestExecutor
from docsession._faces._run import run
from docsession._faces._session import DocumentSession
from docsession._options import SessionOptions
from docsession.contrib._http import save_session
from docsession.contrib.django._late import save_late
from docsession.contrib.django._settings import DjangoSettings
from docsession.contrib.django._stores import STORES

_current: ContextVar[Scope | None] = ContextVar("docsession_django_scope", default=None)

_Key: TypeAlias = tuple[str, str | None]
"""A store, and a database of it; None is the store's own."""

_OUTSIDE: Final = (
    "there is no session here, because no request is being handled: add "
    "'docsession.contrib.django.DocumentSessionMiddleware' to MIDDLEWARE; in commands, tasks and streamed responses "
    "open one of their own, `with {opens}() as session:`"
)


class Scope:
    """The sessions of one request.

    Attributes:
        blocks: The transactions of Django that the request is handled in, on behalf of `ATOMIC_REQUESTS`.
        has_blocks: True where there are any.
        autosaves: The stores whose sessions are saved after the view.
        is_threaded: True where an async view runs in an event loop that is not the middleware's: under WSGI in one of
            its own, which ends with the view.
    """

    def __init__(self, *, is_threaded: bool = False) -> None:
        self.blocks = ExitStack()
        self.has_blocks = False
        self.autosaves: frozenset[str] = frozenset()
        self.is_threaded = is_threaded
        self._sessions: dict[_Key, DocumentSession] = {}
        self._async_sessions: dict[_Key, AsyncDocumentSession] = {}
        self._loops: dict[_Key, asyncio.AbstractEventLoop] = {}
        self._guest: DocumentSession | AsyncDocumentSession | None = None

    @classmethod
    def current(cls, opens: str) -> Scope:
        """Return the scope of the request that is being handled.

        Args:
            opens: What the user may open instead.

        Raises:
            InvalidOperationException: None is.
        """
        scope = _current.get()
        if scope is None:
            raise InvalidOperationException(_OUTSIDE.format(opens=opens))
        return scope

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let it be the current one."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def adopt(self, name: str, session: DocumentSession | AsyncDocumentSession) -> None:
        """Take in a session that is open, and that somebody else closes."""
        self._guest = session
        if isinstance(session, DocumentSession):
            self._sessions[name, None] = session
        else:
            self._async_sessions[name, None] = session

    def session(self, name: str, database: str | None = None) -> DocumentSession:
        """Return the blocking session of a store's database; None is the store's own."""
        found = self._sessions.get((name, database))
        if found is None:
            found = self._sessions[name, database] = open_session(name, SessionOptions(database=database))
        return found

    def async_session(self, name: str, database: str | None = None) -> AsyncDocumentSession:
        """Return the async session of a store's database; None is the store's own."""
        found = self._async_sessions.get((name, database))
        if found is None:
            found = self._async_sessions[name, database] = STORES.asynchronous(name).open_session(database)
            self._loops[name, database] = asyncio.get_running_loop()
        return found

    def save(self, names: frozenset[str] | None = None) -> None:
        """Save what the blocking sessions of the stores *names*, None: of all, have changed.

        Several that are on one connection are saved in one transaction.
        """
        chosen = [(name, each) for (name, _), each in self._sessions.items() if names is None or name in names]
        places = Counter(STORES.settings_of(name).using for name, _ in chosen)
        with ExitStack() as blocks:
            for using, count in places.items():
                if using is not None and count > 1:
                    blocks.enter_context(transaction.atomic(using=using))
            for _, session in chosen:
                run(save_session(session))

    def save_all(self, names: frozenset[str] | None = None) -> None:
        """Save, from a thread, what all sessions have changed, the async ones that an event loop has left, too."""
        self.save(names)
        if self.is_threaded:
            for key, session in self._async_sessions.items():
                name, _ = key
                if names is None or name in names:
                    save_late(session, self._loops[key], partial(STORES.blocking, name))

    async def asave(self, names: frozenset[str] | None = None) -> None:
        """Save what all sessions have changed, from a coroutine."""
        if self._sessions:
            await sync_to_async(self.save)(names)
        for (name, _), session in self._async_sessions.items():
            if names is None or name in names:
                await save_session(session)

    def begin_blocks(self, view: Any) -> None:
        """Begin the transactions in which Django will call *view*, so that the save after it is a part of them."""
        exempt = getattr(view, "_non_atomic_requests", ())
        for name in sorted(self.autosaves):
            using = STORES.settings_of(name).using
            if using is not None and using not in exempt and _is_atomic(using):
                self.blocks.enter_context(transaction.atomic(using=using))
                self.has_blocks = True

    def close(self) -> None:
        """End the blocking sessions; the async ones, which hold nothing, have ended with their event loop."""
        with ExitStack() as closing:
            for session in self._sessions.values():
                if session is not self._guest:
                    closing.callback(session.close)
            self._sessions.clear()
            self._async_sessions.clear()

    async def aclose(self) -> None:
        """End all sessions, from a coroutine."""
        async with AsyncExitStack() as closing:
            if self._sessions:
                closing.push_async_callback(sync_to_async(self.close))
            for session in self._async_sessions.values():
                if session is not self._guest:
                    closing.push_async_callback(session.close)
            self._async_sessions.clear()


@contextmanager
def scope_here() -> Iterator[Scope]:
    """Take the scope of the request, or, without the middleware, one for the block."""
    here = _current.get()
    if here is not None:
        yield here
        return
    scope = Scope()
    with scope.entered():
        try:
            yield scope
        finally:
            scope.close()


@asynccontextmanager
async def async_scope_here() -> AsyncIterator[Scope]:
    """Do the same in a coroutine."""
    here = _current.get()
    if here is not None:
        yield here
        return
    scope = Scope()
    with scope.entered():
        try:
            yield scope
        finally:
            await scope.aclose()


def _is_atomic(using: str) -> bool:
    return bool(transaction.get_connection(using).settings_dict["ATOMIC_REQUESTS"])


def open_session(name: str, options: SessionOptions | None = None) -> DocumentSession:
    """Open a session that joins Django's connection, where the settings say so and *options* name no other place."""
    settings: DjangoSettings = STORES.settings_of(name)
    connection = settings.connection()
    if connection is not None and (options is None or options.request_executor is None):
        joined = RequestExecutor.for_connection(connection)
        options = replace(options or SessionOptions(), request_executor=joined)
    return STORES.blocking(name).open_session(session_options=options)


@async_unsafe("This blocks: in an async view use get_async_session() instead.")
def get_session(name: str = DEFAULT_DB_ALIAS, database: str | None = None) -> DocumentSession:
    """Return the session of the request that is being handled; it is opened by the first call.

    It works on Django's connection, so that it takes part in `transaction.atomic` and `ATOMIC_REQUESTS`. The
    middleware closes it after the response was made. Nothing is saved by itself: see `autosave`.

    Args:
        name: One of several stores of `DOCSESSION`.
        database: The database (a schema), that of a tenant, say, which has a session of its own; None is the store's.

    Raises:
        InvalidOperationException: No request is being handled, or without `DocumentSessionMiddleware`.
        SynchronousOnlyOperation: It is called in an async view.
    """
    return Scope.current("document_session").session(name, database)


def get_async_session(name: str = DEFAULT_DB_ALIAS, database: str | None = None) -> AsyncDocumentSession:
    """Return the async session of the request that is being handled; it is opened by the first call.

    It works on the store's own connections: Django's block, so what it saves is no part of Django's transactions.

    Args:
        name: One of several stores of `DOCSESSION`.
        database: As for `get_session`.

    Raises:
        InvalidOperationException: No request is being handled, or without `DocumentSessionMiddleware`, or no event loop
            runs.
    """
    return Scope.current("async_document_session").async_session(name, database)


@contextmanager
def document_session(
    name: str = DEFAULT_DB_ALIAS, session_options: SessionOptions | None = None
) -> Iterator[DocumentSession]:
    """Open a session outside of requests, for a command, a task, or a response that is streamed.

    `with document_session() as session:` closes it at the end; `get_session()` returns it inside, so it also serves as
    a decorator of a task, `@document_session()`. It takes part in Django's transactions, and saves nothing by itself.

    Args:
        name: One of several stores of `DOCSESSION`.
        session_options: See `SessionOptions`.
    """
    scope = Scope()
    with open_session(name, session_options) as session:
        scope.adopt(name, session)
        with scope.entered():
            try:
                yield session
            finally:
                scope.close()


@asynccontextmanager
async def async_document_session(
    name: str = DEFAULT_DB_ALIAS, session_options: SessionOptions | None = None
) -> AsyncIterator[AsyncDocumentSession]:
    """Open an async session outside of requests, or for a response that is streamed.

    `async with async_document_session() as session:` closes it at the end; `get_async_session()` returns it inside. It
    works on the store's own connections.

    Args:
        name: One of several stores of `DOCSESSION`.
        session_options: See `SessionOptions`.
    """
    scope = Scope()
    async with STORES.asynchronous(name).open_session(session_options=session_options) as session:
        scope.adopt(name, session)
        with scope.entered():
            try:
                yield session
            finally:
                await scope.aclose()
