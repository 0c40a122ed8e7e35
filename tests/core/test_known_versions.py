"""The exact statements with which a session names the versions that its store keeps; no server."""

import dataclasses

import msgspec
import pytest

from docsession import DocumentStore, SessionOptions
from docsession._executors._scripted import ScriptedExecutor
from docsession._port import TextArray
from docsession._sql._schema import HEAD_REVISION

CATALOGUE = [("companies", "Companies", "companies"), ("orders", "Orders", "orders"), ("orders", "Notes", "notes")]
PLAIN = 'SELECT id, data, metadata, version, last_modified FROM "db"."{}" WHERE id = '
KNOWN_ONE = (
    "SELECT id, CASE WHEN version = $2 THEN NULL ELSE data END, CASE WHEN version = $2 THEN NULL ELSE metadata END, "
    'version, last_modified FROM "db"."companies" WHERE id = $1'
)
KNOWN = (
    "SELECT id, CASE WHEN version = (${1} ->> id)::bigint THEN NULL ELSE data END, metadata, version, last_modified{2} "
    'FROM "db"."{0}" WHERE id = ANY'
)


@dataclasses.dataclass
class Company:
    name: str
    partner: str | None = None
    Id: str | None = None


def row(key, size=3000, version=7, **members):
    data = {"name": "x" * size} | members
    return (key, b"\x01" + msgspec.json.encode(data), None, version, 5)


def not_modified(given):
    return (given[0], None, None, *given[3:])


@pytest.fixture
def executor():
    return ScriptedExecutor([[CATALOGUE, [(HEAD_REVISION,)]]])


@pytest.fixture
def store(executor):
    with DocumentStore("postgresql://nobody@localhost:1/nothing", "db") as opened:
        opened._start()
        opened._executor = executor
        yield opened
        executor.assert_all_answered()


def load(store, executor, keys, *answer, object_type=Company, **options):
    """Load in a session of its own; returns what came, and the statements that asked for it."""
    executor.add(list(answer))
    with store.open_session(session_options=SessionOptions(**options)) as session:
        found = session.load(keys, object_type)
        assert session.advanced.number_of_requests == 1
    return found, executor.requests[-1].statements


def versions(**given):
    return b"\x01" + msgspec.json.encode({key.replace("_", "/"): str(version) for key, version in given.items()})


class TestOneDocument:
    def test_a_large_one_is_asked_for_by_its_version_the_second_time(self, store, executor):
        given = row("companies/1")
        first, asked = load(store, executor, "companies/1", [given])
        assert asked == ((PLAIN.format("companies") + "$1", ("companies/1",)),)
        again, asked = load(store, executor, "companies/1", [not_modified(given)])
        assert asked == ((KNOWN_ONE, ("companies/1", 7)),)
        assert again == first
        assert again is not first
        assert (store.statistics.cache_hits, store.statistics.cache_misses) == (1, 1)

    def test_a_small_one_never_is(self, store, executor):
        for _ in range(3):
            _, asked = load(store, executor, "companies/1", [row("companies/1", 2000)])
            assert asked == ((PLAIN.format("companies") + "$1", ("companies/1",)),)
        assert (store.statistics.cache_hits, store.statistics.cache_misses) == (0, 0)

    def test_what_comes_instead_is_kept(self, store, executor):
        load(store, executor, "companies/1", [row("companies/1")])
        found, _ = load(store, executor, "companies/1", [row("companies/1", 4000, 8)])
        assert len(found.name) == 4000
        newer = row("companies/1", 4000, 8)
        found, asked = load(store, executor, "companies/1", [not_modified(newer)])
        assert asked == ((KNOWN_ONE, ("companies/1", 8)),)
        assert len(found.name) == 4000

    def test_with_no_caching_none_is_named_and_none_is_kept(self, store, executor):
        for options in ({}, {"no_caching": True}, {"no_caching": True}):
            _, asked = load(store, executor, "companies/1", [row("companies/1", version=9)], **options)
            assert asked == ((PLAIN.format("companies") + "$1", ("companies/1",)),)
        _, asked = load(store, executor, "companies/2", [row("companies/2")], no_caching=True)
        assert store.statistics.cache_documents == 1
        load(store, executor, "companies/1", [row("companies/1", version=10)], no_caching=False)
        assert executor.requests[-1].sql == [KNOWN_ONE]

    def test_a_store_without_a_cache_names_none(self, store, executor):
        store.conventions.max_cache_size = 0
        for _ in range(2):
            _, asked = load(store, executor, "companies/1", [row("companies/1")])
            assert asked == ((PLAIN.format("companies") + "$1", ("companies/1",)),)
        assert store.statistics.cache_documents == 0

    def test_a_session_that_tracks_nothing_does(self, store, executor):
        load(store, executor, "companies/1", [row("companies/1")], no_tracking=True)
        load(store, executor, "companies/1", [not_modified(row("companies/1"))], no_tracking=True)
        assert executor.requests[-1].sql == [KNOWN_ONE]

    def test_refresh_does(self, store, executor):
        given = row("companies/1")
        executor.add([[given]], [[not_modified(given)]], [[row("companies/1", 2500, 8)]])
        with store.open_session() as session:
            company = session.load("companies/1", Company)
            company.name = "changed"
            session.advanced.refresh(company)
            assert executor.requests[-1].statements == ((KNOWN_ONE, ("companies/1", 7)),)
            assert len(company.name) == 3000
            session.advanced.refresh(company)
            assert len(company.name) == 2500
            assert session.advanced.get_change_vector_for(company) == "8"


class TestSeveralDocuments:
    KEYS = ("companies/1", "companies/2", "companies/3")

    def test_what_is_kept_is_named(self, store, executor):
        one, two, three = (row(key) for key in self.KEYS)
        found, asked = load(store, executor, self.KEYS[:2], [one, two])
        assert asked == ((PLAIN.format("companies") + "ANY($1)", (TextArray(self.KEYS[:2]),)),)
        again, asked = load(store, executor, self.KEYS, [not_modified(one), row("companies/2", 9000, 8), three])
        named = versions(companies_1=7, companies_2=7)
        assert asked == ((KNOWN.format("companies", 2, "") + "($1)", (TextArray(self.KEYS), named)),)
        assert again["companies/1"] == found["companies/1"]
        assert len(again["companies/2"].name) == 9000
        assert len(again["companies/3"].name) == 3000
        assert (store.statistics.cache_hits, store.statistics.cache_misses) == (1, 4)

    def test_small_ones_are_not_asked_for_by_version_until_there_are_enough(self, store, executor):
        keys = [f"companies/{i}" for i in range(20)]
        rows = [row(key, 900) for key in keys]
        load(store, executor, keys, rows)
        for number, is_named in ((2, False), (6, False), (7, True), (20, True)):
            answer = [not_modified(each) if is_named else each for each in rows[:number]]
            _, asked = load(store, executor, keys[:number], answer)
            assert ("->>" in asked[0][0]) is is_named, number

    def test_several_tables_are_named_in_one_parameter(self, store, executor):
        keys = ["orders/1", "orders/2", "companies/1"]
        rows = [(*row("orders/1"), 0), (*row("orders/2"), 1), (*row("companies/1"), 2)]
        load(store, executor, keys, rows, object_type=None)
        _, asked = load(store, executor, keys, [(*not_modified(each[:5]), each[5]) for each in rows], object_type=None)
        ((sql, parameters),) = asked
        assert sql == " UNION ALL ".join(
            KNOWN.format(table, 4, f", {i}") + f"(${i + 1})" for i, table in enumerate(("orders", "notes", "companies"))
        )
        arrays = [TextArray(part) for part in (keys[:2], keys[:2], keys[2:])]
        assert parameters == (*arrays, versions(orders_1=7, orders_2=7, companies_1=7))

    def test_what_was_deleted_is_no_more_named(self, store, executor):
        one, two, _ = (row(key) for key in self.KEYS)
        load(store, executor, self.KEYS[:2], [one, two])
        found, _ = load(store, executor, self.KEYS[:2], [not_modified(two)])
        assert found["companies/1"] is None
        load(store, executor, self.KEYS[:2], [row("companies/2", 5000, 8)])
        assert executor.requests[-1].sql == [PLAIN.format("companies") + "ANY($1)"]


class TestIncludes:
    SIZE = [[(len(CATALOGUE),)]]

    def ask(self, store, executor, *rows):
        executor.add([list(rows), *self.SIZE])
        with store.open_session() as session:
            found = session.include("partner").load("companies/1", Company)["companies/1"]
            partner = session.load(found.partner, Company) if found.partner else None
            assert session.advanced.number_of_requests == 1
        return found, partner, executor.requests[-1]

    def test_what_the_kept_document_refers_to_is_named_too(self, store, executor):
        main, other = row("companies/1", partner="companies/2"), row("companies/2")
        executor.add([[(*main, 0), (*other, 1)], [(3,)]])
        with store.open_session() as session:
            session.include("partner").load("companies/1", Company)
        first = executor.requests[-1].sql[0]
        assert "->> id)::bigint" not in first
        found, partner, request = self.ask(store, executor, (*not_modified(main), 0), (*not_modified(other), 1))
        assert found.partner == "companies/2"
        assert len(partner.name) == 3000
        assert request.sql[0] != first
        assert request.params[0][-1] == versions(companies_1=7, companies_2=7)
        assert request.sql[0].count("CASE WHEN version = ($4 ->> id)::bigint THEN NULL ELSE data END") == 2

    def test_the_server_is_right_about_what_it_refers_to(self, store, executor):
        main, other, third = row("companies/1", partner="companies/2"), row("companies/2"), row("companies/3")
        self.ask(store, executor, (*main, 0), (*other, 1))
        moved = row("companies/1", version=8, partner="companies/3")
        found, partner, request = self.ask(store, executor, (*moved, 0), (*third, 1))
        assert request.params[0][-1] == versions(companies_1=7, companies_2=7)
        assert (found.partner, partner.Id) == ("companies/3", "companies/3")


class TestByPrefix:
    BRANCH = (
        'SELECT id, data, metadata, version, last_modified, 0 AS part FROM "db"."companies" WHERE id >= $1 AND id < $2'
    )

    def ask(self, store, executor, *rows, **options):
        executor.add([[(*each, 0) for each in rows], [(len(CATALOGUE),)]])
        with store.open_session() as session:
            found = session.advanced.load_starting_with("companies/", Company, **options)
        return [each.name for each in found], executor.requests[-1].statements[0]

    def test_what_was_found_the_last_time_is_named(self, store, executor):
        one, two, three = (row(f"companies/{i}") for i in range(3))
        first, asked = self.ask(store, executor, one, two, page_size=2)
        columns = "id, data, metadata, version, last_modified"
        rest = f", part FROM ({self.BRANCH}) AS found ORDER BY id LIMIT $3"
        assert asked == (f"SELECT {columns}{rest}", ("companies/", "companies0", 2))
        again, asked = self.ask(store, executor, not_modified(one), three, page_size=2)
        columns = (
            "id, CASE WHEN version = ($4 ->> id)::bigint THEN NULL ELSE data END, metadata, version, last_modified"
        )
        assert asked == (
            f"SELECT {columns}{rest}",
            ("companies/", "companies0", 2, versions(companies_0=7, companies_1=7)),
        )
        assert again == first
        _, (_, parameters) = self.ask(store, executor, not_modified(one), not_modified(three), page_size=2)
        assert parameters[-1] == versions(companies_0=7, companies_2=7)

    def test_another_page_is_another_matter(self, store, executor):
        one, two = (row(f"companies/{i}") for i in range(2))
        self.ask(store, executor, one, page_size=1)
        _, asked = self.ask(store, executor, two, page_size=1, start=1)
        assert "->>" not in asked[0]

    def test_what_was_read_so_is_known_by_id(self, store, executor):
        one = row("companies/1")
        self.ask(store, executor, one, row("companies/2"))
        load(store, executor, "companies/1", [not_modified(one)])
        assert executor.requests[-1].sql == [KNOWN_ONE]
