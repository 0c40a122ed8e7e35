"""Unions: which member a value is, how the document tells, and what is recorded where it does not."""

import dataclasses
import datetime as dt
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

import attrs
import msgspec
import pydantic
import pytest

from docsession._documents._aliases import AliasRegistry
from docsession._documents._codec import codec_for
from docsession._errors import DocumentMismatchException, UnsupportedValueException
from tests.support.codecs import KEY, document, make_codec, same, trip, types_of
from tests.support.jsonb import stored

DAY = dt.date(2020, 1, 2)


@dataclasses.dataclass
class Cat:
    name: str = ""
    lives: int = 9


@dataclasses.dataclass
class Dog:
    name: str = ""


class Fish:
    name: str

    def __init__(self, name):
        self.name = name


@attrs.define
class Bird:
    _name: str = ""


class Ant(msgspec.Struct, omit_defaults=True):
    name: str = ""


@dataclasses.dataclass
class Home:
    pet: Cat | Dog | Fish | Bird | Ant | None = None
    pets: list[Cat | Dog] = dataclasses.field(default_factory=list)
    by_name: dict[str, Cat | Dog | str] = dataclasses.field(default_factory=dict)


@pytest.mark.parametrize("pet", [Cat("a"), Dog("b"), Fish("c"), Bird("d"), Ant("e"), None])
def test_members_of_any_kind_are_told_apart_by_type(pet):
    codec = make_codec(Home, None)
    entity = Home(pet, [Dog("x"), Cat("y"), Dog("z")], {"a": Cat(), "b": "b"})
    if pet is not None:
        assert document(codec, entity)["pet"]["@type"] == type(pet).__name__
    assert same(trip(codec, entity), entity)


def test_an_object_without_type_is_the_first_member_that_takes_it():
    codec = make_codec(Home, None)
    fresh = codec.decode(
        KEY, b'\x01{"pet": {"name": "a"}, "pets": [{"name": 1, "lives": 2}, {}]}'.replace(b"1,", b'"b",')
    )
    assert same(fresh.pet, Cat("a"))
    assert same(fresh.pets, [Cat("b", 2), Cat()])


def test_a_type_that_is_no_member_does_not_fit():
    for name in ("Order", "builtins.dict", 1):
        with pytest.raises(DocumentMismatchException) as caught:
            make_codec(Home, None).decode(KEY, stored(msgspec.json.encode({"pets": [{"@type": name}]})))
        assert (caught.value.path, caught.value.expected) == ("pets[0].@type", "Cat | Dog")


def test_aliases_name_the_members():
    codec = codec_for(Home, None, AliasRegistry({"katze": Cat}))
    assert document(codec, Home(Cat("a"), [Cat("b")]))["pets"][0]["@type"] == "katze"
    assert same(trip(codec, Home(Cat("a"))), Home(Cat("a")))


def test_members_with_one_name_are_named_in_full():
    other = dataclasses.make_dataclass("Cat", [("name", str)])
    other.__module__ = "elsewhere"
    holder = dataclasses.make_dataclass("Holder", [("pet", Cat | other)])
    codec = make_codec(holder, None)
    assert document(codec, holder(other("a")))["pet"]["@type"] == "elsewhere.Cat"
    assert trip(codec, holder(other("a"))).pet == other("a")


def test_a_field_of_literals_tells_members_apart():
    @dataclasses.dataclass
    class Circle:
        kind: Literal["circle"] = "circle"
        radius: float = 1.0

    @dataclasses.dataclass
    class Square:
        kind: Literal["square", "box"] = "square"
        radius: float = 1.0

    @dataclasses.dataclass
    class Drawing:
        shapes: list[Circle | Square]

    codec = make_codec(Drawing, None)
    entity = Drawing([Square("box"), Circle()])
    assert document(codec, entity)["shapes"][0] == {"kind": "box", "radius": 1.0}
    assert trip(codec, entity) == entity


@dataclasses.dataclass
class Places:
    when: dt.datetime | str = ""
    what: str | dt.date | uuid.UUID = ""
    number: Decimal | float | int = 0
    many: list[int] | tuple[int, ...] | dict[str, int] | Cat | None = None
    rest: dt.date | Any = None


@pytest.mark.parametrize(
    ("entity", "types"),
    [
        (Places(when="today"), None),
        (Places(when="2020-01-02T00:00:00"), {"/when": "str"}),
        (Places(when=dt.datetime(2020, 1, 2, tzinfo=dt.UTC)), None),
        (Places(what="2020-01-02"), None),
        (Places(what=DAY), {"/what": "date"}),
        (Places(what=uuid.UUID(int=1)), {"/what": "UUID"}),
        (Places(number=Decimal("1.5")), None),
        (Places(number=Decimal(5)), {"/number": "Decimal"}),
        (Places(number=Decimal("1E+5")), {"/number": "Decimal"}),
        (Places(number=1.5), {"/number": "float"}),
        (Places(number=1e16), {"/number": "float"}),
        (Places(number=5), None),
        (Places(many=[1]), None),
        (Places(many=(1,)), {"/many": "tuple[int]"}),
        (Places(many={"a": 1}), None),
        (Places(many={"name": 1}), None),
        (Places(many={}), None),
        (Places(many=Cat()), None),
        (Places(rest=DAY), None),
        (Places(rest="2020-01-02"), {"/rest": "str"}),
        (Places(rest="x"), None),
        (Places(rest={"a": (1,)}), {"/rest/a": "tuple"}),
        (Places(rest=(1, DAY)), {"/rest": "tuple", "/rest/1": "date"}),
    ],
)
def test_only_what_would_be_read_as_another_member_is_recorded(entity, types):
    codec = make_codec(Places, None)
    assert types_of(codec, codec.snapshot(entity)) == types
    assert same(trip(codec, entity), entity)


def test_a_value_of_no_member_is_refused_when_verified():
    codec = make_codec(Places, None)
    for value in ([1], {"a": 1}, None):
        snapshot = codec.snapshot(Places(when=value))
        with pytest.raises(UnsupportedValueException) as caught:
            codec.verify(KEY, codec.body(snapshot, KEY), None)
        assert caught.value.path == "when"


def test_errors_come_from_the_member_that_was_meant():
    codec = make_codec(Home, None)
    with pytest.raises(DocumentMismatchException) as caught:
        codec.decode(KEY, stored(msgspec.json.encode({"pets": [{"@type": "Cat", "lives": "x"}]})))
    assert (caught.value.path, caught.value.expected) == ("pets[0].lives", "int")


class TestAnchors:
    def test_lists_of_objects_by_their_items(self):
        @dataclasses.dataclass
        class Order:
            lines: list[Cat]
            groups: list[list[Cat]]
            numbers: list[int]
            by_name: dict[str, list[Cat]]
            pair: tuple[Cat, ...] = ()
            one: Cat | None = None

        a, b, c = Cat("a"), Cat("b"), Cat("c")
        codec = make_codec(Order, None)
        assert codec.has_anchors
        found = codec.anchors(Order([a, b], [[c], []], [1], {"x.y": [a]}, (b,)))
        assert [(path, [id(each) for each in items]) for path, items in found] == [
            (("lines",), [id(a), id(b)]),
            (("groups", 0), [id(c)]),
            (("groups", 1), []),
            (("by_name", "x.y"), [id(a)]),
            (("pair",), [id(b)]),
        ]

    def test_objects_of_a_union_by_themselves(self):
        entity = Home(Cat("a"), [Cat("b")], {"k": Dog("c"), "s": "x"})
        found = make_codec(Home, None).anchors(entity)
        assert [(path, value) for path, value in found if not isinstance(value, tuple)] == [
            (("pet",), entity.pet),
            (("pets", 0), entity.pets[0]),
            (("by_name", "k"), entity.by_name["k"]),
        ]

    def test_nested_lists_have_the_path_of_the_keys_in_the_document(self):
        class Row(msgspec.Struct, rename="upper"):
            cells: list[Cat]

        class Sheet(msgspec.Struct, rename="upper"):
            rows: list[Row]

        found = make_codec(Sheet, None).anchors(Sheet([Row([]), Row([Cat("a")])]))
        assert [path for path, _ in found] == [("ROWS",), ("ROWS", 0, "CELLS"), ("ROWS", 1, "CELLS")]

    def test_registered_objects_in_untyped_places(self):
        codec = make_codec(dict, None, [Cat])
        cat = Cat("a")
        entity = {"a": [cat, 1], "b": {"c": cat}, "d": [1, 2]}
        assert codec.anchors(entity) == ((("a",), (cat, 1)), (("a", 0), cat), (("b", "c"), cat))
        assert codec.anchors(entity, codec.snapshot(entity)) == codec.anchors(entity)
        assert codec.anchors({"a": [1]}, b'{"a":[1]}') == ()

    def test_a_tree(self):
        @dataclasses.dataclass
        class Node:
            name: str
            children: "list[Node]"

        leaf = Node("b", [])
        root = Node("a", [leaf])
        assert make_codec(Node, None).anchors(root) == ((("children",), (leaf,)), (("children", 0, "children"), ()))

    def test_a_class_without_lists_of_objects_has_none(self):
        @dataclasses.dataclass
        class Order:
            total: int
            tags: list[str]
            cat: Cat | None = None

        codec = make_codec(Order, None)
        assert not codec.has_anchors
        assert codec.anchors(Order(1, [])) == ()

    def test_values_of_another_type_are_passed_over(self):
        codec = make_codec(Home, None)
        for home in (Home(5, 6, 7), Home(None, {"a": 1}, [1]), Home((), [1, None], {"a": 2})):
            assert all(isinstance(value, tuple) for _, value in codec.anchors(home))

        @dataclasses.dataclass
        class Deep:
            pair: tuple[int, list[Cat]]
            more: dict[str, list[Cat]] | None
            free: Any = None

        codec = make_codec(Deep, None)
        cat = Cat("a")
        assert codec.anchors(Deep((1, [cat]), None)) == ((("pair", 1), (cat,)),)
        assert codec.anchors(Deep(5, 6, [Home()])) == ()
        assert codec.anchors(Deep((1, None), {"a": [cat], "b": 1})) == ((("more", "a"), (cat,)),)
        assert codec.has_anchors


class Circle(pydantic.BaseModel):
    kind: Literal["circle"] = "circle"
    size: int = 1


class Square(pydantic.BaseModel):
    kind: Literal["square"] = "square"
    size: int = 1


class Ring(Circle):
    inner: int = 0


Shape = Annotated[Circle | Square, pydantic.Field(discriminator="kind")]


class Drawing(pydantic.BaseModel):
    shape: Shape
    more: list[Shape | None] = []


class Sketch(pydantic.BaseModel):
    """The same without a discriminator: pydantic would choose for itself where the field is missing."""

    shape: Square | Circle


class TestDiscriminators:
    def test_what_tells_members_apart_lets_the_quick_ways_do_it(self):
        codec = make_codec(Drawing, None)
        assert codec._native.encode is not None
        assert codec._native.decode is not None
        entity = Drawing(shape=Square(), more=[Circle(size=2), None])
        assert same(trip(codec, entity), entity)

    def test_a_document_without_the_field_is_of_the_first_member_that_takes_it(self):
        assert make_codec(Drawing, None).decode(KEY, b'\x01{"shape": {"size": 3}}').shape == Circle(size=3)
        assert make_codec(Sketch, None).decode(KEY, b'\x01{"shape": {"size": 3}}').shape == Square(size=3)

    def test_an_instance_of_a_subclass_is_refused(self):
        codec = make_codec(Drawing, None)
        entity = Drawing(shape=Square())
        entity.shape = Ring()
        with pytest.raises(TypeError) as caught:
            codec.snapshot(entity)
        error = codec.explain(entity, KEY, caught.value)
        assert str(error).startswith(f"document '{KEY}' cannot be stored: at shape: an instance of Ring, a subclass of")

    def test_a_root_that_is_no_object_is_no_document(self):
        class Numbers(pydantic.RootModel[list[int] | dict[str, int]]):
            pass

        codec = make_codec(Numbers, None)
        assert document(codec, Numbers({"a": 1})) == {"a": 1}
        with pytest.raises(UnsupportedValueException, match="a document is a JSON object"):
            document(codec, Numbers([1]))
