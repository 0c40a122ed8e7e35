"""What a save does, planned: which documents it writes, where, and what it expects to find."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Protocol, TypeAlias

from docsession import _clock
from docsession._documents._ids import prefix_of
from docsession._errors import (
    Conflict,
)
from docsession._options import OptimisticConcurrencyMode
from docsession._port import Request, Settings, Statement, Timestamp
from docsession._session._catalogue import Catalogue
from docsession._session._changes import Write, differs, find_changed, prepare_write, snapshot_of
from docsession._session._cluster import CLUSTER_WIDE, has_values_to_save, plan_cluster_wide, plan_values
from docsession._session._conflicts import ConflictFinder, vector_of
from docsession._session._context import SessionContext
from docsession._session._deferred import Deferred, plan_deferred
from docsession._session._identity_map import IdentityMap
from docsession._session._tracked import MUST_NOT_EXIST, Deletion, Tracked, give_id
from docsession._sql._flush import (
    Check,
    Delete,
    Moment,
    Operation,
    compile_flush,
    compile_single,
    refuse_ids,
    sort_operations,
)
from docsession._sql._tables import TableStatements

_POSTGRES_EPOCH = 946_684_800_000_000
"""2000-01-01 in microseconds since 1970."""


Changed: TypeAlias = tuple[Tracked, bytes]
"""A document that a save writes, and its canonical form."""


class News(Protocol):
    """What handlers have made of a save."""

    changed: list[Changed] | None

    def rewrite(self, write: Write) -> None:
        """Let a document be written as the handlers have left it."""
        ...


class OutdatedError(Exception):
    """The flush was refused because the catalogue has grown; another plan will do."""


class UndoneError(OutdatedError):
    """The flush was refused because an earlier one, on which it builds, was rolled back; that is undone."""


class Flush:
    """What one save does, planned.

    Attributes:
        puts: Every entity written, with its operation.
        deletions: Every document deleted that `delete` was called for.
        deferred: The raw commands among all that.
        operations: All that touches rows, in the order of the statements.
        held: Tables whose rows are locked before they are written; see `compile_flush`.
        guards: Statements that go first: catalogue entries and refusals.
        checked: Ids with a check of their own, which holds for one save.
        values, deleted_values: The compare-exchange values written and deleted, among the operations too.
        is_cluster_wide: True where its commit waits for a synchronous standby.
        settings: The server's settings for this transaction.
        commit_timeout: Seconds that its commit waits for a standby; None waits for ever.
        conflicts: What is in conflict already, since there is no table that could hold it.
        relied: Prefixes whose tables must be those that the plan knew, each with their number.
    """

    __slots__ = (
        "catalogue",
        "checked",
        "commit_timeout",
        "conflicts",
        "deferred",
        "deleted_values",
        "deletions",
        "guards",
        "held",
        "is_cluster_wide",
        "moment",
        "operations",
        "puts",
        "recording",
        "relied",
        "settings",
        "values",
    )

    def __init__(self, moment: Moment, catalogue: Catalogue) -> None:
        self.moment = moment
        self.catalogue = catalogue
        self.recording = False
        self.puts: list[Write] = []
        self.deletions: list[Deletion] = []
        self.deferred: list[Deferred] = []
        self.operations: list[Operation] = []
        self.guards: list[Statement] = []
        self.held: set[TableStatements] = set()
        self.relied: dict[str, int] = {}
        self.checked: list[str] = []
        self.conflicts: list[Conflict] = []
        self.values: list[Write] = []
        self.deleted_values: list[Delete] = []
        self.is_cluster_wide = False
        self.settings: Settings = ()
        self.commit_timeout: float | None = None

    @property
    def written(self) -> Iterator[Write]:
        """Every document written, by entities or by commands."""
        return chain(self.puts, (each.write for each in self.deferred if each.write is not None))

    def request(self) -> Request:
        """Return the one request that carries the flush."""
        # One of a known version is updated in the plain way.
        is_held = self.held and self.operations[0].expected is None
        if len(self.operations) == 1 and not self.guards and not self.settings and not is_held:
            return Request([compile_single(self.operations[0], self.moment)], write=True)
        return Request(
            [*self.guards, *compile_flush(self.operations, self.moment, self.held)],
            transaction=True,
            write=True,
            settings=self.settings,
            commit_timeout=self.commit_timeout,
        )


class Planner:
    """Plans the saves of one session."""

    __slots__ = ("_conflicts", "_context")

    def __init__(self, context: SessionContext, conflicts: ConflictFinder) -> None:
        self._context = context
        self._conflicts = conflicts

    async def plan(self, session: object, news: News | None = None) -> Flush | None:
        context = self._context
        writes = self._collect_writes(session, news)
        deletions = [each for each in context.map.deleted.values() if not never_existed(each)]
        known = context.map
        has_values = has_values_to_save(context)
        if not writes and not deletions and not known.checks and not known.deferred and not has_values:
            forget_unsaved_deletions(context.map)
            return None
        deferred, deferred_deletions = await plan_deferred(context) if known.deferred else ([], [])
        database = context.database
        separator = database.separator
        unplaced: dict[tuple[str, str], list[Write]] = {}
        for write in (*writes, *deferred):
            if write.table is None:
                place = (prefix_of(write.id, separator), write.tracked.mapping.collection)
                unplaced.setdefault(place, []).append(write)
        catalogue, records = await database.prepare_writes(set(unplaced), context.definitions_of)
        if records and context.is_in_transaction:
            await database.record(catalogue, records)
            records = []
        flush = Flush(current_moment(), catalogue)
        flush.guards = records
        flush.recording = bool(records)
        flush.checked = list(known.checks)
        flush.deletions = deletions
        flush.deferred = list(known.deferred.values())
        self._place(flush, unplaced, deletions)
        self._plan_puts(flush, writes)
        self._plan_deferred_puts(flush, deferred)
        self._plan_holds(flush, [*writes, *deferred])
        for deletion in (*deletions, *deferred_deletions):
            await self._plan_deletion(flush, deletion)
        touched = {each.id for each in writes} | {each.id for each in deletions} | known.deferred.keys()
        await self._plan_checks(flush, touched)
        if context.transaction_mode is CLUSTER_WIDE:
            plan_cluster_wide(context, flush)
        if has_values:
            await plan_values(context, flush)
        if flush.conflicts:
            raise await self._conflicts.look(flush.operations, flush.conflicts)
        if flush.relied and context.is_of_one_moment:
            # The transaction would see the catalogue of when it began.
            if await database.has_changed(catalogue):
                raise OutdatedError
        elif flush.relied:
            flush.guards.append(database.system.unchanged(tuple(flush.relied), sum(flush.relied.values())))
        sort_operations(flush.operations)
        return flush

    def _collect_writes(self, session: object, news: News | None) -> list[Write]:
        verify = self._context.conventions.verify_on_save
        if news is None:
            return [prepare_write(tracked, now, verify=verify) for tracked, now in self.find_writes(session)]
        # What the handlers were told of last holds for the first plan, since nothing has changed meanwhile.
        changed, news.changed = news.changed, None
        writes = []
        for tracked, now in self.find_writes(session) if changed is None else changed:
            write = prepare_write(tracked, now, verify=verify)
            news.rewrite(write)
            writes.append(write)
        return writes

    def find_writes(self, session: object) -> list[Changed]:
        """Return what a save would write, with the canonical form of each now."""
        context = self._context
        ignore = context.conventions.should_ignore_entity_changes
        found = []
        for tracked, snapshot in find_changed(context.map.by_id.values()):
            if tracked.ignored:
                continue
            if ignore is not None:
                with context.guard.outside("should_ignore_entity_changes is asked"):
                    is_left_out = ignore.check(session, tracked.entity, tracked.id)
                if is_left_out:
                    continue
            codec = tracked.mapping.codec
            now = snapshot
            if give_id(codec, tracked.entity, tracked.id):
                # The attribute that holds the id is no part of the document: it is set back.
                now = snapshot_of(tracked)
            if tracked.snapshot is None or differs(tracked, now):
                found.append((tracked, now))
        return found

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

    @staticmethod
    def _plan_deferred_puts(flush: Flush, writes: list[Write]) -> None:
        for write in writes:
            write.version = flush.moment.version_after(write.expected or 0)
        flush.operations += writes

    def _plan_holds(self, flush: Flush, writes: list[Write]) -> None:
        declared = self._context.database.declared
        for write in writes:
            if write.expected == MUST_NOT_EXIST:
                continue
            table = write.table
            if table not in flush.held and declared.has_unique(table.collection, self._context.mappings):
                flush.held.add(table)

    def _expected(self, tracked: Tracked) -> int | None:
        """Return the version that must be found when *tracked* is written; None checks nothing."""
        check = self._context.map.checks.get(tracked.id)
        if check is not None:
            return check
        if tracked.expected is not None:
            return tracked.expected
        if tracked.generated:
            return MUST_NOT_EXIST
        if tracked.replaces:
            return None
        if self._context.checks_writes:
            return tracked.version if tracked.version is not None else MUST_NOT_EXIST
        # The server does not compare with what was seen by a transaction that has ended.
        return tracked.version if self._context.reads_are_past else None

    async def _plan_deletion(self, flush: Flush, deletion: Deletion) -> None:
        context = self._context
        tracked = deletion.tracked
        expected = deletion.expected
        if expected is None:
            expected = context.map.checks.get(deletion.id)
        if expected is None and tracked is None and context.guards_writes:
            expected = deletion.seen
        elif expected is None and tracked is not None and (context.checks_writes or context.reads_are_past):
            expected = tracked.version
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
                flush.conflicts.append(Conflict(deletion.id, vector_of(expected), None))

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
                flush.conflicts.append(Conflict(key, vector_of(expected), None))
        # The transaction of a save that is sent again has not seen what the lost one relied on.
        is_repeated = context.reads_are_past and bool(context.attempts)
        if context.mode is not OptimisticConcurrencyMode.WRITES_AND_READS and not is_repeated:
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
        versions = await self._conflicts.versions([(table, [key]) for table in tables])
        return next((table for table, _ in versions), None)


def _deletion_of(table: TableStatements, key: str, expected: int | None) -> Operation:
    """Return the deletion of a document; where it must not exist there is nothing to delete, but to check."""
    return Check(table, key, expected) if expected == MUST_NOT_EXIST else Delete(table, key, expected)


def forget_unsaved_deletions(known: IdentityMap) -> None:
    """Forget what was stored and deleted again without ever being saved."""
    for key, deletion in list(known.deleted.items()):
        if never_existed(deletion):
            del known.deleted[key]
            known.missing.add(key)


def never_existed(deletion: Deletion) -> bool:
    """Return True for an entity that was stored under a new id and deleted before it was saved."""
    return deletion.tracked is not None and deletion.tracked.generated


def current_moment() -> Moment:
    """Return the moment of a flush that begins now."""
    source = _clock.source
    microseconds = source.now_ns() // 1000
    version = microseconds * 1024 + source.version_bits()
    return Moment(version, source.step(), Timestamp(microseconds - _POSTGRES_EPOCH))
