"""What is migrated: one database of one server, and the connections to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from docsession._documents._naming import command_line
from docsession._errors import ConnectionLostException, MigrationException, RavenException
from docsession._executors._psycopg import PoolSettings
from docsession._executors._translate import translate, translate_connect, without_secrets
from docsession._migrate._schema_impl import find_in_schema
from docsession._sql._schema import try_lock_statement

_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Target:
    """One database of one server.

    Attributes:
        conninfo: Connection parameters by libpq's names; never shown.
        database: The schema's name.
    """

    conninfo: Mapping[str, str] = field(repr=False)
    database: str

    def command(self, name: str) -> str:
        """Return the command line that a user is to run, as in `docsession upgrade --database shop`."""
        return command_line(name, self.database)


def connect(target: Target, *, autocommit: bool = True) -> psycopg.Connection[Any]:
    """Return a connection of its own, of several hosts to the one that takes writes; it prepares no statements.

    Raises:
        ConnectionFailedException: The server cannot be reached; `AuthenticationException` where it refuses the user.
    """
    parameters: dict[str, Any] = {
        "connect_timeout": 10,
        "application_name": "docsession",
        **target.conninfo,
        "client_encoding": "UTF8",
    }
    if "," in parameters.get("host", ""):
        parameters.setdefault("target_session_attrs", "read-write")
    try:
        return psycopg.connect(autocommit=autocommit, prepare_threshold=None, **parameters)
    except psycopg.Error as error:
        raise translate_connect(error, PoolSettings(conninfo=target.conninfo).place) from without_secrets(error)


@contextmanager
def connected(target: Target) -> Iterator[Connection]:
    """Open a SQLAlchemy connection on which tables without a schema are those of the target's database."""
    engine = create_engine(
        "postgresql+psycopg://",
        # SQLAlchemy begins transactions by not being in autocommit.
        creator=lambda: connect(target, autocommit=False),
        poolclass=NullPool,
        # It would be looked for on the server, for nothing.
        use_native_hstore=False,
    )
    try:
        with translated(), engine.connect() as connection:
            find_in_schema(engine.dialect, target.database)
            yield connection
    finally:
        engine.dispose()


@contextmanager
def locked(target: Target, timeout: float, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of the target's database, on a connection that does nothing else.

    Args:
        target: Whose lock.
        timeout: Seconds to wait for it.
        waiting: Called once if somebody else has it.

    Raises:
        MigrationException: It did not become free in time.
    """
    statement = try_lock_statement(target.database)
    with _held(target, statement, timeout, waiting, f"changing the database {target.database!r}"):
        yield


@contextmanager
def run_locked(conninfo: Mapping[str, str], timeout: float, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a whole run over several databases, so that two such runs do not take turns in them.

    Tables that are made on first use do not wait for it.

    Raises:
        MigrationException: It did not become free in time.
    """
    statement = try_lock_statement("")  # the name of no database
    with _held(Target(conninfo, ""), statement, timeout, waiting, "migrating databases of this server"):
        yield


@contextmanager
def _held(target: Target, statement: str, timeout: float, waiting: Callable[[], None], doing: str) -> Iterator[None]:
    give_up = time.monotonic() + timeout
    told = False
    with closing(connect(target)) as connection, translated():
        # Each try is a transaction of its own: a blocking wait would hold a snapshot, for which a CREATE INDEX
        # CONCURRENTLY of the migration that has the lock waits in its turn.
        while not _try_lock(connection, statement):
            if not told:
                waiting()
                told = True
            if time.monotonic() >= give_up:
                raise MigrationException(
                    f"another process has been {doing} for {timeout:g} seconds; try again when it has finished"
                )
            time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            # A server notices a closed connection a moment later, and the next in turn would wait for nothing.
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")


def _try_lock(connection: psycopg.Connection[Any], statement: str) -> bool:
    """Try once; with success a transaction is left open, and the lock lasts as long as it."""
    # No parameters, and nothing is prepared: psycopg then uses the simple protocol. The extended one leaves a portal
    # that keeps its snapshot while the transaction is open, and CREATE INDEX CONCURRENTLY waits for snapshots.
    connection.execute("BEGIN")
    connection.execute("SELECT pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true)")
    row = connection.execute(statement.encode()).fetchone()
    if row is not None and row[0]:
        return True
    connection.execute("ROLLBACK")
    return False


@contextmanager
def translated() -> Iterator[None]:
    """Raise the errors of psycopg and SQLAlchemy as those of docsession."""
    try:
        yield
    except DBAPIError as error:
        if not isinstance(error.orig, psycopg.Error):
            raise
        raise _ours(error.orig) from error.orig
    except psycopg.Error as error:
        raise _ours(error) from error


def _ours(error: psycopg.Error) -> RavenException:
    if error.sqlstate is None and isinstance(error, psycopg.OperationalError):
        return ConnectionLostException(
            f"the connection to PostgreSQL broke ({str(error).strip()}): run the command again; it goes on after the "
            "last revision that was done as a whole"
        )
    return translate(error)
