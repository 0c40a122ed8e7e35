"""Print the lowest versions that pyproject.toml allows, as constraints for pip.

python scripts/lowest.py >lowest.txt
python -m pip install --constraint lowest.txt --editable ".[test]"
"""

from __future__ import annotations

import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

_BOUND = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,-]+\])?>=(?P<version>[\w.]+)")


def lowest(project: dict[str, object], but: tuple[str, ...] = ("dev", "docs")) -> dict[str, str]:
    """Return the lowest version of everything that a project needs, by name.

    Args:
        project: The table `project` of pyproject.toml.
        but: Extras that are left out: tools, which nobody installs beside the project.
    """
    extras: dict[str, list[str]] = project["optional-dependencies"]  # type: ignore[assignment]  # as pyproject.toml has them
    wanted: list[str] = project["dependencies"]  # type: ignore[assignment]  # as pyproject.toml has them
    found: dict[str, str] = {}
    for requirement in chain(wanted, *(extras[extra] for extra in extras if extra not in but)):
        if requirement.startswith(f"{project['name']}["):
            continue
        bound = _BOUND.fullmatch(requirement)
        if bound is None:
            sys.exit(f"{requirement!r} in pyproject.toml has no lowest version: write name>=version")
        name, version = bound.groups()
        if found.setdefault(name, version) != version:
            sys.exit(f"{name} has two lowest versions in pyproject.toml: {found[name]} and {version}")
    return found


if __name__ == "__main__":
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    for name, version in lowest(tomllib.loads(text)["project"]).items():
        print(f"{name}=={version}")
