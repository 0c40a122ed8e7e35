"""Forms of what holds other values: lists, sets, tuples, dicts, NamedTuples, Optional."""

from __future__ import annotations

import base64
import datetime as dt
import enum
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
from typing_extensions import override

from docsession._documents._form import ARRAY, NULL, OBJECT, Form, decode_items, decode_members
from docsession._documents._places import Hints, MisfitError, Records, RefusedError, Trail, describe
from docsession._documents._untyped import LOOSE, sort_set
from docsession._documents._values import CHECKS, check_str, convert


class Maybe(Form):
    """`X | None`."""

    __slots__ = ("inner",)

    def __init__(self, inner: Form) -> None:
        super().__init__(f"{inner.label} | None", inner.kinds | NULL)
        self.inner = inner

    @override
    def accepts(self, value: object) -> bool:
        return value is None or self.inner.accepts(value)

    @override
    def encode(self, value: Any, trail: Trail, records: Records) -> Any:
        return None if value is None else self.inner.encode(value, trail, records)

    @override
    def decode(self, json: Any, hints: Hints | None) -> Any:
        if json is None:
            return None
        try:
            return self.inner.decode(json, hints)
        except MisfitError as error:
            if error.expected == self.inner.label:
                error.expected = self.label
            raise

    @override
    def children(self) -> Iterator[Form]:
        yield self.inner


class Items(Form):
    """A list, a set, or a tuple of any length.

    Args:
        kind: What the items come back in.
        declared: The class that a value has to be an instance of.
        item: The form of each item.
    """

    __slots__ = ("_declared", "_is_set", "item", "kind")

    def __init__(self, kind: type, declared: type, item: Form, name: str) -> None:
        is_set = kind in {set, frozenset}
        super().__init__(f"{name}[{item.label}]", ARRAY, encodes=not is_set or item.sortable)
        self.kind = kind
        self.item = item
        self._declared = declared
        self._is_set = is_set

    @override
    def accepts(self, value: object) -> bool:
        kind = type(value)
        fits = kind is self.kind if self._declared is self.kind else isinstance(value, self._declared)
        return fits and not isinstance(value, (str, bytes, dict)) and all(map(self.item.accepts, value))  # type: ignore[call-overload]  # the class says that it is iterable

    @override
    def encode(self, value: Any, trail: Trail, records: Records) -> Any:
        if not isinstance(value, (list, tuple, set, frozenset)):
            return LOOSE.encode(value, trail, None)
        item = self.item
        items = value
        if isinstance(value, (set, frozenset)):
            items = _sorted(value) if item.sortable else sort_set(value, item)
        return [item.encode(each, (trail, place), records) for place, each in enumerate(items)]

    @override
    def decode(self, json: Any, hints: Hints | None) -> Any:
        if type(json) is not list:
            raise MisfitError(self.label, describe(json))
        items = decode_items(self.item, json, hints)
        return items if self.kind is list else self.kind(items)

    @override
    def children(self) -> Iterator[Form]:
        yield self.item


class Tuple(Form):
    """`tuple[A, B]`, and NamedTuples: an array of fixed places.

    Args:
        cls: The NamedTuple; None for a tuple.
        items: The form of each place.
        required: How many places a document has to fill.
    """

    __slots__ = ("_required", "cls", "items")

    def __init__(self, cls: Any, items: tuple[Form, ...], required: int) -> None:
        super().__init__(
            cls.__name__ if cls is not None else f"tuple[{', '.join(item.label for item in items) or '()'}]", ARRAY
        )
        self.cls = cls
        self.items = items
        self._required = required

    def fill(self, items: tuple[Form, ...], required: int) -> None:
        """Say what the places of a NamedTuple are, which may refer to itself."""
        self.items = items
        self._required = required

    @override
    def accepts(self, value: object) -> bool:
        if type(value) is not (self.cls or tuple) or not isinstance(value, tuple) or len(value) != len(self.items):
            return False
        return all(item.accepts(each) for item, each in zip(self.items, value, strict=True))

    @override
    def encode(self, value: Any, trail: Trail, records: Records) -> Any:
        if not isinstance(value, (tuple, list)) or len(value) != len(self.items):
            return LOOSE.encode(value, trail, None)
        return [
            item.encode(each, (trail, place), records)
            for place, (item, each) in enumerate(zip(self.items, value, strict=True))
        ]

    @override
    def decode(self, json: Any, hints: Hints | None) -> Any:
        if type(json) is not list:
            raise MisfitError(self.label, describe(json))
        if not self._required <= len(json) <= len(self.items):
            raise MisfitError(self.label, f"array of {len(json)}")
        values: list[Any] = []
        try:
            for item, each in zip(self.items, json, strict=False):
                below = None if hints is None else hints.below(len(values))
                values.append(item.decode(each, below))
        except MisfitError as error:
            raise error.below(len(values)) from error.__cause__
        return tuple(values) if self.cls is None else self.cls(*values)

    @override
    def children(self) -> Iterator[Form]:
        yield from self.items


class Dict(Form):
    """A dict with declared keys: `dict[K, V]`."""

    __slots__ = ("key", "value")

    def __init__(self, key: Key, value: Form) -> None:
        super().__init__(
            f"dict[{key.label}, {value.label}]",
            OBJECT,
            encodes=key.is_str,
            decodes=key.decodes,
            pydantic=key.pydantic,
        )
        self.key = key
        self.value = value

    @override
    def accepts(self, value: object) -> bool:
        return (
            type(value) is dict and all(map(self.key.accepts, value)) and all(map(self.value.accepts, value.values()))
        )

    @override
    def encode(self, value: Any, trail: Trail, records: Records) -> Any:
        if not isinstance(value, dict):
            return LOOSE.encode(value, trail, None)
        wire: dict[str, Any] = {}
        write, inner = self.key.write, self.value.encode
        for key, each in value.items():
            name = write(key, trail)
            if name in wire:
                raise RefusedError(trail, f"two keys are both written as {name!r}; one of them is {key!r}")
            wire[name] = inner(each, (trail, name), records)
        return wire

    @override
    def decode(self, json: Any, hints: Hints | None) -> Any:
        if type(json) is not dict:
            raise MisfitError(self.label, describe(json))
        members = decode_members(self.value, json, hints)
        if self.key.is_free:
            return members
        read = self.key.read
        return {read(name): each for name, each in members.items()}

    @override
    def children(self) -> Iterator[Form]:
        yield self.value


class Key:
    """How the keys of a dict become text and come back.

    Args:
        kind: The class of the keys.
        annotation: The annotation, if it says more (`Literal`, constraints).
    """

    __slots__ = ("_type", "_write", "annotation", "decodes", "is_free", "is_str", "kind", "label", "pydantic")

    def __init__(self, kind: type, annotation: Any = None) -> None:
        self.kind = kind
        self.label = kind.__name__
        self.is_str = issubclass(kind, str)
        is_enum = issubclass(kind, enum.Enum)
        self.is_free = kind is str and annotation is None
        self.decodes = kind is not bool and (not is_enum or _is_common(kind))
        self.pydantic = kind in {str, int, UUID, dt.date} and annotation is None
        self.annotation: Any = kind if annotation is None else annotation
        self._type: Any = dict.__class_getitem__((self.annotation, None))
        self._write = _KEY_TEXTS.get(kind)

    def accepts(self, value: object) -> bool:
        """Return True where *value* is a key of the declared class."""
        return type(value) is self.kind

    def write(self, key: Any, trail: Trail) -> str:
        """Return the text of a key.

        Raises:
            RefusedError: It is of another class, or has no text.
        """
        if type(key) is str and self.is_str:
            return check_str(key, (trail, key))
        if isinstance(key, enum.Enum) and isinstance(key, self.kind):
            key = key.value
            if type(key) is str:
                return check_str(key, (trail, key))
            if type(key) is not int:
                raise RefusedError(trail, f"the value {key!r} of an enum cannot be a key: only a str or an int can")
            return str(key)
        if type(key) is not self.kind:
            raise RefusedError(trail, f"the key {key!r} is no {self.label}")
        if self._write is None:
            raise RefusedError(trail, f"a {self.label} cannot be a key")
        check = CHECKS.get(self.kind)
        return self._write(key if check is None else check(key, trail))

    def read(self, name: str) -> Any:
        """Return the key that a text stands for.

        Raises:
            MisfitError: It stands for none.
        """
        if self.kind is bool:
            if name in {"true", "false"}:
                return name == "true"
            raise MisfitError("key true or false", describe(name), (name,))
        try:
            return next(iter(msgspec.convert({name: None}, self._type, str_keys=True)))
        except msgspec.ValidationError:
            pass
        if issubclass(self.kind, enum.Enum):
            for member in self.kind:
                if type(member.value) in {str, int} and str(member.value) == name:
                    return member
        raise MisfitError(f"key of type {self.label}", describe(name), (name,))


def _text(key: object) -> str:
    return convert(msgspec.to_builtins(key), str, "str")  # type: ignore[no-any-return]  # its type is given


_KEY_TEXTS: Final[dict[type, Callable[[Any], str]]] = {
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


def is_key(kind: object) -> bool:
    """Return True where dicts may have keys of this class."""
    return isinstance(kind, type) and (kind in _KEY_TEXTS or issubclass(kind, enum.Enum))


def _is_common(kind: type[enum.Enum]) -> bool:
    return {type(member.value) for member in kind} in ({str}, {int})


def _sorted(value: Any) -> list[Any]:
    try:
        return sorted(value)
    except TypeError:
        return sort_set(value, LOOSE)
