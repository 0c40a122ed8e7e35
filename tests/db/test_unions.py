"""Unions in fields, told apart by pydantic's discriminators and msgspec's tags: written, tracked, merged."""

import dataclasses
import enum
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest
from pydantic import ConfigDict, Discriminator, Field, Tag

from docsession import DocumentMismatchException
from tests.support.documents import read, save


class Cat(pydantic.BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(pydantic.BaseModel):
    kind: Literal["dog", "hound"] = "dog"
    barks: bool = True


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Black(pydantic.BaseModel):
    kind: Literal["bird"] = "bird"
    color: Literal["black"] = "black"
    age: int = 1


class White(pydantic.BaseModel):
    kind: Literal["bird"] = "bird"
    color: Literal["white"] = "white"
    age: int = 1


class Home(pydantic.BaseModel):
    pet: Pet
    pets: list[Pet] = []
    named: dict[str, Pet] = {}
    maybe: Pet | None = None
    Id: str | None = None


class Aviary(pydantic.BaseModel):
    """A union within a union, each told apart by a field of its own."""

    pet: Annotated[Cat | Annotated[Black | White, Field(discriminator="color")], Field(discriminator="kind")]
    Id: str | None = None


class Color(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Red(pydantic.BaseModel):
    color: Literal[Color.RED] = Field(Color.RED, alias="colour")
    size: int = 1


class Blue(pydantic.BaseModel):
    color: Literal[Color.BLUE] = Field(Color.BLUE, alias="colour")
    size: int = 1


class Box(pydantic.BaseModel):
    """Told apart by members of an Enum, under another name in pydantic's own JSON."""

    ball: Annotated[Red | Blue, Field(discriminator="color")]
    Id: str | None = None


class Metre(pydantic.BaseModel):
    model_config = ConfigDict(extra="forbid")
    value: int = 1


class Mile(pydantic.BaseModel):
    model_config = ConfigDict(extra="forbid")
    value: int = 1


def unit_of(value: Any) -> str:
    return "mile" if isinstance(value, Mile) or (isinstance(value, dict) and value.get("far")) else "metre"


class Way(pydantic.BaseModel):
    """Told apart by a function, which cannot do it for what is stored."""

    length: Annotated[Annotated[Metre, Tag("metre")] | Annotated[Mile, Tag("mile")], Discriminator(unit_of)]
    Id: str | None = None


class Get(msgspec.Struct, tag=True):
    key: str = ""


class Put(msgspec.Struct, tag=True):
    key: str = ""


class One(msgspec.Struct, tag=1, tag_field="n"):
    key: str = ""


class Two(msgspec.Struct, tag=2, tag_field="n"):
    key: str = ""


class Log(msgspec.Struct):
    last: Get | Put
    all: list[Get | Put | None] = []
    named: dict[str, One | Two] = {}
    Id: str | None = None


@dataclasses.dataclass
class Circle:
    kind: Literal["circle"] = "circle"
    size: int = 1


@dataclasses.dataclass
class Square:
    kind: Literal["square"] = "square"
    size: int = 1


@dataclasses.dataclass
class Drawing:
    shape: Circle | Square
    shapes: list[Circle | Square] = dataclasses.field(default_factory=list)
    Id: str | None = None


class Event(msgspec.Struct, tag="event"):
    """A document whose JSON has a tag of its own."""

    name: str
    Id: str | None = None


class Choice(pydantic.RootModel[Pet]):
    """A document that is a union."""


ENTITIES: list[tuple[Callable[[], Any], dict[str, Any]]] = [
    (
        lambda: Home(pet=Cat(), pets=[Dog(kind="hound"), Cat(lives=1)], named={"a": Dog(barks=False)}, maybe=Cat()),
        {
            "pet": {"kind": "cat", "lives": 9},
            "pets": [{"kind": "hound", "barks": True}, {"kind": "cat", "lives": 1}],
            "named": {"a": {"kind": "dog", "barks": False}},
            "maybe": {"kind": "cat", "lives": 9},
        },
    ),
    (lambda: Aviary(pet=White(age=2)), {"pet": {"@type": "White", "kind": "bird", "color": "white", "age": 2}}),
    (lambda: Box(ball=Blue(size=2)), {"ball": {"color": "blue", "size": 2}}),
    (lambda: Way(length=Mile(value=3)), {"length": {"@type": "Mile", "value": 3}}),
    (
        lambda: Log(Put("a"), [Get("b"), None, Put("c")], {"x": Two("d"), "y": One("e")}),
        {
            "last": {"type": "Put", "key": "a"},
            "all": [{"type": "Get", "key": "b"}, None, {"type": "Put", "key": "c"}],
            "named": {"x": {"n": 2, "key": "d"}, "y": {"n": 1, "key": "e"}},
        },
    ),
    (
        lambda: Drawing(Square(), [Circle(size=2)]),
        {"shape": {"kind": "square", "size": 1}, "shapes": [{"kind": "circle", "size": 2}]},
    ),
    (lambda: Event("a"), {"type": "event", "name": "a"}),
    (lambda: Choice(Dog()), {"kind": "dog", "barks": True}),
]


@pytest.mark.parametrize(("make", "data"), ENTITIES, ids=[type(make()).__name__ for make, _ in ENTITIES])
async def test_each_comes_back_as_what_it_was(store, make, data, rows):
    entity = make()
    async with store.open_session() as session:
        await session.store(entity, "things/1")
        await session.save_changes()
        collection = session.advanced.get_metadata_for(entity)["@collection"]
        assert not session.advanced.has_changes()
    assert rows.data(collection.lower(), "things/1") == data
    async with store.open_session() as session:
        loaded = await session.load("things/1", type(entity))
        assert not session.advanced.has_changes()
    if hasattr(entity, "Id"):
        loaded.Id = entity.Id
    assert loaded == entity


CHANGES = [
    (Home(pet=Cat(), pets=[Cat(), Dog()]), "pet", Dog(), lambda home: home.pets, Dog()),
    (Aviary(pet=Black()), "pet", White(), None, None),
    (Way(length=Metre()), "length", Mile(), None, None),
    (Log(Get("a"), [Get("b"), Put("c")]), "last", Put("a"), lambda log: log.all, Put("b")),
    (Drawing(Circle(), [Circle(), Square()]), "shape", Square(), lambda drawing: drawing.shapes, Square()),
]
STRICT = (Way,)


@pytest.mark.parametrize(("entity", "name", "other", "items", "item"), CHANGES, ids=lambda each: type(each).__name__)
async def test_unknown_fields_stay_with_their_object_and_go_with_its_class(
    store, rows, entity, name, other, items, item
):
    cls = type(entity)
    key = await save(store, cls(**{each: getattr(entity, each) for each in fields_of(cls)}))
    table = key.partition("/")[0]
    stored = rows.data(table, key)
    if cls not in STRICT:
        stored[name]["unknown"] = {"of": [1, 2]}
        for place, each in enumerate(stored.get(list_of(cls), [])):
            each["unknown"] = place
    stored["more"] = 1
    rows.write(table, key, stored)

    async with store.open_session() as session:
        loaded = await session.load(key, cls)
        assert not session.advanced.has_changes()
        change_one_field(getattr(loaded, name))
        await session.save_changes()
    kept = rows.data(table, key)
    assert kept[name].get("unknown") == (None if cls in STRICT else {"of": [1, 2]})

    async with store.open_session() as session:
        loaded = await session.load(key, cls)
        setattr(loaded, name, other)
        if items is not None:
            items(loaded).insert(0, item)
            del items(loaded)[1]
        changed = {
            each.field_full_name.split(".")[0].split("[")[0] for each in session.advanced.what_changed_for(loaded)
        }
        assert changed == {name} | ({list_of(cls)} if items is not None else set())
        await session.save_changes()
    after = rows.data(table, key)
    assert "unknown" not in after[name]
    assert after["more"] == 1
    if items is not None:
        assert [each.get("unknown") for each in after[list_of(cls)]] == [None, 1]
    assert type(getattr(await read(store, key, cls), name)) is type(other)


def fields_of(cls):
    names = getattr(cls, "model_fields", None) or getattr(cls, "__struct_fields__", None)
    return [each for each in names or [field.name for field in dataclasses.fields(cls)] if each != "Id"]


def list_of(cls):
    return {Home: "pets", Log: "all", Drawing: "shapes"}.get(cls)


def change_one_field(value):
    for name in ("lives", "age", "value", "size", "key"):
        if hasattr(value, name):
            setattr(value, name, type(getattr(value, name))(7))


async def test_a_tag_that_is_no_member_does_not_fit(store, rows):
    key = await save(store, Home(pet=Cat()))
    rows.write("homes", key, {"pet": {"kind": "cow"}})
    with pytest.raises(DocumentMismatchException, match=r"does not fit Home: at pet"):
        await read(store, key, Home)
    key = await save(store, Log(Get()))
    rows.write("logs", key, {"last": {"type": "Cow"}})
    with pytest.raises(DocumentMismatchException, match=r"does not fit Log: at last"):
        await read(store, key, Log)


async def test_what_pydantic_wrote_is_read_too(store, rows):
    """A document that holds no `@type` is of the first member that takes it."""
    key = await save(store, Aviary(pet=Black()))
    rows.write("aviaries", key, {"pet": {"kind": "bird", "color": "white", "age": 3}})
    assert (await read(store, key, Aviary)).pet == White(age=3)
