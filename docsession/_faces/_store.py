"""The blocking store."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar, cast

from docsession._conventions import DocumentConventions
from docsession._executors._blocking import BlockingExecutor
from docsession._faces._maintenance import Maintenance
from docsession._faces._operations import OperationExecutor
from docsession._faces._run import run
from docsession._faces._session import DocumentSession
from docsession._faces._store_common import NOT_GIVEN, StoreCommon, StorePath, Urls
from docsession._faces._units import BlockingWaiting, Patience, run_unit
from docsession._options import ReadPreference, SessionOptions
from docsession._session._event_args import SessionCreatedEventArgs

T = TypeVar("T")


class DocumentStore(StoreCommon):
    """Opens sessions on one PostgreSQL server; one for a whole application (RavenDB: DocumentStore).

    Args:
        urls: `postgresql://user@host/dbname`, SQLAlchemy's `postgresql+psycopg://…`, or several of
            them, of which the one that takes writes is used. Without it the environment variable
            `DOCSESSION_URL` is taken, and without that PostgreSQL is run by the store itself
            (`docsession[embedded]`). `None` and `""` are refused, so that a forgotten setting never
            becomes an empty database.
        database: The schema that sessions work on which name none; `docsession`.
        conventions: See `DocumentConventions`.
        min_size: Connections that the pool keeps open.
        max_size: Connections that it opens at most; one more is kept for id ranges and tables.
        timeout: Seconds that a request waits for a connection.
        connect_timeout: Seconds that the server may take to accept a connection.
        max_idle: Seconds after which an unused connection is closed.
        max_lifetime: Seconds after which a connection is replaced.
        prepare_threshold: How often a statement is sent before it is prepared; None never prepares,
            for pgbouncer before 1.21 in transaction mode.
        prepared_max: Prepared statements per connection; more for many databases on one pool.
        application_name: What the server shows for the connections.
        read_preference: Where loads go: to the primary, or to standbys among the hosts of the URLs.
        data_directory: Where the embedded server keeps its data; None is the user's data directory.
        postgres_version: The embedded server's major version, 18 or 16.
        tcp: True lets the embedded server listen on 127.0.0.1, for psql or pgAdmin.

    Raises:
        InvalidArgumentException: A URL, name or size cannot be used.
    """

    _is_async = False

    def __init__(
        self,
        urls: Urls = NOT_GIVEN,
        database: str | None = None,
        *,
        conventions: DocumentConventions | None = None,
        min_size: int = 0,
        max_size: int = 10,
        timeout: float = 30.0,
        connect_timeout: int = 10,
        max_idle: float = 600.0,
        max_lifetime: float = 3600.0,
        prepare_threshold: int | None = 5,
        prepared_max: int = 256,
        application_name: str = "docsession",
        read_preference: ReadPreference = ReadPreference.PRIMARY,
        data_directory: StorePath | None = None,
        postgres_version: int = 18,
        tcp: bool = False,
    ) -> None:
        embedded = {"data_directory": data_directory, "major_version": postgres_version, "tcp": tcp}
        pool = {
            "min_size": min_size,
            "max_size": max_size,
            "timeout": timeout,
            "connect_timeout": connect_timeout,
            "max_idle": max_idle,
            "max_lifetime": max_lifetime,
            "prepare_threshold": prepare_threshold,
            "prepared_max": prepared_max,
            "application_name": application_name,
        }
        super().__init__(BlockingExecutor, urls, database, conventions, embedded, pool, read_preference)

    def initialize(self) -> Self:
        """Do now what the first use would do: freeze the conventions, find or start the server.

        No connection is opened yet. Calling it again does nothing.

        Raises:
            EmbeddedServerException: The embedded server cannot be started.
            StoreClosedException: The store is closed.
        """
        self._start()
        return self

    def open_session(
        self, database: str | None = None, session_options: SessionOptions | None = None
    ) -> DocumentSession:
        """Open a session; it sends nothing yet (RavenDB: store.open_session).

        Args:
            database: The database to work on; None is the options', else the store's.
            session_options: See `SessionOptions`.

        Raises:
            InvalidArgumentException: Two different databases were named, or an option cannot be used.
            StoreClosedException: The store is closed.
        """
        context = self._open_context(database, session_options)
        session = DocumentSession(context)
        if context.handlers is not None:
            context.tell_at_once("on_session_creation", SessionCreatedEventArgs, session)
        return session

    def run(
        self,
        fn: Callable[[DocumentSession], T],
        attempts: int = 3,
        *,
        backoff: float = 0.05,
        max_backoff: float = 2.0,
        database: str | None = None,
        session_options: SessionOptions | None = None,
    ) -> T:
        """Run a whole unit of work in a session of its own and save it; where others were in the way, once more.

        After *fn* has returned, what it changed is saved, and a transaction that it has begun is committed. A conflict
        (`ConcurrencyException`) or an error that is `retryable` lets it run again, each time in a fresh session, so it
        loads what is there then. It must do nothing outside the session that may not be done twice.

        Nothing is run again once something of it is committed, by a `save_changes()` of its own, or may be, because
        the connection broke before the answer: then the same session asks the server, and only what is not there is
        sent again.

        Args:
            fn: Takes the session and returns anything.
            attempts: How often it runs at most.
            backoff: Seconds to wait at most before the second attempt; twice as many before each further one. How long
                it really is, is left to chance.
            max_backoff: Seconds to wait at most before any.
            database: As for `open_session`.
            session_options: Likewise.

        Returns:
            What *fn* returned.

        Raises:
            ConcurrencyException: Others were faster each time; a note says how often it was tried.
            UnknownOutcomeException: The server could not be asked whether the work was saved.
        """
        patience = Patience(attempts, backoff, max_backoff)
        unit = run_unit(lambda: self.open_session(database, session_options), fn, patience, BlockingWaiting())
        return cast("T", run(unit))

    @property
    def maintenance(self) -> Maintenance:
        """Creates, lists and drops databases, and counts documents."""
        return Maintenance(self._maintenance())

    @property
    def operations(self) -> OperationExecutor:
        """Does something with a database outside of sessions, as with compare-exchange values."""
        return OperationExecutor(self._database_of, self._known_mappings(), self._database)

    def close(self) -> None:
        """Give back unused id ranges, close every connection, and leave the embedded server."""
        if not self._begin_closing():
            return
        try:
            run(self._tell("before_close"))
        finally:
            run(self._close())
            run(self._tell("after_close"))

    async def _close(self) -> None:
        with self._lock:
            self._disposed = True
            if self._cache is not None:
                self._cache.close()
        try:
            if self._executor is not None:
                try:
                    await self._give_back()
                finally:
                    await self._executor.close()
                    await self._reading.close()
        finally:
            if self._server is not None:
                self._server.stop()

    def __enter__(self) -> Self:
        return self.initialize()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
