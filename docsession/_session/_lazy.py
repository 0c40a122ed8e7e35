"""Questions that wait, so that several of them go to the server in one request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING, ClassVar, TypeVar

from docsession._errors import TableDoesNotExistException
from docsession._port import Request, Rows, Statement

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
    """

    __slots__ = ("error", "is_done")

    may_lag: ClassVar[bool] = False

    def __init__(self) -> None:
        self.is_done = False
        self.error: Exception | None = None

    async def statements(self) -> list[Statement] | None:
        """Return what is to be asked; None where the session knows the answer already."""
        raise NotImplementedError

    def take(self, answers: Sequence[Rows]) -> None:
        """Make what was asked for of the rows of each statement."""
        raise NotImplementedError


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
        """Ask all of them in one request, counted as one; what one answer leads to is no other one's error."""
        context = self._context
        context.enter("execute_all_pending_lazy_operations")
        try:
            await context.settle()
            began = perf_counter()
            asked = [(operation, await operation.statements()) for operation in self._pending]
            statements = [statement for _, own in asked for statement in own or ()]
            is_asking = any(own is not None for _, own in asked)
            if is_asking:
                context.requests.count(context.operation)
            try:
                may_lag = all(operation.may_lag for operation, own in asked if own)
                answers = await context.run(Request(statements, may_lag=may_lag)) if statements else []
            except TableDoesNotExistException:
                context.database.forget()
                raise
            del self._pending[: len(asked)]
            first = 0
            for operation, own in asked:
                try:
                    operation.take(answers[first : first + len(own or ())])
                except Exception as error:
                    operation.error = error
                operation.is_done = True
                first += len(own or ())
            return ResponseTimeInformation(timedelta(seconds=perf_counter() - began if is_asking else 0))
        finally:
            context.leave()
