"""What docsession's commands work on in a Django project, in the place of `docsession.toml`."""

from __future__ import annotations

from docsession._migrate._project import Project
from docsession.contrib.django._settings import DjangoSettings


def project_of(settings: DjangoSettings) -> Project:
    """Return the project that Django's settings describe."""
    return Project(
        source=f"{settings.source} of Django's settings",
        make_store=lambda: settings.placed().store(),
        models=settings.models(),
        migrations=settings.migrations(),
        names_migrations=settings.store.migrations is not None,
    )
