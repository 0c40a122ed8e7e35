"""What sessions send while a block of a test runs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, overload

from typing_extensions import override

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._faces._async_session import AsyncDocumentSession
from docsession._faces._session import DocumentSession
from docsession._port import Statement
from docsession._session._requests import CallSite, RequestLog, listen, stop_listening

AnySession: TypeAlias = DocumentSession | AsyncDocumentSession

_SHOWN = 30
_SQL_SHOWN = 160


@dataclass(frozen=True, slots=True)
class CapturedRequest:
    """One request of a session, as the session counts them.

    Attributes:
        operation: The session's method that asked, such as `load`.
        file: The file of the line that called it, outside of docsession.
        line: The number of that line.
        function: The function that the line is in.
        statements: The SQL that went to the server, without the values. None where nothing had to be sent, as for a
            collection that has no table yet; more than the request's own where the session had to look after a
            conflict.
    """

    operation: str
    file: str
    line: int
    function: str
    statements: list[str] = field(default_factory=list)

    @override
    def __str__(self) -> str:
        """Say where it came from, and what was sent first."""
        place = f"{Path(self.file).name}:{self.line} in {self.function} ({self.operation})"
        if not self.statements:
            return place
        more = f" and {len(self.statements) - 1} more" if len(self.statements) > 1 else ""
        return f"{place}: {_shortened(self.statements[0])}{more}"


class CapturedRequests(Sequence[CapturedRequest]):
    """The requests that were sent so far, in order: a sequence of `CapturedRequest`."""

    def __init__(self, of: AnySession | None = None) -> None:
        """Not for users: `capture_requests()` and `assert_requests()` make it."""
        self._of = None if of is None else _log_of(of)
        self._found: list[CapturedRequest] = []
        self._last: dict[int, CapturedRequest] = {}
        self._logs: list[RequestLog] = []
        self._lock = threading.Lock()

    @overload
    def __getitem__(self, index: int) -> CapturedRequest: ...
    @overload
    def __getitem__(self, index: slice) -> list[CapturedRequest]: ...
    @override
    def __getitem__(self, index: int | slice) -> CapturedRequest | list[CapturedRequest]:
        return self._found[index]

    @override
    def __len__(self) -> int:
        return len(self._found)

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)}>"

    @property
    def operations(self) -> list[str]:
        """The session's methods that asked, in order: `["load", "save_changes"]`."""
        return [each.operation for each in self._found]

    @property
    def statements(self) -> list[str]:
        """The SQL of all requests, in order, without the values."""
        return [sql for each in self._found for sql in each.statements]

    def describe(self) -> str:
        """Return one line for each request, and for each line of code that sent several, how many."""
        found = self._found
        lines = [f"  {number}. {each}" for number, each in enumerate(found[:_SHOWN], 1)]
        if len(found) > _SHOWN:
            lines.append(f"  and {len(found) - _SHOWN} more")
        sites = Counter((each.file, each.line, each.operation) for each in found)
        lines += [
            f"  {count} of them came from {Path(file).name}:{line} ({operation}): a select N+1? Load them in one "
            "request: load([ids]), or include(path)"
            for (file, line, operation), count in sites.most_common(3)
            if count > 2
        ]
        return "\n".join(lines)

    # What a listener is told.

    def counted(self, log: RequestLog, site: CallSite) -> None:
        """Take note of one more request."""
        if self._of is not None and log is not self._of:
            return
        file, line, function, operation = site
        request = CapturedRequest(operation, file, line, function)
        with self._lock:
            self._found.append(request)
            if id(log) not in self._last:
                self._logs.append(log)  # kept, so that no other gets its number
            self._last[id(log)] = request

    def sent(self, log: RequestLog, statements: Sequence[Statement]) -> None:
        """Take note of what goes to the server."""
        request = self._last.get(id(log))
        if request is not None:
            request.statements.extend(statement.sql.decode() for statement in statements)


@contextmanager
def capture_requests(of: AnySession | None = None) -> Iterator[CapturedRequests]:
    """Collect the requests that sessions send inside the block, of all stores and threads of the process.

    Requests are what `number_of_requests` counts: neither ranges of ids nor the making of tables are among them, so a
    test gets the same number whether it runs first or last::

        with capture_requests() as requests:
            client.get("/orders")
        assert requests.operations == ["query"]

    Args:
        of: Only those of this session.

    Raises:
        InvalidArgumentTypeException: *of* is no session.
    """
    captured = CapturedRequests(of)
    listen(captured)
    try:
        yield captured
    finally:
        stop_listening(captured)


@contextmanager
def assert_requests(
    number: int | None = None, *, at_most: int | None = None, of: AnySession | None = None
) -> Iterator[CapturedRequests]:
    """Fail where the sessions inside the block send more or fewer requests; see `capture_requests`.

        with assert_requests(1):
            orders = session.query(Order).include("customer").all()

    The error lists every request with its line of code and its SQL. Where the block itself fails, that is the failure.

    Args:
        number: How many are to be sent.
        at_most: Instead of it, how many may be sent.
        of: Count only those of this session.

    Raises:
        AssertionError: It was another number.
        InvalidArgumentException: Neither of the two numbers is given, or both, or it is no number.
    """
    __tracebackhide__ = True  # of pytest, which shows the source of what fails
    if (number is None) == (at_most is None):
        raise InvalidArgumentException("assert_requests() takes a number, or at_most=…: one of the two")
    allowed = number if number is not None else at_most
    if not isinstance(allowed, int) or isinstance(allowed, bool) or allowed < 0:
        raise InvalidArgumentException(f"assert_requests() takes a number of requests, 0 or more, not {allowed!r:.40}")
    with capture_requests(of) as captured:
        yield captured
    sent = len(captured)
    if sent == allowed or (at_most is not None and sent < allowed):
        return
    wanted = f"{allowed} at most" if at_most is not None else f"{allowed}"
    verb = "was" if sent == 1 else "were"
    listed = f":\n{captured.describe()}" if sent else ""
    raise AssertionError(f"{_requests(sent)} {verb} sent, not {wanted}{listed}")


def _requests(number: int) -> str:
    return f"{number} request" if number == 1 else f"{number} requests"


def _log_of(session: object) -> RequestLog:
    if not isinstance(session, (DocumentSession, AsyncDocumentSession)):
        raise InvalidArgumentTypeException(
            f"requests are captured of a DocumentSession or an AsyncDocumentSession, not of {session!r:.60}"
        )
    return session._core.context.requests


def _shortened(sql: str) -> str:
    line = " ".join(sql.split())
    return line if len(line) <= _SQL_SHOWN else f"{line[:_SQL_SHOWN]}…"
