"""Raw commands that wait for the next save: taken, planned with everything else, and applied."""

from __future__ import annotations

from collections.abc import Iterable

from docsession._commands import CommandData, DeleteCommandData, PutCommandDataWithJson
from docsession._documents._ids import check_id, prefix_of
from docsession._documents._mapping import names_collection
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException, InvalidOperationException
from docsession._options import OptimisticConcurrencyMode
from docsession._session._changes import Write, is_changed, prepare_write, renew, snapshot_of, types_of
from docsession._session._cluster import refuse_change_vector, refuse_command
from docsession._session._context import SessionContext
from docsession._session._dicts import adopt_metadata, mapping_of
from docsession._session._identity_map import IdentityMap
from docsession._session._journal import Undo, undo_write
from docsession._session._loading import Loader
from docsession._session._tracked import MUST_NOT_EXIST, Deletion, Tracked, version_of


class Deferred:
    """A command as it was when `defer` took it: what its user does to the dict afterwards does not matter.

    Attributes:
        expected: The version that the save must find; None checks nothing.
        write: What is written; None deletes.
        names_collection: True where the document says in its metadata where it belongs.
    """

    __slots__ = ("expected", "id", "names_collection", "write")

    def __init__(self, key: str, expected: int | None, write: Write | None, *, names_collection: bool) -> None:
        self.id = key
        self.expected = expected
        self.write = write
        self.names_collection = names_collection


def defer(context: SessionContext, commands: Iterable[object]) -> None:
    """Keep *commands* for the next save; all of them or, where one cannot be used, none."""
    if context.no_tracking:
        raise InvalidOperationException("this session tracks nothing (no_tracking), so it can save nothing")
    taken: dict[str, Deferred] = {}
    for command in commands:
        each = _take(context, command)
        if each.id in taken or each.id in context.map.deferred:
            raise InvalidOperationException(
                f"there is a deferred command for {each.id!r} already; a save takes one for each document"
            )
        taken[each.id] = each
    context.map.deferred.update(taken)


def refuse_deferred(known: IdentityMap, operation: str, key: str) -> None:
    """Refuse to store or delete what a deferred command is for: nobody could say which of them is meant.

    Raises:
        InvalidOperationException: There is such a command.
    """
    if key in known.deferred:
        raise InvalidOperationException(
            f"{operation}() cannot be called for {key!r}: there is a deferred command for it; "
            "save_changes() runs it, advanced.clear() drops everything that is pending"
        )


def _take(context: SessionContext, command: object) -> Deferred:
    if not isinstance(command, CommandData):
        raise InvalidArgumentTypeException(
            f"defer() takes commands such as PutCommandDataWithJson and DeleteCommandData, not {command!r:.80}"
        )
    key = check_id(command.key)
    expected = None if command.change_vector is None else version_of(command.change_vector)
    if expected is not None:
        refuse_change_vector(context, key)
    if isinstance(command, PutCommandDataWithJson):
        if key.endswith(("|", context.database.separator)):
            raise InvalidArgumentException(f"a command names its document, which {key!r:.120} does not")
        return _take_put(context, key, expected, command.document)
    if not isinstance(command, DeleteCommandData):
        refuse_command(context, type(command).__name__)
        raise InvalidArgumentTypeException(f"there is no command {type(command).__qualname__}")
    if expected == MUST_NOT_EXIST:
        raise InvalidArgumentException(
            f'the change vector "" says that {key!r} must not exist, so there is nothing to delete'
        )
    return Deferred(key, expected, None, names_collection=False)


def _take_put(context: SessionContext, key: str, expected: int | None, document: object) -> Deferred:
    if type(document) is not dict:
        raise InvalidArgumentTypeException(
            f"the document of a command is a dict, not {type(document).__qualname__}; store() takes entities"
        )
    entity = {**document, "Id": key}
    if document.get("Id", key) != key:
        raise InvalidArgumentException(f"the document of the command for {key!r} names another id: {document['Id']!r}")
    live = context.map.by_id.get(key)
    if live is not None and not names_collection(document):
        mapping = context.mappings.for_dict((live.table or live.mapping).collection)
    else:
        mapping = context.mappings.for_entity(entity, key)
    tracked = Tracked(key, entity, mapping, mapping.codec.snapshot)
    adopt_metadata(tracked, entity)
    write = prepare_write(tracked, snapshot_of(tracked), verify=context.conventions.verify_on_save)
    return Deferred(key, expected, write, names_collection=names_collection(document))


async def plan_deferred(context: SessionContext) -> tuple[list[Write], list[Deletion]]:
    """Return what the deferred commands write and delete; of new documents the table is not said.

    Raises:
        InvalidOperationException: The session has changed one of their documents itself.
        DocumentMismatchException: A document does not fit the class of the tracked entity with its id.
    """
    known = context.map
    writes, deletions = [], []
    for each in known.deferred.values():
        live = known.by_id.get(each.id)
        if each.id in known.deleted or (live is not None and is_changed(live)):
            raise InvalidOperationException(
                f"{each.id!r} was changed by the session, and there is a deferred command for it, too; nothing was "
                "written. Evict the entity, or call advanced.clear() and begin anew"
            )
        expected = each.expected
        if expected is None:
            expected = known.checks.get(each.id)
        if expected is None and live is not None and context.mode is OptimisticConcurrencyMode.WRITES_AND_READS:
            expected = live.version
        elif expected is None and context.guards_writes:
            expected = known.seen(each.id) if live is None else live.version
        if each.write is None:
            deletions.append(Deletion(each.id, None, expected))
        else:
            await _place(context, each, each.write, live)
            each.write.expected = expected
            writes.append(each.write)
    return writes, deletions


async def _place(context: SessionContext, deferred: Deferred, write: Write, live: Tracked | None) -> None:
    """Say where a document goes: beside the tracked one, or where `store` would put it."""
    write.table = None  # type: ignore[assignment]  # the plan gives it one
    if live is not None and live.table is not None:
        named = write.tracked.mapping.collection if deferred.names_collection else live.table.collection
        if named == live.table.collection:
            write.table = live.table
        data, metadata = Loader(context).as_of_entity(live, write.data, write.metadata)
        live.mapping.codec.decode(write.id, data, types_of(metadata))
    elif not deferred.names_collection and prefix_of(write.id, context.database.separator):
        write.tracked.mapping = await mapping_of(context, {}, write.id)


def apply_deferred(context: SessionContext, applied: Iterable[Deferred]) -> None:
    """Bring the session to the state that deferred commands have made true."""
    known = context.map
    for each in applied:
        if known.deferred.get(each.id) is each:
            del known.deferred[each.id]
        live = known.by_id.get(each.id)
        if each.write is None:
            if live is not None:
                known.forget(live)
            known.missing.add(each.id)
        elif live is not None:
            written = each.write.tracked
            live.table = each.write.table
            data, metadata = Loader(context).as_of_entity(live, each.write.data, each.write.metadata)
            renew(live, data, metadata, written.version, written.last_modified)
        else:
            known.missing.discard(each.id)
            known.included.pop(each.id, None)


def undo_deferred(known: IdentityMap, deferred: Deferred) -> Undo:
    """Return what makes a command pending again that is about to count as done."""
    live = known.by_id.get(deferred.id)
    restore = undo_write(live, known) if live is not None and deferred.write is not None else None

    def undo() -> None:
        now = known.by_id.get(deferred.id)
        known.missing.discard(deferred.id)
        if now is not None and is_changed(now):
            # The session's user has gone on from what the command wrote: that is what is to be saved.
            if restore is not None:
                restore()
            return
        known.deferred.setdefault(deferred.id, deferred)
        if restore is not None and live is not None:
            restore()
            renew(live, live.raw or b"", live.stored_metadata, live.version, live.last_modified)
        elif now is not None:
            known.forget(now)
        elif live is not None:
            known.insert(live)

    return undo
