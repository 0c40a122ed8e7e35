"""`docsession distribute`: what it composes, what it refuses, and, where there is Citus, what it does."""

import os
import uuid
from dataclasses import dataclass

import psycopg
import pytest
from click.testing import CliRunner

from docsession import DocumentStore
from docsession._cli import main
from docsession._sql._citus import distribute_by_id, distribute_schema
from tests.support.sql_rules import broken_rules

DONE, USAGE, FAILED = 0, 2, 3


@dataclass
class Company:
    name: str
    id: str | None = None


@pytest.fixture
def on(url_of, database):
    """Run the command on the test's database; returns the exit code and what it printed."""

    def call(*arguments, answer=None, url=None):
        command = ["distribute", "--url", url or url_of(), f"--database={database}", *arguments]
        done = CliRunner().invoke(main, command, input=answer)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return done.exit_code, done.output

    return call


@pytest.fixture
def filled(database, url_of):
    """The database, with one collection."""
    with DocumentStore(url_of(), database) as store, store.open_session() as session:
        session.store(Company("x"), "companies/1")
        session.save_changes()
    return database


class TestStatements:
    def test_as_a_whole(self):
        schema = '$q0$"a""b"$q0$::pg_catalog.regnamespace'
        assert distribute_schema('a"b') == [f"SELECT pg_catalog.citus_schema_distribute({schema})"]

    def test_by_id(self):
        instant = '$q0$"shop"."docsession_instant"(pg_catalog.jsonb)$q0$::pg_catalog.regprocedure'
        companies = '$q0$"shop"."companies"$q0$::pg_catalog.regclass'
        assert distribute_by_id("shop", ["docsession_hilo"], ["companies"]) == [
            'SELECT pg_catalog.create_reference_table($q0$"shop"."docsession_hilo"$q0$::pg_catalog.regclass)',
            f"SELECT pg_catalog.create_distributed_function({instant})",
            f"SELECT pg_catalog.create_distributed_table({companies}, 'id')",
        ]

    def test_they_keep_the_rules(self):
        for statement in [*distribute_schema("shop"), *distribute_by_id("shop", ["docsession_hilo"], ["companies"])]:
            assert broken_rules(statement) == []


class TestWithoutTheExtension:
    def test_a_dry_run_prints_the_sql_and_says_so(self, on, filled):
        code, said = on("--by", "schema", "--dry-run")
        assert code == DONE
        assert f"-- {filled}: the extension `citus` is missing here\n" in said
        assert f"{distribute_schema(filled)[0]};\n" in said

    def test_by_id_every_table_is_named(self, on, filled, server):
        code, said = on("--by", "id", "--dry-run")
        assert code == DONE
        rows = server.execute("SELECT tablename::text FROM pg_tables WHERE schemaname = %s", [filled])
        system = sorted({name for (name,) in rows} - {"companies"})
        assert said.endswith("".join(f"{line};\n" for line in distribute_by_id(filled, system, ["companies"])))

    @pytest.mark.parametrize("sharding", ["schema", "id"])
    def test_it_is_an_error_that_says_what_to_do(self, on, filled, sharding):
        code, said = on("--by", sharding, "--yes")
        assert code == FAILED
        assert "CREATE EXTENSION citus" in said.splitlines()[-1]


class TestAsking:
    def test_what_it_costs_is_said_and_a_no_is_taken(self, on, filled):
        code, said = on("--by", "id", answer="n\n")
        assert code == FAILED
        for word in ("unique indexes", "foreign keys", "of one moment", "nothing was done"):
            assert word in said

    def test_how_has_to_be_said(self, on):
        assert on()[0] == USAGE


class TestRefused:
    def test_a_database_that_is_missing(self, on, database):
        code, said = on("--by", "schema", "--yes")
        assert code == FAILED
        assert "docsession upgrade" in said

    def test_what_cannot_be_spread_by_id_is_named(self, on, filled, server):
        name = f'"{filled}"'
        server.execute(f"CREATE UNIQUE INDEX by_name ON {name}.companies ((data ->> 'name'))")
        server.execute(f"CREATE TABLE {name}.notes (id text CONSTRAINT of_company REFERENCES {name}.companies)")
        server.execute(f"CREATE FUNCTION {name}.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
        server.execute(f"CREATE TRIGGER told AFTER INSERT ON {name}.companies EXECUTE FUNCTION {name}.nothing()")
        code, said = on("--by", "id", "--dry-run")
        assert code == FAILED
        assert "foreign key 'of_company' of companies, trigger 'told' of companies, unique index 'by_name' of" in said
        assert on("--by", "schema", "--dry-run")[0] == DONE


@pytest.mark.citus
class TestWithCitus:
    @pytest.fixture
    def citus_url(self):
        return os.environ["DOCSESSION_CITUS_URL"]

    @pytest.fixture
    def database(self, citus_url):
        name = f"test_{uuid.uuid4().hex[:12]}"
        yield name
        with psycopg.connect(citus_url, autocommit=True) as connection:
            connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')

    @pytest.mark.parametrize("sharding", ["schema", "id"])
    def test_sessions_work_as_before_and_a_second_run_changes_nothing(self, on, citus_url, database, sharding):
        with DocumentStore(citus_url, database) as store:
            self.work(store)
            assert on("--by", sharding, "--yes", url=citus_url)[0] == DONE
            code, said = on("--by", sharding, "--yes", url=citus_url)
            assert (code, said.splitlines()[-1]) == (DONE, f"{database}: is distributed by {sharding} already")
            self.work(store)
        with psycopg.connect(citus_url) as connection:
            query = (
                "SELECT count(*) FROM pg_dist_partition JOIN pg_class c ON c.oid = logicalrelid "
                "WHERE relnamespace = %s::regnamespace"
            )
            assert connection.execute(query, [f'"{database}"']).fetchone()[0] >= 4

    @staticmethod
    def work(store):
        with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            companies = [Company(f"company {n}") for n in range(10)]
            for company in companies:
                session.store(company)
            session.save_changes()
            keys = [company.id for company in companies]
        with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            found = session.load(keys, Company)
            assert len(found) == 10
            found[keys[0]].name = "changed"
            session.delete(found[keys[1]])
            session.save_changes()
        with store.open_session() as session:
            assert len(session.advanced.load_starting_with("companies/", Company, page_size=100)) % 9 == 0
