"""Connections that somebody else owns: how psycopg's own is reached, and what the owner tells of transactions.

Nothing of SQLAlchemy's ORM or of Django is imported: whoever hands in an object of theirs has done so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol

import psycopg
import sqlalchemy

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._port import Fate, Premise

ACCEPTED: Final = (
    "a psycopg connection, SQLAlchemy's Connection or Session, or Django's connection; on the async face psycopg's "
    "AsyncConnection, SQLAlchemy's AsyncConnection or AsyncSession"
)
_OTHER_DRIVERS: Final = frozenset({"psycopg2", "psycopg2cffi", "asyncpg", "aiopg", "pg8000", "pgdb", "sqlite3"})


class Host(Protocol):
    """Whoever owns a connection.

    Attributes:
        name: What it is, for messages.
        is_async: True where it belongs to an event loop.
    """

    name: str
    is_async: bool

    async def driver(self, *, begin: bool) -> Any:
        """Return psycopg's connection as it is now.

        Args:
            begin: Let the owner know that a transaction begins, where none has begun.

        Raises:
            InvalidOperationException: The owner does not give it.
            InvalidArgumentException: It is not psycopg's.
        """
        ...

    def watch(self, premise: Premise) -> None:
        """Find out what becomes of *premise*, a write in the transaction that is open now."""
        ...

    def review(self, premises: Iterable[Premise]) -> None:
        """Bring the fate of *premises* up to date, as far as the owner tells."""
        ...

    def still_in_progress(self, premise: Premise) -> Fate:
        """Return the fate of a doubtful premise whose transaction, the server says, goes on."""
        ...

    async def lost(self, driver: Any) -> None:
        """Take note that the connection broke."""
        ...


class PsycopgHost:
    """A bare connection: only the server can tell what became of its transactions."""

    def __init__(self, connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
        self.is_async = isinstance(connection, psycopg.AsyncConnection)
        self.name = f"psycopg's {'AsyncConnection' if self.is_async else 'Connection'}"
        self._connection = connection

    async def driver(self, *, begin: bool) -> Any:
        """See `Host.driver`; its owner knows of no transaction but the server's."""
        del begin
        return self._connection

    def watch(self, premise: Premise) -> None:
        """See `Host.watch`; nobody tells."""

    def review(self, premises: Iterable[Premise]) -> None:
        """See `Host.review`."""
        for premise in premises:
            if premise.fate is Fate.OPEN and premise.xid is not None:
                premise.fate = Fate.DOUBTFUL

    def still_in_progress(self, premise: Premise) -> Fate:
        """See `Host.still_in_progress`."""
        del premise
        return Fate.OPEN

    async def lost(self, driver: Any) -> None:
        """See `Host.lost`; psycopg has seen it."""


def host_of(given: object, bind: object | None = None) -> Host:
    """Return what *given* is, and, of a session of SQLAlchemy, its part that works on the engine *bind*.

    Raises:
        InvalidArgumentException: It is another driver's connection, or leads to another kind of database.
        InvalidArgumentTypeException: It is no connection, or *bind* no engine.
    """
    from docsession._executors._hosts_django import DjangoHost, is_django
    from docsession._executors._hosts_sqlalchemy import sqlalchemy_host

    found = sqlalchemy_host(given, bind)
    if found is not None:
        return found
    if bind is not None:
        raise InvalidArgumentException(
            f"bind chooses among the engines of a SQLAlchemy session; {_described(given)} has no choice: leave it out"
        )
    if isinstance(given, psycopg.Connection | psycopg.AsyncConnection):
        return PsycopgHost(given)
    if is_django(given):
        return DjangoHost(given)
    if _family(given) in _OTHER_DRIVERS:
        raise refused_driver(given)
    raise InvalidArgumentTypeException(
        f"RequestExecutor.for_connection() takes {ACCEPTED}, not {_described(given)}{_hint(given)}"
    )


def check_driver(given: object, *, is_async: bool, name: str) -> None:
    """Refuse a driver's connection that is not psycopg's of this face."""
    if isinstance(given, psycopg.AsyncConnection if is_async else psycopg.Connection):
        return
    if isinstance(given, psycopg.Connection | psycopg.AsyncConnection):
        face, wanted = ("blocking", "Connection") if is_async else ("async", "AsyncConnection")
        raise InvalidArgumentException(
            f"{name} runs on psycopg's {type(given).__name__} here, which belongs to the {face} face: "
            f"hand in SQLAlchemy's {wanted} there"
        )
    raise refused_driver(given)


def refused_driver(given: object) -> InvalidArgumentException:
    """Return the error for the connection of a driver that is not psycopg 3."""
    if _family(given) == "sqlite3":
        return InvalidArgumentException(
            "documents are stored in PostgreSQL, so a session cannot join a transaction of SQLite; open the "
            "application's connection with a URL like postgresql+psycopg://user@host/dbname"
        )
    return InvalidArgumentException(
        f"a session can join a transaction of psycopg 3 alone, and this is {_described(given)}. "
        + _advice(_family(given))
    )


def refuse_dialect(dialect: Any, name: str) -> None:
    """Refuse what SQLAlchemy says is not PostgreSQL by way of psycopg."""
    if dialect.name != "postgresql":
        raise InvalidArgumentException(
            f"documents are stored in PostgreSQL, and this {name} leads to {dialect.name!r}: make its engine from a "
            "URL like postgresql+psycopg://user@host/dbname"
        )
    if dialect.driver not in {"psycopg", "psycopg_async"}:
        raise InvalidArgumentException(
            f"a session can join a transaction of psycopg 3 alone, and this {name} uses {dialect.driver!r}: make "
            f"its engine with {_url(dialect.driver)}"
        )


def _advice(family: str) -> str:
    if family == "psycopg2":
        return (
            "With SQLAlchemy use the URL postgresql+psycopg:// instead of postgresql:// or postgresql+psycopg2://; "
            "with Django install psycopg (3), which Django prefers"
        )
    return f"Connect with psycopg.connect or psycopg.AsyncConnection.connect; with SQLAlchemy use {_url(family)}"


def _url(driver: str) -> str:
    if driver == "asyncpg":
        return "create_async_engine and the URL postgresql+psycopg:// instead of postgresql+asyncpg://"
    return f"the URL postgresql+psycopg:// instead of postgresql+{driver}://"


def _family(given: object) -> str:
    return type(given).__module__.partition(".")[0]


def _described(given: object) -> str:
    return f"a {type(given).__module__}.{type(given).__qualname__}"


def _hint(given: object) -> str:
    """Say what to hand in instead, where that can be guessed."""
    names = {each.__name__ for each in type(given).__mro__}
    if isinstance(given, sqlalchemy.Engine) or "AsyncEngine" in names:
        return "; of an engine a connection: with engine.connect() as connection: …"
    if "ConnectionPool" in names or "AsyncConnectionPool" in names:
        return "; of a pool a connection: with pool.connection() as connection: …"
    if names & {"sessionmaker", "async_sessionmaker"}:
        return "; of a sessionmaker a session: with make_session() as session: …"
    if isinstance(given, psycopg.Cursor | psycopg.AsyncCursor):
        return "; of a cursor its connection: cursor.connection"
    if isinstance(given, str):
        return "; a server of its own has a store of its own, DocumentStore(url)"
    return ""
