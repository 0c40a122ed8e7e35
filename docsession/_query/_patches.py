"""What a set-based patch does to each document: the list that the function of `patch` returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final

from typing_extensions import override

from docsession._documents._form import Form
from docsession._documents._scalars import Scalar
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._compilation import Compilation
from docsession._query._kinds import CASTS, bare, binder, check_fits, shape_of_form, shape_of_value
from docsession._query._operands import NUMBERS, Place, check_key
from docsession._query._recorder import Recorded, item_form, operand_of, record
from docsession._sql._values import Path, Shape, json_at, path_literal


class PatchOperation(ABC):
    """One change of a field."""

    __slots__ = ("_constants", "place")
    _word: ClassVar[str]

    def __init__(self, place: Place, *constants: object) -> None:
        self.place = place
        self._constants = constants

    def walk(self, key: list[object], values: list[Any]) -> None:
        """Add what tells its SQL from that of others to *key*, and its constants to *values*."""
        key.append(self._word)
        self.place.walk(key, values)
        values.extend(self._constants)

    @property
    def replaced(self) -> tuple[Path, ...]:
        """The places that hold other values afterwards, or that hold values of another type than the document says."""
        return (_up_to_positions_from_the_end(self.place.path),)

    @abstractmethod
    def sql(self, to: Compilation, document: str) -> str:
        """Return the document after the change as SQL, *document* being that before."""


class Set(PatchOperation):
    """The field gets a value, whatever it had; one whose parent is missing stays missing, and so does an item."""

    __slots__ = ()
    _word = "set"

    def __init__(self, place: Place, value: object) -> None:
        super().__init__(place, value)
        check_fits(place.form, _plain(value, "set_"), place.label)

    @override
    def sql(self, to: Compilation, document: str) -> str:
        value = to.bind(to.take(), _json_or_null(self.place.form))
        changed = f"jsonb_set({document}, {path_literal(self.place.path)}, {value})"
        return _where_it_fits(document, self.place.path, changed)


class Increment(PatchOperation):
    """A number grows; a missing or null one counts as 0, and what is no number stays as it is."""

    __slots__ = ()
    _word = "increment"

    def __init__(self, place: Place, by: object) -> None:
        super().__init__(place, by)
        if shape_of_form(place.form) is not Shape.NUMBER and not bare(place.form).untyped:
            raise InvalidArgumentTypeException(
                f"increment(): {place.label} holds {place.form.label}, which is no number"
            )
        shape_of_value(NUMBERS, _plain(by, "increment"), "increment()")
        if isinstance(form := bare(place.form), Scalar) and form.kind is int and not isinstance(by, int):
            raise InvalidArgumentTypeException(
                f"increment(): {place.label} holds int, which it would not be any more after adding {by!r:.60}"
            )

    @property
    @override
    def replaced(self) -> tuple[Path, ...]:
        return ()

    @override
    def sql(self, to: Compilation, document: str) -> str:
        by = to.bind(to.take(), binder(NUMBERS, Shape.NUMBER), CASTS[Shape.NUMBER])
        now = json_at(document, self.place.path)
        changed = (
            f"CASE WHEN coalesce(jsonb_typeof({now}), 'null') IN ('number', 'null') "
            f"THEN jsonb_set({document}, {path_literal(self.place.path)}, "
            f"to_jsonb(coalesce((nullif({now}, 'null'))::numeric, 0) + {by})) ELSE {document} END"
        )
        return _where_it_fits(document, self.place.path, changed)


class Append(PatchOperation):
    """A list gets one more item; a missing or null one begins with it, and what is no list stays as it is."""

    __slots__ = ("_item",)
    _word = "append"

    def __init__(self, place: Place, value: object) -> None:
        super().__init__(place, value)
        self._item = item_form(place)
        check_fits(self._item, _plain(value, "append"), f"an item of {place.label}")

    @property
    @override
    def replaced(self) -> tuple[Path, ...]:
        return ()

    @override
    def sql(self, to: Compilation, document: str) -> str:
        value = to.bind(to.take(), _json_or_null(self._item))
        now = json_at(document, self.place.path)
        changed = (
            f"CASE WHEN coalesce(jsonb_typeof({now}), 'null') IN ('array', 'null') "
            f"THEN jsonb_set({document}, {path_literal(self.place.path)}, "
            f"coalesce(nullif({now}, 'null'), '[]') || jsonb_build_array({value})) ELSE {document} END"
        )
        return _where_it_fits(document, self.place.path, changed)


class Remove(PatchOperation):
    """The field is removed."""

    __slots__ = ()
    _word = "remove"

    @property
    @override
    def replaced(self) -> tuple[Path, ...]:
        path = self.place.path
        # What follows an item of a list moves.
        return (_up_to_positions_from_the_end(path[:-1] if isinstance(path[-1], int) else path),)

    @override
    def sql(self, to: Compilation, document: str) -> str:
        return _where_it_fits(document, self.place.path, f"({document} #- {path_literal(self.place.path)})")


class Rename(PatchOperation):
    """The field gets another name, beside the one that it had; a document without it stays as it is."""

    __slots__ = ("_name",)

    def __init__(self, place: Place, name: str) -> None:
        super().__init__(place)
        given: object = name
        if not isinstance(given, str) or not given or not isinstance(place.path[-1], str):
            raise InvalidArgumentException(f"rename({place.label}, …) takes the new name of a field, not {name!r:.60}")
        self._name = check_key(name)

    @property
    def target(self) -> Path:
        """Where the field is afterwards."""
        return (*self.place.path[:-1], self._name)

    @property
    @override
    def replaced(self) -> tuple[Path, ...]:
        return tuple(map(_up_to_positions_from_the_end, (self.place.path, self.target)))

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(("rename", self._name))
        self.place.walk(key, values)

    @override
    def sql(self, to: Compilation, document: str) -> str:
        path = self.place.path
        now = json_at(document, path)
        moved = f"jsonb_set({document} #- {path_literal(path)}, {path_literal(self.target)}, {now})"
        return _where_it_fits(document, path, f"CASE WHEN {now} IS NULL THEN {document} ELSE {moved} END")


def set_(field: Any, value: object, /) -> PatchOperation:
    """Give a field a value."""
    return Set(_place(field, "set_"), value)


def increment(field: Any, by: object = 1, /) -> PatchOperation:
    """Add to a number; a missing one counts as 0."""
    return Increment(_place(field, "increment"), by)


def append(field: Any, value: object, /) -> PatchOperation:
    """Put one more item at the end of a list; a missing one is begun."""
    return Append(_place(field, "append"), value)


def remove(field: Any, /) -> PatchOperation:
    """Remove a field from the document."""
    return Remove(_place(field, "remove"))


def rename(field: Any, name: str, /) -> PatchOperation:
    """Give a field another name, at the same place."""
    return Rename(_place(field, "rename"), name)


def operations_of(root: Recorded, function: Callable[[Any], object], id_key: str | None) -> list[PatchOperation]:
    """Return what the function of a patch has returned.

    Raises:
        InvalidArgumentException: It is no list of operations, or one changes the id.
    """
    made = record(function, root, "patch()")
    found: list[PatchOperation] = []
    for each in made if isinstance(made, (list, tuple)) else (made,):
        if not isinstance(each, PatchOperation):
            raise InvalidArgumentTypeException(
                "patch() takes a function that returns operations, as in lambda o: [set_(o.status, 'late')], "
                f"not {type(each).__qualname__}"
            )
        if each.place.path == (id_key,):
            raise InvalidArgumentException("patch() changes documents, and the id is no part of them")
        if isinstance(each, Rename) and each.target == (id_key,):
            raise InvalidArgumentException(
                f"rename({each.place.label}, {id_key!r}): that is the id, which is no part of documents"
            )
        found.append(each)
    if not found:
        raise InvalidArgumentException("patch() takes a function that returns one operation at least")
    return found


_NULL: Final = b"\x01null"


def _json_or_null(form: Form) -> Callable[[Any], object]:
    bind = binder(form, Shape.JSON)
    return lambda value: _NULL if value is None else bind(value)


def _where_it_fits(document: str, path: Path, changed: str) -> str:
    """Return *changed* for documents that have a place for the field, others as they are: those would be refused."""
    places = [
        f"jsonb_typeof({json_at(document, path[:length])}) = '{'object' if isinstance(path[length], str) else 'array'}'"
        for length in range(1, len(path))
    ]
    if isinstance(path[-1], int):
        places.append(f"{json_at(document, path)} IS NOT NULL")
    return f"CASE WHEN {' AND '.join(places)} THEN {changed} ELSE {document} END" if places else changed


def _up_to_positions_from_the_end(path: Path) -> Path:
    """Return a path up to where it is known without the document."""
    for length, step in enumerate(path):
        if isinstance(step, int) and step < 0:
            return path[:length]
    return path


def _plain(value: object, function: str) -> object:
    """Return a value, which is none of the document's."""
    other = operand_of(value)
    if other is not None:
        raise InvalidArgumentTypeException(
            f"{function}() takes a value that is the same for all documents, not {other.label}, which differs"
        )
    return value


def _place(field: object, function: str) -> Place:
    place = operand_of(field)
    if not isinstance(place, Place) or not place.label or place.scope is not None:
        raise InvalidArgumentTypeException(f"{function}() takes a field of the document first, not {field!r:.60}")
    return place
