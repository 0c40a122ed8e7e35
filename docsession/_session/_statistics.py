"""What a store tells about its work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """Counters of one store in this process, as they were at one moment.

    Attributes:
        cache_hits: Documents that the server did not send, because the store had them as they are.
        cache_misses: Documents that the server sent and that were worth keeping. What is too small to
            gain anything from the cache counts neither here nor there.
        cache_documents: Documents that are kept now.
        cache_size: Bytes that they take, Python's overhead included.
        cache_max_size: The most that it may be: the convention `max_cache_size`.
    """

    cache_hits: int = 0
    cache_misses: int = 0
    cache_documents: int = 0
    cache_size: int = 0
    cache_max_size: int = 0

    @property
    def cache_hit_rate(self) -> float:
        """Hits among hits and misses, from 0.0 to 1.0; 0.0 before the first."""
        asked = self.cache_hits + self.cache_misses
        return self.cache_hits / asked if asked else 0.0
