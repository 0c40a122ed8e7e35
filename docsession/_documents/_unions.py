"""Unions: which member a value belongs to, and how the document tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from typing_extensions import override

from docsession._documents._form import OBJECT, Form
from docsession._documents._objects import ObjectForm
from docsession._documents._places import (
    Hints,
    MisfitError,
    Recorded,
    Records,
    Trail,
    describe,
    hints_of,
    path_of,
    pointer_of,
)
from docsession._documents._scalars import LiteralForm, Nothing, Scalar, kinds_of
from docsession._documents._untyped import LOOSE
from docsession._documents._values import read_as_stored, write_json

TYPE_KEY: Final = "@type"
"""The member of an object that names its class, in a union of classes that nothing else tells apart."""


class Union(Form):
    """`A | B`: a value is written as the member it is, and read as the first member that takes it.

    Classes are told apart by a field of literals or msgspec's tag if they have one, else by `@type`.
    Where the JSON alone would be read as another member, the member's label is recorded.

    Attributes:
        is_discriminated: True where pydantic was told which field tells the members apart.
    """

    __slots__ = ("_by_type", "_labels", "_tag_key", "_tags", "is_discriminated", "members", "writes_tag")

    def __init__(self, members: Sequence[Form]) -> None:
        kinds: frozenset[str] = frozenset().union(*(member.kinds for member in members))
        super().__init__(" | ".join(member.label for member in members), kinds)
        self.members = tuple(members)
        self._tag_key = TYPE_KEY
        self._tags: dict[object, ObjectForm] = {}
        self._labels: dict[int, str] = {}
        self._by_type: dict[type, Form] = {}
        self.writes_tag = False
        self.is_discriminated = False

    def finish(self) -> None:
        """Find out how the members are told apart; to be called when the fields of all classes are known."""
        members = self.members
        classes = [member for member in members if isinstance(member, ObjectForm) and not member.is_dict]
        objects = [member for member in members if "object" in member.kinds and not member.untyped]
        tagged = False
        if classes and len(objects) > 1:
            found = _common_tag(classes) if len(classes) == len(objects) else None
            if found is None:
                self.writes_tag = True
                self._tags = _aliases(classes)
            else:
                self._tag_key, self._tags = found
                tagged = all(member.tag is not None for member in classes)
        self._labels = _labels(members)
        overlap = _overlaps(members)
        in_c = not overlap - (OBJECT if tagged else frozenset()) or _is_int_and_float(members, overlap)
        told_by_field = bool(self._tags) and not self.writes_tag and not tagged and not overlap - OBJECT
        self.encodes = in_c or told_by_field
        self.decodes = in_c
        # pydantic's parser weighs members up against each other where more than one could be meant.
        self.pydantic = (in_c and not tagged) or (told_by_field and (self.is_discriminated or self._needs_tag()))
        self._by_type = self._find_safe()

    def _needs_tag(self) -> bool:
        """Return True where an object without the field that tells the members apart fits none of them."""
        return all(member.fields[self._tag_key].required for member in self._tags.values())

    def _find_safe(self) -> dict[type, Form]:
        """Return, by the class of their values, the members whose JSON no other member would take."""
        found: dict[type, Form] = {}
        kinds = {member.kind for member in self.members if isinstance(member, Scalar)}
        seen: frozenset[str] = frozenset()
        for member in self.members:
            told_by_tag = OBJECT if self._tags else frozenset()
            is_safe = not (member.kinds - told_by_tag) & seen
            if isinstance(member, Scalar) and is_safe:
                # A Decimal may be written like an int.
                if not (member.kind is Decimal and int in kinds):
                    found.setdefault(member.kind, member)
            elif isinstance(member, ObjectForm) and not member.is_dict and is_safe:
                found.setdefault(member.cls, member)
            elif isinstance(member, Nothing):
                found[type(None)] = member
            seen |= member.kinds
        return found

    @property
    def needs_point(self) -> bool:
        """Return True where a float must be told from an int by its decimal point."""
        kinds = [member.kind for member in self.members if isinstance(member, Scalar)]
        return float in kinds and len(_overlaps(self.members)) > 0

    @override
    def accepts(self, value: object) -> bool:
        return any(member.accepts(value) for member in self.members)

    def member_of(self, value: object) -> Form | None:
        """Return the member that *value* belongs to."""
        found = self._by_type.get(type(value))
        return found or next((member for member in self.members if member.accepts(value)), None)

    @override
    def encode(self, value: Any, trail: Trail, records: Records) -> Any:
        member = self._by_type.get(type(value))
        if member is not None:
            return self._write(member, value, trail, records)
        member = next((each for each in self.members if each.accepts(value)), None)
        if member is None:
            return self._encode_misfit(value, trail, records)
        wire = self._write(member, value, trail, records)
        if records is not None and self._is_ambiguous(member, wire, trail, records):
            label = type(value).__name__ if member.untyped else self._labels[id(member)]
            records.setdefault(pointer_of(trail), label)
        return wire

    @override
    def decode(self, json: Any, hints: Hints | None) -> Any:
        if hints is not None and hints.label is not None:
            for member in self.members:
                if self._labels[id(member)] == hints.label:
                    return member.decode(json, hints)
            untyped = next((member for member in self.members if member.untyped), None)
            if untyped is not None:
                return untyped.decode(json, hints)
        return self._choose(json, hints)[1]

    @override
    def children(self) -> Iterator[Form]:
        yield from self.members

    def _write(self, member: Form, value: Any, trail: Trail, records: Records) -> Any:
        wire = member.encode(value, trail, records)
        if self.writes_tag and isinstance(member, ObjectForm) and not member.is_dict:
            return {TYPE_KEY: next(alias for alias, each in self._tags.items() if each is member), **wire}
        return wire

    def _encode_misfit(self, value: Any, trail: Trail, records: Records) -> Any:
        """Write what is of no member: perhaps an instance of a subclass of one."""
        for member in self.members:
            kind = member.kind if isinstance(member, Scalar) else getattr(member, "cls", None)
            if kind is not None and isinstance(value, dict if getattr(member, "is_dict", False) else kind):
                return self._write(member, value, trail, records)
        return LOOSE.encode(value, trail, None)

    def _choose(self, json: Any, hints: Hints | None) -> tuple[Form, Any]:
        """Return the first member that takes *json*, and what it makes of it."""
        kind = kinds_of(json)
        if self._tags and type(json) is dict and self._tag_key in json:
            tag = json[self._tag_key]
            tagged = self._tags.get(tag) if isinstance(tag, (str, int)) else None
            if tagged is not None:
                return tagged, tagged.decode(_without_type(json) if self.writes_tag else json, hints)
            if self.writes_tag:
                raise MisfitError(" | ".join(map(str, self._tags)), describe(tag), (TYPE_KEY,))
        candidates = [member for member in self.members if kind & member.kinds]
        if type(json) is int and any(isinstance(member, Scalar) and member.kind is int for member in candidates):
            # As msgspec has it for `float | int`: the way a number is written says which one it is.
            candidates.sort(key=lambda member: isinstance(member, Scalar) and member.kind in {float, Decimal})
        if len(candidates) == 1:
            return candidates[0], candidates[0].decode(json, hints)
        nearest: MisfitError | None = None
        for member in candidates:
            try:
                return member, member.decode(json, hints)
            except MisfitError as error:
                if len(error.path) > (0 if nearest is None else len(nearest.path)):
                    nearest = error
        raise nearest or MisfitError(self.label, describe(json))

    def _is_ambiguous(self, member: Form, wire: Any, trail: Trail, records: Recorded) -> bool:
        """Return True where another member than *member* would read what was written for it."""
        if pointer_of(trail) in records:
            return False
        hints = hints_of(records)
        for step in path_of(trail):
            hints = hints.below(step)
        try:
            return self._choose(read_as_stored(write_json(wire)), hints)[0] is not member
        except MisfitError:
            return True


def _overlaps(members: Sequence[Form]) -> frozenset[str]:
    """Return the kinds of JSON that more than one member is written as."""
    seen: frozenset[str] = frozenset()
    twice: frozenset[str] = frozenset()
    for member in members:
        twice |= seen & member.kinds
        seen |= member.kinds
    return twice


def _is_int_and_float(members: Sequence[Form], overlap: frozenset[str]) -> bool:
    numbers = [member for member in members if "number" in member.kinds]
    return overlap == {"number"} and all(type(each) is Scalar and each.kind in {int, float} for each in numbers)


def _aliases(classes: Sequence[ObjectForm]) -> dict[object, ObjectForm]:
    """Return the classes by what `@type` calls them."""
    names = [member.alias for member in classes]
    return {
        name if names.count(name) == 1 else f"{member.cls.__module__}.{member.cls.__qualname__}": member
        for name, member in zip(names, classes, strict=True)
    }


def _common_tag(classes: Sequence[ObjectForm]) -> tuple[str, dict[object, ObjectForm]] | None:
    """Return a key that all classes have, with a value of its own for each: a tag, or a field of literals."""
    keys = {classes[0].tag[0]} if classes[0].tag else set()
    keys |= {key for key, field in classes[0].fields.items() if isinstance(field.form, LiteralForm)}
    for key in sorted(keys):
        tags: dict[object, ObjectForm] = {}
        count = 0
        for member in classes:
            form = member.fields[key].form if key in member.fields else None
            values: list[object] = [member.tag[1]] if member.tag and member.tag[0] == key else []
            values = form.json_values() if isinstance(form, LiteralForm) else values
            if not values or not all(type(value) in {str, int} for value in values):
                break
            count += len(values)
            tags.update(dict.fromkeys(values, member))
        else:
            if len(tags) == count:
                return key, tags
    return None


def _labels(members: Sequence[Form]) -> dict[int, str]:
    names = [member.alias if isinstance(member, ObjectForm) else member.label for member in members]
    return {
        id(member): name if names.count(name) == 1 else f"{place}:{name}"
        for place, (name, member) in enumerate(zip(names, members, strict=True))
    }


def _without_type(json: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in json.items() if key != TYPE_KEY}
