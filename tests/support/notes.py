"""The documents of small web applications in tests."""

from dataclasses import dataclass


@dataclass
class Note:
    text: str
    id: str | None = None
