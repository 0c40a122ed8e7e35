"""Deleting: by entity and by id, checked and not, taken back, and what the session says of it meanwhile."""

import dataclasses

import pytest

from docsession import (
    ChangeType,
    ConcurrencyException,
    DocSessionError,
    InvalidArgumentException,
    InvalidOperationException,
)
from tests.support.documents import change, read, remove, save


@dataclasses.dataclass
class User:
    name: str
    Id: str | None = None


@dataclasses.dataclass
class Setting:
    value: int
    Id: str | None = None


class TestByEntity:
    async def test_the_document_is_gone_after_the_save_and_not_before(self, store, rows):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with store.open_session() as session:
            session.delete(await session.load("users/1", User))
            assert rows.ids("users") == ["users/1", "users/2"]
            assert session.advanced.number_of_requests == 1
            await session.save_changes()
            assert session.advanced.number_of_requests == 2
        assert rows.ids("users") == ["users/2"]

    async def test_every_kind_of_class(self, kind, store, rows):
        key = await save(store, kind.Company(name="a"))
        async with store.open_session() as session:
            session.delete(await session.load(key, kind.Company))
            await session.save_changes()
        assert rows.ids("companies") == []

    async def test_a_dict(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.delete(await session.load("users/1"))
            await session.save_changes()
        assert rows.ids("users") == []

    async def test_changes_are_dropped_with_it(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            user.name = "b"
            session.delete(user)
            await session.save_changes()
        assert rows.ids("users") == []

    async def test_an_untracked_entity_is_refused(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            await session.load("users/1", User)
            with pytest.raises(InvalidOperationException, match=r"not associated with the session"):
                session.delete(User("a", "users/1"))
            assert not session.advanced.has_changes()

    async def test_an_entity_of_another_session_is_refused(self, store):
        await save(store, (User("a"), "users/1"))
        user = await read(store, "users/1", User)
        async with store.open_session() as session:
            with pytest.raises(InvalidOperationException):
                session.delete(user)

    @pytest.mark.parametrize("nothing", [None, "", " "])
    async def test_nothing_is_refused(self, store, nothing):
        async with store.open_session() as session:
            with pytest.raises(ValueError, match="id"):
                session.delete(nothing)

    @pytest.mark.parametrize("wrong", [5, b"users/1", ["users/1"], object(), User])
    async def test_what_is_neither_an_entity_nor_an_id_is_refused(self, store, wrong):
        async with store.open_session() as session:
            with pytest.raises(DocSessionError):
                session.delete(wrong)
            assert not session.advanced.has_changes()

    async def test_deleting_twice_is_deleting_once(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.delete(user)
            session.delete("users/1")
            session.delete("users/1")
            await session.save_changes()
            await session.save_changes()
            assert session.advanced.number_of_requests == 2
        assert rows.ids("users") == []


class TestById:
    async def test_a_document_that_was_not_loaded(self, store, rows):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with store.open_session() as session:
            session.delete("users/1")
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
        assert rows.ids("users") == ["users/2"]

    async def test_a_tracked_document_that_is_unchanged(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            await session.load("users/1", User)
            session.delete("users/1")
            await session.save_changes()
        assert rows.ids("users") == []

    async def test_a_tracked_document_that_was_changed_is_refused(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            user.name = "b"
            with pytest.raises(InvalidOperationException, match=r"delete\(entity\)"):
                session.delete("users/1")
            await session.save_changes()
        assert rows.data("users", "users/1") == {"name": "b"}

    async def test_one_that_does_not_exist_is_fine(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.delete("users/none")
            session.delete("nobody/1")
            session.delete("ayende")
            await session.save_changes()
            assert await session.load(["users/none", "nobody/1", "ayende"]) == {
                "users/none": None,
                "nobody/1": None,
                "ayende": None,
            }
            assert session.advanced.number_of_requests == 1

    async def test_in_an_empty_database_is_fine(self, store, database):
        async with store.open_session() as session:
            session.delete("users/none")
            await session.save_changes()
            assert not session.advanced.has_changes()

    async def test_whatever_table_it_lies_in(self, store, rows):
        await save(store, (User("a"), "users/1"), (Setting(1), "users/1/settings"), (Setting(2), "global"))
        async with store.open_session() as session:
            session.delete("users/1/settings")
            session.delete("global")
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
        assert rows.ids("settings") == []
        assert rows.ids("users") == ["users/1"]

    async def test_in_a_table_that_another_store_made_meanwhile(self, make_store, rows):
        here, there = make_store(), make_store()
        await save(here, (User("a"), "users/1"))
        await save(there, (Setting(1), "users/1/settings"))
        async with here.open_session() as session:
            session.delete("users/1/settings")
            try:
                await session.save_changes()
            except ConcurrencyException:
                await session.save_changes()
        assert rows.ids("settings") == []

    async def test_an_included_document(self, store, rows):
        await save(store, ({"owner": "users/1"}, "things/1"), (User("a"), "users/1"))
        async with store.open_session() as session:
            await session.include("owner").load("things/1")
            session.delete("users/1")
            assert await session.load("users/1", User) is None
            await session.save_changes()
        assert rows.ids("users") == []


class TestChecked:
    async def test_an_id_with_the_current_version(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.delete("users/1", str(rows.version("users", "users/1")))
            await session.save_changes()
        assert rows.ids("users") == []

    async def test_an_id_with_a_past_version_is_a_conflict(self, store, rows):
        await save(store, (User("a"), "users/1"))
        version = str(rows.version("users", "users/1"))
        await change(store, "users/1", User, name="b")
        async with store.open_session() as session:
            session.delete("users/1", version)
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
            assert session.advanced.has_changes()
        assert (caught.value.id, caught.value.expected) == ("users/1", version)
        assert caught.value.actual == str(rows.version("users", "users/1"))
        assert rows.data("users", "users/1") == {"name": "b"}

    async def test_an_id_that_does_not_exist_is_a_conflict(self, store):
        await save(store, (User("a"), "users/1"))
        for key in ("users/none", "nobody/1", "ayende"):
            async with store.open_session() as session:
                session.delete(key, "123")
                with pytest.raises(ConcurrencyException, match=key) as caught:
                    await session.save_changes()
                assert caught.value.actual is None

    async def test_an_entity_with_a_past_version_is_a_conflict(self, store, rows):
        await save(store, (User("a"), "users/1"))
        version = str(rows.version("users", "users/1"))
        await change(store, "users/1", User, name="b")
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.delete(user, version)
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
        assert rows.ids("users") == ["users/1"]

    async def test_an_entity_with_its_version(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.delete(user, session.advanced.get_change_vector_for(user))
            await session.save_changes()
        assert rows.ids("users") == []

    async def test_among_others_it_refuses_all_of_them(self, store, rows):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"), (Setting(1), "settings/1"))
        async with store.open_session() as session:
            session.delete("users/1")
            session.delete("users/2", "123")
            session.delete("settings/1")
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
        assert [conflict.id for conflict in caught.value.conflicts] == ["users/2"]
        assert rows.ids("users") == ["users/1", "users/2"]
        assert rows.ids("settings") == ["settings/1"]

    async def test_without_a_check_the_last_write_wins(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            await change(store, "users/1", User, name="b")
            session.delete(user)
            await session.save_changes()
        assert rows.ids("users") == []

    async def test_under_optimistic_concurrency_the_loaded_version_is_checked(self, store, rows):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        for by_id in (False, True):
            async with store.open_session() as session:
                session.advanced.use_optimistic_concurrency = True
                user = await session.load("users/1", User)
                await change(store, "users/1", User, name=f"changed {by_id}")
                session.delete("users/1" if by_id else user)
                with pytest.raises(ConcurrencyException):
                    await session.save_changes()
        async with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            session.delete("users/2")
            await session.save_changes()
        assert rows.ids("users") == ["users/1"]

    async def test_one_that_somebody_deleted_first_is_a_conflict_where_it_is_checked(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            user = await session.load("users/1", User)
            await remove(store, "users/1")
            session.delete(user)
            with pytest.raises(ConcurrencyException, match="deleted meanwhile"):
                await session.save_changes()

    @pytest.mark.parametrize("wrong", ["A:1-x", "-5"])
    async def test_what_is_no_change_vector_is_refused(self, store, wrong):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException):
                session.delete("users/1", wrong)
            assert not session.advanced.has_changes()


class TestWhatTheSessionSaysOfIt:
    @pytest.mark.parametrize("saved", [False, True], ids=["before the save", "after it"])
    async def test_it_is_known_to_be_gone(self, store, saved):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.delete(user)
            session.delete("users/2")
            if saved:
                await session.save_changes()
            before = session.advanced.number_of_requests
            assert await session.load("users/1", User) is None
            assert await session.load(["users/1", "users/2"], User) == {"users/1": None, "users/2": None}
            assert session.advanced.is_loaded("users/1")
            assert session.advanced.is_loaded("users/2")
            assert not await session.advanced.exists("users/1")
            assert await session.advanced.load_starting_with("users/", User) == []
            assert session.advanced.number_of_requests == before + 1
            assert session.advanced.get_document_id(user) is None
            assert session.advanced.has_changes() is not saved

    async def test_it_is_a_change(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.delete(user)
            session.delete("users/2")
            changes = session.advanced.what_changed()
            assert {key: [each.change for each in found] for key, found in changes.items()} == {
                "users/1": [ChangeType.DOCUMENT_DELETED],
                "users/2": [ChangeType.DOCUMENT_DELETED],
            }
            assert [each.change for each in session.advanced.what_changed_for(user)] == [ChangeType.DOCUMENT_DELETED]
            assert session.advanced.get_tracked_entities() == {
                "users/1": {"id": "users/1", "entity": user, "is_deleted": True},
                "users/2": {"id": "users/2", "entity": None, "is_deleted": True},
            }

    async def test_evicting_it_takes_the_deletion_back_and_keeps_it_known_as_missing(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.delete(user)
            session.advanced.evict(user)
            assert not session.advanced.has_changes()
            assert await session.load("users/1", User) is None
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
        assert rows.ids("users") == ["users/1"]


class TestTheLastWordCounts:
    async def test_stored_again_it_is_not_deleted(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.delete(user)
            await session.store(user)
            assert await session.load("users/1", User) is user
            assert not session.advanced.has_changes()
            user.name = "b"
            await session.save_changes()
            assert session.advanced.number_of_requests == 2
        assert rows.data("users", "users/1") == {"name": "b"}

    async def test_a_new_entity_takes_its_place(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.delete(await session.load("users/1", User))
            new = User("new")
            await session.store(new, "users/1")
            assert await session.load("users/1", User) is new
            await session.save_changes()
            assert session.advanced.number_of_requests == 2
        assert rows.data("users", "users/1") == {"name": "new"}

    async def test_a_new_entity_after_a_deletion_by_id(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.delete("users/1")
            await session.store(User("new"), "users/1")
            await session.save_changes()
        assert rows.data("users", "users/1") == {"name": "new"}

    async def test_what_was_deleted_unseen_is_replaced_unseen(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            session.delete("users/1")
            await session.store(User("new"), "users/1")
            await session.save_changes()
        assert rows.data("users", "users/1") == {"name": "new"}

    async def test_the_new_one_has_no_fields_of_the_old(self, store, rows):
        await save(store, ({"name": "a", "age": 3, "@metadata": {"@collection": "Users", "tag": 1}}, "users/1"))
        async with store.open_session() as session:
            session.delete(await session.load("users/1", User))
            await session.store(User("new"), "users/1")
            await session.save_changes()
        assert rows.data("users", "users/1") == {"name": "new"}
        assert not rows.metadata("users", "users/1")

    async def test_checked_it_replaces_only_what_was_loaded(self, store, rows):
        await save(store, (User("a"), "users/1"), (User("a"), "users/2"))
        async with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            found = await session.load(["users/1", "users/2"], User)
            session.delete(found["users/1"])
            await session.store(User("new"), "users/1")
            await session.save_changes()
            assert rows.data("users", "users/1") == {"name": "new"}
            await change(store, "users/2", User, name="other")
            session.delete(found["users/2"])
            await session.store(User("new"), "users/2")
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
        assert rows.data("users", "users/2") == {"name": "other"}

    async def test_deleted_stored_and_deleted_again_it_is_gone(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.delete(user)
            await session.store(user)
            session.delete(user)
            await session.save_changes()
        assert rows.ids("users") == []

    async def test_stored_again_after_the_save_it_is_a_new_document(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            user = await session.load("users/1", User)
            session.delete(user)
            await session.save_changes()
            assert rows.ids("users") == []
            await session.store(user)
            assert session.advanced.get_change_vector_for(user) is None
            await session.save_changes()
        assert rows.data("users", "users/1") == {"name": "a"}

    async def test_a_new_entity_that_is_deleted_before_the_save_is_not_written(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            generated, named = User("b"), User("c")
            await session.store(generated)
            await session.store(named, "users/1")
            session.delete(generated)
            session.delete(named)
            await session.save_changes()
            assert await session.load([generated.Id, "users/1"], User) == {generated.Id: None, "users/1": None}
        assert rows.ids("users") == []

    async def test_only_a_generated_entity_deleted_again_is_no_request(self, store):
        async with store.open_session() as session:
            user = User("a")
            await session.store(user)
            session.delete(user)
            await session.save_changes()
            assert session.advanced.number_of_requests == 0
            assert not session.advanced.has_changes()
