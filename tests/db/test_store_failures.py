"""A store that fails leaves nothing behind: neither a tracked entity nor a changed one."""

import dataclasses

import pytest

from docsession import DocSessionError, InvalidArgumentException, NonUniqueObjectException, document
from tests.support.documents import save


@dataclasses.dataclass
class User:
    name: str
    Id: str | None = None


class ReadOnly:
    """Its id is declared, and cannot be set."""

    def __init__(self):
        self.name = "a"

    @property
    def Id(self):  # the name that RavenDB gives it
        return None


@document(id_attribute="key")
class Particular:
    """It looks at its id."""

    def __init__(self):
        self.__dict__["key"] = None
        self.name = "a"

    @property
    def key(self):
        return self.__dict__["key"]

    @key.setter
    def key(self, value):
        if not value.endswith("7"):
            raise ValueError("an id ends with 7")
        self.__dict__["key"] = value


@pytest.mark.parametrize("cls", [ReadOnly, Particular])
@pytest.mark.parametrize("key", ["things/1", None])
async def test_an_entity_that_does_not_take_its_id_is_not_tracked(store, rows, cls, key):
    await save(store, (User("a"), "users/1"))
    async with store.open_session() as session:
        for _ in range(2):
            with pytest.raises(InvalidArgumentException, match=f"this {cls.__name__} does not take its id, ") as caught:
                await session.store(cls(), key)
            assert isinstance(caught.value.__cause__, AttributeError | ValueError)
        assert session.advanced.get_tracked_entities() == {}
        assert not session.advanced.has_changes()
        await session.store(User("b"), "users/2")
        await session.save_changes()
    assert rows.ids("users") == ["users/1", "users/2"]


async def test_its_id_can_be_given_to_another(store, rows):
    async with store.open_session() as session:
        with pytest.raises(InvalidArgumentException):
            await session.store(Particular(), "things/1")
        await session.store(User("a"), "things/1")
        entity = Particular()
        await session.store(entity, "things/7")
        await session.save_changes()
        assert entity.key == "things/7"
    assert rows.ids("users") == ["things/1"]


async def test_a_deletion_that_it_would_have_taken_back_stays(store, rows):
    await save(store, (User("a"), "users/1"))
    async with store.open_session() as session:
        session.delete("users/1")
        with pytest.raises(InvalidArgumentException):
            await session.store(Particular(), "users/1")
        await session.save_changes()
    assert rows.ids("users") == []


async def test_a_dict_whose_metadata_cannot_be_is_not_tracked(store):
    async with store.open_session() as session:
        for metadata in (5, {"@types": {}}, {"a": object()}):
            entity = {"name": "a", "@metadata": metadata}
            with pytest.raises(DocSessionError):
                await session.store(entity, "users/1")
                await session.save_changes()
            session.advanced.clear()
        assert session.advanced.get_tracked_entities() == {}


async def test_a_second_instance_keeps_its_own_id(store):
    async with store.open_session() as session:
        await session.store(User("a"), "users/1")
        twin = User("b")
        with pytest.raises(NonUniqueObjectException):
            await session.store(twin, "users/1")
        assert twin.Id is None


@pytest.mark.parametrize("version", [2**63 - 1, 2**63 - 2048, 2**63, 10**19])
async def test_a_change_vector_that_no_version_can_follow_is_refused(store, version):
    async with store.open_session() as session:
        user = User("a")
        for call in (
            lambda: session.advanced.register_for_concurrency_check("users/1", str(version)),
            lambda: session.delete("users/1", str(version)),
        ):
            with pytest.raises(InvalidArgumentException, match="is no change vector"):
                call()
        with pytest.raises(InvalidArgumentException, match="is no change vector"):
            await session.store(user, "users/1", str(version))
        assert session.advanced.get_tracked_entities() == {}
        assert not session.advanced.has_changes()


@pytest.mark.parametrize("count", [1, 2])
async def test_the_highest_one_is_a_conflict_like_any_other(store, count):
    async with store.open_session() as session:
        for i in range(count):
            await session.store(User("a"), f"users/{i}", str(2**63 - 2049))
        with pytest.raises(DocSessionError) as caught:
            await session.save_changes()
        assert [conflict.id for conflict in caught.value.conflicts] == [f"users/{i}" for i in range(count)]
