"""Cluster-wide saves on the wire: one round trip, lost answers, other people's transactions, raw commands."""

import asyncio

import pytest

from docsession import (
    ClusterTransactionConcurrencyException,
    ConnectionLostException,
    DeleteCommandData,
    InvalidArgumentException,
    PutCommandDataWithJson,
    TransactionMode,
    UnknownOutcomeException,
)
from docsession._commands import CommandData
from tests.support.cluster_wide import User, cluster_wide, put, value_of
from tests.support.documents import change, read, save
from tests.support.hosts import session_on
from tests.support.proxy import CountingProxy, Stage

SETTING = "SHOW synchronous_commit"


class TestOneRoundTrip:
    async def test_a_save_is_one_and_the_setting_goes_along(self, make_store, postgres_url):
        with CountingProxy(postgres_url) as proxy:
            store = make_store(proxy.url, min_size=1)
            await save(store, (User("Ayende"), "users/1"))
            await put(store, a=1)
            async with cluster_wide(store) as session:
                user = await session.load("users/1", User)
                value = await session.cluster_transaction.get_compare_exchange_value("a")
                for number in (1, 2):
                    user.name = f"{number}"
                    value.value = [number]
                    proxy.reset()
                    await session.save_changes()
                    assert proxy.round_trips == 1
                user.name = "alone"
                proxy.reset()
                await session.save_changes()
                assert proxy.round_trips == 1
                assert session.advanced.number_of_requests == 5
                lazy = session.cluster_transaction.lazily.get_compare_exchange_value("b")
                session.cluster_transaction.lazily.get_compare_exchange_values(["c", "d"])
                proxy.reset()
                await lazy.value
                assert proxy.round_trips == 1

    async def test_the_setting_is_that_of_one_transaction(self, store):
        async with cluster_wide(store) as session:
            await session.advanced.begin()
            await session.store(User("Ayende"), "users/1")
            assert await shown(session) != "remote_apply"
            await session.save_changes()
            assert await shown(session) == "remote_apply"
            await session.advanced.commit()
            await session.advanced.begin()
            assert await shown(session) != "remote_apply"
            await session.advanced.rollback()


async def shown(session):
    """What the connection of the session's transaction says of the setting."""
    cursor = session.advanced.connection.execute(SETTING)
    if asyncio.iscoroutine(cursor):
        return (await (await cursor).fetchone())[0]
    return cursor.fetchone()[0]


CUTS = [(Stage.BEFORE_BYTE, 0), (Stage.AFTER_MESSAGES, 6), (Stage.BEFORE_ANSWER, 0), (Stage.INSIDE_ANSWER, 30)]
COMMITTED = {Stage.BEFORE_ANSWER, Stage.INSIDE_ANSWER}


class TestLostAnswers:
    @pytest.mark.parametrize(("stage", "n"), CUTS)
    @pytest.mark.parametrize("with_documents", [True, False])
    async def test_whether_it_was_committed_is_found_out(self, make_store, proxy, stage, n, with_documents):
        near, far = make_store(), make_store(proxy.url)
        await put(near, changed=1, deleted=1)
        session = cluster_wide(far)
        values = session.cluster_transaction
        changed = await values.get_compare_exchange_value("changed")
        changed.value = 2
        created = values.create_compare_exchange_value("created", [1])
        values.delete_compare_exchange_value(await values.get_compare_exchange_value("deleted"))
        if with_documents:
            await session.store(User("Ayende"), "users/1")
        await save(far, (User("first"), "users/0"))
        proxy.cut_next(stage, n, containing=b"COMMIT")
        with pytest.raises(UnknownOutcomeException):
            await session.save_changes()
        with pytest.raises(UnknownOutcomeException):
            await values.get_compare_exchange_value("changed")
        seen = await state(near)
        assert seen == ([2, [1], None] if stage in COMMITTED else [1, None, 1])
        await session.save_changes()
        assert await state(near) == [2, [1], None]
        assert (await read(near, "users/1") is not None) is with_documents
        assert not session.advanced.has_changes()
        # The session has the indexes that are stored.
        changed.value = 3
        created.value.append(2)
        await session.save_changes()
        assert await state(near) == [3, [1, 2], None]

    @pytest.mark.parametrize(("stage", "n"), CUTS)
    async def test_a_deletion_alone(self, make_store, proxy, stage, n):
        near, far = make_store(), make_store(proxy.url)
        (index,) = await put(near, deleted=1)
        session = cluster_wide(far)
        await session.cluster_transaction.get_compare_exchange_value("other")
        session.cluster_transaction.delete_compare_exchange_value("deleted", index)
        proxy.cut_next(stage, n, containing=b"COMMIT")
        with pytest.raises(UnknownOutcomeException):
            await session.save_changes()
        await session.save_changes()
        assert await value_of(near, "deleted") is None
        assert not session.advanced.has_changes()

    @pytest.mark.parametrize("stage", [Stage.BEFORE_BYTE, Stage.BEFORE_ANSWER])
    async def test_that_of_a_transaction_of_several_saves(self, make_store, proxy, stage):
        near, far = make_store(), make_store(proxy.url)
        (index,) = await put(near, changed=1)
        session = cluster_wide(far)
        values = session.cluster_transaction
        changed = await values.get_compare_exchange_value("changed")
        await session.advanced.begin()
        for number in (2, 3):
            changed.value = number
            await session.save_changes()
        created = values.create_compare_exchange_value("created", 1)
        await session.save_changes()
        proxy.cut_next(stage, containing=b"COMMIT")
        with pytest.raises(UnknownOutcomeException):
            await session.advanced.commit()
        if stage is Stage.BEFORE_ANSWER:
            await session.save_changes()
            assert not session.advanced.has_changes()
        else:
            with pytest.raises(ConnectionLostException, match="not committed"):
                await session.save_changes()
            assert (changed.index, created.index) == (index, 0)
            await session.save_changes()
        assert await state(near) == [3, 1, None]

    async def test_what_others_did_meanwhile_is_a_conflict(self, make_store, proxy):
        near, far = make_store(), make_store(proxy.url)
        await put(near, a=1)
        session = cluster_wide(far)
        (await session.cluster_transaction.get_compare_exchange_value("a")).value = 2
        proxy.cut_next(Stage.BEFORE_BYTE, containing=b"COMMIT")
        with pytest.raises(UnknownOutcomeException):
            await session.save_changes()
        async with cluster_wide(near) as other:
            (await other.cluster_transaction.get_compare_exchange_value("a")).value = 3
            await other.save_changes()
        with pytest.raises(ClusterTransactionConcurrencyException, match="'a' was changed meanwhile"):
            await session.save_changes()
        assert await value_of(near, "a") == 3

    async def test_a_session_of_unknown_outcome_can_be_closed(self, make_store, proxy):
        far = make_store(proxy.url)
        await put(far, b=1)
        session = cluster_wide(far)
        session.cluster_transaction.create_compare_exchange_value("a", 1)
        proxy.cut_next(Stage.BEFORE_ANSWER, containing=b"COMMIT")
        with pytest.raises(UnknownOutcomeException):
            await session.save_changes()
        await session.close()
        assert await value_of(far, "a") == 1


async def state(store):
    return [await value_of(store, key) for key in ("changed", "created", "deleted")]


class TestCommands:
    """What `defer` takes, in a cluster-wide session."""

    async def test_puts_and_deletions_go_along_with_values(self, store):
        await save(store, (User("Ayende"), "users/1"), (User("Oren"), "users/2"))
        async with cluster_wide(store) as session:
            session.advanced.defer(
                PutCommandDataWithJson("users/1", None, {"name": "put"}), DeleteCommandData("users/2")
            )
            session.cluster_transaction.create_compare_exchange_value("a", 1)
            await session.save_changes()
        assert (await read(store, "users/1", User)).name == "put"
        assert await read(store, "users/2") is None
        assert await value_of(store, "a") == 1

    async def test_what_the_session_has_loaded_or_found_missing_is_guarded(self, store):
        await save(store, *((User("Ayende"), f"users/{i}") for i in range(2)))
        commands = [
            PutCommandDataWithJson("users/0", None, {"name": "put"}),
            DeleteCommandData("users/1"),
            PutCommandDataWithJson("users/2", None, {"name": "put"}),
        ]
        async with cluster_wide(store) as session:
            await session.load(["users/0", "users/1", "users/2"], User)
            session.advanced.defer(*commands)
            for key in ("users/0", "users/1"):
                await change(store, key, User, name="somebody else")
            await save(store, (User("somebody else"), "users/2"))
            with pytest.raises(ClusterTransactionConcurrencyException) as caught:
                await session.save_changes()
            assert [conflict.id for conflict in caught.value.conflicts] == ["users/0", "users/1", "users/2"]
        async with cluster_wide(store, disable_atomic_document_writes_in_cluster_wide_transaction=True) as session:
            await session.load(["users/0", "users/1", "users/2"], User)
            session.advanced.defer(*commands)
            await change(store, "users/0", User, name="somebody else")
            await session.save_changes()
        assert (await read(store, "users/0", User)).name == "put"

    async def test_a_change_vector_is_refused(self, store):
        async with cluster_wide(store) as session:
            with pytest.raises(ValueError, match="'users/1'"):
                session.advanced.defer(DeleteCommandData("users/1", "5"))
        async with store.open_session() as session:
            session.advanced.defer(PutCommandDataWithJson("users/1", "", {"name": "put"}))
            session.advanced.transaction_mode = TransactionMode.CLUSTER_WIDE
            with pytest.raises(InvalidArgumentException, match="'users/1'"):
                await session.save_changes()

    async def test_other_commands_are_refused(self, store):
        class PatchCommandData(CommandData):
            pass

        async with cluster_wide(store) as session:
            with pytest.raises(ValueError, match="'PatchCommandData' is not supported"):
                session.advanced.defer(PatchCommandData("users/1", None))


async def test_in_somebody_elses_transaction_the_setting_is_theirs_until_they_end_it(host, host_store, postgres_url):
    await put(host_store, a=1)
    await host.open(postgres_url)
    async with session_on(host_store, host, transaction_mode=TransactionMode.CLUSTER_WIDE) as session:
        value = await session.cluster_transaction.get_compare_exchange_value("a")
        index = value.index
        value.value = 2
        await session.store(User("Ayende"), "users/1")
        await session.save_changes()
        assert value.index > index
        assert (await host.execute(SETTING))[0][0] == "remote_apply"
        assert await value_of(host_store, "a") == 1
        await host.rollback()
        await host.begin()
        assert (await host.execute(SETTING))[0][0] != "remote_apply"
        await session.save_changes()
        await host.commit()
        assert await value_of(host_store, "a") == 2
        assert (await read(host_store, "users/1", User)).name == "Ayende"
