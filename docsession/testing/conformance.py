"""What every PostgreSQL has to do that docsession is to work on, as tests of sessions over both faces.

Run them on a server of yours, be it a managed one, one behind a pooler, or a relative of PostgreSQL:

    pytest --pyargs docsession.testing.conformance --docsession-url=postgresql://…

or inherit from `SessionConformance` in a test module, and override the plugin's fixtures there.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, TypeAlias

import pytest

from docsession._documents._declaration import document
from docsession._documents._paths import Ref
from docsession._errors import (
    ConcurrencyException,
    InvalidArgumentException,
    RequestTimeoutException,
    TransactionRetryException,
    UniqueConstraintViolation,
)
from docsession._faces._async_store import AsyncDocumentStore
from docsession._faces._run import run
from docsession._faces._store import DocumentStore
from docsession._options import OptimisticConcurrencyMode, SessionOptions, TransactionMode
from docsession._query._full_text import search
from docsession._query._functions import any_, contains
from docsession._query._indexes import Index
from docsession._query._patches import increment

__all__ = ["SessionConformance"]

Check: TypeAlias = Callable[[Any], Coroutine[Any, Any, None]]
"""Written once, as a coroutine function of a store of either face."""

NOON: Final = datetime(2026, 5, 1, 12, 30, 15, 123456, tzinfo=UTC)
HOSTILE: Final = ("it's", '"quoted"', "back\\slash", "$1 %s {0} ?", "new\nline", "żółw 🐢", "null", "x" * 100_000)
"""Texts that something on the way could take for something else."""

CHECKED: Final = SessionOptions(optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES)


@document(indexes=[Index(lambda customer: customer.email, unique=True)])
@dataclass
class Customer:
    name: str = ""
    notes: str = ""
    points: int = 0
    email: str | None = None
    tags: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    Id: str | None = None


@dataclass
class Line:
    product: str
    quantity: int
    price: Decimal


@dataclass
class Order:
    customer: Annotated[str, Ref(Customer)]
    placed: datetime = NOON
    lines: list[Line] = field(default_factory=list)
    Id: str | None = None


async def told(answer: Any) -> Any:
    """Return what a method of either face has answered."""
    return await answer if inspect.isawaitable(answer) else answer


@asynccontextmanager
async def opened(store: Any, options: SessionOptions | None = None) -> AsyncIterator[Any]:
    """Open a session of either face, and close it."""
    session = store.open_session(session_options=options)
    try:
        yield session
    finally:
        await told(session.close())


async def save(store: Any, **entities: Any) -> None:
    """Save entities in a session of their own; `customers_1=…` under the id `customers/1`."""
    async with opened(store) as session:
        for name, entity in entities.items():
            await told(session.store(entity, name.replace("_", "/")))
        await told(session.save_changes())


async def read(store: Any, key: str, object_type: type = Customer) -> Any:
    """Load a document in a session of its own."""
    async with opened(store) as session:
        return await told(session.load(key, object_type))


async def listed(rows: Any) -> list[Any]:
    """Return what a stream of either face yields."""
    return [each async for each in rows] if hasattr(rows, "__aiter__") else list(rows)


@pytest.mark.parametrize("face", ["blocking", "async"])
class SessionConformance:
    """Tests of sessions on the stores that the plugin's fixtures give, over both faces.

    A class of a test module inherits them, and fixtures beside it say which server is meant::

        @pytest.fixture(scope="session")
        def docsession_server():
            with start_server("url", url=OUR_SERVER) as server:
                yield server

        class TestOurServer(SessionConformance):
            pass
    """

    @pytest.fixture
    def conform(
        self, face: str, document_store: DocumentStore, async_document_store: AsyncDocumentStore
    ) -> Callable[[Check], None]:
        """Run a check on a store of the face in turn."""

        def conform(check: Check) -> None:
            if face == "blocking":
                run(check(document_store))
            else:
                asyncio.run(check(async_document_store))

        return conform

    # documents

    def test_what_is_saved_is_loaded_again(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            order = Order("customers/1", NOON, [Line("tea", 2, Decimal("3.10")), Line("", -1, Decimal("1E+3"))])
            await save(store, orders_1=order)
            found = await read(store, "orders/1", Order)
            assert found == order
            assert found is not order
            assert [str(line.price) for line in found.lines] == ["3.10", "1E+3"] or found.lines[0].price == Decimal(
                "3.10"
            )

        conform(check)

    def test_texts_come_back_as_they_were(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            extra = {text[:50]: text for text in HOSTILE}
            await save(store, **{f"customers_{n}": Customer(text, extra=extra) for n, text in enumerate(HOSTILE)})
            async with opened(store) as session:
                for number, text in enumerate(HOSTILE):
                    assert (await told(session.load(f"customers/{number}", Customer))).name == text
                    found = await told(session.query(Customer).where(name=text).all())
                    assert [(each.Id, each.extra) for each in found] == [(f"customers/{number}", extra)]

        conform(check)

    def test_many_documents_are_one_request(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            async with opened(store) as session:
                for number in range(300):
                    await told(session.store(Customer(str(number)), f"customers/{number}"))
                    await told(session.store(Order(f"customers/{number}"), f"orders/{number}"))
                await told(session.save_changes())
                assert session.advanced.number_of_requests == 1
            async with opened(store) as session:
                found = await told(session.load([f"customers/{number}" for number in range(300)], Customer))
                assert [found[f"customers/{number}"].name for number in range(300)] == [str(n) for n in range(300)]
                assert session.advanced.number_of_requests == 1

        conform(check)

    def test_generated_ids_are_never_given_twice(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            ids = set()
            for _ in range(3):
                async with opened(store) as session:
                    entities = [Customer() for _ in range(40)]
                    for entity in entities:
                        await told(session.store(entity))
                    await told(session.save_changes())
                    ids |= {entity.Id for entity in entities}
            assert len(ids) == 120
            assert await told(store.maintenance.next_identity_for("invoices")) == 1
            assert await told(store.maintenance.next_identity_for("invoices")) == 2

        conform(check)

    def test_one_id_is_one_instance(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            await save(store, customers_1=Customer("a"))
            async with opened(store) as session:
                first = await told(session.load("customers/1", Customer))
                (queried,) = await told(session.query(Customer).all())
                assert first is queried is await told(session.load("customers/1", Customer))
                assert session.advanced.number_of_requests == 2

        conform(check)

    def test_only_what_changed_is_written(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            await save(store, customers_1=Customer("a", extra={"deep": [{"er": 1}]}), customers_2=Customer("b"))
            async with opened(store) as session:
                one = await told(session.load("customers/1", Customer))
                two = await told(session.load("customers/2", Customer))
                before = session.advanced.get_change_vector_for(one), session.advanced.get_change_vector_for(two)
                await told(session.save_changes())
                assert session.advanced.number_of_requests == 2
                one.extra["deep"][0]["er"] = 2
                await told(session.save_changes())
                assert int(session.advanced.get_change_vector_for(one)) > int(before[0])
                assert session.advanced.get_change_vector_for(two) == before[1]
            assert (await read(store, "customers/1")).extra == {"deep": [{"er": 2}]}

        conform(check)

    def test_what_the_class_does_not_know_stays(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            stored = {"name": "a", "unknown": {"n": 1.50}, "@metadata": {"@collection": "Customers"}}
            await save(store, customers_2=Customer())  # a table has its class's indexes only if the class makes it
            await save(store, customers_1=stored)
            async with opened(store) as session:
                (await told(session.load("customers/1", Customer))).name = "b"
                await told(session.save_changes())
            found = await read(store, "customers/1", dict)
            assert (found["name"], found["unknown"]) == ("b", {"n": 1.5})

        conform(check)

    def test_what_is_deleted_is_gone(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            await save(store, customers_1=Customer("a"), customers_2=Customer("b"), customers_3=Customer("c"))
            async with opened(store) as session:
                await told(session.delete(await told(session.load("customers/1", Customer))))
                await told(session.delete("customers/2"))
                await told(session.save_changes())
            async with opened(store) as session:
                assert await told(session.advanced.exists("customers/3"))
                assert not await told(session.advanced.exists("customers/1"))
                assert [each.name for each in await told(session.query(Customer).all())] == ["c"]

        conform(check)

    # concurrency

    def test_a_lost_update_is_refused(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            await save(store, customers_1=Customer("a"), customers_2=Customer("b"))
            async with opened(store, CHECKED) as mine, opened(store, CHECKED) as theirs:
                (await told(mine.load("customers/1", Customer))).name = "mine"
                (await told(mine.load("customers/2", Customer))).name = "mine"
                (await told(theirs.load("customers/2", Customer))).name = "theirs"
                await told(mine.store(Customer("new"), "customers/3"))
                await told(theirs.save_changes())
                with pytest.raises(ConcurrencyException, match="customers/2"):
                    await told(mine.save_changes())
            names = [
                (await read(store, f"customers/{n}")) and (await read(store, f"customers/{n}")).name for n in (1, 2, 3)
            ]
            assert names == ["a", "theirs", None]

        conform(check)

    def test_a_document_is_not_made_over_another(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            await save(store, customers_1=Customer("a"))
            async with opened(store, CHECKED) as session:
                await told(session.store(Customer("b"), "customers/1", ""))
                with pytest.raises(ConcurrencyException, match="customers/1"):
                    await told(session.save_changes())
            assert (await read(store, "customers/1")).name == "a"

        conform(check)

    def test_a_unique_index_refuses_the_whole_save(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            await save(store, customers_1=Customer("a", email="a@x"), customers_2=Customer("b", email=None))
            with pytest.raises(UniqueConstraintViolation, match="customers/3"):
                await save(store, customers_3=Customer("c", email="a@x"), customers_4=Customer("d"))
            assert await read(store, "customers/4") is None
            await save(store, customers_5=Customer("e", email=None))

        conform(check)

    def test_compare_exchange_values_are_taken_once(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            async def take(owner: str) -> None:
                options = SessionOptions(transaction_mode=TransactionMode.CLUSTER_WIDE)
                async with opened(store, options) as session:
                    session.advanced.cluster_transaction.create_compare_exchange_value("emails/a@x", owner)
                    await told(session.store(Customer(owner), f"customers/{owner}"))
                    await told(session.save_changes())

            await take("first")
            with pytest.raises(ConcurrencyException):
                await take("second")
            assert (await read(store, "customers/first")).name == "first"
            assert await read(store, "customers/second") is None

        conform(check)

    # transactions

    def test_a_transaction_is_all_or_nothing(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            async with opened(store) as session:
                await told(session.advanced.begin())
                await told(session.store(Customer("a"), "customers/1"))
                await told(session.save_changes())
                assert await read(store, "customers/1") is None
                await told(session.advanced.rollback())
                session.advanced.clear()
                await told(session.advanced.begin())
                await told(session.store(Customer("b"), "customers/2"))
                await told(session.save_changes())
                await told(session.advanced.begin())
                await told(session.store(Customer("c"), "customers/3"))
                await told(session.save_changes())
                await told(session.advanced.rollback())
                session.advanced.clear()
                await told(session.advanced.commit())
            found = [await read(store, f"customers/{number}") is not None for number in (1, 2, 3)]
            assert found == [False, True, False]

        conform(check)

    def test_a_session_with_an_isolation_level_sees_one_moment(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            await save(store, customers_1=Customer("a"), customers_2=Customer("b"))
            async with opened(store, SessionOptions(isolation_level="repeatable read")) as session:
                one = await told(session.load("customers/1", Customer))
                await save(store, customers_2=Customer("changed"))
                assert (await told(session.load("customers/2", Customer))).name == "b"
                await save(store, customers_1=Customer("changed"))
                one.name = "mine"
                with pytest.raises(TransactionRetryException):
                    await told(session.save_changes())
            assert (await read(store, "customers/1")).name == "changed"

        conform(check)

    def test_a_statement_that_takes_too_long_is_ended(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            await save(store, customers_1=Customer("a"))
            async with opened(store, SessionOptions(statement_timeout=timedelta(milliseconds=50))) as session:
                with pytest.raises(RequestTimeoutException):
                    await told(session.query_sql(Customer, "SELECT c.* FROM {table} c, pg_sleep(20)").all())
                assert (await told(session.load("customers/1", Customer))).name == "a"

        conform(check)

    # queries

    def test_values_are_compared_as_what_they_are(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            await save(
                store,
                customers_1=Customer("Ann", points=9, tags=["new"]),
                customers_2=Customer("bob", points=10, tags=["new", "vip"]),
                customers_3=Customer("Čeněk", points=100),
                orders_1=Order("customers/1", NOON, [Line("tea", 2, Decimal("3.1"))]),
                orders_2=Order("customers/2", NOON - timedelta(hours=1), [Line("tea", 1, Decimal(20))]),
            )

            async def found(query: Any) -> list[str]:
                return [each.Id for each in await told(query.all())]

            async with opened(store) as session:
                customers, orders = session.query(Customer), session.query(Order)
                assert await found(customers.order_by("-points")) == ["customers/3", "customers/2", "customers/1"]
                assert await found(customers.where(lambda c: c.points > 9).order_by("name")) == [
                    "customers/2",
                    "customers/3",
                ]
                assert await found(customers.where(name__iexact="BOB")) == ["customers/2"]
                assert await found(customers.where(name__startswith="Če")) == ["customers/3"]
                assert await found(customers.where(lambda c: contains(c.tags, "vip"))) == ["customers/2"]
                assert await found(orders.where(lambda o: o.placed < NOON)) == ["orders/2"]
                dear = orders.where(lambda o: any_(o.lines, lambda line: line.price > Decimal("3.2")))
                assert await found(dear) == ["orders/2"]
                assert await told(customers.sum_(lambda c: c.points)) == 119
                assert await told(customers.where(email=None).count()) == 3

        conform(check)

    def test_pages_follow_each_other(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            await save(store, **{f"customers_{n}": Customer(points=n % 3) for n in range(10)})
            async with opened(store) as session:
                query = session.query(Customer).order_by("points")
                seen: list[str] = []
                after: str | None = None
                for _ in range(4):
                    page = await told(query.page(3, after=after))
                    seen += [each.Id for each in page.items]
                    after = page.next
                assert after is None
                assert sorted(seen) == sorted(f"customers/{n}" for n in range(10))

        conform(check)

    def test_what_documents_refer_to_comes_in_the_same_request(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            await save(store, customers_1=Customer("a"), orders_1=Order("customers/1"))
            async with opened(store) as session:
                order = (await told(session.include("customer").load("orders/1", Order)))["orders/1"]
                assert (await told(session.load(order.customer, Customer))).name == "a"
                assert session.advanced.number_of_requests == 1

        conform(check)

    def test_several_questions_are_one_request(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            await save(store, customers_1=Customer("a"), customers_2=Customer("b"))
            async with opened(store) as session:
                loaded = session.advanced.lazily.load("customers/1", Customer)
                queried = session.query(Customer).order_by("name").lazily()
                await told(session.advanced.eagerly.execute_all_pending_lazy_operations())
                assert (await told(loaded.value)).name == "a"
                assert [each.name for each in await told(queried.value)] == ["a", "b"]
                assert session.advanced.number_of_requests == 1

        conform(check)

    def test_streams_bring_everything(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            await save(store, **{f"customers_{n}": Customer(str(n)) for n in range(1200)})
            async with opened(store) as session:
                found = await listed(session.query(Customer).stream())
            assert len({each.Id for each in found}) == len(found) == 1200

        conform(check)

    def test_sets_are_changed_where_they_are(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            await save(store, **{f"customers_{n}": Customer(points=n) for n in range(6)})
            async with opened(store) as session:
                few = session.query(Customer).where(lambda c: c.points < 3)
                assert await told(few.patch(lambda c: increment(c.points, 10))) == 3
                assert await told(session.query(Customer).where(lambda c: c.points >= 10).delete()) == 3
                assert await told(session.query(Customer).count()) == 3

        conform(check)

    def test_texts_are_searched(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            await save(
                store,
                customers_1=Customer("a", "Likes running, and shoes."),
                customers_2=Customer("b", "Sleeps all day."),
            )
            async with opened(store) as session:
                found = session.query(Customer).where(lambda c: search(c.notes, "shoes running"))
                assert [each.Id for each in await told(found.all())] == ["customers/1"]

        conform(check)

    def test_a_kept_document_is_never_an_old_one(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            large = "x" * 5000
            await save(store, customers_1=Customer("a", large))
            for name in ("a", "b", "b", "c"):
                await save(store, customers_1=Customer(name, large))
                assert (await read(store, "customers/1")).name == name
                assert (await read(store, "customers/1")).name == name
            assert store.statistics.cache_hits > 0

        conform(check)

    # databases

    def test_databases_know_nothing_of_each_other(self, conform: Callable[[Check], None]) -> None:
        async def check(store: Any) -> None:
            other = f"{store.database}_2"
            await told(store.maintenance.create_database(other))
            try:
                await save(store, customers_1=Customer("a"))
                async with opened(store, SessionOptions(database=other)) as session:
                    assert await told(session.load("customers/1", Customer)) is None
                    await told(session.store(Customer("b"), "customers/1"))
                    await told(session.save_changes())
                assert (await read(store, "customers/1")).name == "a"
                assert {store.database, other} <= set(await told(store.maintenance.get_database_names()))
            finally:
                await told(store.maintenance.delete_database(other))
            with pytest.raises(InvalidArgumentException):
                await told(store.maintenance.delete_database(other))

        conform(check)


class TestSession(SessionConformance):
    """What `pytest --pyargs docsession.testing.conformance` runs."""
