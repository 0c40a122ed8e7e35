"""Which attribute of a class holds the document's id, and which classes are documents at all."""

from __future__ import annotations

import datetime as dt
import decimal
import dis
import enum
import functools
import inspect
import io
import pathlib
import types
import typing
import uuid
from collections.abc import Collection, Coroutine, Generator
from typing import Any, Final

from typing_extensions import is_typeddict

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException

ID_NAMES: Final = ("Id", "id")
"""The attributes that hold a document's id where a class declares one; the first one wins."""

_NO_ENTITIES: Final = (
    (type, "is a class; store an instance of it"),
    (types.ModuleType, "is a module; store an instance of a class"),
    (
        (types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial),
        "is a function; call it and store the result",
    ),
    (Coroutine, "is a coroutine; await it and store the result"),
    (Generator, "is a generator; store its items one by one"),
    ((list, tuple, set, frozenset, range), "holds several values; store each by itself, or a dict with it as a member"),
    (
        (str, bytes, bytearray, memoryview, int, float, complex, decimal.Decimal, enum.Enum),
        "is a value without fields; store a dict with it as a member",
    ),
    (
        (dt.date, dt.time, dt.timedelta, dt.tzinfo, uuid.UUID, pathlib.PurePath),
        "is a value without fields; store a dict with it as a member",
    ),
    ((BaseException, io.IOBase, types.TracebackType, types.FrameType), "belongs to the running program"),
)
_NO_ID_TYPES: Final = (int, float, bool, bytes, uuid.UUID, decimal.Decimal, dt.datetime, dt.date)


def check_entity_class(cls: type) -> None:
    """Refuse a class whose instances are no documents.

    Raises:
        InvalidArgumentTypeException: Says what can be stored instead.
    """
    reason = _reason_against(cls)
    if reason:
        raise InvalidArgumentTypeException(
            f"{'None' if cls is types.NoneType else cls.__qualname__} {reason}. A document is an instance of a class "
            "with fields (plain, dataclass, attrs, pydantic, msgspec Struct) or a dict"
        )


def may_be_entity(cls: type) -> bool:
    """Return True where instances of *cls* may be documents."""
    return _reason_against(cls) is None


def _reason_against(cls: type) -> str | None:
    if cls is object:
        return "has no fields"
    if cls is type(None):
        return "is nothing that could be stored"
    for bases, reason in _NO_ENTITIES:
        if issubclass(cls, bases):
            return reason
    if issubclass(cls, dict) and cls is not dict and not is_typeddict(cls):
        return "is a kind of dict that would come back as another class; store a plain dict"
    if cls.__module__ == "builtins" and cls is not dict:
        return "is a type of Python itself"
    return None


def id_attribute_of(cls: type, wanted: str | None) -> str | None:
    """Return the name of the attribute in which instances of *cls* carry their id; None where they carry none.

    That is *wanted* where it is given, else `Id` or `id` where the class declares it, else `Id` where
    instances take any attribute.

    Raises:
        InvalidArgumentException: *wanted* does not exist and cannot be set, or the attribute is of a
            type that holds no str.
    """
    if issubclass(cls, dict):
        return None
    name = wanted or next((name for name in ID_NAMES if declares(cls, name)), None)
    if name is None:
        return ID_NAMES[0] if takes_attributes(cls) else None
    if not declares(cls, name) and not takes_attributes(cls):
        raise InvalidArgumentException(
            f"{cls.__qualname__} has no attribute {name!r} for the document's id and takes no new ones; declare it"
        )
    _check_annotation(cls, name)
    return name


def declares(cls: type, name: str) -> bool:
    """Return True where *cls* has an attribute *name* of its own: an annotation, a field, a slot, a
    default, a settable property, a parameter of `__init__`, or `self.name = …` in it.
    """
    for base in cls.__mro__[:-1]:
        own = vars(base)
        if name in own and inspect.isroutine(own[name]):
            return False
        if isinstance(own.get(name), property) and own[name].fset is None:
            return False
        if name in own or name in _annotations(base) or name in _slots(base):
            return not _is_class_variable(_annotations(base).get(name))
    if any(field.name == name for field in getattr(cls, "__attrs_attrs__", ())):
        return True
    return any(name in _set_by_init(base) for base in cls.__mro__[:-1])


def takes_attributes(cls: type) -> bool:
    """Return True where instances of *cls* take attributes that the class does not declare."""
    if not cls.__dictoffset__ or issubclass(cls, dict):
        return False
    dataclass_parameters = getattr(cls, "__dataclass_params__", None)
    if dataclass_parameters is not None and dataclass_parameters.frozen:
        return False
    if hasattr(cls, "__attrs_attrs__") and getattr(cls.__setattr__, "__name__", "") == "_frozen_setattrs":
        return False
    # A pydantic model refuses what it does not declare, or keeps it as a field.
    return not hasattr(cls, "__pydantic_fields__")


def _annotations(cls: type) -> dict[str, Any]:
    return inspect.get_annotations(cls)


def _slots(cls: type) -> Collection[str]:
    slots = vars(cls).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else slots


def _is_class_variable(annotation: object) -> bool:
    if isinstance(annotation, str):
        return annotation.startswith(("ClassVar", "typing.ClassVar"))
    return annotation is typing.ClassVar or typing.get_origin(annotation) is typing.ClassVar


def _set_by_init(cls: type) -> set[str]:
    init = vars(cls).get("__init__")
    if not isinstance(init, types.FunctionType):
        return set()
    code = init.__code__
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    names = set(arguments[1:])
    if not arguments:
        return names
    before: object = None
    for instruction in dis.get_instructions(code):
        if instruction.opname == "STORE_ATTR":
            # One instruction may load two variables; the object is the last one.
            target = before[-1] if isinstance(before, tuple) and before else before
            if target == arguments[0]:
                names.add(str(instruction.argval))
        before = instruction.argval
    return names


def _check_annotation(cls: type, name: str) -> None:
    annotation = next((_annotations(base)[name] for base in cls.__mro__[:-1] if name in _annotations(base)), None)
    members = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    if isinstance(annotation, str):
        words = annotation.replace("Optional[", "").replace("]", "").split("|")
        members = tuple(word.strip().rpartition(".")[2] for word in words)
    refused = {each for kind in _NO_ID_TYPES for each in (kind, kind.__name__)}
    members = tuple(member for member in members if member not in {type(None), "None"})
    if members and all(member in refused for member in members if member.__hash__):
        raise InvalidArgumentException(
            f"{cls.__qualname__}.{name} holds the document's id, which is a str; annotate it `str | None`, "
            "or name another attribute: @document(id_attribute=…)"
        )


def _is_union(annotation: object) -> bool:
    return typing.get_origin(annotation) in {typing.Union, types.UnionType}
