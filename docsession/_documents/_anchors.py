"""Anchors: the objects by which a merge recognises where things of the document went.

For each list of objects (its path, a tuple of its items), for each object whose class may change
(its path, the object).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from docsession._documents._containers import Dict, Items, Maybe, Tuple
from docsession._documents._form import Form
from docsession._documents._merge import Anchors
from docsession._documents._objects import ObjectForm
from docsession._documents._places import Path
from docsession._documents._unions import Union
from docsession._documents._untyped import PLAIN_TYPES, Untyped, has_special
from docsession._documents._values import CHECKS

_WITHOUT_FIELDS: Final = frozenset({*CHECKS, list, dict, tuple, set, frozenset})
_Found: TypeAlias = list[tuple[Path, object]]
_Collect: TypeAlias = Callable[[Any, Path, _Found], None]


def compile_anchors(form: Form, *, untyped: bool) -> Callable[[Any], Anchors] | None:
    """Return what finds the anchors of an entity, None where its class has no place for any.

    Args:
        form: Of the entity.
        untyped: False passes over untyped places.
    """
    compiler = _Compiler(untyped=untyped)
    collect = compiler.compile(form)
    if collect is None:
        return None
    lists = compiler.lists(form)
    if lists is not None:
        return _of_lists(lists)

    def anchors(entity: Any) -> Anchors:
        found: _Found = []
        collect(entity, (), found)
        return tuple(found)

    return anchors


class _Compiler:
    def __init__(self, *, untyped: bool) -> None:
        self._looks_untyped = untyped
        self._done: dict[int, _Collect | None] = {}
        self._open: dict[int, list[_Collect | None]] = {}

    def compile(self, form: Form) -> _Collect | None:
        if id(form) in self._done:
            return self._done[id(form)]
        if id(form) in self._open:
            later = self._open[id(form)]

            def recursive(value: Any, path: Path, found: _Found) -> None:
                if later and later[0] is not None:
                    later[0](value, path, found)

            return recursive
        holder: list[_Collect | None] = []
        self._open[id(form)] = holder
        collect = self._build(form)
        holder.append(collect)
        self._done[id(form)] = collect
        return collect

    def lists(self, form: Form) -> list[tuple[str, Path]] | None:
        """Return name and path of the fields with anchors, where these are nothing but lists of objects without any."""
        if not isinstance(form, ObjectForm) or form.is_dict or form.recipe.extras is not None:
            return None
        found: list[tuple[str, Path]] = []
        for field in form.fields.values():
            if self.compile(field.form) is not None:
                inner = field.form.inner if isinstance(field.form, Maybe) else field.form
                if not isinstance(inner, Items) or self.compile(inner.item) is not None:
                    return None
                found.append((field.name, (field.key,)))
        return found

    def _build(self, form: Form) -> _Collect | None:
        if isinstance(form, Untyped):
            return self._untyped(form) if self._looks_untyped else None
        if isinstance(form, Maybe):
            inner = self.compile(form.inner)
            return None if inner is None else _unless_none(inner)
        if isinstance(form, Items):
            return self._items(form)
        if isinstance(form, Tuple):
            return self._tuple(form)
        if isinstance(form, Dict):
            return self._dict(form)
        if isinstance(form, Union):
            return self._union(form)
        if isinstance(form, ObjectForm):
            return self._object(form)
        return None

    def _items(self, form: Items) -> _Collect | None:
        if form.kind in {set, frozenset}:
            return None
        item = self.compile(form.item)
        if not _holds_objects(form.item):
            return None if item is None else _each(item, is_anchor=False)
        return _each(item, is_anchor=True)

    def _tuple(self, form: Tuple) -> _Collect | None:
        places = [(place, self.compile(item)) for place, item in enumerate(form.items)]
        some = [(place, collect) for place, collect in places if collect is not None]
        if not some:
            return None

        def collect_tuple(value: Any, path: Path, found: _Found) -> None:
            if isinstance(value, (tuple, list)) and len(value) == len(form.items):
                for place, collect in some:
                    collect(value[place], (*path, place), found)

        return collect_tuple

    def _dict(self, form: Dict) -> _Collect | None:
        inner = self.compile(form.value)
        if inner is None:
            return None

        def collect_dict(value: Any, path: Path, found: _Found) -> None:
            if isinstance(value, dict):
                for key, each in value.items():
                    inner(each, (*path, form.key.write(key, None)), found)

        return collect_dict

    def _union(self, form: Union) -> _Collect | None:
        members = [(member, self.compile(member)) for member in form.members]
        classes = [member for member in form.members if "object" in member.kinds]
        if len(classes) < 2 and not any(collect is not None for _, collect in members):
            return None
        by_member = {id(member): collect for member, collect in members}
        is_anchor = len(classes) > 1

        def collect_union(value: Any, path: Path, found: _Found) -> None:
            member = form.member_of(value)
            if member is None:
                return
            if is_anchor and isinstance(member, ObjectForm):
                found.append((path, value))
            collect = by_member[id(member)]
            if collect is not None:
                collect(value, path, found)

        return collect_union

    def _object(self, form: ObjectForm) -> _Collect | None:
        some = [(field, self.compile(field.form)) for field in form.fields.values()]
        parts = [(field.name, (field.key,), collect) for field, collect in some if collect is not None]
        extras, rest = form.recipe.extras, self.compile(form.rest)
        if not parts and (extras is None or rest is None):
            return None
        get = form.recipe.get

        def collect_object(value: Any, path: Path, found: _Found) -> None:
            if type(value) is not form.cls and not (form.is_dict and isinstance(value, dict)):
                return
            for name, key, collect in parts:
                each = get(value, name, None)
                if each is not None:
                    collect(each, path + key, found)
            if extras is not None and rest is not None:
                for name, each in extras(value).items():
                    rest(each, (*path, name), found)

        return collect_object

    def _untyped(self, form: Untyped) -> _Collect:
        """Return what records registered objects in an untyped place, and the lists that hold some."""
        classes: dict[type, ObjectForm | None] = {}

        def collect_untyped(value: Any, path: Path, found: _Found) -> None:
            if has_special((value,)):
                collect(value, path, found)

        def collect(value: Any, path: Path, found: _Found) -> None:
            kind = type(value)
            if kind is list or kind is tuple:
                if PLAIN_TYPES.issuperset(map(type, value)):
                    return
                if any(object_form(type(each)) is not None for each in value):
                    found.append((path, tuple(value)))
                for place, each in enumerate(value):
                    collect(each, (*path, place), found)
            elif kind is dict:
                for key, each in value.items():
                    collect(each, (*path, key), found)
            elif (known := object_form(kind)) is not None:
                found.append((path, value))
                inner = self.compile(known)
                if inner is not None:
                    inner(value, path, found)

        def object_form(kind: type) -> ObjectForm | None:
            if kind in _WITHOUT_FIELDS:
                return None
            if kind not in classes:
                known = form.form_of_class(kind)
                if known is None:
                    return None
                classes[kind] = known[1] if isinstance(known[1], ObjectForm) else None
            return classes[kind]

        return collect_untyped


def _of_lists(lists: list[tuple[str, Path]]) -> Callable[[Any], Anchors]:
    """Return what most classes need: a quick way, because it runs for every document that is loaded."""

    def anchors(entity: Any) -> Anchors:
        found: _Found = []
        for name, path in lists:
            value = getattr(entity, name, None)
            if isinstance(value, (list, tuple)):
                found.append((path, tuple(value)))
        return tuple(found)

    if len(lists) > 1:
        return anchors
    ((name, path),) = lists

    def anchors_of_one(entity: Any) -> Anchors:
        value = getattr(entity, name, None)
        return ((path, tuple(value)),) if isinstance(value, (list, tuple)) else ()

    return anchors_of_one


def _each(item: _Collect | None, *, is_anchor: bool) -> _Collect:
    """Return what visits the items of a list, and records the list itself."""

    def collect_items(value: Any, path: Path, found: _Found) -> None:
        if not isinstance(value, (list, tuple)):
            return
        if is_anchor:
            found.append((path, tuple(value)))
        if item is not None:
            for place, each in enumerate(value):
                item(each, (*path, place), found)

    return collect_items


def _unless_none(inner: _Collect) -> _Collect:
    def collect_some(value: Any, path: Path, found: _Found) -> None:
        if value is not None:
            inner(value, path, found)

    return collect_some


def _holds_objects(form: Form) -> bool:
    """Return True where what *form* writes is an object with fields, or may be one."""
    if isinstance(form, Maybe):
        return _holds_objects(form.inner)
    if isinstance(form, Union):
        return any(_holds_objects(member) for member in form.members)
    return isinstance(form, ObjectForm)
