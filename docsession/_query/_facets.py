"""Facets: how the documents that a query finds spread over values and ranges of fields, in one statement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from docsession._documents._containers import Items
from docsession._documents._places import MisfitError
from docsession._documents._values import read_json
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._port import Row
from docsession._query._compilation import Compilation
from docsession._query._kinds import CASTS, bare, binder, is_ordered, shape_of_value
from docsession._query._operands import Place
from docsession._query._projection import group_sql
from docsession._query._recorder import Recorded, operand_of, record
from docsession._sql._values import Shape, items_of

MOST_VALUES: Final = 1000
"""Values of one facet that are returned, those with the most documents first."""


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value or range of a facet.

    Attributes:
        value: The value; for a range `(low, high)`, of which None is open.
        count: How many documents have it.
    """

    value: Any
    count: int


class Facet:
    """A field, by its values or by ranges of them.

    Attributes:
        name: What the result calls it.
        place: The field.
        ranges: `(low, high)` of each range, low included, high not; empty: by value.
        items: The form of the items of a list, each of which is a value; None where the field holds none.
    """

    __slots__ = ("items", "name", "place", "ranges", "shape")

    def __init__(self, name: str, place: Place, ranges: Sequence[tuple[Any, Any]]) -> None:
        self.name = name
        self.place = place
        self.ranges = tuple(ranges)
        self.shape = Shape.TEXT
        form = bare(place.form)
        self.items = form.item if isinstance(form, Items) else None
        bounds = [bound for pair in ranges for bound in pair if bound is not None]
        shapes = {shape_of_value(place.form, bound, place.label) for bound in bounds}
        if bounds:
            if len(shapes) > 1 or Shape.JSON in shapes or not is_ordered(place.form, bounds[0]):
                raise InvalidArgumentTypeException(f"facets({name}=…): {place.label} has no order in which ranges lie")
            (self.shape,) = shapes

    def walk(self, key: list[object], values: list[Any]) -> None:
        """Add what tells its SQL from that of others to *key*, and its bounds to *values*."""
        open_ends = tuple((low is None, high is None) for low, high in self.ranges)
        key.append(("facet", self.shape, open_ends))
        self.place.walk(key, values)
        values += [bound for pair in self.ranges for bound in pair if bound is not None]

    def value_sql(self, to: Compilation) -> str:
        """Return the SQL of the field."""
        if self.items is not None:
            return self.place.json(to)
        return self.place.sql(to, self.shape) if self.ranges else group_sql(self.place, to)

    def rows_sql(self, to: Compilation, number: int) -> str:
        """Return the statement for its rows: the facet's number, the value or the range's number, the count."""
        column = f"f{number}"
        if self.items is not None:
            each = f"(SELECT DISTINCT value FROM {items_of(column, ())}) AS each"
            counted = f"SELECT {number} AS facet, each.value, count(*) AS documents FROM m CROSS JOIN LATERAL {each}"
            return f"(({counted} GROUP BY each.value) ORDER BY 3 DESC, 2 LIMIT {MOST_VALUES})"
        if not self.ranges:
            counted = f"SELECT {number} AS facet, to_jsonb({column}) AS value, count(*) AS documents FROM m"
            return f"(({counted} GROUP BY {column}) ORDER BY 3 DESC, 2 LIMIT {MOST_VALUES})"
        rows = []
        for position, (low, high) in enumerate(self.ranges):
            bounds = []
            if low is not None:
                bounds.append(f"{column} >= {self._bind(to)}")
            if high is not None:
                bounds.append(f"{column} < {self._bind(to)}")
            condition = " AND ".join(bounds) or f"{column} IS NOT NULL"
            rows.append(f"SELECT {number}, to_jsonb({position}), count(*) FROM m WHERE {condition}")
        return " UNION ALL ".join(rows)

    def _bind(self, to: Compilation) -> str:
        return to.bind(to.take(), binder(self.place.form, self.shape), CASTS[self.shape])

    def read(self, value: bytes | None) -> Any:
        """Return the value, or the range, of a row."""
        json: Any = None if value is None else read_json(value[1:])
        if self.ranges:
            return self.ranges[json]
        return None if json is None else bare(self.items or self.place.form).decode(json, None)


def facets_of(root: Recorded, given: Mapping[str, Any]) -> list[Facet]:
    """Return the facets that keywords name.

    Raises:
        InvalidArgumentException: One is no field, or its ranges are none.
    """
    if not given:
        raise InvalidArgumentException("facets() takes fields by name: facets(country=lambda o: o.country)")
    return [_facet(root, name, each) for name, each in given.items()]


def read_facets(facets: Sequence[Facet], rows: Sequence[Row]) -> dict[str, list[FacetValue]]:
    """Return the rows of all facets by name; a facet's values in the order of their counts, ranges in theirs.

    What a document of unexpected shape holds in the place of such a value is none.
    """
    found: dict[str, list[FacetValue]] = {facet.name: [] for facet in facets}
    for number, value, count in rows:
        facet = facets[number]
        with suppress(MisfitError):
            found[facet.name].append(FacetValue(facet.read(value), count))
    return found


def _facet(root: Recorded, name: str, given: object) -> Facet:
    function: Callable[[Any], object]
    ranges: Sequence[Any] = ()
    if isinstance(given, tuple) and len(given) == 2:
        function, ranges = given
        if not isinstance(ranges, (list, tuple)) or not ranges:
            raise InvalidArgumentException(
                f"facets({name}=(function, ranges)) takes ranges as [(None, 10), (10, None)]"
            )
        for each in ranges:
            if not isinstance(each, tuple) or len(each) != 2:
                raise InvalidArgumentException(f"facets({name}=…): a range is (low, high), not {each!r:.60}")
    else:
        function = given  # type: ignore[assignment]  # `record` refuses what is none
    place = operand_of(record(function, root, f"facets({name}=…)"))
    if not isinstance(place, Place) or not place.label:
        raise InvalidArgumentTypeException(f"facets({name}=…) takes a function that returns a field")
    return Facet(name, place, ranges)
