"""How many requests a session has sent, and from where."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Protocol, TypeAlias

from docsession._errors import InvalidArgumentException, TooManyRequestsException
from docsession._port import Statement

_PACKAGE = str(Path(__file__).parent.parent) + "/"
_SHOWN = 10

CallSite: TypeAlias = tuple[str, int, str, str]
"""File, line, function and the session's method."""


class Listener(Protocol):
    """Hears of the requests of all sessions of the process: a test that counts them."""

    def counted(self, log: RequestLog, site: CallSite) -> None:
        """A session counts one more request."""
        ...

    def sent(self, log: RequestLog, statements: Sequence[Statement]) -> None:
        """A session sends statements: for the request that it has counted last, or beside those."""
        ...


listeners: tuple[Listener, ...] = ()
"""Replaced as a whole, so that whoever reads it needs no lock."""

_listeners_lock = threading.Lock()


def listen(listener: Listener) -> None:
    """Let *listener* hear of all requests from now on."""
    global listeners
    with _listeners_lock:
        listeners = (*listeners, listener)


def stop_listening(listener: Listener) -> None:
    """Tell *listener* nothing more."""
    global listeners
    with _listeners_lock:
        listeners = tuple(each for each in listeners if each is not listener)


def tell_sent(log: RequestLog, *statements: Statement) -> None:
    """Tell all listeners of what is sent."""
    for listener in listeners:
        listener.sent(log, statements)


class RequestLog:
    """Counts requests, and stops a session that sends too many.

    Attributes:
        number: Requests so far.
        limit: How many are allowed.
    """

    __slots__ = ("_sites", "limit", "number")

    def __init__(self, limit: int) -> None:
        self.number = 0
        self.limit = check_limit(limit)
        self._sites: list[CallSite] = []

    def count(self, operation: str) -> None:
        """Count one request of *operation*.

        Raises:
            TooManyRequestsException: The limit is reached; the message shows the code lines.
        """
        self.number += 1
        site = call_site(operation)
        if self.number > self.limit:
            raise TooManyRequestsException(self._explain(site))
        self._sites.append(site)
        for listener in listeners:
            listener.counted(self, site)

    @property
    def last(self) -> CallSite:
        """Where the last request came from."""
        return self._sites[-1]

    def _explain(self, refused: CallSite) -> str:
        counts = Counter(self._sites).most_common()
        lines = [f"  {n:4} x {_show(site)}" for site, n in counts[:_SHOWN]]
        if len(counts) > _SHOWN:
            lines.append(f"       and {len(counts) - _SHOWN} other lines")
        (line, most), *_ = counts or [(refused, 0)]
        advice = "Save more changes with one save_changes(), and load several documents with load([ids])."
        if most > self.limit // 2:
            advice = (
                f"{line[0]}:{line[1]} alone sent {most}: a select N+1. Load them in one request: "
                "load([ids]), or include('path').load(…) for documents that others refer to."
            )
        return (
            f"This session has sent the {self.limit} requests that it may, and {_show(refused)} asked for one more. "
            "They came from\n" + "\n".join(lines) + f"\n{advice} If they are all needed, raise "
            "session.advanced.max_number_of_requests_per_session or the convention of that name."
        )


def check_limit(value: object) -> int:
    """Return *value* as a limit of requests.

    Raises:
        InvalidArgumentException: It is no number of 1 or more.
    """
    if not isinstance(value, int) or value < 1:
        raise InvalidArgumentException(f"a session may send 1 request or more, not {value!r:.40}")
    return value


def _show(site: CallSite) -> str:
    file, line, function, operation = site
    return f"{file}:{line} in {function} ({operation})"


def call_site(operation: str) -> CallSite:
    """Find the line outside this package that asked for *operation*."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    if frame is None:
        return "<unknown>", 0, "<unknown>", operation
    return frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name, operation
