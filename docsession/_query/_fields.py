"""Fields by name, as RavenDB's builder has them: `"address.city"`, `"lines[].product"`, `"id()"`.

Where a list stands on the way, or at the end, a condition is one of its items. Where nothing is
declared the value may be a list or not, and both are looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from typing_extensions import override

from docsession._documents._containers import Dict, Tuple
from docsession._documents._containers import Items as ItemsForm
from docsession._documents._form import Form
from docsession._documents._objects import ObjectForm
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._compilation import Compilation, Scope
from docsession._query._kinds import bare
from docsession._query._list_predicates import Items
from docsession._query._operands import NUMBERS, TEXTS, Column, Operand, Place
from docsession._query._predicates import Predicate
from docsession._query._recorder import Recorded, below, item_at, item_form, operand_of
from docsession._sql._values import Shape

ID_NAMES: Final = ("Id", "id()")
_ID: Final = Column("t.id", TEXTS, "id()", Shape.TEXT, "@id")


@dataclass(frozen=True, slots=True)
class Documents:
    """What field names are names of.

    Attributes:
        root: What stands for the documents.
        id_key: The key under which the class has its id; None where it has none.
    """

    root: Recorded
    id_key: str | None = None


def no_shortcut(place: Place, item: Form) -> Predicate | None:
    """Return no condition on a list as a whole."""
    del place, item
    return None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A condition on a field, whose name leads to it.

    Attributes:
        of: Returns the condition on a single value.
        of_list: Returns that on a list as a whole, given the form of its items; None: one of them fulfils `of`.
        whole: True: a list is a value as any other.
    """

    of: Callable[[Operand], Predicate]
    of_list: Callable[[Place, Form], Predicate | None] = no_shortcut
    whole: bool = False


class Values(Predicate):
    """A value of which nothing is declared, or one of its items where it is a list, that fulfils a condition."""

    __slots__ = ("_inner", "_place", "_scope")

    def __init__(self, place: Place, scope: Scope, inner: Predicate) -> None:
        self._place = place
        self._scope = scope
        self._inner = inner

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(("values", self._scope.depth))
        self._place.walk(key, values)
        self._inner.walk(key, values)

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        found = to.values(self._place.scope, self._place.path)
        inner = self._inner.sql(to)
        return f"{'NOT ' if negated else ''}EXISTS (SELECT 1 FROM {found} AS e{self._scope.depth}(value) WHERE {inner})"


class Loose(Operand):
    """A value of which nothing is declared, as any scalar's text, or as the number that it is or looks like."""

    __slots__ = ("_place", "_shape")

    def __init__(self, place: Place, shape: Shape) -> None:
        self._place = place
        self._shape = shape
        self.form = NUMBERS if shape is Shape.NUMBER else place.form
        self.label = place.label

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(("loose", self._shape))
        self._place.walk(key, values)

    @override
    def sql(self, to: Compilation, shape: Shape) -> str:
        return to.loose(self._place.scope, self._place.path, shape)


def condition_on(documents: Documents, name: str, leaf: Leaf) -> Predicate:
    """Return the condition on a field.

    Raises:
        InvalidArgumentException: There is no such field.
    """
    place, parts = _start(documents, name)
    if not parts:
        return leaf.of(_ID)
    return _descend(documents, place, parts, 1, leaf)


def field_of(documents: Documents, name: str) -> Operand:
    """Return the single value that a name leads to.

    Raises:
        InvalidArgumentException: There is no such field, or it belongs to the items of a list.
    """
    place, parts = _start(documents, name)
    if not parts:
        return _ID
    for part in parts:
        if part.endswith("[]") or isinstance(bare(place.form), (ItemsForm, Tuple)):
            raise InvalidArgumentException(f"{name!r} has a value for each item of {place.label or part[:-2]}, not one")
        place = _step(place, part)
    return _ID if _is_id(documents, place) else place


def _start(documents: Documents, name: object) -> tuple[Place, list[str]]:
    """Return the document, and the steps from there; no steps lead to the id."""
    if not isinstance(name, str):
        raise InvalidArgumentTypeException(f"a field is named, as in 'address.city', not given as {name!r:.60}")
    root = operand_of(documents.root)
    assert isinstance(root, Place)  # noqa: S101  # it stands for a document
    form = bare(root.form)
    if name == "id()" or (name == "Id" and not (isinstance(form, ObjectForm) and _has(form, name))):
        return root, []
    parts = name.split(".")
    if not all(part.removesuffix("[]") for part in parts):
        raise InvalidArgumentException(f"{name!r} is no name of a field; 'address.city' and 'lines[].product' are")
    return root, parts


def _has(form: ObjectForm, name: str) -> bool:
    return name in form.fields or any(field.name == name for field in form.fields.values())


def _is_id(documents: Documents, place: Place) -> bool:
    return place.scope is None and place.path == (documents.id_key,)


def _descend(documents: Documents, place: Place, parts: list[str], depth: int, leaf: Leaf) -> Predicate:
    form = bare(place.form)
    if not parts and (_is_id(documents, place) or leaf.whole):
        return leaf.of(_ID if _is_id(documents, place) else place)
    is_list = isinstance(form, (ItemsForm, Tuple))
    if is_list:
        made = None if parts else leaf.of_list(place, item_form(place))
        if made is not None:
            return made
    if is_list or (form.untyped and place.path):
        scope = Scope(depth)
        item = Place(scope, (), item_form(place) if is_list else form, f"{place.label}[]")
        inner = _descend(documents, item, parts, depth + 1, leaf)
        return Items(place, scope, inner, every=False) if is_list else Values(place, scope, inner)
    if not parts:
        return leaf.of(place)
    under = _step(place, parts[0].removesuffix("[]"))
    if parts[0].endswith("[]"):
        item_form(under)
    return _descend(documents, under, parts[1:], depth, leaf)


def _step(place: Place, name: str) -> Place:
    form = bare(place.form)
    if isinstance(form, Dict):
        return item_at(place, name)
    try:
        return below(place, name)
    except InvalidArgumentException:
        if isinstance(form, ObjectForm) and name in form.fields:
            return item_at(place, name)  # as the JSON has it, where the class has another name for it
        raise
