"""Quick looks into an entity, compiled per class, for what msgspec would write wrong.

A probe visits only the places where such a value can be; in lists it goes column by column, so that
the loops run in C. It only says yes or no; what it finds is then looked at by the form, which names
the place. It may also raise, on a value that is not of the declared type.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from math import isfinite
from operator import attrgetter, itemgetter
from typing import Any, Final, TypeAlias

from docsession._documents._containers import Dict, Items, Maybe, Tuple
from docsession._documents._form import Form
from docsession._documents._objects import Field, ObjectForm
from docsession._documents._scalars import Scalar
from docsession._documents._unions import Union
from docsession._documents._untyped import has_nan, has_special
from docsession._documents._values import has_odd_offset, is_bad_decimal


@dataclass(frozen=True, slots=True)
class Probe:
    """Looks at the values of one place.

    Attributes:
        one: True where a value needs a closer look.
        many: True where one of several values does, which it looks through once.
    """

    one: Callable[[Any], bool]
    many: Callable[[Iterable[Any]], bool]


Leaf: TypeAlias = Callable[[Form], Probe | None]
"""Gives the probe of a single place, None where the place cannot hold what is looked for."""


def compile_probe(form: Form, leaf: Leaf) -> Callable[[Any], bool] | None:
    """Return what looks at a value of a form, None where there is nothing to visit."""
    probe = _Compiler(leaf).compile(form)
    return None if probe is None else probe.one


def _is_bad_float(value: Any) -> bool:
    return not isfinite(value)


def _has_bad_float(values: Iterable[Any]) -> bool:
    # The sum of such a float and anything is no number either; an overflow is only looked at in vain.
    return not isfinite(sum(values))


def _is_stray_float(value: Any) -> bool:
    return type(value) is float and not isfinite(value)


def _has_bad_float_or_none(values: Iterable[Any]) -> bool:
    return not isfinite(sum(filter(None, values)))


def _has_float(values: Iterable[Any]) -> bool:
    return float in map(type, values)


def _has_odd_offset(values: Iterable[Any]) -> bool:
    return any(map(has_odd_offset, values))


SPECIAL: Final = Probe(lambda value: has_special((value,)), lambda values: has_special(list(values)))
"""Untyped values that need more than JSON's own types."""
NAN: Final = Probe(lambda value: has_nan((value,)), lambda values: has_nan(list(values)))
"""Untyped values that hold a float which JSON has no number for."""
BAD_FLOAT: Final = Probe(_is_bad_float, _has_bad_float)
"""Floats that JSON has no number for, in a place that declares floats."""
BAD_FLOAT_OR_NONE: Final = Probe(_is_stray_float, _has_bad_float_or_none)
"""The same where None is declared, too."""
STRAY_FLOAT: Final = Probe(_is_stray_float, _has_float)
"""The same in a place that declares None and something else."""
ANY_FLOAT: Final = Probe(_is_stray_float, lambda values: any(map(_is_stray_float, values)))
"""The same in a union."""
ODD_OFFSET: Final = Probe(has_odd_offset, _has_odd_offset)
"""Offsets from UTC that are no whole minutes."""
BAD_DECIMAL: Final = Probe(is_bad_decimal, lambda values: any(map(is_bad_decimal, values)))
"""Decimals that are no numbers, or whose exponent alone is beyond PostgreSQL's numeric."""


def special_leaf(form: Form) -> Probe | None:
    """Look for values in untyped places whose types have to be recorded."""
    return SPECIAL if form.untyped else None


def wrong_leaf(form: Form) -> Probe | None:
    """Look for what msgspec always writes wrong: other classes, offsets with seconds, Decimals that are no numbers."""
    if isinstance(form, ObjectForm) and not form.is_dict:
        return _other_class(form.cls)
    if isinstance(form, Scalar) and form.kind in {dt.datetime, dt.time}:
        return ODD_OFFSET
    if isinstance(form, Scalar) and form.kind is Decimal:
        return BAD_DECIMAL
    return None


def nan_leaf(form: Form) -> Probe | None:
    """Look for floats that became null; worth while only where the JSON has a null."""
    if form.untyped:
        return NAN
    if isinstance(form, Scalar) and form.kind is float:
        return BAD_FLOAT
    if isinstance(form, Maybe) and isinstance(form.inner, Scalar) and form.inner.kind is float:
        return BAD_FLOAT_OR_NONE
    if isinstance(form, Union):
        return ANY_FLOAT if "null" in form.kinds else None
    return STRAY_FLOAT if "null" in form.kinds else None


def _other_class(cls: type) -> Probe:
    only = frozenset({cls})
    return Probe(
        lambda value: type(value) is not cls,
        lambda values: not only.issuperset(map(type, values)),
    )


def _maybe(inner: Probe) -> Probe:
    def many(values: Iterable[Any]) -> bool:
        some = [value for value in values if value is not None]
        return bool(some) and inner.many(some)

    return Probe(lambda value: value is not None and inner.one(value), many)


def _items(inner: Probe) -> Probe:
    return Probe(inner.many, lambda values: inner.many(chain.from_iterable(values)))


def _values(inner: Probe) -> Probe:
    return Probe(
        lambda value: inner.many(value.values()),
        lambda values: inner.many(each for value in values for each in value.values()),
    )


def _object(own: Probe | None, parts: list[tuple[Callable[[Any], Any], Probe]]) -> Probe | None:
    if not parts:
        return own
    if len(parts) == 1 and own is None:
        get, inner = parts[0]
        return Probe(lambda value: inner.one(get(value)), lambda values: inner.many(map(get, values)))
    own_one = None if own is None else own.one
    ones = tuple((get, probe.one) for get, probe in parts)
    manys = tuple((get, probe.many) for get, probe in parts)

    def one(value: Any) -> bool:
        if own_one is not None and own_one(value):
            return True
        for get, inner in ones:  # noqa: SIM110  # a generator costs more than most probes
            if inner(get(value)):
                return True
        return False

    def many(values: Iterable[Any]) -> bool:
        values = list(values)
        if not values:
            return False
        if own is not None and own.many(values):
            return True
        for get, inner in manys:  # noqa: SIM110  # as above
            if inner(map(get, values)):
                return True
        return False

    return Probe(one, many)


def _union(form: Union, own: Probe | None, by_member: dict[int, Probe]) -> Probe:
    def one(value: Any) -> bool:
        if own is not None and own.one(value):
            return True
        member = form.member_of(value)
        if member is None:
            return True
        inner = by_member.get(id(member))
        return inner is not None and inner.one(value)

    return Probe(one, lambda values: any(map(one, values)))


class _Compiler:
    def __init__(self, leaf: Leaf) -> None:
        self._leaf = leaf
        self._done: dict[int, Probe | None] = {}
        self._open: dict[int, list[Probe]] = {}

    def compile(self, form: Form) -> Probe | None:
        if id(form) in self._done:
            return self._done[id(form)]
        if id(form) in self._open:
            return self._later(self._open[id(form)])
        if not self._is_relevant(form, set()):
            return None
        found = self._open[id(form)] = []
        probe = self._done[id(form)] = self._build(form)
        if probe is not None:
            found.append(probe)
        return probe

    def _later(self, found: list[Probe]) -> Probe:
        """Return the probe of a class that contains itself: it is known by the time it is used."""
        return Probe(
            lambda value: any(probe.one(value) for probe in found),
            lambda values: any(probe.many(values) for probe in found),
        )

    def _is_relevant(self, form: Form, seen: set[int]) -> bool:
        seen.add(id(form))
        return self._leaf(form) is not None or any(
            self._is_relevant(each, seen) for each in form.children() if id(each) not in seen
        )

    def _build(self, form: Form) -> Probe | None:
        own = self._leaf(form)
        if isinstance(form, Maybe):
            inner = self.compile(form.inner)
            if inner is None or own is BAD_FLOAT_OR_NONE:
                return own
            return _maybe(inner) if own is None else _object(own, [(_itself, _maybe(inner))])
        if isinstance(form, Items):
            inner = self.compile(form.item)
            return None if inner is None else _items(inner)
        if isinstance(form, Dict):
            inner = self.compile(form.value)
            return None if inner is None else _values(inner)
        if isinstance(form, Tuple):
            places = [(itemgetter(place), self.compile(item)) for place, item in enumerate(form.items)]
            return _object(None, [(get, probe) for get, probe in places if probe is not None])
        if isinstance(form, Union):
            probes = {id(member): self.compile(member) for member in form.members}
            return _union(form, own, {member: probe for member, probe in probes.items() if probe is not None})
        if isinstance(form, ObjectForm):
            return self._object(form, own)
        return own

    def _object(self, form: ObjectForm, own: Probe | None) -> Probe | None:
        parts: list[tuple[Callable[[Any], Any], Probe]] = []
        for field in form.fields.values():
            probe = self.compile(field.form)
            if probe is not None:
                parts.append(_part(form, field, probe))
        extras, rest = form.recipe.extras, self._leaf(form.rest)
        # What hands the attributes to msgspec looks at undeclared ones itself.
        if extras is not None and rest is not None and (rest is not SPECIAL or form.recipe.attributes is None):
            parts.append((extras, _values(rest)))
        return _object(own, parts)


def _part(form: ObjectForm, field: Field, probe: Probe) -> tuple[Callable[[Any], Any], Probe]:
    if not form.is_dict:
        return attrgetter(field.name), probe
    if field.required:
        return itemgetter(field.key), probe
    return lambda value: value.get(field.key), _maybe(probe)


def _itself(value: Any) -> Any:
    return value
