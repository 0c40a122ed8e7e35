"""The way that every request of a session goes: settings, then those who watch, then what carries it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from docsession._port import Request, Row, Rows, Statement
from docsession._session import _requests, _slow_queries
from docsession._session._query_shapes import shapes_in
from docsession._session._timeouts import timeout_setting

if TYPE_CHECKING:
    from docsession._session._context import SessionContext


def send(context: SessionContext, request: Request) -> Coroutine[Any, Any, list[Rows]]:
    """Send a request of a session."""
    timeout = context.statement_timeout
    if timeout is None:
        timeout = context.database.request_timeout
    if timeout is None:
        timeout = context.conventions.request_timeout
    if context.reads_latest:
        request.may_lag = False
    if timeout is not None:
        request.settings = (*request.settings, timeout_setting(timeout))
    if _requests.listeners:
        _requests.tell_sent(context.requests, *request.statements)
    threshold = context.conventions.slow_query_threshold
    go = partial(_send, context) if threshold is None else partial(_send_watched, context, threshold)
    shapes = context.database.shapes
    if shapes is not None:
        asked = shapes_in(request.statements)
        if asked:
            # Not while a standby may have answered: the primary could be out of reach, and be waited for.
            may_write = not request.write and context.own_executor is context.database.executor
            return shapes.watch(asked, request, go, may_write=may_write)
    return go(request)


def _send_watched(context: SessionContext, threshold: timedelta, request: Request) -> Coroutine[Any, Any, list[Rows]]:
    return _slow_queries.watch(request, partial(_send, context), threshold, context.requests)


def _send(context: SessionContext, request: Request) -> Coroutine[Any, Any, list[Rows]]:
    if context.observer is None:
        return context.executor.run(request)
    return context.observer.watch(context.operation, request, context.executor.run, context.database.catalogue)


def send_stream(context: SessionContext, operation: str, statement: Statement, size: int) -> AsyncGenerator[Row]:
    """Send a request of a session whose rows are read as they come."""
    _requests.tell_sent(context.requests, statement)
    if context.database.shapes is not None:
        # How long it takes is up to those who read.
        context.database.shapes.add(shapes_in([statement]), 0)
    rows = context.executor.stream(statement, size)
    if context.observer is None:
        return rows
    return context.observer.watch_stream(operation, statement, rows, context.database.catalogue)
