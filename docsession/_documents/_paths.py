"""Paths into documents that a user names: as text, or by a function that walks the class."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, Union

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException

PathLike: TypeAlias = str | Callable[[Any], object]
"""`"lines[].product"`, or `lambda order: order.lines[0].product` (any position stands for all)."""

_IN_NO_KEY = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Ref:
    """Marks a str as the id of a document of a class: `company: Annotated[str, Ref(Company)]`.

    An include of that path looks for the documents in that class's collection, and nowhere else.
    """

    target: type


class _Recorder:
    """Stands for an entity while a path function runs, and notes which attributes it walks."""

    __slots__ = ("_docsession_path",)
    _docsession_path: tuple[str, ...]

    def __init__(self, path: tuple[str, ...] = ()) -> None:
        object.__setattr__(self, "_docsession_path", path)

    def __getattr__(self, name: str) -> _Recorder:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Recorder((*self._docsession_path, name))

    def __getitem__(self, key: object) -> _Recorder:
        path = self._docsession_path
        if isinstance(key, str):
            return _Recorder((*path, key))
        return _Recorder((*path[:-1], path[-1].removesuffix("[]") + "[]") if path else path)


def attributes_of(path: PathLike) -> tuple[str, ...]:
    """Return the attributes or keys that *path* walks, without the `[]` of lists.

    Raises:
        InvalidArgumentException: It is empty, or its function does something else than walk.
        InvalidArgumentTypeException: It is no path.
    """
    if isinstance(path, str):
        parts = tuple(part.removesuffix("[]") for part in path.split("."))
        if not all(part.isprintable() and part for part in parts):
            raise InvalidArgumentException(f"{path!r:.80} is no path; write it as in 'company' or 'lines[].product'")
        return parts
    if not callable(path):
        raise InvalidArgumentTypeException(f"a path is a str or a function, not {type(path).__qualname__}")
    try:
        end = path(_Recorder())
    except Exception as error:
        raise InvalidArgumentException(f"the function of a path may only walk attributes: {error}") from error
    if not isinstance(end, _Recorder) or not end._docsession_path:
        raise InvalidArgumentException(
            f"the function of a path returns the attribute that holds ids, as in lambda o: o.company, not {end!r:.80}"
        )
    for part in end._docsession_path:
        if _IN_NO_KEY.search(part):
            raise InvalidArgumentException(f"{part!r:.80} can be no part of a path: no JSON key holds such characters")
    return tuple(str.__str__(part).removesuffix("[]") for part in end._docsession_path)


def json_keys_of(cls: type | None, attributes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the JSON keys of *attributes*; they differ where a msgspec Struct renames its fields."""
    keys = []
    classes: list[type] = [] if cls is None else [cls]
    for attribute in attributes:
        keys.append(next(filter(None, (_renamed(each, attribute) for each in classes)), attribute))
        classes = [found for each in classes for found in _classes_in(_annotation(each, attribute))]
    return tuple(keys)


def target_of(cls: type | None, attributes: tuple[str, ...]) -> type | None:
    """Return the class that a `Ref` on the annotation of *attributes* names."""
    classes: list[type] = [] if cls is None else [cls]
    for i, attribute in enumerate(attributes):
        annotations = [_annotation(each, attribute) for each in classes]
        if i == len(attributes) - 1:
            return next((ref.target for each in annotations for ref in _refs_in(each)), None)
        classes = [found for each in annotations for found in _classes_in(each)]
    return None


def _renamed(cls: type, attribute: str) -> str | None:
    fields: tuple[str, ...] = getattr(cls, "__struct_fields__", ())
    encoded: tuple[str, ...] = getattr(cls, "__struct_encode_fields__", ())
    return dict(zip(fields, encoded, strict=True)).get(attribute)


def _annotation(cls: type, attribute: str) -> object:
    try:
        return typing.get_type_hints(cls, include_extras=True).get(attribute)
    except (NameError, TypeError, AttributeError):
        # A reference to a name that only a type checker sees: the path itself still works.
        return None


def _classes_in(annotation: object) -> Iterator[type]:
    """The classes of objects that a place of this annotation may hold, through lists and Optional."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        yield from _classes_in(typing.get_args(annotation)[0])
    elif origin in (Union, types.UnionType) or isinstance(origin, type):
        for argument in typing.get_args(annotation):
            yield from _classes_in(argument)
    elif isinstance(annotation, type) and annotation.__module__ != "builtins":
        yield annotation


def _refs_in(annotation: object) -> Iterator[Ref]:
    if typing.get_origin(annotation) is Annotated:
        yield from (each for each in typing.get_args(annotation)[1:] if isinstance(each, Ref))
    for argument in typing.get_args(annotation):
        yield from _refs_in(argument)
