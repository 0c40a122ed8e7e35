"""Fields that are declared to be columns of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Final

from typing_extensions import override

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._index_ddl import IndexTarget
from docsession._query._index_kinds import IndexKind, Keys, check_declaration, check_type, index_body, words_of
from docsession._query._operands import Place
from docsession._sql._definitions import Definition, Kind, PromotedColumn, escaped, object_name
from docsession._sql._quoting import quote_identifier
from docsession._sql._schema import COLLECTION_COLUMNS
from docsession._sql._values import Shape

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
        check_type("Promoted", self.type, _COLUMN_TYPES)
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
            # A column's own collation may be any, and only that of the database gives way to another.
            value = f'({index.keys[0]}) COLLATE "default"' if type_ == "text" else index.keys[0]
            made.append(self._foreign_key(target.table, name, key.label, self.references, value))
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
    def _foreign_key(table: str, name: str, label: str, references: str, value: str) -> Definition:
        schema, referenced, column = _referenced(references)
        place = escaped(f"{quote_identifier(schema)}.{quote_identifier(referenced)} ({quote_identifier(column)})")
        own = escaped(quote_identifier(name))
        return Definition(
            kind=Kind.FOREIGN_KEY,
            name=object_name(table, [name], "fkey"),
            table=table,
            body=f"FOREIGN KEY ({own}) REFERENCES {place} DEFERRABLE INITIALLY DEFERRED",
            fields=(label,),
            keys=(value,),
            needs=(name,),
            references=(schema, referenced, column),
        )


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
