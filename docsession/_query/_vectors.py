"""The distance of a document's vector from another one, through pgvector."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from typing_extensions import override

from docsession._documents._form import Form
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._compilation import Compilation
from docsession._query._kinds import bare
from docsession._query._operands import NUMBERS, Operand, Place
from docsession._query._predicates import Predicate
from docsession._query._recorder import Recorded, item_form, operand_of
from docsession._sql import _vectors as sql_of
from docsession._sql._values import Shape

_LARGEST: Final = 16_000
_MOST: Final = 2**63 - 1
_GREATEST: Final = 3.4e38


class Distance(Operand):
    """How far the vector at a place is from a given one; null where a document has none of that size.

    Attributes:
        count: How many of the nearest documents a query returns that sorts by it; None: all.
    """

    __slots__ = ("_metric", "_place", "_size", "_vector", "count")

    def __init__(self, place: Place, vector: Sequence[float], metric: str, count: int | None = None) -> None:
        self._place = place
        self._size = len(vector)
        self._vector = f"[{','.join(map(repr, vector))}]"
        self._metric = metric
        self.count = count
        self.form = NUMBERS
        self.label = f"distance({place.label})"

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(("distance", self._metric, self._size))
        self._place.walk(key, values)
        values.append(self._vector)

    @override
    def sql(self, to: Compilation, shape: Shape) -> str:
        schema = to.access.schema_of(sql_of.EXTENSION)
        given = to.bind(to.take(), _same, f"::text::{sql_of.vector_type(self._size, schema)}")
        return sql_of.distance(self.vector(to, schema), self._metric, given, schema)

    def vector(self, to: Compilation, schema: str) -> str:
        """Return the document's vector."""
        place = self._place
        return sql_of.vector_at(to.document(place.scope), place.path, self._size, schema)

    def exists(self, to: Compilation) -> str:
        """Return the condition that the document has such a vector, which has a distance."""
        place = self._place
        found = f"{self.vector(to, to.access.schema_of(sql_of.EXTENSION))} IS NOT NULL"
        if self._metric != "cosine":
            return found
        document = to.document(place.scope)
        return f"(CASE WHEN {found} THEN {sql_of.is_not_zero(document, place.path)} ELSE FALSE END)"

    def walk_place(self, key: list[object], values: list[Any]) -> None:
        """As `walk`, for `exists`."""
        key.append(("vector", self._metric, self._size))
        self._place.walk(key, values)


class HasDistance(Predicate):
    """Documents with a vector that has a distance from a given one."""

    __slots__ = ("_distance",)

    def __init__(self, distance: Distance) -> None:
        self._distance = distance

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        self._distance.walk_place(key, values)

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        return f"{'NOT ' if negated else ''}({self._distance.exists(to)})"


def nearest(items: Iterable[float] | None, vector: Iterable[float], k: int, /, *, metric: str = "cosine") -> float:
    """Return what `order_by` sorts by to find the *k* documents with the nearest vectors, the nearest first.

    `order_by(lambda o: nearest(o.embedding, vector, 10))`: of the documents that fulfil the conditions, 10 at most.
    Those without a vector of that size are left out. PostgreSQL needs the extension `vector` (pgvector).

    Args:
        items: The field: a list of numbers.
        vector: Numbers, as many as the documents' vectors have; NumPy's arrays do, too.
        k: How many documents.
        metric: "cosine", "l2" or "inner_product" (its negative, as the nearest have the least).

    Raises:
        InvalidArgumentException: The field holds no list of numbers, or a value cannot be used.
    """
    if type(k) is not int or not 0 < k <= _MOST:
        raise InvalidArgumentException(f"nearest() takes a number of documents, 1 or more, not {k!r:.40}")
    return cast("float", Recorded(_distance(items, vector, metric, "nearest", k)))


def distance(items: Iterable[float] | None, vector: Iterable[float], /, *, metric: str = "cosine") -> float:
    """Return how far a vector is from another one, for conditions and `select`; None for documents without one.

    Args:
        items: The field: a list of numbers.
        vector: Numbers, as many as the documents' vectors have.
        metric: As for `nearest`.

    Raises:
        InvalidArgumentException: The field holds no list of numbers, or a value cannot be used.
    """
    return cast("float", Recorded(_distance(items, vector, metric, "distance")))


def _distance(items: object, vector: object, metric: object, function: str, count: int | None = None) -> Distance:
    place = operand_of(items)
    if not isinstance(place, Place) or not place.label:
        raise InvalidArgumentTypeException(f"{function}() takes a field of the document first, not {items!r:.60}")
    form = bare(place.form)
    if not form.untyped and ("array" not in form.kinds or not _holds_numbers(item_form(place))):
        raise InvalidArgumentTypeException(
            f"{function}() looks at lists of numbers, and {place.label} holds {place.form.label}"
        )
    if metric not in sql_of.OPERATORS or not isinstance(metric, str):
        raise InvalidArgumentException(
            f"{function}(metric={metric!r:.40}): there are {', '.join(map(repr, sql_of.OPERATORS))}"
        )
    numbers = _numbers(vector, f"{function}({place.label}, …)")
    if metric == "cosine" and not any(numbers):
        raise InvalidArgumentException(f"{function}(): zeros have no direction, so cosine knows no distance from them")
    return Distance(place, numbers, metric, count)


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
