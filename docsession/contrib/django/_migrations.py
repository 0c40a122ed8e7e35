"""Django migrations that run docsession's revisions."""

from __future__ import annotations

from typing import Any, Final

from django.db import router
from django.db.migrations.operations.base import Operation
from psycopg.conninfo import conninfo_to_dict
from typing_extensions import override

from docsession._migrate import State, Target, current, downgrade, upgrade, write_sql
from docsession._migrate._project import lines_of
from docsession._migrate._scripts import LIBRARY, Line, scripts
from docsession._sql._revisions import Standing
from docsession.contrib.django._projects import project_of
from docsession.contrib.django._settings import DjangoSettings
from docsession.contrib.django._stores import STORES

_PROJECT: Final = "project"


class RunRevision(Operation):
    """Brings the databases of docsession to a revision, as `manage.py docsession upgrade` does.

    What is run is the revision itself, so there is one source of the schema. Databases that have it already stay as
    they are. Only stores without a `URL` of their own are meant, those whose sessions join the connection that is
    migrated.

    A migration with it has `atomic = False`: revisions commit by themselves, since they may build indexes while others
    go on writing.

    Args:
        revision: One of docsession's, `"0001"`, or of the project's own, `"project@a1"`.
    """

    reduces_to_sql = True
    atomic = False

    def __init__(self, revision: str) -> None:
        self.revision = revision

    @override
    def state_forwards(self, app_label: str, state: Any) -> None:
        """Nothing: Django has no model of it."""

    @override
    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for settings in self._stores(app_label, schema_editor):
            line, revision = self._find(settings)
            for target in _targets(settings):
                if schema_editor.collect_sql:
                    start = _before(line, revision)
                    _write(schema_editor, write_sql(target.database, start, revision, line=line))
                elif not _has(current(target, line), line, revision):
                    upgrade(target, revision, line=line)

    @override
    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for settings in self._stores(app_label, schema_editor):
            line, revision = self._find(settings)
            before = _before(line, revision)
            for target in _targets(settings):
                if schema_editor.collect_sql:
                    _write(schema_editor, write_sql(target.database, revision, before, line=line, down=True))
                elif _has(current(target, line), line, revision):
                    downgrade(target, before, line=line)

    @override
    def describe(self) -> str:
        """Return what it does in a few words."""
        return f"Run docsession's revision {self.revision}"

    @property
    @override
    def migration_name_fragment(self) -> str:
        """A part of a migration's name."""
        return f"docsession_{self.revision.replace('@', '_')}"

    @staticmethod
    def _stores(app_label: str, schema_editor: Any) -> list[DjangoSettings]:
        alias = schema_editor.connection.alias
        if not router.allow_migrate(alias, app_label):
            return []
        found = STORES.all_settings().values()
        return [each for each in found if each.using == alias and "url" not in each.store.options]

    def _find(self, settings: DjangoSettings) -> tuple[Line, str]:
        label, _, revision = self.revision.rpartition("@")
        lines = {line.label: line for line in lines_of(project_of(settings))} if label == _PROJECT else {}
        return lines.get(label, LIBRARY), revision


def _targets(settings: DjangoSettings) -> list[Target]:
    placed = settings.placed()
    url = placed.options["url"]
    names = [placed.store().database]
    return [Target({key: str(value) for key, value in conninfo_to_dict(url).items()}, name) for name in names]


def _before(line: Line, revision: str) -> str:
    down = scripts(line).get_revision(revision).down_revision
    return down if isinstance(down, str) else "base"


def _has(state: State, line: Line, revision: str) -> bool:
    """Return True where a database has *revision* already."""
    if state.standing in {Standing.CURRENT, Standing.NEWER}:
        return True
    if state.revision is None:
        return False
    return revision in {each.revision for each in scripts(line).iterate_revisions(state.revision, "base")}


def _write(schema_editor: Any, script: str) -> None:
    for statement in script.split("\n\n"):
        if statement.strip():
            schema_editor.collected_sql.append(statement.strip())
