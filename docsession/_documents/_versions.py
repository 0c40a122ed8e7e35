"""Versions of a class: documents that an older version of it has written are brought up to date when they are read.

An upcaster gets the document as Python values and returns that of the next version. What it passes on
stays as it is stored: numbers keep their digits, and values of untyped places the types that are
recorded for them, also where they move to another place.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from docsession._documents._exact import encode_exact
from docsession._documents._places import RefusedError, Trail, pointer_of, show
from docsession._documents._untyped import LOOSE, check_key
from docsession._documents._values import check_float
from docsession._errors import (
    DocumentMismatchException,
    InvalidArgumentException,
    InvalidArgumentTypeException,
)

Upcast: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""Document of one version -> document of the next."""
U = TypeVar("U", bound=Upcast)

_UPCASTERS: Final = "__docsession_upcasters__"
_MAX_VERSION: Final = 2**31 - 1


def upcaster(cls: type, *, from_version: int) -> Callable[[U], U]:
    """Say how a document of one version of *cls* becomes one of the next; a decorator of a function.

    The function gets the document, a dict of str, int, float, bool, None, lists and dicts without the
    id, and returns the document of version *from_version* + 1; it may change and return what it got.
    It runs whenever an older document is read, so it asks nobody and depends on nothing else. What it
    does not touch stays as it is stored, to the digit. It holds for subclasses too, unless they have
    a version of their own.

    Args:
        cls: The class, with `@document(version=…)`.
        from_version: The version that the function reads; documents without a version are of 1.

    Raises:
        InvalidArgumentException: *from_version* is no version, or has an upcaster already.
        InvalidArgumentTypeException: *cls* is no class, or what is decorated no plain function.
    """
    given: Any = cls
    if not isinstance(given, type):
        raise InvalidArgumentTypeException(f"@upcaster(Order, from_version=1) takes a class, not {given!r:.80}")
    check_version("from_version", from_version)

    def decorate(function: U) -> U:
        what: Any = function
        if not callable(what) or isinstance(what, type) or inspect.iscoroutinefunction(what):
            raise InvalidArgumentTypeException(
                f"@upcaster(…) stands above a function that takes a document and returns one, not {function!r:.80}"
            )
        own = _own_upcasters(cls)
        taken = own.get(from_version)
        if taken is not None and _where(taken) != _where(function):
            raise InvalidArgumentException(
                f"documents of {cls.__qualname__} of version {from_version} have the upcaster {_where(taken)} already"
            )
        setattr(cls, _UPCASTERS, {**own, from_version: function})
        return function

    return decorate


def check_version(name: str, version: object) -> None:
    """Refuse what is no version of a class."""
    if type(version) is not int or not 1 <= version <= _MAX_VERSION:
        raise InvalidArgumentException(f"{name} is a number of 1 or more, not {version!r:.40}")


def _own_upcasters(cls: type) -> dict[int, Upcast]:
    found: dict[int, Upcast] = vars(cls).get(_UPCASTERS, {})
    return found


def _where(function: Upcast) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', None)}.{name}"


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of one class.

    Attributes:
        entity_class: The class.
        current: The version that is written.
        steps: The upcasters, that of version 1 first.
    """

    entity_class: type
    current: int = 1
    steps: tuple[Upcast, ...] = ()

    def bring_up_to_date(
        self, key: str, data: bytes, types: Mapping[str, str], version: object
    ) -> tuple[bytes, dict[str, str]]:
        """Return a document of an older *version*, and what its `@types` holds, as of the current one.

        Args:
            key: The document's id.
            data: The document's JSON.
            types: JSON pointer -> type name.
            version: What the metadata says.

        Raises:
            DocumentMismatchException: An upcaster failed, or the document is of no version that is known.
        """
        name = self.entity_class.__qualname__
        if type(version) is not int or not 1 <= version <= _MAX_VERSION:
            raise _mismatch(key, f"its @schema-version is {version!r:.40}, which is no version", "a version", version)
        if version > self.current:
            raise _mismatch(
                key,
                f"it is of version {version} of {name}, and this program knows versions up to {self.current}: "
                "a newer program has written it. Run that one, or load the document without a class, as a dict",
                f"a version up to {self.current}",
                version,
            )
        document, marks = _read(data, types)
        for number, step in enumerate(self.steps[version - 1 :], version):
            document = self._take(step, number, key, document)
        try:
            return _write(document, marks)
        except RefusedError as error:
            place = show(error.path)
            reason = f"{place}: {error.reason}" if place else error.reason
        except RecursionError:
            place, reason = "", "the values are nested too deep, or contain themselves"
        raise _mismatch(
            key,
            f"it is of version {version} of {name}, and what its upcasters return cannot be stored: {reason}",
            "JSON",
            reason,
            path=place,
        )

    def _take(self, step: Upcast, number: int, key: str, document: dict[str, Any]) -> dict[str, Any]:
        what = (
            f"the upcaster {getattr(step, '__name__', step)} of {self.entity_class.__qualname__} "
            f"from version {number} to {number + 1}"
        )
        try:
            result: Any = step(document)
        except Exception as error:
            raise _mismatch(
                key, f"{what} raised {type(error).__name__}: {error}", "a document", type(error).__name__
            ) from error
        if not isinstance(result, dict):
            raise _mismatch(
                key,
                f"{what} returned {'None' if result is None else type(result).__qualname__}; it has to return the "
                "document, a dict",
                "dict",
                type(result).__qualname__,
            )
        return result


UNVERSIONED: Final = Versions(dict)
"""What holds for dicts."""


def versions_of(cls: type, declared: Callable[[type], int | None]) -> Versions:
    """Return the versions of a class: its own, or else those of the nearest base that has any.

    Args:
        cls: The class.
        declared: Returns which version `@document` gives to one class.

    Raises:
        InvalidArgumentException: A step is missing, or leads beyond the version.
    """
    for base in cls.__mro__:
        version = declared(base)
        upcasters = _own_upcasters(base)
        if version is None:
            if upcasters:
                raise InvalidArgumentException(
                    f"{base.__qualname__} has an upcaster from version {max(upcasters)}, but no version of its own: "
                    f"say @document(version={max(upcasters) + 1})"
                )
            continue
        beyond = max(upcasters, default=0)
        if beyond >= version:
            raise InvalidArgumentException(
                f"{base.__qualname__} is of version {version}, but has an upcaster from version {beyond}: "
                f"say @document(version={beyond + 1})"
            )
        missing = next((number for number in range(1, version) if number not in upcasters), None)
        if missing is not None:
            raise InvalidArgumentException(
                f"{base.__qualname__} is of version {version}, and nothing says how its documents of version {missing} "
                f"become those of {missing + 1}: write @upcaster({base.__name__}, from_version={missing}), "
                "in a module that is imported before the class is used"
            )
        return Versions(base, version, tuple(upcasters[number] for number in range(1, version)))
    return Versions(cls)


def _mismatch(key: str, reason: str, expected: str, found: object, *, path: str = "") -> DocumentMismatchException:
    return DocumentMismatchException(
        f"document {key!r} cannot be read: {reason}", id=key, path=path, expected=expected, found=f"{found}"[:80]
    )


# The document as an upcaster sees it


class _Float(float):
    """A float of the document, with the digits that it has there."""

    __slots__ = ("digits",)

    digits: str


class _Text(str):
    """A str that is an object of its own, so that it is found again."""

    __slots__ = ()


class _Int(int):
    """An int likewise."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """A value whose type is recorded."""

    pointer: str
    label: str
    value: Any


def _float(digits: str) -> _Float:
    number = _Float(digits)
    number.digits = digits
    return number


_decode: Final = msgspec.json.Decoder(float_hook=_float).decode
_NOTHING: Final = object()


def _read(data: bytes, types: Mapping[str, str]) -> tuple[Any, list[_Mark]]:
    """Return the document, and those of its values whose types are recorded."""
    try:
        document = _decode(data)
    except msgspec.ValidationError:
        # An integer of thousands of digits, which Python refuses to read as an int.
        document = json.loads(data, parse_int=_integer, parse_float=_float)
    marks = []
    for pointer, label in types.items():
        *above, last = _tokens(pointer) or ("",)
        holder = _at(document, above)
        value = _at(holder, [last])
        if value is _NOTHING:
            continue
        alone: Any = _Text(value) if type(value) is str else _Int(value) if type(value) is int else value
        holder[int(last) if isinstance(holder, list) else last] = alone
        marks.append(_Mark(pointer, label, alone))
    return document, marks


def _integer(digits: str) -> int | Decimal:
    return Decimal(digits) if len(digits) > 4000 else int(digits)


def _tokens(pointer: str) -> list[str]:
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def _at(value: Any, tokens: list[str]) -> Any:
    """Return what is at a place; `_NOTHING` where there is none."""
    for token in tokens:
        if isinstance(value, dict):
            value = value.get(token, _NOTHING)
        elif isinstance(value, list) and token.isdecimal() and int(token) < len(value):
            value = value[int(token)]
        else:
            return _NOTHING
    return value


def _write(document: dict[str, Any], marks: list[_Mark]) -> tuple[bytes, dict[str, str]]:
    """Return the document's JSON, and where the recorded types hold now."""
    wanted = {id(mark.value): mark for mark in marks if mark.value is not None and type(mark.value) is not bool}
    types: dict[str, str] = {}
    seen: set[int] = set()

    def write(value: Any, trail: Trail) -> Any:
        if wanted and (mark := wanted.get(id(value))) is not None:
            types[pointer_of(trail)] = mark.label
            seen.add(id(value))
        kind = type(value)
        if kind is _Float:
            return Decimal(value.digits)
        if isinstance(value, dict):
            return {check_key(key, trail): write(each, (trail, key)) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [write(each, (trail, place)) for place, each in enumerate(value)]
        if kind is float:
            return _with_point(check_float(value, trail))
        return LOOSE.encode(value, trail, None)

    written = write(document, None)
    for mark in marks:
        # A copy, or an equal value, in the same place is taken for what was there.
        if id(mark.value) not in seen and _stands_for(_at(document, _tokens(mark.pointer)), mark.value):
            types[mark.pointer] = mark.label
    return encode_exact(written), types


def _with_point(number: float) -> float | Decimal:
    """Return a float so that it is written with a decimal point, and comes back as a float."""
    text = repr(number)
    if "e" not in text:
        return number
    digits = format(Decimal(text), "f")
    return Decimal(digits if "." in digits else f"{digits}.0")


def _stands_for(value: Any, former: Any) -> bool:
    kind = _json_kind(former)
    return kind is _json_kind(value) and (kind is dict or kind is list or bool(value == former))


def _json_kind(value: Any) -> type | None:
    return next((kind for kind in (dict, list, str, bool, int, float) if isinstance(value, kind)), None)
