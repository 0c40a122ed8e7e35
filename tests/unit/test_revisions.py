"""How a revision stands to the newest one, and what is said about it (no database)."""

import logging

import pytest

from docsession import IncompatibleSchemaException
from docsession._migrate._scripts import scripts
from docsession._session._schema_check import check_schema
from docsession._sql._revisions import Standing, standing_of


@pytest.mark.parametrize(
    ("revision", "head", "expected"),
    [
        (None, "0002", Standing.EMPTY),
        ("0002", "0002", Standing.CURRENT),
        ("0001", "0002", Standing.OLDER),
        ("0003", "0002", Standing.NEWER),
        ("0101", "0002", Standing.INCOMPATIBLE),
        ("9999", "0002", Standing.INCOMPATIBLE),
        ("0002", "0101", Standing.OUTDATED),
        ("0101", "0102", Standing.OLDER),
        ("abcd", "0002", Standing.INCOMPATIBLE),
        ("00003", "0002", Standing.INCOMPATIBLE),
    ],
)
def test_the_first_two_digits_are_the_generation(revision, head, expected):
    assert standing_of(revision, head) is expected


def test_the_revisions_of_the_package_keep_to_that():
    """Each is greater than the one before, so that comparing them tells which is older."""
    revisions = [script.revision for script in scripts().walk_revisions()]
    assert revisions == sorted(revisions, reverse=True)
    head = revisions[0]
    assert {standing_of(revision, head) for revision in revisions} <= {Standing.CURRENT, Standing.OLDER}


class TestCheck:
    def said(self, caplog, rows, head):
        with caplog.at_level(logging.WARNING, logger="docsession"):
            check_schema("my shop", rows, head)
        return [record.getMessage() for record in caplog.records]

    @pytest.mark.parametrize("rows", [[], [("0002",)]])
    def test_nothing_is_said_of_the_newest_and_of_none(self, caplog, rows):
        assert self.said(caplog, rows, "0002") == []

    def test_an_older_one_is_told_with_the_command(self, caplog):
        [line] = self.said(caplog, [("0001",)], "0002")
        assert line.startswith("the database 'my shop' is at the revision 0001, older than 0002: ")
        assert line.endswith("; run `docsession upgrade --database 'my shop'`")

    def test_a_newer_one_that_only_adds_is_told(self, caplog):
        [line] = self.said(caplog, [("0003",)], "0002")
        assert "at the revision 0003, newer than 0002" in line

    @pytest.mark.parametrize(
        ("revision", "part"),
        [("0101", "install that version"), ("abcd", "install that version")],
    )
    def test_one_of_a_later_generation_is_refused(self, revision, part):
        with pytest.raises(IncompatibleSchemaException, match=part):
            check_schema("shop", [(revision,)], "0002")

    def test_one_of_an_earlier_generation_is_refused_with_the_command(self):
        with pytest.raises(IncompatibleSchemaException, match="run `docsession upgrade --database shop`"):
            check_schema("shop", [("0002",)], "0101")
