"""Async sessions that are saved after their view, from a thread: under WSGI their event loop has ended with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asgiref.sync import async_to_sync

from docsession._faces._async_session import AsyncDocumentSession
from docsession._faces._store import DocumentStore


def save_late(
    session: AsyncDocumentSession, loop: asyncio.AbstractEventLoop, find_store: Callable[[], DocumentStore]
) -> None:
    """Save what a session has changed.

    Args:
        session: The session.
        loop: The event loop that it was opened in. Under ASGI, behind a middleware that is not async, it is that of the
            server, and the session is saved there.
        find_store: Returns the blocking store whose connections serve where the loop has ended.
    """
    if loop.is_closed():
        core = session._core
        if core.transaction_depth:
            return  # nobody has committed it, and its connection is gone
        core.move_to(find_store()._start())
    async_to_sync(session.save_changes)()
