"""The session, written once for both faces.

Every method that may ask the server is `async def`; the blocking face runs it with a single `send`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from docsession._documents._ids import (
    asks_for_identity,
    check_id,
    check_id_of_entity,
    check_part_of_ids,
    complete_generated_id,
    is_blank,
    prefix_of,
    time_ordered_id,
    wildcards_to_regex,
)
from docsession._documents._mapping import DocumentMapping
from docsession._errors import (
    DocSessionError,
    DocumentDoesNotExistException,
    InvalidArgumentException,
    InvalidOperationException,
    SessionBusyException,
)
from docsession._options import check_isolation_level
from docsession._port import Request, Statement
from docsession._session._changes import (
    is_changed,
    renew,
)
from docsession._session._cluster import refuse_change_vector
from docsession._session._contents import SessionContents
from docsession._session._context import SessionContext
from docsession._session._conversions import Arrival, agree
from docsession._session._deferred import defer, refuse_deferred
from docsession._session._dicts import adopt_metadata, mapping_of
from docsession._session._event_args import SessionClosingEventArgs
from docsession._session._identities import next_identity_id
from docsession._session._loading import IncludePath, Loader, check_keys
from docsession._session._saving import Saver
from docsession._session._tracked import (
    MUST_NOT_EXIST,
    Deletion,
    Tracked,
    change_vector_of,
    give_id,
    own_id,
    succeed,
    version_of,
)
from docsession._session._transactions import Transactions, lost_in_block
from docsession._sql._tables import TableStatements

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConditionalLoadResult(Generic[T]):
    """What `conditional_load` found (RavenDB: ConditionalLoadResult).

    Attributes:
        entity: The document; None where it has the change vector that was given, or does not exist.
        change_vector: The current change vector; None where it does not exist.
    """

    entity: T | None
    change_vector: str | None


class SessionCore(SessionContents):
    """One session's unit of work."""

    __slots__ = ("__weakref__", "_loader", "_saver", "_transactions")

    def __init__(self, context: SessionContext) -> None:
        super().__init__(context)
        self._loader = Loader(context)
        self._saver = Saver(context)
        self._transactions = Transactions(context)

    # store and delete

    async def store(self, entity: object, key: str | None = None, change_vector: str | None = None) -> None:
        """Track *entity*, to be saved by the next save; see `DocumentSession.store`."""
        context = self.context
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
        context = self.context
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
            key = context.database.spare_id(mapping) if own is None or own == "" else None
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
        for deletion in self.context.map.deleted.values():
            tracked = deletion.tracked
            if tracked is not None and tracked.entity is entity:
                self.context.map.add(tracked)
                del self.context.map.deleted[tracked.id]
                tracked.expected = expected
                return True
        return False

    async def _store_new(self, entity: object, key: str | None, expected: int | None) -> None:
        context = self.context
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
        known = self.context.map
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
        context = self.context
        return context.database.spare_id(mapping) if context.conventions.document_id_generator is None else None

    async def _generate_id(self, mapping: DocumentMapping[Any], entity: object) -> str:
        database = self.context.database
        generator = self.context.conventions.document_id_generator
        if generator is None:
            return await database.next_id(mapping)
        made = generator(database.name, entity)
        return complete_generated_id(made, mapping.id_prefix, database.separator)

    def delete(self, key_or_entity: object, expected_change_vector: str | None = None) -> None:
        """Have the next save delete a document; see `DocumentSession.delete`."""
        context = self.context
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
                tracked = self._tracked(key_or_entity, "delete")
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

    # load

    async def load(
        self, key: str | None, object_type: type | None = None, includes: Sequence[IncludePath] = ()
    ) -> object | None:
        """Return one document, or None."""
        context = self.context
        context.enter("load")
        try:
            tracked = context.map.by_id.get(key)  # type: ignore[arg-type]  # nothing has the key None
            if tracked is not None:
                return tracked.entity
            if is_blank(key):
                return None
            self._check_includes(includes)
            mapping = context.mapping_for(object_type)
            checked = check_id(key)
            if context.map.knows(checked):
                return self._known(checked, mapping)
            await context.settle()
            return (await self._loader.fetch((checked,), mapping, includes)).get(checked)
        finally:
            context.leave()

    async def load_many(
        self, keys: Iterable[object], object_type: type | None = None, includes: Sequence[IncludePath] = ()
    ) -> dict[str, object | None]:
        """Return a dict with every id that was asked for."""
        context = self.context
        context.enter("load")
        try:
            wanted = check_keys(keys)
            self._check_includes(includes)
            mapping = context.mapping_for(object_type)
            unknown = context.map.unknown(wanted)
            await context.settle()
            found = await self._loader.fetch(unknown, mapping, includes) if unknown else {}
            return {key: found[key] if key in found else self._known(key, mapping) for key in wanted}
        finally:
            context.leave()

    def _check_includes(self, includes: Sequence[IncludePath]) -> None:
        if includes and self.context.no_tracking:
            raise InvalidOperationException(
                "this session tracks nothing (no_tracking), so there is nowhere to keep included documents"
            )

    def _known(self, key: str, mapping: DocumentMapping[Any] | None) -> object | None:
        """Return the entity of an id that the session knows, if there is one."""
        tracked = self.context.map.by_id.get(key)
        if tracked is not None:
            return tracked.entity
        included = self.context.map.included.get(key)
        return None if included is None else self._loader.materialise(*included, mapping)

    async def load_starting_with(
        self,
        id_prefix: str,
        object_type: type | None,
        matches: str | None,
        start: int | None,
        page_size: int | None,
        exclude: str | None,
        start_after: str | None,
    ) -> list[object]:
        """Return the documents whose id begins with *id_prefix*."""
        context = self.context
        context.enter("load_starting_with")
        try:
            id_prefix = check_part_of_ids("id_prefix", id_prefix, "companies/")
            wildcards = [
                None if text is None else wildcards_to_regex(check_part_of_ids(name, text, "1*|2?-A"))
                for name, text in (("matches", matches), ("exclude", exclude))
            ]
            _check_count("start", start)
            _check_count("page_size", page_size)
            await context.settle()
            return await self._loader.starting_with(
                id_prefix,
                context.mapping_for(object_type),
                matches=wildcards[0],
                exclude=wildcards[1],
                start=start or 0,
                page_size=page_size,
                start_after=None
                if start_after is None
                else check_part_of_ids("start_after", start_after, "companies/9-A"),
            )
        finally:
            context.leave()

    async def conditional_load(
        self, key: str, change_vector: str | None, object_type: type | None
    ) -> ConditionalLoadResult[Any]:
        """Load a document unless it has *change_vector*."""
        context = self.context
        context.enter("conditional_load")
        try:
            key = check_id(key)
            tracked = context.map.by_id.get(key)
            if tracked is not None:
                return ConditionalLoadResult(tracked.entity, change_vector_of(tracked.version))
            if key in context.map.deleted or key in context.map.missing:
                return ConditionalLoadResult(None, None)
            included = context.map.included.get(key)
            if included is not None:
                entity = self._loader.materialise(*included, context.mapping_for(object_type))
                return ConditionalLoadResult(entity, change_vector_of(included[0][3]))
            if not change_vector:
                raise InvalidArgumentException(f"conditional_load({key!r}) needs the change vector that you have")
            version = version_of(change_vector)
            mapping = context.mapping_for(object_type)
            await context.settle()
            found = await context.database.up_to_date(lambda: self._loader.fetch_changed(key, version, mapping))
            if found is None:
                if not context.no_tracking:
                    context.map.missing.add(key)
                return ConditionalLoadResult(None, None)
            row, table = found
            if row[3] == version:
                return ConditionalLoadResult(None, change_vector)
            return ConditionalLoadResult(self._loader.materialise(row, table, mapping), change_vector_of(row[3]))
        finally:
            context.leave()

    async def exists(self, key: str) -> bool:
        """Return True where the document exists; not counted as a request."""
        context = self.context
        context.enter("exists")
        try:
            key = check_id(key)
            if key in context.map.by_id or key in context.map.included:
                return True
            if key in context.map.missing or key in context.map.deleted:
                return False
            await context.settle()
            return await context.database.up_to_date(lambda: self._look_for(key))
        finally:
            context.leave()

    async def _look_for(self, key: str) -> bool:
        database = self.context.database
        prefix = prefix_of(key, database.separator)
        tables = await database.tables_for(prefix, None)
        if await self._exists_in(key, tables):
            return True
        later = (await database.refresh()).tables_of(prefix, None)
        return await self._exists_in(key, [table for table in later if table not in tables])

    async def _exists_in(self, key: str, tables: Sequence[TableStatements]) -> bool:
        if not tables:
            return False
        statements = [Statement(table.exists, (key,)) for table in tables]
        return any(await self.context.run(Request(statements, may_lag=True)))

    async def refresh(self, entity: T) -> T:
        """Bring *entity* to the state in the database, dropping local changes."""
        context = self.context
        context.enter("refresh")
        try:
            tracked = self._known_entity(entity, "refresh")
            await context.settle()
            if tracked.table is None:
                raise InvalidArgumentException(f"{tracked.id!r} was never saved: there is nothing to refresh it from")
            rows = await self._loader.read_one(tracked.table, tracked.id, may_lag=False)
            if not rows:
                raise DocumentDoesNotExistException(
                    f"{tracked.id!r} was deleted meanwhile; evict the entity, or store it anew after evicting it"
                )
            arrival = None
            row = rows[0]
            if context.handlers is not None and context.handlers.convert_to_entities:
                arrival = Arrival(context, row, tracked.table, tracked.mapping)
                row = arrival.row
            _key, data, stored, version, last_modified = row
            data, stored = self._loader.as_of_entity(tracked, data, stored)
            renew(tracked, data, stored, version, last_modified)
            if arrival is not None:
                arrival.tell(entity)
                agree(tracked)
            return entity
        finally:
            context.leave()

    # save

    def defer(self, commands: Iterable[object]) -> None:
        """Have the next save run raw commands."""
        self._guarded("defer", lambda: defer(self.context, commands))

    async def save_changes(self, face: object) -> None:
        """Save everything that changed; *face* is what the convention `should_ignore_entity_changes` is shown."""
        context = self.context
        context.enter("save_changes")
        try:
            if context.no_tracking:
                raise InvalidOperationException("this session tracks nothing (no_tracking), so it can save nothing")
            try:
                await context.settle()
                context.reads_are_past = self._transactions.reads_are_past
                await self._saver.save(face)
            except BaseException:
                await self._transactions.end_saving(failed=True)
                raise
            await self._transactions.end_saving(failed=False)
        finally:
            context.leave()

    # transactions

    async def begin(self, isolation_level: str | None) -> None:
        """Begin a transaction, or a savepoint inside one."""
        level = check_isolation_level(isolation_level)
        await self._in_transactions("begin", lambda: self._transactions.begin(level))

    async def commit(self) -> None:
        """Commit what was begun last."""
        await self._in_transactions("commit", self._transactions.commit)

    async def rollback(self) -> None:
        """Roll back what was begun last."""
        await self._in_transactions("rollback", self._transactions.rollback)

    async def _in_transactions(self, operation: str, call: Callable[[], Awaitable[None]]) -> None:
        self.context.enter(operation)
        try:
            await call()
        finally:
            self.context.leave()

    async def end_transaction(self, depth: int, *, failed: bool) -> None:
        """End what is open from *depth* inwards; nothing where it was ended already."""
        while self.transaction_depth >= depth:
            await (self.rollback() if failed else self.commit())

    async def enter_block(self, isolation_level: str | None) -> int:
        """Begin a transaction for a block of code; return its depth."""
        await self.begin(isolation_level)
        self._transactions.enter_block()
        return self.transaction_depth

    async def leave_block(self, depth: int, *, failed: bool) -> None:
        """End what a block has begun.

        Raises:
            ConnectionLostException: The transaction was lost in the block, which went on all the same.
        """
        was_lost = self._transactions.leave_block()
        await self.end_transaction(depth, failed=failed)
        if was_lost and not failed:
            raise lost_in_block()

    @property
    def transaction_depth(self) -> int:
        """How many times `begin()` was called without its end."""
        return self._transactions.depth

    async def rolled_back(self) -> None:
        """Undo what the owner of the session's connection rolled back, where only they know of it.

        Raises:
            InvalidOperationException: The session is not on a connection that somebody else owns.
        """
        joined = self.context.joined
        if joined is None:
            raise InvalidOperationException(
                "rolled_back() is for sessions on a connection that somebody else owns (request_executor); "
                "this one ends its transactions itself, with commit() and rollback()"
            )
        await self._in_transactions("rolled_back", joined.rolled_back)

    @property
    def connection(self) -> Any:
        """The connection of psycopg in the session's transaction."""
        if self.context.joined is not None:
            raise InvalidOperationException(
                "the session works on a connection that you handed in: run SQL of your own on that one"
            )
        return self._guarded("connection", lambda: self._transactions.connection)

    # sessions beside this one

    def fork(self) -> SessionContext:
        """Return the state of a session beside this one, in its transaction where it has begun one.

        Raises:
            InvalidOperationException: It reads in a transaction of its isolation level, which another one cannot join.
        """
        self._transactions.check_lost()
        if self._transactions.is_reading:
            raise InvalidOperationException(
                f"edit() is a transaction of its own, and this session is in the middle of one at "
                f"{self.context.isolation_level!r}; call save_changes(), which ends it, first"
            )
        return self.context.fork(shares_transaction=self._transactions.depth > 0)

    async def dispose(self) -> None:
        """End a session that nobody knows of; no handler is told."""
        self.context.enter("close")
        self.context.journal = None  # it is that of the session beside which this one was
        await self._end()

    # the end

    async def close(self) -> None:
        """End the session; what was not saved is lost. Does nothing on a closed session."""
        context = self.context
        if context.closed:
            return
        context.enter("close")
        try:
            if context.handlers is not None:
                await context.tell("on_session_closing", SessionClosingEventArgs, context.session)
        finally:
            await self._end()

    async def _end(self) -> None:
        context = self.context
        try:
            context.closed = True
            context.unknown = False
            context.forget_everything()
            await self._transactions.close()
        finally:
            context.leave()

    async def abandon(self) -> None:
        """Close the session because of an error, also while another thread or task is inside: its call is the last."""
        try:
            await self.close()
        except SessionBusyException:
            self.context.closed = True
            self._transactions.abandon()


def _check_count(name: str, value: object) -> None:
    if value is not None and (type(value) is not int or not 0 <= value < 2**63):
        raise InvalidArgumentException(f"{name} is a number of documents, 0 or more, not {value!r:.40}")
