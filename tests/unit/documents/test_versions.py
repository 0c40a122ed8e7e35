"""Versions of classes: what they need, and what upcasters see and keep."""

import copy
import dataclasses
import json
import re
from collections import OrderedDict
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docsession import (
    DocumentConventions,
    DocumentMismatchException,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    document,
    upcaster,
)
from docsession._documents._mapping import Mappings
from docsession._documents._versions import Versions

KEY = "orders/1-A"


def mapping_of(cls):
    return Mappings(DocumentConventions()).for_class(cls)


def upcast(data, step, types=None, *, version=1):
    """Return what one step makes of a document."""
    versions = Versions(dict, 2, (step,))
    return versions.bring_up_to_date(KEY, data, types or {}, version)


def same(document):
    return document


def copied(document):
    return copy.deepcopy(document)


class TestRegistration:
    def test_all_steps_are_needed(self):
        @document(version=3)
        class Invoice:
            pass

        with pytest.raises(
            InvalidArgumentException, match=r"Invoice is of version 3, .* version 1 become those of 2: write @upcaster"
        ):
            mapping_of(Invoice)
        upcaster(Invoice, from_version=1)(same)
        with pytest.raises(InvalidArgumentException, match=r"of version 2 become those of 3"):
            mapping_of(Invoice)
        upcaster(Invoice, from_version=2)(same)
        mapping = mapping_of(Invoice)
        assert (mapping.versions.current, mapping.versions.steps) == (3, (same, same))
        assert mapping.metadata == b'\x01{"@schema-version": 3}'

    def test_version_1_is_not_written(self):
        @document(version=1)
        class Invoice:
            pass

        assert mapping_of(Invoice).metadata == b""

    def test_a_step_beyond_the_version(self):
        @document(version=2)
        class Invoice:
            pass

        upcaster(Invoice, from_version=1)(same)
        upcaster(Invoice, from_version=2)(same)
        with pytest.raises(InvalidArgumentException, match=r"version 2, .* from version 2: say @document\(version=3"):
            mapping_of(Invoice)

    def test_a_step_without_a_version(self):
        class Invoice:
            pass

        upcaster(Invoice, from_version=1)(same)
        with pytest.raises(InvalidArgumentException, match=r"no version of its own: say @document\(version=2\)"):
            mapping_of(Invoice)

    def test_one_step_twice(self):
        @document(version=2)
        class Invoice:
            pass

        upcaster(Invoice, from_version=1)(same)
        upcaster(Invoice, from_version=1)(same)  # a module that is loaded again
        with pytest.raises(InvalidArgumentException, match=r"of version 1 have the upcaster .*same already"):
            upcaster(Invoice, from_version=1)(copied)

    @pytest.mark.parametrize("version", [0, -1, "2", 1.0, True, 2**31])
    def test_what_is_no_version(self, version):
        with pytest.raises(InvalidArgumentException, match="version is a number of 1 or more"):
            document(version=version)
        with pytest.raises(InvalidArgumentException, match="from_version is a number of 1 or more"):
            upcaster(Decimal, from_version=version)

    def test_what_is_no_upcaster(self):
        async def later(document):
            return document

        for wrong in (later, "same", Decimal):
            with pytest.raises(InvalidArgumentTypeException, match="stands above a function"):
                upcaster(Mappings, from_version=1)(wrong)
        with pytest.raises(InvalidArgumentTypeException, match="takes a class"):
            upcaster(same, from_version=1)

    def test_the_version_of_a_base_holds_for_subclasses_that_have_none(self):
        @document(version=2)
        @dataclasses.dataclass(slots=True)
        class Base:
            name: str

        upcaster(Base, from_version=1)(same)

        class Plain(Base):
            pass

        @document(version=1)
        class Own(Base):
            pass

        assert mapping_of(Plain).versions == mapping_of(Base).versions
        assert mapping_of(Own).versions == Versions(Own)


class TestWhatAnUpcasterSees:
    def test_python_values(self):
        seen = []

        def look(document):
            seen.append(document)
            return document

        upcast(b'{"a": 1, "b": 1.50, "c": "x", "d": [true, null, {}], "e": 12345678901234567890}', look)
        assert seen == [{"a": 1, "b": 1.5, "c": "x", "d": [True, None, {}], "e": 12345678901234567890}]
        assert isinstance(seen[0]["b"], float)
        assert seen[0]["b"] * 2 == 3.0

    @pytest.mark.parametrize("step", [same, copied, lambda document: {**document}])
    def test_digits_stay_that_nobody_touches(self, step):
        data = b'{"a":1.50,"b":[0.1000000000000000055511151231257827021181583404541015625,1.0],"c":{"d":-0.0}}'
        assert upcast(data, step) == (data, {})

    def test_numbers_of_many_digits(self):
        data = b'{"a":' + b"9" * 5000 + b',"b":1.0}'
        assert upcast(data, same) == (data, {})

    def test_moved_digits_stay_and_new_floats_keep_their_point(self):
        def move(document):
            return {"new": [document["old"]], "sum": document["old"] + 0.5, "big": 1e22, "small": 1e-7}

        written, _ = upcast(b'{"old":2.500}', move)
        assert written == b'{"new":[2.500],"sum":3.0,"big":10000000000000000000000.0,"small":1E-7}'

    def test_values_of_pythons_types_are_written_in_their_forms(self):
        def add(document):
            return OrderedDict(document, price=Decimal("1.10"), tags=("a", "b"), of=frozenset({"x"}))

        assert upcast(b"{}", add)[0] == b'{"price":1.10,"tags":["a","b"],"of":["x"]}'

    @given(st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8", exclude_characters="\0"))
        | st.decimals(allow_nan=False, allow_infinity=False, places=3),
        lambda inner: st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0")), inner, max_size=4),
        max_leaves=20,
    ))  # fmt: skip
    def test_any_document_passes_as_it_is(self, value):
        text = json.dumps({"value": value}, default=lambda number: f"@{number}@", ensure_ascii=False)
        text = re.sub(r'"@(-?[\d.]+)@"', r"\1", text)
        written, types = upcast(text.encode(), same)
        keep = {"parse_float": str, "parse_int": str}
        assert json.loads(written, **keep) == json.loads(text, **keep)
        assert types == {}


class TestRecordedTypes:
    def test_they_follow_values_that_move(self):
        def move(document):
            return {"there": {"~/": document["when"]}, "items": document["items"][::-1], "n": document["n"]}

        data = b'{"when":"2020-01-01","items":["x",{"a":1},3.10],"n":5}'
        types = {"/when": "date", "/items/1": "Money", "/items/2": "Decimal", "/n": "Color"}
        assert upcast(data, move, types) == (
            b'{"there":{"~/":"2020-01-01"},"items":[3.10,{"a":1},"x"],"n":5}',
            {"/there/~0~1": "date", "/items/1": "Money", "/items/0": "Decimal", "/n": "Color"},
        )

    def test_they_stay_with_equal_values_in_the_same_place(self):
        data = b'{"when":"2020-01-01","money":{"a":1},"pair":[1],"none":null,"yes":true}'
        types = {"/when": "date", "/money": "Money", "/pair": "tuple", "/none": "Gap", "/yes": "Flag"}
        assert upcast(data, copied, types) == (data, types)

        def extend(document):
            return {**document, "money": {**document["money"], "currency": "EUR"}}

        assert upcast(data, extend, types)[1] == types

    def test_they_go_with_values_that_are_replaced_or_removed(self):
        def replace(document):
            return {"when": document["when"][:4], "money": 7, "pair": "x", "none": 0, "yes": 1}

        data = b'{"when":"2020-01-01","money":{"a":1},"pair":[1],"none":null,"yes":true,"gone":"x"}'
        types = {"/when": "date", "/money": "Money", "/pair": "tuple", "/none": "Gap", "/yes": "Flag", "/gone": "date"}
        assert upcast(data, replace, types)[1] == {}

    def test_places_that_are_not_there_are_forgotten(self):
        assert upcast(
            b'{"a":[1]}', same, {"/a/1": "date", "/a/x": "date", "/b": "date", "": "date", "/a/0/c": "x"}
        ) == (
            b'{"a":[1]}',
            {},
        )


class TestRefusals:
    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (float("inf"), r"a\.b\[0\]: JSON has no number for inf"),
            ("a\0b", r"a\.b\[0\]: PostgreSQL's text cannot hold"),
            ({1: 2}, r"a\.b\[0\]: the key 1 is no str"),
            (object(), r"a\.b\[0\]: a value of type .*object"),
        ],
    )
    def test_what_cannot_be_stored(self, value, message):
        with pytest.raises(DocumentMismatchException, match=message):
            upcast(b"{}", lambda _: {"a": {"b": [value]}})

    def test_what_contains_itself(self):
        def tie(document):
            document["self"] = document
            return document

        with pytest.raises(DocumentMismatchException, match="contain themselves"):
            upcast(b"{}", tie)

    def test_ctrl_c_is_not_an_error_of_the_document(self):
        def interrupted(_):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            upcast(b"{}", interrupted)
