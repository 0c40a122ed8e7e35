"""Documents as the JSON that is stored, with their ids in it, for those who only hand them on: nothing is parsed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Self, TypeAlias

import msgspec

from docsession._documents._ids import check_id, prefix_of
from docsession._documents._mapping import DocumentMapping
from docsession._errors import InvalidOperationException
from docsession._port import Request, Row, Rows
from docsession._query._compile import QueryCompiler
from docsession._query._digests import UnchangedError, digest_of_rows, unless_known
from docsession._query._paging import digest_of, write_token
from docsession._query._query import Specification
from docsession._query._statements import PageStatement
from docsession._session._asking import Asking, mapping_for
from docsession._session._context import SessionContext
from docsession._session._entity_tags import known_tags
from docsession._session._include_paths import include_paths
from docsession._session._including import Arrived
from docsession._session._keyset_paging import KeysetPaging
from docsession._session._loading import Loader
from docsession._session._tracked import change_vector_of, moment_of
from docsession._sql._load import load_one
from docsession._sql._tables import TableStatements

_encode = msgspec.json.encode
_ID = _encode("id")

Members: TypeAlias = Sequence[tuple[bytes, Row]]
"""Rows, each with the name of the member for the id as JSON."""
Names: TypeAlias = dict[str, bytes] | None
"""The names of such members by collection; None where nothing is included."""


class DocumentJson(bytes):
    """A document as JSON: bytes, with what is known of them.

    Attributes:
        change_vector: The version of the document, as a save may be made to expect it.
        last_modified: When it was written.
        collection: The collection that it is in, which need not be that of the class it was asked for as.
    """

    change_vector: str | None
    last_modified: datetime | None
    collection: str | None

    def __new__(
        cls,
        content: bytes = b"",
        change_vector: str | None = None,
        last_modified: datetime | None = None,
        collection: str | None = None,
    ) -> Self:
        """Make it of its parts."""
        self = super().__new__(cls, content)
        self.change_vector = change_vector
        self.last_modified = last_modified
        self.collection = collection
        return self

    @property
    def etag(self) -> str:
        """The change vector as HTTP's header `ETag` has it, in quotes."""
        return f'"{self.change_vector}"'


class QueryJson(bytes):
    """What a query finds as JSON: bytes, with what is known of them.

    Attributes:
        etag: A digest of what is in them, ids, versions and order, as HTTP's header `ETag` has it, in quotes: the same
            as long as the same query gives the same bytes.
        total: How many there are on all pages; None where they were not counted.
        next: The token of the page after this one, by keys; None where there is none.
        previous: The token of the page before this one, likewise.
        not_modified: True where `if_none_match` names the ETag: there are no bytes, and of the rest nothing is known.
    """

    etag: str
    total: int | None
    next: str | None
    previous: str | None
    not_modified: bool

    def __new__(
        cls,
        content: bytes = b"",
        etag: str = '""',
        total: int | None = None,
        next: str | None = None,
        previous: str | None = None,
        not_modified: bool = False,
    ) -> Self:
        """Make it of its parts."""
        self = super().__new__(cls, content)
        self.etag = etag
        self.total = total
        self.next = next
        self.previous = previous
        self.not_modified = not_modified
        return self


class RawJson:
    """Reads documents as JSON, in one session."""

    __slots__ = ("_asking", "_context")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._asking = Asking(context)

    async def load(self, key: str, object_type: type[Any] | None) -> DocumentJson | None:
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

    async def _load(self, key: str, mapping: DocumentMapping[Any] | None) -> DocumentJson | None:
        context = self._context
        loader = Loader(context)
        prefix = prefix_of(key, context.database.separator)
        tables = await context.database.tables_for(prefix, mapping)
        answers: Sequence[Sequence[Row]] = ()
        if len(tables) == 1:
            answers = [await loader.read_one(tables[0], key)]
        elif tables:
            answers = await loader.request([load_one(table, key) for table in tables])
        else:
            context.requests.count("load_json")
        found = _first(tables, answers)
        if found is None and tables:
            found = await self._look_again(key, prefix, tables, mapping)
        if found is None:
            return None
        table, row = found
        content, written = spliced(_id_member(mapping), row), moment_of(row[4])
        return DocumentJson(content, change_vector_of(row[3]), written, table.collection)

    async def _look_again(
        self, key: str, prefix: str, asked: Sequence[TableStatements], mapping: DocumentMapping[Any] | None
    ) -> tuple[TableStatements, Row] | None:
        """Look where another process may have put the document since the catalogue was read."""
        context = self._context
        own = None if mapping is None else mapping.collection
        known = context.database.catalogue
        if known is not None and (prefix, own) in known.pairs:
            return None
        tables = (await context.database.refresh()).tables_of(prefix, mapping)
        later = [table for table in tables if table not in asked]
        if not later:
            return None
        return _first(later, await context.run(Request([load_one(table, key) for table in later], may_lag=True)))

    async def documents(self, asked: Specification, if_none_match: str | None) -> QueryJson:
        """Return the documents of a query as a JSON array, unless that is known."""
        tags = known_tags(if_none_match)

        async def ask(asked: Specification) -> QueryJson:
            found = await self._asking.find(asked)
            if found is None:
                return QueryJson(b"[]", _etag_of(_head("array", b""), []))
            member = _id_member(found[1])
            head = _head("array", member)
            compiler = self._asking.compiler(*found)
            page = PageStatement(QueryCompiler.documents(compiler, asked))
            rows, _ = await self._asking.read_page(asked, compiler, page, unless_known(head, tags))
            return QueryJson(_array(rows, member), _etag_of(head, rows))

        if asked.includes:
            raise InvalidOperationException(
                "json() gives an array, which has no place for what include() brings along: call json(envelope=True), "
                "or json(size) for a page by keys"
            )
        return await self._guarded(asked, ask, tags)

    async def envelope(self, asked: Specification, if_none_match: str | None) -> QueryJson:
        """Return the documents of a query, what they refer to and how many there are as a JSON object, likewise."""
        tags = known_tags(if_none_match)

        async def ask(asked: Specification) -> QueryJson:
            found = await self._asking.find(asked)
            names = self._names(asked)
            member = _id_member(None if found is None else found[1])
            head = _head("envelope", member, names)
            total = 0
            items: list[Row] = []
            along: Members | None = None if names is None else ()
            if found is not None:
                compiler = self._asking.compiler(*found)
                page = compiler.counted(asked)
                rows, arrived = await self._asking.read_page(asked, compiler, page, unless_known(head, tags))
                total, items = rows[0][-1], [row for row in rows if row[-2]]
                along = None if names is None else _named(names, arrived)
            return _object(_etag_of(head, items, along, total=total), member, items, along, total=total)

        return await self._guarded(asked, ask, tags)

    async def page(
        self,
        asked: Specification,
        size: int,
        after: str | None,
        before: str | None,
        if_none_match: str | None,
        *,
        counted: bool,
    ) -> QueryJson:
        """Return a page by keys, with the tokens of its neighbours and what its documents refer to, likewise."""
        tags = known_tags(if_none_match)

        async def ask(asked: Specification) -> QueryJson:
            names = self._names(asked)
            place: list[object] = [after is not None, before is not None]
            head = _head("page", b"", names, place)
            sent: Rows = []
            arrived: Arrived = []

            async def send(asked: Specification, compiler: QueryCompiler, page: PageStatement) -> Rows:
                nonlocal head, sent, arrived
                # Tokens depend on the form of the query, and on the key that they are signed with.
                token = write_token(digest_of(compiler.form_of(asked)), (), self._context.conventions.page_token_key)
                member = _id_member(mapping_for(asked, self._context.mappings))
                head = _head("page", member, names, [*place, token])
                sent, arrived = await self._asking.read_page(asked, compiler, page, unless_known(head, tags))
                return sent

            found = await KeysetPaging(self._context).rows(asked, size, after, before, send, counted=counted)
            member = _id_member(None if found.source is None else found.source[1])
            along = None if names is None else _named(names, arrived)
            present = [row for row in sent if row[0] is not None]
            etag = _etag_of(head, present, along, size=size, total=found.total)
            tokens = (found.next, found.previous)
            return _object(etag, member, found.rows, along, total=found.total, tokens=tokens)

        return await self._guarded(asked, ask, tags)

    async def _guarded(
        self, asked: Specification, ask: Callable[[Specification], Awaitable[QueryJson]], known: frozenset[str]
    ) -> QueryJson:
        """Await `ask(asked)`, and leave out what is found where its ETag is *known*."""
        if asked.projection is not None or asked.groups or asked.distinct:
            raise InvalidOperationException(
                "json() gives whole documents: call it on a query without select and group_by"
            )
        try:
            made = await self._asking.guarded("json", asked, ask)
        except UnchangedError as unchanged:
            return QueryJson(b"", f'"{unchanged.digest}"', not_modified=True)
        return QueryJson(b"", made.etag, not_modified=True) if made.etag in known else made

    def _names(self, asked: Specification) -> Names:
        """Return the names of the members for the ids of what is included, by collection; None: nothing is."""
        if not asked.includes:
            return None
        paths = include_paths(asked.includes, asked.object_type, self._context.mappings)
        return {path.mapping.collection: _id_member(path.mapping) for path in paths if path.mapping is not None}


def _first(tables: Sequence[TableStatements], answers: Sequence[Sequence[Row]]) -> tuple[TableStatements, Row] | None:
    """Return the row that was found, and its table; None where there is none."""
    return next(((table, rows[0]) for table, rows in zip(tables, answers, strict=False) if rows), None)


def spliced(member: bytes, row: Row) -> bytes:
    """Return a document with its id as the first member.

    Args:
        member: The name of that member as JSON.
        row: The row of a load.
    """
    rest = row[1][2:]  # behind the version of the binary format and the brace
    return b"{" + member + b":" + _encode(row[0]) + (b"}" if rest == b"}" else b", " + rest)


def _named(names: dict[str, bytes], arrived: Arrived) -> Members:
    """Return what came along, each with the name of its member for the id, in the order of the ids."""
    found = {row[0]: (names.get(table.collection, _ID), row) for row, table in arrived}
    return [found[key] for key in sorted(found)]


def _head(form: str, member: bytes, names: Names = None, place: Sequence[object] = ()) -> str:
    """Return what the bytes of an answer depend on besides documents and how many there are."""
    others = None if names is None else {collection: name.decode() for collection, name in names.items()}
    return _encode((form, member.decode(), others, place)).decode()


def _etag_of(
    head: str, rows: Sequence[Row], along: Members | None = None, *, size: int | None = None, total: int | None = None
) -> str:
    return f'"{digest_of_rows(head, rows, [row for _, row in along or ()], size=size, total=total)}"'


def _object(
    etag: str,
    member: bytes,
    rows: Sequence[Row],
    along: Members | None,
    *,
    total: int | None = None,
    tokens: tuple[str | None, str | None] | None = None,
) -> QueryJson:
    """Return documents in an object, beside what is known of them; None came *along* where nothing was to."""
    parts = [b'"items":' + _array(rows, member)]
    if total is not None:
        parts.append(b'"total":%d' % total)
    following, preceding = tokens or (None, None)
    if tokens is not None:
        parts += (b'"next":' + _encode(following), b'"previous":' + _encode(preceding))
    if along is not None:
        included = b",".join([_encode(row[0]) + b":" + spliced(name, row) for name, row in along])
        parts.append(b'"includes":{' + included + b"}")
    return QueryJson(b"{" + b",".join(parts) + b"}", etag, total, following, preceding)


def _array(rows: Iterable[Row], member: bytes) -> bytes:
    return b"[" + b",".join([spliced(member, row) for row in rows]) + b"]"


def _id_member(mapping: DocumentMapping[Any] | None) -> bytes:
    key = None if mapping is None else mapping.codec.id_key
    return _encode(key or "id")
