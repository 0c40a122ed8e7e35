"""Loads that wait, to be asked together with others in one request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from typing_extensions import override

from docsession._documents._ids import check_id, check_part_of_ids, prefix_of, wildcards_to_regex
from docsession._documents._mapping import DocumentMapping
from docsession._port import Request, Rows, Statement
from docsession._session._context import SessionContext
from docsession._session._including import IncludePath
from docsession._session._lazy import LazyOperation
from docsession._session._loading import IncludingLoad, Loader, changed_in, check_keys, tables_starting_with
from docsession._session._loads import ConditionalLoadResult, Loads, version_that_is_known
from docsession._sql._load import load_many, load_starting_with
from docsession._sql._tables import TableStatements


class LazyLoad(LazyOperation):
    """Documents by id, and those that they refer to.

    Attributes:
        found: Every id that was asked for with its document, or None.
    """

    __slots__ = ("_context", "_includes", "_including", "_keys", "_loader", "_mapping", "_parts", "_unknown", "found")

    may_lag: ClassVar[bool] = True

    def __init__(
        self,
        context: SessionContext,
        keys: Sequence[str],
        mapping: DocumentMapping[Any] | None,
        includes: Sequence[IncludePath],
    ) -> None:
        super().__init__()
        self._context = context
        self._loader = Loader(context)
        self._keys = keys
        self._mapping = mapping
        self._includes = includes
        self._parts: list[tuple[TableStatements, list[str]]] = []
        self._including: IncludingLoad | None = None
        self._unknown: Sequence[str] = ()
        self.found: dict[str, Any] = {}

    @override
    async def statements(self) -> list[Statement] | None:
        self._unknown = self._context.map.unknown(self._keys)
        if not self._unknown:
            return None
        self._parts = list((await self._loader.parts_of(self._unknown, self._mapping)).items())
        if self._includes and self._parts:
            self._including = await self._loader.plan_including(self._parts, self._includes)
            return [self._including.statement, self._context.database.system.size()]
        # With one statement for each table the rows need not tell theirs.
        return [load_many([part]) for part in self._parts]

    @override
    async def take(self, answers: Sequence[Rows]) -> None:
        loader = self._loader
        found: dict[str, object] = {}
        if self._including is not None:
            rows, size = answers
            await loader.catch_up(size)
            found = await loader.take_including(self._including, rows, self._mapping)
        else:
            for (table, _), rows in zip(self._parts, answers, strict=True):
                found |= loader.by_id(rows, table, self._mapping)
        missing = [key for key in self._unknown if key not in found]
        if missing:
            await loader.look_again(missing, tuple(table for table, _ in self._parts), self._mapping, found)
        loads = Loads(self._context)
        self.found = {key: found[key] if key in found else loads.known(key, self._mapping) for key in self._keys}


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
        self._tables = await self._known_tables()
        if not self._tables:
            await database.refresh()
            self._tables = await self._known_tables()
        return [self._make(self._tables), database.system.size()] if self._tables else []

    @override
    async def take(self, answers: Sequence[Rows]) -> None:
        if not self._tables:
            return
        context = self._context
        rows, size = answers
        await self._loader.catch_up(size)
        tables = tuple(dict.fromkeys((*self._tables, *await self._known_tables())))
        if tables != self._tables:
            (rows,) = await context.run(Request([self._make(tables)], may_lag=True))
        for row in rows:
            if row[0] not in context.map.deleted:
                self.found[row[0]] = self._loader.materialise(row, tables[row[5]], self._mapping)

    async def _known_tables(self) -> tuple[TableStatements, ...]:
        database = self._context.database
        catalogue = database.catalogue or await database.refresh()
        return tables_starting_with(self._prefix, catalogue.by_prefix, database.separator)


class LazyConditionalLoad(LazyOperation):
    """A document, unless it has the version that is known.

    Attributes:
        found: The document and its change vector.
    """

    __slots__ = ("_context", "_key", "_loader", "_mapping", "_tables", "_version", "found")

    def __init__(self, context: SessionContext, key: str, version: int, mapping: DocumentMapping[Any] | None) -> None:
        super().__init__()
        self._context = context
        self._loader = Loader(context)
        self._key = key
        self._version = version
        self._mapping = mapping
        self._tables: tuple[TableStatements, ...] = ()
        self.found: ConditionalLoadResult[Any] | None = None

    @override
    async def statements(self) -> list[Statement] | None:
        self.found = Loads(self._context).known_result(self._key, self._mapping)
        if self.found is not None:
            return None
        database = self._context.database
        self._tables = await database.tables_for(prefix_of(self._key, database.separator), self._mapping)
        return changed_in(self._tables, self._key, self._version)

    @override
    async def take(self, answers: Sequence[Rows]) -> None:
        if self.found is None:
            found = await self._loader.take_changed(self._key, self._version, self._mapping, self._tables, answers)
            self.found = Loads(self._context).result_of(found, self._key, self._version, self._mapping)


def lazy_load(
    context: SessionContext,
    keys: Iterable[object],
    object_type: type[Any] | None,
    includes: Sequence[IncludePath] = (),
) -> LazyLoad:
    """Return documents that wait to be loaded."""
    Loads(context).check_includes(includes)
    return LazyLoad(context, check_keys(keys), context.mapping_for(object_type), includes)


def lazy_conditional_load(
    context: SessionContext, key: str, change_vector: str | None, object_type: type[Any] | None
) -> LazyConditionalLoad:
    """Return a document that waits to be loaded, unless it has the change vector that is known."""
    checked = check_id(key)
    version = version_that_is_known(checked, change_vector)
    return LazyConditionalLoad(context, checked, version, context.mapping_for(object_type))


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
