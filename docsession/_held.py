"""Connections in the hands of whoever calls: what waits for other transactions must not wait for the caller's own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias
from weakref import ReferenceType, WeakKeyDictionary, ref

from psycopg.pq import TransactionStatus

_Owner: TypeAlias = "tuple[int, int, ReferenceType[asyncio.Task[Any]] | None]"
"""Process, thread and task."""

_OPEN: Final = frozenset({TransactionStatus.ACTIVE, TransactionStatus.INTRANS, TransactionStatus.INERROR})
_lock: Final = threading.Lock()
_held: Final[WeakKeyDictionary[Any, _Owner]] = WeakKeyDictionary()


def hold(connection: Any) -> None:
    """Remember that whoever calls has one of psycopg's connections, perhaps in a transaction."""
    owner = _caller()
    with _lock:
        _held[connection] = owner


def let_go(connection: Any) -> None:
    """Forget it, before others get the connection."""
    with _lock:
        _held.pop(connection, None)


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
    with _lock:
        own = [connection for connection, owner in _held.items() if owner == caller]
    return [each.pgconn.backend_pid for each in own if each.pgconn.transaction_status in _OPEN]


def _caller() -> _Owner:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None  # no loop runs here
    return os.getpid(), threading.get_ident(), None if task is None else ref(task)
