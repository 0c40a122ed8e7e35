"""What a store sends beside the requests of sessions: ids, tables, the catalogue, maintenance; and who hears of it.

What goes over the connection apart from the pool may be done twice. A number that was taken and never came is a gap,
and what exists is not made again. So a lost answer is no question that a session would have to settle.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from docsession._errors import ConnectionLostException, DocSessionError, UnknownOutcomeException
from docsession._port import Request, RequestExecutor, Rows
from docsession._session._delivery import deliver_cancellation
from docsession._session._observing import Observer


def nobody() -> None:
    """Return who hears of requests where nobody does."""


class Beside:
    """Sends requests that no session has asked for by itself.

    Args:
        executor: What carries them.
        observe: Returns who hears of them at that time; None: nobody.
    """

    __slots__ = ("_executor", "_observe")

    def __init__(self, executor: RequestExecutor, observe: Callable[[], Observer | None]) -> None:
        self._executor = executor
        self._observe = observe

    def over(self, executor: RequestExecutor) -> Beside:
        """Return the same with other connections."""
        return Beside(executor, self._observe)

    def move_to(self, executor: RequestExecutor) -> None:
        """Go on with other connections to the same server."""
        self._executor = executor

    async def run(self, operation: str, request: Request) -> list[Rows]:
        """Send *request*, for which *operation* is a name, on a connection of the pool."""
        try:
            results = await self._tell(operation, request, self._executor.run)
        except DocSessionError as error:
            deliver_cancellation(request, error)
            raise
        deliver_cancellation(request, None)
        return results

    async def run_apart(
        self,
        operation: str,
        request: Request,
        make: Callable[[], Request | None] | None = None,
        *,
        again: bool = True,
        answers: tuple[type[DocSessionError], ...] = (),
    ) -> list[Rows]:
        """Send *request* on the connection apart from the pool; see `RequestExecutor.run_apart`.

        Args:
            operation: A name for it.
            request: The request.
            make: Called when the connection is free; it returns the request, or None where nothing is left to be done.
            again: True: send it once more where the connection broke.
            answers: Errors that are answers, as where nobody has made a table yet: they are raised, but no failure to
                those who watch.

        Raises:
            ConnectionLostException: It broke again.
        """

        async def send(given: Request) -> list[Rows]:
            chosen = make or (lambda: given)
            return await (_run_again(self._executor, chosen) if again else self._executor.run_apart(chosen))

        return await self._tell(operation, request, send, answers)

    async def _tell(
        self,
        operation: str,
        request: Request,
        send: Callable[[Request], Awaitable[list[Rows]]],
        answers: tuple[type[DocSessionError], ...] = (),
    ) -> list[Rows]:
        observer = self._observe()
        if observer is None:
            return await send(request)
        refusals: list[DocSessionError] = []

        async def ask(given: Request) -> list[Rows]:
            try:
                return await send(given)
            except answers as refusal:
                refusals.append(refusal)
                return []

        results = await observer.watch(operation, request, ask, None, by_store=True)
        for refusal in refusals:
            raise refusal
        if request.interrupted is not None:
            raise request.interrupted
        return results


async def _run_again(executor: RequestExecutor, make: Callable[[], Request | None]) -> list[Rows]:
    try:
        return await executor.run_apart(make)
    except ConnectionLostException:
        pass
    try:
        return await executor.run_apart(make)
    except UnknownOutcomeException as error:
        raise ConnectionLostException(
            "the connection to PostgreSQL broke, twice in a row, while a table was made or a number taken: repeat it"
        ) from error
