"""The entities that a session tracks, looked up for those who name one."""

from __future__ import annotations

from docsession._documents._identity import may_be_entity
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException, InvalidOperationException
from docsession._session._identity_map import IdentityMap
from docsession._session._tracked import Tracked


def associated(known: IdentityMap, entity: object, operation: str) -> Tracked:
    """Return what a session tracks *entity* as.

    Raises:
        InvalidArgumentTypeException: It is no entity at all.
        InvalidOperationException: The session does not know it.
    """
    tracked = known.find(entity)
    if tracked is None:
        if isinstance(entity, str):
            raise InvalidArgumentTypeException(f"{operation}() takes an entity, not the id {entity!r:.80}")
        if not may_be_entity(type(entity)):
            raise InvalidArgumentTypeException(
                f"{operation}() takes an entity that the session loaded or stored, "
                f"not {type(entity).__qualname__} ({entity!r:.80}); an id is a str"
            )
        raise InvalidOperationException(
            f"this {type(entity).__qualname__} is not associated with the session; "
            f"{operation}() takes an entity that the session loaded or stored"
        )
    return tracked


def known_entity(known: IdentityMap, entity: object, operation: str) -> Tracked:
    """Return the same where RavenDB raises ValueError, not its own error as elsewhere.

    Raises:
        InvalidArgumentException: The session does not know it.
    """
    tracked = known.find(entity)
    if tracked is None:
        raise InvalidArgumentException(
            f"this {type(entity).__qualname__} is not associated with the session; "
            f"{operation}() takes an entity that the session loaded or stored"
        )
    return tracked
