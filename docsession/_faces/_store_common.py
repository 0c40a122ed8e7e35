"""What the blocking and the async store share: settings, databases and the opening of sessions."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final, TypeAlias

from sqlalchemy import MetaData
from typing_extensions import override

from docsession._conventions import DocumentConventions
from docsession._documents._mapping import DocumentMapping, Mappings
from docsession._documents._naming import check_database
from docsession._embedded import EmbeddedServer
from docsession._errors import (
    DocSessionError,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    StoreClosedException,
)
from docsession._executors._psycopg import PoolSettings
from docsession._executors._url import parse_url
from docsession._faces._events import DocumentEvents
from docsession._faces._request_executor import RequestExecutor as SessionPlace
from docsession._faces._request_executor import join, port_of
from docsession._faces._store_events import StoreEvents
from docsession._faces._store_reading import StoreReading
from docsession._options import (
    OptimisticConcurrencyMode,
    ReadPreference,
    SessionOptions,
    TransactionMode,
    check_isolation_level,
    check_timeout,
)
from docsession._port import ForeignExecutor, Place, Request, RequestExecutor, SleepingExecutor
from docsession._session._cache import DocumentCache
from docsession._session._cluster import check_modes
from docsession._session._context import SessionContext
from docsession._session._database import Database
from docsession._session._declared import DeclaredIndexes
from docsession._session._events import Handler, Handlers, call, with_handler, without_handler
from docsession._session._joined import ForeignDatabase, Joined
from docsession._session._maintenance import MaintenanceCore
from docsession._session._observing import Observer
from docsession._session._statistics import StoreStatistics
from docsession._sql._definitions import DEFINITIONS
from docsession._sql._joining import PLACE
from docsession._sql._schema import build_metadata, collection_table

DEFAULT_DATABASE: Final = "docsession"

URL_VARIABLE: Final = "DOCSESSION_URL"


class _NotGiven:
    """Tells `DocumentStore()` from `DocumentStore(None)`."""

    @override
    def __repr__(self) -> str:
        return "<not given>"


NOT_GIVEN: Final = _NotGiven()

Urls: TypeAlias = str | list[str] | _NotGiven


_stores: weakref.WeakSet[StoreCommon] = weakref.WeakSet()


def known_databases(name: str) -> list[Database]:
    """Return what the stores of this process know of the databases of a name, on whatever server."""
    found = []
    for store in list(_stores):
        found += [known for known in store._databases.values() if known.name == name]
        found += [known for place in list(store._elsewhere.values()) for known in place.values() if known.name == name]
    return found


def _renew_locks() -> None:
    """In a forked child: a lock that another thread of the parent held would never be released here."""
    for store in _stores:
        store.renew_lock()


os.register_at_fork(after_in_child=_renew_locks)


class StoreCommon(StoreEvents, DocumentEvents):
    """Settings and shared state of a store."""

    _is_async: ClassVar[bool]

    def __init__(
        self,
        make_executor: Callable[[PoolSettings], SleepingExecutor],
        urls: Urls,
        database: str | None,
        conventions: DocumentConventions | None,
        embedded: Mapping[str, object],
        pool: Mapping[str, object],
        read_preference: ReadPreference,
    ) -> None:
        self._make_executor = make_executor
        self._conninfo: dict[str, str] | None = None
        if not isinstance(urls, _NotGiven):
            self._conninfo = dict(parse_url(urls))
        self._database = DEFAULT_DATABASE if database is None else check_database(database)
        self._conventions = DocumentConventions() if conventions is None else _check_conventions(conventions)
        self._embedded_options = dict(embedded)
        PoolSettings(conninfo={}, **pool)  # type: ignore[arg-type]  # refused now, if they are to be refused
        self._pool_options = dict(pool)
        self._reading = StoreReading(make_executor, read_preference, lambda: self._conventions)
        self._settings: PoolSettings | None = None
        self._server: EmbeddedServer | None = None
        self._executor: RequestExecutor | None = None
        self._mappings: Mappings | None = None
        self._databases: dict[str, Database] = {}
        self._elsewhere: weakref.WeakKeyDictionary[RequestExecutor, dict[str, Database]] = weakref.WeakKeyDictionary()
        self._cache: DocumentCache | None = None
        self._place: Place | None = None
        self._strange: dict[Place, Place | None] = {}
        self._lock = threading.RLock()
        self._disposed = False
        self._is_closing = False
        self._handlers: Handlers | None = None
        self._url = ""
        _stores.add(self)

    @override
    def __repr__(self) -> str:
        """Say where it stores, without a password."""
        server = PoolSettings(conninfo=self._conninfo).place if self._conninfo is not None else "its default server"
        closed = ", closed" if self._disposed else ""
        return f"<{type(self).__qualname__} of {self._database!r} on {server}{closed}>"

    def renew_lock(self) -> None:
        """Let a forked child begin with free locks."""
        self._lock = threading.RLock()
        self._reading.renew_lock()
        if self._mappings is not None:
            self._mappings.renew_lock()
        if self._cache is not None:
            self._cache.renew_lock()
        for database in self._all_databases():
            if database.shapes is not None:
                database.shapes.renew()

    @property
    def database(self) -> str:
        """The database (a schema) that sessions work on which name none; `docsession` by default."""
        return self._database

    @property
    def conventions(self) -> DocumentConventions:
        """The conventions; what shapes data or SQL is frozen once the store is initialised."""
        return self._conventions

    @conventions.setter
    def conventions(self, value: DocumentConventions) -> None:
        if self._executor is not None:
            raise InvalidOperationException("conventions are set before the store is initialised")
        self._conventions = _check_conventions(value)

    @property
    def disposed(self) -> bool:
        """True once the store is closed."""
        return self._disposed

    @property
    def embedded_server(self) -> EmbeddedServer | None:
        """The PostgreSQL that the store runs itself; None where it was given a URL, or before its first use."""
        return self._server

    @property
    def statistics(self) -> StoreStatistics:
        """What the store has done in this process, as numbers of this moment."""
        cache = self._cache
        return StoreStatistics(cache_max_size=self._conventions.max_cache_size) if cache is None else cache.statistics()

    @property
    def metadata(self) -> MetaData:
        """SQLAlchemy's description of the system tables and of the tables of the collections known so far.

        Known are those of the classes that the store has seen and of the databases that it has used.
        The tables name no schema; a database is one. What is declared for a table beside its columns, its
        indexes for instance, is in `Table.info["docsession_definitions"]`.
        """
        metadata = build_metadata()
        mappings = self._mappings
        declared = DeclaredIndexes(self._conventions)
        tables: set[tuple[str, str]] = set()
        if mappings is not None:
            tables = {(each.table, each.collection) for each in declared.mappings_with_indexes(mappings)}
        for database in list(self._databases.values()):
            if database.catalogue is not None:
                tables |= {(table.table, table.collection) for table in database.catalogue.by_collection.values()}
        for table, collection in sorted(tables):
            definitions = () if mappings is None else declared.of_collection(collection, table, mappings).definitions
            collection_table(metadata, table, definitions)
        return metadata

    def metadata_of(self, *models: type, database: str | None = None, into: MetaData | None = None) -> MetaData:
        """Return SQLAlchemy's description of the system tables and of the tables of some classes' collections.

        It is for an Alembic environment of your own that is to know docsession's tables beside yours, and the indexes
        that the classes declare. The store is not started, and no server asked.

        Args:
            models: The classes.
            database: The schema that the tables are in; None is the store's database.
            into: MetaData that the tables are added to, so that foreign keys of yours may name them; None makes new.

        Raises:
            InvalidArgumentException: A name cannot be used.
        """
        schema = self._database if database is None else check_database(database)
        mappings = Mappings(self._conventions)
        declared = DeclaredIndexes(self._conventions)
        described = build_metadata()
        found: list[DocumentMapping[Any]] = [mappings.for_class(model) for model in models]
        for mapping in found:
            definitions = declared.of_collection(mapping.collection, mapping.table, mappings).definitions
            collection_table(described, mapping.table).info[DEFINITIONS] = definitions
        placed = MetaData() if into is None else into
        for table in described.tables.values():
            table.to_metadata(placed, schema=schema).info.update(table.info)
        return placed

    def _start(self) -> RequestExecutor:
        """Do what the first use needs, once."""
        executor = self._executor
        if executor is not None and not self._disposed:
            return executor
        with self._lock:
            if self._disposed:
                raise StoreClosedException("the store is closed; make a new one")
            if self._executor is None:
                self._conventions.freeze()
                self._mappings = Mappings(self._conventions)
                self._cache = DocumentCache(self._conventions)
                self._settings = PoolSettings(conninfo=self._find_server(), **self._pool_options)  # type: ignore[arg-type]  # checked by PoolSettings
                self._url = self._settings.url
                self._executor = self._make_executor(self._settings)
            return self._executor

    def _find_server(self) -> Mapping[str, str]:
        if self._conninfo is not None:
            return self._conninfo
        url = os.environ.get(URL_VARIABLE)
        if url is not None:
            try:
                return parse_url(url)
            except InvalidArgumentException as error:
                raise InvalidArgumentException(f"the variable {URL_VARIABLE} cannot be used: {error}") from error
        self._server = EmbeddedServer.start(**self._embedded_options)  # type: ignore[arg-type]  # its own keywords
        return {name: str(value) for name, value in self._server.conninfo.items()}

    def _known_mappings(self) -> Mappings:
        self._start()
        assert self._mappings is not None  # noqa: S101  # _start made them
        return self._mappings

    def _database_of(self, name: str) -> Database:
        executor = self._start()
        check_database(name)
        database = self._databases.get(name)
        if database is None:
            with self._lock:
                made = Database(name, executor, self._conventions, self._cache, self._observing(name))
                database = self._databases.setdefault(name, made)
        return database

    def _database_at(self, place: RequestExecutor, name: str, url: str) -> Database:
        """Return a database of another server, as the sessions of this store see it."""
        check_database(name)
        with self._lock:
            known = self._elsewhere.setdefault(place, {})
            if name not in known:
                known[name] = Database(name, place, self._conventions, self._cache, self._observing(name, url))
            return known[name]

    def get_request_executor(self, database: str | None = None) -> SessionPlace:
        """Return what lets a session of another store work on this one's server, with this one's pool.

        `SessionOptions(request_executor=…)` takes it (RavenDB: store.get_request_executor).

        Args:
            database: The database that those sessions work on which name none; None is this store's.
        """
        executor = self._start()
        name = self._database if database is None else check_database(database)
        return SessionPlace(executor, name, is_async=self._is_async, url=self._url)

    def set_request_timeout(self, timeout: timedelta | None, database: str | None = None) -> Callable[[], None]:
        """Bound the time that the server may work on each statement of a session (RavenDB: set_request_timeout).

        A request that takes longer is ended with `RequestTimeoutException`, and has written nothing. It holds for open
        sessions too, unless they have a `statement_timeout` of their own. Nothing is set on the server or the
        connection: each request brings it along for its own transaction.

        Args:
            timeout: How long; `timedelta(0)` is without end, None is what `conventions.request_timeout` says.
            database: The database whose sessions it holds for; None is the store's.

        Returns:
            A function that brings the value back that was there before.

        Raises:
            InvalidArgumentException: The timeout cannot be used.
        """
        checked = check_timeout("timeout", timeout)
        known = self._database_of(self._database if database is None else database)
        before = known.request_timeout
        known.request_timeout = checked

        def restore() -> None:
            known.request_timeout = before

        return restore

    def _maintenance(self) -> MaintenanceCore:
        executor = self._start()
        return MaintenanceCore(
            executor, self._database, self._database_of, self._known_mappings(), self._open_another_executor
        )

    def _open_another_executor(self, size: int) -> RequestExecutor:
        self._start()
        assert self._settings is not None  # noqa: S101  # _start made them
        return self._make_executor(replace(self._settings, min_size=0, max_size=size))

    def _all_databases(self) -> list[Database]:
        elsewhere = [database for known in self._elsewhere.values() for database in known.values()]
        return [*self._databases.values(), *elsewhere]

    async def _give_back(self) -> None:
        """Give back unused id ranges, and write the shapes of queries; where the server is gone both are lost."""
        for database in self._all_databases():
            with contextlib.suppress(DocSessionError):
                await database.ids.give_back()
            if database.shapes is not None:
                await database.shapes.write()

    def _open_context(self, database: str | None, options: SessionOptions | None) -> SessionContext:
        primary = self._start()
        if options is None:
            name = self._database if database is None else self._choose_database(database, None, None)
            mode, isolation_level = self._conventions.optimistic_concurrency_mode, None
            no_tracking = no_caching = False
            place = statement_timeout = None
        else:
            place, its_database = self._choose_place(options)
            name = self._choose_database(database, options, its_database)
            no_tracking, no_caching = bool(options.no_tracking), bool(options.no_caching)
            mode = self._choose_mode(options, no_tracking=no_tracking)
            isolation_level = check_isolation_level(options.isolation_level)
            statement_timeout = check_timeout("statement_timeout", options.statement_timeout)
        if place is None:
            known = self._databases.get(name) or self._database_of(name)
        else:
            known = self._database_at(place, name, self._url_for(options))
        foreign = None if options is None else self._open_foreign(options)
        transaction_mode, unguarded = self._choose_transaction_mode(options, mode)
        context = SessionContext(
            known,
            self._known_mappings(),
            self._conventions,
            mode=mode,
            no_tracking=no_tracking,
            no_caching=no_caching,
            isolation_level=isolation_level,
            transaction_mode=transaction_mode,
            unguarded=unguarded,
            statement_timeout=statement_timeout,
            executor=self._reading.executor_for(options, place, primary, self._settings),
        )
        if self._handlers is not None:
            self._hand_on(self._handlers, context, options)
        if foreign is not None:
            Joined(context, foreign, lambda where, executor: self._find_joined(name, where, executor))
        return context

    def _open_foreign(self, options: SessionOptions) -> ForeignExecutor | None:
        """Return what carries a session's requests over a connection that somebody else owns, if that was asked for."""
        given = options.request_executor
        if not isinstance(given, SessionPlace) or given._host is None:
            return None
        if options.isolation_level is not None:
            raise InvalidArgumentException(
                "isolation_level is that of the session's own transactions; on a connection that somebody else owns "
                "the transaction is theirs: set the level there"
            )
        return join(given._host, is_async=self._is_async)

    async def _find_joined(self, name: str, where: Place, executor: RequestExecutor) -> Database:
        """Return what is known of the database *name* at a place of PostgreSQL, which may not be the store's own."""
        if where != self._place and (self._place is None or self._strange.get(where) != self._place):
            # The store's server may have been started anew, or another one have taken over.
            ((row,),) = await self._database_of(name).beside.run_apart("find_place", Request([PLACE]), again=False)
            self._place = (row[0], row[1])
        if where == self._place:
            return self._database_of(name)
        self._strange[where] = self._place
        return ForeignDatabase(name, executor, self._conventions, self._observing(name, ""))

    # events

    @override
    def _add_handler(self, name: str, event: Handler) -> None:
        with self._lock:
            self._handlers = with_handler(self._handlers, name, event, awaits=self._is_async)

    @override
    def _remove_handler(self, name: str, event: Handler) -> None:
        with self._lock:
            self._handlers = without_handler(self._handlers, name, event)

    def _hand_on(self, handlers: Handlers, context: SessionContext, options: SessionOptions | None) -> None:
        """Give a new session the store's handlers."""
        context.handlers = handlers
        if handlers.watch_requests:
            context.observer = self._observer(context.database.name, self._url_for(options))

    def _url_for(self, options: SessionOptions | None) -> str:
        """Return where the requests of a session go."""
        place = None if options is None else options.request_executor
        return place._url if isinstance(place, SessionPlace) else self._url

    def _observing(self, name: str, url: str | None = None) -> Callable[[], Observer | None]:
        """Return what returns who hears of a database's own requests, by the handlers that there are then.

        Args:
            name: The database.
            url: The server; None is the store's.
        """
        reference = weakref.ref(self)  # sessions know the database, and need not keep the store

        def observe() -> Observer | None:
            store = reference()
            return None if store is None else store._observer(name, store._url if url is None else url)

        return observe

    def _observer(self, name: str, url: str) -> Observer | None:
        handlers = self._handlers
        if handlers is None or not handlers.watch_requests:
            return None
        return Observer(handlers, name, url, awaits=self._is_async)

    def _begin_closing(self) -> bool:
        """Return True to the first who closes the store."""
        with self._lock:
            begins, self._is_closing = not self._is_closing, True
            return begins

    async def _tell(self, event: str) -> None:
        """Call the handlers of `before_close` or `after_close`."""
        for handler in getattr(self._handlers, event, ()):
            await call(event, handler, awaits=self._is_async)

    def _choose_transaction_mode(
        self, options: SessionOptions | None, mode: OptimisticConcurrencyMode
    ) -> tuple[TransactionMode, bool]:
        """Return it, and whether its guards are turned off."""
        chosen: object = None if options is None else options.transaction_mode
        disabled = None if options is None else options.disable_atomic_document_writes_in_cluster_wide_transaction
        if disabled is None:
            disabled = self._conventions.disable_atomic_document_writes_in_cluster_wide_transaction
        return check_modes(TransactionMode.SINGLE_NODE if chosen is None else chosen, mode), bool(disabled)

    def _choose_place(self, options: SessionOptions) -> tuple[RequestExecutor | None, str | None]:
        given: object = options
        if not isinstance(given, SessionOptions) or given.request_executor is None:
            return None, None
        return port_of(given.request_executor, is_async=self._is_async)

    def _choose_database(self, database: str | None, options: SessionOptions | None, of_the_place: str | None) -> str:
        given: tuple[object, object] = (database, options)
        if not isinstance(given[0], str | None) or not isinstance(given[1], SessionOptions | None):
            raise InvalidArgumentTypeException(
                "open_session(database, session_options) takes a name and a SessionOptions; "
                "name the second: open_session(session_options=…)"
            )
        named = options.database if options is not None else None
        if database is not None and named is not None and database != named:
            raise InvalidArgumentException(
                f"open_session() was given two databases: {database!r} and, in the options, {named!r}"
            )
        chosen = database if database is not None else named
        return (of_the_place or self._database) if chosen is None else check_database(chosen)

    def _choose_mode(self, options: SessionOptions, *, no_tracking: bool) -> OptimisticConcurrencyMode:
        mode = options.optimistic_concurrency_mode
        if mode is None:
            return OptimisticConcurrencyMode.NONE if no_tracking else self._conventions.optimistic_concurrency_mode
        if not isinstance(mode, OptimisticConcurrencyMode):
            raise InvalidArgumentTypeException(
                f"optimistic_concurrency_mode is an OptimisticConcurrencyMode, not {mode!r:.60}"
            )
        if no_tracking and mode is not OptimisticConcurrencyMode.NONE:
            raise InvalidOperationException("no_tracking keeps no versions: optimistic_concurrency_mode must be NONE")
        return mode


def _check_conventions(given: object) -> DocumentConventions:
    if isinstance(given, DocumentConventions):
        return given
    raise InvalidArgumentTypeException(
        f"conventions are made by DocumentConventions, as in DocumentConventions(auto_create=False), not {given!r:.80}"
    )


StorePath: TypeAlias = str | Path | os.PathLike[str]
