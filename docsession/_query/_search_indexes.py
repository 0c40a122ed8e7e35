"""Indexes that searches are declared with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Final

from typing_extensions import override

from docsession._errors import InvalidArgumentException
from docsession._query._full_text import DEFAULT_LANGUAGE, text_places
from docsession._query._index_ddl import IndexTarget
from docsession._query._indexes import IndexKind, Keys, check_declaration, index_body
from docsession._query._operands import Place
from docsession._sql._definitions import Definition, Kind, TextIndex, escaped, object_name
from docsession._sql._quoting import quote_identifier
from docsession._sql._schema import COLLECTION_COLUMNS
from docsession._sql._search import check_language, text_vector
from docsession._sql._values import Shape

_TRIGRAMS: Final = "pg_trgm"


@dataclass(frozen=True, slots=True)
class FullText(IndexKind):
    """A GIN index for full text search: for `search` over just these fields, and its `rank`.

    Args:
        keys: `lambda o: o.notes`, a text or a list of texts; or several in a tuple, which are searched as one.
        language: PostgreSQL's text search configuration, as "english"; one of your own with its schema. `search`
            takes it where it names none itself.
        weights: How much each field counts for `rank`: a letter for each from A, the most, to D; `"AB"`. None: all
            are the same.
        stored: True keeps the words in a generated column, too: `rank` is faster, the table larger.
        where: The condition of the documents that it holds. Queries use it whose conditions say so, too.
        name: Its name in the database; None makes one of the table, the fields and the language.

    Raises:
        InvalidArgumentException: A value cannot be used.
    """

    keys: Keys
    _: KW_ONLY
    language: str = DEFAULT_LANGUAGE
    weights: str | None = None
    stored: bool = False
    where: Callable[[Any], object] | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        check_declaration(self, "FullText")
        check_language(self.language, "FullText")
        weights: object = self.weights
        if weights is not None and (not isinstance(weights, str) or not weights or set(weights) - set("ABCD")):
            raise InvalidArgumentException(
                f"FullText(weights={weights!r:.40}): a letter from A to D for each field, as 'AB'"
            )

    @override
    def define(self, target: IndexTarget) -> Sequence[Definition]:
        keys = target.keys(self.keys, "FullText")
        places = text_places([key.operand for key in keys], "FullText")
        if self.weights is not None and len(self.weights) != len(places):
            raise InvalidArgumentException(
                f"FullText(weights={self.weights!r}) has {len(self.weights)} letters for {len(places)} fields"
            )
        paths = tuple(place.path for place in places)
        fields = tuple(place.label for place in places)
        text = TextIndex(paths, self.language, self.weights)
        vector = escaped(text_vector("data", paths, self.language, self.weights))
        words = [*_words(places), self.language]
        made = []
        needs: tuple[str, ...] = ()
        indexed = f"({vector})"
        if self.stored:
            column = object_name(words[0], words[1:], "fts")
            if column in COLLECTION_COLUMNS:
                column += "_"
            definition = Definition(
                kind=Kind.COLUMN,
                name=column,
                table=target.table,
                body=f"tsvector GENERATED ALWAYS AS ({vector}) STORED",
                fields=fields,
            )
            # Known by its digest: a column of that name may be of an earlier declaration.
            made.append(replace(definition, text=replace(text, column=column, digest=definition.digest)))
            indexed, needs = escaped(quote_identifier(column)), (column,)
        condition = None if self.where is None else target.condition(self.where, "FullText")
        index = Definition(
            kind=Kind.INDEX,
            name=self.name or object_name(target.table, [*words, *_told(condition)], "fts"),
            table=target.table,
            body=index_body(target.table, "gin", [indexed], condition),
            fields=fields,
            condition=condition,
            needs=needs,
            text=None if self.stored else text,
        )
        return [*made, index]


@dataclass(frozen=True, slots=True)
class Trigram(IndexKind):
    """A GIN index for parts of texts: for `contains`, `ends_with` and `matches`.

    PostgreSQL needs the extension `pg_trgm`. Three letters in a row are the least that it can look for.

    Args:
        keys: `lambda o: o.name`, or several texts in a tuple, each by itself.
        ignore_case: True serves `name__icontains` and its like instead.
        where: The condition of the documents that it holds. Queries use it whose conditions say so, too.
        name: Its name in the database; None makes one of the table and the fields.

    Raises:
        InvalidArgumentException: A value cannot be used.
    """

    keys: Keys
    _: KW_ONLY
    ignore_case: bool = False
    where: Callable[[Any], object] | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        check_declaration(self, "Trigram")

    @override
    def define(self, target: IndexTarget) -> Sequence[Definition]:
        keys = target.keys(self.keys, "Trigram", folded=self.ignore_case)
        places = text_places([key.operand for key in keys], "Trigram")
        shape = Shape.FOLDED if self.ignore_case else Shape.TEXT
        for key in keys:
            if shape not in key.shapes:
                raise InvalidArgumentException(f"Trigram() takes texts, and {key.label} is none")
        expressions = [target.expression(place, shape) for place in places]
        condition = None if self.where is None else target.condition(self.where, "Trigram")
        words = [*_words(places), *(["ci"] if self.ignore_case else []), *_told(condition)]
        columns = [f"({expression}) {{{_TRIGRAMS}}}.gin_trgm_ops" for expression in expressions]
        return [
            Definition(
                kind=Kind.INDEX,
                name=self.name or object_name(target.table, words, "trgm"),
                table=target.table,
                body=index_body(target.table, "gin", columns, condition),
                fields=tuple(place.label for place in places),
                keys=tuple(expressions),
                condition=condition,
                extensions=(_TRIGRAMS,),
            )
        ]


def _words(places: Sequence[Place]) -> list[str]:
    """Return what a name says of fields."""
    return [str(part) for place in places for part in place.path]


def _told(condition: str | None) -> list[str]:
    """Return what a name says of a condition."""
    return [] if condition is None else [hashlib.sha256(condition.encode()).hexdigest()[:8]]
