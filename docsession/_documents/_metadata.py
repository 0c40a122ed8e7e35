"""The metadata of a document: what the session knows about it, and the keys that a user adds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn, Self

import msgspec
from typing_extensions import override

from docsession._errors import InvalidArgumentException, UnsupportedValueException
from docsession._port import JSONB_VERSION, NULL_JSONB

ID: Final = "@id"
COLLECTION: Final = "@collection"
CHANGE_VECTOR: Final = "@change-vector"
LAST_MODIFIED: Final = "@last-modified"
METADATA: Final = "@metadata"
"""The key under which a dict entity carries its metadata."""

TYPES: Final = "@types"
"""Key of the stored metadata that records the types of values in untyped places; never shown."""
TYPE: Final = "@type"
"""Key of the stored metadata that names the class of a document which is not of its collection's own class."""
SCHEMA_VERSION: Final = "@schema-version"
"""Key of the stored metadata that holds which version of its class a document is of; without it that is 1."""

RESERVED: Final = frozenset({ID, COLLECTION, CHANGE_VECTOR, LAST_MODIFIED, TYPE, SCHEMA_VERSION})
"""What users see and cannot change."""
INTERNAL: Final = frozenset({TYPES})
"""What users do not see."""
STORED: Final = frozenset({TYPES, TYPE, SCHEMA_VERSION})
"""What the metadata column holds beside the user's keys."""

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


def stored_metadata(column: bytes | None) -> dict[str, Any]:
    """Return a metadata column, a jsonb value, as a dict."""
    return _decode.decode(column[1:]) if column else {}


def metadata_column(members: Mapping[str, Any]) -> bytes:
    """Return the metadata column that holds *members*."""
    return JSONB_VERSION + _encode(members) if members else NULL_JSONB


def kind_given(metadata: Mapping[str, Any]) -> bytes:
    """Return the metadata column of a new dict, which may say which class it is of, and which version of it.

    Raises:
        InvalidArgumentException: What it says cannot be that.
    """
    kind = {key: metadata[key] for key in (TYPE, SCHEMA_VERSION) if key in metadata}
    alias, version = kind.get(TYPE, ""), kind.get(SCHEMA_VERSION, 1)
    if not isinstance(alias, str):
        raise InvalidArgumentException(f"{TYPE!r} in '@metadata' of a dict is the alias of a class, not {alias!r:.80}")
    if type(version) is not int or version < 1:
        raise InvalidArgumentException(
            f"{SCHEMA_VERSION!r} in '@metadata' of a dict is a number of 1 or more, not {version!r:.80}"
        )
    return metadata_column(kind)


class MetadataAsDictionary(dict[str, Any]):
    """The metadata of one document as a dict (RavenDB: MetadataAsDictionary).

    `@id`, `@collection`, `@change-vector` and `@last-modified` are kept by the session and can only
    be read; so are `@type`, the alias of a subclass that is stored in its base's collection, and
    `@schema-version`, the version of a class that has any. Every other key is the user's: it is stored
    with the document, holds any JSON value, and a change of it is saved like a change of the document.
    """

    __slots__ = ("_clean",)

    def __init__(
        self, free: Mapping[str, Any] | None = None, reserved: Mapping[str, str | int | None] | None = None
    ) -> None:
        """Make it from the stored *free* keys, of which internal ones are left out, and the *reserved* ones."""
        super().__init__()
        self.agree(reserved or {})
        for key, value in (free or {}).items():
            if key not in RESERVED and key not in INTERNAL:
                super().__setitem__(key, value)
        self.mark_clean()

    def agree(self, reserved: Mapping[str, str | int | None]) -> None:
        """Take over what the server says: the *reserved* keys; one whose value is None goes."""
        for key, value in reserved.items():
            if value is None:
                super().pop(key, None)
            else:
                super().__setitem__(key, value)

    def mark_clean(self, stored: bytes | None = None) -> None:
        """Take the free keys for those that are stored: as they are now, or as they were when *stored* was made."""
        self._clean = free_keys_json(self) if stored is None else stored

    def refill(self, free: Mapping[str, Any], reserved: Mapping[str, str | int | None]) -> None:
        """Take over everything that is stored, dropping the user's changes."""
        super().clear()
        self.__init__(free, reserved)  # type: ignore[misc]  # the same object, made anew

    @property
    def is_dirty(self) -> bool:
        """True where a free key differs from what is stored, at any depth."""
        return self._clean != free_keys_json(self)

    @override
    def __setitem__(self, key: str, value: Any) -> None:
        _check_key(key)
        super().__setitem__(key, value)

    @override
    def __delitem__(self, key: str) -> None:
        _check_key(key)
        super().__delitem__(key)

    @override
    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    @override
    def update(self, *others: Any, **named: Any) -> None:
        added = dict(*others, **named)
        for key in added:
            _check_key(key)
        super().update(added)

    @override
    def __ior__(self, other: Any) -> Self:  # type: ignore[override]  # dict's overloads differ in the key's type only
        self.update(other)
        return self

    @override
    def pop(self, key: str, *default: Any) -> Any:
        _check_key(key)
        return super().pop(key, *default)

    @override
    def popitem(self) -> tuple[str, Any]:
        for key in reversed(self):
            if key not in RESERVED:
                return key, super().pop(key)
        raise KeyError("the metadata holds no key of the user's")

    @override
    def clear(self) -> None:
        """Remove every key but the reserved ones."""
        for key in [key for key in self if key not in RESERVED]:
            super().__delitem__(key)

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        # A copy belongs to no document, so it is a plain dict.
        return dict, (dict(self),)


def _check_key(key: object) -> None:
    if key in RESERVED:
        raise InvalidArgumentException(f"the metadata key {key!r} is kept by the session and can only be read")
    if key in INTERNAL:
        raise InvalidArgumentException(f"the metadata key {key!r} is used by docsession itself; choose another name")


def free_keys_json(metadata: Mapping[str, Any]) -> bytes:
    """Return the user's keys of *metadata* as canonical JSON: equal bytes mean equal keys and values.

    Raises:
        UnsupportedValueException: A value is not plain JSON.
    """
    free = {key: value for key, value in metadata.items() if key not in RESERVED and key not in INTERNAL}
    if not free:
        return b"{}"
    try:
        _check_value(free, (), ())
    except UnsupportedValueException as error:
        key = metadata.get(ID)
        raise UnsupportedValueException(f"document {key!r}: {error}", id=key, path=error.path) from None
    return _encode(free)


def _check_value(value: object, path: tuple[object, ...], inside: tuple[int, ...]) -> None:
    # Exact types: a subclass, such as an Enum that is a str, would come back as another type.
    kind = type(value)
    if value is None or kind is bool or kind is int:
        return
    if kind is str:
        _check_text(str(value), path)
    elif kind is float:
        if not math.isfinite(value):  # type: ignore[arg-type]  # it is a float, by its exact type
            _refuse(path, f"{value!r} is no JSON number")
    elif kind is dict or kind is list:
        if id(value) in inside:
            _refuse(path, "it contains itself")
        if len(inside) > 200:
            _refuse(path, "it is nested too deeply")
        _check_members(value, path, (*inside, id(value)))
    else:
        _refuse(path, f"{kind.__qualname__} is no JSON value; use str, int, float, bool, None, list or dict")


def _check_members(value: object, path: tuple[object, ...], inside: tuple[int, ...]) -> None:
    members: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]  # else a list
    for key, member in members:
        if isinstance(value, dict):
            if type(key) is not str:
                _refuse((*path, key), f"the key {key!r} is no str")
            _check_text(key, (*path, key))
        _check_value(member, (*path, key), inside)


def _check_text(text: str, path: tuple[object, ...]) -> None:
    if text.isascii():
        if "\0" in text:
            _refuse(path, "PostgreSQL's JSON holds no NUL character")
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        _refuse(path, "it holds a lone surrogate, which is no character")
    if "\0" in text:
        _refuse(path, "PostgreSQL's JSON holds no NUL character")


def _refuse(path: tuple[object, ...], reason: str) -> NoReturn:
    where = "".join(f"[{part!r}]" for part in path)
    raise UnsupportedValueException(f"the metadata{where} cannot be stored: {reason}", path=f"{METADATA}{where}")
