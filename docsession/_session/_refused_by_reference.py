"""Transactions that a foreign key refuses: which documents are meant, of which PostgreSQL knows nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from docsession._errors import ForeignKeyViolation, RavenException
from docsession._port import Request, Statement, TextArray
from docsession._session._context import SessionContext
from docsession._session._refused_by_index import like, parameters_of, puts_of
from docsession._sql._definitions import Definition, Kind
from docsession._sql._flush import Delete, Operation
from docsession._sql._objects import referred_documents, unreferred_documents
from docsession._sql._tables import TableStatements

_SHOWN = 20


async def explain_reference(
    context: SessionContext, operations: Sequence[Operation], error: ForeignKeyViolation
) -> ForeignKeyViolation:
    """Return the error that names the documents of a transaction which a foreign key refused; asks the server, once."""
    try:
        written = puts_of(context, operations)
        for table, definition in _declared(context, error.constraint, written):
            puts = written.get(table)
            if puts:
                sql = unreferred_documents(definition, context.database.name)
                (rows,) = await context.run(Request([Statement(sql, parameters_of(puts))]))
                if rows:
                    return _of_puts(table, definition, [row[0] for row in rows], error)
            deleted = _deleted(context, operations, definition)
            if deleted:
                sql = referred_documents(table, definition)
                (rows,) = await context.run(Request([Statement(sql, (TextArray(deleted),))]))
                if rows:
                    return _of_deletions(table, definition, [(row[0], row[1]) for row in rows], error)
            return explain_reference_of_query(context, error)
    except RavenException:
        pass  # the server's own words are better than none
    return error


def explain_reference_of_query(context: SessionContext, error: ForeignKeyViolation) -> ForeignKeyViolation:
    """Return the error that names the field of a foreign key; whose documents they are only the server knows."""
    for table, definition in _declared(context, error.constraint):
        (field,) = definition.fields
        message = (
            f"a document of {table.collection!r} refers in ({field}) to what is not in {_place(definition)}, or would "
            f"not be there any more: the foreign key {definition.name!r} refuses that. Nothing was written"
        )
        return like(error, ForeignKeyViolation(message, definition.name, definition.fields))
    return error


def _of_puts(
    table: TableStatements, definition: Definition, ids: list[str], error: ForeignKeyViolation
) -> ForeignKeyViolation:
    (field,) = definition.fields
    message = (
        f"{_names(ids)} of {table.collection!r} {_verb(ids)} in ({field}) to what is not in {_place(definition)}: the "
        f"foreign key {definition.name!r} refuses that. Nothing was written: make that row first, or change the "
        "field"
    )
    return like(error, ForeignKeyViolation(message, definition.name, definition.fields, ids))


def _of_deletions(
    table: TableStatements, definition: Definition, pairs: list[tuple[str, str]], error: ForeignKeyViolation
) -> ForeignKeyViolation:
    ids = [key for key, _ in pairs]
    (field,) = definition.fields
    message = (
        f"{_names(ids)} cannot be deleted: documents of {table.collection!r} refer there in ({field}), "
        f"{pairs[0][1]!r} for one, and the foreign key {definition.name!r} keeps that so. Nothing was written: "
        "delete or change those first, or with them"
    )
    return like(error, ForeignKeyViolation(message, definition.name, definition.fields, ids))


def _declared(
    context: SessionContext, name: str | None, written: Iterable[TableStatements] = ()
) -> Iterator[tuple[TableStatements, Definition]]:
    """Yield the declared foreign key that the server has called *name*, of a table that is *written* or known."""
    catalogue = context.database.catalogue
    known = () if catalogue is None else catalogue.by_collection.values()
    for table in dict.fromkeys((*written, *known)):
        for each in context.definitions_of(table.collection, table.table):
            if each.kind is Kind.FOREIGN_KEY and each.name == name:
                yield table, each
                return


def _deleted(context: SessionContext, operations: Sequence[Operation], definition: Definition) -> list[str]:
    """Return the ids of the deleted documents of the table that a foreign key refers to by id."""
    assert definition.references is not None  # noqa: S101  # a foreign key has them
    schema, name, column = definition.references
    if schema != context.database.name or column != "id":
        return []
    return [each.id for each in operations if isinstance(each, Delete) and each.table.table == name]


def _names(ids: Sequence[str]) -> str:
    shown = ", ".join(map(repr, ids[:_SHOWN]))
    return shown if len(ids) <= _SHOWN else f"{shown} and {len(ids) - _SHOWN} more"


def _verb(ids: Sequence[str]) -> str:
    return "refers" if len(ids) == 1 else "refer"


def _place(definition: Definition) -> str:
    assert definition.references is not None  # noqa: S101  # a foreign key has them
    return ".".join(definition.references)
