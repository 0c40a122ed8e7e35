"""Other places for a session's requests than the store's own pool: `SessionOptions.request_executor`."""

from __future__ import annotations

from typing_extensions import override

from docsession._errors import InvalidArgumentTypeException
from docsession._port import RequestExecutor as Port


class RequestExecutor:
    """Where the requests of a session go (RavenDB: RequestExecutor).

    `store.get_request_executor()` gives one that stands for that store's server and pool.
    """

    __slots__ = ("_database", "_is_async", "_port")

    def __init__(self, port: Port, database: str | None, *, is_async: bool) -> None:
        """Not for users: `store.get_request_executor()` makes it."""
        self._port = port
        self._database = database
        self._is_async = is_async

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self._port!r}>"


def port_of(given: object, *, is_async: bool) -> tuple[Port, str | None]:
    """Return what carries the requests, and the database that it stands for, if for one.

    Raises:
        InvalidArgumentTypeException: It is no executor, or one for the other face.
    """
    if not isinstance(given, RequestExecutor):
        raise InvalidArgumentTypeException(
            "SessionOptions.request_executor is what store.get_request_executor() returns, "
            f"not {type(given).__qualname__}"
        )
    if given._is_async != is_async:
        own, other = ("an async", "a blocking") if is_async else ("a blocking", "an async")
        raise InvalidArgumentTypeException(f"{own} session cannot use the request executor of {other} store")
    return given._port, given._database
