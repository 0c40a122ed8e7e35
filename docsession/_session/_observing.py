"""Tells handlers of the requests that a session sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from time import perf_counter

from docsession._port import Request, Row, Rows
from docsession._session._event_args import (
    BeforeRequestEventArgs,
    FailedRequestEventArgs,
    RequestDescription,
    SucceedRequestEventArgs,
)
from docsession._session._events import Handlers, call


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
        self, operation: str, request: Request, send: Callable[[Request], Awaitable[list[Rows]]]
    ) -> list[Rows]:
        """Send *request* with *send*, and tell the handlers.

        What a handler of `on_before_request` raises stops the request. What a handler of
        `on_succeed_request` raises after a write becomes `request.interrupted`, to be raised once the
        answer is applied; what one of `on_failed_request` raises becomes a note of the failure.
        """
        description = RequestDescription(operation, len(request.statements), request.write)
        await self._tell_beginning(description)
        began = perf_counter()
        try:
            results = await send(request)
        except (Exception, asyncio.CancelledError) as error:
            await self._tell_failure(request, description, error, perf_counter() - began)
            raise
        seconds = perf_counter() - began
        try:
            await self._tell_success(request, description, sum(map(len, results)), seconds)
        except BaseException as error:
            if not request.write:
                raise
            request.interrupted = error
        return results

    async def watch_stream(self, operation: str, rows: AsyncGenerator[Row]) -> AsyncGenerator[Row]:
        """Do the same for rows that are read as they come; one that is not read to its end has no outcome."""
        request = Request(())
        request.sent = 1
        description = RequestDescription(operation, 1, is_write=False)
        await self._tell_beginning(description)
        began = perf_counter()
        count = 0
        try:
            async with aclosing(rows):
                async for row in rows:
                    count += 1
                    yield row
        except (Exception, asyncio.CancelledError) as error:
            await self._tell_failure(request, description, error, perf_counter() - began)
            raise
        await self._tell_success(request, description, count, perf_counter() - began)

    async def _tell_beginning(self, description: RequestDescription) -> None:
        for handler in self._handlers.on_before_request:
            args = BeforeRequestEventArgs(self._database, self._url, description, 1)
            await call("on_before_request", handler, args, awaits=self._awaits)

    async def _tell_success(self, request: Request, description: RequestDescription, rows: int, seconds: float) -> None:
        for handler in self._handlers.on_succeed_request:
            sent = max(request.sent, 1)
            args = SucceedRequestEventArgs(self._database, self._url, description, sent, rows, seconds)
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
