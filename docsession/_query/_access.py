"""The indexes of a table, as far as queries are written otherwise because of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from docsession._sql._definitions import Definition, PromotedColumn
from docsession._sql._values import Path, Shape

if TYPE_CHECKING:
    from docsession._query._operands import Place


@dataclass(frozen=True, slots=True)
class Access:
    """What is declared for a table.

    Attributes:
        columns: The generated column that has the value at a path, as a shape.
        trees: The (path, shape) that a b-tree begins with.
        gins: The paths whose JSON a GIN index holds; () is the whole document.
    """

    columns: Mapping[tuple[Path, Shape], PromotedColumn] = field(default_factory=dict)
    trees: frozenset[tuple[Path, Shape]] = frozenset()
    gins: frozenset[Path] = frozenset()

    def without_columns_but(self, known: Collection[tuple[str, str]]) -> Access:
        """Return the same with those columns only that the table has: (name, digest) are *known*."""
        columns = {key: each for key, each in self.columns.items() if (each.name, each.digest) in known}
        return Access(columns, self.trees, self.gins)

    def gin_for(self, place: Place) -> Path | None:
        """Return the longest path of a GIN index that holds the JSON at a place; None where there is none.

        A key that looks like a number is a position, too, where there is an array: containment
        does not know it as one.
        """
        if not self.gins or place.scope is not None:
            return None
        path = place.path
        for length in range(len(path), -1, -1):
            if path[:length] in self.gins:
                rest = path[length:]
                return None if any(map(is_position, rest)) else path[:length]
        return None


NOTHING_DECLARED: Final = Access()


def access_of(definitions: Iterable[Definition]) -> Access:
    """Return what indexes offer to queries."""
    columns = {}
    trees = set()
    gins = set()
    for each in definitions:
        if each.column is not None:
            columns[each.column.path, each.column.shape] = each.column
        if each.tree is not None:
            trees.add(each.tree)
        gins |= set(each.gins)
    return Access(columns, frozenset(trees), frozenset(gins)) if columns or trees or gins else NOTHING_DECLARED


def is_position(part: str | int) -> bool:
    """Return True for a step of a path that leads into arrays, too."""
    return isinstance(part, int) or part.strip().lstrip("+-").isdigit()


def wrapped(value: Any, path: Path) -> Any:
    """Return the JSON that has *value* at *path*, and nothing else."""
    for part in reversed(path):
        value = {part: value}
    return value
