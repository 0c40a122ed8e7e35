"""The clock, and the chance, that versions and ids are made of. `docsession.testing` puts others in their place."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override


class Source(Protocol):
    """Where moments and random bits come from."""

    def now_ns(self) -> int:
        """Return the nanoseconds since 1970."""
        ...

    def version_bits(self) -> int:
        """Return what tells versions of one microsecond apart: 10 random bits."""
        ...

    def step(self) -> int:
        """Return how far a version is above the one before where the clock is not: 1 to 1024, at random."""
        ...

    def id_bits(self) -> int:
        """Return 80 random bits for an id."""
        ...


@dataclass(frozen=True, slots=True)
class System(Source):
    """The machine's own."""

    @override
    def now_ns(self) -> int:
        return time.time_ns()

    @override
    def version_bits(self) -> int:
        return secrets.randbits(10)

    @override
    def step(self) -> int:
        return secrets.randbelow(1024) + 1

    @override
    def id_bits(self) -> int:
        return secrets.randbits(80)


source: Source = System()
"""The one that is asked; read at every use, because a test may replace it."""
