"""What the sessions of one request have sent, for the log and, in debug mode, for a header."""

from __future__ import annotations

from flask import Response, current_app, request

from docsession.contrib._http import RequestSummary


class Count:
    """Counts from its making to its end, which writes the log's line."""

    def __init__(self) -> None:
        self._summary = RequestSummary()
        self._summary.begin()
        self._request = request.method, request.path
        self._status: int | None = None

    def see(self, response: Response) -> None:
        """Note the status, and tell the developer's browser."""
        self._status = response.status_code
        if current_app.debug:
            for name, value in self._summary.headers().items():
                response.headers.add(name, value)

    def end(self) -> None:
        """Count no more."""
        self._summary.end()
        self._summary.log(*self._request, self._status)
