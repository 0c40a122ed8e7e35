"""Documents that clients ask for by id; written once, for both faces."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar, overload

from docsession._documents._ids import check_id
from docsession._documents._metadata import COLLECTION, METADATA
from docsession._errors import (
    DocumentDoesNotExistException,
    DocumentMismatchException,
    InvalidArgumentException,
    InvalidArgumentTypeException,
)
from docsession._faces._includes import Includes
from docsession._session._raw_json import DocumentJson, QueryJson
from docsession.contrib._http._versions import AnySession

T = TypeVar("T")


@overload
async def find_document(session: AnySession, key: str, object_type: type[T], includes: Includes = None) -> T | None: ...
@overload
async def find_document(
    session: AnySession, key: str, object_type: type[Any] | None = None, includes: Includes = None
) -> Any: ...
async def find_document(
    session: AnySession, key: str, object_type: type[Any] | None = None, includes: Includes = None
) -> Any:
    """Return a document of the class's collection; None where *key*, as a client sends it, names none.

    That is so where there is no such document, where it is one of another collection, whether it fits the class or not,
    and where the text can be no id. `run(find_document(…))` is for blocking sessions.

    Args:
        session: The session to load it in.
        key: The id.
        object_type: The class; None and `dict` give dicts, of any collection.
        includes: As for `session.load`.

    Raises:
        DocumentMismatchException: There is one, of the class's collection, that does not fit the class.
    """
    if not may_be_id(key):
        return None
    expected = collection_of(session, object_type)
    try:
        found = await _finished(session.load(key, object_type, includes))
    except DocumentMismatchException:
        # It may have another shape because it is something else.
        if await _collection(session, key, None) == expected:
            raise
        return None
    if found is None or expected is None or await _collection(session, key, found) == expected:
        return found
    if not session._core.context.no_tracking:
        session.advanced.evict(found)
    return None


def may_be_id(key: str) -> bool:
    """Return False for a text that no document can have as its id."""
    try:
        check_id(key)
    except InvalidArgumentTypeException:
        raise
    except InvalidArgumentException:
        return False
    return True


def collection_of(session: AnySession, object_type: type[Any] | None) -> str | None:
    """Return the collection of a class; None for what may be of any."""
    mapping = session._core.context.mapping_for(object_type)
    return None if mapping is None else mapping.collection


def check_json(content: object) -> DocumentJson | QueryJson:
    """Return stored JSON that is to be handed on.

    Raises:
        DocumentDoesNotExistException: It is None, as `load_json` returns it for a document that is not there.
        InvalidArgumentTypeException: It is something else.
    """
    if content is None:
        raise DocumentDoesNotExistException(
            "json_response() was given None: there is no such document, and load_json() has returned that"
        )
    if not isinstance(content, DocumentJson | QueryJson):
        raise InvalidArgumentTypeException(
            "json_response() takes what session.load_json(…) or query.json(…) has returned, "
            f"not {type(content).__qualname__}"
        )
    return content


async def _collection(session: AnySession, key: str, entity: object | None) -> Any:
    """Return the collection that a document is in; a session that tracks nothing has to read it as a dict for that."""
    if entity is None or session._core.context.no_tracking:
        document = await _finished(session.load(key))
        return None if document is None else document[METADATA].get(COLLECTION)
    return session.advanced.get_metadata_for(entity).get(COLLECTION)


async def _finished(asked: Any) -> Any:
    """Return what a session was asked for; the async face has it awaited."""
    return await asked if inspect.iscoroutine(asked) else asked
