"""What queries return other than documents: fields, groups, aggregates."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

import pytest
from pydantic import BaseModel

from docsession import (
    DocumentMismatchException,
    InvalidArgumentException,
    InvalidOperationException,
    avg,
    count,
    desc,
    id_,
    len_,
    max_,
    min_,
    not_,
    sum_,
)
from tests.support.documents import Rows, save


@dataclass
class Sale:
    country: str | None
    amount: Decimal
    items: int
    on: dt.date
    at: dt.datetime
    tags: list[str]
    id: str | None = None


@dataclass
class Short:
    country: str | None
    amount: Decimal
    id: str


@dataclass
class Lap:
    took: dt.timedelta
    photo: bytes
    id: str | None = None


@dataclass
class Sold:
    sold: bool
    id: str


class Model(BaseModel):
    land: str | None
    total: float


def sale(i):
    country = [None, "DE", "FR", "DE"][i % 4]
    day = dt.date(2026, 1, 1) + dt.timedelta(days=i)
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=i)
    return Sale(country, Decimal(i) + Decimal("0.50"), i, day, at, ["x"] * (i % 3), f"sales/{i:02}")


@pytest.fixture
async def sales():
    return [sale(i) for i in range(8)]


async def asked(store, ask):
    await save(store, *(sale(i) for i in range(8)))
    async with store.open_session() as session:
        return await ask(session.query(Sale))


class TestSelect:
    async def test_a_field_gives_values(self, store):
        found = await asked(store, lambda q: q.select(lambda s: s.amount).take(2).all())
        assert found == [Decimal("0.50"), Decimal("1.50")]
        assert all(type(each) is Decimal for each in found)

    async def test_several_give_tuples_of_their_types(self, store):
        found = await asked(store, lambda q: q.order_by("-at").select(lambda s: (s.id, s.country, s.on, s.at)).first())
        last = sale(7)
        assert found == ("sales/07", "DE", last.on, last.at)

    async def test_arithmetic_has_the_type_that_it_has_in_python(self, store):
        of = lambda s: (s.items * 2, s.items / 2, s.items - 0.5, s.amount * 2, s.amount / 4, len_(s.tags), -s.items)
        found = await asked(store, lambda q: q.where(items=3).select(of).one())
        expected = (6, 1.5, 2.5, Decimal("7.00"), Decimal("0.875"), 0, -3)
        assert found == expected
        assert [type(each) for each in found] == [type(each) for each in expected]
        assert await asked(store, lambda q: q.sum_(lambda s: s.items * 2)) == 56
        assert await asked(store, lambda q: q.where(id="x").sum_(lambda s: s.amount * 2)) == Decimal(0)

    async def test_a_condition_is_true_or_false(self, store, rows):
        await save(store, *(sale(i) for i in range(3)))
        rows.write("sales", "sales/02", {"country": "FR", "items": "no number"})
        async with store.open_session() as session:
            query = session.query(Sale).order_by("id")
            found = await query.select(lambda s: (s.items > 0, not_(s.items > 0), s.country == None)).all()
            assert found == [(False, True, True), (True, False, False), (False, True, False)]
            assert await query.select(lambda s: {"sold": (s.items > 0) & (s.country == "DE")}).skip(1).first() == {
                "sold": True
            }
            assert (await query.select(lambda s: {"sold": s.items > 0, "id": s.id}, into=Sold).first()) == Sold(
                False, "sales/00"
            )
            with pytest.raises(InvalidArgumentException, match="differs inside a group"):
                await query.group_by(lambda s: s.country).select(lambda s: (s.country, s.items > 0)).all()

    async def test_names_give_dicts(self, store):
        found = await asked(
            store, lambda q: q.select(lambda s: {"key": id_(s), "n": len_(s.tags), "d": s.items * 2}).all()
        )
        assert found[2] == {"key": "sales/02", "n": 2, "d": 4}

    async def test_into_a_class_with_fields_of_the_same_names(self, store):
        found = await asked(store, lambda q: q.select(into=Short).take(2).all())
        assert found == [Short(None, Decimal("0.50"), "sales/00"), Short("DE", Decimal("1.50"), "sales/01")]

    async def test_into_a_model_with_other_names(self, store):
        found = await asked(
            store, lambda q: q.select(lambda s: {"land": s.country, "total": s.amount}, into=Model).all()
        )
        assert found[1] == Model(land="DE", total=1.5)

    async def test_nothing_is_tracked(self, store):
        await save(store, sale(1))
        async with store.open_session() as session:
            await session.query(Sale).select(lambda s: s.amount).all()
            assert not session.advanced.is_loaded("sales/01")
            assert session.advanced.number_of_requests == 1

    async def test_page_stream_count_and_any(self, store):
        page = await asked(store, lambda q: q.select(lambda s: s.items).skip(1).take(2).page())
        assert (page.items, page.total) == ([1, 2], 8)

    async def test_equal_results_once(self, store):
        found = await asked(store, lambda q: q.select(lambda s: s.country).distinct().all())
        assert sorted(found, key=str) == ["DE", "FR", None]

    async def test_equal_results_once_in_order(self, store):
        ask = lambda q: q.order_by("-amount").select(lambda s: s.country).distinct().all()
        assert await asked(store, ask) == ["DE", "FR", None]
        page = await asked(store, lambda q: q.select(lambda s: s.country).distinct().take(2).page())
        assert page.total == 3
        assert len(page.items) == 2

    async def test_a_document_of_another_shape_is_told(self, store, postgres_url, database):
        await save(store, sale(1))
        rows = Rows(postgres_url, database)
        rows.write("sales", "sales/01", {"country": 5, "amount": "x"})
        rows.close()
        async with store.open_session() as session:
            with pytest.raises(DocumentMismatchException, match="country"):
                await session.query(Sale).select(lambda s: s.country).all()

    @pytest.mark.parametrize(
        "function",
        [lambda s: 5, lambda s: s, lambda s: (s.country, "x"), lambda s: [s.country], lambda s: s.country.upper()],
    )
    async def test_what_sql_does_not_compute_is_refused(self, store, function):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException):
                session.query(Sale).select(function)

    async def test_into_a_class_without_that_field(self, store):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException, match="nothing"):
                session.query(Sale).select(lambda s: {"nothing": s.country}, into=Short)
            with pytest.raises(InvalidArgumentException):
                session.query(Sale).select()
            with pytest.raises(InvalidOperationException, match="before select"):
                session.query(Sale).select(lambda s: s.country).where(lambda s: s.items > 1)


class TestGroups:
    async def test_counts_per_country(self, store):
        ask = lambda q: (
            q.group_by(lambda s: s.country)
            .order_by(lambda s: desc(count()))
            .select(lambda s: (s.country, count()))
            .all()
        )
        assert await asked(store, ask) == [("DE", 4), ("FR", 2), (None, 2)]

    async def test_all_aggregates(self, store):
        ask = lambda q: (
            q.group_by(lambda s: s.country)
            .select(
                lambda s: {
                    "country": s.country,
                    "sum": sum_(s.amount),
                    "items": sum_(s.items),
                    "least": min_(s.on),
                    "last": max_(s.at),
                    "mean": avg(s.items),
                    "exact": avg(s.amount),
                }
            )
            .first()
        )
        rows = [sale(i) for i in (1, 3, 5, 7)]
        assert await asked(store, ask) == {
            "country": "DE",
            "sum": sum(row.amount for row in rows),
            "items": 16,
            "least": rows[0].on,
            "last": rows[-1].at,
            "mean": 4.0,
            "exact": Decimal("4.50"),
        }

    async def test_having(self, store):
        ask = lambda q: (
            q.group_by(lambda s: s.country)
            .having(lambda s: (count() > 2) | (sum_(s.items) == 4))
            .select(lambda s: s.country)
            .all()
        )
        assert await asked(store, ask) == ["DE", None]

    async def test_numbers_computed_of_groups(self, store):
        mean = lambda s: sum_(s.items) / count()
        ask = lambda q: (
            q.group_by(lambda s: s.country)
            .having(lambda s: mean(s) > 0)
            .order_by(lambda s: desc(mean(s)))
            .select(lambda s: (s.country, mean(s)))
            .all()
        )
        assert await asked(store, ask) == [("DE", 4.0), ("FR", 4.0), (None, 2.0)]

    async def test_the_first_and_last_of_datetimes_without_an_offset(self, store, rows):
        await save(store, *(sale(i) for i in range(3)))
        for i, at in enumerate(("2026-01-02T03:04:05", "2026-01-01T00:00:00.5", "soon")):
            rows.write("sales", f"sales/0{i}", {"country": "XX", "amount": 1, "items": 1, "at": at})
        first, last = (dt.datetime.fromisoformat(each) for each in ("2026-01-01T00:00:00.500", "2026-01-02T03:04:05"))
        async with store.open_session() as session:
            query = session.query(Sale)
            assert (await query.min_(lambda s: s.at), await query.max_(lambda s: s.at)) == (first, last)
            groups = query.group_by(lambda s: s.country).order_by(lambda s: desc(max_(s.at)))
            for bound, found in ((first, [("XX", first)]), (last, [])):
                later = groups.having(lambda s, bound=bound: max_(s.at) > bound)
                assert await later.select(lambda s: (s.country, min_(s.at))).all() == found

    async def test_aggregates_where_there_are_no_groups_are_refused(self, store):
        await save(store, sale(0))
        async with store.open_session() as session:
            query = session.query(Sale)
            for wrong in (
                query.where(lambda s: count() > 1),
                query.order_by(lambda s: sum_(s.items)),
                query.select(lambda s: (s.country, count())),
                query.group_by(lambda s: s.country).having(lambda s: s.items > 1).select(lambda s: s.country),
            ):
                with pytest.raises(InvalidArgumentException, match="group_by"):
                    await wrong.all()

    async def test_several_keys_and_a_page_of_groups(self, store):
        ask = lambda q: (
            q.where(lambda s: s.items < 6)
            .group_by(lambda s: (s.country, s.items))
            .select(lambda s: (s.country, s.items, count()))
            .take(2)
            .page()
        )
        page = await asked(store, ask)
        assert page.items == [("DE", 1, 1), ("DE", 3, 1)]
        assert page.total == 6

    async def test_counting_groups(self, store):
        assert await asked(store, lambda q: q.group_by(lambda s: s.country).count()) == 3

    async def test_null_and_missing_are_one_group(self, store, postgres_url, database):
        await save(store, sale(0), sale(4))
        rows = Rows(postgres_url, database)
        rows.write("sales", "sales/04", {"amount": 1})
        rows.close()
        async with store.open_session() as session:
            groups = session.query(Sale).group_by(lambda s: s.country).select(lambda s: (s.country, count()))
            assert await groups.all() == [(None, 2)]

    async def test_what_differs_inside_a_group_is_refused(self, store):
        await save(store, sale(0))
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException, match="differs inside a group"):
                await session.query(Sale).group_by(lambda s: s.country).select(lambda s: s.items).all()
            with pytest.raises(InvalidArgumentException, match="differs inside a group"):
                groups = session.query(Sale).group_by(lambda s: s.country).order_by("items")
                await groups.select(lambda s: s.country).all()
            with pytest.raises(InvalidOperationException, match="select"):
                await session.query(Sale).group_by(lambda s: s.country).all()
            with pytest.raises(InvalidArgumentException, match="group_by"):
                session.query(Sale).having(lambda s: count() > 1)


class TestAggregates:
    async def test_over_everything_that_is_found(self, store):
        await save(store, *(sale(i) for i in range(8)))
        async with store.open_session() as session:
            query = session.query(Sale).where(country="DE")
            assert await query.sum_(lambda s: s.amount) == Decimal("18.00")
            assert await query.sum_(lambda s: s.items) == 16
            assert await query.min_(lambda s: s.amount) == Decimal("1.50")
            assert await query.max_(lambda s: s.at) == sale(7).at
            assert await query.max_(lambda s: s.country) == "DE"
            assert await query.avg(lambda s: s.items) == 4.0

    async def test_over_nothing(self, store):
        async with store.open_session() as session:
            assert await session.query(Sale).sum_(lambda s: s.items) == 0
        await save(store, sale(1))
        async with store.open_session() as session:
            query = session.query(Sale).where(country="XX")
            assert await query.sum_(lambda s: s.items) == 0
            assert await query.max_(lambda s: s.items) is None

    async def test_what_has_no_sum_or_order_is_refused(self, store):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException, match="no sum"):
                await session.query(Sale).sum_(lambda s: s.country)
            with pytest.raises(InvalidArgumentException, match="no order"):
                await session.query(Sale).max_(lambda s: s.tags)
            for field in ("took", "photo"):
                with pytest.raises(InvalidArgumentException, match="no order"):
                    await session.query(Lap).max_(lambda lap, field=field: getattr(lap, field))
            with pytest.raises(InvalidOperationException, match="take"):
                await session.query(Sale).take(3).sum_(lambda s: s.items)


class TestFacets:
    async def test_values_and_ranges_in_one_request(self, store):
        await save(store, *(sale(i) for i in range(8)))
        async with store.open_session() as session:
            found = (
                await session.query(Sale)
                .where(lambda s: s.items > 0)
                .facets(
                    country=lambda s: s.country,
                    amount=(lambda s: s.amount, [(None, 2), (2, Decimal("5.5")), (5.5, None)]),
                    at=(lambda s: s.at, [(None, sale(4).at), (sale(4).at, None)]),
                )
            )
            assert session.advanced.number_of_requests == 1
        assert [(each.value, each.count) for each in found["country"]] == [("DE", 4), ("FR", 2), (None, 1)]
        assert [(each.value, each.count) for each in found["amount"]] == [
            ((None, 2), 1),
            ((2, Decimal("5.5")), 3),
            ((5.5, None), 3),
        ]
        assert [each.count for each in found["at"]] == [3, 4]

    async def test_of_a_list_each_item_is_a_value(self, store, rows):
        await save(store, *(sale(i) for i in range(6)))
        rows.write("sales", "sales/05", {"country": "DE", "tags": ["x", "y", "y", None, 5]})
        rows.write("sales", "sales/04", {"country": "DE", "tags": "no list"})
        async with store.open_session() as session:
            query = session.query(Sale).where(lambda s: s.country == "DE")
            found = await query.facets(tags=lambda s: s.tags, country=lambda s: s.country)
            assert [(each.value, each.count) for each in found["country"]] == [("DE", 4)]
            first, *others = [(each.value, each.count) for each in found["tags"]]
            assert first == ("x", 2)
            assert sorted(others, key=str) == [("y", 1), (None, 1)]
            with pytest.raises(InvalidArgumentException):
                await query.facets(tags=(lambda s: s.tags, [("a", None)]))

    async def test_nothing_stored(self, store):
        async with store.open_session() as session:
            assert await session.query(Sale).facets(country=lambda s: s.country) == {"country": []}

    @pytest.mark.parametrize(
        "facets",
        [
            {},
            {"x": 5},
            {"x": lambda s: 5},
            {"x": (lambda s: s.amount, [])},
            {"x": (lambda s: s.amount, [5])},
            {"x": (lambda s: s.amount, [("a", None)])},
            {"x": (lambda s: s.tags, [(["a"], None)])},
        ],
    )
    async def test_what_is_no_facet_is_refused(self, store, facets):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException):
                await session.query(Sale).facets(**facets)


class TestLookingAtTheStatement:
    async def test_its_text_and_values(self, store, database):
        await save(store, sale(1))
        async with store.open_session() as session:
            sql = await session.query(Sale).where(country="DE").take(3).sql()
            assert str(sql) == (
                "SELECT t.id, t.data, t.metadata, t.version, t.last_modified "
                f'FROM "{database}"."sales" AS t WHERE ((t.data ->> \'country\') COLLATE "C") = $1 '
                "ORDER BY t.id LIMIT $2"
            )
            assert sql.parameters == ("DE", 3)
            assert session.advanced.number_of_requests == 0

    @pytest.mark.parametrize("analyze", [False, True])
    async def test_its_plan(self, store, analyze):
        await save(store, sale(1))
        async with store.open_session() as session:
            plan = await session.query(Sale).where(lambda s: s.items > 3).explain(analyze=analyze)
            assert "sales" in str(plan)
            assert ("actual" in plan.text) is analyze
            assert "Node Type" in plan.plan
            assert session.advanced.number_of_requests == 1
