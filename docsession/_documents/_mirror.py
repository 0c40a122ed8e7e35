"""Mirrors: types that msgspec checks like a dataclass, and makes in a third of the time.

A document that is about to be written is decoded once, only to see that it can be. What that makes is
thrown away, so it need not be the class itself.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Final, Union

import msgspec

_CONTAINERS: Final = (list, dict, tuple, set, frozenset)


class _NoMirrorError(Exception):
    """A class does more than hold its fields, or contains itself."""


def mirror_decoder(cls: type, id_field: str | None) -> Callable[[bytes], object] | None:
    """Return what reads a document like *cls*, without its id, and refuses at least what *cls* would.

    None where *cls* is no dataclass, or its instances are more than their fields.
    """
    if not dataclasses.is_dataclass(cls):
        return None
    try:
        return msgspec.json.Decoder(_mirror_class(cls, id_field, {})).decode
    except Exception:
        return None


def _mirror_class(cls: Any, id_field: str | None, made: dict[type, type | None]) -> type:
    if cls in made:
        found = made[cls]
        if found is None:
            raise _NoMirrorError
        return found
    made[cls] = None
    fields = dataclasses.fields(cls)
    if hasattr(cls, "__post_init__") or hasattr(cls, "__parameters__") or not all(field.init for field in fields):
        raise _NoMirrorError
    hints = typing.get_type_hints(cls, include_extras=True)
    if len(hints) != len(fields):
        raise _NoMirrorError  # InitVar, ClassVar
    parts: list[Any] = []
    for field in fields:
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        kind = _mirror(hints[field.name], made)
        parts.append((field.name, kind) if required and field.name != id_field else (field.name, kind, None))
    mirror = made[cls] = msgspec.defstruct(cls.__name__, parts, kw_only=True, gc=False)
    return mirror


def _mirror(hint: Any, made: dict[type, type | None]) -> Any:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _mirror_class(hint, None, made)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return Annotated[(_mirror(arguments[0], made), *hint.__metadata__)]
    if origin in {Union, types.UnionType}:
        return Union[tuple(_mirror(each, made) for each in arguments)]  # noqa: UP007  # made at run time
    if origin in _CONTAINERS:
        return origin[tuple(each if each is Ellipsis else _mirror(each, made) for each in arguments)]
    if origin is not None and any(map(dataclasses.is_dataclass, arguments)):
        raise _NoMirrorError
    return hint
