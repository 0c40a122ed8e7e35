"""The handlers of events: which there are, and how they are called."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._listening import is_coroutine_function, name_of

Handler: TypeAlias = Callable[..., object]

AT_ONCE = frozenset({"on_session_creation", "before_conversion_to_entity", "after_conversion_to_entity"})
"""Events at which nothing can be awaited, on either face: opening a session and making entities are no coroutines."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """What is called at each event, in order; a value that stores and sessions share and replace."""

    on_session_creation: tuple[Handler, ...] = ()
    on_session_closing: tuple[Handler, ...] = ()
    before_store: tuple[Handler, ...] = ()
    after_save_changes: tuple[Handler, ...] = ()
    before_delete: tuple[Handler, ...] = ()
    before_query: tuple[Handler, ...] = ()
    before_conversion_to_document: tuple[Handler, ...] = ()
    after_conversion_to_document: tuple[Handler, ...] = ()
    before_conversion_to_entity: tuple[Handler, ...] = ()
    after_conversion_to_entity: tuple[Handler, ...] = ()
    on_before_request: tuple[Handler, ...] = ()
    on_succeed_request: tuple[Handler, ...] = ()
    on_failed_request: tuple[Handler, ...] = ()
    before_close: tuple[Handler, ...] = ()
    after_close: tuple[Handler, ...] = ()

    @property
    def watch_saves(self) -> bool:
        """True where a save has to tell somebody before it begins."""
        return bool(self.before_store or self.before_delete or self.convert_to_documents)

    @property
    def convert_to_documents(self) -> bool:
        """True where somebody is told of documents that are about to be written."""
        return bool(self.before_conversion_to_document or self.after_conversion_to_document)

    @property
    def convert_to_entities(self) -> bool:
        """True where somebody is told of documents that were loaded."""
        return bool(self.before_conversion_to_entity or self.after_conversion_to_entity)

    @property
    def watch_requests(self) -> bool:
        """True where somebody is told of requests."""
        return bool(self.on_before_request or self.on_succeed_request or self.on_failed_request)


def with_handler(handlers: Handlers | None, event: str, handler: Handler, *, awaits: bool) -> Handlers:
    """Return *handlers* with one more, which is called last.

    Args:
        handlers: Those there are.
        event: The name of the event.
        handler: The new one.
        awaits: True on the async face.

    Raises:
        InvalidArgumentTypeException: It is not callable, or a coroutine function where nothing awaits it.
    """
    if not callable(handler):
        raise InvalidArgumentTypeException(f"a handler of {event} is a function of one argument, not {handler!r:.80}")
    if is_coroutine_function(handler):
        if not awaits:
            raise InvalidArgumentTypeException(
                f"a handler of {event} on the blocking face is a plain function; "
                f"{name_of(handler)} is a coroutine function, which AsyncDocumentStore awaits"
            )
        if event in AT_ONCE:
            raise InvalidArgumentTypeException(
                f"a handler of {event} is a plain function on both faces, since nothing can be awaited there; "
                f"{name_of(handler)} is a coroutine function"
            )
    known = handlers or Handlers()
    return replace(known, **{event: (*getattr(known, event), handler)})


def without_handler(handlers: Handlers | None, event: str, handler: Handler) -> Handlers | None:
    """Return *handlers* without the last one that equals *handler*; None where none are left.

    Raises:
        InvalidArgumentException: There is none.
    """
    present = list(getattr(handlers, event)) if handlers is not None else []
    for place in reversed(range(len(present))):
        if present[place] == handler:
            del present[place]
            left = replace(handlers or Handlers(), **{event: tuple(present)})
            return left if any(getattr(left, each.name) for each in fields(left)) else None
    raise InvalidArgumentException(f"{name_of(handler)} is no handler of {event} here, so it cannot be removed")


def call_at_once(event: str, handler: Handler, *args: object) -> None:
    """Call a handler where nothing can be awaited.

    Raises:
        InvalidArgumentTypeException: It returned something to await.
    """
    result = handler(*args)
    if inspect.isawaitable(result):
        _refuse(event, handler, result)


async def call(event: str, handler: Handler, *args: object, awaits: bool) -> None:
    """Call a handler, and await what it returns where the face does that.

    Raises:
        InvalidArgumentTypeException: It returned something to await on the blocking face.
    """
    result = handler(*args)
    if inspect.isawaitable(result):
        if not awaits:
            _refuse(event, handler, result)
        await result


def _refuse(event: str, handler: Handler, result: Awaitable[object]) -> None:
    if inspect.iscoroutine(result):
        result.close()
    raise InvalidArgumentTypeException(
        f"{name_of(handler)}, a handler of {event}, returned something to await, which nobody does here"
    )


class Face:
    """What the user knows as the session, which handlers are given; it is not kept alive.

    Args:
        face: The session.
        core: What it stands before.
        make: Makes another one of a context and its core.
        awaits: True on the async face.
    """

    __slots__ = ("_core", "_make", "_reference", "awaits")

    def __init__(self, face: object, core: Any, make: Callable[..., object], *, awaits: bool) -> None:
        self._reference = weakref.ref(face)
        self._core: Callable[[], Any] = weakref.ref(core)
        self._make = make
        self.awaits = awaits

    def get(self, context: object) -> object:
        """Return the session of a context: another instance where nobody holds the first one any more."""
        face = self._reference()
        if face is None:
            # A query that is still asked may be all that is left of the session.
            face = self._make(context, self._core())
            self._reference = weakref.ref(face)
        return face
