"""Cluster-wide sessions: which writes are guarded, and what is refused in them."""

import pytest

from docsession import (
    ClusterTransactionConcurrencyException,
    ConcurrencyException,
    DocumentConventions,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    OptimisticConcurrencyMode,
    SessionOptions,
    TransactionMode,
)
from tests.support.cluster_wide import OPTIONS, Account, User, cluster_wide, put, value_of
from tests.support.documents import change, read, remove, save

MODES = [OptimisticConcurrencyMode.WRITES, OptimisticConcurrencyMode.WRITES_AND_READS]


async def lost(session, *ids):
    """The save loses, and says because of which documents."""
    with pytest.raises(ClusterTransactionConcurrencyException) as caught:
        await session.save_changes()
    assert [conflict.id for conflict in caught.value.conflicts] == list(ids)
    for key in ids:
        assert repr(key) in str(caught.value)
    assert caught.value.compare_exchange_conflicts == ()
    assert not caught.value.retryable
    return caught.value


class TestGuards:
    async def test_two_saves_in_one_session(self, store):
        async with cluster_wide(store) as session:
            user = User("Ayende")
            await session.store(user, "users/1")
            for name in ("Oren", "Rahien"):
                await session.save_changes()
                user.name = name
            await session.save_changes()
            await session.save_changes()
            session.delete(user)
            await session.save_changes()
        assert await read(store, "users/1") is None

    async def test_load_change_save(self, store):
        await save(store, (User("Ayende"), "users/1"))
        async with cluster_wide(store) as session:
            (await session.load("users/1", User)).name = "Oren"
            await session.save_changes()
        assert (await read(store, "users/1", User)).name == "Oren"

    async def test_of_two_sessions_that_change_a_document_one_loses(self, store):
        await save(store, (User("Ayende"), "users/1"), (User("Oren"), "users/2"))
        async with cluster_wide(store) as first, cluster_wide(store) as second:
            for session in (first, second):
                for user in (await session.load(["users/1", "users/2"], User)).values():
                    user.tags.append(repr(session))
            await first.save_changes()
            error = await lost(second, "users/1", "users/2")
            assert isinstance(error, ConcurrencyException)
            assert error.code == "ds112"

    async def test_a_deletion_loses_against_a_change(self, store):
        await save(store, (User("Ayende"), "users/1"))
        async with cluster_wide(store) as session:
            session.delete(await session.load("users/1", User))
            await change(store, "users/1", User, name="Oren")
            await lost(session, "users/1")

    async def test_a_change_loses_against_a_deletion(self, store):
        await save(store, (User("Ayende"), "users/1"))
        async with cluster_wide(store) as session:
            (await session.load("users/1", User)).name = "Oren"
            await remove(store, "users/1")
            assert (await lost(session, "users/1")).actual is None

    async def test_both_create_the_same_id(self, store):
        async with cluster_wide(store) as first, cluster_wide(store) as second:
            for session in (first, second):
                await session.store(User("Ayende"), "users/1")
            await first.save_changes()
            await lost(second, "users/1")

    async def test_a_document_that_was_found_missing_must_still_be(self, store):
        async with cluster_wide(store) as session:
            assert await session.load("users/1", User) is None
            await session.store(User("Ayende"), "users/1")
            await save(store, (User("Oren"), "users/1"))
            await lost(session, "users/1")

    async def test_a_document_that_is_only_read_is_not_checked(self, store):
        await save(store, (User("Ayende"), "users/1"), (User("Oren"), "users/2"))
        async with cluster_wide(store) as session:
            read_only, changed = (await session.load(["users/1", "users/2"], User)).values()
            changed.name = read_only.name
            await change(store, "users/1", User, name="somebody else")
            await session.save_changes()
        assert (await read(store, "users/2", User)).name == "Ayende"

    async def test_a_deletion_of_what_was_not_loaded_is_not_checked(self, store):
        await save(store, (User("Ayende"), "users/1"))
        async with cluster_wide(store) as session:
            session.delete("users/1")
            await change(store, "users/1", User, name="Oren")
            await session.save_changes()
        assert await read(store, "users/1") is None

    async def test_a_deletion_of_what_was_found_missing_is(self, store):
        async with cluster_wide(store) as session:
            assert await session.load("users/1", User) is None
            session.delete("users/1")
            await session.save_changes()
            session.delete("users/1")
            await save(store, (User("Oren"), "users/1"))
            await lost(session, "users/1")

    async def test_a_deletion_of_what_was_included_is(self, store):
        await save(store, (User("Ayende"), "users/1"), (Account("users/1"), "accounts/1"))
        async with cluster_wide(store) as session:
            await session.include("owner").load("accounts/1", Account)
            session.delete("users/1")
            session.delete("users/1")
            await change(store, "users/1", User, name="Oren")
            await lost(session, "users/1")

    async def test_nothing_of_a_save_that_loses_is_written_and_it_may_be_repeated(self, store):
        await save(store, (User("Ayende"), "users/1"))
        async with cluster_wide(store) as session:
            user = await session.load("users/1", User)
            user.name = "Oren"
            await session.store(User("new"), "users/2")
            await change(store, "users/1", User, name="somebody else")
            await lost(session, "users/1")
            assert await read(store, "users/2") is None
            await session.advanced.refresh(user)
            user.name += ", Oren"
            await session.save_changes()
        assert (await read(store, "users/1", User)).name == "somebody else, Oren"
        assert (await read(store, "users/2", User)).name == "new"

    async def test_generated_ids_are_new(self, store):
        async with cluster_wide(store) as session:
            await session.store(user := User("Ayende"))
            await session.store(other := User("Oren"), "users/")
            await session.store(third := User("Rahien"), "users|")
            await session.save_changes()
        assert third.id == "users/1"
        assert (await read(store, third.id, User)).name == "Rahien"
        assert (await read(store, user.id, User)).name == "Ayende"
        assert (await read(store, other.id, User)).name == "Oren"


async def test_without_a_cluster_what_was_seen_is_no_guard(store):
    await save(store, (User("Ayende"), "users/1"), (Account("users/1"), "accounts/1"))
    options = SessionOptions(optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES)
    async with store.open_session(session_options=options) as session:
        await session.include("owner").load("accounts/1", Account)
        await session.load("users/2", User)
        session.delete("users/1")
        session.delete("users/2")
        await change(store, "users/1", User, name="Oren")
        await save(store, (User("Oren"), "users/2"))
        await session.save_changes()
    assert await read(store, "users/1") is None
    assert await read(store, "users/2") is None


class TestWhatRavenDbDoesOtherwise:
    """Deliberately: every write is seen by the version check."""

    async def test_a_single_node_write_between_load_and_save_is_noticed(self, store):
        await save(store, (User("Ayende"), "users/1"))
        async with cluster_wide(store) as session:
            (await session.load("users/1", User)).name = "Oren"
            await change(store, "users/1", User, name="single node")
            await lost(session, "users/1")

    async def test_a_new_object_over_an_existing_document_is_refused(self, store):
        await save(store, (User("Ayende"), "users/1"))
        async with cluster_wide(store) as session:
            await session.store(User("Oren"), "users/1")
            assert (await lost(session, "users/1")).expected == ""

    async def test_a_document_that_was_deleted_by_a_single_node_session_may_be_created_again(self, store):
        await save(store, (User("Ayende"), "users/1"), session_options=OPTIONS)
        await remove(store, "users/1")
        await save(store, (User("Oren"), "users/1"), session_options=OPTIONS)

    async def test_a_guarded_document_may_be_written_twice(self, store):
        await save(store, (User("Ayende"), "users/1"), session_options=OPTIONS)
        await change(store, "users/1", User, name="single node")
        async with cluster_wide(store) as session:
            (await session.load("users/1", User)).name = "Oren"
            await session.save_changes()


class TestWithoutGuards:
    @pytest.fixture(params=["option", "convention"])
    def unguarded(self, request, make_store):
        """Open a cluster-wide session without guards; both ways to say so."""
        name = "disable_atomic_document_writes_in_cluster_wide_transaction"
        if request.param == "option":
            store = make_store()
            return store, lambda: cluster_wide(store, **{name: True})
        store = make_store(conventions=DocumentConventions(**{name: True}))
        return store, lambda: cluster_wide(store)

    async def test_the_last_write_wins(self, unguarded):
        store, opened = unguarded
        await save(store, (User("Ayende"), "users/1"), (User("Ayende"), "users/2"))
        async with opened() as session:
            (await session.load("users/1", User)).name = "Oren"
            session.delete(await session.load("users/2", User))
            await session.store(User("new"), "users/3")
            await change(store, "users/1", User, name="somebody else")
            await change(store, "users/2", User, name="somebody else")
            await save(store, (User("somebody else"), "users/3"))
            await session.save_changes()
        assert (await read(store, "users/1", User)).name == "Oren"
        assert await read(store, "users/2", User) is None
        assert (await read(store, "users/3", User)).name == "new"

    async def test_compare_exchange_values_are_checked_all_the_same(self, unguarded):
        store, opened = unguarded
        await put(store, a=1)
        async with opened() as session:
            session.cluster_transaction.create_compare_exchange_value("a", 2)
            with pytest.raises(ClusterTransactionConcurrencyException, match="'a' exists already"):
                await session.save_changes()

    async def test_a_session_may_turn_them_on_again(self, make_store):
        name = "disable_atomic_document_writes_in_cluster_wide_transaction"
        store = make_store(conventions=DocumentConventions(**{name: True}))
        await save(store, (User("Ayende"), "users/1"))
        async with cluster_wide(store, **{name: False}) as session:
            await session.store(User("Oren"), "users/1")
            await lost(session, "users/1")

    async def test_the_convention_is_frozen_with_the_store(self, make_store):
        conventions = DocumentConventions()
        await make_store(conventions=conventions).initialize()
        with pytest.raises(InvalidOperationException):
            conventions.disable_atomic_document_writes_in_cluster_wide_transaction = True


class TestModes:
    async def test_it_may_be_switched_between_saves(self, store):
        await save(store, (User("Ayende"), "users/1"))
        async with store.open_session() as session:
            advanced = session.advanced
            assert advanced.transaction_mode is TransactionMode.SINGLE_NODE
            user = await session.load("users/1", User)
            await change(store, "users/1", User, name="somebody else")
            user.name = "Oren"
            advanced.transaction_mode = TransactionMode.CLUSTER_WIDE
            await lost(session, "users/1")
            advanced.transaction_mode = TransactionMode.SINGLE_NODE
            await session.save_changes()
        assert (await read(store, "users/1", User)).name == "Oren"

    async def test_values_to_be_saved_need_a_cluster_wide_session(self, store):
        async with cluster_wide(store) as session:
            value = session.cluster_transaction.create_compare_exchange_value("a", 1)
            await session.save_changes()
            value.value = 2
            session.advanced.transaction_mode = TransactionMode.SINGLE_NODE
            await session.store(User("Ayende"), "users/1")
            with pytest.raises(InvalidOperationException, match="compare-exchange values 'a' are to be saved"):
                await session.save_changes()
            assert await read(store, "users/1") is None
            session.advanced.transaction_mode = TransactionMode.CLUSTER_WIDE
            await session.save_changes()
            assert await value_of(store, "a") == 2
            value.value = 3
            session.advanced.transaction_mode = TransactionMode.SINGLE_NODE
            session.cluster_transaction.clear()
            await session.save_changes()
        assert await value_of(store, "a") == 2

    async def test_values_that_did_not_change_need_none(self, store):
        async with cluster_wide(store) as session:
            session.cluster_transaction.create_compare_exchange_value("a", 1)
            await session.save_changes()
            session.advanced.transaction_mode = TransactionMode.SINGLE_NODE
            await session.store(User("Ayende"), "users/1")
            await session.save_changes()
        assert (await read(store, "users/1", User)).name == "Ayende"

    @pytest.mark.parametrize("mode", MODES)
    async def test_an_optimistic_concurrency_mode_is_refused(self, store, make_store, mode):
        with pytest.raises(RuntimeError, match="CLUSTER_WIDE"):
            cluster_wide(store, optimistic_concurrency_mode=mode)
        async with cluster_wide(store) as session:
            with pytest.raises(RuntimeError, match="CLUSTER_WIDE"):
                session.advanced.optimistic_concurrency_mode = mode
            with pytest.raises(RuntimeError, match="CLUSTER_WIDE"):
                session.advanced.use_optimistic_concurrency = True
            assert session.advanced.optimistic_concurrency_mode is OptimisticConcurrencyMode.NONE
        async with store.open_session(session_options=SessionOptions(optimistic_concurrency_mode=mode)) as session:
            with pytest.raises(InvalidOperationException, match="CLUSTER_WIDE"):
                session.advanced.transaction_mode = TransactionMode.CLUSTER_WIDE
            assert session.advanced.transaction_mode is TransactionMode.SINGLE_NODE

    @pytest.mark.parametrize("mode", MODES)
    async def test_also_that_of_the_conventions_unless_the_session_has_another(self, make_store, mode):
        store = make_store(conventions=DocumentConventions(optimistic_concurrency_mode=mode))
        with pytest.raises(InvalidOperationException, match="CLUSTER_WIDE"):
            cluster_wide(store)
        cluster_wide(store, optimistic_concurrency_mode=OptimisticConcurrencyMode.NONE)

    @pytest.mark.parametrize("wrong", ["ClusterWide", True, 1, OptimisticConcurrencyMode.NONE])
    async def test_what_is_no_mode_is_refused(self, store, wrong):
        with pytest.raises(InvalidArgumentTypeException, match="is a TransactionMode, not"):
            store.open_session(session_options=SessionOptions(transaction_mode=wrong))
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentTypeException, match="is a TransactionMode, not"):
                session.advanced.transaction_mode = wrong


class TestChangeVectors:
    async def test_one_is_refused_wherever_it_is_given(self, store):
        await save(store, (User("Ayende"), "users/1"))
        async with cluster_wide(store) as session:
            user = await session.load("users/1", User)
            vector = session.advanced.get_change_vector_for(user)
            for given in (vector, ""):
                with pytest.raises(ValueError, match="change vector was given for 'users/2'"):
                    await session.store(User("Oren"), "users/2", given)
            with pytest.raises(ValueError, match="change vector"):
                session.delete(user, vector)
            with pytest.raises(ValueError, match="'users/9'"):
                session.delete("users/9", vector)
            with pytest.raises(ValueError, match="'users/9'"):
                session.advanced.register_for_concurrency_check("users/9", vector)
            session.advanced.register_for_concurrency_check("users/9", None)
            assert not session.advanced.has_changes()

    @pytest.mark.parametrize(
        "give",
        [
            lambda session, user, vector: session.delete(user, vector),
            lambda session, user, vector: session.advanced.register_for_concurrency_check("users/1", vector),
            lambda session, user, vector: session.store(user, "users/1", vector),
        ],
    )
    async def test_one_that_was_given_before_is_refused_by_the_save(self, store, give):
        await save(store, (User("Ayende"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            user.name = "Oren"
            given = give(session, user, session.advanced.get_change_vector_for(user))
            if given is not None:
                await given
            session.advanced.transaction_mode = TransactionMode.CLUSTER_WIDE
            with pytest.raises(InvalidArgumentException, match="'users/1'"):
                await session.save_changes()
            session.advanced.transaction_mode = TransactionMode.SINGLE_NODE
            await session.save_changes()


class TestTransactions:
    async def test_guards_apply_to_each_flush(self, store):
        await save(store, (User("Ayende"), "users/1"), (User("Oren"), "users/2"))
        async with cluster_wide(store) as session:
            first, second = (await session.load(["users/1", "users/2"], User)).values()
            await session.advanced.begin()
            first.name = "first"
            await session.save_changes()
            second.name = "second"
            await change(store, "users/2", User, name="somebody else")
            await lost(session, "users/2")
            session.advanced.evict(second)
            await session.advanced.commit()
        assert (await read(store, "users/1", User)).name == "first"
        assert (await read(store, "users/2", User)).name == "somebody else"

    async def test_a_rollback_makes_values_unsaved_again(self, store):
        (index,) = await put(store, changed=1)
        await put(store, deleted=1)
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            changed = await values.get_compare_exchange_value("changed")
            await values.get_compare_exchange_value("deleted")
            await session.advanced.begin()
            changed.value = 2
            values.delete_compare_exchange_value("deleted")
            created = values.create_compare_exchange_value("created", 1)
            await session.save_changes()
            assert changed.index != index
            assert created.index
            await session.advanced.rollback()
            assert (changed.index, created.index) == (index, 0)
            assert [await value_of(store, key) for key in ("changed", "deleted", "created")] == [1, 1, None]
            assert session.advanced.has_changes()
            await session.save_changes()
        assert [await value_of(store, key) for key in ("changed", "deleted", "created")] == [2, None, 1]

    async def test_a_rollback_to_a_savepoint_makes_those_unsaved_that_came_since(self, store):
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            await session.advanced.begin()
            outer = values.create_compare_exchange_value("outer", 1)
            await session.save_changes()
            saved = outer.index
            await session.advanced.begin()
            values.delete_compare_exchange_value(outer)
            await session.save_changes()
            replaced = values.create_compare_exchange_value("outer", 2)
            await session.save_changes()
            await session.advanced.rollback()
            assert replaced.value == 2
            await session.save_changes()
            await session.advanced.commit()
            assert replaced.index > saved
        assert await value_of(store, "outer") == 2

    @pytest.mark.parametrize("level", ["repeatable read", "serializable"])
    async def test_with_an_isolation_level(self, store, level):
        await save(store, (User("Ayende"), "users/1"))
        await put(store, a=1)
        async with cluster_wide(store, isolation_level=level) as session:
            (await session.load("users/1", User)).name = "Oren"
            (await session.cluster_transaction.get_compare_exchange_value("a")).value = 2
            await session.save_changes()
        assert (await read(store, "users/1", User)).name == "Oren"
        assert await value_of(store, "a") == 2
