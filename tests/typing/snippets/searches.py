"""What a type checker makes of searches, and of the indexes that serve them; checked, never run."""

from dataclasses import dataclass, field
from typing import assert_type

from docsession import (
    AsyncDocumentSession,
    DocumentConventions,
    DocumentSession,
    FullText,
    SearchOperator,
    Trigram,
    VectorIndex,
    desc,
    distance,
    nearest,
    rank,
    search,
)


@dataclass
class Article:
    title: str
    body: str | None = None
    embedding: list[float] | None = None
    tags: list[str] = field(default_factory=list[str])
    id: str | None = None


CONVENTIONS = DocumentConventions(
    indexes={
        Article: [
            FullText(lambda a: (a.title, a.body), language="english", weights="AB", stored=True),
            Trigram(lambda a: a.title, ignore_case=True),
            VectorIndex(lambda a: a.embedding, dimensions=1536, metric="l2", half=True, m=24, ef_construction=100),
        ]
    }
)


def blocking(session: DocumentSession) -> None:
    query = session.query(Article).where(lambda a: search((a.title, a.body), "red"))
    assert_type(query.order_by(lambda a: desc(rank(a.title, "red"))).all(), list[Article])
    near = session.query(Article).order_by(lambda a: nearest(a.embedding, [0.5, 1], 10, metric="l2", candidates=400))
    assert_type(near.first_or_none(), Article | None)
    assert_type(near.select(lambda a: distance(a.embedding, (0.5, 1.0))).all(), list[float])
    builder = session.query(Article).search("title", "red wool", SearchOperator.AND).boost(2)
    assert_type(builder.vector_search("embedding", [0.5], 0.8, 20, True).order_by_score().all(), list[Article])


async def asynchronous(session: AsyncDocumentSession) -> None:
    builder = session.query(Article).search("title", "red").boost(2).order_by_score_descending()
    assert_type(await builder.vector_search("embedding", [0.5], is_exact=True).all(), list[Article])


def mistakes(session: DocumentSession) -> None:
    session.query(Article).order_by(lambda a: nearest(a.tags, [0.5], 10))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    session.query(Article).order_by(lambda a: nearest(a.embedding, [0.5]))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue, reportUnknownLambdaType]
    session.query(Article).vector_search("embedding", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    VectorIndex(lambda a: a.embedding)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    VectorIndex(lambda a: a.embedding, 1536)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
