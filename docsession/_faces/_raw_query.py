"""Queries that are the user's own SQL, of a blocking session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from typing_extensions import override

from docsession._faces._query_results import first_of, one_of
from docsession._faces._run import run
from docsession._session._context import SessionContext
from docsession._session._raw_querying import RawQuerying

T = TypeVar("T")


class RawDocumentQuery(Generic[T]):
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

    def add_parameter(self, name: str, value: object) -> RawDocumentQuery[T]:
        """Return the same query with a value for `%(name)s` (RavenDB: add_parameter)."""
        values = self._values | {name: value}
        return RawDocumentQuery(self._context, self._object_type, self._sql, values, no_tracking=self._no_tracking)

    def no_tracking(self) -> RawDocumentQuery[T]:
        """Return the same query, whose documents the session does not track."""
        return RawDocumentQuery(self._context, self._object_type, self._sql, self._values, no_tracking=True)

    def all(self) -> list[T]:
        """Return the documents, in the order of the SQL. One request.

        Raises:
            InvalidArgumentException: The SQL is wrong, lacks a column of a document, or a value for a parameter.
        """
        asking = RawQuerying(self._context)
        return run(asking.all(self._object_type, self._sql, self._values, no_tracking=self._no_tracking))

    def __iter__(self) -> Iterator[T]:
        return iter(self.all())

    def first(self) -> T:
        """Return the first document.

        Raises:
            NoResultException: There is none.
        """
        return first_of(self.all(), self)

    def first_or_none(self) -> T | None:
        """Return the first document, or None."""
        found = self.all()
        return found[0] if found else None

    def one(self) -> T:
        """Return the only document.

        Raises:
            NoResultException: There is none.
            MultipleResultsException: There are several.
        """
        return one_of(self.all(), self)

    def one_or_none(self) -> T | None:
        """Return the only document; None where there is none.

        Raises:
            MultipleResultsException: There are several.
        """
        found = self.all()
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
