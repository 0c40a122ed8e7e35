"""What a database has of indexes and their like, read on a connection of SQLAlchemy's."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, text

from docsession._errors import MigrationException
from docsession._sql._definitions import COMMENT_PREFIX, Definition, Kind
from docsession._sql._kept import EXTENSIONS, KEPT, ROWS, VECTOR_SCHEMA, body_of


@dataclass(frozen=True, slots=True)
class Kept:
    """An index, generated column, statistics object or foreign key that a table has.

    Attributes:
        digest: That of the definition it was made of; None: it is not docsession's.
        is_valid: False for an index whose making was interrupted, and a foreign key that was not checked.
        needs: The columns that it is built on.
        body: A template of what makes it again, as the body of a definition.
    """

    kind: Kind
    table: str
    name: str
    digest: str | None
    is_valid: bool
    needs: frozenset[str]
    body: str
    is_unique: bool

    def is_made_of(self, definition: Definition) -> bool:
        """Return True where it is what *definition* makes."""
        return self.is_valid and self.digest == definition.digest


def read_kept(connection: Connection, schema: str, tables: Collection[str]) -> list[Kept]:
    """Return what the tables of a database have."""
    if not tables:
        return []
    query = text(KEPT).bindparams(bindparam("tables", expanding=True))
    found = []
    with _qualified(connection):
        rows = connection.execute(query, {"schema": str(schema), "tables": [str(each) for each in tables]}).all()
    for kind_name, table, name, comment, is_valid, needs, definition in rows:
        kind = Kind(kind_name)
        digest = comment.removeprefix(COMMENT_PREFIX) if (comment or "").startswith(COMMENT_PREFIX) else None
        is_unique = kind is Kind.INDEX and definition.startswith("CREATE UNIQUE ")
        body = body_of(kind, definition, str(schema))
        found.append(Kept(kind, table, name, digest, is_valid, frozenset(json.loads(needs)), body, is_unique))
    return found


def estimate_rows(connection: Connection, schema: str, table: str) -> int:
    """Return about how many rows a table has, 0 where there is none."""
    query = text(ROWS).bindparams(bindparam("tables", expanding=True))
    row = connection.execute(query, {"schema": str(schema), "tables": [str(table)]}).first()
    if row is None:
        return 0
    if row[1] >= 0:
        return int(row[1])
    preparer = connection.dialect.identifier_preparer
    name = f"{preparer.quote_identifier(str(schema))}.{preparer.quote_identifier(str(table))}"
    count = f"SELECT pg_catalog.count(*) FROM {name}"
    return int(connection.exec_driver_sql(count, execution_options={"no_parameters": True}).scalar_one())


def vector_types(connection: Connection) -> list[str]:
    """Return the names that PostgreSQL gives pgvector's types, with and without their schema; none without it."""
    names = []
    for schema in connection.execute(text(VECTOR_SCHEMA)).scalars():
        names += [f"{prefix}{name}" for prefix in ("", f"{schema}.".lower()) for name in ("vector", "halfvec")]
    return names


def schemas_of_extensions(connection: Connection, definition: Definition) -> dict[str, str]:
    """Return in which schema each extension is that a definition needs.

    Raises:
        MigrationException: One is not installed.
    """
    if not definition.extensions:
        return {}
    query = text(EXTENSIONS).bindparams(bindparam("names", expanding=True))
    found = {name: schema for name, schema in connection.execute(query, {"names": list(definition.extensions)})}  # noqa: C416  # rows are no pairs to a type checker
    for name in definition.extensions:
        if name not in found:
            raise MigrationException(
                f"the index {definition.name!r} of {definition.table!r} needs PostgreSQL's extension {name!r}, which "
                f"is not installed: run `CREATE EXTENSION {name}` as a role that may"
            )
    return found


@contextmanager
def _qualified(connection: Connection) -> Iterator[None]:
    """Let PostgreSQL write the schema before every name; what it shows depends on the search_path."""
    before = connection.execute(text("SELECT pg_catalog.current_setting('search_path')")).scalar_one()
    set_path = text("SELECT pg_catalog.set_config('search_path', :path, false)")
    connection.execute(set_path, {"path": ""})
    try:
        yield
    finally:
        connection.execute(set_path, {"path": before})
