"""Ending a commit that waits too long for a standby.

No timeout of the server ends that wait: `statement_timeout` is over when the commit begins. A cancel request does,
on a connection of its own. The transaction stays committed where it is, and the server says so in a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import Final, TypeVar

from psycopg.abc import PQGen

T = TypeVar("T")

CANCEL_SECONDS: Final = 5.0
"""How long the server may take to accept a cancel request."""

_AGAIN_SECONDS: Final = 1.0

logger = logging.getLogger("docsession")


def impatient(conversation: PQGen[T], seconds: float, cancel: Callable[[], None]) -> PQGen[T]:
    """Go on with *conversation*; where it has not ended after *seconds*, call *cancel*, and again from time to time.

    psycopg's waiting looks in every tenth of a second, so no timer is needed. The conversation goes on until its
    answer comes: only that tells what the cancelling has ended.
    """
    deadline = monotonic() + seconds
    ready = None
    while True:
        try:
            state = conversation.send(ready)  # type: ignore[arg-type]  # None begins it
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # StopIteration does not say what it carries
        ready = yield state
        if not ready and monotonic() >= deadline:
            cancel()
            deadline = monotonic() + _AGAIN_SECONDS


def note_failed_cancel(error: Exception) -> None:
    """Tell that a cancel request did not reach the server; it is sent again."""
    logger.warning("a commit that waits for a standby could not be cancelled yet: %s", error)
