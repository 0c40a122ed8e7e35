"""A session that remembers nothing: every load is a new instance, and nothing can be saved."""

import dataclasses

import pytest

from docsession import (
    ConditionalLoadResult,
    InvalidOperationException,
    OptimisticConcurrencyMode,
    SessionOptions,
)
from tests.support.documents import save


@dataclasses.dataclass
class User:
    name: str
    friend: str | None = None
    Id: str | None = None


def untracked(store):
    return store.open_session(session_options=SessionOptions(no_tracking=True))


class TestReading:
    async def test_every_load_is_a_request_and_a_new_instance(self, store):
        await save(store, (User("a"), "users/1"))
        async with untracked(store) as session:
            one = await session.load("users/1", User)
            other = await session.load("users/1", User)
            assert one == other == User("a", None, "users/1")
            assert one is not other
            assert session.advanced.number_of_requests == 2
            assert not session.advanced.is_loaded("users/1")
            assert session.advanced.get_tracked_entities() == {}

    async def test_of_several_too(self, store):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with untracked(store) as session:
            first = await session.load(["users/1", "users/2", "users/none"], User)
            second = await session.load(["users/1", "users/2", "users/none"], User)
            assert first == second
            assert list(first) == ["users/1", "users/2", "users/none"]
            assert first["users/none"] is None
            assert first["users/1"] is not second["users/1"]
            assert session.advanced.number_of_requests == 2

    async def test_a_missing_id_is_not_remembered(self, store):
        async with untracked(store) as session:
            assert await session.load("users/1", User) is None
            assert not session.advanced.is_loaded("users/1")
            await save(store, (User("a"), "users/1"))
            assert (await session.load("users/1", User)).name == "a"

    async def test_in_every_kind_of_class(self, kind, store):
        key = await save(store, kind.Order(company="x", lines=[kind.Line("a")]))
        async with untracked(store) as session:
            order = await session.load(key, kind.Order)
            assert (type(order), order.Id, order.lines[0].product) == (kind.Order, key, "a")

    async def test_as_dicts(self, store):
        await save(store, (User("a"), "users/1"))
        async with untracked(store) as session:
            user = await session.load("users/1")
            assert user["name"] == "a"
            assert user["@metadata"]["@id"] == "users/1"

    async def test_by_prefix(self, store):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with untracked(store) as session:
            users = await session.advanced.load_starting_with("users/", User)
            assert [user.name for user in users] == ["a", "b"]
            assert not session.advanced.is_loaded("users/1")

    async def test_on_condition(self, store, rows):
        await save(store, (User("a"), "users/1"))
        version = str(rows.version("users", "users/1"))
        async with untracked(store) as session:
            assert await session.advanced.conditional_load("users/1", version, User) == ConditionalLoadResult(
                None, version
            )
            for _ in range(2):
                found = await session.advanced.conditional_load("users/1", "123", User)
                assert found == ConditionalLoadResult(User("a", None, "users/1"), version)
            for _ in range(2):
                assert await session.advanced.conditional_load("users/2", "123", User) == ConditionalLoadResult(
                    None, None
                )
            assert session.advanced.number_of_requests == 5
            assert not session.advanced.is_loaded("users/2")

    async def test_exists(self, store):
        await save(store, (User("a"), "users/1"))
        async with untracked(store) as session:
            assert await session.advanced.exists("users/1")
            assert not await session.advanced.exists("users/2")
            await save(store, (User("b"), "users/2"))
            assert await session.advanced.exists("users/2")


class TestWriting:
    async def test_nothing_can_be_stored(self, store):
        async with untracked(store) as session:
            user = User("a")
            with pytest.raises(InvalidOperationException, match="no_tracking"):
                await session.store(user, "users/1")
            assert user.Id is None
            with pytest.raises(RuntimeError):
                await session.store(user)

    async def test_a_deletion_is_accepted_and_its_save_is_not(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with untracked(store) as session:
            session.delete("users/1")
            with pytest.raises(InvalidOperationException, match="no_tracking"):
                await session.save_changes()
        assert rows.ids("users") == ["users/1"]

    async def test_nothing_changes(self, store):
        await save(store, (User("a"), "users/1"))
        async with untracked(store) as session:
            user = await session.load("users/1", User)
            user.name = "b"
            assert not session.advanced.has_changes()
            assert not session.advanced.has_changed(user)
            assert session.advanced.what_changed() == {}
            with pytest.raises(InvalidOperationException):
                await session.save_changes()

    async def test_an_entity_is_not_known(self, store):
        await save(store, (User("a"), "users/1"))
        async with untracked(store) as session:
            user = await session.load("users/1", User)
            assert session.advanced.get_document_id(user) is None
            for ask in (
                session.advanced.get_change_vector_for,
                session.advanced.get_metadata_for,
                session.advanced.get_last_modified_for,
            ):
                with pytest.raises(ValueError, match="not associated"):
                    ask(user)
            with pytest.raises(ValueError, match="not associated"):
                await session.advanced.refresh(user)
            with pytest.raises(InvalidOperationException):
                session.delete(user)
            session.advanced.evict(user)
            session.advanced.clear()

    async def test_there_is_nowhere_to_keep_included_documents(self, store):
        await save(store, (User("a", "users/1"), "users/1"))
        async with untracked(store) as session:
            with pytest.raises(InvalidOperationException, match="no_tracking"):
                await session.load("users/1", User, includes=lambda b: b.include_documents("friend"))
            with pytest.raises(InvalidOperationException, match="no_tracking"):
                await session.load(["users/1"], User, includes=lambda b: b.include_documents("friend"))
            with pytest.raises(InvalidOperationException, match="no_tracking"):
                await session.include("friend").load("users/1", User)
            assert session.advanced.number_of_requests == 0


class TestTheOption:
    async def test_it_excludes_checks(self, store):
        for mode in (OptimisticConcurrencyMode.WRITES, OptimisticConcurrencyMode.WRITES_AND_READS):
            options = SessionOptions(no_tracking=True, optimistic_concurrency_mode=mode)
            with pytest.raises(RuntimeError, match="no_tracking"):
                store.open_session(session_options=options)
        async with untracked(store) as session:
            assert session.advanced.optimistic_concurrency_mode is OptimisticConcurrencyMode.NONE
            with pytest.raises(InvalidOperationException):
                session.advanced.use_optimistic_concurrency = True
            session.advanced.use_optimistic_concurrency = False

    async def test_a_convention_with_checks_gives_way(self, make_store):
        from docsession import DocumentConventions

        conventions = DocumentConventions()
        conventions.use_optimistic_concurrency = True
        async with untracked(make_store(conventions=conventions)) as session:
            assert session.advanced.use_optimistic_concurrency is False

    async def test_false_is_the_same_as_none(self, store):
        async with store.open_session(session_options=SessionOptions(no_tracking=False)) as session:
            await session.store(User("a"))
            await session.save_changes()
