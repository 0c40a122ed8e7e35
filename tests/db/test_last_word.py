"""Deleting and storing under one id in one session: the last word counts."""

import dataclasses

import pytest

from docsession import (
    CollectionMismatchException,
    ConcurrencyException,
    InvalidArgumentException,
    NonUniqueObjectException,
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


@pytest.fixture(params=[False, True], ids=["unchecked", "checked"])
def is_checked(request):
    """Without and with optimistic concurrency."""
    return request.param


def opened(store, is_checked):
    session = store.open_session()
    session.advanced.use_optimistic_concurrency = is_checked
    return session


async def prepare(store):
    """Store a user `keys/1`, and let both collections have ids like it."""
    await save(store, (User("a"), "keys/1"), (Setting(1), "keys/2"))


class TestAnotherCollection:
    async def test_the_document_moves_to_the_other_table(self, store, rows, is_checked):
        await prepare(store)
        async with opened(store, is_checked) as session:
            session.delete(await session.load("keys/1", User))
            setting = Setting(5)
            await session.store(setting, "keys/1")
            await session.save_changes()
            assert session.advanced.number_of_requests == 2
            assert await session.load("keys/1", Setting) is setting
            assert not session.advanced.has_changes()
            setting.value = 6
            await session.save_changes()
        assert rows.ids("users") == []
        assert rows.data("settings", "keys/1") == {"value": 6}
        assert (await read(store, "keys/1"))["value"] == 6

    async def test_so_it_does_when_it_was_deleted_by_its_id(self, store, rows, is_checked):
        await prepare(store)
        async with opened(store, is_checked) as session:
            session.delete("keys/1")
            await session.store(Setting(5), "keys/1")
            await session.save_changes()
            assert not session.advanced.has_changes()
        assert rows.ids("users") == []
        assert rows.data("settings", "keys/1") == {"value": 5}

    async def test_into_a_table_that_is_made_for_it(self, store, rows, is_checked):
        await save(store, (User("a"), "keys/1"))
        async with opened(store, is_checked) as session:
            session.delete(await session.load("keys/1", User))
            await session.store(Setting(5), "keys/1")
            await session.save_changes()
        assert rows.ids("users") == []
        assert rows.ids("settings") == ["keys/1"]

    async def test_a_document_that_others_changed_is_a_conflict(self, store, rows):
        await prepare(store)
        async with opened(store, True) as session:
            session.delete(await session.load("keys/1", User))
            await change(store, "keys/1", User, name="b")
            await session.store(Setting(5), "keys/1")
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
        assert [conflict.id for conflict in caught.value.conflicts] == ["keys/1"]
        assert rows.data("users", "keys/1") == {"name": "b"}
        assert rows.ids("settings") == ["keys/2"]

    async def test_deleted_once_more_nothing_is_left(self, store, rows, is_checked):
        await prepare(store)
        async with opened(store, is_checked) as session:
            session.delete(await session.load("keys/1", User))
            setting = Setting(5)
            await session.store(setting, "keys/1")
            session.delete(setting)
            await session.save_changes()
            assert await session.load("keys/1", User) is None
        assert rows.ids("users") == []
        assert rows.ids("settings") == ["keys/2"]

    async def test_the_deleted_instance_does_not_come_back_beside_the_new_one(self, store, rows):
        await prepare(store)
        async with store.open_session() as session:
            user = await session.load("keys/1", User)
            session.delete(user)
            await session.store(Setting(5), "keys/1")
            with pytest.raises(NonUniqueObjectException, match="keys/1"):
                await session.store(user)
            await session.save_changes()
        assert rows.ids("users") == []
        assert rows.ids("settings") == ["keys/1", "keys/2"]

    async def test_without_the_deletion_it_is_refused(self, store, rows):
        await prepare(store)
        async with store.open_session() as session:
            await session.store(Setting(5), "keys/1")
            with pytest.raises(CollectionMismatchException, match="'keys/1'"):
                await session.save_changes()
        assert rows.ids("users") == ["keys/1"]


class TestTheSameCollection:
    async def test_a_new_entity_takes_the_place_of_a_deleted_one(self, store, rows, is_checked):
        await prepare(store)
        async with opened(store, is_checked) as session:
            session.delete(await session.load("keys/1", User))
            await session.store(User("new"), "keys/1")
            await session.save_changes()
        assert rows.data("users", "keys/1") == {"name": "new"}

    async def test_and_of_one_deleted_by_its_id(self, store, rows, is_checked):
        await prepare(store)
        async with opened(store, is_checked) as session:
            session.delete("keys/1")
            user = User("new")
            await session.store(user, "keys/1")
            await session.save_changes()
            assert rows.data("users", "keys/1") == {"name": "new"}
            # From now on it is a document like any other: checked.
            await change(store, "keys/1", User, name="theirs")
            user.name = "mine"
            if is_checked:
                with pytest.raises(ConcurrencyException):
                    await session.save_changes()

    async def test_and_of_one_that_does_not_exist(self, store, rows, is_checked):
        await prepare(store)
        async with opened(store, is_checked) as session:
            session.delete("keys/7")
            await session.store(User("new"), "keys/7")
            await session.save_changes()
        assert rows.ids("users") == ["keys/1", "keys/7"]

    async def test_the_version_that_the_deletion_expected_is_expected_still(self, store, rows, is_checked):
        await prepare(store)
        version = str(rows.version("users", "keys/1"))
        await change(store, "keys/1", User, name="b")
        async with opened(store, is_checked) as session:
            session.delete("keys/1", version)
            await session.store(User("new"), "keys/1")
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
        assert [conflict.expected for conflict in caught.value.conflicts] == [version]
        assert rows.data("users", "keys/1") == {"name": "b"}

    async def test_what_others_did_to_the_deleted_entity_is_a_conflict(self, store, rows):
        await prepare(store)
        async with opened(store, True) as session:
            session.delete(await session.load("keys/1", User))
            await session.store(User("new"), "keys/1")
            await remove(store, "keys/1")
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
        assert rows.ids("users") == []


class TestWhatMustNotExist:
    async def test_a_deletion_of_it_is_refused(self, store):
        await prepare(store)
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException, match="must not exist, so there is nothing to delete"):
                session.delete("keys/9", "")
            assert not session.advanced.has_changes()

    async def test_a_registered_check_lets_the_deletion_of_nothing_pass(self, store, rows):
        await prepare(store)
        async with store.open_session() as session:
            session.advanced.register_for_concurrency_check("keys/9", "")
            session.delete("keys/9")
            await session.save_changes()
            assert not session.advanced.has_changes()
        assert rows.ids("users") == ["keys/1"]

    async def test_and_refuses_that_of_something(self, store, rows):
        await prepare(store)
        async with store.open_session() as session:
            session.advanced.register_for_concurrency_check("keys/1", "")
            session.delete("keys/1")
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
        assert [(conflict.id, conflict.expected) for conflict in caught.value.conflicts] == [("keys/1", "")]
        assert rows.ids("users") == ["keys/1"]
