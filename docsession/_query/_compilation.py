"""The state of one compilation: bound values, and the names of the array items that are looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from docsession._query._access import NOTHING_DECLARED, Access
from docsession._sql._values import Path, Shape, items_of, loose_expression, value_expression, values_of

Convert: TypeAlias = Callable[[Any], object]


class Scope:
    """The items of a list that a condition looks at, one at a time.

    Attributes:
        depth: How many of them surround each other; 1 is the outermost.
    """

    __slots__ = ("depth",)

    def __init__(self, depth: int) -> None:
        self.depth = depth

    @property
    def document(self) -> str:
        """The SQL of an item."""
        return f"e{self.depth}.value"


class Compilation:
    """Collects what a statement binds while its text is written.

    A condition's values are numbered in the order in which its nodes are walked, and a node asks for
    its own by `take`, in the same order; so that one text serves all conditions of its form.

    Attributes:
        schema: The schema of the database.
        id_key: The key under which the class has its id; in the table that is a column.
        access: The indexes of the table.
        row: What stands before its columns.
        binds: For each `$n`, which value it is and how it is sent.
        one_row: True where nothing but the row may be looked at, not even the items of its lists, as in an index.
        lists: The lists of which an index's condition says what they hold, as far as no GIN index has them.
    """

    __slots__ = ("_next", "access", "binds", "id_key", "lists", "row", "schema")

    one_row = False

    def __init__(self, schema: str, id_key: str | None, access: Access = NOTHING_DECLARED, row: str = "t.") -> None:
        self.schema = schema
        self.id_key = id_key
        self.access = access
        self.row = row
        self.binds: list[tuple[int, Convert]] = []
        self.lists: set[Path] = set()
        self._next = 0

    def take(self) -> int:
        """Return the number of the next value."""
        self._next += 1
        return self._next - 1

    def bind(self, number: int, convert: Convert, cast: str = "") -> str:
        """Return the SQL of a value that `take` has numbered."""
        self.binds.append((number, convert))
        return f"${len(self.binds)}{cast}"

    def value(self, scope: Scope | None, path: Path, shape: Shape) -> str:
        """Return the SQL of the value at a path of the document, or of an item of one of its lists."""
        if scope is not None:
            return value_expression(scope.document, path, shape, self.schema)
        if len(path) == 1 and path[0] == self.id_key:
            return f'(lower({self.id}) COLLATE "C")' if shape is Shape.FOLDED else self.id
        promoted = self.access.columns.get((path, shape))
        if promoted is not None:
            return promoted.sql(self.row)
        return value_expression(f"{self.row}data", path, shape, self.schema)

    def document(self, scope: Scope | None) -> str:
        """Return the SQL of the document, or of an item of one of its lists."""
        return f"{self.row}data" if scope is None else scope.document

    @property
    def id(self) -> str:
        """The SQL of the document's id."""
        return f"{self.row}id"

    def column(self, sql: str) -> str:
        """Return the SQL of a column, or of a key of the metadata, that is written as one of the row `t`."""
        if self.row == "t.":
            return sql
        start = len(sql) - len(sql.lstrip("("))
        return sql[:start] + self.row + sql[start:].removeprefix("t.")

    def items(self, scope: Scope | None, path: Path) -> str:
        """Return the SQL of the set of the items of a list."""
        return items_of(self.document(scope), path)

    def values(self, scope: Scope | None, path: Path) -> str:
        """Return the SQL of the set of the items of a list, or of the value itself where it is no list."""
        return values_of(self.document(scope), path)

    def loose(self, scope: Scope | None, path: Path, shape: Shape) -> str:
        """Return the SQL of a value of which nothing is declared."""
        return loose_expression(self.document(scope), path, shape)
