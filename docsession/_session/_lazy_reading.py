"""Loads and queries that wait, to be asked together with others in one request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from typing_extensions import override

from docsession._documents._ids import check_part_of_ids, prefix_of, wildcards_to_regex
from docsession._documents._mapping import DocumentMapping
from docsession._port import Rows, Statement
from docsession._query._compile import QueryCompiler
from docsession._query._query import Specification
from docsession._session._answers import Answers
from docsession._session._asking import Asking, check_complete
from docsession._session._context import SessionContext
from docsession._session._customization import customize
from docsession._session._lazy import LazyOperation
from docsession._session._loading import Loader, check_keys, tables_starting_with
from docsession._session._query_values import Page
from docsession._session._querying import check_all_at_once
from docsession._sql._load import load_many, load_starting_with
from docsession._sql._tables import TableStatements


class LazyLoad(LazyOperation):
    """Documents by id.

    Attributes:
        keys: The ids, without blanks.
    """

    __slots__ = ("_context", "_loader", "_mapping", "_parts", "_unknown", "keys")

    may_lag: ClassVar[bool] = True

    def __init__(self, context: SessionContext, keys: Sequence[str], mapping: DocumentMapping[Any] | None) -> None:
        super().__init__()
        self._context = context
        self._loader = Loader(context)
        self._mapping = mapping
        self._parts: list[tuple[TableStatements, list[str]]] = []
        self._unknown: Sequence[str] = ()
        self.keys = list(keys)

    @override
    async def statements(self) -> list[Statement] | None:
        self._unknown = self._context.map.unknown(self.keys)
        if not self._unknown:
            return None
        self._parts = list((await self._loader.parts_of(self._unknown, self._mapping)).items())
        # With one statement for each table the rows need not tell theirs.
        return [load_many([part]) for part in self._parts]

    @override
    def take(self, answers: Sequence[Rows]) -> None:
        for (table, _), rows in zip(self._parts, answers, strict=True):
            self._loader.materialise_all(rows, table, self._mapping)
        context = self._context
        catalogue = context.database.catalogue
        if not context.no_tracking and catalogue is not None:
            # Only of a prefix that is known to lead to this class can it be said that there is no such document.
            own = None if self._mapping is None else self._mapping.collection
            separator = context.database.separator
            known = context.map
            known.missing.update(
                key
                for key in self._unknown
                if key not in known.by_id and (prefix_of(key, separator), own) in catalogue.pairs
            )

    def entity(self, key: str) -> Any:
        """Return the document *key*, or None."""
        known = self._context.map
        tracked = known.by_id.get(key)
        if tracked is not None:
            return tracked.entity
        included = known.included.get(key)
        return None if included is None else self._loader.materialise(*included, self._mapping)

    def entities(self) -> dict[str, Any]:
        """Return every id that was asked for with its document, or None."""
        return {key: self.entity(key) for key in self.keys}


class LazyStartingWith(LazyOperation):
    """The documents whose ids begin alike.

    Attributes:
        found: The documents by id, in the order of the ids.
    """

    __slots__ = ("_context", "_loader", "_make", "_mapping", "_prefix", "_tables", "found")

    may_lag: ClassVar[bool] = True

    def __init__(
        self,
        context: SessionContext,
        prefix: str,
        mapping: DocumentMapping[Any] | None,
        make: Callable[[Sequence[TableStatements]], Statement],
    ) -> None:
        super().__init__()
        self._context = context
        self._loader = Loader(context)
        self._prefix = prefix
        self._mapping = mapping
        self._make = make
        self._tables: tuple[TableStatements, ...] = ()
        self.found: dict[str, Any] = {}

    @override
    async def statements(self) -> list[Statement] | None:
        database = self._context.database
        catalogue = database.catalogue or await database.refresh()
        self._tables = tables_starting_with(self._prefix, catalogue.by_prefix, database.separator)
        return [self._make(self._tables)] if self._tables else []

    @override
    def take(self, answers: Sequence[Rows]) -> None:
        deleted = self._context.map.deleted
        for row in answers[0] if self._tables else ():
            if row[0] not in deleted:
                self.found[row[0]] = self._loader.materialise(row, self._tables[row[5]], self._mapping)


class LazyQuery(LazyOperation):
    """What a query finds.

    Attributes:
        found: What `take` has made of the answer.
    """

    __slots__ = ("_asked", "_asking", "_compile", "_context", "_empty", "_read", "_source", "found")

    may_lag: ClassVar[bool] = True

    def __init__(
        self,
        context: SessionContext,
        asked: Specification,
        compile_: Callable[[QueryCompiler, Specification], Statement],
        read: Callable[[Rows, TableStatements, DocumentMapping[Any], Specification], Any],
        empty: Any,
    ) -> None:
        super().__init__()
        check_complete("lazily", asked)
        self._context = context
        self._asking = Asking(context, Loader(context))
        self._asked = asked
        self._compile = compile_
        self._read = read
        self._empty = empty
        self._source: tuple[TableStatements, DocumentMapping[Any]] | None = None
        self.found: Any = None

    @override
    async def statements(self) -> list[Statement] | None:
        self._asked = await customize(self._context, self._asked)
        self._source = await self._asking.find(self._asked, counts=False)
        if self._source is None:
            return []
        compiler = self._asking.compiler(*self._source)
        return [await self._asking.compiled(lambda: self._compile(compiler, self._asked))]

    @override
    def take(self, answers: Sequence[Rows]) -> None:
        self.found = self._empty if self._source is None else self._read(answers[0], *self._source, self._asked)


def lazy_documents(context: SessionContext, asked: Specification) -> LazyQuery:
    """Return a query that waits, for its documents."""
    check_all_at_once(asked)
    answers = Answers(context, Loader(context))
    return LazyQuery(context, asked, QueryCompiler.documents, answers.results, [])


def lazy_count(context: SessionContext, asked: Specification) -> LazyQuery:
    """Return a query that waits, for how many documents it finds."""
    return LazyQuery(context, asked, QueryCompiler.count, lambda rows, *_: rows[0][0], 0)


def lazy_page(context: SessionContext, asked: Specification) -> LazyQuery:
    """Return a query that waits, for a page and the total."""
    check_all_at_once(asked)
    answers = Answers(context, Loader(context))
    return LazyQuery(context, asked, QueryCompiler.page, answers.page_of, Page([], 0))


def lazy_load(context: SessionContext, keys: Iterable[object], object_type: type[Any] | None) -> LazyLoad:
    """Return documents that wait to be loaded."""
    return LazyLoad(context, check_keys(keys), context.mapping_for(object_type))


def lazy_starting_with(
    context: SessionContext,
    id_prefix: str,
    object_type: type[Any] | None,
    matches: str | None,
    start: int,
    page_size: int | None,
    exclude: str | None,
    start_after: str | None,
) -> LazyStartingWith:
    """Return documents that wait to be loaded, whose ids begin with *id_prefix*."""
    prefix = check_part_of_ids("id_prefix", id_prefix, "companies/")
    wildcards = [
        None if text is None else wildcards_to_regex(check_part_of_ids(name, text, "1*|2?-A"))
        for name, text in (("matches", matches), ("exclude", exclude))
    ]
    after = None if start_after is None else check_part_of_ids("start_after", start_after, "companies/9-A")

    def make(tables: Sequence[TableStatements]) -> Statement:
        return load_starting_with(
            tables,
            prefix,
            matches=wildcards[0],
            exclude=wildcards[1],
            start=start,
            page_size=page_size,
            start_after=after,
        )

    return LazyStartingWith(context, prefix, context.mapping_for(object_type), make)
