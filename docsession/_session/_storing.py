"""Storing and deleting in a session: what the next save is to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from docsession._documents._ids import (
    asks_for_identity,
    check_id,
    check_id_of_entity,
    complete_generated_id,
    time_ordered_id,
)
from docsession._documents._mapping import DocumentMapping
from docsession._errors import DocSessionError, InvalidArgumentException, InvalidOperationException
from docsession._session._associated import associated
from docsession._session._changes import is_changed
from docsession._session._cluster import refuse_change_vector
from docsession._session._context import SessionContext
from docsession._session._deferred import defer, refuse_deferred
from docsession._session._dicts import adopt_metadata, mapping_of
from docsession._session._identities import next_identity_id
from docsession._session._tracked import MUST_NOT_EXIST, Deletion, Tracked, give_id, own_id, succeed, version_of


class Storing:
    """Has the next save of one session write and delete documents."""

    __slots__ = ("_context",)

    def __init__(self, context: SessionContext) -> None:
        self._context = context

    async def store(self, entity: object, key: str | None = None, change_vector: str | None = None) -> None:
        """Track *entity*, to be saved by the next save; see `DocumentSession.store`."""
        context = self._context
        context.enter("store")
        try:
            if context.no_tracking:
                raise InvalidOperationException("this session tracks nothing (no_tracking), so it can store nothing")
            expected = None if change_vector is None else version_of(change_vector)
            if expected is not None:
                refuse_change_vector(context, key or type(entity).__qualname__)
            known = context.map
            tracked = known.by_entity.get(id(entity))
            if tracked is not None:
                if expected is not None:
                    tracked.expected = expected
                return
            if known.deleted and self._undelete(entity, expected):
                return
            await context.settle()
            await self._store_new(entity, key, expected)
        finally:
            context.leave()

    def store_new(self, entity: object) -> bool:
        """Do what `store` does where nothing has to be awaited, as in most calls: a new entity, its next id at hand.

        Returns:
            False where it is not as simple as that, and nothing was done.
        """
        context = self._context
        known = context.map
        mapping = context.mappings.for_class_of(entity)
        if (
            mapping is None
            or known.deleted
            or context.no_tracking
            or (context.joined is not None and not context.joined.is_settled)
            or context.conventions.document_id_generator is not None
            or id(entity) in known.by_entity
        ):
            return False
        context.enter("store")
        try:
            codec = mapping.codec
            own = codec.get_id(entity)
            key = context.database.ids.spare(mapping) if own is None or own == "" else None
            if key is None:
                return False
            tracked = Tracked(key, entity, mapping, codec.snapshot, stored_metadata=mapping.metadata)
            tracked.generated = True
            self._track(tracked)
        finally:
            context.leave()
        return True

    def _undelete(self, entity: object, expected: int | None) -> bool:
        """Take back the deletion of this very instance: the last word counts."""
        for deletion in self._context.map.deleted.values():
            tracked = deletion.tracked
            if tracked is not None and tracked.entity is entity:
                self._context.map.add(tracked)
                del self._context.map.deleted[tracked.id]
                tracked.expected = expected
                return True
        return False

    async def _store_new(self, entity: object, key: str | None, expected: int | None) -> None:
        context = self._context
        if key is not None:
            key = check_id(key)
        if type(entity) is dict and entity.get("Id") is not None:
            # It is no part of the document, so nothing else may be there.
            named = check_id_of_entity(entity["Id"])
            key = named if key is None else key
        mapping = context.mappings.for_class_of(entity) or await mapping_of(context, entity, key)
        separator = context.database.separator
        codec = mapping.codec
        generated = False
        if key is None:
            own = own_id(codec, entity)
            if own is not None and own != "":
                key = check_id_of_entity(own)
        if key is None:
            if expected:
                raise InvalidArgumentException("a change vector was given, but not the id of the document it is of")
            key = self._spare_id(mapping) or await self._generate_id(mapping, entity)
            generated = True
        if key.endswith(separator):
            key = check_id(time_ordered_id(key))
            generated = True
        elif asks_for_identity(key, separator):
            key = await next_identity_id(context.database, key)
            generated = True
        refuse_deferred(context.map, "store", key)
        deletion = context.map.deleted.get(key)
        tracked = Tracked(key, entity, mapping, codec.snapshot, stored_metadata=mapping.metadata)
        tracked.generated = generated and deletion is None
        tracked.expected = expected
        self._track(tracked)
        if deletion is not None and succeed(tracked, deletion):
            del context.map.deleted[key]

    def _track(self, tracked: Tracked) -> None:
        """Track a new entity and give it its id; one that cannot take it is not tracked."""
        known = self._context.map
        entity = tracked.entity
        known.add(tracked)
        try:
            if type(entity) is dict:
                adopt_metadata(tracked, entity)
            give_id(tracked.mapping.codec, entity, tracked.id)
        except DocSessionError:
            known.forget(tracked)
            raise
        except Exception as error:
            known.forget(tracked)
            raise InvalidArgumentException(
                f"this {type(entity).__qualname__} does not take its id, {tracked.id!r}, as the attribute "
                f"{tracked.mapping.id_attribute!r} ({type(error).__name__}: {error}); let it be set, or name another "
                "attribute with @document(id_attribute=…)"
            ) from error

    def _spare_id(self, mapping: DocumentMapping[Any]) -> str | None:
        """Return the next id of a range at hand, which nearly every call finds."""
        context = self._context
        return context.database.ids.spare(mapping) if context.conventions.document_id_generator is None else None

    async def _generate_id(self, mapping: DocumentMapping[Any], entity: object) -> str:
        database = self._context.database
        generator = self._context.conventions.document_id_generator
        if generator is None:
            return await database.ids.next(mapping)
        made = generator(database.name, entity)
        return complete_generated_id(made, mapping.id_prefix, database.separator)

    def delete(self, key_or_entity: object, expected_change_vector: str | None = None) -> None:
        """Have the next save delete a document; see `DocumentSession.delete`."""
        context = self._context
        context.enter("delete")
        try:
            if key_or_entity is None:
                raise InvalidArgumentException("delete() takes an entity or an id, not None")
            expected = None if expected_change_vector is None else version_of(expected_change_vector)
            if expected is not None:
                refuse_change_vector(context, key_or_entity if isinstance(key_or_entity, str) else "a document")
            if expected == MUST_NOT_EXIST:
                raise InvalidArgumentException(
                    'the change vector "" says that the document must not exist, so there is nothing to delete; '
                    "register_for_concurrency_check() checks it"
                )
            if isinstance(key_or_entity, str):
                key = check_id(key_or_entity)
                tracked = context.map.by_id.get(key)
                if tracked is not None and tracked.snapshot is not None and is_changed(tracked):
                    raise InvalidOperationException(
                        f"{key!r} was changed in this session; delete(entity) says that the changes are to be dropped"
                    )
            else:
                tracked = associated(context.map, key_or_entity, "delete")
                key = tracked.id
            refuse_deferred(context.map, "delete", key)
            if tracked is not None:
                context.map.forget(tracked)
            elif key in context.map.deleted:
                tracked = context.map.deleted[key].tracked
            seen = context.map.seen(key)
            context.map.included.pop(key, None)
            context.map.deleted[key] = Deletion(key, tracked, expected, seen)
        finally:
            context.leave()

    def defer(self, commands: Iterable[object]) -> None:
        """Have the next save run raw commands."""
        self._context.enter("defer")
        try:
            defer(self._context, commands)
        finally:
            self._context.leave()
