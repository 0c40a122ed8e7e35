"""What a type checker makes of documents' classes; checked, never run."""

from dataclasses import dataclass
from typing import Any, assert_type

from docsession import AsyncDocumentSession, DocumentSession, document, upcaster


@document(version=2)
@dataclass
class Animal:
    name: str
    id: str | None = None


@document(base=Animal, alias="dog", version=3)
@dataclass
class Dog(Animal):
    barks: bool = True


@document
@dataclass
class Cage:
    animals: list[str]
    id: str | None = None


@upcaster(Animal, from_version=1)
def rename(animal: dict[str, Any]) -> dict[str, Any]:
    return {**animal, "name": animal["title"]}


@upcaster(Dog, from_version=2)
def silence(dog: dict[str, Any]) -> dict[str, Any]:
    return {**dog, "barks": False}


@upcaster(Dog, from_version=1)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
def forget_to_return(dog: dict[str, Any]) -> None:
    dog["barks"] = True


def decorated() -> None:
    assert_type(Dog("Rex"), Dog)
    assert_type(Dog("Rex").barks, bool)
    assert_type(Cage(["animals/1-A"]), Cage)
    assert_type(rename({"title": "Rex"}), dict[str, Any])
    upcaster(Dog, 1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    document(version="3")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


def loads(session: DocumentSession) -> None:
    assert_type(session.load("animals/1-A", Animal), Animal | None)
    assert_type(session.load("animals/1-A", Dog), Dog | None)
    animal = session.load("animals/1-A", Animal)
    if isinstance(animal, Dog):
        assert_type(animal.barks, bool)
    assert_type(session.advanced.load_starting_with("animals/", Animal), list[Animal])


async def loads_awaited(session: AsyncDocumentSession) -> None:
    assert_type(await session.load("animals/1-A", Animal), Animal | None)
    assert_type(await session.load(["animals/1-A"], Dog), dict[str, Dog | None])
