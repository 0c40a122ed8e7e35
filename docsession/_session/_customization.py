"""Asking those who may change a query before it is asked."""

from __future__ import annotations

from docsession._query._customization import BeforeQueryEventArgs, DocumentQueryCustomization
from docsession._query._query import Query, Specification, but
from docsession._session._context import SessionContext


async def customize(context: SessionContext, asked: Specification) -> Specification:
    """Return what the handlers of `before_query` have made of a query, and then its own listeners."""
    handlers = () if context.handlers is None else context.handlers.before_query
    listeners = () if asked.listeners is None else asked.listeners.before
    if not handlers and not listeners:
        return asked
    # What is computed of the documents is the caller's; which documents, the handlers may say.
    plain = but(asked, groups=(), having=(), projection=None, distinct=False, listeners=None)
    customization = DocumentQueryCustomization(Query(asked.object_type, asked.collection, _specification=plain))
    given = BeforeQueryEventArgs(context.session, customization)
    await context.call_each("before_query", handlers, given)
    await context.call_each("before_query_executed", listeners, given)
    made = customization.query.specification
    return but(
        asked,
        conditions=made.conditions,
        parameters=made.parameters,
        nearest=made.nearest,
        orders=asked.orders if asked.groups else made.orders,
        scores=made.scores,
        skip=made.skip,
        take=made.take,
        no_tracking=made.no_tracking,
    )
