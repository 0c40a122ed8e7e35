"""Asking queries in a session: what is found is tracked as what is loaded is."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from docsession._documents._mapping import DocumentMapping
from docsession._errors import InvalidOperationException, RavenException
from docsession._port import Row, Statement
from docsession._query._compile import QueryCompiler
from docsession._query._facets import FacetValue, facets_of, read_facets
from docsession._query._projection import Aggregate, project
from docsession._query._query import Specification, but
from docsession._query._recorder import Recorded, operand_of, record
from docsession._query._statements import PageStatement
from docsession._query._watching import QueryResult
from docsession._session._asking import Asking, check_result
from docsession._session._context import SessionContext
from docsession._session._listening import result_of, tell_streamed, tell_watched
from docsession._session._query_values import Page
from docsession._session._refused_by_query import explained
from docsession._sql._tables import TableStatements

_CHUNK = 500
"""Rows that a stream takes from the server at a time."""


class Querying:
    """Asks the queries of one session."""

    __slots__ = ("_asking", "_context")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._asking = Asking(context)

    async def all(self, asked: Specification) -> list[Any]:
        """Return all documents that are asked for."""
        if asked.tells_total:
            return (await self.result(asked)).results
        watchers = asked.watchers
        if watchers is None:
            return await self._asking.guarded("query", asked, self._all)
        started = time.perf_counter()
        found = await self._asking.guarded("query", asked, self._all)
        watchers.tell_timings((time.perf_counter() - started) * 1000)
        return found

    async def result(self, asked: Specification) -> QueryResult[Any]:
        """Return the documents that are asked for, with what is known of the asking; and tell those who watch."""
        started = time.perf_counter()
        page = await self._asking.guarded("query", asked, self._page)
        assert page.total is not None  # noqa: S101  # such a page is counted
        result = result_of(page.items, page.total, started)
        await tell_watched(self._context, asked, result)
        return result

    async def count(self, asked: Specification) -> int:
        """Return how many there are, whatever `skip` and `take` say."""
        return await self._count("count", asked)

    async def any(self, asked: Specification) -> bool:
        """Return True where there is one."""
        if asked.tells_total:
            return await self._count("any", asked) > 0
        started = time.perf_counter()
        rows = await self._asking.guarded("any", asked, lambda asked: self._asking.ask(asked, QueryCompiler.any))
        if asked.watchers is not None:
            asked.watchers.tell_timings((time.perf_counter() - started) * 1000)
        return bool(rows and rows[0][0])

    async def page(self, asked: Specification) -> Page[Any]:
        """Return the documents that are asked for, and how many there were without `skip` and `take`."""
        if asked.watchers is not None or asked.listeners is not None:
            result = await self.result(asked)
            return Page(result.results, result.total_results)
        return await self._asking.guarded("page", asked, self._page)

    async def aggregate(self, asked: Specification, function: str, of: Callable[[Any], object]) -> Any:
        """Return what is computed over all documents that are asked for."""
        _check_whole(asked, function)
        made = Recorded(Aggregate(function, operand_of(record(of, asked.root, f"{function}_()"))))
        computed = but(asked, projection=project(asked.root, lambda _: made, None))
        rows = await self._asking.guarded(
            function, computed, lambda asked: self._asking.ask(asked, QueryCompiler.aggregate)
        )
        if not rows:
            return 0 if function == "sum" else None
        assert computed.projection is not None  # noqa: S101  # made above
        return computed.projection.read(rows[0])

    async def facets(self, asked: Specification, given: Mapping[str, Any]) -> dict[str, list[FacetValue]]:
        """Return how the documents spread over values and ranges of fields."""
        _check_whole(asked, "facets")
        facets = facets_of(asked.root, given)
        rows = await self._asking.guarded(
            "facets", asked, lambda asked: self._asking.ask(asked, lambda own, query: own.facets(query, facets))
        )
        return read_facets(facets, rows)

    async def stream(self, asked: Specification) -> AsyncGenerator[Any]:
        """Yield the documents as they come, in bounded memory, without tracking them."""
        found = await self._asking.guarded("stream", asked, self._prepare_stream)
        if found is None:
            return
        statement, table, mapping = found
        projection, loader = asked.projection, self._asking.loader
        # Closed at once where its reader leaves early, because a transaction waits for it.
        async with aclosing(self._streamed(statement)) as rows:
            async for row in rows:
                result = loader.read(row, table, mapping) if projection is None else projection.read(row)
                if asked.listeners is not None:
                    await tell_streamed(self._context, asked.listeners.streamed, result)
                yield result

    async def _streamed(self, statement: Statement) -> AsyncGenerator[Row]:
        try:
            async with aclosing(self._context.stream("stream", statement, _CHUNK)) as rows:
                async for row in rows:
                    yield row
        except RavenException as error:
            wrong = explained(error)
            if wrong is None:
                raise
            raise wrong from error

    async def _count(self, operation: str, asked: Specification) -> int:
        started = time.perf_counter()
        rows = await self._asking.guarded(operation, asked, lambda asked: self._asking.ask(asked, QueryCompiler.count))
        total = rows[0][0] if rows else 0
        await tell_watched(self._context, asked, result_of([], total, started))
        return total

    async def _all(self, asked: Specification) -> list[Any]:
        check_result(asked)
        found = await self._asking.find(asked)
        if found is None:
            return []
        table, mapping = found
        compiler = self._asking.compiler(table, mapping)
        rows = await self._asking.send_page(asked, compiler, PageStatement(compiler.documents(asked)))
        return self._asking.answers.results(rows, table, mapping, asked)

    async def _page(self, asked: Specification) -> Page[Any]:
        check_result(asked)
        found = await self._asking.find(asked)
        if found is None:
            return Page([], 0)
        table, mapping = found
        compiler = self._asking.compiler(table, mapping)
        rows = await self._asking.send_page(asked, compiler, compiler.counted(asked))
        return self._asking.answers.page_of(rows, table, mapping, asked)

    async def _prepare_stream(
        self, asked: Specification
    ) -> tuple[Statement, TableStatements, DocumentMapping[Any]] | None:
        check_result(asked)
        if asked.includes:
            raise InvalidOperationException(
                "what stream() yields is not tracked, so there is nowhere to keep what include() brings along"
            )
        found = await self._asking.find(asked)
        if found is None:
            return None
        statement = self._asking.compiler(*found).streamed(asked)
        self._context.requests.count("stream")
        return statement, *found


def _check_whole(asked: Specification, function: str) -> None:
    if asked.take is not None or asked.skip or asked.groups or asked.projection is not None:
        raise InvalidOperationException(
            f"{function} is computed over all documents that fulfil the conditions: call it on a query without skip, "
            "take, group_by and select"
        )


def check_all_at_once(asked: Specification) -> None:
    """Refuse what can only be asked with documents at once."""
    check_result(asked)
    if asked.includes:
        raise InvalidOperationException("include() goes with all(), first(), one() and pages by keys: page(size)")
