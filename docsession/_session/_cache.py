"""The documents that a store has read, kept so that the server need not send them again.

A request names the versions that are kept, and the server answers "not modified" where one is still the
document's. So every answer is the state that the server has now; the cache only saves the transfer.
One version never has two contents, which is why id and version are enough. What is kept are the rows as
they came: bytes, nothing decoded.

Which rows stay is decided by "2Q": a document that was read once waits in a queue, first in, first out; one
that is used again moves into an LRU. So a loop over a large collection does not drive out what is used
all the time, and a document that nobody asks for again costs next to nothing (0.4 µs; the LRU's
bookkeeping 1.2 µs).
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import TypeAlias

from cachetools import LRUCache

from docsession._conventions import DocumentConventions
from docsession._port import Row, Statement
from docsession._session._statistics import StoreStatistics
from docsession._sql._tables import TableStatements

OVERHEAD = 500
"""Bytes of Python objects for each kept document beside its id, data and metadata: 440 to 540, measured."""

# Where "not modified" pays, in bytes of documents as PostgreSQL sends them (measured, docs/internals.md). For one
# document: from 2 kB on, where PostgreSQL begins to compress. For several: naming the versions costs
# something for the request and something for each.
WORTH_ALONE = 2048
WORTH_TOGETHER = 4000
COST_OF_EACH = 300

PAGES = 16
"""The part of the bound that may be taken by pages: what `load_starting_with` found, by ids."""

Key: TypeAlias = tuple[TableStatements, str]
Kept: TypeAlias = Mapping[str, Row]
"""Rows by id."""


class DocumentCache:
    """The kept rows of one store, bounded by bytes (`conventions.max_cache_size`); any thread may use it.

    A `TableStatements` object belongs to one table of one database of one server, so it tells them apart.
    A row is (id, data, metadata, version, last_modified).

    Reading `_shelves` needs no lock, because a dict's `get` is atomic and rows never change. The lock is one that
    its holder may take again, for a signal handler or a finalizer that uses a session in the middle.
    """

    def __init__(self, conventions: DocumentConventions) -> None:
        self._conventions = conventions
        self._lock = threading.RLock()
        self._is_closed = False
        self._hits = 0
        self._misses = 0
        self._begin()

    def _begin(self) -> None:
        self._shelves: dict[TableStatements, dict[str, Row]] = {}
        self._once: OrderedDict[Key, Row] = OrderedDict()
        self._once_size = 0
        # The bound is that of all together, and may be set anew at any time.
        self._often: LRUCache[Key, Row] = LRUCache(math.inf, getsizeof=_size_of)
        self._pages: LRUCache[tuple[object, ...], tuple[str, ...]] = LRUCache(math.inf, getsizeof=_size_of_page)

    # before a request

    def known_alone(self, table: TableStatements, key: str) -> Row | None:
        """Return the row kept of a document that is asked for alone, where naming its version pays."""
        shelf = self._shelves.get(table)
        row = shelf.get(key) if shelf else None
        return row if row is not None and len(row[1]) >= WORTH_ALONE else None

    def holds(self, table: TableStatements) -> bool:
        """Return True where something of *table* is kept."""
        return bool(self._shelves.get(table))

    def known(self, parts: Iterable[tuple[TableStatements, Sequence[str]]]) -> dict[str, Row]:
        """Return the rows kept of documents, by id.

        An id that two tables held at different times is found once: its versions differ, so either will do.
        """
        known: dict[str, Row] = {}
        for table, keys in parts:
            shelf = self._shelves.get(table)
            if shelf:
                get = shelf.get
                known.update({key: row for key in keys if (row := get(key)) is not None})
        return known

    def page(self, statement: Statement) -> Sequence[str]:
        """Return the ids of the documents that *statement* found the last time."""
        with self._lock:
            return self._pages.get((statement.sql, *statement.params), ())

    # after it

    def keep_page(self, statement: Statement, rows: Iterable[Row]) -> None:
        """Keep which documents *statement* found."""
        key = (statement.sql, *statement.params)
        ids = tuple([row[0] for row in rows])
        with self._lock:
            if not self._is_closed and self._pages.get(key) != ids:
                self._pages[key] = ids
                self._shrink()

    def keep(self, rows: Sequence[Row], tables: Sequence[TableStatements]) -> None:
        """Keep what the server has sent, one row at least; see `settle`."""
        with self._lock:
            self._keep_all(rows, tables)
            self._shrink()

    def settle(
        self, rows: Sequence[Row], tables: Sequence[TableStatements], known: Kept, *, keep: bool
    ) -> Sequence[Row]:
        """Return the rows of an answer with the documents that the server left out, and keep those that it sent.

        Args:
            rows: What came; the sixth column, if there is one, says which of *tables* it is from.
            tables: Those that were asked.
            known: The rows whose versions were named.
            keep: False where the answer may hold what is not committed.
        """
        sent = [row for row in rows if row[1] is not None]
        hits = len(rows) - len(sent)
        if rows and len(rows[0]) > 5:
            complete = [(*known[row[0]], row[5]) if row[1] is None else row for row in rows]
        else:
            complete = [known[row[0]] if row[1] is None else row for row in rows]
        with self._lock:
            if hits:
                self._hits += hits
                self._use(rows, tables)
            if hits < len(known):
                self._forget_all(tables, known.keys() - {row[0] for row in rows})
            if sent and keep:
                self._keep_all(sent, tables)
            self._shrink()
        return complete

    def _use(self, rows: Sequence[Row], tables: Sequence[TableStatements]) -> None:
        once, often = self._once, self._often
        if (self._once_size + often.currsize) * 2 < self._conventions.max_cache_size:
            return  # nothing has to give way soon, so what was used last need not be known yet
        for row in rows:
            if row[1] is None:
                key = (tables[row[5] if len(row) > 5 else 0], row[0])
                kept = once.pop(key, None)
                if kept is not None:
                    self._once_size -= _size_of(kept)
                    often[key] = kept
                else:
                    often.get(key)  # which makes it the one used last

    def _keep_all(self, rows: Sequence[Row], tables: Sequence[TableStatements]) -> None:
        if len(rows[0]) == 5:
            self._keep(tables[0], rows)
            return
        by_table: dict[TableStatements, list[Row]] = {}
        for row in rows:
            by_table.setdefault(tables[row[5]], []).append(row[:5])
        for table, part in by_table.items():
            self._keep(table, part)

    def _keep(self, table: TableStatements, rows: Sequence[Row]) -> None:
        limit = self._conventions.max_cache_size
        sizes = [len(row[0]) + len(row[1]) + OVERHEAD + (len(row[2]) if row[2] else 0) for row in rows]
        if self._is_closed or max(sizes) > limit:
            return
        self._misses += len(rows)
        shelf = self._shelves.setdefault(table, {})
        if len(rows) > 1:
            new = {row[0]: row for row in rows}
            if len(new) == len(rows) and shelf.keys().isdisjoint(new):
                # What follows does the same for all of them at once, in a third of the time.
                shelf.update(new)
                self._once.update(zip(zip(repeat(table), new, strict=False), rows, strict=False))
                self._once_size += sum(sizes)
                return
        for row in rows:
            self._keep_one((table, row[0]), row, shelf)

    def _keep_one(self, key: Key, row: Row, shelf: dict[str, Row]) -> None:
        if key[1] not in shelf:
            self._once[key] = row
            self._once_size += _size_of(row)
        else:
            # Another version, or this one, asked for in a way in which to name it did not pay: it is used again.
            old = self._once.pop(key, None)
            if old is not None:
                self._once_size -= _size_of(old)
            self._often[key] = row
        shelf[key[1]] = row

    def _shrink(self) -> None:
        """Let go of rows until they are in the bound; those that were read once may have a quarter of it."""
        limit = self._conventions.max_cache_size
        once, often, pages = self._once, self._often, self._pages
        excess = self._once_size + often.currsize + pages.currsize - limit
        while pages and pages.currsize * PAGES > limit:
            before = pages.currsize
            pages.popitem()
            excess -= before - pages.currsize
        while excess > 0 and (once or often):
            # The newest of them stays in any case, or a large document would never get in.
            if not often or (len(once) > 1 and self._once_size * 4 > limit):
                key, row = once.popitem(last=False)
                self._once_size -= _size_of(row)
            else:
                key, row = often.popitem()
            excess -= _size_of(row)
            self._shelves.get(key[0], {}).pop(key[1], None)

    # forgetting

    def _forget_all(self, tables: Iterable[TableStatements], keys: Iterable[str]) -> None:
        for table in tables:
            shelf = self._shelves.get(table, {})
            for key in keys:
                if shelf.pop(key, None) is not None:
                    old = self._once.pop((table, key), None)
                    if old is not None:
                        self._once_size -= _size_of(old)
                    self._often.pop((table, key), None)

    def forget(self, tables: Iterable[TableStatements]) -> None:
        """Let go of everything from *tables*: their database was dropped."""
        with self._lock:
            for table in tables:
                self._forget_all((table,), list(self._shelves.get(table, ())))
                self._shelves.pop(table, None)

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            old = (self._shelves, self._once, self._often, self._pages)
            self._begin()
        del old  # which takes its time, and not under the lock

    def close(self) -> None:
        """Let go of everything and keep nothing from now on."""
        self._is_closed = True
        self.clear()

    def count_anew(self) -> None:
        """Begin the counters of `statistics` at 0."""
        with self._lock:
            self._hits = self._misses = 0

    def renew_lock(self) -> None:
        """Let a forked child begin with a free lock, and empty where another thread of the parent was changing it."""
        is_whole = self._lock.acquire(blocking=False)
        self._lock = threading.RLock()
        if not is_whole:
            self._begin()

    def statistics(self) -> StoreStatistics:
        """Return the counters of this moment."""
        with self._lock:
            self._shrink()  # to a bound that was set since
            return StoreStatistics(
                cache_hits=self._hits,
                cache_misses=self._misses,
                cache_documents=len(self._once) + len(self._often),
                cache_size=self._once_size + int(self._often.currsize + self._pages.currsize),
                cache_max_size=self._conventions.max_cache_size,
            )


def pays(rows: Iterable[Row]) -> bool:
    """Return True where it pays to name the versions of *rows*, or to keep what came together."""
    sizes = [len(row[1]) for row in rows]
    return sum(sizes) >= WORTH_TOGETHER + COST_OF_EACH * len(sizes)


def _size_of(row: Row) -> int:
    return len(row[0]) + len(row[1]) + OVERHEAD + (len(row[2]) if row[2] else 0)


def _size_of_page(ids: Sequence[str]) -> int:
    # The statement is one of a few long texts and of parameters; the ids may be all that is left of their rows.
    return 2 * OVERHEAD + sum(map(len, ids)) + 60 * len(ids)
