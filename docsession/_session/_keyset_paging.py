"""Pages by keys: what comes after or before a token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeAlias

from docsession._documents._mapping import DocumentMapping
from docsession._errors import InvalidArgumentException, InvalidOperationException
from docsession._port import Row, Rows
from docsession._query._compile import QueryCompiler
from docsession._query._ordering import Shuffle
from docsession._query._paging import digest_of, last_of, read_token, write_token
from docsession._query._query import Specification
from docsession._query._statements import PageStatement
from docsession._session._asking import Asking
from docsession._session._context import SessionContext
from docsession._session._listening import result_of, tell_watched
from docsession._session._query_values import Page
from docsession._sql._tables import TableStatements

SendPage: TypeAlias = Callable[[Specification, QueryCompiler, PageStatement], Awaitable[Rows]]
"""Sends a statement for documents of a table."""

_LARGEST_PAGE = 2**31


@dataclass(frozen=True, slots=True)
class PageRows:
    """The rows of a page.

    Attributes:
        rows: What the query finds.
        next: The token for the page after this one.
        previous: The token for the page before it.
        total: How many there are on all pages; None where they were not counted.
        source: Where it lies; None where nobody has stored one.
    """

    rows: Rows
    next: str | None = None
    previous: str | None = None
    total: int | None = None
    source: tuple[TableStatements, DocumentMapping[Any]] | None = None


class KeysetPaging:
    """Asks for pages by keys, in one session."""

    __slots__ = ("_asking", "_context")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._asking = Asking(context)

    async def page(self, asked: Specification, size: int, after: str | None, before: str | None) -> Page[Any]:
        """Return a page by keys: what comes after or before a token."""

        async def ask(asked: Specification) -> tuple[Page[Any], int | None]:
            found = await self.rows(asked, size, after, before, self._asking.send_page, counted=is_counted)
            items = [] if found.source is None else self._asking.answers.results(found.rows, *found.source, asked)
            return Page(items, next=found.next, previous=found.previous), found.total

        _check_keyset(asked, size, after, before)
        is_counted = asked.tells_total
        began = perf_counter()
        page, total = await self._asking.guarded("page", asked, ask)
        if total is not None:
            await tell_watched(self._context, asked, result_of(page.items, total, began))
        elif asked.watchers is not None:
            asked.watchers.tell_timings((perf_counter() - began) * 1000)
        return page

    async def rows(
        self,
        asked: Specification,
        size: int,
        after: str | None,
        before: str | None,
        send: SendPage,
        *,
        counted: bool = False,
    ) -> PageRows:
        """Return the rows of a page by keys; where all are *counted*, with the total."""
        _check_keyset(asked, size, after, before)
        source = await self._asking.find(asked)
        if source is None:
            return PageRows([], total=0 if counted else None)
        compiler = self._asking.compiler(*source)
        digest, count = digest_of(compiler.form_of(asked)), compiler.count_keys(asked)
        secret = self._context.conventions.page_token_key
        token = before if before is not None else after
        position = None if token is None else read_token(token, digest, count, secret)
        backwards = before is not None
        rows = await send(asked, compiler, compiler.keyset(asked, size, position, backwards=backwards, counted=counted))
        total = None
        if counted:
            total = rows[0][-count - 1]
            rows = [row for row in rows if row[-1] is not None]  # an empty page has the total alone, and no keys
        has_more = len(rows) > size
        rows = rows[:size]
        if backwards:
            rows.reverse()

        def token_of(row: Row) -> str:
            return write_token(digest, last_of(row, count), secret)

        following = token_of(rows[-1]) if rows and (has_more or backwards) else None
        preceding = token_of(rows[0]) if rows and (has_more if backwards else token is not None) else None
        behind = count + counted
        return PageRows([row[:-behind] for row in rows], following, preceding, total, source)


def _check_keyset(asked: Specification, size: int, after: str | None, before: str | None) -> None:
    if after is not None and before is not None:
        raise InvalidArgumentException("a page by keys takes after= or before=, not both")
    if asked.take is not None or asked.skip or asked.groups or asked.distinct or asked.nearest is not None:
        raise InvalidOperationException(
            "a page by keys goes on by keys: call it on a query without skip, take, nearest, group_by and distinct"
        )
    if any(isinstance(operand, Shuffle) for operand, _ in asked.orders):
        raise InvalidOperationException(
            "page(size) goes on by keys, and random_ordering() has none; skip and take go through the order of a seed"
        )
    if type(size) is not int or not 0 < size < _LARGEST_PAGE:
        raise InvalidArgumentException(f"a page has 1 document or more, not {size!r:.40}")
