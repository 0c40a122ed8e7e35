"""Queries that wait, to be asked together with others in one request."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any, ClassVar

from typing_extensions import override

from docsession._documents._mapping import DocumentMapping
from docsession._port import Rows, Statement
from docsession._query._compile import QueryCompiler
from docsession._query._query import Specification
from docsession._query._statements import PageStatement
from docsession._query._watching import QueryResult
from docsession._session._asking import Asking, check_complete, check_result
from docsession._session._context import SessionContext
from docsession._session._customization import customize
from docsession._session._including import Including, IncludingQuery
from docsession._session._lazy import LazyOperation
from docsession._session._listening import result_of, tell_executed
from docsession._session._query_values import Page
from docsession._sql._tables import TableStatements


class LazyQuery(LazyOperation):
    """The documents of a query.

    Attributes:
        found: The documents, and their number where it is asked for.
    """

    __slots__ = (
        "_asked",
        "_asking",
        "_began",
        "_context",
        "_counted",
        "_including",
        "_result",
        "_source",
        "found",
    )

    may_lag: ClassVar[bool] = True

    def __init__(self, context: SessionContext, asked: Specification, *, counted: bool) -> None:
        super().__init__()
        self._context = context
        self._asking = Asking(context)
        self._asked = asked
        self._counted = counted
        self._source: tuple[TableStatements, DocumentMapping[Any]] | None = None
        self._including: IncludingQuery | None = None
        self._began = 0.0
        self._result: QueryResult[Any] | None = None
        self.found: Page[Any] = Page([], 0)

    @override
    async def prepare(self) -> None:
        self._asked = await customize(self._context, self._asked)
        self._began = perf_counter()

    @override
    async def statements(self) -> list[Statement] | None:
        self._source = await self._asking.find(self._asked, counts=False)
        if self._source is None:
            return []
        compiler = self._asking.compiler(*self._source)
        page = await self._asking.compiled(lambda: self._compile(compiler))
        if not self._asked.includes:
            return [page.statement]
        self._including = await self._asking.including(self._asked, compiler, page)
        return [self._including.statement, self._context.database.system.size()]

    def _compile(self, compiler: QueryCompiler) -> PageStatement:
        return compiler.counted(self._asked) if self._counted else PageStatement(compiler.documents(self._asked))

    @override
    async def take(self, answers: Sequence[Rows]) -> None:
        if self._source is not None:
            rows = answers[0]
            if self._including is not None:
                await self._asking.loader.catch_up(answers[1])
                rows = await Including(self._context).keep(self._including, rows)
            read = self._asking.answers
            if self._counted:
                self.found = read.page_of(rows, *self._source, self._asked)
            else:
                self.found = Page(read.results(rows, *self._source, self._asked))
        self._result = result_of(self.found.items, self.found.total or 0, self._began)

    @override
    async def tell(self) -> None:
        assert self._result is not None  # noqa: S101  # taken
        watchers = self._asked.watchers
        if watchers is not None and self.found.total is None:
            watchers.tell_timings(self._result.duration_in_ms)
        elif watchers is not None:
            watchers.tell(self._result)
        await tell_executed(self._context, self._asked.listeners, self._result)


class LazyCount(LazyOperation):
    """How many documents a query finds.

    Attributes:
        found: The number.
    """

    __slots__ = ("_asked", "_asking", "_began", "_context", "_result", "found")

    may_lag: ClassVar[bool] = True

    def __init__(self, context: SessionContext, asked: Specification) -> None:
        super().__init__()
        self._context = context
        self._asking = Asking(context)
        self._asked = asked
        self._began = 0.0
        self._result: QueryResult[Any] | None = None
        self.found = 0

    @override
    async def prepare(self) -> None:
        self._asked = await customize(self._context, self._asked)
        self._began = perf_counter()

    @override
    async def statements(self) -> list[Statement] | None:
        source = await self._asking.find(self._asked, counts=False)
        if source is None:
            return []
        compiler = self._asking.compiler(*source)
        return [await self._asking.compiled(lambda: compiler.count(self._asked))]

    @override
    async def take(self, answers: Sequence[Rows]) -> None:
        self.found = answers[0][0][0] if answers else 0
        self._result = result_of([], self.found, self._began)

    @override
    async def tell(self) -> None:
        assert self._result is not None  # noqa: S101  # taken
        await tell_executed(self._context, self._asked.listeners, self._result)


def lazy_documents(context: SessionContext, asked: Specification) -> LazyQuery:
    """Return a query that waits, for its documents."""
    check_complete("lazily", asked)
    check_result(asked)
    return LazyQuery(context, asked, counted=asked.tells_total)


def lazy_page(context: SessionContext, asked: Specification) -> LazyQuery:
    """Return a query that waits, for a page and the total."""
    check_complete("page", asked)
    check_result(asked)
    return LazyQuery(context, asked, counted=True)


def lazy_count(context: SessionContext, asked: Specification) -> LazyCount:
    """Return a query that waits, for how many documents it finds."""
    check_complete("count", asked)
    return LazyCount(context, asked)
