"""Forms of what holds other values: lists, sets, tuples, dicts, NamedTuples, Optional."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typing_extensions import override

from docsession._documents._form import ARRAY, NULL, OBJECT, Form, decode_items, decode_members
from docsession._documents._keys import Key
from docsession._documents._places import Hints, MisfitError, Records, Trail, describe
from docsession._documents._untyped import LOOSE, sort_set


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


def _sorted(value: Any) -> list[Any]:
    try:
        return sorted(value)
    except TypeError:
        return sort_set(value, LOOSE)
