"""Telling a query's own listeners that it has been executed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from docsession import _clock
from docsession._query._listening import Listener, Listeners
from docsession._query._query import Specification
from docsession._query._watching import QueryResult
from docsession._session._context import SessionContext
from docsession._session._events import call


def result_of(items: list[Any], total: int, began: float) -> QueryResult[Any]:
    """Return what is known of an asking that began at a reading of `perf_counter`, and is over."""
    took = (perf_counter() - began) * 1000
    return QueryResult(items, total, took, dt.datetime.fromtimestamp(_clock.source.now_ns() / 1e9, dt.UTC))


async def tell_executed(context: SessionContext, listeners: Listeners | None, result: QueryResult[Any]) -> None:
    """Call those of `after_query_executed`; the operation is over, so they may do anything with the session."""
    if listeners is not None:
        await _call(context, "after_query_executed", listeners.after, result)


async def tell_watched(context: SessionContext, asked: Specification, result: QueryResult[Any]) -> None:
    """Tell all who want to know of a query's results."""
    if asked.watchers is not None:
        asked.watchers.tell(result)
    await tell_executed(context, asked.listeners, result)


async def tell_streamed(context: SessionContext, listeners: Sequence[Listener], result: object) -> None:
    """Call those of `after_stream_executed` with one result of a stream."""
    await _call(context, "after_stream_executed", listeners, result)


async def _call(context: SessionContext, event: str, listeners: Sequence[Listener], given: object) -> None:
    assert context.face is not None  # noqa: S101  # every session has one
    for each in listeners:
        await call(event, each, given, awaits=context.face.awaits)
