"""Queries over documents of one class: what is found, in which order, and what the session makes of it."""

import datetime as dt
import inspect
import logging
import re
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from docsession import (
    DocumentConventions,
    InvalidArgumentException,
    InvalidOperationException,
    MultipleResultsException,
    NoResultException,
    Query,
    any_,
    between,
    contains,
    desc,
    exists,
    given,
    id_,
    in_,
    len_,
    matches,
    meta,
    not_,
    starts_with,
    value,
)
from tests.support.documents import save

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass
class Line:
    product: str
    quantity: int


@dataclass
class Order:
    company: str
    freight: Decimal | None
    lines: list[Line]
    ordered_at: dt.datetime
    tags: list[str] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    paid: bool = False
    id: str | None = None


def order(i):
    return Order(
        f"companies/{i % 3}-A",
        Decimal(i) if i else None,
        [Line(f"products/{i % 5}", i)],
        START + dt.timedelta(days=i),
        ["even"] if i % 2 == 0 else [],
        {"colour": "red"} if i % 4 == 0 else {},
        i % 2 == 0,
        f"orders/{i:02}",
    )


@pytest.fixture
async def orders(store):
    await save(store, *map(order, range(12)))


async def numbers(query):
    return [int(each.id.removeprefix("orders/")) for each in await query.all()]


CONDITIONS = [
    (lambda o: o.company == "companies/1-A", [1, 4, 7, 10]),
    (lambda o: o.company != "companies/1-A", [0, 2, 3, 5, 6, 8, 9, 11]),
    (lambda o: given(o.freight) > 9, [10, 11]),
    (lambda o: not_(given(o.freight) > 9), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    (lambda o: o.freight == None, [0]),
    (lambda o: o.freight != None, list(range(1, 12))),
    (lambda o: value(o.freight).is_null(), [0]),
    (lambda o: (o.company == "companies/1-A") & (given(o.freight) > 5), [7, 10]),
    (lambda o: (o.company == "companies/1-A") | (given(o.freight) > 9), [1, 4, 7, 10, 11]),
    (lambda o: any_(o.lines, lambda line: (line.quantity >= 10) & starts_with(line.product, "products/")), [10, 11]),
    (lambda o: in_(o.company, ["companies/0-A", "companies/2-A"]), [0, 2, 3, 5, 6, 8, 9, 11]),
    (lambda o: in_(o.freight, [Decimal(3), None]), [0, 3]),
    (lambda o: in_(o.company, []), []),
    (lambda o: between(o.freight, 3, Decimal("5.0")), [3, 4, 5]),
    (lambda o: o.paid, [0, 2, 4, 6, 8, 10]),
    (lambda o: not_(o.paid), [1, 3, 5, 7, 9, 11]),
    (lambda o: contains(o.tags, "even") & (given(o.freight) < 5), [2, 4]),
    (lambda o: contains(o.company, "nies/2"), [2, 5, 8, 11]),
    (lambda o: o.attributes["colour"] == "red", [0, 4, 8]),
    (lambda o: exists(o.attributes["colour"]), [0, 4, 8]),
    (lambda o: len_(o.tags) == 0, [1, 3, 5, 7, 9, 11]),
    (lambda o: o.freight * 2 + 1 > 20, [10, 11]),
    (lambda o: o.lines[0].quantity == 3, [3]),
    (lambda o: o.ordered_at >= START + dt.timedelta(days=10), [10, 11]),
    (lambda o: o.ordered_at == (START + dt.timedelta(days=4)).astimezone(dt.timezone(dt.timedelta(hours=5))), [4]),
    (lambda o: id_(o) == "orders/07", [7]),
    (lambda o: starts_with(o.id, "orders/1"), [10, 11]),
    (lambda o: matches(o.company, "^companies/[02]"), [0, 2, 3, 5, 6, 8, 9, 11]),
]


@pytest.mark.parametrize(("condition", "expected"), CONDITIONS, ids=range(len(CONDITIONS)))
async def test_a_condition_finds_what_fulfils_it(store, condition, expected):
    await save(store, *map(order, range(12)))
    async with store.open_session() as session:
        query = session.query(Order).where(condition)
        assert await numbers(query) == expected
        assert await query.count() == len(expected)
        assert await query.any() is bool(expected)
        assert await numbers(session.query(Order).where(lambda o: not_(condition(o)))) == [
            i for i in range(12) if i not in expected
        ]


KEYWORDS = [
    ({"company": "companies/1-A"}, [1, 4, 7, 10]),
    ({"company": "companies/1-A", "freight__gt": 5}, [7, 10]),
    ({"freight": None}, [0]),
    ({"freight__isnull": False, "freight__lte": 2}, [1, 2]),
    ({"company__in": ["companies/0-A"]}, [0, 3, 6, 9]),
    ({"company__iexact": "COMPANIES/1-a"}, [1, 4, 7, 10]),
    ({"company__istartswith": "COMP", "freight__range": (3, 4)}, [3, 4]),
    ({"lines__product": "products/2"}, [2, 7]),
    ({"lines__quantity__gte": 10}, [10, 11]),
    ({"tags__contains": "even", "freight__lt": 4}, [2]),
    ({"attributes__colour": "red"}, [0, 4, 8]),
    ({"id": "orders/03"}, [3]),
    ({"paid": True, "freight__ne": 2}, [0, 4, 6, 8, 10]),
    ({"company__regex": "1-A$"}, [1, 4, 7, 10]),
]


@pytest.mark.parametrize(("fields", "expected"), KEYWORDS, ids=range(len(KEYWORDS)))
async def test_keywords_are_conditions(store, fields, expected):
    await save(store, *map(order, range(12)))
    async with store.open_session() as session:
        assert await numbers(session.query(Order).where(**fields)) == expected


class TestOrder:
    async def test_it_is_by_the_keys_and_then_by_the_id(self, store):
        await save(store, *map(order, range(6)))
        async with store.open_session() as session:
            assert await numbers(session.query(Order)) == [0, 1, 2, 3, 4, 5]
            assert await numbers(session.query(Order).order_by(lambda o: desc(o.ordered_at))) == [5, 4, 3, 2, 1, 0]
            by_company = session.query(Order).order_by(lambda o: (o.company, desc(o.freight)))
            assert await numbers(by_company) == [0, 3, 4, 1, 5, 2]
            assert await numbers(session.query(Order).order_by("company")) == [0, 3, 1, 4, 2, 5]
            assert await numbers(session.query(Order).order_by_descending("company")) == [5, 2, 4, 1, 3, 0]

    async def test_what_has_no_value_is_last_or_first(self, store):
        await save(store, *map(order, range(3)))
        async with store.open_session() as session:
            assert await numbers(session.query(Order).order_by("freight")) == [1, 2, 0]
            assert await numbers(session.query(Order).order_by("-freight")) == [0, 2, 1]


class TestResults:
    async def test_first_one_and_their_kin(self, store):
        await save(store, *map(order, range(3)))
        async with store.open_session() as session:
            query = session.query(Order)
            assert (await query.first()).id == "orders/00"
            assert (await query.where(id="orders/01").one()).id == "orders/01"
            assert await query.where(id="orders/77").first_or_none() is None
            assert await query.where(id="orders/77").one_or_none() is None
            with pytest.raises(NoResultException):
                await query.where(id="orders/77").one()
            with pytest.raises(IndexError):
                await query.where(id="orders/77").first()
            with pytest.raises(MultipleResultsException):
                await query.single()

    async def test_a_page_knows_the_total(self, store):
        await save(store, *map(order, range(7)))
        async with store.open_session() as session:
            page = await session.query(Order).skip(2).take(3).page()
            assert [each.id for each in page.items] == ["orders/02", "orders/03", "orders/04"]
            assert page.total == 7
            beyond = await session.query(Order).skip(100).take(3).page()
            assert (beyond.items, beyond.total) == ([], 7)
            assert session.advanced.number_of_requests == 2

    async def test_nothing_was_ever_stored(self, store):
        async with store.open_session() as session:
            query = session.query(Order)
            assert await query.all() == []
            assert await query.count() == 0
            assert not await query.any()
            assert (await query.page()).total == 0

    async def test_what_is_found_is_tracked(self, store):
        await save(store, *map(order, range(3)))
        async with store.open_session() as session:
            loaded = await session.load("orders/01", Order)
            loaded.company = "companies/changed"
            found = await session.query(Order).all()
            assert found[1] is loaded
            found[2].paid = False
            await session.save_changes()
        async with store.open_session() as session:
            assert (await session.query(Order).where(company="companies/changed").one()).id == "orders/01"
            assert await session.query(Order).where(paid=True).count() == 1

    async def test_a_document_deleted_in_the_session_is_still_found(self, store):
        await save(store, *map(order, range(2)))
        async with store.open_session() as session:
            first = await session.load("orders/00", Order)
            session.delete(first)
            session.delete("orders/01")
            found = await session.query(Order).all()
            assert found[0] is first
            assert found[1].id == "orders/01"
            await session.save_changes()
        async with store.open_session() as session:
            assert await session.query(Order).count() == 0

    async def test_untracked(self, store):
        await save(store, *map(order, range(2)))
        async with store.open_session() as session:
            found = await session.query(Order).no_tracking().all()
            assert [each.id for each in found] == ["orders/00", "orders/01"]
            assert not session.advanced.is_loaded("orders/00")

    async def test_a_stream_has_no_place_for_what_others_have(self, store, face):
        await save(store, *map(order, range(2)))
        async with store.open_session() as session:
            query = session.query(Order)
            for wrong in (query.include("company", Company), query.statistics(print), query.timings(print)):
                with pytest.raises(InvalidOperationException, match=r"include|statistics"):
                    await anext(wrong.stream()) if face.is_async else next(wrong.wrapped.stream())

    async def test_a_stream_tells_what_was_wrong_as_all_does(self, store, face):
        await save(store, *map(order, range(2)))
        async with store.open_session() as session:
            query = session.query(Order).where(lambda o: matches(o.company, "["))
            with pytest.raises(InvalidArgumentException, match="regular expression"):
                await query.all()
            with pytest.raises(InvalidArgumentException, match="regular expression"):
                await anext(query.stream()) if face.is_async else next(query.wrapped.stream())
            assert await session.query(Order).count() == 2

    async def test_a_stream_tracks_nothing(self, store, face):
        await save(store, *map(order, range(9)))
        async with store.open_session() as session:
            query = session.query(Order).where(paid=True)
            if face.is_async:
                found = [each.id async for each in query.stream()]
            else:
                found = [each.id for each in query.wrapped.stream()]
            assert found == ["orders/00", "orders/02", "orders/04", "orders/06", "orders/08"]
            assert not session.advanced.is_loaded("orders/00")


class TestQueriesAsValues:
    late = Query(Order).where(lambda o: given(o.freight) >= 4).order_by("-freight")

    async def test_they_are_asked_in_any_session(self, store):
        await save(store, *map(order, range(6)))
        async with store.open_session() as session:
            assert await numbers(session.query(self.late)) == [5, 4]
            assert await numbers(session.query(self.late).where(paid=True)) == [4]
            assert await numbers(session.query(self.late)) == [5, 4]

    async def test_dicts_have_a_collection(self, store):
        await save(store, *map(order, range(3)))
        async with store.open_session() as session:
            found = await session.query(dict, "Orders").where(lambda o: o["company"] == "companies/1-A").all()
            assert [each["Id"] if "Id" in each else each["@metadata"]["@id"] for each in found] == ["orders/01"]
            assert await session.query(dict, "Orders").where(freight__gt=1).count() == 1


REFUSED = [
    (lambda o: o.company == "x" and o.paid, "&"),
    (lambda o: not o.paid, "not_"),
    (lambda o: "x" in o.tags, "contains"),
    (lambda o: 1 < o.freight < 5, "between"),
    (lambda o: o.company is None, "is_null"),
    (lambda o: o.companny == "x", "companny"),
    (lambda o: o.company.upper() == "X", "starts_with"),
    (lambda o: f"{o.company}" == "x", "f-strings"),
    (lambda o: len(o.tags) == 1, "len_"),
    (lambda o: list(o.lines), "any_"),
    (lambda o: o.lines.product == "x", "any_"),
    (lambda o: o.company == 5, "str"),
    (lambda o: o.company, "compare"),
    (lambda o: o.attributes == o.company, "never equal"),
    (lambda o: o.lines > [], "order"),
    (lambda o: o.company == "x" | o.paid, "parenthes"),
    (lambda o: o.company in {"x", "y"}, "in_"),
    (lambda o: {o.company: 1}["x"], "in_"),
    (lambda o: setattr(o, "company", "x"), "patch"),
    (lambda o: delattr(o, "company"), "patch"),
    (lambda o: o.tags.__setitem__(0, "x"), "patch"),
    (lambda o: o.tags.__delitem__(0), "patch"),
    (lambda o: int(o.freight) == 1, r"int\(\)"),
    (lambda o: float(o.freight) == 1, r"float\(\)"),
    (lambda o: ["x"][o.freight] == "x", r"int\(\)"),
    (lambda o: o.freight * None == 0, "numbers, not None"),
    (lambda o: o.freight + object() == 0, "numbers"),
    (lambda o: o.freight % 2 == 0, "query_sql"),
    (lambda o: o.freight // 2 == 0, "query_sql"),
    (lambda o: 2**o.freight == 4, "query_sql"),
    (lambda o: abs(o.freight) == 1, "query_sql"),
    (lambda o: round(o.freight) == 1, "query_sql"),
    (lambda o: o.paid ^ (o.company == "x"), "query_sql"),
    (lambda o: o.attributes["\0"] == "x", "NUL"),
    (lambda o: o["\0"] == "x", "NUL"),
    (lambda o: o["\ud800"] == "x", "surrogate"),
    (lambda o: meta("\0") == "x", "NUL"),
    (lambda o: meta("\ud800") == "x", "surrogate"),
    (lambda o: o.attributes.colour == "x", r"attributes\['colour'\]"),
    (lambda o: meta("@last-modified") > dt.datetime.fromisoformat("2026-01-01T00:00:00"), "offset"),
    (lambda o: in_(meta("@last-modified"), [dt.datetime.fromisoformat("2026-01-01T00:00:00")]), "offset"),
]


@pytest.mark.parametrize(("function", "hint"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_recorded_says_what_to_write(function, hint):
    with pytest.raises(InvalidArgumentException, match=hint):
        Query(Order).where(function)


@dataclass
class Company:
    name: str
    owner: str | None = None
    id: str | None = None


class TestIncludes:
    async def prepare(self, store):
        people = [Company(f"o{i}", id=f"owners/{i}") for i in range(3)]
        companies = [Company(f"c{i}", f"owners/{i}", f"companies/{i}-A") for i in range(3)]
        await save(store, *map(order, range(6)), *companies, *people)

    async def test_what_documents_refer_to_comes_along(self, store):
        await self.prepare(store)
        async with store.open_session() as session:
            query = session.query(Order).where(lambda o: given(o.freight) < 3).include(lambda o: o.company, Company)
            found = await query.all()
            assert [each.id for each in found] == ["orders/01", "orders/02"]
            sent = session.advanced.number_of_requests
            assert (await session.load("companies/1-A", Company)).name == "c1"
            assert (await session.load("companies/2-A", Company)).name == "c2"
            assert session.advanced.number_of_requests == sent == 1
            assert (await session.load("companies/0-A", Company)).name == "c0"
            assert session.advanced.number_of_requests == 2

    async def test_with_order_limit_and_first(self, store):
        await self.prepare(store)
        async with store.open_session() as session:
            query = session.query(Order).order_by("-freight").take(2).include("company", Company)
            assert [each.id for each in await query.skip(2).all()] == ["orders/04", "orders/03"]
            assert session.advanced.is_loaded("companies/1-A")
            assert session.advanced.is_loaded("companies/0-A")
            assert not session.advanced.is_loaded("companies/2-A")
            await session.query(Order).where(id="orders/02").include("company", Company).one()
            assert session.advanced.is_loaded("companies/2-A")

    async def test_lists_and_pages_by_keys(self, store):
        await self.prepare(store)
        await save(store, *(Company(f"p{i}", id=f"products/{i}") for i in range(5)))
        async with store.open_session() as session:
            query = session.query(Order).order_by("-freight").include("lines[].product").include("company", Company)
            page = await query.page(2)
            assert [each.id for each in page.items] == ["orders/00", "orders/05"]
            page = await query.page(2, after=page.next)
            assert [each.id for each in page.items] == ["orders/04", "orders/03"]
            for key in ("products/4", "products/3", "companies/1-A", "companies/0-A"):
                assert session.advanced.is_loaded(key)
            before = await query.page(2, before=page.previous)
            assert [each.id for each in before.items] == ["orders/00", "orders/05"]
            assert session.advanced.number_of_requests <= 5

    async def test_pages_with_the_total(self, store):
        await self.prepare(store)
        async with store.open_session() as session:
            query = session.query(Order).order_by("-freight").include("company", Company)
            page = await query.skip(1).take(2).page()
            assert ([each.id for each in page.items], page.total) == (["orders/05", "orders/04"], 6)
            assert session.advanced.is_loaded("companies/2-A")
            assert session.advanced.is_loaded("companies/1-A")
            assert not session.advanced.is_loaded("companies/0-A")
            page = await query.skip(9).page()
            assert (page.items, page.total) == ([], 6)
            assert session.advanced.number_of_requests == 2

    async def test_a_page_brings_nothing_of_the_next_one(self, store):
        await self.prepare(store)
        async with store.open_session() as session:
            await session.query(Order).order_by("id").include("company", Company).page(1)
            assert session.advanced.is_loaded("companies/0-A")
            assert not session.advanced.is_loaded("companies/1-A")
            assert (await session.load("companies/1-A", Company)).name == "c1"

    async def test_what_has_nowhere_to_keep_them(self, store):
        await self.prepare(store)
        async with store.open_session() as session:
            query = session.query(Order).include("company", Company)
            for wrong in (query.no_tracking(), query.select(lambda o: o.company)):
                with pytest.raises(InvalidOperationException, match="included"):
                    await wrong.all()
            with pytest.raises(InvalidArgumentException, match="nothing"):
                await session.query(Order).include(lambda o: o.nothing).all()


class TestSlowQueries:
    async def test_they_are_told_with_the_line_that_asked_and_without_values(self, make_store, caplog):
        store = make_store(conventions=DocumentConventions(slow_query_threshold=dt.timedelta(0)))
        await save(store, *map(order, range(3)))
        with caplog.at_level(logging.WARNING, "docsession.query"):
            async with store.open_session() as session:
                await session.query(Order).where(company="companies/secret").all()
        (record,) = caplog.records
        assert re.search(r"(test_queries|faces)\.py:\d+ in ", record.getMessage())
        assert "found 0 rows" in record.getMessage()
        assert "SELECT t.id" in record.getMessage()
        assert "secret" not in record.getMessage()

    @pytest.mark.parametrize(
        ("ask", "told"),
        [
            (lambda s: s.query(Order).include("company", Company).all(), 1),
            (lambda s: s.query(Order).include("company", Company).page(2), 1),
            (lambda s: s.query(Order).include("company", Company).json(envelope=True), 1),
            (lambda s: s.query(Order).where(company="companies/secret").delete(), 1),
            (lambda s: s.query_sql(Order, "SELECT * FROM {table} WHERE id <> %(c)s", c="companies/secret").all(), 1),
            (lambda s: (s.query(Order).lazily(), s.query(Order).count_lazily(), s.advanced.lazily.load("x/1")), 2),
            (lambda s: s.query(Order).explain(), 0),
            (lambda s: s.load("orders/1", Order), 0),
        ],
        ids=["include", "keys and include", "json", "delete", "SQL", "lazy", "explain", "load"],
    )
    async def test_whatever_asks_them(self, make_store, caplog, ask, told):
        store = make_store(conventions=DocumentConventions(slow_query_threshold=dt.timedelta(0)))
        await save(store, *map(order, range(3)))
        with caplog.at_level(logging.WARNING, "docsession.query"):
            async with store.open_session() as session:
                asked = ask(session)
                if inspect.isawaitable(asked):
                    await asked
                await session.advanced.eagerly.execute_all_pending_lazy_operations()
        messages = [record.getMessage() for record in caplog.records]
        assert len(messages) == told
        for message in messages:
            assert re.search(r"(test_queries|faces)\.py:\d+ in ", message)
            assert "secret" not in message
            assert ("together" in message) == (told > 1)

    async def test_quick_ones_are_not(self, make_store, caplog):
        for conventions in (DocumentConventions(), DocumentConventions(slow_query_threshold=dt.timedelta(hours=1))):
            store = make_store(conventions=conventions)
            await save(store, order(1))
            async with store.open_session() as session:
                await session.query(Order).all()
        assert not [record for record in caplog.records if record.name == "docsession.query"]

    @pytest.mark.parametrize("wrong", [1, "1s", dt.timedelta(seconds=-1)])
    def test_what_is_no_time_is_refused(self, wrong):
        with pytest.raises(InvalidArgumentException):
            DocumentConventions(slow_query_threshold=wrong)
