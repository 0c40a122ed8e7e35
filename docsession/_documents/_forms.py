"""From annotations to forms: what a place is declared to hold, and so how it is written."""

from __future__ import annotations

import collections.abc
import inspect
import threading
import types
import typing
from typing import Any, Final

import msgspec

from docsession._documents import _kinds
from docsession._documents._aliases import AliasRegistry
from docsession._documents._annotations import (
    UNRESOLVED,
    Scope,
    annotations_of,
    arguments_of,
    substitute,
)
from docsession._documents._containers import Dict, Items, Maybe, Tuple
from docsession._documents._form import Form
from docsession._documents._keys import Key, key_of
from docsession._documents._kinds import Kind, kind_of
from docsession._documents._objects import Field, ObjectForm, Recipe, Wrapper
from docsession._documents._plain import plain_parts
from docsession._documents._pydantic import model_parts
from docsession._documents._scalars import SCALARS, Coerced, EnumForm, LiteralForm, Nothing, Scalar, Unsupported
from docsession._documents._unions import Union
from docsession._documents._untyped import Untyped

_LISTS: Final[dict[Any, tuple[type, type]]] = {
    list: (list, list),
    collections.abc.Sequence: (list, collections.abc.Sequence),
    collections.abc.MutableSequence: (list, collections.abc.MutableSequence),
    collections.abc.Collection: (list, collections.abc.Collection),
    collections.abc.Iterable: (list, collections.abc.Iterable),
    collections.abc.Reversible: (list, collections.abc.Reversible),
    set: (set, set),
    collections.abc.Set: (set, collections.abc.Set),
    collections.abc.MutableSet: (set, collections.abc.MutableSet),
    frozenset: (frozenset, frozenset),
}
"""Annotation -> what the items come back in, what a value has to be an instance of."""
_DICTS: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_ANYTHING: Final = (Any, object, typing.Hashable, collections.abc.Hashable, UNRESOLVED, inspect.Parameter.empty)
_WRAPPERS: Final = (typing.Required, typing.NotRequired, typing.Final, getattr(typing, "ReadOnly", typing.Required))


class Forms:
    """The forms of classes, each made once; safe over threads.

    Args:
        registry: The classes that untyped places may hold.
    """

    def __init__(self, registry: AliasRegistry) -> None:
        self._registry = registry
        self._classes: dict[Any, Form] = {}
        self._ready: dict[Any, Form] = {}
        self._unfinished: list[Union] = []
        self._depth = 0
        self._lock = threading.RLock()
        self.untyped = Untyped(self._registered, self._of_alias)

    def of_class(self, cls: Any, arguments: tuple[Any, ...] = ()) -> Form:
        """Return the form of the instances of a class."""
        ready = self._ready.get(cls) if not arguments else None
        if ready is not None:
            return ready
        with self._lock:
            self._depth += 1
            try:
                form = self._class_form(cls, arguments)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    for union in self._unfinished:
                        union.finish()
                    self._unfinished.clear()
            if self._depth == 0 and not arguments:
                self._ready[cls] = form
            return form

    def _registered(self, cls: type) -> tuple[str, Form] | None:
        alias = self._registry.alias_of(cls)
        return None if alias is None else (alias, self.of_class(cls))

    def _of_alias(self, alias: str) -> Form | None:
        cls = self._registry.class_of(alias)
        return None if cls is None else self.of_class(cls)

    def _form(self, annotation: Any, scope: Scope) -> Form:
        """Return the form of a place."""
        constraints: list[msgspec.Meta] = []
        is_discriminated = False
        while True:
            if isinstance(annotation, typing.ForwardRef):
                annotation = annotation.__forward_arg__
            if isinstance(annotation, str):
                annotation = scope.resolve(annotation)
            annotation = substitute(annotation, scope.arguments)
            origin = typing.get_origin(annotation)
            if origin is typing.Annotated:
                constraints += [each for each in annotation.__metadata__ if isinstance(each, msgspec.Meta)]
                is_discriminated |= any(getattr(each, "discriminator", None) for each in annotation.__metadata__)
                annotation = annotation.__origin__
            elif origin in _WRAPPERS:
                annotation = typing.get_args(annotation)[0]
            elif isinstance(annotation, typing.NewType):
                annotation = annotation.__supertype__
            elif isinstance(annotation, typing.TypeVar):
                annotation = _stands_for(annotation)
            elif hasattr(annotation, "__value__"):  # `type X = …`
                annotation = annotation.__value__
            elif hasattr(origin, "__value__"):
                annotation = substitute(origin.__value__, arguments_of(origin, typing.get_args(annotation)))
            elif annotation is typing.Self:
                annotation = scope.cls
            elif annotation is typing.LiteralString:
                annotation = str
            else:
                break
        if annotation in SCALARS and constraints:
            return Scalar(annotation, typing.Annotated[(annotation, *constraints)])
        form = self._plain_form(annotation, origin, scope)
        if is_discriminated and isinstance(form, Union):
            form.is_discriminated = True
        return form

    def _plain_form(self, annotation: Any, origin: Any, scope: Scope) -> Form:
        arguments = typing.get_args(annotation)
        if any(annotation is each for each in _ANYTHING):
            return self.untyped
        if annotation is None or annotation is type(None):
            return Nothing()
        if origin is typing.Union or origin is types.UnionType:
            return self._union(arguments, scope)
        if origin is typing.Literal:
            return LiteralForm(arguments)
        cls = origin or annotation
        if isinstance(cls, type) and cls in SCALARS:
            return Scalar(cls)
        if cls is tuple:
            return self._tuple(annotation, arguments, scope)
        if cls in _LISTS:
            kind, declared = _LISTS[cls]
            return Items(kind, declared, self._argument(arguments, 0, scope), kind.__name__)
        if cls in _DICTS:
            return self._dict(arguments, scope)
        if isinstance(cls, type) and (getattr(cls, "_is_protocol", False) or inspect.isabstract(cls)):
            return self.untyped
        if not isinstance(cls, type):
            return Unsupported(str(annotation))
        in_model = kind_of(scope.cls) is Kind.PYDANTIC
        if in_model and kind_of(cls) is Kind.PLAIN and hasattr(cls, "__get_pydantic_core_schema__"):
            return self._coerced(annotation, Unsupported(cls.__name__))
        form = self._class_form(cls, tuple(substitute(each, scope.arguments) for each in arguments))
        if in_model and isinstance(form, Unsupported):
            return self._coerced(annotation, form)
        return form

    def _argument(self, arguments: tuple[Any, ...], place: int, scope: Scope) -> Form:
        return self._form(arguments[place], scope) if len(arguments) > place else self.untyped

    def _union(self, arguments: tuple[Any, ...], scope: Scope) -> Form:
        members: list[Form] = []
        forms = [self._form(argument, scope) for argument in arguments]
        for form in forms:
            for member in form.members if isinstance(form, Union) else (form,):
                if not any(member is each for each in members):
                    members.append(member)
        # What nothing declares takes everything, so it is asked last.
        members.sort(key=lambda member: member.untyped)
        others = [member for member in members if not isinstance(member, Nothing)]
        if len(others) == len(members) - 1 == 1:
            return self.untyped if others[0].untyped else Maybe(others[0])
        if len(members) == 1:
            return members[0]
        union = Union(members)
        told = [form for form in forms if not isinstance(form, Nothing)]
        union.is_discriminated = len(told) == 1 and isinstance(told[0], Union) and told[0].is_discriminated
        self._unfinished.append(union)
        return union

    def _tuple(self, annotation: Any, arguments: tuple[Any, ...], scope: Scope) -> Form:
        if annotation is tuple or annotation is typing.Tuple:  # noqa: UP006  # as others write it
            return Items(tuple, tuple, self.untyped, "tuple")
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return Items(tuple, tuple, self._form(arguments[0], scope), "tuple")
        if any(typing.get_origin(each) is typing.Unpack or getattr(each, "__unpacked__", False) for each in arguments):
            return Unsupported(str(annotation))
        return Tuple(None, tuple(self._form(each, scope) for each in arguments), len(arguments))

    def _dict(self, arguments: tuple[Any, ...], scope: Scope) -> Form:
        if not arguments:
            return Dict(Key(str), self.untyped)
        key = arguments[0]
        while True:
            if isinstance(key, typing.ForwardRef):
                key = key.__forward_arg__
            if isinstance(key, str):
                key = scope.resolve(key)
            key = substitute(key, scope.arguments)
            if typing.get_origin(key) is typing.Annotated:
                key = key.__origin__
            elif isinstance(key, typing.NewType):
                key = key.__supertype__
            elif isinstance(key, typing.TypeVar):
                key = _stands_for(key)
            else:
                break
        value = self._form(arguments[1], scope)
        if any(key is each for each in _ANYTHING):
            return Dict(Key(str), value)
        if typing.get_origin(key) is typing.Literal:
            kinds = {type(each) for each in typing.get_args(key)}
            if len(kinds) == 1 and kinds <= {str, int}:
                return Dict(Key(kinds.pop(), key), value)
        found = key_of(key)
        if found is not None:
            return Dict(found, value)
        return Unsupported(f"dict[{getattr(key, '__name__', key)}, {value.label}]")

    def _class_form(self, cls: Any, arguments: tuple[Any, ...]) -> Form:
        try:
            key = hash((cls, arguments)) and (cls, arguments)
        except TypeError:
            key = None
        if key in self._classes:
            return self._classes[key]
        kind = kind_of(cls)
        if kind is None:
            return Unsupported(getattr(cls, "__name__", str(cls)))
        form: Form
        if kind is Kind.ENUM:
            form = EnumForm(cls)
        elif kind is Kind.PYDANTIC and getattr(cls, "__pydantic_root_model__", False):
            form = Wrapper(cls, cls.model_validate)
        elif kind is Kind.NAMED_TUPLE:
            form = Tuple(cls, (), 0)
        else:
            annotation = cls[arguments] if arguments else cls
            form = ObjectForm(cls, annotation, self._registry.alias_of(cls) or cls.__name__, self.untyped)
        if key is not None:
            self._classes[key] = form
        try:
            self._fill(form, kind, cls, arguments)
        except BaseException:
            self._classes.pop(key, None)
            raise
        return form

    def _fill(self, form: Form, kind: Kind, cls: Any, given: tuple[Any, ...]) -> None:
        arguments = arguments_of(cls, given)
        if isinstance(form, ObjectForm):
            form.fill(*self._parts(kind, cls, arguments))
        elif isinstance(form, Wrapper):
            form.fill(self._form(cls.__pydantic_fields__["root"].annotation, Scope(cls, {})))
        elif isinstance(form, Tuple):
            declared = annotations_of(cls, arguments)
            scope = Scope(cls, arguments)
            items = tuple(self._form(*declared.get(name, (Any, scope))) for name in cls._fields)
            form.fill(items, len(items) - len(cls._field_defaults))

    def _parts(self, kind: Kind, cls: Any, arguments: dict[Any, Any]) -> tuple[list[Field], Recipe]:
        match kind:
            case Kind.PYDANTIC:
                return model_parts(cls, self._form)
            case Kind.STRUCT:
                return _kinds.struct_parts(cls, arguments, self._form)
            case Kind.DATACLASS:
                return _kinds.dataclass_parts(cls, arguments, self._form)
            case Kind.ATTRS:
                return _kinds.attrs_parts(cls, arguments, self._form)
            case Kind.TYPED_DICT:
                return _kinds.typed_dict_parts(cls, arguments, self._form)
            case _:
                return plain_parts(cls, arguments, self._form, self._hint)

    def _hint(self, annotation: Any, scope: Scope) -> Form:
        """Return the form of an attribute whose type only a parameter of `__init__` suggests."""
        form = self._form(annotation, scope)
        inner = form.inner if isinstance(form, Maybe) else form
        if form.untyped or isinstance(inner, Unsupported):
            return self.untyped
        if isinstance(inner, Scalar) and inner.kind in {str, int, float, bool}:
            return self.untyped
        members = form.members if isinstance(form, Union) else (Nothing(), inner) if form is not inner else (inner,)
        union = Union([*members, self.untyped])
        self._unfinished.append(union)
        return union

    def _coerced(self, annotation: Any, form: Unsupported) -> Form:
        try:
            return Coerced(annotation, form.label)
        except Exception:
            return form


def _stands_for(variable: Any) -> Any:
    """Return what a type variable without argument allows."""
    default = getattr(variable, "__default__", None)
    if default is not None and default is not getattr(typing, "NoDefault", None):
        return default
    if variable.__constraints__:
        return typing.Union[variable.__constraints__]  # noqa: UP007  # made at run time
    return Any if variable.__bound__ is None else variable.__bound__
