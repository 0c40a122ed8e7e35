"""What the annotations of a class mean: names resolved, type variables replaced."""

from __future__ import annotations

import builtins
import inspect
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from typing_extensions import override

UNRESOLVED: Final = object()
"""Stands for an annotation whose names cannot be found."""

TypeArguments: TypeAlias = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an annotation stands.

    Attributes:
        cls: The class that has it.
        arguments: What the type variables of *cls* stand for.
    """

    cls: type
    arguments: TypeArguments

    def resolve(self, text: str) -> Any:
        """Return what the text of an annotation means; UNRESOLVED where a name of it is not known."""
        try:
            # The text comes from the class's own source, never from stored data.
            return eval(text, {"__builtins__": builtins}, _Names(self.cls))  # noqa: S307  # see above
        except Exception:
            return UNRESOLVED


def annotations_of(cls: type, arguments: TypeArguments) -> dict[str, tuple[Any, Scope]]:
    """Return the annotations of a class and its bases, each with the scope in which it is to be read."""
    scopes = dict(_scopes(cls, arguments))
    found: dict[str, tuple[Any, Scope]] = {}
    for base in reversed(cls.__mro__[:-1]):
        scope = scopes.get(base) or Scope(base, {})
        for name, annotation in inspect.get_annotations(base).items():
            found[name] = (annotation, scope)
    return found


def arguments_of(cls: Any, given: tuple[Any, ...]) -> dict[Any, Any]:
    """Return what the type variables of *cls* stand for in `cls[given]`."""
    return dict(zip(getattr(cls, "__parameters__", ()), given, strict=False))


def substitute(annotation: Any, arguments: TypeArguments) -> Any:
    """Return an annotation with type variables replaced by what they stand for."""
    if isinstance(annotation, typing.TypeVar):
        return arguments.get(annotation, annotation)
    parameters = getattr(annotation, "__parameters__", ())
    if not parameters or isinstance(annotation, type) or not arguments:
        return annotation
    return annotation[tuple(arguments.get(parameter, parameter) for parameter in parameters)]


def is_class_variable(annotation: Any) -> bool:
    """Return True where an annotation, perhaps still a text, declares no attribute of instances."""
    if isinstance(annotation, str):
        return annotation.partition("[")[0].rpartition(".")[2] == "ClassVar"
    return annotation is typing.ClassVar or typing.get_origin(annotation) is typing.ClassVar


def _scopes(cls: type, arguments: TypeArguments) -> Iterator[tuple[type, Scope]]:
    """Yield the scope of a class and of each of its generic bases."""
    yield cls, Scope(cls, arguments)
    for base in vars(cls).get("__orig_bases__", cls.__bases__):
        origin = typing.get_origin(base) or base
        if not isinstance(origin, type) or origin in {object, typing.Generic, typing.Protocol}:
            continue
        given = tuple(substitute(each, arguments) for each in typing.get_args(base))
        yield from _scopes(origin, arguments_of(origin, given))


class _Names(Mapping[str, Any]):
    """The names that the source of a class can use in annotations."""

    def __init__(self, cls: type) -> None:
        self._cls = cls
        parameters = {each.__name__: each for each in getattr(cls, "__parameters__", ())}
        module = vars(sys.modules.get(cls.__module__, builtins))
        is_local = "<locals>" in cls.__qualname__
        own = {cls.__name__: cls}
        self._layers: list[Mapping[str, Any]] = [parameters, own, *(self._locals() if is_local else ()), module]
        self._last = (vars(cls), self._neighbours()) if is_local else (vars(cls),)

    @override
    def __getitem__(self, name: str) -> Any:
        # A field that is called like its type (`date: date | None = None`) must not hide it: the class comes last.
        for layer in (*self._layers, *self._last):
            if name in layer:
                return layer[name]
        raise KeyError(name)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(())

    @override
    def __len__(self) -> int:
        return 0

    def _locals(self) -> Iterator[Mapping[str, Any]]:
        """Yield the local names of the functions around the class, as far as they are running now."""
        frame: types.FrameType | None = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            inside = self._cls.__qualname__.startswith(f"{code.co_qualname}.<locals>.")
            if inside and frame.f_globals.get("__name__") == self._cls.__module__:
                yield dict(frame.f_locals)
            frame = frame.f_back

    def _neighbours(self) -> dict[str, type]:
        """Return the classes that the function around the class has defined beside it."""
        around = self._cls.__qualname__.rpartition(".")[0]
        found: dict[str, type] = {}
        waiting = [object]
        seen: set[type] = set()
        while waiting:
            for each in type.__subclasses__(waiting.pop()):
                if each in seen:
                    continue
                seen.add(each)
                waiting.append(each)
                if each.__module__ == self._cls.__module__ and each.__qualname__ == f"{around}.{each.__name__}":
                    found[each.__name__] = each
        return found
