"""Subclasses in the collection of their base: what comes back, and what a save keeps."""

import pytest

from docsession import DocumentMismatchException, InvalidArgumentException, SessionOptions
from tests.support.documents import change, read, save
from tests.support.families import FAMILIES


@pytest.fixture(params=FAMILIES, scope="session")
def every_family(request):
    """Classes of each kind in turn."""
    return FAMILIES[request.param]


@pytest.fixture(scope="session")
def family():
    """Classes of one kind, where the kind does not matter."""
    return FAMILIES["dataclass"]


async def save_all(store, family):
    """Save one of each, and return the ids by the class's name."""
    entities = {
        "Animal": family.Animal(name="a"),
        "Dog": family.Dog(name="d", barks=False),
        "Puppy": family.Puppy(name="p", weeks=7),
        "Cat": family.Cat(name="c", lives=3),
    }
    async with store.open_session() as session:
        for name, entity in entities.items():
            await session.store(entity, f"animals/{name}")
        await session.save_changes()
    return [f"animals/{name}" for name in entities]


class TestLoad:
    async def test_each_comes_back_as_what_it_is(self, store, rows, every_family):
        keys = await save_all(store, every_family)
        async with store.open_session() as session:
            found = await session.load(keys, every_family.Animal)
            assert {key: type(entity).__name__ for key, entity in found.items()} == {
                f"animals/{name}": name for name in ("Animal", "Dog", "Puppy", "Cat")
            }
            assert (found["animals/Dog"].barks, found["animals/Puppy"].weeks) == (False, 7)
            assert found["animals/Cat"].lives == 3
            assert not session.advanced.has_changes()
        assert rows.metadata("animals", "animals/Animal") is None
        assert rows.metadata("animals", "animals/Puppy") == {"@type": f"{every_family.label}-puppy"}

    async def test_one_by_one_and_by_prefix(self, store, family):
        keys = await save_all(store, family)
        for key in keys:
            async with store.open_session() as session:
                assert type(await session.load(key, family.Animal)).__name__ == key.partition("/")[2]
        async with store.open_session() as session:
            found = await session.advanced.load_starting_with("animals/", family.Animal)
            assert [type(each).__name__ for each in found] == ["Animal", "Cat", "Dog", "Puppy"]

    async def test_as_a_subclass_its_own_subclasses_come_too(self, store, family):
        await save_all(store, family)
        async with store.open_session() as session:
            found = await session.load(["animals/Dog", "animals/Puppy"], family.Dog)
            assert [type(each) for each in found.values()] == [family.Dog, family.Puppy]

    async def test_as_a_subclass_that_it_is_not_it_is_refused(self, store, every_family):
        await save_all(store, every_family)
        async with store.open_session() as session:
            with pytest.raises(DocumentMismatchException, match=r"'animals/Cat' is a .*Cat .*-cat.*no .*Dog") as caught:
                await session.load("animals/Cat", every_family.Dog)
            assert (caught.value.id, caught.value.expected.endswith("Dog")) == ("animals/Cat", True)
            with pytest.raises(DocumentMismatchException, match="Puppy"):
                await session.load("animals/Dog", every_family.Puppy)

    async def test_without_a_class_as_a_dict_that_says_its_type(self, store, family, rows):
        await save_all(store, family)
        async with store.open_session() as session:
            cat = await session.load("animals/Cat")
            assert cat["@metadata"]["@type"] == f"{family.label}-cat"
            with pytest.raises(InvalidArgumentException, match="only be read"):
                cat["@metadata"]["@type"] = "dog"
            cat["lives"] = 2
            await session.save_changes()
        assert rows.metadata("animals", "animals/Cat") == {"@type": f"{family.label}-cat"}
        assert (await read(store, "animals/Cat", family.Animal)).lives == 2

    async def test_as_another_class_of_the_collection_it_is_one_of_that(self, store, family, rows):
        await save_all(store, family)
        async with store.open_session() as session:
            tag = await session.load("animals/Cat", family.Tag)
            assert type(tag) is family.Tag
            tag.name = "changed"
            await session.save_changes()
        cat = await read(store, "animals/Cat", family.Animal)
        assert (type(cat), cat.name, cat.lives) == (family.Cat, "changed", 3)

    async def test_included_and_conditionally(self, store, family):
        await save_all(store, family)
        link = {"animal": "animals/Puppy"}
        await save(store, (link, "links/1"))
        async with store.open_session() as session:
            await session.include("animal").load("links/1")
            assert type(await session.load("animals/Puppy", family.Animal)) is family.Puppy
            assert session.advanced.number_of_requests == 1
        async with store.open_session() as session:
            result = await session.advanced.conditional_load("animals/Cat", "1", family.Animal)
            assert type(result.entity) is family.Cat

    async def test_without_tracking(self, store, family):
        keys = await save_all(store, family)
        async with store.open_session(session_options=SessionOptions(no_tracking=True)) as session:
            found = await session.load(keys, family.Animal)
            assert [type(each).__name__ for each in found.values()] == ["Animal", "Dog", "Puppy", "Cat"]

    async def test_a_class_that_is_not_registered_has_a_collection_of_its_own(self, store, every_family, rows):
        assert await save(store, every_family.Fish(name="f")) == "fish/1-A"
        assert rows.metadata("fish", "fish/1-A") is None


class TestSave:
    async def test_a_change_keeps_the_class(self, store, every_family, rows):
        await save_all(store, every_family)
        async with store.open_session() as session:
            dog = await session.load("animals/Dog", every_family.Animal)
            dog.barks = True
            assert [each.field_name for each in session.advanced.what_changed_for(dog)] == ["barks"]
            session.advanced.get_metadata_for(dog)["reviewed"] = 1
            await session.save_changes()
            assert session.advanced.get_metadata_for(dog)["@type"] == f"{every_family.label}-dog"
        assert rows.metadata("animals", "animals/Dog") == {"@type": f"{every_family.label}-dog", "reviewed": 1}
        assert type(await read(store, "animals/Dog", every_family.Animal)) is every_family.Dog

    async def test_ids_are_of_one_range(self, store, family):
        async with store.open_session() as session:
            entities = [family.Animal(name="a"), family.Dog(name="d"), family.Cat(name="c")]
            for each in entities:
                await session.store(each)
            ids = [session.advanced.get_document_id(each) for each in entities]
            assert ids == ["animals/1-A", "animals/2-A", "animals/3-A"]

    async def test_an_unknown_alias_is_kept_with_fields_that_nobody_knows(self, store, family, rows):
        await save(store, ({"name": "x", "wings": 2, "@metadata": {"@type": "no-such-bird"}}, "animals/x"))
        async with store.open_session() as session:
            animal = await session.load("animals/x", family.Animal)
            assert type(animal) is family.Animal
            animal.name = "y"
            await session.save_changes()
        assert rows.data("animals", "animals/x") == {"name": "y", "wings": 2}
        assert rows.metadata("animals", "animals/x") == {"@type": "no-such-bird"}

    async def test_an_alias_of_a_class_elsewhere_chooses_nothing(self, store, family, rows):
        other = next(each for each in FAMILIES.values() if each is not family)
        await save(store, ({"name": "x", "@metadata": {"@type": f"{other.label}-dog"}}, "animals/x"))
        assert type(await read(store, "animals/x", family.Animal)) is family.Animal

    async def test_what_was_stored_without_alias_gets_it_with_the_next_change(self, store, family, rows):
        await save(store, ({"name": "old", "barks": True}, "animals/old"))
        async with store.open_session() as session:
            dog = await session.load("animals/old", family.Dog)
            assert type(dog) is family.Dog
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
            dog.barks = False
            await session.save_changes()
        assert rows.metadata("animals", "animals/old") == {"@type": f"{family.label}-dog"}

    async def test_a_document_becomes_one_of_another_class_only_by_a_new_one(self, store, family, rows):
        await save_all(store, family)
        async with store.open_session() as session:
            dog = await session.load("animals/Dog", family.Animal)
            session.delete(dog)
            await session.store(family.Cat(name="now a cat"), "animals/Dog")
            await session.store(family.Dog(name="now a dog"), "animals/Cat")
            await session.save_changes()
        assert rows.metadata("animals", "animals/Dog") == {"@type": f"{family.label}-cat"}
        assert type(await read(store, "animals/Dog", family.Animal)) is family.Cat
        assert type(await read(store, "animals/Cat", family.Animal)) is family.Dog

    async def test_a_dict_of_a_type_that_is_no_alias_is_refused(self, store):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException, match="'@type'"):
                await session.store({"@metadata": {"@type": 1}}, "animals/1")


class TestRefresh:
    async def test_an_entity_stays_of_its_class(self, store, every_family):
        await save_all(store, every_family)
        async with store.open_session() as session:
            dog = await session.load("animals/Dog", every_family.Animal)
            await change(store, "animals/Dog", every_family.Animal, name="other")
            assert (await session.advanced.refresh(dog)) is dog
            assert (type(dog), dog.name) == (every_family.Dog, "other")
            assert not session.advanced.has_changes()

    async def test_a_document_that_became_another_is_told(self, store, family):
        await save_all(store, family)
        async with store.open_session() as session:
            dog = await session.load("animals/Dog", family.Animal)
            await save(store, (family.Puppy(name="p"), "animals/Dog"))
            with pytest.raises(DocumentMismatchException, match=r"has become a .*Puppy meanwhile"):
                await session.advanced.refresh(dog)
            await save(store, (family.Cat(name="c"), "animals/Dog"))
            with pytest.raises(DocumentMismatchException, match=r"is a .*Cat .*no .*Dog"):
                await session.advanced.refresh(dog)
            assert (dog.name, type(dog)) == ("d", family.Dog)
