"""Keys of dicts: JSON knows only text, so that every other key has one text and comes back from it."""

from __future__ import annotations

import base64
import datetime as dt
import enum
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
from typing_extensions import override

from docsession._documents._places import MisfitError, RefusedError, Trail, describe
from docsession._documents._values import CHECKS, check_str


class Key:
    """The keys of a dict, of one class.

    Args:
        kind: The class.
        annotation: The annotation, if it says more (`Literal`).

    Attributes:
        is_str: True where msgspec's encoder takes such keys.
        is_free: True where any text is a key.
        decodes: True where msgspec's decoder reads such keys.
        pydantic: True where pydantic's JSON parser does.
    """

    def __init__(self, kind: type, annotation: Any = None) -> None:
        self.kind = kind
        self.label = kind.__name__
        self.annotation: Any = kind if annotation is None else annotation
        self.is_str = issubclass(kind, str)
        self.is_free = kind is str and annotation is None
        self.decodes = kind is not bool
        self.pydantic = kind in {str, int, UUID, dt.date} and annotation is None
        self._dict: Any = dict.__class_getitem__((self.annotation, None))

    def accepts(self, value: object) -> bool:
        """Return True where *value* is a key of the declared class."""
        return type(value) is self.kind

    def write(self, key: Any, trail: Trail) -> str:
        """Return the text of a key.

        Raises:
            RefusedError: It is of another class, or would be lost.
        """
        if type(key) is not self.kind:
            raise RefusedError(trail, f"the key {key!r} is no {self.label}")
        if type(key) is str:
            return check_str(key, (trail, key))
        return _TEXTS[self.kind](CHECKS[self.kind](key, trail))

    def read(self, name: str) -> Any:
        """Return the key that a text stands for.

        Raises:
            MisfitError: It stands for none.
        """
        if self.kind is bool and name in {"true", "false"}:
            return name == "true"
        try:
            return next(iter(msgspec.convert({name: None}, self._dict, str_keys=True)))
        except msgspec.ValidationError:
            raise MisfitError(f"key of type {self.label}", describe(name), (name,)) from None


class EnumKey(Key):
    """Members of an enum, by the text of their values: a str or an int."""

    def __init__(self, kind: type[enum.Enum]) -> None:
        super().__init__(kind)
        self._members: dict[str, enum.Enum] = {}
        for member in kind:
            if type(member.value) in {str, int}:
                self._members.setdefault(str(member.value), member)
        self.decodes = {type(member.value) for member in kind} in ({str}, {int})

    @override
    def write(self, key: Any, trail: Trail) -> str:
        if self.is_str and type(key) is str:
            return check_str(key, (trail, key))
        if not isinstance(key, self.kind) or not isinstance(key, enum.Enum):
            raise RefusedError(trail, f"the key {key!r} is no {self.label}")
        name = str(key.value)
        if self._members.get(name) is not key and not isinstance(key, enum.Flag):
            raise RefusedError(trail, f"the value of {key} is no text or int, or another member has the same as text")
        return check_str(name, (trail, name))

    @override
    def read(self, name: str) -> Any:
        found = self._members.get(name)
        if found is None and issubclass(self.kind, enum.Flag):
            try:
                return self.kind(int(name))
            except ValueError:
                pass
        if found is None:
            raise MisfitError(f"key of type {self.label}", describe(name), (name,))
        return found


def _text(key: object) -> str:
    text: str = msgspec.to_builtins(key)
    return text


_TEXTS: Final[dict[type, Callable[[Any], str]]] = {
    str: str,
    int: str,
    float: repr,
    bool: lambda key: "true" if key else "false",
    Decimal: str,
    dt.datetime: _text,
    dt.date: _text,
    dt.time: _text,
    dt.timedelta: _text,
    UUID: str,
    bytes: lambda key: base64.b64encode(key).decode(),
}


def key_of(kind: Any) -> Key | None:
    """Return the keys of a class, None where dicts cannot have such keys in a document."""
    if not isinstance(kind, type):
        return None
    if issubclass(kind, enum.Enum):
        return EnumKey(kind)
    return Key(kind) if kind in _TEXTS else None
