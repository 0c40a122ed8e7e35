"""Requests over a connection that somebody else owns: a part of their transaction, which they end.

Nothing is set on their connection: the conversation goes past its cursors, adapters and row factory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing, closing
from typing import Any, Final, cast
from weakref import ref

import psycopg
from psycopg import capabilities
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from typing_extensions import override

from docsession._errors import (
    InvalidOperationException,
    TransactionRetryException,
    _GuardFailed,
)
from docsession._executors._adapters import AsyncStreamCursor, StreamCursor
from docsession._executors._async import cancel_on, finish_write
from docsession._executors._cancelling import CANCEL_SECONDS, impatient, note_failed_cancel
from docsession._executors._foreign_links import Link, begin_of, busy, check, link_of
from docsession._executors._hosts import Host
from docsession._executors._translate import lost_in_transaction, translate, translate_lost, translate_streamed
from docsession._executors._wire import ROLLBACK, Frame, LinkLostError, settings_of
from docsession._held import hold
from docsession._port import Fate, Place, Premise, Request, Row, Rows, Statement, Transaction
from docsession._sql._joining import (
    CURRENT_TRANSACTION,
    PLACE,
    RELEASE,
    RESCUE,
    SAVEPOINT,
    keep_setting,
    refuse_undone,
    restore_setting,
    status_of,
)

IDLE: Final = TransactionStatus.IDLE
INTRANS: Final = TransactionStatus.INTRANS


class BlockingForeignExecutor:
    """Carries the requests of one session over somebody else's connection; see `docsession._port.ForeignExecutor`."""

    def __init__(self, host: Host) -> None:
        self.premises: list[Premise] = []
        self._host = host
        self._driver: Callable[[], Any] = _nothing

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self._host.name}>"

    async def run(self, request: Request) -> list[Rows]:
        """See `RequestExecutor.run`; the request joins the transaction that is open, or begins one as its owner would.

        Raises:
            InvalidOperationException: The connection cannot take a request now.
        """
        driver = await self._host.driver(begin=True)
        hold(driver)
        link = link_of(driver, self._host.name)
        await self._seize(driver)
        try:
            status = check(driver, self._host.name)
            self._driver = ref(driver)
            self.review()
            if status == IDLE and driver.autocommit:
                return await self._run_alone(driver, link, request)
            return await self._join(driver, link, request, () if status == INTRANS else (begin_of(driver),))
        finally:
            driver.lock.release()

    async def place(self) -> Place:
        """See `ForeignExecutor.place`."""
        driver = await self._host.driver(begin=False)
        link = link_of(driver, self._host.name)
        if link.place is None:
            ((row,),) = await self._aside(driver, link, [PLACE])
            link.place = (row[0], row[1])
        return link.place

    async def ask(self) -> None:
        """See `ForeignExecutor.ask`."""
        self.review()
        xids = self._doubtful()
        if xids:
            driver = await self._host.driver(begin=False)
            self._settle(
                xids, await self._aside(driver, link_of(driver, self._host.name), [status_of(xid) for xid in xids])
            )

    def review(self) -> None:
        """See `ForeignExecutor.review`."""
        self._host.review(self.premises)
        driver = self._driver()
        if driver is None or driver.pgconn.transaction_status != IDLE:
            return
        for premise in self.premises:
            # Ended past its owner, by a ROLLBACK sent as text, say.
            if premise.fate is Fate.OPEN and premise.xid is not None:
                premise.fate = Fate.DOUBTFUL

    async def run_apart(self, make: Callable[[], Request | None]) -> list[Rows]:
        """See `RequestExecutor.run_apart`; there is no other connection, so that a rollback undoes it, too."""
        request = make()
        return [] if request is None else await self.run(request)

    async def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """See `RequestExecutor.stream`; the connection is busy until the last row."""
        driver = await self._host.driver(begin=True)
        hold(driver)
        is_joined = driver.pgconn.transaction_status == INTRANS
        await self._command(driver, [SAVEPOINT] if is_joined else [])
        is_done = False
        try:
            async with aclosing(self._rows(driver, statement, size)) as rows:
                async for row in rows:
                    yield row
            is_done = True
        except psycopg.Error as error:
            raise translate_streamed(error, is_lost=driver.closed) from error
        finally:
            if not driver.closed:
                await self._leave_stream(driver, is_joined=is_joined, is_done=is_done)

    def begin(self, isolation_level: str | None = None) -> Transaction:
        """Refuse: whose connection it is, theirs is the transaction."""
        del isolation_level
        raise InvalidOperationException(
            f"the transaction of this session is that of {self._host.name}: begin, commit and roll it back there"
        )

    async def close(self) -> None:
        """Leave the connection to its owner."""

    # one request

    async def _aside(self, driver: Any, link: Link, statements: Sequence[Statement]) -> list[Rows]:
        """Ask about something beside the session's requests; outside a transaction that begins none."""
        request = Request(statements)
        await self._seize(driver)
        try:
            is_joined = check(driver, self._host.name) == INTRANS
            frame = Frame((SAVEPOINT,), (RELEASE,), rescue=RESCUE)
            sent = link.wire.exchange_framed(request, frame) if is_joined else link.wire.exchange(request)
            return await self._converse(driver, sent, request, is_joined=is_joined)
        finally:
            driver.lock.release()

    async def _run_alone(self, driver: Any, link: Link, request: Request) -> list[Rows]:
        """Send a request that commits by itself, as everything does on a connection in autocommit."""
        xids = self._doubtful()
        if not xids:
            return await self._commit_alone(driver, link, request)
        inner = Request(
            [*self._checks(xids, request), *request.statements],
            transaction=request.transaction or request.write,
            write=request.write,
            settings=request.settings,
            commit_timeout=request.commit_timeout,
        )
        try:
            results = await self._commit_alone(driver, link, inner)
        except _GuardFailed as refusal:
            await self._settle_refusal(driver, link, xids, refusal, is_joined=False)
            raise
        finally:
            request.sent, request.cancelled = inner.sent, inner.cancelled
        request.unconfirmed = inner.unconfirmed
        self._settle(xids, results)
        return results[len(xids) :]

    async def _commit_alone(self, driver: Any, link: Link, request: Request) -> list[Rows]:
        """Send it, and end the commit's wait for a standby after `request.commit_timeout`."""
        conversation = link.wire.exchange(request)
        if request.commit_timeout is None:
            return await self._converse(driver, conversation, request, is_joined=False)
        driver.add_notice_handler(link.wire.take_notice)
        try:
            return await self._converse(driver, conversation, request, is_joined=False)
        finally:
            driver.remove_notice_handler(link.wire.take_notice)

    async def _join(self, driver: Any, link: Link, request: Request, begin: Sequence[Statement]) -> list[Rows]:
        """Send *request* as a part of the open transaction, or of one that *begin* begins."""
        xids = self._doubtful()
        inner = Request([*self._checks(xids, request), *request.statements], write=request.write)
        if request.write:
            inner.statements = [*inner.statements, CURRENT_TRANSACTION]
        frame = self._frame(request, begin)
        try:
            results = await self._converse(driver, link.wire.exchange_framed(inner, frame), inner, is_joined=True)
        except _GuardFailed as refusal:
            await self._settle_refusal(driver, link, xids, refusal, is_joined=not begin)
            raise
        except BaseException as error:
            # Ctrl-C in the middle of the conversation, say: it may have been done.
            if request.write and inner.sent and not isinstance(error, Exception):
                self._remember(None)
            raise
        finally:
            request.sent, request.cancelled = inner.sent, inner.cancelled
        self._settle(xids, results)
        if request.write:
            self._remember(results.pop()[0][0])
        return results[len(xids) :]

    @staticmethod
    def _checks(xids: Sequence[str], request: Request) -> list[Statement]:
        return [refuse_undone(xid) if request.write else status_of(xid) for xid in xids]

    def _frame(self, request: Request, begin: Sequence[Statement]) -> Frame:
        """Return what keeps a refusal from failing the transaction, and settings from outliving the request.

        What a commit waits for is a setting of the whole transaction: its owner's commit waits then.
        """
        names = [name for name, _ in request.settings if name != "synchronous_commit"]
        before = [*begin] if begin else [SAVEPOINT]
        before += [*map(keep_setting, names), *settings_of(request)]
        after = [*map(restore_setting, names)]
        if begin:
            return Frame(before, after, rescue=ROLLBACK.sql)
        return Frame(before, [*after, RELEASE], rescue=RESCUE)

    async def _converse(
        self, driver: Any, conversation: PQGen[list[Rows]], request: Request, *, is_joined: bool
    ) -> list[Rows]:
        try:
            return await self._drive(driver, conversation, request)
        except LinkLostError as lost:
            await self._host.lost(driver)
            if not is_joined:
                raise translate_lost(lost, write=request.write) from lost.__cause__
            for premise in self.premises:
                if premise.fate is Fate.OPEN:
                    premise.fate = Fate.UNDONE
            raise lost_in_transaction(lost) from lost.__cause__
        except psycopg.Error as error:
            raise translate(error) from error

    # what became of earlier writes

    def _doubtful(self) -> list[str]:
        """Return the transactions that the server has to be asked about."""
        doubtful = (premise.xid for premise in self.premises if premise.fate is Fate.DOUBTFUL)
        return list(dict.fromkeys(xid for xid in doubtful if xid is not None))

    def _settle(self, xids: Sequence[str], results: Sequence[Rows]) -> None:
        """Take over what the server said about *xids*, the first of *results*."""
        said = {xid: rows[0][0] for xid, rows in zip(xids, results, strict=False)}
        for premise in self.premises:
            if premise.fate is not Fate.DOUBTFUL or premise.xid not in said:
                continue
            match said[premise.xid]:
                case "aborted":
                    premise.fate = Fate.UNDONE
                case "in progress":
                    premise.fate = self._host.still_in_progress(premise)
                case _:
                    # Null is a commit so old that the server has forgotten the transaction.
                    premise.fate = Fate.COMMITTED

    async def _settle_refusal(
        self, driver: Any, link: Link, xids: Sequence[str], refusal: _GuardFailed, *, is_joined: bool
    ) -> None:
        """Where the write was refused because earlier ones are undone, find out which.

        Raises:
            TransactionRetryException: It was refused because what became of one is still open.
        """
        if refusal.marker == "ongoing":
            raise TransactionRetryException(
                "the transaction of an earlier save of this session goes on at the server, though not on this "
                "connection: it is prepared, or its commit waits, or the server has not noticed that its connection "
                "broke. What a save would build on is not known, and nothing was written: repeat it"
            ) from refusal.__cause__
        if refusal.marker != "undone":
            return
        if len(xids) == 1:
            self._settle(xids, [[("aborted",)]])
            return
        request = Request([status_of(xid) for xid in xids])
        frame = Frame((SAVEPOINT,), (RELEASE,), rescue=RESCUE)
        sent = link.wire.exchange_framed(request, frame) if is_joined else link.wire.exchange(request)
        self._settle(xids, await self._converse(driver, sent, request, is_joined=is_joined))

    def _remember(self, xid: str | None) -> None:
        premise = Premise(xid)
        self.premises.append(premise)
        self._host.watch(premise)

    # streams

    async def _leave_stream(self, driver: Any, *, is_joined: bool, is_done: bool) -> None:
        has_failed = driver.pgconn.transaction_status == TransactionStatus.INERROR
        if is_joined:
            undo = [Statement(each) for each in RESCUE.split(b"; ")]
            await self._command(driver, [RELEASE] if is_done else undo)
        elif has_failed:
            await self._command(driver, [ROLLBACK])

    async def _command(self, driver: Any, commands: Sequence[Statement]) -> None:
        await self._seize(driver)
        try:
            if commands:
                request = Request(())
                sent = link_of(driver, self._host.name).wire.exchange_framed(request, Frame(commands, ()))
                await self._converse(driver, sent, request, is_joined=True)
            else:
                check(driver, self._host.name)
        finally:
            driver.lock.release()

    # what differs between the faces

    async def _seize(self, driver: Any) -> None:
        """Take psycopg's own lock of the connection.

        Raises:
            InvalidOperationException: Somebody has it.
        """
        if not driver.lock.acquire(blocking=False):
            raise busy(self._host.name)

    async def _drive(self, driver: Any, conversation: PQGen[list[Rows]], request: Request) -> list[Rows]:
        def cancel() -> None:
            try:
                driver.cancel_safe(timeout=CANCEL_SECONDS)
            except psycopg.Error as error:
                note_failed_cancel(error)

        if request.commit_timeout is not None:
            conversation = impatient(conversation, request.commit_timeout, cancel)
        rows: list[Rows] = driver.wait(conversation)
        return rows

    async def _rows(self, driver: Any, statement: Statement, size: int) -> AsyncGenerator[Row]:
        chunk = size if capabilities.has_stream_chunked() else 1
        rows = StreamCursor(driver).stream(statement.sql, statement.params, binary=True, size=chunk)
        with closing(cast("Generator[Row]", rows)):
            for row in rows:
                yield row


class AsyncForeignExecutor(BlockingForeignExecutor):
    """The same for the connections of an event loop."""

    @override
    async def _seize(self, driver: Any) -> None:
        if driver.lock.locked():
            raise busy(self._host.name)
        await driver.lock.acquire()

    @override
    async def _drive(self, driver: Any, conversation: PQGen[list[Rows]], request: Request) -> list[Rows]:
        carried = (
            driver.wait(conversation)
            if request.commit_timeout is None
            else self._hurry(driver, conversation, request.commit_timeout)
        )
        rows: list[Rows] = await (finish_write(carried, request) if request.write else carried)
        return rows

    @staticmethod
    async def _hurry(driver: Any, conversation: PQGen[list[Rows]], seconds: float) -> list[Rows]:
        cancelling: list[asyncio.Task[None]] = []

        def cancel() -> None:
            cancelling.append(asyncio.ensure_future(cancel_on(driver)))

        try:
            rows: list[Rows] = await driver.wait(impatient(conversation, seconds, cancel))
            return rows
        finally:
            await asyncio.gather(*cancelling)

    @override
    async def _rows(self, driver: Any, statement: Statement, size: int) -> AsyncGenerator[Row]:
        chunk = size if capabilities.has_stream_chunked() else 1
        rows = AsyncStreamCursor(driver).stream(statement.sql, statement.params, binary=True, size=chunk)
        async with aclosing(cast("AsyncGenerator[Row]", rows)):
            async for row in rows:
                yield row


def _nothing() -> None:
    """No connection was used yet."""
