"""The rows of a query's answer as documents, tracked as what is loaded is, or as what `select` asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from docsession._documents._mapping import DocumentMapping
from docsession._port import Row, Rows
from docsession._query._query import Specification
from docsession._session._context import SessionContext
from docsession._session._loading import Loader
from docsession._session._query_values import Page
from docsession._sql._tables import TableStatements


class Answers:
    """Reads what the queries of one session have found."""

    __slots__ = ("_context", "_loader")

    def __init__(self, context: SessionContext, loader: Loader) -> None:
        self._context = context
        self._loader = loader

    def results(
        self, rows: Sequence[Row], table: TableStatements, mapping: DocumentMapping[Any], asked: Specification
    ) -> list[Any]:
        """Return what rows stand for: documents, or what `select` asked for."""
        projection = asked.projection
        if projection is not None:
            return [projection.read(row) for row in rows]
        return self.entities(rows, table, mapping, asked)

    def page_of(
        self, rows: Rows, table: TableStatements, mapping: DocumentMapping[Any], asked: Specification
    ) -> Page[Any]:
        """Return the page of an answer: where it is empty there is one row, with the total alone."""
        return Page(self.results([row[:-2] for row in rows if row[-2]], table, mapping, asked), rows[0][-1])

    def entities(
        self, rows: Sequence[Row], table: TableStatements, mapping: DocumentMapping[Any], asked: Specification
    ) -> list[Any]:
        """Return the entities of rows, tracked unless the query or the session says otherwise."""
        return self.entities_of(rows, table, mapping, no_tracking=asked.no_tracking)

    def entities_of(
        self, rows: Sequence[Row], table: TableStatements, mapping: DocumentMapping[Any] | None, *, no_tracking: bool
    ) -> list[Any]:
        """Return the entities of rows of a table."""
        deleted = self._context.map.deleted
        if no_tracking or self._context.no_tracking or not deleted:
            return self._loader.materialise_all(rows, table, mapping, track=not no_tracking)
        found = self._loader.by_id([row for row in rows if row[0] not in deleted], table, mapping)
        entities = []
        for row in rows:
            deletion = deleted.get(row[0])
            if deletion is None:
                entities.append(found[row[0]])
            elif deletion.tracked is not None:
                entities.append(deletion.tracked.entity)
            else:
                entities.append(self._loader.read(row, table, mapping))
        return entities
