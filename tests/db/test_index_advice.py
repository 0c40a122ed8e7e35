"""What is advised serves the queries that lacked it: it is pasted, made, and then used."""

import datetime as dt
import uuid
from dataclasses import dataclass, field
from decimal import Decimal

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

import docsession
from docsession import (
    DocumentConventions,
    DocumentStore,
    Index,
    OrderingType,
    Promoted,
    any_,
    assert_uses_index,
    contains,
    contains_all,
    desc,
    ends_with,
    given,
    in_,
    len_,
    matches,
    meta,
    nearest,
    search,
    starts_with,
)
from docsession._migrate import Target
from docsession._migrate._index_advice import index_advice
from docsession._migrate._project import needs_of
from tests.support.extensions import made

MOMENT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass
class Line:
    product: str
    quantity: int


@dataclass
class Order:
    company: str
    status: str
    freight: Decimal | None
    ordered_at: dt.datetime
    paid: bool
    tags: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    anything: object = None
    notes: str = ""
    embedding: list[float] = field(default_factory=list)
    id: str | None = None


def order(number):
    return Order(
        f"companies/{number % 7}",
        "open",
        Decimal(number),
        MOMENT + dt.timedelta(days=number),
        number % 2 == 0,
        [f"t{number}"],
        [Line(f"products/{number}", number)],
        {"colour": f"c{number}"},
        number,
        f"the note {number}",
        [number, 1],
    )


@pytest.fixture(scope="module")
def shop(postgres_url):
    """The name of a database with orders."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with DocumentStore(postgres_url, database=name) as store, store.open_session() as session:
        for number in range(60):
            session.store(order(number), f"orders/{number}")
        session.save_changes()
    yield name
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


@pytest.fixture
def advice(shop, postgres_url):
    """Ask queries and return what is advised then; in the end all indexes are gone."""
    target = Target({name: str(value) for name, value in conninfo_to_dict(postgres_url).items()}, shop)
    kept = sql.Identifier(shop, "docsession_query_shapes")

    def ask(*queries, indexes=()):
        conventions = DocumentConventions(indexes={Order: indexes})
        with DocumentStore(postgres_url, database=shop, conventions=conventions) as store:
            store.maintenance.create_indexes(Order)
            with store.open_session() as session:
                for query in queries:
                    query(session).all()
        return index_advice(target, needs_of([Order], conventions))

    yield ask
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("TRUNCATE {}").format(kept))
        for (name,) in connection.execute(
            "SELECT indexname FROM pg_indexes WHERE schemaname = %s AND tablename = 'orders' "
            "AND indexname <> 'orders_pkey'",
            [shop],
        ).fetchall():
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(shop, name)))
        connection.execute(
            sql.SQL("ALTER TABLE {} DROP IF EXISTS company, DROP IF EXISTS embedding_2_vector").format(
                sql.Identifier(shop, "orders")
            )
        )


def where(predicate=None, **fields):
    return lambda session: session.query(Order).where(predicate, **fields)


def ordered(make):
    return lambda session: make(session.query(Order))


QUERIES = [
    (where(lambda o: o.company == "x"), "Index(lambda o: o.company)"),
    (where(lambda o: in_(o.company, ["x", "y"])), "Index(lambda o: o.company)"),
    (where(lambda o: o.company == None), "Index(lambda o: o.company)"),
    (where(lambda o: starts_with(o.company, "x")), "Index(lambda o: o.company)"),
    (where(lambda o: given(o.freight) > 3), "Index(lambda o: o.freight)"),
    (where(lambda o: o.freight == None), "Index(lambda o: o.freight)"),
    (where(lambda o: o.ordered_at > MOMENT), "Index(lambda o: o.ordered_at)"),
    (
        where(lambda o: o.ordered_at == MOMENT.replace(tzinfo=None)),
        'Index(lambda o: o.ordered_at, type="text")',
    ),
    (where(lambda o: o.paid), "Index(lambda o: o.paid)"),
    (where(lambda o: o.attributes["colour"] == "c1"), "Index(lambda o: o.attributes['colour'])"),
    (where(lambda o: o.attributes == {"a": "x"}), "Index(lambda o: o.attributes)"),
    (where(lambda o: o.anything == 3), 'Index(lambda o: o.anything, type="numeric")'),
    (where(lambda o: o.anything == "x"), 'Index(lambda o: o.anything, type="text")'),
    (where(lambda o: o.anything == None), "Index(lambda o: o.anything)"),
    (where(lambda o: len_(o.tags) > 3), "Index(lambda o: len_(o.tags))"),
    (where(lambda o: meta("@last-modified") > MOMENT), "Index(lambda o: meta('@last-modified'))"),
    (where(company__iexact="x"), "Index(lambda o: o.company, ignore_case=True)"),
    (where(lambda o: contains(o.tags, "x")), "GinIndex(lambda o: o.tags)"),
    (where(lambda o: contains_all(o.tags, ["x", "y"])), "GinIndex(lambda o: o.tags)"),
    (
        where(lambda o: any_(o.lines, lambda i: (i.product == "x") & (i.quantity > 3))),
        "GinIndex(lambda o: o.lines)",
    ),
    (where(lambda o: search(o.notes, "note")), "FullText(lambda o: o.notes)"),
    (
        where(lambda o: search((o.notes, o.tags), "note", language="english")),
        'FullText(lambda o: (o.notes, o.tags), language="english")',
    ),
    (
        where(lambda o: (o.status == "open") & (given(o.freight) > 3) & (o.company != "x")),
        "Index(lambda o: (o.status, o.freight))",
    ),
    (
        ordered(lambda q: q.where(status="open").order_by(lambda o: desc(o.ordered_at)).take(3)),
        "Index(lambda o: (o.status, o.ordered_at))",
    ),
    (
        ordered(lambda q: q.order_by(lambda o: (o.company, desc(o.freight))).take(3)),
        "Index(lambda o: (o.company, desc(o.freight)))",
    ),
    (
        ordered(lambda q: q.order_by("company", OrderingType.STRING).take(3)),
        "Index(lambda o: o.company, ignore_case=True)",
    ),
    (ordered(lambda q: q.where_equals("company", "x")), "Index(lambda o: o.company, ignore_case=True)"),
]


@pytest.mark.parametrize(("query", "declaration"), QUERIES, ids=[each for _, each in QUERIES])
def test_what_is_pasted_serves_the_query(advice, shop, postgres_url, query, declaration):
    [found] = advice(query)
    assert (found.declaration, found.collection, found.queries) == (declaration, "Orders", 1)
    assert found.seconds > 0
    pasted = eval(found.declaration, vars(docsession))
    assert advice(query, indexes=[pasted]) == []
    conventions = DocumentConventions(indexes={Order: [pasted]})
    with DocumentStore(postgres_url, database=shop, conventions=conventions) as store:
        assert store.maintenance.create_indexes(Order) == []
        with store.open_session() as session:
            assert_uses_index(query(session))


def test_alternatives_need_an_index_each(advice, shop, postgres_url):
    query = where(lambda o: (o.company == "x") | contains(o.tags, "x"))
    found = advice(query)
    assert [each.declaration for each in found] == ["GinIndex(lambda o: o.tags)", "Index(lambda o: o.company)"]
    assert advice(query, indexes=[eval(each.declaration, vars(docsession)) for each in found]) == []


@pytest.mark.parametrize(
    ("query", "declaration"),
    [
        (where(lambda o: contains(o.notes, "note")), "Trigram(lambda o: o.notes)"),
        (where(lambda o: ends_with(o.notes, "note")), "Trigram(lambda o: o.notes)"),
        (where(lambda o: matches(o.notes, "note")), "Trigram(lambda o: o.notes)"),
        (where(notes__icontains="note"), "Trigram(lambda o: o.notes, ignore_case=True)"),
    ],
)
def test_parts_of_texts_need_an_extension(advice, postgres_url, query, declaration):
    [found] = advice(query)
    assert (found.declaration, found.needs) == (declaration, "pg_trgm")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'").fetchone():
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            assert advice(query, indexes=[eval(found.declaration, vars(docsession))]) == []


@pytest.mark.parametrize(
    ("metric", "declaration"),
    [
        ("cosine", "VectorIndex(lambda o: o.embedding, dimensions=2)"),
        ("l2", 'VectorIndex(lambda o: o.embedding, dimensions=2, metric="l2")'),
    ],
)
def test_the_nearest_vectors_need_an_extension_too(advice, shop, postgres_url, metric, declaration):
    if not made(postgres_url, "vector"):
        return  # no such query can be asked
    query = ordered(lambda q: q.order_by(lambda o: nearest(o.embedding, [1, 2], 3, metric=metric)))
    [found] = advice(query)
    assert (found.declaration, found.needs) == (declaration, "vector")
    pasted = eval(found.declaration, vars(docsession))
    assert advice(query, indexes=[pasted]) == []
    conventions = DocumentConventions(indexes={Order: [pasted]})
    with DocumentStore(postgres_url, database=shop, conventions=conventions) as store, store.open_session() as session:
        assert_uses_index(query(session))


@pytest.mark.parametrize(
    "query",
    [
        where(lambda o: o.company != "x"),
        where(lambda o: (o.company == "x") | (o.company != "y")),
        where(lambda o: o.id == "orders/1"),
        ordered(lambda q: q),
        ordered(lambda q: q.order_by("company")),
        ordered(lambda q: q.order_by("id").take(3)),
        ordered(lambda q: q.order_by("lines").take(3)),
        ordered(lambda q: q.order_by(lambda o: given(o.freight) * 2).take(3)),
    ],
)
def test_nothing_is_advised_that_would_not_help(advice, query):
    assert advice(query) == []


def test_one_index_serves_several_queries(advice):
    status = where(status="open")
    both = where(lambda o: (o.status == "open") & (given(o.freight) > 3))
    [found] = advice(status, status, both)
    assert (found.declaration, found.queries) == ("Index(lambda o: (o.status, o.freight))", 3)


def test_one_index_serves_several_combinations(advice):
    both, other_way_round = where(lambda o: (o.company == "x") & (o.status == "y")), where(status="x", company="y")
    [found] = advice(both, other_way_round, where(status="x"))
    assert (found.declaration, found.queries) == ("Index(lambda o: (o.status, o.company))", 3)
    assert found.documents == 60


@pytest.mark.parametrize(
    "index",
    [
        Index(lambda o: (o.company, o.status)),
        Index(lambda o: o.company, where=lambda o: o.company != "y"),
        Promoted(lambda o: o.company),
    ],
)
def test_what_is_declared_is_not_advised(advice, index):
    assert advice(where(company="x"), indexes=[index]) == []


def test_an_index_of_some_documents_hides_none_of_all(advice):
    """Only from queries that compare what its condition does."""
    some = Index(lambda o: o.company, where=lambda o: o.status != "done")
    [found] = advice(where(company="x"), indexes=[some])
    assert found.declaration == "Index(lambda o: o.company)"
    of_lists = Index(lambda o: o.freight, where=lambda o: contains(o.tags, "x"))
    assert {each.declaration for each in advice(where(freight=3), indexes=[some, of_lists])} == {
        "Index(lambda o: o.company)",
        "Index(lambda o: o.freight)",
    }


@pytest.mark.parametrize(
    "query",
    [
        where(lambda o: (o.company == "x") & (o.status == "open")),
        where(lambda o: (o.company == "x") & (o.status != "done")),
    ],
)
def test_an_index_of_some_documents_may_be_what_a_query_needs(advice, query):
    some = Index(lambda o: (o.company, o.status), where=lambda o: o.status != "done")
    assert advice(query, indexes=[some]) == []


def test_what_may_not_help_comes_last_and_says_why(advice, shop, postgres_url):
    [few] = advice(where(status="open"))
    assert few.doubt == "a table as small as this is read as quickly without it"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        orders = sql.Identifier(shop, "orders")
        connection.execute(
            sql.SQL(
                "INSERT INTO {} (id, data, version, last_modified) SELECT 'more/' || n, "
                "jsonb_build_object('status', n % 2, 'company', n::text), 1, now() FROM generate_series(1, 1000) AS n"
            ).format(orders)
        )
        connection.execute(sql.SQL("ANALYZE {}").format(orders))
        try:
            alike, open_ = where(status="open"), where(company="x")
            by_company, by_status = advice(*[alike] * 20, open_)
            assert (by_company.declaration, by_company.doubt) == ("Index(lambda o: o.company)", None)
            assert by_status.doubt is not None
            assert "about 33% of the documents" in by_status.doubt
            sorted_ = ordered(lambda q: q.where(status="open").order_by(lambda o: desc(o.ordered_at)).take(3))
            assert advice(sorted_)[0].share is None, "which is of use however many there are"
        finally:
            connection.execute(sql.SQL("DELETE FROM {} WHERE id LIKE 'more/%'").format(orders))
            connection.execute(sql.SQL("ANALYZE {}").format(orders))


def test_what_is_declared_has_only_to_be_made(advice, shop, postgres_url):
    assert len(advice(where(company="x"))) == 1
    target = Target({name: str(value) for name, value in conninfo_to_dict(postgres_url).items()}, shop)
    conventions = DocumentConventions(indexes={Order: [Index(lambda o: o.company), Promoted(lambda o: o.status)]})
    assert index_advice(target, needs_of([Order], conventions)) == []


def test_an_index_that_somebody_has_made_counts(advice, shop, postgres_url):
    [_] = advice(where(company="x"))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        table = sql.Identifier(shop, "orders")
        connection.execute(sql.SQL("CREATE INDEX theirs ON {} (((data ->> 'company') COLLATE \"C\"))").format(table))
    assert advice() == []


def test_rows_that_nobody_can_have_written_are_passed_over(advice, shop, postgres_url):
    [_] = advice(where(company="x"))
    field = '{"type": "field", "name": "a", "path": ["a"], "holds": "text"}'
    search = '{"type": "search", "language": "LANGUAGE", "of": [FIELD]}'
    value = '{"type": "value", "how": "equal", "compared_as": "text", "of": FIELD}'
    conditions = [
        value.replace("equal", "prefix").replace("FIELD", field.replace("text", "number")),
        search.replace("FIELD", field).replace("LANGUAGE", "klingon"),
        search.replace("FIELD", field).replace("LANGUAGE", "x'; DROP TABLE y; --"),
        value.replace("FIELD", '{"type": "meta", "key": "@other"}'),
        value.replace("FIELD", field.replace('"a"', '"a == print(1) or o.b"', 1).replace('["a"]', '["a\'\\"x"]')),
    ]
    shapes = ["3", *(f'{{"collection": "Orders", "where": [{each}]}}' for each in conditions)]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for number, shape in enumerate(shapes):
            connection.execute(
                sql.SQL("INSERT INTO {} VALUES (%s, 'Orders', %s, 1, 1, now())").format(
                    sql.Identifier(shop, "docsession_query_shapes")
                ),
                [str(number), shape],
            )
    assert {each.declaration for each in advice()} == {
        "Index(lambda o: o.company)",
        "Index(lambda o: o['a\\'\"x'])",
    }
