"""Documents as the JSON that is stored, with their ids in it, for those who only hand them on: nothing is parsed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from docsession._documents._ids import check_id, prefix_of
from docsession._documents._mapping import DocumentMapping
from docsession._errors import InvalidOperationException
from docsession._port import Row
from docsession._query._compile import QueryCompiler
from docsession._query._query import Specification
from docsession._session._asking import Asking
from docsession._session._context import SessionContext
from docsession._session._keyset_paging import KeysetPaging
from docsession._session._loading import Loader

_encode = msgspec.json.encode


class RawJson:
    """Reads documents as JSON, in one session."""

    __slots__ = ("_asking", "_context")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._asking = Asking(context, Loader(context))

    async def load(self, key: str, object_type: type[Any] | None) -> bytes | None:
        """Return a document as it is stored, with its id; None where there is none."""
        context = self._context
        context.enter("load_json")
        try:
            checked = check_id(key)
            await context.settle()
            mapping = context.mapping_for(object_type)
            return await context.database.up_to_date(lambda: self._load(checked, mapping))
        finally:
            context.leave()

    async def _load(self, key: str, mapping: DocumentMapping[Any] | None) -> bytes | None:
        context = self._context
        loader = Loader(context)
        tables = await context.database.tables_for(prefix_of(key, context.database.separator), mapping)
        if not tables:
            context.requests.count("load_json")
        for table in tables:
            rows = await loader.read_one(table, key)
            if rows:
                return spliced(_id_member(mapping), rows[0])
        return None

    async def documents(self, asked: Specification) -> bytes:
        """Return the documents of a query as a JSON array."""
        _refuse(asked)
        rows, member = await self._asking.guarded("json", asked, self._rows)
        return _array(rows, member)

    async def envelope(self, asked: Specification) -> bytes:
        """Return the documents of a query, what they refer to and how many there are as a JSON object."""

        async def ask(asked: Specification) -> bytes:
            found = await self._asking.find(asked)
            if found is None:
                return b'{"items":[],"total":0}'
            compiler, member = self._asking.compiler(*found), _id_member(found[1])
            rows = await self._asking.send(compiler.page(asked))
            total = rows[0][-1]
            items = _array((row for row in rows if row[-2]), member)
            return b'{"items":%b,"total":%d}' % (items, total)

        _refuse(asked)
        return await self._asking.guarded("json", asked, ask)

    async def page(self, asked: Specification, size: int, after: str | None, before: str | None) -> bytes:
        """Return a page by keys as a JSON object, with the tokens of its neighbours."""

        async def ask(asked: Specification) -> bytes:
            rows, following, preceding, found = await KeysetPaging(self._context).rows(asked, size, after, before)
            items = _array(rows, _id_member(None if found is None else found[1]))
            return b'{"items":%b,"next":%b,"previous":%b}' % (items, _encode(following), _encode(preceding))

        _refuse(asked)
        return await self._asking.guarded("json", asked, ask)

    async def _rows(self, asked: Specification) -> tuple[list[Row], bytes]:
        found = await self._asking.find(asked)
        if found is None:
            return [], b""
        statement = QueryCompiler.documents(self._asking.compiler(*found), asked)
        rows = await self._asking.send(statement)
        return rows, _id_member(found[1])


def spliced(member: bytes, row: Row) -> bytes:
    """Return a document with its id as the first member.

    Args:
        member: The name of that member as JSON.
        row: The row of a load.
    """
    rest = row[1][2:]  # behind the version of the binary format and the brace
    return b"{" + member + b":" + _encode(row[0]) + (b"}" if rest == b"}" else b", " + rest)


def _array(rows: Iterable[Row], member: bytes) -> bytes:
    return b"[" + b",".join([spliced(member, row) for row in rows]) + b"]"


def _id_member(mapping: DocumentMapping[Any] | None) -> bytes:
    key = None if mapping is None else mapping.codec.id_key
    return _encode(key or "id")


def _refuse(asked: Specification) -> None:
    if asked.projection is not None or asked.groups or asked.distinct:
        raise InvalidOperationException("json() gives whole documents: call it on a query without select and group_by")
    if asked.includes:
        raise InvalidOperationException("json() gives what the query finds alone: call it on a query without include")
