"""What a flush does to rows, and the statements that do it.

Operations come sorted by table and id; consecutive ones of one kind share a statement. That one
global order is what keeps flushes that overlap from deadlocking.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from operator import attrgetter
from typing import TypeAlias

import msgspec

from docsession._port import Rows, Statement, TextArray, Timestamp
from docsession._sql._tables import TableStatements, split_sizes


class Put(msgspec.Struct, eq=False):
    """One document to write.

    Attributes:
        data, metadata: jsonb parameters.
        expected: The version that must be stored; 0: the document must not exist; None: no check.
        version: The version that the row gets, exact where `expected` is not None.
    """

    table: TableStatements
    id: str
    data: bytes
    metadata: bytes
    expected: int | None
    version: int


class Delete:
    """One document to delete; *expected* None deletes whatever is there."""

    __slots__ = ("expected", "id", "table")

    def __init__(self, table: TableStatements, key: str, expected: int | None) -> None:
        self.table = table
        self.id = key
        self.expected = expected


class Check:
    """One document that must have a version; 0: it must not exist."""

    __slots__ = ("expected", "id", "table")

    def __init__(self, table: TableStatements, key: str, expected: int) -> None:
        self.table = table
        self.id = key
        self.expected = expected


Operation: TypeAlias = Put | Delete | Check


class Moment:
    """The time of a flush, taken from the client, which is what makes a flush's versions known beforehand.

    Attributes:
        version: What new rows get.
        step: By how much a row's version grows that is ahead of the client's clock.
        last_modified: The same moment as a timestamp.
    """

    __slots__ = ("last_modified", "step", "version")

    def __init__(self, version: int, step: int, last_modified: Timestamp) -> None:
        self.version = version
        self.step = step
        self.last_modified = last_modified

    def version_after(self, expected: int) -> int:
        """Return the version that a row of version *expected* gets (0: a new row)."""
        return max(expected + self.step, self.version) if expected else self.version


def sort_operations(operations: list[Operation]) -> None:
    """Bring *operations* into the one order in which every flush touches rows."""
    operations.sort(key=attrgetter("id"))
    if len({operation.table for operation in operations}) > 1:
        operations.sort(key=attrgetter("table.name"))  # stable


def compile_flush(
    operations: Sequence[Operation], moment: Moment, held: Collection[TableStatements] = ()
) -> list[Statement]:
    """Return the statements of a flush inside a transaction, guarded where versions are expected.

    Args:
        operations: What is done, sorted.
        moment: When.
        held: Tables with unique indexes beside that of the ids. There PostgreSQL's `ON CONFLICT (id)` may overlook a
            row that others write meanwhile, which then is in its own way, or a deadlock: so it is locked first.
    """
    statements: list[Statement] = []
    unheld = set(held)
    for run in _runs(operations):
        first = run[0]
        if first.table in unheld:
            unheld.remove(first.table)
            keys = TextArray(each.id for each in operations if each.table is first.table)
            statements.append(Statement(first.table.hold, (keys,)))
        if isinstance(first, Put):
            _compile_puts(run, moment, statements)  # type: ignore[arg-type]  # a run is of one kind
        elif isinstance(first, Delete):
            statements += [_guarded_delete(d) for d in run]  # type: ignore[arg-type]  # a run is of one kind
        else:
            statements += [_guarded_check(c) for c in run]  # type: ignore[arg-type]  # a run is of one kind
    return statements


def compile_single(operation: Operation, moment: Moment) -> Statement:
    """Return the statement of a flush of one document, which needs no transaction and no guard."""
    table = operation.table
    match operation:
        case Put(expected=None):
            row = (operation.id, operation.data, operation.metadata, moment.version, moment.last_modified)
            return Statement(table.upsert, (*row, moment.step))
        case Put(expected=expected):
            row = (operation.id, operation.data, operation.metadata, operation.version, moment.last_modified)
            return Statement(table.update, (*row, expected)) if expected else Statement(table.insert, row)
        case Delete(expected=None):
            return Statement(table.delete, (operation.id,))
        case Delete():
            return Statement(table.delete_checked, (operation.id, operation.expected))
        case Check():
            return Statement(table.check, (operation.id,))


def single_succeeded(operation: Operation, rows: Rows) -> bool:
    """Return False where the answer to `compile_single` tells a conflict."""
    match operation:
        case Put():
            return bool(rows)
        case Delete():
            return operation.expected is None or bool(rows)
        case Check():
            return [operation.expected] == [row[0] for row in rows] if operation.expected else not rows


def _runs(operations: Sequence[Operation]) -> Iterator[Sequence[Operation]]:
    """Cut *operations* into the longest runs of one table and kind."""
    start = 0
    table: TableStatements | None = None
    kind: type | None = None
    is_free = False
    for i, operation in enumerate(operations):
        if operation.table is not table or type(operation) is not kind or (operation.expected is None) is not is_free:
            if i > start:
                yield operations[start:i]
            start, table, kind, is_free = i, operation.table, type(operation), operation.expected is None
    if operations:
        yield operations[start:]


def _compile_puts(puts: Sequence[Put], moment: Moment, statements: list[Statement]) -> None:
    table = puts[0].table
    guarded = puts[0].expected is not None
    start = 0
    for size in split_sizes(len(puts)):
        chunk = puts[start : start + size]
        start += size
        params: list[object] = []
        for put in chunk:
            params += (put.id, put.data, put.metadata, put.expected or put.version)
        params += (moment.last_modified, moment.step, moment.version)
        if guarded:
            params.append(str(sum(put.version for put in chunk)))
        statements.append(Statement(table.put_guarded(size) if guarded else table.put(size), params))


def _guarded_delete(operation: Delete) -> Statement:
    if operation.expected is None:
        return Statement(operation.table.delete, (operation.id,))
    return Statement(operation.table.delete_guarded, (operation.id, operation.expected))


def _guarded_check(operation: Check) -> Statement:
    if operation.expected:
        return Statement(operation.table.check_guarded, (operation.id, operation.expected))
    return Statement(operation.table.check_absent, (operation.id,))


def refuse_ids(table: TableStatements, ids: Sequence[str]) -> Statement:
    """Refuse the flush where *table* holds one of *ids*."""
    return Statement(table.refuse_ids, (TextArray(ids),))
