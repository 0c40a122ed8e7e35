"""Indexes, generated columns, statistics and foreign keys of collections' tables, as texts that make and drop them.

A text names no schema: it is a template for `str.format`, with `{schema}` for the quoted schema of the database and,
for each extension whose types or operators it needs, `{name_of_the_extension}` for the quoted schema of that one.
Revisions carry such texts, so that they run for every database of a store.

A comment on each object keeps the digest of its definition. An object whose comment has another digest is made anew,
one without such a comment is none of ours and left alone, and an invalid index (whose making was interrupted) counts
as missing.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from docsession._sql._quoting import MAX_NAME_BYTES, quote_identifier, quote_literal
from docsession._sql._values import Path, Shape

DEFINITIONS: Final = "docsession_definitions"
"""The key of `Table.info` under which a table's definitions are, a tuple in the order in which they are made."""

COMMENT_PREFIX: Final = "docsession:"
"""What the comment on every object begins with that is ours; the digest follows."""

_GENERATION: Final = "1"
"""Part of every digest: another one makes everything anew."""


class Kind(enum.Enum):
    """What is made; the value is what COMMENT ON calls it."""

    COLUMN = "COLUMN"
    INDEX = "INDEX"
    STATISTICS = "STATISTICS"
    FOREIGN_KEY = "CONSTRAINT"


@dataclass(frozen=True, slots=True)
class PromotedColumn:
    """A generated column, which queries take for the value at a path.

    Attributes:
        name: The column's name.
        path: Where in the document.
        shape: What the value is compared as.
        cast: What stands behind the column where its type is another one than that of the shape.
        digest: That of its definition.
    """

    name: str
    path: Path
    shape: Shape
    cast: str
    digest: str = ""

    def sql(self, row: str) -> str:
        """Return the value; *row* stands before the column."""
        column = f"{row}{quote_identifier(self.name)}"
        return f"({column}{self.cast})" if self.cast else column


@dataclass(frozen=True, slots=True)
class TextIndex:
    """What full text search is declared for.

    Attributes:
        paths: Where in the document.
        language: The text search configuration.
        weights: A letter for each path; None: all are the same.
        column: The generated column that holds the tsvector; None: the index has the expression.
        digest: That of the column's definition.
    """

    paths: tuple[Path, ...]
    language: str
    weights: str | None
    column: str | None = None
    digest: str = ""

    def sql(self, row: str) -> str:
        """Return the column; *row* stands before it."""
        assert self.column is not None  # noqa: S101  # asked only where there is one
        return f"{row}{quote_identifier(self.column)}"


@dataclass(frozen=True, slots=True)
class VectorIndexed:
    """What the nearest vectors are declared for.

    Attributes:
        path: Where in the document.
        size: How many numbers a vector has.
        metric: What tells how far vectors are from each other.
        half: True: the index holds numbers of half precision.
        column: The generated column that holds the vector; None: the index has the expression.
        digest: That of the column's definition.
    """

    path: Path
    size: int
    metric: str
    half: bool = False
    column: str | None = None
    digest: str = ""

    def sql(self, row: str) -> str:
        """Return the column; *row* stands before it."""
        assert self.column is not None  # noqa: S101  # asked only where there is one
        return f"{row}{quote_identifier(self.column)}"


@dataclass(frozen=True)
class Definition:
    """One index, generated column, statistics object or foreign key of a collection's table.

    Attributes:
        kind: What it is.
        name: Its name; for a column that of the column.
        table: The table's name.
        body: A template: what follows the name in the statement that makes it, and for a foreign key
            without `NOT VALID`.
        fields: The fields of the documents, as an error calls them.
        is_unique: True for a unique index.
        keys: Templates: the expressions of an index, of a document that is in no table yet.
        condition: A template: the condition of a partial index, likewise; None: it holds all documents.
        extensions: The extensions whose schemas the templates ask for.
        column: For a column that queries use: how.
        tree: For a b-tree: the path and shape that it begins with.
        gins: For a GIN index: the paths whose JSON it holds.
        needs: The names of the columns without which it cannot be made.
        text: For full text search: of what.
        vector: For the nearest vectors: of what.
        references: For a foreign key: schema, table and column.
    """

    kind: Kind
    name: str
    table: str
    body: str
    fields: tuple[str, ...] = ()
    is_unique: bool = False
    keys: tuple[str, ...] = ()
    condition: str | None = None
    extensions: tuple[str, ...] = ()
    column: PromotedColumn | None = None
    tree: tuple[Path, Shape] | None = None
    gins: tuple[Path, ...] = ()
    needs: tuple[str, ...] = ()
    text: TextIndex | None = None
    vector: VectorIndexed | None = None
    references: tuple[str, str, str] | None = None

    @cached_property
    def digest(self) -> str:
        """What the comment keeps: the same for definitions that make the same object."""
        parts = (_GENERATION, self.kind.value, self.table, self.name, str(self.is_unique), self.body)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]

    @property
    def comment(self) -> str:
        """The comment on the object."""
        return f"{COMMENT_PREFIX}{self.digest}"

    @property
    def is_concurrent(self) -> bool:
        """True for what can be made and dropped CONCURRENTLY, outside a transaction."""
        return self.kind is Kind.INDEX

    @property
    def rewrites_table(self) -> bool:
        """True for what locks the table against everybody while all of its rows are written anew."""
        return self.kind is Kind.COLUMN

    @property
    def wants_analyze(self) -> bool:
        """True for what the planner knows nothing of until the table is analyzed."""
        return self.kind is not Kind.FOREIGN_KEY

    @property
    def template(self) -> str:
        """The statement that makes it, as a template; that of an index is without CONCURRENTLY."""
        return self._create(concurrently=False)

    def create(
        self, schema: str, *, concurrently: bool = False, extensions: Mapping[str, str] | None = None
    ) -> list[str]:
        """Return the statements that make it, to be run in order.

        Args:
            schema: The database.
            concurrently: True makes an index without keeping writers out; each statement is then to be run
                outside a transaction. A foreign key is then checked in a statement of its own, too.
            extensions: The schema of each extension.
        """
        made = [render(self._create(concurrently=concurrently), schema, extensions)]
        if self.kind is Kind.FOREIGN_KEY and concurrently:
            made[0] += " NOT VALID"
            made.append(f"ALTER TABLE {self._table_in(schema)} VALIDATE CONSTRAINT {quote_identifier(self.name)}")
        return made

    def comment_on(self, schema: str) -> str:
        """Return the statement that records the digest."""
        name = quote_identifier(self.name)
        match self.kind:
            case Kind.COLUMN:
                target = f"{self._table_in(schema)}.{name}"
            case Kind.FOREIGN_KEY:
                target = f"{name} ON {self._table_in(schema)}"
            case _:
                target = f"{quote_identifier(schema)}.{name}"
        return f"COMMENT ON {self.kind.value} {target} IS {quote_literal(self.comment)}"

    def drop(self, schema: str, *, concurrently: bool = False) -> str:
        """Return the statement that drops it where it is there; a column takes along what is built on it."""
        name = quote_identifier(self.name)
        match self.kind:
            case Kind.COLUMN:
                return f"ALTER TABLE {self._table_in(schema)} DROP COLUMN IF EXISTS {name}"
            case Kind.FOREIGN_KEY:
                return f"ALTER TABLE {self._table_in(schema)} DROP CONSTRAINT IF EXISTS {name}"
            case Kind.INDEX:
                word = " CONCURRENTLY" if concurrently else ""
                return f"DROP INDEX{word} IF EXISTS {quote_identifier(schema)}.{name}"
            case Kind.STATISTICS:
                return f"DROP STATISTICS IF EXISTS {quote_identifier(schema)}.{name}"

    def _create(self, *, concurrently: bool) -> str:
        name = escaped(quote_identifier(self.name))
        match self.kind:
            case Kind.COLUMN:
                return f"ALTER TABLE {{schema}}.{escaped(quote_identifier(self.table))} ADD COLUMN {name} {self.body}"
            case Kind.FOREIGN_KEY:
                table = escaped(quote_identifier(self.table))
                return f"ALTER TABLE {{schema}}.{table} ADD CONSTRAINT {name} {self.body}"
            case Kind.INDEX:
                words = f"CREATE {'UNIQUE ' if self.is_unique else ''}INDEX{' CONCURRENTLY' if concurrently else ''}"
                return f"{words} {name} {self.body}"
            case Kind.STATISTICS:
                return f"CREATE STATISTICS {{schema}}.{name} {self.body}"

    def _table_in(self, schema: str) -> str:
        return f"{quote_identifier(schema)}.{quote_identifier(self.table)}"


def render(template: str, schema: str, extensions: Mapping[str, str] | None = None) -> str:
    """Return the SQL of a template for a database.

    Args:
        template: Text with `{schema}` and the names of extensions in it.
        schema: The database.
        extensions: The schema of each extension.
    """
    placed = {name: quote_identifier(where) for name, where in (extensions or {}).items()}
    return template.format(schema=quote_identifier(schema), **placed)


def escaped(text: str) -> str:
    """Return *text* as it stands in a template."""
    return text.replace("{", "{{").replace("}", "}}")


def create_columns(definitions: Sequence[Definition], schema: str, extensions: Mapping[str, str] | None = None) -> str:
    """Return the statement that adds several columns to a table, which writes the table anew once."""
    table = f"{quote_identifier(schema)}.{quote_identifier(definitions[0].table)}"
    added = (
        f"ADD COLUMN {quote_identifier(each.name)} {render(each.body, schema, extensions)}" for each in definitions
    )
    return f"ALTER TABLE {table} {', '.join(added)}"


def create_all(
    definitions: Iterable[Definition], schema: str, extensions: Mapping[str, str] | None = None
) -> list[str]:
    """Return what makes all of *definitions* for a table that is empty, in a transaction, with their comments."""
    statements = []
    for each in definitions:
        statements += [*each.create(schema, extensions=extensions), each.comment_on(schema)]
    return statements


def object_name(table: str, words: Iterable[str], ending: str) -> str:
    """Return the name of an index and its like: readable, no longer than 63 bytes, always the same for the same words.

    Where something had to be replaced or cut off the end of a digest tells it from others.
    """
    wanted = "_".join((table, *words))
    readable = "".join(letter if letter.isalnum() else "_" for letter in wanted)
    name = f"{readable}_{ending}"
    if readable == wanted and len(name.encode()) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256("\0".join((table, *words)).encode()).hexdigest()[:8]
    room = MAX_NAME_BYTES - len(digest) - len(ending) - 2
    return f"{readable.encode()[:room].decode(errors='ignore')}_{digest}_{ending}"
