"""Lazy operations of both faces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from typing_extensions import override

from docsession._faces._run import run
from docsession._session._lazy import LazyOperation, PendingLazies, ResponseTimeInformation

T = TypeVar("T")


class Lazy(Generic[T]):
    """An answer that is asked for when it is first read, together with all others that the session waits for.

    (RavenDB: Lazy)
    """

    __slots__ = ("_answer", "_operation", "_pending")

    def __init__(
        self,
        pending: PendingLazies,
        operation: LazyOperation,
        answer: Callable[[], T],
        on_eval: Callable[[T], object] | None = None,
    ) -> None:
        self._pending = pending
        self._operation = operation
        self._answer = answer
        if on_eval is not None:
            operation.on_eval = lambda: on_eval(answer())

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}, {'asked' if self._operation.is_done else 'not asked yet'}>"

    @property
    def is_value_created(self) -> bool:
        """True once it was asked for."""
        return self._operation.is_done

    @property
    def value(self) -> T:
        """The answer; reading the first one sends the session's pending lazy operations in one request."""
        if not self._operation.is_done:
            run(self._pending.execute())
        return _answer(self._operation, self._answer)


class AsyncLazy(Generic[T]):
    """The same, awaited: `await lazy.value`."""

    __slots__ = ("_answer", "_operation", "_pending")

    def __init__(
        self,
        pending: PendingLazies,
        operation: LazyOperation,
        answer: Callable[[], T],
        on_eval: Callable[[T], object] | None = None,
    ) -> None:
        self._pending = pending
        self._operation = operation
        self._answer = answer
        if on_eval is not None:
            operation.on_eval = lambda: on_eval(answer())

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}, {'asked' if self._operation.is_done else 'not asked yet'}>"

    @property
    def is_value_created(self) -> bool:
        """True once it was asked for."""
        return self._operation.is_done

    @property
    def value(self) -> Awaitable[T]:
        """The answer, to be awaited; the first one sends the session's pending lazy operations in one request."""
        return self._get()

    async def _get(self) -> T:
        if not self._operation.is_done:
            await self._pending.execute()
        return _answer(self._operation, self._answer)


def _answer(operation: LazyOperation, answer: Callable[[], T]) -> T:
    if operation.error is not None:
        raise operation.error
    return answer()


class EagerSessionOperations:
    """What is pending, done now (RavenDB: session.advanced.eagerly)."""

    __slots__ = ("_pending",)

    def __init__(self, pending: PendingLazies) -> None:
        self._pending = pending

    def execute_all_pending_lazy_operations(self) -> ResponseTimeInformation:
        """Send all lazy operations that wait, in one request; none of them: no request."""
        return run(self._pending.execute())


class AsyncEagerSessionOperations:
    """What is pending, done now; `EagerSessionOperations`, awaited."""

    __slots__ = ("_pending",)

    def __init__(self, pending: PendingLazies) -> None:
        self._pending = pending

    async def execute_all_pending_lazy_operations(self) -> ResponseTimeInformation:
        """See `EagerSessionOperations.execute_all_pending_lazy_operations`."""
        return await self._pending.execute()
