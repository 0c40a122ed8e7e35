"""Entity tags and the headers that name them."""

import pytest

from docsession import InvalidArgumentException
from docsession.contrib._http import etag, if_match, if_none_match

TAG = '"7"'


class TestEtag:
    def test_a_change_vector_is_a_strong_tag(self):
        assert etag("7") == '"7"'
        assert etag("7", weak=True) == 'W/"7"'

    @pytest.mark.parametrize("text", ['a"b', "a b", "a\nSet-Cookie: x", "ж", "\x7f"])
    def test_what_a_header_cannot_carry_is_refused(self, text):
        with pytest.raises(InvalidArgumentException, match="entity tag"):
            etag(text)


class TestIfMatch:
    @pytest.mark.parametrize(
        ("header", "holds"),
        [
            (None, True),
            ("*", True),
            (" * ", True),
            ('"7"', True),
            ('"6"', False),
            ('"6", "7"', True),
            ('"6","7"', True),
            (',, "6" ,\t, "7",', True),
            ('W/"7"', False),
            ('W/"7", "7"', True),
            ('"a,7", "7"', True),
            ('"6, \\"7"', False),
            ("", False),
            ("7", False),
            ('"7', False),
            ('"7" "6"', False),
            ('"7", garbage', False),
            ('w/"7"', False),
            ('"*"', False),
        ],
    )
    def test_tags_are_compared_strongly(self, header, holds):
        assert if_match(header, TAG) is holds

    @pytest.mark.parametrize(("header", "holds"), [(None, True), ("*", False), ('"7"', False)])
    def test_nothing_matches_what_does_not_exist(self, header, holds):
        assert if_match(header, None) is holds

    def test_a_weak_tag_of_ours_matches_nothing(self):
        assert if_match('W/"7"', 'W/"7"') is False
        assert if_match('"7"', 'W/"7"') is False


class TestIfNoneMatch:
    @pytest.mark.parametrize(
        ("header", "holds"),
        [
            (None, True),
            ("*", False),
            ('"7"', False),
            ('W/"7"', False),
            ('"6"', True),
            ('"6", W/"7"', False),
            ("", True),
            ("7", True),
            ('"7', True),
        ],
    )
    def test_tags_are_compared_weakly(self, header, holds):
        assert if_none_match(header, TAG) is holds
        assert if_none_match(header, f"W/{TAG}") is holds

    def test_what_does_not_exist_has_no_tag(self):
        assert if_none_match("*", None) is True


def test_a_long_header_takes_no_long_time():
    """Each character is looked at once: a quadratic reader would not come back."""
    assert if_match(", " * 200_000 + '"6"', TAG) is False
    assert if_match('"' * 400_001, TAG) is False
