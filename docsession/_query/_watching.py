"""What is told of the asking of a query."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec

from docsession._errors import InvalidOperationException

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class QueryStatistics:
    """What is known of one asking of a query (RavenDB: QueryStatistics).

    Attributes:
        total_results: How many results there are, whatever `skip` and `take` say.
        duration_in_ms: Milliseconds from asking to having the results, on this side.
        timestamp: When they were there.
        skipped_results: How many results were left out beside those that `skip` names; 0.
        is_stale: False: PostgreSQL's indexes are never stale.
    """

    total_results: int
    duration_in_ms: float
    timestamp: dt.datetime
    skipped_results: int = 0
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class QueryTimings:
    """How long one asking of a query took (RavenDB: QueryTimings).

    Attributes:
        duration_in_ms: Milliseconds from asking to having the results, on this side.
    """

    duration_in_ms: float


@dataclass(frozen=True, slots=True)
class QueryResult(Generic[R]):
    """The results of a query, and what is known of them (RavenDB: QueryResult).

    Attributes:
        results: The documents, or what `select_fields` and its like return.
        total_results: How many there are, whatever `skip` and `take` say.
        duration_in_ms: Milliseconds from asking to having the results, on this side.
        timestamp: When they were there.
        skipped_results: How many results were left out beside those that `skip` names; 0.
        is_stale: False: PostgreSQL's indexes are never stale.
    """

    results: list[R]
    total_results: int
    duration_in_ms: float
    timestamp: dt.datetime
    skipped_results: int = 0
    is_stale: bool = False


_TOLD: Final = frozenset({"query", "count", "any", "page", "lazily", "sql", "explain", "assert_uses_index"})


class Watchers(msgspec.Struct, frozen=True, eq=False):
    """Who is told when a query has been asked.

    Attributes:
        statistics: Functions of a `QueryStatistics`.
        timings: Functions of a `QueryTimings`.
    """

    statistics: tuple[Callable[[QueryStatistics], object], ...] = ()
    timings: tuple[Callable[[QueryTimings], object], ...] = ()

    def check(self, operation: str) -> None:
        """Refuse what would tell them nothing.

        Raises:
            InvalidOperationException: *operation* has neither a total nor results.
        """
        if operation not in _TOLD:
            raise InvalidOperationException(
                f"{operation} tells nobody of its results: statistics() and timings() go with all(), first(), one(), "
                "count(), any(), page() and lazily()"
            )

    def tell(self, result: QueryResult[Any]) -> None:
        """Tell them of the results."""
        statistics = QueryStatistics(result.total_results, result.duration_in_ms, result.timestamp)
        for each in self.statistics:
            each(statistics)
        self.tell_timings(result.duration_in_ms)

    def tell_timings(self, duration_in_ms: float) -> None:
        """Tell those who want to know of the time alone."""
        for each in self.timings:
            each(QueryTimings(duration_in_ms))
