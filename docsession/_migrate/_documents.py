"""Bringing the documents of a collection to the current version of their class.

Every batch is one flush that is checked by version, so other programs may write at the same time. What
they have written meanwhile is taken up again at the end. A document that is up to date is not selected
any more: wherever the work stops, it can be begun anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from docsession._documents._mapping import DocumentMapping, Mappings
from docsession._errors import DocumentMismatchException, _GuardFailed
from docsession._faces._run import run
from docsession._port import NULL_JSONB, Request, RequestExecutor, Row, Statement, TextArray
from docsession._session._changes import types_of
from docsession._session._database import Database
from docsession._session._planning import current_moment
from docsession._sql._flush import Put, compile_flush
from docsession._sql._tables import TableStatements
from docsession._sql._versions import count_outdated, load_outdated, load_outdated_of

BATCH_SIZE: Final = 256
_ROUNDS: Final = 5
"""How often documents are taken up again that others write in the meantime."""
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Change:
    """One document, brought up to date.

    Attributes:
        key: The id.
        before: The columns `data` and `metadata` as stored.
        after: The same as they are to be.
    """

    key: str
    before: tuple[bytes, bytes]
    after: tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Options:
    """How a collection is migrated.

    Attributes:
        batch_size: How many documents are read and written at once.
        rate: How many documents a second are written at most; None is as many as possible.
        after: Only ids behind this one.
        is_dry: True writes nothing.
    """

    batch_size: int = BATCH_SIZE
    rate: float | None = None
    after: str = ""
    is_dry: bool = False


@dataclass(slots=True)
class Progress:
    """How far it has got.

    Attributes:
        written: Documents that are written; in a dry run those that would be.
        last: The id up to which every document was looked at.
        conflicts: Ids of documents that others had written in the meantime, to be taken up again.
        failed: What is wrong with documents that cannot be brought up to date, by id.
    """

    written: int = 0
    last: str = ""
    conflicts: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def failures(self) -> str:
        """Return what is wrong, for an error."""
        lines = [f"  {reason}" for reason in list(self.failed.values())[:_SHOWN]]
        if len(self.failed) > _SHOWN:
            lines.append(f"  … and {len(self.failed) - _SHOWN} more")
        return "\n".join(lines)


class DocumentMigration:
    """The migration of one class's documents in one database.

    Attributes:
        progress: How far it has got; right at any moment, also after an interruption.
    """

    def __init__(
        self,
        executor: RequestExecutor,
        database: Database,
        mappings: Mappings,
        model: type,
        options: Options,
    ) -> None:
        self._executor = executor
        self._database = database
        self._mappings = mappings
        self._mapping: DocumentMapping[Any] = mappings.for_class(model)
        self._versions = {
            alias or "": mapping.versions.current for alias, mapping in mappings.stored_as(self._mapping).items()
        }
        self._options = options
        self._table: TableStatements | None = None
        self._pause = _Pause(options.rate)
        self.progress = Progress(last=options.after)

    @property
    def collection(self) -> str:
        """The collection's name."""
        return self._mapping.collection

    def prepare(self) -> tuple[int, int]:
        """Look how much there is to do.

        Returns:
            The number of documents that are not up to date, and of those whose alias no class has.
        """
        catalogue = run(self._database.refresh())
        self._table = catalogue.by_collection.get(self._mapping.collection)
        if self._table is None:
            return 0, 0
        ((outdated, unknown),) = self._ask(count_outdated(self._table, self._versions, self._options.after))
        return outdated, 0 if self._mapping.alias is not None else unknown

    def batches(self) -> Iterator[list[Change]]:
        """Do the work: yield the documents of each batch when they are written; a dry run writes none."""
        table = self._table
        if table is None:
            return
        progress, options = self.progress, self._options
        size = options.batch_size
        if options.rate is not None:
            size = max(1, min(size, int(options.rate)))
        while rows := self._ask(load_outdated(table, self._versions, progress.last, size)):
            changes = self._do(table, rows)
            progress.last = rows[-1][0]
            yield changes
            self._pause.after(len(changes))
        for _ in range(_ROUNDS):
            again, progress.conflicts = progress.conflicts, []
            for start in range(0, len(again), size):
                keys = again[start : start + size]
                try:
                    rows = self._ask(load_outdated_of(table, self._versions, keys))
                    changes = self._do(table, rows)
                except BaseException:
                    progress.conflicts += again[start:]
                    raise
                yield changes
                self._pause.after(len(changes))
        for key in progress.conflicts:
            progress.failed[key] = f"document {key!r} is written by others again and again"

    def _ask(self, statement: Statement) -> list[Row]:
        (rows,) = run(self._executor.run(Request([statement])))
        return rows

    def _do(self, table: TableStatements, rows: Sequence[Row]) -> list[Change]:
        """Bring the documents of one batch up to date, and write them."""
        changes: list[Change] = []
        puts: list[Put] = []
        for key, data, stored, version, _ in rows:
            try:
                change = self._bring_up_to_date(key, data, stored)
            except DocumentMismatchException as error:
                self.progress.failed[key] = str(error)
                continue
            changes.append(change)
            puts.append(Put(table, key, *change.after, version, 0))
        if not self._options.is_dry:
            written = {put.id for put in self._write(table, puts)}
            changes = [change for change in changes if change.key in written]
        self.progress.written += len(changes)
        return changes

    def _bring_up_to_date(self, key: str, data: bytes, stored: bytes | None) -> Change:
        """Return a document as it is to be.

        Raises:
            DocumentMismatchException: An upcaster failed, or its class could not load what comes of it.
        """
        mapping, new, metadata = self._mappings.of_document(self._mapping, key, data, stored)
        mapping.codec.decode(key, new, types_of(metadata))
        return Change(key, (data, stored or NULL_JSONB), (new, metadata or NULL_JSONB))

    def _write(self, table: TableStatements, puts: list[Put]) -> list[Put]:
        """Write what nobody else has written in the meantime, and return it."""
        while puts:
            moment = current_moment()
            for put in puts:
                put.version = moment.version_after(put.expected or 0)
            try:
                run(self._executor.run(Request(compile_flush(puts, moment), transaction=True, write=True)))
            except _GuardFailed:
                found = self._ask(Statement(table.versions, (TextArray([put.id for put in puts]),)))
                versions: dict[str, int] = {row[0]: row[1] for row in found}
                left = [put for put in puts if versions.get(put.id) == put.expected]
                if len(left) == len(puts):
                    raise
                # What is deleted is done; what others have written is taken up again.
                self.progress.conflicts += [put.id for put in puts if put not in left and put.id in versions]
                puts = left
            else:
                return puts
        return []


class _Pause:
    """Keeps the work at a rate, over all of it: a slow batch lets the next one follow at once."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._begun = time.monotonic()
        self._done = 0

    def after(self, count: int) -> None:
        """Wait until *count* documents more were due."""
        if self._rate is None:
            return
        self._done += count
        ahead = self._done / self._rate - (time.monotonic() - self._begun)
        if ahead > 0:
            time.sleep(ahead)
