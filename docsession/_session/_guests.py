"""Who may use a session in the middle of an operation: the user's own code that the operation calls."""

from __future__ import annotations

import asyncio
import threading

_ENDING = frozenset({"save_changes", "begin", "commit", "rollback", "rolled_back"})
"""What such code cannot do in the middle of an operation, but before the session is closed."""


class Guest:
    """The user's own code in the middle of an operation: a convention, or a handler of an event.

    Args:
        operation: The operation.
        asked: What happens there, for errors.
    """

    __slots__ = ("_caller", "asked", "operation")

    def __init__(self, operation: str, asked: str) -> None:
        self.operation = operation
        self.asked = asked
        self._caller = _caller()

    def is_running(self) -> bool:
        """Return True in the thread and the task that run it."""
        return self._caller == _caller()

    def may(self, operation: str) -> bool:
        """Return True where it may begin *operation*."""
        return operation != "close" and (operation not in _ENDING or self.operation == "close")


def _caller() -> tuple[int, object]:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.get_ident(), task
