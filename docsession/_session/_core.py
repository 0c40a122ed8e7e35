"""The session, written once for both faces.

Every method that may ask the server is `async def`; the blocking face runs it with a single `send`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from docsession._errors import InvalidOperationException, SessionBusyException
from docsession._options import check_isolation_level
from docsession._port import RequestExecutor
from docsession._session._contents import SessionContents
from docsession._session._context import SessionContext
from docsession._session._event_args import SessionClosingEventArgs
from docsession._session._loads import Loads
from docsession._session._saving import Saver
from docsession._session._storing import Storing
from docsession._session._transactions import Transactions, lost_in_block


class SessionCore(SessionContents):
    """One session's unit of work.

    Attributes:
        loads: What loads documents.
        storing: What has the next save write and delete them.
    """

    __slots__ = ("__weakref__", "_saver", "_transactions", "loads", "storing")

    def __init__(self, context: SessionContext) -> None:
        super().__init__(context)
        self.loads = Loads(context)
        self.storing = Storing(context)
        self._saver = Saver(context)
        self._transactions = Transactions(context)

    # save

    async def save_changes(self, face: object) -> None:
        """Save everything that changed; *face* is what the convention `should_ignore_entity_changes` is shown."""
        context = self.context
        context.enter("save_changes")
        try:
            if context.no_tracking:
                raise InvalidOperationException("this session tracks nothing (no_tracking), so it can save nothing")
            try:
                await context.settle()
                context.reads_are_past = self._transactions.reads_are_past
                await self._saver.save(face)
            except BaseException:
                await self._transactions.end_saving(failed=True)
                raise
            await self._transactions.end_saving(failed=False)
        finally:
            context.leave()

    # transactions

    async def begin(self, isolation_level: str | None) -> None:
        """Begin a transaction, or a savepoint inside one."""
        level = check_isolation_level(isolation_level)
        await self._in_transactions("begin", lambda: self._transactions.begin(level))

    async def commit(self) -> None:
        """Commit what was begun last."""
        await self._in_transactions("commit", self._transactions.commit)

    async def rollback(self) -> None:
        """Roll back what was begun last."""
        await self._in_transactions("rollback", self._transactions.rollback)

    async def _in_transactions(self, operation: str, call: Callable[[], Awaitable[None]]) -> None:
        self.context.enter(operation)
        try:
            await call()
        finally:
            self.context.leave()

    async def end_transaction(self, depth: int, *, failed: bool) -> None:
        """End what is open from *depth* inwards; nothing where it was ended already."""
        while self.transaction_depth >= depth:
            await (self.rollback() if failed else self.commit())

    async def enter_block(self, isolation_level: str | None) -> int:
        """Begin a transaction for a block of code; return its depth."""
        await self.begin(isolation_level)
        self._transactions.enter_block()
        return self.transaction_depth

    async def leave_block(self, depth: int, *, failed: bool) -> None:
        """End what a block has begun.

        Raises:
            ConnectionLostException: The transaction was lost in the block, which went on all the same.
        """
        was_lost = self._transactions.leave_block()
        try:
            await self.end_transaction(depth, failed=failed)
        except BaseException:
            # A handler or an open stream was in the way of the commit; behind the block nobody would end it.
            await self.end_transaction(depth, failed=True)
            raise
        if was_lost and not failed:
            raise lost_in_block()

    @property
    def transaction_depth(self) -> int:
        """How many times `begin()` was called without its end."""
        return self._transactions.depth

    async def rolled_back(self) -> None:
        """Undo what the owner of the session's connection rolled back, where only they know of it.

        Raises:
            InvalidOperationException: The session is not on a connection that somebody else owns.
        """
        joined = self.context.joined
        if joined is None:
            raise InvalidOperationException(
                "rolled_back() is for sessions on a connection that somebody else owns (request_executor); "
                "this one ends its transactions itself, with commit() and rollback()"
            )
        await self._in_transactions("rolled_back", joined.rolled_back)

    @property
    def connection(self) -> Any:
        """The connection of psycopg in the session's transaction."""
        if self.context.joined is not None:
            raise InvalidOperationException(
                "the session works on a connection that you handed in: run SQL of your own on that one"
            )
        return self._guarded("connection", lambda: self._transactions.connection)

    # sessions beside this one

    def fork(self) -> SessionContext:
        """Return the state of a session beside this one, in its transaction where it has begun one.

        Raises:
            InvalidOperationException: It reads in a transaction of its isolation level, which another one cannot join.
        """
        self._transactions.check_lost()
        if self._transactions.is_reading:
            raise InvalidOperationException(
                f"edit() is a transaction of its own, and this session is in the middle of one at "
                f"{self.context.isolation_level!r}; call save_changes(), which ends it, first"
            )
        return self.context.fork(shares_transaction=self._transactions.depth > 0)

    async def dispose(self) -> None:
        """End a session that nobody knows of; no handler is told."""
        self.context.enter("close")
        self.context.journal = None  # it is that of the session beside which this one was
        await self._end()

    # connections

    def move_to(self, executor: RequestExecutor) -> None:
        """Go on with other connections to the same server, since those of before went with their event loop.

        So has a transaction that was begun; the caller sees to it that there is none.

        Args:
            executor: What carries the requests from now on, those of the database, too: no other session may use it.
        """
        context = self.context
        context.database.move_to(executor)
        context.own_executor = context.executor = executor
        self._transactions = Transactions(context)

    # the end

    async def close(self) -> None:
        """End the session; what was not saved is lost. Does nothing on a closed session."""
        context = self.context
        if context.closed:
            return
        context.enter("close")
        try:
            if context.handlers is not None:
                await context.tell("on_session_closing", SessionClosingEventArgs, context.session)
        finally:
            await self._end()

    async def _end(self) -> None:
        context = self.context
        try:
            context.closed = True
            context.unknown = False
            context.forget_everything()
            await self._transactions.close()
        finally:
            context.leave()

    async def abandon(self) -> None:
        """Close the session because of an error, also while another thread or task is inside: its call is the last."""
        try:
            await self.close()
        except SessionBusyException:
            self.context.closed = True
            self._transactions.abandon()
