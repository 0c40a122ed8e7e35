"""The query of an async session."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Self, TypeVar, overload

from typing_extensions import override

from docsession._errors import InvalidArgumentException
from docsession._faces._lazy import AsyncLazy
from docsession._faces._query_results import described, first_of, one_of
from docsession._query._facets import FacetValue
from docsession._query._fields import Documents
from docsession._query._projection import project
from docsession._query._query import Specification, but
from docsession._query._raven_results import GroupByDocumentQuery, grouped, of_type, select_fields
from docsession._query._raven_searching import RavenSearching
from docsession._query._watching import QueryResult
from docsession._session._asking import mapping_for
from docsession._session._changing import Changing
from docsession._session._context import SessionContext
from docsession._session._keyset_paging import KeysetPaging
from docsession._session._lazy_queries import lazy_count, lazy_documents
from docsession._session._query_plans import QueryPlans
from docsession._session._query_values import Page, QueryPlan, QuerySql
from docsession._session._querying import Querying
from docsession._session._raw_json import QueryJson, RawJson

T = TypeVar("T")
R = TypeVar("R")


class AsyncDocumentQuery(RavenSearching[T]):
    """What to ask for, and the session that asks (RavenDB: DocumentQuery).

    Its building methods return a new query each; asking twice sends two requests. The documents are
    tracked as loaded ones are, and those that the session tracks already come as they are there,
    with their unsaved changes.
    """

    __slots__ = ("_context", "_specification")

    def __init__(self, context: SessionContext, specification: Specification) -> None:
        self._context = context
        self._specification = specification

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} of {described(self._specification)}>"

    @property
    @override
    def specification(self) -> Specification:
        """What is asked for."""
        return self._specification

    @override
    def _with(self, specification: Specification) -> Self:
        return type(self)(self._context, specification)

    @property
    @override
    def _is_exact(self) -> bool:
        return self._context.conventions.exact_queries

    @property
    def _querying(self) -> Querying:
        return Querying(self._context)

    @property
    @override
    def _documents(self) -> Documents:
        own = self._specification
        return Documents(own.root, mapping_for(own, self._context.mappings).codec.id_key)

    @overload
    def select(self, function: Callable[[T], R], /) -> AsyncDocumentQuery[R]: ...
    @overload
    def select(self, function: Callable[[T], object] | None = None, /, *, into: type[R]) -> AsyncDocumentQuery[R]: ...
    def select(
        self, function: Callable[[T], Any] | None = None, /, *, into: type[Any] | None = None
    ) -> AsyncDocumentQuery[Any]:
        """Return some of the fields instead of documents, read in SQL; nothing of it is tracked.

        Args:
            function: `lambda o: o.company` gives values, `lambda o: (o.company, o.freight)` tuples,
                `lambda o: {"company": o.company}` dicts.
            into: A class; the function names its fields in a dict, without one they are the
                documents' fields of the same names.

        Raises:
            InvalidArgumentException: The function returns something that SQL does not compute.
        """
        own = self._specification
        projection = project(own.root, function, into, grouped=bool(own.groups))
        return AsyncDocumentQuery(self._context, but(own, projection=projection))

    def select_fields(self, projection_class: type[R], *fields: str) -> AsyncDocumentQuery[R]:
        """Return fields by name instead of documents (RavenDB: select_fields); nothing of it is tracked.

        Args:
            projection_class: A class with those fields; `dict`; or `str`, `int`, `float` or `bool`, which give the
                values of one field.
            fields: As in `where_equals`; without any, those of the class.

        Raises:
            InvalidArgumentException: There is no such field.
        """
        own = self._unfinished("select_fields")
        projection = select_fields(self._documents, projection_class, fields)
        return AsyncDocumentQuery(self._context, but(own, projection=projection))

    @overload
    def group_by(self, *keys: Callable[[T], object]) -> Self: ...
    @overload
    def group_by(
        self, field_name: str, /, *field_names: str
    ) -> GroupByDocumentQuery[AsyncDocumentQuery[dict[str, Any]]]: ...
    @override
    def group_by(self, *keys: Any) -> Any:
        """Put the documents into groups by fields; null and missing are one group.

        Args:
            keys: `lambda o: o.country`, or several fields in a tuple, with `select` to follow; or the names of fields,
                with RavenDB's `select_key`, `select_sum` and `select_count` to follow.
        """
        if not keys or not isinstance(keys[0], str):
            return super().group_by(*keys)
        own = grouped(self._documents, self._unfinished("group_by"), keys)
        return GroupByDocumentQuery(self._documents, own, lambda made: AsyncDocumentQuery(self._context, made))

    def of_type(self, t_result_class: type[R]) -> AsyncDocumentQuery[R]:
        """Return the results as instances of a class with fields of the same names (RavenDB: of_type); untracked."""
        own = self._specification
        return AsyncDocumentQuery(self._context, but(own, projection=of_type(self._documents, own, t_result_class)))

    async def get_query_result(self) -> QueryResult[T]:
        """Return the results with how many there are without `skip` and `take` (RavenDB: get_query_result).

        One request.
        """
        return await self._querying.result(self._specification)

    async def sum_(self, of: Callable[[T], R], /) -> R:
        """Return the sum of a field; 0 where there are no numbers. One request."""
        return await self._querying.aggregate(self._specification, "sum", of)  # type: ignore[no-any-return]  # as the field is declared

    async def min_(self, of: Callable[[T], R], /) -> R | None:
        """Return the least value of a field; None where there is none. One request."""
        return await self._querying.aggregate(self._specification, "min", of)  # type: ignore[no-any-return]  # as the field is declared

    async def max_(self, of: Callable[[T], R], /) -> R | None:
        """Return the greatest value of a field; None where there is none. One request."""
        return await self._querying.aggregate(self._specification, "max", of)  # type: ignore[no-any-return]  # as the field is declared

    async def avg(self, of: Callable[[T], R], /) -> R | None:
        """Return the mean of a field; None where there are no numbers. One request."""
        return await self._querying.aggregate(self._specification, "avg", of)  # type: ignore[no-any-return]  # as the field is declared

    async def all(self) -> list[T]:
        """Return the documents. One request."""
        return await self._querying.all(self._specification)

    async def __aiter__(self) -> AsyncIterator[T]:
        for each in await self.all():
            yield each

    async def first(self) -> T:
        """Return the first document.

        Raises:
            NoResultException: There is none.
        """
        return first_of(await self.take(1).all(), self)

    async def first_or_none(self) -> T | None:
        """Return the first document, or None."""
        found = await self.take(1).all()
        return found[0] if found else None

    async def one(self) -> T:
        """Return the only document.

        Raises:
            NoResultException: There is none.
            MultipleResultsException: There are several.
        """
        return one_of(await self.take(2).all(), self)

    async def one_or_none(self) -> T | None:
        """Return the only document; None where there is none.

        Raises:
            MultipleResultsException: There are several.
        """
        found = await self.take(2).all()
        return one_of(found, self) if found else None

    async def first_or_default(self) -> T | None:
        """Return the first document, or None (RavenDB: first_or_default)."""
        return await self.first_or_none()

    async def single(self) -> T:
        """Return the only document (RavenDB: single); see `one`."""
        return await self.one()

    async def single_or_default(self) -> T | None:
        """Return the only document, or None (RavenDB: single_or_default); see `one_or_none`."""
        return await self.one_or_none()

    async def count(self) -> int:
        """Return how many documents there are, whatever `skip` and `take` say. One request."""
        return await self._querying.count(self._specification)

    async def any(self) -> bool:
        """Return True where there is a document. One request."""
        return await self._querying.any(self._specification)

    async def page(self, size: int | None = None, *, after: str | None = None, before: str | None = None) -> Page[T]:
        """Return a page of the results. One request.

        Without *size*: what `skip` and `take` leave, with how many there are without them. With *size*: by keys,
        however far from the beginning as fast as the first page, and without gaps or repetitions where documents
        come and go meanwhile.

        Args:
            size: How many results a page by keys has.
            after: `next` of the page before; a token, safe to give to a browser.
            before: `previous` of the page after.

        Raises:
            InvalidPageTokenException: A token is not of this query.
        """
        if size is None:
            if after is not None or before is not None:
                raise InvalidArgumentException("page(after=…) and page(before=…) take a size: page(20, after=token)")
            return await self._querying.page(self._specification)
        return await KeysetPaging(self._context).page(self._specification, size, after, before)

    async def facets(self, **facets: Any) -> dict[str, list[FacetValue]]:
        """Return how many documents have which values of fields, or lie in which ranges. One request.

        Args:
            facets: By name a field, `country=lambda o: o.country`, for its values, or the items of a list, of which
                the 1,000 most frequent are returned, the most frequent first; or a field and ranges,
                `freight=(lambda o: o.freight, [(None, 10), (10, 50), (50, None)])`, low included, high not.
        """
        return await self._querying.facets(self._specification, facets)

    async def sql(self) -> QuerySql:
        """Return the SQL that `all` would send, and what it binds; nothing is sent."""
        return await QueryPlans(self._context).sql(self._specification)

    async def explain(self, *, analyze: bool = False) -> QueryPlan:
        """Return how the server would find the documents. One request.

        Args:
            analyze: True runs the query, too, and shows what really happened.
        """
        return await QueryPlans(self._context).explain(self._specification, analyze=analyze)

    async def delete(self) -> int:
        """Delete the documents on the server, in one request and transaction, and return how many there were.

        It happens at once, not with `save_changes`. The session forgets those that it tracks.

        Raises:
            InvalidOperationException: The session has unsaved changes of documents of this collection.
        """
        changed = await Changing(self._context).delete(self._specification, returning=False)
        return len(changed)

    async def patch(self, operations: Callable[[T], object], /) -> int:
        """Change the documents on the server, in one request and transaction, and return how many there were.

        It happens at once, not with `save_changes`. Their versions grow, and those that the session tracks
        are brought up to date in place.

        Args:
            operations: `lambda o: [set_(o.status, "late"), increment(o.count, 1), append(o.tags, "x"),
                remove(o.legacy), rename(o.a, "b")]`, done in that order.

        Raises:
            InvalidOperationException: The session has unsaved changes of documents of this collection.
            InvalidArgumentException: The function returns something else.
        """
        return len(await Changing(self._context).patch(self._specification, operations, returning=False))

    def returning(self) -> AsyncReturningQuery[T]:
        """Return what deletes or patches the documents and returns them instead of their number."""
        return AsyncReturningQuery(Changing(self._context), self._specification)

    async def json(
        self,
        size: int | None = None,
        *,
        after: str | None = None,
        before: str | None = None,
        envelope: bool = False,
        if_none_match: str | None = None,
    ) -> QueryJson:
        """Return the documents as JSON, as they are stored, each with its id as the first member. One request.

        Nothing is parsed, tracked or brought up to date, which makes it the quickest way into an HTTP response. The
        bytes have an `etag`, a digest of the ids and versions in them. What `include` brings along stands in the
        objects under `"includes"`, by id.

        Args:
            size: None: an array of the documents. A number: a page by keys, `{"items": […], "next": …, "previous": …}`.
            after: As in `page`.
            before: As in `page`.
            envelope: True: with how many there are on all pages; without a size `{"items": […], "total": …}`, of what
                `skip` and `take` leave.
            if_none_match: What a client has already: its header of that name, or an `etag`. Where that is what the
                query finds, PostgreSQL sends no document, the bytes are none, and `not_modified` is True.

        Raises:
            InvalidOperationException: The query has `select`, `group_by` or `distinct`, or `include` without an object.
            InvalidPageTokenException: A token is not of this query.
        """
        raw = RawJson(self._context)
        if size is not None:
            return await raw.page(self._specification, size, after, before, if_none_match, counted=envelope)
        if after is not None or before is not None:
            raise InvalidArgumentException("json(after=…) and json(before=…) take a size: json(20, after=token)")
        if envelope:
            return await raw.envelope(self._specification, if_none_match)
        return await raw.documents(self._specification, if_none_match)

    def lazily(self, on_eval: Callable[[list[T]], object] | None = None) -> AsyncLazy[list[T]]:
        """Return what will be the documents, asked for together with all that the session waits for.

        (RavenDB: query.lazily)

        Args:
            on_eval: Called with the documents once they are there; a plain function on both faces.
        """
        context = self._context
        operation = context.lazies.add(lazy_documents(context, self._specification))
        return AsyncLazy(context.lazies, operation, lambda: operation.found.items, on_eval)

    def count_lazily(self) -> AsyncLazy[int]:
        """Return what will be the number of documents, likewise (RavenDB: query.count_lazily)."""
        context = self._context
        operation = context.lazies.add(lazy_count(context, self._specification))
        return AsyncLazy(context.lazies, operation, lambda: operation.found)

    def stream(self) -> AsyncIterator[T]:
        """Yield the documents as they come from the server, in bounded memory; they are not tracked."""
        return self._querying.stream(self._specification)


class AsyncReturningQuery(Generic[T]):
    """Deletes or patches the documents of a query, and returns them."""

    __slots__ = ("_changing", "_specification")

    def __init__(self, changing: Changing, specification: Specification) -> None:
        self._changing = changing
        self._specification = specification

    async def delete(self) -> list[T]:
        """Do what `delete` of the query does, and return the documents as they were, in the order of their ids."""
        return await self._changing.delete(self._specification, returning=True)

    async def patch(self, operations: Callable[[T], object], /) -> list[T]:
        """Do what `patch` of the query does, and return the documents as they are then, in the order of their ids."""
        return await self._changing.patch(self._specification, operations, returning=True)
