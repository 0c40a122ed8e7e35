"""One database of a store: its catalogue of collections, its tables and its id ranges.

What is kept here is shared by every session of the database. Everything is replaced as a whole, never
changed in place, so that threads need no lock to read it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, TypeVar

from docsession._conventions import DocumentConventions
from docsession._documents._ids import HiLoGenerator
from docsession._documents._mapping import DocumentMapping
from docsession._documents._naming import check_database, command_line, table_of_collection
from docsession._errors import (
    DatabaseDoesNotExistException,
    InvalidArgumentException,
    PermissionDeniedException,
    RavenException,
    TableDoesNotExistException,
)
from docsession._port import Request, RequestExecutor, Statement
from docsession._query._access import Extension
from docsession._query._compile import QueryCompiler
from docsession._session._apart import run_apart
from docsession._session._cache import DocumentCache
from docsession._session._declared import DeclaredIndexes, missing_reference
from docsession._session._query_shapes import QueryShapes
from docsession._session._schema_check import check_schema
from docsession._sql._catalogue import SystemStatements
from docsession._sql._compare_exchange import CompareExchangeStatements
from docsession._sql._definitions import Definition, Kind, create_all
from docsession._sql._flush import Operation
from docsession._sql._objects import extensions_named, found_of, objects_of
from docsession._sql._schema import (
    complete_database_statements,
    create_collection_statements,
    create_database_statements,
)
from docsession._sql._tables import TableStatements

R = TypeVar("R")

_NO_SUCH_COLUMN: Final = "42703"

NO_TABLES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Which tables there are, and in which of them ids of a prefix lie.

    Attributes:
        exists: False where the database has no system tables (yet).
        by_collection: The table of each collection.
        by_prefix: The tables of each prefix; "" is that of ids without a separator.
        pairs: Every (prefix, collection) that is recorded.
    """

    exists: bool = False
    by_collection: dict[str, TableStatements] = field(default_factory=dict)
    by_prefix: dict[str, tuple[TableStatements, ...]] = field(default_factory=dict)
    pairs: frozenset[tuple[str, str]] = frozenset()

    def tables_of(self, prefix: str, mapping: DocumentMapping[Any] | None) -> tuple[TableStatements, ...]:
        """Return where documents with ids of *prefix* may lie, that of the class they are asked as among them."""
        tables = self.by_prefix.get(prefix, ())
        own = self.by_collection.get(mapping.collection) if mapping is not None else None
        return tables if own is None or own in tables else (*tables, own)


class Database:
    """The shared state of one database.

    Attributes:
        name: The schema's name.
        cache: What the store keeps of the documents that were read, of all its databases; None: nothing.
        catalogue: What is known of it; None before the first use.
        request_timeout: How long the server may work on a statement of a session; None is the convention's.
        seen_prefixes: For (tables, path) of an include without a collection, the prefixes of the ids
            that documents were seen to hold there.
        compilers: For (table, class) what compiles queries.
        columns: The promoted columns that tables are known to have.
        extensions: The extensions that queries have asked for.
        declared: The indexes that are declared.
        shapes: What queries look like; None: nobody counts.
    """

    def __init__(
        self,
        name: str,
        executor: RequestExecutor,
        conventions: DocumentConventions,
        cache: DocumentCache | None = None,
    ) -> None:
        self.name = check_database(name)
        self.executor = executor
        self.conventions = conventions
        self.cache = cache
        self.separator = conventions.identity_parts_separator
        self.system = SystemStatements(name)
        self.compare_exchange = CompareExchangeStatements(name)
        self.catalogue: Catalogue | None = None
        self.request_timeout: timedelta | None = None
        self._is_checked = False
        self.seen_prefixes: dict[tuple[tuple[TableStatements, ...], tuple[str, ...]], frozenset[str]] = {}
        self.compilers: dict[tuple[TableStatements, type], QueryCompiler] = {}
        self.columns: dict[TableStatements, frozenset[tuple[str, str]]] = {}
        self.declared = DeclaredIndexes(conventions)
        self.extensions: dict[str, Extension] = {}
        self.shapes = QueryShapes(name, executor) if conventions.record_query_shapes else None
        self._tables: dict[tuple[str, str], TableStatements] = {}
        self._generators: dict[str, HiLoGenerator] = {}
        self._has_compare_exchange = False

    async def refresh(self) -> Catalogue:
        """Read the catalogue anew; not counted as a request.

        Not on a connection of the pool: a session in a transaction has one, and must never wait for another.

        Raises:
            DatabaseDoesNotExistException: There is none, and `auto_create` is off.
            IncompatibleSchemaException: Its schema is of another generation.
        """
        try:
            rows = await self._read()
        except TableDoesNotExistException as error:
            if not self.conventions.auto_create:
                raise self.missing() from error
            self.catalogue = Catalogue()
            return self.catalogue
        self.catalogue = self._build(rows)
        return self.catalogue

    def know(self, rows: Iterable[Sequence[str]]) -> None:
        """Take *rows*, (prefix, collection, table), for the catalogue of a server that is not asked."""
        self.catalogue = self._build(rows)

    async def _read(self) -> Sequence[Sequence[str]]:
        """Read the catalogue, and the first time the schema's revision along with it."""
        if not self._is_checked:
            with_revision = Request([self.system.read(), self.system.revision()])
            try:
                rows, revisions = await run_apart(self.executor, lambda: with_revision)
            except (TableDoesNotExistException, PermissionDeniedException):
                pass  # the revision may be out of the role's reach, or not recorded; or there is no database
            else:
                check_schema(self.name, revisions)
                self._is_checked = True
                return rows
        (rows,) = await run_apart(self.executor, lambda: Request([self.system.read()]))
        self._is_checked = True
        return rows

    def _build(self, rows: Iterable[Sequence[str]]) -> Catalogue:
        by_collection: dict[str, TableStatements] = {}
        by_prefix: dict[str, tuple[TableStatements, ...]] = {}
        pairs = set()
        for prefix, collection, table in rows:
            known = self._tables.get((collection, table))
            if known is None:
                known = self._tables.setdefault((collection, table), TableStatements(self.name, collection, table))
            by_collection[collection] = known
            by_prefix[prefix] = (*by_prefix.get(prefix, ()), known)
            pairs.add((prefix, collection))
        return Catalogue(True, by_collection, by_prefix, frozenset(pairs))

    def forget(self) -> None:
        """Read the catalogue anew at the next use."""
        self.catalogue = None
        self._has_compare_exchange = False
        self.extensions.clear()
        self.forget_columns()

    def reset(self) -> None:
        """Forget everything: the database was dropped."""
        self.forget()
        self._is_checked = False
        self._generators = {}
        self.seen_prefixes = {}
        if self.shapes is not None:
            self.shapes.renew()
        if self.cache is not None:
            self.cache.forget(list(self._tables.values()))

    async def tables_for(self, prefix: str, mapping: DocumentMapping[Any] | None) -> tuple[TableStatements, ...]:
        """Return where documents with ids of *prefix* may lie; asks the server where none is known."""
        return (await self.places_of((prefix,), mapping))[prefix]

    async def places_of(
        self, prefixes: Iterable[str], mapping: DocumentMapping[Any] | None
    ) -> dict[str, tuple[TableStatements, ...]]:
        """Return for each prefix where its documents may lie; asks the server, once, where one is not known."""
        catalogue, is_fresh = self.catalogue, False
        places = {}
        for prefix in prefixes:
            tables = catalogue.tables_of(prefix, mapping) if catalogue is not None else ()
            if not tables and not is_fresh:
                catalogue, is_fresh = await self.refresh(), True
                tables = catalogue.tables_of(prefix, mapping)
            places[prefix] = tables
        return places

    async def has_changed(self, known: Catalogue | None) -> bool:
        """Read the catalogue anew, and return True where it is not what *known* says."""
        fresh = await self.refresh()
        return known is None or fresh.pairs != known.pairs

    async def up_to_date(self, ask: Callable[[], Awaitable[R]]) -> R:
        """Await `ask()`, and once more where it meets a table that somebody dropped since the catalogue was read."""
        known = self.catalogue
        try:
            return await ask()
        except TableDoesNotExistException:
            if not await self.has_changed(known):
                raise
        except RavenException as error:
            if error.sqlstate != _NO_SUCH_COLUMN or not any(self.columns.values()):
                raise
            self.forget_columns()
        return await ask()

    async def prepare_writes(
        self, wanted: set[tuple[str, str]], define: Callable[[str, str], Sequence[Definition]]
    ) -> tuple[Catalogue, list[Statement]]:
        """Make sure that there is a table for each (prefix, collection) that is about to be written.

        Args:
            wanted: The prefixes and collections.
            define: Returns, for a collection and its table, the indexes that a new table gets.

        Returns:
            The catalogue as it will be after the flush, and the statements that make it so, which
            the flush sends first. `adopt` keeps it once they have committed.
        """
        catalogue = self.catalogue or await self.refresh()
        if wanted <= catalogue.pairs:
            return catalogue, []
        catalogue = await self.refresh()
        missing = wanted - catalogue.pairs
        tables = {collection: table.table for collection, table in catalogue.by_collection.items()}
        new = sorted({collection for _, collection in missing} - tables.keys())
        owners = {table: collection for collection, table in tables.items()}
        for collection in new:
            tables[collection] = table = table_of_collection(collection)
            owner = owners.setdefault(table, collection)
            if owner != collection:
                raise InvalidArgumentException(
                    f"the collections {collection!r:.80} and {owner!r:.80} would share the table {table!r}; "
                    f"name one of them otherwise, with @document(collection=…)"
                )
        if new and self.conventions.auto_create:
            made = {collection: tables[collection] for collection in new}
            await self._create(made, [each for collection in new for each in define(collection, tables[collection])])
        rows = [(prefix, collection, tables[collection]) for prefix, collection in catalogue.pairs]
        added = [(prefix, collection, tables[collection]) for prefix, collection in sorted(missing)]
        return self._build(rows + added), [self.system.record(*row) for row in added]

    async def record(self, catalogue: Catalogue, records: Sequence[Statement]) -> None:
        """Record new pairs at once, in a transaction of their own, as a session in a transaction needs it.

        A rollback would undo them, and until the commit their locks would stop others. A pair whose
        documents are rolled back does no harm: there is one table more to look in.
        """
        await run_apart(self.executor, lambda: Request(records, transaction=True, write=True))
        self.adopt(catalogue)

    def adopt(self, catalogue: Catalogue) -> None:
        """Keep a catalogue that a flush has made true, with what others have found meanwhile."""
        current = self.catalogue
        if current is not None and not current.pairs <= catalogue.pairs:
            rows = {
                (prefix, collection, known.by_collection[collection].table)
                for known in (current, catalogue)
                for prefix, collection in known.pairs
            }
            catalogue = self._build(sorted(rows))
        self.catalogue = catalogue

    async def _create(self, tables: Mapping[str, str] = NO_TABLES, definitions: Sequence[Definition] = ()) -> None:
        """Make the database, where it is missing, and *tables* (by collection), on the connection apart from the pool.

        Inside a session's transaction a rollback would undo them, and their locks would stop others.

        Raises:
            PermissionDeniedException: The role may not; the message names the command for one that may.
        """
        statements = []
        if self.catalogue is None or not self.catalogue.exists:
            statements += create_database_statements(self.name)
        for table in tables.values():
            own = [each for each in definitions if each.table == table]
            made = create_all(own, self.name, await self.schemas_of_extensions(own))
            statements += create_collection_statements(self.name, table, made)
        await self._run_apart(statements, tables)

    async def _run_apart(self, statements: Iterable[str], collections: Iterable[str] = ()) -> None:
        try:
            for sql in statements:
                request = Request([Statement(sql.encode())], write=True)
                await run_apart(self.executor, lambda request=request: request)  # type: ignore[misc]  # bound per turn
        except PermissionDeniedException as error:
            refused = PermissionDeniedException(
                f"the role of the URL may make no tables in the database {self.name!r}; nothing was written. Run "
                f"`{command_line('upgrade', self.name, collections)}` as a role that may, or grant this one CREATE "
                f"({error})"
            )
            refused.sqlstate = error.sqlstate
            raise refused from error.__cause__
        except TableDoesNotExistException as error:
            raise missing_reference(error) from error.__cause__

    async def schemas_of_extensions(self, definitions: Iterable[Definition]) -> dict[str, str]:
        """Return in which schema each extension is that definitions need.

        Raises:
            RavenException: One is not installed.
        """
        wanted = {name: each for each in definitions for name in each.extensions}
        if not wanted:
            return {}
        (rows,) = await run_apart(self.executor, lambda: Request([extensions_named(wanted)]))
        found = {row[0]: row[1] for row in rows}
        for name, definition in wanted.items():
            if name not in found:
                raise RavenException(
                    f"the index {definition.name!r} of {definition.table!r} needs PostgreSQL's extension {name!r}, "
                    f"which is not installed: run `CREATE EXTENSION {name}` as a role that may"
                )
        return found

    async def find_extension(self, name: str) -> None:
        """Find out where an extension is, and which version; not counted as a request.

        Raises:
            RavenException: It is not installed.
        """
        (rows,) = await run_apart(self.executor, lambda: Request([extensions_named([name])]))
        if not rows:
            raise RavenException(
                f"the query needs PostgreSQL's extension {name!r}, which is not installed: run "
                f"`CREATE EXTENSION {name}` as a role that may"
            )
        _, schema, version = rows[0]
        self.extensions[name] = Extension.read(schema, version)

    async def columns_of(self, table: TableStatements) -> frozenset[tuple[str, str]]:
        """Return the promoted columns that a table has, each with the digest of its definition; asked once."""
        known = self.columns.get(table)
        if known is None:
            (rows,) = await run_apart(self.executor, lambda: Request([objects_of(self.name, [table.table])]))
            found = found_of(rows)
            known = frozenset((each.name, each.digest) for each in found if each.kind is Kind.COLUMN and each.digest)
            self.columns[table] = known
        return known

    def forget_columns(self) -> None:
        """Look anew which promoted columns there are: some were made, or dropped."""
        self.columns = {}
        self.compilers = {}

    async def has_compare_exchange(self, *, make: bool = False) -> bool:
        """Return True where there is a table of compare-exchange values; *make* makes it where it is missing.

        Asked beforehand, because a request that fails would end the transaction that it is a part of.

        Raises:
            DatabaseDoesNotExistException: There is none, and `auto_create` is off, or it cannot be made.
        """
        if not self._has_compare_exchange:
            there = await self._look_for_compare_exchange()
            if not there and (make or not self.conventions.auto_create):
                await self.make_system_tables(None)
                there = await self._look_for_compare_exchange()
                if not there:
                    raise self.missing()
            self._has_compare_exchange = there
        return self._has_compare_exchange

    async def among_values(self, ask: Callable[[], Awaitable[R]], *, make: bool = False) -> R | None:
        """Await `ask()` where there is a table of compare-exchange values, and once more where somebody dropped it.

        Returns:
            What it returned; None where there is no table.
        """
        for is_last in (False, True):
            if not await self.has_compare_exchange(make=make):
                return None
            try:
                return await ask()
            except TableDoesNotExistException:
                self.forget()
                if is_last:
                    raise
        raise AssertionError  # the last try returns or raises

    async def _look_for_compare_exchange(self) -> bool:
        (((there,),),) = await run_apart(self.executor, lambda: Request([self.compare_exchange.is_there()]))
        return bool(there)

    async def make_system_tables(self, error: TableDoesNotExistException | None) -> None:
        """Make the system tables for lack of which *error* came: there is no database, or an older docsession made it.

        Raises:
            DatabaseDoesNotExistException: `auto_create` is off.
        """
        if not self.conventions.auto_create:
            raise self.missing() from error
        await self.refresh()
        await self._create()
        await self._run_apart(complete_database_statements(self.name))

    async def create(self) -> None:
        """Make the database with its system tables, where it is missing."""
        self.forget()
        await self._create()
        await self.refresh()

    def spare_id(self, mapping: DocumentMapping[Any]) -> str | None:
        """Return a new id of the range at hand, None where a range has to be taken first."""
        generator = self._generators.get(mapping.collection)
        return None if generator is None else generator.next_id()

    async def next_id(self, mapping: DocumentMapping[Any]) -> str:
        """Return a new id of a numbered range; asks the server when the range is used up."""
        generator = self._generators.get(mapping.collection)
        if generator is None:
            made = HiLoGenerator(mapping.id_prefix, self.separator, self.conventions.node_tag)
            generator = self._generators.setdefault(mapping.collection, made)
        key = generator.next_id()
        while key is None:
            key = await self._take_range(mapping.collection, generator)
        return key

    async def _take_range(self, collection: str, generator: HiLoGenerator) -> str | None:
        taken: list[str] = []
        size = 0

        def unless_somebody_did() -> Request | None:
            # Called when nobody else is taking a range, so that those who waited share the last one.
            nonlocal size
            key = generator.next_id()
            if key is not None:
                taken.append(key)
                return None
            size = generator.wanted()
            return Request([self.system.take_range(collection, size)], write=True)

        try:
            answer = await run_apart(self.executor, unless_somebody_did)
        except TableDoesNotExistException as error:
            if not self.conventions.auto_create:
                raise self.missing() from error
            await self.refresh()
            await self._create()
            return None
        if taken:
            return taken[0]
        high = answer[0][0][0]
        generator.add_range(high - size + 1, high)
        return None

    async def give_back_ranges(self) -> None:
        """Give back the numbers that nobody used, where no other process has taken a later range."""
        for collection, generator in self._generators.items():
            unused = generator.unused()
            if unused is not None:
                back = self.system.give_back_range(collection, unused.low - 1, unused.high)
                request = Request([back], write=True)
                await self.executor.run_apart(lambda request=request: request)  # type: ignore[misc]  # bound per turn

    def missing(self) -> DatabaseDoesNotExistException:
        """Return the error for a database that is missing, or lacks a system table."""
        return DatabaseDoesNotExistException(
            f"the database {self.name!r} does not exist on this server, or its system tables are missing; "
            f"run `{command_line('upgrade', self.name)}`, or turn the convention auto_create on"
        )

    def missing_tables(self, operations: Iterable[Operation]) -> TableDoesNotExistException:
        """Return the error for a flush of *operations* one of whose tables is missing."""
        collections = sorted({each.table.collection for each in operations if each.table is not self.compare_exchange})
        lacking = f"a table of {', '.join(map(repr, collections))}" if collections else "its system tables"
        return TableDoesNotExistException(
            f"the database {self.name!r} lacks {lacking}; nothing was written. "
            f"Run `{command_line('upgrade', self.name, collections)}`, or turn the convention auto_create on"
        )
