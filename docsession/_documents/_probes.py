"""Quick looks into an entity, compiled per class, for what msgspec would write wrong.

A probe visits only the places where such a value can be, and only says yes or no; what it finds is
then looked at by the form, which names the place.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from math import isfinite
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

from docsession._documents._containers import Dict, Items, Maybe, Tuple
from docsession._documents._form import Form
from docsession._documents._objects import ObjectForm
from docsession._documents._scalars import Nothing, Scalar
from docsession._documents._unions import Union
from docsession._documents._untyped import has_nan, has_special
from docsession._documents._values import has_odd_offset

Probe: TypeAlias = Callable[[Any], bool]
"""True where a value needs a closer look. May also raise, on a value that is not of the declared type."""
Leaf: TypeAlias = Callable[[Form], Probe | None]


def compile_probe(form: Form, leaf: Leaf) -> Probe | None:
    """Return the probe of a form, None where there is nothing to visit.

    Args:
        form: Of the entity.
        leaf: Gives the probe of a single place, None where the place cannot hold what is looked for.
    """
    return _Compiler(leaf).compile(form)


class _Compiler:
    def __init__(self, leaf: Leaf) -> None:
        self._leaf = leaf
        self._done: dict[int, Probe | None] = {}
        self._open: dict[int, list[Probe]] = {}
        self._relevant: dict[int, bool] = {}

    def compile(self, form: Form) -> Probe | None:
        if not self._is_relevant(form, set()):
            return None
        if id(form) in self._done:
            return self._done[id(form)]
        if id(form) in self._open:
            # A class that contains itself: its probe is known by the time it is called.
            later = self._open[id(form)]
            return lambda value: later[-1](value)  # noqa: PLW0108  # it is not there yet
        holder = self._open[id(form)] = []
        probe = self._build(form)
        if probe is not None:
            holder.append(probe)
        self._done[id(form)] = probe
        return probe

    def _is_relevant(self, form: Form, seen: set[int]) -> bool:
        if id(form) not in self._relevant:
            if id(form) in seen:
                return False
            seen.add(id(form))
            found = self._leaf(form) is not None or any(self._is_relevant(each, seen) for each in form.children())
            if not found and len(seen) > 1:
                return False  # perhaps only for now: a form above, still being looked at, may be relevant
            self._relevant[id(form)] = found
        return self._relevant[id(form)]

    def _build(self, form: Form) -> Probe | None:
        own = self._leaf(form)
        if isinstance(form, Maybe):
            return own or _maybe(self.compile(form.inner))
        if isinstance(form, Items):
            return _items(form, self.compile(form.item))
        if isinstance(form, Dict):
            inner = self.compile(form.value)
            return None if inner is None else lambda value: any(map(inner, value.values()))
        if isinstance(form, Tuple):
            return _places([(place, self.compile(item)) for place, item in enumerate(form.items)])
        if isinstance(form, Union):
            return _union(form, own, [(member, self.compile(member)) for member in form.members])
        if isinstance(form, ObjectForm):
            return self._object(form, own)
        return own

    def _object(self, form: ObjectForm, own: Probe | None) -> Probe | None:
        parts: list[tuple[Callable[[Any], Any], Probe]] = []
        for field in form.fields.values():
            probe = self.compile(field.form)
            if probe is None:
                continue
            if not form.is_dict:
                parts.append((attrgetter(field.name), probe))
            elif field.required:
                parts.append((itemgetter(field.key), probe))
            else:
                parts.append((_getter(field.key), _maybe(probe)))  # type: ignore[arg-type]  # a probe was given
        extras, rest = form.recipe.extras, self._leaf(form.rest)
        if extras is not None and rest is not None:
            parts.append((lambda value: list(extras(value).values()), rest))
        return _object(form.cls if own is not None else None, parts)


def _getter(key: str) -> Callable[[Any], Any]:
    return lambda value: value.get(key)


def _maybe(inner: Probe | None) -> Probe | None:
    if inner is None:
        return None
    return lambda value: value is not None and inner(value)


def _items(form: Items, inner: Probe | None) -> Probe | None:
    if inner is None:
        return None
    if isinstance(inner, _ClassTest):
        # One pass in C instead of a call for each item.
        only = frozenset({inner.cls})
        return lambda value: not only.issuperset(map(type, value))
    if form.kind in {set, frozenset} or inner is not has_special_in:
        return lambda value: any(map(inner, value))
    return has_special_in


def _places(probes: list[tuple[int, Probe | None]]) -> Probe | None:
    some = [(place, probe) for place, probe in probes if probe is not None]
    return (lambda value: any(probe(value[place]) for place, probe in some)) if some else None


def _union(form: Union, own: Probe | None, probes: list[tuple[Form, Probe | None]]) -> Probe | None:
    by_member = {id(member): probe for member, probe in probes if probe is not None}

    def probe(value: Any) -> bool:
        if own is not None and own(value):
            return True
        member = form.member_of(value)
        if member is None:
            return value is not None
        inner = by_member.get(id(member))
        return inner is not None and inner(value)

    return probe


class _ClassTest:
    """The probe of a class of which nothing but the class itself matters."""

    __slots__ = ("cls",)

    def __init__(self, cls: type) -> None:
        self.cls = cls

    def __call__(self, value: Any) -> bool:
        return type(value) is not self.cls


def _object(cls: type | None, parts: list[tuple[Callable[[Any], Any], Probe]]) -> Probe | None:
    """Return the probe of an object: its class, unless None, then its parts."""
    if not parts:
        return None if cls is None else _ClassTest(cls)
    if len(parts) == 1:
        get, inner = parts[0]
        if cls is None:
            return lambda value: inner(get(value))
        return lambda value: type(value) is not cls or inner(get(value))

    def probe(value: Any) -> bool:
        if cls is not None and type(value) is not cls:
            return True
        for get, inner in parts:  # noqa: SIM110  # a generator costs more than the probes
            if inner(get(value)):
                return True
        return False

    return probe


def has_special_in(value: Any) -> bool:
    """Return True where a value of an untyped place, or a list of them, needs more than JSON's own types."""
    return has_special((value,))


def special_leaf(form: Form) -> Probe | None:
    """Look for values in untyped places whose types have to be recorded."""
    return has_special_in if form.untyped else None


def wrong_leaf(form: Form) -> Probe | None:
    """Look for what msgspec always writes wrong: objects of another class, offsets with seconds."""
    if isinstance(form, ObjectForm) and not form.is_dict:
        return _ClassTest(form.cls)
    if isinstance(form, Scalar) and form.kind in {dt.datetime, dt.time}:
        return has_odd_offset
    return None


def nan_leaf(form: Form) -> Probe | None:
    """Look for floats that became null; worth while only where the JSON has a null."""
    if form.untyped:
        return lambda value: has_nan((value,))
    if isinstance(form, Maybe):
        if form.inner.untyped or not isinstance(form.inner, Scalar):
            return None
        return _is_bad_float
    if isinstance(form, Union) and any(isinstance(member, Nothing) for member in form.members):
        return _is_bad_float
    if isinstance(form, Scalar) and form.kind is float:
        return _is_bad_float
    return None


def _is_bad_float(value: Any) -> bool:
    return type(value) is float and not isfinite(value)
