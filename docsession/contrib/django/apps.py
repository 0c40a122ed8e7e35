"""The app, as `INSTALLED_APPS` names it."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register
from django.core.signals import setting_changed
from django.db.backends.signals import connection_created
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from docsession.contrib.django._checks import check_middleware, check_settings
from docsession.contrib.django._settings import DOCUMENTS
from docsession.contrib.django._stores import on_connection_created, on_setting_changed


class DocSessionConfig(AppConfig):
    """`INSTALLED_APPS += ["docsession.contrib.django"]`."""

    name = "docsession.contrib.django"
    label = "docsession"
    verbose_name = _("Documents")
    default_auto_field = "django.db.models.BigAutoField"

    @override
    def ready(self) -> None:
        """Import the documents of all apps, and listen to Django."""
        register(check_settings, self.label)
        register(check_middleware, self.label)
        setting_changed.connect(on_setting_changed, dispatch_uid="docsession")
        connection_created.connect(on_connection_created, dispatch_uid="docsession")
        autodiscover_modules(DOCUMENTS)
