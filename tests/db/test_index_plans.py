"""Every kind of index serves the conditions and orders that it is for, and PostgreSQL says so in its plan."""

import contextlib
import datetime as dt
import urllib.parse
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from docsession import (
    DocumentConventions,
    DocumentStore,
    FullText,
    GinIndex,
    Index,
    OrderingType,
    Promoted,
    Statistics,
    Trigram,
    VectorIndex,
    any_,
    between,
    contains,
    contains_all,
    contains_any,
    desc,
    ends_with,
    given,
    id_,
    in_,
    len_,
    matches,
    meta,
    nearest,
    not_,
    search,
    starts_with,
    value,
)
from tests.support.extensions import made

pytestmark = pytest.mark.direct("planner settings come by the URL's `options`, which pgbouncer refuses")


@dataclass
class Line:
    product: str
    quantity: int


@dataclass
class Order:
    company: str
    name: str
    status: str
    freight: Decimal | None
    ordered_at: dt.datetime
    day: dt.date
    paid: bool
    number: int
    email: str | None
    city: str
    country: str
    customer: str
    seller: int
    key: UUID
    spent: float
    seen: dt.datetime
    tags: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    parts: list[dict[str, str]] = field(default_factory=list)
    place: list[float] = field(default_factory=list)
    id: str | None = None


@dataclass
class Parcel:
    """The same table's like, with one index for all lists."""

    tags: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    inner: dict[str, list[str]] = field(default_factory=dict)
    id: str | None = None


INDEXES = [
    Index(lambda o: o.company),
    Index(lambda o: o.name, ignore_case=True),
    Index(lambda o: (o.status, desc(o.ordered_at)), where=lambda o: o.status != "done"),
    Index(lambda o: o.ordered_at),
    Index(lambda o: o.freight),
    Index(lambda o: o.day),
    Index(lambda o: o.paid, where=lambda o: o.paid),
    Index(lambda o: o.number, unique=True),
    Index(lambda o: o.email, ignore_case=True, unique=True),
    Index(lambda o: (o.country, desc(o.freight))),
    Index(lambda o: o.attributes["colour"]),
    Index(lambda o: o.attributes),
    Index(lambda o: len_(o.notes)),
    Index(lambda o: meta("@last-modified")),
    GinIndex(lambda o: o.tags),
    GinIndex(lambda o: o.lines),
    Index(lambda o: o.city, where=lambda o: any_(o.lines, lambda line: line.product == "products/8"), name="of_eights"),
    Index(lambda o: o.city, where=lambda o: any_(o.parts, lambda p: p["a"] == "b7"), name="of_parts"),
    FullText(lambda o: o.name),
    Promoted(lambda o: o.customer, type="text"),
    Promoted(lambda o: o.seller, type="bigint"),
    Promoted(lambda o: o.key, type="uuid"),
    Promoted(lambda o: o.spent),
    Promoted(lambda o: o.seen, type="timestamptz"),
    Statistics(lambda o: (o.city, o.country)),
]

ROWS = """
INSERT INTO {} (id, data, version, last_modified)
SELECT 'orders/' || i, jsonb_build_object(
    'company', 'companies/' || i % 5000 || '-A', 'name', 'Name ' || i,
    'attributes', jsonb_build_object('colour', 'c' || i),
    'status', CASE WHEN i % 50 = 0 THEN 'late' WHEN i % 50 = 1 THEN 'open' ELSE 'done' END,
    'freight', CASE WHEN i % 1000 <> 0 THEN i / 100.0 END,
    'ordered_at', to_char(timestamp '2020-01-01' + i * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'day', to_char(date '2000-01-01' + i % 20000, 'YYYY-MM-DD'), 'paid', i % 500 = 0, 'number', i,
    'email', 'a' || i || '@x.org', 'city', 'city ' || i % 100, 'country', 'country ' || i % 20,
    'customer', 'customers/' || i % 5000, 'seller', i % 5000,
    'key', lpad(i::text, 8, '0') || '-0000-4000-8000-000000000000',
    'spent', i, 'seen', to_char(timestamp '2020-01-01' + i * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'tags', jsonb_build_array('t' || i % 5000, 'u' || i % 3000), 'notes', '[]'::jsonb,
    'lines', jsonb_build_array(jsonb_build_object('product', 'products/' || i % 3000, 'quantity', i % 50)),
    'parts', jsonb_build_array(jsonb_build_object('a', 'b' || i % 100)),
    'place', jsonb_build_array(i % 317 / 317.0 - 0.5, i % 419 / 419.0 - 0.5, i % 523 / 523.0 - 0.5)
), i, timestamptz '2026-01-01 00:00Z' + i * interval '1 second' FROM generate_series(1, 100000) AS i
"""

PARCELS = """
INSERT INTO {} (id, data, version, last_modified)
SELECT 'parcels/' || i, jsonb_build_object(
    'tags', jsonb_build_array('t' || i % 1000), 'inner', jsonb_build_object('a', jsonb_build_array('x' || i % 1000)),
    'lines', jsonb_build_array(jsonb_build_object('product', 'products/' || i % 1000, 'quantity', i % 7))
), i, now() FROM generate_series(1, 20000) AS i
"""


FIRST = Order(
    "companies/1-A",
    "Name",
    "done",
    None,
    dt.datetime(2019, 1, 1, tzinfo=dt.UTC),
    dt.date(1999, 1, 1),
    False,
    0,
    None,
    "city",
    "country",
    "customers/0",
    0,
    UUID(int=0),
    0.5,
    dt.datetime(2019, 1, 1, tzinfo=dt.UTC),
)

CONVENTIONS = {"indexes": {Order: INDEXES, Parcel: [GinIndex()]}}


@pytest.fixture(scope="module")
def filled(postgres_url):
    """A database of 100,000 documents, with the indexes; its name."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        with DocumentStore(postgres_url, database=name) as store, store.open_session() as session:
            session.store(FIRST, "orders/0")
            session.store(Parcel(), "parcels/0")
            session.save_changes()
        connection.execute(sql.SQL(ROWS).format(sql.Identifier(name, "orders")))
        connection.execute(sql.SQL(PARCELS).format(sql.Identifier(name, "parcels")))
        with DocumentStore(postgres_url, database=name, conventions=DocumentConventions(**CONVENTIONS)) as store:
            made = store.maintenance.create_indexes()
            assert len(made) == 31
            assert store.maintenance.create_indexes() == []
        yield name
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


@contextlib.contextmanager
def opened(url, database, options, **conventions):
    encoded = urllib.parse.quote(" ".join(f"-c {option}" for option in options))
    url = f"{url}{'&' if '?' in url else '?'}options={encoded}"
    store = DocumentStore(url, database=database, conventions=DocumentConventions(**conventions))
    with store, store.open_session() as session:
        session.advanced.max_number_of_requests_per_session = 10_000
        yield session


@pytest.fixture(params=["on", "off"], scope="module")
def session(request, filled, postgres_url):
    """A session for queries, where the planner may, or may not, read whole tables."""
    with opened(postgres_url, filled, [f"enable_seqscan={request.param}"], **CONVENTIONS) as session:
        yield session


@pytest.fixture(scope="module")
def with_indexes(filled, postgres_url):
    """A session that uses indexes, and knows of them."""
    with opened(postgres_url, filled, [], **CONVENTIONS) as session:
        yield session


@pytest.fixture(scope="module")
def without_indexes(filled, postgres_url):
    """A session that neither uses indexes nor knows of any."""
    options = ["enable_indexscan=off", "enable_bitmapscan=off", "enable_indexonlyscan=off"]
    with opened(postgres_url, filled, options) as session:
        yield session


def nodes(plan):
    """Every node of a plan."""
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def condition_on(plan, index):
    """What is looked for in the index; None where the plan does not use it."""
    found = [each.get("Index Cond", "") for each in nodes(plan) if each.get("Index Name") == index]
    return " AND ".join(found) if found else None


MOMENT = dt.datetime(2020, 1, 5, 3, 4, tzinfo=dt.UTC)

SERVED = {
    "equal": ("orders_company_idx", lambda o: o.company == "companies/7-A", ["company", "= 'companies/7-A'"]),
    "in": (
        "orders_company_idx",
        lambda o: in_(o.company, ["companies/7-A", "x"]),
        ["company", "ANY ('{companies/7-A,x}'"],
    ),
    "in with None": ("orders_company_idx", lambda o: in_(o.company, ["companies/7-A", None]), ["= ANY", "IS NULL"]),
    "starts with": (
        "orders_company_idx",
        lambda o: starts_with(o.company, "companies/7-"),
        [">= 'companies/7-'", "< 'companies/7.'"],
    ),
    "less": ("orders_company_idx", lambda o: o.company < "companies/10-", ["< 'companies/10-'"]),
    "null": ("orders_company_idx", lambda o: value(o.company).is_null(), ["company", "IS NULL"]),
    "equal, and another condition": (
        "orders_company_idx",
        lambda o: (o.company == "companies/7-A") & (given(o.freight) > 1),
        ["= 'companies/7-A'"],
    ),
    "equal, without regard to case": ("orders_name_ci_idx", {"name__iexact": "NAME 77"}, ["lower", "= 'name 77'"]),
    "starts with, without regard to case": (
        "orders_name_ci_idx",
        {"name__istartswith": "NAME 777"},
        ["lower", ">= 'name 777'", "< 'name 778'"],
    ),
    "number": ("orders_freight_idx", lambda o: o.freight == Decimal("7.5"), ["numeric", "= 7.5"]),
    "number, from an int": ("orders_freight_idx", lambda o: o.freight == 7, ["= '7'::numeric"]),
    "number, from a float": ("orders_freight_idx", lambda o: o.freight == 7.25, ["= 7.25"]),
    "number in": ("orders_freight_idx", lambda o: in_(o.freight, [1, 2.5]), ["= ANY ('{1,2.5}'::numeric[])"]),
    "number in, or None": ("orders_freight_idx", lambda o: in_(o.freight, [1, None]), ["= ANY", "IS NULL"]),
    "number range": (
        "orders_freight_idx",
        lambda o: between(o.freight, 7, Decimal("7.1")),
        [">= '7'::numeric", "<= 7.1"],
    ),
    "number greater": ("orders_freight_idx", lambda o: given(o.freight) > 999, ["> '999'::numeric"]),
    "number null": ("orders_freight_idx", lambda o: o.freight == None, ["IS NULL"]),
    "instant": ("orders_ordered_at_idx", lambda o: o.ordered_at == MOMENT, ["docsession_instant", "= '2020-01-05"]),
    "instant range": (
        "orders_ordered_at_idx",
        lambda o: (o.ordered_at >= MOMENT) & (o.ordered_at < MOMENT + dt.timedelta(hours=1)),
        [">= '2020-01-05", "< '2020-01-05"],
    ),
    "instant null": ("orders_ordered_at_idx", lambda o: value(o.ordered_at).is_null(), ["IS NULL"]),
    "date range": (
        "orders_day_idx",
        lambda o: between(o.day, dt.date(2001, 2, 3), dt.date(2001, 2, 9)),
        [">= '2001-02-03'", "<= '2001-02-09'"],
    ),
    "partial bool": ("orders_paid_", lambda o: o.paid, []),
    "unique": ("orders_number_key", lambda o: o.number == 77, ["= '77'::numeric"]),
    "unique, without regard to case": (
        "orders_email_ci_key",
        {"email__iexact": "A77@x.org"},
        ["lower", "= 'a77@x.org'"],
    ),
    "partial, implied by itself": (
        "orders_status_ordered_at_desc_",
        lambda o: (o.status != "done") & (o.status < "m") & (o.ordered_at < MOMENT),
        ["status", "< 'm'", "docsession_instant"],
    ),
    "partial, implied by an equality": (
        "orders_status_ordered_at_desc_",
        lambda o: (o.status == "open") & (o.ordered_at < MOMENT),
        ["= 'open'", "docsession_instant"],
    ),
    "partial, implied by a negation": (
        "orders_status_ordered_at_desc_",
        lambda o: not_(o.status == "done") & (o.ordered_at == MOMENT) & (o.status == "late"),
        ["= 'late'", "docsession_instant"],
    ),
    "several keys": (
        "orders_country_freight_desc_idx",
        lambda o: (o.country == "country 7") & (given(o.freight) > 990),
        ["country", "> '990'::numeric"],
    ),
    "a key of a dict": (
        "orders_attributes_colour_idx",
        lambda o: o.attributes["colour"] == "c7",
        ["{attributes,colour}", "= 'c7'"],
    ),
    "a whole object": (
        "orders_attributes_idx",
        lambda o: o.attributes == {"colour": "c7"},
        ["attributes", '= \'{"colour": "c7"}\''],
    ),
    "a length": ("orders_len_", lambda o: len_(o.notes) == 7, ["jsonb_array_length", "= '7'::numeric"]),
    "the metadata": (
        "orders_meta_",
        lambda o: meta("@last-modified") > dt.datetime(2026, 1, 2, 3, 46, tzinfo=dt.UTC),
        ["last_modified >"],
    ),
    "partial, of what a list holds": (
        "of_eights",
        lambda o: any_(o.lines, lambda line: line.product == "products/8") & (o.city < "city 3"),
        ["city", "< 'city 3'"],
    ),
    "partial, of what a list without an index holds": (
        "of_parts",
        lambda o: any_(o.parts, lambda p: p["a"] == "b7") & (o.city == "city 7"),
        ["city", "= 'city 7'"],
    ),
    "words": ("orders_name_simple_fts", lambda o: search(o.name, "name 77"), ["to_tsvector", "@@", "'77'"]),
    "contains": ("orders_tags_gin", lambda o: contains(o.tags, "t7"), ["tags", "@> '[\"t7\"]'"]),
    "contains any": (
        "orders_tags_gin",
        lambda o: contains_any(o.tags, ["t7", "t8"]),
        ["@> '[\"t7\"]'", "@> '[\"t8\"]'"],
    ),
    "contains all": (
        "orders_tags_gin",
        lambda o: contains_all(o.tags, ["t7", "u7"]),
        ["@> '[\"t7\"]'", "@> '[\"u7\"]'"],
    ),
    "an item that is equal": ("orders_tags_gin", lambda o: any_(o.tags, lambda t: t == "t7"), ["@> ANY", "t7"]),
    "any, equal": (
        "orders_lines_gin",
        lambda o: any_(o.lines, lambda line: line.product == "products/7"),
        ["lines", "@> ANY", "products/7"],
    ),
    "any, equal, and more": (
        "orders_lines_gin",
        lambda o: any_(
            o.lines, lambda line: (line.product == "products/7") & (line.quantity > 3) & (line.quantity == 7)
        ),
        ["lines", "@> ANY", "products/7", "quantity"],
    ),
    "any, one of two": (
        "orders_lines_gin",
        lambda o: any_(o.lines, lambda line: (line.product == "products/7") | (line.product == "products/8")),
        ["@> ANY", "products/7", "products/8"],
    ),
    "any, by keyword": ("orders_lines_gin", {"lines__product": "products/7"}, ["@> ANY", "products/7"]),
    "promoted, equal": (
        "orders_customer_promoted_idx",
        lambda o: o.customer == "customers/7",
        ["customer = 'customers/7'"],
    ),
    "promoted, in": (
        "orders_customer_promoted_idx",
        lambda o: in_(o.customer, ["customers/7", "x"]),
        ["customer = ANY"],
    ),
    "promoted, starts with": (
        "orders_customer_promoted_idx",
        lambda o: starts_with(o.customer, "customers/77"),
        ["customer >= 'customers/77'"],
    ),
    "promoted, null": ("orders_customer_promoted_idx", lambda o: value(o.customer).is_null(), ["customer IS NULL"]),
    "promoted bigint": ("orders_seller_promoted_idx", lambda o: o.seller == 77, ["seller", "= '77'::numeric"]),
    "promoted bigint, range": (
        "orders_seller_promoted_idx",
        lambda o: between(o.seller, 77, 79),
        [">= '77'::numeric", "<= '79'::numeric"],
    ),
    "promoted uuid": (
        "orders_key_promoted_idx",
        lambda o: o.key == UUID("00000077-0000-4000-8000-000000000000"),
        ["key", "= '00000077-"],
    ),
    "promoted numeric": ("orders_spent_promoted_idx", lambda o: o.spent == 77.0, ["spent = 77.0"]),
    "promoted instant": ("orders_seen_promoted_idx", lambda o: o.seen == MOMENT, ["seen = '2020-01-05"]),
}


def asked(session, condition):
    return (
        session.query(Order).where(**condition)
        if isinstance(condition, dict)
        else session.query(Order).where(condition)
    )


@pytest.mark.parametrize("case", SERVED)
def test_an_index_serves_a_condition(session, case):
    index, condition, fragments = SERVED[case]
    query = asked(session, condition)

    explained = query.explain()

    names = {each["Index Name"] for each in nodes(explained.plan) if "Index Name" in each}
    used = [name for name in names if name == index or (index.endswith("_") and name.startswith(index))]
    assert used, explained.text
    looked_for = condition_on(explained.plan, used[0])
    assert [each for each in fragments if each not in looked_for] == [], explained.text


ORDERS = {
    "one field": ("orders_company_idx", lambda q: q.order_by(lambda o: o.company)),
    "one field, downwards": ("orders_company_idx", lambda q: q.order_by(lambda o: desc(o.company))),
    "a number that may be null": ("orders_freight_idx", lambda q: q.order_by(lambda o: o.freight)),
    "a number that may be null, downwards": ("orders_freight_idx", lambda q: q.order_by(lambda o: desc(o.freight))),
    "an instant": ("orders_ordered_at_idx", lambda q: q.order_by(lambda o: desc(o.ordered_at))),
    "two directions": ("orders_country_freight_desc_idx", lambda q: q.order_by(lambda o: (o.country, desc(o.freight)))),
    "two directions, reversed": (
        "orders_country_freight_desc_idx",
        lambda q: q.order_by(lambda o: (desc(o.country), o.freight)),
    ),
    "after an equality": (
        "orders_country_freight_desc_idx",
        lambda q: q.where(lambda o: o.country == "country 3").order_by(lambda o: desc(o.freight)),
    ),
    "after an equality, partial": (
        "orders_status_ordered_at_desc_",
        lambda q: q.where(lambda o: o.status == "open").order_by(lambda o: desc(o.ordered_at)),
    ),
    "a promoted field": ("orders_customer_promoted_idx", lambda q: q.order_by(lambda o: o.customer)),
    "a promoted bigint": ("orders_seller_promoted_idx", lambda q: q.order_by(lambda o: desc(o.seller))),
    "without regard to case": ("orders_name_ci_idx", lambda q: q.order_by("name", OrderingType.STRING)),
    "without regard to case, downwards": (
        "orders_name_ci_idx",
        lambda q: q.order_by_descending("name", OrderingType.STRING),
    ),
    "the id": ("orders_pkey", lambda q: q.where(lambda o: id_(o) > "orders/5")),
}


@pytest.mark.parametrize("case", ORDERS)
def test_an_index_serves_an_order(session, case):
    """The documents come out of the index in the order that is asked for, the id at its end."""
    index, make = ORDERS[case]

    explained = make(session.query(Order)).take(20).explain()

    found = list(nodes(explained.plan))
    assert {each["Node Type"] for each in found} <= {"Limit", "Index Scan"}, explained.text
    assert any(each.get("Index Name", "").startswith(index) for each in found), explained.text


WHOLE = {
    "contains": (lambda o: contains(o.tags, "t7"), '@> \'{"tags": ["t7"]}\''),
    "contains, further down": (lambda o: contains(o.inner["a"], "x7"), '@> \'{"inner": {"a": ["x7"]}}\''),
    "any": (lambda o: any_(o.lines, lambda line: line.product == "products/7"), "products/7"),
}


@pytest.mark.parametrize("case", WHOLE)
def test_an_index_of_the_whole_document_serves_its_lists(session, case):
    condition, fragment = WHOLE[case]

    explained = session.query(Parcel).where(condition).explain()

    assert fragment in (condition_on(explained.plan, "parcels_gin") or ""), explained.text
    assert session.query(Parcel).where(condition).count() == 20


@pytest.mark.parametrize("case", SERVED)
def test_what_an_index_finds_is_what_there_is(without_indexes, with_indexes, case):
    """The same query without indexes finds the same documents."""
    condition = SERVED[case][1]

    assert asked(with_indexes, condition).count() == asked(without_indexes, condition).count()


@pytest.mark.parametrize(
    ("condition", "ignore_case", "looked_for"),
    [
        (lambda o: contains(o.name, "e 77777"), False, "~~ '%e 77777%'"),
        (lambda o: ends_with(o.name, "77777"), False, "~~ '%77777'"),
        (lambda o: matches(o.name, "^N.* 7777[7]$"), False, "~ '^N.* 7777[7]$'"),
        ({"name__icontains": "E 77777"}, True, "~~ '%e 77777%'"),
    ],
)
def test_an_index_serves_parts_of_texts(filled, postgres_url, condition, ignore_case, looked_for):
    if not made(postgres_url, "pg_trgm"):
        return
    indexes = {Order: [Trigram(lambda o: o.name, ignore_case=ignore_case)]}
    with DocumentStore(postgres_url, database=filled, conventions=DocumentConventions(indexes=indexes)) as store:
        store.maintenance.create_indexes(Order)
        with store.open_session() as session:
            plan = asked(session, condition).explain()
            index = "orders_name_ci_trgm" if ignore_case else "orders_name_trgm"
            assert looked_for in condition_on(plan.plan, index), plan.text


PLACES = {Order: [VectorIndex(lambda o: o.place, dimensions=3, m=4, ef_construction=8, stored=False)]}


def test_an_index_serves_the_nearest_vectors(filled, postgres_url):
    """Of 100,000 documents, all of which the planner may read."""
    if not made(postgres_url, "vector"):
        return
    with DocumentStore(postgres_url, database=filled, conventions=DocumentConventions(indexes=PLACES)) as store:
        assert store.maintenance.create_indexes(Order) == ["orders_place_3_cosine_hnsw"]
        with store.open_session() as session:
            query = session.query(Order).order_by(lambda o: nearest(o.place, [0.1, 0.2, 0.3], 10))
            plan = query.explain()
            (scan,) = [each for each in nodes(plan.plan) if "Index Name" in each]
            assert scan["Index Name"] == "orders_place_3_cosine_hnsw"
            assert "<=>" in scan["Order By"]
            assert len(query.all()) == 10


def test_statistics_make_estimates_right(session):
    """That a city is in one country only is known."""
    explained = session.query(Order).where(lambda o: (o.city == "city 7") & (o.country == "country 7")).explain()

    rows = [each["Plan Rows"] for each in nodes(explained.plan) if each.get("Relation Name") == "orders"]
    assert 500 < rows[0] < 2000, explained.text
