"""What Django's permissions and admin know documents by."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from typing_extensions import override


class Document(models.Model):
    """A document of any collection; there is no table of it, and nothing to be asked of `objects`."""

    id: models.TextField[str, str] = models.TextField(primary_key=True)

    class Meta:
        """Whoever may view or change documents has the permissions of this model."""

        managed = False
        default_permissions = ("view", "change")
        verbose_name = _("document")
        verbose_name_plural = _("documents")

    @override
    def __str__(self) -> str:
        return self.id
