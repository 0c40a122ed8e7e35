"""The page of errors has a section for each code."""

import re
from pathlib import Path

from docsession import _errors

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


def subclasses(cls):
    for child in cls.__subclasses__():
        yield child
        yield from subclasses(child)


def test_every_error_has_a_section_under_its_code_and_name():
    """A reader who has a code in a log finds it."""
    classes = {_errors.DocSessionError, *subclasses(_errors.DocSessionError)}
    expected = sorted((cls.code, cls.__name__) for cls in classes if cls.__module__ == "docsession._errors")

    actual = re.findall(r"^\(ds\d+\)=\n## (ds\d+): (\w+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert actual == expected


def test_no_two_errors_share_a_code():
    """A code means one thing."""
    codes = [cls.code for cls in subclasses(_errors.DocSessionError)]

    assert len(codes) == len(set(codes))
