"""The SQL of queries, and how the server goes about them."""

from __future__ import annotations

from typing import Final

import msgspec

from docsession._port import Statement
from docsession._query._query import Specification
from docsession._session._asking import Asking, check_result, mapping_for
from docsession._session._context import SessionContext
from docsession._session._index_use import why_not_by_index
from docsession._session._query_values import QueryPlan, QuerySql

_INDEXES_PREFERRED: Final = (("enable_seqscan", "off"),)
_LOOKUPS_PREFERRED: Final = (*_INDEXES_PREFERRED, ("enable_indexscan", "off"), ("enable_indexonlyscan", "off"))
"""On a small table reading it in the order of its ids may look better than looking something up."""


class QueryPlans:
    """Shows how queries of one session are asked."""

    __slots__ = ("_asking", "_context")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._asking = Asking(context)

    async def sql(self, asked: Specification) -> QuerySql:
        """Return the statement that `all` would send."""
        statement = await self._asking.guarded("sql", asked, self._statement)
        return QuerySql("", ()) if statement is None else QuerySql(statement.sql.decode(), tuple(statement.params))

    async def explain(self, asked: Specification, *, analyze: bool) -> QueryPlan:
        """Return the server's plan for the statement that `all` would send."""
        return await self._asking.guarded("explain", asked, lambda asked: self._explain(asked, analyze=analyze))

    async def check_index_use(self, asked: Specification, index: str | None) -> None:
        """Fail unless the documents are found by an index.

        Raises:
            AssertionError: They are not.
        """

        async def plan(asked: Specification) -> None:
            found = await self._asking.find(asked, counts=False)
            if found is None:
                collection = mapping_for(asked, self._context.mappings).collection
                raise AssertionError(
                    f"the collection {collection!r} has no table yet, and so no index: store a document"
                )
            statement = self._asking.compiler(*found).documents(asked)
            explain = [
                Statement(b"EXPLAIN (FORMAT %b) %b" % (form, statement.sql), statement.params, statement.settings)
                for form in (b"TEXT", b"JSON")
            ]
            failure = None
            for settings in (_INDEXES_PREFERRED, _LOOKUPS_PREFERRED):
                text, json = await self._asking.loader.request(explain, may_lag=False, settings=settings)
                tree = msgspec.json.decode(json[0][0])[0]["Plan"]
                why = why_not_by_index(tree, found[0].table, index, has_conditions=bool(asked.conditions))
                if why is None:
                    return
                failure = failure or "\n".join([f"{why}:", statement.sql.decode(), *(row[0] for row in text)])
            raise AssertionError(failure)

        check_result(asked)
        await self._asking.guarded("assert_uses_index", asked, plan)

    async def _statement(self, asked: Specification) -> Statement | None:
        check_result(asked)
        found = await self._asking.find(asked, counts=False)
        return None if found is None else self._asking.compiler(*found).documents(asked)

    async def _explain(self, asked: Specification, *, analyze: bool) -> QueryPlan:
        statement = await self._statement(asked)
        if statement is None:
            return QueryPlan("", {})
        options = b"ANALYZE, BUFFERS, " if analyze else b""
        plans = [
            Statement(
                b"EXPLAIN (%bFORMAT %b) %b" % (options, form, statement.sql), statement.params, statement.settings
            )
            for form in (b"TEXT", b"JSON")
        ]
        text, json = await self._asking.loader.request(plans, may_lag=False)
        return QueryPlan("\n".join(row[0] for row in text), msgspec.json.decode(json[0][0])[0]["Plan"])
