"""RavenDB's query builder: orders, fields by name, groups, statistics."""

from dataclasses import dataclass

import pytest
from pydantic import BaseModel

from docsession import (
    GroupByField,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    NullsOrdering,
    OrderingType,
    set_,
)
from tests.support.documents import save


@dataclass
class Home:
    city: str


@dataclass
class Sale:
    land: str | None
    amount: int
    code: str
    home: Home
    tags: list[str]
    id: str | None = None


@dataclass
class Short:
    land: str | None
    city: str
    id: str


class Total(BaseModel):
    land: str | None
    total: int


LANDS = [None, "de", "FR", "DE", "fr"]
CODES = ["100", "25", "9", "x", "30"]


@pytest.fixture
def sales():
    return [Sale(LANDS[i], i * 10, CODES[i], Home("Oslo"), [], f"sales/{i}") for i in range(5)]


async def positions(query):
    return [int(each.id[-1]) for each in await query.all()]


class TestOrder:
    ORDERS = [
        (lambda q: q.order_by("land"), [3, 2, 1, 4, 0]),
        (lambda q: q.order_by("land", OrderingType.STRING), [1, 3, 2, 4, 0]),
        (lambda q: q.order_by("land", sorter_name_or_ordering_type=OrderingType.STRING), [1, 3, 2, 4, 0]),
        (lambda q: q.order_by(lambda s: s.land, OrderingType.STRING), [1, 3, 2, 4, 0]),
        (lambda q: q.order_by_descending("land", OrderingType.STRING), [0, 4, 2, 3, 1]),
        (lambda q: q.order_by("land", nulls=NullsOrdering.FIRST), [0, 3, 2, 1, 4]),
        (lambda q: q.order_by("land", NullsOrdering.LAST), [3, 2, 1, 4, 0]),
        (lambda q: q.order_by_descending("land", OrderingType.STRING, NullsOrdering.LAST), [4, 2, 3, 1, 0]),
        (lambda q: q.order_by_descending("land", nulls=NullsOrdering.FIRST), [0, 4, 1, 2, 3]),
        (lambda q: q.order_by("code"), [0, 1, 4, 2, 3]),
        (lambda q: q.order_by("code", OrderingType.LONG), [2, 1, 4, 0, 3]),
        (lambda q: q.order_by(field="code", sorter_name_or_ordering_type=OrderingType.FLOAT), [2, 1, 4, 0, 3]),
        (lambda q: q.order_by("amount", OrderingType.LONG), [0, 1, 2, 3, 4]),
        (lambda q: q.order_by("amount", OrderingType.STRING), [0, 1, 2, 3, 4]),
        (lambda q: q.order_by_descending("amount"), [4, 3, 2, 1, 0]),
        (lambda q: q.add_order("land", False, OrderingType.STRING).add_order("amount", True), [3, 1, 4, 2, 0]),
        (lambda q: q.add_order("land", True, nulls=NullsOrdering.LAST).take(2), [4, 1]),
        (lambda q: q.order_by("home.city", "-amount"), [4, 3, 2, 1, 0]),
        (lambda q: q.order_by("-id()"), [4, 3, 2, 1, 0]),
        (lambda q: q.order_by_descending("Id", OrderingType.STRING), [4, 3, 2, 1, 0]),
    ]

    async def test_it_is_by_the_field_as_what_is_asked_for(self, store, sales):
        await save(store, *sales)
        async with store.open_session() as session:
            found = [await positions(build(session.query(Sale))) for build, _ in self.ORDERS]
        assert found == [expected for _, expected in self.ORDERS]

    async def test_pages_by_keys_follow_it(self, store, sales):
        await save(store, *sales)
        async with store.open_session() as session:
            query = session.query(Sale).order_by_descending("land", OrderingType.STRING, NullsOrdering.LAST)
            first = await query.page(3)
            second = await query.page(3, after=first.next)
            assert [each.id[-1] for each in first.items + second.items] == ["4", "2", "3", "1", "0"]

    async def test_a_seed_shuffles_always_the_same_way(self, store, sales):
        await save(store, *sales)
        async with store.open_session() as session:
            one = await positions(session.query(Sale).random_ordering("one"))
            assert sorted(one) == [0, 1, 2, 3, 4]
            assert await positions(session.query(Sale).random_ordering("one")) == one
            seeds = {tuple(await positions(session.query(Sale).random_ordering(str(i)))) for i in range(9)}
            assert len(seeds) > 1
            again = session.query(Sale).random_ordering()
            assert len({tuple(await positions(again)) for _ in range(9)}) > 1
            with pytest.raises(InvalidOperationException, match="random_ordering"):
                await again.page(2)

    async def test_what_cannot_be_sorted_by_is_refused(self, store):
        async with store.open_session() as session:
            query = session.query(Sale)
            with pytest.raises(InvalidArgumentException, match="takes one field"):
                query.order_by("land", "code", OrderingType.LONG)
            with pytest.raises(InvalidArgumentException, match="takes what to sort by"):
                query.order_by(nulls=NullsOrdering.FIRST)
            with pytest.raises(InvalidArgumentException, match="for each item of tags"):
                query.order_by("tags[]")
            with pytest.raises(InvalidArgumentException, match="no field 'lnad'"):
                query.order_by("lnad", OrderingType.STRING)
            with pytest.raises(InvalidArgumentTypeException, match="OrderingType, not 'LONG'"):
                query.order_by("code", sorter_name_or_ordering_type="LONG")
            with pytest.raises(InvalidArgumentTypeException, match="a seed, a str"):
                query.random_ordering(5)


class TestFields:
    async def test_they_come_as_what_is_asked_for(self, store, sales):
        await save(store, *sales)
        async with store.open_session() as session:
            query = session.query(Sale).where_equals("land", "DE")
            assert await query.select_fields(str, "home.city").all() == ["Oslo", "Oslo"]
            assert await query.select_fields(int, "amount").all() == [10, 30]
            assert await query.select_fields(dict, "land", "home.city", "id()").first() == {
                "land": "de",
                "home.city": "Oslo",
                "Id": "sales/1",
            }
            assert await query.select_fields(Short, "land", "home.city", "id()").first() == Short(
                "de", "Oslo", "sales/1"
            )
            assert await query.select_fields(Home, "home.city").distinct().all() == [Home("Oslo")]
            assert await query.of_type(Land).all() == [Land("de"), Land("DE")]
            assert session.advanced.get_tracked_entities() == {}

    async def test_they_are_refused_where_there_is_none(self, store):
        async with store.open_session() as session:
            query = session.query(Sale)
            for build, error, message in (
                (lambda: query.select_fields(str), InvalidArgumentException, "takes one field"),
                (lambda: query.select_fields(dict), InvalidArgumentException, "the names of the fields"),
                (lambda: query.select_fields("land"), InvalidArgumentTypeException, "takes a class first"),
                (lambda: query.select_fields(Short, "amount"), InvalidArgumentException, "no field 'amount'"),
                (lambda: query.select_fields(dict, "lnad"), InvalidArgumentException, "no field 'lnad'"),
                (lambda: query.of_type("Short"), InvalidArgumentTypeException, "takes a class"),
                (lambda: query.select_fields(str, "land").of_type(Short), InvalidOperationException, "name fields"),
            ):
                with pytest.raises(error, match=message):
                    build()


@dataclass
class Land:
    land: str


class TestGroups:
    async def test_each_has_its_key_and_what_is_computed_over_it(self, store, sales):
        sales[4].land = "FR"
        await save(store, *sales)
        async with store.open_session() as session:
            query = session.query(Sale).where_greater_than("amount", 0)
            counted = query.group_by("land").select_key().select_count()
            assert await counted.all() == [
                {"land": "DE", "count": 1},
                {"land": "FR", "count": 2},
                {"land": "de", "count": 1},
            ]
            summed = (
                query.group_by("land").select_key(projected_name="land").select_sum(GroupByField("amount", "total"))
            )
            assert await summed.of_type(Total).all() == [
                Total(land="DE", total=30),
                Total(land="FR", total=60),
                Total(land="de", total=10),
            ]
            both = query.group_by("land", "home.city").select_key().select_sum(GroupByField("amount"))
            assert (await both.all())[1] == {"land": "FR", "home.city": "Oslo", "amount": 60}
            one = query.group_by("land", "home.city").select_key("home.city", "city").select_count("n")
            assert (await one.all())[1] == {"city": "Oslo", "n": 2}
            everywhere = session.query(Sale).group_by("land").select_key().select_sum(GroupByField("amount", "total"))
            assert (await everywhere.of_type(Total).all())[-1] == Total(land=None, total=0)
            nobody = session.query(Sale).group_by("land").select_key().select_count()
            assert (await nobody.all())[-1] == {"land": None, "count": 1}

    async def test_what_is_not_grouped_by_is_refused(self, store):
        async with store.open_session() as session:
            groups = session.query(Sale).group_by("land", "code")
            with pytest.raises(InvalidArgumentException, match="'amount' is not grouped by; land, code is"):
                groups.select_key("amount")
            with pytest.raises(InvalidArgumentException, match="one of the fields"):
                groups.select_key(projected_name="x")
            with pytest.raises(InvalidArgumentTypeException, match="takes a GroupByField"):
                groups.select_sum("amount")
            with pytest.raises(InvalidArgumentException, match="a group of its own"):
                session.query(Sale).group_by("id()")


class TestStatistics:
    async def test_they_count_what_skip_and_take_leave_out(self, store, sales):
        await save(store, *sales)
        async with store.open_session() as session:
            told = []
            query = session.query(Sale).where_exists("land").statistics(told.append).skip(1).take(2)
            assert await positions(query) == [1, 2]
            assert session.advanced.number_of_requests == 1
            assert (told[0].total_results, told[0].skipped_results, told[0].is_stale) == (5, 0, False)
            assert told[0].duration_in_ms > 0
            assert told[0].timestamp.tzinfo is not None
            await query.first()
            assert [each.total_results for each in told] == [5, 5]

    async def test_those_who_watch_may_use_the_session(self, store, sales):
        await save(store, *sales)
        async with store.open_session() as session:
            told = []
            query = session.query(Sale).statistics(lambda _: told.append(session.advanced.has_changes()))
            await query.timings(lambda timings: told.append(timings.duration_in_ms > 0)).all()
            assert told == [False, True]
            with pytest.raises(InvalidArgumentTypeException, match="takes a function"):
                query.statistics(None)

    async def test_includes_come_in_the_same_request(self, store, sales):
        await save(store, *sales, *((Home(code), code) for code in set(CODES)))
        async with store.open_session() as session:
            told = []
            query = session.query(Sale).order_by("id").include("code", Home)
            await query.take(1).timings(told.append).all()
            assert told[0].duration_in_ms > 0
            assert session.advanced.is_loaded(CODES[0])
            assert len(await query.skip(1).take(1).statistics(told.append).all()) == 1
            assert told[1].total_results == 5
            assert session.advanced.is_loaded(CODES[1])
            assert not session.advanced.is_loaded(CODES[2])
            assert (await query.skip(9).get_query_result()).total_results == 5
            assert session.advanced.number_of_requests == 3

    async def test_a_page_has_them(self, store, sales):
        await save(store, *sales)
        async with store.open_session() as session:
            told = []
            page = await session.query(Sale).statistics(told.append).take(2).page()
            assert (len(page.items), page.total, told[0].total_results) == (2, 5, 5)

    @pytest.mark.parametrize("ask", ["count", "any", "page"])
    async def test_whatever_is_asked_tells_them(self, store, sales, ask):
        await save(store, *sales)
        async with store.open_session() as session:
            told, timed = [], []
            query = session.query(Sale).timings(timed.append)
            for each in (query.statistics(told.append), query):
                await (each.order_by("land").page(2) if ask == "page" else getattr(each, ask)())
            assert [each.total_results for each in told] == [5]
            assert len(timed) == 2
            assert all(each.duration_in_ms > 0 for each in timed)
            assert session.advanced.number_of_requests == 2

    async def test_what_has_none_refuses_them(self, store, sales):
        await save(store, *sales)
        async with store.open_session() as session:
            for query in (session.query(Sale).statistics(print), session.query(Sale).timings(print)):
                for ask in (
                    query.json,
                    query.delete,
                    lambda query=query: query.patch(lambda sale: set_(sale.land, "fr")),
                    lambda query=query: query.max_(lambda sale: sale.land),
                    lambda query=query: query.facets(lands=lambda sale: sale.land),
                ):
                    with pytest.raises(InvalidOperationException, match="tells nobody"):
                        await ask()
            assert session.advanced.number_of_requests == 0

    async def test_a_result_has_them_beside_the_documents(self, store, sales):
        await save(store, *sales)
        async with store.open_session() as session:
            result = await session.query(Sale).where_equals("land", "fr").take(1).get_query_result()
            assert [each.id for each in result.results] == ["sales/2"]
            assert result.total_results == 2
            groups = session.query(Sale).group_by("land").select_key().select_count().take(1)
            assert (await groups.get_query_result()).total_results == 5
            assert (await session.query(Home).get_query_result()).results == []

    async def test_what_needs_no_telling_changes_nothing(self, store, sales):
        await save(store, *sales)
        async with store.open_session() as session:
            query = session.query(Sale).wait_for_non_stale_results().no_caching()
            assert await query.count() == 5
