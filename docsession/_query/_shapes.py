"""The shape of a query: which fields it asks for and sorts by, and how; none of its values.

A shape is kept as JSON, to find out later which index its queries lack. What is read back has been in a table, so
nothing of it is taken for code: `field_text` lets pass what names a field and nothing else.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cached_property
from typing import Literal, TypeAlias

import msgspec

from docsession._sql._values import Shape

Holds: TypeAlias = Literal["text", "number", "datetime", "list", "object", "any"]
"""What a field holds, as far as that decides what it is compared and sorted as."""

How: TypeAlias = Literal["equal", "in", "range", "prefix", "null", "part", "regex"]
"""What is asked of a value. "part" is a text inside another one."""


class FieldShape(msgspec.Struct, frozen=True, tag="field"):
    """A field of the document.

    Attributes:
        name: What a function of the query calls it, behind the document.
        path: The JSON keys and positions that lead to it.
        holds: What it holds.
    """

    name: str
    path: tuple[str | int, ...]
    holds: Holds


class LengthShape(msgspec.Struct, frozen=True, tag="len"):
    """The length of a list or a text."""

    of: FieldShape


class KeyShape(msgspec.Struct, frozen=True, tag="meta"):
    """The id, the last modification, or a key of the metadata."""

    key: str


OperandShape: TypeAlias = FieldShape | LengthShape | KeyShape


class ValueCondition(msgspec.Struct, frozen=True, tag="value"):
    """A value that is compared with one that the query brings.

    Attributes:
        of: What is compared.
        how: In which way.
        compared_as: What it is compared as.
    """

    of: OperandShape
    how: How
    compared_as: Shape


class ListCondition(msgspec.Struct, frozen=True, tag="list"):
    """A list that contains something.

    Attributes:
        of: The list.
        by_items: True where its items are looked at one by one; an equality is among what they have to fulfil.
    """

    of: FieldShape
    by_items: bool


class SearchCondition(msgspec.Struct, frozen=True, tag="search"):
    """Texts that hold what is searched for.

    Attributes:
        of: The texts.
        language: By which words are understood; None: that of the index.
    """

    of: tuple[FieldShape, ...]
    language: str | None


class Alternatives(msgspec.Struct, frozen=True, tag="any"):
    """Conditions of which one holds; each is a list of those that hold together, empty where no index serves it."""

    of: tuple[tuple[ConditionShape, ...], ...]


ConditionShape: TypeAlias = ValueCondition | ListCondition | SearchCondition | Alternatives


class OrderShape(msgspec.Struct, frozen=True):
    """What is sorted by.

    Attributes:
        of: What it is.
        down: True: from the greatest to the least.
        ignores_case: True: texts without regard to case.
    """

    of: OperandShape
    down: bool = False
    ignores_case: bool = False


class NearestShape(msgspec.Struct, frozen=True):
    """The documents whose vectors are nearest to a given one.

    Attributes:
        of: Where a document has its vector.
        size: How many numbers it has.
        metric: What tells how far vectors are from each other.
    """

    of: FieldShape
    size: int
    metric: str


class QueryShape(msgspec.Struct, frozen=True, dict=True):
    """The shape of the queries of a collection.

    Attributes:
        collection: The collection.
        where: Conditions that hold together, as far as an index can serve them.
        is_filtered: True where there are others, too.
        order: What is sorted by; None where no index has such an order.
        is_limited: True where some of the documents are asked for.
        nearest: What they are the nearest of, where an index may be asked for them.
    """

    collection: str
    where: tuple[ConditionShape, ...] = ()
    is_filtered: bool = False
    order: tuple[OrderShape, ...] | None = ()
    is_limited: bool = False
    nearest: NearestShape | None = None

    @cached_property
    def json(self) -> bytes:
        """It as JSON, always in the same words."""
        return msgspec.json.encode(self, order="deterministic")

    @cached_property
    def digest(self) -> str:
        """What tells it from others."""
        return hashlib.sha256(self.json).hexdigest()[:32]


def shape_from(json: bytes | str) -> QueryShape | None:
    """Return a shape that was kept; None for one that this version does not know."""
    try:
        return msgspec.json.decode(json, type=QueryShape)
    except msgspec.DecodeError:
        return None


def field_text(field: FieldShape, document: str = "o") -> str:
    """Return a field as a function of a query writes it: `o.address.city`, `o.attributes['colour']`.

    Where its name is none that Python could read so, the keys of the JSON are named instead.
    """
    text = f"{document}{'' if field.name.startswith('[') else '.'}{field.name}"
    if text.isprintable() and _names_a_field(text, document):
        return text
    return document + "".join(f"[{part!a}]" for part in field.path)


def _names_a_field(text: str, document: str) -> bool:
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    while True:
        match node:
            case ast.Attribute(value=inner):
                node = inner
            case ast.Subscript(value=inner, slice=ast.Constant(value=str() | int())):
                node = inner
            case ast.Subscript(value=inner, slice=ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int()))):
                node = inner
            case ast.Name(id=name):
                return name == document
            case _:
                return False
