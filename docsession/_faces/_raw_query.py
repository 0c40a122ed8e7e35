"""Queries that are the user's own SQL, of a blocking session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Generic, Self, TypeVar

from typing_extensions import override

from docsession._faces._query_results import first_of, one_of
from docsession._faces._run import run
from docsession._query._customization import BeforeRawQueryEventArgs
from docsession._query._listening import Listeners, Listening
from docsession._query._query import check_count
from docsession._query._raw_sql import RawQuery
from docsession._session._context import SessionContext
from docsession._session._raw_querying import RawQuerying

T = TypeVar("T")


class RawDocumentQuery(Listening[BeforeRawQueryEventArgs], Generic[T]):
    """SQL that finds documents, and the values in it (RavenDB: RawDocumentQuery).

    The documents are tracked as loaded ones are. Asking twice sends two requests.
    """

    __slots__ = ("_asked", "_context")

    _awaits = False

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

    def add_parameter(self, name: str, value: object) -> RawDocumentQuery[T]:
        """Return the same query with a value for `%(name)s` (RavenDB: add_parameter)."""
        return RawDocumentQuery(self._context, replace(self._asked, values={**self._asked.values, name: value}))

    def no_tracking(self) -> RawDocumentQuery[T]:
        """Return the same query, whose documents the session does not track."""
        return RawDocumentQuery(self._context, replace(self._asked, no_tracking=True))

    def no_caching(self) -> RawDocumentQuery[T]:
        """Return the same query: what a query finds is never taken from a cache."""
        return self

    def wait_for_non_stale_results(self, wait_timeout: timedelta | None = None) -> RawDocumentQuery[T]:
        """Return the same query: PostgreSQL's indexes are never stale."""
        del wait_timeout
        return self

    def skip(self, count: int) -> RawDocumentQuery[T]:
        """Return the same query without the first *count* of the documents that the SQL finds."""
        return RawDocumentQuery(self._context, replace(self._asked, skip=check_count("skip", count)))

    def take(self, count: int) -> RawDocumentQuery[T]:
        """Return the same query, which returns *count* documents at most."""
        return RawDocumentQuery(self._context, replace(self._asked, take=check_count("take", count)))

    def all(self) -> list[T]:
        """Return the documents, in the order of the SQL. One request.

        Raises:
            InvalidArgumentException: The SQL is wrong, lacks a column of a document, or a value for a parameter.
        """
        return run(RawQuerying(self._context).all(self._asked))

    def count(self) -> int:
        """Return how many documents the SQL finds, whatever `skip` and `take` say. One request."""
        return run(RawQuerying(self._context).count(self._asked))

    def any(self) -> bool:
        """Return True where the SQL finds a document. One request."""
        return run(RawQuerying(self._context).any(self._asked))

    def __iter__(self) -> Iterator[T]:
        return iter(self.all())

    def first(self) -> T:
        """Return the first document.

        Raises:
            NoResultException: There is none.
        """
        return first_of(self._few(1), self)

    def first_or_none(self) -> T | None:
        """Return the first document, or None."""
        found = self._few(1)
        return found[0] if found else None

    def one(self) -> T:
        """Return the only document.

        Raises:
            NoResultException: There is none.
            MultipleResultsException: There are several.
        """
        return one_of(self._few(2), self)

    def one_or_none(self) -> T | None:
        """Return the only document; None where there is none.

        Raises:
            MultipleResultsException: There are several.
        """
        found = self._few(2)
        return one_of(found, self) if found else None

    def single(self) -> T:
        """Return the only document (RavenDB: single); see `one`."""
        return self.one()

    def single_or_default(self) -> T | None:
        """Return the only document, or None (RavenDB: single_or_default); see `one_or_none`."""
        return self.one_or_none()

    def first_or_default(self) -> T | None:
        """Return the first document, or None (RavenDB: first_or_default)."""
        return self.first_or_none()

    def _few(self, most: int) -> list[T]:
        take = self._asked.take
        return self.take(most if take is None else min(most, take)).all()
