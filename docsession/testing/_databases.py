"""Databases (schemas) for tests, on one server."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from psycopg.conninfo import conninfo_to_dict
from typing_extensions import override

from docsession._conventions import DocumentConventions
from docsession._errors import (
    InvalidOperationException,
    RavenException,
    TableDoesNotExistException,
)
from docsession._executors._async import AsyncExecutor
from docsession._executors._blocking import BlockingExecutor
from docsession._executors._psycopg import PoolSettings
from docsession._executors._url import parse_url
from docsession._faces._async_store import AsyncDocumentStore
from docsession._faces._run import run
from docsession._faces._store import DocumentStore
from docsession._faces._store_common import known_databases
from docsession._migrate import Target, upgrade
from docsession._migrate._project import find_project, lines_of
from docsession._port import Request, Rows, Statement
from docsession._session._database import Database
from docsession._sql._emptying import EmptyingStatements, commented, create_commented, drop_statement
from docsession._sql._schema import LOCK_NOT_AVAILABLE
from docsession.testing._leftovers import BEGINNING, Owner
from docsession.testing._lending import LentExecutor
from docsession.testing._reserve import Reserve

_LOCK_TIMEOUT: Final = (("lock_timeout", "5s"),)
_LARGE: Final = 4_000_000
"""Bytes from which on the room of deleted rows is given back, lest every later test reads through it."""


class PostgresServer:
    """A PostgreSQL for tests; `start_server()` makes one.

    Its databases share one pool of connections, which their stores take turns with.

    Attributes:
        url: The server's URL, with the password.
        backend: `"embedded"`, `"url"` or `"testcontainers"`.
        options: Options of a pool, as `DocumentStore` takes them, for all its stores.
    """

    def __init__(
        self,
        url: str,
        backend: str,
        stop: Callable[[], None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Not for users: `start_server()` makes it."""
        self.url = url
        self.backend = backend
        self.options = {"application_name": "docsession-tests", **(options or {})}
        self._stop = stop
        self._executor: BlockingExecutor | None = None
        self._reserve = Reserve()
        self._connection_class = self._reserve.connection_class()
        self._lock = threading.Lock()
        self._owner: Owner | None = None
        self._is_tidy = False

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.backend}, {self._settings().place}>"

    def make_database(self, name: str | None = None) -> DocumentDatabase:
        """Make a database with its system tables.

        Args:
            name: Its name; None makes one that nobody else has. Only such a one is dropped by a later run, if this
                process ends without.
        """
        if name is None:
            made = DocumentDatabase(self, f"test_{secrets.token_hex(6)}")
            self._mark(made.name)
        else:
            made = DocumentDatabase(self, name)
        made.create()
        return made

    def _mark(self, name: str) -> None:
        """Make a schema that says whose it is, and before the first one remove those that nobody has any more."""
        if not self._is_tidy:
            self._is_tidy = True
            self._owner = Owner.claim()
            if self._owner is not None:
                self._remove_abandoned(self._owner)
        if self._owner is not None:
            # What cannot be done is told when the tables are made; and relatives of PostgreSQL may have no comments.
            with contextlib.suppress(RavenException):
                commented_schema = create_commented(name, self._owner.comment)
                run(self.executor.run(Request(commented_schema, transaction=True, write=True)))

    def _remove_abandoned(self, owner: Owner) -> None:
        found: Rows = []
        with contextlib.suppress(RavenException):
            (found,) = run(self.executor.run(Request([commented(BEGINNING)])))
        for name, comment in found:
            if owner.has_abandoned(name, comment):
                # Another run may be doing the same, and a role may not drop what another one has made.
                with contextlib.suppress(RavenException):
                    run(self.executor.run(Request([drop_statement(name)], write=True, settings=_LOCK_TIMEOUT)))

    def stop(self) -> None:
        """Close the connections, and stop the server where this process has started it."""
        executor, self._executor = self._executor, None
        if executor is not None:
            run(executor.close())
        self._reserve.close()
        owner, self._owner, self._is_tidy = self._owner, None, False
        if owner is not None:
            owner.end()
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def executor(self) -> BlockingExecutor:
        """The pool that the databases share."""
        with self._lock:
            if self._executor is None:
                self._executor = BlockingExecutor(self._settings())
            return self._executor

    def _settings(self) -> PoolSettings:
        return PoolSettings(conninfo=parse_url(self.url), **self.options)


class DocumentDatabase:
    """A database (a schema) for tests.

    Attributes:
        name: The schema's name.
        server: The server that it is on.
    """

    def __init__(self, server: PostgresServer, name: str) -> None:
        """Not for users: `PostgresServer.make_database()` and the fixtures make it."""
        self.server = server
        self.name = name
        self._statements = EmptyingStatements(name)
        self._tables = self._statements.system_tables

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} on {self.server!r}>"

    @property
    def url(self) -> str:
        """The URL of the server, with the password."""
        return self.server.url

    def store(self, *, conventions: DocumentConventions | None = None) -> DocumentStore:
        """Return a new store on this database; its connections are those that all tests share.

        Args:
            conventions: Those of the store.
        """
        return self.store_over(LentExecutor(self.server.executor), conventions)

    def async_store(self, *, conventions: DocumentConventions | None = None) -> AsyncDocumentStore:
        """Return a new async store on this database, for any event loop; it goes on with connections of earlier ones.

        Args:
            conventions: Those of the store.
        """
        store = AsyncDocumentStore(self.url, self.name, conventions=_quiet(conventions), **self.server.options)
        store._make_executor = lambda settings: AsyncExecutor(settings, self.server._connection_class)
        return store

    def store_over(self, executor: Any, conventions: DocumentConventions | None) -> DocumentStore:
        """Return a new store whose requests *executor* carries."""
        store = DocumentStore(self.url, self.name, conventions=_quiet(conventions), **self.server.options)
        store._make_executor = lambda _settings: executor
        return store

    def create(self) -> None:
        """Make the schema and the system tables, where they are missing."""
        run(Database(self.name, self.server.executor, DocumentConventions()).create())

    def upgrade(self, project: str | Path | None = None) -> None:
        """Bring the database to the newest revision of a project, as `docsession upgrade` does.

        Args:
            project: The file with the project's settings, `docsession.toml` or `pyproject.toml`; None looks for it in
                the current directory and above.

        Raises:
            MigrationException: A revision cannot be run.
        """
        found = find_project(Path.cwd(), None if project is None else Path(project))
        conninfo = {name: str(value) for name, value in conninfo_to_dict(self.url).items() if value is not None}
        for line in lines_of(found):
            upgrade(Target(conninfo, self.name), line=line)
        self.forget()

    def empty(self) -> None:
        """Delete every document and everything that stores keep beside them: ranges of ids, identities, values.

        All of it is one request, and one more where tables are new. The tables stay. Stores of this process begin
        anew too, in whatever fixture they are; those of other processes go on with the ranges of ids that they have.

        Raises:
            InvalidOperationException: A transaction that is still open has written documents.
        """
        try:
            self._empty()
        except TableDoesNotExistException:
            # Somebody has dropped one that was there before.
            self._tables = self._statements.system_tables
            self._empty()
        self.forget()

    def _empty(self) -> None:
        known: frozenset[str] | None = None
        sizes: Rows = []
        while self._tables != known:
            known = self._tables
            _, sizes = self._send([self._statements.empty(known), self._statements.tables()])
            self._tables = known | {table for table, size in sizes if size is not None}
        for table, size in sizes:
            if size is not None and size > _LARGE:
                self._run_apart(self._statements.vacuum(table))

    def _send(self, statements: Sequence[Statement]) -> list[Rows]:
        request = Request(statements, transaction=True, write=True, settings=_LOCK_TIMEOUT)
        try:
            return run(self.server.executor.run(request))
        except RavenException as error:
            if error.sqlstate != LOCK_NOT_AVAILABLE:
                raise
            raise InvalidOperationException(
                f"the tables of the test database {self.name!r} cannot be emptied: a transaction that is still open "
                "has written to them. End each session, and each connection of your own, in the test that opened it"
            ) from error

    def drop(self) -> None:
        """Drop the schema with everything in it."""
        self._run_apart(drop_statement(self.name))
        self.forget()

    def _run_apart(self, statement: Statement) -> None:
        run(self.server.executor.run_apart(lambda: Request([statement], write=True)))

    def forget(self) -> None:
        """Let the stores of this process forget what they know of the database."""
        for known in known_databases(self.name):
            known.reset()
            if known.cache is not None:
                known.cache.count_anew()


def _quiet(conventions: DocumentConventions | None) -> DocumentConventions:
    """Return conventions by which no shapes of queries are kept, unless that was asked for: it takes a request."""
    conventions = DocumentConventions() if conventions is None else conventions
    if conventions._record_query_shapes is None and not conventions.is_frozen():
        conventions.record_query_shapes = False
    return conventions
