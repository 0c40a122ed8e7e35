"""Documents of older versions of their class: brought up to date when read, written with the next change."""

# ruff: noqa: DTZ001 (naive datetimes are values too)

import dataclasses
import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from docsession import (
    DocumentMismatchException,
    InvalidArgumentException,
    OptimisticConcurrencyMode,
    PutCommandDataWithJson,
    SessionOptions,
    document,
    upcaster,
)
from tests.support.documents import read, save
from tests.support.families import FAMILIES


@document(version=3)
@dataclasses.dataclass
class Order:
    """Version 1 had `name`, version 2 `customer`, version 3 has it as a list."""

    customers: list[str]
    total: Decimal = Decimal(0)
    extra: Any = None
    Id: str | None = None


@upcaster(Order, from_version=1)
def name_the_customer(order: dict[str, Any]) -> dict[str, Any]:
    order["customer"] = order.pop("name")
    return order


@upcaster(Order, from_version=2)
def list_the_customers(order: dict[str, Any]) -> dict[str, Any]:
    return {**order, "customers": [order["customer"]]}


@document(version=2, alias="broken order")
@dataclasses.dataclass
class Broken:
    name: str


@upcaster(Broken, from_version=1)
def break_it(document):
    match document["name"]:
        case "raise":
            raise KeyError("customer")
        case "none":
            return None
        case "object":
            return {"name": object()}
        case "nan":
            return {"name": [float("nan")]}
        case "misfit":
            return {"name": 7}
    return document


dogs = FAMILIES["dataclass"]


@document(base=dogs.Animal, alias="versioned-cow", version=2)
@dataclasses.dataclass
class Cow(dogs.Animal):
    milk: int = 0


@upcaster(Cow, from_version=1)
def measure(cow):
    return {**cow, "milk": cow["milk"] * 1000}


@pytest.fixture
def old(store, rows):
    """Save a document as an older program has left it: `await old(key, json, metadata)`."""

    async def put(key, data, metadata=None, collection="Orders"):
        await save(store, ({"@metadata": {"@collection": collection}}, key))
        rows.write_old(collection.lower(), key, data, metadata)

    return put


class TestReading:
    async def test_every_step_is_taken(self, store, old):
        await old("orders/1", '{"name": "Ada"}')
        await old("orders/2", '{"customer": "Bob"}', '{"@schema-version": 2}')
        await old("orders/3", '{"customers": ["Cy"]}', '{"@schema-version": 3}')
        async with store.open_session() as session:
            found = await session.load(["orders/1", "orders/2", "orders/3"], Order)
            assert [each.customers for each in found.values()] == [["Ada"], ["Bob"], ["Cy"]]

    async def test_writes_nothing(self, store, old, rows):
        await old("orders/1", '{"name": "Ada"}')
        async with store.open_session() as session:
            order = await session.load("orders/1", Order)
            assert not session.advanced.has_changes()
            assert session.advanced.what_changed() == {}
            assert session.advanced.get_metadata_for(order)["@schema-version"] == 3
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
        assert rows.data("orders", "orders/1") == {"name": "Ada"}
        assert rows.metadata("orders", "orders/1") is None

    async def test_the_next_change_writes_what_is_up_to_date(self, store, old, rows):
        await old("orders/1", '{"name": "Ada", "total": 1.50, "unknown": {"b": 2.500, "a": 1e2}}', '{"mine": 1}')
        async with store.open_session() as session:
            order = await session.load("orders/1", Order)
            order.customers.append("Bob")
            assert [each.field_full_name for each in session.advanced.what_changed_for(order)] == ["customers[1]"]
            await session.save_changes()
            assert not session.advanced.has_changes()
        assert rows.text("orders", "orders/1") == (
            '{"total": 1.50, "unknown": {"a": 100, "b": 2.500}, "customer": "Ada", "customers": ["Ada", "Bob"]}'
        )
        assert rows.metadata("orders", "orders/1") == {"@schema-version": 3, "mine": 1}
        assert (await read(store, "orders/1", Order)).customers == ["Ada", "Bob"]

    async def test_a_new_document_is_of_the_current_version(self, store, rows):
        key = await save(store, Order(["Ada"]))
        assert rows.metadata("orders", key) == {"@schema-version": 3}
        async with store.open_session() as session:
            await session.load(key, Order)
            assert not session.advanced.has_changes()

    async def test_types_of_values_in_untyped_places_are_kept(self, store, old, rows):
        recorded = '{"@types": {"/name": "date", "/extra/0": "Decimal", "/extra/1/when": "datetime"}}'
        await old("orders/1", '{"name": "2020-01-01", "extra": [1.50, {"when": "2020-01-01T00:00:00"}, 2.5]}', recorded)
        async with store.open_session() as session:
            order = await session.load("orders/1", Order)
            assert order.extra == [Decimal("1.50"), {"when": dt.datetime(2020, 1, 1)}, 2.5]
            order.extra.append(1)
            await session.save_changes()
        order = await read(store, "orders/1", Order)
        assert order.extra == [Decimal("1.50"), {"when": dt.datetime(2020, 1, 1)}, 2.5, 1]
        assert str(order.extra[0]) == "1.50"

    async def test_metadata_alone_may_change(self, store, old, rows):
        await old("orders/1", '{"name": "Ada"}')
        async with store.open_session() as session:
            order = await session.load("orders/1", Order)
            session.advanced.get_metadata_for(order)["seen"] = True
            await session.save_changes()
        assert rows.metadata("orders", "orders/1") == {"@schema-version": 3, "seen": True}
        assert rows.data("orders", "orders/1")["customers"] == ["Ada"]

    async def test_wherever_a_document_comes_from(self, store, old):
        await old("orders/1", '{"name": "Ada"}')
        await save(store, ({"order": "orders/1"}, "links/1"))
        async with store.open_session() as session:
            await session.include("order").load("links/1")
            assert (await session.load("orders/1", Order)).customers == ["Ada"]
        async with store.open_session() as session:
            assert [each.customers for each in await session.advanced.load_starting_with("orders/", Order)] == [["Ada"]]
        async with store.open_session() as session:
            result = await session.advanced.conditional_load("orders/1", "1", Order)
            assert result.entity.customers == ["Ada"]
        async with store.open_session(session_options=SessionOptions(no_tracking=True)) as session:
            assert (await session.load("orders/1", Order)).customers == ["Ada"]

    async def test_a_refresh_brings_up_to_date(self, store, old, rows):
        await old("orders/1", '{"name": "Ada"}')
        async with store.open_session() as session:
            order = await session.load("orders/1", Order)
            rows.write_old("orders", "orders/1", '{"name": "Bob"}', None)
            await session.advanced.refresh(order)
            assert order.customers == ["Bob"]
            assert not session.advanced.has_changes()
            order.total = Decimal(1)
            await session.save_changes()
        assert rows.metadata("orders", "orders/1") == {"@schema-version": 3}

    async def test_without_a_class_it_is_as_it_is_stored(self, store, old, rows):
        await old("orders/1", '{"customer": "Ada"}', '{"@schema-version": 2}')
        async with store.open_session() as session:
            order = await session.load("orders/1")
            assert (order["customer"], order["@metadata"]["@schema-version"]) == ("Ada", 2)
            order["customer"] = "Bob"
            await session.save_changes()
        assert rows.metadata("orders", "orders/1") == {"@schema-version": 2}
        assert (await read(store, "orders/1", Order)).customers == ["Bob"]

    async def test_a_dict_may_say_which_version_it_is_of(self, store, rows):
        order = {"customer": "Ada", "@metadata": {"@schema-version": 2}}
        await save(store, (order, "orders/1"))
        assert rows.metadata("orders", "orders/1") == {"@schema-version": 2}
        assert (await read(store, "orders/1", Order)).customers == ["Ada"]
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException, match="'@schema-version'"):
                await session.store({"@metadata": {"@schema-version": "2"}}, "orders/2")

    async def test_a_write_of_what_was_read_is_checked_as_ever(self, store, old, rows):
        await old("orders/1", '{"name": "Ada"}')
        options = SessionOptions(optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES)
        async with store.open_session(session_options=options) as session:
            order = await session.load("orders/1", Order)
            order.total = Decimal(1)
            await session.save_changes()
            order.total = Decimal(2)
            await session.save_changes()
        assert rows.data("orders", "orders/1")["total"] == 2


class TestRefusals:
    @pytest.mark.parametrize("version", ["4", '"x"', "0", "2.0", "true", "null"])
    async def test_a_version_that_is_not_known(self, store, old, version):
        await old("orders/1", '{"customers": ["Ada"]}', f'{{"@schema-version": {version}}}')
        with pytest.raises(DocumentMismatchException, match=r"'orders/1' cannot be read: .*version") as caught:
            await read(store, "orders/1", Order)
        assert caught.value.id == "orders/1"
        assert (await read(store, "orders/1"))["customers"] == ["Ada"]

    async def test_a_newer_document_than_a_class_without_versions(self, store, old):
        await old("animals/1", '{"name": "a"}', '{"@schema-version": 2}', "Animals")
        with pytest.raises(DocumentMismatchException, match=r"version 2 of .*knows versions up to 1: a newer program"):
            await read(store, "animals/1", dogs.Animal)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("raise", r"the upcaster break_it of Broken from version 1 to 2 raised KeyError: 'customer'"),
            (
                "none",
                r"the upcaster break_it of Broken from version 1 to 2 returned None; it has to return",
            ),
            ("object", r"what its upcasters return cannot be stored: name: a value of type"),
            ("nan", r"what its upcasters return cannot be stored: name\[0\]: JSON has no number for nan"),
            ("misfit", r"does not fit Broken: at name: expected str, found int 7"),
        ],
    )
    async def test_an_upcaster_that_fails(self, store, old, name, message):
        await old("broken/1", f'{{"name": "{name}"}}', None, "Brokens")
        with pytest.raises(DocumentMismatchException, match=message) as caught:
            await read(store, "broken/1", Broken)
        assert caught.value.id == "broken/1"
        assert (caught.value.__cause__ is None) == (name not in {"raise", "misfit"})


class TestSubclasses:
    async def test_a_subclass_may_have_versions_of_its_own(self, store, rows):
        await save(store, ({"name": "a", "milk": 2, "@metadata": {"@type": "versioned-cow"}}, "animals/1"))
        async with store.open_session() as session:
            cow = await session.load("animals/1", dogs.Animal)
            assert (type(cow), cow.milk) == (Cow, 2000)
            assert not session.advanced.has_changes()
            cow.milk = 1
            await session.save_changes()
        assert rows.metadata("animals", "animals/1") == {"@type": "versioned-cow", "@schema-version": 2}
        assert (await read(store, "animals/1", dogs.Animal)).milk == 1
        assert (await read(store, "animals/1", Cow)).milk == 1


class TestEvents:
    async def test_handlers_see_the_current_version_and_the_class_itself(self, store, old):
        await old("animals/1", '{"name": "a", "milk": 2}', '{"@type": "versioned-cow"}', "Animals")
        seen = []
        async with store.open_session() as session:
            session.advanced.add_before_conversion_to_entity(
                lambda args: seen.append((args.object_type, args.document["milk"], args.document["@metadata"]))
            )
            cow = await session.load("animals/1", dogs.Animal)
            assert (type(cow), cow.milk) == (Cow, 2000)
            assert not session.advanced.has_changes()
        ((cls, milk, metadata),) = seen
        assert (cls, milk, metadata["@type"], metadata["@schema-version"]) == (Cow, 2000, "versioned-cow", 2)

    async def test_what_handlers_change_is_decoded_as_the_class(self, store, old):
        await old("animals/1", '{"name": "a", "milk": 2}', '{"@type": "versioned-cow"}', "Animals")

        def double(args):
            args.document["milk"] *= 2

        async with store.open_session() as session:
            session.advanced.add_before_conversion_to_entity(double)
            cow = await session.load("animals/1", dogs.Animal)
            assert (type(cow), cow.milk) == (Cow, 4000)


class TestBesideOtherFeatures:
    async def test_what_the_store_keeps_is_brought_up_to_date_each_time(self, store, old, rows):
        await old("orders/1", f'{{"name": "Ada", "extra": "{"x" * 5000}"}}')
        for _ in range(3):
            assert (await read(store, "orders/1", Order)).customers == ["Ada"]
        assert store.statistics.cache_hits == 2
        async with store.open_session() as session:
            (await session.load("orders/1", Order)).customers.append("Bob")
            await session.save_changes()
        for _ in range(2):
            assert (await read(store, "orders/1", Order)).customers == ["Ada", "Bob"]
        assert rows.metadata("orders", "orders/1") == {"@schema-version": 3}

    async def test_a_rollback_brings_it_back_as_it_was_read(self, store, old, rows):
        await old("orders/1", '{"name": "Ada"}')
        async with store.open_session() as session:
            await session.advanced.begin()
            order = await session.load("orders/1", Order)
            order.customers.append("Bob")
            await session.save_changes()
            await session.advanced.rollback()
            assert rows.data("orders", "orders/1") == {"name": "Ada"}
            assert session.advanced.has_changes()
            assert session.advanced.get_metadata_for(order)["@schema-version"] == 3
            await session.save_changes()
        assert rows.data("orders", "orders/1") == {"customer": "Ada", "customers": ["Ada", "Bob"]}
        assert rows.metadata("orders", "orders/1") == {"@schema-version": 3}

    async def test_a_raw_command_says_class_and_version(self, store, rows):
        put = {"name": "a", "milk": 2, "@metadata": {"@collection": "Animals", "@type": "versioned-cow"}}
        async with store.open_session() as session:
            session.advanced.defer(PutCommandDataWithJson("animals/1", None, put))
            await session.save_changes()
        assert rows.metadata("animals", "animals/1") == {"@type": "versioned-cow"}
        cow = await read(store, "animals/1", dogs.Animal)
        assert (type(cow), cow.milk) == (Cow, 2000)
