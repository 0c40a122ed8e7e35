"""How handlers of events are added and removed (RavenDB: add_before_store, …): those of documents and sessions.

A handler is a function of one argument; on the async face it may be a coroutine function, which is awaited.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol, TypeVar

from typing_extensions import override

from docsession._query._customization import BeforeQueryEventArgs
from docsession._session._core import SessionCore
from docsession._session._event_args import (
    AfterConversionToDocumentEventArgs,
    AfterConversionToEntityEventArgs,
    AfterSaveChangesEventArgs,
    BeforeConversionToDocumentEventArgs,
    BeforeConversionToEntityEventArgs,
    BeforeDeleteEventArgs,
    BeforeStoreEventArgs,
    SessionClosingEventArgs,
)
from docsession._session._events import Face, Handler, with_handler, without_handler

R = TypeVar("R")


class HandlerOwner(Protocol):
    """What keeps handlers."""

    __slots__ = ()

    _is_async: ClassVar[bool]

    def _add_handler(self, name: str, event: Handler) -> None: ...

    def _remove_handler(self, name: str, event: Handler) -> None: ...


class DocumentEvents(HandlerOwner):
    """The events of documents, on stores and on sessions.

    The handlers of a store are those of every session that it opens from then on. They are called in the
    order in which they were added, and may use the session, but neither save nor close it.
    """

    __slots__ = ()

    def add_before_store(self, event: Callable[[BeforeStoreEventArgs], R]) -> Callable[[BeforeStoreEventArgs], R]:
        """Call *event* before a save writes a document, new or changed.

        It may change the entity and its metadata, and store or delete further entities, which join the same save
        and are told of in turn. What it raises stops the save, and nothing is written.

        Returns:
            *event*, so that this may stand above it as a decorator.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        self._add_handler("before_store", event)
        return event

    def remove_before_store(self, event: Callable[[BeforeStoreEventArgs], object]) -> None:
        """Call *event* no more at `before_store`.

        Raises:
            InvalidArgumentException: It was not added here.
        """
        self._remove_handler("before_store", event)

    def add_after_save_changes(
        self, event: Callable[[AfterSaveChangesEventArgs], R]
    ) -> Callable[[AfterSaveChangesEventArgs], R]:
        """Call *event* after a save has written a document.

        It is not called for deletions. What it raises comes out of `save_changes()`, which has saved all the same.

        Returns:
            *event*, so that this may stand above it as a decorator.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        self._add_handler("after_save_changes", event)
        return event

    def remove_after_save_changes(self, event: Callable[[AfterSaveChangesEventArgs], object]) -> None:
        """Call *event* no more at `after_save_changes`.

        Raises:
            InvalidArgumentException: It was not added here.
        """
        self._remove_handler("after_save_changes", event)

    def add_before_delete(self, event: Callable[[BeforeDeleteEventArgs], R]) -> Callable[[BeforeDeleteEventArgs], R]:
        """Call *event* before a save deletes a document that was loaded.

        It is not called for `delete(id)` of a document that was not. What it raises stops the save;
        `session.store(entity)` takes the deletion back.

        Returns:
            *event*, so that this may stand above it as a decorator.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        self._add_handler("before_delete", event)
        return event

    def remove_before_delete(self, event: Callable[[BeforeDeleteEventArgs], object]) -> None:
        """Call *event* no more at `before_delete`.

        Raises:
            InvalidArgumentException: It was not added here.
        """
        self._remove_handler("before_delete", event)

    def add_before_query(self, event: Callable[[BeforeQueryEventArgs], R]) -> Callable[[BeforeQueryEventArgs], R]:
        """Call *event* before a query is asked.

        It may change the query, and let the session not track what is found. What it raises stops the query.

        Returns:
            *event*, so that this may stand above it as a decorator.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        self._add_handler("before_query", event)
        return event

    def remove_before_query(self, event: Callable[[BeforeQueryEventArgs], object]) -> None:
        """Call *event* no more at `before_query`.

        Raises:
            InvalidArgumentException: It was not added here.
        """
        self._remove_handler("before_query", event)

    def add_before_conversion_to_document(
        self, event: Callable[[BeforeConversionToDocumentEventArgs], R]
    ) -> Callable[[BeforeConversionToDocumentEventArgs], R]:
        """Call *event* before an entity becomes a document.

        That is before it is written, and where there are handlers of `before_store`, before these are called, too.

        Returns:
            *event*, so that this may stand above it as a decorator.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        self._add_handler("before_conversion_to_document", event)
        return event

    def remove_before_conversion_to_document(
        self, event: Callable[[BeforeConversionToDocumentEventArgs], object]
    ) -> None:
        """Call *event* no more at `before_conversion_to_document`.

        Raises:
            InvalidArgumentException: It was not added here.
        """
        self._remove_handler("before_conversion_to_document", event)

    def add_after_conversion_to_document(
        self, event: Callable[[AfterConversionToDocumentEventArgs], R]
    ) -> Callable[[AfterConversionToDocumentEventArgs], R]:
        """Call *event* after an entity became a document.

        It may change the document, a dict of JSON's types; what it leaves is written. It is called as often as
        those of `before_conversion_to_document`.

        Returns:
            *event*, so that this may stand above it as a decorator.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        self._add_handler("after_conversion_to_document", event)
        return event

    def remove_after_conversion_to_document(
        self, event: Callable[[AfterConversionToDocumentEventArgs], object]
    ) -> None:
        """Call *event* no more at `after_conversion_to_document`.

        Raises:
            InvalidArgumentException: It was not added here.
        """
        self._remove_handler("after_conversion_to_document", event)

    def add_before_conversion_to_entity(
        self, event: Callable[[BeforeConversionToEntityEventArgs], R]
    ) -> Callable[[BeforeConversionToEntityEventArgs], R]:
        """Call *event* before a document that was loaded becomes an entity.

        It may change the document, a dict of JSON's types; the entity is made of what it leaves. A plain
        function on both faces.

        Returns:
            *event*, so that this may stand above it as a decorator.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        self._add_handler("before_conversion_to_entity", event)
        return event

    def remove_before_conversion_to_entity(self, event: Callable[[BeforeConversionToEntityEventArgs], object]) -> None:
        """Call *event* no more at `before_conversion_to_entity`.

        Raises:
            InvalidArgumentException: It was not added here.
        """
        self._remove_handler("before_conversion_to_entity", event)

    def add_after_conversion_to_entity(
        self, event: Callable[[AfterConversionToEntityEventArgs], R]
    ) -> Callable[[AfterConversionToEntityEventArgs], R]:
        """Call *event* after a document that was loaded became an entity.

        What it changes in the entity does not count as a change of the document. A plain function on both faces.

        Returns:
            *event*, so that this may stand above it as a decorator.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        self._add_handler("after_conversion_to_entity", event)
        return event

    def remove_after_conversion_to_entity(self, event: Callable[[AfterConversionToEntityEventArgs], object]) -> None:
        """Call *event* no more at `after_conversion_to_entity`.

        Raises:
            InvalidArgumentException: It was not added here.
        """
        self._remove_handler("after_conversion_to_entity", event)


class SessionEvents(HandlerOwner):
    """The events of one session, and where its handlers are kept."""

    __slots__ = ()

    _core: SessionCore

    def _keep_face(self) -> None:
        """Remember what handlers are given as the session."""
        context = self._core.context
        if context.face is None:
            context.face = Face(self, self._core, type(self), awaits=self._is_async)

    @override
    def _add_handler(self, name: str, event: Handler) -> None:
        context = self._core.context
        context.enter("add_" + name.removeprefix("on_"))
        try:
            self._keep_face()
            context.handlers = with_handler(context.handlers, name, event, awaits=self._is_async)
        finally:
            context.leave()

    @override
    def _remove_handler(self, name: str, event: Handler) -> None:
        context = self._core.context
        context.enter("remove_" + name.removeprefix("on_"))
        try:
            context.handlers = without_handler(context.handlers, name, event)
        finally:
            context.leave()

    def add_session_closing(
        self, event: Callable[[SessionClosingEventArgs], R]
    ) -> Callable[[SessionClosingEventArgs], R]:
        """Call *event* when the session is about to be closed.

        It may still use the session, and save it. A session that is never closed does not call it.

        Returns:
            *event*, so that this may stand above it as a decorator.

        Raises:
            InvalidArgumentTypeException: It cannot be called, or not awaited.
        """
        self._add_handler("on_session_closing", event)
        return event

    def remove_session_closing(self, event: Callable[[SessionClosingEventArgs], object]) -> None:
        """Call *event* no more at `session_closing`.

        Raises:
            InvalidArgumentException: It was not added here.
        """
        self._remove_handler("on_session_closing", event)
