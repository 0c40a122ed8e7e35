"""Subclasses that are stored in the collection of a base: an alias in the metadata names the class of a document.

The alias never chooses what is imported. It names a class that the program has registered, and one
that is a subclass of what was asked for; any other alias is as good as none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

from docsession._documents._aliases import AliasRegistry
from docsession._documents._metadata import SCHEMA_VERSION, TYPE
from docsession._errors import DocumentMismatchException, InvalidArgumentException, InvalidArgumentTypeException
from docsession._port import JSONB_VERSION, NULL_JSONB

_LIBRARIES: Final = sys.stdlib_module_names | {"attr", "attrs", "msgspec", "pydantic", "typing_extensions"}


def check_base(cls: type, base: object) -> None:
    """Refuse a base in whose collection instances of *cls* cannot be.

    Raises:
        InvalidArgumentTypeException: It is no class.
        InvalidArgumentException: *cls* is no subclass of it.
    """
    if not isinstance(base, type):
        raise InvalidArgumentTypeException(f"@document(base=…) takes a class, not {base!r:.80}")
    if base is cls or not is_below(cls, base):
        raise InvalidArgumentException(
            f"@document(base={base.__name__}): {cls.__qualname__} is no subclass of {base.__qualname__}"
        )


def is_below(cls: type, base: type) -> bool:
    """Return True where *cls* is *base* or derives from it; unlike `issubclass` also for a Protocol or TypedDict."""
    return base in cls.__mro__


def bases_of(cls: type) -> Iterator[type]:
    """Yield the classes above *cls* that may be documents, the nearest first."""
    for base in cls.__mro__[1:]:
        if base.__module__.partition(".")[0] not in _LIBRARIES:
            yield base


def alias_in_collection(
    cls: type, registry: AliasRegistry, collection: str, collection_of: Callable[[type], str | None], *, declared: bool
) -> str | None:
    """Return what the metadata calls documents of *cls*: None where its collection is that of no base.

    Args:
        cls: The class.
        registry: The classes that stored data may name.
        collection: Its collection.
        collection_of: Returns the collection of another class, None where it has none.
        declared: True where `@document` stands above it.

    Raises:
        InvalidArgumentException: It needs an alias, and has none, since two classes have its name.
    """
    base = next((base for base in bases_of(cls) if collection_of(base) == collection), None)
    if base is None:
        return None
    alias = registry.alias_of(cls)
    if alias is None and declared:
        raise InvalidArgumentException(
            f"{cls.__module__}.{cls.__qualname__} is stored in the collection of its base {base.__qualname__} and "
            "needs an alias of its own there, for another class is called like it: @document(alias=…)"
        )
    return alias


def first_metadata(alias: str | None, version: int) -> bytes:
    """Return the metadata column of a new document, as the server writes it too."""
    members = []
    if alias is not None:
        members.append(f'"{TYPE}": {_quoted(alias)}')
    if version > 1:
        members.append(f'"{SCHEMA_VERSION}": {version}')
    return JSONB_VERSION + f"{{{', '.join(members)}}}".encode() if members else NULL_JSONB


def _quoted(alias: str) -> str:
    return '"' + alias.replace("\\", "\\\\").replace('"', '\\"') + '"'


def is_special(stored: bytes) -> bool:
    """Return True where a metadata column may say something about the document's class or version."""
    return b'"@type"' in stored or b'"@schema-version"' in stored


def other_class(key: str, asked: type, alias: object, found: type) -> DocumentMismatchException:
    """Return the error for a document of another class than the one that was asked for."""
    return DocumentMismatchException(
        f"document {key!r} is a {found.__qualname__} (its @type is {alias!r}), which is no {asked.__qualname__}: "
        "load it as what it is, or as a base of both",
        id=key,
        expected=asked.__qualname__,
        found=found.__qualname__,
    )


def became_another(key: str, was: type, found: type) -> DocumentMismatchException:
    """Return the error for an entity whose document has become one of another class."""
    return DocumentMismatchException(
        f"document {key!r} has become a {found.__qualname__} meanwhile, and an instance of {was.__qualname__} cannot "
        "become one: evict it and load the document again",
        id=key,
        expected=was.__qualname__,
        found=found.__qualname__,
    )


def class_named(alias: Any, registry: AliasRegistry) -> type | None:
    """Return the registered class that an alias names."""
    return registry.class_of(alias) if isinstance(alias, str) else None
