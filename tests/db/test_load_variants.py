"""The other ways to read, and to forget: by prefix, conditionally, again; evict, clear, exists, replace."""

import dataclasses
from enum import IntEnum

import attrs
import msgspec
import pydantic
import pytest

from docsession import (
    ConditionalLoadResult,
    DocumentDoesNotExistException,
    DocumentMismatchException,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    NonUniqueObjectException,
)
from tests.support.documents import change, remove, save
from tests.support.proxy import CountingProxy


@dataclasses.dataclass
class User:
    name: str
    tags: list[str] = dataclasses.field(default_factory=list)
    Id: str | None = None


@dataclasses.dataclass
class Setting:
    value: int
    Id: str | None = None


class TestLoadStartingWith:
    KEYS = (
        "users/1",
        "users/1-x",
        "users/10",
        "users/2",
        "users/20-A",
        "users/a",
        "users/B",
        "users/é",
        "users/\U0001f600",
    )

    # (wildcards, the rests of the ids that they match)
    MATCHES = [
        ("1*", ["1", "1-x", "10"]),
        ("1?", ["10"]),
        ("?", ["1", "2", "B", "a", "é", "\U0001f600"]),
        ("*", ["1", "1-x", "10", "2", "20-A", "B", "a", "é", "\U0001f600"]),
        ("1|2", ["1", "2"]),
        ("1*|*A", ["1", "1-x", "10", "20-A"]),
        ("*-?", ["1-x", "20-A"]),
        ("1.*", []),
        ("[12]", []),
        ("(1)", []),
        ("A", []),
        ("x$", []),
    ]

    async def save_all(self, store):
        await save(store, *((User(key), key) for key in self.KEYS), (User("x"), "usersx/1"), (Setting(1), "settings/1"))

    async def keys(self, session, *args, **options):
        return [user.Id for user in await session.advanced.load_starting_with(*args, object_type=User, **options)]

    async def test_all_of_them_in_the_order_of_their_ids(self, store):
        await self.save_all(store)
        async with store.open_session() as session:
            users = await session.advanced.load_starting_with("users/", User)
            assert [user.Id for user in users] == sorted(self.KEYS)
            assert [user.name for user in users] == sorted(self.KEYS)
            assert session.advanced.number_of_requests == 1

    async def test_they_are_tracked(self, store):
        await self.save_all(store)
        async with store.open_session() as session:
            mine = await session.load("users/1", User)
            users = await session.advanced.load_starting_with("users/1", User)
            assert [user.Id for user in users] == ["users/1", "users/1-x", "users/10"]
            assert users[0] is mine
            assert await session.load("users/10", User) is users[2]
            assert session.advanced.number_of_requests == 2
            users[2].name = "changed"
            await session.save_changes()
            again = await session.advanced.load_starting_with("users/1", User)
            assert all(new is old for new, old in zip(again, users, strict=True))

    async def test_it_is_a_request_each_time(self, store):
        await self.save_all(store)
        async with store.open_session() as session:
            await session.advanced.load_starting_with("users/", User)
            await session.advanced.load_starting_with("users/", User)
            assert session.advanced.number_of_requests == 2

    async def test_what_is_deleted_here_is_left_out(self, store):
        await self.save_all(store)
        async with store.open_session() as session:
            session.delete("users/10")
            assert await self.keys(session, "users/1") == ["users/1", "users/1-x"]

    async def test_matches_are_wildcards_for_the_rest_of_the_id(self, store):
        await self.save_all(store)
        async with store.open_session() as session:
            for matches, expected in self.MATCHES:
                found = await self.keys(session, "users/", matches=matches)
                assert found == [f"users/{rest}" for rest in expected], matches

    async def test_exclude_leaves_them_out(self, store):
        await self.save_all(store)
        async with store.open_session() as session:
            assert await self.keys(session, "users/", exclude="1*|?") == ["users/20-A"]
            assert await self.keys(session, "users/", matches="1*|2*", exclude="*-*") == [
                "users/1",
                "users/10",
                "users/2",
            ]

    async def test_pages(self, store):
        await self.save_all(store)
        ordered = sorted(self.KEYS)
        async with store.open_session() as session:
            assert await self.keys(session, "users/", page_size=3) == ordered[:3]
            assert await self.keys(session, "users/", start=3, page_size=3) == ordered[3:6]
            assert await self.keys(session, "users/", start=7) == ordered[7:]
            assert await self.keys(session, "users/", start=100) == []
            assert await self.keys(session, "users/", page_size=0) == []
            assert await self.keys(session, "users/", page_size=4, start_after=ordered[2]) == ordered[3:7]
            assert await self.keys(session, "users/", start_after=ordered[-1]) == []

    async def test_more_than_a_hundred_come_without_a_page_size(self, store):
        await save(store, *((User(str(i)), f"users/{i:03}") for i in range(140)))
        async with store.open_session() as session:
            assert len(await session.advanced.load_starting_with("users/", User)) == 140

    async def test_a_prefix_ends_anywhere(self, store):
        await self.save_all(store)
        await save(store, (User("plain"), "user"), (User("other"), "us"))
        async with store.open_session() as session:
            assert await self.keys(session, "users/1-") == ["users/1-x"]
            assert await self.keys(session, "users/1-x") == ["users/1-x"]
            assert await self.keys(session, "users/1-xx") == []
            assert await self.keys(session, "user") == ["user", *sorted((*self.KEYS, "usersx/1"))]
            assert await self.keys(session, "us", page_size=2) == ["us", "user"]
            assert await self.keys(session, "users/é") == ["users/é"]
            assert await self.keys(session, "Users/") == []

    async def test_an_odd_character_stands_for_itself(self, store):
        odd = ["a%", "a_", "a\\", "a'", 'a"', "a*", "a.", "a\U0010ffff", "a\ud7ff"]
        await save(store, *((User("x"), f"users/{each}1") for each in odd), (User("y"), "users/ab1"))
        async with store.open_session() as session:
            for each in odd:
                assert await self.keys(session, f"users/{each}") == [f"users/{each}1"]

    async def test_over_several_collections(self, store):
        await save(store, (User("a"), "users/1"), (Setting(1), "users/1/settings"), (User("b"), "users/2"))
        async with store.open_session() as session:
            found = await session.advanced.load_starting_with("users/")
            assert [each["@metadata"]["@id"] for each in found] == ["users/1", "users/1/settings", "users/2"]
            assert session.advanced.number_of_requests == 1

    async def test_without_a_class_they_are_dicts(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            (user,) = await session.advanced.load_starting_with("users/")
            assert user == {"name": "a", "tags": [], "@metadata": session.advanced.get_metadata_for(user)}

    async def test_of_an_unknown_prefix_there_are_none(self, store):
        async with store.open_session() as session:
            assert await session.advanced.load_starting_with("users/", User) == []
            assert session.advanced.number_of_requests == 1

    async def test_they_may_lie_in_a_table_that_another_store_made(self, make_store):
        here, there = make_store(), make_store()
        async with here.open_session() as session:
            assert await session.advanced.load_starting_with("users/", User) == []
        await save(there, (User("a"), "users/1"))
        async with here.open_session() as session:
            assert len(await session.advanced.load_starting_with("users/", User)) == 1

    async def test_what_cannot_be_used_is_refused(self, store):
        async with store.open_session() as session:
            for prefix in ("", " ", "a\0"):
                with pytest.raises(InvalidArgumentException):
                    await session.advanced.load_starting_with(prefix, User)
            with pytest.raises(InvalidArgumentTypeException):
                await session.advanced.load_starting_with(None, User)
            for name in ("start", "page_size"):
                for value in (-1, "5", 1.5, 2**63, True, False, IntEnum("Size", ["SMALL"]).SMALL):
                    with pytest.raises(InvalidArgumentException, match=name):
                        await session.advanced.load_starting_with("users/", User, **{name: value})
            assert session.advanced.number_of_requests == 0

    async def test_one_that_does_not_fit_says_which(self, store):
        await save(store, (User("a"), "users/1"), (Setting(1), "users/1/settings"))
        async with store.open_session() as session:
            with pytest.raises(DocumentMismatchException, match="users/1/settings"):
                await session.advanced.load_starting_with("users/", User)


class TestConditionalLoad:
    async def test_not_modified(self, store, rows):
        await save(store, (User("a"), "users/1"))
        version = str(rows.version("users", "users/1"))
        async with store.open_session() as session:
            result = await session.advanced.conditional_load("users/1", version, User)
            assert result == ConditionalLoadResult(None, version)
            assert not session.advanced.is_loaded("users/1")
            assert session.advanced.number_of_requests == 1
            assert (await session.load("users/1", User)).name == "a"

    async def test_modified(self, store, rows):
        await save(store, (User("a"), "users/1"))
        before = str(rows.version("users", "users/1"))
        await change(store, "users/1", User, name="b")
        async with store.open_session() as session:
            result = await session.advanced.conditional_load("users/1", before, User)
            assert result.entity == User("b", [], "users/1")
            assert result.change_vector == str(rows.version("users", "users/1"))
            assert await session.load("users/1", User) is result.entity
            assert session.advanced.number_of_requests == 1
            result.entity.name = "c"
            await session.save_changes()
        assert rows.data("users", "users/1")["name"] == "c"

    async def test_missing(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            for key in ("users/none", "nobody/1"):
                result = await session.advanced.conditional_load(key, "123", User)
                assert result == ConditionalLoadResult(None, None)
                assert session.advanced.is_loaded(key)
                assert await session.advanced.conditional_load(key, "123", User) == ConditionalLoadResult(None, None)
            assert session.advanced.number_of_requests == 2

    async def test_tracked(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            vector = session.advanced.get_change_vector_for(user)
            for given in (vector, "123", None, ""):
                result = await session.advanced.conditional_load("users/1", given, User)
                assert result.entity is user
                assert result.change_vector == vector
            assert session.advanced.number_of_requests == 1

    async def test_included(self, store):
        """It has come over the wire already, and is not asked for again."""
        await save(store, (User("a"), "users/1"), ({"user": "users/1"}, "things/1"))
        async with store.open_session() as session:
            await session.include("user").load("things/1")
            result = await session.advanced.conditional_load("users/1", "123", User)
            assert result.entity == User("a", [], "users/1")
            assert await session.load("users/1", User) is result.entity
            assert result.change_vector == session.advanced.get_change_vector_for(result.entity)
            assert session.advanced.number_of_requests == 1

    async def test_deleted_here(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.delete("users/1")
            result = await session.advanced.conditional_load("users/1", "123", User)
            assert result == ConditionalLoadResult(None, None)
            assert session.advanced.number_of_requests == 0

    @pytest.mark.parametrize("vector", [None, ""])
    async def test_it_needs_a_change_vector(self, store, vector):
        async with store.open_session() as session:
            with pytest.raises(ValueError, match="change vector"):
                await session.advanced.conditional_load("users/1", vector, User)

    async def test_an_unmodified_document_is_not_transferred(self, make_store, postgres_url, rows):
        with CountingProxy(postgres_url) as proxy:
            store = make_store(proxy.url)
            await save(store, (User("a" * 50_000), "users/1"))
            version = str(rows.version("users", "users/1"))
            async with store.open_session() as session:
                proxy.reset()
                await session.advanced.conditional_load("users/1", version, User)
                assert proxy.bytes_received < 2000
                assert proxy.round_trips == 1
                proxy.reset()
                await session.advanced.conditional_load("users/1", "123", User)
                assert proxy.bytes_received > 50_000
            await store.close()


class TestRefresh:
    async def test_in_place(self, kind, store, rows):
        lines = [kind.Line("a"), kind.Line("b")]
        key = await save(store, kind.Order(company="x", address=kind.Address(city="k", street="s"), lines=lines))
        async with store.open_session() as session:
            order = await session.load(key, kind.Order)
            async with store.open_session() as other:
                theirs = await other.load(key, kind.Order)
                theirs.company = "theirs"
                theirs.address = None
                theirs.lines.append(kind.Line("c"))
                await other.save_changes()
                version = other.advanced.get_change_vector_for(theirs)
            order.company = "mine"
            order.lines.clear()
            assert await session.advanced.refresh(order) is order
            assert (order.company, order.address, [line.product for line in order.lines]) == (
                "theirs",
                None,
                ["a", "b", "c"],
            )
            assert order.Id == key
            assert session.advanced.get_change_vector_for(order) == version == str(rows.version("orders", key))
            assert not session.advanced.has_changes()
            assert session.advanced.number_of_requests == 2
            order.company = "mine again"
            session.advanced.use_optimistic_concurrency = True
            await session.save_changes()
        assert rows.data("orders", key)["company"] == "mine again"

    async def test_a_dict(self, store):
        await save(store, ({"name": "a", "old": 1}, "things/1"))
        async with store.open_session() as session:
            thing = await session.load("things/1")
            async with store.open_session() as other:
                theirs = await other.load("things/1")
                del theirs["old"]
                theirs["new"] = 2
                theirs["@metadata"]["tag"] = 3
                await other.save_changes()
            thing["mine"] = 1
            assert await session.advanced.refresh(thing) is thing
            assert {key: value for key, value in thing.items() if key != "@metadata"} == {"name": "a", "new": 2}
            assert thing["@metadata"]["tag"] == 3
            assert thing["@metadata"] is session.advanced.get_metadata_for(thing)
            assert not session.advanced.has_changes()

    @pytest.mark.parametrize("frozen", ["dataclass", "slots", "attrs", "pydantic", "msgspec"])
    async def test_a_frozen_instance(self, store, frozen):
        make = FROZEN[frozen]
        cls = type(make(name="a"))
        key = await save(store, make(name="a"))
        async with store.open_session() as session:
            entity = await session.load(key, cls)
            async with store.open_session() as other:
                theirs = await other.load(key, cls)
                other.advanced.replace(theirs, make(name="b"))
                await other.save_changes()
            assert await session.advanced.refresh(entity) is entity
            assert entity.name == "b"

    async def test_unchanged_it_brings_local_changes_back(self, store):
        await save(store, (User("a", ["x"]), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            user.tags.append("y")
            await session.advanced.refresh(user)
            assert user.tags == ["x"]

    async def test_of_an_untracked_entity(self, store):
        async with store.open_session() as session:
            with pytest.raises(ValueError, match="not associated"):
                await session.advanced.refresh(User("a"))
            assert session.advanced.number_of_requests == 0

    async def test_of_one_that_was_never_saved(self, store):
        async with store.open_session() as session:
            user = User("a")
            await session.store(user, "users/1")
            with pytest.raises(ValueError, match="never saved"):
                await session.advanced.refresh(user)

    async def test_of_one_that_was_deleted_meanwhile(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            await remove(store, "users/1")
            user.name = "mine"
            with pytest.raises(DocumentDoesNotExistException, match="users/1"):
                await session.advanced.refresh(user)
            assert user.name == "mine"

    async def test_of_one_that_does_not_fit_any_more(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            user.name = "mine"
            rows.write("users", "users/1", {"name": 5})
            with pytest.raises(DocumentMismatchException, match="users/1"):
                await session.advanced.refresh(user)
            assert user.name == "mine"
            assert session.advanced.has_changed(user)

    async def test_what_was_saved_before_is_refreshed(self, store):
        async with store.open_session() as session:
            user = User("a")
            await session.store(user, "users/1")
            await session.save_changes()
            await change(store, "users/1", User, name="b")
            await session.advanced.refresh(user)
            assert user.name == "b"


class TestEvict:
    async def test_it_forgets_and_the_next_load_is_a_new_instance(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            user.name = "changed"
            session.advanced.evict(user)
            assert not session.advanced.is_loaded("users/1")
            assert not session.advanced.has_changes()
            assert session.advanced.get_document_id(user) is None
            again = await session.load("users/1", User)
            assert again is not user
            assert again.name == "a"
            assert session.advanced.number_of_requests == 2

    async def test_a_new_entity_is_not_saved(self, store, rows):
        async with store.open_session() as session:
            user = User("a")
            await session.store(user, "users/1")
            session.advanced.evict(user)
            await session.save_changes()
            assert session.advanced.number_of_requests == 0
            await session.store(User("b"), "users/1")
            await session.save_changes()
        assert rows.data("users", "users/1")["name"] == "b"

    async def test_an_unknown_one_is_fine(self, store):
        async with store.open_session() as session:
            session.advanced.evict(User("a"))

    async def test_evicted_and_stored_again_it_is_written(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.advanced.evict(user)
            await session.store(user)
            await session.save_changes()
            assert session.advanced.number_of_requests == 2

    async def test_others_stay(self, store):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with store.open_session() as session:
            users = await session.load(["users/1", "users/2"], User)
            session.advanced.evict(users["users/1"])
            assert await session.load("users/2", User) is users["users/2"]


class TestClear:
    async def test_it_forgets_everything(self, store, rows):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            user.name = "changed"
            await session.load("users/none", User)
            await session.store(User("new"), "users/3")
            session.delete("users/2")
            session.advanced.register_for_concurrency_check("users/2", "123")
            session.advanced.clear()
            assert session.advanced.get_tracked_entities() == {}
            assert not session.advanced.has_changes()
            assert session.advanced.what_changed() == {}
            for key in ("users/1", "users/2", "users/3", "users/none"):
                assert not session.advanced.is_loaded(key)
            before = session.advanced.number_of_requests
            await session.save_changes()
            assert session.advanced.number_of_requests == before
            assert (await session.load("users/1", User)) is not user
        assert rows.data("users", "users/1")["name"] == "a"
        assert rows.ids("users") == ["users/1", "users/2"]


class TestExists:
    async def test_it_asks_and_loads_nothing(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            assert await session.advanced.exists("users/1") is True
            assert await session.advanced.exists("users/2") is False
            assert await session.advanced.exists("nobody/1") is False
            assert not session.advanced.is_loaded("users/1")
            assert not session.advanced.is_loaded("users/2")
            assert session.advanced.number_of_requests == 0

    async def test_what_the_session_knows_needs_no_round_trip(self, make_store, postgres_url):
        with CountingProxy(postgres_url) as proxy:
            store = make_store(proxy.url)
            await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
            async with store.open_session() as session:
                await session.load(["users/1", "users/none"], User)
                await session.store(User("new"), "users/new")
                session.delete("users/2")
                proxy.reset()
                assert await session.advanced.exists("users/1") is True
                assert await session.advanced.exists("users/new") is True
                assert await session.advanced.exists("users/none") is False
                assert await session.advanced.exists("users/2") is False
                assert proxy.round_trips == 0
            await store.close()

    async def test_in_an_empty_database(self, store, database):
        async with store.open_session() as session:
            assert await session.advanced.exists("users/1") is False

    async def test_an_id_that_cannot_be_one(self, store):
        async with store.open_session() as session:
            for wrong in (None, 5, "", "\0"):
                with pytest.raises(InvalidArgumentException):
                    await session.advanced.exists(wrong)


@dataclasses.dataclass(frozen=True)
class FrozenDataclass:
    name: str
    Id: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlots:
    name: str
    Id: str


@attrs.frozen
class FrozenAttrs:
    name: str
    Id: str | None = None


class FrozenPydantic(pydantic.BaseModel, frozen=True):
    name: str
    Id: str | None = None


class FrozenStruct(msgspec.Struct, frozen=True):
    name: str
    Id: str | None = None


FROZEN = {
    "dataclass": FrozenDataclass,
    "slots": lambda name: FrozenSlots(name, ""),
    "attrs": FrozenAttrs,
    "pydantic": FrozenPydantic,
    "msgspec": FrozenStruct,
}


class TestReplace:
    @pytest.mark.parametrize("frozen", FROZEN)
    async def test_a_frozen_instance_is_changed_by_it(self, store, frozen, rows):
        make = FROZEN[frozen]
        old, new = make(name="a"), make(name="b")
        cls = type(old)
        key = await save(store, old)
        assert old.Id == key
        async with store.open_session() as session:
            loaded = await session.load(key, cls)
            assert loaded == old
            session.advanced.replace(loaded, new)
            assert new.Id == key
            assert await session.load(key, cls) is new
            assert session.advanced.get_document_id(loaded) is None
            assert session.advanced.has_changed(new)
            (told,) = session.advanced.what_changed()[key]
            assert (told.field_name, told.field_old_value, told.field_new_value) == ("name", "a", "b")
            await session.save_changes()
            assert session.advanced.number_of_requests == 2
            assert not session.advanced.has_changes()
        async with store.open_session() as session:
            assert (await session.load(key, cls)).name == "b"

    async def test_any_instance(self, kind, store):
        key = await save(store, kind.Company(name="a"))
        async with store.open_session() as session:
            company = await session.load(key, kind.Company)
            new = kind.Company(name="b")
            session.advanced.replace(company, new)
            company.name = "of no concern any more"
            await session.save_changes()
            assert new.Id == key
        async with store.open_session() as session:
            assert (await session.load(key, kind.Company)).name == "b"

    async def test_it_keeps_the_version_and_the_fields_that_the_class_does_not_know(self, store, rows):
        await save(store, (FrozenDataclass("a"), "x/1"))
        rows.write("frozen_dataclasses", "x/1", {"name": "a", "unknown": {"deep": [1]}})
        async with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            old = await session.load("x/1", FrozenDataclass)
            vector = session.advanced.get_change_vector_for(old)
            new = dataclasses.replace(old, name="b")
            session.advanced.replace(old, new)
            assert session.advanced.get_change_vector_for(new) == vector
            await session.save_changes()
        assert rows.data("frozen_dataclasses", "x/1") == {"name": "b", "unknown": {"deep": [1]}}

    async def test_by_an_equal_one_is_no_change(self, store):
        key = await save(store, FrozenStruct("a"))
        async with store.open_session() as session:
            old = await session.load(key, FrozenStruct)
            session.advanced.replace(old, FrozenStruct("a"))
            assert not session.advanced.has_changes()

    async def test_by_itself_is_nothing(self, store):
        key = await save(store, FrozenStruct("a"))
        async with store.open_session() as session:
            old = await session.load(key, FrozenStruct)
            session.advanced.replace(old, old)
            assert await session.load(key) is old

    async def test_what_cannot_be_is_refused(self, store):
        async with store.open_session() as session:
            one, two = User("a"), User("b")
            await session.store(one)
            await session.store(two)
            with pytest.raises(InvalidOperationException, match="not associated"):
                session.advanced.replace(User("c"), User("d"))
            with pytest.raises(NonUniqueObjectException):
                session.advanced.replace(one, two)
            with pytest.raises(InvalidArgumentTypeException):
                session.advanced.replace(one, Setting(1))
            assert await session.load(one.Id) is one
            assert await session.load(two.Id) is two


class TestWhatIsTracked:
    async def test_get_tracked_entities(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            loaded = await session.load("users/1", User)
            new = User("b")
            await session.store(new, "users/2")
            await session.load("users/none", User)
            assert session.advanced.get_tracked_entities() == {
                "users/1": {"id": "users/1", "entity": loaded, "is_deleted": False},
                "users/2": {"id": "users/2", "entity": new, "is_deleted": False},
            }

    async def test_get_document_id(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            assert session.advanced.get_document_id(user) == "users/1"
            assert session.advanced.get_document_id(User("a", [], "users/1")) is None
            assert session.advanced.get_document_id(None) is None
            assert session.advanced.get_document_id("users/1") is None

    async def test_is_loaded(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            assert not session.advanced.is_loaded("users/1")
            await session.load("users/1", User)
            assert session.advanced.is_loaded("users/1")
            await session.store(User("b"), "users/2")
            assert session.advanced.is_loaded("users/2")
