"""A transaction that tells those who watch requests of its end, and of nested ones; what it carries others tell of."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from docsession._port import Request, Row, Rows, Statement, Transaction
from docsession._session._delivery import deliver
from docsession._session._observing import Observer

if TYPE_CHECKING:
    from docsession._session._context import SessionContext


class ToldTransaction:
    """See `Transaction`."""

    __slots__ = ("_context", "_observer", "_transaction")

    def __init__(self, transaction: Transaction, context: SessionContext, observer: Observer) -> None:
        self._transaction = transaction
        self._context = context
        self._observer = observer

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

    def check_free(self) -> None:
        """See `Transaction.check_free`."""
        self._transaction.check_free()

    async def open(self) -> None:
        """See `Transaction.open`."""
        await self._transaction.open()

    async def run(self, request: Request) -> list[Rows]:
        """See `Transaction.run`."""
        return await self._transaction.run(request)

    def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """See `Transaction.stream`."""
        return self._transaction.stream(statement, size)

    async def commit(self, request: Request | None = None) -> list[Rows]:
        """See `Transaction.commit`."""
        if request is not None:
            if request.statements:
                return await self._transaction.commit(request)  # a save's, which tells of itself
            return await self._tell(request, self._transaction.commit)
        if not self.is_begun:
            return await self._transaction.commit()
        end = Request((), write=True)
        results = await self._tell(end, self._transaction.commit)
        deliver(end)
        return results

    async def rollback(self) -> None:
        """See `Transaction.rollback`; what a handler raises does not keep it from being rolled back."""
        try:
            if self.is_begun and not self.has_ended:
                await self._tell(Request(()), self._roll_back)
        finally:
            await self._transaction.rollback()

    async def savepoint(self, request: Request) -> None:
        """See `Transaction.savepoint`."""
        await self._command(request, self._transaction.savepoint)

    async def release_savepoint(self, request: Request) -> None:
        """See `Transaction.release_savepoint`."""
        await self._command(request, self._transaction.release_savepoint)

    async def rollback_to_savepoint(self, request: Request) -> None:
        """See `Transaction.rollback_to_savepoint`; what a handler raises does not keep it from being rolled back."""
        try:
            await self._command(request, self._transaction.rollback_to_savepoint)
        except BaseException as error:
            if request.sent:
                raise
            await self._transaction.rollback_to_savepoint(request)
            request.interrupted = error

    def abandon(self) -> None:
        """See `Transaction.abandon`."""
        self._transaction.abandon()

    async def _tell(self, request: Request, send: Callable[[Request], Awaitable[list[Rows]]]) -> list[Rows]:
        return await self._observer.watch(self._context.operation, request, send, None)

    async def _command(self, request: Request, command: Callable[[Request], Awaitable[None]]) -> None:
        async def send(given: Request) -> list[Rows]:
            await command(given)
            return []

        await self._tell(request, send)

    async def _roll_back(self, request: Request) -> list[Rows]:
        request.sent = 1
        await self._transaction.rollback()
        return []
