"""The indexes of a table, as far as queries are written otherwise because of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from docsession._errors import _ExtensionNeeded
from docsession._sql._definitions import Definition, PromotedColumn, TextIndex
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
        texts: What full text search is declared for, in order.
        extensions: The schemas of the extensions that somebody has asked for yet; the database adds to it.
    """

    columns: Mapping[tuple[Path, Shape], PromotedColumn] = field(default_factory=dict)
    trees: frozenset[tuple[Path, Shape]] = frozenset()
    gins: frozenset[Path] = frozenset()
    texts: tuple[TextIndex, ...] = ()
    extensions: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_columns(self) -> bool:
        """True where queries take columns, which the table may not have yet."""
        return bool(self.columns) or any(each.column is not None for each in self.texts)

    def without_columns_but(self, known: Collection[tuple[str, str]]) -> Access:
        """Return the same with those columns only that the table has: (name, digest) are *known*."""
        columns = {key: each for key, each in self.columns.items() if (each.name, each.digest) in known}
        texts = (
            each if (each.column, each.digest) in known else replace(each, column=None, digest="")
            for each in self.texts
        )
        return replace(self, columns=columns, texts=tuple(texts))

    def schema_of(self, extension: str) -> str:
        """Return the schema of an extension.

        Raises:
            _ExtensionNeeded: Nobody has looked for it yet.
        """
        schema = self.extensions.get(extension)
        if schema is None:
            raise _ExtensionNeeded(extension)
        return schema

    def text_for(self, paths: Sequence[Path], language: str | None) -> TextIndex | None:
        """Return what is declared for just these paths, in a language or in any."""
        for each in self.texts:
            if each.paths == paths and language in {None, each.language}:
                return each
        return None

    def language_of(self, path: Path) -> str | None:
        """Return the language in which a path is searched, be it with others."""
        return next((each.language for each in self.texts if path in each.paths), None)

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
    texts: dict[tuple[tuple[Path, ...], str], TextIndex] = {}
    for each in definitions:
        if each.column is not None:
            columns[each.column.path, each.column.shape] = each.column
        if each.tree is not None:
            trees.add(each.tree)
        gins |= set(each.gins)
        if each.text is not None:
            texts.setdefault((each.text.paths, each.text.language), each.text)
    if not (columns or trees or gins or texts):
        return NOTHING_DECLARED
    return Access(columns, frozenset(trees), frozenset(gins), tuple(texts.values()))


def is_position(part: str | int) -> bool:
    """Return True for a step of a path that leads into arrays, too."""
    return isinstance(part, int) or part.strip().lstrip("+-").isdigit()


def wrapped(value: Any, path: Path) -> Any:
    """Return the JSON that has *value* at *path*, and nothing else."""
    for part in reversed(path):
        value = {part: value}
    return value
