"""One database of a store: what is known of its tables, and how missing ones are made.

What is kept here is shared by every session of the database. Everything is replaced as a whole, never
changed in place, so that threads need no lock to read it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, TypeVar

from docsession._conventions import DocumentConventions
from docsession._documents._mapping import DocumentMapping
from docsession._documents._naming import check_database, command_line
from docsession._errors import (
    DatabaseDoesNotExistException,
    PermissionDeniedException,
    RavenException,
    TableDoesNotExistException,
)
from docsession._port import Request, RequestExecutor, Statement
from docsession._session._beside import Beside, nobody
from docsession._session._cache import DocumentCache
from docsession._session._catalogue import Catalogue, KnownTables, new_places
from docsession._session._declared import DeclaredIndexes
from docsession._session._id_sources import IdRanges, IdSource
from docsession._session._making import run_statements, statements_for
from docsession._session._observing import Observer
from docsession._session._query_shapes import QueryShapes
from docsession._session._schema_check import check_schema
from docsession._session._server_objects import ServerObjects
from docsession._sql._catalogue import SystemStatements
from docsession._sql._compare_exchange import CompareExchangeStatements
from docsession._sql._definitions import Definition
from docsession._sql._flush import Operation
from docsession._sql._schema import complete_database_statements, create_database_statements
from docsession._sql._tables import TableStatements

R = TypeVar("R")

_NO_SUCH_COLUMN: Final = "42703"

_READ: Final = "read_catalogue"
_NO_REVISION: Final = (TableDoesNotExistException, PermissionDeniedException)

NO_TABLES: Mapping[str, str] = MappingProxyType({})


class Database:
    """The shared state of one database.

    Attributes:
        name: The schema's name.
        executor: What carries the requests of sessions.
        beside: What carries all others.
        cache: What the store keeps of the documents that were read, of all its databases; None: nothing.
        catalogue: What is known of it; None before the first use.
        request_timeout: How long the server may work on a statement of a session; None is the convention's.
        seen_prefixes: For (tables, path) of an include without a collection, the prefixes of the ids
            that documents were seen to hold there.
        has_exchange_table: True where the table of compare-exchange values was seen.
        ids: Where new ids come from.
        objects: What queries rely on.
        declared: The indexes that are declared.
        shapes: What queries look like; None: nobody counts.
    """

    def __init__(
        self,
        name: str,
        executor: RequestExecutor,
        conventions: DocumentConventions,
        cache: DocumentCache | None = None,
        observe: Callable[[], Observer | None] = nobody,
    ) -> None:
        self.name = check_database(name)
        self.executor = executor
        self.beside = Beside(executor, observe)
        self.conventions = conventions
        self.cache = cache
        self.separator = conventions.identity_parts_separator
        self.system = SystemStatements(name)
        self.compare_exchange = CompareExchangeStatements(name)
        self.catalogue: Catalogue | None = None
        self.request_timeout: timedelta | None = None
        self._is_checked = False
        self.seen_prefixes: dict[tuple[tuple[TableStatements, ...], tuple[str, ...]], frozenset[str]] = {}
        self.objects = ServerObjects(name, self.beside)
        self.declared = DeclaredIndexes(conventions)
        self.shapes = QueryShapes(name, self.beside) if conventions.record_query_shapes else None
        self.has_exchange_table = False
        self.ids: IdSource = IdRanges(self.beside, self.system, conventions, self.make_missing)
        self._tables = KnownTables(name)

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
        self.catalogue = self._tables.catalogue_of(rows)
        return self.catalogue

    def move_to(self, executor: RequestExecutor) -> None:
        """Go on with other connections to the same server."""
        self.executor = executor
        self.beside.move_to(executor)

    def know(self, rows: Iterable[Sequence[str]]) -> None:
        """Take *rows*, (prefix, collection, table), for the catalogue of a server that is not asked."""
        self.catalogue = self._tables.catalogue_of(rows)

    async def _read(self) -> Sequence[Sequence[str]]:
        """Read the catalogue, and the first time the schema's revision along with it."""
        if not self._is_checked:
            with_revision = Request([self.system.read(), self.system.revision()])
            try:
                rows, revisions = await self.beside.run_apart(_READ, with_revision, answers=_NO_REVISION)
            except _NO_REVISION:
                pass  # the revision may be out of the role's reach, or not recorded; or there is no database
            else:
                check_schema(self.name, revisions)
                self._is_checked = True
                return rows
        (rows,) = await self.beside.run_apart(
            _READ, Request([self.system.read()]), answers=(TableDoesNotExistException,)
        )
        self._is_checked = True
        return rows

    def forget(self) -> None:
        """Read the catalogue anew at the next use."""
        self.catalogue = None
        self.has_exchange_table = False
        self.objects.forget()

    def reset(self) -> None:
        """Forget everything: the database was dropped."""
        self.forget()
        self._is_checked = False
        self.ids.forget()
        self.seen_prefixes = {}
        if self.shapes is not None:
            self.shapes.renew()
        if self.cache is not None:
            self.cache.forget(self._tables.all())

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
            if error.sqlstate != _NO_SUCH_COLUMN or not self.objects.has_columns:
                raise
            self.objects.forget_columns()
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
        new = new_places(catalogue, wanted)
        if new.tables and self.conventions.auto_create:
            await self._create(new.tables, [each for made in new.tables.items() for each in define(*made)])
        records = [self.system.record(*row) for row in new.rows]
        return self._tables.catalogue_of([*catalogue.rows(), *new.rows]), records

    async def record(self, catalogue: Catalogue, records: Sequence[Statement]) -> None:
        """Record new pairs at once, in a transaction of their own, as a session in a transaction needs it.

        A rollback would undo them, and until the commit their locks would stop others. A pair whose
        documents are rolled back does no harm: there is one table more to look in.
        """
        request = Request(records, transaction=True, write=True)
        await self.beside.run_apart("record_collections", request)
        self.adopt(catalogue)

    def adopt(self, catalogue: Catalogue) -> None:
        """Keep a catalogue that a flush has made true, with what others have found meanwhile."""
        current = self.catalogue
        if current is not None and not current.pairs <= catalogue.pairs:
            catalogue = self._tables.catalogue_of(sorted({*current.rows(), *catalogue.rows()}))
        self.catalogue = catalogue

    async def _create(self, tables: Mapping[str, str] = NO_TABLES, definitions: Sequence[Definition] = ()) -> None:
        """Make the database, where it is missing, and *tables* (by collection), on the connection apart from the pool.

        Inside a session's transaction a rollback would undo them, and their locks would stop others.

        Raises:
            PermissionDeniedException: The role may not; the message names the command for one that may.
        """
        there = self.catalogue is not None and self.catalogue.exists
        statements = [] if there else create_database_statements(self.name)
        statements += await statements_for(self.beside, self.name, tables.values(), definitions)
        await run_statements(self.beside, self.name, statements, tables)

    async def make_missing(self, error: TableDoesNotExistException | None) -> None:
        """Make the database for lack of which *error* came.

        Raises:
            DatabaseDoesNotExistException: `auto_create` is off.
        """
        if not self.conventions.auto_create:
            raise self.missing() from error
        await self.refresh()
        await self._create()

    async def make_system_tables(self, error: TableDoesNotExistException | None) -> None:
        """Make the system tables for lack of which *error* came: there is no database, or an older docsession made it.

        Raises:
            DatabaseDoesNotExistException: `auto_create` is off.
        """
        await self.make_missing(error)
        await run_statements(self.beside, self.name, complete_database_statements(self.name))

    async def create(self) -> None:
        """Make the database with its system tables, where it is missing."""
        self.forget()
        await self._create()
        await self.refresh()

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
