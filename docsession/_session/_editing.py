"""One document, edited in a session beside the one that asks for it."""

from __future__ import annotations

from docsession._errors import InvalidOperationException
from docsession._session._changes import is_changed, renew
from docsession._session._context import SessionContext
from docsession._session._deferred import refuse_deferred
from docsession._session._journal import undo_write
from docsession._session._loading import Loader


def check_editable(context: SessionContext, key: str) -> None:
    """Refuse to edit what the session has changes of its own for: nobody could say which of them are to be saved.

    Raises:
        InvalidOperationException: It has.
    """
    refuse_deferred(context.map, "edit", key)
    live = context.map.by_id.get(key)
    if key in context.map.deleted or (live is not None and is_changed(live)):
        raise InvalidOperationException(
            f"edit() cannot be called for {key!r}: the session has changes of its own for it. Call save_changes() "
            "first, or evict the entity"
        )


def adopt_edited(context: SessionContext, aside: SessionContext, key: str, mark: int | None) -> object:
    """Let a session know what was done to a document beside it, and return its entity there.

    Args:
        context: The session.
        aside: The one beside it, which has saved the document.
        key: The document's id.
        mark: Where the journal stood before; None where there is none.

    Raises:
        InvalidOperationException: The session's own instance was changed meanwhile.
    """
    edited = aside.map.by_id[key]
    if context.no_tracking:
        return edited.entity
    live = context.map.by_id.get(key)
    if live is None:
        context.map.insert(edited)
        return edited.entity
    if is_changed(live):
        raise InvalidOperationException(
            f"{key!r} was edited and saved, and the session's own instance was changed meanwhile, which its next save "
            "would write over that: change what edit() hands out, and nothing else; refresh or evict the instance"
        )
    if context.journal is not None and mark is not None and context.journal.mark() > mark:
        context.journal.entries[-1].remember(undo_write(live, context.map))
    data, stored = Loader(context).as_of_entity(live, edited.raw or b"", edited.stored_metadata)
    live.table = edited.table
    renew(live, data, stored, edited.version, edited.last_modified)
    return live.entity
