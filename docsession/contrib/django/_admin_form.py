"""The form in which the admin changes a document: its JSON, checked with its class where that is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput
from django.utils.translation import gettext as _
from typing_extensions import override

from docsession._documents._mapping import DocumentMapping, Mappings
from docsession._errors import DocSessionError
from docsession._migrate._project import load_models
from docsession.contrib.django._forms import DocumentForm
from docsession.contrib.django._projects import project_of
from docsession.contrib.django._settings import DjangoSettings
from docsession.contrib.django._stores import STORES

_MEANING: Final = ("@type", "@schema-version")
"""Metadata that say what the JSON means; what is typed in could contradict them."""

_PLAIN: Final = (str, int, float, bool, type(None))


class TypedJsonField(forms.JSONField):
    """JSON that somebody types, shown again as it was: it may hold what Python cannot read, or no page can show."""

    @override
    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except (ValueError, RecursionError) as error:
            raise ValidationError(self.error_messages["invalid"], code="invalid", params={"value": value}) from error

    @override
    def bound_data(self, data: Any, initial: Any) -> Any:
        return InvalidJSONInput(data) if isinstance(data, str) else data


class JsonForm(DocumentForm[dict[str, Any]]):
    """The whole document as JSON.

    Args:
        key: Its id.
        settings: Those of its store.
    """

    content = TypedJsonField(widget=forms.Textarea(attrs={"rows": 24, "class": "vLargeTextField"}))

    def __init__(self, *args: Any, key: str, settings: DjangoSettings, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._key = key
        self._settings = settings
        self.initial["content"] = {name: value for name, value in self.document.items() if name != "@metadata"}

    def clean_content(self) -> dict[str, Any]:
        """Refuse what is no document, or not one that its class could load."""
        value = self.cleaned_data["content"]
        if not isinstance(value, dict) or "@metadata" in value:
            raise ValidationError(_("A document is a JSON object, without its metadata."))
        collection = self.document["@metadata"].get("@collection")
        mapping = _mapping_of(self._settings, str(collection))
        body = _as_json(value)
        if mapping is not None and body is not None:
            try:
                mapping.codec.verify(self._key, body, None)
            except DocSessionError as error:
                raise ValidationError(str(error)) from error
        return value

    @override
    def apply(self, document: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the members of the document."""
        for name in [name for name in document if name != "@metadata"]:
            del document[name]
        document.update(values["content"])
        return document


def unchangeable(document: Mapping[str, Any]) -> str | None:
    """Return why a document is not changed as JSON; None where it may be."""
    found = [name for name in _MEANING if name in document["@metadata"]]
    if not found and _is_plain({name: value for name, value in document.items() if name != "@metadata"}):
        return None
    return _("What this JSON means is said by its metadata, so it is only shown here.")


def _as_json(value: dict[str, Any]) -> bytes | None:
    """Return the JSON again; None where no document can hold it, as the save will tell."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None


def _is_plain(value: object) -> bool:
    """Return False where there is anything that JSON alone does not tell, as a date."""
    if type(value) is dict:
        return all(map(_is_plain, value.values()))
    if type(value) is list:
        return all(map(_is_plain, value))
    return type(value) in _PLAIN


def _mapping_of(settings: DjangoSettings, collection: str) -> DocumentMapping[Any] | None:
    """Return how the class of *collection* is stored, if the project names one."""
    mappings = Mappings(STORES.blocking(settings.name).conventions)
    for model in load_models(project_of(settings)):
        mapping: DocumentMapping[Any] = mappings.for_class(model)
        if mapping.collection == collection and mapping.alias is None:
            return mapping
    return None
