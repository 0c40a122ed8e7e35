"""What `manage.py check` finds."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from docsession.contrib.django._middleware import DocumentSessionMiddleware
from docsession.contrib.django._stores import STORES

MIDDLEWARE: Final = "docsession.contrib.django.DocumentSessionMiddleware"


def check_settings(**_: Any) -> list[CheckMessage]:
    """Refuse settings that cannot be, and connections that lead elsewhere than to PostgreSQL."""
    try:
        for each in STORES.all_settings().values():
            each.placed()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="docsession.E001")]
    return []


def check_middleware(**_: Any) -> list[CheckMessage]:
    """Refuse AUTOSAVE without the middleware, which would save nothing."""
    try:
        saves = [each.source for each in STORES.all_settings().values() if each.autosave]
    except ImproperlyConfigured:
        return []  # told by `check_settings`
    if not saves or any(_is_ours(path) for path in settings.MIDDLEWARE):
        return []
    return [
        Error(
            f"{saves[0]}: AUTOSAVE is on, and no middleware would save.",
            hint=f"Add {MIDDLEWARE!r} to MIDDLEWARE.",
            id="docsession.E002",
        )
    ]


def _is_ours(path: str) -> bool:
    try:
        found = import_string(path)
    except ImportError:
        return False  # told by Django
    return isinstance(found, type) and issubclass(found, DocumentSessionMiddleware)
