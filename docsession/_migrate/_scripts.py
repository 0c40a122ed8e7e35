"""Where the revisions are, and which there are."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from docsession._errors import MigrationException

_PACKAGE = Path(__file__).resolve().parent.parent


def script_location(package: Path = _PACKAGE) -> Path:
    """Return the folder of the revisions: in the package as it is installed, or beside it in a checkout.

    Raises:
        MigrationException: It is in neither place.
    """
    for folder in (package / "_migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise MigrationException(f"the revisions are missing beside {package}; install docsession again")


def make_config() -> Config:
    """Return Alembic's configuration for the revisions of this package, without a file."""
    config = Config()
    # A path may hold a percent sign, which the configuration would interpolate.
    config.set_main_option("script_location", str(script_location()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def scripts() -> ScriptDirectory:
    """Return the revisions of this package."""
    return ScriptDirectory.from_config(make_config())
