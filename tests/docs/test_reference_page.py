"""The reference has every public name."""

import inspect
import re
from pathlib import Path

import pytest

import docsession

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"


def test_every_public_name_is_described_once():
    """What `docsession` exports is what the page documents."""
    text = PAGE.read_text(encoding="utf-8")
    actual = re.findall(r"^\.\. auto\w+:: (\w+)(?:\(\))?$", text, re.MULTILINE)

    assert sorted(actual) == sorted(name for name in docsession.__all__ if not name.startswith("__"))


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
