"""Transactions that span several requests of a session: how they begin and end, and what the session makes of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final

from docsession._errors import (
    ConnectionLostException,
    DocSessionError,
    ForeignKeyViolation,
    InvalidOperationException,
    UnknownOutcomeException,
)
from docsession._port import Request, Row, Rows, Statement, Transaction
from docsession._session._attempts import Attempt
from docsession._session._cluster import unconfirmed
from docsession._session._context import SessionContext
from docsession._session._delivery import deliver, deliver_cancellation, noting
from docsession._session._journal import Journal
from docsession._session._refused_by_reference import explain_reference
from docsession._session._saving import collections_in
from docsession._session._told_transaction import ToldTransaction
from docsession._sql._joining import CURRENT_TRANSACTION

OF_ONE_MOMENT: Final = ("repeatable read", "serializable")
"""Isolation levels at which every request sees what was committed when the transaction began."""


class Spanning:
    """Carries the requests of a session with an isolation level.

    The transaction begins with the first request and ends with the flush, in the flush's round trip. A
    request that fails ends it, too: what the session reads next is a new view of the database.
    """

    __slots__ = ("transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction

    async def run(self, request: Request) -> list[Rows]:
        """See `RequestExecutor.run`."""
        self.transaction.check_free()
        if request.write:
            return await self.transaction.commit(request)
        try:
            return await self.transaction.run(request)
        except BaseException:
            await self.transaction.rollback()
            raise

    def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """See `RequestExecutor.stream`."""
        return self.transaction.stream(statement, size)

    async def end(self) -> None:
        """End a transaction that has only read, so that what is read next is the state of then."""
        await self.transaction.commit()


class Explicit:
    """Carries the requests of a session between `begin()` and `commit()`; a flush is a savepoint.

    Attributes:
        xid: PostgreSQL's number of the transaction, from its first write on: if the answer to the commit is lost, the
            server can be asked whether it goes on.
    """

    __slots__ = ("_lost", "transaction", "xid")

    def __init__(self, transaction: Transaction, lost: Callable[[], None]) -> None:
        self.transaction = transaction
        self.xid: str | None = None
        self._lost = lost

    async def run(self, request: Request) -> list[Rows]:
        """See `RequestExecutor.run`; where the connection breaks everything is undone."""
        statements = request.statements
        is_first = request.write and self.xid is None
        if is_first:
            request.statements = [*statements, CURRENT_TRANSACTION]
        try:
            results = await self.transaction.run(request)
        except ConnectionLostException:
            self._lost()
            raise
        finally:
            request.statements = statements
        if is_first:
            self.xid = results.pop()[0][0]
        return results

    async def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """See `RequestExecutor.stream`."""
        try:
            async with aclosing(self.transaction.stream(statement, size)) as rows:
                async for row in rows:
                    yield row
        except ConnectionLostException:
            self._lost()
            raise


class Lost:
    """Stands for a transaction whose connection broke in a block: what goes on there must not commit by itself."""

    __slots__ = ()

    async def run(self, request: Request) -> list[Rows]:
        """Refuse *request*."""
        del request
        raise lost_in_block()

    async def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """Refuse, too."""
        del statement, size
        raise lost_in_block()
        yield


def lost_in_block() -> ConnectionLostException:
    """Return the error for what comes in a block after its transaction is gone."""
    return ConnectionLostException(
        "the connection of the session's transaction broke in this block, and everything in it is rolled back; "
        "nothing was sent: leave `with session.advanced.transaction():`, and begin it again"
    )


class Transactions:
    """Begins and ends the transactions of one session."""

    __slots__ = ("_attempts", "_blocks", "_context", "_explicit", "_is_lost", "_level", "_marks", "_own", "_spanning")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._own = context.own_executor
        self._level = context.isolation_level
        self._spanning = None if self._level is None else Spanning(self._make(self._level))
        self._explicit: Explicit | None = None
        self._marks: list[int] = []
        self._attempts: list[Attempt] = []
        self._blocks = 0
        self._is_lost = False
        if self._spanning is not None:
            context.executor = self._spanning
            context.is_of_one_moment = self._level in OF_ONE_MOMENT

    @property
    def depth(self) -> int:
        """How many times `begin()` was called without its end."""
        return 0 if self._explicit is None else 1 + len(self._marks)

    @property
    def is_reading(self) -> bool:
        """True in the transaction of an isolation level, after its first request and before its flush."""
        return self._explicit is None and self._spanning is not None and self._spanning.transaction.is_begun

    @property
    def reads_are_past(self) -> bool:
        """True where a transaction of one moment is to begin, and what the session knows is older than that moment."""
        is_begun = self._spanning is not None and self._spanning.transaction.is_begun
        return self._explicit is None and self._level in OF_ONE_MOMENT and not is_begun

    @property
    def connection(self) -> Any:
        """The connection of psycopg in the transaction.

        Raises:
            InvalidOperationException: There is no transaction.
        """
        executor = self._explicit or self._spanning
        connection = None if executor is None else executor.transaction.connection
        if connection is None:
            raise InvalidOperationException(
                "there is no transaction, so there is no connection: a session holds one only in a transaction. "
                "Call session.advanced.begin() first, or use `with session.advanced.transaction():`"
            )
        return connection

    async def begin(self, isolation_level: str | None) -> None:
        """Begin a transaction; inside one, set a savepoint."""
        self.check_lost()
        if self._explicit is not None:
            if isolation_level is not None:
                raise InvalidOperationException("the transaction has begun; its isolation level cannot be changed now")
            request = await self._on_connection(self._explicit.transaction.savepoint)
            self._marks.append(self._journal.mark())
            deliver(request)
            return
        if self._spanning is not None and self._spanning.transaction.is_begun:
            if isolation_level not in {None, self._level}:
                raise InvalidOperationException(
                    f"the session is in a transaction at {self._level!r} already; save_changes() ends that one"
                )
            transaction = self._spanning.transaction
        else:
            transaction = self._make(isolation_level or self._level)
        await transaction.open()
        self._explicit = explicit = Explicit(transaction, lambda: self._lose_connection(explicit))
        context = self._context
        context.executor = self._explicit
        context.is_of_one_moment = (isolation_level or self._level) in OF_ONE_MOMENT
        context.journal = Journal()
        self._attempts = list(context.attempts)

    def _make(self, isolation_level: str | None) -> Transaction:
        transaction = self._own.begin(isolation_level)
        observer = self._context.observer
        return transaction if observer is None else ToldTransaction(transaction, self._context, observer)

    def enter_block(self) -> None:
        """Begin a block, which is what was begun last."""
        self._blocks += 1

    def leave_block(self) -> bool:
        """End the innermost block; return True where its transaction was lost."""
        self._blocks -= 1
        was_lost = self._is_lost
        if was_lost and not self._blocks:
            self._is_lost = False
            self._context.executor = self._spanning or self._own
        return was_lost

    def check_lost(self) -> None:
        """Refuse to begin anything in a block whose transaction is gone.

        Raises:
            ConnectionLostException: It is.
        """
        if self._is_lost:
            raise lost_in_block()

    async def commit(self) -> None:
        """Commit the transaction; inside a nested one, keep what it did for the surrounding one to commit.

        Raises:
            UnknownOutcomeException: The connection broke before the answer; `save_changes()` finds out.
        """
        transaction = self._transaction("commit")
        if self._marks:
            request = await self._on_connection(transaction.release_savepoint)
            self._marks.pop()
            deliver(request)
            return
        journal = self._journal
        xid = None if self._explicit is None else self._explicit.xid
        request = Request((), write=True, commit_timeout=journal.commit_timeout)
        if self._context.observer is not None:
            request.collections = collections_in(journal.operations())
        try:
            await transaction.commit(request)
        except BaseException as error:
            if transaction.is_begun and not request.sent:
                raise  # a handler of on_before_request has stopped it, so it goes on
            self._leave()
            operations = journal.operations()
            is_ours = isinstance(error, DocSessionError)
            # Of Ctrl-C in the middle of the conversation nobody knows whether the server has committed it.
            if isinstance(error, UnknownOutcomeException) or (request.sent and not is_ours):
                self._lose(journal, xid)
            else:
                self._undo(journal, 0)
            if isinstance(error, DocSessionError):
                deliver_cancellation(request, error)
            if isinstance(error, ForeignKeyViolation):
                explained = await explain_reference(self._context, operations, error)
                await self.end_saving(failed=True)  # what it has asked is not what the session sees from now on
                raise explained from error.__cause__
            raise
        self._leave()
        journal.clear()
        self._context.has_committed = True
        late = unconfirmed() if request.unconfirmed and journal.is_cluster_wide else None
        deliver_cancellation(request, late)
        if late is not None:
            raise noting(request, late)
        deliver(request)

    async def rollback(self) -> None:
        """Undo what was saved since the last `begin()`: it is unsaved again, with its old versions."""
        transaction = self._transaction("rollback")
        if self._marks and not transaction.has_ended:
            request = await self._on_connection(transaction.rollback_to_savepoint)
            self._undo(self._journal, self._marks.pop())
            deliver(request)
            return
        try:
            await transaction.rollback()
        finally:
            self._fall()

    async def end_saving(self, *, failed: bool) -> None:
        """End the transaction of an isolation level after a save, whatever it did."""
        if self._spanning is None or self._explicit is not None:
            return
        if failed:
            await self._spanning.transaction.rollback()
        else:
            await self._spanning.end()

    async def close(self) -> None:
        """Roll back what is left open."""
        explicit, self._explicit = self._explicit, None
        try:
            if explicit is not None:
                await explicit.transaction.rollback()
        finally:
            if self._spanning is not None:
                await self._spanning.transaction.rollback()

    def abandon(self) -> None:
        """Give up the connection at once."""
        for executor in (self._explicit, self._spanning):
            if executor is not None:
                executor.transaction.abandon()
        self._explicit = None

    @property
    def _journal(self) -> Journal:
        journal = self._context.journal
        assert journal is not None  # noqa: S101  # begin() made it
        return journal

    def _transaction(self, operation: str) -> Transaction:
        if self._explicit is None:
            raise InvalidOperationException(
                f"{operation}() was called without a transaction; call begin() first. "
                "Without one, save_changes() is a transaction by itself"
            )
        return self._explicit.transaction

    async def _on_connection(self, command: Callable[[Request], Awaitable[None]]) -> Request:
        """Await *command* to its end, whoever cancels; what is returned tells whether somebody has."""
        request = Request((), write=True)
        try:
            await command(request)
        except DocSessionError as error:
            if isinstance(error, ConnectionLostException):
                self._lose_connection(self._explicit)
            deliver_cancellation(request, error)
            raise
        return request

    def _lose_connection(self, explicit: Explicit | None) -> None:
        """The connection broke; in a block everything is refused from now on."""
        if explicit is not self._explicit:
            return  # a stream of an earlier one
        self._fall()
        if self._blocks:
            self._is_lost = True
            self._context.executor = Lost()

    def _fall(self) -> None:
        """The transaction is gone, and what was saved in it is unsaved again."""
        journal = self._journal
        self._leave()
        self._undo(journal, 0)

    def _leave(self) -> None:
        self._explicit = None
        self._marks.clear()
        context = self._context
        context.executor = self._spanning or self._own
        context.is_of_one_moment = self._level in OF_ONE_MOMENT
        context.journal = None

    def _undo(self, journal: Journal, mark: int) -> None:
        journal.undo_to(mark)
        context = self._context
        context.forget_seen()
        # A save in it that Ctrl-C has interrupted is undone, too.
        context.attempts[:] = self._attempts
        context.unknown = False

    def _lose(self, journal: Journal, xid: str | None) -> None:
        """Leave the question whether the transaction was committed to the next save."""
        operations = journal.operations()
        if not operations:
            return
        moment = journal.entries[-1].moment
        attempt = Attempt(operations, moment, journal.clear, undo=lambda: self._undo(journal, 0), xid=xid)
        self._context.attempts.append(attempt)
        self._context.unknown = True
