"""Which operations bring a database to what is declared: the part of Alembic's autogenerate that is docsession's.

Alembic's own comparison cannot do it: PostgreSQL gives expressions back in other words than those that were written.
So the digests are compared that comments keep.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from alembic.operations import ops
from alembic.util import PriorityDispatchResult
from sqlalchemy import Connection, Table
from sqlalchemy.types import NullType

from docsession._alembic._operations import CreateDefinition, DefinitionOperation, DropDefinition, Recorded
from docsession._alembic._reading import Kept, estimate_rows, read_kept, vector_types
from docsession._sql._definitions import DEFINITIONS, Definition, Kind

_ORDER: Final = list(Kind)


class _Vector(NullType):
    """A type of pgvector's, as far as it matters here: it is known."""

    def __init__(self, *_size: int) -> None:
        super().__init__()


def know_vectors(autogen_context: Any, _upgrade_ops: ops.UpgradeOps, _schemas: object) -> PriorityDispatchResult:
    """Let SQLAlchemy read columns of pgvector's types without a warning, where nobody has told it of them."""
    connection = autogen_context.connection
    if connection is not None and connection.dialect.name == "postgresql":
        dialect = connection.dialect
        if any(DEFINITIONS in table.info for table in autogen_context.sorted_tables):
            unknown = dict.fromkeys(vector_types(connection), _Vector)
            dialect.ischema_names = unknown | dialect.ischema_names
    return PriorityDispatchResult.CONTINUE


def compare_declared(autogen_context: Any, upgrade_ops: ops.UpgradeOps, _schemas: object) -> PriorityDispatchResult:
    """Add what brings the database to what is declared, and take away what Alembic would do to it: its comparator."""
    connection = autogen_context.connection
    if connection is None or connection.dialect.name != "postgresql":
        return PriorityDispatchResult.CONTINUE
    default: str = connection.dialect.default_schema_name
    declared: dict[str, dict[str, Sequence[Definition]]] = {}
    for table in autogen_context.sorted_tables:
        if DEFINITIONS in table.info and _is_included(autogen_context, table):
            declared.setdefault(table.schema or default, {})[str(table.name)] = table.info[DEFINITIONS]
    named: dict[str, set[str]] = {schema: set(tables) for schema, tables in declared.items()}
    for operation in upgrade_ops.ops:
        if isinstance(operation, ops.ModifyTableOps):
            named.setdefault(operation.schema or default, set()).add(str(operation.table_name))
    kept = {schema: read_kept(connection, schema, tables) for schema, tables in named.items()}
    _hide(upgrade_ops, kept, declared, default)
    given = {table.schema or default: table.schema for table in autogen_context.sorted_tables}
    for schema, tables in declared.items():
        upgrade_ops.ops.extend(changes(tables, kept[schema], connection, schema, given[schema]))
    return PriorityDispatchResult.CONTINUE


def changes(
    declared: Mapping[str, Sequence[Definition]],
    kept: Sequence[Kept],
    connection: Connection,
    schema: str,
    shown_schema: str | None = None,
) -> list[DefinitionOperation]:
    """Return what brings the tables of a database to what is declared for them.

    Args:
        declared: The definitions by table, in the order in which they are made.
        kept: What the tables have.
        connection: Where they are.
        schema: The database.
        shown_schema: The schema that the operations name.
    """
    made: list[DefinitionOperation] = []
    for table, definitions in declared.items():
        own = [each for each in kept if each.table == table]
        outdated = _outdated(definitions, own)
        for each in outdated:
            notes = [
                f"The column takes along {other.kind.value.lower()} {other.name}, which docsession did not make."
                for other in own
                if each.kind is Kind.COLUMN and each.name in other.needs and other.digest is None
            ]
            made.append(DropDefinition(_definition_of(each), shown_schema, notes))
        gone = {(each.kind, each.name) for each in outdated}
        staying = {(each.kind, each.name): each for each in own if (each.kind, each.name) not in gone}
        for definition in definitions:
            found = staying.get((definition.kind, definition.name))
            if found is None or not found.is_made_of(definition):
                notes = _notes(definition, connection, schema)
                made.append(CreateDefinition(definition, shown_schema, notes))
    return made


def _outdated(definitions: Iterable[Definition], kept: Iterable[Kept]) -> list[Kept]:
    """Return what docsession has made and is declared no longer, or otherwise; what is built on others first."""
    wanted = {(each.kind, each.name): each.digest for each in definitions}
    ours = [each for each in kept if each.digest is not None]
    outdated = [each for each in ours if wanted.get((each.kind, each.name)) != each.digest]
    columns = {each.name for each in outdated if each.kind is Kind.COLUMN}
    outdated += [each for each in ours if each not in outdated and each.needs & columns]
    return sorted(outdated, key=lambda each: _ORDER.index(each.kind), reverse=True)


def _definition_of(kept: Kept) -> Definition:
    """Return what makes again what a server has, so that a downgrade can do so."""
    return Recorded(kept.kind, kept.name, kept.table, kept.body, is_unique=kept.is_unique, recorded=kept.digest or "")


def _notes(definition: Definition, connection: Connection, schema: str) -> list[str]:
    if not definition.rewrites_table:
        return []
    rows = estimate_rows(connection, schema, definition.table)
    if not rows:
        return []
    return [
        f"This writes the whole table {definition.table} anew ({rows:,} rows where it was compared); meanwhile nobody",
        "else can read or write it. Where it cannot get the table in time, it fails, and can be run again.",
    ]


def _is_included(autogen_context: Any, table: Table) -> bool:
    return bool(autogen_context.run_object_filters(table, table.name, "table", False, None))


def _hide(
    upgrade_ops: ops.UpgradeOps,
    kept: Mapping[str, Iterable[Kept]],
    declared: Mapping[str, Mapping[str, object]],
    default: str,
) -> None:
    """Take away Alembic's own operations on what docsession has made, and on indexes in its tables that others have."""
    ours = {
        (schema, each.table, each.kind, each.name)
        for schema, found in kept.items()
        for each in found
        if each.digest is not None
    }
    left: list[ops.MigrateOperation] = []
    for operation in upgrade_ops.ops:
        if isinstance(operation, ops.ModifyTableOps):
            schema, table = operation.schema or default, str(operation.table_name)
            is_declared = table in declared.get(schema, {})
            operation.ops = [
                each
                for each in operation.ops
                if not (is_declared and isinstance(each, ops.DropIndexOp))
                and (schema, table, *_object_of(each)) not in ours
            ]
            if operation.is_empty():
                continue
        left.append(operation)
    upgrade_ops.ops = left


def _object_of(operation: ops.MigrateOperation) -> tuple[Kind | None, str | None]:
    match operation:
        case ops.DropIndexOp() | ops.CreateIndexOp():
            return Kind.INDEX, operation.index_name
        case ops.DropColumnOp() | ops.AlterColumnOp():
            return Kind.COLUMN, operation.column_name
        case ops.DropConstraintOp():
            return Kind.FOREIGN_KEY, str(operation.constraint_name)
    return None, None
