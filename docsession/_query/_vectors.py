"""The distance of a document's vector from another one, and the documents with the nearest ones, through pgvector."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from typing_extensions import override

from docsession._documents._form import Form
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._port import Settings
from docsession._query._access import Access
from docsession._query._compilation import Compilation
from docsession._query._kinds import bare
from docsession._query._operands import NUMBERS, Operand, Place
from docsession._query._recorder import Recorded, item_form, operand_of
from docsession._query._statements import DOCUMENT
from docsession._sql import _vectors as sql_of
from docsession._sql._definitions import VectorIndexed
from docsession._sql._values import Shape

_LARGEST: Final = 16_000
_MOST: Final = 2**63 - 1
_GREATEST: Final = 3.4e38
_CANDIDATES: Final = 100
_CANDIDATES_FOR_EACH: Final = 4
"""How many more than asked for an index looks at where nobody says."""
_MOST_CANDIDATES: Final = 1000
_GOES_ON: Final = (0, 8)
"""The version of pgvector from which on a search goes on until it has found as many as are asked for."""


class Distance(Operand):
    """How far the vector at a place is from a given one; null where a document has none of that size."""

    __slots__ = ("_vector", "metric", "place", "size")

    def __init__(self, place: Place, vector: Sequence[float], metric: str) -> None:
        self.place = place
        self.size = len(vector)
        self.metric = metric
        self._vector = f"[{','.join(map(repr, vector))}]"
        self.form = NUMBERS
        self.label = f"distance({place.label})"

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(("distance", self.metric, self.size))
        self.place.walk(key, values)
        values.append(self._vector)

    @override
    def sql(self, to: Compilation, shape: Shape) -> str:
        return sql_of.finite(self.raw(to))

    def raw(self, to: Compilation, indexed: VectorIndexed | None = None) -> str:
        """Return it as pgvector computes it; where an index is given, in the words of the index."""
        place, schema = self.place, to.access.extension(sql_of.EXTENSION).quoted
        half = indexed is not None and indexed.half
        type_ = sql_of.vector_type(self.size, schema, half=half)
        given = to.bind(to.take(), _same, f"::text::{type_}")
        if indexed is None and place.scope is None:
            indexed = to.access.vector_column(place.path, self.size)
        if indexed is not None and indexed.column is not None:
            vector = indexed.sql(to.row)
        else:
            vector = sql_of.vector_at(to.document(place.scope), place.path, self.size, schema, half=half)
        return sql_of.raw_distance(vector, self.metric, given, schema)


class Nearest:
    """The documents whose vectors are nearest to a given one: what a query is about, before its order and its pages.

    Args:
        distance: How far they are.
        count: How many; None, where *exact* is True: all of them.
        exact: True: all vectors are compared, whatever index there is.
        candidates: How many an index looks at; None: some more than are asked for.
        farthest: The greatest distance; None: any.
    """

    __slots__ = ("_candidates", "_count", "_distance", "_exact", "_farthest")

    def __init__(
        self,
        distance: Distance,
        count: int | None,
        *,
        exact: bool = False,
        candidates: int | None = None,
        farthest: float | None = None,
    ) -> None:
        self._distance = distance
        self._exact = exact
        self._candidates = candidates
        self._count = _MOST if count is None else count
        self._farthest = farthest

    def walk(self, key: list[object], values: list[Any], *, exact: bool) -> None:
        """See `Predicate.walk`; where *exact* is True all vectors are compared in any case."""
        key.append(("nearest", self._exact or exact, self._farthest is None))
        self._distance.walk(key, values)
        values += (self._count, self._farthest)

    def source(self, to: Compilation, table: str, where: str, *, exact: bool) -> str:
        """Return what stands behind FROM for them.

        Args:
            to: The compilation.
            table: The table.
            where: The WHERE of the documents among which they are, or "".
            exact: As for `walk`.
        """
        indexed = None if exact else self._index(to.access)
        distance = self._distance.raw(to, indexed)
        count, farthest = to.take(), to.take()
        limit = to.bind(count, _same)
        most = None if self._farthest is None else to.bind(farthest, repr, "::text::float8")
        columns = ", ".join(f"t.{name}" for name in (*DOCUMENT, *to.access.column_names))
        return sql_of.nearest_rows(table, columns, where, distance, limit, most, by_index=indexed is not None)

    def settings(self, access: Access) -> Settings:
        """Return what the server is to be told where an index may serve it.

        pgvector looks at 40 vectors, and drops those that do not fulfil the conditions, however many are asked for.
        """
        if self._index(access) is None:
            return ()
        candidates = self._candidates or min(max(_CANDIDATES_FOR_EACH * self._count, _CANDIDATES), _MOST_CANDIDATES)
        settings = [("hnsw.ef_search", str(candidates))]
        if access.extension(sql_of.EXTENSION).version >= _GOES_ON:
            # It may find them in another order than that of their distances, by which they are sorted afterwards.
            settings.append(("hnsw.iterative_scan", "relaxed_order"))
        return tuple(settings)

    def _index(self, access: Access) -> VectorIndexed | None:
        distance = self._distance
        if self._exact or distance.place.scope is not None:
            return None
        return access.vector_index(distance.place.path, distance.size, distance.metric)


class Nearness(Operand):
    """What the nearest documents are sorted by: the distance that they were found with."""

    __slots__ = ("nearest",)

    def __init__(self, nearest: Nearest) -> None:
        self.nearest = nearest
        self.form = NUMBERS
        self.label = "nearest(…)"

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append("nearness")

    @override
    def sql(self, to: Compilation, shape: Shape) -> str:
        # An index may have them in another order than PostgreSQL takes for granted: a sum is sorted anew.
        return f"({to.row}{sql_of.NEARNESS} + 0)"


def nearest(
    items: Iterable[float] | None,
    vector: Iterable[float],
    k: int,
    /,
    *,
    metric: str = "cosine",
    exact: bool = False,
    candidates: int | None = None,
) -> float:
    """Return what `order_by` sorts by to find the *k* documents with the nearest vectors, the nearest first.

    `order_by(lambda o: nearest(o.embedding, vector, 10))`: of the documents that fulfil the conditions, 10 at most;
    `skip`, `take` and further orders are about those. Those without a vector of that size are left out. PostgreSQL
    needs the extension `vector` (pgvector). Where a `VectorIndex` is declared for the field, of this size and
    metric, it may miss one or another of the nearest.

    Args:
        items: The field: a list of numbers.
        vector: Numbers, as many as the documents' vectors have; NumPy's arrays do, too.
        k: How many documents.
        metric: "cosine", "l2" or "inner_product" (its negative, as the nearest have the least).
        exact: True compares all vectors, and leaves the index alone.
        candidates: How many vectors the index looks at, from 1 to 1,000; the more, the fewer it misses, and the longer
            it takes. None: four times as many as are asked for, and 100 at least.

    Raises:
        InvalidArgumentException: The field holds no list of numbers, or a value cannot be used.
    """
    if type(k) is not int or not 0 < k <= _MOST:
        raise InvalidArgumentException(f"nearest() takes a number of documents, 1 or more, not {k!r:.40}")
    if candidates is not None:
        if type(candidates) is not int or not 0 < candidates <= _MOST_CANDIDATES:
            raise InvalidArgumentException(
                f"nearest(candidates=…) takes a number from 1 to {_MOST_CANDIDATES}, not {candidates!r:.40}"
            )
        if exact:
            raise InvalidArgumentException("nearest(exact=True) compares all vectors: candidates are an index's")
    found = Nearest(distance_of(items, vector, metric, "nearest"), k, exact=exact, candidates=candidates)
    return cast("float", Recorded(Nearness(found)))


def distance(items: Iterable[float] | None, vector: Iterable[float], /, *, metric: str = "cosine") -> float:
    """Return how far a vector is from another one, for conditions and `select`; None for documents without one.

    Args:
        items: The field: a list of numbers.
        vector: Numbers, as many as the documents' vectors have.
        metric: As for `nearest`.

    Raises:
        InvalidArgumentException: The field holds no list of numbers, or a value cannot be used.
    """
    return cast("float", Recorded(distance_of(items, vector, metric, "distance")))


def distance_of(items: object, vector: object, metric: object, function: str) -> Distance:
    """Return how far the vector at a place is from a given one.

    Raises:
        InvalidArgumentException: The place holds no list of numbers, or a value cannot be used.
    """
    place = vector_place(operand_of(items), items, function)
    checked = check_metric(metric, function)
    numbers = _numbers(vector, f"{function}({place.label}, …)")
    if checked == "cosine" and not any(numbers):
        raise InvalidArgumentException(f"{function}(): zeros have no direction, so cosine knows no distance from them")
    return Distance(place, numbers, checked)


def vector_place(operand: Operand | None, given: object, function: str) -> Place:
    """Return a field that holds a list of numbers.

    Raises:
        InvalidArgumentTypeException: It does not.
    """
    if not isinstance(operand, Place) or not operand.label:
        raise InvalidArgumentTypeException(f"{function}() takes a field of the document first, not {given!r:.60}")
    form = bare(operand.form)
    if not form.untyped and ("array" not in form.kinds or not _holds_numbers(item_form(operand))):
        raise InvalidArgumentTypeException(
            f"{function}() looks at lists of numbers, and {operand.label} holds {operand.form.label}"
        )
    return operand


def check_metric(metric: object, function: str) -> str:
    """Return the name of a distance.

    Raises:
        InvalidArgumentException: There is no such distance.
    """
    if not isinstance(metric, str) or metric not in sql_of.OPERATORS:
        raise InvalidArgumentException(
            f"{function}(metric={metric!r:.40}): there are {', '.join(map(repr, sql_of.OPERATORS))}"
        )
    return metric


def _holds_numbers(form: Form) -> bool:
    form = bare(form)
    return form.untyped or "number" in form.kinds


def _numbers(vector: object, label: str) -> list[float]:
    if isinstance(vector, (str, bytes, Recorded)) or not isinstance(vector, Iterable):
        raise InvalidArgumentTypeException(f"{label} takes numbers, in a list or the like, not {vector!r:.60}")
    try:
        numbers = [float(each) for each in vector]
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgumentTypeException(f"{label} takes numbers, not {vector!r:.60}") from error
    if not 0 < len(numbers) <= _LARGEST:
        raise InvalidArgumentException(f"{label}: a vector has 1 to {_LARGEST} numbers, not {len(numbers)}")
    if not all(math.isfinite(each) and abs(each) <= _GREATEST for each in numbers):
        raise InvalidArgumentException(f"{label}: pgvector's numbers are finite, up to {_GREATEST}")
    return [0.0 if abs(each) < 1e-44 else each for each in numbers]


def _same(value: Any) -> Any:
    return value
