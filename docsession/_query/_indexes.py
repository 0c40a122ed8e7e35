"""Indexes that comparisons, orders and lists are declared with, and the statistics of their fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

from typing_extensions import override

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._access import NOTHING_DECLARED
from docsession._query._index_ddl import TYPES, IndexTarget
from docsession._query._index_kinds import (
    IndexKind,
    Keys,
    check_declaration,
    check_type,
    index_body,
    words_of,
    words_of_condition,
)
from docsession._query._kinds import bare
from docsession._query._operands import Place
from docsession._sql._definitions import Definition, Kind, escaped, object_name
from docsession._sql._quoting import quote_identifier
from docsession._sql._values import Shape


@dataclass(frozen=True, slots=True)
class Index(IndexKind):
    """A b-tree index on fields: for comparisons, ranges, prefixes, null, and for sorting, in both directions.

    The document's id follows as the last key, as it does in the order of every query, unless it is *unique*.

    Args:
        keys: `lambda o: o.company`, or several fields in a tuple; `desc(o.ordered_at)` where a query that
            sorts by several fields sorts by this one from the greatest.
        ignore_case: True compares texts without regard to case: for `name__iexact` and its like.
        where: The condition of the documents that it holds: `lambda o: o.status != "done"`. Queries use it
            whose conditions say so, too.
        unique: True refuses a second document with the same values; null and missing are no values.
        name: Its name in the database; None makes one of the table and the fields.
        type: What fields hold whose class says nothing of their type: "text", "numeric", "timestamptz" or
            "jsonb". None makes keys for numbers and texts, as they are sorted.

    Raises:
        InvalidArgumentException: A value cannot be used.
    """

    keys: Keys
    _: KW_ONLY
    ignore_case: bool = False
    where: Callable[[Any], object] | None = None
    unique: bool = False
    name: str | None = None
    type: str | None = None

    def __post_init__(self) -> None:
        check_declaration(self, "Index")
        check_type("Index", self.type, TYPES)

    @override
    def define(self, target: IndexTarget) -> Sequence[Definition]:
        keys = target.keys(self.keys, "Index", self.type, folded=self.ignore_case)
        if self.unique:
            # Sorted by text too, one moment with two offsets would be two values.
            keys = [replace(key, shapes=key.shapes[:1]) for key in keys]
        expressions = []
        down = ""
        for key in keys:
            down = " DESC" if key.is_descending else ""
            expressions += [(target.expression(key.operand, shape), down) for shape in key.shapes]
        condition = target.condition(self.where, "Index")
        columns = [f"({expression}){down}" for expression, down in expressions]
        if not self.unique and "id" not in (expression for expression, _ in expressions):
            columns.append(f"id{down}")
        words = [word for key in keys for word in words_of(key, self.type)]
        if self.ignore_case:
            words.append("ci")
        words += words_of_condition(condition)
        first = keys[0]
        plain = target.promoting(NOTHING_DECLARED)
        return [
            Definition(
                kind=Kind.INDEX,
                name=self.name or object_name(target.table, words, "key" if self.unique else "idx"),
                table=target.table,
                body=index_body(target.table, "btree", columns, condition),
                fields=tuple(key.label for key in keys),
                is_unique=self.unique,
                keys=tuple(plain.expression(key.operand, shape) for key in keys for shape in key.shapes),
                condition=plain.condition(self.where, "Index"),
                tree=None if first.path is None else (first.path, first.shapes[0]),
            )
        ]


@dataclass(frozen=True, slots=True)
class GinIndex(IndexKind):
    """A GIN index for what lists hold: `contains`, `contains_any`, `contains_all`, and the equalities in `any_`.

    Args:
        keys: The list, `lambda o: o.tags`, or several in a tuple; None: the whole document, for all of its
            lists, at the price of a larger index.
        where: The condition of the documents that it holds.
        name: Its name in the database; None makes one of the table and the fields.

    Raises:
        InvalidArgumentException: A value cannot be used.
    """

    keys: Keys | None = None
    _: KW_ONLY
    where: Callable[[Any], object] | None = None
    name: str | None = None

    comes_first = True

    def __post_init__(self) -> None:
        check_declaration(self, "GinIndex")

    @override
    def define(self, target: IndexTarget) -> Sequence[Definition]:
        keys = [] if self.keys is None else target.keys(self.keys, "GinIndex")
        places: list[Place] = []
        for key in keys:
            if not isinstance(key.operand, Place) or key.is_descending:
                raise InvalidArgumentTypeException(f"GinIndex() takes lists of the documents, not {key.label}")
            form = bare(key.operand.form)
            if not form.untyped and form.kinds.isdisjoint({"array", "object"}):
                raise InvalidArgumentTypeException(f"GinIndex(): {key.label} holds {form.label}, no list; use Index()")
            places.append(key.operand)
        expressions = [f"({target.json(place)})" for place in places] or ["data"]
        condition = target.condition(self.where, "GinIndex")
        words = [word for key in keys for word in words_of(replace(key, is_descending=False), None)]
        words += words_of_condition(condition)
        columns = [f"{expression} jsonb_path_ops" for expression in expressions]
        return [
            Definition(
                kind=Kind.INDEX,
                name=self.name or object_name(target.table, words, "gin"),
                table=target.table,
                body=index_body(target.table, "gin", columns, condition),
                fields=tuple(key.label for key in keys),
                keys=tuple(expressions),
                condition=condition,
                gins=tuple(place.path for place in places) or ((),),
            )
        ]


@dataclass(frozen=True, slots=True)
class Statistics(IndexKind):
    """What PostgreSQL keeps in mind of fields to estimate how many documents a query finds.

    It helps where fields depend on each other, as a city and its country, or where a field that queries ask
    for has no index.

    Args:
        keys: `lambda o: (o.status, o.country)`.
        ignore_case: True looks at texts without regard to case.
        name: Its name in the database; None makes one of the table and the fields.
        type: What fields hold whose class says nothing of their type, as for `Index`.

    Raises:
        InvalidArgumentException: A value cannot be used.
    """

    keys: Keys
    _: KW_ONLY
    ignore_case: bool = False
    name: str | None = None
    type: str | None = None

    def __post_init__(self) -> None:
        check_declaration(self, "Statistics")
        check_type("Statistics", self.type, TYPES)

    @override
    def define(self, target: IndexTarget) -> Sequence[Definition]:
        keys = target.keys(self.keys, "Statistics", self.type, folded=self.ignore_case)
        if len(keys) > 8:
            raise InvalidArgumentException("Statistics() takes eight fields at most")
        expressions = []
        for key in keys:
            operand, shape = key.operand, key.shapes[0]
            if isinstance(operand, Place) and shape in {Shape.TEXT, Shape.FOLDED}:
                # PostgreSQL compares such expressions with those of queries without their collations.
                expressions.append(target.text(operand, folded=shape is Shape.FOLDED))
            else:
                expressions.append(target.expression(operand, shape))
        words = [word for key in keys for word in words_of(replace(key, is_descending=False), self.type)]
        if self.ignore_case:
            words.append("ci")
        on = ", ".join(f"({each})" for each in expressions)
        return [
            Definition(
                kind=Kind.STATISTICS,
                name=self.name or object_name(target.table, words, "stx"),
                table=target.table,
                body=f"ON {on} FROM {{schema}}.{escaped(quote_identifier(target.table))}",
                fields=tuple(key.label for key in keys),
                keys=tuple(expressions),
            )
        ]
