"""What revisions do with declared indexes: `op.docsession_create_index(…)` and its like.

Revisions carry the texts of definitions, without a schema. What is there already as it should be stays, so that a
revision that was interrupted can be run again, and one that meets indexes that were made otherwise does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from alembic.operations.base import Operations
from alembic.operations.ops import MigrateOperation
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from typing_extensions import override

from docsession._alembic._reading import Kept, read_kept, schemas_of_extensions
from docsession._alembic._running import database_of, run_sql
from docsession._errors import MigrationException
from docsession._sql._definitions import Definition, Kind
from docsession._sql._kept import analyze_statement, make_statement, make_way_statement, validate_statement
from docsession._sql._quoting import quote_literal

if TYPE_CHECKING:
    # It is not there yet while Alembic imports its plugins.
    from alembic.runtime.migration import MigrationContext

LOCK_TIMEOUT: Final = "5s"
"""For what locks a table against everybody: who waits for a lock makes everybody behind it wait, too."""


@dataclass(frozen=True)
class Recorded(Definition):
    """A definition that is known by another digest than its own: one that was read from a server.

    Attributes:
        recorded: The digest; "" is its own.
    """

    recorded: str = field(default="")

    @cached_property
    @override
    def digest(self) -> str:
        """What the comment keeps."""
        return self.recorded or super().digest


class DefinitionOperation(MigrateOperation):
    """An operation on what a definition makes.

    Attributes:
        definition: What is made or dropped; without a body where only its name is known.
        schema: The schema; None is that of the migration.
        notes: What a revision says of it, a line each.
    """

    def __init__(self, definition: Definition, schema: str | None = None, notes: Sequence[str] = ()) -> None:
        self.definition = definition
        self.schema = schema
        self.notes = notes

    @override
    def to_diff_tuple(self) -> tuple[Any, ...]:
        word = "add" if isinstance(self, CreateDefinition) else "remove"
        return (f"{word}_docsession_{self.definition.kind.name.lower()}", self.definition)


@Operations.register_operation("docsession_create_index")
@Operations.register_operation("docsession_add_column")
@Operations.register_operation("docsession_create_statistics")
@Operations.register_operation("docsession_add_foreign_key")
class CreateDefinition(DefinitionOperation):
    """Makes an index, column, statistics object or foreign key; one that is there as it should be stays."""

    def __init__(
        self,
        definition: Definition,
        schema: str | None = None,
        notes: Sequence[str] = (),
        lock_timeout: str = LOCK_TIMEOUT,
    ) -> None:
        super().__init__(definition, schema, notes)
        self.lock_timeout = lock_timeout

    @classmethod
    def docsession_create_index(
        cls,
        operations: Operations,
        name: str,
        table: str,
        body: str,
        *,
        unique: bool = False,
        extensions: Sequence[str] = (),
        digest: str = "",
        schema: str | None = None,
    ) -> None:
        """Build an index without keeping writers out, outside the transaction."""
        definition = Recorded(
            Kind.INDEX, name, table, body, is_unique=unique, extensions=tuple(extensions), recorded=digest
        )
        operations.invoke(cls(definition, schema))

    @classmethod
    def docsession_add_column(
        cls,
        operations: Operations,
        name: str,
        table: str,
        body: str,
        *,
        extensions: Sequence[str] = (),
        lock_timeout: str = LOCK_TIMEOUT,
        digest: str = "",
        schema: str | None = None,
    ) -> None:
        """Add a generated column, which writes the table anew under a lock."""
        definition = Recorded(Kind.COLUMN, name, table, body, extensions=tuple(extensions), recorded=digest)
        operations.invoke(cls(definition, schema, lock_timeout=lock_timeout))

    @classmethod
    def docsession_create_statistics(
        cls, operations: Operations, name: str, table: str, body: str, *, digest: str = "", schema: str | None = None
    ) -> None:
        """Make statistics, and collect them."""
        operations.invoke(cls(Recorded(Kind.STATISTICS, name, table, body, recorded=digest), schema))

    @classmethod
    def docsession_add_foreign_key(
        cls,
        operations: Operations,
        name: str,
        table: str,
        body: str,
        *,
        lock_timeout: str = LOCK_TIMEOUT,
        digest: str = "",
        schema: str | None = None,
    ) -> None:
        """Add a foreign key, and check the rows that are there without keeping writers out."""
        definition = Recorded(Kind.FOREIGN_KEY, name, table, body, recorded=digest)
        operations.invoke(cls(definition, schema, lock_timeout=lock_timeout))

    @override
    def reverse(self) -> DropDefinition:
        return DropDefinition(self.definition, self.schema)


@Operations.register_operation("docsession_drop_index")
@Operations.register_operation("docsession_drop_column")
@Operations.register_operation("docsession_drop_statistics")
@Operations.register_operation("docsession_drop_foreign_key")
class DropDefinition(DefinitionOperation):
    """Drops what docsession has made; it is done where it is gone."""

    @classmethod
    def docsession_drop_index(cls, operations: Operations, name: str, table: str, *, schema: str | None = None) -> None:
        """Drop an index without keeping writers out, outside the transaction."""
        operations.invoke(cls(Definition(Kind.INDEX, name, table, ""), schema))

    @classmethod
    def docsession_drop_column(
        cls, operations: Operations, name: str, table: str, *, schema: str | None = None
    ) -> None:
        """Drop a generated column, and what is built on it."""
        operations.invoke(cls(Definition(Kind.COLUMN, name, table, ""), schema))

    @classmethod
    def docsession_drop_statistics(
        cls, operations: Operations, name: str, table: str, *, schema: str | None = None
    ) -> None:
        """Drop statistics."""
        operations.invoke(cls(Definition(Kind.STATISTICS, name, table, ""), schema))

    @classmethod
    def docsession_drop_foreign_key(
        cls, operations: Operations, name: str, table: str, *, schema: str | None = None
    ) -> None:
        """Drop a foreign key."""
        operations.invoke(cls(Definition(Kind.FOREIGN_KEY, name, table, ""), schema))

    @override
    def reverse(self) -> CreateDefinition:
        return CreateDefinition(self.definition, self.schema)


@Operations.implementation_for(CreateDefinition)
def _create(operations: Operations, operation: CreateDefinition) -> None:
    context = operations.get_context()
    schema = operation.schema or database_of(context)
    definition = operation.definition
    found = _find(context, schema, definition)
    if found is not None and found.is_made_of(definition):
        return
    extensions = dict.fromkeys(definition.extensions, "public")
    if context.connection is not None:
        extensions = schemas_of_extensions(context.connection, definition)
    if definition.is_concurrent:
        _build_index(context, schema, definition, found, extensions)
        return
    with _impatient(context, operation.lock_timeout):
        if found is not None:
            run_sql(context, definition.drop(schema))
        create, *checks = definition.create(schema, concurrently=True, extensions=extensions)
        for statement in (create, definition.comment_on(schema)):
            run_sql(context, statement)
    if definition.kind is Kind.STATISTICS:
        run_sql(context, analyze_statement(schema, definition.table))
    if checks:
        # The rows are read under a weaker lock than the one that is held now.
        with context.autocommit_block():
            run_sql(context, validate_statement(definition, schema))


def _build_index(
    context: MigrationContext, schema: str, definition: Definition, found: Kept | None, extensions: dict[str, str]
) -> None:
    with context.autocommit_block():
        if found is not None:
            run_sql(context, definition.drop(schema, concurrently=True))
        if context.as_sql:
            run_sql(context, make_way_statement(definition, schema))
        try:
            run_sql(context, make_statement(definition, schema, extensions))
        except DBAPIError:
            # What was begun would be kept up to date with every write, and be of no use.
            run_sql(context, definition.drop(schema, concurrently=True))
            raise
        run_sql(context, definition.comment_on(schema))
        run_sql(context, analyze_statement(schema, definition.table))


@Operations.implementation_for(DropDefinition)
def _drop(operations: Operations, operation: DropDefinition) -> None:
    context = operations.get_context()
    schema = operation.schema or database_of(context)
    definition = operation.definition
    if not context.as_sql and _find(context, schema, definition) is None:
        return
    if definition.is_concurrent:
        with context.autocommit_block():
            run_sql(context, definition.drop(schema, concurrently=True))
        return
    with _impatient(context, LOCK_TIMEOUT):
        run_sql(context, definition.drop(schema))


def _find(context: MigrationContext, schema: str, definition: Definition) -> Kept | None:
    """Return what the database has by the name of a definition; nothing is known while a script is written.

    Raises:
        MigrationException: It is not docsession's.
    """
    connection: Connection | None = context.connection
    if context.as_sql or connection is None:
        return None
    for each in read_kept(connection, schema, [definition.table]):
        if (each.kind, each.name) == (definition.kind, definition.name):
            if each.digest is None and each.is_valid:
                raise MigrationException(
                    f"the table {definition.table!r} has {each.kind.value.lower()} {each.name!r} already, and "
                    "docsession did not make it, or was interrupted before it had marked it as its own: drop it, or "
                    "give the declaration another name"
                )
            return each
    return None


@contextmanager
def _impatient(context: MigrationContext, timeout: str) -> Iterator[None]:
    """Let statements wait for locks a short time only."""
    before = "DEFAULT"
    if not context.as_sql:
        [(value,)] = run_sql(context, "SELECT pg_catalog.current_setting('lock_timeout')")
        before = quote_literal(str(value))
    run_sql(context, f"SET LOCAL lock_timeout TO {quote_literal(timeout)}")
    yield
    run_sql(context, f"SET LOCAL lock_timeout TO {before}")
