"""Who wins when two sessions write the same document, and what the loser is told."""

import dataclasses

import pytest

from docsession import (
    ConcurrencyException,
    Conflict,
    ConflictException,
    DocSessionError,
    DocumentConventions,
    DocumentDoesNotExistException,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    OptimisticConcurrencyMode,
    RavenException,
    SessionOptions,
)
from tests.support.documents import change, read, remove, save

NONE = OptimisticConcurrencyMode.NONE
WRITES = OptimisticConcurrencyMode.WRITES
WRITES_AND_READS = OptimisticConcurrencyMode.WRITES_AND_READS


@dataclasses.dataclass
class User:
    name: str
    Id: str | None = None


@dataclasses.dataclass
class Company:
    name: str
    Id: str | None = None


def checked(store, mode=WRITES):
    return store.open_session(session_options=SessionOptions(optimistic_concurrency_mode=mode))


class TestWithoutChecks:
    async def test_it_is_the_default(self, store):
        async with store.open_session() as session:
            assert session.advanced.optimistic_concurrency_mode is NONE
            assert session.advanced.use_optimistic_concurrency is False

    async def test_the_last_write_wins(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            await change(store, "users/1", User, name="theirs")
            user.name = "mine"
            await session.save_changes()
        assert (await read(store, "users/1", User)).name == "mine"

    async def test_an_update_of_a_document_deleted_meanwhile_creates_it_again(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            await remove(store, "users/1")
            user.name = "mine"
            await session.save_changes()
        assert (await read(store, "users/1", User)).name == "mine"

    async def test_versions_grow_whoever_writes(self, store, rows):
        await save(store, (User("a"), "users/1"))
        versions = [rows.version("users", "users/1")]
        async with store.open_session() as one, store.open_session() as other:
            for session, name in ((one, "b"), (other, "c"), (one, "d"), (other, "e")):
                user = await session.load("users/1", User)
                user.name = name
                await session.save_changes()
                versions.append(rows.version("users", "users/1"))
                assert session.advanced.get_change_vector_for(user) == str(versions[-1])
        assert versions == sorted(set(versions))


class TestWrites:
    async def test_nothing_in_the_way_is_saved(self, store, rows):
        await save(store, *((User(f"{i}"), f"users/{i}") for i in range(20)))
        async with checked(store) as session:
            users = await session.load([f"users/{i}" for i in range(20)], User)
            for i, user in enumerate(users.values()):
                if i % 3 == 0:
                    session.delete(user)
                elif i % 3 == 1:
                    user.name += "!"
            await session.store(User("new"), "users/new")
            await session.store(Company("new"), "companies/new")
            await session.save_changes()
            await session.save_changes()
            assert session.advanced.number_of_requests == 2
        names = {key: rows.data("users", key)["name"] for key in rows.ids("users")}
        kept = {f"users/{i}": f"{i}!" if i % 3 == 1 else f"{i}" for i in range(20) if i % 3}
        assert names == kept | {"users/new": "new"}

    async def test_a_changed_document_is_a_conflict(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with checked(store) as session:
            user = await session.load("users/1", User)
            expected = session.advanced.get_change_vector_for(user)
            await change(store, "users/1", User, name="theirs")
            user.name = "mine"
            with pytest.raises(ConcurrencyException, match="changed meanwhile") as caught:
                await session.save_changes()
        actual = str(rows.version("users", "users/1"))
        assert caught.value.conflicts == (Conflict("users/1", expected, actual),)
        assert (caught.value.id, caught.value.expected, caught.value.actual) == ("users/1", expected, actual)
        assert all(text in str(caught.value) for text in ("users/1", expected, actual))
        assert rows.data("users", "users/1") == {"name": "theirs"}

    async def test_a_deleted_document_is_a_conflict(self, store):
        await save(store, (User("a"), "users/1"))
        async with checked(store) as session:
            user = await session.load("users/1", User)
            await remove(store, "users/1")
            user.name = "mine"
            with pytest.raises(ConcurrencyException, match="deleted meanwhile") as caught:
                await session.save_changes()
            assert caught.value.conflicts == (
                Conflict("users/1", session.advanced.get_change_vector_for(user), None),
            )  # fmt: skip
        assert await read(store, "users/1", User) is None

    async def test_a_new_entity_over_an_existing_id_is_a_conflict(self, store, rows):
        async with checked(store) as session:
            await session.store(User("mine"), "users/1")
            await save(store, (User("theirs"), "users/1"))
            with pytest.raises(ConcurrencyException, match="exists already") as caught:
                await session.save_changes()
        assert caught.value.conflicts == (Conflict("users/1", "", str(rows.version("users", "users/1"))),)
        assert rows.data("users", "users/1") == {"name": "theirs"}

    async def test_one_that_was_found_missing_must_still_be_missing(self, store, rows):
        async with checked(store) as session:
            assert await session.load("users/1", User) is None
            await save(store, (User("theirs"), "users/1"))
            await session.store(User("mine"), "users/1")
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
        assert rows.data("users", "users/1") == {"name": "theirs"}

    async def test_a_generated_id_never_overwrites(self, store, rows):
        async with store.open_session() as session:
            user = User("mine")
            await session.store(user)
            await save(store, (User("theirs"), user.Id))
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
        assert rows.data("users", user.Id) == {"name": "theirs"}

    async def test_a_generated_id_that_is_taken_is_named_as_the_trouble(self, store, rows):
        await save(store, (User("by hand"), "users/2-A"), (User("free"), "users/9"))
        async with checked(store) as session:
            users = [User(str(i)) for i in range(3)]
            for user in users:
                await session.store(user)
            pattern = "Generated ids that were taken already: 'users/2-A'; somebody .* Evict the entities, clear"
            with pytest.raises(ConcurrencyException, match=pattern) as caught:
                await session.save_changes()
            assert "Refresh" not in str(caught.value)
            assert caught.value.conflicts == (Conflict("users/2-A", "", str(rows.version("users", "users/2-A"))),)

            # The advice, followed.
            session.advanced.evict(users[1])
            users[1].Id = None
            await session.store(users[1])
            await session.save_changes()
            assert users[1].Id == "users/4-A"
        assert rows.ids("users") == ["users/1-A", "users/2-A", "users/3-A", "users/4-A", "users/9"]
        assert rows.data("users", "users/2-A") == {"name": "by hand"}

    async def test_both_kinds_of_conflict_get_their_advice(self, store):
        await save(store, (User("by hand"), "users/1-A"), (User("a"), "users/8"))
        async with checked(store) as session:
            (await session.load("users/8", User)).name = "b"
            await change(store, "users/8", User, name="c")
            await session.store(User("new"))
            with pytest.raises(ConcurrencyException, match=r"Refresh them .*Generated ids .*: 'users/1-A';") as caught:
                await session.save_changes()
        assert sorted(conflict.id for conflict in caught.value.conflicts) == ["users/1-A", "users/8"]

    async def test_a_deleted_and_created_document_is_another_version(self, store):
        await save(store, (User("a"), "users/1"))
        async with checked(store) as session:
            user = await session.load("users/1", User)
            await remove(store, "users/1")
            await save(store, (User("a"), "users/1"))
            user.name = "mine"
            with pytest.raises(ConcurrencyException, match="changed meanwhile"):
                await session.save_changes()

    async def test_changed_and_changed_back_is_another_version(self, store):
        await save(store, (User("a"), "users/1"))
        async with checked(store) as session:
            user = await session.load("users/1", User)
            await change(store, "users/1", User, name="theirs")
            await change(store, "users/1", User, name="a")
            user.name = "mine"
            with pytest.raises(ConcurrencyException):
                await session.save_changes()

    async def test_documents_only_read_are_not_checked(self, store):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with checked(store) as session:
            users = await session.load(["users/1", "users/2"], User)
            await change(store, "users/2", User, name="theirs")
            users["users/1"].name = "mine"
            await session.save_changes()

    async def test_all_conflicts_are_named_and_nothing_is_written(self, store, rows):
        await save(
            store,
            *((User("a"), f"users/{i}") for i in range(6)),
            (Company("c"), "companies/1"),
            (Company("d"), "companies/2"),
        )
        async with checked(store) as session:
            users = await session.load([f"users/{i}" for i in range(6)], User)
            companies = await session.load(["companies/1", "companies/2"], Company)
            known = {key: session.advanced.get_change_vector_for(each) for key, each in (users | companies).items()}
            for key in ("users/0", "users/1", "users/3"):
                await change(store, key, User, name="theirs")
            await remove(store, "users/2", "companies/1")
            await save(store, (User("theirs"), "users/new"))
            users["users/0"].name = "mine"
            session.delete(users["users/1"])
            users["users/2"].name = "mine"
            session.advanced.register_for_concurrency_check("users/3", known["users/3"])
            users["users/4"].name = "mine"
            companies["companies/1"].name = "mine"
            companies["companies/2"].name = "mine"
            await session.store(User("mine"), "users/new")
            await session.store(User("mine"), "users/newer")
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
        assert {(each.id, each.expected, each.actual) for each in caught.value.conflicts} == {
            ("users/0", known["users/0"], str(rows.version("users", "users/0"))),
            ("users/1", known["users/1"], str(rows.version("users", "users/1"))),
            ("users/2", known["users/2"], None),
            ("users/3", known["users/3"], str(rows.version("users", "users/3"))),
            ("users/new", "", str(rows.version("users", "users/new"))),
            ("companies/1", known["companies/1"], None),
        }
        assert rows.data("users", "users/4") == {"name": "a"}
        assert rows.data("companies", "companies/2") == {"name": "d"}
        assert "users/newer" not in rows.ids("users")

    async def test_those_are_named_too_that_no_table_could_hold(self, store, rows):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with checked(store) as session:
            (await session.load("users/1", User)).name = "mine"
            (await session.load("users/2", User)).name = "mine"
            await change(store, "users/1", User, name="theirs")
            session.advanced.register_for_concurrency_check("nowhere/1", "5")
            session.delete("nowhere/2", "7")
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
        found = {conflict.id: (conflict.expected, conflict.actual) for conflict in caught.value.conflicts}
        assert found.keys() == {"users/1", "nowhere/1", "nowhere/2"}
        assert found["nowhere/1"] == ("5", None)
        assert found["nowhere/2"] == ("7", None)
        assert rows.data("users", "users/2") == {"name": "b"}

    async def test_a_conflict_among_hundreds_is_found(self, store, rows):
        await save(store, *((User("a"), f"users/{i:03}") for i in range(300)))
        async with checked(store) as session:
            users = await session.load([f"users/{i:03}" for i in range(300)], User)
            await change(store, "users/123", User, name="theirs")
            await remove(store, "users/299")
            for user in users.values():
                user.name = "mine"
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
        assert [each.id for each in caught.value.conflicts] == ["users/123", "users/299"]
        assert rows.data("users", "users/000") == {"name": "a"}

    async def test_the_error_has_its_place_in_the_tree(self, store):
        for parent in (ConflictException, RavenException, DocSessionError, RuntimeError):
            assert issubclass(ConcurrencyException, parent)
        assert ConcurrencyException("x").retryable is False


class TestAfterAConflict:
    async def test_the_session_is_as_it_was_and_fails_again(self, store):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with checked(store) as session:
            users = await session.load(["users/1", "users/2"], User)
            vector = session.advanced.get_change_vector_for(users["users/1"])
            await change(store, "users/1", User, name="theirs")
            for user in users.values():
                user.name = "mine"
            new = User("new")
            await session.store(new, "users/3")
            session.delete("users/4")
            changes = session.advanced.what_changed()
            for _ in range(2):
                with pytest.raises(ConcurrencyException):
                    await session.save_changes()
            assert session.advanced.what_changed() == changes
            assert changes.keys() == {"users/1", "users/2", "users/3", "users/4"}
            assert session.advanced.get_change_vector_for(users["users/1"]) == vector
            assert session.advanced.get_change_vector_for(new) is None
            assert await session.load("users/3", User) is new

    async def test_a_refresh_is_a_cure(self, store, rows):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with checked(store) as session:
            users = await session.load(["users/1", "users/2"], User)
            await change(store, "users/1", User, name="theirs")
            for user in users.values():
                user.name = "mine"
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
            await session.advanced.refresh(users["users/1"])
            assert users["users/1"].name == "theirs"
            users["users/1"].name += " and mine"
            await session.save_changes()
        assert rows.data("users", "users/1") == {"name": "theirs and mine"}
        assert rows.data("users", "users/2") == {"name": "mine"}

    async def test_switching_the_check_off_is_another(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with checked(store) as session:
            user = await session.load("users/1", User)
            await change(store, "users/1", User, name="theirs")
            user.name = "mine"
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
            session.advanced.use_optimistic_concurrency = False
            await session.save_changes()
        assert rows.data("users", "users/1") == {"name": "mine"}

    async def test_evicting_the_document_is_a_third(self, store, rows):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with checked(store) as session:
            users = await session.load(["users/1", "users/2"], User)
            await remove(store, "users/1")
            for user in users.values():
                user.name = "mine"
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
            with pytest.raises(DocumentDoesNotExistException, match="users/1"):
                await session.advanced.refresh(users["users/1"])
            session.advanced.evict(users["users/1"])
            await session.save_changes()
        assert rows.ids("users") == ["users/2"]
        assert rows.data("users", "users/2") == {"name": "mine"}

    async def test_after_a_good_save_the_next_one_expects_its_version(self, store):
        await save(store, (User("a"), "users/1"))
        async with checked(store) as session:
            user = await session.load("users/1", User)
            for name in ("b", "c"):
                user.name = name
                await session.save_changes()
            await change(store, "users/1", User, name="theirs")
            user.name = "d"
            with pytest.raises(ConcurrencyException):
                await session.save_changes()


class TestWritesAndReads:
    async def test_a_document_that_was_only_read_is_checked(self, store, rows):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"), (Company("c"), "companies/1"))
        async with checked(store, WRITES_AND_READS) as session:
            users = await session.load(["users/1", "users/2"], User)
            await session.load("companies/1", Company)
            await change(store, "users/2", User, name="theirs")
            await remove(store, "companies/1")
            users["users/1"].name = "mine"
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
        assert {(each.id, each.actual) for each in caught.value.conflicts} == {
            ("users/2", str(rows.version("users", "users/2"))),
            ("companies/1", None),
        }
        assert rows.data("users", "users/1") == {"name": "a"}

    async def test_unchanged_ones_let_it_pass_in_one_request(self, store, rows):
        await save(store, *((User("a"), f"users/{i}") for i in range(10)), (Company("c"), "companies/1"))
        async with checked(store, WRITES_AND_READS) as session:
            users = await session.load([f"users/{i}" for i in range(10)], User)
            await session.load("companies/1", Company)
            users["users/4"].name = "mine"
            session.delete(users["users/5"])
            await session.store(User("new"), "users/new")
            await session.save_changes()
            assert session.advanced.number_of_requests == 3
        assert rows.data("users", "users/4") == {"name": "mine"}

    async def test_with_nothing_to_write_nothing_is_sent(self, store):
        await save(store, (User("a"), "users/1"))
        async with checked(store, WRITES_AND_READS) as session:
            await session.load("users/1", User)
            await change(store, "users/1", User, name="theirs")
            await session.save_changes()
            assert session.advanced.number_of_requests == 1

    async def test_a_document_that_was_evicted_is_not_checked(self, store):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with checked(store, WRITES_AND_READS) as session:
            users = await session.load(["users/1", "users/2"], User)
            await change(store, "users/2", User, name="theirs")
            session.advanced.evict(users["users/2"])
            users["users/1"].name = "mine"
            await session.save_changes()


class TestRegisteredChecks:
    async def test_a_version_that_is_current_lets_the_save_pass(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            version = str(rows.version("users", "users/1"))
            session.advanced.register_for_concurrency_check("users/1", version)
            await session.store(User("b"), "users/2")
            await session.save_changes()
            assert session.advanced.number_of_requests == 1

    async def test_a_past_version_refuses_it(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            version = str(rows.version("users", "users/1"))
            session.advanced.register_for_concurrency_check("users/1", version)
            await change(store, "users/1", User, name="theirs")
            await session.store(User("b"), "users/2")
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
            assert caught.value.conflicts == (
                Conflict("users/1", version, str(rows.version("users", "users/1"))),
            )  # fmt: skip
        assert rows.ids("users") == ["users/1"]

    async def test_it_is_made_without_anything_to_write(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.advanced.register_for_concurrency_check("users/1", "123")
            with pytest.raises(ConcurrencyException):
                await session.save_changes()

    async def test_it_is_made_once(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.advanced.register_for_concurrency_check("users/1", str(rows.version("users", "users/1")))
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
            await change(store, "users/1", User, name="theirs")
            await session.store(User("b"), "users/2")
            await session.save_changes()
            assert session.advanced.number_of_requests == 2

    async def test_an_empty_one_says_that_there_is_no_document(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            for key in ("users/2", "nobody/1", "ayende"):
                session.advanced.register_for_concurrency_check(key, "")
            await session.save_changes()
            session.advanced.register_for_concurrency_check("users/1", "")
            with pytest.raises(ConcurrencyException, match="exists already"):
                await session.save_changes()

    async def test_one_of_a_document_that_does_not_exist(self, store):
        await save(store, (User("a"), "users/1"))
        for key in ("users/2", "nobody/1", "ayende"):
            async with store.open_session() as session:
                session.advanced.register_for_concurrency_check(key, "123")
                await session.store(User("b"), "users/3")
                with pytest.raises(ConcurrencyException) as caught:
                    await session.save_changes()
                assert caught.value.conflicts == (Conflict(key, "123", None),)
        assert await read(store, "users/3", User) is None

    async def test_none_takes_it_back(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.advanced.register_for_concurrency_check("users/1", "123")
            session.advanced.register_for_concurrency_check("users/1", None)
            session.advanced.register_for_concurrency_check("users/2", None)
            await session.save_changes()
            assert session.advanced.number_of_requests == 0

    async def test_of_a_document_that_is_written_it_is_the_expected_version(self, store, rows):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with store.open_session() as session:
            users = await session.load(["users/1", "users/2"], User)
            users["users/1"].name = "mine"
            session.delete(users["users/2"])
            for key in users:
                session.advanced.register_for_concurrency_check(key, "123")
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
            assert {each.id for each in caught.value.conflicts} == {"users/1", "users/2"}
            for key in users:
                session.advanced.register_for_concurrency_check(key, str(rows.version("users", key)))
            await session.save_changes()
        assert rows.data("users", "users/1") == {"name": "mine"}
        assert rows.ids("users") == ["users/1"]

    async def test_an_unusable_one_is_refused(self, store):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException):
                session.advanced.register_for_concurrency_check("users/1", "A:1-x")
            with pytest.raises(InvalidArgumentTypeException):
                session.advanced.register_for_concurrency_check("users/1", 5)
            with pytest.raises(InvalidArgumentTypeException):
                session.advanced.register_for_concurrency_check(5, "123")
            with pytest.raises(InvalidArgumentException):
                session.advanced.register_for_concurrency_check("", "123")


class TestTheMode:
    async def test_it_is_set_for_a_session(self, store):
        async with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            assert session.advanced.optimistic_concurrency_mode is WRITES
            session.advanced.optimistic_concurrency_mode = WRITES_AND_READS
            assert session.advanced.use_optimistic_concurrency is True
            session.advanced.optimistic_concurrency_mode = NONE
            assert session.advanced.use_optimistic_concurrency is False

    async def test_by_the_options(self, store):
        async with checked(store, WRITES_AND_READS) as session:
            assert session.advanced.optimistic_concurrency_mode is WRITES_AND_READS

    async def test_by_the_conventions(self, make_store):
        conventions = DocumentConventions()
        conventions.use_optimistic_concurrency = True
        store = make_store(conventions=conventions)
        async with store.open_session() as session:
            assert session.advanced.optimistic_concurrency_mode is WRITES
        async with checked(store, NONE) as session:
            assert session.advanced.optimistic_concurrency_mode is NONE

    async def test_the_conventions_mode_is_what_saves_check(self, make_store):
        conventions = DocumentConventions()
        conventions.optimistic_concurrency_mode = WRITES
        store = make_store(conventions=conventions)
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            await change(store, "users/1", User, name="theirs")
            user.name = "mine"
            with pytest.raises(ConcurrencyException):
                await session.save_changes()

    async def test_what_is_no_mode_is_refused(self, store):
        async with store.open_session() as session:
            for wrong in ("Writes", True, None, 1):
                with pytest.raises(InvalidArgumentTypeException):
                    session.advanced.optimistic_concurrency_mode = wrong
