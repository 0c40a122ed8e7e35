"""Async sessions that are saved after their view, from a thread: under WSGI their event loop has ended with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asgiref.sync import async_to_sync

from docsession._errors import InvalidOperationException
from docsession._faces._async_session import AsyncDocumentSession
from docsession._faces._store import DocumentStore
from docsession.contrib._http import save_session


def save_late(
    session: AsyncDocumentSession, loop: asyncio.AbstractEventLoop, find_store: Callable[[], DocumentStore]
) -> None:
    """Save what a session has changed, and commit what the view has begun.

    Args:
        session: The session.
        loop: The event loop that it was opened in. Under ASGI, behind a middleware that is not async, it is that of the
            server, and the session is saved there.
        find_store: Returns the blocking store whose connections serve where the loop has ended.

    Raises:
        InvalidOperationException: The view has begun a transaction, whose connection is gone.
    """
    core = session._core
    if loop.is_closed() and not core.context.closed:
        if core.transaction_depth:
            raise InvalidOperationException(
                "AUTOSAVE cannot commit the transaction that this view has begun, and nothing of it was saved: the "
                "view's event loop has ended with it (WSGI), and with the loop the connection. Commit it in the view, "
                "mark the view @autosave, or serve the project over ASGI"
            )
        core.move_to(find_store()._start())
    async_to_sync(save_session)(session)
