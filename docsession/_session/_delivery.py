"""What came in the way of a write: it is carried out first, and whoever asked for it hears of the rest then."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from docsession._port import Request

E = TypeVar("E", bound=Exception)


def deliver(request: Request) -> None:
    """Raise what came in the way of a request that was carried out: a cancellation, or the error of a handler."""
    deliver_cancellation(request, None)
    if request.interrupted is not None:
        raise request.interrupted


def deliver_cancellation(request: Request, error: Exception | None) -> None:
    """Cancel the task now that was to be cancelled while the request was under way."""
    if request.cancelled is not None:
        raise asyncio.CancelledError(*request.cancelled.args) from error


def noting(request: Request, error: E) -> E:
    """Return *error*, which matters more than what a handler of `on_succeed_request` raised."""
    other = request.interrupted
    if other is not None:
        error.add_note(f"a handler of on_succeed_request raised {type(other).__qualname__}: {other}")
    return error
