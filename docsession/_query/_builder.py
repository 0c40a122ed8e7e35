"""The words of RavenDB's query builder, over the same conditions as the functions of `where`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Self, TypeVar

import msgspec
from typing_extensions import override

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._clauses import Clauses, QueryOperator
from docsession._query._conditions import (
    between,
    compared,
    ending_with,
    equal_to,
    existing,
    matching,
    one_of,
    starting_with,
)
from docsession._query._fields import Documents, Leaf, condition_on, field_of
from docsession._query._operands import Operand
from docsession._query._ordering import NullsOrdering, OrderingType, orders_of, shuffled
from docsession._query._parameters import Binding, resolved
from docsession._query._predicates import All, Constant, Predicate
from docsession._query._query import QueryBuilding, but, narrowed, orders_by
from docsession._query._watching import QueryStatistics, QueryTimings, Watchers

T = TypeVar("T")


class RavenBuilding(QueryBuilding[T]):
    """The methods of RavenDB's `DocumentQuery` that say which documents, and in which order.

    Their conditions form one, joined by `and_also` and `or_else`; it holds in addition to what `where` says. Fields
    are named: `"address.city"`, `"lines[].product"` for one of the items of a list, `"id()"` for the id.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def _is_exact(self) -> bool:
        """True where texts are compared exactly unless a method is told otherwise."""

    @property
    @abstractmethod
    def _documents(self) -> Documents:
        """What field names are names of."""

    # conditions

    def where_equals(self, field_name: str, value_or_method: object, exact: bool | None = None) -> Self:
        """Keep the documents whose field equals a value (RavenDB: where_equals).

        Args:
            field_name: The field; of a list, one of its items has to be equal.
            value_or_method: The value; None stands for a null that is there, which a missing field is not.
            exact: True compares texts by code point; None does what `DocumentConventions.exact_queries` says, and
                that is to compare them without regard to case.

        Raises:
            InvalidArgumentException: There is no such field, or it is never equal to such a value.
        """
        return self._clause("where_equals", lambda: self._equal(field_name, value_or_method, exact))

    def where_not_equals(self, field_name: str, value_or_method: object, exact: bool | None = None) -> Self:
        """Keep the documents whose field does not equal a value, those without the field included."""
        return self._clause("where_not_equals", lambda: ~self._equal(field_name, value_or_method, exact))

    def where_not_none(self, field_name: str) -> Self:
        """Keep the documents whose field is not null, those without the field included (RavenDB: where_not_none)."""
        return self.where_not_equals(field_name, None)

    def where_in(self, field_name: str, values: Iterable[object], exact: bool | None = None) -> Self:
        """Keep the documents whose field equals one of several values, among which None is null; of none nothing."""
        return self._clause("where_in", lambda: self._one_of("where_in", field_name, values, exact))

    def contains_any(self, field_name: str, values: Iterable[object]) -> Self:
        """Keep the documents whose list has one of several values; of none nothing."""
        return self._clause("contains_any", lambda: self._one_of("contains_any", field_name, values, None))

    def contains_all(self, field_name: str, values: Iterable[object]) -> Self:
        """Keep the documents whose list has all of several values; without any, all documents."""

        def make() -> Predicate:
            found = [self._equal(field_name, each, None) for each in _several(values, "contains_all")]
            return All(found) if found else Constant(True)

        return self._clause("contains_all", make)

    def where_starts_with(self, field_name: str, value: str, exact: bool | None = None) -> Self:
        """Keep the documents whose field is a text that begins with *value*."""
        return self._clause(
            "where_starts_with",
            lambda: self._on(field_name, starting_with(resolved(value), exact=self._exact(exact))),
        )

    def where_ends_with(self, field_name: str, value: str, exact: bool | None = None) -> Self:
        """Keep the documents whose field is a text that ends with *value*."""
        return self._clause(
            "where_ends_with", lambda: self._on(field_name, ending_with(resolved(value), exact=self._exact(exact)))
        )

    def where_between(self, field_name: str, start: object, end: object, exact: bool | None = None) -> Self:
        """Keep the documents with `start <= field <= end`; None leaves one side open."""
        return self._clause(
            "where_between",
            lambda: self._on(field_name, between(resolved(start), resolved(end), exact=self._exact(exact))),
        )

    def where_greater_than(self, field_name: str, value: object, exact: bool | None = None) -> Self:
        """Keep the documents whose field is greater; numbers compare as numbers, texts in lower case."""
        return self._compare("where_greater_than", ">", field_name, value, exact)

    def where_greater_than_or_equal(self, field_name: str, value: object, exact: bool | None = None) -> Self:
        """Keep the documents whose field is greater or equal."""
        return self._compare("where_greater_than_or_equal", ">=", field_name, value, exact)

    def where_less_than(self, field_name: str, value: object, exact: bool | None = None) -> Self:
        """Keep the documents whose field is less; null is not."""
        return self._compare("where_less_than", "<", field_name, value, exact)

    def where_less_than_or_equal(self, field_name: str, value: object, exact: bool | None = None) -> Self:
        """Keep the documents whose field is less or equal."""
        return self._compare("where_less_than_or_equal", "<=", field_name, value, exact)

    def where_exists(self, field_name: str) -> Self:
        """Keep the documents that have the field, though its value may be null."""
        return self._clause("where_exists", lambda: self._on(field_name, existing()))

    def where_regex(self, field_name: str, pattern: str) -> Self:
        """Keep the documents in whose text PostgreSQL's regular expression finds something, whatever the case."""
        return self._clause("where_regex", lambda: self._on(field_name, matching(resolved(pattern))))

    # what joins them

    def and_also(self, wrap_previous_query_clauses: bool = False) -> Self:
        """Have the next condition hold, too; so it does without a word between two (RavenDB: and_also).

        Args:
            wrap_previous_query_clauses: True puts those before into a group, so that `a OR b` does not become
                `a OR (b AND c)`.
        """
        clauses = self._clauses("and_also")
        return self._with_clauses(clauses.joined(QueryOperator.AND, wrap=wrap_previous_query_clauses))

    def or_else(self) -> Self:
        """Have the next condition hold instead of the one before; AND binds more tightly.

        Raises:
            InvalidOperationException: No condition of the builder is before, but one of `where`, which always holds.
        """
        own = self._clauses("or_else")
        if own.is_empty and self.specification.conditions:
            own.refuse_joining_where()
        return self._with_clauses(own.joined(QueryOperator.OR))

    def not_(self) -> Self:
        """Negate the next condition, or group, which documents without the field then fulfil."""
        return self._with_clauses(self._clauses("not_").negating())

    def negate_next(self) -> Self:
        """Do what `not_` does."""
        return self.not_()

    def open_subclause(self) -> Self:
        """Begin a group of conditions."""
        return self._with_clauses(self._clauses("open_subclause").opened())

    def close_subclause(self) -> Self:
        """End the group of conditions that the last `open_subclause` began.

        Raises:
            InvalidOperationException: None is open, or it is empty.
        """
        return self._with_clauses(self._clauses("close_subclause").closed())

    def using_default_operator(self, query_operator: QueryOperator) -> Self:
        """Say what joins conditions between which nothing is said; AND, if this does not.

        Raises:
            InvalidOperationException: There is a condition of the builder already.
        """
        given: object = query_operator
        if not isinstance(given, QueryOperator):
            raise InvalidArgumentTypeException(
                f"using_default_operator() takes QueryOperator.AND or QueryOperator.OR, not {given!r:.40}"
            )
        return self._with_clauses(self._clauses("using_default_operator").defaulting_to(query_operator))

    # orders

    @override
    def order_by(
        self,
        *keys: Callable[[T], object] | str | OrderingType | NullsOrdering,
        field: str | None = None,
        sorter_name_or_ordering_type: OrderingType | None = None,
        nulls: NullsOrdering | None = None,
    ) -> Self:
        """Sort by fields: numbers as numbers, texts by code point, what has no value last; then by id.

        Args:
            keys: `lambda o: (o.country, desc(o.ordered_at))`, or names: `"country", "-ordered_at"`; or, as in RavenDB,
                one field, an `OrderingType` and a `NullsOrdering`. Those of an earlier call come first.
            field: The one field, by name.
            sorter_name_or_ordering_type: What that is sorted as.
            nulls: Where what has no value stands.

        Raises:
            InvalidArgumentException: There is no such field, or it cannot be sorted by.
        """
        return self._ordered("order_by", keys, field, sorter_name_or_ordering_type, nulls, down=False)

    @override
    def order_by_descending(
        self,
        *keys: Callable[[T], object] | str | OrderingType | NullsOrdering,
        field: str | None = None,
        sorter_name_or_ordering_type: OrderingType | None = None,
        nulls: NullsOrdering | None = None,
    ) -> Self:
        """Sort by fields, from the greatest to the least; what has no value comes first. Arguments as `order_by`'s."""
        return self._ordered("order_by_descending", keys, field, sorter_name_or_ordering_type, nulls, down=True)

    def add_order(
        self,
        field_name: str,
        descending: bool,
        ordering: OrderingType | None = None,
        nulls: NullsOrdering = NullsOrdering.DEFAULT,
    ) -> Self:
        """Sort by one more field (RavenDB: add_order)."""
        return self._ordered("add_order", (), field_name, ordering, nulls, down=descending)

    def random_ordering(self, seed: str | None = None) -> Self:
        """Sort at random, by what the seed and a document's id make; without a seed each asking has one of its own."""
        own = self._unfinished("random_ordering")
        return self._with(but(own, orders=(*own.orders, (shuffled(seed), False))))

    # what is told of the asking

    def statistics(self, stats_callback: Callable[[QueryStatistics], object]) -> Self:
        """Call a function with the statistics of each asking for results, once they are there (RavenDB: statistics).

        The total is found in the same request, which `any()` and pages by keys would else do without. Streams, JSON,
        facets, sums and what changes documents have no statistics, and refuse it.
        """
        return self._watched("statistics", stats_callback)

    def timings(self, timings_callback: Callable[[QueryTimings], object]) -> Self:
        """Call a function with how long each asking for results took, once they are there (RavenDB: timings)."""
        return self._watched("timings", timings_callback)

    # what RavenDB has to be told

    def wait_for_non_stale_results(self, wait_timeout: timedelta | None = None) -> Self:
        """Return the same query: PostgreSQL's indexes are never stale."""
        del wait_timeout
        return self

    def no_caching(self) -> Self:
        """Return the same query: what a query finds is never taken from a cache."""
        return self

    def _watched(self, name: str, callback: object) -> Self:
        if not callable(callback):
            raise InvalidArgumentTypeException(f"{name}() takes a function, not {callback!r:.60}")
        own = self.specification
        watchers = own.watchers or Watchers()
        more: Any = {name: (*getattr(watchers, name), callback)}
        return self._with(but(own, watchers=msgspec.structs.replace(watchers, **more)))

    def _exact(self, exact: bool | None) -> bool:
        return self._is_exact if exact is None else exact

    def _on(self, field_name: str, leaf: Leaf) -> Predicate:
        return condition_on(self._documents, field_name, leaf)

    def _compare(self, method: str, operator: str, field_name: str, value: object, exact: bool | None) -> Self:
        if value is None:
            raise InvalidArgumentException(f"{method}() takes a value: nothing is greater or less than null")
        return self._clause(
            method, lambda: self._on(field_name, compared(operator, resolved(value), exact=self._exact(exact)))
        )

    def _equal(self, field_name: str, value: object, exact: bool | None) -> Predicate:
        return self._on(field_name, equal_to(resolved(value), exact=self._exact(exact)))

    def _one_of(self, method: str, field_name: str, values: object, exact: bool | None) -> Predicate:
        return self._on(field_name, one_of(_several(values, method), exact=self._exact(exact)))

    def _clause(self, method: str, make: Callable[[], Predicate]) -> Self:
        clauses = self._clauses(method)
        binding = Binding(self.specification.parameters)
        made = self._with_clauses(clauses.followed_by(binding.condition(make)))
        return made._with(but(made.specification, parameters=binding.parameters()))

    def _clauses(self, method: str) -> Clauses:
        own = self._unfinished(method)
        return next((each for each in own.conditions if type(each) is Clauses), Clauses())

    def _with_clauses(self, clauses: Clauses) -> Self:
        own = self.specification
        others = tuple(each for each in own.conditions if type(each) is not Clauses)
        return self._with(but(own, conditions=(*others, clauses)))

    def _ordered(
        self,
        method: str,
        keys: tuple[Any, ...],
        field: str | None,
        ordering: OrderingType | None,
        nulls: NullsOrdering | None,
        *,
        down: bool,
    ) -> Self:
        own = self._unfinished(method)
        fields = [each for each in keys if not isinstance(each, (OrderingType, NullsOrdering))]
        fields += [] if field is None else [field]
        for each in keys:
            ordering = each if isinstance(each, OrderingType) else ordering
            nulls = each if isinstance(each, NullsOrdering) else nulls
        if not fields:
            raise InvalidArgumentException(f"{method}() takes what to sort by: {method}(lambda o: o.name)")
        if len(fields) > 1 and (ordering is not None or nulls is not None):
            raise InvalidArgumentException(f"{method}() takes one field with an OrderingType or a NullsOrdering")
        for given, kind in ((ordering, OrderingType), (nulls, NullsOrdering)):
            if given is not None and not isinstance(given, kind):
                raise InvalidArgumentTypeException(f"{method}() takes an {kind.__name__}, not {given!r:.40}")
        found = [each for given in fields for each in self._orders_by(given)]
        orders = [
            each
            for operand, is_down in found
            for each in orders_of(operand, ordering, nulls or NullsOrdering.DEFAULT, down=down is not is_down)
        ]
        return self._with(narrowed(own, orders))

    def _orders_by(self, given: Any) -> list[tuple[Operand, bool]]:
        if isinstance(given, str):
            return [(field_of(self._documents, given.removeprefix("-")), given.startswith("-"))]
        return orders_by(self.specification, given)


def _several(given: object, method: str) -> list[Any]:
    values = resolved(given)
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InvalidArgumentException(f"{method}() takes several values, in a list or the like, not {values!r:.60}")
    return list(values)
