"""Merge: known fields end as in the entity, nothing unknown is lost or lands on another item."""

import copy
import dataclasses
import json
from decimal import Decimal
from itertools import count

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docsession._documents._exact import decode_exact
from docsession._documents._merge import merge
from docsession._documents._pairing import is_immutable

from .strategies import dump, objects, typed


def merged(raw, base, now, before=(), after=()):
    return json.loads(merge(dump(raw, spaced=True), dump(base), dump(now), before, after))


class TestMembers:
    @pytest.mark.parametrize(
        ("raw", "base", "now", "expected"),
        [
            ({"a": 1}, {"a": 1}, {"a": 2}, {"a": 2}),
            ({"a": 1, "u": 5}, {"a": 1}, {"a": 2}, {"a": 2, "u": 5}),
            ({"a": 1, "u": 5}, {"a": 1}, {}, {"u": 5}),
            ({"u": 5}, {}, {"a": 1}, {"a": 1, "u": 5}),
            ({"u": 5}, {}, {"u": 6}, {"u": 6}),
            ({"u": 5}, {"a": None}, {"a": None}, {"u": 5, "a": None}),
            ({"o": {"a": 1, "u": {"x": [1]}}}, {"o": {"a": 1}}, {"o": {"a": 2}}, {"o": {"a": 2, "u": {"x": [1]}}}),
            ({"o": {"u": 5}}, {"o": {}}, {}, {}),
            ({"o": {"u": 5}}, {"o": {}}, {"o": None}, {"o": None}),
            ({"o": {"u": 5}}, {"o": {}}, {"o": []}, {"o": []}),
            ({"o": {"u": 5}}, {"o": {}}, {"o": {}, "p": 1}, {"o": {"u": 5}, "p": 1}),
            ({"o": "5", "u": 1}, {"o": 5}, {"o": 5, "p": 1}, {"o": "5", "u": 1, "p": 1}),
            ({"o": "x", "u": 1}, {"o": {"a": 1}}, {"o": {"a": 1}, "p": 1}, {"o": "x", "u": 1, "p": 1}),
            ({"a": 1, "u": 1}, {"a": 1}, {"a": True}, {"a": True, "u": 1}),
            ({"a": 1, "u": 1}, {"a": 1}, {"a": 1.0}, {"a": 1.0, "u": 1}),
        ],
    )
    def test_objects_merge_by_key(self, raw, base, now, expected):
        assert typed(merged(raw, base, now)) == typed(expected)

    def test_without_unknown_fields_now_is_written_as_it_is(self):
        now = b'{"b":2,"a":{"c":1}}'
        assert merge(b'{"b": 1, "a": {"c": 1}}', b'{"a":{"c":1},"b":1}', now) is now
        assert merge(b"{}", b"{}", now) is now

    def test_digits_stay_where_nothing_changed(self):
        raw = b'{"a": 1.50, "b": 100, "c": 12345678901234567890.123456789, "d": [1.10, 2.20], "e": 1, "u": 1e400}'
        base = b'{"a":1.5,"b":100.0,"c":12345678901234567000.0,"d":[1.1,2.2],"e":1}'
        now = b'{"a":1.5,"b":100.0,"c":12345678901234567000.0,"d":[9.0,1.1,2.2],"e":2}'
        assert merge(raw, base, now) == (
            b'{"a":1.50,"b":100,"c":12345678901234567890.123456789,"d":[9.0,1.10,2.20],"e":2,"u":1E+400}'
        )

    def test_digits_alone_are_a_reason_to_merge(self):
        assert merge(b'{"a": 1.50, "b": 1}', b'{"a":1.5,"b":1}', b'{"a":1.5,"b":2}') == b'{"a":1.50,"b":2}'

    def test_a_bool_stored_as_a_number_stays(self):
        assert merge(b'{"a": 1, "b": 1}', b'{"a":true,"b":1}', b'{"a":true,"b":2}') == b'{"a":1,"b":2}'

    def test_the_scale_of_a_decimal_can_be_changed(self):
        assert merge(b'{"a": 1.5, "u": 1}', b'{"a":1.5}', b'{"a":1.50}') == b'{"a":1.50,"u":1}'

    def test_an_unknown_integer_of_thousands_of_digits_stays(self):
        digits = b"7" * 6000
        raw = b'{"u": ' + digits + b', "a": 1.50, "b": 1}'
        assert merge(raw, b'{"a":1.5,"b":1}', b'{"a":1.5,"b":2}') == b'{"u":' + digits + b',"a":1.50,"b":2}'


@dataclasses.dataclass
class Line:
    v: int = 0


@dataclasses.dataclass
class Other:
    v: int = 0


@dataclasses.dataclass(frozen=True)
class Frozen:
    v: int = 0


def lists(**named):
    return tuple(((name,), tuple(items)) for name, items in named.items())


def known(items):
    return [{"v": item.v} for item in items]


class TestListItems:
    def go(self, before, after, unknown="u"):
        raw = {"a": [{"v": item.v, unknown: i} for i, item in enumerate(before)]}
        base = {"a": known(before)}
        anchors = lists(a=before)

        def then():
            return merged(raw, base, {"a": known(after)}, anchors, lists(a=after))["a"]

        return then

    def test_the_same_object_keeps_its_unknown_fields_wherever_it_moves(self):
        one, two, three = Line(1), Line(1), Line(3)
        then = self.go([one, two, three], [three, two, Line(1), one])
        one.v = 7
        now = [{"v": 3, "u": 2}, {"v": 1, "u": 1}, {"v": 1}, {"v": 7, "u": 0}]
        assert then() == now

    def test_a_removed_item_takes_its_unknown_fields_along(self):
        one, two = Line(1), Line(2)
        assert self.go([one, two], [two])() == [{"v": 2, "u": 1}]

    def test_a_replaced_item_is_new(self):
        one, two = Line(1), Line(2)
        assert self.go([one, two], [one, Line(2)])() == [{"v": 1, "u": 0}, {"v": 2}]

    def test_one_object_twice_is_the_same_item_twice(self):
        one = Line(1)
        assert self.go([one], [one, one])() == [{"v": 1, "u": 0}, {"v": 1, "u": 0}]

    def test_a_rebuilt_list_finds_equal_items(self):
        before = [Line(1), Line(2), Line(3)]
        assert self.go(before, [Line(3), Line(1)])() == [{"v": 3, "u": 2}, {"v": 1, "u": 0}]

    def test_a_rebuilt_list_of_the_same_length_finds_the_rest_by_position(self):
        before = [Line(1), Line(2), Line(3)]
        after = [Line(2), Line(8), Line(9)]
        assert self.go(before, after)() == [{"v": 2, "u": 1}, {"v": 8}, {"v": 9, "u": 2}]

    def test_of_equal_items_that_of_the_same_position_comes_first(self):
        before = [Line(1), Line(1), Line(2)]
        assert self.go(before, [Line(5), Line(1), Line(1)])() == [{"v": 5}, {"v": 1, "u": 1}, {"v": 1, "u": 0}]

    def test_an_immutable_item_may_be_replaced_by_its_successor(self):
        one, two = Frozen(1), Frozen(2)
        assert self.go([one, two], [one, Frozen(5)])() == [{"v": 1, "u": 0}, {"v": 5, "u": 1}]

    def test_an_immutable_item_is_found_by_its_equal(self):
        one, two, three = Frozen(1), Frozen(2), Frozen(3)
        after = [three, Frozen(1), Frozen(7)]
        assert self.go([one, two, three], after)() == [{"v": 3, "u": 2}, {"v": 1, "u": 0}, {"v": 7}]

    def test_an_item_of_another_class_is_new(self):
        assert self.go([Line(1), Line(2)], [Other(1), Line(3)])() == [{"v": 1}, {"v": 3, "u": 1}]

    def test_objects_move_between_lists_of_a_document(self):
        one, two, three = Line(1), Line(2), Line(3)
        raw = {"a": [{"v": 1, "u": 1}, {"v": 2, "u": 2}], "b": [{"v": 3, "u": 3}]}
        now = merged(
            raw,
            {"a": known([one, two]), "b": known([three])},
            {"a": known([three, one]), "b": known([two, Line(3)])},
            lists(a=[one, two], b=[three]),
            lists(a=[three, one], b=[two, Line(3)]),
        )
        assert now == {"a": [{"v": 3, "u": 3}, {"v": 1, "u": 1}], "b": [{"v": 2, "u": 2}, {"v": 3}]}

    def test_lists_within_lists_follow_their_objects(self):
        one, two = Line(2), Line(1)
        objects = ((("a", 0), (one,)), (("a", 1), (two,)))
        now = merged(
            {"a": [[{"v": 1, "u": 1}], [{"v": 2, "u": 2}]]},
            {"a": [[{"v": 1}], [{"v": 2}]]},
            {"a": [[{"v": 2}], [{"v": 1}]]},
            objects,
            objects,
        )
        assert now == {"a": [[{"v": 2, "u": 1}], [{"v": 1, "u": 2}]]}

    def test_objects_move_into_a_place_that_was_not_there(self):
        one = Line(1)
        now = merged(
            {"a": [{"v": 1, "u": 1}]},
            {"a": [{"v": 1}]},
            {"a": [], "box": {"b": [{"v": 5}, {"v": 1}]}},
            lists(a=[one]),
            ((("a",), ()), (("box", "b"), (Line(5), one))),
        )
        assert now == {"a": [], "box": {"b": [{"v": 5}, {"v": 1, "u": 1}]}}

    def test_what_moved_away_is_not_given_to_a_rebuilt_list(self):
        one, two = Line(1), Line(2)
        now = merged(
            {"a": [{"v": 1, "u": 1}, {"v": 2, "u": 2}], "b": []},
            {"a": known([one, two]), "b": []},
            {"a": known([Line(1), Line(2)]), "b": known([one])},
            lists(a=[one, two], b=[]),
            lists(a=[Line(1), Line(2)], b=[one]),
        )
        assert now == {"a": [{"v": 1}, {"v": 2, "u": 2}], "b": [{"v": 1, "u": 1}]}

    def test_items_that_are_no_objects_stay_between_them(self):
        one = Line(1)
        now = merged(
            {"a": [None, {"v": 1, "u": 1}, "x"]},
            {"a": [None, {"v": 1}, "x"]},
            {"a": ["x", None, {"v": 1}]},
            lists(a=[None, one, "x"]),
            lists(a=["x", None, one]),
        )
        assert now == {"a": ["x", None, {"v": 1, "u": 1}]}


class TestClasses:
    def test_an_object_whose_class_changed_is_replaced_whole(self):
        raw, base = {"o": {"v": 1, "u": 1}}, {"o": {"v": 1}}
        before = ((("o",), Line(1)),)
        assert merged(raw, base, {"o": {"v": 2}}, before, ((("o",), Other(2)),)) == {"o": {"v": 2}}
        assert merged(raw, base, {"o": {"v": 2}}, before, ((("o",), Line(2)),)) == {"o": {"v": 2, "u": 1}}

    @pytest.mark.parametrize(
        ("item", "immutable"),
        [
            (5, True),
            ("x", True),
            ((), True),
            ({}, False),
            ([], False),
            (Line(), False),
            (Frozen(), True),
            (Decimal(1), True),
            (msgspec.defstruct("S", [])(), False),
            (msgspec.defstruct("S", [], frozen=True)(), True),
            (attrs.make_class("A", [])(), False),
            (attrs.make_class("A", [], frozen=True)(), True),
            (pydantic.create_model("M")(), False),
            (pydantic.create_model("M", __config__={"frozen": True})(), True),
        ],
    )
    def test_values_and_frozen_classes_are_immutable(self, item, immutable):
        assert is_immutable(item) is immutable


class TestPlacesWithoutObjects:
    def test_an_unchanged_list_of_values_stays_to_the_digit(self):
        assert merge(b'{"a": [1.50], "b": 1}', b'{"a":[1.5],"b":1}', b'{"a":[1.5],"b":2}') == b'{"a":[1.50],"b":2}'

    def test_objects_in_a_tuple_are_found_by_equality_or_position(self):
        raw = {"a": [5, {"v": 1, "u": 1}]}
        assert merged(raw, {"a": [5, {"v": 1}]}, {"a": [6, {"v": 2}]}) == {"a": [6, {"v": 2, "u": 1}]}
        assert merged(raw, {"a": [5, {"v": 1}]}, {"a": [{"v": 1}]}) == {"a": [{"v": 1, "u": 1}]}

    def test_a_set_stored_in_another_order_keeps_its_values(self):
        now = merge(b'{"a": [2.50, 1.50, 2.5], "u": 1}', b'{"a":[1.5,2.5]}', b'{"a":[1.5,9.0]}')
        assert now == b'{"a":[1.50,9.0],"u":1}'

    def test_objects_of_a_set_stored_in_another_order_keep_what_is_theirs(self):
        raw = {"a": [{"v": 2, "u": 2}, {"v": 1, "u": 1}]}
        now = merged(raw, {"a": [{"v": 1}, {"v": 2}]}, {"a": [{"v": 1}, {"v": 3}]})
        assert now["a"] == [{"v": 1, "u": 1}, {"v": 3, "u": 2}]

    def test_values_written_in_another_form_do_not_come_back_in_a_changed_list(self):
        now = merged({"a": ["x ", "y "], "u": 1}, {"a": ["x", "y"]}, {"a": ["y", "x", "z"]})
        assert now == {"a": ["y", "x", "z"], "u": 1}

    def test_an_object_written_in_another_form_keeps_its_unknown_fields(self):
        now = merged({"a": [{"v": "1", "u": 1}]}, {"a": [{"v": 1}]}, {"a": [{"v": 2}]})
        assert now == {"a": [{"v": 2, "u": 1}]}


# A document of nodes, edited at random, with the identity of every node as the truth.


class Node:
    def __init__(self, v):
        self.v = v
        self.kids = []
        self.rest = []


def nodes_of(node):
    return [node, *(each for kid in [*node.kids, *node.rest] for each in nodes_of(kid))]


def to_json(node, unknown=None):
    document = {"v": node.v, "kids": [to_json(kid, unknown) for kid in node.kids]}
    document["rest"] = [to_json(kid, unknown) for kid in node.rest]
    if unknown and id(node) in unknown:
        document |= {"u": unknown[id(node)], "deep": {"u": [unknown[id(node)]]}}
    return document


def anchors_of(node, path=()):
    yield (*path, "kids"), tuple(node.kids)
    yield (*path, "rest"), tuple(node.rest)
    for name, kids in (("kids", node.kids), ("rest", node.rest)):
        for position, kid in enumerate(kids):
            yield from anchors_of(kid, (*path, name, position))


@st.composite
def trees(draw, depth=2):
    node = Node(draw(st.integers(0, 2)))
    if depth:
        node.kids = draw(st.lists(trees(depth - 1), max_size=3))
        node.rest = draw(st.lists(trees(depth - 1), max_size=2))
    return node


def without_unknown(document):
    kept = {key: value for key, value in document.items() if key not in {"u", "deep"}}
    return kept | {name: [without_unknown(each) for each in kept[name]] for name in ("kids", "rest")}


def edit(data, root):
    """One edit of the kind a program makes: fields, moves, removals, insertions, sorting."""
    lists = [kids for node in nodes_of(root) for kids in (node.kids, node.rest)]
    kids = data.draw(st.sampled_from(lists))
    match data.draw(st.sampled_from(["field", "move", "remove", "insert", "sort", "replace"])):
        case "field":
            data.draw(st.sampled_from(nodes_of(root))).v = data.draw(st.integers(0, 2))
        case "insert":
            kids.insert(data.draw(st.integers(0, len(kids))), data.draw(trees(1)))
        case "sort":
            kids.sort(key=lambda node: node.v)
        case "remove" if kids:
            kids.pop(data.draw(st.integers(0, len(kids) - 1)))
        case "replace" if len(kids) > 1:
            kids[data.draw(st.integers(0, len(kids) - 1))] = Node(data.draw(st.integers(0, 2)))
        case "move" if kids:
            moved = kids.pop(data.draw(st.integers(0, len(kids) - 1)))
            lists = [each for node in nodes_of(root) for each in (node.kids, node.rest)]
            target = data.draw(st.sampled_from(lists))
            target.insert(data.draw(st.integers(0, len(target))), moved)


@given(trees(), st.data())
def test_objects_keep_what_is_theirs_through_any_edits_and_new_ones_get_nothing(root, data):
    numbers = count(1)
    unknown = {id(node): next(numbers) for node in nodes_of(root) if data.draw(st.booleans())}
    raw, base, before = to_json(root, unknown), to_json(root), tuple(anchors_of(root))
    originals = nodes_of(root)
    edit_count = data.draw(st.integers(1, 5))
    for _ in range(edit_count):
        edit(data, root)
    kept = {id(node) for node in originals}
    fresh_lists = {
        path
        for path, items in anchors_of(root)
        if not any(id(item) in kept for item in items) and any(path == other and there for other, there in before)
    }
    result = merged(raw, base, to_json(root), before, tuple(anchors_of(root)))
    assert without_unknown(result) == to_json(root)
    if not fresh_lists:
        # (A list in which every object is new counts as rebuilt: its items are told by their values.)
        assert result == to_json(root, unknown)


@given(trees(1), st.data())
def test_a_rebuilt_list_gives_unknown_fields_to_equal_items_or_the_same_position_only(root, data):
    numbers = count(1)
    unknown = {id(node): next(numbers) for node in root.kids}
    raw, base, before = to_json(root, unknown), to_json(root), tuple(anchors_of(root))
    old = root.kids
    root.kids = data.draw(st.permutations(copy.deepcopy(old)))[: data.draw(st.integers(0, 3))]
    for node in root.kids:
        if data.draw(st.booleans()):
            node.v = data.draw(st.integers(0, 4))
    result = merged(raw, base, to_json(root), before, tuple(anchors_of(root)))
    assert without_unknown(result) == to_json(root)
    given_out = [each["u"] for each in result["kids"] if "u" in each]
    assert len(set(given_out)) == len(given_out)
    for position, each in enumerate(result["kids"]):
        if "u" in each:
            source = next(node for node in old if unknown[id(node)] == each["u"])
            assert source.v == each["v"] or (len(old) == len(root.kids) and old[position] is source)


def numbers_as_stored(data):
    """JSON with every number as PostgreSQL holds it: 1 and 1.0 differ, 1.5e1 and 15 do not."""
    return typed(json.loads(data, parse_int=Decimal, parse_float=Decimal))


@given(objects, objects)
def test_without_unknown_fields_the_result_is_now(base, now):
    result = merge(dump(base, spaced=True), dump(base), dump(now))
    assert numbers_as_stored(result) == numbers_as_stored(dump(now))


@given(objects, objects, objects)
def test_unknown_members_are_kept_and_known_ones_are_as_now(base, now, unknown):
    extra = {"?" + key: value for key, value in unknown.items()}
    result = merge(dump({**extra, **base}, spaced=True), dump(base), dump(now))
    assert numbers_as_stored(result) == numbers_as_stored(dump({**now, **extra}))


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False)))
def test_untouched_numbers_keep_every_digit(numbers):
    text = "[" + ",".join(map(str, numbers)) + "]"
    raw = f'{{"n": {text}, "a": 1, "u": 0}}'.encode()
    base = f'{{"n":{text},"a":1}}'.encode()
    now = f'{{"n":{text},"a":2}}'.encode()
    assert [str(number) for number in decode_exact(merge(raw, base, now))["n"]] == [
        str(number) for number in decode_exact(raw)["n"]
    ]
