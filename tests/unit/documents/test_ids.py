"""Ids: which are allowed, HiLo ranges, time-ordered ids, wildcards."""

import re
import subprocess
import sys
import threading
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docsession._documents import _ids
from docsession._documents._ids import (
    HiLoGenerator,
    HiLoRange,
    asks_for_identity,
    check_id,
    check_id_of_entity,
    complete_generated_id,
    identity_name,
    is_blank,
    prefix_of,
    time_ordered_id,
    uuid7,
    uuid7_ids,
    wildcards_to_regex,
)
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException


class TestAllowedIds:
    @pytest.mark.parametrize(
        "key",
        [
            "ayende",
            "companies/1-A",
            "a b",
            "käufer/1",
            "用户/1",
            "👨‍👩‍👧/1",
            "x'; drop table y; --",
            "/x",
            "a" * 1024,
            "ü" * 512,
        ],
    )
    def test_printable_text_up_to_a_kibibyte_is_allowed(self, key):
        assert check_id(key) == key

    @pytest.mark.parametrize(
        "key", ["", " ", "\u00a0", "a\0", "a\n", "a\x7f", "\ud800", "a\u2028", "a" * 1025, "ü" * 513, "\x85"]
    )
    def test_blank_long_and_unprintable_ids_are_refused(self, key):
        with pytest.raises(InvalidArgumentException):
            check_id(key)

    @pytest.mark.parametrize("key", [None, 5, True, b"x", ["x"], uuid.uuid4()])
    def test_an_id_of_another_type_is_refused_and_named(self, key):
        with pytest.raises(InvalidArgumentTypeException, match=type(key).__name__):
            check_id(key)

    @given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=256))
    def test_every_other_character_is_allowed(self, key):
        if key.strip():
            assert check_id(key) == key

    def test_a_key_may_ask_for_an_identity(self):
        assert asks_for_identity("invoices|", "/")
        assert not asks_for_identity("invoices/1", "/")
        assert not asks_for_identity("invoices|", "|")

    @pytest.mark.parametrize(("key", "name"), [("invoices|", "invoices|"), ("invoices", "invoices|"), ("a/b", "a/b|")])
    def test_an_identity_has_one_name(self, key, name):
        assert identity_name(key) == name

    @pytest.mark.parametrize("key", ["|", " |", ""])
    def test_an_identity_has_a_name(self, key):
        with pytest.raises(InvalidArgumentException, match=r"blank|name"):
            identity_name(key)

    def test_a_leading_slash_is_refused_in_an_attribute_only(self):
        assert check_id("/x") == "/x"
        with pytest.raises(InvalidArgumentException, match="store"):
            check_id_of_entity("/x")

    @pytest.mark.parametrize(("key", "blank"), [(None, True), ("", True), (" \t", True), ("a", False)])
    def test_none_and_white_space_are_blank(self, key, blank):
        assert is_blank(key) is blank

    @pytest.mark.parametrize(
        ("key", "prefix"),
        [("companies/1-A", "companies"), ("users/1/settings", "users"), ("ayende", ""), ("/x", ""), ("a/", "a")],
    )
    def test_the_prefix_stands_before_the_first_separator(self, key, prefix):
        assert prefix_of(key, "/") == prefix


class TestHiLo:
    def make(self):
        now = [0.0]
        generator = HiLoGenerator("companies", "/", "A", clock=lambda: now[0])
        return generator, now

    def test_numbers_come_in_order_until_a_range_is_needed(self):
        generator, _ = self.make()
        assert generator.next_id() is None
        generator.add_range(1, 2)
        assert [generator.next_id() for _ in range(3)] == ["companies/1-A", "companies/2-A", None]

    def test_two_ranges_at_once_are_used_one_after_the_other(self):
        generator, _ = self.make()
        generator.add_range(5, 6)
        generator.add_range(9, 9)
        generator.add_range(10, 10)
        numbers = [generator.next_id() for _ in range(5)]
        assert numbers == ["companies/5-A", "companies/6-A", "companies/9-A", "companies/10-A", None]

    @pytest.mark.parametrize(("after", "size"), [(0.5, 128), (1, 128), (20, 64), (30, 64), (45, 32), (100, 32)])
    def test_the_first_range_grows_when_it_is_used_up_fast(self, after, size):
        generator, now = self.make()
        assert generator.wanted() == 32
        generator.add_range(1, 32)
        now[0] += after
        assert generator.wanted() == size

    def test_ranges_grow_to_a_limit_and_shrink_again(self):
        generator, now = self.make()
        low, sizes = 1, []
        for _ in range(8):
            size = generator.wanted()
            sizes.append(size)
            generator.add_range(low, low + size - 1)
            low += size
        assert sizes == [32, 128, 512, 2048, 8192, 16384, 16384, 16384]
        now[0] += 61
        assert generator.wanted() == 8192

    def test_what_is_left_is_given_back_once(self):
        generator, _ = self.make()
        assert generator.unused() is None
        generator.add_range(1, 32)
        generator.next_id()
        assert generator.unused() == HiLoRange(2, 32)
        assert generator.unused() is None
        assert generator.next_id() is None

    def test_of_several_ranges_the_last_run_without_a_gap_is_given_back(self):
        generator, _ = self.make()
        for low, high in ((1, 4), (9, 12), (13, 16), (17, 20)):
            generator.add_range(low, high)
        assert generator.unused() == HiLoRange(9, 20)

    def test_a_used_up_range_leaves_nothing(self):
        generator, _ = self.make()
        generator.add_range(1, 1)
        generator.next_id()
        assert generator.unused() is None

    def test_an_empty_range_is_refused(self):
        generator, _ = self.make()
        with pytest.raises(InvalidArgumentException):
            generator.add_range(2, 1)

    def test_a_range_knows_its_length(self):
        assert len(HiLoRange(2, 32)) == 31

    def test_threads_never_get_one_id_twice(self):
        generator = HiLoGenerator("u", "/", "A")
        top, lock, ids = [0], threading.Lock(), []

        def work():
            mine = []
            while len(mine) < 2000:
                key = generator.next_id()
                if key is None:
                    with lock:
                        low = top[0] + 1
                        top[0] += generator.wanted()
                        generator.add_range(low, top[0])
                else:
                    mine.append(key)
            ids.extend(mine)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(ids)) == 8000


FORK = """
import os
from docsession._documents._ids import HiLoGenerator, uuid7
generator = HiLoGenerator("u", "/", "A")
generator.add_range(1, 32)
generator.next_id()
if os.fork() == 0:
    uuid7()
    print(generator.next_id(), generator.unused())
    os._exit(print(end="", flush=True) or 0)
os.wait()
print(generator.next_id(), generator.unused())
"""


def test_a_forked_process_has_none_of_its_parents_numbers():
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["None None", "u/2-A HiLoRange(low=3, high=32)"]


class TestTimeOrderedIds:
    def test_it_is_a_version_7_uuid_of_now(self):
        made = uuid.UUID(uuid7())
        assert (made.version, made.variant) == (7, uuid.RFC_4122)
        assert abs((made.int >> 80) / 1000 - time.time()) < 5
        assert str(made) == str(uuid.UUID(str(made)))

    def test_many_in_a_millisecond_are_distinct_and_in_order(self):
        made = [uuid7() for _ in range(20_000)]
        assert made == sorted(set(made))

    def test_a_clock_that_goes_back_does_not_break_the_order(self, monkeypatch):
        first = uuid7()
        monkeypatch.setattr(_ids.time, "time_ns", lambda: 1_000_000_000)
        assert [first, *(made := [uuid7(), uuid7()])] == sorted([first, *made])

    def test_a_full_counter_takes_the_next_millisecond(self, monkeypatch):
        monkeypatch.setattr(_ids, "_clock7", _ids._Clock7())
        monkeypatch.setattr(_ids.time, "time_ns", lambda: 7_000_000)
        first = uuid7()
        _ids._clock7.counter = 0x3FF_FFFF_FFFF
        second = uuid7()
        assert first < second
        assert uuid.UUID(second).int >> 80 == 8

    def test_threads_never_get_one_twice(self):
        made = []
        threads = [threading.Thread(target=lambda: made.extend([uuid7() for _ in range(3000)])) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(made)) == 12_000

    def test_it_continues_the_start_that_is_given(self):
        assert time_ordered_id("companies/").startswith("companies/0")


class TestGeneratedIds:
    def test_one_without_separator_gets_the_prefix(self):
        assert complete_generated_id("x1", "companies", "/") == "companies/x1"

    def test_one_with_separator_is_taken_as_it_is(self):
        assert complete_generated_id("other/x1", "companies", "/") == "other/x1"

    def test_one_that_ends_in_the_separator_gets_a_time_ordered_rest(self):
        assert re.fullmatch(r"eu/[0-9a-f-]{36}", complete_generated_id("eu/", "companies", "/"))

    def test_the_ready_made_one_carries_the_prefix(self):
        made = complete_generated_id(uuid7_ids("db", object()), "companies", "/")
        assert re.fullmatch(r"companies/[0-9a-f-]{36}", made)

    def test_one_that_asks_for_an_identity_is_left_to_it(self):
        assert complete_generated_id("x|", "companies", "/") == "x|"

    @pytest.mark.parametrize("generated", [None, 5, "", "a" * 1020])
    def test_a_result_that_is_no_id_is_refused(self, generated):
        with pytest.raises(InvalidArgumentException):
            complete_generated_id(generated, "companies", "/")


class TestWildcards:
    @pytest.mark.parametrize(
        ("pattern", "matching", "others"),
        [
            ("1*", ["1", "12", "1-A"], ["21", ""]),
            ("?", ["1"], ["12", ""]),
            ("1|2", ["1", "2"], ["12", "3"]),
            ("a.b", ["a.b"], ["axb"]),
            ("(x)[1]^$+{2}\\d", ["(x)[1]^$+{2}\\d"], ["x"]),
            ("*ü?", ["ü1", "aüb"], ["ü"]),
        ],
    )
    def test_stars_and_question_marks_match_the_whole_rest(self, pattern, matching, others):
        regex = re.compile(wildcards_to_regex(pattern))
        assert [text for text in [*matching, *others] if regex.search(text)] == matching

    @given(st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="*?|")))
    def test_everything_else_stands_for_itself(self, text):
        assert re.search(wildcards_to_regex(text), text)
