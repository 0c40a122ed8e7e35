"""`store.operations`: compare-exchange values outside of sessions, with a check of the index."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from docsession import (
    ClusterTransactionConcurrencyException,
    CompareExchangeResult,
    DeleteCompareExchangeValueOperation,
    DocumentConventions,
    DocumentStore,
    GetCompareExchangeValueOperation,
    GetCompareExchangeValuesOperation,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    PutCompareExchangeValueOperation,
    StoreClosedException,
    UnknownOutcomeException,
    UnsupportedValueException,
)
from tests.support.cluster_wide import OPTIONS, User, cluster_wide, put, value_of
from tests.support.proxy import CountingProxy, CuttingProxy, Stage

Put, Get, Delete = (
    PutCompareExchangeValueOperation,
    GetCompareExchangeValueOperation,
    DeleteCompareExchangeValueOperation,
)
GetMany = GetCompareExchangeValuesOperation


@pytest.fixture
def drop(postgres_url, database):
    """Drop the test's database behind the store's back."""

    def run():
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f'DROP SCHEMA IF EXISTS "{database}" CASCADE')

    return run


async def test_a_life(store):
    send = store.operations.send
    assert await send(Get("a", str)) is None
    made = await send(Put("a", "one", 0))
    assert (made.value, made.successful) == ("one", True)
    assert made.index > 0
    changed = await send(Put("a", "two", made.index))
    assert (changed.value, changed.successful) == ("two", True)
    assert changed.index > made.index
    found = await send(Get("a", str))
    assert (found.key, found.value, found.index) == ("a", "two", changed.index)
    assert await send(Delete("a", changed.index)) == CompareExchangeResult("two", changed.index, True)
    assert await send(Get("a")) is None
    again = await send(Put("a", "three", 0))
    assert again.index > changed.index


class TestTheIndex:
    async def test_zero_says_that_there_must_be_none(self, store):
        (index,) = await put(store, a=1)
        assert await store.operations.send(Put("a", 2, 0)) == CompareExchangeResult(1, index, False)

    async def test_a_wrong_one_changes_nothing_and_the_actual_value_comes_back(self, store):
        (index,) = await put(store, a=1)
        send = store.operations.send
        for wrong in (index - 1, index + 1):
            assert await send(Put("a", 2, wrong)) == CompareExchangeResult(1, index, False)
            assert await send(Delete("a", wrong)) == CompareExchangeResult(1, index, False)
        assert await send(Delete("a", 0)) == CompareExchangeResult(1, index, False)
        assert await value_of(store, "a") == 1

    async def test_where_there_is_no_value_nothing_has_that_index(self, store):
        send = store.operations.send
        assert await send(Delete("a", 5)) == CompareExchangeResult(None, 0, False)
        await put(store, b=1)
        assert await send(Put("a", 2, 5)) == CompareExchangeResult(None, 0, False)
        assert await send(Delete("a", 5)) == CompareExchangeResult(None, 0, False)

    async def test_of_many_at_once_one_wins(self, make_store):
        stores = [make_store() for _ in range(3)]
        results = [await store.operations.send(Put("a", i, 0)) for i, store in enumerate(stores)]
        assert [result.successful for result in results] == [True, False, False]
        assert {result.value for result in results} == {0}

    async def test_a_session_sees_what_they_did(self, store):
        (index,) = await put(store, a=1)
        async with cluster_wide(store) as session:
            value = await session.cluster_transaction.get_compare_exchange_value("a")
            result = await store.operations.send(Put("a", 2, index))
            value.value = 3
            with pytest.raises(RuntimeError, match=str(result.index)):
                await session.save_changes()


class TestTypes:
    async def test_objects(self, store):
        send = store.operations.send
        made = await send(Put("a", User("Ayende", ["x"]), 0, {"owner": "me"}))
        assert made.value == User("Ayende", ["x"])
        found = await send(Get("a", User))
        assert (found.value, found.metadata) == (User("Ayende", ["x"]), {"owner": "me"})
        assert await send(Put("a", User("Oren"), 0)) == CompareExchangeResult(User("Ayende", ["x"]), made.index, False)
        assert (await send(Delete("a", made.index, User))).value == User("Ayende", ["x"])

    async def test_a_refused_put_shows_a_value_of_another_type_as_it_is(self, store):
        await put(store, a=[1])
        assert (await store.operations.send(Put("a", User("Oren"), 0))).value == [1]

    async def test_a_value_that_cannot_be_stored_is_refused(self, store):
        with pytest.raises(UnsupportedValueException, match="compare-exchange value 'a'"):
            await store.operations.send(Put("a", {"x": object()}, 0))


class TestLists:
    async def test_by_keys_those_that_exist(self, store):
        await put(store, a=1, b=2)
        found = await store.operations.send(GetMany(["b", "c", "a"], int))
        assert {key: value.value for key, value in found.items()} == {"a": 1, "b": 2}
        assert await store.operations.send(GetMany([])) == {}

    async def test_by_prefix(self, store):
        await put(store, **{f"u/{name}": name for name in "cab"}, v=1)
        send = store.operations.send
        assert list(await send(GetMany(starts_with="u/"))) == ["u/a", "u/b", "u/c"]
        assert list(await send(GetMany.create_for_start_with("u/", 1, 1, str))) == ["u/b"]
        assert list(await send(GetMany(starts_with="", page_size=2))) == ["u/a", "u/b"]

    async def test_one_of_both_is_named(self):
        for wrong in ({}, {"keys": ["a"], "starts_with": "b"}):
            with pytest.raises(InvalidArgumentException, match="either keys or starts_with"):
                GetMany(**wrong)


class TestArguments:
    @pytest.mark.parametrize("key", [None, "", 5, User])
    async def test_keys_that_are_none(self, key):
        for operation in (lambda: Put(key, 1, 0), lambda: Get(key), lambda: Delete(key, 1), lambda: GetMany([key])):
            with pytest.raises(InvalidArgumentException):
                operation()

    @pytest.mark.parametrize("index", [None, -1, "0", 1.0, True, 2**63])
    async def test_indexes_that_are_none(self, index):
        for operation in (lambda: Put("a", 1, index), lambda: Delete("a", index)):
            with pytest.raises(InvalidArgumentException, match="index"):
                operation()

    @pytest.mark.parametrize("operation", [None, "a", Put, object()])
    async def test_what_is_no_operation(self, store, operation):
        with pytest.raises(InvalidArgumentTypeException, match="takes an operation"):
            await store.operations.send(operation)

    async def test_a_type_that_is_none(self, store):
        await put(store, a=1)
        with pytest.raises(InvalidArgumentTypeException):
            await store.operations.send(Get("a", "int"))


class TestDatabases:
    async def test_another_one(self, make_store, database, postgres_url):
        store = make_store()
        other = store.operations.for_database(f"{database}x")
        assert other.database == f"{database}x"
        assert store.operations.database == database
        try:
            await other.send(Put("a", 1, 0))
            assert (await other.send(Get("a"))).value == 1
            assert await store.operations.send(Get("a")) is None
        finally:
            await store.maintenance.delete_database(f"{database}x")

    async def test_a_name_that_is_none(self, store):
        with pytest.raises(InvalidArgumentException):
            store.operations.for_database("")

    async def test_an_older_one_is_completed(self, store, target):
        target("0001")
        assert await store.operations.send(Get("a")) is None
        assert (await store.operations.send(Put("a", 1, 0))).successful

    @pytest.mark.parametrize(
        ("operation", "expected"),
        [
            (Get("a"), None),
            (GetMany(["a", "b"]), {}),
            (GetMany(starts_with=""), {}),
            (Delete("a", 1), CompareExchangeResult(None, 0, False)),
        ],
    )
    async def test_one_that_somebody_dropped(self, store, drop, operation, expected):
        assert (await store.operations.send(Put("a", 1, 0))).successful
        drop()
        assert await store.operations.send(operation) == expected
        drop()
        assert (await store.operations.send(Put("a", 1, 0))).successful

    async def test_one_that_somebody_dropped_while_a_session_was_open(self, store, drop):
        await put(store, a=1)
        async with cluster_wide(store) as session:
            drop()
            values = session.cluster_transaction
            assert await values.get_compare_exchange_value("a") is None
            value = values.create_compare_exchange_value("a", 2)
            await session.save_changes()
            drop()
            value.value = 3
            with pytest.raises(ClusterTransactionConcurrencyException):
                await session.save_changes()
            values.clear()
            drop()
            assert await values.get_compare_exchange_values_starting_with("") == {}
            values.create_compare_exchange_value("b", 1)
            await session.save_changes()
            lazy = values.lazily.get_compare_exchange_value("c")
            drop()
            with pytest.raises(RuntimeError, match="42P01"):
                await lazy.value
            assert await values.lazily.get_compare_exchange_value("c").value is None

    async def test_or_the_command_is_named(self, make_store, target):
        target("0001")
        store = make_store(conventions=DocumentConventions(auto_create=False))
        for operation in (Put("a", 1, 0), Get("a"), Delete("a", 1), GetMany(["a"])):
            with pytest.raises(RuntimeError, match="docsession upgrade"):
                await store.operations.send(operation)

    async def test_a_closed_store_has_none(self, make_store):
        store = make_store()
        operations = store.operations
        await store.close()
        with pytest.raises(StoreClosedException):
            await operations.send(Get("a"))
        with pytest.raises(StoreClosedException):
            _ = store.operations


async def test_each_is_one_round_trip(make_store, postgres_url):
    with CountingProxy(postgres_url) as proxy:
        store = make_store(proxy.url, min_size=1)
        (index,) = await put(store, a=1)
        for operation in (Put("a", 2, index), Put("a", 2, 0), Get("a"), GetMany(["a", "b"]), Delete("a", 5)):
            proxy.reset()
            await store.operations.send(operation)
            assert proxy.round_trips == 1


@pytest.mark.parametrize("stage", [Stage.BEFORE_BYTE, Stage.BEFORE_ANSWER])
async def test_a_lost_answer_says_what_to_do(make_store, postgres_url, stage):
    with CuttingProxy(postgres_url) as proxy:
        near, far = make_store(), make_store(proxy.url)
        (index,) = await put(far, a=1)
        proxy.cut_next(stage, containing=b"COMMIT")
        with pytest.raises(UnknownOutcomeException, match="compare-exchange value 'a'"):
            await far.operations.send(Put("a", 2, index))
        assert await value_of(near, "a") == (2 if stage is Stage.BEFORE_ANSWER else 1)
        again = await far.operations.send(Put("a", 2, index))
        assert again.value == 2
        assert again.successful is (stage is Stage.BEFORE_BYTE)


def test_a_counter_that_many_count_up_loses_nothing(postgres_url, database):
    """Half of them in sessions, half by operations."""

    def by_session(store):
        done = 0
        while done < 10:
            with store.open_session(session_options=OPTIONS) as session:
                value = session.cluster_transaction.get_compare_exchange_value("counter", int)
                value.value += 1
                with contextlib.suppress(ClusterTransactionConcurrencyException):
                    session.save_changes()
                    done += 1

    def by_operations(store):
        done = 0
        while done < 10:
            found = store.operations.send(Get("counter", int))
            done += store.operations.send(Put("counter", found.value + 1, found.index)).successful

    with DocumentStore(postgres_url, database) as store, ThreadPoolExecutor(4) as pool:
        store.operations.send(Put("counter", 0, 0))
        for future in [pool.submit(work, store) for work in (by_session, by_operations) * 2]:
            future.result(60)
        assert store.operations.send(Get("counter", int)).value == 40


def test_of_many_that_register_one_name_one_does(postgres_url, database):
    barrier = threading.Barrier(8)

    def register(store, number):
        with store.open_session(session_options=OPTIONS) as session:
            session.store(User("Ayende"), f"users/{number}")
            session.cluster_transaction.create_compare_exchange_value("usernames/ayende", number)
            barrier.wait()
            try:
                session.save_changes()
            except ClusterTransactionConcurrencyException:
                return None
            return number

    with DocumentStore(postgres_url, database) as store, ThreadPoolExecutor(8) as pool:
        winners = [future.result(60) for future in [pool.submit(register, store, i) for i in range(8)]]
        (winner,) = [number for number in winners if number is not None]
        assert store.operations.send(Get("usernames/ayende")).value == winner
        with store.open_session() as session:
            assert [each.id for each in session.advanced.load_starting_with("users/", User)] == [f"users/{winner}"]
