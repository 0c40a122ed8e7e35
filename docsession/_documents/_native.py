"""What msgspec alone does for a class, where it is faithful: the fast ways in and out."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from docsession._documents._containers import Dict
from docsession._documents._form import Form, reachable
from docsession._documents._objects import ObjectForm
from docsession._documents._places import hints_of
from docsession._documents._scalars import Scalar
from docsession._documents._unions import Union
from docsession._documents._values import as_base, read_json

_read_plain = msgspec.json.Decoder().decode


class Native:
    """How far msgspec goes for one class.

    Attributes:
        encode: Writes an entity; None where only the form can.
        decode: Reads the text of a document; None where only the form can.
        keeps_floats: False where floats need a decimal point in the document to come back as floats.
        is_deep: True where nothing bounds how deep documents go.
        has_decimals: True where reading needs every digit.
    """

    def __init__(self, cls: type, form: Form) -> None:
        forms = reachable(form)
        self.has_decimals = any(_is_decimal(each) for each in forms)
        self.has_untyped = any(each.untyped for each in forms)
        self.keeps_floats = not self.has_untyped and not any(
            isinstance(each, Union) and each.needs_point for each in forms
        )
        self.is_deep = self.has_untyped or _is_recursive(form)
        self.encode = _encoder(forms) if all(each.encodes for each in forms) else None
        self.decode: Callable[[bytes], Any] | None = None
        if all(each.decodes for each in forms):
            self.decode = _decoder(cls, form, forms)
        if isinstance(form, ObjectForm) and form.recipe.pydantic and _agrees_with_pydantic(forms):
            self.decode = _model_decoder(cls)


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
        return form.decode(read_json(text), None, hints_of(types or {}))
    return form.decode(_read_plain(text), None, None)


def _encoder(forms: list[Form]) -> Callable[[Any], bytes]:
    known: dict[type, Callable[[Any], Mapping[str, Any]]] = {
        each.cls: each.recipe.attributes
        for each in forms
        if isinstance(each, ObjectForm) and each.recipe.attributes is not None
    }

    def hook(value: Any) -> Any:
        attributes = known.get(type(value))
        return as_base(value) if attributes is None else attributes(value)

    return msgspec.json.Encoder(order="deterministic", decimal_format="number", enc_hook=hook).encode


def _decoder(cls: type, root: Form, forms: list[Form]) -> Callable[[bytes], Any] | None:
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
        return form.decode(json, None, None)

    try:
        return msgspec.json.Decoder(cls, dec_hook=hook if custom else None).decode
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
