"""Keeps a second thread or task out of a session, and lets the user's own code in that an operation calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from docsession._errors import SessionBusyException
from docsession._session._guests import Guest


class Guard:
    """Who is inside a session.

    Attributes:
        operation: The operation that is running, or was the last.
        guests: Those inside of whose calls further ones began, the outermost first.
    """

    __slots__ = ("_busy", "_guest", "guests", "operation")

    def __init__(self) -> None:
        self.operation = ""
        self.guests: tuple[Guest, ...] = ()
        self._guest: Guest | None = None
        self._busy = threading.Lock()

    def enter(self, operation: str) -> None:
        """Begin *operation*.

        Raises:
            SessionBusyException: Another thread or task is inside an operation.
        """
        if not self._busy.acquire(blocking=False):
            self._enter_as_guest(operation)
        self.operation = operation

    def leave(self) -> None:
        """End the operation that `enter` began."""
        if self.guests:
            *guests, self._guest = self.guests
            self.guests = tuple(guests)
            self.operation = self._guest.operation
        else:
            self._busy.release()

    def _enter_as_guest(self, operation: str) -> None:
        """Let the user's own code, called in the middle of an operation, use the session."""
        guest = self._guest
        if guest is None or not guest.is_running():
            raise SessionBusyException(
                f"{operation}() was called while {self.operation}() of the same session is running; "
                "a session belongs to one thread or task at a time: open one for each"
            )
        if not guest.may(operation):
            raise SessionBusyException(
                f"{operation}() was called in the middle of {guest.operation}(), where {guest.asked}"
            )
        self.guests = (*self.guests, guest)
        self._guest = None

    @contextmanager
    def outside(self, asked: str) -> Iterator[None]:
        """Let the code inside, the user's own in the middle of an operation, use the session, but not save or close it.

        Args:
            asked: What happens there, for errors.
        """
        self._guest = Guest(self.operation, asked)
        try:
            yield
        finally:
            self._guest = None
