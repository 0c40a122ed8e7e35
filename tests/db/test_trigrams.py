"""Indexes for parts of texts; on a server without pg_trgm the error names it."""

from dataclasses import dataclass, field

import pytest

from docsession import (
    DocumentConventions,
    InvalidArgumentException,
    RavenException,
    Trigram,
    contains,
    ends_with,
    matches,
)
from tests.support.documents import save
from tests.support.extensions import made
from tests.support.plans import nodes


@dataclass
class Person:
    name: str
    age: int = 0
    tags: list[str] = field(default_factory=list)
    id: str | None = None


@pytest.fixture
def has_trigrams(postgres_url):
    """True where the server has pg_trgm."""
    return made(postgres_url, "pg_trgm")


@pytest.mark.parametrize(
    ("ask", "operator", "ignore_case"),
    [
        (lambda q: q.where(lambda p: contains(p.name, "son 77,")), "~~", False),
        (lambda q: q.where(lambda p: ends_with(p.name, "son 77, x")), "~~", False),
        (lambda q: q.where(lambda p: matches(p.name, "son 77,.x")), "~", False),
        (lambda q: q.where(name__icontains="SON 77,"), "~~", True),
    ],
)
async def test_it_serves_parts_of_texts(make_store, rows, has_trigrams, ask, operator, ignore_case):
    index = Trigram(lambda p: p.name, ignore_case=ignore_case)
    store = make_store(conventions=DocumentConventions(indexes={Person: [index]}))
    people = [Person(f"Person {i}, x", id=f"people/{i}") for i in range(3000)]
    if not has_trigrams:
        with pytest.raises(RavenException, match=r"needs PostgreSQL's extension 'pg_trgm'.*CREATE EXTENSION pg_trgm"):
            await save(store, *people)
        return
    await save(store, *people)
    rows.analyze("people")
    async with store.open_session() as session:
        query = ask(session.query(Person))
        assert [each.id for each in await query.all()] == ["people/77"]
        (scan,) = [each for each in nodes((await query.explain()).plan) if each["Node Type"] == "Bitmap Index Scan"]
        assert scan["Index Name"] == ("people_name_ci_trgm" if ignore_case else "people_name_trgm")
        assert f" {operator} " in scan["Index Cond"]
        assert await store.maintenance.create_indexes(Person) == []


@pytest.mark.parametrize("keys", [lambda p: p.age, lambda p: (p.name, p.age), lambda p: p.tags])
async def test_of_what_is_no_text(make_store, keys):
    store = make_store(conventions=DocumentConventions(indexes={Person: [Trigram(keys)]}))
    with pytest.raises(InvalidArgumentException, match="Trigram"):
        await save(store, Person("x"))
