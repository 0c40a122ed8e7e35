"""Declared indexes in revisions: what autogenerate finds, that it finds no more afterwards, and the way back."""

from dataclasses import dataclass, field, replace

import pytest
from alembic.autogenerate import produce_migrations
from alembic.operations import Operations
from sqlalchemy import MetaData

from docsession import FullText, GinIndex, Index, Promoted, Statistics, Trigram, VectorIndex, desc
from docsession._alembic._operations import CreateDefinition, DropDefinition
from docsession._conventions import DocumentConventions
from docsession._errors import MigrationException, RavenException
from docsession._migrate import drift, upgrade
from docsession._migrate._environment import migration_context, placed_in
from docsession._migrate._project import needs_of
from docsession._migrate._target import connected
from docsession._sql._definitions import DEFINITIONS, Definition, Kind
from docsession._sql._quoting import qualified, quote_identifier
from docsession._sql._schema import collection_table, create_collection_statements
from tests.support.extensions import made

OBJECTS = """
    SELECT 'index' AS kind, i.relname, pg_get_indexdef(x.indexrelid), obj_description(i.oid, 'pg_class'), x.indisvalid
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = to_regclass(%(table)s)
    UNION ALL SELECT 'column', attname, pg_get_expr(d.adbin, d.adrelid), col_description(attrelid, attnum), true
    FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE attrelid = to_regclass(%(table)s) AND attgenerated <> ''
    UNION ALL SELECT 'statistics', stxname, pg_get_statisticsobjdef(oid), obj_description(oid, 'pg_statistic_ext'), true
    FROM pg_statistic_ext WHERE stxrelid = to_regclass(%(table)s)
    UNION ALL SELECT 'key', conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint'), convalidated
    FROM pg_constraint WHERE conrelid = to_regclass(%(table)s) AND contype = 'f'
    ORDER BY 1, 2
"""


@dataclass
class Order:
    company: str = ""
    country: str = ""
    status: str = ""
    weight: float = 0.0
    tags: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    place: list[float] = field(default_factory=list)
    id: str | None = None


class Shop:
    """A database with a table of orders, and Alembic run on it.

    Attributes:
        target: The database.
        server: A connection to the server.
    """

    def __init__(self, target, server):
        self.target = target
        self.database = target.database
        self.table = qualified(target.database, "orders")
        self.server = server

    def definitions(self, declared):
        [need] = needs_of([Order], DocumentConventions(indexes={Order: list(declared)}))
        return need.definitions("orders")

    def found(self, *declared):
        """Return the operations that autogenerate finds, and those back."""
        metadata = MetaData()
        collection_table(metadata, "orders").info[DEFINITIONS] = self.definitions(declared)
        with connected(self.target) as connection:
            context = migration_context(connection, self.database, placed_in(metadata, self.database))
            made = produce_migrations(context, context.opts["target_metadata"])
        return made.upgrade_ops.ops, made.downgrade_ops.ops

    def run(self, operations):
        with connected(self.target) as connection:
            context = migration_context(connection, self.database)
            connection.rollback()
            with context.begin_transaction():
                for each in operations:
                    each.schema = None
                    Operations(context).invoke(each)

    def bring_to(self, *declared):
        there, back = self.found(*declared)
        self.run(there)
        return there, back

    def objects(self):
        return self.server.execute(OBJECTS, {"table": self.table}).fetchall()

    def names(self):
        return [row[1] for row in self.objects() if row[1] != "orders_pkey"]

    def execute(self, sql):
        self.server.execute(sql.format(schema=quote_identifier(self.database), table=self.table).encode())


@pytest.fixture
def shop(database, target_of, server, run):
    made = Shop(target_of(database), server)
    upgrade(made.target)
    run(create_collection_statements(database, "orders"))
    made.execute("INSERT INTO {table} SELECT 'o/' || n, jsonb_build_object('company', 'c/' || n), NULL, 1, now() "
                 "FROM generate_series(1, 3) AS n")  # fmt: skip
    made.execute('CREATE TABLE {schema}.firms (id text COLLATE "C" PRIMARY KEY, code text UNIQUE)')
    made.execute("INSERT INTO {schema}.firms SELECT 'c/' || n, 'c/' || n FROM generate_series(1, 3) AS n")
    return made


def words(operations):
    verbs = {CreateDefinition: "+", DropDefinition: "-"}
    return [f"{verbs[type(each)]}{each.definition.kind.name.lower()}" for each in operations]


CHANGED_INDEX = ["-index", "+index"]
CHANGED_COLUMN = ["-index", "-column", "+column", "+index"]

BASE = Index(lambda o: (o.status, o.country), where=lambda o: o.status != "done", name="i")

CHANGES = {
    "its fields": (BASE, Index(lambda o: (o.status, o.company), where=lambda o: o.status != "done", name="i")),
    "one field more": (BASE, Index(lambda o: (o.status, o.country, o.company), where=lambda o: o.status != "done",
                                   name="i")),
    "the order of fields": (BASE, Index(lambda o: (o.country, o.status), where=lambda o: o.status != "done", name="i")),
    "the direction": (BASE, Index(lambda o: (o.status, desc(o.country)), where=lambda o: o.status != "done", name="i")),
    "ignore_case": (BASE, Index(lambda o: (o.status, o.country), where=lambda o: o.status != "done", ignore_case=True,
                                name="i")),
    "the condition": (BASE, Index(lambda o: (o.status, o.country), where=lambda o: o.status != "gone", name="i")),
    "no condition": (BASE, Index(lambda o: (o.status, o.country), name="i")),
    "unique": (BASE, Index(lambda o: (o.status, o.country), where=lambda o: o.status != "done", unique=True, name="i")),
    "the name": (BASE, Index(lambda o: (o.status, o.country), where=lambda o: o.status != "done", name="j")),
    "the kind": (Index(lambda o: o.tags, name="i"), GinIndex(lambda o: o.tags, name="i")),
    "a list's field": (GinIndex(lambda o: o.tags, name="i"), GinIndex(lambda o: o.marks, name="i")),
    "the whole document": (GinIndex(lambda o: o.tags, name="i"), GinIndex(name="i")),
    "a list's condition": (GinIndex(lambda o: o.tags, name="i"),
                           GinIndex(lambda o: o.tags, where=lambda o: o.status == "new", name="i")),
}  # fmt: skip

WORDS = FullText(lambda o: (o.status, o.country), weights="AB", name="i")
STORED_WORDS = replace(WORDS, stored=True)
TEXT = Trigram(lambda o: o.status, name="i")
VECTOR = VectorIndex(lambda o: o.place, dimensions=3, stored=False, name="i")
STORED_VECTOR = replace(VECTOR, stored=True)

SEARCHES = {
    "vector": [
        (VECTOR, replace(VECTOR, dimensions=4), CHANGED_INDEX),
        (VECTOR, replace(VECTOR, metric="l2"), CHANGED_INDEX),
        (VECTOR, replace(VECTOR, half=True), CHANGED_INDEX),
        (VECTOR, replace(VECTOR, m=20), CHANGED_INDEX),
        (VECTOR, replace(VECTOR, ef_construction=100), CHANGED_INDEX),
        (VECTOR, replace(VECTOR, where=lambda o: o.country == "DE"), CHANGED_INDEX),
        (VECTOR, replace(VECTOR, name="j"), CHANGED_INDEX),
        (VECTOR, STORED_VECTOR, ["-index", "+column", "+index"]),
        (STORED_VECTOR, replace(STORED_VECTOR, half=True), CHANGED_COLUMN),
    ],
    "pg_trgm": [
        (TEXT, replace(TEXT, keys=lambda o: o.country), CHANGED_INDEX),
        (TEXT, replace(TEXT, ignore_case=True), CHANGED_INDEX),
        (TEXT, replace(TEXT, where=lambda o: o.country == "DE"), CHANGED_INDEX),
        (TEXT, replace(TEXT, name="j"), CHANGED_INDEX),
    ],
    None: [
        (WORDS, replace(WORDS, keys=lambda o: (o.country, o.status)), CHANGED_INDEX),
        (WORDS, replace(WORDS, language="german"), CHANGED_INDEX),
        (WORDS, replace(WORDS, weights="AC"), CHANGED_INDEX),
        (WORDS, replace(WORDS, weights=None), CHANGED_INDEX),
        (WORDS, replace(WORDS, where=lambda o: o.country == "DE"), CHANGED_INDEX),
        (WORDS, replace(WORDS, name="j"), CHANGED_INDEX),
        (WORDS, STORED_WORDS, ["-index", "+column", "+index"]),
        (STORED_WORDS, replace(STORED_WORDS, weights="AC"), CHANGED_COLUMN),
    ],
}


class TestEachChange:
    @pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=list(CHANGES))
    def test_of_an_index_is_found_alone_and_can_be_taken_back(self, shop, before, after):
        shop.bring_to(before)
        at_first = shop.objects()
        assert shop.found(before) == ([], [])
        there, back = shop.found(after)
        assert words(there) == words(back) == CHANGED_INDEX
        shop.run(there)
        assert shop.found(after) == ([], [])
        assert shop.objects() != at_first
        shop.run(back)
        assert shop.objects() == at_first
        assert shop.found(before) == ([], [])

    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            (Promoted(lambda o: o.company, name="c"), Promoted(lambda o: o.country, name="c"), CHANGED_COLUMN),
            (Promoted(lambda o: o.weight, name="c"), Promoted(lambda o: o.weight, type="integer", name="c"),
             CHANGED_COLUMN),
            (Promoted(lambda o: o.company, name="c"), Promoted(lambda o: o.company, name="d"), CHANGED_COLUMN),
            (Statistics(lambda o: (o.status, o.country), name="s"), Statistics(lambda o: (o.status, o.company),
             name="s"), ["-statistics", "+statistics"]),
            (Statistics(lambda o: o.status, name="s"), Statistics(lambda o: o.status, ignore_case=True, name="s"),
             ["-statistics", "+statistics"]),
            (Statistics(lambda o: o.status, name="s"), Statistics(lambda o: o.status, name="t"),
             ["-statistics", "+statistics"]),
        ],
        ids=["field", "type", "column's name", "statistics' fields", "statistics' case", "statistics' name"],
    )  # fmt: skip
    def test_of_other_kinds_is_found_alone_and_can_be_taken_back(self, shop, before, after, expected):
        shop.bring_to(before)
        at_first = shop.objects()
        assert shop.found(before) == ([], [])
        there, back = shop.found(after)
        assert words(there) == words(back) == expected
        shop.run(there)
        assert shop.found(after) == ([], [])
        shop.run(back)
        assert shop.objects() == at_first
        assert shop.found(before) == ([], [])

    @pytest.mark.parametrize("extension", SEARCHES)
    def test_of_a_search_is_found_alone_and_can_be_taken_back(self, shop, postgres_url, extension):
        if extension is not None and not made(postgres_url, extension):
            with pytest.raises(MigrationException, match=f"run `CREATE EXTENSION {extension}`"):
                shop.bring_to(SEARCHES[extension][0][0])
            return
        for before, after, expected in SEARCHES[extension]:
            shop.bring_to(before)
            at_first = shop.objects()
            there, back = shop.found(after)
            assert words(there) == expected
            shop.run(there)
            assert shop.found(after) == ([], [])
            shop.run(there)
            shop.run(back)
            assert shop.objects() == at_first
            assert shop.found(before) == ([], [])

    def test_of_a_reference_is_found_alone_and_can_be_taken_back(self, shop, database):
        plain = Promoted(lambda o: o.company)
        to_id = Promoted(lambda o: o.company, references=f"{database}.firms.id")
        to_code = Promoted(lambda o: o.company, references=f"{database}.firms.code")
        shop.bring_to(plain)
        at_first = shop.objects()
        there, back = shop.bring_to(to_id)
        assert (words(there), words(back)) == (["+foreign_key"], ["-foreign_key"])
        [key] = [row for row in shop.objects() if row[0] == "key"]
        assert key[2].endswith("DEFERRABLE INITIALLY DEFERRED")
        assert key[4] is True
        there_too, back_too = shop.bring_to(to_code)
        assert words(there_too) == words(back_too) == ["-foreign_key", "+foreign_key"]
        assert shop.found(to_code) == ([], [])
        shop.run(back_too)
        assert shop.found(to_id) == ([], [])
        shop.run(back)
        assert shop.objects() == at_first

    def test_what_is_declared_no_longer_is_dropped(self, shop):
        declared = [BASE, Promoted(lambda o: o.company), Statistics(lambda o: o.status), GinIndex(lambda o: o.tags)]
        there, _ = shop.bring_to(*declared)
        assert words(there) == ["+column", "+index", "+index", "+index", "+statistics"]
        made = shop.objects()
        there, back = shop.bring_to()
        assert words(there) == ["-statistics", "-index", "-index", "-index", "-column"]
        assert shop.names() == []
        shop.run(back)
        assert sorted(shop.objects()) == sorted(made)
        assert shop.found(*declared) == ([], [])

    def test_a_column_takes_along_what_is_built_on_it(self, shop):
        both = Index(lambda o: (o.country, o.company), name="both")
        shop.bring_to(Promoted(lambda o: o.company), both)
        at_first = shop.objects()
        there, back = shop.bring_to(Promoted(lambda o: o.company, type="uuid"), both)
        assert words(there) == ["-index", "-index", "-column", "+column", "+index", "+index"]
        assert shop.found(Promoted(lambda o: o.company, type="uuid"), both) == ([], [])
        shop.run(back)
        assert sorted(shop.objects()) == sorted(at_first)


class TestWhatIsThere:
    def test_an_invalid_index_is_missing(self, shop):
        shop.execute("CREATE INDEX i ON {table} (version)")
        shop.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass('{schema}.i')")
        there, _ = shop.bring_to(BASE)
        assert words(there) == ["+index"]
        [index] = [row for row in shop.objects() if row[1] == "i"]
        assert "'status'" in index[2]
        assert index[4] is True
        shop.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass('{schema}.i')")
        there, _ = shop.bring_to(BASE)
        assert words(there) == ["+index"]
        assert shop.found(BASE) == ([], [])

    def test_indexes_of_others_are_left_alone(self, shop, target_of, database):
        shop.execute("CREATE INDEX theirs ON {table} ((data ->> 'company'))")
        shop.execute("CREATE INDEX theirs_too ON {table} (version)")
        shop.execute("COMMENT ON INDEX {schema}.theirs_too IS 'docs'")
        shop.execute("CREATE STATISTICS {schema}.theirs_as_well ON (data ->> 'company') FROM {table}")
        assert shop.found() == ([], [])
        shop.bring_to(BASE, Promoted(lambda o: o.company))
        assert shop.found(BASE, Promoted(lambda o: o.company)) == ([], [])
        shop.bring_to()
        assert shop.names() == ["theirs", "theirs_too", "theirs_as_well"]

    def test_an_index_of_others_by_the_same_name_is_refused(self, shop):
        shop.execute("CREATE INDEX i ON {table} (version)")
        there, _ = shop.found(BASE)
        with pytest.raises(MigrationException, match="has index 'i' already, and docsession did not make it"):
            shop.run(there)

    def test_a_revision_may_be_run_again(self, shop, database):
        key = f"{database}.firms.id"
        declared = [BASE, Promoted(lambda o: o.company, references=key), Statistics(lambda o: o.status)]
        there, back = shop.bring_to(*declared)
        made = shop.objects()
        shop.run(there)
        assert shop.objects() == made
        shop.run(back)
        shop.run(back)
        assert shop.names() == []

    def test_a_unique_index_that_cannot_be_made_leaves_nothing(self, shop):
        same = Index(lambda o: o.country, unique=True, name="u")
        shop.execute("""UPDATE {table} SET data = '{{"country": "x"}}'""")
        there, _ = shop.found(same)
        with pytest.raises(RavenException, match=r"unique"):
            shop.run(there)
        assert shop.names() == []

    def test_an_extension_that_is_missing_is_named(self, shop):
        body = "ON {schema}.orders USING btree (({no_such}.f(id)))"
        definition = Definition(Kind.INDEX, "v", "orders", body, extensions=("no_such",))
        with pytest.raises(MigrationException, match="run `CREATE EXTENSION no_such`"):
            shop.run([CreateDefinition(definition)])

    def test_extensions_are_found_in_their_schemas(self, shop):
        body = "ON {schema}.orders USING btree (({plpgsql}.lower(id)))"
        shop.run([CreateDefinition(Definition(Kind.INDEX, "v", "orders", body, extensions=("plpgsql",)))])
        assert shop.names() == ["v"]

    def test_a_key_that_does_not_hold_is_checked_again(self, shop, database):
        key = Promoted(lambda o: o.company, references=f"{database}.firms.id")
        shop.execute("DELETE FROM {schema}.firms WHERE id = 'c/3'")
        with pytest.raises(RavenException, match="fkey"):
            shop.bring_to(key)
        there, _ = shop.found(key)
        assert words(there) == ["+foreign_key"]
        shop.execute("INSERT INTO {schema}.firms VALUES ('c/3', 'c/3')")
        shop.run(there)
        assert shop.found(key) == ([], [])

    def test_check_sees_no_difference_in_what_is_declared(self, shop, database):
        shop.bring_to(BASE, Promoted(lambda o: o.company, references=f"{database}.firms.id"))
        assert drift(shop.target) == []

    def test_the_planner_knows_the_values(self, shop):
        shop.bring_to(Index(lambda o: o.company, name="i"))
        query = "SELECT count(*) FROM pg_stats WHERE schemaname = %s AND tablename = 'i'"
        assert shop.server.execute(query, [shop.database]).fetchone()[0] > 0


def test_a_column_does_not_wait_long_for_its_lock(shop, server):
    there, _ = shop.found(Promoted(lambda o: o.company))
    there[0].lock_timeout = "50ms"
    with server.transaction():
        shop.execute("SELECT FROM {table}")
        with pytest.raises(RavenException, match="lock"):
            shop.run(there)
    shop.run(there)
    assert shop.found(Promoted(lambda o: o.company)) == ([], [])
