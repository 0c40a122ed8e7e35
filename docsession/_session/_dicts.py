"""Plain dicts as documents: which collection they belong to, and the metadata that they carry."""

from __future__ import annotations

from typing import Any

from docsession._documents._ids import asks_for_identity, prefix_of
from docsession._documents._mapping import DocumentMapping, names_collection
from docsession._documents._metadata import COLLECTION, METADATA, RESERVED, kind_given
from docsession._errors import InvalidArgumentTypeException
from docsession._session._changes import metadata_of
from docsession._session._context import SessionContext
from docsession._session._tracked import Tracked


async def mapping_of(context: SessionContext, entity: object, key: str | None) -> DocumentMapping[Any]:
    """Return how *entity* is stored; a dict may leave it to the collection whose ids have the prefix of *key*."""
    separator = context.database.separator
    if isinstance(key, str) and asks_for_identity(key, separator):
        key = key[:-1] + separator
    if type(entity) is dict and isinstance(key, str) and not names_collection(entity):
        prefix = prefix_of(key, separator)
        catalogue = context.database.catalogue or await context.database.refresh()
        for table in catalogue.by_prefix.get(prefix, ()) if prefix else ():
            mapping = context.mappings.for_dict(table.collection)
            if mapping.id_prefix == prefix:
                return mapping
    return context.mappings.for_entity(entity, key)


def adopt_metadata(tracked: Tracked, entity: dict[str, Any]) -> None:
    """Take the free keys of a dict's `@metadata` for the document's, and put the real thing in its place."""
    given = entity.get(METADATA)
    if given is None:
        return
    if not isinstance(given, dict):
        raise InvalidArgumentTypeException(f"'@metadata' of a dict is a dict, not {type(given).__qualname__}")
    # Which class the document is of, and which version of it, nobody else knows.
    tracked.stored_metadata = kind_given(given)
    metadata = metadata_of(tracked)
    metadata.update({key: value for key, value in given.items() if key not in RESERVED and key != COLLECTION})
    entity[METADATA] = metadata
