"""A session on a connection that somebody else owns: what it makes of their commits and rollbacks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import TypeAlias

from typing_extensions import override

from docsession._conventions import DocumentConventions
from docsession._documents._naming import command_line
from docsession._errors import ConnectionLostException, DocSessionError, TableDoesNotExistException, _GuardFailed
from docsession._port import Fate, ForeignExecutor, Place, Request, RequestExecutor, Row, Rows, Statement, Transaction
from docsession._session._conflicts import ConflictFinder
from docsession._session._context import SessionContext
from docsession._session._database import NO_TABLES, Database
from docsession._session._id_sources import TimeOrderedIds
from docsession._session._journal import Entry, Journal
from docsession._session._observing import Observer
from docsession._session._planning import Flush, OutdatedError, UndoneError
from docsession._sql._definitions import Definition
from docsession._sql._flush import Delete, Put
from docsession._sql._joining import status_of
from docsession._sql._tables import TableStatements

Find: TypeAlias = Callable[[Place, RequestExecutor], Awaitable[Database]]
"""Finds what is known of the database at a place of PostgreSQL."""


class Joined:
    """Carries the requests of a session over somebody else's connection, and undoes what they roll back.

    A flush in their transaction counts as saved, on the premise that they commit. Each flush has an entry in
    the session's journal and a premise, in the same order. Where a premise turns out not to hold the
    journal is undone from there on: a rollback takes away what came last.

    Attributes:
        rollbacks: How often something was undone.
    """

    __slots__ = ("_context", "_find", "_foreign", "_is_settled", "rollbacks")

    def __init__(self, context: SessionContext, foreign: ForeignExecutor, find: Find) -> None:
        self._context = context
        self._foreign = foreign
        self._find = find
        self._is_settled = False
        self.rollbacks = 0
        context.joined = self
        context.executor = context.own_executor = self
        context.journal = Journal()

    @property
    def is_settled(self) -> bool:
        """True once it is known which database the connection leads to."""
        return self._is_settled

    async def settle(self) -> None:
        """Find out which database the connection leads to, before the session relies on what is known of it."""
        if not self._is_settled:
            place = await self._foreign.place()
            self._context.database = await self._find(place, self)
            self._is_settled = True

    @property
    def is_pending(self) -> bool:
        """True where something was written in their transaction, and that has not ended."""
        self.review()
        return any(premise.fate is Fate.OPEN for premise in self._foreign.premises)

    # requests

    async def run(self, request: Request) -> list[Rows]:
        """See `Carrier.run`."""
        premises = self._foreign.premises
        before = len(premises)
        try:
            return await self._foreign.run(request)
        except ConnectionLostException:
            await self._ask_elsewhere()
            raise
        finally:
            for premise in premises[before:]:
                premise.mark = self._journal.mark()
            self.review()

    async def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """See `Carrier.stream`."""
        async with aclosing(self._foreign.stream(statement, size)) as rows:
            async for row in rows:
                yield row

    async def run_apart(self, make: Callable[[], Request | None]) -> list[Rows]:
        """See `RequestExecutor.run_apart`: only a `ForeignDatabase` comes here, and there is no other connection.

        Raises:
            UndoneError: An earlier flush was rolled back; that is undone.
        """
        request = make()
        if request is None:
            return []
        try:
            return await self.run(request)
        except _GuardFailed as error:
            raise UndoneError from error.__cause__

    def begin(self, isolation_level: str | None = None) -> Transaction:
        """Refuse, as `ForeignExecutor.begin` does."""
        return self._foreign.begin(isolation_level)

    async def close(self) -> None:
        """Leave the connection to its owner."""

    # what became of the flushes

    def review(self) -> bool:
        """Undo what is known to be rolled back, and forget how to undo what is known to be committed.

        Returns:
            True where something was undone.
        """
        foreign, journal = self._foreign, self._journal
        premises = foreign.premises
        if not journal.entries and not premises:
            return False
        foreign.review()
        undone = next((i for i, premise in enumerate(premises) if premise.fate is Fate.UNDONE), None)
        if undone is not None:
            self.rollbacks += 1
            self._undo_to(premises[undone].mark)
            del premises[undone:]
        while premises and premises[0].fate is Fate.COMMITTED:
            del premises[0]
        settled = premises[0].mark if premises else journal.mark()
        if settled:
            del journal.entries[:settled]
            for premise in premises:
                premise.mark -= settled
        return undone is not None

    async def find_out(self) -> None:
        """Ask the server about flushes that may have been rolled back; those that were are undone."""
        await self._foreign.ask()
        self.review()

    async def confirm(self, flush: Flush | None, rollbacks: int) -> None:
        """See to it that a plan is made on what is true; one with nothing to save asks the server first.

        Args:
            flush: The plan.
            rollbacks: How many were known when it was begun.

        Raises:
            UndoneError: A flush was rolled back, and is undone: there is more to save.
        """
        if flush is None:
            await self.find_out()
        if self.rollbacks != rollbacks:
            raise UndoneError

    async def rolled_back(self) -> None:
        """Look which flushes are still there, because their owner rolled back to a savepoint, and undo the others.

        Versions are unique, so a flush is there exactly where one of its versions is.
        """
        premises, journal = self._foreign.premises, self._journal
        await self.find_out()
        if not premises or not journal.entries:
            return
        ids: dict[TableStatements, list[str]] = {}
        written = {(each.table, each.id) for each in journal.operations()}
        for table, key in written.union(*(entry.renewed for entry in journal.entries)):
            ids.setdefault(table, []).append(key)
        actual = await ConflictFinder(self._context).versions(list(ids.items()))
        kept = next((i for i in reversed(range(journal.mark())) if _is_there(journal.entries[i], actual)), -1)
        self._undo_to(kept + 1)
        premises[:] = [premise for premise in premises if premise.mark <= kept]

    def replans(self, error: Exception) -> bool:
        """Return True where a flush that was refused with *error* is to be planned once more."""
        context = self._context
        if isinstance(error, OutdatedError) and not context.is_of_one_moment:
            # Their transaction sees the catalogue of when it began: then the store's connection is asked.
            context.is_of_one_moment = True
            return True
        return False

    @property
    def _journal(self) -> Journal:
        journal = self._context.journal
        assert journal is not None  # noqa: S101  # made with the session
        return journal

    def _undo_to(self, mark: int) -> None:
        self._journal.undo_to(mark)
        context = self._context
        context.forget_seen()
        if isinstance(context.database, ForeignDatabase):
            context.database.forget()

    async def _ask_elsewhere(self) -> None:
        """The connection broke in a transaction: ask on one of the store's what became of earlier ones."""
        doubtful = [premise for premise in self._foreign.premises if premise.fate is Fate.DOUBTFUL]
        database = self._context.database
        if not doubtful or isinstance(database, ForeignDatabase):
            return
        request = Request([status_of(premise.xid or "") for premise in doubtful])
        with suppress(DocSessionError):
            answers = await database.beside.run_apart("find_outcome", request, again=False)
            for premise, rows in zip(doubtful, answers, strict=True):
                # One that goes on was that of the broken connection.
                premise.fate = Fate.COMMITTED if rows[0][0] in {"committed", None} else Fate.UNDONE


class ForeignDatabase(Database):
    """A database of which the store has no connection of its own, only that of one session.

    Nothing can be kept apart from the transaction there: ids are not numbered but ordered by time, and no
    table is made. It belongs to the session, since it knows what may never be committed.
    """

    def __init__(
        self,
        name: str,
        executor: RequestExecutor,
        conventions: DocumentConventions,
        observe: Callable[[], Observer | None],
    ) -> None:
        super().__init__(name, executor, conventions, observe=observe)
        self.shapes = None
        self.ids = TimeOrderedIds(self.separator)

    @override
    async def make_system_tables(self, error: TableDoesNotExistException | None) -> None:
        raise self._elsewhere(()) from error

    @override
    async def _create(self, tables: Mapping[str, str] = NO_TABLES, definitions: Sequence[Definition] = ()) -> None:
        raise self._elsewhere(tuple(tables.values()))

    def _elsewhere(self, tables: Sequence[str]) -> TableDoesNotExistException:
        lacking = f"the tables {', '.join(map(repr, tables))}" if tables else "its system tables"
        return TableDoesNotExistException(
            f"the database {self.name!r} lacks {lacking} where the session's connection leads, which is not where the "
            f"store's own leads, so none are made; nothing was written. Run `{command_line('upgrade', self.name)}` "
            "with the URL of that server, or open the session from a store with that URL"
        )


def _is_there(entry: Entry, actual: dict[tuple[TableStatements, str], int]) -> bool:
    """Return True where *actual* versions show what a flush did."""
    versions = {(each.table, each.id): each.version for each in entry.operations if isinstance(each, Put)}
    versions |= entry.renewed
    if versions:
        return any(actual.get(place) == version for place, version in versions.items())
    deletes = [each for each in entry.operations if isinstance(each, Delete)]
    return bool(deletes) and not any((each.table, each.id) in actual for each in deletes)
