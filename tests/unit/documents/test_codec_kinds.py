"""What each kind of class does in its own way: how it is written, built, given its id, refreshed."""

import abc
import collections
import collections.abc
import dataclasses
import datetime as dt
import enum
import functools
import pathlib
import re
import subprocess
import sys
from collections.abc import Hashable
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    LiteralString,
    NewType,
    Protocol,
    Required,
    Self,
    TypedDict,
    TypeVar,
)

import attrs
import msgspec
import pydantic
import pytest
from pydantic import dataclasses as pydantic_dataclasses

from docsession import _errors
from docsession._errors import DocumentMismatchException, UnsupportedValueException
from tests.support.codecs import KEY, document, make_codec, same, trip
from tests.support.jsonb import stored
from tests.support.kinds import KINDS

T = TypeVar("T")
DAY = dt.date(2020, 1, 2)


def decode(codec, json, types=None):
    return codec.decode(KEY, stored(msgspec.json.encode(json)), types)


def misfit(codec, json):
    with pytest.raises(DocumentMismatchException) as caught:
        decode(codec, json)
    assert caught.value.id == KEY
    return caught.value.path, caught.value.expected, caught.value.found


class TestDataclasses:
    def test_post_init_runs_at_load_and_init_does_not(self):
        calls = []

        @dataclasses.dataclass
        class Order:
            total: int
            twice: int = dataclasses.field(init=False)

            def __post_init__(self):
                calls.append(self.total)
                self.twice = self.total * 2

        codec = make_codec(Order)
        assert trip(codec, Order(2)).twice == 4
        assert decode(codec, {"total": 5}).twice == 10
        assert calls[-1] == 5

    def test_what_post_init_refuses_does_not_fit(self):
        @dataclasses.dataclass
        class Order:
            total: int

            def __post_init__(self):
                if self.total < 0:
                    raise KeyError("negative")

        path, expected, found = misfit(make_codec(Order), {"total": -1})
        assert (path, expected) == ("", "what Order takes")
        assert "negative" in found

    def test_init_variables_are_not_stored_and_post_init_is_not_called(self):
        @dataclasses.dataclass
        class User:
            name: str
            password: dataclasses.InitVar[str]
            digest: str = ""

            def __post_init__(self, password):
                self.digest = password[::-1]

        codec = make_codec(User)
        assert document(codec, User("a", "secret")) == {"name": "a", "digest": "terces"}
        assert trip(codec, User("a", "secret")).digest == "terces"

    def test_private_fields_and_fields_without_init_are_stored(self):
        @dataclasses.dataclass
        class Order:
            _note: str = "x"
            count: int = dataclasses.field(init=False, default=3)
            kind: ClassVar[str] = "order"

        entity = Order("y")
        entity.count = 7
        codec = make_codec(Order)
        assert document(codec, entity) == {"_note": "y", "count": 7}
        assert trip(codec, entity) == entity

    def test_a_missing_field_gets_its_default_and_a_required_one_is_missed(self):
        @dataclasses.dataclass
        class Order:
            total: int
            lines: list[int] = dataclasses.field(default_factory=list)
            note: str = "none"

        codec = make_codec(Order)
        assert decode(codec, {"total": 1}) == Order(1)
        assert misfit(codec, {"lines": []}) == ("total", "int", "nothing: the document lacks it")

    def test_unknown_fields_are_ignored(self):
        @dataclasses.dataclass
        class Order:
            total: int

        assert decode(make_codec(Order), {"total": 1, "legacy": {"a": [1]}}) == Order(1)

    def test_an_undeclared_id_is_set_and_not_stored(self):
        @dataclasses.dataclass
        class Order:
            total: int

        codec = make_codec(Order)
        fresh = trip(codec, Order(1))
        assert fresh.Id == KEY
        assert document(codec, fresh) == {"total": 1}

    def test_a_required_id_of_a_frozen_class_is_set(self):
        @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
        class Order:
            id: str
            total: int

        codec = make_codec(Order, "id")
        assert decode(codec, {"total": 1}) == Order(id=KEY, total=1)
        entity = Order(id="x", total=1)
        codec.set_id(entity, "y")
        assert codec.get_id(entity) == "y"

    def test_an_id_is_written_as_json_whatever_its_characters(self):
        @dataclasses.dataclass
        class Order:
            id: str | None = None
            total: int = 0

        codec = make_codec(Order, "id")
        key = 'a"b\\c/é\u2028😀'
        entity = codec.decode(key, b'\x01{"total": 2}')
        assert (entity.id, entity.total) == (key, 2)
        assert codec.body(codec.snapshot(entity), key) == b'{"total":2}'

    def test_the_id_leaves_the_body_wherever_it_stands(self):
        @dataclasses.dataclass
        class Order:
            total: int
            id: str | None
            note: Any

        codec = make_codec(Order, "id")
        for id_now in (KEY, "another", None):
            body = codec.body(codec.snapshot(Order(1, id_now, {"id": KEY})), KEY)
            assert body == b'{"total":1,"note":{"id":"things/1-A"}}'

    def test_a_class_with_an_id_only(self):
        @dataclasses.dataclass
        class Marker:
            Id: str | None = None

        codec = make_codec(Marker)
        assert codec.body(codec.snapshot(Marker(KEY)), KEY) == b"{}"
        assert decode(codec, {}) == Marker(KEY)

    def test_a_member_of_the_document_called_like_the_id_does_not_win(self):
        @dataclasses.dataclass
        class Order:
            id: str
            total: int

        assert decode(make_codec(Order, "id"), {"id": "stored", "total": 1}).id == KEY

    def test_generic_and_inherited_fields(self):
        @dataclasses.dataclass
        class Page(Generic[T]):
            items: list[T]

        @dataclasses.dataclass
        class DayPage(Page[dt.date]):
            number: int = 1

        @dataclasses.dataclass
        class Book:
            page: Page[dt.date]
            days: DayPage

        entity = Book(Page([DAY]), DayPage([DAY]))
        assert trip(make_codec(Book), entity).page.items == [DAY]
        assert trip(make_codec(DayPage), DayPage([DAY])).items == [DAY]

    def test_pydantic_dataclasses_are_validated(self):
        @pydantic_dataclasses.dataclass
        class Order:
            total: int = pydantic.Field(gt=0)
            lines: dict[int, str] = pydantic.Field(default_factory=dict)
            Id: str | None = None

        codec = make_codec(Order)
        assert trip(codec, Order(1, {1: "a"})) == Order(1, {1: "a"}, KEY)
        assert decode(codec, {"total": 3}).lines == {}
        assert misfit(codec, {"total": 0})[0] == ""

    def test_a_cached_property_is_no_state_and_goes_with_a_refresh(self):
        @dataclasses.dataclass
        class Order:
            total: int

            @functools.cached_property
            def twice(self):
                return self.total * 2

        codec = make_codec(Order)
        entity = Order(1)
        before = codec.snapshot(entity)
        assert entity.twice == 2
        assert codec.snapshot(entity) == before
        codec.update(entity, Order(5))
        assert entity.twice == 10


class TestStructs:
    def test_defaults_are_written_and_arrays_are_objects_whatever_the_options(self):
        class Line(msgspec.Struct, array_like=True):
            product: str
            count: int = 1

        class Order(msgspec.Struct, omit_defaults=True):
            lines: list[Line]
            note: str = ""
            id: str | None = None

        codec = make_codec(Order, "id")
        assert document(codec, Order([Line("a")])) == {"lines": [{"product": "a", "count": 1}], "note": ""}
        assert trip(codec, Order([Line("a")])) == Order([Line("a")], "", KEY)

    def test_renamed_and_tagged(self):
        class Order(msgspec.Struct, rename="camel", tag="order", kw_only=True, frozen=True):
            the_total: int
            the_id: str | None = None

        codec = make_codec(Order, "the_id")
        assert document(codec, Order(the_total=1)) == {"type": "order", "theTotal": 1}
        assert trip(codec, Order(the_total=1)) == Order(the_total=1, the_id=KEY)
        assert misfit(codec, {"type": "other", "theTotal": 1})[:2] == ("type", "'order'")

    def test_a_class_that_forbids_unknown_fields_is_taken_at_its_word(self):
        class Order(msgspec.Struct, forbid_unknown_fields=True):
            total: int

        assert misfit(make_codec(Order, None), {"total": 1, "x": 2})[0] == "x"

    def test_tagged_unions_need_no_type_member(self):
        class Cat(msgspec.Struct, tag=True):
            lives: int

        class Dog(msgspec.Struct, tag=True):
            name: str

        class Home(msgspec.Struct):
            pet: Cat | Dog | None
            more: list[Cat | Dog]
            when: dt.date | str = ""

        codec = make_codec(Home, None)
        entity = Home(Dog("a"), [Cat(9), Dog("b")], DAY)
        assert document(codec, entity)["pet"] == {"type": "Dog", "name": "a"}
        assert trip(codec, entity) == entity

    def test_unset_fields_stay_unset(self):
        class Patch(msgspec.Struct):
            a: int | msgspec.UnsetType = msgspec.UNSET
            b: dt.date | str | msgspec.UnsetType = msgspec.UNSET

        assert document(make_codec(Patch, None), Patch()) == {}
        assert trip(make_codec(Patch, None), Patch()) == Patch()
        assert trip(make_codec(Patch, None), Patch(1, DAY)) == Patch(1, DAY)

    def test_constraints_hold_at_load(self):
        class Order(msgspec.Struct):
            total: Annotated[int, msgspec.Meta(gt=0)]
            at: dt.datetime | str = ""

        assert misfit(make_codec(Order, None), {"total": 0})[0] == "total"

    def test_an_undeclared_id_is_set_on_a_struct_with_a_dict(self):
        class Order(msgspec.Struct, dict=True, frozen=True):
            total: int

        codec = make_codec(Order)
        assert trip(codec, Order(1)).Id == KEY


class TestAttrs:
    def test_private_fields_are_stored_under_their_name(self):
        @attrs.define
        class Order:
            _note: str
            total: int = attrs.field(alias="sum", default=1)
            Id: str | None = None

        codec = make_codec(Order)
        assert document(codec, Order("x", 2)) == {"_note": "x", "total": 2}
        assert trip(codec, Order("x", 2)) == Order("x", 2, KEY)

    def test_converters_do_not_run_again_and_validators_do(self):
        @attrs.define
        class Order:
            total: int = attrs.field(converter=lambda value: value + 1, validator=attrs.validators.gt(0))
            _rest: int = 0

        codec = make_codec(Order, None)
        assert trip(codec, Order(1)).total == 2
        assert misfit(codec, {"total": -5, "_rest": 1})[0] == ""

    def test_defaults_that_look_at_the_instance(self):
        @attrs.define
        class Order:
            total: int
            twice: int = attrs.field(default=attrs.Factory(lambda self: self.total * 2, takes_self=True))
            lines: list[int] = attrs.Factory(list)

        assert decode(make_codec(Order, None), {"total": 2}) == Order(2, 4, [])

    def test_fields_without_annotation_are_untyped(self):
        @attrs.define
        class Order:
            a = attrs.field()
            b = attrs.field(type=int, default=1)

        fresh = trip(make_codec(Order, None), Order((DAY, 1)))
        assert same(fresh.a, (DAY, 1))

    def test_what_else_is_in_an_instance_is_not_stored(self):
        @attrs.define(slots=False)
        class Order:
            total: int

            @functools.cached_property
            def twice(self):
                return self.total * 2

        entity = Order(1)
        entity.extra = 5
        assert entity.twice == 2
        codec = make_codec(Order)
        assert document(codec, entity) == {"total": 1}
        assert trip(codec, entity).Id == KEY

    def test_post_init_runs_and_frozen_classes_get_their_id(self):
        seen = []

        @attrs.frozen
        class Order:
            total: int
            id: str

            def __attrs_post_init__(self):
                seen.append(self.id)

        assert decode(make_codec(Order, "id"), {"total": 1}) == Order(1, KEY)
        assert seen[0] == KEY


class TestPydantic:
    def test_aliases_do_not_reach_the_document(self):
        class Line(pydantic.BaseModel):
            product: str = pydantic.Field(alias="p")

        class Order(pydantic.BaseModel):
            id: str | None = None
            note: str = pydantic.Field(validation_alias=pydantic.AliasPath("a", "b"), serialization_alias="n")
            lines: list[Line] = []

        entity = Order.model_validate({"a": {"b": "x"}, "lines": [{"p": "y"}]})
        codec = make_codec(Order, "id")
        assert document(codec, entity) == {"note": "x", "lines": [{"product": "y"}]}
        assert trip(codec, entity) == entity

    def test_validators_run_at_load(self):
        class Order(pydantic.BaseModel):
            total: int

            @pydantic.field_validator("total")
            @classmethod
            def _positive(cls, value):
                if value < 0:
                    raise ValueError("must not be negative")
                return value

        path, expected, found = misfit(make_codec(Order, None), {"total": -1})
        assert (path, found) == ("total", "int -1")
        assert "must not be negative" in expected

    def test_private_attributes_get_their_default_at_load_and_stay_at_refresh(self):
        class Order(pydantic.BaseModel):
            total: int
            _cache: dict = pydantic.PrivateAttr(default_factory=dict)

            @functools.cached_property
            def twice(self):
                return self.total * 2

        codec = make_codec(Order, None)
        entity = Order(total=1)
        entity._cache["a"] = 1
        assert entity.twice == 2
        assert document(codec, entity) == {"total": 1}
        assert trip(codec, entity)._cache == {}
        codec.update(entity, Order(total=4))
        assert (entity.total, entity.twice, entity._cache) == (4, 8, {"a": 1})

    def test_setting_the_id_runs_no_validator(self):
        class Order(pydantic.BaseModel):
            model_config = pydantic.ConfigDict(validate_assignment=True, frozen=True)
            id: str | None = None
            total: int = 0

            @pydantic.field_validator("id")
            @classmethod
            def _never(cls, value):
                raise AssertionError

        codec = make_codec(Order, "id")
        entity = Order()
        codec.set_id(entity, KEY)
        assert (entity.id, entity.model_fields_set) == (KEY, {"id"})

    def test_extra_fields_are_kept_refused_or_ignored_as_the_model_says(self):
        class Open(pydantic.BaseModel):
            model_config = pydantic.ConfigDict(extra="allow")
            total: int

        class Closed(pydantic.BaseModel):
            model_config = pydantic.ConfigDict(extra="forbid")
            total: int

        class Usual(pydantic.BaseModel):
            total: int

        fresh = trip(make_codec(Open, None), Open(total=1, more=(DAY,), note="x"))
        assert same(fresh.model_extra, {"more": (DAY,), "note": "x"})
        assert misfit(make_codec(Closed, None), {"total": 1, "x": 1})[0] == "x"
        assert decode(make_codec(Usual, None), {"total": 1, "x": 1}) == Usual(total=1)

    def test_a_model_whose_forms_pydantic_reads_differently(self):
        class Order(pydantic.BaseModel):
            price: Decimal
            data: bytes
            when: dt.datetime | str
            lines: dict[int, Decimal] = {}
            factor: float = 1.0
            id: str | None = None

        entity = Order(price=Decimal("12345678901234567890.1234567890"), data=b"\xff", when="2020-01-02T00:00:00")
        fresh = trip(make_codec(Order, "id"), entity)
        assert str(fresh.price) == "12345678901234567890.1234567890"
        assert (fresh.data, fresh.when) == (b"\xff", "2020-01-02T00:00:00")

    def test_unions_of_models_by_discriminator_and_without(self):
        class Cat(pydantic.BaseModel):
            kind: Literal["cat"] = "cat"
            lives: int = 9

        class Dog(pydantic.BaseModel):
            model_config = pydantic.ConfigDict(extra="forbid")
            kind: Literal["dog"] = "dog"
            lives: int = 1

        class Fish(pydantic.BaseModel):
            model_config = pydantic.ConfigDict(extra="forbid")
            lives: int = 1

        class Home(pydantic.BaseModel):
            pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]
            food: Fish | Dog

        entity = Home(pet=Dog(), food=Fish())
        assert document(make_codec(Home, None), entity) == {
            "pet": {"kind": "dog", "lives": 1},
            "food": {"@type": "Fish", "lives": 1},
        }
        assert trip(make_codec(Home, None), entity) == entity

    def test_types_that_only_pydantic_knows(self):
        class Site(pydantic.BaseModel):
            url: pydantic.AnyUrl
            path: pydantic.FilePath | None = None
            secret: pydantic.SecretStr = pydantic.SecretStr("")

        codec = make_codec(Site, None)
        entity = Site(url="https://example.org/a")
        assert document(codec, entity)["url"] == "https://example.org/a"
        assert trip(codec, entity) == entity
        entity.secret = pydantic.SecretStr("hush")
        with pytest.raises(UnsupportedValueException) as caught:
            document_of_any(codec, entity)
        assert caught.value.path == "secret"

    def test_root_models_are_their_root(self):
        class Tags(pydantic.RootModel[list[dt.date]]):
            pass

        class Order(pydantic.BaseModel):
            tags: Tags

        entity = Order(tags=Tags([DAY]))
        assert document(make_codec(Order, None), entity) == {"tags": ["2020-01-02"]}
        assert trip(make_codec(Order, None), entity) == entity

    def test_models_inside_other_classes_and_the_other_way_round(self):
        class Price(pydantic.BaseModel):
            amount: Decimal

        @dataclasses.dataclass
        class Line:
            price: Price
            day: dt.date

        class Order(pydantic.BaseModel):
            lines: list[Line]

        @attrs.define
        class Cart:
            order: Order
            price: Price | None = None

        entity = Cart(Order(lines=[Line(Price(amount=Decimal("1.10")), DAY)]), Price(amount=Decimal(2)))
        fresh = trip(make_codec(Cart, None), entity)
        assert fresh == entity
        assert str(fresh.order.lines[0].price.amount) == "1.10"

    def test_a_validator_before_the_model_may_fill_in_what_is_missing(self):
        class Order(pydantic.BaseModel):
            total: int
            price: Decimal = Decimal(0)

            @pydantic.model_validator(mode="before")
            @classmethod
            def _old(cls, values):
                return {"total": 1, **values}

        assert decode(make_codec(Order, None), {"price": 2}) == Order(total=1, price=Decimal(2))


class TestPlainClasses:
    def test_public_attributes_are_stored_and_private_ones_are_not(self):
        class Company:
            def __init__(self, name):
                self.name = name
                self._cache = object()

        codec = make_codec(Company)
        entity = Company("a")
        entity.later = [1]
        assert document(codec, entity) == {"name": "a", "later": [1]}
        fresh = trip(codec, entity)
        assert vars(fresh) == {"name": "a", "later": [1], "Id": KEY}

    def test_init_is_not_called_and_its_defaults_fill_in_what_is_missing(self):
        class Company:
            def __init__(self, name, tags=(), *, rank=1, verbose=False):
                assert not verbose
                self.name = name
                self.tags = list(tags)
                self.rank = rank
                raise AssertionError

        fresh = decode(make_codec(Company), {"name": "a"})
        assert vars(fresh) == {"name": "a", "tags": (), "rank": 1, "Id": KEY}
        assert not hasattr(decode(make_codec(Company), {}), "name")

    def test_annotated_attributes_are_typed_and_others_are_not(self):
        class Company:
            name: str
            founded: dt.date
            rank: int = 3
            kind: ClassVar[str] = "company"
            _secret: str

            def __init__(self):
                self.name = "a"
                self.founded = DAY
                self.other = DAY

        codec = make_codec(Company)
        assert document(codec, Company())["rank"] == 3
        assert codec.types(codec.snapshot(Company())) == b'{"/other":"date"}'
        assert misfit(codec, {"name": "a"})[0] == "founded"
        fresh = trip(codec, Company())
        assert (fresh.founded, fresh.other, fresh.rank) == (DAY, DAY, 3)

    def test_a_class_default_that_was_never_set_is_still_written(self):
        class Company:
            name: str = "none"
            line: str | dt.date = "x"

        assert document(make_codec(Company), Company()) == {"name": "none", "line": "x"}

    def test_annotations_of_init_say_what_attributes_are(self):
        class Address:
            def __init__(self, city: str):
                self.city = city

        class Company:
            def __init__(self, address: Address, founded: dt.date | None = None, days: "list[dt.date]" = ()):
                self.address = address
                self.founded = founded
                self.days = days

        codec = make_codec(Company)
        entity = Company(Address("x"), DAY, [DAY])
        assert codec.types(codec.snapshot(entity)) is None
        assert document(codec, entity)["address"] == {"city": "x"}
        fresh = trip(codec, entity)
        assert (fresh.address.city, fresh.founded, fresh.days) == ("x", DAY, [DAY])
        other = trip(codec, Company(None, "2020-01-02", (DAY, 1)))
        assert trip(codec, Company({"city": "y"}, None, [])).address == {"city": "y"}
        assert same([other.address, other.founded, other.days], [None, "2020-01-02", (DAY, 1)])

    def test_slots_properties_and_methods(self):
        class Point:
            __slots__ = ("_hidden", "x", "y")

            def __init__(self, x, y):
                self.x, self.y, self._hidden = x, y, 0

        class Named:
            def __init__(self, name):
                self.name = name

            @property
            def upper(self):
                return self.name.upper()

            def save(self):
                return "saved"

            @functools.cached_property
            def lower(self):
                return self.name.lower()

        fresh = trip(make_codec(Point, None), Point(1, DAY))
        assert (fresh.x, fresh.y) == (1, DAY)
        entity = Named("A")
        assert entity.lower == "a"
        assert document(make_codec(Named), entity) == {"name": "A"}
        fresh = decode(make_codec(Named), {"name": "B", "upper": "x", "save": 1, "_private": 2, "free": 3})
        assert (fresh.upper, fresh.save(), fresh.lower, fresh.free) == ("B", "saved", "b", 3)
        assert not hasattr(fresh, "_private")

    def test_a_class_that_keeps_everything_private_is_refused_inside_a_document(self):
        class Money:
            def __init__(self, amount):
                self._amount = amount

        @dataclasses.dataclass
        class Order:
            total: Money | None
            rest: list[Money]

        codec = make_codec(Order)
        for entity, path in ((Order(Money(1), []), "total"), (Order(None, [Money(1)]), "rest[0]")):
            with pytest.raises(UnsupportedValueException) as caught:
                document_of_any(codec, entity)
            assert caught.value.path == path

    def test_an_id_behind_a_property(self):
        class Company:
            def __init__(self):
                self._id = None
                self.name = "a"

            @property
            def id(self):
                return self._id

            @id.setter  # noqa: A003  # the decorator is meant
            def id(self, value):
                self._id = value

        codec = make_codec(Company, "id")
        assert trip(codec, Company())._id == KEY

    def test_a_class_that_derives_from_a_dataclass_without_being_one(self):
        @dataclasses.dataclass
        class Base:
            name: str
            tags: list[str] = dataclasses.field(default_factory=list)

        class Company(Base):
            def __init__(self, name, rank):
                super().__init__(name)
                self.rank = rank

        codec = make_codec(Company)
        assert document(codec, Company("a", 1)) == {"name": "a", "tags": [], "rank": 1}
        fresh = decode(codec, {"name": "a", "rank": 2})
        assert (fresh.tags, fresh.rank) == ([], 2)

    def test_a_tree_of_plain_objects(self):
        class Node:
            name: str
            children: "list[Node]"
            parent_day: dt.date | None

            def __init__(self, name, *children):
                self.name, self.children, self.parent_day = name, list(children), None

        fresh = trip(make_codec(Node), Node("a", Node("b"), Node("c", Node("d"))))
        assert fresh.children[1].children[0].name == "d"

    def test_a_refresh_takes_public_attributes_and_leaves_private_ones(self):
        class Company:
            def __init__(self, name):
                self.name = name

        entity, fresh = Company("a"), Company("b")
        entity._cache, entity.gone, fresh.new = 1, 2, 3
        make_codec(Company).update(entity, fresh)
        assert vars(entity) == {"name": "b", "_cache": 1, "new": 3}


class TestDicts:
    def test_a_dict_is_what_it_holds_but_id_and_metadata(self):
        codec = make_codec(dict, None)
        entity = {"b": 1, "a": [1.5, {"Id": 1}], "Id": "x", "@metadata": {"@collection": "Users", "f": object()}}
        assert codec.body(codec.snapshot(entity), KEY) == b'{"a":[1.5,{"Id":1}],"b":1}'
        assert decode(codec, {"b": 1}) == {"b": 1}
        assert entity["Id"] == "x"

    def test_a_refresh_keeps_id_and_metadata(self):
        codec = make_codec(dict, None)
        entity = {"a": 1, "Id": "x", "@metadata": {}}
        codec.update(entity, {"b": 2})
        assert entity == {"b": 2, "Id": "x", "@metadata": {}}

    def test_typed_dicts_are_typed_and_lose_no_key(self):
        class Movie(TypedDict, total=False):
            name: str
            day: dt.date

        codec = make_codec(Movie, None)
        entity = {"name": "a", "day": DAY, "extra": (1,), "Id": "x"}
        snapshot = codec.snapshot(entity)
        assert codec.body(snapshot, KEY) == b'{"day":"2020-01-02","extra":[1],"name":"a"}'
        assert codec.types(snapshot) == b'{"/extra":"tuple"}'
        assert decode(codec, {"name": "a", "day": "2020-01-02", "other": 1}) == {"name": "a", "day": DAY}

    def test_a_typed_dict_may_declare_the_id(self):
        class Movie(TypedDict):
            Id: str
            name: str

        codec = make_codec(Movie, None)
        assert codec.body(codec.snapshot({"Id": "x", "name": "a"}), KEY) == b'{"name":"a"}'
        assert decode(codec, {"name": "a"}) == {"Id": KEY, "name": "a"}


class TestMoreValues:
    def test_bytearrays_and_flags_and_times_with_offsets(self):
        @dataclasses.dataclass
        class Row:
            data: bytearray
            at: dt.time
            untyped: Any

        entity = Row(bytearray(b"ab"), dt.time(1, tzinfo=dt.UTC), bytearray(b"c"))
        assert same(trip(make_codec(Row, None), entity), entity)


class TestRefresh:
    def test_slots_and_frozen_instances(self):
        @dataclasses.dataclass(frozen=True, slots=True)
        class Frozen:
            a: int
            b: list[int]

        class Struct(msgspec.Struct, frozen=True):
            a: int

        @attrs.frozen
        class Attrs:
            a: int
            _b: int = 1

        for one, other in (
            (Frozen(1, []), Frozen(2, [1])),
            (Struct(1), Struct(2)),
            (Attrs(1, 1), Attrs(2, 2)),
        ):
            make_codec(type(one), None).update(one, other)
            assert one == other

    def test_a_dataclass_keeps_what_is_not_stored(self):
        @dataclasses.dataclass
        class Order:
            total: int

        entity = Order(1)
        entity.cache = 5
        make_codec(Order).update(entity, Order(2))
        assert (entity.total, entity.cache) == (2, 5)


class TestAnnotations:
    def test_local_forward_references(self):
        @dataclasses.dataclass
        class Order:
            lines: "list[Line]"
            again: "Order | None" = None
            other: "dict[str, Undefined]" = dataclasses.field(default_factory=dict)  # noqa: F821  # on purpose

        @dataclasses.dataclass
        class Line:
            day: "dt.date"

        entity = Order([Line(DAY)], Order([]), {"a": 1})
        assert trip(make_codec(Order), entity).lines == [Line(DAY)]

    def test_local_classes_are_found_after_their_function_has_ended(self):
        def make():
            @dataclasses.dataclass
            class Order:
                lines: "list[Row]"

            @dataclasses.dataclass
            class Row:
                day: "dt.date"

            return Order, Row

        order, row = make()
        assert trip(make_codec(order), order([row(DAY)])).lines == [row(DAY)]

    def test_a_field_called_like_its_type(self):
        class Event:
            __annotations__ = {"date": "date | None"}
            __module__ = "datetime_user"
            date = None

        sys.modules["datetime_user"] = type(sys)("datetime_user")
        sys.modules["datetime_user"].date = dt.date
        try:
            entity = Event()
            entity.date = DAY
            assert trip(make_codec(Event), entity).date == DAY
        finally:
            del sys.modules["datetime_user"]

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is Python 3.12's")
    def test_type_parameters_and_type_aliases(self):
        names = {"__name__": __name__, "dt": dt, "dataclasses": dataclasses}
        exec(
            "type Days[T] = dict[str, list[T]]\n"
            "@dataclasses.dataclass\n"
            "class Page[T]:\n"
            "    item: T\n"
            "    days: Days[T]\n"
            "@dataclasses.dataclass\n"
            "class Book:\n"
            "    page: Page[dt.date]\n"
            "    text: Page[dt.date | str] | None = None\n",
            names,
        )
        page, book = names["Page"], names["Book"]
        entity = book(page(DAY, {"a": [DAY]}), page("2020-01-02", {}))
        fresh = trip(make_codec(book), entity)
        assert fresh.page == page(DAY, {"a": [DAY]})
        assert same(trip(make_codec(page), page((DAY,), {})).item, (DAY,))

    def test_what_no_value_can_be_stored_under_costs_nothing_until_there_is_one(self):
        class Handler:
            action: "Any"
            call: "type[int] | None"
            number: complex | None

            def __init__(self):
                self.action, self.call, self.number = 1, None, None

        codec = make_codec(Handler)
        assert document(codec, Handler()) == {"action": 1, "call": None, "number": None}
        entity = Handler()
        entity.number = 1j
        with pytest.raises(UnsupportedValueException) as caught:
            document_of_any(codec, entity)
        assert caught.value.path == "number"


def document_of_any(codec, entity):
    """The document of an entity, with the errors that a session shows."""
    try:
        return document(codec, entity)
    except _errors.ConversionException:
        raise
    except Exception as error:
        raise codec.explain(entity, KEY, error) from error


def test_optional_libraries_are_not_imported_for_other_classes():
    code = """
import sys, dataclasses
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"pydantic", "attr", "attrs"}:
            raise ImportError(name)
sys.meta_path.insert(0, Blocker())
from docsession._documents._aliases import AliasRegistry
from docsession._documents._codec import codec_for
@dataclasses.dataclass
class Order:
    total: int
    when: "int | str | dict" = 0
class Plain:
    pass
for cls in (Order, Plain, dict):
    codec_for(cls, None if cls is dict else "Id", AliasRegistry())
"""
    subprocess.run([sys.executable, "-c", code], check=True)


Number = TypeVar("Number", bound=int)
Either = TypeVar("Either", dt.date, str)
Key = NewType("Key", int)


class Shape(Protocol):
    def area(self) -> float: ...


class Abstract(abc.ABC):
    @abc.abstractmethod
    def run(self): ...


def test_annotations_of_every_spelling():
    class Spelled(TypedDict):
        a: Required[dt.date]

    @dataclasses.dataclass
    class Everything:
        final: Final[dt.date]
        spelled: Spelled
        parent: "Self | None" = None
        text: LiteralString = ""
        number: Number = 1
        either: Either = ""
        by_key: dict[Key, dt.date] = dataclasses.field(default_factory=dict)
        by_literal: dict[Literal["a", "b"], dt.date] = dataclasses.field(default_factory=dict)
        by_number: dict[Literal[1, 2], dt.date] = dataclasses.field(default_factory=dict)
        by_annotated: dict[Annotated[dt.date, "x"], int] = dataclasses.field(default_factory=dict)
        by_variable: dict[Number, int] = dataclasses.field(default_factory=dict)
        by_forward: dict["dt.date", "dt.date"] = dataclasses.field(default_factory=dict)
        by_level: dict[Level, int] = dataclasses.field(default_factory=dict)
        by_access: dict[Access, int] = dataclasses.field(default_factory=dict)
        by_any: dict[Any, dt.date] = dataclasses.field(default_factory=dict)
        shape: Shape | None = None
        abstract: Abstract | None = None
        hashable: Hashable = None
        empty: tuple[()] = ()
        nested: "dt.date | Annotated[list[dt.date], 1] | None" = None

    entity = Everything(
        DAY,
        {"a": DAY},
        Everything(DAY, {"a": DAY}),
        "x",
        2,
        DAY,
        {Key(1): DAY},
        {"a": DAY},
        {2: DAY},
        {DAY: 1},
        {5: 1},
        {DAY: DAY},
        {Level.LOW: 1, "high": 2},
        {Access.READ | Access.WRITE: 1},
        {"a": DAY},
        nested=[DAY],
    )
    codec = make_codec(Everything, None, [Fruit])
    fresh = trip(codec, entity)
    assert fresh.by_level == {Level.LOW: 1, Level.HIGH: 2}
    assert same({**vars(fresh), "parent": None, "by_level": None}, {**vars(entity), "parent": None, "by_level": None})
    assert fresh.parent.final == DAY
    entity.abstract, entity.hashable = Fruit.APPLE, DAY
    assert trip(codec, entity).abstract is Fruit.APPLE
    for field, json in (("by_literal", {"c": "2020-01-02"}), ("by_access", {"x": 1}), ("by_level", {"x": 1})):
        data = {"final": "2020-01-02", "spelled": {"a": "2020-01-02"}, field: json}
        assert misfit(codec, data)[0] == f"{field}.{next(iter(json))}"


def test_annotations_that_nothing_can_be_stored_under():
    for annotation in (
        collections.deque[int],
        dict[tuple[int, int], int],
        dict[int | str, int],
        tuple[int, *tuple[str, ...]],
        complex,
        type[int],
        re.Pattern[str],
        pathlib.Path,
    ):
        cls = dataclasses.make_dataclass("Holder", [("value", annotation)])
        codec = make_codec(cls, None)
        assert trip(codec, cls(None)) == cls(None)
        assert misfit(codec, {"value": 1})[0] == "value"
        with pytest.raises(UnsupportedValueException) as caught:
            document_of_any(codec, cls(object()))
        assert caught.value.path == "value"


class Level(enum.StrEnum):
    LOW = "low"
    HIGH = "high"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Fruit(enum.Enum):
    APPLE = "apple"


def test_a_codec_never_fails_for_what_a_class_is_made_of():
    class Odd:
        a: "list[int"  # noqa: F722  # on purpose
        b: "1 + 1"
        c: list["nowhere.Nothing"]  # noqa: F821  # on purpose
        d: dict[tuple[int, int], str]
        e: Literal[Fruit.APPLE, b"x"]
        f: type
        g: "Generic[T]"
        h: Annotated["Missing", 1]  # noqa: F821  # on purpose
        i: tuple[()]
        j: T

    codec = make_codec(Odd)
    entity = Odd()
    entity.e, entity.i, entity.a, entity.j, entity.c = b"x", (), 1, DAY, []
    for name in "bdfgh":
        setattr(entity, name, None)
    fresh = trip(codec, entity)
    assert (fresh.e, fresh.i, fresh.j) == (b"x", (), DAY)


@pytest.mark.parametrize("kind", KINDS)
def test_some_of_the_fields_are_carried_to_another_instance(kind):
    Line = KINDS[kind].Line
    codec = make_codec(Line)
    mine, theirs = Line(product="mine", quantity=1), Line(product="theirs", quantity=2)
    codec.carry(mine, theirs, ["quantity"])
    assert codec.snapshot(theirs) == codec.snapshot(Line(product="theirs", quantity=1))


def test_what_no_class_declares_is_carried_too():
    class Open(pydantic.BaseModel, extra="allow"):
        a: int = 1

    class Plain:
        pass

    for mine, theirs in (
        (Open(a=5, b=2, c=3), Open(a=6, b=7, d=4)),
        (plain(Plain, a=5, b=2, c=3), plain(Plain, a=6, b=7, d=4)),
        ({"a": 5, "b": 2, "c": 3}, {"a": 6, "b": 7, "d": 4}),
    ):
        codec = make_codec(type(mine)) if type(mine) is not dict else make_codec(dict, None)
        codec.carry(mine, theirs, ["b", "c", "d"])
        assert msgspec.json.decode(codec.snapshot(theirs).partition(b"\0")[0]) == {"a": 6, "b": 2, "c": 3}


def plain(cls, **attributes):
    made = cls()
    vars(made).update(attributes)
    return made
