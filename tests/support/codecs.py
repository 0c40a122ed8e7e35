"""A codec's round trip without a database, and the comparison of what came back."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec

from docsession._documents._aliases import AliasRegistry
from docsession._documents._codec import DocumentCodec, codec_for
from tests.support.jsonb import stored

KEY = "things/1-A"


def make_codec(cls: type, id_attribute: str | None = "Id", aliases: list[type] | None = None) -> DocumentCodec[Any]:
    """A codec for *cls* whose registry knows the classes of *aliases* by their names."""
    return codec_for(cls, id_attribute, AliasRegistry({each.__name__: each for each in aliases or ()}))


def types_of(codec: DocumentCodec[Any], snapshot: bytes) -> dict[str, str] | None:
    """What a store would read back as the metadata's `@types`."""
    types = codec.types(snapshot)
    return None if types is None else msgspec.json.decode(types)


def document(codec: DocumentCodec[Any], entity: Any) -> Any:
    """The document of *entity* as Python's JSON values, after every check that a save makes."""
    snapshot = codec.snapshot(entity)
    codec.check(entity, snapshot, KEY)
    body = codec.body(snapshot, KEY)
    codec.verify(KEY, body, types_of(codec, snapshot))
    return msgspec.json.decode(body)


def trip(codec: DocumentCodec[Any], entity: Any) -> Any:
    """What is loaded after *entity* was saved; loading and saving it once more changes nothing."""
    codec.set_id(entity, KEY)
    snapshot = codec.snapshot(entity)
    assert codec.snapshot(entity) == snapshot
    codec.check(entity, snapshot, KEY)
    body = codec.body(snapshot, KEY)
    types = types_of(codec, snapshot)
    codec.verify(KEY, body, types)
    fresh = codec.decode(KEY, stored(body), types)
    again = codec.snapshot(fresh)
    # jsonb has one form for 1E+2 and 100, for -0.0 and 0.0; beyond that the text is the same.
    assert stored(codec.body(again, KEY)) == stored(body)
    assert types_of(codec, again) == types
    third = codec.decode(KEY, stored(codec.body(again, KEY)), types)
    assert codec.snapshot(third) == again
    return fresh


def same(one: Any, other: Any) -> bool:
    """Return True where both are equal and of the same types, at every depth."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(set(one), set(other)) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (set, frozenset)):
        return one == other and sorted(map(_show, one)) == sorted(map(_show, other))
    if isinstance(one, (dt.datetime, dt.time)):
        return one.replace(tzinfo=None) == other.replace(tzinfo=None) and one.utcoffset() == other.utcoffset()
    if isinstance(one, Decimal):
        # A positive exponent is written out; the digits after the point are kept.
        exponents = [min(0, each.as_tuple().exponent) for each in (one, other)]
        return one == other and exponents[0] == exponents[1]
    state = state_of(one)
    if state is not None:
        return same(state, state_of(other))
    return one == other


def _show(value: Any) -> str:
    """A text that tells an item of a set from others, of another type or zone too."""
    shown = value.isoformat() if isinstance(value, (dt.datetime, dt.time)) else repr(value)
    return f"{type(value).__name__} {shown}"


def state_of(value: Any) -> dict[str, Any] | None:
    """The attributes of an instance of a class of the tests; None of any other value."""
    if type(value).__module__.partition(".")[0] != "tests" or hasattr(type(value), "__members__"):
        return None
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    slots = {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
    found = {name: getattr(value, name) for name in slots if not name.startswith("__") and hasattr(value, name)}
    return found | getattr(value, "__dict__", {})
