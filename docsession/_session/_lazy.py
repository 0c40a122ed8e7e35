"""Questions that wait, so that several of them go to the server in one request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, ClassVar, TypeVar

from docsession._errors import DocSessionError, RavenException, TableDoesNotExistException
from docsession._port import Request, Rows, Statement, settings_in
from docsession._session._refused_by_query import explained

if TYPE_CHECKING:
    from docsession._session._context import SessionContext


@dataclass(frozen=True, slots=True)
class ResponseTimeInformation:
    """How long lazy operations took (RavenDB: ResponseTimeInformation).

    Attributes:
        total_client_duration: From sending the request to the last answer; zero where none was needed.
    """

    total_client_duration: timedelta


class LazyOperation:
    """One question.

    Attributes:
        may_lag: True where a standby may answer; see `Request`.
        is_done: True once it was asked, and answered or refused.
        error: What its answer led to, where that is no answer.
        on_eval: What is called with nothing once it has an answer.
    """

    __slots__ = ("error", "is_done", "on_eval")

    may_lag: ClassVar[bool] = False

    def __init__(self) -> None:
        self.is_done = False
        self.error: Exception | None = None
        self.on_eval: Callable[[], object] | None = None

    async def prepare(self) -> None:
        """Get ready to be asked; once, where `statements` may be called again."""

    async def statements(self) -> list[Statement] | None:
        """Return what is to be asked; None where the session knows the answer already."""
        raise NotImplementedError

    async def take(self, answers: Sequence[Rows]) -> None:
        """Make what was asked for of the rows of each statement."""
        raise NotImplementedError

    async def tell(self) -> None:
        """Tell those who watch that it has its answer; the session can be used again."""


L = TypeVar("L", bound=LazyOperation)


class PendingLazies:
    """The questions of one session that wait, in the order in which they came."""

    __slots__ = ("_context", "_pending")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._pending: list[LazyOperation] = []

    def add(self, operation: L) -> L:
        """Have *operation* wait."""
        self._pending.append(operation)
        return operation

    def clear(self) -> None:
        """Forget those that wait."""
        self._pending.clear()

    async def execute(self) -> ResponseTimeInformation:
        """Ask all of them in one request, counted as one; what one answer leads to is no other one's error.

        Where the server refuses the request, none of them waits any longer, and each has its error.
        """
        context = self._context
        context.enter("execute_all_pending_lazy_operations")
        try:
            await context.settle()
            began, counted = perf_counter(), context.requests.number
            waiting = list(self._pending)
            for operation in waiting:
                await _attempt(operation, operation.prepare())
            answers = await self._send(waiting, counted)
            for operation, own in zip(waiting, answers, strict=True):
                if operation.error is None:
                    await _attempt(operation, operation.take(own))
                operation.is_done = True
            self.clear()
            is_asking = context.requests.number > counted
            took = timedelta(seconds=perf_counter() - began if is_asking else 0)
        finally:
            context.leave()
        for operation in waiting:
            if operation.error is None:
                await _attempt(operation, operation.tell())
            if operation.on_eval is not None and operation.error is None:
                operation.on_eval()
        return ResponseTimeInformation(took)

    async def _send(self, waiting: Sequence[LazyOperation], counted: int) -> list[list[Rows]]:
        """Return the answers of each, with what was counted before."""
        try:
            return await self._context.database.up_to_date(lambda: self._ask(waiting, counted))
        except RavenException as error:
            if error.sqlstate is None or error.retryable:
                raise
            if isinstance(error, TableDoesNotExistException):
                self._context.database.forget()
            wrong = explained(error)
            for operation in waiting:
                operation.error, operation.is_done = wrong or error, True
            self.clear()
            if wrong is None:
                raise
            raise wrong from error

    async def _ask(self, waiting: Sequence[LazyOperation], counted: int) -> list[list[Rows]]:
        context = self._context
        asked: list[Sequence[Statement]] = []
        is_asking = False
        for operation in waiting:
            own: list[Statement] | None = None
            if operation.error is None:
                try:
                    own = await operation.statements()
                except RavenException:
                    raise
                except DocSessionError as error:
                    operation.error = error
            is_asking = is_asking or own is not None
            asked.append(own or ())
        if is_asking and context.requests.number == counted:
            context.requests.count(context.operation)
        may_lag = all(operation.may_lag for operation, own in zip(waiting, asked, strict=True) if own)
        statements = [statement for own in asked for statement in own]
        request = Request(statements, may_lag=may_lag, settings=settings_in(statements))
        answers = iter(await context.run(request) if statements else [])
        return [list(islice(answers, len(own))) for own in asked]


async def _attempt(operation: LazyOperation, step: Awaitable[None]) -> None:
    """Await a step of one operation; where it fails, that is the operation's answer."""
    try:
        await step
    except Exception as error:
        operation.error = error
