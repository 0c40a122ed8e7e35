"""Spreading a database over the workers of Citus."""

from __future__ import annotations

import enum
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg

from docsession._errors import MigrationException
from docsession._migrate._target import Target, connect, locked, translated
from docsession._sql._citus import (
    DISTRIBUTED_SCHEMA,
    DISTRIBUTED_TABLES,
    EXTENSION_VERSION,
    IN_THE_WAY,
    TABLES,
    distribute_by_id,
    distribute_schema,
)
from docsession._sql._quoting import qualified, quote_identifier
from docsession._sql._schema import COLLECTIONS_TABLE, SYSTEM_PREFIX


class Sharding(enum.Enum):
    """SCHEMA: the whole database on one worker. ID: the documents of each collection over all workers."""

    SCHEMA = "schema"
    ID = "id"


@dataclass(frozen=True, slots=True)
class Distribution:
    """What is to be done for one database.

    Attributes:
        statements: SQL, to be run in one transaction; none where all is done already.
        is_installed: Whether the PostgreSQL database has the extension.
    """

    statements: tuple[str, ...]
    is_installed: bool


def plan_distribution(target: Target, sharding: Sharding) -> Distribution:
    """Find out what spreads a database as *sharding* says; what is spread already is left out.

    Raises:
        MigrationException: There is no such database, it is spread otherwise, or a table holds what cannot be spread.
    """
    with closing(connect(target)) as connection, translated():
        return _plan(connection, target, sharding)


def distribute(
    target: Target, sharding: Sharding, timeout: float, waiting: Callable[[], None], step: Callable[[str], None]
) -> bool:
    """Spread a database over the workers, in one transaction and under its lock; return False where it is so already.

    Args:
        target: Which one.
        sharding: How.
        timeout: Seconds to wait for the lock.
        waiting: Called once if somebody else has it.
        step: Called with each statement before it is run.

    Raises:
        MigrationException: As `plan_distribution`, or the extension is missing.
    """
    with locked(target, timeout, waiting), closing(connect(target)) as connection, translated():
        plan = _plan(connection, target, sharding)
        if not plan.is_installed:
            raise missing_extension(target)
        with connection.transaction():
            for statement in plan.statements:
                step(statement)
                connection.execute(statement.encode())
        return bool(plan.statements)


def missing_extension(target: Target) -> MigrationException:
    """Return the error for a PostgreSQL without Citus."""
    return MigrationException(
        f"the database {target.database!r} cannot be distributed: its PostgreSQL database has no extension `citus`. "
        "Run `CREATE EXTENSION citus` there (the server needs it in shared_preload_libraries), on the coordinator of a "
        "Citus cluster, and add its workers"
    )


def _plan(connection: psycopg.Connection[Any], target: Target, sharding: Sharding) -> Distribution:
    schema = quote_identifier(target.database)
    tables = sorted(name for (name,) in connection.execute(TABLES, [schema]))
    if COLLECTIONS_TABLE not in tables:
        raise MigrationException(
            f"there is no database {target.database!r} of docsession here; run `{target.command('upgrade')}` first"
        )
    is_installed = connection.execute(EXTENSION_VERSION).fetchone() is not None
    spread: set[str] = set()
    if is_installed:
        spread = {name for (name,) in connection.execute(DISTRIBUTED_TABLES, [schema])}
        row = connection.execute(DISTRIBUTED_SCHEMA, [schema]).fetchone()
        if row is not None and row[0]:
            if sharding is Sharding.ID:
                raise MigrationException(
                    f"the database {target.database!r} is on one worker as a whole; run "
                    f"`SELECT citus_schema_undistribute('{schema}')` before it is spread by id"
                )
            return Distribution((), is_installed)
    if sharding is Sharding.SCHEMA:
        if spread:
            raise MigrationException(
                f"tables of the database {target.database!r} are spread by id; run undistribute_table() for each "
                "before the database is put on one worker"
            )
        return Distribution(tuple(distribute_schema(target.database)), is_installed)
    catalogue = qualified(target.database, COLLECTIONS_TABLE)
    recorded = connection.execute(f'SELECT DISTINCT "table" FROM {catalogue}'.encode())
    collections = sorted({name for (name,) in recorded}.intersection(tables) - spread)
    system = [name for name in tables if name.startswith(SYSTEM_PREFIX) and name not in spread]
    _check_ways(connection, target, schema, collections)
    if not collections and not system:
        return Distribution((), is_installed)
    return Distribution(tuple(distribute_by_id(target.database, system, collections)), is_installed)


def _check_ways(connection: psycopg.Connection[Any], target: Target, schema: str, tables: list[str]) -> None:
    found = connection.execute(IN_THE_WAY, {"schema": schema, "tables": tables}).fetchall()
    if found:
        named = ", ".join(f"{kind} {name!r} of {table}" for table, kind, name in found)
        raise MigrationException(
            f"tables of the database {target.database!r} cannot be spread by id with what they have: {named}. "
            "Drop that, or put the database on one worker as a whole (--by schema)"
        )
