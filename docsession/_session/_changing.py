"""Set-based operations: documents that a query finds are deleted or patched on the server, in one request."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from docsession._documents._mapping import DocumentMapping
from docsession._errors import (
    DocSessionError,
    ForeignKeyViolation,
    IndexedValueTooLongException,
    InvalidOperationException,
    UniqueConstraintViolation,
    UnknownOutcomeException,
    UnsupportedValueException,
)
from docsession._port import Request, Row, Rows, Statement, TextArray
from docsession._query._patches import PatchOperation, operations_of
from docsession._query._query import Specification, but
from docsession._session._asking import Asking, mapping_for
from docsession._session._changes import is_changed, renew, take_back
from docsession._session._context import SessionContext
from docsession._session._delivery import deliver, deliver_cancellation
from docsession._session._journal import Entry, undo_write
from docsession._session._planning import current_moment
from docsession._session._refused_by_index import explain_refused_patch
from docsession._session._refused_by_reference import explain_reference_of_query
from docsession._session._tracked import Tracked
from docsession._sql._tables import TableStatements


class Changing:
    """Changes documents by queries, for one session."""

    __slots__ = ("_asking", "_context")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._asking = Asking(context)

    async def delete(self, asked: Specification, *, returning: bool) -> list[Any]:
        """Delete the documents, and return them as they were, or their ids."""
        return await self._asking.guarded("delete", asked, lambda asked: self._delete(asked, returning=returning))

    async def patch(self, asked: Specification, function: Callable[[Any], object], *, returning: bool) -> list[Any]:
        """Patch the documents, and return them, or their ids."""
        return await self._asking.guarded(
            "patch", asked, lambda asked: self._patch(asked, function, returning=returning)
        )

    async def _delete(self, asked: Specification, *, returning: bool) -> list[Any]:
        found = await self._prepare(asked, "delete")
        if found is None:
            return []
        table, mapping = found
        request, rows = await self._send(
            table, self._asking.compiler(table, mapping).delete(asked, returning=returning)
        )
        known = self._context.map
        for key, *_ in rows:
            tracked = known.by_id.get(key)
            if tracked is not None and tracked.table is table:
                known.forget(tracked)
            known.deleted.pop(key, None)
            known.included.pop(key, None)
            known.missing.add(key)
        deliver(request)
        if not returning:
            return [row[0] for row in rows]
        rows.sort(key=_id_of)
        return self._asking.answers.entities(rows, table, mapping, but(asked, no_tracking=True))

    async def _patch(self, asked: Specification, function: Callable[[Any], object], *, returning: bool) -> list[Any]:
        # Before anything is asked, so that a wrong one is refused where there is no document yet, too.
        id_key = mapping_for(asked, self._context.mappings).codec.id_key
        operations = operations_of(asked.root, function, id_key)
        found = await self._prepare(asked, "patch")
        if found is None:
            return []
        table, mapping = found
        request, rows = await self._send(table, self._statement(asked, table, mapping, operations, returning=returning))
        known = self._context.map
        for key, *row in rows:
            known.included.pop(key, None)
            tracked = known.by_id.get(key)
            if tracked is not None and tracked.table is table and row[0] is not None:
                self._renew(tracked, row)
        deliver(request)
        if not returning:
            return [row[0] for row in rows]
        rows.sort(key=_id_of)
        return self._asking.answers.entities(rows, table, mapping, asked)

    def _statement(
        self,
        asked: Specification,
        table: TableStatements,
        mapping: DocumentMapping[Any],
        operations: list[PatchOperation],
        *,
        returning: bool,
    ) -> Statement:
        moment = current_moment()
        tracked = TextArray(key for key, each in self._context.map.by_id.items() if each.table is table)
        wanted = None if returning else tracked
        last = (moment.version, moment.step, moment.last_modified, wanted)
        return self._asking.compiler(table, mapping).patch(asked, operations, last)

    async def _prepare(
        self, asked: Specification, operation: str
    ) -> tuple[TableStatements, DocumentMapping[Any]] | None:
        """Return where the documents are; None where there is none.

        Raises:
            InvalidOperationException: The query cannot change documents, or the session has changed some itself.
        """
        context = self._context
        is_part = asked.take is not None or asked.skip or asked.nearest is not None
        if is_part or asked.groups or asked.projection is not None or asked.distinct:
            raise InvalidOperationException(
                f"{operation}() is done to all documents that fulfil the conditions: call it on a query without skip, "
                "take, nearest, group_by, select and distinct"
            )
        found = await self._asking.find(asked)
        if found is None:
            return None
        table, _ = found
        if context.joined is not None:
            await context.joined.find_out()
        changed = [each.id for each in context.map.by_id.values() if each.table is table and is_changed(each)]
        if operation == "patch":
            # It would give them versions that the session has not seen, so that the next save could not delete them.
            pending = (each.tracked for each in context.map.deleted.values())
            changed += [each.id for each in pending if each is not None and each.table is table]
        if changed:
            names = ", ".join(map(repr, changed[:10]))
            raise InvalidOperationException(
                f"{operation}() of a query may meet documents that this session has changed or deleted, and not "
                f"saved ({names}): save, refresh or evict them first"
            )
        return found

    async def _send(self, table: TableStatements, statement: Statement) -> tuple[Request, Rows]:
        request = Request([statement], transaction=True, write=True)
        try:
            rows = await self._carry(table, request)
        except DocSessionError as error:
            deliver_cancellation(request, error)
            raise
        if self._context.journal is None:
            self._context.has_committed = True
        return request, rows

    async def _carry(self, table: TableStatements, request: Request) -> Rows:
        context = self._context
        context.requests.count(context.operation)
        try:
            (rows,) = await context.run(request)
        except UnknownOutcomeException as error:
            raise UnknownOutcomeException(
                f"the connection to PostgreSQL broke before the {context.operation} of a query was acknowledged: "
                "whether it was committed is not known. Ask for the documents, and repeat it where it was not"
            ) from error
        except (UniqueConstraintViolation, IndexedValueTooLongException) as error:
            raise explain_refused_patch(context, table, error) from error
        except ForeignKeyViolation as error:
            raise explain_reference_of_query(context, error) from error
        return rows

    def _renew(self, tracked: Tracked, row: list[Any]) -> None:
        data, stored, version, modified = row
        undo = undo_write(tracked, self._context.map)
        before = tracked.raw or data, tracked.stored_metadata, tracked.version, tracked.last_modified
        renew(tracked, data, stored, version, modified)
        journal = self._context.journal
        if journal is not None:
            entry = Entry([], current_moment())

            def undo_patch() -> None:
                # The user gave the entity none of these values. What the user has changed since, stays so.
                patched = tracked.snapshot
                undo()
                if patched is not None:
                    # What cannot be stored cannot be compared either; as an edit, it is for the next save to refuse.
                    with suppress(UnsupportedValueException):
                        take_back(tracked, patched, *before)

            entry.remember(undo_patch)
            if tracked.table is not None:
                entry.renewed[tracked.table, tracked.id] = version
            journal.entries.append(entry)


def _id_of(row: Row) -> str:
    return str(row[0])
