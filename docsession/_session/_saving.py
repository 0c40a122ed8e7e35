"""Saving a session: plan what changed, execute it as one request, apply what came back."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from docsession._documents._ids import prefix_of
from docsession._errors import (
    CollectionMismatchException,
    ConcurrencyException,
    Conflict,
    ConnectionLostException,
    RavenException,
    TableDoesNotExistException,
    UnknownOutcomeException,
    _GuardFailed,
)
from docsession._options import OptimisticConcurrencyMode
from docsession._port import Request, Rows, Statement, TextArray, Timestamp
from docsession._session._changes import Write, differs, find_changed, prepare_write, snapshot_of
from docsession._session._context import Attempt, SessionContext
from docsession._session._database import Catalogue
from docsession._session._tracked import MUST_NOT_EXIST, Deletion, Tracked, change_vector_of, give_id
from docsession._sql._flush import (
    Check,
    Delete,
    Moment,
    Operation,
    Put,
    compile_flush,
    compile_single,
    refuse_ids,
    single_succeeded,
    sort_operations,
)
from docsession._sql._tables import TableStatements

_POSTGRES_EPOCH = 946_684_800_000_000
"""2000-01-01 in microseconds since 1970."""


class _OutdatedError(Exception):
    """The flush was refused because the catalogue has grown; another plan will do."""


class Flush:
    """What one save does, planned.

    Attributes:
        puts: Every document written, with its operation.
        deletions: Every document deleted.
        operations: All that touches rows, in the order of the statements.
        guards: Statements that go first: catalogue entries and refusals.
        checked: Ids with a check of their own, which holds for one save.
        conflicts: What is in conflict already, since there is no table that could hold it.
        relied: Prefixes whose tables must be those that the plan knew, each with their number.
    """

    __slots__ = (
        "catalogue",
        "checked",
        "conflicts",
        "deletions",
        "guards",
        "moment",
        "operations",
        "puts",
        "recording",
        "relied",
    )

    def __init__(self, moment: Moment, catalogue: Catalogue) -> None:
        self.moment = moment
        self.catalogue = catalogue
        self.recording = False
        self.puts: list[Write] = []
        self.deletions: list[Deletion] = []
        self.operations: list[Operation] = []
        self.guards: list[Statement] = []
        self.relied: dict[str, int] = {}
        self.checked: list[str] = []
        self.conflicts: list[Conflict] = []

    def request(self) -> Request:
        """Return the one request that carries the flush."""
        if len(self.operations) == 1 and not self.guards:
            return Request([compile_single(self.operations[0], self.moment)], write=True)
        return Request([*self.guards, *compile_flush(self.operations, self.moment)], transaction=True, write=True)


class Saver:
    """Writes what changed in one session."""

    __slots__ = ("_context",)

    def __init__(self, context: SessionContext) -> None:
        self._context = context

    async def save(self, session: object) -> None:
        """Save everything that changed, in one request and one transaction; nothing changed: no request.

        Raises:
            ConcurrencyException: Documents were changed by others; nothing was written.
            UnknownOutcomeException: The connection broke; the next call asks the server first.
        """
        context = self._context
        if context.unknown:
            await self._resolve()
        try:
            await self._plan_and_execute(session)
        except ConcurrencyException:
            if not context.attempts or not await self._resolve():
                raise
            # What was sent before had been on its way still: it is what this flush ran into.
            await self.save(session)

    async def _plan_and_execute(self, session: object) -> None:
        """Do it, and once more where tables were made or dropped since the catalogue was read: nothing was written."""
        context = self._context
        sent = context.requests.number
        for is_last in (False, True):
            known = context.database.catalogue
            try:
                flush = await self._plan(session)
                if flush is not None:
                    if context.requests.number == sent:
                        context.requests.count("save_changes")
                    await self._execute(flush)
            except (TableDoesNotExistException, _OutdatedError) as error:
                if not is_last and await context.database.has_changed(known):
                    continue
                if isinstance(error, TableDoesNotExistException):
                    raise
                raise ConcurrencyException(
                    "other processes began to keep documents of a deleted or checked id's prefix in further tables; "
                    "nothing was written: call save_changes() again"
                ) from error.__cause__
            return

    # plan

    async def _plan(self, session: object) -> Flush | None:
        context = self._context
        writes = self._collect_writes(session)
        deletions = [each for each in context.map.deleted.values() if not _never_existed(each)]
        if not writes and not deletions and not context.map.checks:
            self._forget_unsaved_deletions()
            return None
        database = context.database
        separator = database.separator
        unplaced: dict[tuple[str, str], list[Write]] = {}
        for write in writes:
            if write.table is None:
                place = (prefix_of(write.id, separator), write.tracked.mapping.collection)
                unplaced.setdefault(place, []).append(write)
        catalogue, records = await database.prepare_writes(set(unplaced))
        flush = Flush(_now(), catalogue)
        flush.guards = records
        flush.recording = bool(records)
        flush.checked = list(context.map.checks)
        self._place(flush, unplaced, deletions)
        self._plan_puts(flush, writes)
        written = {write.id for write in writes}
        for deletion in deletions:
            await self._plan_deletion(flush, deletion)
        await self._plan_checks(flush, written | {deletion.id for deletion in deletions})
        if flush.conflicts:
            raise await self._look(flush.operations, flush.conflicts)
        if flush.relied:
            flush.guards.append(database.system.unchanged(tuple(flush.relied), sum(flush.relied.values())))
        sort_operations(flush.operations)
        return flush

    def _collect_writes(self, session: object) -> list[Write]:
        context = self._context
        verify = context.conventions.verify_on_save
        ignore = context.conventions.should_ignore_entity_changes
        writes = []
        for tracked, snapshot in find_changed(context.map.by_id.values()):
            if tracked.ignored or (
                ignore is not None and context.outside(partial(ignore.check, session, tracked.entity, tracked.id))
            ):
                continue
            codec = tracked.mapping.codec
            now = snapshot
            if give_id(codec, tracked.entity, tracked.id):
                # The attribute that holds the id is no part of the document: it is set back.
                now = snapshot_of(tracked)
            if tracked.snapshot is None or differs(tracked, now):
                writes.append(prepare_write(tracked, now, verify=verify))
        return writes

    def _place(
        self, flush: Flush, unplaced: Mapping[tuple[str, str], Sequence[Write]], deletions: Iterable[Deletion]
    ) -> None:
        """Say in which table new documents go, and refuse ids that documents of another table have.

        Where whatever had the id was deleted by that id, it is deleted from the other tables.
        """
        leaving = {(each.tracked.table, each.id) for each in deletions if each.tracked is not None}
        shared: dict[TableStatements, list[str]] = {}
        for (prefix, collection), writes in unplaced.items():
            table = flush.catalogue.by_collection[collection]
            for write in writes:
                write.table = table
            if not all(write.tracked.generated for write in writes):
                self._rely_on_catalogue(flush, prefix)
            for other in flush.catalogue.by_prefix[prefix]:
                if other is table:
                    continue
                for write in writes:
                    if write.tracked.replaces and write.tracked.expected is None:
                        flush.operations.append(Delete(other, write.id, None))
                    elif (other, write.id) not in leaving:
                        shared.setdefault(other, []).append(write.id)
        flush.guards += [refuse_ids(table, ids) for table, ids in sorted(shared.items(), key=lambda item: item[0].name)]

    def _plan_puts(self, flush: Flush, writes: list[Write]) -> None:
        moment = flush.moment
        for write in writes:
            write.expected = expected = self._expected(write.tracked)
            write.version = moment.version_after(expected) if expected else moment.version
        flush.puts = writes
        flush.operations += writes

    def _expected(self, tracked: Tracked) -> int | None:
        """Return the version that must be found when *tracked* is written; None checks nothing."""
        check = self._context.map.checks.get(tracked.id)
        if check is not None:
            return check
        if tracked.expected is not None:
            return tracked.expected
        if tracked.generated:
            return MUST_NOT_EXIST
        if tracked.replaces or self._context.mode is OptimisticConcurrencyMode.NONE:
            return None
        return tracked.version if tracked.version is not None else MUST_NOT_EXIST

    async def _plan_deletion(self, flush: Flush, deletion: Deletion) -> None:
        context = self._context
        tracked = deletion.tracked
        expected = deletion.expected
        if expected is None:
            expected = context.map.checks.get(deletion.id)
        if expected is None and tracked is not None and context.mode is not OptimisticConcurrencyMode.NONE:
            expected = tracked.version
        flush.deletions.append(deletion)
        if tracked is not None and tracked.table is not None:
            flush.operations.append(_deletion_of(tracked.table, deletion.id, expected))
            return
        database = context.database
        mapping = tracked.mapping if tracked is not None else None
        prefix = prefix_of(deletion.id, database.separator)
        tables = await database.tables_for(prefix, mapping)
        self._rely_on_catalogue(flush, prefix)
        if expected is None:
            flush.operations += [Delete(table, deletion.id, None) for table in tables]
        else:
            table = await self._locate(deletion.id, tables) or next(iter(tables), None)
            if table is not None:
                flush.operations.append(_deletion_of(table, deletion.id, expected))
            elif expected != MUST_NOT_EXIST:
                flush.conflicts.append(Conflict(deletion.id, _vector(expected), None))

    def _rely_on_catalogue(self, flush: Flush, prefix: str) -> None:
        """Refuse the flush where somebody has put ids of *prefix* into a table that is not known here."""
        catalogue = self._context.database.catalogue
        if catalogue is not None and catalogue.exists:
            rows = sum(1 for known, _ in flush.catalogue.pairs | catalogue.pairs if known == prefix)
            flush.relied.setdefault(prefix, rows)

    async def _plan_checks(self, flush: Flush, touched: set[str]) -> None:
        context = self._context
        for key, expected in context.map.checks.items():
            if key in touched:
                continue
            tracked = context.map.by_id.get(key)
            table = tracked.table if tracked is not None else None
            if table is None:
                prefix = prefix_of(key, context.database.separator)
                tables = await context.database.tables_for(prefix, None)
                self._rely_on_catalogue(flush, prefix)
                table = await self._locate(key, tables) or next(iter(tables), None)
            if table is not None:
                flush.operations.append(Check(table, key, expected))
            elif expected != MUST_NOT_EXIST:
                flush.conflicts.append(Conflict(key, _vector(expected), None))
        if context.mode is not OptimisticConcurrencyMode.WRITES_AND_READS:
            return
        for tracked in context.map.by_id.values():
            if tracked.id in touched or tracked.id in context.map.checks:
                continue
            if tracked.table is not None and tracked.version is not None:
                flush.operations.append(Check(tracked.table, tracked.id, tracked.version))

    async def _locate(self, key: str, tables: Sequence[TableStatements]) -> TableStatements | None:
        """Return the table that holds *key*; a look only where there is more than one to choose from."""
        if len(tables) == 1:
            return tables[0]
        versions = await self._versions([(table, [key]) for table in tables])
        return next((table for table, _ in versions), None)

    # execute

    async def _execute(self, flush: Flush) -> None:
        context = self._context
        request = flush.request()
        if not request.statements:
            self._apply(flush, [])
            return
        attempt = Attempt(flush.operations, flush.moment, lambda: self._apply(flush, []))
        try:
            results = await context.executor.run(request)
        except UnknownOutcomeException as error:
            self._lose(attempt)
            _deliver_cancellation(request, error)
            raise
        except RavenException as error:
            _deliver_cancellation(request, error)
            if isinstance(error, _GuardFailed):
                await self._explain_refusal(flush, error)
            if isinstance(error, TableDoesNotExistException):
                # Never made, or dropped by somebody: what was known of the database is not true any more.
                context.database.forget()
                raise context.database.missing_tables({each.table for each in flush.operations}) from error
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
            _deliver_cancellation(request, None)
            raise await self._look(flush.operations)
        _deliver_cancellation(request, None)

    def _lose(self, attempt: Attempt) -> None:
        self._context.attempts.append(attempt)
        self._context.unknown = True

    async def _explain_refusal(self, flush: Flush, error: _GuardFailed) -> None:
        if error.marker == "catalogue":
            raise _OutdatedError from error
        if error.marker == "mismatch":
            raise await self._mismatch(flush) from error
        raise await self._look(flush.operations) from error

    async def _look(self, operations: Iterable[Operation], known: Sequence[Conflict] = ()) -> ConcurrencyException:
        """Ask for the versions of all that was checked, and return the error that names every conflict."""
        checked = [each for each in operations if each.expected is not None]
        by_table: dict[TableStatements, list[str]] = {}
        for each in checked:
            by_table.setdefault(each.table, []).append(each.id)
        actual = await self._versions(list(by_table.items()))
        conflicts = [
            Conflict(each.id, _vector(each.expected), change_vector_of(actual.get((each.table, each.id))))
            for each in checked
            if (actual.get((each.table, each.id)) or MUST_NOT_EXIST) != each.expected
        ]
        conflicts += known
        generated = {each.id for each in checked if isinstance(each, Write) and each.tracked.generated}
        return _conflict(conflicts, [conflict.id for conflict in conflicts if conflict.id in generated])

    async def _mismatch(self, flush: Flush) -> CollectionMismatchException:
        separator = self._context.database.separator
        parts: dict[TableStatements, list[str]] = {}
        for put in flush.puts:
            for other in flush.catalogue.by_prefix.get(prefix_of(put.id, separator), ()):
                if other is not put.table:
                    parts.setdefault(other, []).append(put.id)
        found = await self._versions(list(parts.items()))
        names = ", ".join(f"{key!r} (a document of {table.collection!r})" for table, key in found)
        return CollectionMismatchException(
            f"these ids belong to documents of another collection: {names or 'unknown'}; nothing was written. "
            "Delete those documents first, or use other ids"
        )

    async def _versions(
        self, parts: Sequence[tuple[TableStatements, Sequence[str]]]
    ) -> dict[tuple[TableStatements, str], int]:
        if not parts:
            return {}
        statements = [Statement(table.versions, (TextArray(keys),)) for table, keys in parts]
        answers = await self._context.executor.run(Request(statements))
        return {(table, row[0]): row[1] for (table, _), rows in zip(parts, answers, strict=True) for row in rows}

    # apply

    def _apply(self, flush: Flush, results: Sequence[Rows]) -> None:
        """Bring the session to the state that the flush has made true."""
        context = self._context
        if flush.recording:
            context.database.adopt(flush.catalogue)
        # Only versions that the server had to choose come back: of rows ahead of the client's clock.
        chosen = {row[0]: row[1] for rows in results for row in rows if len(row) == 2}
        modified = int(flush.moment.last_modified)
        for write in flush.puts:
            tracked = write.tracked
            tracked.table = write.table
            tracked.raw = write.data
            tracked.snapshot = write.snapshot
            tracked.stored_metadata = write.metadata
            tracked.version = chosen.get(write.id, write.version) if chosen else write.version
            tracked.last_modified = modified
            tracked.expected = None
            tracked.generated = False
            tracked.replaces = False
            tracked.anchors = write.anchors
            if tracked.metadata is not None:
                tracked.metadata.agree(tracked.reserved_metadata)
                if write.free is not None:
                    tracked.metadata.mark_clean(write.free)
        known = context.map
        for deletion in flush.deletions:
            if known.deleted.get(deletion.id) is deletion:
                del known.deleted[deletion.id]
            if deletion.id not in known.by_id:
                known.missing.add(deletion.id)
        self._forget_unsaved_deletions()
        for key in flush.checked:
            known.checks.pop(key, None)
        context.attempts.clear()

    def _forget_unsaved_deletions(self) -> None:
        """Forget what was stored and deleted again without ever being saved."""
        known = self._context.map
        for key, deletion in list(known.deleted.items()):
            if _never_existed(deletion):
                del known.deleted[key]
                known.missing.add(key)

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
            UnknownOutcomeException: The server could not be asked.
            ConcurrencyException: Deletions, of documents that others have written since.
        """
        context = self._context
        ids: dict[TableStatements, dict[str, None]] = {}
        for attempt in context.attempts:
            for each in attempt.operations:
                ids.setdefault(each.table, {})[each.id] = None
        try:
            actual = await self._versions([(table, list(keys)) for table, keys in ids.items()])
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
                was_committed = _was_committed(attempt, actual)
            except ConcurrencyException:
                context.attempts.remove(attempt)  # what is to be done about it is the user's to say, and is asked once
                raise
            if was_committed:
                attempt.apply()
                return True
        return False


def _deliver_cancellation(request: Request, error: Exception | None) -> None:
    """Cancel the task now that was to be cancelled while the flush was under way."""
    if request.cancelled:
        raise asyncio.CancelledError from error


def _was_committed(attempt: Attempt, actual: Mapping[tuple[TableStatements, str], int]) -> bool:
    puts = [each for each in attempt.operations if isinstance(each, Put)]
    if puts:
        return any(actual.get((put.table, put.id)) == put.version for put in puts)
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


def _deletion_of(table: TableStatements, key: str, expected: int | None) -> Operation:
    """Return the deletion of a document; where it must not exist there is nothing to delete, but to check."""
    return Check(table, key, expected) if expected == MUST_NOT_EXIST else Delete(table, key, expected)


def _single_rows(operation: Operation, rows: Rows) -> Rows:
    """Bring the answer of a lone upsert into the shape of a batch's: (id, version)."""
    return [(operation.id, row[0]) for row in rows] if isinstance(operation, Put) else []


def _never_existed(deletion: Deletion) -> bool:
    """Return True for an entity that was stored under a new id and deleted before it was saved."""
    return deletion.tracked is not None and deletion.tracked.generated


def _vector(expected: int | None) -> str:
    return str(expected) if expected else ""


def _conflict(conflicts: Sequence[Conflict], generated: Sequence[str]) -> ConcurrencyException:
    """Return the error that names *conflicts*, those with *generated* ids among them."""
    if not conflicts:
        return ConcurrencyException(
            "a document was changed meanwhile, and is as expected again; nothing was written: call save_changes() again"
        )
    advice = []
    if len(generated) < len(conflicts):
        advice.append(
            "Refresh them (session.advanced.refresh) or begin a new session, apply the changes again, and save"
        )
    if generated:
        advice.append(
            f"Generated ids that were taken already: {_listed(generated)}; somebody has stored documents under ids "
            "like these by hand. Evict the entities, clear the attribute that holds the id, and store them again: "
            "that gives them new ids"
        )
    return ConcurrencyException(
        f"{len(conflicts)} document(s) in conflict, nothing was written: {_listed(conflicts, '; ')}. "
        + ". ".join(advice),
        conflicts,
    )


def _listed(things: Sequence[object], separator: str = ", ") -> str:
    """Return the first twenty of *things*, and how many more there are."""
    shown = [repr(each) if isinstance(each, str) else str(each) for each in things[:20]]
    return separator.join([*shown, f"and {len(things) - 20} more"] if len(things) > 20 else shown)


def _now() -> Moment:
    microseconds = time.time_ns() // 1000
    version = microseconds * 1024 + secrets.randbits(10)
    return Moment(version, secrets.randbelow(1024) + 1, Timestamp(microseconds - _POSTGRES_EPOCH))
