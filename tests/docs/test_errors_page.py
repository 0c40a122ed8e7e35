"""The page of errors has a section for each code."""

import re
from pathlib import Path

from docsession import _errors

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


CLASSES = [
    value
    for name, value in vars(_errors).items()
    if isinstance(value, type) and issubclass(value, _errors.DocSessionError) and not name.startswith("_")
]


def test_every_error_has_a_section_under_its_code_and_name():
    """A reader who has a code in a log finds it."""
    expected = sorted((cls.code, cls.__name__) for cls in CLASSES)

    actual = re.findall(r"^\(ds\d+\)=\n## (ds\d+): (\w+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert actual == expected


def test_no_two_errors_share_a_code():
    """A code means one thing."""
    codes = [cls.code for cls in CLASSES]

    assert len(codes) == len(set(codes))
