"""Where a database's indexes and their like differ from what the models declare."""

from __future__ import annotations

from collections.abc import Iterable

from docsession._alembic._comparison import changes
from docsession._alembic._operations import CreateDefinition
from docsession._alembic._reading import read_kept
from docsession._migrate._environment import recorded_collections
from docsession._migrate._project import Model
from docsession._migrate._target import Target, connected
from docsession._sql._definitions import Kind

_WORDS = {
    Kind.COLUMN: "column",
    Kind.INDEX: "index",
    Kind.STATISTICS: "statistics object",
    Kind.FOREIGN_KEY: "foreign key",
}


def declared_drift(target: Target, models: Iterable[Model]) -> list[str]:
    """Return a line for each index, column, statistics object or foreign key that is not as it is declared.

    Args:
        target: The database, in which the tables of the models are.
        models: What the models need.

    Raises:
        RavenException: The server cannot be reached, or refuses.
    """
    with connected(target) as connection:
        recorded = recorded_collections(connection, target.database)
        placed = [(model, recorded.get(model.collection, model.table)) for model in models]
        declared = {table: model.definitions(table) for model, table in placed}
        kept = read_kept(connection, target.database, declared)
        found = changes(declared, kept, connection, target.database)
    said: dict[tuple[str, Kind, str], str] = {}
    for operation in found:
        definition = operation.definition
        place = (definition.table, definition.kind, definition.name)
        if not isinstance(operation, CreateDefinition):
            said[place] = "is declared no longer"
        else:
            said[place] = "is declared otherwise" if place in said else "is missing"
    return [f"table {table}: the {_WORDS[kind]} {name} {text}" for (table, kind, name), text in said.items()]
