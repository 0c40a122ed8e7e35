"""Compare-exchange values in a session: tracked, of any type, and committed together with the documents."""

import datetime as dt
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypedDict

import msgspec
import pytest

from docsession import (
    ClusterTransactionConcurrencyException,
    CompareExchangeValue,
    DocumentConventions,
    DocumentMismatchException,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    SessionClosedException,
    UnsupportedValueException,
)
from docsession._sql._schema import HEAD_REVISION
from tests.support.cluster_wide import User, cluster_wide, put, value_of
from tests.support.documents import read

UTC = dt.UTC


@dataclass
class Line:
    product: str
    amount: int = 1


@dataclass
class Order:
    lines: list[Line] = field(default_factory=list)
    paid: Decimal = Decimal("0.00")
    id: str | None = None


@dataclass
class Discount(Line):
    percent: int = 0


class Place(TypedDict):
    x: int


class Point(msgspec.Struct, frozen=True):
    x: float
    y: float


async def lost(session, *keys):
    """The save loses, and says because of which values."""
    with pytest.raises(ClusterTransactionConcurrencyException) as caught:
        await session.save_changes()
    assert [conflict.key for conflict in caught.value.compare_exchange_conflicts] == list(keys)
    for key in keys:
        assert repr(key) in str(caught.value)
    return caught.value


class TestTracking:
    async def test_a_missing_key_is_none_and_not_asked_for_again(self, store):
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            for _ in range(2):
                assert await values.get_compare_exchange_value("usernames/ayende") is None
            assert session.advanced.number_of_requests == 1
            assert values.is_tracked("usernames/ayende")
            assert values.number_of_tracked_compare_exchange_values == 1

    async def test_the_same_key_is_the_same_object(self, store):
        await put(store, a={"n": 1}, b=2)
        async with cluster_wide(store) as session:
            values = session.advanced.cluster_transaction
            value = await values.get_compare_exchange_value("a")
            assert await session.cluster_transaction.get_compare_exchange_value("a", str) is value
            assert (await values.get_compare_exchange_values(["b", "a"]))["a"] is value
            assert (await values.get_compare_exchange_values_starting_with("a"))["a"] is value
            assert session.advanced.number_of_requests == 3

    async def test_a_new_one_is_tracked_at_once(self, store):
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            value = values.create_compare_exchange_value("a", 1)
            assert (value.key, value.index, value.value) == ("a", 0, 1)
            assert await values.get_compare_exchange_value("a") is value
            assert session.advanced.number_of_requests == 0
            assert session.advanced.has_changes()
            await session.save_changes()
            assert value.index > 0
            assert not session.advanced.has_changes()
            await session.save_changes()
            assert session.advanced.number_of_requests == 1

    async def test_what_did_not_change_is_not_written(self, store):
        async with cluster_wide(store) as session:
            value = session.cluster_transaction.create_compare_exchange_value("a", Order([Line("x")]))
            await session.save_changes()
            index = value.index
            value.value = Order([Line("x")])
            await session.save_changes()
            assert value.index == index

    async def test_an_index_only_grows(self, store):
        seen = []
        async with cluster_wide(store) as session:
            for _ in range(3):
                value = session.cluster_transaction.create_compare_exchange_value("a", 1)
                await session.save_changes()
                seen.append(value.index)
                value.value = 2
                await session.save_changes()
                seen.append(value.index)
                session.cluster_transaction.delete_compare_exchange_value(value)
                await session.save_changes()
        assert sorted(set(seen)) == seen

    async def test_clearing_forgets_everything(self, store):
        await put(store, a=1, b=1)
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            (await values.get_compare_exchange_value("a")).value = 2
            values.create_compare_exchange_value("c", 1)
            values.delete_compare_exchange_value("b", 1)
            values.clear()
            assert values.number_of_tracked_compare_exchange_values == 0
            assert not values.is_tracked("a")
            await session.save_changes()
            assert (await values.get_compare_exchange_value("a")).value == 1
            (await values.get_compare_exchange_value("a")).value = 3
            session.advanced.clear()
            assert not session.advanced.has_changes()

    async def test_without_tracking_they_are_only_read(self, store):
        await put(store, a=1)
        async with cluster_wide(store, no_tracking=True) as session:
            values = session.cluster_transaction
            first = await values.get_compare_exchange_value("a")
            assert await values.get_compare_exchange_value("a") is not first
            assert await values.get_compare_exchange_value("b") is None
            assert values.number_of_tracked_compare_exchange_values == 0
            with pytest.raises(InvalidOperationException, match="no_tracking"):
                values.create_compare_exchange_value("c", 1)
            with pytest.raises(InvalidOperationException, match="no_tracking"):
                values.delete_compare_exchange_value(first)

    async def test_they_count_as_requests_as_loads_do(self, store):
        await put(store, a=1, b=2)
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            assert await values.get_compare_exchange_values([]) == {}
            assert session.advanced.number_of_requests == 0
            await values.get_compare_exchange_values(["a", "b", "c"])
            await values.get_compare_exchange_values(["a", "c"])
            assert session.advanced.number_of_requests == 1
            await values.get_compare_exchange_values_starting_with("")
            await values.get_compare_exchange_values_starting_with("")
            assert session.advanced.number_of_requests == 3


class TestReading:
    async def test_several_keys_are_a_dict_with_each_of_them(self, store):
        await put(store, a=1, b=2)
        async with cluster_wide(store) as session:
            found = await session.cluster_transaction.get_compare_exchange_values(["b", "missing", "a", "b"], int)
            assert list(found) == ["b", "missing", "a"]
            assert [value and value.value for value in found.values()] == [2, None, 1]

    async def test_by_prefix_in_the_order_of_the_keys(self, store):
        await put(store, **{f"u/{name}": name for name in ("b", "a", "ä", "A", "c")}, v=1)
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            found = await values.get_compare_exchange_values_starting_with("u/")
            assert list(found) == ["u/A", "u/a", "u/b", "u/c", "u/ä"]
            assert list(await values.get_compare_exchange_values_starting_with("u/", 1, 2)) == ["u/a", "u/b"]
            assert list(await values.get_compare_exchange_values_starting_with("u/", page_size=0)) == []
            assert list(await values.get_compare_exchange_values_starting_with("")) == [*found, "v"]
            assert await values.get_compare_exchange_values_starting_with("u/", object_type=str) == found
            values.delete_compare_exchange_value(found["u/a"])
            values.create_compare_exchange_value("u/new", 1)
            assert list(await values.get_compare_exchange_values_starting_with("u/")) == ["u/A", "u/b", "u/c", "u/ä"]

    async def test_a_database_that_does_not_exist_has_none_and_is_not_made(self, store, rows, database):
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            assert await values.get_compare_exchange_value("a") is None
            assert await values.get_compare_exchange_values_starting_with("a") == {}
            assert await value_of(store, "a") is None
        await put(store, a=1)
        assert await value_of(store, "a") == 1

    @pytest.mark.parametrize("object_type", ["int", 5, [int], {"a": int}])
    async def test_what_is_no_type_is_refused(self, store, object_type):
        async with cluster_wide(store) as session:
            with pytest.raises(InvalidArgumentTypeException, match="object_type"):
                await session.cluster_transaction.get_compare_exchange_value("a", object_type)

    async def test_a_value_of_another_type_is_refused(self, store):
        await put(store, a=[1, "x"])
        async with cluster_wide(store) as session:
            with pytest.raises(DocumentMismatchException, match="compare-exchange value 'a'") as caught:
                await session.cluster_transaction.get_compare_exchange_value("a", list[int])
            assert (caught.value.id, caught.value.path) == ("a", "Object[1]")
            assert (await session.cluster_transaction.get_compare_exchange_value("a")).value == [1, "x"]

    @pytest.mark.parametrize("keys", ["a", None, 5, ["a", None], [""], ["a\0b"]])
    async def test_keys_that_are_none_are_refused(self, store, keys):
        async with cluster_wide(store) as session:
            with pytest.raises(InvalidArgumentException):
                await session.cluster_transaction.get_compare_exchange_values(keys)

    @pytest.mark.parametrize("page", [(None,), ("a", -1), ("a", 0, -1), ("a", True), ("a", 0, "1"), ("a\0",)])
    async def test_pages_that_are_none_are_refused(self, store, page):
        async with cluster_wide(store) as session:
            with pytest.raises(InvalidArgumentException):
                await session.cluster_transaction.get_compare_exchange_values_starting_with(*page)


class TestSaving:
    async def test_with_the_documents_or_not_at_all(self, store):
        async with cluster_wide(store) as session:
            session.cluster_transaction.create_compare_exchange_value("usernames/ayende", "users/1")
            await session.store(User("Ayende"), "users/1")
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
        async with cluster_wide(store) as session:
            value = session.cluster_transaction.create_compare_exchange_value("usernames/ayende", "users/2")
            await session.store(user := User("Impostor"), "users/2")
            error = await lost(session, "usernames/ayende")
            assert error.conflicts == ()
            assert error.compare_exchange_conflicts[0].expected == 0
            assert value.index == 0
            assert session.advanced.get_change_vector_for(user) is None
            assert await read(store, "users/2") is None
            session.cluster_transaction.clear()
            session.cluster_transaction.create_compare_exchange_value("usernames/oren", "users/2")
            await session.save_changes()
        assert await value_of(store, "usernames/oren") == "users/2"
        assert (await read(store, "users/2", User)).name == "Impostor"

    async def test_a_conflict_of_a_document_leaves_the_values(self, store):
        async with cluster_wide(store) as session:
            user = User("Ayende")
            await session.store(user, "users/1")
            await session.save_changes()
            async with store.open_session() as other:
                (await other.load("users/1", User)).name = "Oren"
                await other.save_changes()
            user.name = "Rahien"
            value = session.cluster_transaction.create_compare_exchange_value("a", 1)
            error = await lost(session)
            assert error.id == "users/1"
            assert value.index == 0
        assert await value_of(store, "a") is None

    async def test_of_two_sessions_that_change_a_value_one_loses(self, store):
        await put(store, a=1, b=1)
        async with cluster_wide(store) as first, cluster_wide(store) as second:
            for session in (first, second):
                for value in (await session.cluster_transaction.get_compare_exchange_values(["a", "b"])).values():
                    value.value += 1
            await first.save_changes()
            error = await lost(second, "a", "b")
            conflict = error.compare_exchange_conflicts[0]
            assert conflict.actual > conflict.expected > 0
        assert await value_of(store, "a") == 2

    async def test_a_value_that_was_deleted_is_told_from_one_that_changed(self, store):
        await put(store, a=1)
        async with cluster_wide(store) as session:
            (await session.cluster_transaction.get_compare_exchange_value("a")).value = 2
            async with cluster_wide(store) as other:
                other.cluster_transaction.delete_compare_exchange_value(
                    await other.cluster_transaction.get_compare_exchange_value("a")
                )
                await other.save_changes()
            error = await lost(session, "a")
            assert error.compare_exchange_conflicts[0].actual is None
            assert "was deleted meanwhile" in str(error)

    async def test_a_value_that_is_only_read_is_not_checked(self, store):
        await put(store, a=1)
        async with cluster_wide(store) as session:
            await session.cluster_transaction.get_compare_exchange_value("a")
            async with cluster_wide(store) as other:
                (await other.cluster_transaction.get_compare_exchange_value("a")).value = 2
                await other.save_changes()
            session.cluster_transaction.create_compare_exchange_value("b", 1)
            await session.save_changes()

    async def test_many_at_once(self, store):
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            made = [values.create_compare_exchange_value(f"n/{i:04}", i) for i in range(400)]
            await session.save_changes()
            for value in made[::2]:
                value.value = -1
            for value in made[1::4]:
                values.delete_compare_exchange_value(value)
            await session.save_changes()
            assert session.advanced.number_of_requests == 2
        async with cluster_wide(store) as session:
            found = await session.cluster_transaction.get_compare_exchange_values_starting_with("n/", object_type=int)
        assert [value.value for value in found.values()] == [-1 if i % 2 == 0 else i for i in range(400) if i % 4 != 1]
        assert {value.index for value in found.values()} <= {value.index for value in made}

    async def test_a_table_of_the_first_revision_is_completed(self, store, rows, target):
        target("0001")
        async with cluster_wide(store) as session:
            assert await session.cluster_transaction.get_compare_exchange_value("a") is None
            session.cluster_transaction.create_compare_exchange_value("a", 1)
            await session.save_changes()
        assert await value_of(store, "a") == 1
        assert target() == HEAD_REVISION

    async def test_where_that_may_not_be_the_command_is_named(self, make_store, target):
        target("0001")
        store = make_store(conventions=DocumentConventions(auto_create=False))
        async with cluster_wide(store) as session:
            with pytest.raises(RuntimeError, match="docsession upgrade"):
                await session.cluster_transaction.get_compare_exchange_value("a")
            session.cluster_transaction.create_compare_exchange_value("a", 1)
            with pytest.raises(RuntimeError, match="docsession upgrade"):
                await session.save_changes()
            target("head")
            await session.save_changes()
        assert await value_of(store, "a") == 1


class TestDeleting:
    async def test_a_value_that_was_got(self, store):
        await put(store, a=1)
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            value = await values.get_compare_exchange_value("a")
            values.delete_compare_exchange_value(value)
            assert await values.get_compare_exchange_value("a") is None
            assert values.is_tracked("a")
            await session.save_changes()
            assert await values.get_compare_exchange_value("a") is None
            assert session.advanced.number_of_requests == 2
        assert await value_of(store, "a") is None

    async def test_a_key_with_its_index(self, store):
        (index,) = await put(store, a=1)
        async with cluster_wide(store) as session:
            session.cluster_transaction.delete_compare_exchange_value("a", index + 1)
            await lost(session, "a")
            session.cluster_transaction.delete_compare_exchange_value("a", index)
            await session.save_changes()
        assert await value_of(store, "a") is None

    async def test_a_key_that_is_tracked(self, store):
        await put(store, a=1)
        async with cluster_wide(store) as session:
            await session.cluster_transaction.get_compare_exchange_value("a")
            session.cluster_transaction.delete_compare_exchange_value("a")
            await session.save_changes()
        assert await value_of(store, "a") is None

    async def test_a_key_of_which_nothing_is_known_needs_an_index(self, store):
        async with cluster_wide(store) as session:
            with pytest.raises(InvalidArgumentException, match="give the index"):
                session.cluster_transaction.delete_compare_exchange_value("a")
            for wrong in (0, -1, "1", 1.0, True):
                with pytest.raises(InvalidArgumentException, match="index"):
                    session.cluster_transaction.delete_compare_exchange_value("a", wrong)
            with pytest.raises(InvalidArgumentTypeException):
                session.cluster_transaction.delete_compare_exchange_value(None)

    async def test_one_that_is_not_there_is_a_conflict(self, store):
        async with cluster_wide(store) as session:
            session.cluster_transaction.delete_compare_exchange_value("a", 5)
            await session.store(User("Ayende"), "users/1")
            await lost(session, "a")
        assert await read(store, "users/1") is None

    async def test_one_that_was_never_saved_is_simply_forgotten(self, store):
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            values.delete_compare_exchange_value(values.create_compare_exchange_value("a", 1))
            assert not session.advanced.has_changes()
            await session.save_changes()
            assert session.advanced.number_of_requests == 0

    async def test_after_a_deletion_the_last_word_counts(self, store):
        (index,) = await put(store, a=1)
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            values.delete_compare_exchange_value("a", index)
            value = values.create_compare_exchange_value("a", "new")
            await session.save_changes()
            assert value.index > index
            values.delete_compare_exchange_value("a")
            values.create_compare_exchange_value("a", "newer")
            values.delete_compare_exchange_value("a")
            await session.save_changes()
        assert await value_of(store, "a") is None


class TestMisuse:
    async def test_a_session_that_is_not_cluster_wide_has_none(self, store):
        async with store.open_session() as session:
            for get in (lambda: session.advanced.cluster_transaction, lambda: session.cluster_transaction):
                with pytest.raises(RuntimeError, match="CLUSTER_WIDE"):
                    get()

    async def test_a_closed_session_has_none(self, store):
        session = cluster_wide(store)
        values = session.cluster_transaction
        lazy = values.lazily.get_compare_exchange_value("a")
        await session.close()
        with pytest.raises(SessionClosedException):
            await values.get_compare_exchange_value("a")
        with pytest.raises(SessionClosedException):
            values.create_compare_exchange_value("a", 1)
        with pytest.raises(SessionClosedException):
            await lazy.value

    async def test_a_key_is_created_once(self, store):
        await put(store, a=1)
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            await values.get_compare_exchange_value("a")
            values.create_compare_exchange_value("b", 1)
            for key in ("a", "b"):
                with pytest.raises(RuntimeError, match=f"'{key}' already"):
                    values.create_compare_exchange_value(key, 2)

    @pytest.mark.parametrize("key", [None, "", " ", 5, "a\0b", "\ud800", "x" * 1025])
    async def test_what_can_be_no_key_is_refused(self, store, key):
        async with cluster_wide(store) as session:
            with pytest.raises(InvalidArgumentException, match=r"compare-exchange value"):
                session.cluster_transaction.create_compare_exchange_value(key, 1)

    async def test_a_value_is_not_wrapped_twice(self, store):
        async with cluster_wide(store) as session:
            with pytest.raises(InvalidArgumentTypeException, match="the value itself"):
                session.cluster_transaction.create_compare_exchange_value("a", CompareExchangeValue("a", 0, 1))

    @pytest.mark.parametrize("value", [object(), float("nan"), {1: 2}, "\0", [Line("x")], lambda: 1])
    async def test_a_value_that_cannot_be_stored_is_refused_and_nothing_is_written(self, store, value):
        async with cluster_wide(store) as session:
            await session.store(User("Ayende"), "users/1")
            session.cluster_transaction.create_compare_exchange_value("a", value)
            with pytest.raises(UnsupportedValueException, match="compare-exchange value 'a'") as caught:
                await session.save_changes()
            assert caught.value.id == "a"
        assert await read(store, "users/1") is None


VALUES = [
    None, True, False, 0, -5, 2**80, 1.5, 1e16, "", "Grüße \U0001f600", [], {}, [1, [None, {"a": "b"}]],
    {"Id": "x", "@metadata": 5, "a": {"b": [1.0]}}, Decimal("1.50"), uuid.UUID(int=5), b"\x00\xff",
    dt.datetime(2024, 5, 6, 7, 8, 9, 10, UTC), dt.date(2024, 5, 6), dt.timedelta(days=1), {"when": dt.date(2024, 1, 1)},
    (1, 2), {1, 2},
]  # fmt: skip


class TestTypes:
    @pytest.mark.parametrize("value", VALUES, ids=repr)
    async def test_a_plain_value_comes_back_as_it_was(self, store, value):
        await put(store, a=value)
        found = await value_of(store, "a")
        assert found == value
        assert type(found) is type(value)

    async def test_an_object_comes_back_as_its_class(self, store):
        order = Order([Line("x"), Line("y", 2)], Decimal("1.50"), "orders/1")
        await put(store, order=order, point=Point(1.0, 2.0))
        assert await value_of(store, "order", Order) == order
        assert await value_of(store, "point", Point) == Point(1.0, 2.0)
        assert await value_of(store, "order") == {
            "id": "orders/1",
            "lines": [{"amount": 1, "product": "x"}, {"amount": 2, "product": "y"}],
            "paid": 1.5,
        }

    async def test_a_type_made_of_classes(self, store):
        await put(store, orders=[{"lines": [{"product": "x"}]}], maybe=None)
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            orders = await values.get_compare_exchange_value("orders", list[Order])
            assert orders.value == [Order([Line("x")])]
            orders.value.append(Order(paid=Decimal(5)))
            maybe = await values.get_compare_exchange_value("maybe", Order | None)
            assert maybe.value is None
            maybe.value = Order()
            await session.save_changes()
        assert await value_of(store, "orders", list[Order]) == [Order([Line("x")]), Order(paid=Decimal(5))]
        assert await value_of(store, "maybe", Order | None) == Order()

    async def test_changes_in_place_are_saved_at_any_depth(self, store):
        await put(store, order=Order([Line("x")]), plain={"a": [{"b": 1}]}, list=[1])
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            (await values.get_compare_exchange_value("order", Order)).value.lines[0].amount = 5
            (await values.get_compare_exchange_value("plain")).value["a"][0]["b"] = True
            (await values.get_compare_exchange_value("list", list)).value.append(2)
            assert session.advanced.has_changes()
            await session.save_changes()
            assert session.advanced.number_of_requests == 4
        assert await value_of(store, "order", Order) == Order([Line("x", 5)])
        assert await value_of(store, "plain") == {"a": [{"b": True}]}
        assert await value_of(store, "list") == [1, 2]

    async def test_what_a_class_does_not_know_is_kept(self, store):
        await put(store, order={"lines": [{"product": "x", "note": "kept"}], "paid": 1, "color": "red"})
        async with cluster_wide(store) as session:
            value = await session.cluster_transaction.get_compare_exchange_value("order", Order)
            value.value.lines.insert(0, Line("new"))
            await session.save_changes()
        found = await value_of(store, "order")
        assert found["color"] == "red"
        assert [line.get("note") for line in found["lines"]] == [None, "kept"]

    @pytest.mark.parametrize("new", ["text", None, 5, [1], {"a": dt.date(2024, 1, 1)}, Point(1.0, 2.0)], ids=repr)
    async def test_a_value_may_become_one_of_another_type(self, store, new):
        await put(store, a=Decimal("1.50"), b=Order())
        async with cluster_wide(store) as session:
            for key, object_type in (("a", Decimal), ("b", Order)):
                (await session.cluster_transaction.get_compare_exchange_value(key, object_type)).value = new
            await session.save_changes()
            await session.save_changes()
            assert session.advanced.number_of_requests == 3
        for key in ("a", "b"):
            assert await value_of(store, key, type(new) if isinstance(new, Point) else None) == new

    async def test_an_instance_of_a_subclass_is_written_with_all_of_its_fields(self, store):
        await put(store, a=Line("x"))
        async with cluster_wide(store) as session:
            (await session.cluster_transaction.get_compare_exchange_value("a", Line)).value = Discount("y", 2, 5)
            await session.save_changes()
        assert await value_of(store, "a", Discount) == Discount("y", 2, 5)

    async def test_a_typed_dict(self, store):
        await put(store, a={"x": 1, "more": True})
        async with cluster_wide(store) as session:
            value = await session.cluster_transaction.get_compare_exchange_value("a", Place)
            value.value["x"] = 2
            await session.save_changes()
        assert await value_of(store, "a") == {"x": 2, "more": True}

    async def test_a_frozen_value_is_changed_by_setting_another(self, store):
        await put(store, a=Point(1.0, 2.0))
        async with cluster_wide(store) as session:
            (await session.cluster_transaction.get_compare_exchange_value("a", Point)).value = Point(3.0, 4.0)
            await session.save_changes()
        assert await value_of(store, "a", Point) == Point(3.0, 4.0)

    async def test_registered_classes_in_untyped_places(self, make_store):
        conventions = DocumentConventions()
        conventions.register(Line)
        store = make_store(conventions=conventions)
        await put(store, a=[Line("x", 2), {"in": Line("y")}])
        assert await value_of(store, "a") == [Line("x", 2), {"in": Line("y")}]


class TestMetadata:
    async def test_free_keys_are_stored_with_the_value(self, store):
        async with cluster_wide(store) as session:
            value = session.cluster_transaction.create_compare_exchange_value("a", dt.date(2024, 1, 1))
            assert not value.has_metadata
            value.metadata["owner"] = "me"
            await session.save_changes()
        async with cluster_wide(store) as session:
            value = await session.cluster_transaction.get_compare_exchange_value("a")
            assert value.has_metadata
            assert value.metadata == {"owner": "me"}
            assert value.value == dt.date(2024, 1, 1)
            value.metadata["owner"] = "you"
            await session.save_changes()
            await session.save_changes()
            assert session.advanced.number_of_requests == 2
        async with cluster_wide(store) as session:
            value = await session.cluster_transaction.get_compare_exchange_value("a")
            assert (value.value, value.metadata) == (dt.date(2024, 1, 1), {"owner": "you"})


class TestLazily:
    async def test_all_that_wait_are_one_request(self, store):
        await put(store, a=1, b="x", c=[Line("y").product])
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            first = values.lazily.get_compare_exchange_value("a", int)
            second = values.lazily.get_compare_exchange_values(["b", "missing"])
            third = values.lazily.get_compare_exchange_value("missing")
            assert session.advanced.number_of_requests == 0
            assert not first.is_value_created
            assert (await first.value).value == 1
            assert first.is_value_created
            assert second.is_value_created
            found = await second.value
            assert [value and value.value for value in found.values()] == ["x", None]
            assert await third.value is None
            assert session.advanced.number_of_requests == 1
            assert await values.get_compare_exchange_value("a") is await first.value
            assert session.advanced.number_of_requests == 1

    async def test_what_is_known_costs_nothing(self, store):
        await put(store, a=1)
        async with cluster_wide(store) as session:
            values = session.cluster_transaction
            known = await values.get_compare_exchange_value("a")
            new = values.create_compare_exchange_value("b", 1)
            lazies = values.lazily.get_compare_exchange_values(["a", "b"])
            assert list((await lazies.value).values()) == [known, new]
            assert session.advanced.number_of_requests == 1

    async def test_they_can_be_sent_at_once(self, store):
        await put(store, a=1)
        async with cluster_wide(store) as session:
            lazy = session.cluster_transaction.lazily.get_compare_exchange_value("a")
            took = await session.advanced.eagerly.execute_all_pending_lazy_operations()
            assert lazy.is_value_created
            assert took.total_client_duration > dt.timedelta(0)
            assert (await lazy.value).value == 1
            nothing = await session.advanced.eagerly.execute_all_pending_lazy_operations()
            assert nothing.total_client_duration == dt.timedelta(0)
            assert session.advanced.number_of_requests == 1

    async def test_what_one_answer_leads_to_is_no_other_ones_error(self, store):
        await put(store, a="text", b=1)
        async with cluster_wide(store) as session:
            wrong = session.cluster_transaction.lazily.get_compare_exchange_value("a", int)
            right = session.cluster_transaction.lazily.get_compare_exchange_value("b", int)
            for _ in range(2):
                with pytest.raises(DocumentMismatchException):
                    await wrong.value
            assert (await right.value).value == 1

    async def test_after_a_request_that_failed_they_still_wait(self, store):
        await put(store, a=1)
        async with cluster_wide(store) as session:
            lazy = session.cluster_transaction.lazily.get_compare_exchange_value("a")
            session.advanced.max_number_of_requests_per_session = 1
            await session.cluster_transaction.get_compare_exchange_value("b")
            with pytest.raises(ValueError, match="sent the 1 requests"):
                await lazy.value
            assert not lazy.is_value_created
            session.advanced.max_number_of_requests_per_session = 10
            assert (await lazy.value).value == 1

    async def test_wrong_arguments_are_refused_at_once(self, store):
        async with cluster_wide(store) as session:
            with pytest.raises(InvalidArgumentException):
                session.cluster_transaction.lazily.get_compare_exchange_value("")
            with pytest.raises(InvalidArgumentTypeException):
                session.cluster_transaction.lazily.get_compare_exchange_value("a", "int")
            with pytest.raises(InvalidArgumentTypeException):
                session.cluster_transaction.lazily.get_compare_exchange_values("a")
