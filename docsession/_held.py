"""Connections in the hands of whoever calls: what waits for other transactions must not wait for the caller's own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias
from weakref import ReferenceType, ref

from psycopg.pq import TransactionStatus

_Owner: TypeAlias = "tuple[int, int, ReferenceType[asyncio.Task[Any]] | None]"
"""Process, thread and task."""

_OPEN: Final = frozenset({TransactionStatus.ACTIVE, TransactionStatus.INTRANS, TransactionStatus.INERROR})

# There is no lock: a garbage collection comes in the middle of anything, and ends streams that nobody has read to their
# end, which let go of theirs. Each step is one of the dict's own, which others see done or not done.
_held: Final[dict[int, tuple[ReferenceType[Any], _Owner]]] = {}
"""By `id` of the connection."""


def hold(connection: Any) -> None:
    """Remember that whoever calls has one of psycopg's connections, perhaps in a transaction."""
    key = id(connection)

    def forget(gone: ReferenceType[Any]) -> None:
        found = _held.get(key)
        if found is not None and found[0] is gone:
            _held.pop(key, None)

    _held[key] = ref(connection, forget), _caller()


def let_go(connection: Any) -> None:
    """Forget it, before others get the connection."""
    _held.pop(id(connection), None)


@contextmanager
def holding(connection: Any) -> Iterator[None]:
    """Remember it while the block lasts."""
    hold(connection)
    try:
        yield
    finally:
        let_go(connection)


def pids_of_caller() -> list[int]:
    """Return the processes of servers in which whoever calls is in the middle of a transaction, or of a stream."""
    caller = _caller()
    own = [reference() for reference, owner in list(_held.values()) if owner == caller]
    return [each.pgconn.backend_pid for each in own if each is not None and each.pgconn.transaction_status in _OPEN]


def _caller() -> _Owner:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None  # no loop runs here
    return os.getpid(), threading.get_ident(), None if task is None else ref(task)
