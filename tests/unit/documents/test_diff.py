"""What changed: exact at any depth."""

import copy
import json
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docsession._documents._diff import ChangeType, DocumentsChanges, what_changed

from .strategies import dump, objects, typed

C = ChangeType


def changes(before, now):
    return [
        (each.change, each.field_path, each.field_name, each.field_old_value, each.field_new_value)
        for each in what_changed(dump(before), dump(now))
    ]


class TestKinds:
    def test_a_new_document_is_one_change(self):
        assert what_changed(None, b"{}") == [DocumentsChanges(None, None, C.DOCUMENT_ADDED)]

    def test_a_deleted_document_is_one_change(self):
        (change,) = what_changed(b"{}", None)
        assert (change.change, change.field_full_name) == (C.DOCUMENT_DELETED, "")

    def test_nothing_changed(self):
        assert what_changed(b'{"a":1,"b":[]}', b'{"b":[],"a":1}') == []
        assert what_changed(None, None) == []

    @pytest.mark.parametrize(
        ("before", "now", "expected"),
        [
            ({"a": 1}, {"a": 2}, [(C.FIELD_CHANGED, "", "a", 1, 2)]),
            ({}, {"a": 1}, [(C.NEW_FIELD, "", "a", None, 1)]),
            ({"a": None}, {}, [(C.REMOVED_FIELD, "", "a", None, None)]),
            ({"a": {"b": 1}}, {"a": {"b": 2}}, [(C.FIELD_CHANGED, "a", "b", 1, 2)]),
            ({"a": {"b": 1}}, {"a": {}}, [(C.REMOVED_FIELD, "a", "b", 1, None)]),
            ({"a": [1, 2]}, {"a": [1, 3]}, [(C.ARRAY_VALUE_CHANGED, "a[1]", "a", 2, 3)]),
            ({"a": [1]}, {"a": [1, 2]}, [(C.ARRAY_VALUE_ADDED, "a[1]", "a", None, 2)]),
            ({"a": [1, 2]}, {"a": []}, [
                (C.ARRAY_VALUE_REMOVED, "a[0]", "a", 1, None),
                (C.ARRAY_VALUE_REMOVED, "a[1]", "a", 2, None),
            ]),
            ({"a": [{"b": 1}]}, {"a": [{"b": 2, "c": 3}]}, [
                (C.FIELD_CHANGED, "a[0]", "b", 1, 2),
                (C.NEW_FIELD, "a[0]", "c", None, 3),
            ]),
            ({"a": [[1]]}, {"a": [[1, 2]]}, [(C.ARRAY_VALUE_ADDED, "a[0][1]", "a", None, 2)]),
        ],
    )  # fmt: skip
    def test_every_kind_at_its_place(self, before, now, expected):
        assert changes(before, now) == expected


class TestTraps:
    @pytest.mark.parametrize(
        ("before", "now", "expected"),
        [
            ({"a": "x"}, {"a": {"b": 1}}, [(C.FIELD_CHANGED, "", "a", "x", {"b": 1})]),
            ({"a": [1]}, {"a": {"b": 1}}, [(C.FIELD_CHANGED, "", "a", [1], {"b": 1})]),
            ({"a": [1]}, {"a": None}, [(C.FIELD_CHANGED, "", "a", [1], None)]),
            ({"a": 1}, {"a": True}, [(C.FIELD_CHANGED, "", "a", 1, True)]),
            ({"a": 1}, {"a": 1.0}, [(C.FIELD_CHANGED, "", "a", 1, 1.0)]),
            ({"a": 0.0}, {"a": -0.0}, [(C.FIELD_CHANGED, "", "a", 0.0, -0.0)]),
            ({"a": [1]}, {"a": ["1"]}, [(C.ARRAY_VALUE_CHANGED, "a[0]", "a", 1, "1")]),
            ({"a": [[1]]}, {"a": [{"b": 1}]}, [(C.ARRAY_VALUE_CHANGED, "a[0]", "a", [1], {"b": 1})]),
            ({"a": {"Id": 1}}, {"a": {"Id": 2}}, [(C.FIELD_CHANGED, "a", "Id", 1, 2)]),
            ({"a": {"b": 1}}, {"a": {}}, [(C.REMOVED_FIELD, "a", "b", 1, None)]),
            ({"a": {}}, {"a": []}, [(C.FIELD_CHANGED, "", "a", {}, [])]),
        ],
    )
    def test_types_and_shapes_are_told_apart(self, before, now, expected):
        assert list(map(typed, map(list, changes(before, now)))) == list(map(typed, map(list, expected)))

    @pytest.mark.parametrize(
        ("document", "full_name"),
        [
            ({"a.b": 1}, '["a.b"]'),
            ({"a": {"b": 1}}, "a.b"),
            ({"x": {"a.b": 1}}, 'x["a.b"]'),
            ({"x": {"a[0]": 1}}, 'x["a[0]"]'),
            ({"x": {"": 1}}, 'x[""]'),
            ({"": 1}, '[""]'),
            ({'q"': 1}, '["q\\""]'),
            ({"ä b": 1}, "ä b"),
        ],
    )
    def test_a_key_with_dots_or_brackets_is_quoted(self, document, full_name):
        before = json.loads(json.dumps(document).replace("1", "0"))
        (change,) = what_changed(dump(before), dump(document))
        assert change.field_full_name == full_name

    def test_the_scale_of_a_decimal_is_a_change(self):
        (change,) = what_changed(b'{"a":1.10}', b'{"a":1.1}')
        assert (str(change.field_old_value), change.field_new_value) == ("1.10", 1.1)
        assert isinstance(change.field_old_value, Decimal)
        assert isinstance(change.field_new_value, float)

    def test_numbers_beyond_a_float_keep_their_digits(self):
        (change,) = what_changed(b'{"a":1E+400}', b'{"a":123456789012345678901234567890}')
        assert (change.field_old_value, change.field_new_value) == (Decimal("1E+400"), 123456789012345678901234567890)


class TestChange:
    def test_it_has_the_order_of_arguments_of_ravendb(self):
        change = DocumentsChanges(1, 2, DocumentsChanges.ChangeType.FIELD_CHANGED, "b", "a")
        assert change.field_full_name == "a.b"
        assert change.to_json() == {
            "old_value": 1,
            "new_value": 2,
            "change": "field_changed",
            "field_name": "b",
            "field_path": "a",
        }

    def test_a_kind_is_its_name(self):
        assert ChangeType.NEW_FIELD == "new_field"

    def test_it_cannot_be_altered(self):
        with pytest.raises(AttributeError):
            DocumentsChanges(1, 2, C.NEW_FIELD).field_name = "x"


TOKEN = re.compile(r'\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|\.?([^.\[\]"]+)')


def steps(path):
    """The keys and positions of a full name, by which the tests find the place again."""
    found, position = [], 0
    while position < len(path):
        match = TOKEN.match(path, position)
        assert match, (path, position)
        index, quoted, name = match.groups()
        found.append(int(index) if index else json.loads(quoted) if quoted else name)
        position = match.end()
    return found


def apply(document, all_changes):
    """Replay the changes on the state before."""
    result = copy.deepcopy(document)
    removed = []
    for change in all_changes:
        *parents, last = steps(change.field_full_name)
        target = result
        for step in parents:
            target = target[step]
        match change.change:
            case C.REMOVED_FIELD:
                del target[last]
            case C.ARRAY_VALUE_REMOVED:
                removed.append(target)
            case C.ARRAY_VALUE_ADDED:
                assert last == len(target)
                target.append(change.field_new_value)
            case _:
                target[last] = change.field_new_value
    for target in removed:
        target.pop()
    return result


@given(objects, objects)
def test_the_changes_lead_from_before_to_now_and_are_none_only_between_equals(before, now):
    found = what_changed(dump(before), dump(now))
    assert typed(apply(before, found)) == typed(now)
    assert (found == []) == (typed(before) == typed(now))


@given(objects, objects)
def test_full_names_are_unambiguous(before, now):
    found = [each.field_full_name for each in what_changed(dump(before), dump(now))]
    assert len(set(found)) == len(found)


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.integers(), max_size=2))
def test_a_document_does_not_differ_from_itself_in_other_order(document):
    shuffled = dict(reversed(document.items()))
    assert what_changed(dump(document), dump(shuffled)) == []
