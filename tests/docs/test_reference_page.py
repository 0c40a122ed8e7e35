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


@pytest.mark.parametrize("module", ["docsession.testing", *sorted(CONTRIB)])
def test_so_is_every_public_name_of_the_packages_beside_it(module):
    assert sorted(described().get(module, ())) == sorted(importlib.import_module(module).__all__)


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
