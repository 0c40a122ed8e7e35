"""Indexes that are declared: when they are made, what a unique one refuses, and what promoted columns hold."""

import datetime as dt
import random
import uuid
from dataclasses import dataclass, field
from decimal import Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from docsession import (
    DocumentConventions,
    DocumentStore,
    GinIndex,
    Index,
    IndexedValueTooLongException,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    Promoted,
    RavenException,
    RequestExecutor,
    SessionOptions,
    Statistics,
    UniqueConstraintViolation,
    all_,
    any_,
    contains,
    contains_any,
    desc,
    document,
    not_,
    set_,
)
from docsession._sql._definitions import DEFINITIONS, Kind
from docsession.testing import capture_requests
from tests.support.documents import save


@dataclass
class Line:
    product: str
    quantity: float = 1
    options: list[str] = field(default_factory=list)


@document(indexes=[Index(lambda u: u.email, unique=True), Index(lambda u: (u.first, u.last), unique=True)])
@dataclass
class User:
    email: str | None
    first: str | None = None
    last: str | None = None
    about: str = ""
    id: str | None = None


@dataclass
class Order:
    company: str
    seller: int = 0
    lines: list[Line] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    id: str | None = None

    class Settings:
        indexes = (Index(lambda o: o.company), GinIndex(lambda o: o.lines))


@document(base=Order, indexes=[Index(lambda o: o.weight)])
@dataclass
class Parcel(Order):
    weight: Decimal = Decimal(1)


@document(collection="Orders")
@dataclass
class Plain:
    """The same without indexes of its own."""

    company: str
    seller: int = 0
    lines: list[Line] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    id: str | None = None


@dataclass
class Draft(Order):
    """In a collection of its own, with the indexes of the class above it."""


@pytest.fixture
def objects(postgres_url, database):
    """The names of the indexes of a table, those of its primary key left out."""

    def names(table):
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            rows = connection.execute(
                "SELECT indexname FROM pg_indexes WHERE schemaname = %s AND tablename = %s", [database, table]
            ).fetchall()
        return sorted(name for (name,) in rows if not name.endswith("_pkey"))

    return names


@pytest.fixture
def definition(postgres_url, database):
    """The text of an index."""

    def find(name):
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            query = "SELECT indexdef FROM pg_indexes WHERE schemaname = %s AND indexname = %s"
            return connection.execute(query, [database, name]).fetchone()[0]

    return find


@pytest.fixture
def invalidate(postgres_url, database):
    """Leaves an index as an interrupted CREATE INDEX CONCURRENTLY does."""

    def run(name):
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(
                "UPDATE pg_index SET indisvalid = false FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE c.oid = indexrelid AND n.nspname = %s AND c.relname = %s",
                [database, name],
            )

    return run


@pytest.fixture
def execute(postgres_url, database):
    """Runs a statement in which {} is the quoted name of a table."""

    def run(text, table, *parameters):
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            cursor = connection.execute(sql.SQL(text).format(sql.Identifier(database, table)), parameters or None)
            return cursor.fetchall() if cursor.description else None

    return run


class TestMaking:
    async def test_a_table_has_its_indexes_from_the_beginning(self, store, objects):
        await save(store, Order("companies/1-A"))

        assert objects("orders") == ["orders_company_idx", "orders_lines_gin", "orders_weight_idx"]
        assert await store.maintenance.create_indexes(Order) == []

    async def test_a_class_below_has_the_indexes_of_the_one_above(self, store, objects):
        await save(store, Draft("companies/1-A"))

        assert objects("drafts") == ["drafts_company_idx", "drafts_lines_gin"]

    async def test_conventions_declare_for_classes_and_for_collections(self, make_store, objects):
        indexes = {Line: [Index(lambda x: x.product)], "Things": [Index(lambda x: x["name"], type="text")]}
        store = make_store(conventions=DocumentConventions(indexes=indexes))
        await save(store, (Line("products/1"), "lines/1"), ({"name": "x"}, "Things/1"))

        assert objects("lines") == ["lines_product_idx"]
        assert objects("things") == ["things_name_text_idx"]

    async def test_what_is_missing_is_made_later(self, make_store, objects):
        plain, declared = make_store(), make_store(conventions=DocumentConventions(indexes=OF_LINES))
        await save(plain, (Line("products/1"), "lines/1"))
        assert objects("lines") == []

        made = await declared.maintenance.create_indexes(Line)

        assert made == ["product", "lines_product_promoted_idx", "lines_quantity_idx", "lines_product_quantity_stx"]
        assert await declared.maintenance.create_indexes() == []
        assert objects("lines") == ["lines_product_promoted_idx", "lines_quantity_idx"]

    async def test_what_is_declared_otherwise_is_made_anew(self, make_store, definition):
        first = make_store(conventions=DocumentConventions(indexes={Line: [Index(lambda x: x.product, name="mine")]}))
        await save(first, (Line("products/1"), "lines/1"))
        second = make_store(conventions=DocumentConventions(indexes={Line: [Index(lambda x: x.quantity, name="mine")]}))

        assert await second.maintenance.create_indexes("Lines") == ["mine"]

        assert "quantity" in definition("mine")

    async def test_a_column_that_is_declared_otherwise_takes_its_index_along(self, make_store, objects):
        first = make_store(conventions=DocumentConventions(indexes={Line: [Promoted(lambda x: x.product, name="p")]}))
        await save(first, (Line("products/1"), "lines/1"))
        second = make_store(conventions=DocumentConventions(indexes={Line: [Promoted(lambda x: x.quantity, name="p")]}))

        assert await second.maintenance.create_indexes(Line) == ["p", "lines_p_promoted_idx"]
        assert objects("lines") == ["lines_p_promoted_idx"]
        async with second.open_session() as session:
            assert await session.query(Line).where(quantity=1).count() == 1
            assert '."p" = ' in (await session.query(Line).where(quantity=1).sql()).text
        async with first.open_session() as session:
            # The column of that name is another one now.
            assert await session.query(Line).where(product="products/1").count() == 1

    async def test_what_was_interrupted_is_made_anew(self, make_store, invalidate):
        store = make_store(conventions=DocumentConventions(indexes={Line: [Index(lambda x: x.product)]}))
        await save(store, (Line("products/1"), "lines/1"))
        invalidate("lines_product_idx")

        assert await store.maintenance.create_indexes(Line) == ["lines_product_idx"]
        assert await store.maintenance.create_indexes(Line) == []

    async def test_what_somebody_else_has_made_is_left_alone(self, make_store, execute):
        plain = make_store()
        await save(plain, (Line("products/1"), "lines/1"))
        execute("CREATE INDEX lines_product_idx ON {} (version)", "lines")
        store = make_store(conventions=DocumentConventions(indexes={Line: [Index(lambda x: x.product)]}))

        with pytest.raises(InvalidOperationException, match="'lines_product_idx' already, and docsession did not make"):
            await store.maintenance.create_indexes(Line)

    async def test_a_table_that_is_not_there_has_nothing_to_be_made(self, store):
        assert await store.maintenance.create_indexes(Order) == []

    async def test_a_unique_index_over_equal_documents_is_refused_and_leaves_nothing(self, make_store, objects):
        plain = make_store()
        await save(plain, (Line("x"), "lines/1"), (Line("x"), "lines/2"))
        store = make_store(conventions=DocumentConventions(indexes={Line: [Index(lambda x: x.product, unique=True)]}))

        with pytest.raises(UniqueConstraintViolation, match="'lines/1' and 'lines/2'") as caught:
            await store.maintenance.create_indexes(Line)

        assert (caught.value.index, caught.value.fields) == ("lines_product_key", ("product",))
        assert objects("lines") == []

    async def test_the_metadata_says_what_a_table_has(self, store):
        await save(store, Order("companies/1-A"))

        definitions = store.metadata.tables["orders"].info[DEFINITIONS]

        assert [each.name for each in definitions] == ["orders_lines_gin", "orders_company_idx", "orders_weight_idx"]
        assert {each.kind for each in definitions} == {Kind.INDEX}
        assert len({each.digest for each in definitions}) == 3
        assert not any(store.database in each.template for each in definitions)

    async def test_other_arguments_are_refused(self, store):
        with pytest.raises(InvalidArgumentTypeException, match="takes a class"):
            await store.maintenance.create_indexes(3)


OF_LINES = {
    Line: [Promoted(lambda x: x.product), Index(lambda x: x.quantity), Statistics(lambda x: (x.product, x.quantity))]
}


class TestUnique:
    async def test_the_error_names_document_index_and_fields(self, store):
        await save(store, User("a@x.org", id="users/1"))
        async with store.open_session() as session:
            second = User("a@x.org", id="users/2")
            await session.store(second)
            await session.store(User("b@x.org", id="users/3"))

            with pytest.raises(UniqueConstraintViolation) as caught:
                await session.save_changes()

            error = caught.value
            assert (error.id, error.other_id, error.index, error.fields) == (
                "users/2",
                "users/1",
                "users_email_key",
                ("email",),
            )
            assert "'users/2' has the same (email) as 'users/1'" in str(error)
            assert error.sqlstate == "23505"
            assert isinstance(error.__cause__, psycopg.errors.UniqueViolation)
            assert session.advanced.number_of_requests == 1
            # The session is as it was.
            second.email = "c@x.org"
            await session.save_changes()
        async with store.open_session() as session:
            assert await session.query(User).count() == 3

    async def test_two_of_one_save_are_told(self, store):
        with pytest.raises(UniqueConstraintViolation) as caught:
            await save(store, User("x", "A", "B", id="users/1"), User("y", "A", "B", id="users/2"))

        assert caught.value.pairs == (("users/2", "users/1"),)
        assert caught.value.fields == ("first", "last")

    async def test_one_alone_is_told(self, store):
        await save(store, User("a@x.org", id="users/1"))

        with pytest.raises(UniqueConstraintViolation, match="'users/2' has the same"):
            await save(store, User("a@x.org", id="users/2"))

    async def test_in_a_transaction_the_session_goes_on(self, store):
        await save(store, User("a@x.org", id="users/1"))
        async with store.open_session() as session:
            await session.advanced.begin()
            user = User("a@x.org", id="users/2")
            await session.store(user)
            with pytest.raises(UniqueConstraintViolation, match="users/1"):
                await session.save_changes()
            user.email = "b@x.org"
            await session.save_changes()
            await session.advanced.commit()

    async def test_values_that_change_places_are_explained(self, store):
        await save(store, User("a", id="users/1"), User("b", id="users/2"))
        async with store.open_session() as session:
            one, two = await session.load("users/1", User), await session.load("users/2", User)
            one.email, two.email = two.email, one.email

            with pytest.raises(UniqueConstraintViolation, match="one after the other"):
                await session.save_changes()

    async def test_a_patch_of_a_query_names_index_and_fields(self, store):
        await save(store, User("a", id="users/1"), User("b", id="users/2"), Order("companies/1-A", id="orders/1"))
        async with store.open_session() as session:
            with pytest.raises(UniqueConstraintViolation, match="'users_email_key' of 'Users'") as caught:
                await session.query(User).patch(lambda user: set_(user.email, "c"))
            assert (caught.value.index, caught.value.fields) == ("users_email_key", ("email",))
            long = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789äöüß", k=4_000))
            with pytest.raises(IndexedValueTooLongException, match="'orders_company_idx' of 'Orders'") as caught:
                await session.query(Order).patch(lambda order: set_(order.company, long))
            assert caught.value.fields == ("company",)

    async def test_a_document_is_locked_before_it_is_written_over(self, store):
        """PostgreSQL's `ON CONFLICT (id)` may overlook a row that others write, which then is in its own way."""
        await save(store, User("a@x.org", id="users/1"), Order("companies/1-A", id="orders/1"))

        async def locks(*entities, check=False):
            async with store.open_session() as session:
                session.advanced.use_optimistic_concurrency = check
                for entity in entities:
                    if entity.id is None:
                        await session.store(entity)
                        continue
                    found = await session.load(entity.id, type(entity))
                    for name, value in vars(entity).items():
                        setattr(found, name, value)
                with capture_requests() as requests:
                    await session.save_changes()
            return any("FOR NO KEY UPDATE" in each for each in requests[-1].statements)

        assert await locks(User("b@x.org", id="users/1"))
        assert await locks(User("c@x.org", id="users/1"), User("d@x.org"), check=True)
        assert not await locks(User("e@x.org", id="users/1"), check=True)
        assert not await locks(User("f@x.org"))
        assert not await locks(Order("companies/2-A", id="orders/1"))

    async def test_null_and_missing_are_no_values(self, store):
        await save(store, User(None, id="users/1"), User(None, id="users/2"))

    async def test_a_unique_index_of_somebody_else_is_told_of_in_the_servers_words(self, store, execute):
        await save(store, Order("companies/1-A", id="orders/1"))
        execute("CREATE UNIQUE INDEX theirs ON {} ((data ->> 'company'))", "orders")

        with pytest.raises(UniqueConstraintViolation, match="theirs") as caught:
            await save(store, Order("companies/1-A", id="orders/2"))

        assert (caught.value.id, caught.value.index) == (None, "theirs")

    @pytest.mark.parametrize("length", [3_000, 40_000])
    async def test_a_value_too_long_for_an_index_is_told(self, store, length):
        long = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789äöüß", k=length))

        with pytest.raises(IndexedValueTooLongException) as caught:
            await save(store, Order("companies/1-A", id="orders/1"), Order(long, id="orders/2"))

        error = caught.value
        assert (error.id, error.index, error.fields) == ("orders/2", "orders_company_idx", ("company",))
        async with store.open_session() as session:
            assert await session.load("orders/1", Order) is None


class TestPromoted:
    async def test_a_column_never_refuses_a_document(self, make_store, execute):
        kinds = [
            ("n", "integer"),
            ("n", "bigint"),
            ("n", "numeric"),
            ("u", "uuid"),
            ("t", "timestamptz"),
            ("s", "text"),
        ]
        indexes = [Promoted(lambda x, n=name: x[n], type=kind, name=kind) for name, kind in kinds]
        store = make_store(conventions=DocumentConventions(indexes={"Things": indexes}))
        right = {"n": 7, "u": str(uuid.UUID(int=5)), "t": "2026-01-02T03:04:05+01:00", "s": "text"}
        wrong = [
            {},
            dict.fromkeys("nuts"),
            {"n": 1.5, "u": "x", "t": "now", "s": 5},
            {"n": 10**30, "u": 5, "t": [], "s": {}},
        ]

        await save(store, (right, "Things/0"), *((each, f"Things/{i}") for i, each in enumerate(wrong, 1)))

        columns = ", ".join('"' + kind + '"' for _, kind in kinds)
        rows = execute(f"SELECT {columns} FROM {{}} ORDER BY id", "things")
        moment = dt.datetime(2026, 1, 2, 2, 4, 5, tzinfo=dt.UTC)
        assert rows == [
            (7, 7, 7, uuid.UUID(int=5), moment, "text"),
            (None,) * 6,
            (None,) * 6,
            (None, None, Decimal("1.5"), None, None, "5"),
            (None, None, Decimal(10**30), None, None, "{}"),
        ]

    async def test_a_foreign_key_refuses_what_is_not_there(self, make_store, host_table, execute):
        references = f"{host_table.name}.n"
        seller = Promoted(lambda x: x.seller, type="integer", references=references)
        store = make_store(conventions=DocumentConventions(indexes={Order: [seller]}))

        with pytest.raises(RavenException, match="foreign key"):
            await save(store, Order("companies/1-A", seller=5))

        execute("ALTER TABLE {} DROP COLUMN seller", "orders")

    async def test_a_reference_to_a_table_that_is_not_there(self, make_store, execute, database):
        referring = Promoted(lambda x: x.seller, type="integer", references=f"{database}.people.id")
        store = make_store(conventions=DocumentConventions(indexes={Order: [referring]}))
        with pytest.raises(InvalidOperationException, match=r"people.* make that one first"):
            await save(store, Order("companies/1-A", id="orders/1"))
        await save(make_store(), Order("companies/1-A", seller=5, id="orders/1"))
        with pytest.raises(InvalidOperationException, match=r"people.* make that one first"):
            await store.maintenance.create_indexes(Order)
        execute("CREATE TABLE {} AS SELECT 5 AS id", "people")
        execute("ALTER TABLE {} ADD PRIMARY KEY (id)", "people")
        assert await store.maintenance.create_indexes(Order) == ["orders_seller_fkey"]

    async def test_a_column_that_was_dropped_is_asked_for_no_more(self, make_store, execute):
        store = make_store(conventions=DocumentConventions(indexes={Line: [Promoted(lambda x: x.product)]}))
        await save(store, (Line("products/1"), "lines/1"))
        async with store.open_session() as session:
            query = session.query(Line).where(product="products/1")
            assert await query.count() == 1
            assert '."product" = ' in (await query.sql()).text
            execute("ALTER TABLE {} DROP COLUMN product", "lines")

            assert await query.count() == 1

    async def test_columns_that_every_table_has_are_not_taken(self, make_store, execute):
        store = make_store(
            conventions=DocumentConventions(indexes={"Things": [Promoted(lambda x: x["version"], type="numeric")]})
        )
        await save(store, ({"version": 5}, "Things/1"))

        assert execute("SELECT version_ FROM {}", "things") == [(5,)]


WRONG = [
    (lambda: Index(3), "takes functions"),
    (lambda: Index(lambda o: o.company, name="x" * 64), "63"),
    (lambda: Index(lambda o: o.company, type="varchar"), "there are 'text'"),
    (lambda: Promoted(lambda o: o.company, references="id"), "table.column"),
    (lambda: Promoted(lambda o: o.company, name="version"), "has that column"),
]


@pytest.mark.parametrize(("make", "message"), WRONG, ids=range(len(WRONG)))
def test_a_declaration_that_means_nothing_is_refused_at_once(make, message):
    with pytest.raises((InvalidArgumentException, InvalidArgumentTypeException), match=message):
        make()


UNUSABLE = [
    (Index(lambda o: o.nothing), "no field 'nothing'"),
    (Index(lambda o: o), "name a field"),
    (Index(lambda o: "company"), "takes fields"),
    (Index(lambda o: o.seller, ignore_case=True), "no case"),
    (Index(lambda o: o.seller, type="text"), "compared otherwise"),
    (Index(lambda o: o.company, where=lambda o: any_(o.tags, lambda t: t > "x")), "for what is equal"),
    (
        Index(lambda o: o.company, where=lambda o: all_(o.tags, lambda t: t == "x")),
        "looks into lists for what is equal",
    ),
    (Index(lambda o: o.company, where=lambda o: not_(any_(o.tags, lambda t: t == "x"))), "looks into lists"),
    (Index(lambda o: o.company, where=lambda o: any_(o.tags, lambda t: (t == "x") & (t == "y"))), "looks into lists"),
    (
        Index(lambda o: o.company, where=lambda o: any_(o.lines, lambda e: (e.product == "x") & (e.quantity > 1))),
        "looks into lists",
    ),
    (Promoted(lambda o: o.lines), "use GinIndex"),
    (Promoted(lambda o: (o.company, o.seller)), "one field"),
    (Promoted(lambda o: o.company, type="numeric"), "compared otherwise"),
    (Statistics(lambda o: (o.company,) * 9), "eight"),
    (GinIndex(lambda o: desc(o.tags)), "takes lists"),
    (GinIndex(lambda o: o.company), "holds str"),
]


@pytest.mark.parametrize(("index", "message"), UNUSABLE, ids=range(len(UNUSABLE)))
def test_what_cannot_be_indexed_is_refused_before_the_table_is_made(postgres_url, database, index, message):
    with (
        DocumentStore(
            postgres_url, database=database, conventions=DocumentConventions(indexes={Order: [index]})
        ) as store,
        store.open_session() as session,
        pytest.raises(InvalidArgumentException, match=message),
    ):
        session.store(Order("companies/1-A"), "orders/1")
        session.save_changes()


@pytest.mark.parametrize(
    ("index", "hot"),
    [(Promoted(lambda o: o.company), 1), (Index(lambda o: o.company), 0)],
    ids=["promoted", "on the document"],
)
def test_what_an_update_of_another_field_costs(postgres_url, database, index, hot):
    """PostgreSQL need not touch the index of a column that stays as it was (HOT); one on the document it has to."""
    conventions = DocumentConventions(indexes={Plain: [index]})
    with DocumentStore(postgres_url, database=database, conventions=conventions) as store:
        with store.open_session() as session:
            session.store(Plain("companies/1-A"), "orders/1")
            session.save_changes()
        with psycopg.connect(postgres_url) as connection:
            options = SessionOptions(request_executor=RequestExecutor.for_connection(connection))
            with store.open_session(session_options=options) as session:
                session.load("orders/1", Plain).seller = 77
                session.save_changes()
                updates = connection.execute(
                    "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE schemaname = %s "
                    "AND relname = 'orders'",
                    [database],
                ).fetchone()
            assert updates == (1, hot)


def test_two_that_differ_cannot_share_a_name(postgres_url, database):
    indexes = [Index(lambda o: o.company, name="x"), Index(lambda o: o.seller, name="x")]
    with (
        DocumentStore(
            postgres_url, database=database, conventions=DocumentConventions(indexes={Order: indexes})
        ) as store,
        store.open_session() as session,
        pytest.raises(InvalidArgumentException, match="differ are called 'x'"),
    ):
        session.store(Order("companies/1-A"), "orders/1")
        session.save_changes()


VALUES = ["a", "5", "5.0", "true", "null", "{}", "[]", '"', "-0", "1e5", ""]
SCALARS = st.sampled_from([*VALUES, 5, 5.0, 1, 1.0, 100000, True, False, None, 0, -0.5])
THINGS = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.sampled_from(["product", "quantity", "options", "0", "a"]), below, max_size=3)
    ),
    max_leaves=6,
)
DOCUMENTS = st.fixed_dictionaries(
    {}, optional={"lines": st.lists(THINGS, max_size=3) | THINGS, "tags": THINGS, "company": THINGS}
)
CONDITIONS = st.one_of(
    st.builds(lambda v: lambda o: any_(o.lines, lambda line: line.product == v), st.sampled_from(VALUES)),
    st.builds(lambda v: lambda o: any_(o.lines, lambda line: line.quantity == v), st.sampled_from([5, 5.0, 1, 0])),
    st.builds(
        lambda v, w: (
            lambda o: any_(o.lines, lambda line: ((line.product == v) | (line.product == w)) & (line.quantity >= 1))
        ),
        st.sampled_from(VALUES),
        st.sampled_from(VALUES),
    ),
    st.builds(
        lambda v, w: lambda o: any_(o.lines, lambda line: (line.product == v) & any_(line.options, lambda x: x == w)),
        st.sampled_from(VALUES),
        st.sampled_from(VALUES),
    ),
    st.builds(lambda v: lambda o: all_(o.lines, lambda line: line.product == v), st.sampled_from(VALUES)),
    st.builds(lambda v: lambda o: any_(o.tags, lambda tag: tag == v), st.sampled_from(VALUES)),
    st.builds(lambda v: lambda o: contains(o.tags, v), st.sampled_from(VALUES)),
    st.builds(lambda v, w: lambda o: contains_any(o.tags, [v, w]), st.sampled_from(VALUES), st.sampled_from(VALUES)),
    st.builds(lambda v: lambda o: o.company == v, st.sampled_from(VALUES)),
    st.just(lambda o: o.company == None),
    st.just(lambda o: o.seller == None),
)


@pytest.mark.parametrize(
    "indexes",
    [
        [GinIndex()],
        [GinIndex(lambda o: o.lines), GinIndex(lambda o: o.tags), Index(lambda o: o.seller)],
        [Promoted(lambda o: o.company), Promoted(lambda o: o.seller)],
        [
            Index(lambda o: o.company, where=lambda o: any_(o.lines, lambda line: line.product == "5")),
            Index(lambda o: o.company, where=lambda o: any_(o.tags, lambda tag: (tag == "a") | (tag == "5"))),
        ],
    ],
    ids=["the whole document", "lists", "promoted", "conditions on lists"],
)
def test_indexes_never_change_what_is_found(postgres_url, indexes):
    """Whatever the documents look like: queries that are written otherwise for an index find the same."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    stores = [
        DocumentStore(postgres_url, database=name, conventions=DocumentConventions(indexes={Plain: indexes})),
        DocumentStore(postgres_url, database=name),
    ]
    table = sql.Identifier(name, "orders")
    with psycopg.connect(postgres_url, autocommit=True) as connection, stores[0], stores[1]:
        with stores[0].open_session() as session:
            session.store(Plain("", id="orders/0"))
            session.save_changes()

        @settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck), database=None)
        @given(st.lists(DOCUMENTS, min_size=1, max_size=8), st.lists(CONDITIONS, min_size=4, max_size=4))
        def check(documents, conditions):
            connection.execute(sql.SQL("TRUNCATE {}").format(table))
            with connection.cursor() as cursor:
                cursor.executemany(
                    sql.SQL("INSERT INTO {} (id, data, version, last_modified) VALUES (%s, %s, 1, now())").format(
                        table
                    ),
                    [(f"orders/{i}", psycopg.types.json.Jsonb(each)) for i, each in enumerate(documents)],
                )
            for condition in conditions:
                for asked in (condition, lambda o: not_(condition(o))):  # noqa: B023  # asked at once
                    answers = []
                    for store in stores:
                        with store.open_session() as session:
                            found = session.query(Plain).where(asked).select(lambda o: o.id)
                            answers.append(found.all())
                    assert answers[0] == answers[1]

        try:
            check()
        finally:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))
