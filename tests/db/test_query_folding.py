"""Texts without regard to case: what the server's `lower` makes equal, whatever Python's does."""

import uuid
from dataclasses import dataclass, field

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.documents import Rows, driven, save
from tests.support.faces import Face

NAMES = [
    "John",
    "JOHN",
    "Johnny",
    "straße",
    "STRASSE",
    "Äsa",
    "äSA",
    "A\u0308sa",
    "İstanbul",
    "istanbul",
    "I",
    "ı",
    "\u212aelvin",
    "kelvin",
    "ſ",
    "ΟΔΟΣ",
    "οδος",
    "οδοσα",
    "ǅ",
    "ǆa",
    "\ud7ff",
    "\ud7ffa",
    "\ue000",
    "a\U0010ffff",
    "A\U0010ffffb",
    "\U0010ffff",
    "",
    "%_\\",
    "%_\\\\x",
    "b",
    None,
]


@dataclass
class Doc:
    name: str | None
    names: list[str] = field(default_factory=list)
    id: str | None = None


def names_of(i):
    """A few of the names, for a list."""
    return [name for name in NAMES[i : i + 2] if name is not None]


@pytest.fixture(scope="module")
def asked(postgres_url):
    """A store with the documents, how to run on its loop, and the server's `lower`."""
    database = f"test_{uuid.uuid4().hex[:12]}"
    known = {}
    with driven(Face("blocking"), postgres_url, database) as (store, drive), psycopg.connect(postgres_url) as server:
        drive(save(store, *(Doc(name, names_of(i), f"docs/{i:02}") for i, name in enumerate(NAMES))))

        def lower(text):
            if text is not None and text not in known:
                known[text] = server.execute("SELECT lower(%s)", (text,)).fetchone()[0]
            return known.get(text)

        yield store, drive, lower
        store.wrapped.maintenance.delete_database(database)


written = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)
existing = st.builds(
    lambda name, start, end, change: change(name[start:end]),
    st.sampled_from([name for name in NAMES if name is not None]),
    st.integers(0, 3),
    st.integers(1, 9),
    st.sampled_from([str, str.upper, str.lower, str.swapcase]),
)
texts = st.one_of(existing, existing, written)
CONDITIONS = [
    (lambda q, a, b: q.where_equals("name", a), lambda name, a, b: name == a),
    (lambda q, a, b: q.where(name__iexact=a), lambda name, a, b: name == a),
    (lambda q, a, b: q.where_in("name", [a, b]), lambda name, a, b: name in {a, b}),
    (lambda q, a, b: q.where_starts_with("name", a), lambda name, a, b: name.startswith(a)),
    (lambda q, a, b: q.where(name__istartswith=a), lambda name, a, b: name.startswith(a)),
    (lambda q, a, b: q.where_ends_with("name", a), lambda name, a, b: name.endswith(a)),
    (lambda q, a, b: q.where(name__icontains=a), lambda name, a, b: a in name),
    (lambda q, a, b: q.where_between("name", a, b), lambda name, a, b: a <= name <= b),
    (lambda q, a, b: q.where_greater_than("name", a), lambda name, a, b: name > a),
    (lambda q, a, b: q.where_less_than_or_equal("name", a), lambda name, a, b: name <= a),
]


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(CONDITIONS), texts, texts)
def test_both_sides_are_lowered_by_the_server(asked, condition, one, other):
    store, drive, lower = asked
    build, holds = condition

    def fulfils(name):
        return name is not None and holds(lower(name), lower(one), lower(other))

    expected = [i for i, name in enumerate(NAMES) if fulfils(name)]

    async def check():
        async with store.open_session() as session:
            query = build(session.query(Doc), one, other)
            found = [int(key[-2:]) for key in await query.select_fields(str, "id").all()]
            assert found == expected, str(await query.sql())
            if "where_" in "".join(build.__code__.co_names):
                negated = build(session.query(Doc).not_(), one, other)
                assert await negated.count() == len(NAMES) - len(found)

    drive(check())


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts, texts)
def test_so_they_are_in_lists(asked, one, other):
    store, drive, lower = asked
    lists = [[lower(name) for name in names_of(i)] for i in range(len(NAMES))]
    sought = {lower(one), lower(other)}

    async def check():
        async with store.open_session() as session:
            query = session.query(Doc).contains_any("names", [one, other])
            found = [int(key[-2:]) for key in await query.select_fields(str, "id").all()]
            assert found == [i for i, names in enumerate(lists) if sought & set(names)]
            query = session.query(Doc).contains_all("names", [one, other])
            found = [int(key[-2:]) for key in await query.select_fields(str, "id").all()]
            assert found == [i for i, names in enumerate(lists) if sought <= set(names)]

    drive(check())


async def test_an_expression_index_serves_them(store, postgres_url, database):
    await save(store, Doc("x"))
    rows = Rows(postgres_url, database)
    rows._run(
        "INSERT INTO {} (id, data, version, last_modified) SELECT 'docs/' || n, "
        "jsonb_build_object('name', 'Name ' || n), n, now() FROM generate_series(1, 20000) AS n",
        "docs",
    )
    rows._run("CREATE INDEX folded ON {} ((lower(data ->> 'name') COLLATE \"C\"), id)", "docs")
    rows._run("ANALYZE {}", "docs")
    rows.close()
    async with store.open_session() as session:
        query = session.query(Doc)
        for asked, found in (
            (query.where_equals("name", "NAME 7"), 1),
            (query.where_in("name", ["NAME 7", "name 8", "x"]), 3),
            (query.where_starts_with("name", "NAME 199"), 111),
            (query.where_between("name", "NAME 1000", "NAME 1001"), 12),
            (query.where(name__istartswith="NAME 777"), 11),
        ):
            plan = (await asked.explain()).text
            assert "Index Cond" in plan, plan
            assert "lower((data ->> 'name'::text))" in plan.partition("Index Cond")[2], plan
            assert await asked.count() == found
