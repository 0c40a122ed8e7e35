"""What msgspec alone does for a class, where it is faithful: the fast ways in and out."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from docsession._documents._containers import Dict, Items, Maybe, Tuple
from docsession._documents._form import Form, reachable
from docsession._documents._objects import ObjectForm
from docsession._documents._places import NO_HINTS, Hints, hints_of
from docsession._documents._probes import compile_probe, nan_leaf
from docsession._documents._scalars import EnumForm, LiteralForm, Nothing, Scalar
from docsession._documents._unions import Union
from docsession._documents._values import as_base, read_json

_BAD_FLOAT: Final = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]", re.DOTALL)
_read_plain: Final = msgspec.json.Decoder().decode


class Native:
    """How far msgspec goes for one class.

    Attributes:
        write: Writes what forms make of an entity, and whatever msgspec writes faithfully.
        encode: The same for the entity itself; None where only the form can.
        decode: Reads the text of a document; None where only the form can.
        decode_lines: Reads the texts of several, a line each; None where that is no quicker.
        encode_into: Does what `encode` does, into a buffer.
        keeps_floats: False where floats need a decimal point in the document to come back as floats.
        is_deep: True where nothing bounds how deep documents go.
        has_decimals: True where reading needs every digit.
        has_untyped: True where special values may have to be recorded.
    """

    def __init__(self, cls: type, form: Form) -> None:
        forms = reachable(form)
        self.has_decimals = any(_is_decimal(each) for each in forms)
        self.has_untyped = any(each.untyped for each in forms)
        self.keeps_floats = not self.has_untyped and not any(
            isinstance(each, Union) and each.needs_point for each in forms
        )
        self.is_deep = self.has_untyped or _is_recursive(form)
        hook = _encoding_hook(forms)
        encoder = msgspec.json.Encoder(order="deterministic", decimal_format="number", enc_hook=hook)
        self.write, self.encode_into = encoder.encode, encoder.encode_into
        self.encode = self.write if all(each.encodes for each in forms) else None
        # MessagePack, unlike JSON, writes NaN as what it is: quicker than a walk over all values, unless
        # every object goes through Python.
        packs = self.has_untyped and not any(isinstance(each, ObjectForm) and each.recipe.is_custom for each in forms)
        self._pack = msgspec.msgpack.Encoder(enc_hook=hook).encode if packs else None
        self._find_nan = compile_probe(form, nan_leaf)
        self.decode: Callable[[bytes], Any] | None = None
        self.decode_lines: Callable[[bytes], list[Any]] | None = None
        if all(each.decodes for each in forms) and (decoder := _decoder(cls, form, forms)) is not None:
            self.decode, self.decode_lines = decoder.decode, decoder.decode_lines
        if isinstance(form, ObjectForm) and form.recipe.pydantic and _agrees_with_pydantic(forms):
            self.decode, self.decode_lines = _model_decoder(cls), None
        if self.encode is None or self.decode is None:
            _shorten(forms)

    def has_nan(self, entity: Any, snapshot: bytes) -> bool:
        """Return True where *entity* holds a float that is null in its snapshot."""
        # From the right, which takes half the time of `in`.
        if snapshot.rfind(b"null") < 0:
            return False
        # Where types are recorded, the form has written the untyped places, with its checks.
        if self._pack is not None and b"\0" not in snapshot:
            return _BAD_FLOAT.search(self._pack(entity)) is not None
        return self._find_nan is not None and self._find_nan(entity)


def read_with_form(form: Form, text: bytes, types: Mapping[str, str] | None, *, exact: bool) -> Any:
    """Return what a form makes of a document's text.

    Args:
        form: The form.
        text: JSON.
        types: What `@types` holds.
        exact: True reads every digit of numbers, which costs more.

    Raises:
        MisfitError: It does not fit.
    """
    if types or exact:
        return form.decode(read_json(text), hints_of(types) if types else NO_HINTS)
    return form.decode(_read_plain(text), None)


def _encoding_hook(forms: list[Form]) -> Callable[[Any], Any]:
    """Return what hands msgspec's encoders the values that they do not know."""
    known: dict[type, Callable[[Any], Mapping[str, Any]]] = {
        each.cls: each.recipe.attributes
        for each in forms
        if isinstance(each, ObjectForm) and each.recipe.attributes is not None
    }

    def hook(value: Any) -> Any:
        attributes = known.get(type(value))
        return as_base(value) if attributes is None else attributes(value)

    return hook


def _decoder(cls: type, root: Form, forms: list[Form]) -> msgspec.json.Decoder[Any] | None:
    custom: dict[Any, ObjectForm] = {}
    for each in forms:
        if isinstance(each, ObjectForm) and each.recipe.is_custom:
            if each is root or each.cls in custom or any(_is_decimal(below) for below in reachable(each)):
                return None
            custom[each.cls] = each

    def hook(kind: Any, json: Any) -> Any:
        form = custom.get(typing.get_origin(kind) or kind)
        if form is None:
            raise NotImplementedError
        return form.decode(json, None)

    try:
        return msgspec.json.Decoder(cls, dec_hook=hook if custom else None)
    except Exception:
        # msgspec says no in many ways; the form reads everything.
        return None


def _agrees_with_pydantic(forms: list[Form]) -> bool:
    return all(each.pydantic for each in forms) and not any(
        isinstance(each, ObjectForm) and not each.recipe.pydantic for each in forms
    )


def _model_decoder(cls: Any) -> Callable[[bytes], Any]:
    validate = cls.__pydantic_validator__.validate_json
    return lambda text: validate(text, by_name=True, by_alias=False)


def _shorten(forms: list[Form]) -> None:
    """Let the forms of objects leave to msgspec whole fields in which it is faithful."""
    for form in forms:
        if not isinstance(form, ObjectForm):
            continue
        quick: set[str] = set()
        for key, field in form.fields.items():
            below = reachable(field.form)
            if any(each.untyped for each in below):
                continue
            if all(each.encodes for each in below):
                quick.add(key)
            if any(isinstance(each, ObjectForm) for each in below) and all(each.decodes for each in below):
                decode = _converter(field.form, below)
                if decode is not None:
                    form.read_quickly(key, decode)
        form.quick_writes = frozenset(quick)


def _converter(form: Form, below: list[Form]) -> Callable[[Any, Hints | None], Any] | None:
    """Return what decodes with msgspec, and with the form where msgspec fails."""
    if any(isinstance(each, ObjectForm) and each.recipe.is_custom for each in below):
        return None
    try:
        annotation = _annotation(form)
        msgspec.json.Decoder(annotation)
    except Exception:
        # As above: the form reads everything.
        return None
    convert, slowly = msgspec.convert, form.decode

    def decode(json: Any, hints: Hints | None) -> Any:
        if hints is None or hints is NO_HINTS:
            try:
                return convert(json, annotation)
            except Exception:
                return slowly(json, hints)
        return slowly(json, hints)

    return decode


def _annotation(form: Form) -> Any:
    """Return the annotation by which msgspec reads what a form reads.

    Raises:
        TypeError: There is none.
    """
    match form:
        case Scalar():
            return form.type
        case Nothing():
            return None
        case EnumForm() | ObjectForm():
            return form.annotation
        case LiteralForm():
            return form.annotation
        case Maybe():
            return typing.Optional[_annotation(form.inner)]  # noqa: UP045  # made at run time
        case Items(kind=kind):
            item = _annotation(form.item)
            return tuple[item, ...] if kind is tuple else kind[item]  # type: ignore[valid-type, index]  # made at run time
        case Tuple():
            return form.cls or tuple[tuple(_annotation(item) for item in form.items)]  # type: ignore[misc]  # made at run time
        case Dict():
            return dict.__class_getitem__((form.key.annotation, _annotation(form.value)))
        case Union():
            return typing.Union[tuple(_annotation(member) for member in form.members)]  # noqa: UP007  # made at run time
    raise TypeError(form.label)


def _is_decimal(form: Form) -> bool:
    return (isinstance(form, Scalar) and form.kind is Decimal) or (isinstance(form, Dict) and form.key.kind is Decimal)


def _is_recursive(form: Form) -> bool:
    """Return True where a form is reached from itself."""
    done: set[int] = set()
    open_now: set[int] = set()

    def visit(each: Form) -> bool:
        if id(each) in open_now:
            return True
        if id(each) in done:
            return False
        open_now.add(id(each))
        found = any(map(visit, each.children()))
        open_now.discard(id(each))
        done.add(id(each))
        return found

    return visit(form)
