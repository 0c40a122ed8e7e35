"""Queries as the handlers of `before_query` see and change them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._query import Query, Specification, but
from docsession._session._context import SessionContext


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


async def customize(context: SessionContext, asked: Specification) -> Specification:
    """Return what the handlers of `before_query` have made of a query."""
    if context.handlers is None or not context.handlers.before_query:
        return asked
    # What is computed of the documents is the caller's; which documents, the handlers may say.
    plain = but(asked, groups=(), having=(), projection=None, distinct=False)
    customization = DocumentQueryCustomization(Query(asked.object_type, asked.collection, _specification=plain))
    await context.tell("before_query", BeforeQueryEventArgs, context.session, customization)
    made = customization.query.specification
    return but(
        asked,
        conditions=made.conditions,
        nearest=made.nearest,
        orders=asked.orders if asked.groups else made.orders,
        scores=made.scores,
        skip=made.skip,
        take=made.take,
        no_tracking=made.no_tracking,
    )
