"""Places in a document: their paths, what can be wrong there, and the recorded types of special values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec

Path: TypeAlias = tuple[str | int, ...]
"""JSON keys and list positions, from the document's root."""
Trail: TypeAlias = tuple[Any, str | int] | None
"""A path as (the trail of what is above, key or position): cheap to make at every step."""


class Recorded(dict[str, str]):
    """JSON pointer -> type name of what the JSON alone does not tell.

    Attributes:
        quick: True leaves whole fields to msgspec's encoder where it is faithful; they are not
            checked then.
    """

    __slots__ = ("quick",)

    def __init__(self, *, quick: bool = False) -> None:
        super().__init__()
        self.quick = quick


Records: TypeAlias = Recorded | None
"""None where nothing is recorded."""

_SIMPLE: Final = re.compile(r"[^\s.\[\]\"'@/~]+|@\w+")


class RefusedError(Exception):
    """A value that cannot be stored without loss."""

    def __init__(self, trail: Trail, reason: str) -> None:
        super().__init__(reason)
        self.path = path_of(trail)
        self.reason = reason


class MisfitError(Exception):
    """JSON that does not fit the type of its place.

    Attributes:
        path: From where the error is caught; whoever lets it pass puts the own step before.
    """

    def __init__(self, expected: str, found: str, path: Path = ()) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected = expected
        self.found = found
        self.path = path

    def below(self, step: str | int) -> MisfitError:
        """Return the error as seen from one place further up."""
        self.path = (step, *self.path)
        return self


class Hints:
    """The recorded types of a document, as a tree along its places.

    Where a document is read with hints, its JSON holds every number with a fraction as a Decimal.
    """

    __slots__ = ("_below", "label")

    def __init__(self) -> None:
        self.label: str | None = None
        self._below: dict[str, Hints] = {}

    def below(self, key: str | int) -> Hints:
        """Return the hints of one member or item."""
        return self._below.get(str(key), NO_HINTS)

    def add(self, pointer: str, label: str) -> None:
        """Record *label* for the place that the JSON pointer names."""
        place = self
        for token in pointer.split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            place = place._below.setdefault(key, Hints())
        place.label = label


NO_HINTS: Final = Hints()


def hints_of(types: Mapping[str, str]) -> Hints:
    """Return the tree of what `@types` holds."""
    root = Hints()
    for pointer, label in types.items():
        root.add(pointer, label)
    return root


def path_of(trail: Trail) -> Path:
    """Return the path at the end of a trail."""
    steps: list[str | int] = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    return tuple(reversed(steps))


def pointer_of(trail: Trail) -> str:
    """Return a trail as a JSON pointer (RFC 6901), as `@types` names places."""
    found = ""
    while trail is not None:
        trail, step = trail
        found = f"/{_escaped(step)}{found}"
    return found


def pointer(path: Iterable[str | int]) -> str:
    """Return a path likewise."""
    return "".join([f"/{_escaped(step)}" for step in path])


def _escaped(step: str | int) -> str:
    text = str(step)
    return text.replace("~", "~0").replace("/", "~1") if "~" in text or "/" in text else text


def show(path: Path) -> str:
    """Return a path as errors show it, `lines[2].price`; an unusual key stands as `["a.b"]`."""
    shown = ""
    for step in path:
        if isinstance(step, int):
            shown += f"[{step}]"
        elif step.isprintable() and _SIMPLE.fullmatch(step):
            shown += f".{step}" if shown else step
        else:
            shown += f"[{msgspec.json.encode(step).decode() if _is_text(step) else ascii(step)}]"
    return shown


def describe(json: object) -> str:
    """Return what a JSON value is, for an error."""
    if json is None:
        return "null"
    if isinstance(json, dict):
        return "object"
    if isinstance(json, list):
        return "array"
    name = "float" if isinstance(json, Decimal) else type(json).__name__
    text = str(json) if isinstance(json, Decimal) else repr(json)
    return f"{name} {text if len(text) <= 40 else text[:39] + '…'}"


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
