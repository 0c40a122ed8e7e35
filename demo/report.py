"""What the demo prints: its steps, and what each of them cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from textwrap import fill

from docsession import DocumentSession


@dataclass(slots=True)
class Report:
    """What each step cost.

    Attributes:
        rows: (step, requests, seconds).
    """

    rows: list[tuple[str, int, float]] = field(default_factory=list)

    @contextmanager
    def step(self, title: str, *sessions: DocumentSession) -> Iterator[None]:
        """Print *title*, and note the time and the requests of *sessions* that the block takes."""
        print(f"\n{title}")
        before = sum(session.advanced.number_of_requests for session in sessions)
        begin = time.perf_counter()
        yield
        seconds = time.perf_counter() - begin
        requests = sum(session.advanced.number_of_requests for session in sessions) - before
        self.rows.append((title, requests, seconds))

    def add(self, title: str, requests: int, seconds: float) -> None:
        """Note a step that counted for itself."""
        self.rows.append((title, requests, seconds))

    def print(self) -> None:
        """Print the steps as a table."""
        width = max(len(title) for title, _, _ in self.rows)
        print(f"\n{'Step'.ljust(width)}   requests        time")
        for title, requests, seconds in self.rows:
            print(f"{title.ljust(width)}   {requests:8}   {seconds * 1000:6.1f} ms")


def say(*lines: str) -> None:
    """Print *lines* below the title of a step, those that are too long as several."""
    for line in "\n".join(lines).splitlines():
        indent = "    " + " " * (len(line) - len(line.lstrip()))
        print(fill(line.strip(), 100, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False))
