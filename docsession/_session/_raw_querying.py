"""Asking for documents with SQL of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docsession._documents._ids import prefix_of
from docsession._documents._mapping import DocumentMapping
from docsession._errors import InvalidArgumentException, RavenException
from docsession._port import Request, Row
from docsession._query._raw_sql import raw_statement
from docsession._session._answers import Answers
from docsession._session._context import SessionContext
from docsession._session._database import Catalogue
from docsession._session._loading import Loader
from docsession._sql._quoting import quote_identifier
from docsession._sql._tables import TableStatements

_WRONG_SQL = frozenset({"42601", "42703", "42702", "42P01", "42883", "42804", "42P18", "42P08"})
"""Mistakes in the SQL's text: syntax, columns, tables, functions, types."""


class RawQuerying:
    """Asks a user's SQL in one session."""

    __slots__ = ("_answers", "_context")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._answers = Answers(context, Loader(context))

    async def all(
        self, object_type: type[Any] | None, sql: str, values: Mapping[str, Any], *, no_tracking: bool
    ) -> list[Any]:
        """Return the documents that *sql* finds, in its order."""
        context = self._context
        context.enter("query_sql")
        try:
            await context.settle()
            return await self._all(object_type, sql, values, no_tracking=no_tracking)
        except RavenException as error:
            if error.sqlstate in _WRONG_SQL:
                raise InvalidArgumentException(
                    f"{error}. The SQL's result has the columns id, data, metadata, version and last_modified, as in "
                    "SELECT o.* FROM {table} AS o WHERE …"
                ) from error
            raise
        finally:
            context.leave()

    async def _all(
        self, object_type: type[Any] | None, sql: str, values: Mapping[str, Any], *, no_tracking: bool
    ) -> list[Any]:
        context = self._context
        database = context.database
        mapping = context.mapping_for(object_type)
        catalogue = database.catalogue or await database.refresh()
        table = None if mapping is None else catalogue.by_collection.get(mapping.collection)
        if mapping is not None and table is None:
            catalogue = await database.refresh()
            table = catalogue.by_collection.get(mapping.collection)
        name = quote_identifier(database.name) if table is None else table.name
        statement = raw_statement(sql, values, name)
        if mapping is not None and table is None:
            context.requests.count(context.operation)
            return []
        context.requests.count(context.operation)
        (rows,) = await context.run(Request([statement]))
        entities: list[Any] = []
        for row in rows:
            own_table, own_mapping = (table, mapping) if table is not None else self._place_of(row, catalogue)
            assert own_table is not None  # noqa: S101  # `_place_of` found one
            entities += self._answers.entities_of([row], own_table, own_mapping, no_tracking=no_tracking)
        return entities

    def _place_of(self, row: Row, catalogue: Catalogue) -> tuple[TableStatements, DocumentMapping[Any]]:
        """Return where the document of a row lies, whose class was not given, and how dicts of it are stored."""
        context = self._context
        tables = catalogue.by_prefix.get(prefix_of(row[0], context.database.separator), ())
        if len(tables) != 1:
            raise InvalidArgumentException(
                f"the collection of {row[0]!r:.80} cannot be told from its id; name the class: query_sql(Order, …)"
            )
        return tables[0], context.mappings.for_dict(tables[0].collection)
