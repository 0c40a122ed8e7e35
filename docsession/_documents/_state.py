"""The state of entities: setting their id, taking over the state of another instance, cycles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from docsession._documents._form import Form
from docsession._documents._kinds import Kind, cached_names, kind_of, slots_of
from docsession._documents._objects import ObjectForm
from docsession._documents._places import Path

_KEPT_IN_DICTS = ("Id", "@metadata")


def id_setter(cls: type, name: str | None) -> Callable[[Any, str], None]:
    """Return what sets the id of an instance: on a frozen one too, without running validators."""
    if name is None:
        return lambda entity, key: None  # noqa: ARG005  # such entities hold no id
    kind = kind_of(cls)
    if kind is Kind.STRUCT:
        return lambda entity, key: msgspec.structs.force_setattr(entity, name, key)
    if kind is Kind.PYDANTIC:

        def set_id(entity: Any, key: str) -> None:
            entity.__dict__[name] = key
            entity.__pydantic_fields_set__.add(name)

        return set_id
    set_attribute = object.__setattr__
    return lambda entity, key: set_attribute(entity, name, key)


def updater(cls: type, form: Form) -> Callable[[Any, Any], None]:
    """Return what lets an instance take the stored state of another one.

    What is never stored (private attributes, and of a class with declared fields what else was put
    into an instance) stays, except for the values of `functools.cached_property`.
    """
    kind = kind_of(cls)
    if kind is Kind.STRUCT:
        return _update_struct
    if issubclass(cls, dict):
        return _update_dict
    cached = cached_names(cls)
    if kind is Kind.PYDANTIC:
        return lambda entity, fresh: _update_model(entity, fresh, cached)
    slots = slots_of(cls)
    declared = {field.name for field in form.fields.values()} if isinstance(form, ObjectForm) else set()
    is_open = kind is Kind.PLAIN
    if is_open:
        slots = [name for name in slots if not name.startswith("_") or name in declared]

    def update(entity: Any, fresh: Any) -> None:
        for name in slots:
            if hasattr(fresh, name):
                object.__setattr__(entity, name, getattr(fresh, name))
            elif hasattr(entity, name):
                object.__delattr__(entity, name)
        if not hasattr(entity, "__dict__"):
            return
        state: dict[str, Any] = vars(entity)
        for name in list(state):
            if name in cached or name in declared or (is_open and not name.startswith("_")):
                del state[name]
        state.update((name, value) for name, value in vars(fresh).items() if not is_open or not name.startswith("_"))

    return update


def carrier(cls: type, form: Form) -> Callable[[Any, Any, Iterable[str]], None]:
    """Return what lets an instance take some of the fields of another one, named as the members of the JSON object."""
    kind = kind_of(cls)
    names = {key: field.name for key, field in form.fields.items()} if isinstance(form, ObjectForm) else {}
    if issubclass(cls, dict):
        return _carry_items

    def put(fresh: Any, name: str, value: Any) -> None:
        if kind is Kind.STRUCT:
            msgspec.structs.force_setattr(fresh, name, value)
        elif kind is Kind.PYDANTIC:
            fresh.__dict__[name] = value
            fresh.__pydantic_fields_set__.add(name)
        else:
            object.__setattr__(fresh, name, value)

    def carry(entity: Any, fresh: Any, keys: Iterable[str]) -> None:
        for key in keys:
            name = names.get(key, key)
            if kind is Kind.PYDANTIC and key not in names:
                _carry_items(entity.__pydantic_extra__ or {}, fresh.__pydantic_extra__, (key,))
            elif hasattr(entity, name):
                put(fresh, name, getattr(entity, name))
            elif hasattr(fresh, name):
                object.__delattr__(fresh, name)

    return carry


def _carry_items(entity: Any, fresh: Any, keys: Iterable[str]) -> None:
    for key in keys:
        if key in entity:
            fresh[key] = entity[key]
        else:
            fresh.pop(key, None)


def _update_struct(entity: Any, fresh: Any) -> None:
    for name in entity.__struct_fields__:
        msgspec.structs.force_setattr(entity, name, getattr(fresh, name))


def _update_dict(entity: Any, fresh: Any) -> None:
    kept = {name: entity[name] for name in _KEPT_IN_DICTS if name in entity}
    entity.clear()
    entity.update(fresh)
    entity.update(kept)


def _update_model(entity: Any, fresh: Any, cached: frozenset[str]) -> None:
    state = entity.__dict__
    state.clear()
    state.update((name, value) for name, value in fresh.__dict__.items() if name not in cached)
    object.__setattr__(entity, "__pydantic_fields_set__", set(fresh.__pydantic_fields_set__))
    object.__setattr__(entity, "__pydantic_extra__", fresh.__pydantic_extra__)
    if entity.__pydantic_private__ is None:
        object.__setattr__(entity, "__pydantic_private__", fresh.__pydantic_private__)


def find_cycle(entity: Any) -> Path | None:
    """Return the path of the first value that contains itself."""
    # Depth first with the way down on a stack of its own: a cycle is deeper than Python's.
    way: list[tuple[int, str | int, Iterator[tuple[str | int, Any]]]] = [(id(entity), "", _members(entity))]
    above = {id(entity)}
    done: set[int] = set()
    while way:
        step = next(way[-1][2], None)
        if step is None:
            number = way.pop()[0]
            above.discard(number)
            done.add(number)
            continue
        key, value = step
        if id(value) in above:
            return (*(each[1] for each in way[1:]), key)
        if id(value) not in done and not isinstance(value, (str, bytes, int, float, type(None))):
            above.add(id(value))
            way.append((id(value), key, _members(value)))
    return None


def _members(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from ((str(key), each) for key, each in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from enumerate(value)
    elif isinstance(value, msgspec.Struct):
        yield from ((name, getattr(value, name, None)) for name in value.__struct_fields__)
    elif not isinstance(value, type):
        yield from ((name, getattr(value, name, None)) for name in slots_of(type(value)))
        yield from getattr(value, "__dict__", {}).items()
