"""Databases and tables are made on the connection apart from the pool.

Inside a session's transaction a rollback would undo them, and their locks would stop others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from docsession._documents._naming import command_line
from docsession._errors import PermissionDeniedException, RavenException
from docsession._port import Request, Statement
from docsession._session._beside import Beside
from docsession._session._declared import refused_declaration
from docsession._sql._definitions import Definition, create_all
from docsession._sql._objects import extensions_named
from docsession._sql._schema import create_collection_statements


async def statements_for(
    beside: Beside, database: str, tables: Iterable[str], definitions: Sequence[Definition]
) -> list[str]:
    """Return what makes *tables*, each with those of the *definitions* that are its own.

    Raises:
        RavenException: PostgreSQL lacks an extension that they need.
    """
    statements: list[str] = []
    for table in tables:
        own = [each for each in definitions if each.table == table]
        made = create_all(own, database, await schemas_of_extensions(beside, own))
        statements += create_collection_statements(database, table, made)
    return statements


async def run_statements(
    beside: Beside, database: str, statements: Iterable[str], collections: Iterable[str] = ()
) -> None:
    """Run each of *statements* by itself.

    Args:
        beside: What carries them.
        database: The database's name, for errors.
        statements: Their SQL; what exists is not made again.
        collections: The collections that they make tables for, for errors.

    Raises:
        PermissionDeniedException: The role may not; the message names the command for one that may.
        InvalidOperationException: A foreign key leads to a table that there is not.
        InvalidArgumentException: A declaration names what PostgreSQL does not know.
    """
    try:
        for sql in statements:
            request = Request([Statement(sql.encode())], write=True)
            request.collections = tuple(sorted(collections))
            await beside.run_apart("create_tables", request)
    except PermissionDeniedException as error:
        refused = PermissionDeniedException(
            f"the role of the URL may make no tables in the database {database!r}; nothing was written. Run "
            f"`{command_line('upgrade', database, collections)}` as a role that may, or grant this one CREATE "
            f"({error})"
        )
        refused.sqlstate = error.sqlstate
        raise refused from error.__cause__
    except RavenException as error:
        wrong = refused_declaration(error)
        if wrong is None:
            raise
        raise wrong from error.__cause__


async def schemas_of_extensions(beside: Beside, definitions: Iterable[Definition]) -> dict[str, str]:
    """Return in which schema each extension is that definitions need.

    Raises:
        RavenException: One is not installed.
    """
    wanted = {name: each for each in definitions for name in each.extensions}
    if not wanted:
        return {}
    (rows,) = await beside.run_apart("find_extension", Request([extensions_named(wanted)]))
    found = {row[0]: row[1] for row in rows}
    for name, definition in wanted.items():
        if name not in found:
            raise RavenException(
                f"the index {definition.name!r} of {definition.table!r} needs PostgreSQL's extension {name!r}, "
                f"which is not installed: run `CREATE EXTENSION {name}` as a role that may"
            )
    return found
