"""Connections of async stores that outlive them: a test has an event loop of its own, and PostgreSQL does not care."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Any, Final, Self

from psycopg.pq import PGconn, TransactionStatus
from psycopg.pq.abc import PGconn as AnyPGconn
from typing_extensions import override

from docsession._executors._async import AsyncPooledConnection
from docsession._executors._psycopg import PoolSettings, keep_for_parent
from docsession._executors._wire import ROLLBACK, Wire

_KEPT: Final = 8
"""What more tests have at once is closed after them."""

_OPEN: Final = (TransactionStatus.INTRANS, TransactionStatus.INERROR)


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What stays of a connection.

    Attributes:
        place: How it was made: from which arguments.
        pgconn: The connection to the server.
        wire: What is prepared on it.
    """

    place: object
    pgconn: AnyPGconn
    wire: Wire


class Reserve:
    """Connections that no store has at the moment.

    What stays is the connection to the server and what is prepared on it. Everything that belongs to an event loop is
    made anew for each store; who still holds the object of before holds one that is closed.
    """

    def __init__(self) -> None:
        self._is_closed = False
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._kept: list[Kept] = []

    def connection_class(self) -> type[AsyncPooledConnection]:
        """Return what takes connections from here, and puts them back where they would be closed."""
        reserve = self

        class OfThisReserve(KeptConnection):
            _reserve = reserve

        return OfThisReserve

    def take(self, place: object) -> Kept | None:
        """Return a living connection to *place*; None where one has to be made."""
        self._leave_parent()
        with self._lock:
            for kept in reversed(self._kept):
                if kept.place == place:
                    self._kept.remove(kept)
                    if kept.wire.is_alive():
                        return kept
                    kept.pgconn.finish()
        return None

    def put(self, kept: Kept) -> None:
        """Keep a connection for the next one who wants it, or close it where it would serve nobody."""
        self._leave_parent()
        with self._lock:
            if self._is_closed or len(self._kept) >= _KEPT or not kept.wire.is_clean() or kept.wire.is_read_only:
                kept.pgconn.finish()
            else:
                self._kept.append(kept)

    def close(self) -> None:
        """Close the connections; what is put back later is closed then."""
        self._leave_parent()
        self._is_closed = True
        with self._lock:
            while self._kept:
                self._kept.pop().pgconn.finish()

    def _leave_parent(self) -> None:
        """In a forked child, leave the connections to the parent."""
        if self._pid != os.getpid():
            keep_for_parent(self._kept)
            self._begin()


class KeptConnection(AsyncPooledConnection):
    """A connection that goes back to a reserve instead of being closed."""

    _reserve: Reserve
    _place: object
    _taken: Kept | None = None
    _was_the_users = False

    @classmethod
    @override
    async def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
        """Take a connection out of the reserve, or make one."""
        # The pool shortens the timeout when it has little time left.
        place = (conninfo, {name: value for name, value in kwargs.items() if name != "connect_timeout"})
        kept = cls._reserve.take(place)
        if kept is None:
            connection = await super().connect(conninfo, **kwargs)
        else:
            connection = cls(kept.pgconn)
            connection.prepare_threshold = kwargs["prepare_threshold"]
            await connection.set_autocommit(kwargs["autocommit"])
        connection._place, connection._taken = place, kept
        return connection

    @override
    def talk(self, settings: PoolSettings) -> None:
        """Begin the conversation, or go on with it: what is prepared on the server stays so."""
        if self._taken is None:
            super().talk(settings)
        else:
            self.wire = self._taken.wire
            self.add_notice_handler(self.wire.take_notice)

    @override
    async def set_autocommit(self, value: bool) -> None:
        """Note that the connection is given to the user, who may leave settings and locks on it."""
        self._was_the_users |= not value
        await super().set_autocommit(value)

    @override
    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Note the same of one that the user has in a transaction which the session's own requests have begun."""
        self._was_the_users = True
        return super().cursor(*args, **kwargs)

    @override
    async def close(self) -> None:
        """Put the connection back."""
        self._put_back()

    @override
    def leave(self, *, is_loop_closed: bool) -> None:
        """Put the connection back, and roll back what it was in the middle of; close it where somebody may go on."""
        if is_loop_closed and self.pgconn.transaction_status in _OPEN:
            self.pgconn.exec_(ROLLBACK.sql)
        if is_loop_closed:
            self._put_back()
        else:
            self.pgconn.finish()

    def _put_back(self) -> None:
        # Who holds this connection still, holds one that is closed.
        pgconn, self.pgconn, self._closed = self.pgconn, _ended(), True
        if self._was_the_users or not hasattr(self, "wire"):
            pgconn.finish()
        else:
            self._reserve.put(Kept(self._place, pgconn, self.wire.pass_on(self.pgconn)))


def _ended() -> AnyPGconn:
    """Return a connection that never was one."""
    never = PGconn.connect_start(b"=")  # refused before anybody is asked
    never.finish()
    return never
