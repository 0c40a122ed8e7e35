"""The kinds of classes with declared fields: dataclass, msgspec Struct, attrs, TypedDict, NamedTuple.

The optional libraries are found by what their classes carry; none is imported for it.
"""

from __future__ import annotations

import abc
import dataclasses
import enum
import functools
import inspect
import sys
import typing
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
from typing_extensions import is_typeddict

from docsession._documents._annotations import Scope, TypeArguments, annotations_of
from docsession._documents._form import Form
from docsession._documents._objects import Field, Recipe

MakeForm: TypeAlias = Callable[[Any, Scope], Form]
"""(annotation, scope) -> form."""

_HEAP_TYPE: Final = 1 << 9


class Kind(enum.Enum):
    """What a class is, as far as storing its instances goes."""

    PYDANTIC = "pydantic model"
    STRUCT = "msgspec Struct"
    DATACLASS = "dataclass"
    ATTRS = "attrs class"
    TYPED_DICT = "TypedDict"
    NAMED_TUPLE = "NamedTuple"
    ENUM = "Enum"
    PLAIN = "plain class"


def kind_of(cls: Any) -> Kind | None:
    """Return the kind of a class; None where its instances are no objects with fields."""
    if not isinstance(cls, type):
        return None
    if hasattr(cls, "__pydantic_fields__") and not dataclasses.is_dataclass(cls):
        return Kind.PYDANTIC
    if issubclass(cls, msgspec.Struct):
        return Kind.STRUCT
    if "__dataclass_fields__" in vars(cls):
        return Kind.DATACLASS
    if "__attrs_attrs__" in vars(cls):
        return Kind.ATTRS
    if is_typeddict(cls):
        return Kind.TYPED_DICT
    if issubclass(cls, enum.Enum):
        return Kind.ENUM
    if issubclass(cls, tuple):
        return Kind.NAMED_TUPLE if hasattr(cls, "_fields") else None
    return Kind.PLAIN if _is_plain(cls) else None


def _is_plain(cls: type) -> bool:
    """Return True for a class written in Python whose state is attributes that can be seen."""
    if getattr(cls, "_is_protocol", False) or inspect.isabstract(cls):
        return False
    bases = cls.__mro__[:-1]
    if not bases or any(not base.__flags__ & _HEAP_TYPE for base in bases):
        return False
    own = [base for base in bases if not any(base is each for each in _TRANSPARENT)]
    if any(base.__module__.partition(".")[0] in sys.stdlib_module_names for base in own):
        return False
    return cls.__dictoffset__ != 0 or any(not name.startswith("_") for name in slots_of(cls))


_TRANSPARENT: Final = (typing.Generic, typing.Protocol, abc.ABC)


def slots_of(cls: type) -> list[str]:
    """Return the names of the slots of a class and its bases, as attributes have them."""
    names: list[str] = []
    for base in reversed(cls.__mro__):
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name.startswith("__") and not name.endswith("__"):
                names.append(f"_{base.__name__.lstrip('_')}{name}")
            elif name not in {"__dict__", "__weakref__"}:
                names.append(name)
    return names


def cached_names(cls: type) -> frozenset[str]:
    """Return the names of `functools.cached_property` of a class: they live among the attributes, but are no state."""
    return frozenset(
        name for base in cls.__mro__ for name, each in vars(base).items() if isinstance(each, functools.cached_property)
    )


def dataclass_parts(cls: Any, arguments: TypeArguments, form: MakeForm) -> tuple[list[Field], Recipe]:
    """Return fields and recipe of a dataclass.

    It is built as msgspec does it: without `__init__`, but `__post_init__` is called. With an InitVar,
    which is not stored, that is not possible, and it is built as pickle does it.
    """
    declared = annotations_of(cls, arguments)
    own = dataclasses.fields(cls)
    is_pydantic = hasattr(cls, "__pydantic_validator__")
    # dataclasses keeps InitVars beside the fields without a public way to ask for them.
    has_init_vars = len(own) != sum(not _is_class_field(field) for field in vars(cls)["__dataclass_fields__"].values())
    post_init = None if has_init_vars else getattr(cls, "__post_init__", None)
    set_attribute = object.__setattr__

    def build(values: dict[str, Any]) -> Any:
        if is_pydantic:
            instance = cls(
                **{field.name: values.pop(field.name) for field in own if field.init and field.name in values}
            )
        else:
            instance = object.__new__(cls)
            for field in own:
                if field.name in values:
                    continue
                if field.default is not dataclasses.MISSING:
                    values[field.name] = field.default
                elif field.default_factory is not dataclasses.MISSING:
                    values[field.name] = field.default_factory()
        for name, value in values.items():
            set_attribute(instance, name, value)
        if post_init is not None and not is_pydantic:
            post_init(instance)
        return instance

    fields = [
        Field(
            field.name,
            field.name,
            form(*declared.get(field.name, (field.type, Scope(cls, arguments)))),
            required=field.init
            and field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING,
        )
        for field in own
    ]
    if is_pydantic:
        required = {name for name, info in cls.__pydantic_fields__.items() if info.is_required()}
        fields = [dataclasses.replace(field, required=field.name in required) for field in fields]
    return fields, Recipe(build, decodes=not is_pydantic and not has_init_vars)


def _is_class_field(field: Any) -> bool:
    return field._field_type is dataclasses._FIELD_CLASSVAR  # type: ignore[attr-defined]  # there is no public name


def struct_parts(cls: Any, arguments: TypeArguments, form: MakeForm) -> tuple[list[Field], Recipe]:
    """Return fields and recipe of a msgspec Struct.

    `rename` holds, for it says what the JSON is called. `omit_defaults` and `array_like` do not: a
    document has all its fields, by name.
    """
    declared = annotations_of(cls, arguments)
    config = cls.__struct_config__
    defaults = cls.__struct_defaults__
    names = cls.__struct_fields__
    optional = {
        name
        for name, default in zip(names[len(names) - len(defaults) :], defaults, strict=True)
        if default is not msgspec.NODEFAULT
    }
    fields = [
        Field(name, key, form(*declared[name]), required=name not in optional)
        for name, key in zip(names, cls.__struct_encode_fields__, strict=True)
    ]
    return fields, Recipe(
        lambda values: cls(**values),
        get=_get_set,
        refuses_unknown=config.forbid_unknown_fields,
        tag=None if config.tag is None else (config.tag_field, config.tag),
        encodes=not config.omit_defaults and not config.array_like,
        decodes=not config.array_like,
    )


def _get_set(value: Any, name: str, default: Any) -> Any:
    found = getattr(value, name, default)
    return default if found is msgspec.UNSET else found


def attrs_parts(cls: Any, arguments: TypeArguments, form: MakeForm) -> tuple[list[Field], Recipe]:
    """Return fields and recipe of an attrs class.

    It is built without `__init__`, since converters have had their turn when the value was set;
    validators and `__attrs_post_init__` are called.
    """
    attrs: Any = sys.modules["attr"]
    declared = annotations_of(cls, arguments)
    own = cls.__attrs_attrs__
    scope = Scope(cls, arguments)
    set_attribute = object.__setattr__

    def build(values: dict[str, Any]) -> Any:
        instance = object.__new__(cls)
        for attribute in own:
            default = attribute.default
            if attribute.name in values:
                value = values[attribute.name]
            elif default is attrs.NOTHING:
                continue
            elif isinstance(default, attrs.Factory):
                value = default.factory(instance) if default.takes_self else default.factory()
            else:
                value = default
            set_attribute(instance, attribute.name, value)
        attrs.validate(instance)
        if hasattr(cls, "__attrs_post_init__"):
            instance.__attrs_post_init__()
        return instance

    fields = [
        Field(
            attribute.name,
            attribute.name,
            form(*declared.get(attribute.name, (Any if attribute.type is None else attribute.type, scope))),
            required=attribute.init and attribute.default is attrs.NOTHING,
        )
        for attribute in own
    ]
    typed = all(attribute.name in declared for attribute in own)
    takes_self = any(isinstance(each.default, attrs.Factory) and each.default.takes_self for each in own)
    # msgspec leaves out private fields, and writes whatever else is in an instance's `__dict__`.
    as_is = cls.__dictoffset__ == 0 and not any(each.name.startswith("_") for each in own)
    return fields, Recipe(
        build,
        encodes=as_is,
        decodes=typed and not takes_self and not hasattr(cls, "__attrs_pre_init__"),
    )


def typed_dict_parts(cls: Any, arguments: TypeArguments, form: MakeForm) -> tuple[list[Field], Recipe]:
    """Return fields and recipe of a TypedDict; keys that it does not declare are written as untyped."""
    fields = [
        Field(name, name, form(*declared), required=name in cls.__required_keys__)
        for name, declared in annotations_of(cls, arguments).items()
    ]
    names = frozenset(field.name for field in fields)

    def extras(value: dict[str, Any]) -> dict[str, Any]:
        return {} if value.keys() <= names else {key: each for key, each in value.items() if key not in names}

    return fields, Recipe(dict, get=dict.get, extras=extras)
