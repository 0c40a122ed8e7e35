"""Loading in a session, by ids: what it knows is not asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from docsession._documents._ids import (
    check_id,
    check_part_of_ids,
    is_blank,
    prefix_of,
    wildcards_to_regex,
)
from docsession._documents._mapping import DocumentMapping
from docsession._errors import DocumentDoesNotExistException, InvalidArgumentException, InvalidOperationException
from docsession._port import Request, Row, Statement
from docsession._session._associated import known_entity
from docsession._session._changes import renew
from docsession._session._context import SessionContext
from docsession._session._conversions import Arrival, agree
from docsession._session._including import IncludePath
from docsession._session._loading import Loader, check_keys
from docsession._session._tracked import change_vector_of, version_of
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


class Loads:
    """Loads documents into one session."""

    __slots__ = ("_context", "_loader")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._loader = Loader(context)

    async def load(
        self, key: str | None, object_type: type | None = None, includes: Sequence[IncludePath] = ()
    ) -> object | None:
        """Return one document, or None."""
        context = self._context
        context.enter("load")
        try:
            tracked = context.map.by_id.get(key)  # type: ignore[arg-type]  # nothing has the key None
            if tracked is not None:
                return tracked.entity
            if is_blank(key):
                return None
            self.check_includes(includes)
            mapping = context.mapping_for(object_type)
            checked = check_id(key)
            if context.map.knows(checked):
                return self.known(checked, mapping)
            await context.settle()
            return (await self._loader.fetch((checked,), mapping, includes)).get(checked)
        finally:
            context.leave()

    async def load_many(
        self, keys: Iterable[object], object_type: type | None = None, includes: Sequence[IncludePath] = ()
    ) -> dict[str, object | None]:
        """Return a dict with every id that was asked for."""
        context = self._context
        context.enter("load")
        try:
            wanted = check_keys(keys)
            self.check_includes(includes)
            mapping = context.mapping_for(object_type)
            unknown = context.map.unknown(wanted)
            await context.settle()
            found = await self._loader.fetch(unknown, mapping, includes) if unknown else {}
            return {key: found[key] if key in found else self.known(key, mapping) for key in wanted}
        finally:
            context.leave()

    def check_includes(self, includes: Sequence[IncludePath]) -> None:
        """Refuse to bring along what the session could not keep."""
        if includes and self._context.no_tracking:
            raise InvalidOperationException(
                "this session tracks nothing (no_tracking), so there is nowhere to keep included documents"
            )

    def known(self, key: str, mapping: DocumentMapping[Any] | None) -> object | None:
        """Return the entity of an id that the session knows, if there is one."""
        tracked = self._context.map.by_id.get(key)
        if tracked is not None:
            return tracked.entity
        included = self._context.map.included.get(key)
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
        context = self._context
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
        context = self._context
        context.enter("conditional_load")
        try:
            key = check_id(key)
            mapping = context.mapping_for(object_type)
            known = self.known_result(key, mapping)
            if known is not None:
                return known
            version = version_that_is_known(key, change_vector)
            await context.settle()
            found = await context.database.up_to_date(lambda: self._loader.fetch_changed(key, version, mapping))
            return self.result_of(found, key, version, mapping)
        finally:
            context.leave()

    def known_result(self, key: str, mapping: DocumentMapping[Any] | None) -> ConditionalLoadResult[Any] | None:
        """Return what the session knows of a document; None where it knows nothing."""
        known = self._context.map
        tracked = known.by_id.get(key)
        if tracked is not None:
            return ConditionalLoadResult(tracked.entity, change_vector_of(tracked.version))
        if key in known.deleted or key in known.missing:
            return ConditionalLoadResult(None, None)
        included = known.included.get(key)
        if included is None:
            return None
        return ConditionalLoadResult(self._loader.materialise(*included, mapping), change_vector_of(included[0][3]))

    def result_of(
        self, found: tuple[Row, TableStatements] | None, key: str, version: int, mapping: DocumentMapping[Any] | None
    ) -> ConditionalLoadResult[Any]:
        """Return what `Loader.fetch_changed` has found of a document that was known as it was at a version."""
        if found is None:
            if not self._context.no_tracking:
                self._context.map.missing.add(key)
            return ConditionalLoadResult(None, None)
        row, table = found
        entity = None if row[3] == version else self._loader.materialise(row, table, mapping)
        return ConditionalLoadResult(entity, change_vector_of(row[3]))

    async def exists(self, key: str) -> bool:
        """Return True where the document exists; not counted as a request."""
        context = self._context
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
        database = self._context.database
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
        return any(await self._context.run(Request(statements, may_lag=True)))

    async def refresh(self, entity: T) -> T:
        """Bring *entity* to the state in the database, dropping local changes."""
        context = self._context
        context.enter("refresh")
        try:
            tracked = known_entity(context.map, entity, "refresh")
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


def version_that_is_known(key: str, change_vector: str | None) -> int:
    """Return the version of a conditional load."""
    if not change_vector:
        raise InvalidArgumentException(f"conditional_load({key!r}) needs the change vector that you have")
    return version_of(change_vector)


def _check_count(name: str, value: object) -> None:
    if value is not None and (type(value) is not int or not 0 <= value < 2**63):
        raise InvalidArgumentException(f"{name} is a number of documents, 0 or more, not {value!r:.40}")
