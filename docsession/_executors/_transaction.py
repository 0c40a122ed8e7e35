"""A transaction that spans several requests, on one connection of a pool; written once for both faces."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final, Protocol

import psycopg
from psycopg import IsolationLevel
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from typing_extensions import override

from docsession._errors import ConnectionLostException, InvalidOperationException, RavenException
from docsession._executors._translate import lost_in_transaction, translate, translate_lost
from docsession._executors._wire import BEGIN, COMMIT, ROLLBACK, STATEMENT_LOST, Frame, LinkLostError, Wire, settings_of
from docsession._held import hold, let_go
from docsession._port import Request, Row, Rows, Statement

IDLE: Final = TransactionStatus.IDLE

ISOLATION_LEVELS: Final = {
    "read committed": IsolationLevel.READ_COMMITTED,
    "repeatable read": IsolationLevel.REPEATABLE_READ,
    "serializable": IsolationLevel.SERIALIZABLE,
}

_OVER: Final = frozenset({IDLE, TransactionStatus.UNKNOWN})
_SAVEPOINT: Final = Statement(b"SAVEPOINT docsession_flush")
_RELEASE: Final = Statement(b"RELEASE SAVEPOINT docsession_flush")
_STREAM: Final = Statement(b"SAVEPOINT docsession_stream")
_UNBOUNDED: Final = Statement(b"SET LOCAL statement_timeout TO DEFAULT")
"""A stream takes as long as its reader does, so the timeout of the requests before it does not hold for it."""
_STREAMED: Final = (Statement(b"RELEASE SAVEPOINT docsession_stream"),)
_STREAM_LEFT: Final = (Statement(b"ROLLBACK TO SAVEPOINT docsession_stream"), *_STREAMED)
_RESCUE: Final = b"ROLLBACK TO SAVEPOINT docsession_flush; RELEASE SAVEPOINT docsession_flush"


class Link(Protocol):
    """One connection while a transaction has it.

    Attributes:
        connection: psycopg's.
        wire: The conversation on it.
    """

    connection: Any
    wire: Wire

    async def wait(self, conversation: PQGen[list[Rows]]) -> list[Rows]:
        """Drive *conversation* to its end."""
        ...

    async def finish(self, conversation: PQGen[list[Rows]], request: Request) -> list[Rows]:
        """Drive *conversation* to its end whoever cancels, which is noted on *request*."""
        ...

    async def open_to_user(self, level: IsolationLevel | None) -> None:
        """Let psycopg begin a transaction by itself where the user's own SQL comes first."""
        ...

    def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """Yield the rows of one statement."""
        ...

    async def release(self) -> None:
        """Give the connection back; one that is in a transaction is given up."""
        ...

    def discard(self) -> None:
        """Give the connection up, in the middle of a garbage collection."""
        ...


class PooledTransaction:
    """One transaction on a connection of a pool; see `docsession._port.Transaction`.

    Args:
        acquire: Takes a connection out of the pool.
        isolation_level: One of `ISOLATION_LEVELS`; None is the server's default.
    """

    def __init__(self, acquire: Callable[[], Awaitable[Link]], isolation_level: str | None) -> None:
        self._acquire = acquire
        self._level = None if isolation_level is None else ISOLATION_LEVELS[isolation_level]
        self._begin = (
            BEGIN if self._level is None else Statement(f"BEGIN ISOLATION LEVEL {_words(self._level)}".encode())
        )
        self._link: Link | None = None
        self._pid = 0
        self._is_begun = False
        self._is_bounded = self._is_streaming = False
        self._depth = 0

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {'begun' if self._is_begun else 'not begun'}>"

    def __del__(self) -> None:
        """Give up the connection of a transaction that nobody ended."""
        link = getattr(self, "_link", None)
        if link is not None and self._pid == os.getpid():
            link.discard()

    @property
    def is_begun(self) -> bool:
        """See `Transaction.is_begun`; the user's own SQL on the connection begins it, too."""
        return self._is_begun or (self._link is not None and self._link.wire.transaction_status != IDLE)

    @property
    def has_ended(self) -> bool:
        """See `Transaction.has_ended`."""
        return self._is_begun and self._link is not None and self._link.wire.transaction_status == IDLE

    @property
    def connection(self) -> Any:
        """See `Transaction.connection`."""
        return None if self._link is None else self._link.connection

    def check_free(self) -> None:
        """See `Transaction.check_free`."""
        if self._is_streaming:
            raise InvalidOperationException(
                "a stream has the connection of the session's transaction, which has no other; nothing was sent: read "
                "the stream to its end, leave its loop or close it, and go on then"
            )

    async def open(self) -> None:
        """See `Transaction.open`."""
        link = await self._take()
        if link.wire.transaction_status == IDLE:
            await link.open_to_user(self._level)

    async def run(self, request: Request) -> list[Rows]:
        """See `Transaction.run`; a first read whose connection breaks is sent once more on another one."""
        is_first = not (self.is_begun or request.write)
        try:
            return await self._run(request)
        except ConnectionLostException:
            if not is_first:
                raise
        return await self._run(request)

    async def _run(self, request: Request) -> list[Rows]:
        link = await self._take()
        before = [*self._opening(link), *settings_of(request)]
        self._is_bounded |= bool(request.settings)
        if request.write:
            return await self._send(link, request, Frame([*before, _SAVEPOINT], (_RELEASE,), rescue=_RESCUE))
        return await self._send(link, request, Frame(before, ()))

    async def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """See `Transaction.stream`; to leave one early ends its statement by an error, so it has a savepoint."""
        link = await self._take()
        unbounded = (_UNBOUNDED,) if self._is_bounded else ()
        await self._send(link, Request(()), Frame((*self._opening(link), _STREAM, *unbounded), ()))
        self._is_streaming = True
        try:
            async with aclosing(link.stream(statement, size)) as rows:
                async for row in rows:
                    yield row
        finally:
            self._is_streaming = False
            status = link.wire.transaction_status
            if self._link is link and status == TransactionStatus.UNKNOWN:
                await self._leave()
            elif self._link is link and status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
                after = _STREAMED if status == TransactionStatus.INTRANS else _STREAM_LEFT
                await self._send(link, Request(()), Frame(after, ()))

    async def commit(self, request: Request | None = None) -> list[Rows]:
        """See `Transaction.commit`."""
        link = self._link
        if request is None and not self.is_begun:
            await self._leave()
            return []
        link = await self._take()
        sent = request or Request((), write=True)
        frame = Frame([*self._opening(link), *settings_of(sent)], (COMMIT,), rescue=ROLLBACK.sql, ends=True)
        try:
            results = await link.finish(link.wire.exchange_framed(sent, frame), sent)
        except LinkLostError as lost:
            raise translate_lost(lost, write=True) from lost.__cause__
        except psycopg.Error as error:
            raise _refused(error) from error
        finally:
            await self._leave()
        if request is None and sent.cancelled is not None:
            raise asyncio.CancelledError(*sent.cancelled.args)
        return results

    async def rollback(self) -> None:
        """See `Transaction.rollback`."""
        link = self._link
        end = Request(())
        try:
            # In a forked child it is the parent's, and goes on there.
            is_ours = link is not None and self._pid == os.getpid()
            if link is not None and is_ours and link.wire.transaction_status not in _OVER:
                await link.finish(link.wire.exchange_framed(end, Frame((ROLLBACK,), ())), end)
        except (LinkLostError, psycopg.Error):
            pass  # a connection that cannot roll back is given up, which rolls back
        finally:
            await self._leave()
        if end.cancelled is not None:
            raise asyncio.CancelledError(*end.cancelled.args)

    async def savepoint(self, request: Request) -> None:
        """See `Transaction.savepoint`."""
        await self._command(request, b"SAVEPOINT %b" % self._name(self._depth + 1))
        self._depth += 1

    async def release_savepoint(self, request: Request) -> None:
        """See `Transaction.release_savepoint`."""
        await self._command(request, b"RELEASE SAVEPOINT %b" % self._name(self._depth))
        self._depth -= 1

    async def rollback_to_savepoint(self, request: Request) -> None:
        """See `Transaction.rollback_to_savepoint`."""
        name = self._name(self._depth)
        await self._command(request, b"ROLLBACK TO SAVEPOINT %b" % name, b"RELEASE SAVEPOINT %b" % name)
        self._depth -= 1

    def abandon(self) -> None:
        """Cut the connection under another thread or task that is using it: its call fails, and gives it up."""
        link = self._link
        if link is not None and self._pid == os.getpid():
            link.wire.cut()

    @staticmethod
    def _name(depth: int) -> bytes:
        return b"docsession_%d" % depth

    async def _command(self, request: Request, *commands: bytes) -> None:
        link = await self._take()
        before = (*self._opening(link), *map(Statement, commands))
        await self._send(link, request, Frame(before, ()))

    async def _take(self) -> Link:
        self.check_free()
        if self._link is None:
            self._link = await self._acquire()
            self._pid = os.getpid()
            hold(self._link.connection)
        elif self._pid != os.getpid():
            raise InvalidOperationException(
                "this transaction was begun before the process forked, and goes on in the parent; open a new session"
            )
        return self._link

    def _opening(self, link: Link) -> tuple[Statement, ...]:
        """Return what begins the transaction, where that is still to be done."""
        if link.wire.transaction_status != IDLE:
            return ()
        if self._is_begun:
            raise InvalidOperationException(
                "the transaction was ended on its connection, and the session not told: call advanced.rollback()"
                " now, and end transactions with the session's commit() or rollback()"
            )
        return (self._begin,)

    async def _send(self, link: Link, request: Request, frame: Frame) -> list[Rows]:
        conversation = link.wire.exchange_framed(request, frame)
        try:
            results = await (link.finish(conversation, request) if request.write else link.wait(conversation))
        except LinkLostError as lost:
            await self._leave()
            raise lost_in_transaction(lost) from lost.__cause__
        except psycopg.Error as error:
            self._is_begun = True
            raise _refused(error) from error
        self._is_begun = True
        return results

    async def _leave(self) -> None:
        link, self._link = self._link, None
        self._is_begun = self._is_bounded = self._is_streaming = False
        self._depth = 0
        if link is not None and self._pid == os.getpid():
            let_go(link.connection)
            await link.release()


def _refused(error: psycopg.Error) -> RavenException:
    """Return our error for what was refused; where a prepared statement was gone another try prepares it anew."""
    translated = translate(error)
    if error.sqlstate in STATEMENT_LOST:
        translated.retryable = True
    return translated


def _words(level: IsolationLevel) -> str:
    return level.name.replace("_", " ")
