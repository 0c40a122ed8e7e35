"""Which documents of a flush are in conflict, asked of the server after it refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from docsession._documents._ids import prefix_of
from docsession._errors import (
    ClusterTransactionConcurrencyException,
    CollectionMismatchException,
    CompareExchangeConflict,
    ConcurrencyException,
    Conflict,
)
from docsession._options import TransactionMode
from docsession._port import Request, Statement, TextArray
from docsession._session._catalogue import Catalogue
from docsession._session._changes import Write
from docsession._session._context import SessionContext
from docsession._session._tracked import MUST_NOT_EXIST, change_vector_of
from docsession._sql._flush import (
    Operation,
)
from docsession._sql._tables import TableStatements


class ConflictFinder:
    """Looks for what stood in the way of a flush. Not counted as requests."""

    __slots__ = ("_context",)

    def __init__(self, context: SessionContext) -> None:
        self._context = context

    async def look(self, operations: Iterable[Operation], known: Sequence[Conflict] = ()) -> ConcurrencyException:
        """Ask for the versions of all that was checked, and return the error that names every conflict."""
        checked = [each for each in operations if each.expected is not None]
        by_table: dict[TableStatements, list[str]] = {}
        for each in checked:
            by_table.setdefault(each.table, []).append(each.id)
        actual = await self.versions(list(by_table.items()))
        conflicts: list[Conflict] = []
        values: list[CompareExchangeConflict] = []
        for each in checked:
            found = actual.get((each.table, each.id))
            if (found or MUST_NOT_EXIST) == each.expected:
                continue
            if each.table is self._context.database.compare_exchange:
                values.append(CompareExchangeConflict(each.id, each.expected or MUST_NOT_EXIST, found))
            else:
                conflicts.append(Conflict(each.id, vector_of(each.expected), change_vector_of(found)))
        conflicts += known
        generated = {each.id for each in checked if isinstance(each, Write) and each.tracked.generated}
        message = _message(conflicts, values, [conflict.id for conflict in conflicts if conflict.id in generated])
        if self._context.transaction_mode is TransactionMode.CLUSTER_WIDE:
            return ClusterTransactionConcurrencyException(message, conflicts, values)
        return ConcurrencyException(message, conflicts)

    async def mismatch(self, puts: Iterable[Write], catalogue: Catalogue) -> CollectionMismatchException:
        separator = self._context.database.separator
        parts: dict[TableStatements, list[str]] = {}
        for put in puts:
            for other in catalogue.by_prefix.get(prefix_of(put.id, separator), ()):
                if other is not put.table:
                    parts.setdefault(other, []).append(put.id)
        found = await self.versions(list(parts.items()))
        names = ", ".join(f"{key!r} (a document of {table.collection!r})" for table, key in found)
        return CollectionMismatchException(
            f"these ids belong to documents of another collection: {names or 'unknown'}; nothing was written. "
            "Delete those documents first, or use other ids"
        )

    async def versions(
        self, parts: Sequence[tuple[TableStatements, Sequence[str]]]
    ) -> dict[tuple[TableStatements, str], int]:
        if not parts:
            return {}
        statements = [Statement(table.versions, (TextArray(keys),)) for table, keys in parts]
        answers = await self._context.run(Request(statements))
        return {(table, row[0]): row[1] for (table, _), rows in zip(parts, answers, strict=True) for row in rows}


def vector_of(expected: int | None) -> str:
    return str(expected) if expected else ""


def _message(conflicts: Sequence[Conflict], values: Sequence[CompareExchangeConflict], generated: Sequence[str]) -> str:
    """Return the text that names *conflicts*, those with *generated* ids among them, and those of *values*."""
    if not conflicts and not values:
        return (
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
            "that gives them new ids (an identity is taken past such ids by maintenance.seed_identity_for())"
        )
    if values:
        advice.append("Get the compare-exchange values again in a new session")
    counts = [f"{len(conflicts)} document(s)"] if conflicts or not values else []
    counts += [f"{len(values)} compare-exchange value(s)"] if values else []
    return (
        f"{' and '.join(counts)} in conflict, nothing was written: {_listed([*conflicts, *values], '; ')}. "
        + ". ".join(advice)
    )


def _listed(things: Sequence[object], separator: str = ", ") -> str:
    """Return the first twenty of *things*, and how many more there are."""
    shown = [repr(each) if isinstance(each, str) else str(each) for each in things[:20]]
    return separator.join([*shown, f"and {len(things) - 20} more"] if len(things) > 20 else shown)
