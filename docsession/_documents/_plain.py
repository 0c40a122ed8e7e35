"""Plain classes: the state of an instance is its public attributes, declared or not.

Instances are built without calling `__init__`, as pickle does it. What the document lacks is the
class's default, else the default of the parameter of `__init__` that the class keeps under the same name.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, Final

from docsession._documents._annotations import Scope, TypeArguments, annotations_of, is_class_variable
from docsession._documents._kinds import MakeForm, cached_names, slots_of
from docsession._documents._objects import Field, Recipe, UnstorableError
from docsession._documents._unions import TYPE_KEY
from docsession._documents._untyped import NeedsTypesError, has_special

_MISSING: Final = object()
_NONE: Final[Mapping[str, Any]] = {}


def plain_parts(
    cls: Any, arguments: TypeArguments, form: MakeForm, form_of_hint: MakeForm
) -> tuple[list[Field], Recipe]:
    """Return fields and recipe of a plain class.

    Args:
        cls: The class.
        arguments: What its type variables stand for.
        form: Makes the form of an annotated attribute.
        form_of_hint: Makes the form of an attribute that only a parameter of `__init__` annotates.
    """
    parameters = _parameters(cls)
    defaults = {name: default for name, (_, _, default) in parameters.items() if default is not _MISSING}
    factories = _dataclass_defaults(cls)
    declared = {
        name: (annotation, scope)
        for name, (annotation, scope) in annotations_of(cls, arguments).items()
        if not name.startswith("_") and not is_class_variable(annotation)
    }
    fields = [
        Field(
            name,
            name,
            form(annotation, scope),
            required=name not in defaults and name not in factories and not _has_default(cls, name),
        )
        for name, (annotation, scope) in declared.items()
    ]
    fields += [
        Field(name, name, form_of_hint(annotation, scope), required=False)
        for name, (annotation, scope, _) in parameters.items()
        if name not in declared and annotation is not _MISSING
    ]
    names = frozenset(field.name for field in fields)
    stored = _Stored(cls)
    slots = [name for name in slots_of(cls) if not name.startswith("_")]
    has_dict = cls.__dictoffset__ != 0
    through_class = not has_dict or slots or not all(_lives_in_dict(cls, name) for name in names | set(defaults))

    def extras(instance: Any) -> Mapping[str, Any]:
        state = vars(instance) if has_dict else {}
        if state.keys() <= names and not slots:
            return _NONE
        if not names and not slots and state and not any(stored[name] for name in state):
            raise UnstorableError(f"all attributes of this {cls.__qualname__} are private, and such are not stored")
        found = {name: getattr(instance, name) for name in slots if name not in names and hasattr(instance, name)}
        found.update({name: value for name, value in state.items() if name not in names and stored[name]})
        return found

    def build(values: dict[str, Any]) -> Any:
        instance = object.__new__(cls)
        for name, make in factories.items():
            if name not in values:
                values[name] = make()
        for name, default in defaults.items():
            if name not in values:
                values[name] = copy.copy(default) if isinstance(default, (list, dict, set)) else default
        if not through_class:
            instance.__dict__ = values
            return instance
        for name, value in values.items():
            object.__setattr__(instance, name, value)
        return instance

    def takes(name: str) -> bool:
        return stored[name] and (has_dict or name in slots)

    # msgspec takes a class that derives from a dataclass for that dataclass.
    is_known = hasattr(cls, "__dataclass_fields__") or hasattr(cls, "__attrs_attrs__")
    attributes = None if is_known else _public_attributes(cls, names)
    return fields, Recipe(
        build,
        extras=extras,
        takes=takes,
        attributes=attributes,
        is_custom=True,
        encodes=attributes is not None,
        decodes=not is_known,
    )


class _Stored(dict[str, bool]):
    """Which names of attributes are stored: public ones that the class does not define as something else."""

    def __init__(self, cls: type) -> None:
        super().__init__()
        self._cls = cls

    def __missing__(self, name: str) -> bool:
        found = not name.startswith("_") and name != TYPE_KEY and not self._is_behaviour(name)
        if len(self) < 10_000:
            self[name] = found
        return found

    def _is_behaviour(self, name: str) -> bool:
        value = inspect.getattr_static(self._cls, name, None)
        return isinstance(
            value,
            (property, functools.cached_property, types.FunctionType, classmethod, staticmethod, type),
        )


def _public_attributes(cls: type, names: frozenset[str]) -> Callable[[Any], Mapping[str, Any]] | None:
    """Return what hands the attributes of an instance to msgspec's encoder at once.

    Args:
        cls: A plain class.
        names: Its declared attributes.

    Returns:
        None where instances have no `__dict__`, so that only the form can write them.
    """
    if cls.__dictoffset__ == 0 or any(not name.startswith("_") for name in slots_of(cls)):
        return None
    stored = _Stored(cls)
    undeclared: set[str] = set()
    known: set[str] = set(names)
    class_level = {name for name in names if _has_default(cls, name)}

    def attributes(instance: Any) -> Mapping[str, Any]:
        found: dict[str, Any] = vars(instance)
        keys = found.keys()
        if keys <= names and not class_level:
            return found
        if not keys <= known:
            undeclared.update(name for name in keys if name not in names and stored[name])
            known.update(undeclared)
            found = {name: value for name, value in found.items() if name in known}
        if class_level and not keys >= class_level:
            found = {**found, **{name: getattr(instance, name) for name in class_level - keys}}
        if not keys <= names and has_special([value for name, value in found.items() if name not in names]):
            raise NeedsTypesError
        if not found and vars(instance):
            # The form refuses it.
            raise NeedsTypesError
        return found

    return attributes


def _has_default(cls: type, name: str) -> bool:
    value = inspect.getattr_static(cls, name, _MISSING)
    return value is not _MISSING and not isinstance(value, types.MemberDescriptorType)


def _lives_in_dict(cls: type, name: str) -> bool:
    value = inspect.getattr_static(cls, name, None)
    return not hasattr(type(value), "__set__")


def _dataclass_defaults(cls: Any) -> dict[str, Callable[[], Any]]:
    """Return the factories of a dataclass that the class derives from without being one."""
    found: dict[str, Any] = getattr(cls, "__dataclass_fields__", {})
    return {
        name: field.default_factory for name, field in found.items() if field.default_factory is not dataclasses.MISSING
    }


def _parameters(cls: Any) -> dict[str, tuple[Any, Scope, Any]]:
    """Return (annotation, scope, default) of the parameters of `__init__` that it keeps as attributes of that name."""
    found: dict[str, tuple[Any, Scope, Any]] = {}
    cached = cached_names(cls)
    for base in reversed(cls.__mro__[:-1]):
        init = vars(base).get("__init__")
        if not isinstance(init, types.FunctionType):
            continue
        parameters = list(inspect.signature(init).parameters.values())[1:]
        for parameter in parameters:
            name = parameter.name
            if name.startswith("_") or name in cached or name not in init.__code__.co_names:
                continue
            if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
                continue
            annotation = _MISSING if parameter.annotation is parameter.empty else parameter.annotation
            default = _MISSING if parameter.default is parameter.empty else parameter.default
            found[name] = (annotation, Scope(base, {}), default)
    return found
