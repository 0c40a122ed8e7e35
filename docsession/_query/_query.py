"""A query as a value: what is asked for, without a session."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import msgspec
from typing_extensions import override

from docsession._documents._paths import PathLike, attributes_of
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException, InvalidOperationException
from docsession._query._clauses import Clauses
from docsession._query._functions import Descending
from docsession._query._keywords import condition_of
from docsession._query._listening import Listeners, StreamListening, wants_results
from docsession._query._operands import Operand, Place
from docsession._query._parameters import NO_PARAMETERS, Binding, Parameters, resolved, with_parameter
from docsession._query._predicates import Predicate, as_predicate
from docsession._query._projection import Projection
from docsession._query._recorder import Recorded, operand_of, record, root_of
from docsession._query._vectors import Nearest, Nearness
from docsession._query._watching import Watchers

if TYPE_CHECKING:
    from docsession._query._customization import BeforeQueryEventArgs  # noqa: F401  # named in a string

T = TypeVar("T")

MAX_COUNT = 2**63 - 1

but = msgspec.structs.replace
"""Returns a specification with other values of some fields."""


class Specification(msgspec.Struct, frozen=True, eq=False):
    """What a query asks for; a Struct, because every call of a building method makes one.

    Attributes:
        root: What stands for the documents in the functions of the query.
        object_type: The class of the documents; `dict` for documents without one.
        collection: The collection, where it is not that of the class.
        conditions: All of them hold.
        nearest: The documents are the nearest of those that fulfil the conditions; None: all of them.
        orders: What is sorted by, each with True where from the greatest to the least.
        scores: What is sorted by where there are no orders: how well documents fit what is searched for.
        groups: What the documents are put into groups by.
        having: What groups fulfil.
        projection: What is returned instead of documents.
        distinct: True: equal results once.
        skip, take: How many are left out first, and returned at most.
        includes: (path, class) of further documents to bring along.
        no_tracking: True: what is found is not tracked.
        parameters: The values that conditions get by name.
        watchers: Who is told when it has been asked.
        listeners: Who is told of each executing.
    """

    object_type: type[Any]
    root: Recorded
    collection: str | None = None
    conditions: tuple[Predicate, ...] = ()
    nearest: Nearest | None = None
    orders: tuple[tuple[Operand, bool], ...] = ()
    scores: tuple[tuple[Operand, bool], ...] = ()
    groups: tuple[Place, ...] = ()
    having: tuple[Predicate, ...] = ()
    projection: Projection | None = None
    distinct: bool = False
    skip: int = 0
    take: int | None = None
    includes: tuple[tuple[PathLike, type[Any] | None], ...] = ()
    no_tracking: bool = False
    parameters: Parameters = NO_PARAMETERS
    watchers: Watchers | None = None
    listeners: Listeners | None = None

    @property
    def tells_total(self) -> bool:
        """True where somebody is told how many there are."""
        return (self.watchers is not None and bool(self.watchers.statistics)) or wants_results(self.listeners)

    @property
    def sorting(self) -> tuple[tuple[Operand, bool], ...]:
        """What is sorted by, whoever has said so."""
        return self.orders or (() if self.groups else self.scores)


class QueryBuilding(StreamListening["BeforeQueryEventArgs"], ABC, Generic[T]):
    """The methods that make a query narrower; each returns a new one."""

    __slots__ = ()

    @property
    @abstractmethod
    def specification(self) -> Specification:
        """What is asked for."""

    @abstractmethod
    def _with(self, specification: Specification) -> Self:
        """Return the same with another specification."""

    @property
    @override
    def _listeners(self) -> Listeners | None:
        return self.specification.listeners

    @override
    def _with_listeners(self, listeners: Listeners | None) -> Self:
        return self._with(but(self.specification, listeners=listeners))

    def where(self, predicate: Callable[[T], bool] | None = None, /, **fields: object) -> Self:
        """Keep the documents that fulfil a condition, in addition to those before.

        Args:
            predicate: `lambda o: (o.company == "companies/1-A") & (o.freight > 20)`; it runs once, now, with
                something that records what it compares.
            fields: Fields and their values, with a lookup behind two underscores where it is not equality:
                `company="companies/1-A", freight__gt=20, name__icontains="ltd", lines__product="products/1-A"`.

        Raises:
            InvalidArgumentException: The condition cannot be recorded, or no document could ever fulfil it.
        """
        own = self._unfinished("where")
        conditions = list(own.conditions)
        for each in conditions:
            if type(each) is Clauses:
                each.check_finished("where()")
        binding = Binding(own.parameters)
        if predicate is not None:
            conditions.append(binding.condition(lambda: as_predicate(record(predicate, own.root, "where()"))))
        elif not fields:
            raise InvalidArgumentException("where() takes a function, or fields: where(lambda o: o.name == 'x')")
        conditions += [binding.condition(_of_keyword(own.root, name, value)) for name, value in fields.items()]
        return self._with(but(own, conditions=tuple(conditions), parameters=binding.parameters()))

    def add_parameter(self, name: str, value: object) -> Self:
        """Give a value to what `parameter(name, type)` stands for in the conditions (RavenDB: add_parameter).

        Args:
            name: The name, with or without a `$` before it.
            value: The value.

        Raises:
            InvalidOperationException: There is a value of that name already.
            InvalidArgumentException: The value cannot stand in the condition.
        """
        own = self.specification
        binding = with_parameter(own.parameters, name, value)
        conditions = tuple(each.with_values(binding.condition) for each in own.conditions)
        having = tuple(each.with_values(binding.condition) for each in own.having)
        parameters = binding.parameters(anew=True)
        return self._with(but(own, conditions=conditions, having=having, parameters=parameters))

    def order_by(self, *keys: Callable[[T], object] | str) -> Self:
        """Sort by fields: numbers as numbers, texts by code point, what has no value last; then by id.

        Args:
            keys: `lambda o: (o.country, desc(o.ordered_at))`, or names: `"country", "-ordered_at"`. Those of
                an earlier call come first.

        Raises:
            InvalidArgumentException: There is no such field, or it cannot be sorted by.
        """
        own = self._unfinished("order_by")
        added = [order for key in keys for order in orders_by(own, key)]
        if not added:
            raise InvalidArgumentException("order_by() takes what to sort by: order_by(lambda o: o.name)")
        return self._with(narrowed(own, added))

    def order_by_descending(self, *keys: Callable[[T], object] | str) -> Self:
        """Sort by fields, from the greatest to the least; what has no value comes first."""
        own = self._unfinished("order_by_descending")
        added = [(operand, not down) for key in keys for operand, down in orders_by(own, key)]
        return self._with(narrowed(own, added))

    def group_by(self, *keys: Callable[[T], object]) -> Self:
        """Put the documents into groups by fields; null and missing are one group.

        `select` says what is returned of each group: what it is grouped by, and `count()`, `sum_(x)`,
        `min_(x)`, `max_(x)`, `avg(x)` over it.

        Args:
            keys: `lambda o: o.country`, or several fields in a tuple.
        """
        own = self._unfinished("group_by")
        places = []
        for key in keys:
            made = record(key, own.root, "group_by()")
            for each in made if isinstance(made, tuple) else (made,):
                place = operand_of(each)
                if not isinstance(place, Place) or not place.label:
                    raise InvalidArgumentTypeException(f"group_by() takes fields of the documents, not {each!r:.60}")
                places.append(place)
        if not places:
            raise InvalidArgumentException("group_by() takes what to group by: group_by(lambda o: o.country)")
        return self._with(but(own, groups=own.groups + tuple(places)))

    def having(self, predicate: Callable[[T], bool], /) -> Self:
        """Keep the groups that fulfil a condition: `having(lambda o: count() > 5)`."""
        own = self._unfinished("having")
        if not own.groups:
            raise InvalidArgumentException("having() follows group_by(); where() narrows the documents themselves")
        binding = Binding(own.parameters)
        condition = binding.condition(lambda: as_predicate(record(predicate, own.root, "having()")))
        return self._with(but(own, having=(*own.having, condition), parameters=binding.parameters()))

    def distinct(self) -> Self:
        """Return equal results of `select` once."""
        return self._with(but(self.specification, distinct=True))

    def _unfinished(self, method: str) -> Specification:
        own = self.specification
        if own.projection is not None:
            raise InvalidOperationException(f"{method}() comes before select(), which says what is returned of each")
        return own

    def skip(self, count: int) -> Self:
        """Leave the first *count* documents out."""
        return self._with(but(self.specification, skip=check_count("skip", count)))

    def take(self, count: int) -> Self:
        """Return *count* documents at most."""
        return self._with(but(self.specification, take=check_count("take", count)))

    def include(self, path: PathLike, object_type: type[Any] | None = None) -> Self:
        """Bring along the documents whose ids stand at *path*, in the same request; `load` then costs nothing.

        Args:
            path: `lambda o: o.company`, `"company"`, `"lines[].product"`.
            object_type: The class of those documents; without it, and without a `Ref` on the annotation, they
                are looked for wherever such ids have led.

        Raises:
            InvalidArgumentException: *path* is no path.
        """
        attributes_of(path)
        own = self.specification
        return self._with(but(own, includes=(*own.includes, (path, object_type))))

    def no_tracking(self) -> Self:
        """Return documents that the session does not track."""
        return self._with(but(self.specification, no_tracking=True))


@dataclass(frozen=True, slots=True)
class Query(QueryBuilding[T]):
    """What to ask for, as a value: made once, at module level for instance, and used in any session.

    `session.query(recent)` asks it; `session.query(recent).where(…)` asks for less.

    Args:
        object_type: The class of the documents; `dict` for documents without one, with a collection.
        collection: The collection, where it is not that of the class.
    """

    object_type: type[T]
    collection: str | None = None
    _specification: Specification | None = field(default=None, repr=False, kw_only=True)

    @property
    @override
    def specification(self) -> Specification:
        """What is asked for."""
        return self._specification or specification_of(self.object_type, self.collection)

    @override
    def _with(self, specification: Specification) -> Self:
        return type(self)(self.object_type, self.collection, _specification=specification)


def _of_keyword(root: Recorded, name: str, value: object) -> Callable[[], Predicate]:
    return lambda: condition_of(root, name, resolved(value))


def specification_of(object_type: object, collection: object = None) -> Specification:
    """Return what asks for all documents of a class, or of a collection.

    Raises:
        InvalidArgumentTypeException: It is no class.
    """
    if not isinstance(object_type, type):
        raise InvalidArgumentTypeException(
            f"query() takes a class, as in query(Order), or a Query, not {type(object_type).__qualname__}"
        )
    if collection is not None and not isinstance(collection, str):
        raise InvalidArgumentTypeException(f"a collection is a name, not {type(collection).__qualname__}")
    if object_type is dict and collection is None:
        raise InvalidArgumentException("documents without a class need a collection: query(dict, 'Orders')")
    return Specification(object_type, root_of(object_type), collection)


def specification_from(source: object, collection: object, object_type: object) -> Specification:
    """Return what `session.query(source, collection, object_type=object_type)` asks for.

    Raises:
        InvalidArgumentException: A class is given twice, differently, or none.
    """
    if isinstance(source, Query):
        if collection is not None or object_type not in {None, source.object_type}:
            raise InvalidArgumentException("query() takes a Query, which has a class and a collection, or those")
        return source.specification
    if source is not None and object_type is not None and source is not object_type:
        raise InvalidArgumentException(f"query() was given two classes, {source!r:.60} and {object_type!r:.60}")
    return specification_of(object_type if source is None else source, collection)


def specification_of_collection(name: object, object_type: object) -> Specification:
    """Return what asks for all documents of a collection, as dicts if no class is given."""
    return specification_of(dict if object_type is None else object_type, name)


def specification_of_index(
    index_name: object, collection_name: object, object_type: object, *, is_map_reduce: object
) -> Specification:
    """Return what `document_query` asks for.

    Raises:
        InvalidArgumentException: An index is named, or neither a collection nor a class.
    """
    if index_name is not None or is_map_reduce:
        raise InvalidArgumentException(
            "document_query() takes no index: PostgreSQL finds out itself which one serves a query. Give the class, "
            "document_query(object_type=Order), or the collection"
        )
    if collection_name is None and object_type is None:
        raise InvalidArgumentException("document_query() takes a class or a collection: object_type=Order")
    return specification_of_collection(collection_name, object_type)


def narrowed(asked: Specification, added: Sequence[tuple[Operand, bool]]) -> Specification:
    """Return a query that is sorted further, and has the nearest documents only where it is sorted by `nearest`."""
    for operand, down in added:
        if isinstance(operand, Nearness):
            if down or asked.orders or asked.nearest is not None or operand is not added[0][0]:
                raise InvalidArgumentException(
                    "nearest() comes first in order_by(), once, from the least distance: others sort what is equally "
                    "near"
                )
            asked = but(asked, nearest=operand.nearest)
    return but(asked, orders=(*asked.orders, *added))


def orders_by(asked: Specification, key: object) -> list[tuple[Operand, bool]]:
    """Return what `order_by(key)` sorts by, each with True where from the greatest to the least."""
    root = asked.root
    if isinstance(key, str):
        down = key.startswith("-")
        recorded: Any = root
        for part in key.removeprefix("-").split("."):
            recorded = recorded[part] if asked.object_type is dict else getattr(recorded, part)
        return [(_sortable(recorded), down)]
    made = record(key, root, "order_by()")  # type: ignore[arg-type]  # refused there
    parts = made if isinstance(made, tuple) else (made,)
    return [(part.operand, True) if isinstance(part, Descending) else (_sortable(part), False) for part in parts]


def _sortable(given: object) -> Operand:
    operand = given if isinstance(given, Operand) else operand_of(given)
    if operand is None:
        raise InvalidArgumentTypeException(
            f"order_by() takes fields, as in lambda o: (o.country, desc(o.ordered_at)), not {type(given).__qualname__}"
        )
    return operand


def check_count(name: str, count: object) -> int:
    """Return what `skip` or `take` was given.

    Raises:
        InvalidArgumentException: It is no number of documents.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_COUNT:
        raise InvalidArgumentException(f"{name}() takes a number of documents, 0 or more, not {count!r:.40}")
    return count
