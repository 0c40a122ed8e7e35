"""Functions that are told of each executing of one query."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final, Generic, Self, TypeAlias, TypeVar

import msgspec

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException, InvalidOperationException
from docsession._query._watching import QueryResult

A = TypeVar("A")

Listener: TypeAlias = Callable[..., object]

_RETURNS_RESULTS: Final = frozenset({"query", "count", "any", "page", "lazily", "query_sql"})
_EXECUTES_NOTHING: Final = frozenset({"sql", "explain", "assert_uses_index"})


class Listeners(msgspec.Struct, frozen=True, eq=False):
    """Who is told of a query, in the order in which they were added.

    Attributes:
        before: Functions of what handlers of `before_query` are given.
        after: Functions of a `QueryResult`.
        streamed: Functions of what a stream yields.
    """

    before: tuple[Listener, ...] = ()
    after: tuple[Listener, ...] = ()
    streamed: tuple[Listener, ...] = ()

    def check(self, operation: str) -> None:
        """Refuse what would leave out listeners.

        Raises:
            InvalidOperationException: *operation* has nothing to tell to those of the query.
        """
        if operation in _EXECUTES_NOTHING:
            return
        told = self.after if operation in _RETURNS_RESULTS else self.streamed if operation == "stream" else ()
        if told or not (self.after or self.streamed):
            return
        name = "after_query_executed" if self.after else "after_stream_executed"
        goes = "all(), first(), one(), count(), any(), page() and lazily()" if self.after else "stream()"
        raise InvalidOperationException(
            f"{operation} has nothing to tell to a listener of {name}, which goes with {goes}: leave it out of this "
            "query"
        )


class Listening(ABC, Generic[A]):
    """The methods that add listeners to a query, and remove them; each returns a new query."""

    __slots__ = ()

    _awaits: ClassVar[bool] = True
    """False where a coroutine function is refused, since nobody will await it."""

    @property
    @abstractmethod
    def _listeners(self) -> Listeners | None: ...

    @abstractmethod
    def _with_listeners(self, listeners: Listeners | None) -> Self:
        """Return the same with other listeners."""

    def add_before_query_executed_listener(self, action: Callable[[A], object]) -> Self:
        """Call a function before each executing of this query (RavenDB: add_before_query_executed_listener).

        What it raises stops the query. On the async face it may be a coroutine function, which is awaited.

        Args:
            action: Is given what handlers of `before_query` are, which are called before it.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        return self._with_listener("before", "before_query_executed", action)

    def remove_before_query_executed_listener(self, action: Callable[[A], object]) -> Self:
        """Return the query without a listener (RavenDB: remove_before_query_executed_listener).

        Raises:
            InvalidArgumentException: It was not added.
        """
        return self._without_listener("before", "before_query_executed", action)

    def add_after_query_executed_listener(self, action: Callable[[QueryResult[Any]], object]) -> Self:
        """Call a function after each executing of this query (RavenDB: add_after_query_executed_listener).

        The total is found in the same request, as for `statistics`; `count()` and `any()` have it alone. What the
        function raises comes out of the method that executes. On the async face it may be a coroutine function, which
        is awaited.

        Args:
            action: Is given the `QueryResult`. The session is at its disposal.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        return self._with_listener("after", "after_query_executed", action)

    def remove_after_query_executed_listener(self, action: Callable[[QueryResult[Any]], object]) -> Self:
        """Return the query without a listener (RavenDB: remove_after_query_executed_listener).

        Raises:
            InvalidArgumentException: It was not added.
        """
        return self._without_listener("after", "after_query_executed", action)

    def _with_listener(self, name: str, event: str, action: object) -> Self:
        if not callable(action):
            raise InvalidArgumentTypeException(
                f"a listener of {event} is a function of one argument, not {action!r:.60}"
            )
        if not self._awaits and is_coroutine_function(action):
            raise InvalidArgumentTypeException(
                f"a listener of {event} on the blocking face is a plain function; {name_of(action)} is a coroutine "
                "function, which queries of AsyncDocumentStore await"
            )
        known = self._listeners or Listeners()
        more: Any = {name: (*getattr(known, name), action)}
        return self._with_listeners(msgspec.structs.replace(known, **more))

    def _without_listener(self, name: str, event: str, action: object) -> Self:
        known = self._listeners or Listeners()
        left = list(getattr(known, name))
        if action not in left:
            raise InvalidArgumentException(
                f"{name_of(action)} is no listener of {event} of this query, so it cannot be removed"
            )
        left.reverse()  # The last one goes, as with handlers of events.
        left.remove(action)
        less: Any = {name: tuple(reversed(left))}
        made = msgspec.structs.replace(known, **less)
        return self._with_listeners(made if made.before or made.after or made.streamed else None)


class StreamListening(Listening[A]):
    """The same for what can be streamed, too."""

    __slots__ = ()

    def add_after_stream_executed_listener(self, action: Callable[[Any], object]) -> Self:
        """Call a function for each result of `stream()` (RavenDB: add_after_stream_executed_listener).

        It is called before the result is handed out. What it raises ends the stream. On the async face it may be a
        coroutine function, which is awaited.

        Args:
            action: Is given the result: the document, or what `select` and its like return.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        return self._with_listener("streamed", "after_stream_executed", action)

    def remove_after_stream_executed_listener(self, action: Callable[[Any], object]) -> Self:
        """Return the query without a listener (RavenDB: remove_after_stream_executed_listener).

        Raises:
            InvalidArgumentException: It was not added.
        """
        return self._without_listener("streamed", "after_stream_executed", action)


def wants_results(listeners: Listeners | None) -> bool:
    """Return True where somebody is told of results, and how many there are."""
    return listeners is not None and bool(listeners.after)


def is_coroutine_function(handler: Callable[..., object]) -> bool:
    """Return True where calling *handler* gives something to await."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


def name_of(handler: object) -> str:
    """Return what an error calls a function of the user's."""
    return str(getattr(handler, "__qualname__", None) or repr(handler))[:160]
