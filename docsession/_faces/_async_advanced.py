"""`session.advanced` of the async session."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from docsession._faces._advanced_common import AdvancedSessionCommon
from docsession._session._core import ConditionalLoadResult

T = TypeVar("T")


class AsyncAdvancedSession(AdvancedSessionCommon):
    """What is needed less often (RavenDB: session.advanced)."""

    __slots__ = ()

    async def exists(self, key: str) -> bool:
        """Return True where the document exists; it is not loaded, and no request is counted."""
        return await self._core.exists(key)

    async def refresh(self, entity: T) -> T:
        """Bring *entity* to the state in the database, in place; see `AdvancedSession.refresh`."""
        return await self._core.refresh(entity)

    @overload
    async def conditional_load(
        self, key: str, change_vector: str | None, object_type: type[T]
    ) -> ConditionalLoadResult[T]: ...
    @overload
    async def conditional_load(
        self, key: str, change_vector: str | None, object_type: None = None
    ) -> ConditionalLoadResult[Any]: ...
    async def conditional_load(
        self, key: str, change_vector: str | None, object_type: type[Any] | None = None
    ) -> ConditionalLoadResult[Any]:
        """Load a document unless it still has *change_vector*; see `AdvancedSession.conditional_load`."""
        return await self._core.conditional_load(key, change_vector, object_type)

    @overload
    async def load_starting_with(
        self,
        id_prefix: str,
        object_type: type[T],
        matches: str | None = None,
        start: int | None = None,
        page_size: int | None = None,
        exclude: str | None = None,
        start_after: str | None = None,
    ) -> list[T]: ...
    @overload
    async def load_starting_with(
        self,
        id_prefix: str,
        object_type: None = None,
        matches: str | None = None,
        start: int | None = None,
        page_size: int | None = None,
        exclude: str | None = None,
        start_after: str | None = None,
    ) -> list[Any]: ...
    async def load_starting_with(
        self,
        id_prefix: str,
        object_type: type[Any] | None = None,
        matches: str | None = None,
        start: int | None = None,
        page_size: int | None = None,
        exclude: str | None = None,
        start_after: str | None = None,
    ) -> list[Any]:
        """Load the documents whose id begins with *id_prefix*; see `AdvancedSession.load_starting_with`."""
        return await self._core.load_starting_with(
            id_prefix, object_type, matches, start, page_size, exclude, start_after
        )
