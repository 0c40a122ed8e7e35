"""Documents that are read at a time are the same as those that are read one by one."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import attrs
import msgspec
import pydantic
import pytest

from docsession._documents._aliases import AliasRegistry
from docsession._documents._codec import DocumentCodec, codec_for


@dataclass
class Line:
    product: str
    quantity: int = 1


@dataclass
class Order:
    company: str
    lines: list[Line] = field(default_factory=list)
    note: str | None = None
    Id: str | None = None


@dataclass(frozen=True)
class Frozen:
    Id: str
    name: str


@dataclass
class Nameless:
    name: str


@dataclass
class Open:
    Id: str | None = None
    anything: Any = None


@attrs.define
class Attrs:
    name: str
    id: str | None = None


class Struct(msgspec.Struct):
    name: str
    id: str | None = None


class Model(pydantic.BaseModel):
    name: str
    id: str | None = None


@dataclass
class Priced:
    price: Decimal
    Id: str | None = None


def codec(cls: type, id_attribute: str | None) -> DocumentCodec[Any]:
    return codec_for(cls, id_attribute, AliasRegistry())


def rows(*texts: str) -> list[tuple[str, bytes]]:
    return [(f"things/{place}-A", b"\x01" + text.encode()) for place, text in enumerate(texts)]


def state(entity: Any) -> Any:
    return (type(entity), entity)


GIVEN = {
    Order: ("Id", ['{"company": "c", "lines": [{"product": "p\\n\\u0001"}]}', '{"company": "ä", "note": "x"}']),
    Frozen: ("Id", ['{"name": "a"}', '{"name": "b", "Id": "another"}']),
    Nameless: (None, ['{"name": "a"}', '{"name": "b"}']),
    Open: ("Id", ['{"anything": {"a": [1, 2.5, null]}}', "{}"]),
    Attrs: ("id", ['{"name": "a"}', '{"name": "b"}']),
    Priced: ("Id", ['{"price": 0.10000000000000000000000000001}', '{"price": "1.50"}']),
    Struct: ("id", ['{"name": "a"}', '{"name": "b"}']),
}


@pytest.mark.parametrize("cls", GIVEN)
def test_entities_and_snapshots_are_those_of_one_by_one(cls: type) -> None:
    id_attribute, texts = GIVEN[cls]
    read = codec(cls, id_attribute)
    assert read.batch is not None
    given = rows(*texts)
    entities = read.batch.decode(given)
    assert entities is not None
    alone = [read.decode(key, data) for key, data in given]
    assert list(map(state, entities)) == list(map(state, alone))
    if id_attribute is not None:
        assert [getattr(each, id_attribute) for each in entities] == [key for key, _ in given]
    for entity in entities:
        buffer = bytearray(b"what was there before, and is longer than what comes now" * 100)
        read.batch.encode_into(entity, buffer)
        assert bytes(buffer) == read.first_snapshot(entity) == read.snapshot(entity)
        assert read.batch.anchors(entity) == read.anchors(entity, bytes(buffer))


@pytest.mark.parametrize("cls", [dict, Model])
def test_classes_that_are_read_otherwise_have_no_batch(cls: type) -> None:
    assert codec(cls, None if cls is dict else "id").batch is None


@pytest.mark.parametrize(
    "text", ['{"company": 5}', "[]", '{"company": "c"} {"company": "d"}', "", '{"company": "c"}\n{"company": "d"}']
)
def test_what_does_not_fit_is_left_to_the_one_that_tells_why(text: str) -> None:
    read = codec(Order, "Id")
    assert read.batch is not None
    assert read.batch.decode(rows('{"company": "c"}', text)) is None


def test_an_object_without_members_is_left_to_it_where_the_id_goes_into_the_text() -> None:
    read = codec(Frozen, "Id")
    assert read.batch is not None
    assert read.batch.decode(rows('{"name": "a"}', "{}")) is None


def test_large_answers_are_not_copied() -> None:
    read = codec(Order, "Id")
    assert read.batch is not None
    assert read.batch.decode(rows(*['{"company": "%s"}' % ("c" * 3_000_000)] * 2)) is None
