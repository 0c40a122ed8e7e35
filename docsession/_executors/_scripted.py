"""An executor that answers from a script and keeps what it was asked, for tests without a database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from docsession._errors import StoreClosedException
from docsession._port import Request, Row, Rows, Statement

Answer: TypeAlias = Sequence[Rows] | BaseException | Callable[[Request], Sequence[Rows]]
"""The rows of each statement, an error to raise, or what makes the rows from the request."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it was given.

    Attributes:
        statements: (SQL, parameters) of each statement.
        transaction, write: As in `Request`.
        apart: True where it went to the connection that is kept apart.
        settings: As in `Request`.
        within: True where it is part of a longer transaction.
        verb: What else was done to that transaction: "commit", with the statements in front of it,
            "rollback", "savepoint", "release" or "rollback to"; no answer is asked for without statements.
    """

    statements: tuple[tuple[str, tuple[object, ...]], ...]
    transaction: bool
    write: bool
    apart: bool
    settings: tuple[tuple[str, str], ...] = ()
    within: bool = False
    verb: str = ""

    @property
    def sql(self) -> list[str]:
        """The SQL of each statement."""
        return [sql for sql, _ in self.statements]

    @property
    def params(self) -> list[tuple[object, ...]]:
        """The parameters of each statement."""
        return [params for _, params in self.statements]


class ScriptedExecutor:
    """Answers requests in the order of a script, and keeps them.

    Attributes:
        requests: What it was asked, in order.

    Args:
        answers: One for each request of `run`, `run_apart` and `stream`, in order. A request beyond
            the last one is an `AssertionError` that shows it.
        otherwise: Gives the rows of a statement where the script has ended; None: nothing does.
        suspends: True gives way to the event loop before every answer, as an async executor does.
    """

    def __init__(
        self,
        answers: Iterable[Answer] = (),
        *,
        otherwise: Callable[[Statement], Rows] | None = None,
        suspends: bool = False,
    ) -> None:
        self.requests: list[Recorded] = []
        self._answers = list(answers)
        self._otherwise = otherwise
        self._suspends = suspends
        self._is_closed = False

    def add(self, *answers: Answer) -> None:
        """Make the script longer."""
        self._answers += answers

    def assert_all_answered(self) -> None:
        """Fail where answers are left that nobody asked for."""
        if self._answers:
            raise AssertionError(f"{len(self._answers)} answers of the script were not asked for: {self._answers}")

    async def run(self, request: Request) -> list[Rows]:
        """See `RequestExecutor.run`."""
        return await self._answer(request, apart=False)

    async def run_apart(self, make: Callable[[], Request | None]) -> list[Rows]:
        """See `RequestExecutor.run_apart`."""
        request = make()
        return [] if request is None else await self._answer(request, apart=True)

    async def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """See `RequestExecutor.stream`; *size* does not matter."""
        del size
        for rows in await self._answer(Request([statement]), apart=False):
            for row in rows:
                yield row

    def begin(self, isolation_level: str | None = None) -> ScriptedTransaction:
        """See `RequestExecutor.begin`; *isolation_level* does not matter."""
        del isolation_level
        return ScriptedTransaction(self)

    async def sleep(self, seconds: float) -> None:
        """See `SleepingExecutor.sleep`; no time goes by."""
        del seconds

    async def close(self) -> None:
        """Refuse whatever comes afterwards; idempotent."""
        self._is_closed = True

    async def _answer(self, request: Request, *, apart: bool, within: bool = False, verb: str = "") -> list[Rows]:
        if self._is_closed:
            raise StoreClosedException("the store is closed")
        statements = tuple((statement.sql.decode(), tuple(statement.params)) for statement in request.statements)
        settings = tuple(request.settings)
        recorded = Recorded(statements, request.transaction, request.write, apart, settings, within, verb)
        self.requests.append(recorded)
        if verb and not statements:
            return []
        if self._suspends:
            await asyncio.sleep(0)
        request.sent += 1
        if self._answers:
            answer = self._answers.pop(0)
        elif self._otherwise is not None:
            answer = [self._otherwise(statement) for statement in request.statements]
        else:
            raise AssertionError(f"the script has no answer left for {recorded}")
        if isinstance(answer, BaseException):
            raise answer
        rows = list(answer(request) if callable(answer) else answer)
        if len(rows) != len(request.statements):
            raise AssertionError(f"the script answers {len(rows)} statements, but there are more or less in {recorded}")
        return rows


class ScriptedTransaction:
    """A transaction of a `ScriptedExecutor`, which keeps and answers its requests."""

    def __init__(self, executor: ScriptedExecutor) -> None:
        self._executor = executor
        self._is_begun = False

    @property
    def is_begun(self) -> bool:
        """See `Transaction.is_begun`."""
        return self._is_begun

    @property
    def has_ended(self) -> bool:
        """See `Transaction.has_ended`; nobody else can end it."""
        return False

    @property
    def connection(self) -> None:
        """There is none."""

    def check_free(self) -> None:
        """See `Transaction.check_free`; its streams are complete at once."""

    async def open(self) -> None:
        """See `Transaction.open`."""

    async def run(self, request: Request) -> list[Rows]:
        """See `Transaction.run`."""
        self._is_begun = True
        return await self._executor._answer(request, apart=False, within=True)

    async def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """See `Transaction.stream`; *size* does not matter."""
        del size
        for rows in await self.run(Request([statement])):
            for row in rows:
                yield row

    async def commit(self, request: Request | None = None) -> list[Rows]:
        """See `Transaction.commit`."""
        was_begun, self._is_begun = self._is_begun, False
        return await self._tell("commit", request) if was_begun or request is not None else []

    async def rollback(self) -> None:
        """See `Transaction.rollback`."""
        was_begun, self._is_begun = self._is_begun, False
        if was_begun:
            await self._tell("rollback")

    async def savepoint(self, request: Request) -> None:
        """See `Transaction.savepoint`."""
        del request
        self._is_begun = True
        await self._tell("savepoint")

    async def release_savepoint(self, request: Request) -> None:
        """See `Transaction.release_savepoint`."""
        del request
        await self._tell("release")

    async def rollback_to_savepoint(self, request: Request) -> None:
        """See `Transaction.rollback_to_savepoint`."""
        del request
        await self._tell("rollback to")

    def abandon(self) -> None:
        """See `Transaction.abandon`."""
        self._is_begun = False

    async def _tell(self, verb: str, request: Request | None = None) -> list[Rows]:
        return await self._executor._answer(request or Request(()), apart=False, within=True, verb=verb)
