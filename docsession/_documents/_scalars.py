"""Forms of single values: scalars, enums, literals, and annotations that nothing can be stored under."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from typing_extensions import override

from docsession._documents._form import BOOL, NULL, NUMBER, STRING, Form
from docsession._documents._places import Hints, MisfitError, Records, RefusedError, Trail, describe
from docsession._documents._untyped import LOOSE
from docsession._documents._values import CHECKS, as_base, convert, read_json, write_json

SCALARS: Final[dict[type, frozenset[str]]] = {
    str: STRING,
    int: NUMBER,
    float: NUMBER,
    bool: BOOL,
    Decimal: NUMBER,
    dt.datetime: STRING,
    dt.date: STRING,
    dt.time: STRING,
    dt.timedelta: STRING,
    UUID: STRING,
    bytes: STRING,
    bytearray: STRING,
}
"""The types with one JSON value, and the kind of it."""

_UNSORTABLE: Final = (dt.datetime, dt.time, bytearray)
_AS_IN_JSON: Final = frozenset({str, int, bool, float})


class Scalar(Form):
    """One of `SCALARS`, perhaps with msgspec's constraints (`Annotated[int, Meta(gt=0)]`).

    Attributes:
        kind: The class of the values.
        type: The same with constraints.
        as_is: The class, if JSON's values of it need no second look; else None.
    """

    __slots__ = ("_check", "as_is", "kind", "type")

    def __init__(self, kind: type, constrained: Any = None) -> None:
        super().__init__(
            kind.__name__,
            SCALARS[kind],
            pydantic=kind not in {Decimal, bytes, bytearray},
            sortable=kind not in _UNSORTABLE,
        )
        self.kind = kind
        self.type = kind if constrained is None else constrained
        self._check = CHECKS[kind]
        self.as_is = kind if constrained is None and kind in _AS_IN_JSON else None

    @override
    def accepts(self, value: object) -> bool:
        return type(value) is self.kind

    @override
    def encode(self, value: Any, trail: Trail, records: Records) -> Any:
        if type(value) is self.kind:
            return self._check(value, trail)
        other = dt.datetime if self.kind is dt.date else enum.Enum
        if isinstance(value, self.kind) and not isinstance(value, (bool, other)):
            return CHECKS[self.kind](as_base(value), trail)
        if self.kind is Decimal and isinstance(value, str):
            # It could be read again, but no condition, order or sum over numbers would count it.
            raise RefusedError(trail, f"expected Decimal, found str {value!r:.40}: make it a Decimal")
        return LOOSE.encode(value, trail, None)

    @override
    def decode(self, json: Any, hints: Hints | None) -> Any:
        if type(json) is self.as_is:
            return json
        if self.kind is float and type(json) is Decimal:
            json = float(json)
        elif self.kind is not Decimal and type(json) is Decimal:
            raise MisfitError(self.label, describe(json))
        elif self.kind is Decimal and type(json) is str:
            # What msgspec takes as well; a foreign writer may have kept its digits that way.
            json = convert(json, Decimal, self.label)
        return convert(json, self.type, self.label)


class Nothing(Form):
    """None."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("None", NULL)

    @override
    def accepts(self, value: object) -> bool:
        return value is None

    @override
    def encode(self, value: Any, trail: Trail, records: Records) -> Any:
        return None if value is None else LOOSE.encode(value, trail, None)

    @override
    def decode(self, json: Any, hints: Hints | None) -> Any:
        if json is not None:
            raise MisfitError("null", describe(json))


class EnumForm(Form):
    """An enum, stored as the member's value, whatever the value's type."""

    __slots__ = ("_by_json", "_wires", "annotation")

    def __init__(self, cls: type[enum.Enum]) -> None:
        wires: dict[enum.Enum, Any] = {}
        by_json: dict[object, enum.Enum] = {}
        kinds: set[str] = set()
        values: set[type] = set()
        for member in cls:
            try:
                wire = LOOSE.encode(member.value, None, None)
            except RefusedError:
                continue
            json = read_json(write_json(wire))
            if by_json.setdefault(_freeze(json), member) is member:
                wires[member] = wire
                kinds |= kinds_of(json)
                values.add(type(member.value))
        one_kind = values in ({str}, {int})
        super().__init__(
            cls.__name__,
            frozenset(kinds) or STRING,
            encodes=bool(values) and values <= {str, int, float, bool, type(None)} and len(wires) == len(cls),
            decodes=one_kind and len(wires) == len(cls),
            pydantic=one_kind and len(wires) == len(cls),
            sortable=issubclass(cls, (int, str)),
        )
        self.annotation = cls
        self._wires = wires
        self._by_json = by_json

    @override
    def accepts(self, value: object) -> bool:
        return type(value) is self.annotation or isinstance(value, self.annotation)

    @override
    def encode(self, value: Any, trail: Trail, records: Records) -> Any:
        if not isinstance(value, self.annotation):
            return LOOSE.encode(value, trail, None)
        if value in self._wires:
            return self._wires[value]
        if isinstance(value, enum.Flag):
            return value.value
        raise RefusedError(
            trail, f"the value of {value} cannot be stored, or another member of {self.label} has the same in JSON"
        )

    @override
    def decode(self, json: Any, hints: Hints | None) -> Any:
        found = self._by_json.get(_freeze(json))
        if found is None and type(json) in {str, int}:
            try:
                found = self.annotation(json)
            except ValueError:
                found = None
        if found is None:
            names = ", ".join(repr(member.value) for member in self._wires)
            raise MisfitError(f"{self.label} ({names})", describe(json))
        return found


class LiteralForm(Form):
    """`Literal[…]`."""

    __slots__ = ("_values", "annotation")

    def __init__(self, values: tuple[Any, ...]) -> None:
        self.annotation: Any = Literal[values]
        self._values: dict[tuple[type, Any], tuple[Any, Any]] = {}
        for value in values:
            wire = LOOSE.encode(value, None, None)
            json = read_json(write_json(wire))
            self._values.setdefault((type(json), json), (value, wire))
        kinds = frozenset().union(*(kinds_of(json) for _, json in self._values))
        common = all(type(value) in {str, int, bool, type(None)} for value in values)
        plain = common and len(self._values) == len(values)
        super().__init__(
            f"Literal[{', '.join(map(repr, values))}]", kinds, encodes=plain, decodes=plain, pydantic=plain
        )

    @override
    def accepts(self, value: object) -> bool:
        return any(type(each) is type(value) and each == value for each, _ in self._values.values())

    @override
    def encode(self, value: Any, trail: Trail, records: Records) -> Any:
        for each, wire in self._values.values():
            if type(each) is type(value) and each == value:
                return wire
        return LOOSE.encode(value, trail, None)

    @override
    def decode(self, json: Any, hints: Hints | None) -> Any:
        if type(json) in {str, int, bool, type(None)} and (type(json), json) in self._values:
            return self._values[type(json), json][0]
        raise MisfitError(self.label, describe(json))

    def json_values(self) -> list[object]:
        """Return what the literals are in JSON."""
        return [json for _, json in self._values]


class Unsupported(Form):
    """An annotation that no value but None can be stored under."""

    __slots__ = ()

    def __init__(self, label: str) -> None:
        super().__init__(label, NULL, encodes=False, decodes=False, pydantic=False)

    @override
    def accepts(self, value: object) -> bool:
        return value is None

    @override
    def encode(self, value: Any, trail: Trail, records: Records) -> Any:
        if value is not None:
            kind = type(value)
            raise RefusedError(
                trail,
                f"a value of type {kind.__module__}.{kind.__qualname__}, annotated as {self.label}, cannot be stored: "
                "keep what it is made from instead",
            )

    @override
    def decode(self, json: Any, hints: Hints | None) -> Any:
        if json is not None:
            raise MisfitError(self.label, describe(json))


class Coerced(Form):
    """A type that only pydantic knows, inside one of its models: its JSON mode writes and reads it."""

    __slots__ = ("_adapter",)

    def __init__(self, annotation: Any, label: str) -> None:
        from pydantic import TypeAdapter

        super().__init__(label, STRING | NUMBER | BOOL | NULL, encodes=False, decodes=False)
        self._adapter: Any = TypeAdapter(annotation)

    @override
    def accepts(self, value: object) -> bool:
        try:
            self._adapter.validate_python(value, strict=True)
        except ValueError:
            return False
        return True

    @override
    def encode(self, value: Any, trail: Trail, records: Records) -> Any:
        if value is None:
            return None
        try:
            json = self._adapter.dump_python(value, mode="json")
            again = self._adapter.validate_python(json)
        except (ValueError, TypeError) as error:
            raise RefusedError(trail, f"pydantic cannot write it as JSON: {error}") from None
        if again != value:
            raise RefusedError(trail, f"a {self.label} does not come back from the JSON that pydantic writes for it")
        return LOOSE.encode(json, trail, None)

    @override
    def decode(self, json: Any, hints: Hints | None) -> Any:
        try:
            return self._adapter.validate_python(float(json) if type(json) is Decimal else json)
        except ValueError:
            raise MisfitError(self.label, describe(json)) from None


def kinds_of(json: object) -> frozenset[str]:
    """Return the kind of a JSON value."""
    if json is None:
        return NULL
    if isinstance(json, bool):
        return BOOL
    if isinstance(json, (int, float, Decimal)):
        return NUMBER
    if isinstance(json, str):
        return STRING
    return frozenset({"array"}) if isinstance(json, list) else frozenset({"object"})


def _freeze(json: Any) -> object:
    """Return a JSON value as a key that equals whatever the database may make of the same value."""
    if isinstance(json, bool) or json is None:
        return (type(json), json)
    if isinstance(json, float):
        return Decimal(repr(json))
    if isinstance(json, list):
        return tuple(map(_freeze, json))
    if isinstance(json, dict):
        return frozenset((key, _freeze(value)) for key, value in json.items())
    return json
