"""Mappings: the collection, id prefix and id attribute of every kind of class."""

import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import sys
import threading
import typing
import uuid
from collections import OrderedDict, defaultdict

import attrs
import msgspec
import pydantic
import pytest

from docsession._conventions import DocumentConventions
from docsession._documents._declaration import DocumentSettings, document, settings_of
from docsession._documents._mapping import Mappings
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException


class Company:
    def __init__(self, name=None):
        self.name = name


class WithId:
    def __init__(self, name, Id=None):
        self.name = name


class SetsId:
    def __init__(self, name):
        self.name = name
        self.id = None


class SetsBoth:
    def __init__(self, id):
        self.id = self.Id = id


class SetsAnothers:
    def __init__(self, other):
        other.id = 1


class Slotted:
    __slots__ = ("id", "name")


class OneSlot:
    __slots__ = "Id"  # noqa: PLC0205 (one slot, as Python allows it)


class SlottedWithout:
    __slots__ = ("name",)


class Default:
    id = None


class Computed:
    @property
    def id(self):
        return 1


class Settable:
    @property
    def id(self):
        return self._id

    @id.setter  # noqa: A003 (the property above, which the test is about)
    def id(self, value):
        self._id = value


class Method:
    def id(self):
        return 1


class ClassLevel:
    id: typing.ClassVar[int] = 1


class Child(SetsId):
    def __init__(self):
        super().__init__("x")


class OfIds:
    id: "str | None"


@dataclasses.dataclass
class Data:
    name: str
    id: str | None = None


@dataclasses.dataclass
class DataWithout:
    name: str


@dataclasses.dataclass(frozen=True)
class Frozen:
    name: str


@dataclasses.dataclass(slots=True)
class DataSlots:
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlots:
    Id: str | None = None


@attrs.define
class Attrs:
    id: str | None = None


@attrs.define
class AttrsWithout:
    name: str


@attrs.define(slots=False)
class AttrsOpen:
    name: str


@attrs.frozen(slots=False)
class AttrsFrozen:
    name: str


AttrsMade = attrs.make_class("AttrsMade", ["id"])


class Model(pydantic.BaseModel):
    id: str | None = None


class ModelWithout(pydantic.BaseModel):
    name: str


class Struct(msgspec.Struct):
    id: str | None = None


class StructWithout(msgspec.Struct):
    name: str


class Typed(typing.TypedDict):
    name: str


class TypedWithId(typing.TypedDict):
    id: str


@pytest.fixture
def conventions():
    return DocumentConventions()


@pytest.fixture
def mappings(conventions):
    return Mappings(conventions, lambda cls, attribute, registry: (cls, attribute))


@pytest.mark.parametrize(
    ("cls", "attribute"),
    [
        (Company, "Id"),
        (WithId, "Id"),
        (SetsId, "id"),
        (SetsBoth, "Id"),
        (SetsAnothers, "Id"),
        (Slotted, "id"),
        (OneSlot, "Id"),
        (SlottedWithout, None),
        (Default, "id"),
        (Computed, "Id"),
        (Settable, "id"),
        (Method, "Id"),
        (ClassLevel, "Id"),
        (Child, "id"),
        (OfIds, "id"),
        (Data, "id"),
        (DataWithout, "Id"),
        (Frozen, None),
        (DataSlots, None),
        (FrozenSlots, "Id"),
        (Attrs, "id"),
        (AttrsWithout, None),
        (AttrsOpen, "Id"),
        (AttrsFrozen, None),
        (AttrsMade, "id"),
        (Model, "id"),
        (ModelWithout, None),
        (Struct, "id"),
        (StructWithout, None),
        (Typed, None),
        (TypedWithId, None),
    ],
)
def test_the_id_is_held_by_the_declared_attribute_or_by_capital_id_where_there_is_room(mappings, cls, attribute):
    assert mappings.for_class(cls).id_attribute == attribute


def test_a_mapping_says_how_a_class_is_stored_and_is_made_once(mappings):
    mapping = mappings.for_class(Company)
    assert (mapping.entity_class, mapping.collection, mapping.table, mapping.id_prefix) == (
        Company,
        "Companies",
        "companies",
        "companies",
    )
    assert mapping.codec == (Company, "Id")
    assert mappings.for_class(Company) is mapping
    assert mappings.for_entity(Company()) is mapping


def test_many_threads_get_one_mapping(mappings):
    found = []
    threads = [threading.Thread(target=lambda: found.append(mappings.for_class(Data))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(mapping) for mapping in found}) == 1


class TestDecorator:
    def test_it_names_the_collection_above_and_below_other_decorators(self, mappings):
        @document(collection="Firms")
        @dataclasses.dataclass(slots=True)
        class Above:
            name: str

        @dataclasses.dataclass(slots=True)
        @document(collection="Firms")
        class Below:
            name: str

        @attrs.define
        @document(collection="Firms")
        class BelowAttrs:
            name: str

        for cls in (Above, Below, BelowAttrs):
            assert mappings.for_class(cls).collection == "Firms"

    def test_it_stands_on_every_kind_of_class(self):
        for cls in (
            msgspec.defstruct("S", []),
            pydantic.create_model("M"),
            attrs.make_class("A", []),
            typing.TypedDict("T", {}),
        ):
            assert settings_of(document(collection="Firms")(cls)).collection == "Firms"

    def test_a_subclass_has_its_own_collection_and_inherits_the_id_attribute(self, mappings):
        @document(collection="Firms", id_attribute="code", alias="firm")
        class Base:
            code: str | None = None

        class Branch(Base):
            pass

        assert mappings.for_class(Base).id_attribute == "code"
        assert settings_of(Base).alias == "firm"
        assert (mappings.for_class(Branch).collection, mappings.for_class(Branch).id_attribute) == ("Branches", "code")
        assert settings_of(Branch).alias is None

    def test_it_gives_the_class_an_alias(self, conventions):
        @document(alias="named by a test")
        class Named:
            pass

        registries = []
        Mappings(conventions, lambda cls, attribute, registry: registries.append(registry)).for_class(Named)
        assert registries[0].class_of("named by a test") is Named
        assert registries[0].alias_of(Named) == "named by a test"

    def test_conventions_give_aliases_too(self, conventions):
        conventions.register(Company, "firm of a test")
        registries = []
        Mappings(conventions, lambda cls, attribute, registry: registries.append(registry)).for_class(Company)
        assert registries[0].class_of("firm of a test") is Company

    @pytest.mark.parametrize(
        "wrong", [{"collection": ""}, {"collection": "x" * 64}, {"alias": " "}, {"alias": 5}, {"id_attribute": ""}]
    )
    def test_a_name_that_is_not_allowed_is_refused_at_once(self, wrong):
        with pytest.raises(InvalidArgumentException):
            document(**wrong)

    def test_without_parentheses_it_says_only_that_there_are_documents(self, mappings):
        @document
        @dataclasses.dataclass
        class Firm:
            name: str

        assert settings_of(Firm) == DocumentSettings()
        assert "__docsession__" in vars(Firm)
        assert mappings.for_class(Firm).collection == "Firms"

    def test_it_is_for_classes(self):
        for given in (5, len):
            with pytest.raises(InvalidArgumentTypeException, match="stands above a class, not "):
                document(alias="x")(given)
            with pytest.raises(InvalidArgumentTypeException, match="stands above a class, not "):
                document(given)

    def test_a_name_is_said_by_name(self):
        with pytest.raises(InvalidArgumentTypeException, match=r"as in @document\(collection='Firms'\)"):
            document("Firms")

    def test_an_id_attribute_that_cannot_be_set_is_refused(self, mappings):
        @document(id_attribute="code")
        class Closed:
            __slots__ = ("name",)

        with pytest.raises(InvalidArgumentException, match="declare it"):
            mappings.for_class(Closed)


class TestConventions:
    def test_they_name_collections_and_none_falls_back(self, conventions, mappings):
        conventions.find_collection_name = lambda cls: "Firms" if cls is Company else None
        assert mappings.for_class(Company).collection == "Firms"
        assert mappings.for_class(Data).collection == "Data"

    def test_they_transform_prefixes(self, conventions, mappings):
        conventions.transform_class_collection_name_to_document_id_prefix = str.upper
        assert mappings.for_class(Company).id_prefix == "COMPANIES"

    def test_they_name_the_id_attribute_and_none_falls_back(self, conventions, mappings):
        conventions.find_identity_property_name = lambda cls: "key" if cls is Company else None
        assert mappings.for_class(Company).id_attribute == "key"
        assert mappings.for_class(Data).id_attribute == "id"

    def test_a_name_that_does_not_fit_a_class_is_not_used_for_it(self, conventions, mappings):
        conventions.find_identity_property_name = lambda cls: "key"
        assert mappings.for_class(Slotted).id_attribute == "id"
        assert mappings.for_class(Frozen).id_attribute is None

    @pytest.mark.parametrize("wrong", ["a\0b", "\ud800", 5, "@x"])
    def test_a_collection_that_is_not_allowed_is_refused(self, conventions, mappings, wrong):
        conventions.find_collection_name = lambda cls: wrong
        with pytest.raises(InvalidArgumentException):
            mappings.for_class(Company)


class TestDicts:
    def test_metadata_names_the_collection(self, mappings):
        mapping = mappings.for_entity({"@metadata": {"@collection": "Users"}}, "people/1")
        assert (mapping.entity_class, mapping.collection, mapping.id_prefix, mapping.id_attribute) == (
            dict,
            "Users",
            "users",
            None,
        )

    def test_else_the_prefix_of_the_key_is_it(self, mappings):
        assert mappings.for_entity({}, "users/9").collection == "users"
        assert mappings.for_entity({"@metadata": {}}, "users/9") is mappings.for_dict("users")

    @pytest.mark.parametrize("key", [None, "ayende", "", "/x"])
    def test_else_it_is_refused(self, mappings, key):
        with pytest.raises(InvalidArgumentException, match="@collection"):
            mappings.for_entity({}, key)

    def test_a_collection_of_another_type_is_refused(self, mappings):
        with pytest.raises(InvalidArgumentTypeException):
            mappings.for_entity({"@metadata": {"@collection": 5}})

    def test_the_class_alone_says_nothing(self, mappings):
        with pytest.raises(InvalidArgumentTypeException):
            mappings.for_class(dict)


class Color(enum.Enum):
    RED = 1


async def coroutine():
    pass


class Point(typing.NamedTuple):
    x: int


@pytest.mark.parametrize(
    "thing",
    [
        5, True, 1.5, 1j, "x", b"x", bytearray(), None, [], (), set(), frozenset(), range(3), object(), Company, sys,
        len, Company.__init__, lambda: None, (each for each in ()), Color.RED, Point(1), decimal.Decimal(1),
        dt.date(2024, 1, 1), dt.timedelta(1), uuid.uuid4(), pathlib.Path(), OrderedDict(), defaultdict(list),
        ValueError(), NotImplemented, ..., slice(1), iter([]),
    ],
)  # fmt: skip
def test_what_has_no_fields_is_no_document(mappings, thing):
    with pytest.raises(InvalidArgumentTypeException) as error:
        mappings.for_entity(thing)
    assert "store" in str(error.value) or "A document is" in str(error.value)


def test_a_forgotten_await_is_named(mappings):
    forgotten = coroutine()
    with pytest.raises(InvalidArgumentTypeException, match="await"):
        mappings.for_entity(forgotten)
    forgotten.close()


@pytest.mark.parametrize("thing", [5, "Company", None, list[int], int | str])
def test_what_is_no_class_cannot_be_asked_for(mappings, thing):
    with pytest.raises(InvalidArgumentTypeException, match="class"):
        mappings.for_class(thing)


@pytest.mark.parametrize(
    "annotation", [int, "int", "int | None", int | None, uuid.UUID | None, "uuid.UUID", "Optional[int]"]
)
def test_an_id_attribute_that_holds_no_str_is_refused(mappings, annotation):
    cls = type("Numbered", (), {"__annotations__": {"id": annotation}})
    with pytest.raises(InvalidArgumentException, match=r"Numbered\.id"):
        mappings.for_class(cls)


@pytest.mark.parametrize("annotation", [str, "str", "str | None", typing.Any, str | None, int | str, "'str'"])
def test_an_id_attribute_that_may_hold_a_str_is_taken(mappings, annotation):
    cls = type("Named", (), {"__annotations__": {"id": annotation}})
    assert mappings.for_class(cls).id_attribute == "id"
