"""A form: how the values of one place become JSON and come back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from docsession._documents._places import Hints, MisfitError, Records, Trail

STRING: Final = frozenset({"string"})
NUMBER: Final = frozenset({"number"})
BOOL: Final = frozenset({"bool"})
NULL: Final = frozenset({"null"})
ARRAY: Final = frozenset({"array"})
OBJECT: Final = frozenset({"object"})
ANYTHING: Final = STRING | NUMBER | BOOL | NULL | ARRAY | OBJECT


class Form(ABC):
    """How the values of one place become JSON and come back, with every check.

    The forms of a class are its codec where msgspec alone is not faithful; where it is, they find
    out what exactly is wrong with a value or a document that msgspec refuses.

    Attributes:
        label: What an error says was expected here.
        kinds: The kinds of JSON that values of this place are written as.
        encodes: True where msgspec's encoder writes the same, this level alone considered.
        decodes: True where msgspec's decoder reads the same, this level alone considered.
        pydantic: True where pydantic's JSON parser reads the same, this level alone considered.
        sortable: True where msgspec puts a set of such values in order.
        untyped: True where special values are recorded.
    """

    __slots__ = ("decodes", "encodes", "kinds", "label", "pydantic", "sortable")

    untyped: ClassVar[bool] = False

    def __init__(
        self,
        label: str,
        kinds: frozenset[str],
        *,
        encodes: bool = True,
        decodes: bool = True,
        pydantic: bool = True,
        sortable: bool = False,
    ) -> None:
        self.label = label
        self.kinds = kinds
        self.encodes = encodes
        self.decodes = decodes
        self.pydantic = pydantic
        self.sortable = sortable

    @abstractmethod
    def accepts(self, value: object) -> bool:
        """Return True where *value* is what the place declares."""

    @abstractmethod
    def encode(self, value: Any, trail: Trail, records: Records) -> Any:
        """Return what msgspec's encoder then writes: JSON's types and scalars of Python.

        Raises:
            RefusedError: The value cannot be stored without loss.
        """

    @abstractmethod
    def decode(self, json: Any, hints: Hints | None) -> Any:
        """Return the value that *json* stands for.

        Raises:
            MisfitError: It stands for no value of this place.
        """

    def children(self) -> Iterator[Form]:
        """Yield the forms of the places right below."""
        yield from ()


def reachable(form: Form) -> list[Form]:
    """Return *form* and every form below it, each once."""
    found: dict[int, Form] = {id(form): form}
    waiting = [form]
    for each in waiting:
        for child in each.children():
            if id(child) not in found:
                found[id(child)] = child
                waiting.append(child)
    return waiting


def decode_items(form: Form, json: list[Any], hints: Hints | None) -> list[Any]:
    """Return what *form* makes of each item of an array."""
    decode = form.decode
    items: list[Any] = []
    try:
        if hints is None:
            for each in json:
                items.append(decode(each, None))  # noqa: PERF401  # an error tells its place by the length
        else:
            for each in json:
                items.append(decode(each, hints.below(len(items))))  # as above
    except MisfitError as error:
        raise error.below(len(items)) from error.__cause__
    return items


def decode_members(form: Form, json: dict[str, Any], hints: Hints | None) -> dict[str, Any]:
    """Return what *form* makes of each member of an object."""
    decode = form.decode
    members: dict[str, Any] = {}
    key = ""
    try:
        for key, each in json.items():
            members[key] = decode(each, None if hints is None else hints.below(key))
    except MisfitError as error:
        raise error.below(key) from error.__cause__
    return members
