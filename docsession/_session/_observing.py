"""Tells handlers of the requests that sessions and their store send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from time import perf_counter

from docsession._port import Request, Row, Rows, Statement
from docsession._session._catalogue import Catalogue
from docsession._session._event_args import (
    BeforeRequestEventArgs,
    FailedRequestEventArgs,
    RequestDescription,
    SucceedRequestEventArgs,
)
from docsession._session._events import Handlers, call
from docsession._session._measuring import collections_of, is_document, size_of


class _Answer:
    """How much has come back."""

    __slots__ = ("documents", "received", "rows")

    def __init__(self) -> None:
        self.rows = self.documents = self.received = 0

    def count(self, row: Row) -> None:
        self.rows += 1
        self.documents += is_document(row)
        self.received += size_of(row)


class Observer:
    """Calls the handlers of `on_before_request`, `on_succeed_request` and `on_failed_request`.

    Args:
        handlers: The store's.
        database: The session's database.
        url: The server, without a password.
        awaits: True on the async face.
    """

    __slots__ = ("_awaits", "_database", "_handlers", "_url")

    def __init__(self, handlers: Handlers, database: str, url: str, *, awaits: bool) -> None:
        self._handlers = handlers
        self._database = database
        self._url = url
        self._awaits = awaits

    async def watch(
        self,
        operation: str,
        request: Request,
        send: Callable[[Request], Awaitable[list[Rows]]],
        catalogue: Catalogue | None,
        *,
        by_store: bool = False,
    ) -> list[Rows]:
        """Send *request* with *send*, and tell the handlers; *catalogue* knows its collections.

        What a handler of `on_before_request` raises stops the request. What a handler of
        `on_succeed_request` raises after a write becomes `request.interrupted`, to be raised once the
        answer is applied; what one of `on_failed_request` raises becomes a note of the failure.
        """
        collections = request.collections or collections_of(request.statements, self._database, catalogue)
        # What ends a transaction is a statement that the executor knows.
        statements = len(request.statements) or 1
        description = RequestDescription(operation, statements, request.write, collections, by_store)
        await self._tell_beginning(description)
        began = perf_counter()
        try:
            results = await send(request)
        except (Exception, asyncio.CancelledError) as error:
            await self._tell_failure(request, description, error, perf_counter() - began)
            raise
        seconds = perf_counter() - began
        try:
            if self._handlers.on_succeed_request:
                answer = _Answer()
                for rows in results:
                    for row in rows:
                        answer.count(row)
                await self._tell_success(request, description, answer, seconds)
        except BaseException as error:
            if not request.write:
                raise
            request.interrupted = error
        return results

    async def watch_stream(
        self, operation: str, statement: Statement, rows: AsyncGenerator[Row], catalogue: Catalogue | None
    ) -> AsyncGenerator[Row]:
        """Do the same for rows that are read as they come; one that is not read to its end has no outcome."""
        request = Request((statement,))
        request.sent = 1
        collections = collections_of((statement,), self._database, catalogue)
        description = RequestDescription(operation, 1, is_write=False, collections=collections)
        await self._tell_beginning(description)
        began = perf_counter()
        answer = _Answer()
        try:
            async with aclosing(rows):
                async for row in rows:
                    answer.count(row)
                    yield row
        except (Exception, asyncio.CancelledError) as error:
            await self._tell_failure(request, description, error, perf_counter() - began)
            raise
        await self._tell_success(request, description, answer, perf_counter() - began)

    async def _tell_beginning(self, description: RequestDescription) -> None:
        for handler in self._handlers.on_before_request:
            args = BeforeRequestEventArgs(self._database, self._url, description, 1)
            await call("on_before_request", handler, args, awaits=self._awaits)

    async def _tell_success(
        self, request: Request, description: RequestDescription, answer: _Answer, seconds: float
    ) -> None:
        documents = request.documents if request.write and request.documents is not None else answer.documents
        sent = sum(size_of(statement.params) for statement in request.statements)
        args = SucceedRequestEventArgs(
            self._database,
            self._url,
            description,
            request.sent,
            answer.rows,
            seconds,
            documents=documents,
            bytes_sent=sent,
            bytes_received=answer.received,
        )
        for handler in self._handlers.on_succeed_request:
            await call("on_succeed_request", handler, args, awaits=self._awaits)

    async def _tell_failure(
        self, request: Request, description: RequestDescription, error: BaseException, seconds: float
    ) -> None:
        for handler in self._handlers.on_failed_request:
            failed = FailedRequestEventArgs(self._database, self._url, error, description, request.sent, seconds)
            try:
                await call("on_failed_request", handler, failed, awaits=self._awaits)
            except Exception as other:
                error.add_note(f"a handler of on_failed_request raised {type(other).__qualname__}: {other}")
