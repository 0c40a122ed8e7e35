"""Flushes that an index refuses: which documents are meant, which PostgreSQL does not say in words of documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias, TypeVar

from docsession._errors import IndexedValueTooLongException, RavenException, UniqueConstraintViolation
from docsession._port import Request, Statement, TextArray
from docsession._session._context import SessionContext
from docsession._sql._definitions import Definition, Kind
from docsession._sql._flush import Operation, Put
from docsession._sql._objects import equal_documents, long_documents
from docsession._sql._tables import TableStatements

Refusal: TypeAlias = UniqueConstraintViolation | IndexedValueTooLongException
R = TypeVar("R", bound=RavenException)


async def explain_refused(context: SessionContext, operations: Sequence[Operation], error: Refusal) -> Refusal:
    """Return the error that names the documents of a flush which an index refused; asks the server, once."""
    puts = puts_of(context, operations)
    try:
        if isinstance(error, UniqueConstraintViolation):
            return await _explain_duplicate(context, puts, error)
        return await _explain_length(context, puts, error)
    except RavenException:
        return error  # the server's own words are better than none


def puts_of(context: SessionContext, operations: Sequence[Operation]) -> dict[TableStatements, list[Put]]:
    """Return the documents that are written, by table."""
    puts: dict[TableStatements, list[Put]] = {}
    for each in operations:
        if isinstance(each, Put) and each.table is not context.database.compare_exchange:
            puts.setdefault(each.table, []).append(each)
    return puts


async def _explain_duplicate(
    context: SessionContext, puts: dict[TableStatements, list[Put]], error: UniqueConstraintViolation
) -> UniqueConstraintViolation:
    for table, definition in _named(context, puts, error.index):
        sql = equal_documents(table, definition, context.database.name)
        (rows,) = await context.run(Request([Statement(sql, parameters_of(puts[table]))]))
        pairs = [(row[0], row[1]) for row in rows]
        fields = ", ".join(definition.fields)
        if pairs:
            told = "; ".join(f"{key!r} has the same ({fields}) as {other!r}" for key, other in pairs[:20])
            more = f"; and {len(pairs) - 20} more" if len(pairs) > 20 else ""
            message = (
                f"{told}{more}: the unique index {definition.name!r} of {table.collection!r} refuses that. Nothing was "
                "written: change the documents, or delete those that have the values, and save again"
            )
        else:
            message = (
                f"two documents have the same ({fields}): the unique index {definition.name!r} of "
                f"{table.collection!r} refuses that, also where one of them gets other values in the same save. "
                "Nothing was written: save them one after the other"
            )
        return like(error, UniqueConstraintViolation(message, definition.name, definition.fields, pairs))
    return error


async def _explain_length(
    context: SessionContext, puts: dict[TableStatements, list[Put]], error: IndexedValueTooLongException
) -> IndexedValueTooLongException:
    found = [*_named(context, puts, error.index)] or [*_trees(context, puts)]
    if not found:
        return error
    statements = [
        Statement(long_documents(definition, context.database.name), parameters_of(puts[table]))
        for table, definition in found
    ]
    answers = await context.run(Request(statements))
    size, key, table, definition = max(
        ((rows[0][1], rows[0][0], *found[number]) for number, rows in enumerate(answers) if rows),
        key=lambda each: each[0],
    )
    message = (
        f"{key!r} has {size} bytes in ({', '.join(definition.fields)}), and the index {definition.name!r} of "
        f"{table.collection!r} holds some 2,700 at most. Nothing was written: shorten the value, or index other fields"
    )
    return like(error, IndexedValueTooLongException(message, definition.name, definition.fields, key))


def explain_refused_patch(context: SessionContext, table: TableStatements, error: Refusal) -> Refusal:
    """Return the error that names the index which refused a patch of a query; its documents only the server knows."""
    for _, definition in _named(context, [table], error.index):
        fields = ", ".join(definition.fields)
        index = f"the index {definition.name!r} of {table.collection!r}"
        if isinstance(error, UniqueConstraintViolation):
            message = (
                f"the patch would give a document the same ({fields}) as another one has, which {index} "
                "refuses. Nothing was written"
            )
            return like(error, UniqueConstraintViolation(message, definition.name, definition.fields))
        message = f"the patch would give a document more in ({fields}) than {index} holds. Nothing was written"
        return like(error, IndexedValueTooLongException(message, definition.name, definition.fields))
    return error


def _trees(
    context: SessionContext, puts: dict[TableStatements, list[Put]]
) -> Iterator[tuple[TableStatements, Definition]]:
    for table in puts:
        for each in context.definitions_of(table.collection, table.table):
            if each.kind is Kind.INDEX and each.tree is not None:
                yield table, each


def _named(
    context: SessionContext, puts: Iterable[TableStatements], name: str | None
) -> list[tuple[TableStatements, Definition]]:
    """Return the declared index that the server has called *name*, to which a distributed one adds a number."""
    found = [
        (table, each)
        for table in puts
        for each in context.definitions_of(table.collection, table.table)
        if each.kind is Kind.INDEX and name is not None and name.startswith(each.name)
    ]
    return sorted(found, key=lambda pair: len(pair[1].name))[-1:]


def parameters_of(puts: Sequence[Put]) -> tuple[TextArray, ...]:
    """Return what `equal_documents` and its like take of documents: their ids, data and metadata."""
    # A jsonb parameter is one byte and its text; null has neither.
    return (
        TextArray(put.id for put in puts),
        TextArray(put.data[1:].decode() for put in puts),
        TextArray(put.metadata[1:].decode() for put in puts),
    )


def like(error: RavenException, made: R) -> R:
    """Return *made* with what the server has called *error*."""
    made.sqlstate = error.sqlstate
    return made
