"""Loads and queries that wait, to be asked together, of a blocking session."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar, overload

from typing_extensions import override

from docsession._documents._paths import PathLike
from docsession._faces._document_query import DocumentQuery
from docsession._faces._includes import IncludeBuilder
from docsession._faces._lazy import Lazy
from docsession._faces._run import run
from docsession._session._context import SessionContext
from docsession._session._lazy import LazyOperation
from docsession._session._lazy_loads import lazy_conditional_load, lazy_load, lazy_starting_with
from docsession._session._lazy_queries import lazy_count, lazy_documents, lazy_page
from docsession._session._loads import ConditionalLoadResult
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
    def load(
        self, ids: str, object_type: type[T], on_eval: Callable[[T | None], object] | None = None
    ) -> Lazy[T | None]: ...
    @overload
    def load(self, ids: str, object_type: None = None, on_eval: Callable[[Any], object] | None = None) -> Lazy[Any]: ...
    @overload
    def load(
        self, ids: Keys, object_type: type[T], on_eval: Callable[[dict[str, T | None]], object] | None = None
    ) -> Lazy[dict[str, T | None]]: ...
    @overload
    def load(
        self, ids: Keys, object_type: None = None, on_eval: Callable[[dict[str, Any]], object] | None = None
    ) -> Lazy[dict[str, Any]]: ...
    def load(
        self, ids: str | Keys, object_type: type[Any] | None = None, on_eval: Callable[[Any], object] | None = None
    ) -> Lazy[Any]:
        """Return what will be the document with an id, or a dict of those with several.

        Args:
            ids: An id, or ids.
            object_type: The class of the documents; None gives dicts.
            on_eval: Called with the answer once it is there; a plain function on both faces.
        """
        if isinstance(ids, str):
            one = lazy_load(self._context, [ids], object_type)
            return self._wait(one, lambda: one.found.get(ids), on_eval)
        many = lazy_load(self._context, ids, object_type)
        return self._wait(many, lambda: many.found, on_eval)

    def include(self, path: PathLike, object_type: type | None = None) -> LazyLoaderWithInclude:
        """Bring along the documents whose ids stand at *path*, with those of the following `load`.

        Args:
            path: As in `IncludeBuilder.include_documents`.
            object_type: The class of those documents.
        """
        return LazyLoaderWithInclude(self._context).include(path, object_type)

    @overload
    def conditional_load(
        self, key: str, change_vector: str | None, object_type: type[T]
    ) -> Lazy[ConditionalLoadResult[T]]: ...
    @overload
    def conditional_load(
        self, key: str, change_vector: str | None, object_type: None = None
    ) -> Lazy[ConditionalLoadResult[Any]]: ...
    def conditional_load(
        self, key: str, change_vector: str | None, object_type: type[Any] | None = None
    ) -> Lazy[ConditionalLoadResult[Any]]:
        """Return what will be a document, unless it has *change_vector*; see `AdvancedSession.conditional_load`.

        Args:
            key: The id.
            change_vector: The one that is known.
            object_type: The class of the document; None gives a dict.

        Raises:
            InvalidArgumentException: There is no change vector.
        """
        one = lazy_conditional_load(self._context, key, change_vector, object_type)
        return self._wait(one, lambda: one.found)

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
        return self._wait(asked, lambda: asked.found)

    def _wait(
        self, operation: LazyOperation, answer: Callable[[], Any], on_eval: Callable[[Any], object] | None = None
    ) -> Lazy[Any]:
        return Lazy(self._context.lazies, self._context.lazies.add(operation), answer, on_eval)


class LazyLoaderWithInclude:
    """A load that is asked for later, and brings along what the documents refer to.

    (RavenDB: LazyMultiLoaderWithInclude)
    """

    __slots__ = ("_builder", "_context")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._builder = IncludeBuilder()

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}, whose load(id, Company) returns a Lazy of a dict of documents by id>"

    def include(self, path: PathLike, object_type: type | None = None) -> Self:
        """Add a path; see `LazySessionOperations.include`."""
        self._builder.include_documents(path, object_type)
        return self

    @overload
    def load(self, ids: str | Keys, object_type: type[T]) -> Lazy[dict[str, T | None]]: ...
    @overload
    def load(self, ids: str | Keys, object_type: None = None) -> Lazy[dict[str, Any]]: ...
    def load(self, ids: str | Keys, object_type: type[T] | None = None) -> Lazy[Any]:
        """Return what will be a dict with every id that is asked for, also for a single one."""
        context = self._context
        keys = [ids] if isinstance(ids, str) else ids
        asked = lazy_load(context, keys, object_type, self._builder.paths(object_type, context.mappings))
        return Lazy(context.lazies, context.lazies.add(asked), lambda: asked.found)


class Batch(LazySessionOperations):
    """Several loads and queries in one request: `with session.batch() as batch:`, sent at its end."""

    __slots__ = ()

    def all(self, query: DocumentQuery[T]) -> Lazy[list[T]]:
        """Return what will be the documents of a query."""
        asked = lazy_documents(self._context, query.specification)
        return self._wait(asked, lambda: asked.found.items)

    def count(self, query: DocumentQuery[Any]) -> Lazy[int]:
        """Return what will be the number of documents of a query, whatever `skip` and `take` say."""
        asked = lazy_count(self._context, query.specification)
        return self._wait(asked, lambda: asked.found)

    def page(self, query: DocumentQuery[T]) -> Lazy[Page[T]]:
        """Return what will be the page of a query with `skip` and `take`, with the total."""
        asked = lazy_page(self._context, query.specification)
        return self._wait(asked, lambda: asked.found)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            run(self._context.lazies.execute())
