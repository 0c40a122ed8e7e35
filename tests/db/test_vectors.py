"""The documents with the nearest vectors."""

import json
import math
from dataclasses import dataclass, field

import pytest

from docsession import (
    InvalidArgumentException,
    InvalidOperationException,
    RavenException,
    desc,
    distance,
    nearest,
    not_,
    set_,
)
from tests.support.documents import save
from tests.support.extensions import made


@dataclass
class Picture:
    name: str
    embedding: list[float] | None = None
    tags: list[str] = field(default_factory=list)
    id: str | None = None


VECTORS = {"pictures/1": [1.0, 0.0], "pictures/2": [0.0, 2.0], "pictures/3": [3.0, 3.0], "pictures/4": None}

MALFORMED = [
    5,
    "[1, 0]",
    {"a": 1},
    [],
    [1],
    [1, 0, 0],
    [1, None],
    [1, "0"],
    [1, True],
    [[1], [0]],
    [1, [0]],
    [1, {}],
    [1, 1e39],
    [1, -1e300],
    [1, 1e-60],
]


@pytest.fixture
def has_vector(postgres_url):
    """True where the server has pgvector."""
    return made(postgres_url, "vector")


@pytest.fixture
def pictures(store):
    async def fill():
        await save(store, *(Picture(key, vector, id=key) for key, vector in VECTORS.items()))

    return fill


async def answered(available, ask):
    """Return what is found; where the server has no pgvector the error names it, and None is returned."""
    if available:
        return await ask()
    with pytest.raises(RavenException, match=r"needs PostgreSQL's extension 'vector'.*CREATE EXTENSION vector"):
        await ask()
    return None


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("cosine", ["1", "3", "2"]), ("l2", ["1", "2", "3"]), ("inner_product", ["3", "1", "2"])],
)
async def test_the_nearest_come_first(store, pictures, has_vector, metric, expected):
    await pictures()
    async with store.open_session() as session:
        query = session.query(Picture).order_by(lambda p: nearest(p.embedding, [1.0, 0.1], 3, metric=metric))
        found = await answered(has_vector, query.all)
        assert found is None or [each.id[-1] for each in found] == expected
        assert session.advanced.number_of_requests == (1 if has_vector else 0)


async def test_as_many_as_are_asked_for(store, pictures, has_vector):
    await pictures()
    async with store.open_session() as session:
        query = session.query(Picture).order_by(lambda p: nearest(p.embedding, (1, 0), 2))
        found = await answered(has_vector, query.select(lambda p: p.name).all)
        assert found is None or found == ["pictures/1", "pictures/3"]
        found = await answered(has_vector, query.where(lambda p: p.name != "pictures/1").all)
        assert found is None or [each.id for each in found] == ["pictures/3", "pictures/2"]
        found = await answered(has_vector, query.take(1).all)
        assert found is None or [each.id for each in found] == ["pictures/1"]


async def test_distances_in_conditions_and_results(store, pictures, has_vector):
    await pictures()
    async with store.open_session() as session:
        query = session.query(Picture).select(lambda p: distance(p.embedding, [1, 0], metric="l2"))
        found = await answered(has_vector, query.all)
        assert found is None or found == [0, pytest.approx(math.sqrt(5)), pytest.approx(math.sqrt(13)), None]
        query = session.query(Picture).where(lambda p: distance(p.embedding, [1, 0]) < 0.5)
        assert await answered(has_vector, query.count) in {None, 2}
        query = session.query(Picture).where(lambda p: not_(distance(p.embedding, [1, 0]) < 0.5))
        assert await answered(has_vector, query.count) in {None, 2}


@pytest.mark.parametrize("metric", ["cosine", "l2", "inner_product"])
@pytest.mark.parametrize("embedding", MALFORMED, ids=str)
async def test_no_document_makes_it_fail(store, pictures, rows, has_vector, embedding, metric):
    await pictures()
    rows.write("pictures", "pictures/3", json.dumps({"name": "x", "tags": [], "embedding": embedding}))
    async with store.open_session() as session:
        query = session.query(dict, "Pictures").order_by(lambda p: nearest(p["embedding"], [1, 0], 5, metric=metric))
        found = await answered(has_vector, query.select(lambda p: p["name"]).all)
        assert found is None or found == ["pictures/1", "pictures/2"]


@pytest.mark.parametrize("metric", ["cosine", "l2", "inner_product"])
async def test_zeros_and_large_numbers(store, rows, has_vector, metric):
    await save(store, Picture("zero", [0.0, 0.0], id="pictures/1"), Picture("large", [3e38, 3e38], id="pictures/2"))
    async with store.open_session() as session:
        query = session.query(Picture).select(lambda p: distance(p.embedding, [1, 0], metric=metric))
        found = await answered(has_vector, query.all)
        assert found is None or len(found) == 2
        query = session.query(Picture).order_by(lambda p: nearest(p.embedding, [1, 0], 5, metric=metric))
        found = await answered(has_vector, query.all)
        assert found is None or "large" in {each.name for each in found}
        assert found is None or len(found) == (1 if metric == "cosine" else 2)


async def test_lazy_and_streamed(store, pictures, has_vector):
    await pictures()
    async with store.open_session() as session:
        query = session.query(Picture).order_by(lambda p: nearest(p.embedding, [1, 0], 2))

        async def lazy():
            return [each.id for each in await query.lazily().value]

        async def streamed():
            found = query.stream()
            if hasattr(found, "__aiter__"):
                return [each.id async for each in found]
            return [each.id for each in found]

        for ask in (lazy, streamed):
            assert await answered(has_vector, ask) in (None, ["pictures/1", "pictures/3"])


async def test_ravendbs_words(store, pictures, has_vector):
    await pictures()
    async with store.open_session() as session:
        query = session.query(Picture)
        for build, expected in (
            (lambda: query.vector_search("embedding", [1, 0.1]), "1 3 2"),
            (lambda: query.vector_search("embedding", [1, 0.1], number_of_candidates=2), "1 3"),
            (lambda: query.vector_search("embedding", [1, 0.1], 0.5), "1 3"),
            (lambda: query.vector_search("embedding", [1, 0.1], minimum_similarity=0.99, is_exact=True), "1"),
            (lambda: query.vector_search("embedding", [1, 0.1], is_exact=True), "1 3 2"),
            (lambda: query.vector_search("embedding", [1, 0.1]).order_by_score_descending(), "2 3 1"),
            (lambda: query.vector_search("embedding", [1, 0.1], None, 2).order_by_descending("name"), "3 1"),
            (lambda: query.where_in("name", ["pictures/2", "pictures/3"]).vector_search("embedding", [1, 0.1]), "3 2"),
            (lambda: query.vector_search("embedding", [1, 0.1], None, 1).where_equals("name", "pictures/3"), "3"),
        ):
            found = await answered(has_vector, build().all)
            assert found is None or " ".join(each.id[-1] for each in found) == expected
        for wrong in ({"vector": "text"}, {"minimum_similarity": 2}, {"number_of_candidates": 0}, {"vector": [0, 0]}):
            with pytest.raises(InvalidArgumentException):
                query.vector_search(**{"embedding_field": "embedding", "vector": [1, 0]} | wrong)
        for field_name in ("name", "nothing", "tags[]"):
            with pytest.raises(InvalidArgumentException):
                query.vector_search(field_name, [1, 0])
        begun = query.where_equals("name", "x")
        for before in (query.not_(), begun.or_else(), begun.open_subclause(), query.vector_search("embedding", [1])):
            with pytest.raises(InvalidOperationException):
                before.vector_search("embedding", [1, 0])


@pytest.mark.parametrize("refused", ["delete", "patch", "page"])
async def test_what_is_done_to_all_documents_or_goes_on_by_keys_is_refused(store, pictures, refused):
    await pictures()
    async with store.open_session() as session:
        query = session.query(Picture).order_by(lambda p: nearest(p.embedding, [1, 0], 5))
        ask = {"delete": query.delete, "patch": lambda: query.patch(lambda p: set_(p.name, "x"))}
        with pytest.raises(InvalidOperationException, match="nearest"):
            await ask.get(refused, lambda: query.page(5))()


@pytest.mark.parametrize(
    "ask",
    [
        lambda p: nearest([1], [1], 1),
        lambda p: nearest(p.tags, [1], 1),
        lambda p: nearest(p.name, [1], 1),
        lambda p: nearest(p.embedding, [], 1),
        lambda p: nearest(p.embedding, [1], 0),
        lambda p: nearest(p.embedding, [1], True),
        lambda p: nearest(p.embedding, "12", 1),
        lambda p: nearest(p.embedding, ["x"], 1),
        lambda p: nearest(p.embedding, [math.nan], 1),
        lambda p: nearest(p.embedding, [1e39], 1),
        lambda p: nearest(p.embedding, [0, 0], 1),
        lambda p: nearest(p.embedding, [1], 1, metric="x"),
        lambda p: nearest(p.embedding, [1], 1, candidates=0),
        lambda p: nearest(p.embedding, [1], 1, candidates=1001),
        lambda p: nearest(p.embedding, [1], 1, candidates=10, exact=True),
        lambda p: nearest(p.embedding, 5, 1),
        lambda p: desc(nearest(p.embedding, [1], 1)),
        lambda p: (p.name, nearest(p.embedding, [1], 1)),
    ],
)
async def test_what_is_refused(store, ask):
    async with store.open_session() as session:
        with pytest.raises(InvalidArgumentException):
            session.query(Picture).order_by(ask)
