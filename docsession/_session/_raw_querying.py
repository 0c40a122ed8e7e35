"""Asking for documents with SQL of the user's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar, cast

from docsession._documents._ids import prefix_of
from docsession._documents._mapping import DocumentMapping
from docsession._errors import InvalidArgumentException, RavenException
from docsession._port import Request, Row, Rows
from docsession._query._customization import BeforeRawQueryEventArgs
from docsession._query._listening import wants_results
from docsession._query._raw_sql import RawQuery, RawStatement
from docsession._session._answers import Answers
from docsession._session._catalogue import Catalogue
from docsession._session._context import SessionContext
from docsession._session._listening import result_of, tell_executed
from docsession._session._loading import Loader
from docsession._sql._quoting import quote_identifier
from docsession._sql._tables import TableStatements

_WRONG_SQL = frozenset({"42601", "42703", "42702", "42P01", "42883", "42804", "42P18", "42P08"})
"""Mistakes in the SQL's text: syntax, columns, tables, functions, types."""
_NOT_SUPPORTED = "0A000"
"""Among others of WITH that changes rows, which stands in no subquery."""


R = TypeVar("R")
V = TypeVar("V")
Source: TypeAlias = tuple[TableStatements | None, DocumentMapping[Any] | None, Catalogue]
"""The table of the class's documents and their mapping, both None without a class; and what tables there are."""


class RawQuerying:
    """Asks a user's SQL in one session."""

    __slots__ = ("_answers", "_context")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._answers = Answers(context, Loader(context))

    async def all(self, asked: RawQuery) -> list[Any]:
        """Return the documents that the SQL finds, in its order."""
        began = perf_counter()
        entities, total = await self._guarded("query_sql", asked, lambda source: self._documents(source, asked))
        await tell_executed(self._context, asked.listeners, result_of(entities, total, began))
        return entities

    async def count(self, asked: RawQuery) -> int:
        """Return how many documents the SQL finds."""
        return await self._count("count", asked)

    async def any(self, asked: RawQuery) -> bool:
        """Return True where it finds one."""
        if wants_results(asked.listeners):
            return await self._count("any", asked) > 0
        return await self._guarded("any", asked, lambda source: self._value(source, asked.any, False))

    async def _count(self, operation: str, asked: RawQuery) -> int:
        began = perf_counter()
        total = await self._guarded(operation, asked, lambda source: self._value(source, asked.count, 0))
        await tell_executed(self._context, asked.listeners, result_of([], total, began))
        return total

    async def _documents(self, source: Source | None, asked: RawQuery) -> tuple[list[Any], int]:
        """Return the documents, and how many there are where somebody is told of that."""
        if source is None:
            return [], 0
        table, mapping, catalogue = source
        total = 0
        if wants_results(asked.listeners):
            rows = await self._send(asked.counted(self._named(table)))
            total = rows[0][-1]
            rows = [row[:-2] for row in rows if row[-2]]
        else:
            rows = await self._send(asked.documents(self._named(table)))
        tell = self._answers.entities_of
        if table is not None:
            return tell(rows, table, mapping, no_tracking=asked.no_tracking), total
        entities: list[Any] = []
        for row in rows:
            entities += tell([row], *self._place_of(row, catalogue), no_tracking=asked.no_tracking)
        return entities, total

    async def _guarded(self, operation: str, asked: RawQuery, ask: Callable[[Source | None], Awaitable[R]]) -> R:
        """Await `ask(source)` as an operation of the session; the source is None where nobody has stored one."""
        context = self._context
        context.enter(operation)
        try:
            await context.settle()
            if asked.listeners is not None and asked.listeners.before:
                given = BeforeRawQueryEventArgs(context.session, asked.sql, MappingProxyType(dict(asked.values)))
                await context.call_each("before_query_executed", asked.listeners.before, given)
            return await ask(await self._source(asked))
        except RavenException as error:
            if error.sqlstate in _WRONG_SQL:
                raise InvalidArgumentException(
                    f"{error}. The SQL's result has the columns id, data, metadata, version and last_modified, as in "
                    "SELECT o.* FROM {table} AS o WHERE …"
                ) from error
            if error.sqlstate == _NOT_SUPPORTED:
                raise InvalidArgumentException(
                    f"{error}. query_sql() takes one SELECT, which changes nothing, not even in WITH: query(…).patch() "
                    "and delete() change documents, and what else is to be changed in the session's transaction goes "
                    "to session.advanced.connection"
                ) from error
            raise
        finally:
            context.leave()

    async def _source(self, asked: RawQuery) -> Source | None:
        context = self._context
        database = context.database
        mapping = context.mapping_for(asked.object_type)
        catalogue = database.catalogue or await database.refresh()
        if mapping is None:
            return None, None, catalogue
        table = catalogue.by_collection.get(mapping.collection)
        if table is None:
            catalogue = await database.refresh()
            table = catalogue.by_collection.get(mapping.collection)
        if table is None:
            asked.documents("")  # what is wrong is refused before anything is stored, too
            context.requests.count(context.operation)
            return None
        return table, mapping, catalogue

    def _named(self, table: TableStatements | None) -> str:
        return quote_identifier(self._context.database.name) if table is None else table.name

    async def _value(self, source: Source | None, compile_: Callable[[str], RawStatement], empty: V) -> V:
        if source is None:
            return empty
        ((found,),) = await self._send(compile_(self._named(source[0])))
        return cast("V", found)

    async def _send(self, statement: RawStatement) -> Rows:
        context = self._context
        context.requests.count(context.operation)
        (rows,) = await context.run(Request([statement]))
        return rows

    def _place_of(self, row: Row, catalogue: Catalogue) -> tuple[TableStatements, DocumentMapping[Any]]:
        """Return where the document of a row lies, whose class was not given, and how dicts of it are stored."""
        context = self._context
        tables = catalogue.by_prefix.get(prefix_of(row[0], context.database.separator), ())
        if len(tables) != 1:
            raise InvalidArgumentException(
                f"the collection of {row[0]!r:.80} cannot be told from its id; name the class: query_sql(Order, …)"
            )
        return tables[0], context.mappings.for_dict(tables[0].collection)
