"""Which revisions there are, and where: docsession's own, and a project's that follow them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from alembic.config import Config
from alembic.script import ScriptDirectory

from docsession._errors import MigrationException
from docsession._sql._schema import PROJECT_VERSION_TABLE, VERSION_TABLE

_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Line:
    """A line of revisions, each of which follows the one before.

    Each line has a table of its own that says how far a database has come on it. So docsession's revisions need to know
    nothing of a project's, a project's not the place of docsession's, and a process without the project's folder tells
    docsession's revision all the same.

    Attributes:
        label: What it is called in `label@revision`.
        version_table: Where Alembic records a database's revision.
        folder: The folder of its revisions; None for docsession's own.
    """

    label: str
    version_table: str
    folder: Path | None = None

    @property
    def prefix(self) -> str:
        """What stands before a revision of this line where several lines are shown."""
        return "" if self.folder is None else f"{self.label}: "


LIBRARY = Line("docsession", VERSION_TABLE)


def project_line(folder: Path) -> Line:
    """Return the line of a project's own revisions."""
    return Line("project", PROJECT_VERSION_TABLE, folder)


def script_location(package: Path = _PACKAGE) -> Path:
    """Return the folder of the revisions: in the package as it is installed, or beside it in a checkout.

    Raises:
        MigrationException: It is in neither place.
    """
    for folder in (package / "_migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise MigrationException(f"the revisions are missing beside {package}; install docsession again")


def make_config(
    line: Line = LIBRARY, attributes: Mapping[str, Any] | None = None, output: TextIO | None = None
) -> Config:
    """Return Alembic's configuration for a line, without a file.

    Args:
        line: Whose revisions.
        attributes: What `run_environment` is to know.
        output: Where SQL scripts are written.
    """
    config = Config(output_buffer=output, cmd_opts=Namespace(quiet=True))
    config.set_main_option("script_location", _escaped(script_location()))
    config.set_main_option("path_separator", "newline")
    if line.folder is not None:
        config.set_main_option("version_locations", _escaped(line.folder))
    config.attributes |= {"line": line, **(attributes or {})}
    return config


def _escaped(path: Path) -> str:
    # A path may hold a percent sign, which the configuration would interpolate.
    return str(path).replace("%", "%%")


def scripts(line: Line = LIBRARY) -> ScriptDirectory:
    """Return the revisions of a line."""
    return ScriptDirectory.from_config(make_config(line))
