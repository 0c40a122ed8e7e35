"""Forms of objects with fields, of whatever kind their class is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from typing_extensions import override

from docsession._documents._containers import Maybe
from docsession._documents._form import ANYTHING, OBJECT, Form
from docsession._documents._places import Hints, MisfitError, Records, RefusedError, Trail, describe
from docsession._documents._scalars import Scalar
from docsession._documents._untyped import LOOSE
from docsession._documents._values import check_str

_Decode: TypeAlias = Callable[[Any, Hints | None], Any]
_Reader: TypeAlias = tuple[str, str, frozenset[type], _Decode, bool]
"""(key, attribute, classes of JSON that are the value itself, how to read others, whether it is required)."""
ABSENT: Final = object()
"""Stands for an attribute that an object does not have."""


@dataclass(frozen=True, slots=True)
class Field:
    """One declared field.

    Attributes:
        name: The attribute.
        key: The member of the JSON object.
        form: How its values are written.
        required: True where a document without it does not fit.
    """

    name: str
    key: str
    form: Form
    required: bool


@dataclass(frozen=True, slots=True)
class Recipe:
    """What distinguishes the kinds of classes.

    Attributes:
        build: Makes an instance of {attribute: value}; fields that the document lacks are missing in it.
        get: Returns an attribute, or ABSENT.
        extras: Returns what an instance holds beside its fields, to be written as untyped; None: never anything.
        takes: Says whether an instance takes an undeclared member of a document; None: never.
        refuses_unknown: True where the class wants documents to have no other members.
        is_dict: True where instances are dicts.
        tag: A member that the JSON has beside the fields, and its value.
        attributes: Hands msgspec's encoder what an instance of a class that msgspec does not know holds;
            raises `NeedsTypesError` where that has special values in undeclared attributes.
        is_custom: True where msgspec does not know the class.
        encodes, decodes, pydantic: As in `Form`.
    """

    build: Callable[[dict[str, Any]], Any]
    get: Callable[[Any, str, Any], Any] = getattr
    extras: Callable[[Any], Mapping[str, Any]] | None = None
    takes: Callable[[str], bool] | None = None
    refuses_unknown: bool = False
    is_dict: bool = False
    tag: tuple[str, str | int] | None = None
    attributes: Callable[[Any], Mapping[str, Any]] | None = None
    is_custom: bool = False
    encodes: bool = True
    decodes: bool = True
    pydantic: bool = False


class UnstorableError(Exception):
    """An instance whose state cannot be seen; raised by `Recipe.extras`."""


class ObjectForm(Form):
    """An object with fields.

    It is made empty and filled afterwards, since its fields may be of its own class.

    Attributes:
        cls: The class of the instances.
        annotation: The same with its type arguments.
        alias: What stored data calls the class where it has to.
        fields: The declared fields by their member of the JSON object.
        quick_writes: The members that msgspec's encoder writes faithfully.
        rest: The form of what is not declared.
    """

    __slots__ = (
        "_looks_further",
        "_readers",
        "alias",
        "annotation",
        "cls",
        "fields",
        "is_dict",
        "quick_writes",
        "recipe",
        "rest",
        "tag",
    )

    def __init__(self, cls: Any, annotation: Any, alias: str, rest: Form) -> None:
        super().__init__(cls.__name__, OBJECT)
        self.cls: type = cls
        self.annotation = annotation
        self.alias = alias
        self.rest = rest
        self.fields: dict[str, Field] = {}
        self.quick_writes: frozenset[str] = frozenset()
        self.is_dict = issubclass(cls, dict)
        self.tag: tuple[str, str | int] | None = None

    def fill(self, fields: list[Field], recipe: Recipe) -> None:
        """Say what the class is made of."""
        self.fields = {field.key: field for field in fields}
        self.recipe = recipe
        self.tag = recipe.tag
        self.encodes, self.decodes, self.pydantic = recipe.encodes, recipe.decodes, recipe.pydantic
        self._looks_further = recipe.takes is not None or recipe.refuses_unknown
        self._readers: list[_Reader] = [
            (field.key, field.name, _as_is(field.form), field.form.decode, field.required) for field in fields
        ]

    def read_quickly(self, key: str, decode: _Decode) -> None:
        """Read the member *key* with *decode* from now on, which does the same as its form, faster."""
        self._readers = [
            (each, name, as_is, decode if each == key else form, required)
            for each, name, as_is, form, required in self._readers
        ]

    @override
    def accepts(self, value: object) -> bool:
        if not self.is_dict:
            return type(value) is self.cls
        if type(value) is not dict:
            return False
        return (
            all(
                field.form.accepts(value[key]) if key in value else not field.required
                for key, field in self.fields.items()
            )
            and self.fields.keys() >= value.keys()
        )

    @override
    def encode(self, value: Any, trail: Trail, records: Records) -> Any:
        if type(value) is not self.cls and not (self.is_dict and isinstance(value, dict)):
            return self._encode_other(value, trail)
        wire: dict[str, Any] = {} if self.tag is None else {self.tag[0]: self.tag[1]}
        get = self.recipe.get
        quick = self.quick_writes if records is not None and records.quick else ()
        for key, field in self.fields.items():
            each = get(value, field.name, ABSENT)
            if each is not ABSENT:
                wire[key] = each if key in quick else field.form.encode(each, (trail, key), records)
        if self.recipe.extras is not None:
            try:
                extras = self.recipe.extras(value)
            except UnstorableError as error:
                raise RefusedError(trail, str(error)) from None
            for name, each in extras.items():
                check_str(name, trail)
                wire[name] = self.rest.encode(each, (trail, name), records)
        return wire

    @override
    def decode(self, json: Any, hints: Hints | None) -> Any:
        if type(json) is not dict:
            raise MisfitError(self.label, describe(json))
        if self.tag is not None and json.get(self.tag[0], self.tag[1]) != self.tag[1]:
            raise MisfitError(repr(self.tag[1]), describe(json[self.tag[0]]), (self.tag[0],))
        values: dict[str, Any] = {}
        key = ""
        try:
            for key, name, as_is, decode, required in self._readers:
                if key in json:
                    each = json[key]
                    if type(each) in as_is:
                        values[name] = each
                    else:
                        values[name] = decode(each, None if hints is None else hints.below(key))
                elif required:
                    raise MisfitError(self.fields[key].form.label, "nothing: the document lacks it")  # noqa: TRY301  # as one from below
        except MisfitError as error:
            raise error.below(key) from error.__cause__
        if self._looks_further and not json.keys() <= self.fields.keys():
            self._add_undeclared(values, json, hints)
        try:
            return self.recipe.build(values)
        except MisfitError:
            raise
        except Exception as error:
            raise MisfitError(f"what {self.label} takes", f"{type(error).__name__}: {error}") from error

    @override
    def children(self) -> Iterator[Form]:
        for field in self.fields.values():
            yield field.form
        if self.recipe.extras is not None:
            yield self.rest

    def _encode_other(self, value: object, trail: Trail) -> Any:
        """Write what is no instance of the class: JSON as it is, but never an object of another class."""
        if isinstance(value, self.cls) and not self.is_dict:
            kind = type(value)
            raise RefusedError(
                trail,
                f"an instance of {kind.__qualname__}, a subclass of {self.label}, would come back as {self.label}: "
                f"annotate the place `{self.label} | {kind.__name__}`",
            )
        return LOOSE.encode(value, trail, None)

    def _add_undeclared(self, values: dict[str, Any], json: dict[str, Any], hints: Hints | None) -> None:
        takes = self.recipe.takes
        for key, each in json.items():
            if key in self.fields or (self.tag is not None and key == self.tag[0]):
                continue
            if self.recipe.refuses_unknown:
                raise MisfitError(f"no such field in {self.label}", describe(each), (key,))
            if takes is not None and takes(key):
                try:
                    values[key] = self.rest.decode(each, None if hints is None else hints.below(key))
                except MisfitError as error:
                    raise error.below(key) from error.__cause__


class Wrapper(Form):
    """A pydantic RootModel: its JSON is that of its root."""

    __slots__ = ("_build", "_inner", "cls")

    def __init__(self, cls: type, build: Callable[[Any], Any]) -> None:
        super().__init__(cls.__name__, ANYTHING, encodes=False, decodes=False)
        self.cls = cls
        self._build = build
        self._inner: Form = LOOSE

    def fill(self, inner: Form) -> None:
        """Say what the root is."""
        self._inner = inner
        self.kinds = inner.kinds

    @override
    def accepts(self, value: object) -> bool:
        return type(value) is self.cls

    @override
    def encode(self, value: Any, trail: Trail, records: Records) -> Any:
        if not self.accepts(value):
            return LOOSE.encode(value, trail, None)
        return self._inner.encode(value.root, trail, records)

    @override
    def decode(self, json: Any, hints: Hints | None) -> Any:
        try:
            return self._build(self._inner.decode(json, hints))
        except ValueError as error:
            raise MisfitError(f"what {self.label} takes", str(error)) from error

    @override
    def children(self) -> Iterator[Form]:
        yield self._inner


def _as_is(form: Form) -> frozenset[type]:
    """Return the classes of JSON values that a form takes without a second look."""
    if isinstance(form, Maybe):
        inner = _as_is(form.inner)
        return inner | {type(None)} if inner else inner
    return frozenset({form.as_is}) if isinstance(form, Scalar) and form.as_is is not None else frozenset()
