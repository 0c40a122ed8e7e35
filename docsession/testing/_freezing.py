"""Time that stands still, and ids that are counted, so that a test may compare with what it expects to the letter."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from typing_extensions import override

from docsession import _clock
from docsession._documents import _ids
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException

START: Final = datetime(2020, 1, 1, tzinfo=UTC)
"""What a frozen clock shows unless it is told otherwise."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_POSTGRES_EPOCH: Final = 946_684_800_000_000


class FrozenClock:
    """A clock that goes on only when it is told to; `frozen_clock()` makes one."""

    def __init__(self, at: datetime) -> None:
        """Not for users: `frozen_clock()` makes it."""
        self._microseconds = _microseconds_of(at)
        self._versions = 0
        self._lock = threading.Lock()

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.now.isoformat()}>"

    @property
    def now(self) -> datetime:
        """What it shows, in UTC."""
        return _EPOCH + timedelta(microseconds=self._microseconds)

    def tick(self, seconds: float | timedelta = 1) -> datetime:
        """Let time go on, and return what the clock shows then.

        Args:
            seconds: How much, as a number of seconds or a `timedelta`, to the microsecond.

        Raises:
            InvalidArgumentException: It would go back.
        """
        ahead = seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
        return self.move_to(self.now + ahead)

    def move_to(self, at: datetime) -> datetime:
        """Let the clock show *at*, and return it.

        Raises:
            InvalidArgumentException: It would go back, which versions of documents never do, or has no time zone.
        """
        microseconds = _microseconds_of(at)
        if microseconds < self._microseconds:
            raise InvalidArgumentException(
                f"a frozen clock goes forward only: it shows {self.now.isoformat()}, and {at.isoformat()} is earlier"
            )
        self._microseconds = microseconds
        return self.now

    # What docsession asks.

    def now_ns(self) -> int:
        """Return the nanoseconds since 1970."""
        return self._microseconds * 1000

    def version_bits(self) -> int:
        """Return one more than the last time: no version is ever given twice, also while time stands still."""
        with self._lock:
            self._versions += 1
            return self._versions

    def step(self) -> int:
        """Return the same each time."""
        return 1

    def id_bits(self) -> int:
        """Return the same each time: the counter in the ids tells them apart."""
        return 0


@contextmanager
def frozen_clock(at: datetime = START) -> Iterator[FrozenClock]:
    """Let the clock that docsession reads stand still inside the block, in the whole process.

    `last_modified` of what is saved, its change vectors and time-ordered ids come from this clock. While it stands,
    they are the same each time the test runs; each still differs from the one before. The clock of the server, which
    SQL of your own may ask, and Python's own go on::

        with frozen_clock(datetime(2026, 5, 1, tzinfo=UTC)) as clock:
            session.store(order)
            session.save_changes()
            assert session.advanced.get_last_modified_for(order) == clock.now
            clock.tick(seconds=60)

    Args:
        at: What it shows at first, with a time zone; 2020-01-01T00:00:00Z.

    Raises:
        InvalidArgumentException: *at* has no time zone.
    """
    clock = FrozenClock(at)
    before = _clock.source, _ids._clock7
    _clock.source, _ids._clock7 = clock, _ids._Clock7()
    try:
        yield clock
    finally:
        _clock.source, _ids._clock7 = before


def numbered_ids(node_tag: str = "A") -> Callable[[str, object], str]:
    """Return a `document_id_generator` that counts the documents of a database: `companies/1-A`, then `orders/2-A`.

    The server is not asked for ranges, which a test with a `ScriptedExecutor` would have to answer. Other processes
    are not asked either, so it is for databases that nobody else writes to::

        conventions = DocumentConventions()
        conventions.document_id_generator = numbered_ids()

    Args:
        node_tag: What stands after the number.
    """
    counts: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))

    def generate(database: str, entity: object) -> str:
        del entity
        return f"{next(counts[database])}-{node_tag}"

    return generate


def _microseconds_of(at: datetime) -> int:
    if not isinstance(at, datetime):
        raise InvalidArgumentTypeException(f"a clock shows a datetime, not {at!r:.60}")
    if at.tzinfo is None:
        raise InvalidArgumentException(
            f"{at.isoformat()} has no time zone: give it one, as in datetime(2026, 1, 1, tzinfo=UTC)"
        )
    return (at - _EPOCH) // _MICROSECOND


def postgres_microseconds(at: datetime) -> int:
    """Return *at* as PostgreSQL sends it: microseconds since 2000.

    Raises:
        InvalidArgumentException: It has no time zone.
    """
    return _microseconds_of(at) - _POSTGRES_EPOCH
