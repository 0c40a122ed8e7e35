"""Statements of queries, and their texts without values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from docsession._port import Settings, Statement
from docsession._query._compilation import Convert
from docsession._query._shapes import QueryShape

DOCUMENT: Final = ("id", "data", "metadata", "version", "last_modified")
"""The columns of a document."""

COLUMNS: Final = ", ".join(f"t.{name}" for name in DOCUMENT)


class QueryStatement(Statement):
    """The statement of a query.

    Attributes:
        shape: What the query asks for, without its values.
    """

    __slots__ = ("shape",)

    def __init__(self, sql: bytes, params: Sequence[object], shape: QueryShape, settings: Settings = ()) -> None:
        self.sql = sql
        self.params = params
        self.settings = settings
        self.shape = shape


@dataclass(frozen=True, slots=True)
class PageStatement:
    """A statement whose rows begin with those of a load.

    Attributes:
        statement: The statement.
        further: The names of the columns behind.
        first: How many of the documents, from the beginning, are wanted; None: all.
    """

    statement: QueryStatement
    further: tuple[str, ...] = ()
    first: int | None = None


class Compiled:
    """A statement's text, and what becomes of the values of a query in it."""

    __slots__ = ("_binds", "_shape", "sql")

    def __init__(self, sql: str, binds: Sequence[tuple[int, Convert]], shape: QueryShape) -> None:
        self.sql = sql.encode()
        self._binds = tuple(binds)
        self._shape = shape

    def statement(self, values: Sequence[Any]) -> QueryStatement:
        """Return the statement with its values bound."""
        return QueryStatement(self.sql, [convert(values[number]) for number, convert in self._binds], self._shape)
