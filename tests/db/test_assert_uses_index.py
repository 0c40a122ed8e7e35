"""`assert_uses_index`: what an application's tests may claim of its queries."""

from dataclasses import dataclass, field

import pytest

from docsession import (
    DocumentConventions,
    GinIndex,
    Index,
    InvalidArgumentTypeException,
    assert_uses_index,
    contains,
    desc,
    starts_with,
)
from tests.support.documents import save
from tests.support.plans import claim


@dataclass
class Parcel:
    town: str
    weight: int
    tags: list[str] = field(default_factory=list)
    id: str | None = None


INDEXES = [
    Index(lambda p: p.town),
    Index(lambda p: p.weight, name="by_weight"),
    GinIndex(lambda p: p.tags),
]


SERVED = [
    (lambda q: q.where(lambda p: p.town == "a"), "parcels_town_idx"),
    (lambda q: q.where(lambda p: starts_with(p.town, "a")), "parcels_town_idx"),
    (lambda q: q.where(lambda p: p.weight > 3).where(lambda p: p.id != "x"), "by_weight"),
    (lambda q: q.where(lambda p: contains(p.tags, "a")), "parcels_tags_gin"),
    (lambda q: q.order_by(lambda p: desc(p.weight)).take(3), "by_weight"),
]


@pytest.mark.parametrize(("build", "index"), SERVED)
async def test_it_is_true_of_what_an_index_serves(make_store, build, index):
    store = make_store(conventions=DocumentConventions(indexes={Parcel: INDEXES}))
    await save(store, *(Parcel(f"t{n}", n, [f"g{n}"], f"parcels/{n}") for n in range(50)))
    async with store.open_session() as session:
        query = build(session.query(Parcel))
        await claim(query)
        await claim(query, index)
        assert session.advanced.number_of_requests == 2
        with pytest.raises(AssertionError, match="the index 'other' is not used for it; used is "):
            await claim(query, "other")


async def test_it_is_true_of_a_small_table_that_is_read_as_fast_without(make_store, rows):
    store = make_store(conventions=DocumentConventions(indexes={Parcel: INDEXES}))
    await save(store, *(Parcel("a" if n % 2 else "b", n, ["g"], f"parcels/{n}") for n in range(40)))
    rows._run("ANALYZE {}", "parcels")
    async with store.open_session() as session:
        await claim(session.query(Parcel).where(lambda p: p.town == "a"), "parcels_town_idx")
        await claim(session.query(Parcel).where(lambda p: contains(p.tags, "g")), "parcels_tags_gin")


@pytest.mark.parametrize(
    "build",
    [
        lambda q: q.where(lambda p: p.town != "a"),
        lambda q: q.where(lambda p: (p.town == "a") | (p.weight * 2 == 2)),
        lambda q: q.where(lambda p: p.weight * 2 == 2).order_by(lambda p: p.town),
    ],
)
async def test_it_fails_with_the_plan_where_none_does(make_store, build):
    store = make_store(conventions=DocumentConventions(indexes={Parcel: INDEXES}))
    await save(store, Parcel("a", 1, [], "parcels/1"))
    async with store.open_session() as session:
        with pytest.raises(AssertionError) as raised:
            await claim(build(session.query(Parcel)))
        assert "parcels" in str(raised.value).splitlines()[0]
        assert "SELECT" in str(raised.value)
        assert "cost=" in str(raised.value)


async def test_it_takes_a_query_of_a_session_whose_table_is_there(store):
    async with store.open_session() as session:
        with pytest.raises(
            AssertionError, match="the collection 'Parcels' has no table yet, and so no index: store a document"
        ):
            await claim(session.query(Parcel).where(lambda p: p.town == "a"))
    with pytest.raises(InvalidArgumentTypeException, match="takes a query of a session"):
        assert_uses_index("SELECT 1")
