"""What `autosave` does to a session, the same in all frameworks."""

from __future__ import annotations

from docsession._faces._async_session import AsyncDocumentSession
from docsession._faces._units import RUN_ATTEMPTS, AsyncWaiting, BlockingWaiting, Patience, save_unit
from docsession.contrib._http._versions import AnySession


async def save_session(session: AnySession) -> None:
    """Save what a session has changed at the end of a request, and commit what the view has begun.

    One that the view has closed is left alone. Where the answer is lost the server is asked, a few times.
    `run(save_session(…))` is for blocking sessions.
    """
    core = session._core
    if not core.context.closed:
        waiting = AsyncWaiting() if isinstance(session, AsyncDocumentSession) else BlockingWaiting()
        await save_unit(core, session, Patience(RUN_ATTEMPTS), waiting)
