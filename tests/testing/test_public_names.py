"""What `docsession.testing` exports is a promise, and the reference has all of it."""

import re
from pathlib import Path

import docsession.testing

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"
NAMES = [
    "CapturedRequest",
    "CapturedRequests",
    "DocumentDatabase",
    "FrozenClock",
    "PostgresServer",
    "Recorded",
    "ScriptedExecutor",
    "assert_requests",
    "async_scripted_store",
    "capture_requests",
    "document_row",
    "frozen_clock",
    "numbered_ids",
    "scripted_store",
    "start_server",
]


def test_the_list_is_the_one_that_was_promised():
    assert NAMES == docsession.testing.__all__
    assert all(hasattr(docsession.testing, name) for name in NAMES)


def test_every_name_is_in_the_reference_once():
    found = re.findall(r"^\.\. auto\w+:: docsession\.testing\.(\w+)(?:\(\))?$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert NAMES == sorted(found)


def test_every_name_has_a_docstring():
    assert all(getattr(docsession.testing, name).__doc__ for name in NAMES)
