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
        seconds: Time for all candidates together, making of arguments included.
        least: Rounds that are measured however long they take.
    """

    seconds: float = 5.0
    least: int = 14


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
    quiet = Quiet()
    for name in _turns(list(candidates), effort, quiet):
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
    quiet = Quiet()
    for name in _turns(list(candidates), effort, quiet):
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
    """Tells the rounds in which the machine had other work: a little fixed work took longer around them."""

    def __init__(self) -> None:
        self._looks = [self._look()]

    @staticmethod
    def _look() -> float:
        start = time.perf_counter()
        sum(range(20_000))
        return time.perf_counter() - start

    def end_round(self) -> None:
        self._looks.append(self._look())

    def keep(self, samples: dict[str, Samples]) -> dict[str, Samples]:
        """Return the quieter half of the rounds; how long they took themselves has no say in it."""
        noise = [max(pair) for pair in itertools.pairwise(self._looks)]
        limit = statistics.median(noise)
        quiet = [number for number, each in enumerate(noise) if each <= limit]
        return {name: Samples([each.turns[number] for number in quiet]) for name, each in samples.items()}


def _turns(names: Sequence[str], effort: Effort, quiet: Quiet) -> Iterator[str]:
    """Yield whose turn it is: everyone once a round, each round beginning with the next one."""
    gc.collect()
    end = time.perf_counter() + effort.seconds
    number = 0
    while number < effort.least or time.perf_counter() < end:
        first = number % len(names)
        yield from [*names[first:], *names[:first]]
        quiet.end_round()
        number += 1
