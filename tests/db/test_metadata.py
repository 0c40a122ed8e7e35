"""Metadata: what the session keeps there, and the keys that a user adds."""

import copy
import dataclasses
import datetime as dt

import pytest

from docsession import (
    ChangeType,
    InvalidArgumentException,
    MetadataAsDictionary,
    NonUniqueObjectException,
    UnsupportedValueException,
)
from tests.support.documents import change, read, save


@dataclasses.dataclass
class User:
    name: str
    Id: str | None = None


async def save_with_metadata(store, **free):
    async with store.open_session() as session:
        user = User("a")
        await session.store(user, "users/1")
        session.advanced.get_metadata_for(user).update(free)
        await session.save_changes()


class TestKeptByTheSession:
    async def test_id_collection_version_and_time(self, store, rows):
        before = dt.datetime.now(dt.UTC)
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            metadata = session.advanced.get_metadata_for(user)
            assert isinstance(metadata, MetadataAsDictionary)
            assert metadata.keys() == {"@id", "@collection", "@change-vector", "@last-modified"}
            assert metadata["@id"] == "users/1"
            assert metadata["@collection"] == "Users"
            assert metadata["@change-vector"] == session.advanced.get_change_vector_for(user)
            assert metadata["@change-vector"] == str(rows.version("users", "users/1"))
            modified = session.advanced.get_last_modified_for(user)
            assert dt.datetime.fromisoformat(metadata["@last-modified"]) == modified
            assert metadata["@last-modified"].endswith("Z")
            assert modified.tzinfo is dt.UTC
            assert before - dt.timedelta(seconds=1) < modified < dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
        assert rows.metadata("users", "users/1") is None

    async def test_of_every_kind_of_class(self, kind, store):
        key = await save(store, kind.Company(name="a"))
        async with store.open_session() as session:
            company = await session.load(key, kind.Company)
            metadata = session.advanced.get_metadata_for(company)
            assert (metadata["@id"], metadata["@collection"]) == (key, "Companies")

    async def test_before_the_first_save_there_is_no_version(self, store):
        async with store.open_session() as session:
            user = User("a")
            await session.store(user, "users/1")
            assert session.advanced.get_metadata_for(user) == {"@id": "users/1", "@collection": "Users"}
            assert session.advanced.get_change_vector_for(user) is None
            assert session.advanced.get_last_modified_for(user) is None

    async def test_a_save_renews_them_in_the_same_object(self, store):
        async with store.open_session() as session:
            user = User("a")
            await session.store(user, "users/1")
            metadata = session.advanced.get_metadata_for(user)
            await session.save_changes()
            first = dict(metadata)
            user.name = "b"
            await session.save_changes()
            assert session.advanced.get_metadata_for(user) is metadata
            assert int(metadata["@change-vector"]) > int(first["@change-vector"])
            assert metadata["@last-modified"] > first["@last-modified"]
            assert metadata["@change-vector"] == session.advanced.get_change_vector_for(user)

    async def test_they_can_only_be_read(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            metadata = session.advanced.get_metadata_for(user)
            before = dict(metadata)
            for key in before:
                with pytest.raises(InvalidArgumentException, match=key):
                    metadata[key] = "x"
                with pytest.raises(InvalidArgumentException):
                    del metadata[key]
                with pytest.raises(InvalidArgumentException):
                    metadata.pop(key)
                with pytest.raises(InvalidArgumentException):
                    metadata.update({"free": 1, key: "x"})
            assert metadata == before
            assert not session.advanced.has_changes()

    async def test_clear_leaves_them(self, store):
        await save_with_metadata(store, a=1, b=2)
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            metadata = session.advanced.get_metadata_for(user)
            metadata.clear()
            assert metadata.keys() == {"@id", "@collection", "@change-vector", "@last-modified"}
            assert session.advanced.has_changes()

    async def test_of_an_entity_that_is_not_tracked(self, store):
        async with store.open_session() as session:
            stranger = User("a")
            for ask in (
                session.advanced.get_metadata_for,
                session.advanced.get_change_vector_for,
                session.advanced.get_last_modified_for,
            ):
                with pytest.raises(ValueError, match="not associated"):
                    ask(stranger)
            assert session.advanced.get_document_id(stranger) is None


class TestFreeKeys:
    VALUES = {
        "text": "Grüße \U0001f600",
        "number": 5,
        "real": 1.5,
        "flag": True,
        "nothing": None,
        "list": [1, [2], {"a": 3}],
        "object": {"a": {"b": []}, "": "", "x.y": 1},
        "Raven-Python-Type": "os.system",
        "@expires": "2030-01-01T00:00:00Z",
        "with 'quotes' and \"double\" ones; --": 1,
    }

    async def test_every_json_value_persists(self, store, rows):
        await save_with_metadata(store, **self.VALUES)
        assert rows.metadata("users", "users/1") == self.VALUES
        assert rows.data("users", "users/1") == {"name": "a"}
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            metadata = session.advanced.get_metadata_for(user)
            assert {key: metadata[key] for key in self.VALUES} == self.VALUES
            assert not session.advanced.has_changes()
            await session.save_changes()
            assert session.advanced.number_of_requests == 1

    async def test_a_change_makes_the_document_dirty(self, store, rows):
        await save_with_metadata(store, tag="old")
        version = rows.version("users", "users/1")
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.advanced.get_metadata_for(user)["tag"] = "new"
            assert session.advanced.has_changes()
            assert session.advanced.has_changed(user)
            (told,) = session.advanced.what_changed()["users/1"]
            assert (told.change, told.field_full_name) == (ChangeType.FIELD_CHANGED, "@metadata.tag")
            assert (told.field_old_value, told.field_new_value) == ("old", "new")
            assert session.advanced.what_changed_for(user) == [told]
            await session.save_changes()
            assert session.advanced.number_of_requests == 2
            assert not session.advanced.has_changes()
            await session.save_changes()
            assert session.advanced.number_of_requests == 2
        assert rows.metadata("users", "users/1") == {"tag": "new"}
        assert rows.version("users", "users/1") > version

    async def test_so_does_one_inside_a_value(self, store, rows):
        await save_with_metadata(store, tags=[{"a": 1}])
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.advanced.get_metadata_for(user)["tags"][0]["a"] = True
            assert session.advanced.has_changes()
            await session.save_changes()
        assert rows.metadata("users", "users/1") == {"tags": [{"a": True}]}

    async def test_and_a_removed_one(self, store, rows):
        await save_with_metadata(store, a=1, b=2)
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            del session.advanced.get_metadata_for(user)["a"]
            assert session.advanced.has_changes()
            await session.save_changes()
            assert rows.metadata("users", "users/1") == {"b": 2}
            session.advanced.get_metadata_for(user).clear()
            await session.save_changes()
        assert not rows.metadata("users", "users/1")

    async def test_changed_back_is_no_change(self, store):
        await save_with_metadata(store, a=1)
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            metadata = session.advanced.get_metadata_for(user)
            metadata["a"] = 2
            metadata["b"] = 3
            metadata["a"] = 1
            del metadata["b"]
            assert not session.advanced.has_changes()

    async def test_a_change_of_the_document_alone_leaves_them(self, store, rows):
        await save_with_metadata(store, a=1)
        await change(store, "users/1", User, name="b")
        assert rows.metadata("users", "users/1") == {"a": 1}
        assert rows.data("users", "users/1") == {"name": "b"}

    async def test_a_change_of_them_alone_leaves_the_document(self, store, rows):
        await save(store, ({"name": "a", "unknown": [1.10], "@metadata": {"@collection": "Users"}}, "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.advanced.get_metadata_for(user)["a"] = 1
            await session.save_changes()
        assert rows.data("users", "users/1") == {"name": "a", "unknown": [1.10]}
        assert rows.metadata("users", "users/1") == {"a": 1}

    async def test_a_refresh_renews_them(self, store):
        await save_with_metadata(store, a=1)
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.advanced.get_metadata_for(user)["a"] = "mine"
            async with store.open_session() as other:
                theirs = await other.load("users/1", User)
                other.advanced.get_metadata_for(theirs)["a"] = "theirs"
                await other.save_changes()
            await session.advanced.refresh(user)
            assert session.advanced.get_metadata_for(user)["a"] == "theirs"
            assert not session.advanced.has_changes()

    @pytest.mark.parametrize("object_type", [User, dict])
    async def test_a_refresh_keeps_the_object_and_drops_its_changes(self, store, rows, object_type):
        await save_with_metadata(store, a=1)
        async with store.open_session() as session:
            user = await session.load("users/1", object_type)
            metadata = session.advanced.get_metadata_for(user)
            metadata["mine"] = 1
            async with store.open_session() as other:
                theirs = await other.load("users/1", User)
                other.advanced.get_metadata_for(theirs)["theirs"] = dt.date.max.isoformat()
                await other.save_changes()
            await session.advanced.refresh(user)
            assert session.advanced.get_metadata_for(user) is metadata
            assert not session.advanced.has_changes()
            assert metadata.items() >= {"a": 1, "theirs": "9999-12-31"}.items()
            assert "mine" not in metadata
            assert metadata["@change-vector"] == str(rows.version("users", "users/1"))
            metadata["a"] = 2
            assert session.advanced.has_changes()
            await session.save_changes()
        assert rows.metadata("users", "users/1") == {"a": 2, "theirs": "9999-12-31"}

    async def test_a_refresh_shows_nothing_internal(self, store, rows):
        await save(store, ({"when": dt.date.max}, "things/1"))
        async with store.open_session() as session:
            thing = await session.load("things/1")
            await session.advanced.refresh(thing)
            assert thing["@metadata"].keys() == {"@id", "@collection", "@change-vector", "@last-modified"}
            assert not session.advanced.has_changes()
            thing["@metadata"]["a"] = 1
            await session.save_changes()
        assert rows.metadata("things", "things/1").keys() == {"@types", "a"}
        assert (await read(store, "things/1"))["when"] == dt.date.max

    async def test_a_failed_save_leaves_them_changed(self, store, rows):
        await save_with_metadata(store, a=1)
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            metadata = session.advanced.get_metadata_for(user)
            metadata["a"] = object()
            with pytest.raises(UnsupportedValueException, match="a"):
                await session.save_changes()
            metadata["a"] = 2
            await session.save_changes()
        assert rows.metadata("users", "users/1") == {"a": 2}

    async def test_what_is_no_json_is_refused(self, store):
        moment = dt.datetime.now(dt.UTC)
        for value in (float("nan"), float("inf"), {1: 2}, {1, 2}, (1,), moment, "\0", "\ud800", {"\0": 1}, b"x"):
            async with store.open_session() as session:
                user = User("a")
                await session.store(user, "users/1")
                session.advanced.get_metadata_for(user)["value"] = {"inner": [value]}
                with pytest.raises(UnsupportedValueException) as caught:
                    await session.save_changes()
                assert "value" in caught.value.path
                assert session.advanced.number_of_requests == 0

    @pytest.mark.parametrize("key", ["@types", "@type"])
    async def test_the_names_used_inside_are_refused(self, store, key):
        async with store.open_session() as session:
            user = User("a")
            await session.store(user, "users/1")
            with pytest.raises(InvalidArgumentException, match=key):
                session.advanced.get_metadata_for(user)[key] = {}


class TestOfDicts:
    async def test_it_is_the_same_object(self, store, rows):
        await save_with_metadata(store, a=1)
        async with store.open_session() as session:
            user = await session.load("users/1")
            assert user["@metadata"] is session.advanced.get_metadata_for(user)
            user["@metadata"]["a"] = 2
            assert session.advanced.has_changes()
            await session.save_changes()
        assert rows.metadata("users", "users/1") == {"a": 2}
        assert rows.data("users", "users/1") == {"name": "a"}

    async def test_a_new_dict_brings_its_free_keys(self, store, rows):
        user = {"name": "a", "@metadata": {"@collection": "Users", "a": {"b": 1}}}
        async with store.open_session() as session:
            await session.store(user, "users/1")
            assert user["@metadata"]["@id"] == "users/1"
            assert user["@metadata"]["@collection"] == "Users"
            await session.save_changes()
            assert user["@metadata"]["@change-vector"] == session.advanced.get_change_vector_for(user)
            assert not session.advanced.has_changes()
        assert rows.metadata("users", "users/1") == {"a": {"b": 1}}
        assert rows.data("users", "users/1") == {"name": "a"}

    async def test_metadata_taken_from_another_dict_is_no_trouble(self, store, rows):
        await save_with_metadata(store, a=1)
        loaded = await read(store, "users/1")
        async with store.open_session() as session:
            await session.store(copy.deepcopy(loaded), "users/2")
            await session.save_changes()
        assert rows.metadata("users", "users/2") == {"a": 1}
        assert (await read(store, "users/2", User)) == User("a", "users/2")

    async def test_another_dict_in_its_place_brings_its_free_keys(self, store, rows):
        await save_with_metadata(store, a=1, b=2)
        async with store.open_session() as session:
            user = await session.load("users/1")
            metadata = user["@metadata"]
            user["@metadata"] = {"a": 1, "tag": [3], "@id": "users/7"}
            assert session.advanced.has_changes()
            assert session.advanced.has_changed(user)
            await session.save_changes()
            assert not session.advanced.has_changes()
            assert user["@metadata"] is metadata is session.advanced.get_metadata_for(user)
            assert metadata["@id"] == "users/1"
        assert rows.metadata("users", "users/1") == {"a": 1, "tag": [3]}
        assert rows.data("users", "users/1") == {"name": "a"}

    async def test_equal_keys_in_its_place_are_no_change(self, store):
        await save_with_metadata(store, a=1)
        async with store.open_session() as session:
            user = await session.load("users/1")
            user["@metadata"] = {"a": 1}
            assert not session.advanced.has_changes()

    async def test_what_is_no_dict_in_its_place_is_refused(self, store, rows):
        await save_with_metadata(store, a=1)
        async with store.open_session() as session:
            user = await session.load("users/1")
            user["@metadata"] = "a"
            with pytest.raises(UnsupportedValueException, match=r"'users/1'.*'@metadata' is a dict, not str"):
                await session.save_changes()
        assert rows.metadata("users", "users/1") == {"a": 1}

    async def test_without_it_the_stored_keys_stay(self, store, rows):
        await save_with_metadata(store, a=1)
        async with store.open_session() as session:
            user = await session.load("users/1")
            del user["@metadata"]
            user["name"] = "b"
            await session.save_changes()
        assert rows.metadata("users", "users/1") == {"a": 1}
        assert rows.data("users", "users/1") == {"name": "b"}

    async def test_a_failed_store_leaves_it_as_it_was(self, store):
        await save_with_metadata(store, a=1)
        async with store.open_session() as session:
            await session.load("users/1")
            twin = {"name": "b", "@metadata": {"t": 1}}
            with pytest.raises(NonUniqueObjectException):
                await session.store(twin, "users/1")
            assert twin == {"name": "b", "@metadata": {"t": 1}}
            assert type(twin["@metadata"]) is dict
            assert not session.advanced.has_changes()

    async def test_without_it_the_collection_is_that_of_the_prefix(self, make_store):
        store = make_store()
        await save(store, (User("a"), "users/1"))
        await save(store, ({"name": "b"}, "users/2"), ({"name": "b"}, "things/1"))
        await save(make_store(), ({"name": "c"}, "users/3"))
        assert await store.maintenance.get_collection_statistics() == {"Users": 3, "things": 1}
        assert (await read(store, "users/3", User)).name == "c"

    async def test_of_a_prefix_that_several_use_it_is_the_one_whose_ids_begin_so(self, store):
        await save(store, ({"x": 1, "@metadata": {"@collection": "Settings"}}, "users/1/settings"))
        await save(store, (User("a"), "users/1"))
        await save(store, ({"name": "b"}, "users/2"))
        assert await store.maintenance.get_collection_statistics() == {"Users": 2, "Settings": 1}


async def test_two_entities_have_metadata_of_their_own(store, rows):
    await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
    async with store.open_session() as session:
        users = await session.load(["users/1", "users/2"], User)
        session.advanced.get_metadata_for(users["users/1"])["tag"] = 1
        await session.save_changes()
    assert rows.metadata("users", "users/1") == {"tag": 1}
    assert rows.metadata("users", "users/2") is None
