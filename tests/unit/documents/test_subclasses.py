"""How classes say that they are stored in the collection of a base."""

import abc
import dataclasses
from typing import Protocol, TypedDict

import pytest

from docsession import DocumentConventions, InvalidArgumentException, InvalidArgumentTypeException, document
from docsession._documents._mapping import Mappings
from tests.support.families import FAMILIES

dogs = FAMILIES["dataclass"]


def mapping_of(cls, **conventions):
    return Mappings(DocumentConventions(**conventions)).for_class(cls)


class TestRegistration:
    def test_base_gives_the_collection_and_the_prefix_of_ids(self):
        mapping = mapping_of(dogs.Puppy)
        assert (mapping.collection, mapping.table, mapping.id_prefix) == ("Animals", "animals", "animals")
        assert (mapping.alias, mapping.metadata) == ("dataclass-puppy", b'\x01{"@type": "dataclass-puppy"}')

    def test_the_same_collection_by_name_says_the_same(self):
        assert mapping_of(dogs.Cat).alias == "dataclass-cat"

    @pytest.mark.parametrize("cls", [dogs.Animal, dogs.Fish, dogs.Tag])
    def test_other_classes_have_no_alias_there(self, cls):
        assert (mapping_of(cls).alias, mapping_of(cls).metadata) == (None, b"")

    def test_a_convention_that_gives_them_one_collection_needs_a_registered_class(self):
        def collection(cls):
            return "Animals" if issubclass(cls, dogs.Animal) else None

        assert mapping_of(dogs.Fish, find_collection_name=collection).alias is None
        conventions = DocumentConventions(find_collection_name=collection)
        conventions.register(dogs.Fish, "a fish")
        assert Mappings(conventions).for_class(dogs.Fish).alias == "a fish"

    def test_a_convention_that_fails_for_a_base_that_is_not_stored(self):
        class Mixin:
            pass

        class Invoice(Mixin):
            table = "Invoices"

        assert mapping_of(Invoice, find_collection_name=lambda cls: cls.table).alias is None

    def test_aliases_are_quoted_in_the_metadata(self):
        @document(base=dogs.Animal, alias='a "quoted\\ Ä')
        class Odd(dogs.Animal):
            pass

        assert mapping_of(Odd).metadata == '\x01{"@type": "a \\"quoted\\\\ Ä"}'.encode()

    def test_two_classes_of_one_name_need_an_alias(self):
        def make():
            @document(base=dogs.Animal)
            class Twice(dogs.Animal):
                pass

            return Twice

        @document(collection="Others")
        class Twice:
            pass

        one = make()
        with pytest.raises(InvalidArgumentException, match=r"Twice is stored in the collection of its base .*alias="):
            mapping_of(one)

    def test_a_base_that_is_a_protocol(self):
        class Named(Protocol):
            name: str

        @document(base=Named, alias="protocol-person")
        @dataclasses.dataclass
        class Person(Named):
            name: str = ""

        mappings = Mappings(DocumentConventions())
        person, named = mappings.for_class(Person), mappings.for_class(Named)
        assert mappings.of_document(named, "nameds/1", b"\x01{}", person.metadata)[0] is person

    def test_a_base_that_has_an_abstract_method(self):
        class Shape(abc.ABC):
            @abc.abstractmethod
            def area(self): ...

        @document(base=Shape, alias="abstract-square")
        @dataclasses.dataclass
        class Square(Shape):
            side: int = 1

            def area(self):
                return self.side**2

        mappings = Mappings(DocumentConventions())
        square, shape = mappings.for_class(Square), mappings.for_class(Shape)
        assert (square.collection, square.alias) == ("Shapes", "abstract-square")
        actual, data, stored = mappings.of_document(shape, "shapes/1", b'\x01{"side": 2}', square.metadata)
        assert actual is square
        assert (data, stored) == (b'\x01{"side": 2}', square.metadata)


class TestRefusals:
    def test_a_base_that_is_none(self):
        with pytest.raises(InvalidArgumentException, match=r"Tag is no subclass of .*Animal"):
            document(base=dogs.Animal)(dogs.Tag)
        with pytest.raises(InvalidArgumentException, match="no subclass"):
            document(base=dogs.Dog)(dogs.Dog)

    def test_a_typed_dict_has_neither_subclasses_nor_versions(self):
        class Movie(TypedDict):
            name: str

        class Sequel(Movie):
            number: int

        with pytest.raises(InvalidArgumentException, match="no subclass"):
            document(base=Movie)(Sequel)
        with pytest.raises(InvalidArgumentException, match="Movie is a TypedDict, and cannot say of which version"):
            document(version=2)(Movie)
        mappings = Mappings(DocumentConventions())
        row = ("animals/1", b"\x01{}", b'\x01{"@type": "dataclass-dog"}')
        assert mappings.of_document(mappings.for_class(Movie), *row) == (mappings.for_class(Movie), *row[1:])

    def test_a_base_that_is_no_class(self):
        with pytest.raises(InvalidArgumentTypeException, match="takes a class, not 'Animal'"):
            document(base="Animal")(dogs.Fish)

    def test_a_collection_beside_the_base(self):
        with pytest.raises(InvalidArgumentException, match="twice"):
            document(base=dogs.Animal, collection="Animals")
