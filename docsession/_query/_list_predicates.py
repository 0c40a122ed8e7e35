"""Conditions on lists: what they hold, and what is true of their items."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from typing_extensions import override

from docsession._documents._values import write_json
from docsession._errors import InvalidArgumentException
from docsession._port import JSONB_VERSION, TextArray
from docsession._query._compilation import Compilation, Scope
from docsession._query._containment import ANYTHING, as_texts, in_list, leads_through_objects
from docsession._query._kinds import binder, shape_of_value
from docsession._query._operands import Place
from docsession._query._predicates import All, Any_, Compare, Predicate
from docsession._sql._values import Path, Shape, json_at


class Holds(Predicate):
    """A list that holds all of some values, or one of them."""

    __slots__ = ("_every", "_place", "_values")

    def __init__(self, place: Place, item: Any, values: Sequence[Any], *, every: bool) -> None:
        self._place = place
        self._every = every
        self._values = [(item, value) for value in values]
        for value in values:
            if value is not None:
                shape_of_value(item, value, f"an item of {place.label}")

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(("holds", self._every, len(self._values)))
        self._place.walk(key, values)
        values.extend(self._values)

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        place = self._place
        indexed = None if negated else to.access.gin_for(place)
        json = place.json(to)
        bind: Callable[[Any], bytes] = _as_array
        if indexed is not None and indexed != place.path:
            # What an index of the whole document, say, knows: the same list at its place in an object.
            json, bind = json_at(to.document(None), indexed), _array_at(place.path[len(indexed) :])
        parts = [f"{json} @> {to.bind(to.take(), bind)}" for _ in self._values]
        if not parts:
            return "TRUE" if self._every is not negated else "FALSE"
        told = (" AND " if self._every else " OR ").join(parts)
        return f"({told}) IS NOT TRUE" if negated else f"({told})"


def _as_array(pair: tuple[Any, Any]) -> bytes:
    item, value = pair
    if value is None:
        return JSONB_VERSION + b"[null]"
    bound = binder(item, Shape.JSON)(value)
    assert isinstance(bound, bytes)  # noqa: S101  # so is every bound JSON
    return JSONB_VERSION + b"[" + bound[1:] + b"]"


def _array_at(path: Path) -> Callable[[tuple[Any, Any]], bytes]:
    keys = [write_json(part) for part in path]
    before = b"".join(b"{" + key + b":" for key in keys)
    return lambda pair: JSONB_VERSION + before + _as_array(pair)[1:] + b"}" * len(keys)


def paths_of_equalities(condition: Predicate, scope: Scope) -> list[Path] | None:
    """Return the places that a condition on items says are equal to something; None where it says anything else.

    What an item contains then says the same as the condition.
    """
    match condition:
        case Compare() if condition.implies_containment(scope) and ANYTHING not in condition.contained(scope):
            return [condition.path]
        case Items() if condition.implies_containment(scope):
            inner = paths_of_equalities(condition._inner, condition._scope)
            return None if inner is None else [condition._place.path]
        case All() | Any_():
            parts = [paths_of_equalities(each, scope) for each in condition.parts]
            found = [path for part in parts if part is not None for path in part]
            if None in parts or ANYTHING in condition.contained(scope):
                return None
            if isinstance(condition, All):
                of_each = [len(each.contained(scope)) for each in condition.parts]
                is_cut_short = len(condition.contained(scope)) != math.prod(of_each)
                if is_cut_short or any(_overlap(one, other) for one, other in itertools.combinations(found, 2)):
                    return None
            return found
    return None


def _overlap(one: Path, other: Path) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


class Items(Predicate):
    """A list one of whose items, or each, fulfils a condition."""

    __slots__ = ("_every", "_inner", "_place", "_scope")

    def __init__(self, place: Place, scope: Scope, inner: Predicate, *, every: bool) -> None:
        self._place = place
        self._scope = scope
        self._inner = inner
        self._every = every

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(("items", self._every, self._scope.depth))
        self._place.walk(key, values)
        self._inner.walk(key, values)
        values.append(self)

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        if to.one_row:
            return self._contained_alone(to, negated=negated)
        items = to.items(self._place.scope, self._place.path)
        inner = self._inner.sql(to, negated=self._every)
        number = to.take()
        no = "NOT " if self._every is not negated else ""
        exists = f"{no}EXISTS (SELECT 1 FROM {items} AS e{self._scope.depth}(value) WHERE {inner})"
        indexed = None if self._every or negated else to.access.list_for(self._place)
        if indexed is None or not self._inner.implies_containment(self._scope):
            return exists
        return f"({self._contained_in(to, number, indexed)} AND {exists})"

    def _contained_in(self, to: Compilation, number: int, indexed: Path) -> str:
        """Return what follows from the equalities, in the words of an index."""
        path = self._place.path[len(indexed) :]
        implied = to.bind(number, lambda items: items.contained_at(path), "::jsonb[]")
        return f"{json_at(to.document(None), indexed)} @> ANY({implied})"

    def _contained_alone(self, to: Compilation, *, negated: bool) -> str:
        """Return the condition where nothing but the row may be looked at: in an index.

        Raises:
            InvalidArgumentException: It is more than equalities, so there is nothing that says the same.
        """
        place = self._place
        if self._every or negated or place.scope is not None or paths_of_equalities(self._inner, self._scope) is None:
            raise InvalidArgumentException(
                f"the condition of a partial index looks into lists for what is equal alone, as contains() and any_() "
                f"with == do: {place.label}"
            )
        values: list[Any] = []
        self._inner.walk([], values)
        for _ in values:
            to.take()
        indexed = to.access.gin_for(place)
        if indexed is None:
            indexed = place.path
            to.lists.add(indexed)
        return f"({self._contained_in(to, to.take(), indexed)})"

    def contained_at(self, path: Path) -> TextArray:
        """Return the JSON one of which is contained wherever the condition is true."""
        return TextArray(as_texts(in_list(self._inner.contained(self._scope), path)))

    @override
    def implies_containment(self, scope: Scope) -> bool:
        place = self._place
        if self._every or place.scope is not scope or not leads_through_objects(place.path):
            return False
        return self._inner.implies_containment(self._scope)

    @override
    def contained(self, scope: Scope) -> list[Any]:
        return in_list(self._inner.contained(self._scope), self._place.path)
