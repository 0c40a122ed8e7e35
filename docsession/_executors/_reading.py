"""Reads from standbys, in sessions that read their own writes."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from time import monotonic
from typing import Any, Final

from typing_extensions import override

from docsession._errors import (
    ConnectionFailedException,
    InvalidArgumentException,
    PoolTimeoutException,
    RavenException,
    RequestTimeoutException,
    StoreClosedException,
    UnknownOutcomeException,
)
from docsession._port import Request, RequestExecutor, Row, Rows, Statement, Transaction
from docsession._sql._position import BEHIND, NOT_TOLD, has_reached

RETRY_SECONDS: Final = 5.0
"""How long a standby that cannot be reached is left alone."""

FIRST_PAUSE: Final = 0.001
LONGEST_PAUSE: Final = 0.05

BEYOND_ALL: Final = 2**63 - 1
"""A position that no standby reaches: where that of a save is not known."""

TOKEN: Final = re.compile(r"([0-9A-F]{1,8})/([0-9A-F]{1,8})", re.ASCII)


class Standby:
    """The standbys of one server; shared by the sessions of a store.

    Args:
        executor: Carries requests to them.
        sleep: Waits for some seconds, in the manner of the executor's face.
    """

    def __init__(self, executor: RequestExecutor, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._executor = executor
        self._sleep = sleep
        self._unreachable_until = 0.0
        self._is_doubtful = False

    async def read(self, request: Request, after: int | None, patience: float) -> list[Rows] | None:
        """Answer *request* from a standby that has applied all up to *after*; wait for one *patience* seconds at most.

        Returns:
            None where no standby could answer. (One that hits a conflict with what it applies, or lacks a table that
            was just made, cannot.)

        Raises:
            RequestTimeoutException: The statement took longer than the server allows.
        """
        if after == BEYOND_ALL or monotonic() < self._unreachable_until:
            return None
        if self._is_doubtful:
            # One tries; the others need not wait for what may not answer.
            self._unreachable_until = monotonic() + RETRY_SECONDS
        try:
            rows = await self._read(request, after, patience)
        except (PoolTimeoutException, StoreClosedException):
            return None
        except ConnectionFailedException:
            self._is_doubtful = True
            self._unreachable_until = monotonic() + RETRY_SECONDS
            return None
        except RequestTimeoutException:
            raise
        except RavenException:
            return None
        if self._is_doubtful:
            self._is_doubtful = False
            self._unreachable_until = 0.0
        return rows

    async def _read(self, request: Request, after: int | None, patience: float) -> list[Rows] | None:
        if after is None:
            return await self._executor.run(request)
        asking = Request([has_reached(after), *request.statements], settings=request.settings)
        pause, deadline = FIRST_PAUSE, monotonic() + patience
        while True:
            ((answer,),), *rows = await self._executor.run(asking)
            if answer != BEHIND:
                return None if answer == NOT_TOLD else rows
            left = deadline - monotonic()
            if left <= 0:
                return None
            await self._sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def close(self) -> None:
        """Give back the connections."""
        await self._executor.close()


class ReadingExecutor:
    """Carries the requests of one session: reads that may lag to a standby, all others to the primary.

    A read is never older than the session's own saves, nor than *after*.

    Args:
        primary: The store's executor.
        standby: Its standbys.
        after: A position of the write-ahead log; None: any state will do.
        patience: Gives the seconds to wait for a standby.
    """

    def __init__(
        self, primary: RequestExecutor, standby: Standby, after: int | None, patience: Callable[[], float]
    ) -> None:
        self._primary = primary
        self._standby = standby
        self._after = after
        self._patience = patience

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} after {self.token}>"

    @property
    def token(self) -> str | None:
        """What a later read has to have seen, as text."""
        return None if self._after is None else position_to_token(self._after)

    async def run(self, request: Request) -> list[Rows]:
        """See `RequestExecutor.run`."""
        if request.write:
            return await self.noting(request, self._primary.run(_asking(request)))
        if request.may_lag and not request.transaction:
            rows = await self._standby.read(request, self._after, self._patience())
            if rows is not None:
                return rows
        return await self._primary.run(request)

    async def noting(self, request: Request, carried: Awaitable[list[Rows]]) -> list[Rows]:
        """Await a write, and remember how far it has brought the log."""
        try:
            rows = await carried
        except RavenException as error:
            if isinstance(error, UnknownOutcomeException):
                self._after = BEYOND_ALL
            raise
        except BaseException:
            if request.sent:
                self._after = BEYOND_ALL
            raise
        # Where the position is not known, neither is it known of what was saved before: the primary alone will do.
        position = BEYOND_ALL if request.position is None else request.position
        self._after = position if self._after in {None, BEYOND_ALL} else max(position, self._after or 0)
        return rows

    async def run_apart(self, make: Callable[[], Request | None]) -> list[Rows]:
        """See `RequestExecutor.run_apart`."""
        return await self._primary.run_apart(make)

    def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """See `RequestExecutor.stream`; from the primary: a long read conflicts with what a standby applies."""
        return self._primary.stream(statement, size)

    def begin(self, isolation_level: str | None = None) -> Transaction:
        """See `RequestExecutor.begin`; on the primary."""
        return NotedTransaction(self._primary.begin(isolation_level), self)

    async def close(self) -> None:
        """Do nothing: the store closes its executors."""


class NotedTransaction:
    """A transaction on the primary whose commit a `ReadingExecutor` remembers; see `docsession._port.Transaction`."""

    def __init__(self, transaction: Transaction, executor: ReadingExecutor) -> None:
        self._transaction = transaction
        self._executor = executor
        self.run = transaction.run
        self.stream = transaction.stream
        self.open = transaction.open
        self.rollback = transaction.rollback
        self.savepoint = transaction.savepoint
        self.release_savepoint = transaction.release_savepoint
        self.rollback_to_savepoint = transaction.rollback_to_savepoint
        self.abandon = transaction.abandon
        self.check_free = transaction.check_free

    @property
    def is_begun(self) -> bool:
        """See `Transaction.is_begun`."""
        return self._transaction.is_begun

    @property
    def has_ended(self) -> bool:
        """See `Transaction.has_ended`."""
        return self._transaction.has_ended

    @property
    def connection(self) -> Any:
        """See `Transaction.connection`."""
        return self._transaction.connection

    async def commit(self, request: Request | None = None) -> list[Rows]:
        """See `Transaction.commit`."""
        if request is None and not self.is_begun:
            return await self._transaction.commit()
        request = _asking(request or Request((), write=True))
        return await self._executor.noting(request, self._transaction.commit(request))


def _asking(request: Request) -> Request:
    request.wants_position = True
    return request


def position_to_token(position: int) -> str:
    """Return a position as PostgreSQL writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def token_to_position(token: object) -> int | None:
    """Return the position of a token, None for None.

    Raises:
        InvalidArgumentException: It is no token.
    """
    if token is None:
        return None
    match = TOKEN.fullmatch(token) if isinstance(token, str) else None
    position = BEYOND_ALL + 1 if match is None else (int(match[1], 16) << 32) + int(match[2], 16)
    if position > BEYOND_ALL:
        raise InvalidArgumentException(
            f"read_after is what session.advanced.last_save_token gave, like '0/3C5F0A8', not {token!r:.60}"
        )
    return position
