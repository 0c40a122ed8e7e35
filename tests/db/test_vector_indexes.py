"""Indexes for the nearest vectors; on a server without pgvector the error names it."""

import json
import random
from dataclasses import dataclass

import pytest

from docsession import (
    DocumentConventions,
    FullText,
    Index,
    InvalidArgumentException,
    Promoted,
    RavenException,
    VectorIndex,
    desc,
    distance,
    id_,
    nearest,
    search,
)
from tests.conftest import STORES
from tests.support.documents import save
from tests.support.extensions import made
from tests.support.faces import Face
from tests.support.hosts import session_on
from tests.support.plans import claim, nodes, with_options

pytestmark = pytest.mark.direct("planner settings come by the URL's `options`, which pgbouncer refuses")

SIZE = 4
ASKED = [0.4, -0.1, 0.3, 0.2]
NAME = "pictures_embedding_4_cosine_hnsw"


@dataclass
class Picture:
    name: str
    kind: str = "a"
    embedding: list[float] | None = None
    next: str | None = None
    id: str | None = None


def embedding_index(**options):
    return VectorIndex(lambda p: p.embedding, **{"dimensions": SIZE} | options)


def is_nearest(count=10, metric="cosine", **options):
    return lambda p: nearest(p.embedding, ASKED, count, metric=metric, **options)


@pytest.fixture
def has_vector(postgres_url):
    """True where the server has pgvector."""
    return made(postgres_url, "vector")


@pytest.fixture
def opened(make_store, postgres_url, has_vector, rows):
    """Make a store whose pictures have indexes, and a planner that uses them for a few hundred documents.

    None where the server has no pgvector, and the error has named it.
    """

    async def make(*indexes, count=400):
        url = with_options(postgres_url, "enable_seqscan=off")
        store = make_store(url, conventions=DocumentConventions(indexes={Picture: list(indexes)}))
        drawn = random.Random(1)
        pictures = [
            Picture(
                f"picture {number}",
                "b" if number % 20 == 0 else "a",
                [drawn.uniform(-1, 1) for _ in range(SIZE)],
                f"pictures/{(number + 1) % count}",
                id=f"pictures/{number}",
            )
            for number in range(count if has_vector else 1)
        ]
        if not has_vector:
            with pytest.raises(RavenException, match=r"needs PostgreSQL's extension 'vector'.*CREATE EXTENSION vector"):
                await save(store, *pictures)
            return None
        await save(store, *pictures)
        rows.analyze("pictures")
        return store

    return make


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, NAME),
        ({"metric": "l2", "stored": False, "m": 8, "ef_construction": 32}, "pictures_embedding_4_l2_hnsw"),
        ({"metric": "inner_product", "half": True}, "pictures_embedding_4_half_inner_product_hnsw"),
        ({"stored": False, "half": True}, "pictures_embedding_4_half_cosine_hnsw"),
    ],
)
async def test_it_serves_the_nearest(opened, options, name):
    store = await opened(embedding_index(**options))
    if store is None:
        return
    metric = options.get("metric", "cosine")
    async with store.open_session() as session:
        # As many candidates as there are documents.
        query = session.query(Picture).order_by(is_nearest(metric=metric, candidates=1000))
        await claim(query, name)
        plan = await query.explain()
        (scan,) = [each for each in nodes(plan.plan) if each.get("Index Name") == name]
        assert {"cosine": "<=>", "l2": "<->", "inner_product": "<#>"}[metric] in scan["Order By"]
        exact = session.query(Picture).order_by(is_nearest(metric=metric, exact=True))
        ids = [each.id for each in await exact.all()]
        assert [each.id for each in await query.all()] == ids
        with pytest.raises(AssertionError):
            await claim(exact)
        assert len(await query.select(lambda p: distance(p.embedding, ASKED, metric=metric)).all()) == 10
        assert await store.maintenance.create_indexes(Picture) == []


async def test_it_finds_as_many_as_are_asked_for(opened):
    """pgvector by itself looks at 40, and leaves those of them out that do not fulfil the conditions."""
    store = await opened(embedding_index())
    if store is None:
        return
    async with store.open_session() as session:
        many = session.query(Picture).order_by(is_nearest(300))
        some = session.query(Picture).where(lambda p: p.kind == "b").order_by(is_nearest(15))
        for query, count in ((many, 300), (some, 15)):
            await claim(query, NAME)
            assert len(await query.all()) == count
            assert await query.count() == count
            assert len(await query.lazily().value) == count
            assert (await query.take(3).page()).total == count
            plan = await query.explain(analyze=True)
            (limit,) = [each for each in nodes(plan.plan) if each["Node Type"] == "Limit"]
            assert limit["Actual Rows"] == count


async def test_every_way_of_asking(opened):
    store = await opened(embedding_index())
    if store is None:
        return
    async with store.open_session() as session:
        query = session.query(Picture).order_by(is_nearest(5, candidates=1000))
        ids = [each.id for each in await query.all()]
        assert [each.id for each in await query.skip(1).take(2).all()] == ids[1:3]
        assert [each.id for each in await query.skip(3).take(100).all()] == ids[3:]
        assert await query.select(lambda p: p.id).all() == ids
        assert sorted(await query.select(lambda p: p.kind).distinct().all()) in (["a"], ["a", "b"], ["b"])
        assert sum(value.count for value in (await query.facets(kind=lambda p: p.kind))["kind"]) == 5
        assert await query.any()
        assert (await query.first()).id == ids[0]
        streamed = query.stream()
        found = [each.id async for each in streamed] if hasattr(streamed, "__aiter__") else [e.id for e in streamed]
        assert found == ids
        [sorted_otherwise] = [await session.query(Picture).order_by(is_nearest(5, candidates=1000), "name").all()]
        assert [each.id for each in sorted_otherwise] == ids
    async with store.open_session() as session:
        including = session.query(Picture).order_by(is_nearest(5, candidates=1000)).include(lambda p: p.next, Picture)
        for each in await including.all():
            assert await session.load(each.next, Picture) is not None
        assert session.advanced.number_of_requests == 1


async def test_a_batch_looks_at_as_many_as_its_largest_question_needs(opened):
    store = await opened(embedding_index())
    if store is None:
        return
    async with store.open_session() as session:
        many = session.query(Picture).order_by(is_nearest(300)).lazily()
        few = session.query(Picture).order_by(is_nearest(2)).lazily()
        await session.advanced.eagerly.execute_all_pending_lazy_operations()
        assert (len(await many.value), len(await few.value)) == (300, 2)
        assert session.advanced.number_of_requests == 1


async def test_documents_of_a_partial_index(opened):
    store = await opened(embedding_index(where=lambda p: p.kind == "b", name="those"))
    if store is None:
        return
    async with store.open_session() as session:
        query = session.query(Picture).where(lambda p: p.kind == "b").order_by(is_nearest(5))
        await claim(query, "those")
        assert {each.kind for each in await query.all()} == {"b"}
        with pytest.raises(AssertionError):
            await claim(session.query(Picture).order_by(is_nearest(5)), "those")


async def test_beside_other_columns(opened):
    store = await opened(embedding_index(), Promoted(lambda p: p.kind), FullText(lambda p: p.name, stored=True))
    if store is None:
        return
    async with store.open_session() as session:
        query = session.query(Picture).where(lambda p: p.kind == "b").order_by(is_nearest(8, candidates=1000))
        assert 't."kind"' in str(await query.sql())
        assert await query.select(lambda p: p.kind).all() == ["b"] * 8
        found = await query.where(lambda p: search(p.name, "picture")).order_by(lambda p: desc(p.kind)).all()
        assert [each.id for each in found] == [each.id for each in await query.all()]
        (facet,) = (await query.facets(kind=lambda p: p.kind))["kind"]
        assert (facet.value, facet.count) == ("b", 8)


async def test_documents_without_a_class(make_store, has_vector):
    if not has_vector:
        return
    indexes = {"Places": [VectorIndex(lambda p: p["at"]["vector"], dimensions=2)]}
    store = make_store(conventions=DocumentConventions(indexes=indexes))
    async with store.open_session() as session:
        for number in range(3):
            place = {"at": {"vector": [1, number]}, "@metadata": {"@collection": "Places"}}
            await session.store(place, f"places/{number}")
        await session.save_changes()
    async with store.open_session() as session:
        query = session.query(dict, "Places").order_by(lambda p: nearest(p["at"]["vector"], [0, 1], 2))
        assert "at_vector_2_vector" in str(await query.sql())
        assert await query.select(id_).all() == ["places/2", "places/1"]
        words = session.query_collection("Places").vector_search("at.vector", [0, 1], number_of_candidates=1)
        assert await words.select(id_).all() == ["places/2"]


MISFITS = [5, "[1, 0, 0, 0]", {"a": 1}, [], [1], [1, 0, 0, 0, 0], [1, None, 0, 0], [1, "0", 0, 0], [1, True, 0, 0],
           [[1], 0, 0, 0], [1, {}, 0, 0], [1, 0, 0, 4e38], [1, 0, 0, -1e300], [1, 0, 0, 1e-60]]  # fmt: skip
FITS = [[1.0, 0.0, 0.0, 3.3e38], [1.0, 0.0, 0.0, -3.3e38], [1.0, 0.0, 0.0, 1e-40], [-1.0, 0.25, 0.0, 0.0],
        [0.1234567890123456, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 70_000.0],
        [1.0, 0.0, 0.0, 65_504.0], [1.0, 0.0, 0.0, -64_999.5]]  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"stored": False}, {"half": True}], ids=str)
async def test_no_document_is_refused(opened, rows, options):
    values = [*MISFITS, *FITS]
    store = await opened(embedding_index(metric="l2", **options), count=len(values))
    if store is None:
        return
    for number, value in enumerate(values):
        rows.write("pictures", f"pictures/{number}", json.dumps({"name": "x", "kind": "m", "embedding": value}))
    async with store.open_session() as session:
        query = session.query(dict, "Pictures")
        near = query.order_by(lambda p: nearest(p["embedding"], ASKED, 100, metric="l2", exact=True))
        assert sorted(list(map(float, each["embedding"])) for each in await near.all()) == sorted(FITS)
        by_index = session.query(Picture).order_by(is_nearest(100, "l2")).select(lambda p: p.embedding)
        expected = [each for each in FITS if "half" not in options or max(map(abs, each)) < 65_000]
        assert sorted(list(map(float, each)) for each in await by_index.all()) == sorted(expected)


async def test_indexes_of_a_table_that_is_there(make_store, has_vector, rows):
    if not has_vector:
        return
    await save(make_store(), Picture("x", embedding=ASKED, id="pictures/1"))
    first = make_store(conventions=DocumentConventions(indexes={Picture: [embedding_index(name="v")]}))
    assert await first.maintenance.create_indexes(Picture) == ["embedding_4_vector", "v"]
    changes = [
        {"dimensions": 3},
        {"metric": "l2"},
        {"half": True},
        {"stored": False},
        {"m": 20},
        {"ef_construction": 100},
        {"where": lambda p: p.kind == "a"},
    ]
    for change in changes:
        changed = make_store(conventions=DocumentConventions(indexes={Picture: [embedding_index(name="v", **change)]}))
        assert "v" in await changed.maintenance.create_indexes(Picture)
        assert await changed.maintenance.create_indexes(Picture) == []
        assert "v" in await first.maintenance.create_indexes(Picture)


async def test_a_store_that_knew_the_table_before_finds_the_nearest_all_the_same(make_store, has_vector):
    if not has_vector:
        return
    await save(make_store(), Picture("x", embedding=ASKED, id="pictures/1"))
    store = make_store(conventions=DocumentConventions(indexes={Picture: [embedding_index()]}))
    async with store.open_session() as session:
        query = session.query(Picture).order_by(is_nearest())
        assert "embedding_4_vector" not in str(await query.sql())
        assert [each.id for each in await query.all()] == ["pictures/1"]
    await store.maintenance.create_indexes(Picture)
    async with store.open_session() as session:
        query = session.query(Picture).order_by(is_nearest())
        assert "embedding_4_vector" in str(await query.sql())
        assert [each.id for each in await query.all()] == ["pictures/1"]


async def test_an_older_pgvector_is_told_what_it_knows(opened):
    store = await opened(embedding_index())
    if store is None:
        return
    async with store.open_session() as session:
        query = session.query(Picture).order_by(is_nearest(300))
        await query.all()
        database = session._core.context.database
        known = database.objects.extensions["vector"]
        database.objects.extensions["vector"] = type(known)(known.schema, (0, 7, 4))
        assert len(await query.all()) > 100


async def test_somebody_elses_transaction_keeps_its_settings(host, postgres_url, database, has_vector, request):
    if not has_vector:
        return
    conventions = DocumentConventions(indexes={Picture: [embedding_index()]})
    store = Face(host.face).store(postgres_url, database=database, conventions=conventions)
    request.node.stash.setdefault(STORES, []).append(store)
    await save(store, Picture("x", embedding=ASKED, id="pictures/1"))
    await host.open(postgres_url)
    await host.begin()
    async with session_on(store, host) as session:
        for _ in range(2):
            query = session.query(Picture).order_by(is_nearest())
            assert [each.id for each in await query.all()] == ["pictures/1"]
            assert await host.execute("SELECT current_setting('hnsw.ef_search')") == [("40",)]
            assert await host.execute("SELECT current_setting('hnsw.iterative_scan')") == [("off",)]
    await host.end()


@pytest.mark.parametrize(
    "make",
    [
        lambda: embedding_index(dimensions=0),
        lambda: embedding_index(dimensions=2001),
        lambda: embedding_index(dimensions=4001, half=True),
        lambda: embedding_index(dimensions=True),
        lambda: embedding_index(metric="hamming"),
        lambda: embedding_index(m=1),
        lambda: embedding_index(m=40),
        lambda: embedding_index(ef_construction=3),
        lambda: embedding_index(m=20, ef_construction=39),
        lambda: embedding_index(name=5),
        lambda: VectorIndex("embedding", dimensions=3),
    ],
)
def test_what_cannot_be_declared(make):
    with pytest.raises(InvalidArgumentException, match="VectorIndex"):
        make()


@pytest.mark.parametrize(
    "index",
    [
        VectorIndex(lambda p: p.name, dimensions=3),
        VectorIndex(lambda p: (p.embedding, p.embedding), dimensions=3),
        VectorIndex(lambda p: [1.0], dimensions=3),
        Index(lambda p: distance(p.embedding, ASKED)),
        Index(lambda p: p.name, where=lambda p: distance(p.embedding, ASKED) < 1),
    ],
)
async def test_what_cannot_be_indexed(make_store, index):
    store = make_store(conventions=DocumentConventions(indexes={Picture: [index]}))
    with pytest.raises(InvalidArgumentException, match=r"Index|not into this"):
        await save(store, Picture("x"))
