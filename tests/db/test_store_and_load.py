"""Storing and loading: ids, identity, what is asked of the server and what is not."""

import dataclasses
import datetime as dt
import functools
import types
from typing import TypedDict

import pytest

import docsession
from docsession import (
    CollectionMismatchException,
    ConcurrencyException,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    NonUniqueObjectException,
    SessionClosedException,
)
from tests.support.documents import change, read, remove, save


class Company:
    def __init__(self, name):
        self.name = name


@dataclasses.dataclass
class User:
    name: str
    age: int = 0
    Id: str | None = None


class TestTheDocumentationsLines:
    def test_run_as_they_stand(self, kind, postgres_url, database, monkeypatch):
        monkeypatch.setenv("DOCSESSION_URL", postgres_url)
        DocumentStore = functools.partial(docsession.DocumentStore, database=database)
        Company = kind.Company

        with DocumentStore() as store:
            with store.open_session() as session:
                entity = Company(name="Company")
                session.store(entity)
                session.save_changes()
                company_id = entity.Id

            with store.open_session() as session:
                entity = session.load(company_id, object_type=Company)
                print(entity.name)
                assert session.load(company_id, object_type=Company) is session.load(company_id, object_type=Company)
                entity.name = "Another Company"
                session.save_changes()

            with store.open_session() as session:
                assert session.load(company_id, object_type=Company).name == "Another Company"
        assert company_id == "companies/1-A"

    async def test_are_the_same_awaited(self, kind, postgres_url, database, monkeypatch):
        monkeypatch.setenv("DOCSESSION_URL", postgres_url)
        AsyncDocumentStore = functools.partial(docsession.AsyncDocumentStore, database=database)
        Company = kind.Company

        async with AsyncDocumentStore() as store:
            async with store.open_session() as session:
                entity = Company(name="Company")
                await session.store(entity)
                await session.save_changes()
                company_id = entity.Id

            async with store.open_session() as session:
                entity = await session.load(company_id, object_type=Company)
                again = await session.load(company_id, object_type=Company)
                assert entity is again
                entity.name = "Another Company"
                await session.save_changes()

            async with store.open_session() as session:
                assert (await session.load(company_id, object_type=Company)).name == "Another Company"


class TestEveryKindOfClass:
    async def test_nested_objects_come_back_as_they_were(self, kind, store, rows):
        lines = [kind.Line("products/1", 3), kind.Line("products/2")]
        order = kind.Order(company="companies/1", address=kind.Address(city="Kyiv", street="вул. 1"), lines=lines)
        key = await save(store, order)
        loaded = await read(store, key, kind.Order)
        assert type(loaded) is kind.Order
        assert loaded.Id == key
        assert type(loaded.address) is kind.Address
        assert (loaded.address.city, loaded.address.street) == ("Kyiv", "вул. 1")
        assert [type(line) for line in loaded.lines] == [kind.Line, kind.Line]
        assert [(line.product, line.quantity) for line in loaded.lines] == [("products/1", 3), ("products/2", 1)]
        assert rows.data("orders", key) == {
            "company": "companies/1",
            "address": {"city": "Kyiv", "street": "вул. 1"},
            "lines": [{"product": "products/1", "quantity": 3}, {"product": "products/2", "quantity": 1}],
        }

    async def test_a_load_and_a_save_write_nothing(self, kind, store, rows):
        order = kind.Order(company="companies/1", address=None, lines=[kind.Line("products/1", 3)])
        key = await save(store, order)
        version = rows.version("orders", key)
        async with store.open_session() as session:
            await session.load(key, kind.Order)
            assert not session.advanced.has_changes()
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
        assert rows.version("orders", key) == version

    async def test_a_second_save_writes_nothing(self, kind, store):
        async with store.open_session() as session:
            await session.store(kind.Order(company="companies/1", lines=[kind.Line("products/1")]))
            await session.save_changes()
            await session.save_changes()
            assert session.advanced.number_of_requests == 1

    async def test_a_change_at_any_depth_is_saved(self, kind, store):
        address = kind.Address(city="Kyiv", street="1")
        key = await save(store, kind.Order(company="companies/1", address=address, lines=[kind.Line("products/1")]))
        async with store.open_session() as session:
            order = await session.load(key, kind.Order)
            order.address.city = "Lviv"
            order.lines[0].quantity = 7
            order.lines.append(kind.Line("products/2"))
            await session.save_changes()
            assert session.advanced.number_of_requests == 2
        loaded = await read(store, key, kind.Order)
        assert loaded.address.city == "Lviv"
        assert [(line.product, line.quantity) for line in loaded.lines] == [("products/1", 7), ("products/2", 1)]

    async def test_the_id_is_no_part_of_the_document(self, kind, store, rows):
        key = await save(store, kind.Company(name="a"))
        assert rows.data("companies", key) == {"name": "a"}

    async def test_an_id_of_its_own_is_taken(self, kind, store):
        company = kind.Company(name="a")
        company.Id = "companies/mine"
        assert await save(store, company) == "companies/mine"
        assert (await read(store, "companies/mine", kind.Company)).Id == "companies/mine"

    async def test_an_id_that_was_changed_is_no_change_and_is_set_back(self, kind, store, rows):
        key = await save(store, kind.Company(name="a"))
        async with store.open_session() as session:
            company = await session.load(key, kind.Company)
            company.Id = "companies/other"
            assert not session.advanced.has_changes()
            assert session.advanced.what_changed() == {}
            await session.save_changes()
            assert company.Id == key
            assert session.advanced.number_of_requests == 1
            company.Id = "companies/other"
            company.name = "b"
            await session.save_changes()
            assert company.Id == key
        assert rows.ids("companies") == [key]
        assert rows.data("companies", key) == {"name": "b"}


class TestLoadOne:
    async def test_an_unknown_id_gives_none_and_is_remembered(self, store):
        await save(store, Company("a"))
        async with store.open_session() as session:
            assert await session.load("companies/none", Company) is None
            assert session.advanced.number_of_requests == 1
            assert session.advanced.is_loaded("companies/none")
            assert await session.load("companies/none", Company) is None
            assert await session.load(["companies/none"], Company) == {"companies/none": None}
            assert session.advanced.number_of_requests == 1

    async def test_an_unknown_id_in_an_empty_database_is_one_request(self, store, database):
        async with store.open_session() as session:
            assert await session.load("companies/none", Company) is None
            assert await session.load("companies/none") is None
            assert session.advanced.number_of_requests == 1

    @pytest.mark.parametrize("key", [None, "", " ", "\t\n"])
    async def test_nothing_is_asked_for_a_blank_id(self, store, key):
        async with store.open_session() as session:
            assert await session.load(key, Company) is None
            assert session.advanced.number_of_requests == 0

    async def test_the_same_id_is_the_same_instance(self, store):
        key = await save(store, Company("a"))
        async with store.open_session() as session:
            company = await session.load(key, Company)
            assert await session.load(key, Company) is company
            assert (await session.load([key], Company))[key] is company
            assert session.advanced.number_of_requests == 1

    async def test_the_class_is_ignored_for_a_tracked_document(self, store):
        key = await save(store, Company("a"))
        async with store.open_session() as session:
            company = await session.load(key, Company)
            assert await session.load(key, User) is company
            assert await session.load(key) is company

    async def test_another_session_has_another_instance(self, store):
        key = await save(store, Company("a"))
        assert await read(store, key, Company) is not await read(store, key, Company)

    async def test_ids_are_case_sensitive(self, store):
        await save(store, (Company("small"), "companies/a"), (Company("big"), "companies/A"))
        async with store.open_session() as session:
            found = await session.load(["companies/a", "companies/A", "Companies/a"], Company)
        assert {key: company and company.name for key, company in found.items()} == {
            "companies/a": "small",
            "companies/A": "big",
            "Companies/a": None,
        }

    async def test_a_document_needs_no_class(self, store):
        key = await save(store, User("Ann", 3))
        async with store.open_session() as session:
            user = await session.load(key)
            assert user == {"name": "Ann", "age": 3, "@metadata": session.advanced.get_metadata_for(user)}
            assert user["@metadata"]["@id"] == key
            assert user["@metadata"]["@collection"] == "Users"

    async def test_a_dict_is_the_same_as_no_class(self, store):
        key = await save(store, User("Ann", 3))
        user = await read(store, key, dict)
        assert type(user) is dict
        assert user.keys() == {"name", "age", "@metadata"}

    async def test_a_dict_that_was_loaded_is_changed_and_saved_in_its_collection(self, store, rows):
        key = await save(store, User("Ann", 3))
        async with store.open_session() as session:
            user = await session.load(key)
            user["age"] = 4
            user["tags"] = ["new"]
            await session.save_changes()
        assert rows.data("users", key) == {"name": "Ann", "age": 4, "tags": ["new"]}

    async def test_a_document_loaded_as_another_class_stays_in_its_collection(self, store, rows):
        class Person:
            name: str

        key = await save(store, User("Ann", 3))
        async with store.open_session() as session:
            person = await session.load(key, Person)
            person.name = "Bob"
            assert session.advanced.get_metadata_for(person)["@collection"] == "Users"
            await session.save_changes()
        assert rows.data("users", key) == {"name": "Bob", "age": 3}

    @pytest.mark.parametrize("key", [5, b"companies/1", 1.5, object(), ("a", 1), [5]])
    async def test_an_id_of_another_type_is_refused(self, store, key):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentTypeException):
                await session.load(key, Company)
            assert session.advanced.number_of_requests == 0

    async def test_a_document_that_does_not_fit_the_class_is_an_error(self, kind, store, rows):
        key = await save(store, kind.Order(company="x", lines=[kind.Line("a"), kind.Line("b")]))
        document = rows.data("orders", key)
        document["lines"][1]["quantity"] = "many"
        rows.write("orders", key, document)
        async with store.open_session() as session:
            with pytest.raises(docsession.DocumentMismatchException) as caught:
                await session.load(key, kind.Order)
            error = caught.value
            assert (error.id, error.path) == (key, "lines[1].quantity")
            assert "int" in error.expected
            assert "str" in error.found or "many" in error.found
            assert all(part in str(error) for part in (key, "lines[1].quantity"))
            assert not session.advanced.is_loaded(key)
            order = await session.load(key)
            order["lines"][1]["quantity"] = 5
            await session.save_changes()
        assert (await read(store, key, kind.Order)).lines[1].quantity == 5

    async def test_one_among_several_that_does_not_fit_leaves_the_others_loadable(self, store, rows):
        await save(store, *((User(str(i)), f"users/{i}") for i in range(3)))
        rows.write("users", "users/1", {"name": 5})
        async with store.open_session() as session:
            with pytest.raises(docsession.DocumentMismatchException, match="users/1"):
                await session.load(["users/0", "users/1", "users/2"], User)
            found = await session.load(["users/0", "users/2"], User)
            assert [user.name for user in found.values()] == ["0", "2"]
            assert not session.advanced.has_changes()

    async def test_an_entity_that_is_falsy_or_not_comparable_is_one_like_others(self, store):
        class Odd:
            def __init__(self, name):
                self.name = name

            def __bool__(self):
                return False

            def __len__(self):
                return 0

            def __eq__(self, other):
                raise AssertionError

            __hash__ = None

        odd = Odd("a")
        key = await save(store, odd)
        async with store.open_session() as session:
            loaded = await session.load(key, Odd)
            assert type(loaded) is Odd
            assert await session.load(key, Odd) is loaded
            assert (await session.load([key], Odd))[key] is loaded
            assert (await session.advanced.conditional_load(key, "1", Odd)).entity is loaded
            loaded.name = "b"
            await session.save_changes()
            await session.advanced.refresh(loaded)
            assert loaded.name == "b"
            session.delete(loaded)
            await session.save_changes()
        assert await read(store, key, Odd) is None

    async def test_a_typed_dict(self, store, rows):
        class Movie(TypedDict):
            title: str
            released: dt.date

        movie = {"title": "a", "released": dt.date(2020, 1, 1), "@metadata": {"@collection": "Movies"}}
        await save(store, (movie, "movies/1"))
        rows.write("movies", "movies/1", {"title": "a", "released": "2020-01-01", "unknown": [1]})
        async with store.open_session() as session:
            loaded = await session.load("movies/1", Movie)
            assert loaded["title"] == "a"
            assert loaded["released"] == dt.date(2020, 1, 1)
            assert not session.advanced.has_changes()
            loaded["released"] = dt.date(2021, 1, 1)
            await session.save_changes()
            assert session.advanced.number_of_requests == 2
        assert rows.data("movies", "movies/1") == {"title": "a", "released": "2021-01-01", "unknown": [1]}

    async def test_a_class_that_is_none_is_refused(self, store):
        async with store.open_session() as session:
            for wrong in ("Company", Company("a"), 5, int, list):
                with pytest.raises(InvalidArgumentTypeException):
                    await session.load("companies/1", wrong)
            assert session.advanced.number_of_requests == 0

    async def test_a_closed_session_loads_nothing(self, store):
        session = store.open_session()
        await session.close()
        await session.close()
        for call in (session.load("companies/1"), session.store(Company("a")), session.save_changes()):
            with pytest.raises(SessionClosedException):
                await call
        with pytest.raises(SessionClosedException):
            session.delete("companies/1")

    async def test_closing_saves_nothing(self, store):
        async with store.open_session() as session:
            await session.store(Company("a"), "companies/1")
        assert await read(store, "companies/1", Company) is None


class TestLoadMany:
    async def test_every_id_is_in_the_dict_in_the_order_asked(self, store):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with store.open_session() as session:
            found = await session.load(["users/2", "users/9", "users/1"], User)
            assert list(found) == ["users/2", "users/9", "users/1"]
            assert [user and user.name for user in found.values()] == ["b", None, "a"]
            assert session.advanced.number_of_requests == 1

    async def test_one_id_in_a_list_gives_a_dict(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            found = await session.load(["users/1"], User)
            assert found == {"users/1": User("a", 0, "users/1")}

    async def test_no_id_gives_an_empty_dict(self, store):
        async with store.open_session() as session:
            assert await session.load([], User) == {}
            assert await session.load([], User, includes=lambda b: b.include_documents("company")) == {}
            assert session.advanced.number_of_requests == 0

    async def test_an_id_given_twice_is_one(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            assert list(await session.load(["users/1", "users/1"], User)) == ["users/1"]

    async def test_blanks_among_them_are_left_out(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            assert list(await session.load([None, "users/1", "", " "], User)) == ["users/1"]
            assert await session.load([None, ""], User) == {}
            assert session.advanced.number_of_requests == 1

    @pytest.mark.parametrize("collect", [list, tuple, set, frozenset, dict.fromkeys])
    async def test_any_collection_of_ids_will_do(self, store, collect):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with store.open_session() as session:
            assert set(await session.load(collect(["users/1", "users/2"]), User)) == {"users/1", "users/2"}

    async def test_only_what_is_not_known_is_asked_for(self, store):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"), (User("c"), "users/3"))
        async with store.open_session() as session:
            one = await session.load("users/1", User)
            one.name = "changed"
            new = User("new")
            await session.store(new, "users/4")
            session.delete("users/3")
            found = await session.load(["users/1", "users/2", "users/3", "users/4", "users/5"], User)
            assert found == {"users/1": one, "users/2": User("b", 0, "users/2"), "users/3": None, "users/4": new,
                             "users/5": None}  # fmt: skip
            assert found["users/1"] is one
            assert found["users/4"] is new
            assert session.advanced.number_of_requests == 2
            assert await session.load(list(found), User) == found
            assert session.advanced.number_of_requests == 2

    async def test_documents_of_several_collections_come_in_one_request(self, store):
        await save(store, (User("a"), "users/1"), (Company("b"), "companies/1"))
        async with store.open_session() as session:
            found = await session.load(["users/1", "companies/1"])
            assert {key: each["name"] for key, each in found.items()} == {"users/1": "a", "companies/1": "b"}
            assert session.advanced.number_of_requests == 1

    async def test_a_thousand_documents_come_in_one_request(self, store):
        await save(store, *((User(str(i)), f"users/{i}") for i in range(1000)))
        async with store.open_session() as session:
            found = await session.load([f"users/{i}" for i in range(1001)], User)
            assert session.advanced.number_of_requests == 1
        assert [user.name for user in list(found.values())[:-1]] == [str(i) for i in range(1000)]
        assert found["users/1000"] is None


class TestStore:
    async def test_the_id_is_there_at_once_and_costs_no_request(self, store):
        async with store.open_session() as session:
            user = User("a")
            await session.store(user)
            assert user.Id == "users/1-A"
            assert await session.load("users/1-A", User) is user
            assert session.advanced.number_of_requests == 0

    async def test_the_key_wins_over_the_entitys_own_id(self, store):
        user = User("a", Id="users/own")
        assert await save(store, (user, "users/7")) == "users/7"
        assert user.Id == "users/7"
        assert await read(store, "users/own") is None

    async def test_another_instance_under_the_id_is_refused(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            loaded = await session.load("users/1", User)
            other = User("other")
            with pytest.raises(NonUniqueObjectException, match="users/1"):
                await session.store(other, "users/1")
            assert other == User("other")
            assert session.advanced.get_document_id(other) is None
            assert await session.load("users/1", User) is loaded
            stored = User("new")
            await session.store(stored, "users/2")
            with pytest.raises(NonUniqueObjectException):
                await session.store(User("other", Id="users/2"))

    async def test_a_refused_instance_can_be_stored_under_another_id(self, store):
        async with store.open_session() as session:
            await session.store(User("a"), "users/1")
            other = User("b")
            with pytest.raises(NonUniqueObjectException):
                await session.store(other, "users/1")
            await session.store(other, "users/2")
            await session.save_changes()
        assert (await read(store, "users/2", User)).name == "b"

    async def test_the_same_instance_again_keeps_its_first_id(self, store, rows):
        async with store.open_session() as session:
            user = User("a")
            await session.store(user, "users/1")
            await session.store(user, "users/2")
            await session.store(user)
            assert user.Id == "users/1"
            await session.save_changes()
        assert rows.ids("users") == ["users/1"]

    async def test_equal_instances_are_two_documents(self, store, rows):
        await save(store, User("a"), User("a"))
        assert rows.ids("users") == ["users/1-A", "users/2-A"]

    async def test_a_change_after_store_is_saved(self, store):
        async with store.open_session() as session:
            user = User("a")
            await session.store(user, "users/1")
            user.name = "b"
            await session.save_changes()
        assert (await read(store, "users/1", User)).name == "b"

    async def test_an_existing_document_is_overwritten_unseen(self, store, rows):
        await save(store, (User("a", 3), "users/1"))
        await save(store, (User("b"), "users/1"))
        assert rows.data("users", "users/1") == {"name": "b", "age": 0}

    async def test_an_overwrite_with_the_same_content_is_a_new_version(self, store, rows):
        await save(store, (User("a"), "users/1"))
        version = rows.version("users", "users/1")
        await save(store, (User("a"), "users/1"))
        assert rows.version("users", "users/1") > version

    async def test_an_empty_dict_is_a_document(self, store, rows):
        await save(store, ({}, "users/1"))
        assert rows.data("users", "users/1") == {}
        assert (await read(store, "users/1")).keys() == {"@metadata"}

    async def test_a_missing_id_that_was_asked_for_can_be_stored(self, store):
        async with store.open_session() as session:
            assert await session.load("users/1", User) is None
            user = User("a")
            await session.store(user, "users/1")
            assert await session.load("users/1", User) is user
            await session.save_changes()
        assert await read(store, "users/1", User) == User("a", 0, "users/1")

    async def test_what_is_no_document_is_refused(self, store):
        async with store.open_session() as session:
            for entity in (
                None, 5, 1.5, True, "users/1", b"x", [1], (1,), {1}, frozenset(), range(3), object(), User, int, types,
                len, print, lambda: None, ValueError("a"),
            ):  # fmt: skip
                with pytest.raises(InvalidArgumentTypeException):
                    await session.store(entity, "users/1")
            assert not session.advanced.has_changes()

    async def test_a_dict_without_a_collection_is_refused(self, store):
        async with store.open_session() as session:
            for entity, key in (({}, None), ({"name": "a"}, None), ({"name": "a"}, "ayende")):
                with pytest.raises(InvalidArgumentException, match="collection"):
                    await session.store(entity, key)
            await session.store({"name": "a", "@metadata": {"@collection": "Users"}}, "ayende")
            await session.store({"name": "a", "@metadata": {"@collection": "Users"}})
            await session.save_changes()
        assert await store.maintenance.get_collection_statistics() == {"Users": 2}

    async def test_a_dicts_own_id_and_metadata_are_no_part_of_the_document(self, store, rows):
        await save(store, {"Id": "users/1", "name": "a", "@metadata": {"@collection": "Users", "tag": "x"}})
        (key,) = rows.ids("users")
        assert rows.data("users", key) == {"name": "a"}
        assert rows.metadata("users", key) == {"tag": "x"}


class TestStoreWithAChangeVector:
    """The check is made whatever the session's mode is."""

    async def test_a_version_that_is_current_is_written(self, store):
        async with store.open_session() as session:
            user = User("a")
            await session.store(user, "users/1")
            await session.save_changes()
            version = session.advanced.get_change_vector_for(user)
        async with store.open_session() as session:
            await session.store(User("b"), "users/1", version)
            await session.save_changes()
        assert (await read(store, "users/1", User)).name == "b"

    async def test_a_version_that_is_past_is_a_conflict(self, store):
        async with store.open_session() as session:
            user = User("a")
            await session.store(user, "users/1")
            await session.save_changes()
            version = session.advanced.get_change_vector_for(user)
        await change(store, "users/1", User, name="b")
        async with store.open_session() as session:
            await session.store(User("c"), "users/1", version)
            with pytest.raises(ConcurrencyException, match="users/1"):
                await session.save_changes()
        assert (await read(store, "users/1", User)).name == "b"

    async def test_a_version_of_what_was_deleted_is_a_conflict(self, store):
        async with store.open_session() as session:
            user = User("a")
            await session.store(user, "users/1")
            await session.save_changes()
            version = session.advanced.get_change_vector_for(user)
        await remove(store, "users/1")
        async with store.open_session() as session:
            await session.store(User("c"), "users/1", version)
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
        assert caught.value.actual is None
        assert await read(store, "users/1", User) is None

    async def test_an_empty_one_says_that_the_document_must_be_new(self, store):
        async with store.open_session() as session:
            await session.store(User("a"), "users/1", "")
            await session.save_changes()
        async with store.open_session() as session:
            await session.store(User("b"), "users/1", "")
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
        assert caught.value.expected == ""
        assert (await read(store, "users/1", User)).name == "a"

    async def test_it_holds_for_one_save_only(self, store):
        async with store.open_session() as session:
            user = User("a")
            await session.store(user, "users/1", "")
            await session.save_changes()
            await change(store, "users/1", User, name="b")
            user.name = "c"
            await session.save_changes()
        assert (await read(store, "users/1", User)).name == "c"

    async def test_a_tracked_entity_stored_again_takes_it(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            version = session.advanced.get_change_vector_for(user)
            await change(store, "users/1", User, name="b")
            await session.store(user, "users/1", version)
            user.name = "c"
            with pytest.raises(ConcurrencyException):
                await session.save_changes()

    async def test_without_an_id_it_makes_no_sense(self, store):
        async with store.open_session() as session:
            with pytest.raises(ValueError, match="change vector"):
                await session.store(User("a"), None, "123")
            assert session.advanced.get_tracked_entities() == {}

    @pytest.mark.parametrize("wrong", ["A:1-x", "-1", "0", "1.5", "9" * 30, "١", " 1"])
    async def test_what_is_no_change_vector_is_refused(self, store, wrong):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException):
                await session.store(User("a"), "users/1", wrong)
            with pytest.raises(InvalidArgumentTypeException):
                await session.store(User("a"), "users/1", 5)
            assert session.advanced.get_tracked_entities() == {}


class TestSaveChanges:
    async def test_nothing_to_save_is_no_request(self, store):
        async with store.open_session() as session:
            await session.save_changes()
            assert session.advanced.number_of_requests == 0

    async def test_everything_goes_in_one_request(self, store):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"), (Company("c"), "companies/1"))
        async with store.open_session() as session:
            users = await session.load(["users/1", "users/2"], User)
            users["users/1"].name = "changed"
            session.delete(users["users/2"])
            session.delete("companies/1")
            await session.store(User("new"), "users/3")
            await session.store({"x": 1}, "things/1")
            session.advanced.register_for_concurrency_check("users/9", "")
            await session.save_changes()
            assert session.advanced.number_of_requests == 2
        async with store.open_session() as session:
            found = await session.load(["users/1", "users/2", "users/3", "companies/1", "things/1"])
            assert {key: each and each.get("name", each.get("x")) for key, each in found.items()} == {
                "users/1": "changed",
                "users/2": None,
                "users/3": "new",
                "companies/1": None,
                "things/1": 1,
            }

    async def test_ten_thousand_documents_are_one_request(self, store):
        async with store.open_session() as session:
            for i in range(10_000):
                await session.store(User(str(i)))
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
        assert await store.maintenance.get_collection_statistics() == {"Users": 10_000}

    async def test_it_renews_versions_and_times(self, store):
        async with store.open_session() as session:
            user = User("a")
            await session.store(user, "users/1")
            assert session.advanced.get_change_vector_for(user) is None
            assert session.advanced.get_last_modified_for(user) is None
            await session.save_changes()
            first = session.advanced.get_change_vector_for(user), session.advanced.get_last_modified_for(user)
            user.name = "b"
            await session.save_changes()
            second = session.advanced.get_change_vector_for(user), session.advanced.get_last_modified_for(user)
            assert int(second[0]) > int(first[0])
            assert second[1] > first[1]
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            assert session.advanced.get_change_vector_for(user) == second[0]
            assert session.advanced.get_last_modified_for(user) == second[1]

    async def test_a_refused_value_changes_nothing_and_can_be_mended(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            user.name = "b"
            bad = {"value": float("nan")}
            await session.store(bad, "things/1")
            with pytest.raises(docsession.UnsupportedValueException) as caught:
                await session.save_changes()
            assert caught.value.id == "things/1"
            assert "value" in caught.value.path
            assert rows.data("users", "users/1")["name"] == "a"
            assert session.advanced.has_changed(user)
            assert session.advanced.number_of_requests == 1
            bad["value"] = 1.5
            await session.save_changes()
            assert session.advanced.number_of_requests == 2
        assert rows.data("users", "users/1")["name"] == "b"
        assert rows.data("things", "things/1") == {"value": 1.5}

    async def test_a_document_that_could_not_be_loaded_again_is_refused(self, make_store, rows):
        @dataclasses.dataclass
        class Line:
            quantity: int

        @dataclasses.dataclass
        class Order:
            lines: list[Line]

        store = make_store()
        async with store.open_session() as session:
            order = Order([Line(1), Line("5")])
            await session.store(User("a"), "users/1")
            await session.store(order, "orders/1")
            with pytest.raises(docsession.UnsupportedValueException) as caught:
                await session.save_changes()
            assert (caught.value.id, caught.value.path) == ("orders/1", "lines[1].quantity")
            assert session.advanced.number_of_requests == 0
            order.lines[1].quantity = 5
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
        assert rows.data("orders", "orders/1") == {"lines": [{"quantity": 1}, {"quantity": 5}]}

    async def test_what_the_server_refuses_changes_nothing_and_can_be_repeated(self, store, rows):
        """Refused at once, and refused at the commit; one document alone, and one among others."""
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        for deferred in (False, True):
            for alone in (True, False):
                rows.refuse("users", "name", "bad", deferred=deferred)
                async with store.open_session() as session:
                    users = await session.load(["users/1", "users/2"], User)
                    users["users/1"].name = "bad"
                    if not alone:
                        session.delete(users["users/2"])
                        await session.store(Company("new"), f"companies/{deferred}")
                    changes = session.advanced.what_changed()
                    before = session.advanced.number_of_requests
                    with pytest.raises(docsession.RavenException) as caught:
                        await session.save_changes()
                    assert caught.value.sqlstate in {"23514", "P0001"}
                    assert caught.value.__cause__ is not None
                    assert session.advanced.what_changed() == changes
                    assert session.advanced.number_of_requests == before + 1
                    assert rows.ids("users") == ["users/1", "users/2"]
                    assert rows.data("users", "users/1")["name"] != "bad"
                    rows.allow("users")
                    await session.save_changes()
                    assert not session.advanced.has_changes()
                assert rows.data("users", "users/1")["name"] == "bad"
                await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        assert rows.ids("companies") == ["companies/False", "companies/True"]

    async def test_a_document_of_another_collection_is_not_overwritten(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            await session.store(User("b"), "users/2")
            company = Company("c")
            await session.store(company, "users/1")
            with pytest.raises(CollectionMismatchException, match="users/1"):
                await session.save_changes()
            assert rows.ids("users") == ["users/1"]
            assert session.advanced.has_changed(company)
            session.advanced.evict(company)
            await session.save_changes()
        assert rows.ids("users") == ["users/1", "users/2"]
        assert (await read(store, "users/1", User)).name == "a"

    async def test_documents_of_two_collections_share_a_prefix(self, store):
        await save(store, (User("a"), "users/1"))
        await save(store, (Company("b"), "users/1/company"))
        async with store.open_session() as session:
            found = await session.load(["users/1", "users/1/company"])
            assert {key: each["@metadata"]["@collection"] for key, each in found.items()} == {
                "users/1": "Users",
                "users/1/company": "Companies",
            }
            assert session.advanced.number_of_requests == 1

    async def test_an_id_without_a_prefix_belongs_to_its_class(self, store):
        await save(store, (User("a"), "ayende"), (Company("b"), "hibernating"))
        async with store.open_session() as session:
            assert (await session.load("ayende", User)).name == "a"
            assert (await session.load("hibernating"))["name"] == "b"
            assert session.advanced.number_of_requests == 2

    async def test_another_store_sees_what_was_saved(self, make_store):
        key = await save(make_store(), Company("a"))
        assert (await read(make_store(), key, Company)).name == "a"

    async def test_a_store_learns_of_collections_that_another_one_made(self, make_store):
        first, second = make_store(), make_store()
        await save(first, (User("a"), "users/1"))
        assert (await read(second, "users/1", User)).name == "a"
        await save(first, (Company("b"), "companies/1"))
        assert (await read(second, "companies/1"))["name"] == "b"
        await save(first, (Company("c"), "users/1/company"))
        assert (await read(second, "users/1/company", Company)).name == "c"


async def test_an_untracked_operation_on_a_foreign_entity_says_so(store):
    async with store.open_session() as session:
        with pytest.raises(InvalidOperationException, match="not associated"):
            session.delete(User("a"))
