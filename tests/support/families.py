"""A base and subclasses in its collection, in every kind of class: `FAMILIES["pydantic"].Dog(…)` and so on.

An `Animal` has a name; a `Dog` barks, a `Puppy` is a young dog, a `Cat` has lives. A `Fish` is in a
collection of its own, since nothing says otherwise. `Tag` is no animal, but in the same collection.
"""

import dataclasses
from types import SimpleNamespace

import attrs
import msgspec
import pydantic

from docsession import document


def _plain():
    class Animal:
        def __init__(self, name):
            self.name = name

    class Dog(Animal):
        def __init__(self, name, barks=True):
            super().__init__(name)
            self.barks = barks

    class Puppy(Dog):
        def __init__(self, name, barks=True, weeks=1):
            super().__init__(name, barks)
            self.weeks = weeks

    class Cat(Animal):
        def __init__(self, name, lives=9):
            super().__init__(name)
            self.lives = lives

    class Fish(Animal):
        pass

    class Tag:
        def __init__(self, name):
            self.name = name

    return Animal, Dog, Puppy, Cat, Fish, Tag


def _decorated(decorate):
    @decorate
    class Animal:
        name: str
        Id: str | None = None

    @decorate
    class Dog(Animal):
        barks: bool = True

    @decorate
    class Puppy(Dog):
        weeks: int = 1

    @decorate
    class Cat(Animal):
        lives: int = 9

    @decorate
    class Fish(Animal):
        pass

    @decorate
    class Tag:
        name: str
        Id: str | None = None

    return Animal, Dog, Puppy, Cat, Fish, Tag


def _derived(base):
    class Animal(base):
        name: str
        Id: str | None = None

    class Dog(Animal):
        barks: bool = True

    class Puppy(Dog):
        weeks: int = 1

    class Cat(Animal):
        lives: int = 9

    class Fish(Animal):
        pass

    class Tag(base):
        name: str
        Id: str | None = None

    return Animal, Dog, Puppy, Cat, Fish, Tag


def _family(label, classes):
    animal, dog, puppy, cat, fish, tag = classes
    return SimpleNamespace(
        label=label,
        Animal=animal,
        Dog=document(base=animal, alias=f"{label}-dog")(dog),
        Puppy=document(base=animal, alias=f"{label}-puppy")(puppy),
        Cat=document(collection="Animals", alias=f"{label}-cat")(cat),
        Fish=fish,
        Tag=document(collection="Animals", alias=f"{label}-tag")(tag),
    )


FAMILIES = {
    "plain": _family("plain", _plain()),
    "dataclass": _family("dataclass", _decorated(dataclasses.dataclass)),
    "slots": _family("slots", _decorated(dataclasses.dataclass(slots=True))),
    "attrs": _family("attrs", _decorated(attrs.define)),
    "pydantic": _family("pydantic", _derived(pydantic.BaseModel)),
    "struct": _family("struct", _derived(msgspec.Struct)),
}
