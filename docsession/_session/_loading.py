"""Reading documents into a session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from docsession._documents._ids import check_id, prefix_of
from docsession._documents._mapping import DocumentMapping
from docsession._documents._polymorphism import became_another
from docsession._errors import InvalidArgumentTypeException
from docsession._port import Request, Row, Statement
from docsession._session._cache import Kept
from docsession._session._catalogue import Catalogue
from docsession._session._entities import entities_of
from docsession._session._including import IncludePath, Including
from docsession._session._reading import Reader, decode_document, strings_at
from docsession._session._tracked import Tracked
from docsession._sql._load import Include, load_many, load_starting_with, load_with_includes
from docsession._sql._tables import TableStatements


@dataclass(frozen=True, slots=True)
class IncludingLoad:
    """A load that brings along what the documents refer to, about to be sent.

    Attributes:
        statement: The statement.
        tables: Where its rows come from, by their position.
        count: How many of the tables hold what is loaded.
        includes: What is to come along.
        asked: The same, as the statement asks for it.
        known: What the store keeps of the documents.
        decoded: Those of *known* that are loaded, decoded.
    """

    statement: Statement
    tables: Sequence[TableStatements]
    count: int
    includes: Sequence[IncludePath]
    asked: Sequence[Include]
    known: Kept
    decoded: Mapping[str, object]


class Loader(Reader):
    """Brings documents from the database into the identity map of one session."""

    __slots__ = ()

    async def fetch(
        self, keys: Sequence[str], mapping: DocumentMapping[Any] | None, includes: Sequence[IncludePath] = ()
    ) -> dict[str, object]:
        """Load the documents *keys*, none of which the session knows, and those that they refer to.

        Returns:
            The entities of those that exist, by id.
        """
        return await self._context.database.up_to_date(lambda: self._fetch(keys, mapping, includes))

    async def _fetch(
        self, keys: Sequence[str], mapping: DocumentMapping[Any] | None, includes: Sequence[IncludePath]
    ) -> dict[str, object]:
        context = self._context
        found: dict[str, object] = {}
        parts = await self.parts_of(keys, mapping)
        if not parts:
            # The catalogue was asked, and knows no table for any of them: that was the request.
            context.requests.count(context.operation)
        elif includes:
            load = await self.plan_including(list(parts.items()), includes)
            found = await self.take_including(load, await self.request_and_catch_up(load.statement), mapping)
        elif len(parts) == 1:
            ((table, wanted),) = parts.items()
            rows = await (self.read_one(table, wanted[0]) if len(wanted) == 1 else self.read_many([(table, wanted)]))
            found = self.by_id(rows, table, mapping)
        else:
            tables = tuple(parts)
            for row in await self.read_many(list(parts.items())):
                found[row[0]] = self.materialise(row, tables[row[5]], mapping)
        if len(found) < len(keys):
            await self.look_again([key for key in keys if key not in found], tuple(parts), mapping, found)
        return found

    async def parts_of(
        self, keys: Sequence[str], mapping: DocumentMapping[Any] | None
    ) -> dict[TableStatements, list[str]]:
        """Return the tables in which *keys* may lie, each with those that may lie there."""
        database = self._context.database
        separator = database.separator
        by_prefix: dict[str, list[str]] = {}
        for key in keys:
            prefix, found, _ = key.partition(separator)
            by_prefix.setdefault(prefix if found else "", []).append(key)
        parts: dict[TableStatements, list[str]] = {}
        for prefix, tables in (await database.places_of(by_prefix, mapping)).items():
            for table in tables:
                parts.setdefault(table, []).extend(by_prefix[prefix])
        return parts

    async def look_again(
        self,
        keys: Sequence[str],
        asked: tuple[TableStatements, ...],
        mapping: DocumentMapping[Any] | None,
        found: dict[str, object],
    ) -> None:
        """Remember what is missing; where another process may have put it into a new table, look there first."""
        context = self._context
        own = None if mapping is None else mapping.collection
        separator = context.database.separator
        known = context.database.catalogue
        pairs = known.pairs if known is not None else frozenset()
        doubtful = [key for key in keys if (prefix_of(key, separator), own) not in pairs]
        if asked and doubtful:
            catalogue = await context.database.refresh()
            parts: dict[TableStatements, list[str]] = {}
            for key in doubtful:
                for table in catalogue.tables_of(prefix_of(key, separator), mapping):
                    if table not in asked:
                        parts.setdefault(table, []).append(key)
            if parts:
                statements = [load_many([part]) for part in parts.items()]
                answers = await context.run(Request(statements, may_lag=True))
                for table, rows in zip(parts, answers, strict=True):
                    found.update(self.by_id(rows, table, mapping))
        if not context.no_tracking:
            context.map.missing.update(key for key in keys if key not in found)

    def materialise(self, row: Row, table: TableStatements, mapping: DocumentMapping[Any] | None) -> object:
        """Return the entity of a row: the tracked one, or a new one that is tracked from now on.

        Raises:
            DocumentMismatchException: The document does not fit the class.
        """
        return self.materialise_all((row,), table, mapping)[0]

    def materialise_all(
        self, rows: Sequence[Row], table: TableStatements, mapping: DocumentMapping[Any] | None, *, track: bool = True
    ) -> list[object]:
        """Return the entity of each row of a table, in the same order, likewise; new ones if not *track*."""
        return entities_of(self._context, rows, table, mapping, track=track and not self._context.no_tracking)

    def by_id(
        self, rows: Sequence[Row], table: TableStatements, mapping: DocumentMapping[Any] | None
    ) -> dict[str, object]:
        """Return the entities of rows of a table by id."""
        return dict(zip([row[0] for row in rows], self.materialise_all(rows, table, mapping), strict=True))

    def read(self, row: Row, table: TableStatements, mapping: DocumentMapping[Any] | None) -> object:
        """Return the entity of a row, which is a new one and is not tracked."""
        return self.materialise_all((row,), table, mapping, track=False)[0]

    def as_of_entity(self, tracked: Tracked, data: bytes, stored: bytes | None) -> tuple[bytes, bytes | None]:
        """Return the columns of a tracked document, read anew, brought up to date.

        Raises:
            DocumentMismatchException: It has become a document of another class meanwhile.
        """
        mapping = tracked.mapping
        if mapping.entity_class is dict:
            return data, stored
        actual, data, stored = self._context.mappings.of_document(mapping, tracked.id, data, stored)
        if actual is not mapping:
            raise became_another(tracked.id, mapping.entity_class, actual.entity_class)
        return data, stored

    async def plan_including(
        self, parts: list[tuple[TableStatements, list[str]]], includes: Sequence[IncludePath]
    ) -> IncludingLoad:
        """Return a load that brings along what the documents refer to, about to be sent."""
        asked = await Including(self._context).resolve(includes, tuple(table for table, _ in parts))
        known, decoded = self.expected(parts, asked)
        tracked = list(self._context.map.by_id)
        statement, tables = load_with_includes(parts, asked, self._context.database.separator, tracked, known)
        return IncludingLoad(statement, tables, len(parts), includes, asked, known, decoded)

    async def take_including(
        self, load: IncludingLoad, sent: Sequence[Row], mapping: DocumentMapping[Any] | None
    ) -> dict[str, object]:
        """Return the entities of an answer by id, and keep what they refer to."""
        including = Including(self._context)
        found: dict[str, object] = {}
        referred: list[dict[str, None]] = [{} for _ in load.includes]
        arrived = []
        for row in self.complete(sent, load.tables, load.known):
            if row[5] < load.count:
                kept = load.known.get(row[0])
                is_decoded = kept is not None and row[1] is kept[1] and row[0] in load.decoded
                document = load.decoded[row[0]] if is_decoded else decode_document(row[1][1:])
                for ids, include in zip(referred, load.includes, strict=True):
                    ids.update(dict.fromkeys(strings_at(document, include.path)))
                found[row[0]] = self.materialise(row, load.tables[row[5]], mapping)
            else:
                arrived.append((row, load.tables[row[5]]))
        including.remember(arrived)
        await including.follow(tuple(load.tables[: load.count]), load.includes, load.asked, referred)
        return found

    async def fetch_changed(
        self, key: str, version: int, mapping: DocumentMapping[Any] | None
    ) -> tuple[Row, TableStatements] | None:
        """Return the row of a document, without the document where it has *version*, and its table."""
        context = self._context
        tables = await context.database.tables_for(prefix_of(key, context.database.separator), mapping)
        if not tables:
            context.requests.count(context.operation)
            return None
        # What is older than *version* is no change.
        answers = await self.request(changed_in(tables, key, version), may_lag=False)
        return await self.take_changed(key, version, mapping, tables, answers)

    async def take_changed(
        self,
        key: str,
        version: int,
        mapping: DocumentMapping[Any] | None,
        tables: Sequence[TableStatements],
        answers: Sequence[Sequence[Row]],
    ) -> tuple[Row, TableStatements] | None:
        """Return what `changed_in` has found in *tables*; where it is nothing, tables that are new are asked, too."""
        context = self._context
        found = _first(tables, answers)
        if found is None:
            later = (await context.database.refresh()).tables_of(prefix_of(key, context.database.separator), mapping)
            if later := tuple(table for table in later if table not in tables):
                found = _first(later, await context.run(Request(changed_in(later, key, version))))
        return found

    async def starting_with(
        self,
        prefix: str,
        mapping: DocumentMapping[Any] | None,
        *,
        matches: str | None,
        exclude: str | None,
        start: int,
        page_size: int | None,
        start_after: str | None,
    ) -> list[object]:
        """Load the documents whose id begins with *prefix*, in the order of their ids; one request."""
        context = self._context
        database = context.database

        def among(tables: Sequence[TableStatements], known: Kept = MappingProxyType({})) -> Statement:
            return load_starting_with(
                tables,
                prefix,
                matches=matches,
                exclude=exclude,
                start=start,
                page_size=page_size,
                start_after=start_after,
                known=known,
            )

        def tables_of(catalogue: Catalogue) -> tuple[TableStatements, ...]:
            return tables_starting_with(prefix, catalogue.by_prefix, database.separator)

        async def ask() -> list[object]:
            tables = tables_of(database.catalogue or await database.refresh()) or tables_of(await database.refresh())
            if not tables:
                context.requests.count(context.operation)
                return []
            plain = among(tables)
            known = self.expected_page(plain, tables)
            sent = await self.request_and_catch_up(among(tables, known) if known else plain)
            later = tables if database.catalogue is None else tables_of(database.catalogue)
            later = tuple(dict.fromkeys((*tables, *later)))
            if later == tables:
                rows = self.complete_page(plain, sent, tables, known)
            else:
                tables = later
                (rows,) = await context.run(Request([among(tables)], may_lag=True))
            return [self.materialise(row, tables[row[5]], mapping) for row in rows if row[0] not in context.map.deleted]

        return await database.up_to_date(ask)


def changed_in(tables: Iterable[TableStatements], key: str, version: int) -> list[Statement]:
    """Return the statements that look for a document, and leave out its data where it has *version*."""
    return [Statement(table.load_changed, (key, version)) for table in tables]


def _first(tables: Sequence[TableStatements], answers: Sequence[Sequence[Row]]) -> tuple[Row, TableStatements] | None:
    return next(((row, table) for table, rows in zip(tables, answers, strict=True) for row in rows), None)


def parse_path(path: str) -> tuple[str, ...]:
    """Return the keys of a path as RavenDB writes it: `lines[].product` or `lines.product`."""
    return tuple(part.removesuffix("[]") for part in path.split("."))


def tables_starting_with(
    start: str, by_prefix: Mapping[str, tuple[TableStatements, ...]], separator: str
) -> tuple[TableStatements, ...]:
    """Return the tables in which there may be ids that begin with *start*."""
    wanted = prefix_of(start, separator)
    tables: dict[TableStatements, None] = {}
    for prefix, found in by_prefix.items():
        complete = prefix + separator if prefix else ""
        if prefix == wanted if wanted else complete.startswith(start) or not prefix:
            tables.update(dict.fromkeys(found))
    return tuple(tables)


def check_keys(keys: Iterable[object]) -> list[str]:
    """Return the ids to load, each once, blanks left out.

    Raises:
        InvalidArgumentTypeException: One is not a str.
        InvalidArgumentException: One cannot be an id.
    """
    given: object = keys
    if not isinstance(given, Iterable):
        raise InvalidArgumentTypeException(f"load() takes an id or several, not {type(given).__qualname__}")
    checked: dict[str, None] = {}
    for key in keys:
        if type(key) is str and len(key) < 256 and key.isascii() and key.isprintable() and key.strip():
            checked[key] = None  # what `check_id` would say of nearly every id
        elif key is not None and not (isinstance(key, str) and not key.strip()):
            checked[check_id(key)] = None
    return list(checked)
