"""The registry of classes that stored data may name."""

import dataclasses
import sys
import types

import pytest

from docsession._documents._aliases import DECLARED, AliasRegistry
from docsession._documents._declaration import document
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException


class Cat:
    pass


class Dog:
    pass


def test_a_class_is_found_by_its_alias_and_the_other_way_round():
    registry = AliasRegistry({"cat": Cat})
    registry.register(Dog)
    assert (registry.alias_of(Cat), registry.alias_of(Dog)) == ("cat", "Dog")
    assert (registry.class_of("cat"), registry.class_of("Dog")) == (Cat, Dog)
    assert registry.alias_of(int) is None
    assert registry.class_of("Cat") is None


@pytest.mark.parametrize("alias", ["", " ", "datetime", "str", "a\nb"])
def test_an_alias_is_a_name_that_means_nothing_else(alias):
    with pytest.raises(InvalidArgumentException):
        AliasRegistry().register(Cat, alias)


def test_only_classes_have_an_alias_and_it_is_a_str():
    with pytest.raises(InvalidArgumentTypeException):
        AliasRegistry().register(Cat(), "cat")
    with pytest.raises(InvalidArgumentTypeException):
        AliasRegistry().register(Cat, 1)


def test_an_alias_belongs_to_one_class_and_a_class_has_one_alias():
    registry = AliasRegistry({"pet": Cat})
    registry.register(Cat, "pet")
    with pytest.raises(InvalidArgumentException, match="belongs to"):
        registry.register(Dog, "pet")
    with pytest.raises(InvalidArgumentException, match="already"):
        registry.register(Cat, "other")


def test_a_class_that_is_defined_again_takes_the_place_of_the_former():
    def make():
        class Fish:
            pass

        return Fish

    registry = AliasRegistry()
    former, fish = make(), make()
    registry.register(former)
    registry.register(fish)
    assert registry.class_of("Fish") is fish
    assert registry.alias_of(fish) == "Fish"


def test_declared_classes_are_known_to_every_registry():
    @document(alias="declared-by-test")
    class Fish:
        pass

    assert AliasRegistry().class_of("declared-by-test") is Fish
    assert AliasRegistry().alias_of(Fish) == "declared-by-test"


def test_a_declaration_below_slots_means_the_class_that_comes_out():
    module = types.ModuleType("test_aliases_module")
    sys.modules["test_aliases_module"] = module
    try:

        @dataclasses.dataclass(slots=True)
        @document(alias="slotted-by-test")
        class Fish:
            name: str
            __module__ = "test_aliases_module"
            __qualname__ = "Fish"

        module.Fish = Fish
        assert AliasRegistry().class_of("slotted-by-test") is Fish
        assert AliasRegistry().alias_of(Fish) == "slotted-by-test"
    finally:
        del sys.modules["test_aliases_module"]


def test_two_declared_classes_of_one_name_have_none_until_one_asks_for_it():
    def make(module):
        return type("SameNameForTest", (), {"__module__": module, "__qualname__": "SameNameForTest"})

    one, other, third = make("a"), make("b"), make("c")
    DECLARED.declare(one, None)
    assert DECLARED.alias_of(one) == "SameNameForTest"
    DECLARED.declare(other, None)
    assert (DECLARED.alias_of(one), DECLARED.alias_of(other)) == (None, None)
    assert DECLARED.class_of("SameNameForTest") is None
    DECLARED.declare(third, "SameNameForTest")
    assert DECLARED.class_of("SameNameForTest") is third
