"""Loads and queries that wait, to be asked together, of a blocking session."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar, overload

from typing_extensions import override

from docsession._faces._document_query import DocumentQuery
from docsession._faces._lazy import Lazy
from docsession._faces._run import run
from docsession._session._context import SessionContext
from docsession._session._lazy_reading import (
    lazy_count,
    lazy_documents,
    lazy_load,
    lazy_page,
    lazy_starting_with,
)
from docsession._session._query_values import Page

T = TypeVar("T")

Keys: TypeAlias = list[str] | tuple[str, ...] | AbstractSet[str]
"""Ids; not any iterable, so that a type checker tells one id from several."""


class LazySessionOperations:
    """Loads that are asked for later (RavenDB: session.advanced.lazily).

    All that wait go to the server in one request, counted as one, when the value of one of them is read.
    """

    __slots__ = ("_context",)

    def __init__(self, context: SessionContext) -> None:
        self._context = context

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}>"

    @overload
    def load(self, ids: str, object_type: type[T]) -> Lazy[T | None]: ...
    @overload
    def load(self, ids: str, object_type: None = None) -> Lazy[Any]: ...
    @overload
    def load(self, ids: Keys, object_type: type[T]) -> Lazy[dict[str, T | None]]: ...
    @overload
    def load(self, ids: Keys, object_type: None = None) -> Lazy[dict[str, Any]]: ...
    def load(self, ids: str | Keys, object_type: type[Any] | None = None) -> Lazy[Any]:
        """Return what will be the document with an id, or a dict of those with several.

        Args:
            ids: An id, or ids.
            object_type: The class of the documents; None gives dicts.
        """
        context = self._context
        if isinstance(ids, str):
            one = context.lazies.add(lazy_load(context, [ids], object_type))
            return Lazy(context.lazies, one, lambda: one.entity(ids))
        many = context.lazies.add(lazy_load(context, ids, object_type))
        return Lazy(context.lazies, many, many.entities)

    @overload
    def load_starting_with(
        self,
        id_prefix: str,
        object_type: type[T],
        matches: str | None = None,
        start: int = 0,
        page_size: int | None = 25,
        exclude: str | None = None,
        start_after: str | None = None,
    ) -> Lazy[dict[str, T]]: ...
    @overload
    def load_starting_with(
        self,
        id_prefix: str,
        object_type: None = None,
        matches: str | None = None,
        start: int = 0,
        page_size: int | None = 25,
        exclude: str | None = None,
        start_after: str | None = None,
    ) -> Lazy[dict[str, Any]]: ...
    def load_starting_with(
        self,
        id_prefix: str,
        object_type: type[Any] | None = None,
        matches: str | None = None,
        start: int = 0,
        page_size: int | None = 25,
        exclude: str | None = None,
        start_after: str | None = None,
    ) -> Lazy[dict[str, Any]]:
        """Return what will be the documents whose ids begin with *id_prefix*, by id; 25 at most unless told otherwise.

        Args:
            id_prefix: As in `"companies/"`.
            object_type: The class of the documents; None gives dicts.
            matches: Wildcards for the rest of the id.
            start: How many documents to leave out first.
            page_size: How many to return at most; None returns all.
            exclude: Wildcards for those to leave out.
            start_after: The last id of the page before.
        """
        context = self._context
        asked = lazy_starting_with(context, id_prefix, object_type, matches, start, page_size, exclude, start_after)
        operation = context.lazies.add(asked)
        return Lazy(context.lazies, operation, lambda: operation.found)


class Batch(LazySessionOperations):
    """Several loads and queries in one request: `with session.batch() as batch:`, sent at its end."""

    __slots__ = ()

    def all(self, query: DocumentQuery[T]) -> Lazy[list[T]]:
        """Return what will be the documents of a query."""
        operation = self._context.lazies.add(lazy_documents(self._context, query.specification))
        return Lazy(self._context.lazies, operation, lambda: operation.found)

    def count(self, query: DocumentQuery[Any]) -> Lazy[int]:
        """Return what will be the number of documents of a query, whatever `skip` and `take` say."""
        operation = self._context.lazies.add(lazy_count(self._context, query.specification))
        return Lazy(self._context.lazies, operation, lambda: operation.found)

    def page(self, query: DocumentQuery[T]) -> Lazy[Page[T]]:
        """Return what will be the page of a query with `skip` and `take`, with the total."""
        operation = self._context.lazies.add(lazy_page(self._context, query.specification))
        return Lazy(self._context.lazies, operation, lambda: operation.found)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            run(self._context.lazies.execute())
