"""Queries that are the user's own SQL, of an async session."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Generic, TypeVar

from typing_extensions import override

from docsession._faces._query_results import first_of, one_of
from docsession._session._context import SessionContext
from docsession._session._raw_querying import RawQuerying

T = TypeVar("T")


class AsyncRawDocumentQuery(Generic[T]):
    """SQL that finds documents, and the values in it (RavenDB: RawDocumentQuery).

    The documents are tracked as loaded ones are. Asking twice sends two requests.
    """

    __slots__ = ("_context", "_no_tracking", "_object_type", "_sql", "_values")

    def __init__(
        self,
        context: SessionContext,
        object_type: type[T] | None,
        sql: str,
        values: Mapping[str, Any],
        *,
        no_tracking: bool = False,
    ) -> None:
        self._context = context
        self._object_type = object_type
        self._sql = sql
        self._values = dict(values)
        self._no_tracking = no_tracking

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {str(self._sql)[:60]!r}>"

    def add_parameter(self, name: str, value: object) -> AsyncRawDocumentQuery[T]:
        """Return the same query with a value for `%(name)s` (RavenDB: add_parameter)."""
        values = self._values | {name: value}
        return AsyncRawDocumentQuery(self._context, self._object_type, self._sql, values, no_tracking=self._no_tracking)

    def no_tracking(self) -> AsyncRawDocumentQuery[T]:
        """Return the same query, whose documents the session does not track."""
        return AsyncRawDocumentQuery(self._context, self._object_type, self._sql, self._values, no_tracking=True)

    async def all(self) -> list[T]:
        """Return the documents, in the order of the SQL. One request.

        Raises:
            InvalidArgumentException: The SQL is wrong, lacks a column of a document, or a value for a parameter.
        """
        asking = RawQuerying(self._context)
        return await asking.all(self._object_type, self._sql, self._values, no_tracking=self._no_tracking)

    async def __aiter__(self) -> AsyncIterator[T]:
        for each in await self.all():
            yield each

    async def first(self) -> T:
        """Return the first document.

        Raises:
            NoResultException: There is none.
        """
        return first_of(await self.all(), self)

    async def first_or_none(self) -> T | None:
        """Return the first document, or None."""
        found = await self.all()
        return found[0] if found else None

    async def one(self) -> T:
        """Return the only document.

        Raises:
            NoResultException: There is none.
            MultipleResultsException: There are several.
        """
        return one_of(await self.all(), self)

    async def one_or_none(self) -> T | None:
        """Return the only document; None where there is none.

        Raises:
            MultipleResultsException: There are several.
        """
        found = await self.all()
        return one_of(found, self) if found else None

    async def single(self) -> T:
        """Return the only document (RavenDB: single); see `one`."""
        return await self.one()

    async def single_or_default(self) -> T | None:
        """Return the only document, or None (RavenDB: single_or_default); see `one_or_none`."""
        return await self.one_or_none()

    async def first_or_default(self) -> T | None:
        """Return the first document, or None (RavenDB: first_or_default)."""
        return await self.first_or_none()
