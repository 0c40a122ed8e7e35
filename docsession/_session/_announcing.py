"""Tells handlers what a save is about to do, until they have nothing more to add."""

from __future__ import annotations

from typing import Final

from docsession._errors import InvalidOperationException
from docsession._session._changes import Write, prepare_write, snapshot_of
from docsession._session._context import SessionContext
from docsession._session._conversions import Edited, ShownDocument, shown_metadata
from docsession._session._event_args import (
    AfterConversionToDocumentEventArgs,
    BeforeConversionToDocumentEventArgs,
    BeforeDeleteEventArgs,
    BeforeStoreEventArgs,
)
from docsession._session._planning import Changed, Planner, never_existed
from docsession._session._tracked import Tracked

_ROUNDS: Final = 16
_SPARE: Final = 10_000
"""So many documents may handlers add to a save, and as many rounds' worth of those it began with."""


class News:
    """What handlers have made of a save.

    Attributes:
        changed: What is to be written, found in the last round; None once it was planned.
        documents: For each id the snapshot that was converted, and what handlers made of the document.
    """

    __slots__ = ("changed", "documents")

    def __init__(self) -> None:
        self.changed: list[Changed] | None = None
        self.documents: dict[str, tuple[bytes, Edited | None]] = {}

    def rewrite(self, write: Write) -> None:
        """Let a document be written as the handlers have left it."""
        _, edited = self.documents.get(write.id, (b"", None))
        if edited is not None:
            # The next change is merged into what the entity stands for, not into what handlers made of it.
            write.raw = write.data
            write.data = edited.data
            write.metadata = edited.without_stale_types(write.metadata)


class Announcer:
    """Tells the handlers of one save; each document once, also one that a handler adds."""

    __slots__ = ("_context", "_deleted", "_news", "_planner", "_told")

    def __init__(self, context: SessionContext, planner: Planner) -> None:
        self._context = context
        self._planner = planner
        self._news = News()
        self._told: dict[int, Tracked] = {}
        self._deleted: set[str] = set()

    async def announce(self, session: object) -> News:
        """Call the handlers of `before_delete`, of the conversions to documents, and of `before_store`.

        Where more is to be saved than was thought, it is called again, and tells of that alone.

        Raises:
            InvalidOperationException: They add documents without end.
        """
        most = None
        self._news = News()
        for _ in range(_ROUNDS):
            is_quiet = await self._tell_deletions()
            changed = self._planner.find_writes(session)
            for tracked, _now in changed:
                if self._is_tracked(tracked) and await self._tell(tracked):
                    is_quiet = False
                    if most is not None and len(self._told) > most:
                        raise self._endless()
            if is_quiet:
                self._news.changed = changed
                return self._news
            most = most or len(self._told) * _ROUNDS + _SPARE
        raise self._endless()

    def _is_tracked(self, tracked: Tracked) -> bool:
        return self._context.map.by_id.get(tracked.id) is tracked

    async def _tell_deletions(self) -> bool:
        """Return True where there was nothing to tell."""
        context = self._context
        is_quiet = True
        for deletion in list(context.map.deleted.values()):
            if deletion.id in self._deleted or deletion.tracked is None or never_existed(deletion):
                continue
            if context.map.deleted.get(deletion.id) is deletion:
                self._deleted.add(deletion.id)
                is_quiet = False
                entity = deletion.tracked.entity
                await context.tell("before_delete", BeforeDeleteEventArgs, context.session, deletion.id, entity)
        return is_quiet

    async def _tell(self, tracked: Tracked) -> bool:
        """Tell of a document that is to be written; return False where that is known already."""
        context = self._context
        handlers = context.handlers
        converts = handlers is not None and handlers.convert_to_documents
        if id(tracked) in self._told:
            shown = self._news.documents.get(tracked.id)
            if not converts or (shown is not None and shown[0] == snapshot_of(tracked)):
                return False
            # It was changed since: by the handler of another document, or because an earlier save was undone.
            await self._convert(tracked)
            return True
        self._told[id(tracked)] = tracked
        if handlers is not None and handlers.before_store:
            if converts:
                await self._convert(tracked)
            if self._is_tracked(tracked):
                await context.tell("before_store", BeforeStoreEventArgs, context.session, tracked.id, tracked.entity)
        if converts and self._is_tracked(tracked):
            await self._convert(tracked)
        return True

    async def _convert(self, tracked: Tracked) -> None:
        """Make the document of an entity, with what handlers do before and after."""
        context = self._context
        args = (tracked.id, tracked.entity, context.session)
        await context.tell("before_conversion_to_document", BeforeConversionToDocumentEventArgs, *args)
        now = snapshot_of(tracked)
        edited = None
        event = "after_conversion_to_document"
        if context.handlers is not None and context.handlers.after_conversion_to_document:
            write = prepare_write(tracked, now, verify=False)
            shown = ShownDocument(tracked.id, write.data[1:], shown_metadata(tracked))
            given = (context.session, tracked.id, tracked.entity, shown.document)
            await context.tell(event, AfterConversionToDocumentEventArgs, *given)
            collection = tracked.table.collection if tracked.table is not None else tracked.mapping.collection
            edited = shown.edited(event, context.mappings.for_dict(collection).codec)
            now = snapshot_of(tracked)
        self._news.documents[tracked.id] = (now, edited)

    def _endless(self) -> InvalidOperationException:
        tracked = list(self._told.values())[-1]
        return InvalidOperationException(
            f"handlers go on adding documents to this save_changes(), {len(self._told)} so far, the last "
            f"{tracked.id!r} of {tracked.mapping.collection}; nothing was written. A handler that stores a document "
            "for each that is saved is told of its own, too, and has to pass over them"
        )
