"""How handlers of a store's own events are added and removed (RavenDB: add_on_before_request, …)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from docsession._faces._events import HandlerOwner
from docsession._session._event_args import (
    BeforeRequestEventArgs,
    FailedRequestEventArgs,
    SessionClosingEventArgs,
    SessionCreatedEventArgs,
    SucceedRequestEventArgs,
)

R = TypeVar("R")


class StoreEvents(HandlerOwner):
    """The events that only a store has."""

    __slots__ = ()

    def add_on_session_creation(
        self, event: Callable[[SessionCreatedEventArgs], R]
    ) -> Callable[[SessionCreatedEventArgs], R]:
        """Call *event* with each session that is opened.

        A plain function on both faces. What it raises comes out of `open_session()`.

        Returns:
            *event*, so that this may stand above it as a decorator.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        self._add_handler("on_session_creation", event)
        return event

    def remove_on_session_creation(self, event: Callable[[SessionCreatedEventArgs], object]) -> None:
        """Call *event* no more at `on_session_creation`.

        Raises:
            InvalidArgumentException: It was not added here.
        """
        self._remove_handler("on_session_creation", event)

    def add_on_session_closing(
        self, event: Callable[[SessionClosingEventArgs], R]
    ) -> Callable[[SessionClosingEventArgs], R]:
        """Call *event* when a session is about to be closed.

        It may still use the session, and save it. A session that is never closed does not call it.

        Returns:
            *event*, so that this may stand above it as a decorator.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        self._add_handler("on_session_closing", event)
        return event

    def remove_on_session_closing(self, event: Callable[[SessionClosingEventArgs], object]) -> None:
        """Call *event* no more at `on_session_closing`.

        Raises:
            InvalidArgumentException: It was not added here.
        """
        self._remove_handler("on_session_closing", event)

    def add_on_before_request(
        self, event: Callable[[BeforeRequestEventArgs], R]
    ) -> Callable[[BeforeRequestEventArgs], R]:
        """Call *event* before a request is sent.

        It cannot use the session. What it raises stops the request.

        Returns:
            *event*, so that this may stand above it as a decorator.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        self._add_handler("on_before_request", event)
        return event

    def remove_on_before_request(self, event: Callable[[BeforeRequestEventArgs], object]) -> None:
        """Call *event* no more at `on_before_request`.

        Raises:
            InvalidArgumentException: It was not added here.
        """
        self._remove_handler("on_before_request", event)

    def add_on_succeed_request(
        self, event: Callable[[SucceedRequestEventArgs], R]
    ) -> Callable[[SucceedRequestEventArgs], R]:
        """Call *event* after a request was answered.

        It cannot use the session. What it raises comes out of the session's method; what a save has written is saved.

        Returns:
            *event*, so that this may stand above it as a decorator.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        self._add_handler("on_succeed_request", event)
        return event

    def remove_on_succeed_request(self, event: Callable[[SucceedRequestEventArgs], object]) -> None:
        """Call *event* no more at `on_succeed_request`.

        Raises:
            InvalidArgumentException: It was not added here.
        """
        self._remove_handler("on_succeed_request", event)

    def add_on_failed_request(
        self, event: Callable[[FailedRequestEventArgs], R]
    ) -> Callable[[FailedRequestEventArgs], R]:
        """Call *event* after a request failed, or was refused.

        It cannot use the session. What it raises becomes a note of the error, which comes out as it would have.

        Returns:
            *event*, so that this may stand above it as a decorator.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        self._add_handler("on_failed_request", event)
        return event

    def remove_on_failed_request(self, event: Callable[[FailedRequestEventArgs], object]) -> None:
        """Call *event* no more at `on_failed_request`.

        Raises:
            InvalidArgumentException: It was not added here.
        """
        self._remove_handler("on_failed_request", event)

    def add_before_close(self, event: Callable[[], R]) -> Callable[[], R]:
        """Call *event* when the store is about to be closed, without an argument.

        It may still use the store. The store is closed whatever it raises.

        Returns:
            *event*, so that this may stand above it as a decorator.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        self._add_handler("before_close", event)
        return event

    def remove_before_close(self, event: Callable[[], object]) -> None:
        """Call *event* no more at `before_close`.

        Raises:
            InvalidArgumentException: It was not added here.
        """
        self._remove_handler("before_close", event)

    def add_after_close(self, event: Callable[[], R]) -> Callable[[], R]:
        """Call *event* after the store was closed, without an argument.

        Returns:
            *event*, so that this may stand above it as a decorator.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        self._add_handler("after_close", event)
        return event

    def remove_after_close(self, event: Callable[[], object]) -> None:
        """Call *event* no more at `after_close`.

        Raises:
            InvalidArgumentException: It was not added here.
        """
        self._remove_handler("after_close", event)
