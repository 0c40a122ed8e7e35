"""Saving a session: plan what changed, execute it as one request, apply what came back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from docsession._errors import (
    ConcurrencyException,
    Conflict,
    ConnectionLostException,
    ForeignKeyViolation,
    IndexedValueTooLongException,
    RavenException,
    TableDoesNotExistException,
    UniqueConstraintViolation,
    UnknownOutcomeException,
    _GuardFailed,
)
from docsession._port import Request, Rows
from docsession._session._announcing import Announcer, News
from docsession._session._attempts import Attempt
from docsession._session._cluster import has_values_to_save, unconfirmed
from docsession._session._conflicts import ConflictFinder
from docsession._session._context import SessionContext
from docsession._session._deferred import apply_deferred, undo_deferred
from docsession._session._delivery import deliver_cancellation, noting
from docsession._session._event_args import AfterSaveChangesEventArgs
from docsession._session._journal import Entry, Journal, undo_checks, undo_deletions, undo_write
from docsession._session._planning import Flush, OutdatedError, Planner, UndoneError, forget_unsaved_deletions
from docsession._session._refused_by_index import explain_refused
from docsession._session._refused_by_reference import explain_reference
from docsession._session._tracked import Tracked
from docsession._sql._compare_exchange import CompareExchangeStatements
from docsession._sql._flush import (
    Delete,
    Operation,
    Put,
    single_succeeded,
)
from docsession._sql._joining import status_of
from docsession._sql._tables import TableStatements


class Saver:
    """Writes what changed in one session."""

    __slots__ = ("_conflicts", "_context", "_planner", "_written")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._conflicts = ConflictFinder(context)
        self._planner = Planner(context, self._conflicts)
        self._written: list[Tracked] = []

    async def save(self, session: object) -> None:
        """Save everything that changed, in one request and one transaction; nothing changed: no request.

        Raises:
            ConcurrencyException: Documents were changed by others; nothing was written.
            UnknownOutcomeException: The connection broke; the next call asks the server first.
        """
        context = self._context
        try:
            if context.unknown:
                await self._resolve()
            await self._announce_and_save(session)
        except (Exception, asyncio.CancelledError) as error:
            # Something may be written all the same: by a save whose answer was lost, or before a cancellation.
            try:
                await self._tell_written()
            except Exception as other:
                error.add_note(f"a handler of after_save_changes raised {type(other).__qualname__}: {other}")
            raise
        if self._written:
            await self._tell_written()

    async def _announce_and_save(self, session: object) -> None:
        """Do it, and once more where an earlier save turns out to be rolled back, which makes more to save."""
        context = self._context
        announcer = None
        if context.handlers is not None and context.handlers.watch_saves:
            announcer = Announcer(context, self._planner)
        for is_last in (False, False, True):
            news = None if announcer is None else await announcer.announce(session)
            try:
                await self._save(session, news)
            except UndoneError as error:
                if is_last:
                    raise ConcurrencyException(
                        "the transaction of the session's connection was rolled back meanwhile, once more; nothing was "
                        "written: call save_changes() again"
                    ) from error.__cause__
                continue
            return

    async def _tell_written(self) -> None:
        """Call the handlers of `after_save_changes`."""
        context = self._context
        written, self._written = self._written, []
        for tracked in written:
            args = (context.session, tracked.id, tracked.entity)
            await context.tell("after_save_changes", AfterSaveChangesEventArgs, *args)

    async def _save(self, session: object, news: News | None) -> None:
        context = self._context
        try:
            await self._plan_and_execute(session, news)
        except ConcurrencyException as error:
            if not context.attempts:
                raise
            if not await self._resolve():
                error.add_note(
                    "The answer to an earlier save_changes() of this session was lost: whether that one had been "
                    "committed before others wrote cannot be told."
                )
                raise
            # What was sent before had been on its way still: it is what this flush ran into.
            await self._save(session, news)

    async def _plan_and_execute(self, session: object, news: News | None) -> None:
        """Do it, and once more where tables were made or dropped since the catalogue was read: nothing was written."""
        context = self._context
        sent = context.requests.number
        for is_last in (False, False, True) if context.joined is not None else (False, True):
            known = context.database.catalogue
            rollbacks = 0 if context.joined is None else context.joined.rollbacks
            try:
                flush = await self._planner.plan(session, news)
                if context.joined is not None:
                    await context.joined.confirm(flush, rollbacks)
                if flush is not None:
                    if context.requests.number == sent:
                        context.requests.count("save_changes")
                    await self._execute(flush)
            except UndoneError:
                raise
            except (TableDoesNotExistException, OutdatedError) as error:
                replans = context.joined is not None and context.joined.replans(error)
                if isinstance(error, TableDoesNotExistException):
                    replans = replans or has_values_to_save(context)  # theirs may be the table that was dropped
                if not is_last and (replans or await context.database.has_changed(known)):
                    continue
                if isinstance(error, TableDoesNotExistException):
                    raise
                raise ConcurrencyException(
                    "other processes began to keep documents of a deleted or checked id's prefix in further tables; "
                    "nothing was written: call save_changes() again"
                ) from error.__cause__
            return

    # execute

    async def _execute(self, flush: Flush) -> None:
        context = self._context
        request = flush.request()
        if not request.statements:
            self._apply(flush, [])
            return
        if context.observer is not None:
            _describe(request, flush)
        attempt = Attempt(flush.operations, flush.moment, lambda: self._apply(flush, []))
        try:
            results = await context.run(request)
        except UnknownOutcomeException as error:
            self._lose(attempt)
            deliver_cancellation(request, error)
            raise
        except RavenException as error:
            deliver_cancellation(request, error)
            if isinstance(error, _GuardFailed):
                await self._explain_refusal(flush, error)
            if isinstance(error, (UniqueConstraintViolation, IndexedValueTooLongException)):
                raise await explain_refused(context, flush.operations, error) from error.__cause__
            if isinstance(error, ForeignKeyViolation):
                raise await explain_reference(context, flush.operations, error) from error.__cause__
            if isinstance(error, TableDoesNotExistException):
                # Never made, or dropped by somebody: what was known of the database is not true any more.
                context.database.forget()
                raise context.database.missing_tables(flush.operations) from error
            raise
        except BaseException:
            # Ctrl-C in the middle of the conversation, say: the server may have it all.
            if request.sent:
                self._lose(attempt)
            raise
        if request.transaction:
            self._apply(flush, results)
        elif single_succeeded(flush.operations[0], results[0]):
            self._apply(flush, [_single_rows(flush.operations[0], results[0])])
        else:
            deliver_cancellation(request, None)
            raise noting(request, await self._conflicts.look(flush.operations))
        if context.journal is None:
            context.has_committed = True
        late = unconfirmed() if request.unconfirmed and flush.is_cluster_wide else None
        deliver_cancellation(request, late)
        if late is not None:
            raise noting(request, late)
        if request.interrupted is not None:
            raise request.interrupted

    def _lose(self, attempt: Attempt) -> None:
        self._context.attempts.append(attempt)
        self._context.unknown = True

    async def _explain_refusal(self, flush: Flush, error: _GuardFailed) -> None:
        if error.marker == "catalogue":
            raise OutdatedError from error.__cause__
        if error.marker == "undone":
            raise UndoneError from error.__cause__
        if error.marker == "mismatch":
            raise await self._conflicts.mismatch(flush.written, flush.catalogue) from error.__cause__
        raise await self._conflicts.look(flush.operations) from error.__cause__

    # apply

    def _apply(self, flush: Flush, results: Sequence[Rows]) -> None:
        """Bring the session to the state that the flush has made true."""
        context = self._context
        if context.journal is not None:
            self._remember(context.journal, flush)
        if flush.recording:
            context.database.adopt(flush.catalogue)
        # Only versions that the server had to choose come back: of rows ahead of the client's clock.
        chosen = {row[0]: row[1] for rows in results for row in rows if len(row) == 2}
        modified = int(flush.moment.last_modified)
        for write in flush.written:
            tracked = write.tracked
            tracked.table = write.table
            tracked.raw = write.data if write.raw is None else write.raw
            tracked.snapshot = write.snapshot
            tracked.stored_metadata = write.metadata
            if chosen:
                write.version = chosen.get(write.id, write.version)
            tracked.version = write.version
            tracked.last_modified = modified
            tracked.expected = None
            tracked.generated = False
            tracked.replaces = False
            tracked.anchors = write.anchors
            if tracked.metadata is not None:
                tracked.metadata.agree(tracked.reserved_metadata)
                if write.free is not None:
                    tracked.metadata.mark_clean(write.free)
        if context.handlers is not None and context.handlers.after_save_changes:
            self._written += [write.tracked for write in flush.puts]
        if context.exchange is not None:
            context.exchange.apply(flush.values, flush.deleted_values)
        known = context.map
        apply_deferred(context, flush.deferred)
        for deletion in flush.deletions:
            if known.deleted.get(deletion.id) is deletion:
                del known.deleted[deletion.id]
            if deletion.id not in known.by_id:
                known.missing.add(deletion.id)
        forget_unsaved_deletions(context.map)
        for key in flush.checked:
            known.checks.pop(key, None)
        context.attempts.clear()

    def _remember(self, journal: Journal, flush: Flush) -> None:
        """Keep what undoes a flush in a transaction that may still be rolled back."""
        known = self._context.map
        entry = Entry(flush.operations, flush.moment)
        journal.entries.append(entry)
        for write in (*flush.puts, *flush.values):
            entry.remember(undo_write(write.tracked, known))
        if self._context.exchange is not None:
            entry.remember(self._context.exchange.undo(flush.values, flush.deleted_values))
        if flush.deletions:
            entry.remember(undo_deletions(known, flush.deletions))
        if flush.checked:
            entry.remember(undo_checks(known, {key: known.checks[key] for key in flush.checked}))
        for each in flush.deferred:
            entry.remember(undo_deferred(known, each))

    # the outcome of a flush whose connection broke

    async def _resolve(self) -> bool:
        """Find out whether a flush whose answer was lost was committed, and take it over if so.

        A version belongs to one flush alone, and a flush commits as a whole, so one document tells for
        all of them. Where others have written every one of them since, the versions cannot tell: the
        flush is sent again then; where it was checked it is refused and names the conflict, otherwise the
        last write wins. A deletion is not sent again over what others have stored since.

        Returns:
            True where one was committed.

        Raises:
            UnknownOutcomeException: The server could not be asked, or is still at it.
            ConcurrencyException: Deletions, of documents that others have written since.
        """
        context = self._context
        ids: dict[TableStatements, dict[str, None]] = {}
        for attempt in context.attempts:
            for each in attempt.operations:
                ids.setdefault(each.table, {})[each.id] = None
        fates: dict[str | None, str | None] = {}
        try:
            fates = await self._fates()
            actual = await self._conflicts.versions([(table, list(keys)) for table, keys in ids.items()])
        except UnknownOutcomeException:
            context.unknown = True
            raise
        except ConnectionLostException as error:
            context.unknown = True
            raise UnknownOutcomeException(
                "the server could not be asked whether the last save_changes() was committed; call it again"
            ) from error
        except TableDoesNotExistException:
            actual = {}
        context.unknown = False
        for attempt in reversed(context.attempts):
            try:
                was_committed = _was_committed(attempt, actual, fates.get(attempt.xid))
            except ConcurrencyException:
                context.attempts.remove(attempt)  # what is to be done about it is the user's to say, and is asked once
                raise
            if was_committed:
                attempt.apply()
                context.has_committed = True
                return True
            if attempt.undo is not None:
                context.attempts.remove(attempt)
                attempt.undo()
                raise ConnectionLostException(
                    "the transaction whose commit was not answered was not committed: nothing of it was written, and "
                    "what it had saved is unsaved again. Run the whole transaction again"
                )
        return False

    async def _fates(self) -> dict[str | None, str | None]:
        """Ask what became of transactions whose commit was not answered.

        It is asked before the versions are: one that has ended by now has left its versions, or never will.

        Raises:
            UnknownOutcomeException: One goes on: its commit waits for something, or was never received.
        """
        context = self._context
        xids = [attempt.xid for attempt in context.attempts if attempt.xid is not None]
        if not xids:
            return {}
        try:
            answers = await context.run(Request([status_of(xid) for xid in xids]))
        except ConnectionLostException:
            raise
        except RavenException:
            return {}  # a server that took over may never have heard of it
        fates: dict[str | None, str | None] = {xid: rows[0][0] for xid, rows in zip(xids, answers, strict=True)}
        if "in progress" in fates.values():
            raise UnknownOutcomeException(
                "the transaction whose commit was not answered goes on at the server: its commit waits for a lock or a "
                "standby, or never got there. Call save_changes() again later, which asks again"
            )
        return fates


def _describe(request: Request, flush: Flush) -> None:
    """Say what a save is about to those who watch requests; a new collection is in no catalogue yet."""
    request.documents = sum(not isinstance(each.table, CompareExchangeStatements) for each in flush.operations)
    request.collections = collections_in(flush.operations)


def collections_in(operations: Iterable[Operation]) -> tuple[str, ...]:
    """Return the collections that operations write to, for those who watch requests."""
    tables = [each.table for each in operations]
    return tuple(sorted({table.collection for table in tables if not isinstance(table, CompareExchangeStatements)}))


def _was_committed(
    attempt: Attempt, actual: Mapping[tuple[TableStatements, str], int], fate: str | None = None
) -> bool:
    """Return True where *actual* versions show that an attempt was committed; *fate* is what the server says of it."""
    puts = [each for each in attempt.operations if isinstance(each, Put)]
    if puts:
        found = [actual.get((put.table, put.id)) for put in puts]
        if fate == "committed" and all(version is None or version > attempt.moment.version for version in found):
            return True  # others have written all of it since
        return any(version == put.version for version, put in zip(found, puts, strict=True))
    deletes = [each for each in attempt.operations if isinstance(each, Delete)]
    left = {each.id: actual[each.table, each.id] for each in deletes if (each.table, each.id) in actual}
    if left and all(version > attempt.moment.version for version in left.values()):
        names = ", ".join(map(repr, sorted(left)))
        raise ConcurrencyException(
            f"whether {names} had been deleted before the connection broke cannot be told, since somebody has written "
            "there meanwhile. Call save_changes() again to delete what is there now, or evict the entity to keep it",
            [Conflict(key, "", str(version)) for key, version in left.items()],
        )
    return bool(deletes) and not left


def _single_rows(operation: Operation, rows: Rows) -> Rows:
    """Bring the answer of a lone upsert into the shape of a batch's: (id, version)."""
    return [(operation.id, row[0]) for row in rows] if isinstance(operation, Put) else []
