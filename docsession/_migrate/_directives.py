"""What autogenerate has found, on its way into a revision: no schema is named, and no user's things are dropped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from alembic.operations import ops
from sqlalchemy.schema import SchemaItem

from docsession._migrate._collection_operations import CreateCollectionTable, DropCollectionTable

_LEFT_TO_DOCSESSION = (
    ops.AddColumnOp,
    ops.AlterColumnOp,
    ops.CreateTableCommentOp,
    ops.DropColumnOp,
    ops.DropTableCommentOp,
)
"""The columns of a collection are docsession's, and `docsession check` compares them; comments are the user's."""


def is_ours(_item: SchemaItem, _name: str | None, kind: str, reflected: bool, compared_with: object) -> bool:
    """Return False for what a user has added to a table of docsession: Alembic's `include_object`."""
    return not (reflected and compared_with is None and kind != "column")


def write_without_schema(_context: object, _revision: object, directives: list[ops.MigrationScript]) -> None:
    """Let a revision name no schema: Alembic's `process_revision_directives` for docsession's own revisions."""
    for container in _containers(directives[0]):
        container.ops = list(_without_schema(container.ops))


def write_for_collections(_context: object, _revision: object, directives: list[ops.MigrationScript]) -> None:
    """The same for a project, which makes collections by docsession's operation; nothing found writes no revision."""
    upgrade, downgrade = _containers(directives[0])
    for container in (upgrade, downgrade):
        container.ops = list(_without_schema(_for_collections(container.ops)))
    if not upgrade.ops:
        directives[:] = []


def _containers(script: ops.MigrationScript) -> tuple[ops.UpgradeOps, ops.DowngradeOps]:
    assert script.upgrade_ops is not None  # noqa: S101  # of one database
    assert script.downgrade_ops is not None  # noqa: S101  # of one database
    return script.upgrade_ops, script.downgrade_ops


def _without_schema(operations: Iterable[ops.MigrateOperation]) -> Iterator[ops.MigrateOperation]:
    for operation in operations:
        if hasattr(operation, "schema"):
            operation.schema = None
        if isinstance(operation, ops.OpContainer):
            operation.ops = list(_without_schema(operation.ops))
        yield operation


def _for_collections(operations: Iterable[ops.MigrateOperation]) -> Iterator[ops.MigrateOperation]:
    for operation in operations:
        match operation:
            case ops.CreateTableOp():
                yield CreateCollectionTable(str(operation.table_name))
            case ops.DropTableOp():
                yield DropCollectionTable(str(operation.table_name))
            case ops.OpContainer():
                operation.ops = list(_for_collections(operation.ops))
                if operation.ops:
                    yield operation
            case _ if not isinstance(operation, _LEFT_TO_DOCSESSION):
                yield operation
