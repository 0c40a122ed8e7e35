"""Which index would serve the queries of a shape, as a declaration to be pasted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from docsession._query._functions import Descending
from docsession._query._index_ddl import TYPES
from docsession._query._index_kinds import IndexKind
from docsession._query._indexes import GinIndex, Index
from docsession._query._recorder import Recorded
from docsession._query._search_indexes import FullText, Trigram, VectorIndex
from docsession._query._shape_reading import operand_from_shape, place_from_shape
from docsession._query._shapes import (
    Alternatives,
    ConditionShape,
    FieldShape,
    How,
    KeyShape,
    LengthShape,
    ListCondition,
    NearestShape,
    OperandShape,
    OrderShape,
    QueryShape,
    SearchCondition,
    ValueCondition,
    field_text,
)
from docsession._sql._definitions import Definition, VectorIndexed, escaped
from docsession._sql._values import Shape, json_at, text_at

_MOST_KEYS: Final = 3
"""Equalities that one index begins with: of more the first few find the documents as well."""

NO_USES: Final[Mapping[OperandShape, int]] = MappingProxyType({})
_BY_RANGE: Final[tuple[How, ...]] = ("in", "prefix", "range", "null")
_IN_TEXTS: Final[tuple[How, ...]] = ("part", "regex")
_LONGEST_EXACT: Final = 2000
"""Of longer vectors pgvector's indexes hold numbers of half precision only."""
_TYPE_NAMES: Final = {shape: name for name, shape in TYPES.items()}


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index that would serve a query.

    Attributes:
        text: The declaration, to be pasted.
        declaration: The same.
        needs: The extension that PostgreSQL needs for it; None: none.
        is_by_value: True for a b-tree that does nothing but to find what equals some values.
    """

    text: str
    declaration: IndexKind
    needs: str | None = None
    is_by_value: bool = False


def equalities(shape: QueryShape) -> set[OperandShape]:
    """Return what queries of a shape compare for equality."""
    return _equalities(shape.where)


def _equalities(conditions: Iterable[ConditionShape]) -> set[OperandShape]:
    found: set[OperandShape] = set()
    for each in conditions:
        if isinstance(each, ValueCondition) and each.how == "equal":
            found.add(each.of)
        elif isinstance(each, Alternatives):
            found.update(*map(_equalities, each.of))
    return found


def candidates(shape: QueryShape, uses: Mapping[OperandShape, int] = NO_USES) -> list[Candidate]:
    """Return the indexes that queries of a shape need, all of them; none where no index would serve them.

    Args:
        shape: The shape.
        uses: How many shapes compare what for equality: what most of them do comes first, so that one index serves
            several.
    """
    if shape.nearest is not None:
        return [_vectors(shape.nearest)]
    order = shape.order or () if shape.is_limited else ()
    if any(Shape.JSON in _sorted_as(each.of) for each in order):
        order = ()  # sorted by what is neither a text nor a number
    if not shape.where:
        return [_tree([], order)] if order and not shape.is_filtered else []
    return _for_all_of(shape.where, order, uses)


def may_hold(index: Definition, shape: QueryShape) -> bool:
    """Return False for an index of some of the documents only, where queries of a shape do not say that it is those.

    Where they compare a field of its condition, or something that the shape does not tell, their values decide.
    """
    condition = index.condition
    if condition is None or shape.is_filtered:
        return True
    return any(_is_in(each, condition) for each in _compared(shape.where))


def _compared(conditions: Iterable[ConditionShape]) -> Iterator[OperandShape]:
    for each in conditions:
        if isinstance(each, Alternatives):
            for arm in each.of:
                yield from _compared(arm)
        elif isinstance(each, SearchCondition):
            yield from each.of
        else:
            yield each.of


def _is_in(compared: OperandShape, condition: str) -> bool:
    field = compared.of if isinstance(compared, LengthShape) else compared
    if isinstance(field, KeyShape):
        return field.key != "@id"
    return any(escaped(write("data", field.path)) in condition for write in (text_at, json_at))


def is_served_by(wanted: Definition, others: Iterable[Definition]) -> bool:
    """Return True where one of *others* serves what *wanted* is for; it may hold some of the documents only.

    A b-tree serves whatever one serves that has its first keys.
    """
    for each in others:
        if each.kind is not wanted.kind or each.is_unique:
            continue
        if each.body == wanted.body or each.body.startswith(f"{wanted.body} WHERE "):
            return True
        is_tree = wanted.tree is not None and each.tree is not None
        if is_tree and each.keys[: len(wanted.keys)] == wanted.keys:
            return True
        if wanted.vector is not None and each.vector is not None and _is_as_near(wanted.vector, each.vector):
            return True
        if wanted.text is not None and each.text is not None and wanted.text.paths == each.text.paths:
            return True
    return False


def _for_all_of(
    conditions: Sequence[ConditionShape], order: Sequence[OrderShape], uses: Mapping[OperandShape, int]
) -> list[Candidate]:
    values = [each for each in conditions if isinstance(each, ValueCondition) and each.of != KeyShape("@id")]
    lists = [each for each in conditions if isinstance(each, ListCondition)]
    for search in conditions:
        if isinstance(search, SearchCondition):
            return [_full_text(search)]
    equal = sorted((each for each in values if each.how == "equal"), key=lambda each: -uses.get(each.of, 0))
    if equal:
        return [_tree(equal, order, [each for each in values if each.how in _BY_RANGE])]
    if lists:
        return [_gin(lists[0])]
    for each in values:
        if each.how in _BY_RANGE:
            return [_single(each)]
    for each in values:
        if each.how in _IN_TEXTS:
            return [_trigram(each)]
    for alternatives in conditions:
        if isinstance(alternatives, Alternatives):
            found = [_for_all_of(each, (), uses) for each in alternatives.of]
            return [one for each in found for one in each] if all(found) else []
    return []


def _tree(
    equal: Sequence[ValueCondition], order: Sequence[OrderShape], others: Sequence[ValueCondition] = ()
) -> Candidate:
    """Return the b-tree that begins with equalities, and goes on with the order, or with a range."""
    plain = [each for each in equal if _sorted_as(each.of) == (each.compared_as,)]
    if equal and not plain:
        # Keys without regard to case, or of a type that nothing declares, are not mixed with others.
        alike = [each for each in equal if each.compared_as is equal[0].compared_as and _is_loose(each)]
        return _by_value(_index([(each.of, False) for each in alike[:_MOST_KEYS] or equal[:1]], equal[0]))
    keys: list[tuple[OperandShape, bool]] = [(each.of, False) for each in plain[:_MOST_KEYS]]
    known = [of for of, _ in keys]
    sorted_by = []
    for each in order:
        if each.of == KeyShape("@id"):
            break  # the last key of every index
        if each.of not in known:
            sorted_by.append(each)
    if sorted_by and not any(each.ignores_case for each in sorted_by):
        # An index is read in both directions.
        flipped = sorted_by[0].down
        return _index([*keys, *((each.of, each.down is not flipped) for each in sorted_by)])
    if not keys:
        return _index([(each.of, each.down is not sorted_by[0].down) for each in sorted_by], ignores_case=True)
    for other in others:
        if other.of not in known and _is_as_sorted(other):
            return _index([*keys, (other.of, False)])
    return _by_value(_index(keys))


def _single(condition: ValueCondition) -> Candidate:
    return _index([(condition.of, False)], condition)


def _index(
    keys: Sequence[tuple[OperandShape, bool]], typed: ValueCondition | None = None, *, ignores_case: bool = False
) -> Candidate:
    """Return a b-tree, for keys as they are sorted or, where *typed* says so, as that is compared."""
    type_ = None
    if typed is not None:
        ignores_case = typed.compared_as is Shape.FOLDED
        if not ignores_case and (_is_loose(typed) or not _is_as_sorted(typed)) and typed.how != "null":
            type_ = _TYPE_NAMES[typed.compared_as]
    options = ", ignore_case=True" if ignores_case else "" if type_ is None else f", type={type_!r}".replace("'", '"')
    parts: list[Any] = []
    for of, down in keys:
        operand = operand_from_shape(of)
        parts.append(Descending(operand) if down else Recorded(operand))
    texts = [f"desc({_text(of)})" if down else _text(of) for of, down in keys]
    made = tuple(parts) if len(parts) > 1 else parts[0]
    return Candidate(f"Index({_function(texts)}{options})", Index(lambda _: made, ignore_case=ignores_case, type=type_))


def _by_value(candidate: Candidate) -> Candidate:
    return replace(candidate, is_by_value=True)


def _gin(condition: ListCondition) -> Candidate:
    field = Recorded(place_from_shape(condition.of))
    return Candidate(f"GinIndex({_function([_text(condition.of)])})", GinIndex(lambda _: field))


def _full_text(condition: SearchCondition) -> Candidate:
    fields = tuple(Recorded(place_from_shape(each)) for each in condition.of)
    texts = _function([_text(each) for each in condition.of])
    language = condition.language
    if language is None:
        return Candidate(f"FullText({texts})", FullText(lambda _: fields))
    declared = FullText(lambda _: fields, language=language)  # refuses what is none
    return Candidate(f'FullText({texts}, language="{language}")', declared)


def _trigram(condition: ValueCondition) -> Candidate:
    field = Recorded(operand_from_shape(condition.of))
    ignores_case = condition.compared_as is Shape.FOLDED
    option = ", ignore_case=True" if ignores_case else ""
    text = f"Trigram({_function([_text(condition.of)])}{option})"
    return Candidate(text, Trigram(lambda _: field, ignore_case=ignores_case), "pg_trgm")


def _vectors(nearest: NearestShape) -> Candidate:
    field = Recorded(place_from_shape(nearest.of))
    half = nearest.size > _LONGEST_EXACT
    declared = VectorIndex(lambda _: field, dimensions=nearest.size, metric=nearest.metric, half=half)
    metric = "" if nearest.metric == "cosine" else f', metric="{nearest.metric}"'
    options = f"dimensions={nearest.size}{metric}{', half=True' if half else ''}"
    return Candidate(f"VectorIndex({_function([_text(nearest.of)])}, {options})", declared, "vector")


def _is_as_near(one: VectorIndexed, other: VectorIndexed) -> bool:
    return (one.path, one.size, one.metric) == (other.path, other.size, other.metric)


def _sorted_as(of: OperandShape) -> tuple[Shape, ...]:
    """Return what an index has of an operand where nothing is said of its type."""
    if isinstance(of, LengthShape):
        return (Shape.NUMBER,)
    if isinstance(of, KeyShape):
        return (Shape.INSTANT if of.key == "@last-modified" else Shape.TEXT,)
    match of.holds:
        case "text":
            return (Shape.TEXT,)
        case "number":
            return (Shape.NUMBER,)
        case "datetime":
            return (Shape.INSTANT, Shape.TEXT)
        case "list" | "object":
            return (Shape.JSON,)
        case "any":
            return (Shape.NUMBER, Shape.TEXT)


def _is_as_sorted(condition: ValueCondition) -> bool:
    return condition.how == "null" or condition.compared_as is _sorted_as(condition.of)[0]


def _is_loose(condition: ValueCondition) -> bool:
    of = condition.of
    return isinstance(of, FieldShape) and (of.holds == "any" or condition.compared_as is Shape.FOLDED)


def _text(of: OperandShape) -> str:
    if isinstance(of, FieldShape):
        return field_text(of)
    return f"len_({field_text(of.of)})" if isinstance(of, LengthShape) else f"meta({of.key!a})"


def _function(texts: Sequence[str]) -> str:
    return f"lambda o: {texts[0]}" if len(texts) == 1 else f"lambda o: ({', '.join(texts)})"
