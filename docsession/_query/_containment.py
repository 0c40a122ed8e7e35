"""What follows from equalities in the words of a GIN index: JSON that a document contains wherever they are true.

A query asks for it in addition, so it must never be narrower than the condition itself, whatever the
documents look like: where a text is compared, a number that PostgreSQL writes in the same way is equal, too.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from docsession._documents._form import Form
from docsession._documents._values import write_json
from docsession._port import JSONB_VERSION
from docsession._query._access import is_position, wrapped
from docsession._query._kinds import binder
from docsession._sql._values import Path, Shape

ANYTHING: Final = object()
"""Nothing is known of the value."""

IMPLYING: Final = (Shape.TEXT, Shape.NUMBER, Shape.JSON)
"""Shapes in which an equality says what the JSON is."""

_MOST: Final = 8
"""Alternatives; of more nothing is said."""

_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,99})?")


def leads_through_objects(path: Path) -> bool:
    """Return True for a path that leads through no array, whatever the document looks like."""
    return not any(map(is_position, path))


def of_equality(form: Form, shape: Shape, value: Any, path: Path) -> list[Any]:
    """Return what an item contains, one or another, whose value at *path* is equal to *value*."""
    bound = binder(form, shape)(value)
    if shape is Shape.JSON:
        assert isinstance(bound, bytes)  # noqa: S101  # so is every bound JSON
        found: list[Any] = [msgspec.Raw(bound.removeprefix(JSONB_VERSION))]
    elif shape is Shape.NUMBER:
        found = [msgspec.Raw(str(bound).encode())]
    else:
        text = str(bound)
        if text[:1] in {"{", "["}:
            return [ANYTHING]
        found = [text]
        if text in {"true", "false"} or _NUMBER.fullmatch(text):
            found.append(msgspec.Raw(text.encode()))
        elif text[:1] in set("-0123456789") and len(text) > 100:
            return [ANYTHING]
    return [wrapped(each, path) for each in found]


def all_of_them(parts: Iterable[list[Any]]) -> list[Any]:
    """Return what is contained where several conditions are true."""
    known: list[Any] = [ANYTHING]
    for part in parts:
        if ANYTHING not in part and len(known) * len(part) <= _MOST:
            known = [_merged(one, other) for one, other in itertools.product(known, part)]
    return known


def one_of_them(parts: Iterable[list[Any]]) -> list[Any]:
    """Return what is contained where one of several conditions is true."""
    known = [each for part in parts for each in part]
    return [ANYTHING] if ANYTHING in known or len(known) > _MOST else known


def in_list(alternatives: Iterable[Any], path: Path) -> list[Any]:
    """Return what contains, at *path*, a list with such an item."""
    return [wrapped([] if each is ANYTHING else [each], path) for each in alternatives]


def as_texts(alternatives: Iterable[Any]) -> Iterable[str]:
    """Return each as JSON."""
    return (write_json(each).decode() for each in alternatives)


def _merged(one: Any, other: Any) -> Any:
    """Return what contains both; where that cannot be said, the first."""
    if one is ANYTHING:
        return other
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            key: _merged(one[key], other[key]) if key in one and key in other else one.get(key, other.get(key))
            for key in one | other
        }
    return one + other if isinstance(one, list) and isinstance(other, list) else one
