"""What the sessions of one HTTP request have sent: how much, how long, and what was sent again and again."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final
from weakref import WeakSet

from docsession._faces._async_store import AsyncDocumentStore
from docsession._faces._store import DocumentStore
from docsession._session._event_args import FailedRequestEventArgs, SucceedRequestEventArgs
from docsession._session._requests import CallSite, call_site

logger: Final = logging.getLogger("docsession.http")

OFTEN: Final = 3
"""How often one line has to send the same before it looks like a select N+1."""

_current: ContextVar[RequestSummary | None] = ContextVar("docsession_http_summary", default=None)

_watched: Final[WeakSet[DocumentStore | AsyncDocumentStore]] = WeakSet()


@dataclass(frozen=True, slots=True)
class Repetition:
    """One line of code that has sent the same kind of request several times.

    Attributes:
        operation: The session's method.
        count: How often.
        place: File, line and function.
    """

    operation: str
    count: int
    place: str


class RequestSummary:
    """Counts what the sessions send while one HTTP request is answered.

    `watch_requests(store)` lets a store tell; `collect()` begins and ends the counting:

        with RequestSummary.collect() as summary:
            response = get_response(request)
        summary.log(request.method, request.path, response.status_code)

    Attributes:
        count: Requests so far, those that failed among them.
        failed: How many of them failed.
        rows: How many rows came back.
        seconds: How long they took, waiting for connections included.
    """

    __slots__ = ("_before", "_sites", "count", "failed", "rows", "seconds")

    def __init__(self) -> None:
        self.count = 0
        self.failed = 0
        self.rows = 0
        self.seconds = 0.0
        self._sites: Counter[CallSite] = Counter()
        self._before: RequestSummary | None = None

    @classmethod
    @contextmanager
    def collect(cls) -> Iterator[RequestSummary]:
        """Count what is sent inside the block, in this thread or task and in tasks that it starts."""
        summary = cls()
        summary.begin()
        try:
            yield summary
        finally:
            summary.end()

    def begin(self) -> None:
        """Begin to count; `end` ends it."""
        self._before = _current.get()
        _current.set(self)

    def end(self) -> None:
        """Count no more."""
        _current.set(self._before)
        self._before = None

    def add(self, site: CallSite, seconds: float, *, rows: int = 0, failed: bool = False) -> None:
        """Count one request."""
        self.count += 1
        self.failed += failed
        self.rows += rows
        self.seconds += seconds
        self._sites[site] += 1

    @property
    def repetitions(self) -> tuple[Repetition, ...]:
        """The lines that have sent the same three times or more, the most frequent first: hints at a select N+1."""
        return tuple(
            Repetition(operation, count, f"{Path(file).name}:{line} in {function}")
            for (file, line, function, operation), count in self._sites.most_common()
            if count >= OFTEN
        )

    def server_timing(self) -> str | None:
        """Return a value for the header `Server-Timing`, for development; None where nothing was sent."""
        if not self.count:
            return None
        hints = len(self.repetitions)
        again = f", {hints} repeated: see the log" if hints else ""
        return f'docsession;dur={self.seconds * 1000:.1f};desc="{_times(self.count)}{again}"'

    def line(self, method: str, path: str, status: int | None = None) -> str:
        """Return one line for a log.

        Args:
            method: Of the HTTP request.
            path: Its path, without the query, which may hold what a log should not.
            status: That of the response; None where there is none.
        """
        shown = "".join(each if each.isprintable() else "?" for each in f"{method} {path}")
        outcome = "" if status is None else f" -> {status}"
        failures = f", {self.failed} failed" if self.failed else ""
        text = f"{shown}{outcome}: {_times(self.count)} in {self.seconds * 1000:.1f} ms, {self.rows} rows{failures}"
        for each in self.repetitions:
            text += f"; {each.count} x {each.operation} from {each.place} could be one request"
        return text

    def log(self, method: str, path: str, status: int | None = None) -> None:
        """Log the line to `docsession.http`: DEBUG, or INFO where something was repeated; none if none was sent."""
        level = logging.INFO if self.repetitions else logging.DEBUG
        if self.count and logger.isEnabledFor(level):
            logger.log(level, "%s", self.line(method, path, status))

    def headers(self) -> Mapping[str, str]:
        """Return the header `Server-Timing` where there is anything to tell."""
        timing = self.server_timing()
        return MappingProxyType({} if timing is None else {"Server-Timing": timing})


def _times(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"


def watch_requests(store: DocumentStore | AsyncDocumentStore) -> None:
    """Let *store* tell the summaries of what its sessions send, those that are opened from now on; once is enough."""
    if store in _watched:
        return
    _watched.add(store)
    store.add_on_succeed_request(_succeeded)
    store.add_on_failed_request(_failed)


def _succeeded(args: SucceedRequestEventArgs) -> None:
    summary = _current.get()
    if summary is not None and not args.request.by_store:
        summary.add(call_site(args.request.operation), args.seconds, rows=args.rows)


def _failed(args: FailedRequestEventArgs) -> None:
    summary = _current.get()
    if summary is not None and not args.request.by_store:
        summary.add(call_site(args.request.operation), args.seconds, failed=True)
