"""What indexes are declared with: each kind makes definitions for the table that it is declared for.

A further kind is a frozen dataclass that inherits `IndexKind` and has `define`.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Final

from typing_extensions import override

from docsession._declarations import IndexDeclaration
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._access import NOTHING_DECLARED, Access, access_of
from docsession._query._index_ddl import TYPES, IndexTarget, Key
from docsession._query._kinds import bare
from docsession._query._operands import Place
from docsession._sql._definitions import Definition, Kind, PromotedColumn, escaped, object_name
from docsession._sql._quoting import quote_identifier
from docsession._sql._schema import COLLECTION_COLUMNS
from docsession._sql._values import Shape

Keys = Callable[[Any], object]

_MARKS: Final = {Shape.TEXT: "text", Shape.NUMBER: "numeric", Shape.INSTANT: "timestamptz", Shape.JSON: "jsonb"}
_UUID: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_RANGES: Final = {"integer": (-(2**31), 2**31 - 1), "bigint": (-(2**63), 2**63 - 1)}
_COLUMN_TYPES: Final[dict[str, tuple[Shape, str]]] = {
    "text": (Shape.TEXT, ""),
    "numeric": (Shape.NUMBER, ""),
    "timestamptz": (Shape.INSTANT, ""),
    "integer": (Shape.NUMBER, "::numeric"),
    "bigint": (Shape.NUMBER, "::numeric"),
    "uuid": (Shape.TEXT, '::text COLLATE "C"'),
}
"""The types of promoted columns: the shape that queries take them for, and what makes it of the column."""


class IndexKind(IndexDeclaration):
    """A kind of index."""

    __slots__ = ()

    comes_first = False
    """True for what others are defined after, because queries, and so their conditions, are written otherwise."""

    @abstractmethod
    def define(self, target: IndexTarget) -> Sequence[Definition]:
        """Return what it makes in a table.

        Raises:
            InvalidArgumentException: It names what cannot be indexed so.
        """


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
        _check_type("Index", self.type, TYPES)

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
        condition = None if self.where is None else target.condition(self.where, "Index")
        columns = [f"({expression}){down}" for expression, down in expressions]
        if not self.unique and "id" not in (expression for expression, _ in expressions):
            columns.append(f"id{down}")
        words = [word for key in keys for word in words_of(key, self.type)]
        if self.ignore_case:
            words.append("ci")
        if condition is not None:
            words.append(hashlib.sha256(condition.encode()).hexdigest()[:8])
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
                condition=None if self.where is None else plain.condition(self.where, "Index"),
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
        condition = None if self.where is None else target.condition(self.where, "GinIndex")
        words = [word for key in keys for word in words_of(replace(key, is_descending=False), None)]
        if condition is not None:
            words.append(hashlib.sha256(condition.encode()).hexdigest()[:8])
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
class Promoted(IndexKind):
    """A field as a column of its own, which the server keeps, with a b-tree index.

    Queries use the column where the table has it. Updates that leave the field alone need not touch the
    index, as they must with `Index`; and plain SQL, reports and foreign keys see an ordinary column.

    Args:
        key: `lambda o: o.company`.
        type: "text", "numeric" or "timestamptz", as which any field is compared; or "integer", "bigint" or
            "uuid", as the keys of other tables are: documents that hold something else have null there.
            None is as the field is compared.
        references: `"table.column"` of the application's own tables (in the schema `public`, or
            `"schema.table.column"`): every value must be there. Checked when a transaction commits.
        name: The column's name; None is that of the field.

    Raises:
        InvalidArgumentException: A value cannot be used.
    """

    key: Keys
    _: KW_ONLY
    type: str | None = None
    references: str | None = None
    name: str | None = None

    comes_first = True

    def __post_init__(self) -> None:
        check_declaration(self, "Promoted")
        _check_type("Promoted", self.type, _COLUMN_TYPES)
        if self.references is not None:
            _referenced(self.references)
        if self.name in COLLECTION_COLUMNS:
            raise InvalidArgumentException(f"Promoted(name={self.name!r}): every table has that column already")

    @override
    def define(self, target: IndexTarget) -> Sequence[Definition]:
        asked = None if self.type is None else _MARKS[_COLUMN_TYPES[self.type][0]]
        keys = target.keys(self.key, "Promoted", asked)
        key = keys[0]
        if len(keys) > 1 or key.is_descending or not isinstance(key.operand, Place):
            raise InvalidArgumentException("Promoted() takes one field of the documents; declare each by itself")
        shape = key.shapes[0]
        if shape is Shape.JSON:
            raise InvalidArgumentTypeException(
                f"Promoted(): {key.label} holds {key.operand.form.label}; use GinIndex()"
            )
        type_ = self.type or _MARKS[shape]
        words = words_of(key, None)
        name = self.name or object_name(words[0], words[1:], "")[:-1]
        if name in COLLECTION_COLUMNS:
            name += "_"
        column, index = self._column(target, key.operand, shape, type_, name)
        made = [column, index]
        if self.references is not None:
            if type_ in _RANGES or type_ == "uuid":
                # What deletes there looks for the plain column.
                made.append(
                    replace(
                        index,
                        name=object_name(target.table, [name, "references"], "idx"),
                        body=index_body(target.table, "btree", [escaped(quote_identifier(name))], None),
                        tree=None,
                    )
                )
            made.append(self._foreign_key(target.table, name, key.label, self.references))
        return made

    @staticmethod
    def _column(
        target: IndexTarget, place: Place, shape: Shape, type_: str, name: str
    ) -> tuple[Definition, Definition]:
        value = _converted(target.expression(place, shape), type_)
        declared = 'text COLLATE "C"' if type_ == "text" else type_
        promoted = PromotedColumn(name, place.path, shape, _COLUMN_TYPES[type_][1])
        column = Definition(
            kind=Kind.COLUMN,
            name=name,
            table=target.table,
            body=f"{declared} GENERATED ALWAYS AS ({value}) STORED",
            fields=(place.label,),
        )
        # Known by its digest: a column of that name may be of an earlier declaration.
        column = replace(column, column=replace(promoted, digest=column.digest))
        key = escaped(promoted.sql(""))
        index = Definition(
            kind=Kind.INDEX,
            name=object_name(target.table, [name, "promoted"], "idx"),
            table=target.table,
            body=index_body(target.table, "btree", [f"({key})", "id"], None),
            fields=(place.label,),
            keys=(value,),
            tree=(place.path, shape),
            needs=(name,),
        )
        return column, index

    @staticmethod
    def _foreign_key(table: str, name: str, label: str, references: str) -> Definition:
        schema, referenced, column = _referenced(references)
        place = escaped(f"{quote_identifier(schema)}.{quote_identifier(referenced)} ({quote_identifier(column)})")
        own = escaped(quote_identifier(name))
        return Definition(
            kind=Kind.FOREIGN_KEY,
            name=object_name(table, [name], "fkey"),
            table=table,
            body=f"FOREIGN KEY ({own}) REFERENCES {place} DEFERRABLE INITIALLY DEFERRED",
            fields=(label,),
            needs=(name,),
        )


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
        _check_type("Statistics", self.type, TYPES)

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


def define_all(declared: Iterable[tuple[IndexDeclaration, IndexTarget]]) -> tuple[list[Definition], Access]:
    """Return what declarations make in one table, in the order in which it is made, and what that offers to queries.

    The same declared twice, by a class and one below it, is made once.

    Raises:
        InvalidArgumentException: Two that differ have the same name, or something is no declaration.
    """
    given = [(_kind(each), target) for each, target in declared]
    found: dict[tuple[Kind, str], Definition] = {}
    for each, target in given:
        if each.comes_first:
            _add(found, each.define(target))
    access = access_of(found.values())
    for each, target in given:
        if not each.comes_first:
            _add(found, each.define(target.promoting(access)))
    order = list(Kind)
    definitions = sorted(found.values(), key=lambda definition: order.index(definition.kind))
    lists = frozenset(path for _, target in given for path in target.lists)
    return definitions, replace(access_of(definitions), lists=lists) if lists else access_of(definitions)


def _add(found: dict[tuple[Kind, str], Definition], made: Iterable[Definition]) -> None:
    for each in made:
        known = found.setdefault((each.kind, each.name), each)
        if known.digest != each.digest:
            raise InvalidArgumentException(
                f"two indexes of the table {each.table!r} that differ are called {each.name!r} "
                f"({', '.join(known.fields)}, and {', '.join(each.fields)}): name one of them with name="
            )


def _kind(given: object) -> IndexKind:
    if isinstance(given, IndexKind):
        return given
    raise InvalidArgumentTypeException(
        f"indexes are declared by Index, GinIndex, Promoted, Statistics, FullText, Trigram and VectorIndex, as in "
        f"[Index(lambda o: o.name)], not {given!r:.60}"
    )


def check_declaration(given: Any, what: str) -> None:
    """Refuse what no declaration can have."""
    for attribute in ("keys", "key", "where"):
        function: object = getattr(given, attribute, None)
        if function is not None and not callable(function):
            raise InvalidArgumentTypeException(
                f"{what}() takes functions, as in lambda o: o.name, not {function!r:.60}"
            )
    name: object = given.name
    if name is not None:
        if not isinstance(name, str):
            raise InvalidArgumentTypeException(f"{what}(name=…) takes a str, not {name!r:.60}")
        quote_identifier(name)


def _check_type(what: str, given: object, known: Iterable[str]) -> None:
    if given is not None and given not in set(known):
        raise InvalidArgumentException(f"{what}(type={given!r:.40}): there are {', '.join(map(repr, known))}")


def index_body(
    table: str, method: str, columns: Iterable[str], condition: str | None, options: Sequence[str] = ()
) -> str:
    """Return the template of what stands behind the name of an index."""
    given = f" WITH ({', '.join(options)})" if options else ""
    where = "" if condition is None else f" WHERE {condition}"
    return f"ON {{schema}}.{escaped(quote_identifier(table))} USING {method} ({', '.join(columns)}){given}{where}"


def words_of(key: Key, type_: str | None) -> list[str]:
    """Return what a name says of a key."""
    path = key.path
    words = [str(part) for part in path] if path is not None else [key.label]
    if key.is_descending:
        words.append("desc")
    if type_ is not None and key.shapes == (TYPES[type_],):
        words.append(type_)
    return words


def _referenced(references: object) -> tuple[str, str, str]:
    """Return schema, table and column."""
    parts = references.split(".") if isinstance(references, str) else []
    if len(parts) not in {2, 3} or not all(parts):
        raise InvalidArgumentException(
            f"Promoted(references={references!r:.60}): write 'table.column', or 'schema.table.column'"
        )
    *schema, table, column = parts
    for part in parts:
        quote_identifier(part)
    return schema[0] if schema else "public", table, column


def _converted(value: str, type_: str) -> str:
    """Return a value as one of a column's type; null where it is none, so that no document is refused for it."""
    if type_ in _RANGES:
        low, high = _RANGES[type_]
        fits = f"{value} BETWEEN {low} AND {high} AND trunc({value}) = {value}"
        return f"CASE WHEN {fits} THEN ({value})::{type_} END"
    if type_ == "uuid":
        pattern = escaped(f"'{_UUID}'")
        return f"CASE WHEN {value} ~ {pattern} THEN ({value})::uuid END"
    return value
