"""Document ids: which are allowed, and how they are made.

An id is text like `companies/1-A`. What stands before its first separator is its *prefix*
(`companies`), and says in which table the document lies; so every id that is made here carries it.
"""

from __future__ import annotations

import os
import threading
import time
import unicodedata
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from docsession import _clock
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException

MAX_ID_BYTES = 1024
"""How long an id may be, in bytes of UTF-8."""

FIRST_RANGE = 32
"""How many ids the first HiLo range of a generator holds."""
LARGEST_RANGE = 16384
"""How many ids a HiLo range holds at most; those that a crashed process had left are never used."""

_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


def is_blank(key: str | None) -> bool:
    """Return True for None and text without a visible character: there is no such document."""
    return key is None or not key.strip()


def check_id(key: object) -> str:
    """Return *key*, as a plain str, if it may name a document.

    Raises:
        InvalidArgumentTypeException: It is not a str.
        InvalidArgumentException: It is blank, too long, or holds a character that nobody can see or
            that PostgreSQL refuses.
    """
    if not isinstance(key, str):
        raise InvalidArgumentTypeException(
            f"a document's id is a str like 'companies/1-A', not {type(key).__qualname__} ({key!r:.80})"
        )
    if type(key) is not str:
        key = str.__str__(key)
    if not (key.isascii() and key.isprintable()):
        for position, character in enumerate(key):
            if unicodedata.category(character) in _REFUSED_CATEGORIES:
                raise InvalidArgumentException(
                    f"the id {key!r:.120} holds {_describe(character)} at position {position}; "
                    "use printable characters only"
                )
    if not key.strip():
        raise InvalidArgumentException(f"an id must not be blank, as {key!r:.40} is; None makes one")
    if len(key) * 4 > MAX_ID_BYTES and len(key.encode()) > MAX_ID_BYTES:
        raise InvalidArgumentException(
            f"the id {key!r:.60}… takes {len(key.encode())} bytes in UTF-8, more than the {MAX_ID_BYTES} allowed"
        )
    return key


def check_part_of_ids(name: str, text: object, example: str) -> str:
    """Return *text*, the argument *name* of a call, if ids may hold it: how they begin, or wildcards.

    Raises:
        InvalidArgumentTypeException: It is not a str.
        InvalidArgumentException: As `check_id`.
    """
    if not isinstance(text, str):
        raise InvalidArgumentTypeException(
            f"{name} is a str like {example!r}, not {type(text).__qualname__} ({text!r:.80}); "
            "name the arguments that follow: start=0, page_size=10"
        )
    if is_blank(text):
        raise InvalidArgumentException(f"{name} must not be blank, as {text!r:.40} is; give it as in {example!r}")
    return check_id(text)


def asks_for_identity(key: str, separator: str) -> bool:
    """Return True for a key like `invoices|`, which stands for the next id of an identity."""
    return key.endswith("|") and separator != "|"


def identity_name(key: object) -> str:
    """Return the name of an identity, `invoices|`, which may be given without its last character.

    Raises:
        InvalidArgumentException: As `check_id`.
    """
    name = check_id(key).removesuffix("|")
    if is_blank(name):
        raise InvalidArgumentException(f"an identity has a name, as 'invoices|' has, which {key!r:.40} lacks")
    return f"{name}|"


def check_id_of_entity(key: object) -> str:
    """Return the id that an entity's own attribute holds, if a document may be stored under it.

    Raises:
        InvalidArgumentException: As `check_id`; also where it starts with "/", which in an attribute is
            most often a lost prefix.
    """
    checked = check_id(key)
    if checked.startswith("/"):
        raise InvalidArgumentException(
            f"the id {checked!r:.120} in the entity's attribute begins with '/'; "
            "if that is meant, give it as key: store(entity, key)"
        )
    return checked


def _describe(character: str) -> str:
    code = f"U+{ord(character):04X}"
    match unicodedata.category(character):
        case "Cs":
            return f"the lone surrogate {code}"
        case "Cc" if character == "\0":
            return "a NUL character"
        case "Cc":
            return f"the control character {code}"
        case _:
            return f"the line separator {code}"


def prefix_of(key: str, separator: str) -> str:
    """Return what stands before the first *separator* of *key*; "" where there is none."""
    prefix, found, _ = key.partition(separator)
    return prefix if found else ""


def wildcards_to_regex(pattern: str) -> str:
    """Return the PostgreSQL regular expression for `|`-separated wildcards, `*` any text and `?` one character.

    It is anchored at both ends, and compared with the rest of an id after the prefix
    (RavenDB: load_starting_with).
    """
    alternatives = ("".join(map(_wildcard, part)) for part in pattern.split("|"))
    return f"^(?:{'|'.join(alternatives)})$"


def _wildcard(character: str) -> str:
    if character == "*":
        return ".*"
    if character == "?":
        return "."
    if character.isascii() and not character.isalnum() and character != "_":
        return "\\" + character
    return character


@dataclass(frozen=True, slots=True)
class HiLoRange:
    """A range of numbers that belong to one process.

    Attributes:
        low: The first number.
        high: The last number, included.
    """

    low: int
    high: int

    def __len__(self) -> int:
        return self.high - self.low + 1


_generators: weakref.WeakSet[HiLoGenerator] = weakref.WeakSet()


class HiLoGenerator:
    """Numbered ids of one collection in one database, from ranges that somebody fetches.

    It does no I/O: `next_id` answers None when a range is needed, of the size that `wanted` names;
    `add_range` brings it. Safe over threads and forks.
    """

    def __init__(self, prefix: str, separator: str, node_tag: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._start = prefix + separator
        self._end = "-" + node_tag
        self._clock = clock
        self._lock = threading.Lock()
        self._next = 1
        self._high = 0
        self._waiting: deque[HiLoRange] = deque()
        self._last_size = 0
        self._last_added = 0.0
        _generators.add(self)

    def forget(self) -> None:
        """Drop every number, in a forked process: they belong to its parent."""
        self._lock = threading.Lock()
        self._waiting.clear()
        self._next = self._high + 1

    def next_id(self) -> str | None:
        """Return the next id, or None where a range is needed first."""
        with self._lock:
            number = self._next
            if number > self._high:
                if not self._waiting:
                    return None
                following = self._waiting.popleft()
                number, self._high = following.low, following.high
            self._next = number + 1
        return f"{self._start}{number}{self._end}"

    def wanted(self) -> int:
        """Return how many numbers the next range should hold.

        32 at first; four times the last one if that was used up within a second, twice within 30
        seconds, half after more than a minute, never beyond 32 and 16384.
        """
        with self._lock:
            if not self._last_size:
                return FIRST_RANGE
            lasted = self._clock() - self._last_added
            if lasted <= 1:
                size = self._last_size * 4
            elif lasted <= 30:
                size = self._last_size * 2
            elif lasted <= 60:
                size = self._last_size
            else:
                size = self._last_size // 2
        return max(FIRST_RANGE, min(size, LARGEST_RANGE))

    def add_range(self, low: int, high: int) -> None:
        """Take over the numbers *low* to *high*, both included."""
        if high < low:
            raise InvalidArgumentException(f"the range {low} to {high} is empty")
        with self._lock:
            self._last_size = high - low + 1
            self._last_added = self._clock()
            if self._next > self._high and not self._waiting:
                self._next, self._high = low, high
            elif not self._waiting and low == self._high + 1:
                self._high = high
            else:
                self._waiting.append(HiLoRange(low, high))

    def unused(self) -> HiLoRange | None:
        """Give up every number that is left, and return the last run of them without a gap.

        That run may be given back where its `high` is still the highest number ever taken.
        """
        with self._lock:
            left = list(self._waiting)
            if self._next <= self._high:
                left.append(HiLoRange(self._next, self._high))
            self._waiting.clear()
            self._next = self._high + 1
        if not left:
            return None
        left.sort(key=lambda each: each.high)
        run = left.pop()
        while left and left[-1].high + 1 == run.low:
            run = HiLoRange(left.pop().low, run.high)
        return run


class _Clock7:
    """The state of version 7 UUIDs: they grow within a process, also many in one millisecond."""

    __slots__ = ("counter", "lock", "milliseconds")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.milliseconds = 0
        self.counter = 0


_clock7 = _Clock7()


def uuid7() -> str:
    """Return a new UUID of version 7 (RFC 9562), whose text sorts by the time it was made.

    48 bits of milliseconds, a 42-bit counter that starts at random in each millisecond, 32 random bits.
    """
    now = _clock.source.now_ns() // 1_000_000
    random = _clock.source.id_bits()
    state = _clock7
    with state.lock:
        if now > state.milliseconds:
            state.milliseconds = now
            state.counter = (random >> 32) & 0x1FF_FFFF_FFFF
        else:
            state.counter += 1
            if state.counter > 0x3FF_FFFF_FFFF:
                state.counter = 0
                state.milliseconds += 1
        milliseconds, counter = state.milliseconds, state.counter
    value = (
        (milliseconds & 0xFFFF_FFFF_FFFF) << 80
        | 0x7 << 76
        | (counter >> 30) << 64
        | 0b10 << 62
        | (counter & 0x3FFF_FFFF) << 32
        | random & 0xFFFF_FFFF
    )
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def uuid7_ids(database: str, entity: object) -> str:  # noqa: ARG001 (a convention's signature)
    """Make ids like `companies/0192f5c4-…`, without asking the server: a `document_id_generator`."""
    return uuid7()


def time_ordered_id(start: str) -> str:
    """Return a new id that begins with *start*, such as `companies/`; later ones sort after it."""
    return start + uuid7()


def complete_generated_id(generated: object, prefix: str, separator: str) -> str:
    """Return the id that a `document_id_generator` meant.

    An id without a separator gets the collection's *prefix*, one that ends in the separator a
    time-ordered rest, any other is taken as it is, one that asks for an identity too.

    Raises:
        InvalidArgumentException: The result cannot be an id.
    """
    checked = check_id(generated)
    if asks_for_identity(checked, separator):
        return checked
    if separator not in checked:
        return check_id(f"{prefix}{separator}{checked}")
    if checked.endswith(separator):
        return check_id(time_ordered_id(checked))
    return checked


def _after_fork() -> None:
    # Another thread may have held a lock when the process was forked.
    _clock7.lock = threading.Lock()
    for generator in list(_generators):
        generator.forget()


os.register_at_fork(after_in_child=_after_fork)
