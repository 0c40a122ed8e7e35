"""How things are timed: in turns, A B C B C A …, in one process, so that a busy machine slows all of them alike.

A turn is a few calls of one candidate. Every call is timed by itself; what it needs is made before, off
the clock, and what it returns is dropped after. The garbage collector runs as it does in a program.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to do something.

    Attributes:
        run: What is timed; gets what *make* returned. A coroutine function for `measure_async`.
        make: Makes the argument, off the clock, for all calls of a turn before the first.
        change: Changes what *run* is to work on, off the clock too, right before each call.
    """

    run: Callable[[Any], Any]
    make: Callable[[], Any] = lambda: None
    change: Callable[[], object] = lambda: None


@dataclass(slots=True)
class Samples:
    """What one candidate took: seconds, a list for each turn."""

    turns: list[list[float]] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(each for turn in self.turns for each in turn)

    @property
    def decile(self) -> float:
        return statistics.quantiles((each for turn in self.turns for each in turn), n=10)[0]

    @property
    def by_turn(self) -> list[float]:
        return [statistics.median(turn) for turn in self.turns]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long a comparison takes.

    Attributes:
        seconds: Time for all candidates together, making of arguments included; five times that
            where the machine is too busy.
        least: Rounds that are to count.
        look: The fixed work, between client and server as the candidates are.
    """

    seconds: float = 5.0
    least: int = 12
    look: Callable[[], object] = lambda: None


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table.

    Attributes:
        base, ours: Medians in *unit*.
        ratio: ours / base.
        low, high: The quartiles of the same ratio by turns.
        best: The ratio of the first deciles, which a busy machine touches least.
        target: What it should be at most; None: shown for comparison.
        peer: SQLAlchemy's ORM / base.
    """

    group: str
    name: str
    base: float
    ours: float
    ratio: float
    low: float | None = None
    high: float | None = None
    best: float | None = None
    target: float | None = None
    peer: float | None = None
    unit: str = "µs"


def compare(
    group: str,
    name: str,
    samples: dict[str, Samples],
    *,
    target: float | None = None,
    base: str = "raw",
    ours: str = "docsession",
    peer: str = "orm",
) -> Result:
    """Return the line for two candidates, and a third where it was measured."""
    one, other = samples[base], samples[ours]
    low, _, high = statistics.quantiles([b / a for a, b in zip(one.by_turn, other.by_turn, strict=True)], n=4)
    return Result(
        group,
        name,
        one.median * 1e6,
        other.median * 1e6,
        other.median / one.median,
        low,
        high,
        other.decile / one.decile,
        target,
        samples[peer].median / one.median if peer in samples else None,
    )


def measure(candidates: dict[str, Candidate], effort: Effort, *, calls: int, warm_up: int = 20) -> dict[str, Samples]:
    """Time *candidates* in turns of *calls* calls, after *warm_up* calls of each."""
    for candidate in candidates.values():
        for _ in range(warm_up):
            candidate.change()
            candidate.run(candidate.make())
    samples = {name: Samples() for name in candidates}
    clock = time.perf_counter
    quiet = Quiet(effort)
    for name in _turns(list(candidates), quiet):
        run, make, change = candidates[name].run, candidates[name].make, candidates[name].change
        times = []
        for argument in _arguments(make, calls):
            change()
            start = clock()
            kept = run(argument)
            times.append(clock() - start)
            del kept
        samples[name].turns.append(times)
    return quiet.keep(samples)


async def measure_async(
    candidates: dict[str, Candidate], effort: Effort, *, calls: int, warm_up: int = 20
) -> dict[str, Samples]:
    """The same for candidates that are awaited."""
    for candidate in candidates.values():
        for _ in range(warm_up):
            candidate.change()
            await candidate.run(candidate.make())
    samples = {name: Samples() for name in candidates}
    clock = time.perf_counter
    quiet = Quiet(effort)
    for name in _turns(list(candidates), quiet):
        make, change = candidates[name].make, candidates[name].change
        run: Callable[[Any], Awaitable[Any]] = candidates[name].run
        times = []
        for argument in _arguments(make, calls):
            change()
            start = clock()
            kept = await run(argument)
            times.append(clock() - start)
            del kept
        samples[name].turns.append(times)
    return quiet.keep(samples)


def _arguments(make: Callable[[], Any], calls: int) -> Iterator[Any]:
    """Yield what a turn needs, each made before the turn and forgotten after its call."""
    made = [make() for _ in range(calls)]
    gc.collect()
    while made:
        yield made.pop()


class Quiet:
    """Tells the rounds in which the machine had other work: the fixed work took longer before or after them."""

    tolerance = 1.25
    best = float("inf")
    """The shortest look of the whole run."""

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._looks = [self._look()]
        self._start = time.perf_counter()

    def _look(self) -> float:
        start = time.perf_counter()
        for _ in range(5):
            self._effort.look()
            sum(range(5_000))
        took = time.perf_counter() - start
        Quiet.best = min(Quiet.best, took)
        return took

    def end_round(self) -> None:
        self._looks.append(self._look())

    @property
    def is_done(self) -> bool:
        took = time.perf_counter() - self._start
        enough = sum(each <= self.best * self.tolerance for each in self._noise()) >= self._effort.least
        return took > (1 if enough else 5) * self._effort.seconds and len(self._looks) > self._effort.least

    def keep(self, samples: dict[str, Samples]) -> dict[str, Samples]:
        """Return the quiet rounds, or the quietest; how long they took themselves has no say in it."""
        noise = self._noise()
        limit = max(self.best * self.tolerance, sorted(noise)[self._effort.least - 1])
        quiet = [number for number, each in enumerate(noise) if each <= limit]
        return {name: Samples([each.turns[number] for number in quiet]) for name, each in samples.items()}

    def _noise(self) -> list[float]:
        return [max(pair) for pair in itertools.pairwise(self._looks)]


def _turns(names: Sequence[str], quiet: Quiet) -> Iterator[str]:
    """Yield whose turn it is: everyone once a round, each round beginning with the next one."""
    number = 0
    while not quiet.is_done:
        first = number % len(names)
        yield from [*names[first:], *names[:first]]
        quiet.end_round()
        number += 1
