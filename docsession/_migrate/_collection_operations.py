"""What a project's revisions can do with collections: `op.create_collection_table("orders")` and its like.

They are operations of Alembic, with renderers for autogenerate. A revision does not spell out the columns of a
collection, because they are docsession's: its own revisions run first, so a table is always made as they are today.
"""

from __future__ import annotations

from typing import Any

from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import renderers
from alembic.operations import MigrateOperation, Operations
from typing_extensions import override

from docsession._alembic._running import database_of, run_sql
from docsession._sql._downgrade import drop_collection_statement
from docsession._sql._quoting import qualified
from docsession._sql._schema import create_collection_statement


@Operations.register_operation("create_collection_table")
class CreateCollectionTable(MigrateOperation):
    """Makes the table of a collection; one that is there already stays as it is."""

    def __init__(self, table_name: str) -> None:
        self.table_name = table_name

    @classmethod
    def create_collection_table(cls, operations: Operations, table_name: str) -> None:
        operations.invoke(cls(table_name))

    @override
    def reverse(self) -> DropCollectionTable:
        return DropCollectionTable(self.table_name)

    @override
    def to_diff_tuple(self) -> tuple[Any, ...]:
        return ("add_table", self.table_name)


@Operations.register_operation("drop_collection_table")
class DropCollectionTable(MigrateOperation):
    """Drops the table of a collection that holds no documents."""

    def __init__(self, table_name: str) -> None:
        self.table_name = table_name

    @classmethod
    def drop_collection_table(cls, operations: Operations, table_name: str) -> None:
        operations.invoke(cls(table_name))

    @override
    def reverse(self) -> CreateCollectionTable:
        return CreateCollectionTable(self.table_name)


@Operations.register_operation("qualified_name")
class QualifiedName(MigrateOperation):
    """Returns a table's name with the schema that is migrated, quoted, for SQL of the revision's own."""

    def __init__(self, table_name: str) -> None:
        self.table_name = table_name

    @classmethod
    def qualified_name(cls, operations: Operations, table_name: str) -> str:
        return str(operations.invoke(cls(table_name)))


@Operations.implementation_for(CreateCollectionTable)
def _create(operations: Operations, operation: CreateCollectionTable) -> None:
    context = operations.get_context()
    run_sql(context, create_collection_statement(database_of(context), operation.table_name))


@Operations.implementation_for(DropCollectionTable)
def _drop(operations: Operations, operation: DropCollectionTable) -> None:
    context = operations.get_context()
    run_sql(context, drop_collection_statement(database_of(context), operation.table_name))


@Operations.implementation_for(QualifiedName)
def _qualify(operations: Operations, operation: QualifiedName) -> str:
    # `op.execute` takes a colon for the beginning of a parameter.
    return qualified(database_of(operations.get_context()), operation.table_name).replace(":", "\\:")


@renderers.dispatch_for(CreateCollectionTable)
def _render_create(autogen_context: AutogenContext, operation: CreateCollectionTable) -> str:
    return f"{_prefix(autogen_context)}create_collection_table({_literal(operation.table_name)})"


@renderers.dispatch_for(DropCollectionTable)
def _render_drop(autogen_context: AutogenContext, operation: DropCollectionTable) -> str:
    return f"{_prefix(autogen_context)}drop_collection_table({_literal(operation.table_name)})"


def _prefix(autogen_context: AutogenContext) -> str:
    return str(autogen_context.opts["alembic_module_prefix"] or "")


def _literal(text: str) -> str:
    """Return *text* as Python source, in double quotes where that needs no escapes, as formatters have it."""
    return f'"{text}"' if text.isprintable() and not set(text) & {'"', "\\"} else repr(text)
