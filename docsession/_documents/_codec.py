"""Python object <-> document: one codec per entity class."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeAlias, TypeVar, cast

import msgspec

from docsession._documents._aliases import AliasRegistry
from docsession._errors import DocumentMismatchException, UnsupportedValueException

T = TypeVar("T")
Path: TypeAlias = tuple[str | int, ...]
Anchors: TypeAlias = tuple[tuple[Path, object], ...]

_to_json = msgspec.json.Encoder(order="deterministic", decimal_format="number").encode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _public(obj: object) -> dict[str, Any]:
    if hasattr(type(obj), "__pydantic_fields__") or hasattr(obj, "__dict__"):
        return {name: value for name, value in vars(obj).items() if not name.startswith("_")}
    raise NotImplementedError


class DocumentCodec(Generic[T]):
    """Turns entities of one class into documents and back."""

    has_anchors: bool = False

    def __init__(self, cls: type[T], id_attribute: str | None, registry: AliasRegistry) -> None:
        self.entity_class = cls
        self.id_attribute = id_attribute
        self._registry = registry
        self.snapshot: Callable[[T], bytes] = msgspec.json.Encoder(
            order="deterministic", decimal_format="number", enc_hook=_public
        ).encode
        self._pydantic = hasattr(cls, "__pydantic_validator__")
        self._plain = not (
            self._pydantic
            or dataclasses.is_dataclass(cls)
            or hasattr(cls, "__attrs_attrs__")
            or issubclass(cls, (msgspec.Struct, dict))
        )
        self._load: Callable[[bytes], T] = (
            msgspec.json.Decoder(dict).decode if self._plain else msgspec.json.Decoder(cls).decode  # type: ignore[assignment]  # the first quick version
        )
        if self._pydantic:
            self._load = cast("Any", cls).__pydantic_validator__.validate_json

    def explain(self, entity: T, key: str, error: Exception) -> UnsupportedValueException:  # noqa: ARG002  # the interface
        """Return the error that says where *entity* holds what cannot be stored."""
        return UnsupportedValueException(f"Document {key!r} cannot be stored: {error}", id=key)

    def body(self, snapshot: bytes, key: str) -> bytes:  # noqa: ARG002  # the interface
        """Return the canonical JSON object without the id."""
        members = _members(snapshot)
        if self.id_attribute is not None:
            members.pop(self.id_attribute, None)
        elif issubclass(self.entity_class, dict):
            members.pop("Id", None)
            members.pop("@metadata", None)
        return _to_json(members)

    def types(self, snapshot: bytes) -> bytes | None:  # noqa: ARG002  # the interface
        """Return JSON {path: type name} of the special values in untyped places, None where there are none."""
        return None

    def check(self, entity: T, snapshot: bytes, key: str) -> None:
        """Refuse what cannot be stored without loss."""

    def verify(self, key: str, body: bytes, types: Mapping[str, str] | None) -> None:
        """Refuse a document that could not be loaded again."""
        try:
            self.decode(key, b"\x01" + body, types)
        except DocumentMismatchException as error:
            raise UnsupportedValueException(str(error), id=key, path=error.path) from error

    def decode(self, key: str, data: bytes, types: Mapping[str, str] | None = None) -> T:  # noqa: ARG002  # the interface
        """Return the entity of a document as the server sends it."""
        text = data[1:]
        name = self.id_attribute
        if name is not None and not self._plain:
            text = b'{"%b":%b%b' % (name.encode(), _to_json(key), b"," + text[1:] if len(text) > 2 else b"}")
        try:
            found = self._load(text)
        except Exception as error:
            raise DocumentMismatchException(
                f"Document {key!r} does not fit {self.entity_class.__qualname__}: {error}", id=key
            ) from error
        if self._plain:
            entity = object.__new__(self.entity_class)
            for attribute, value in cast("dict[str, Any]", found).items():
                setattr(entity, attribute, value)
            found = entity
        if name is not None:
            self.set_id(found, key)
        return found

    def update(self, entity: T, fresh: T) -> None:
        """Let *entity* take the state of *fresh*."""
        if isinstance(entity, dict):
            entity.clear()
            entity.update(cast("dict[str, Any]", fresh))
        elif hasattr(entity, "__dict__"):
            vars(entity).update(vars(fresh))
        else:
            for name in _to_names(entity):
                object.__setattr__(entity, name, getattr(fresh, name))

    def get_id(self, entity: T) -> object:
        """Return what the entity holds as its id."""
        return None if self.id_attribute is None else getattr(entity, self.id_attribute, None)

    def set_id(self, entity: T, key: str) -> None:
        """Set the entity's id, on a frozen one too."""
        if self.id_attribute is None:
            return
        if isinstance(entity, msgspec.Struct):
            msgspec.structs.force_setattr(entity, self.id_attribute, key)
        elif self._pydantic:
            vars(entity)[self.id_attribute] = key
        else:
            object.__setattr__(entity, self.id_attribute, key)

    def anchors(self, entity: T) -> Anchors:  # noqa: ARG002  # the interface
        """Return the lists of objects and the union-typed objects of *entity*."""
        return ()


def _to_names(entity: object) -> list[str]:
    return [name for kind in type(entity).__mro__ for name in getattr(kind, "__slots__", ())]


def codec_for(cls: type[T], id_attribute: str | None, registry: AliasRegistry) -> DocumentCodec[T]:
    """Return the codec for entities of *cls* whose id is the attribute *id_attribute*."""
    return DocumentCodec(cls, id_attribute, registry)
