"""Metadata: keys that the session keeps, and free ones that hold plain JSON."""

import copy
import enum
import json
import pickle

import pytest
from hypothesis import given

from docsession._documents._metadata import RESERVED, MetadataAsDictionary, free_keys_json
from docsession._errors import InvalidArgumentException, UnsupportedValueException

from .strategies import objects

KEPT = {"@id": "users/1", "@collection": "Users", "@change-vector": "7", "@last-modified": "2024-01-01T00:00:00Z"}


@pytest.fixture
def metadata():
    return MetadataAsDictionary({"owner": "ann", "@expires": "2030", "@types": {"a": "set"}, "@id": "x"}, KEPT)


def test_it_shows_kept_and_free_keys_and_no_internal_ones(metadata):
    assert metadata == KEPT | {"owner": "ann", "@expires": "2030"}


@pytest.mark.parametrize("key", sorted(RESERVED | {"@types", "@type"}))
@pytest.mark.parametrize(
    "change",
    [
        lambda metadata, key: metadata.__setitem__(key, "x"),
        lambda metadata, key: metadata.__delitem__(key),
        lambda metadata, key: metadata.pop(key),
        lambda metadata, key: metadata.pop(key, None),
        lambda metadata, key: metadata.update({"free": 1, key: "x"}),
        lambda metadata, key: metadata.update([(key, "x")]),
        lambda metadata, key: metadata.__ior__({key: "x"}),
    ],
)
def test_kept_and_internal_keys_cannot_be_changed(metadata, change, key):
    before = dict(metadata)
    with pytest.raises(InvalidArgumentException, match=key):
        change(metadata, key)
    assert metadata == before


def test_a_missing_internal_key_cannot_be_set_by_default(metadata):
    with pytest.raises(InvalidArgumentException):
        metadata.setdefault("@types", {})
    assert metadata.setdefault("@id") == "users/1"


def test_free_keys_change_as_in_any_dict(metadata):
    metadata["a"] = 1
    metadata |= {"b": 2}
    metadata.update(c=3)
    assert metadata.setdefault("d", 4) == metadata["d"] == 4
    assert metadata.pop("a") == 1
    assert metadata.pop("a", None) is None
    del metadata["b"]
    assert metadata == KEPT | {"owner": "ann", "@expires": "2030", "c": 3, "d": 4}


def test_clear_keeps_what_the_session_keeps(metadata):
    metadata.clear()
    assert metadata == KEPT


def test_popitem_takes_free_keys_only(metadata):
    assert {metadata.popitem()[0], metadata.popitem()[0]} == {"owner", "@expires"}
    with pytest.raises(KeyError):
        metadata.popitem()
    assert metadata == KEPT


def test_the_session_agrees_with_the_server(metadata):
    metadata.agree({"@change-vector": "8", "@last-modified": None})
    assert metadata["@change-vector"] == "8"
    assert "@last-modified" not in metadata
    assert not metadata.is_dirty


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each)), dict.copy])
def test_a_copy_is_a_plain_dict(metadata, copied):
    assert type(copied(metadata)) is dict
    assert copied(metadata) == metadata


class TestDirty:
    def test_it_is_dirty_after_a_change_at_any_depth_and_clean_after_its_undoing(self):
        metadata = MetadataAsDictionary({"tags": ["a", {"b": 1}]})
        assert not metadata.is_dirty
        metadata["tags"][1]["b"] = True
        assert metadata.is_dirty
        metadata["tags"][1]["b"] = 1
        assert not metadata.is_dirty

    def test_it_is_clean_once_marked(self):
        metadata = MetadataAsDictionary()
        metadata["a"] = 1
        metadata.mark_clean()
        assert not metadata.is_dirty


class TestJson:
    def test_it_holds_free_keys_in_one_order(self):
        assert free_keys_json({"b": 1, "@id": "x", "@types": {}, "a": [None, 1.5, {"z": "ü", "y": True}]}) == (
            '{"a":[null,1.5,{"y":true,"z":"ü"}],"b":1}'.encode()
        )
        assert free_keys_json({}) == b"{}"

    @given(objects)
    def test_it_keeps_every_json_value(self, value):
        cleaned = json.loads(json.dumps(value).replace("\\u0000", ""))
        assert json.loads(free_keys_json({"free": cleaned})) == {"free": cleaned}

    @pytest.mark.parametrize(
        ("value", "where"),
        [
            (float("nan"), "@metadata['a']"),
            ({"b": [float("inf")]}, "@metadata['a']['b'][0]"),
            ((1,), "@metadata['a']"),
            ({1: 2}, "@metadata['a'][1]"),
            ("\0", "@metadata['a']"),
            ("ü\0", "@metadata['a']"),
            ("\ud800", "@metadata['a']"),
            ({"\0": 1}, "@metadata['a']['\\x00']"),
            (object(), "@metadata['a']"),
            (enum.IntEnum("E", "A").A, "@metadata['a']"),
            (b"x", "@metadata['a']"),
        ],
    )
    def test_what_is_no_json_is_refused_with_its_place(self, value, where):
        with pytest.raises(UnsupportedValueException) as error:
            free_keys_json({"a": value})
        assert error.value.path == where

    def test_what_contains_itself_or_is_too_deep_is_refused(self):
        loop = []
        loop.append(loop)
        deep = []
        for _ in range(1000):
            deep = [deep]
        for value in (loop, deep):
            with pytest.raises(UnsupportedValueException):
                free_keys_json({"a": value})
