"""`with session.advanced.transaction():` of both faces."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from typing_extensions import override

from docsession._faces._run import run
from docsession._session._core import SessionCore


class SessionTransaction:
    """A block that is committed as a whole at its end, or rolled back where an error leaves it."""

    __slots__ = ("_core", "_depth", "_isolation_level")

    def __init__(self, core: SessionCore, isolation_level: str | None) -> None:
        self._core = core
        self._isolation_level = isolation_level
        self._depth = 0

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}, {'begun' if self._depth else 'not begun'}>"

    def __enter__(self) -> Self:
        self._depth = run(self._core.enter_block(self._isolation_level))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        run(self._core.leave_block(self._depth, failed=error is not None))


class AsyncSessionTransaction:
    """A block that is committed as a whole at its end, or rolled back where an error leaves it."""

    __slots__ = ("_core", "_depth", "_isolation_level")

    def __init__(self, core: SessionCore, isolation_level: str | None) -> None:
        self._core = core
        self._isolation_level = isolation_level
        self._depth = 0

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}, {'begun' if self._depth else 'not begun'}>"

    async def __aenter__(self) -> Self:
        self._depth = await self._core.enter_block(self._isolation_level)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._core.leave_block(self._depth, failed=error is not None)
