"""Paths into documents that a user names: as text, or by a function that walks the class."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated, Any, Final, NoReturn, TypeAlias, Union

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException

PathLike: TypeAlias = str | Callable[[Any], object]
"""`"lines[].product"`, or `lambda order: order.lines[0].product` (any position stands for all)."""

_IN_NO_KEY: Final = re.compile("[\0\ud800-\udfff]")
_BRACKET: Final = re.compile(r"[\[\]]")
_POSITION: Final = re.compile(r"\[[*\d:-]*\]?")
_LISTS: Final = (list, tuple, set, frozenset, Sequence, AbstractSet)


@dataclass(frozen=True, slots=True)
class Ref:
    """Marks a str as the id of a document of a class: `company: Annotated[str, Ref(Company)]`.

    An include of that path looks for the documents in that class's collection, and nowhere else.
    """

    target: type


class _Key(str):
    """A key of a document as it was written; other parts of a path are attributes of classes."""

    __slots__ = ()


def _refuse(self: _Recorder, *_: object) -> NoReturn:
    """Stand for whatever Python would do with a value, which a path does not have."""
    walked = ".".join(self._docsession_path) or "the document"
    raise InvalidArgumentException(
        f"the function of a path only walks attributes, and {walked} is no value that could be iterated, compared or "
        "called; lambda o: o.lines[0].product, or 'lines[].product', stands for every item of a list"
    )


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
        if isinstance(key, str):
            return _Recorder((*self._docsession_path, _Key(key)))
        return self if isinstance(key, int) else _refuse(self)

    # Without these Python would iterate by position, for ever, and take every recorder for true.
    __iter__ = __len__ = __bool__ = __contains__ = __call__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __hash__ = None  # type: ignore[assignment]  # nor is it a key of anything


def attributes_of(path: PathLike) -> tuple[str, ...]:
    """Return the attributes or keys that *path* walks, without the `[]` of lists.

    Raises:
        InvalidArgumentException: It is empty, or its function does something else than walk.
        InvalidArgumentTypeException: It is no path.
    """
    if isinstance(path, str):
        parts = _parts_of(path)
        if parts is None:
            raise InvalidArgumentException(f"{path!r:.80} is no path; {_advice(path)}")
        return parts
    if not callable(path):
        raise InvalidArgumentTypeException(f"a path is a str or a function, not {type(path).__qualname__}")
    try:
        end = path(_Recorder())
    except InvalidArgumentException:
        raise
    except Exception as error:
        raise InvalidArgumentException(f"the function of a path may only walk attributes: {error}") from error
    if not isinstance(end, _Recorder) or not end._docsession_path:
        raise InvalidArgumentException(
            f"the function of a path returns the attribute that holds ids, as in lambda o: o.company, not {end!r:.80}"
        )
    for part in end._docsession_path:
        if _IN_NO_KEY.search(part):
            raise InvalidArgumentException(f"{part!r:.80} can be no part of a path: no JSON key holds such characters")
    return end._docsession_path


def _parts_of(path: str) -> tuple[str, ...] | None:
    """Return the keys of a path that is a text; None where it is none, or one of another language."""
    parts = tuple(part.removesuffix("[]") for part in path.split("."))
    if path.startswith("/") or (parts[0] == "$" and len(parts) > 1):
        return None
    if any(not part.isprintable() or part != part.strip() or not part or _BRACKET.search(part) for part in parts):
        return None
    return tuple(map(_Key, parts))


def _advice(path: str) -> str:
    meant = path.strip().removeprefix("$").strip("/.")
    meant = _POSITION.sub("[]", meant.replace("/", ".") if path.startswith("/") else meant)
    meant = ".".join(part.strip() for part in meant.split("."))
    if _parts_of(meant) is None:
        return "write it as in 'company' or 'lines[].product'"
    return f"write {meant!r:.80}; a key that holds such characters is walked by a function: lambda o: o[{path!r:.80}]"


def check_attributes(cls: type | None, attributes: tuple[str, ...]) -> None:
    """Refuse attributes, walked by a function, that a class with declared fields does not have.

    Raises:
        InvalidArgumentException: Names the class and the fields that it has.
    """
    classes: frozenset[type] | None = frozenset({cls}) if isinstance(cls, type) else None
    for attribute in attributes:
        if not classes or isinstance(attribute, _Key):
            return
        declared = [fields_of(each) for each in classes]
        fields = {name: annotation for each in declared if each is not None for name, annotation in each.items()}
        if None in declared:
            return
        if attribute not in fields:
            names = " or ".join(sorted(each.__qualname__ for each in classes))
            raise InvalidArgumentException(
                f"{names} has no field {attribute!r:.80}, which the function of a path walks; it has "
                f"{', '.join(fields) or 'none'}. A path that is a text may name fields that the class does not know"
            )
        classes = _items_of(fields[attribute])


def fields_of(cls: type) -> Mapping[str, object] | None:
    """Return the fields of a class with their annotations; None where they cannot all be known."""
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return None
    names: Iterable[str]
    if dataclasses.is_dataclass(cls):
        names = [field.name for field in dataclasses.fields(cls)]
    elif hasattr(cls, "__struct_fields__"):
        names = cls.__struct_fields__
    elif hasattr(cls, "__attrs_attrs__"):
        names = [field.name for field in cls.__attrs_attrs__]
    elif hasattr(cls, "__pydantic_fields__") and getattr(cls, "model_config", {}).get("extra") != "allow":
        names = cls.__pydantic_fields__
    else:
        return None
    return {name: hints.get(name, Any) for name in names}


def _items_of(annotation: object) -> frozenset[type] | None:
    """Return the classes that stand at a place, in its lists or by itself; None where they are not known."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is Annotated:
        return _items_of(arguments[0])
    if origin in (Union, types.UnionType) or origin in _LISTS:
        found = [_items_of(each) for each in arguments if each not in (types.NoneType, ...)]
        return None if None in found else frozenset[type]().union(*filter(None, found))
    return frozenset({annotation}) if isinstance(annotation, type) and annotation.__module__ != "builtins" else None


def json_keys_of(cls: type | None, attributes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the JSON keys of *attributes*; they differ where a msgspec Struct renames its fields."""
    keys = []
    classes: list[type] = [] if cls is None else [cls]
    for attribute in attributes:
        keys.append(next(filter(None, (_renamed(each, attribute) for each in classes)), str(attribute)))
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
