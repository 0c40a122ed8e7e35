"""Queries as those who are called before they are asked see and change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._query import Query


class DocumentQueryCustomization:
    """What a handler of `before_query` may change of a query (RavenDB: DocumentQueryCustomization).

    Args:
        query: What is asked for.
    """

    __slots__ = ("_query",)

    def __init__(self, query: Query[Any]) -> None:
        self._query = query

    @property
    def query(self) -> Query[Any]:
        """What is asked for, as a value; set it to what `where()`, `order_by()` and the like make of it."""
        return self._query

    @query.setter
    def query(self, value: Query[Any]) -> None:
        given: object = value
        if not isinstance(given, Query):
            raise InvalidArgumentTypeException(
                f"query is a Query, as args.query_customization.query.where(…) returns it, not {given!r:.80}"
            )
        asked, own = given.specification, self._query.specification
        if asked.root is not own.root or asked.projection is not None or asked.groups or asked.distinct:
            raise InvalidArgumentException(
                f"a handler of before_query may ask for less of {self._query!r:.80}, and sort it otherwise; it cannot "
                f"ask for other documents, nor for something else than documents: {given!r:.80}"
            )
        asked.parameters.check()
        if asked.listeners is not None:
            raise InvalidArgumentException(
                "a handler of before_query adds no listeners to the query that is about to be asked: add them to the "
                "query, or handlers of before_query to the session"
            )
        self._query = given

    def no_tracking(self) -> None:
        """Let the session not track what is found."""
        self._query = self._query.no_tracking()


@dataclass(frozen=True, slots=True, eq=False)
class BeforeQueryEventArgs:
    """A session is about to ask a query (RavenDB: BeforeQueryEventArgs).

    Attributes:
        session: The session.
        query_customization: The query, which may be changed.
    """

    session: Any
    query_customization: DocumentQueryCustomization = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class BeforeRawQueryEventArgs:
    """A session is about to ask SQL of the user's own (RavenDB: BeforeQueryExecutedEventArgs of a raw query).

    Attributes:
        session: The session.
        sql: The SQL, as it was given.
        values: The values in it by name, to be read.
    """

    session: Any
    sql: str
    values: Mapping[str, Any] = field(repr=False)
