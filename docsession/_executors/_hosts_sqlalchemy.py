"""SQLAlchemy's connections and sessions, and what their events tell of transactions."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from typing_extensions import override

from docsession._errors import InvalidArgumentTypeException, InvalidOperationException
from docsession._executors._hosts import Host, check_driver, refuse_dialect
from docsession._port import Fate, Premise


class Watch:
    """The writes in the open transaction of one `Connection` of SQLAlchemy, savepoints considered.

    It listens to the connection's events. "commit" comes before the server has committed, so it only
    raises a doubt, which the server settles.
    """

    def __init__(self, connection: sqlalchemy.Connection) -> None:
        self._premises: list[Premise] = []
        self._savepoints: list[tuple[str, int]] = []
        # SQLAlchemy numbers its savepoints, and gives the event no name.
        self._number: int = getattr(connection, "_Connection__savepoint_seq", 0)
        for name in ("rollback", "commit", "savepoint", "rollback_savepoint", "release_savepoint"):
            event.listen(connection, name, getattr(self, f"_{name}"))
        event.listen(connection, "rollback_twophase", self._rollback)
        event.listen(connection, "commit_twophase", self._commit)

    def add(self, premise: Premise) -> None:
        """Watch a write in the transaction that is open now."""
        self._premises.append(premise)

    def _rollback(self, *_: object) -> None:
        self._end(Fate.UNDONE)

    def _commit(self, *_: object) -> None:
        self._end(Fate.DOUBTFUL)

    def _end(self, fate: Fate) -> None:
        for premise in self._premises:
            premise.fate = fate
        self._premises.clear()
        self._savepoints.clear()

    def _savepoint(self, _connection: object, name: str | None) -> None:
        if name is None:
            self._number += 1
            name = f"sa_savepoint_{self._number}"
        self._savepoints.append((name, len(self._premises)))

    def _rollback_savepoint(self, _connection: object, name: str, _context: object) -> None:
        # One that is not known was there before the first write.
        for premise in self._premises[(first := self._leave(name)) :]:
            premise.fate = Fate.UNDONE
        del self._premises[first:]

    def _release_savepoint(self, _connection: object, name: str, _context: object) -> None:
        self._leave(name)

    def _leave(self, name: str) -> int:
        """Forget a savepoint, and those inside it; return how many writes came before it."""
        for i, (known, first) in enumerate(self._savepoints):
            if known == name:
                del self._savepoints[i:]
                return first
        return 0


_watches: WeakKeyDictionary[sqlalchemy.Connection, Watch] = WeakKeyDictionary()


class SqlalchemyHost:
    """A Connection, or a Session, which is asked for its connection at each use; both faces share it.

    Attributes:
        name: See `Host`.
        is_async: See `Host`.
    """

    is_async = False

    def __init__(self, owner: Any, bind: sqlalchemy.Engine | None = None) -> None:
        self.name = f"SQLAlchemy's {type(owner).__name__}"
        self._owner = owner
        self._bind = bind
        self._current: sqlalchemy.Connection | None = None

    async def driver(self, *, begin: bool) -> Any:
        """See `Host.driver`."""
        try:
            owner = _in_scope(self._owner)
            connection = owner if isinstance(owner, sqlalchemy.Connection) else owner.connection(**self._choice())
            refuse_dialect(connection.dialect, self.name)
            driver: Any = connection.connection.driver_connection
            check_driver(driver, is_async=False, name=self.name)
            if begin and not driver.autocommit and not connection.in_transaction():
                connection.begin()
        except SQLAlchemyError as error:
            raise self._refused(error) from error
        self._current = connection
        return driver

    def _choice(self) -> dict[str, Any]:
        """Return what chooses the engine; SQLAlchemy empties it."""
        return {} if self._bind is None else {"bind_arguments": {"bind": self._bind}}

    def watch(self, premise: Premise) -> None:
        """See `Host.watch`."""
        connection = self._current
        assert connection is not None  # noqa: S101  # `driver` found it
        watch = _watches.get(connection)
        if watch is None:
            watch = _watches[connection] = Watch(connection)
        watch.add(premise)

    def review(self, premises: Iterable[Premise]) -> None:
        """See `Host.review`; the events have said already what they tell."""

    def still_in_progress(self, premise: Premise) -> Fate:
        """See `Host.still_in_progress`; one prepared for a commit in two phases may be."""
        del premise
        return Fate.OPEN

    async def lost(self, driver: Any) -> None:
        """See `Host.lost`: do what SQLAlchemy does where it meets a broken connection, so that rolling back works."""
        del driver
        if self._current is not None and not self._current.invalidated:
            with suppress(SQLAlchemyError):
                self._current.invalidate()

    def _refused(self, error: SQLAlchemyError) -> InvalidOperationException:
        return InvalidOperationException(
            f"{self.name} gives no connection to work on; nothing was sent. It says: {str(error).splitlines()[0]}"
        )


class AsyncSqlalchemyHost(SqlalchemyHost):
    """The same for an AsyncConnection or an AsyncSession."""

    is_async = True

    def __init__(self, owner: Any, bind: sqlalchemy.Engine | None = None) -> None:
        super().__init__(owner, bind)
        self._outer: Any = None

    @override
    async def driver(self, *, begin: bool) -> Any:
        """See `Host.driver`."""
        try:
            owner = _in_scope(self._owner)
            outer = owner if hasattr(owner, "sync_connection") else await owner.connection(**self._choice())
            connection = outer.sync_connection
            if connection is None:
                raise InvalidOperationException(
                    f"{self.name} was not started: async with engine.connect() as connection: …"
                )
            refuse_dialect(connection.dialect, self.name)
            raw = await outer.get_raw_connection() if connection.invalidated else connection.connection
            driver = raw.driver_connection
            check_driver(driver, is_async=True, name=self.name)
            if begin and not driver.autocommit and not connection.in_transaction():
                await outer.begin()
        except SQLAlchemyError as error:
            raise self._refused(error) from error
        self._current, self._outer = connection, outer
        return driver

    @override
    async def lost(self, driver: Any) -> None:
        del driver
        if self._outer is not None and not self._outer.invalidated:
            with suppress(SQLAlchemyError):
                await self._outer.invalidate()


def sqlalchemy_host(given: object, bind: object | None = None) -> Host | None:
    """Return the host of an object of SQLAlchemy's; None where it is none that has a connection."""
    orm, asyncio = sys.modules.get("sqlalchemy.orm"), sys.modules.get("sqlalchemy.ext.asyncio")
    if isinstance(given, sqlalchemy.Connection) and bind is None:
        refuse_dialect(given.dialect, f"{type(given).__name__} of SQLAlchemy")
        return SqlalchemyHost(given)
    if orm is not None and isinstance(given, orm.Session | orm.scoped_session):
        return SqlalchemyHost(given, _engine(bind))
    if asyncio is not None and isinstance(given, asyncio.AsyncSession | asyncio.async_scoped_session):
        return AsyncSqlalchemyHost(given, _engine(bind))
    if asyncio is not None and isinstance(given, asyncio.AsyncConnection) and bind is None:
        if given.sync_connection is not None:
            refuse_dialect(given.dialect, "AsyncConnection of SQLAlchemy")
        return AsyncSqlalchemyHost(given)
    return None


def _engine(bind: object | None) -> sqlalchemy.Engine | None:
    """Return the engine that is given, or that an async one is made around."""
    engine = getattr(bind, "sync_engine", bind)
    if engine is None or isinstance(engine, sqlalchemy.Engine):
        return engine
    raise InvalidArgumentTypeException(f"bind is an Engine of SQLAlchemy, not {type(bind).__qualname__}")


def _in_scope(owner: Any) -> Any:
    """Return the session that a scoped session, which alone has a registry, stands for here and now."""
    return owner() if hasattr(owner, "registry") else owner
