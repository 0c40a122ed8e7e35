"""Other places for a session's requests than the store's own pool: `SessionOptions.request_executor`."""

from __future__ import annotations

from typing_extensions import override

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._executors._foreign import AsyncForeignExecutor, BlockingForeignExecutor
from docsession._executors._hosts import Host, host_of
from docsession._port import ForeignExecutor
from docsession._port import RequestExecutor as Port


class RequestExecutor:
    """Where the requests of a session go (RavenDB: RequestExecutor).

    `store.get_request_executor()` gives one that stands for that store's server and pool,
    `RequestExecutor.for_connection(…)` one for a connection that somebody else owns.
    """

    __slots__ = ("_database", "_host", "_is_async", "_port", "_url")

    def __init__(
        self, port: Port | None, database: str | None, *, is_async: bool, host: Host | None = None, url: str = ""
    ) -> None:
        """Not for users: `store.get_request_executor()` or `for_connection()` makes it."""
        self._port = port
        self._database = database
        self._is_async = is_async
        self._host = host
        self._url = url

    @override
    def __repr__(self) -> str:
        place = f"over {self._port!r}" if self._host is None else f"on {self._host.name}"
        return f"<{type(self).__name__} {place}>"

    @classmethod
    def for_connection(cls, connection: object, *, bind: object | None = None) -> RequestExecutor:
        """Let sessions work on a connection that somebody else owns, as a part of their transaction.

        A save joins the transaction that is open there, inside a savepoint of its own, or begins one as
        the connection's owner would. It never commits: the owner's commit or rollback decides. On a
        connection in autocommit every save commits by itself. Nothing is set on the connection.

        Args:
            connection: A psycopg connection, SQLAlchemy's `Connection` or `Session`, or Django's
                `connection`; for an `AsyncDocumentStore` psycopg's `AsyncConnection`, SQLAlchemy's
                `AsyncConnection` or `AsyncSession`.
            bind: Of a SQLAlchemy session that works on several engines, the `Engine` that the documents are in; None is
                the one that the session takes by itself.

        Raises:
            InvalidArgumentException: It is a connection of another driver (psycopg2, asyncpg, …), or
                leads to another kind of database; the message says which URL to use. Or *bind* is given, and it
                is no session of SQLAlchemy.
            InvalidArgumentTypeException: It is no connection, or *bind* is no engine.
        """
        host = host_of(connection, bind)
        return cls(None, None, is_async=host.is_async, host=host)


def port_of(given: object, *, is_async: bool) -> tuple[Port | None, str | None]:
    """Return what carries the requests, if not somebody else's connection, and the database that it stands for.

    Raises:
        InvalidArgumentTypeException: It is no executor, or one for the other face.
    """
    if not isinstance(given, RequestExecutor):
        raise InvalidArgumentTypeException(
            "SessionOptions.request_executor is what store.get_request_executor() or "
            f"RequestExecutor.for_connection(connection) returns, not {type(given).__qualname__}"
        )
    if given._is_async != is_async and given._host is None:
        own, other = ("an async", "a blocking") if is_async else ("a blocking", "an async")
        raise InvalidArgumentTypeException(f"{own} session cannot use the request executor of {other} store")
    return given._port, given._database


def join(host: Host, *, is_async: bool) -> ForeignExecutor:
    """Return what carries the requests of one session over somebody else's connection.

    Raises:
        InvalidArgumentException: The connection belongs to the other face.
    """
    if host.is_async is is_async:
        return AsyncForeignExecutor(host) if is_async else BlockingForeignExecutor(host)
    if is_async:
        raise InvalidArgumentException(
            f"{host.name} blocks, so it cannot serve a session of AsyncDocumentStore: open it from DocumentStore, or "
            "hand in an async connection"
        )
    raise InvalidArgumentException(
        f"{host.name} is to be awaited, so it cannot serve a session of DocumentStore: open it from AsyncDocumentStore"
    )
