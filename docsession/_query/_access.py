"""The indexes of a table, as far as queries are written otherwise because of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from docsession._errors import _ExtensionNeeded
from docsession._sql._definitions import Definition, PromotedColumn, TextIndex, VectorIndexed
from docsession._sql._quoting import quote_identifier
from docsession._sql._values import Path, Shape

if TYPE_CHECKING:
    from docsession._query._operands import Place


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension that a server has.

    Attributes:
        schema: Where its types and operators are.
        version: As in (0, 8, 1).
    """

    schema: str
    version: tuple[int, ...]

    @classmethod
    def read(cls, schema: str, version: str) -> Extension:
        """Return what a server says of one; its version is as in "0.8.1"."""
        return cls(schema, tuple(map(int, re.findall("[0-9]+", version))))

    @property
    def quoted(self) -> str:
        """The schema, as SQL."""
        return quote_identifier(self.schema)


@dataclass(frozen=True, slots=True)
class Access:
    """What is declared for a table.

    Attributes:
        columns: The generated column that has the value at a path, as a shape.
        trees: The (path, shape) that a b-tree begins with.
        gins: The paths whose JSON a GIN index holds; () is the whole document.
        texts: What full text search is declared for, in order.
        lists: The paths of lists of which the condition of a partial index says what they hold.
        vectors: What the nearest vectors are declared for, in order.
        extensions: The extensions that somebody has asked for yet; the database adds to it.
    """

    columns: Mapping[tuple[Path, Shape], PromotedColumn] = field(default_factory=dict)
    trees: frozenset[tuple[Path, Shape]] = frozenset()
    gins: frozenset[Path] = frozenset()
    texts: tuple[TextIndex, ...] = ()
    lists: frozenset[Path] = frozenset()
    vectors: tuple[VectorIndexed, ...] = ()
    extensions: Mapping[str, Extension] = field(default_factory=dict)

    @property
    def has_columns(self) -> bool:
        """True where queries take columns, which the table may not have yet."""
        return bool(self.column_names)

    @property
    def column_names(self) -> list[str]:
        """The generated columns, quoted."""
        found = [each.name for each in self.columns.values()]
        found += [each.column for each in self.texts if each.column is not None]
        found += [each.column for each in self.vectors if each.column is not None]
        return [quote_identifier(name) for name in dict.fromkeys(found)]

    def without_columns_but(self, known: Collection[tuple[str, str]]) -> Access:
        """Return the same with those columns only that the table has: (name, digest) are *known*."""
        columns = {key: each for key, each in self.columns.items() if (each.name, each.digest) in known}
        texts = (
            each if (each.column, each.digest) in known else replace(each, column=None, digest="")
            for each in self.texts
        )
        vectors = (each for each in self.vectors if each.column is None or (each.column, each.digest) in known)
        return replace(self, columns=columns, texts=tuple(texts), vectors=tuple(vectors))

    def extension(self, name: str) -> Extension:
        """Return an extension.

        Raises:
            _ExtensionNeeded: Nobody has looked for it yet.
        """
        found = self.extensions.get(name)
        if found is None:
            raise _ExtensionNeeded(name)
        return found

    def vector_index(self, path: Path, size: int, metric: str) -> VectorIndexed | None:
        """Return what is declared for the nearest of such vectors."""
        for each in self.vectors:
            if (each.path, each.size, each.metric) == (path, size, metric):
                return each
        return None

    def vector_column(self, path: Path, size: int) -> VectorIndexed | None:
        """Return the column that has such vectors, as exact as they are."""
        for each in self.vectors:
            if (each.path, each.size) == (path, size) and each.column is not None and not each.half:
                return each
        return None

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

    def list_for(self, place: Place) -> Path | None:
        """Return the path whose JSON an index looks at for what the list at a place holds; None where there is none."""
        found = self.gin_for(place)
        return place.path if found is None and place.scope is None and place.path in self.lists else found


NOTHING_DECLARED: Final = Access()


def access_of(definitions: Iterable[Definition]) -> Access:
    """Return what indexes offer to queries."""
    definitions = list(definitions)
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
    vectors = tuple(dict.fromkeys(each.vector for each in definitions if each.vector is not None))
    if not (columns or trees or gins or texts or vectors):
        return NOTHING_DECLARED
    return Access(columns, frozenset(trees), frozenset(gins), tuple(texts.values()), vectors=vectors)


def is_position(part: str | int) -> bool:
    """Return True for a step of a path that leads into arrays, too."""
    return isinstance(part, int) or part.strip().lstrip("+-").isdigit()


def wrapped(value: Any, path: Path) -> Any:
    """Return the JSON that has *value* at *path*, and nothing else."""
    for part in reversed(path):
        value = {part: value}
    return value
