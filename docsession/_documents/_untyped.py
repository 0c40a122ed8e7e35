"""Untyped places: `Any`, `object`, bare containers, attributes without annotation.

JSON's own types are written as they are. Of every other value the type is recorded beside the
document, so that it comes back as what it was.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable
from typing import Any, Final

from typing_extensions import override

from docsession._documents._form import ANYTHING, Form, decode_items, decode_members
from docsession._documents._places import (
    NO_HINTS,
    Hints,
    MisfitError,
    Records,
    RefusedError,
    Trail,
    describe,
    pointer_of,
)
from docsession._documents._values import (
    CHECKS,
    SPECIAL,
    as_base,
    check_str,
    convert,
    floats,
    is_subclass_instance,
    write_json,
)

PLAIN_TYPES: Final = frozenset({str, int, float, bool, type(None)})
_MANY: Final = 200_000
_SORTABLE: Final = frozenset(CHECKS) - {type(None)}
_JSON_NAMES: Final = frozenset({"str", "int", "float", "bool", "NoneType", "list", "dict"})
_SPECIAL_NAMES: Final = {kind: name for name, kind in SPECIAL.items()}


class NeedsTypesError(Exception):
    """An object holds special values in untyped places, so that msgspec alone cannot write it."""


class Untyped(Form):
    """A place that nothing declares.

    Args:
        form_of_class: Gives alias and form of a registered class, None of any other.
        form_of_alias: Gives the form of the class registered under an alias.
    """

    __slots__ = ("_form_of_alias", "form_of_class")

    untyped = True

    def __init__(
        self,
        form_of_class: Callable[[type], tuple[str, Form] | None],
        form_of_alias: Callable[[str], Form | None],
    ) -> None:
        super().__init__("Any", ANYTHING)
        self.form_of_class = form_of_class
        self._form_of_alias = form_of_alias

    @override
    def accepts(self, value: object) -> bool:  # takes everything
        return True

    @override
    def encode(self, value: Any, trail: Trail, records: Records) -> Any:
        kind = type(value)
        if kind in PLAIN_TYPES:
            return CHECKS[kind](value, trail)
        if kind is list:
            return [self.encode(item, (trail, place), records) for place, item in enumerate(value)]
        if kind is dict:
            return {check_key(key, trail): self.encode(item, (trail, key), records) for key, item in value.items()}
        if kind in _SPECIAL_NAMES:
            _record(records, trail, _SPECIAL_NAMES[kind])
            return CHECKS[kind](value, trail)
        if kind in (tuple, set, frozenset):
            _record(records, trail, kind.__name__)
            items = value if kind is tuple else sort_set(value, self)
            return [self.encode(item, (trail, place), records) for place, item in enumerate(items)]
        known = self.form_of_class(kind)
        if known is None:
            raise RefusedError(trail, _why_not(value))
        alias, form = known
        _record(records, trail, alias)
        return form.encode(value, trail, records)

    @override
    def decode(self, json: Any, hints: Hints | None) -> Any:
        if hints is None:
            return json
        label = hints.label
        if label is None:
            if hints is NO_HINTS:
                return floats(json)
            return self._decode_json(json, hints)
        if label in _JSON_NAMES:
            # The value of a union's untyped member, which another member would have taken.
            return self._decode_json(json, hints)
        if label in SPECIAL:
            return convert(json, SPECIAL[label], label)
        if label in {"tuple", "set", "frozenset"}:
            if type(json) is not list:
                raise MisfitError(label, describe(json))
            items = self._decode_json(json, hints)
            return {"tuple": tuple, "set": set, "frozenset": frozenset}[label](items)
        form = self._form_of_alias(label)
        if form is None:
            raise MisfitError(f"a class registered as {label!r}", "no such class: register it")
        return form.decode(json, hints)

    def _decode_json(self, json: Any, hints: Hints) -> Any:
        if type(json) is list:
            return decode_items(self, json, hints)
        if type(json) is dict:
            return decode_members(self, json, hints)
        return floats(json)


def check_key(key: object, trail: Trail) -> str:
    """Return the key of an untyped dict; only a str is one."""
    if not isinstance(key, str):
        raise RefusedError(trail, f"the key {key!r} is no str: annotate the dict's keys, or convert them")
    return check_str(key if type(key) is str else as_base(key), (trail, key))


def sort_set(values: Iterable[Any], form: Form) -> list[Any]:
    """Return the items of a set in an order that depends on their values alone."""
    items = list(values)
    kinds = set(map(type, items))
    if len(kinds) == 1 and kinds <= _SORTABLE:
        try:
            return sorted(items)
        except TypeError:  # naive and aware datetimes
            pass
    return sorted(items, key=lambda item: (write_json(form.encode(item, None, None)), type(item).__name__))


def has_special(values: Iterable[Any]) -> bool:
    """Return True where anything below needs more than JSON's own types: the hot test of untyped places.

    Something that contains itself counts as special: what comes next finds out.
    """
    waiting: list[Iterable[Any]] = [values]
    for group in waiting:
        if len(waiting) > _MANY:
            return True
        if PLAIN_TYPES.issuperset(map(type, group)):
            continue
        for value in group:
            kind = type(value)
            if kind is dict:
                waiting.append(value.values())
            elif kind is list:
                waiting.append(value)
            elif kind not in PLAIN_TYPES:
                return True
    return False


def has_nan(values: Iterable[Any]) -> bool:
    """Return True where a float below is not finite; other types than JSON's own are passed over."""
    waiting: list[Iterable[Any]] = [values]
    for group in waiting:
        kinds = set(map(type, group))
        if float in kinds and any(type(value) is float and not math.isfinite(value) for value in group):
            return True
        if dict in kinds:
            waiting.extend(value.values() for value in group if type(value) is dict)
        if list in kinds:
            waiting.extend(value for value in group if type(value) is list)
    return False


def _record(records: Records, trail: Trail, label: str) -> None:
    if records is not None:
        records[pointer_of(trail)] = label


def _why_not(value: object) -> str:
    kind = type(value)
    if isinstance(value, enum.Enum) or not is_subclass_instance(value):
        name = f"{kind.__module__}.{kind.__qualname__}"
        if kind.__module__ == "builtins" or isinstance(value, (type, BaseException)):
            return f"a value of type {kind.__name__} cannot be stored"
        return (
            f"an instance of {name} in a place without a type cannot be found again: annotate the place, "
            f"or register the class (conventions.register({kind.__qualname__}) or @document)"
        )
    base = next(base for base in kind.__mro__ if base in CHECKS)
    return (
        f"an instance of {kind.__qualname__}, a subclass of {base.__name__}, would come back as {base.__name__}: "
        "convert it, or annotate the place"
    )


class Loose(Untyped):
    """What a typed place holds that its annotation does not allow, as msgspec would write it.

    Nothing is recorded: the document is refused when it is verified, unless the annotation reads it.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(lambda _: None, lambda _: None)

    @override
    def encode(self, value: Any, trail: Trail, records: Records) -> Any:  # nothing is recorded
        if isinstance(value, enum.Enum):
            return self.encode(value.value, trail, None)
        kind = type(value)
        if isinstance(value, (tuple, list)):
            return [self.encode(item, (trail, place), None) for place, item in enumerate(value)]
        if isinstance(value, (set, frozenset)):
            return [self.encode(item, (trail, place), None) for place, item in enumerate(sort_set(value, self))]
        if isinstance(value, dict):
            return {check_key(key, trail): self.encode(item, (trail, key), None) for key, item in value.items()}
        if kind in CHECKS:
            return CHECKS[kind](value, trail)
        if is_subclass_instance(value):
            return self.encode(as_base(value), trail, None)
        if isinstance(value, (bytearray, memoryview)):
            return bytes(value)
        raise RefusedError(trail, f"a value of type {kind.__module__}.{kind.__qualname__} cannot be stored here")


LOOSE: Final = Loose()
