"""Asking queries in a session: what is found is tracked as what is loaded is."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Final, Generic, TypeVar

import msgspec
from typing_extensions import override

from docsession._documents._mapping import DocumentMapping
from docsession._errors import InvalidArgumentException, InvalidOperationException, RavenException, _ExtensionNeeded
from docsession._port import Row, Rows, Statement
from docsession._query._access import Access
from docsession._query._clauses import Clauses
from docsession._query._compile import QueryCompiler
from docsession._query._facets import FacetValue, facets_of, read_facets
from docsession._query._ordering import Shuffle
from docsession._query._paging import digest_of, last_of, read_token, write_token
from docsession._query._projection import Aggregate, project
from docsession._query._query import Specification, but
from docsession._query._recorder import Recorded, operand_of, record
from docsession._query._watching import QueryResult
from docsession._session._context import SessionContext
from docsession._session._customization import customize
from docsession._session._include_paths import include_paths
from docsession._session._index_use import why_not_by_index
from docsession._session._loading import Loader
from docsession._sql._tables import TableStatements

T = TypeVar("T")
R = TypeVar("R")

_INVALID_REGEX = "2201B"
_UNDEFINED_OBJECT = "42704"
_LARGEST_PAGE = 2**31
_log = logging.getLogger("docsession.query")
_INDEXES_PREFERRED: Final = (("enable_seqscan", "off"),)
_CHUNK = 500
"""Rows that a stream takes from the server at a time."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of the results of a query.

    Attributes:
        items: The results of this page.
        total: How many there are on all pages; None for a page by keys, which does not count them.
        next: A token for the page after this one, by keys; None where there is none.
        previous: A token for the page before this one, likewise.
    """

    items: list[T]
    total: int | None = None
    next: str | None = None
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class QuerySql:
    """The statement of a query.

    Attributes:
        text: The SQL, `$1` style; "" where there is no table to ask yet.
        parameters: What is bound, as it is sent: numbers as text, times as microseconds since 2000.
    """

    text: str
    parameters: tuple[object, ...]

    @override
    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """How the server finds what a query asks for.

    Attributes:
        text: The plan as psql shows it; "" where there is no table to ask yet.
        plan: The same as PostgreSQL's JSON has it: the topmost node.
    """

    text: str
    plan: dict[str, Any]

    @override
    def __str__(self) -> str:
        return self.text


class Querying:
    """Asks the queries of one session."""

    __slots__ = ("_context", "_loader")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._loader = Loader(context)

    async def all(self, asked: Specification) -> list[Any]:
        """Return all documents that are asked for."""
        watchers = asked.watchers
        if watchers is None:
            return await self.guarded("query", asked, self._all)
        if watchers.statistics:
            return (await self.result(asked)).results
        started = time.perf_counter()
        found = await self.guarded("query", asked, self._all)
        watchers.tell_timings((time.perf_counter() - started) * 1000)
        return found

    async def result(self, asked: Specification) -> QueryResult[Any]:
        """Return the documents that are asked for, with what is known of the asking; and tell those who watch."""
        if asked.includes:
            raise InvalidOperationException(
                "statistics() and get_query_result() count all results in the same request, and include() leaves no "
                "room for that: ask for count() beside it"
            )
        started = time.perf_counter()
        page = await self.guarded("query", asked, self._page)
        took = (time.perf_counter() - started) * 1000
        assert page.total is not None  # noqa: S101  # such a page is counted
        result = QueryResult(page.items, page.total, took, dt.datetime.now(dt.UTC))
        if asked.watchers is not None:
            asked.watchers.tell(result)
        return result

    async def count(self, asked: Specification) -> int:
        """Return how many there are, whatever `skip` and `take` say."""
        rows = await self.guarded("count", asked, lambda asked: self._ask(asked, QueryCompiler.count))
        return rows[0][0] if rows else 0

    async def any(self, asked: Specification) -> bool:
        """Return True where there is one."""
        rows = await self.guarded("any", asked, lambda asked: self._ask(asked, QueryCompiler.any))
        return bool(rows and rows[0][0])

    async def page(self, asked: Specification) -> Page[Any]:
        """Return the documents that are asked for, and how many there were without `skip` and `take`."""
        if asked.watchers is not None:
            result = await self.result(asked)
            return Page(result.results, result.total_results)
        return await self.guarded("page", asked, self._page)

    async def keyset(self, asked: Specification, size: int, after: str | None, before: str | None) -> Page[Any]:
        """Return a page by keys: what comes after or before a token."""

        async def ask(asked: Specification) -> Page[Any]:
            rows, following, preceding, found = await self.keyset_rows(asked, size, after, before)
            items = [] if found is None else self.results(rows, *found, asked)
            return Page(items, next=following, previous=preceding)

        _check_keyset(asked, size, after, before)
        return await self.guarded("page", asked, ask)

    async def keyset_rows(
        self, asked: Specification, size: int, after: str | None, before: str | None
    ) -> tuple[Rows, str | None, str | None, tuple[TableStatements, DocumentMapping[Any]] | None]:
        """Return the rows of a page by keys, the tokens for the one after it and before it, and where it lies."""
        _check_keyset(asked, size, after, before)
        found = await self.find(asked)
        if found is None:
            return [], None, None, None
        compiler = self.compiler(*found)
        digest, count = digest_of(compiler.form_of(asked)), compiler.count_keys(asked)
        secret = self._context.conventions.page_token_key
        token = before if before is not None else after
        position = None if token is None else read_token(token, digest, count, secret)
        backwards = before is not None
        statement = compiler.keyset(but(asked, take=size + 1), position, backwards=backwards)
        if asked.includes:
            rows = await self._ask_including(asked, compiler, statement, count)
        else:
            rows = await self.send(statement)
        has_more = len(rows) > size
        rows = rows[:size]
        if backwards:
            rows.reverse()

        def token_of(row: Row) -> str:
            return write_token(digest, last_of(row, count), secret)

        following = token_of(rows[-1]) if rows and (has_more or backwards) else None
        preceding = token_of(rows[0]) if rows and (has_more if backwards else token is not None) else None
        return [row[:-count] for row in rows], following, preceding, found

    async def aggregate(self, asked: Specification, function: str, of: Callable[[Any], object]) -> Any:
        """Return what is computed over all documents that are asked for."""
        _check_whole(asked, function)
        made = Recorded(Aggregate(function, operand_of(record(of, asked.root, f"{function}_()"))))
        computed = but(asked, projection=project(asked.root, lambda _: made, None))
        rows = await self.guarded(function, computed, lambda asked: self._ask(asked, QueryCompiler.aggregate))
        if not rows:
            return 0 if function == "sum" else None
        assert computed.projection is not None  # noqa: S101  # made above
        return computed.projection.read(rows[0])

    async def facets(self, asked: Specification, given: Mapping[str, Any]) -> dict[str, list[FacetValue]]:
        """Return how the documents spread over values and ranges of fields."""
        _check_whole(asked, "facets")
        facets = facets_of(asked.root, given)
        rows = await self.guarded(
            "facets", asked, lambda asked: self._ask(asked, lambda own, query: own.facets(query, facets))
        )
        return read_facets(facets, rows)

    async def sql(self, asked: Specification) -> QuerySql:
        """Return the statement that `all` would send."""
        statement = await self.guarded("sql", asked, self._statement)
        return QuerySql("", ()) if statement is None else QuerySql(statement.sql.decode(), tuple(statement.params))

    async def explain(self, asked: Specification, *, analyze: bool) -> QueryPlan:
        """Return the server's plan for the statement that `all` would send."""
        return await self.guarded("explain", asked, lambda asked: self._explain(asked, analyze=analyze))

    async def check_index_use(self, asked: Specification, index: str | None) -> None:
        """Fail unless the documents are found by an index.

        Raises:
            AssertionError: They are not.
        """

        async def plan(asked: Specification) -> None:
            found = await self.find(asked, counts=False)
            if found is None:
                raise AssertionError(f"the collection of the query has no table yet: {asked!r:.200}")
            statement = self.compiler(*found).documents(asked)
            explain = [
                Statement(b"EXPLAIN (FORMAT %b) %b" % (form, statement.sql), statement.params)
                for form in (b"TEXT", b"JSON")
            ]
            text, json = await self._loader.request(explain, may_lag=False, settings=_INDEXES_PREFERRED)
            tree = msgspec.json.decode(json[0][0])[0]["Plan"]
            why = why_not_by_index(tree, found[0].table, index, has_conditions=bool(asked.conditions))
            if why is not None:
                raise AssertionError("\n".join([f"{why}:", statement.sql.decode(), *(row[0] for row in text)]))

        _check_result(asked)
        await self.guarded("assert_uses_index", asked, plan)

    async def _statement(self, asked: Specification) -> Statement | None:
        _check_result(asked)
        found = await self.find(asked, counts=False)
        return None if found is None else self.compiler(*found).documents(asked)

    async def _explain(self, asked: Specification, *, analyze: bool) -> QueryPlan:
        statement = await self._statement(asked)
        if statement is None:
            return QueryPlan("", {})
        options = b"ANALYZE, BUFFERS, " if analyze else b""
        plans = [
            Statement(b"EXPLAIN (%bFORMAT %b) %b" % (options, form, statement.sql), statement.params)
            for form in (b"TEXT", b"JSON")
        ]
        text, json = await self._loader.request(plans, may_lag=False)
        return QueryPlan("\n".join(row[0] for row in text), msgspec.json.decode(json[0][0])[0]["Plan"])

    async def stream(self, asked: Specification) -> AsyncGenerator[Any]:
        """Yield the documents as they come, in bounded memory, without tracking them."""
        found = await self.guarded("stream", asked, self._prepare_stream)
        if found is None:
            return
        statement, table, mapping = found
        projection = asked.projection
        # Closed at once where its reader leaves early, because a transaction waits for it.
        async with aclosing(self._context.stream("stream", statement, _CHUNK)) as rows:
            async for row in rows:
                yield self._loader.read(row, table, mapping) if projection is None else projection.read(row)

    @staticmethod
    def check(asked: Specification) -> None:
        """Refuse what can only be asked with documents at once."""
        _check_result(asked)
        if asked.includes:
            raise InvalidOperationException("include() goes with all(), first(), one() and pages by keys: page(size)")

    async def send(self, statement: Statement) -> Rows:
        """Send the one statement of a query; one that takes longer than the convention allows is logged."""
        context = self._context
        threshold = context.conventions.slow_query_threshold
        began = perf_counter()
        (rows,) = await self._loader.request([statement])
        if threshold is not None and (took := perf_counter() - began) >= threshold.total_seconds():
            file, line, function, operation = context.requests.last
            _log.warning(
                "%s took %.0f ms and found %d rows, at %s:%d in %s: %s",
                operation,
                took * 1000,
                len(rows),
                file,
                line,
                function,
                statement.sql.decode(),
            )
        return rows

    async def guarded(self, operation: str, asked: Specification, ask: Callable[[Specification], Awaitable[R]]) -> R:
        """Await `ask(asked)` as an operation of the session."""
        check_complete(operation, asked)
        context = self._context
        context.enter(operation)
        try:
            await context.settle()
            if context.handlers is not None:
                asked = await customize(context, asked)
            try:
                return await context.database.up_to_date(lambda: ask(asked))
            except _ExtensionNeeded as needed:
                name = needed.name
            await context.database.find_extension(name)
            return await context.database.up_to_date(lambda: ask(asked))
        except RavenException as error:
            if error.sqlstate == _INVALID_REGEX:
                raise InvalidArgumentException(f"PostgreSQL cannot read the regular expression: {error}") from error
            if error.sqlstate == _UNDEFINED_OBJECT:
                raise InvalidArgumentException(f"PostgreSQL does not know the language of a search: {error}") from error
            raise
        finally:
            context.leave()

    async def compiled(self, compile_: Callable[[], Statement]) -> Statement:
        """Return what *compile_* does, having looked for the extension that it may need."""
        try:
            return compile_()
        except _ExtensionNeeded as needed:
            name = needed.name
        await self._context.database.find_extension(name)
        return compile_()

    async def _all(self, asked: Specification) -> list[Any]:
        _check_result(asked)
        found = await self.find(asked)
        if found is None:
            return []
        table, mapping = found
        compiler = self.compiler(table, mapping)
        if asked.includes:
            rows = await self._ask_including(asked, compiler, compiler.documents(asked))
        else:
            rows = await self.send(compiler.documents(asked))
        return self.results(rows, table, mapping, asked)

    async def _ask_including(
        self, asked: Specification, compiler: QueryCompiler, page: Statement, keys: int = 0
    ) -> Rows:
        context = self._context
        if asked.no_tracking or context.no_tracking or asked.projection is not None:
            raise InvalidOperationException(
                "what is not tracked, and what select() returns, has nowhere to keep included documents"
            )
        separator = context.database.separator
        paths = include_paths(asked.includes, asked.object_type, context.mappings)
        return await self._loader.take_including(
            lambda includes, tracked: compiler.including(page, includes, separator, tracked, keys),
            compiler.table,
            paths,
        )

    async def _page(self, asked: Specification) -> Page[Any]:
        _check_result(asked)
        if asked.includes:
            raise InvalidOperationException("include() goes with all(), first(), one() and pages by keys: page(size)")
        found = await self.find(asked)
        if found is None:
            return Page([], 0)
        table, mapping = found
        rows = await self.send(self.compiler(table, mapping).page(asked))
        return self.page_of(rows, table, mapping, asked)

    def page_of(
        self, rows: Rows, table: TableStatements, mapping: DocumentMapping[Any], asked: Specification
    ) -> Page[Any]:
        """Return the page of an answer: where it is empty there is one row, with the total alone."""
        return Page(self.results([row[:-2] for row in rows if row[-2]], table, mapping, asked), rows[0][-1])

    async def _ask(self, asked: Specification, compile_: Callable[[QueryCompiler, Specification], Statement]) -> Rows:
        found = await self.find(asked)
        if found is None:
            return []
        return await self.send(compile_(self.compiler(*found), asked))

    async def _prepare_stream(
        self, asked: Specification
    ) -> tuple[Statement, TableStatements, DocumentMapping[Any]] | None:
        _check_result(asked)
        found = await self.find(asked)
        if found is None:
            return None
        statement = self.compiler(*found).documents(asked)
        self._context.requests.count("stream")
        return statement, *found

    async def find(
        self, asked: Specification, *, counts: bool = True
    ) -> tuple[TableStatements, DocumentMapping[Any]] | None:
        """Return where the documents are; None where nobody has stored one, which counts as a request, too."""
        context = self._context
        mapping = self.mapping(asked)
        database = context.database
        catalogue = database.catalogue
        table = None if catalogue is None else catalogue.by_collection.get(mapping.collection)
        if table is None:
            table = (await database.refresh()).by_collection.get(mapping.collection)
        if table is None:
            if counts:
                context.requests.count(context.operation)
            return None
        await self._look_for_columns(table, mapping)
        return table, mapping

    async def _look_for_columns(self, table: TableStatements, mapping: DocumentMapping[Any]) -> None:
        """Find out which of the promoted columns there are that are declared, the first time that somebody asks."""
        database = self._context.database
        if (table, mapping.entity_class) not in database.compilers and self._declared(table).has_columns:
            await database.columns_of(table)

    def _declared(self, table: TableStatements) -> Access:
        context = self._context
        return context.database.declared.of_collection(table.collection, table.table, context.mappings).access

    def mapping(self, asked: Specification) -> DocumentMapping[Any]:
        """Return how the documents are stored that are asked for."""
        mappings = self._context.mappings
        if asked.object_type is dict:
            assert asked.collection is not None  # noqa: S101  # such a specification is refused
            return mappings.for_dict(asked.collection)
        mapping = mappings.for_class(asked.object_type)
        if asked.collection is not None and asked.collection != mapping.collection:
            raise InvalidOperationException(
                f"{asked.object_type.__qualname__} is stored in {mapping.collection!r}, so it cannot be asked for in "
                f"{asked.collection!r}; documents of any collection come as dicts: query(dict, {asked.collection!r})"
            )
        return mapping

    def compiler(self, table: TableStatements, mapping: DocumentMapping[Any]) -> QueryCompiler:
        """Return what compiles the queries of a class."""
        known = self._context.database.compilers
        compiler = known.get((table, mapping.entity_class))
        if compiler is None:
            aliases = None
            if mapping.alias is not None:
                aliases = tuple(alias for alias in self._context.mappings.stored_as(mapping) if alias is not None)
            database = self._context.database
            access = self._declared(table)
            if access.has_columns:
                access = access.without_columns_but(database.columns.get(table, ()))
            access = replace(access, extensions=database.extensions)
            compiler = QueryCompiler(table, database.name, mapping.codec.id_key, aliases, access)
            known[table, mapping.entity_class] = compiler
        return compiler

    def results(
        self, rows: Sequence[Row], table: TableStatements, mapping: DocumentMapping[Any], asked: Specification
    ) -> list[Any]:
        """Return what rows stand for: documents, or what `select` asked for."""
        projection = asked.projection
        if projection is not None:
            return [projection.read(row) for row in rows]
        return self.entities(rows, table, mapping, asked)

    def entities(
        self, rows: Sequence[Row], table: TableStatements, mapping: DocumentMapping[Any], asked: Specification
    ) -> list[Any]:
        """Return the entities of rows, tracked unless the query or the session says otherwise."""
        return self.entities_of(rows, table, mapping, no_tracking=asked.no_tracking)

    def entities_of(
        self, rows: Sequence[Row], table: TableStatements, mapping: DocumentMapping[Any] | None, *, no_tracking: bool
    ) -> list[Any]:
        """Return the entities of rows of a table."""
        if no_tracking or self._context.no_tracking:
            return [self._loader.read(row, table, mapping) for row in rows]
        deleted = self._context.map.deleted
        if not deleted:
            return list(self._loader.materialise_all(rows, table, mapping).values())
        found = self._loader.materialise_all([row for row in rows if row[0] not in deleted], table, mapping)
        entities = []
        for row in rows:
            deletion = deleted.get(row[0])
            if deletion is None:
                entities.append(found[row[0]])
            elif deletion.tracked is not None:
                entities.append(deletion.tracked.entity)
            else:
                entities.append(self._loader.read(row, table, mapping))
        return entities


def _check_result(asked: Specification) -> None:
    if asked.projection is None and (asked.groups or asked.distinct):
        raise InvalidOperationException(
            "group_by() and distinct() need a select(), which says what is returned of the documents"
        )


def _check_whole(asked: Specification, function: str) -> None:
    if asked.take is not None or asked.skip or asked.groups or asked.projection is not None:
        raise InvalidOperationException(
            f"{function} is computed over all documents that fulfil the conditions: call it on a query without skip, "
            "take, group_by and select"
        )


def check_complete(operation: str, asked: Specification) -> None:
    """Refuse a query that ends in the middle of what the builder says."""
    for condition in asked.conditions:
        if type(condition) is Clauses:
            condition.check_finished(f"{operation}()")


def _check_keyset(asked: Specification, size: int, after: str | None, before: str | None) -> None:
    if after is not None and before is not None:
        raise InvalidArgumentException("a page by keys takes after= or before=, not both")
    if asked.take is not None or asked.skip or asked.groups or asked.distinct:
        raise InvalidOperationException(
            "a page by keys goes on by keys: call it on a query without skip, take, group_by and distinct"
        )
    if any(isinstance(operand, Shuffle) for operand, _ in asked.orders):
        raise InvalidOperationException(
            "page(size) goes on by keys, and random_ordering() has none; skip and take go through the order of a seed"
        )
    if type(size) is not int or not 0 < size < _LARGEST_PAGE:
        raise InvalidArgumentException(f"a page has 1 document or more, not {size!r:.40}")
