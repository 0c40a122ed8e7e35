"""Queries that are the user's own SQL, of an async session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Generic, Self, TypeVar

from typing_extensions import override

from docsession._faces._query_results import first_of, one_of
from docsession._query._customization import BeforeRawQueryEventArgs
from docsession._query._listening import Listeners, Listening
from docsession._query._query import check_count
from docsession._query._raw_sql import RawQuery
from docsession._session._context import SessionContext
from docsession._session._raw_querying import RawQuerying

T = TypeVar("T")


class AsyncRawDocumentQuery(Listening[BeforeRawQueryEventArgs], Generic[T]):
    """SQL that finds documents, and the values in it (RavenDB: RawDocumentQuery).

    The documents are tracked as loaded ones are. Asking twice sends two requests.
    """

    __slots__ = ("_asked", "_context")

    def __init__(self, context: SessionContext, asked: RawQuery) -> None:
        self._context = context
        self._asked = asked

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {str(self._asked.sql)[:60]!r}>"

    @property
    @override
    def _listeners(self) -> Listeners | None:
        return self._asked.listeners

    @override
    def _with_listeners(self, listeners: Listeners | None) -> Self:
        return type(self)(self._context, replace(self._asked, listeners=listeners))

    def add_parameter(self, name: str, value: object) -> AsyncRawDocumentQuery[T]:
        """Return the same query with a value for `%(name)s` (RavenDB: add_parameter)."""
        return AsyncRawDocumentQuery(self._context, replace(self._asked, values={**self._asked.values, name: value}))

    def no_tracking(self) -> AsyncRawDocumentQuery[T]:
        """Return the same query, whose documents the session does not track."""
        return AsyncRawDocumentQuery(self._context, replace(self._asked, no_tracking=True))

    def no_caching(self) -> AsyncRawDocumentQuery[T]:
        """Return the same query: what a query finds is never taken from a cache."""
        return self

    def wait_for_non_stale_results(self, wait_timeout: timedelta | None = None) -> AsyncRawDocumentQuery[T]:
        """Return the same query: PostgreSQL's indexes are never stale."""
        del wait_timeout
        return self

    def skip(self, count: int) -> AsyncRawDocumentQuery[T]:
        """Return the same query without the first *count* of the documents that the SQL finds."""
        return AsyncRawDocumentQuery(self._context, replace(self._asked, skip=check_count("skip", count)))

    def take(self, count: int) -> AsyncRawDocumentQuery[T]:
        """Return the same query, which returns *count* documents at most."""
        return AsyncRawDocumentQuery(self._context, replace(self._asked, take=check_count("take", count)))

    async def all(self) -> list[T]:
        """Return the documents, in the order of the SQL. One request.

        Raises:
            InvalidArgumentException: The SQL is wrong, lacks a column of a document, or a value for a parameter.
        """
        return await RawQuerying(self._context).all(self._asked)

    async def count(self) -> int:
        """Return how many documents the SQL finds, whatever `skip` and `take` say. One request."""
        return await RawQuerying(self._context).count(self._asked)

    async def any(self) -> bool:
        """Return True where the SQL finds a document. One request."""
        return await RawQuerying(self._context).any(self._asked)

    async def __aiter__(self) -> AsyncIterator[T]:
        for each in await self.all():
            yield each

    async def first(self) -> T:
        """Return the first document.

        Raises:
            NoResultException: There is none.
        """
        return first_of(await self._few(1), self)

    async def first_or_none(self) -> T | None:
        """Return the first document, or None."""
        found = await self._few(1)
        return found[0] if found else None

    async def one(self) -> T:
        """Return the only document.

        Raises:
            NoResultException: There is none.
            MultipleResultsException: There are several.
        """
        return one_of(await self._few(2), self)

    async def one_or_none(self) -> T | None:
        """Return the only document; None where there is none.

        Raises:
            MultipleResultsException: There are several.
        """
        found = await self._few(2)
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

    async def _few(self, most: int) -> list[T]:
        take = self._asked.take
        return await self.take(most if take is None else min(most, take)).all()
