"""Which item of a list is which item of the list's earlier state, where no object says it."""

from __future__ import annotations

import datetime as dt
import enum
import functools
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from docsession._documents._exact import canonical_exact, same

UNKNOWN: Final[Any] = object()
"""Stands for the stored form of a list item that cannot be told."""


_VALUES: Final = (tuple, Decimal, enum.Enum, dt.date, dt.time, dt.timedelta, UUID)


def pair(
    known: list[Any],
    now: list[Any],
    *,
    before: tuple[Any, ...],
    after: tuple[Any, ...],
    wanting: list[int],
    free: set[int],
) -> Iterator[tuple[int, int]]:
    """Yield (position in *now*, position in *known*): the equal item, else the same position if the lengths agree.

    Args:
        known: The items as they were.
        now: The items as they are.
        before: The objects of *known*; () where they are not told.
        after: The objects of *now*. Only objects of one class are paired.
        wanting: The positions in *now* that look for their item.
        free: The positions in *known* that may be given; those that were are taken out.
    """
    moved = []
    for position in wanting:
        if position in free and same(known[position], now[position]) and same_class(before, position, after, position):
            free.discard(position)
            yield position, position
        else:
            moved.append(position)
    if not moved or not free:
        return
    sources: dict[tuple[type | None, bytes], deque[int]] = {}
    for source in sorted(free):
        sources.setdefault((_class_at(before, source), canonical_exact(known[source])), deque()).append(source)
    changed = []
    for position in moved:
        equal = sources.get((_class_at(after, position), canonical_exact(now[position])))
        if equal:
            source = equal.popleft()
            free.discard(source)
            yield position, source
        else:
            changed.append(position)
    if len(known) == len(now):
        for position in changed:
            if position in free and same_class(before, position, after, position):
                free.discard(position)
                yield position, position


def same_class(before: tuple[Any, ...], source: int, after: tuple[Any, ...], position: int) -> bool:
    """Return True where two items are objects of one class, or values."""
    return _class_at(before, source) is _class_at(after, position)


def _class_at(objects: tuple[Any, ...], position: int) -> type | None:
    return type(objects[position]) if objects else None


def is_immutable(item: object) -> bool:
    """Return True where *item* would be replaced rather than changed: a value, or an instance of a frozen class."""
    cls: Any = type(item)
    return _is_immutable(cls)


@functools.lru_cache(maxsize=4096)
def _is_immutable(cls: type) -> bool:
    if cls.__module__ == "builtins":
        return cls not in {dict, list, set, bytearray}
    parameters = getattr(cls, "__dataclass_params__", None)
    configuration = getattr(cls, "__struct_config__", None)
    model = getattr(cls, "model_config", None)
    return bool(
        issubclass(cls, _VALUES)
        or (parameters is not None and parameters.frozen)
        or (configuration is not None and configuration.frozen)
        or (isinstance(model, dict) and model.get("frozen"))
        or getattr(cls.__setattr__, "__name__", "") == "_frozen_setattrs"
    )


def align(stored: list[Any], known: list[Any]) -> list[Any]:
    """Return for each of the *known* items its stored form, or UNKNOWN.

    They stand in the same order, but for a set that somebody stored in another order or with
    duplicates: there the stored item is the one that fits.
    """
    if len(stored) == len(known) and all(map(_fits, stored, known)):
        return stored
    candidates: dict[object, list[Any]] = {}
    for item in stored:
        candidates.setdefault(_kind(item), []).append(item)
    found = []
    for position, item in enumerate(known):
        rivals = candidates.get(_kind(item), [])
        index = next((i for i, rival in enumerate(rivals) if _fits(rival, item)), None)
        if index is not None:
            found.append(rivals.pop(index))
        elif len(stored) == len(known) and type(item) in {dict, list}:
            found.append(stored[position])
        else:
            found.append(UNKNOWN)
    return found


def _kind(value: object) -> object:
    if type(value) in {dict, list}:
        return type(value)
    return float(value) if _is_number(value) else (type(value), value)  # type: ignore[arg-type]  # it is a number


def _is_number(value: object) -> bool:
    return type(value) is int or type(value) is Decimal


def _fits(stored: Any, known: Any) -> bool:
    """Return True where *known* may be what was loaded of *stored*."""
    if type(stored) is dict and type(known) is dict:
        return all(_fits(stored[key], member) for key, member in known.items() if key in stored)
    if type(stored) is list and type(known) is list:
        return len(stored) == len(known) and all(map(_fits, stored, known))
    if _is_number(stored) and _is_number(known):
        return float(stored) == float(known)
    return same(stored, known)
