"""Asking the server for documents, in the way that the store's cache makes cheapest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from docsession._port import Request, Row, Settings, Statement, settings_in
from docsession._session._cache import WORTH_ALONE, Kept, pays
from docsession._session._context import SessionContext
from docsession._sql._load import Include, load_many, load_many_known, load_one, load_one_known
from docsession._sql._tables import TableStatements

decode_document = msgspec.json.Decoder().decode


class Reader:
    """Reads rows for one session. That some of what they hold came from the cache cannot be told from them."""

    __slots__ = ("_context",)

    def __init__(self, context: SessionContext) -> None:
        self._context = context

    async def request(
        self, statements: Sequence[Statement], *, may_lag: bool = True, settings: Settings = ()
    ) -> list[list[Row]]:
        """Send statements that only read; counted as one request."""
        context = self._context
        context.requests.count(context.operation)
        settings = (*settings, *settings_in(statements))
        return await context.run(Request(statements, may_lag=may_lag, settings=settings))

    async def request_and_catch_up(self, statement: Statement) -> list[Row]:
        """Send a statement that relies on the catalogue, which is read anew where it has grown meanwhile."""
        rows, size = await self.request([statement, self._context.database.system.size()])
        await self.catch_up(size)
        return rows

    async def catch_up(self, size: Sequence[Row]) -> None:
        """Read the catalogue anew where the answer to `size` says that it has grown meanwhile."""
        database = self._context.database
        known = database.catalogue
        if known is None or size[0][0] != len(known.pairs):
            await database.refresh()

    async def read_one(self, table: TableStatements, key: str, *, may_lag: bool = True) -> Sequence[Row]:
        """Return the row of one document, if there is one; one request."""
        context = self._context
        cache = context.cache
        known = None if cache is None else cache.known_alone(table, key)
        if cache is None or known is None:
            (rows,) = await self.request((load_one(table, key),), may_lag=may_lag)
            if cache is not None and rows and len(rows[0][1]) >= WORTH_ALONE and context.reads_committed:
                cache.keep(rows, (table,))
            return rows
        (rows,) = await self.request((load_one_known(table, known),), may_lag=may_lag)
        return cache.settle(rows, (table,), {key: known}, keep=context.reads_committed)

    async def read_many(self, parts: Sequence[tuple[TableStatements, Sequence[str]]]) -> Sequence[Row]:
        """Return the rows of several documents; with more than one table the table's position comes sixth."""
        cache = self._context.cache
        known = {} if cache is None else cache.known(parts)
        if known and not pays(known.values()):
            known = {}
        (rows,) = await self.request((load_many_known(parts, known) if known else load_many(parts),))
        return self.complete(rows, [table for table, _ in parts], known)

    def complete(self, rows: Sequence[Row], tables: Sequence[TableStatements], known: Kept) -> Sequence[Row]:
        """Return the rows of an answer with what the server left out, and keep what it sent."""
        context = self._context
        cache = context.cache
        if cache is not None and known:
            return cache.settle(rows, tables, known, keep=context.reads_committed)
        if cache is not None and pays(rows) and context.reads_committed:
            cache.keep(rows, tables)
        return rows

    def expected(
        self, parts: Sequence[tuple[TableStatements, Sequence[str]]], includes: Sequence[Include]
    ) -> tuple[Kept, dict[str, object]]:
        """Return what is kept of documents and of those that they refer to, as they were when they were kept.

        If they refer to others by now, those come with their data, as if nothing were kept.

        Returns:
            The rows, none where it does not pay; and the decoded documents of *parts* among them.
        """
        cache = self._context.cache
        if cache is None:
            return {}, {}
        known = cache.known(parts)
        decoded: dict[str, object] = {}
        if known and any(cache.holds(table) for include in includes for table in include.tables):
            decoded = {key: decode_document(row[1][1:]) for key, row in known.items()}
            for include in includes:
                ids = [key for document in decoded.values() for key in strings_at(document, include.path)]
                known |= cache.known([(table, ids) for table in include.tables])
        return (known, decoded) if known and pays(known.values()) else ({}, {})

    def expected_page(self, plain: Statement, tables: Sequence[TableStatements]) -> Kept:
        """Return what is kept of the documents that *plain* found the last time, none where it does not pay."""
        cache = self._context.cache
        ids = () if cache is None else cache.page(plain)
        if cache is None or not ids:
            return {}
        known = cache.known([(table, ids) for table in tables])
        return known if pays(known.values()) else {}

    def complete_page(
        self, plain: Statement, rows: Sequence[Row], tables: Sequence[TableStatements], known: Kept
    ) -> Sequence[Row]:
        """As `complete`; and the ids that *plain* found are kept."""
        rows = self.complete(rows, tables, known)
        context = self._context
        if context.cache is not None and context.reads_committed and pays(rows):
            context.cache.keep_page(plain, rows)
        return rows


def strings_at(document: object, path: Iterable[str]) -> list[str]:
    """Return the strings at *path*, through lists on the way, as the statement's SQL finds them."""
    values = [document]
    for key in path:
        following: list[object] = []
        for value in values:
            item = value.get(key) if isinstance(value, dict) else None
            if isinstance(item, list):
                following += item
            else:
                following.append(item)
        values = following
    return [value for value in values if isinstance(value, str)]
