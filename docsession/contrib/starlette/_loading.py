"""Documents that clients ask for by id."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from docsession._documents._ids import check_id
from docsession._documents._metadata import COLLECTION, METADATA
from docsession._errors import (
    DocumentDoesNotExistException,
    DocumentMismatchException,
    InvalidArgumentException,
    InvalidArgumentTypeException,
)
from docsession._faces._async_session import AsyncDocumentSession
from docsession._faces._includes import Includes

T = TypeVar("T")


@overload
async def load_or_404(
    session: AsyncDocumentSession, key: str, object_type: type[T], includes: Includes = None
) -> T: ...
@overload
async def load_or_404(
    session: AsyncDocumentSession, key: str, object_type: None = None, includes: Includes = None
) -> Any: ...
async def load_or_404(
    session: AsyncDocumentSession, key: str, object_type: type[Any] | None = None, includes: Includes = None
) -> Any:
    """Return a document as `session.load` does; where there is none, the request ends with 404.

    So it does where *key*, which comes from the client, is no id at all, or that of another collection's document.

    Args:
        session: The session to load it in.
        key: The id.
        object_type: The class; None gives a dict, of any collection.
        includes: As for `session.load`.

    Raises:
        DocumentDoesNotExistException: There is no such document; it becomes 404.
        DocumentMismatchException: There is one, of the class's collection, that does not fit the class.
    """
    nothing = DocumentDoesNotExistException(f"there is no document {key!r:.120}")
    if not may_be_id(key):
        raise nothing
    try:
        found = await session.load(key, object_type, includes)
    except DocumentMismatchException as error:
        if await _collection(session, key, None) == collection_of(session, object_type):
            raise
        raise nothing from error  # it has another shape because it is something else
    if found is None:
        raise nothing
    expected = collection_of(session, object_type)
    if expected is not None and await _collection(session, key, found) != expected:
        if not session._core.context.no_tracking:
            session.advanced.evict(found)
        raise nothing
    return found


def may_be_id(key: str) -> bool:
    """Return False for a text, as clients may send it, that no document can have as its id."""
    try:
        check_id(key)
    except InvalidArgumentTypeException:
        raise
    except InvalidArgumentException:
        return False
    return True


def collection_of(session: AsyncDocumentSession, object_type: type[Any] | None) -> str | None:
    """Return the collection of a class; None for those whose documents may have any."""
    mapping = session._core.context.mapping_for(object_type)
    return None if mapping is None else mapping.collection


async def _collection(session: AsyncDocumentSession, key: str, entity: object | None) -> str | None:
    """Return the collection that a document is in; a session that tracks nothing has to read it as a dict for that."""
    if entity is None or session._core.context.no_tracking:
        document = await session.load(key)
        return None if document is None else document[METADATA].get(COLLECTION)
    return session.advanced.get_metadata_for(entity).get(COLLECTION)
