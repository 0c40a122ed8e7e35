"""Indexes that searches are declared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Final

from typing_extensions import override

from docsession._errors import InvalidArgumentException
from docsession._query._full_text import DEFAULT_LANGUAGE, text_places
from docsession._query._index_ddl import IndexTarget
from docsession._query._index_kinds import IndexKind, Keys, check_declaration, index_body, words_of_condition
from docsession._query._operands import Place
from docsession._query._vectors import check_metric, vector_place
from docsession._sql._definitions import Definition, Kind, TextIndex, VectorIndexed, escaped, object_name
from docsession._sql._quoting import quote_identifier
from docsession._sql._schema import COLLECTION_COLUMNS
from docsession._sql._search import check_language, text_vector
from docsession._sql._values import Shape
from docsession._sql._vectors import EXTENSION, operator_class, vector_at, vector_type

_TRIGRAMS: Final = "pg_trgm"
_M: Final = 16
_EF_CONSTRUCTION: Final = 64


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
        condition = target.condition(self.where, "FullText")
        index = Definition(
            kind=Kind.INDEX,
            name=self.name or object_name(target.table, [*words, *words_of_condition(condition)], "fts"),
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
        condition = target.condition(self.where, "Trigram")
        words = [*_words(places), *(["ci"] if self.ignore_case else []), *words_of_condition(condition)]
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


@dataclass(frozen=True, slots=True)
class VectorIndex(IndexKind):
    """An HNSW index of pgvector's, for the documents with the nearest vectors: for `nearest` and `vector_search`.

    PostgreSQL needs the extension `vector`. The index may miss one or another of the nearest. Documents without a
    vector of that size are not in it; nor is, with "cosine", one of zeros alone.

    Args:
        keys: `lambda o: o.embedding`, a list of numbers.
        dimensions: How many numbers a vector has: 2,000 at most, 4,000 with *half*.
        metric: "cosine", "l2" or "inner_product", as the queries say.
        half: True keeps numbers of half precision, up to 65,000, in half the space.
        stored: True keeps the vectors in a generated column, too. False saves that space, and reads vectors from the
            documents' JSON, which is slow where many distances are computed: with conditions, or without the index.
        m: How many neighbours each vector has in the index, from 2 to 100; None is pgvector's 16.
        ef_construction: How many candidates for them are looked at, from 4 to 1,000, and twice *m* at least; None is
            pgvector's 64. More of both makes the index miss less, and slower to write.
        where: The condition of the documents that it holds. Queries use it whose conditions say so, too.
        name: Its name in the database; None makes one of the table, the field and the metric.

    Raises:
        InvalidArgumentException: A value cannot be used.
    """

    keys: Keys
    _: KW_ONLY
    dimensions: int
    metric: str = "cosine"
    half: bool = False
    stored: bool = True
    m: int | None = None
    ef_construction: int | None = None
    where: Callable[[Any], object] | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        check_declaration(self, "VectorIndex")
        check_metric(self.metric, "VectorIndex")
        longest = 4000 if self.half else 2000
        if type(self.dimensions) is not int or not 0 < self.dimensions <= longest:
            more = "" if self.half else ", or to 4000 with half=True"
            raise InvalidArgumentException(
                f"VectorIndex(dimensions={self.dimensions!r:.40}): a vector has from 1 to {longest} numbers{more}"
            )
        for name, least, most in (("m", 2, 100), ("ef_construction", 4, 1000)):
            number: object = getattr(self, name)
            if number is not None and (type(number) is not int or not least <= number <= most):
                raise InvalidArgumentException(
                    f"VectorIndex({name}={number!r:.40}): it is a number from {least} to {most}"
                )
        if (self.ef_construction or _EF_CONSTRUCTION) < 2 * (self.m or _M):
            raise InvalidArgumentException(
                f"VectorIndex(m={self.m}, ef_construction={self.ef_construction}): ef_construction is twice m at "
                f"least; by default m is {_M} and ef_construction {_EF_CONSTRUCTION}"
            )

    @override
    def define(self, target: IndexTarget) -> Sequence[Definition]:
        keys = target.keys(self.keys, "VectorIndex")
        if len(keys) > 1 or keys[0].is_descending:
            raise InvalidArgumentException("VectorIndex() takes one field of the documents; declare each by itself")
        place = vector_place(keys[0].operand, keys[0].label, "VectorIndex")
        vector = VectorIndexed(place.path, self.dimensions, self.metric, self.half)
        expression, schema = self._expression(place)
        words = _words([place])
        made = []
        indexed = f"({expression})"
        if self.stored:
            column = self._column(target, place, expression)
            made.append(column)
            vector = replace(vector, column=column.name, digest=column.digest)
            indexed = escaped(quote_identifier(column.name))
        condition = target.condition(self.where, "VectorIndex")
        ending = [str(self.dimensions), *(["half"] if self.half else []), self.metric, *words_of_condition(condition)]
        options = [f"m = {self.m}"] * (self.m is not None)
        options += [f"ef_construction = {self.ef_construction}"] * (self.ef_construction is not None)
        sorted_by = operator_class(self.metric, schema, half=self.half)
        index = Definition(
            kind=Kind.INDEX,
            name=self.name or object_name(target.table, [*words, *ending], "hnsw"),
            table=target.table,
            body=index_body(target.table, "hnsw", [f"{indexed} {sorted_by}"], condition, options),
            fields=(place.label,),
            condition=condition,
            extensions=(EXTENSION,),
            needs=(vector.column,) if vector.column is not None else (),
            vector=vector,
        )
        return [*made, index]

    def _expression(self, place: Place) -> tuple[str, str]:
        """Return the templates of a document's vector, and of the extension's schema."""
        # Nothing that is declared holds NUL.
        vector = vector_at("data", place.path, self.dimensions, "\0", half=self.half)
        schema = f"{{{EXTENSION}}}"
        return escaped(vector).replace("\0", schema), schema

    def _column(self, target: IndexTarget, place: Place, expression: str) -> Definition:
        words = [*_words([place]), str(self.dimensions), *(["half"] if self.half else [])]
        type_ = vector_type(self.dimensions, f"{{{EXTENSION}}}", half=self.half)
        return Definition(
            kind=Kind.COLUMN,
            name=object_name(words[0], words[1:], "vector"),
            table=target.table,
            body=f"{type_} GENERATED ALWAYS AS ({expression}) STORED",
            fields=(place.label,),
            extensions=(EXTENSION,),
        )


def _words(places: Sequence[Place]) -> list[str]:
    """Return what a name says of fields."""
    return [str(part) for place in places for part in place.path]
