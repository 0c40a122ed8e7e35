"""Making what is declared for tables that are there already, without keeping anybody out for long."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from docsession._documents._mapping import DocumentMapping, Mappings
from docsession._errors import (
    ConnectionLostException,
    DocSessionError,
    ForeignKeyViolation,
    IndexedValueTooLongException,
    InvalidArgumentException,
    InvalidOperationException,
    RavenException,
    RequestTimeoutException,
    UniqueConstraintViolation,
    UnknownOutcomeException,
)
from docsession._held import pids_of_caller
from docsession._port import Request, RequestExecutor, Rows, Settings, Statement
from docsession._session._database import Database
from docsession._session._declared import refused_declaration
from docsession._session._making import schemas_of_extensions
from docsession._sql._definitions import Definition, Kind, create_columns
from docsession._sql._objects import (
    Found,
    analyze,
    equal_stored_documents,
    found_of,
    long_stored_document,
    objects_of,
    transactions_in_the_way,
    unreferred_stored_documents,
)
from docsession._sql._schema import LOCK_WAIT_SECONDS, try_lock_statement
from docsession._sql._tables import TableStatements

_PAUSE: Final = Statement(b"SELECT pg_catalog.pg_sleep(0.05)")
_LOCK_TIMEOUT: Final = (("lock_timeout", "5s"),)
"""For what locks the table against everybody: who waits for a lock makes everybody behind it wait, too."""


CONNECTIONS: Final = 2
"""What an executor needs for it: one holds the lock while the other works."""

_BACKWARDS: Final = (Kind.FOREIGN_KEY, Kind.INDEX, Kind.STATISTICS, Kind.COLUMN)
"""The order in which nothing that is dropped is needed by what is still there."""


class IndexBuilder:
    """Makes the declared indexes, columns and statistics of one database, and drops those that are declared no more.

    Args:
        executor: What carries its requests, with connections of its own: an index may take hours.
        database: The database.
        mappings: The classes that are known.
        method: What it is done for, for those who watch requests.
    """

    def __init__(self, executor: RequestExecutor, database: Database, mappings: Mappings, method: str) -> None:
        self._executor = executor
        self._beside = database.beside.over(executor)
        self._method = method
        self._database = database
        self._mappings = mappings
        # Before there is one that holds the lock, which is the caller's, too, and in nobody's way.
        self._pids = pids_of_caller()

    async def create(self, object_type: type | str | None) -> list[str]:
        """Make what is missing, and make anew what is declared otherwise now; returns the names of what was made.

        Args:
            object_type: The class, or the collection; None: all that are known.
        """
        database = self._database
        catalogue = await database.refresh()
        made: list[str] = []
        wanted = []
        for collection in sorted(self._collections(object_type)):
            table = catalogue.by_collection.get(collection)
            if table is not None:
                declared = database.declared.of_collection(collection, table.table, self._mappings)
                wanted.append((table, declared.definitions))
        if not any(definitions for _, definitions in wanted):
            return made
        async with self._lock():
            for table, definitions in wanted:
                made += await self._make_all(table, definitions)
        if made:
            database.objects.forget_columns()
        return made

    async def drop_undeclared(self, object_type: type | str | None) -> list[str]:
        """Drop what docsession has made and nobody declares any more; returns its names.

        Args:
            object_type: The class, or the collection; None: all that are known.

        Raises:
            InvalidArgumentException: Nothing is known of the collection, so that everything would be dropped.
        """
        database = self._database
        asked = set() if object_type is None else self._collections(object_type)
        known = self._with_declarations()
        wanted = asked or known
        if not wanted <= known:
            raise InvalidArgumentException(
                f"the store knows no class of {object_type!r}, so it cannot tell what is declared: name the class"
            )
        catalogue = await database.refresh()
        tables = [catalogue.by_collection[each] for each in sorted(wanted) if each in catalogue.by_collection]
        dropped: list[str] = []
        async with self._lock():
            for table in tables:
                declared = database.declared.of_collection(table.collection, table.table, self._mappings).definitions
                dropped += await self._drop_all_but(table, declared)
        if dropped:
            database.objects.forget_columns()
        return dropped

    async def _drop_all_but(self, table: TableStatements, declared: Sequence[Definition]) -> list[str]:
        kept = {(each.kind, each.name) for each in declared}
        found = (await self._find(table)).items()
        others = [each for place, each in found if place not in kept and each.digest is not None]
        if others:
            await self._check_free(table)
        others.sort(key=lambda each: (_BACKWARDS.index(each.kind), each.name))
        for each in others:
            definition = Definition(kind=each.kind, name=each.name, table=table.table, body="")
            await self._run_sql([definition.drop(self._database.name, concurrently=True)], _settings_of(definition))
        return [each.name for each in others]

    def _with_declarations(self) -> set[str]:
        """Return the collections of which it is known what is declared for them."""
        database = self._database
        known: list[DocumentMapping[Any]] = database.declared.mappings_with_indexes(self._mappings)
        named = {each for each in database.conventions.indexes if isinstance(each, str)}
        return named | {mapping.collection for mapping in known if mapping.entity_class is not dict}

    def _collections(self, object_type: type | str | None) -> set[str]:
        if isinstance(object_type, str):
            return {object_type}
        if object_type is not None:
            return {self._mappings.for_class(object_type).collection}
        known = self._database.declared.mappings_with_indexes(self._mappings)
        return {mapping.collection for mapping in known}

    async def _make_all(self, table: TableStatements, definitions: Sequence[Definition]) -> list[str]:
        extensions = await schemas_of_extensions(self._database.beside, definitions)
        columns = [each for each in definitions if each.kind is Kind.COLUMN]
        missing = await self._drop_others(table, columns)
        if missing:
            await self._make_marked([create_columns(missing, self._database.name, extensions)], _LOCK_TIMEOUT, missing)
        # What was built on a column that was made anew is gone, so they come later.
        others = await self._drop_others(table, [each for each in definitions if each.kind is not Kind.COLUMN])
        for definition in others:
            await self._make(table, definition, extensions)
        made = [*missing, *others]
        if any(each.wants_analyze for each in made):
            await self._run(analyze(table))
        return [each.name for each in made]

    async def _drop_others(self, table: TableStatements, definitions: Sequence[Definition]) -> list[Definition]:
        """Return what is missing, and drop what is there of the same name, but is made otherwise or half."""
        found = await self._find(table)
        missing = [each for each in definitions if not _is_made(found.get((each.kind, each.name)), each)]
        if missing:
            await self._check_free(table)
        for definition in missing:
            known = found.get((definition.kind, definition.name))
            if known is not None:
                await self._drop(table, definition, known)
        return missing

    async def _check_free(self, table: TableStatements) -> None:
        """Refuse to wait for a transaction of the caller's own, which cannot end meanwhile.

        Raises:
            InvalidOperationException: It has read or written the table, or sees the database as it was.
        """
        if self._pids and await self._run(transactions_in_the_way(table, self._pids)):
            raise InvalidOperationException(
                f"making or dropping indexes of {table.collection!r} waits for every transaction that has used the "
                "table or goes on seeing an earlier state, and one of them, or a stream, is your own, of this very "
                "thread or task, and cannot end meanwhile: commit it, roll it back or leave the stream first. Nothing "
                "was changed"
            )

    async def _find(self, table: TableStatements) -> dict[tuple[Kind, str], Found]:
        rows = await self._run(objects_of(self._database.name, [table.table]))
        return {(each.kind, each.name): each for each in found_of(rows)}

    async def _drop(self, table: TableStatements, definition: Definition, known: Found) -> None:
        if known.digest is None and known.is_valid:
            raise InvalidOperationException(
                f"the table {table.table!r} has {definition.kind.value.lower()} {definition.name!r} already, and "
                "docsession did not make it, or was interrupted before it had marked it as its own: drop it, or give "
                "the declaration another name"
            )
        await self._run_sql([definition.drop(self._database.name, concurrently=True)], _settings_of(definition))

    async def _make(self, table: TableStatements, definition: Definition, extensions: dict[str, str]) -> None:
        schema = self._database.name
        create = definition.create(schema, concurrently=True, extensions=extensions)
        try:
            await self._make_marked(create, _settings_of(definition), [definition])
        except (UniqueConstraintViolation, IndexedValueTooLongException) as error:
            # What was begun would be kept up to date with every write, and be of no use.
            await self._run_sql([definition.drop(schema, concurrently=True)])
            if isinstance(error, UniqueConstraintViolation):
                raise await self._explain_duplicate(table, definition) from error.__cause__
            raise await self._explain_length(table, definition) from error.__cause__
        except ForeignKeyViolation as error:
            await self._run_sql([definition.drop(schema)])
            raise await self._explain_reference(table, definition) from error.__cause__

    async def _make_marked(self, create: Iterable[str], settings: Settings, definitions: Iterable[Definition]) -> None:
        """Make something, and mark it as docsession's own, whatever comes in between: a cancellation, or a handler."""
        marks = [each.comment_on(self._database.name) for each in definitions]
        try:
            await self._run_sql(create, settings)
            await self._run_sql(marks)
        except DocSessionError:
            raise
        except BaseException:
            with suppress(DocSessionError):  # it may not have come so far
                for sql in marks:
                    await self._executor.run(Request([Statement(sql.encode())], write=True))
            raise

    async def _explain_duplicate(self, table: TableStatements, definition: Definition) -> UniqueConstraintViolation:
        rows = await self._run(Statement(equal_stored_documents(table, definition, self._database.name)))
        fields = ", ".join(definition.fields)
        pairs = [(row[0], row[1]) for row in rows]
        told = f", as {pairs[0][0]!r} and {pairs[0][1]!r} have," if pairs else ""
        return UniqueConstraintViolation(
            f"documents of {table.collection!r} have the same ({fields}){told} so that the unique index "
            f"{definition.name!r} cannot be made: change or delete them first",
            definition.name,
            definition.fields,
            pairs,
        )

    async def _explain_reference(self, table: TableStatements, definition: Definition) -> ForeignKeyViolation:
        rows = await self._run(Statement(unreferred_stored_documents(table, definition, self._database.name)))
        ids = [row[0] for row in rows]
        return ForeignKeyViolation(
            f"documents of {table.collection!r} refer in ({', '.join(definition.fields)}) to what is not there, "
            f"{', '.join(map(repr, ids[:3]))} among them, so that the foreign key {definition.name!r} cannot be made: "
            "change or delete them first",
            definition.name,
            definition.fields,
            ids,
        )

    async def _explain_length(self, table: TableStatements, definition: Definition) -> IndexedValueTooLongException:
        ((key, size),) = await self._run(Statement(long_stored_document(table, definition, self._database.name)))
        return IndexedValueTooLongException(
            f"{key!r} has {size} bytes in ({', '.join(definition.fields)}), which is more than the index "
            f"{definition.name!r} of {table.collection!r} can hold: shorten the value, or index other fields",
            definition.name,
            definition.fields,
            key,
        )

    async def _run_sql(self, statements: Iterable[str], settings: Settings = ()) -> None:
        try:
            for sql in statements:
                await self._run(Statement(sql.encode()), settings, write=True)
        except RavenException as error:
            wrong = refused_declaration(error)
            if wrong is None:
                raise
            raise wrong from error.__cause__

    async def _run(self, statement: Statement, settings: Settings = (), *, write: bool = False) -> Rows:
        """Run a statement alone, and outside a transaction, unless it has settings."""
        try:
            (rows,) = await self._beside.run(self._method, Request([statement], write=write, settings=settings))
        except UnknownOutcomeException as error:
            raise ConnectionLostException(
                "the connection to PostgreSQL broke while indexes were made or dropped: call it again, which goes on"
            ) from error
        return rows

    @asynccontextmanager
    async def _lock(self) -> AsyncIterator[None]:
        """Hold the lock of the database, on a connection that does nothing else."""
        give_up = time.monotonic() + LOCK_WAIT_SECONDS
        lock = Request([Statement(try_lock_statement(self._database.name).encode())])
        while True:
            holder = self._executor.begin()
            try:
                (((is_free,),),) = await holder.run(lock)
                if is_free:
                    # Otherwise the question's portal would stay, and its snapshot, for which CONCURRENTLY waits.
                    await holder.savepoint(Request(()))
                    yield
                    return
            finally:
                await holder.rollback()
            if time.monotonic() > give_up:
                raise RequestTimeoutException(
                    f"another process has been changing the schema {self._database.name!r} for {LOCK_WAIT_SECONDS} "
                    "seconds: try again later"
                )
            await self._executor.run(Request([_PAUSE]))


def _is_made(known: Found | None, definition: Definition) -> bool:
    return known is not None and known.is_made_of(definition)


def _settings_of(definition: Definition) -> Settings:
    return () if definition.is_concurrent or definition.kind is Kind.STATISTICS else _LOCK_TIMEOUT
