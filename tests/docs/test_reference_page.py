"""The reference has every public name."""

import re
from pathlib import Path

import docsession

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"


def test_every_public_name_is_described_once():
    """What `docsession` exports is what the page documents."""
    text = PAGE.read_text(encoding="utf-8")
    actual = re.findall(r"^\.\. auto\w+:: (\w+)$", text, re.MULTILINE)

    assert sorted(actual) == sorted(name for name in docsession.__all__ if not name.startswith("__"))
