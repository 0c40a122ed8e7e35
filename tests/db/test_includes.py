"""Documents that come along with those that refer to them, in the same request."""

import dataclasses
from typing import Annotated, Any

import msgspec
import pydantic
import pytest

from docsession import (
    DocumentMismatchException,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    Ref,
)
from tests.support.documents import change, remove, save
from tests.support.proxy import CountingProxy


@dataclasses.dataclass
class Company:
    name: str
    parent: str | None = None
    Id: str | None = None


@dataclasses.dataclass
class Product:
    name: str
    Id: str | None = None


@dataclasses.dataclass
class Line:
    product: str
    quantity: int = 1


@dataclasses.dataclass
class Address:
    city: str


@dataclasses.dataclass
class Order:
    company: str | None
    lines: list[Line] = dataclasses.field(default_factory=list)
    address: Address | None = None
    tags: list[str] = dataclasses.field(default_factory=list)
    more: Any = None
    Id: str | None = None


class City(msgspec.Struct):
    name: str
    Id: str | None = None


async def save_orders(store):
    """Two orders, two companies, three products and a city, as ids of their collections."""
    await save(
        store,
        (Company("first", "companies/2"), "companies/1"),
        (Company("second"), "companies/2"),
        *((Product(f"p{i}"), f"products/{i}") for i in (1, 2, 3)),
        (City("Kyiv"), "cities/1"),
        (Order("companies/1", [Line("products/1"), Line("products/2", 5)], Address("cities/1")), "orders/1"),
        (Order("companies/2", [Line("products/2"), Line("products/3")]), "orders/2"),
    )


async def names(session, *keys, object_type=None):
    """The names of documents that are there without a request."""
    before = session.advanced.number_of_requests
    for key in keys:
        assert session.advanced.is_loaded(key), key
    found = await session.load(list(keys), object_type)
    assert session.advanced.number_of_requests == before, "a document was asked for again"
    return [each and (each["name"] if isinstance(each, dict) else each.name) for each in found.values()]


class TestThePath:
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("company", ["first"]),
            (lambda o: o.company, ["first"]),
            ("lines[].product", ["p1", "p2"]),
            ("lines.product", ["p1", "p2"]),
            (lambda o: o.lines[0].product, ["p1", "p2"]),
            (lambda o: o.lines.product, ["p1", "p2"]),
            ("address.city", ["Kyiv"]),
            (lambda o: o.address.city, ["Kyiv"]),
        ],
        ids=["text", "function", "list[]", "list", "function[0]", "function over a list", "deep", "deep function"],
    )
    async def test_leads_to_the_documents(self, store, path, expected):
        await save_orders(store)
        keys = {"first": "companies/1", "p1": "products/1", "p2": "products/2", "Kyiv": "cities/1"}
        for load in ("include", "includes", "untyped"):
            async with store.open_session() as session:
                if load == "include":
                    found = await session.include(path).load("orders/1", Order)
                    assert found.keys() == {"orders/1"}
                    assert type(found["orders/1"]) is Order
                elif load == "includes":
                    order = await session.load("orders/1", Order, includes=lambda b: b.include_documents(path))
                    assert type(order) is Order
                else:
                    order = await session.load("orders/1", includes=lambda b: b.include_documents(path))
                    assert order["company"] == "companies/1"
                assert session.advanced.number_of_requests == 1
                assert await names(session, *(keys[name] for name in expected)) == expected
                others = set(keys.values()) - {keys[name] for name in expected}
                assert not any(session.advanced.is_loaded(key) for key in others)

    async def test_several_of_them(self, store):
        await save_orders(store)
        async with store.open_session() as session:
            found = await session.include("company").include(lambda o: o.lines[0].product).load("orders/1", Order)
            assert list(found) == ["orders/1"]
            assert await names(session, "companies/1", "products/1", "products/2") == ["first", "p1", "p2"]
        async with store.open_session() as session:
            await session.load(
                "orders/1",
                Order,
                includes=lambda b: b.include_documents("company").include_documents("address.city"),
            )
            assert await names(session, "companies/1", "cities/1") == ["first", "Kyiv"]
            assert session.advanced.number_of_requests == 1

    async def test_of_several_documents(self, store):
        await save_orders(store)
        async with store.open_session() as session:
            found = await session.include("company").load(["orders/1", "orders/2", "orders/9"], Order)
            assert list(found) == ["orders/1", "orders/2", "orders/9"]
            assert found["orders/9"] is None
            assert await names(session, "companies/1", "companies/2") == ["first", "second"]
            assert session.advanced.number_of_requests == 1

    async def test_in_every_kind_of_class(self, kind, store):
        await save(
            store,
            (kind.Company(name="c"), "companies/1"),
            ({"name": "p"}, "products/1"),
            (kind.Order(company="companies/1", lines=[kind.Line("products/1")]), "orders/1"),
        )
        async with store.open_session() as session:
            loader = session.include(lambda o: o.company, kind.Company).include("lines[].product")
            order = (await loader.load("orders/1", kind.Order))["orders/1"]
            company = await session.load(order.company, kind.Company)
            assert (type(company), company.name, company.Id) == (kind.Company, "c", "companies/1")
            assert await names(session, "products/1") == ["p"]
            assert session.advanced.number_of_requests == 1

    async def test_by_the_attribute_where_the_json_key_is_another(self, store, rows):
        class Visit(msgspec.Struct, rename="camel"):
            home_city: str

        await save(store, (City("Kyiv"), "cities/1"), (Visit("cities/1"), "visits/1"))
        assert rows.data("visits", "visits/1") == {"homeCity": "cities/1"}
        for path in (lambda v: v.home_city, "home_city", "homeCity"):
            async with store.open_session() as session:
                await session.include(path).load("visits/1", Visit)
                assert await names(session, "cities/1") == ["Kyiv"]

    async def test_a_pydantic_alias_is_not_a_key(self, store):
        class Visit(pydantic.BaseModel):
            city: str = pydantic.Field(alias="homeCity")

        await save(store, (City("Kyiv"), "cities/1"), (Visit(homeCity="cities/1"), "visits/1"))
        async with store.open_session() as session:
            await session.include(lambda v: v.city).load("visits/1", Visit)
            assert await names(session, "cities/1") == ["Kyiv"]

    async def test_what_leads_nowhere_is_no_trouble(self, store):
        await save(
            store,
            (Order(None, [], None, [], {"a": [1, None, {"b": True}, [["companies/1"]]]}), "orders/1"),
            (Company("c"), "companies/1"),
        )
        for path in ("company", "lines.product", "address.city", "nowhere", "more.a.b", "more", "more.a", "tags", "Id"):
            async with store.open_session() as session:
                assert (await session.include(path).load("orders/1", Order))["orders/1"].company is None
                assert session.advanced.number_of_requests == 1

    async def test_a_list_of_ids(self, store):
        await save(
            store,
            (Company("a"), "companies/1"),
            (Company("b"), "companies/2"),
            (Order(None, tags=["companies/2", "companies/1", "companies/2"]), "orders/1"),
        )
        async with store.open_session() as session:
            await session.include("tags").load("orders/1", Order)
            assert await names(session, "companies/1", "companies/2") == ["a", "b"]

    @pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "[]", "a.[]", "a\0b"])
    async def test_what_is_none_is_refused(self, store, path):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException):
                await session.include(path).load("orders/1", Order)
            with pytest.raises(InvalidArgumentException):
                await session.load("orders/1", Order, includes=lambda b: b.include_documents(path))
            assert session.advanced.number_of_requests == 0

    @pytest.mark.parametrize("path", [None, 5, ["company"]])
    async def test_nor_what_is_of_another_type(self, store, path):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentTypeException):
                await session.include(path).load("orders/1", Order)

    @pytest.mark.parametrize("path", [lambda o: None, lambda o: o, lambda o: o.company + "x", lambda: None, len])
    async def test_nor_a_function_that_walks_no_path(self, store, path):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException):
                await session.include(path).load("orders/1", Order)

    async def test_a_hostile_one_is_only_an_odd_name(self, store):
        paths = ["it's", 'a"b', "a'); DROP TABLE orders; --", "$1", "%s", "{}", "a}b", "ключ", "\\", "a\\'b"]
        await save(
            store,
            (Company("c"), "companies/1"),
            *(({path: "companies/1", "x": [{path: "companies/1"}]}, f"odd/{i}") for i, path in enumerate(paths)),
        )
        for i, path in enumerate(paths):
            for written in (path, f"x[].{path}"):
                async with store.open_session() as session:
                    await session.include(written).load(f"odd/{i}")
                    assert await names(session, "companies/1") == ["c"]


class TestWhereTheyLie:
    async def test_in_a_collection_that_is_named(self, store):
        await save_orders(store)
        async with store.open_session() as session:
            await session.include("company", Company).load("orders/1", Order)
            assert await names(session, "companies/1", object_type=Company) == ["first"]
            assert session.advanced.number_of_requests == 1

    async def test_a_named_collection_is_the_only_one_that_is_looked_in(self, store):
        await save_orders(store)
        async with store.open_session() as session:
            await session.include("company", Product).load("orders/1", Order)
            assert session.advanced.number_of_requests == 1
            assert (await session.load("companies/1", Company)).name == "first"

    async def test_by_the_annotation(self, store):
        @dataclasses.dataclass
        class Item:
            product: Annotated[str, Ref(Product)]

        @dataclasses.dataclass
        class Order:
            company: Annotated[str | None, Ref(Company)]
            items: list[Item]
            Id: str | None = None

        await save_orders(store)
        await save(store, (Order("companies/1", [Item("products/3")]), "orders/3"))
        for path, key, name in (("company", "companies/1", "first"), ("items[].product", "products/3", "p3")):
            async with store.open_session() as session:
                await session.include(path).load("orders/3", Order)
                assert await names(session, key) == [name]
                assert session.advanced.number_of_requests == 1

    async def test_without_a_name_wherever_such_ids_lead(self, make_store):
        store = make_store()
        await save_orders(store)
        await save(store, ({"owner": "companies/1"}, "things/1"), ({"owner": "products/1"}, "things/2"))
        await save(store, ({"owner": "cities/1"}, "things/3"), ({"owner": "nowhere/1"}, "things/4"))
        fresh = make_store()
        for key, owner, name in (
            ("things/1", "companies/1", "first"),
            ("things/2", "products/1", "p1"),
            ("things/3", "cities/1", "Kyiv"),
            ("things/1", "companies/1", "first"),
            ("things/4", "nowhere/1", None),
        ):
            async with fresh.open_session() as session:
                await session.include("owner").load(key)
                if name:
                    assert await names(session, owner) == [name]
                else:
                    assert await session.load(owner) is None
        async with fresh.open_session() as session:
            await session.include("owner").load([f"things/{i}" for i in (1, 2, 3, 4)])
            assert await names(session, "companies/1", "products/1", "cities/1") == ["first", "p1", "Kyiv"]
            assert session.advanced.number_of_requests == 1

    async def test_with_an_id_without_a_prefix(self, store):
        await save(store, (Company("a"), "ayende"), ({"owner": "ayende"}, "things/1"))
        async with store.open_session() as session:
            await session.include("owner").load("things/1")
            assert await names(session, "ayende") == ["a"]

    async def test_where_two_collections_share_a_prefix(self, store):
        await save(
            store,
            (Company("a"), "companies/1"),
            (Product("own"), "companies/1/product"),
            ({"refs": ["companies/1", "companies/1/product"]}, "things/1"),
        )
        async with store.open_session() as session:
            await session.include("refs").load("things/1")
            assert await names(session, "companies/1", "companies/1/product") == ["a", "own"]

    async def test_before_any_document_exists(self, store):
        async with store.open_session() as session:
            assert await session.include("company").load("orders/1", Order) == {"orders/1": None}
            assert await session.include("company", Company).load("orders/2", Order) == {"orders/2": None}

    async def test_in_one_round_trip(self, make_store, postgres_url):
        with CountingProxy(postgres_url) as proxy:
            store = make_store(proxy.url)
            await save_orders(store)
            for path, *named in (("company",), ("company", Company), ("lines[].product",), ("address.city",)):
                async with store.open_session() as session:
                    proxy.reset()
                    await session.include(path, *named).load(["orders/1", "orders/2"], Order)
                    assert proxy.round_trips == 1, path
            await store.close()


class TestTheIdentityMap:
    async def test_an_included_document_is_one_instance_and_tracked(self, store, rows):
        await save_orders(store)
        async with store.open_session() as session:
            await session.include("company").load(["orders/1"], Order)
            company = await session.load("companies/1", Company)
            assert await session.load("companies/1", Company) is company
            assert not session.advanced.has_changes()
            company.name = "changed"
            await session.save_changes()
            assert session.advanced.number_of_requests == 2
        assert rows.data("companies", "companies/1")["name"] == "changed"

    async def test_one_that_is_tracked_already_stays_as_it_is(self, store):
        await save_orders(store)
        async with store.open_session() as session:
            company = await session.load("companies/1", Company)
            company.name = "mine"
            await change(store, "companies/1", Company, name="theirs")
            await session.include("company").load("orders/1", Order)
            assert await session.load("companies/1", Company) is company
            assert company.name == "mine"

    async def test_one_that_is_new_in_the_session_stays_as_it_is(self, store):
        await save_orders(store)
        await remove(store, "companies/1")
        async with store.open_session() as session:
            company = Company("new")
            await session.store(company, "companies/1")
            await session.include("company").load("orders/1", Order)
            assert await session.load("companies/1", Company) is company

    async def test_one_that_is_deleted_in_the_session_stays_deleted(self, store):
        await save_orders(store)
        async with store.open_session() as session:
            session.delete("companies/1")
            await session.include("company").load("orders/1", Order)
            assert await session.load("companies/1", Company) is None
            await session.save_changes()
            assert await session.load("companies/1", Company) is None

    async def test_one_that_was_found_missing_stays_missing(self, store):
        await save_orders(store)
        await remove(store, "companies/1")
        async with store.open_session() as session:
            assert await session.load("companies/1", Company) is None
            await save(store, (Company("late"), "companies/1"))
            await session.include("company").load("orders/1", Order)
            assert await session.load("companies/1", Company) is None

    async def test_the_document_itself_may_be_included(self, store):
        await save(store, (Company("a", "companies/1"), "companies/1"), (Company("b", "companies/1"), "companies/2"))
        async with store.open_session() as session:
            found = await session.include("parent").load(["companies/1", "companies/2"], Company)
            assert await session.load("companies/1", Company) is found["companies/1"]
            assert len(session.advanced.get_tracked_entities()) == 2

    async def test_one_that_does_not_exist_is_known_to_be_missing(self, store):
        await save_orders(store)
        await remove(store, "companies/1")
        async with store.open_session() as session:
            await session.include("company").load("orders/1", Order)
            assert session.advanced.is_loaded("companies/1")
            assert await session.load("companies/1", Company) is None
            assert session.advanced.number_of_requests == 1

    async def test_a_tracked_document_brings_nothing_along(self, store):
        await save_orders(store)
        async with store.open_session() as session:
            order = await session.load("orders/1", Order)
            assert await session.load("orders/1", Order, includes=lambda b: b.include_documents("company")) is order
            assert (await session.include("company").load("orders/1", Order))["orders/1"] is order
            assert session.advanced.number_of_requests == 1
            assert not session.advanced.is_loaded("companies/1")

    async def test_of_several_only_those_not_tracked_bring_theirs(self, store):
        await save_orders(store)
        async with store.open_session() as session:
            await session.load("orders/1", Order)
            await session.include("company").load(["orders/1", "orders/2"], Order)
            assert session.advanced.number_of_requests == 2
            assert not session.advanced.is_loaded("companies/1")
            assert await names(session, "companies/2") == ["second"]

    async def test_one_that_was_never_asked_for_is_not_written_nor_checked(self, store, rows):
        await save_orders(store)
        async with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            order = (await session.include("company").load("orders/1", Order))["orders/1"]
            await change(store, "companies/1", Company, name="theirs")
            assert not session.advanced.has_changes()
            order.company = None
            await session.save_changes()
        assert rows.data("companies", "companies/1")["name"] == "theirs"

    async def test_one_that_does_not_fit_is_told_when_it_is_asked_for(self, store):
        await save_orders(store)
        async with store.open_session() as session:
            await session.include("company").load("orders/1", Order)
            with pytest.raises(DocumentMismatchException, match="companies/1"):
                await session.load("companies/1", Line)
            assert (await session.load("companies/1", Company)).name == "first"
            assert session.advanced.number_of_requests == 1

    async def test_clear_forgets_it(self, store):
        await save_orders(store)
        async with store.open_session() as session:
            await session.include("company").load("orders/1", Order)
            session.advanced.clear()
            assert not session.advanced.is_loaded("companies/1")

    async def test_it_exists(self, store):
        await save_orders(store)
        async with store.open_session() as session:
            await session.include("company").load("orders/1", Order)
            assert await session.advanced.exists("companies/1")

    async def test_a_prefix_load_takes_it_in(self, store):
        await save_orders(store)
        async with store.open_session() as session:
            await session.include("company").load("orders/1", Order)
            companies = await session.advanced.load_starting_with("companies/", Company)
            assert await session.load("companies/1", Company) is companies[0]
