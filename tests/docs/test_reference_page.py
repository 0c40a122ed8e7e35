"""The reference has every public name."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

import docsession
from tests.support.contrib import CONTRIB

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"


def described():
    """Return the names that the page documents, by module."""
    found: dict[str, list[str]] = {}
    for path in re.findall(r"^\.\. auto\w+:: ([\w.]+)(?:\(\))?$", PAGE.read_text(encoding="utf-8"), re.MULTILINE):
        module, _, name = path.rpartition(".")
        found.setdefault(module or "docsession", []).append(name)
    return found


def test_every_public_name_is_described_once():
    """What `docsession` exports is what the page documents."""
    assert sorted(described()["docsession"]) == sorted(name for name in docsession.__all__ if not name.startswith("__"))


PACKAGES = ("docsession.testing", *sorted(CONTRIB))


@pytest.mark.parametrize("package", PACKAGES)
def test_so_is_every_public_name_of_the_packages_beside_it(package):
    """What several of them export is described in one place."""
    found = described()

    def things(module, names):
        return {(name, id(getattr(importlib.import_module(module), name))) for name in names}

    public = things(package, importlib.import_module(package).__all__)
    anywhere = set().union(*(things(other, found.get(other, ())) for other in PACKAGES))
    assert things(package, found.get(package, ())) <= public <= anywhere


@pytest.mark.parametrize("name", docsession.__all__)
def test_every_docstring_renders(name):
    """Sphinx takes what stands before a colon in a property's first line for its type, and no list of attributes."""
    cls = getattr(docsession, name)
    for member, value in inspect.getmembers(cls, lambda each: isinstance(each, property)):
        assert ":" not in (value.__doc__ or "").partition("\n")[0], member
    attributes = (inspect.getdoc(cls) or "").partition("Attributes:\n")[2]
    assert not re.search(r"^ {4}\w+,.*", attributes, re.MULTILINE)


@pytest.mark.parametrize("name", ["freeze", "paths", "agree", "mark_clean", "refill"])
def test_internals_are_left_out(name):
    """What only docsession itself calls is no part of the reference."""
    assert re.search(rf":exclude-members:.*\b{name}\b", PAGE.read_text(encoding="utf-8"))
