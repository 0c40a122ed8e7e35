"""Documents that clients ask for by id."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from docsession._errors import DocumentDoesNotExistException
from docsession._faces._async_session import AsyncDocumentSession
from docsession._faces._includes import Includes
from docsession.contrib._http import find_document

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
    found = await find_document(session, key, object_type, includes)
    if found is None:
        raise DocumentDoesNotExistException(f"there is no document {key!r:.120}")
    return found
