"""What a store knows of the tables grows old as soon as others store: nothing is missed, lost or doubled."""

import threading
from dataclasses import dataclass

import pytest

from docsession import CollectionMismatchException, DocumentStore, SessionOptions
from tests.support.answers import Answers
from tests.support.documents import read, save

pytestmark = pytest.mark.usefixtures("database")  # one that nobody has made yet


@dataclass
class Animal:
    name: str
    id: str | None = None


@dataclass
class Dog:
    name: str
    id: str | None = None


@dataclass
class Owner:
    name: str
    refers: str = ""
    id: str | None = None


@pytest.fixture
def other(make_store):
    """A store of another process."""
    return make_store()


def named(collection, **members):
    """A dict of a collection."""
    return members | {"@metadata": {"@collection": collection}}


async def collections(store):
    """How many documents each collection has."""
    return await store.maintenance.get_collection_statistics()


class TestALoadWithAClassOfAnotherCollection:
    async def test_it_finds_what_others_have_stored_since(self, store, other):
        await save(store, (Animal("a"), "animals/1"))
        await save(other, (Dog("d"), "dogs/1"))
        async with store.open_session() as session:
            assert await session.load("dogs/1", Animal) == Animal("d", "dogs/1")
            assert session.advanced.is_loaded("dogs/1")
            assert session.advanced.number_of_requests == 1

    async def test_in_a_batch_too(self, store, other):
        await save(store, (Animal("a"), "animals/1"))
        await save(other, (Dog("d"), "dogs/1"), (Owner("o"), "owners/1"))
        async with store.open_session() as session:
            loaded = await session.load(["animals/1", "animals/2", "owners/1", "dogs/1", "dogs/2"], Animal)
            assert {key: each and each.name for key, each in loaded.items()} == {
                "animals/1": "a",
                "animals/2": None,
                "owners/1": "o",
                "dogs/1": "d",
                "dogs/2": None,
            }
            sent = session.advanced.number_of_requests
            assert await session.load("dogs/2", Animal) is None
            assert session.advanced.number_of_requests == sent

    async def test_without_tracking_too(self, store, other):
        await save(store, (Animal("a"), "animals/1"))
        await save(other, (Dog("d"), "dogs/1"))
        async with store.open_session(session_options=SessionOptions(no_tracking=True)) as session:
            assert (await session.load("dogs/1", Animal)).name == "d"

    async def test_what_lies_in_the_tables_of_the_class_needs_no_second_look(self, store, other):
        await save(store, (Animal("a"), "animals/1"))
        await save(other, (Animal("b"), "animals/2"))
        async with store.open_session() as session:
            assert (await session.load("animals/2", Animal)).name == "b"
            assert await session.load("animals/3", Animal) is None
            assert session.advanced.number_of_requests == 2


class TestAnIdInTwoTables:
    async def test_is_refused_where_others_have_begun_to_share_a_prefix(self, store, other, rows):
        await save(store, (Owner("o"), "owners/1"))
        await save(other, (Dog("d"), "owners/1/dog"))
        async with store.open_session() as session:
            twin = Owner("twin")
            await session.store(twin, "owners/1/dog")
            with pytest.raises(CollectionMismatchException, match=r"'owners/1/dog' \(a document of 'Dogs'\)"):
                await session.save_changes()
            assert rows.ids("owners") == ["owners/1"]
            session.advanced.evict(twin)
            await session.store(Owner("p"), "owners/2")
            await session.save_changes()
        assert rows.ids("owners") == ["owners/1", "owners/2"]
        assert rows.ids("dogs") == ["owners/1/dog"]
        assert (await read(store, "owners/1/dog"))["@metadata"]["@collection"] == "Dogs"

    async def test_in_a_save_of_many_nothing_is_written(self, store, other, rows):
        await save(store, (Owner("o"), "owners/1"))
        await save(other, (Dog("d"), "owners/7"))
        async with store.open_session() as session:
            for i in range(2, 12):
                await session.store(Owner("x"), f"owners/{i}")
            with pytest.raises(CollectionMismatchException, match="'owners/7'"):
                await session.save_changes()
        assert rows.ids("owners") == ["owners/1"]

    async def test_a_shared_prefix_alone_is_no_trouble(self, store, other, rows):
        await save(store, (Owner("o"), "owners/1"))
        await save(other, (Dog("d"), "owners/1/dog"))
        async with store.open_session() as session:
            await session.store(Owner("p"), "owners/2")
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
        assert rows.ids("owners") == ["owners/1", "owners/2"]


class TestSessionsOfOneStore:
    async def test_two_that_record_at_once_lose_nothing(self, store, rows):
        await save(store, named("Firsts", n=1))
        answers = Answers(store)

        async def meanwhile():
            await save(store, (named("Thirds", n=3), "thirds/1"))

        async with store.open_session() as session:
            await session.store(named("Seconds", n=2), "seconds/1")
            answers.before_write = meanwhile
            await session.save_changes()
        catalogue = store._databases[store.database].catalogue
        stored = rows._run("SELECT prefix, collection FROM {}", "docsession_collections").fetchall()
        assert catalogue.pairs == set(stored)
        assert catalogue.by_prefix.keys() >= {"seconds", "thirds"}
        async with store.open_session() as session:
            loaded = await session.load(["seconds/1", "thirds/1"])
            assert [each["n"] for each in loaded.values()] == [2, 3]
        async with store.open_session() as session:
            assert [each["n"] for each in await session.advanced.load_starting_with("third")] == [3]

    async def test_ids_that_begin_alike_are_all_found_while_others_record(self, store):
        await save(store, (named("Firsts", n=1), "x1/1"))
        answers = Answers(store)
        added = iter(range(2, 9))

        async def meanwhile():
            n = next(added)
            await save(store, (named(f"Kind{n}", n=n), f"x{n}/1"))

        for there in range(2, 6):
            async with store.open_session() as session:
                answers.meanwhile = meanwhile
                found = await session.advanced.load_starting_with("x")
                assert [each["n"] for each in found] == list(range(1, there + 1))

    async def test_a_catalogue_that_shrank_meanwhile_loses_no_rows(self, store):
        await save(store, (named("Firsts", n=1), "x1/1"), (named("Seconds", n=2), "x2/1"))
        answers = Answers(store)
        database = store._databases[store.database]
        full = database.catalogue

        async def forget_one():
            database.know([("x1", "Firsts", full.by_collection["Firsts"].table)])

        async with store.open_session() as session:
            answers.meanwhile = forget_one
            found = await session.advanced.load_starting_with("x")
            assert [each["n"] for each in found] == [1, 2]

    def test_threads_find_what_they_have_stored(self, postgres_url, database):
        errors = []

        def work(store, i):
            try:
                for j in range(4):
                    with store.open_session() as session:
                        session.store(named(f"T{i}x{j}", n=i), f"pp{i}x{j}/1")
                        session.save_changes()
                    with store.open_session() as session:
                        assert session.load(f"pp{i}x{j}/1")["n"] == i
                        assert len(session.advanced.load_starting_with(f"pp{i}x")) == j + 1
                        assert session.advanced.exists(f"pp{i}x{j}/1")
                    with store.open_session() as session:
                        session.store(Owner("o", f"pp{i}x{j}/1"), f"owners/{i}-{j}")
                        session.save_changes()
                    with store.open_session() as session:
                        session.include("refers").load(f"owners/{i}-{j}")
                        assert session.load(f"pp{i}x{j}/1")["n"] == i
            except BaseException as error:
                errors.append(error)
                raise

        with DocumentStore(postgres_url, database=database) as store:
            threads = [threading.Thread(target=work, args=(store, i)) for i in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert errors == []


class TestIncludesWithoutACollection:
    async def test_what_is_remembered_of_a_path_does_not_grow_with_the_data(self, store):
        async with store.open_session() as session:
            await session.store(Animal("a"), "animals/1")
            for i in range(300):
                await session.store(Owner("o", f"http{i}/x"), f"owners/{i}")
            await session.store(Owner("o", "animals/1"), "owners/a")
            await session.save_changes()
        async with store.open_session() as session:
            await session.include("refers").load([*(f"owners/{i}" for i in range(300)), "owners/a"])
            assert session.advanced.is_loaded("animals/1")
        seen = store._databases[store.database].seen_prefixes
        assert set(seen.values()) == {frozenset({"animals"})}

    async def test_a_prefix_that_is_recorded_later_comes_in(self, store, other):
        await save(store, (Owner("o", "dogs/1"), "owners/1"))
        async with store.open_session() as session:
            await session.include("refers").load("owners/1", Owner)
            assert not session.advanced.is_loaded("dogs/1")
        await save(other, (Dog("d"), "dogs/1"))
        for _ in range(2):
            async with store.open_session() as session:
                await session.include("refers").load("owners/1", Owner)
                assert session.advanced.is_loaded("dogs/1")
                assert (await session.load("dogs/1", Dog)).name == "d"
                assert session.advanced.number_of_requests == 1
