"""What an application's own tests may claim of its queries."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, overload

from docsession._errors import InvalidArgumentTypeException
from docsession._faces._async_document_query import AsyncDocumentQuery
from docsession._faces._document_query import DocumentQuery
from docsession._faces._run import run
from docsession._session._query_plans import QueryPlans


@overload
def assert_uses_index(query: DocumentQuery[Any], index: str | None = None) -> None: ...
@overload
def assert_uses_index(query: AsyncDocumentQuery[Any], index: str | None = None) -> Awaitable[None]: ...
def assert_uses_index(
    query: DocumentQuery[Any] | AsyncDocumentQuery[Any], index: str | None = None
) -> Awaitable[None] | None:
    """Fail unless PostgreSQL finds the documents of a query by an index. One request; for tests.

    It asks for the plan, with reading the whole table made unattractive, because the tables of tests are small. A query
    with conditions has to look some of them up in an index (`Index Cond`); of one that only sorts the index
    has to have the order. That of an async session is awaited.

    Args:
        query: What is asked for.
        index: The name of the index that is to be used; None: any.

    Raises:
        AssertionError: None is used, or another one; it shows the plan.
    """
    given: object = query
    if not isinstance(given, (DocumentQuery, AsyncDocumentQuery)):
        raise InvalidArgumentTypeException(
            f"assert_uses_index() takes a query of a session, as in session.query(Order).where(…), not {given!r:.60}"
        )
    check = QueryPlans(given._context).check_index_use(given._specification, index)
    return check if isinstance(given, AsyncDocumentQuery) else run(check)
