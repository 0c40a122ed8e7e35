"""Bringing along what documents refer to, in the request that finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from docsession._documents._ids import prefix_of
from docsession._documents._mapping import DocumentMapping
from docsession._port import Request, Row, Statement
from docsession._session._reading import Reader, decode_document, strings_at
from docsession._sql._load import Include, load_many
from docsession._sql._tables import TableStatements

Arrived: TypeAlias = list[tuple[Row, TableStatements]]
"""Rows of documents that came along, each with its table."""

CompileIncluding: TypeAlias = Callable[[Sequence[Include], list[str]], tuple[Statement, list[TableStatements]]]
"""Returns the statement of a query for the includes and the ids that need not come, and its tables."""


class IncludePath:
    """One path of an include.

    Attributes:
        path: JSON keys; lists on the way stand for their items.
        mapping: The class of the documents it names, where the user said so.
    """

    __slots__ = ("mapping", "path")

    def __init__(self, path: tuple[str, ...], mapping: DocumentMapping[Any] | None) -> None:
        self.path = path
        self.mapping = mapping


class IncludingQuery:
    """A query that brings along what its documents refer to, about to be sent.

    Attributes:
        statement: The statement.
        table: Where the query looks.
        includes: What is to come along.
        asked: The same, as the statement asks for it.
        tables: Where the rows of the statement come from, by their position.
        first: With how many of the documents; None: all.
    """

    __slots__ = ("asked", "first", "includes", "statement", "table", "tables")

    def __init__(
        self,
        compile_: CompileIncluding,
        table: TableStatements,
        includes: Sequence[IncludePath],
        asked: Sequence[Include],
        tracked: list[str],
        first: int | None,
    ) -> None:
        self.statement, self.tables = compile_(asked, tracked)
        self.table = table
        self.includes = includes
        self.asked = asked
        self.first = first


class Including(Reader):
    """Reads what documents refer to, for one session."""

    __slots__ = ()

    async def prepare(
        self,
        compile_: CompileIncluding,
        table: TableStatements,
        includes: Sequence[IncludePath],
        first: int | None,
        *,
        kept: bool = True,
        everywhere: bool = False,
    ) -> IncludingQuery:
        """Return a query that is about to be sent.

        Args:
            compile_: Makes the statement.
            table: Where it looks.
            includes: What is to come along.
            first: With how many of the documents; None: all.
            kept: False: it comes along whatever the session knows of it.
            everywhere: True: it is looked for in more tables than those to which its path has led.
        """
        asked = await self.resolve(includes, (table,), everywhere=everywhere)
        return IncludingQuery(compile_, table, includes, asked, list(self._context.map.by_id) if kept else [], first)

    async def keep(self, query: IncludingQuery, rows: Iterable[Row]) -> list[Row]:
        """Keep what the documents of an answer refer to.

        Returns:
            The rows of the query, with its further columns behind those of a load.
        """
        found, arrived = _told_apart(rows, query.tables)
        self.remember(arrived)
        referred = _referred(found[: query.first], query.includes)
        await self.follow((query.table,), query.includes, query.asked, referred)
        return found

    async def tell_apart(self, query: IncludingQuery, rows: Iterable[Row]) -> tuple[list[Row], Arrived]:
        """Return the rows of the query, and of what they refer to, without keeping anything in the session.

        The documents are looked into only where it is not said of which class those are that they refer to.
        """
        database = self._context.database
        includes, asked = query.includes, query.asked
        found, arrived = _told_apart(rows, query.tables)
        now = await self.resolve(includes, (query.table,))
        doubtful = [
            number
            for number, include in enumerate(includes)
            if include.mapping is None or now[number].tables != asked[number].tables
        ]
        late: dict[TableStatements, dict[str, None]] = {}
        referred = _referred(found[: query.first], [includes[number] for number in doubtful])
        catalogue = database.catalogue or await database.refresh()
        for number, ids in zip(doubtful, referred, strict=True):
            self._learn((query.table,), includes[number], ids)
            for key in ids:
                prefix = prefix_of(key, database.separator)
                for each in catalogue.tables_of(prefix, includes[number].mapping):
                    if not asked[number].covers(each, prefix):
                        late.setdefault(each, {})[key] = None
        return found, [*arrived, *await self._load({each: list(keys) for each, keys in late.items()})]

    async def is_outdated(self, query: IncludingQuery) -> bool:
        """Return True where what was to be looked for everywhere may be in tables that were not known then."""
        now = await self.resolve(query.includes, (query.table,), everywhere=True)
        return now != query.asked

    async def resolve(
        self, includes: Iterable[IncludePath], sources: tuple[TableStatements, ...], *, everywhere: bool = False
    ) -> list[Include]:
        """Decide in which tables the documents lie that includes name."""
        database = self._context.database
        catalogue = database.catalogue or await database.refresh()
        resolved = []
        for include in includes:
            if include.mapping is not None:
                table = catalogue.by_collection.get(include.mapping.collection)
                resolved.append(Include(include.path, () if table is None else (table,)))
                continue
            prefixes = None if everywhere else database.seen_prefixes.get((sources, include.path))
            by_table: dict[TableStatements, list[str]] = {}
            for prefix, tables in catalogue.by_prefix.items():
                if prefixes is None or prefix in prefixes:
                    for table in tables:
                        by_table.setdefault(table, []).append(prefix)
            filters = tuple(tuple(sorted(names)) for names in by_table.values()) if len(by_table) > 1 else ()
            resolved.append(Include(include.path, tuple(by_table), filters))
        return resolved

    def remember(self, arrived: Iterable[tuple[Row, TableStatements]]) -> None:
        """Keep rows for when they are asked for."""
        known = self._context.map
        for row, table in arrived:
            if not known.knows(row[0]):
                known.included[row[0]] = (row, table)

    async def follow(
        self,
        sources: tuple[TableStatements, ...],
        includes: Sequence[IncludePath],
        asked: Sequence[Include],
        referred: Sequence[Mapping[str, None]],
    ) -> None:
        """Learn where a path leads, load what lies where it never led before, remember what is missing."""
        context = self._context
        database = context.database
        catalogue = database.catalogue or await database.refresh()
        late: dict[TableStatements, list[str]] = {}
        absent = []
        for include, target, ids in zip(includes, asked, referred, strict=True):
            self._learn(sources, include, ids)
            for key in ids:
                if context.map.knows(key):
                    continue
                prefix = prefix_of(key, database.separator)
                tables = catalogue.tables_of(prefix, include.mapping)
                unasked = [table for table in tables if not target.covers(table, prefix)]
                for table in unasked:
                    late.setdefault(table, []).append(key)
                if tables and not unasked:
                    absent.append(key)
        context.map.missing.update(absent)
        if late:
            arrived = await self._load(late)
            self.remember(arrived)
            present = {row[0] for row, _ in arrived}
            context.map.missing.update(key for keys in late.values() for key in keys if key not in present)

    def _learn(self, sources: tuple[TableStatements, ...], include: IncludePath, ids: Iterable[str]) -> None:
        """Remember to which of the known prefixes a path has led whose class is not said."""
        database = self._context.database
        if include.mapping is None and database.catalogue is not None:
            prefixes = {prefix_of(key, database.separator) for key in ids} & database.catalogue.by_prefix.keys()
            place = (sources, include.path)
            database.seen_prefixes[place] = database.seen_prefixes.get(place, frozenset()) | prefixes

    async def _load(self, late: Mapping[TableStatements, Sequence[str]]) -> Arrived:
        """Load what the statement has not asked for; no request that counts."""
        if not late:
            return []
        (rows,) = await self._context.run(Request([load_many(list(late.items()))], may_lag=True))
        tables = tuple(late)
        return [(row, tables[row[5]] if len(tables) > 1 else tables[0]) for row in rows]


def _told_apart(rows: Iterable[Row], tables: Sequence[TableStatements]) -> tuple[list[Row], Arrived]:
    """Return the rows of a query without the position of their table, and those that came along."""
    found, arrived = [], []
    for row in rows:
        if row[5] == 0:
            found.append((*row[:5], *row[6:]))
        else:
            arrived.append((row, tables[row[5]]))
    return found, arrived


def _referred(rows: Iterable[Row], includes: Sequence[IncludePath]) -> list[dict[str, None]]:
    """Return the ids at each path of documents."""
    referred: list[dict[str, None]] = [{} for _ in includes]
    if includes:
        for row in rows:
            if row[1]:  # an empty page has a row, too, with the total alone
                document = decode_document(row[1][1:])
                for ids, include in zip(referred, includes, strict=True):
                    ids.update(dict.fromkeys(strings_at(document, include.path)))
    return referred
