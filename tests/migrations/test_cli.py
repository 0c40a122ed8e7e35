"""The command line: what it prints, how it exits, and that no password is ever shown."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from docsession._cli import main
from docsession._migrate import upgrade
from docsession._sql._quoting import qualified, quote_identifier
from docsession._sql._schema import (
    HEAD_REVISION,
    QUERY_SHAPES_TABLE,
    VERSION_TABLE,
    build_metadata,
    create_collection_statements,
    lock_key,
)
from tests.migrations.conftest import HOSTILE_NAMES

DONE, DIFFERENT, USAGE, FAILED = 0, 1, 2, 3


@pytest.fixture
def docsession(monkeypatch):
    """Run the command and return its exit code and everything that it printed."""
    monkeypatch.delenv("DOCSESSION_URL", raising=False)

    def call(*arguments):
        result = CliRunner().invoke(main, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result.exit_code, result.output

    return call


@pytest.fixture
def on(docsession, url_of, database):
    """The same on the test's database."""
    return lambda command, *more: docsession(command, "--url", url_of(), f"--database={database}", *more)


class TestLife:
    def test_from_nothing_to_a_checked_database_and_back(self, on, database):
        command = f"`docsession upgrade --database '{database}'`"
        assert on("check") == (DIFFERENT, f"{database}: does not exist; run {command}\n")
        assert on("current") == (DIFFERENT, f"{database}: does not exist; run {command}\n")
        base = f"{database}: upgraded to 0001: System tables and the function for instants.\n"
        values = "0002: Compare-exchange values and identities.\n"
        shapes = "0003: The shapes of queries, for advice on indexes.\n"
        made = f"{base}{database}: upgraded to {values}{database}: upgraded to {shapes}"
        assert on("upgrade") == (DONE, f"{made}{database}: {HEAD_REVISION}, the newest\n")
        assert on("upgrade") == (DONE, f"{database}: {HEAD_REVISION}, the newest\n")
        assert on("check") == (DONE, f"{database}: no difference\n")
        assert on("current") == (DONE, f"{database}: {HEAD_REVISION}, the newest\n")
        gone = f"{database}: downgraded from {shapes}{database}: downgraded from {values}"
        older = f"{database}: 0001, older than {HEAD_REVISION}; run {command}\n"
        assert on("downgrade", "-2") == (DONE, f"{gone}{older}")
        assert on("current") == (DONE, older)
        assert on("current", "--check-heads") == (DIFFERENT, older)
        gone = f"{database}: downgraded from 0001: System tables and the function for instants.\n"
        assert on("downgrade", "-1") == (DONE, f"{gone}{database}: has no revision; run {command}\n")
        assert on("current") == (DONE, f"{database}: has no revision; run {command}\n")
        assert on("check") == (DIFFERENT, f"{database}: has no revision; run {command}\n")
        assert on("upgrade", "+1") == (DONE, f"{base}{older}")

    @pytest.mark.parametrize("database", HOSTILE_NAMES, indirect=True)
    def test_any_name_will_do(self, on):
        codes = [on(command, *more)[0] for command, *more in (["upgrade"], ["check"], ["downgrade", "base"])]
        assert codes == [DONE, DONE, DONE]

    def test_several_databases_are_done_one_after_another(self, docsession, url_of, new_database):
        first, second = new_database(), new_database()
        both = ["--url", url_of(), "-d", first, "-d", second, "-d", first]
        code, output = docsession("upgrade", *both)
        assert code == DONE
        assert [line.rpartition(": ")[0].partition(":")[0] for line in output.splitlines()] == [
            *[first] * 4,
            *[second] * 4,
        ]
        assert docsession("check", *both) == (DONE, f"{first}: no difference\n{second}: no difference\n")

    def test_tables_of_collections_are_made_for_those_who_do_not_make_them_on_first_use(self, on, server, database):
        lines = [f"{database}: the collection OrderLines is in the table order_lines\n"]
        lines += [f"{database}: the collection x; -- is in the table x;_\n"]
        for _ in range(2):
            code, output = on("upgrade", "-c", "OrderLines", "--collection", "x; --")
            assert code == DONE
            assert output.endswith("".join(lines))
        tables = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [database]).fetchall()
        assert {"order_lines", "x;_"} <= {name for (name,) in tables}

    def test_a_collection_stays_in_the_table_that_is_recorded(self, on, run, database):
        on("upgrade")
        run([f"INSERT INTO {qualified(database, 'docsession_collections')} VALUES ('c', 'Companies', 'firms')"])
        assert on("upgrade", "-c", "Companies")[1].endswith("the collection Companies is in the table firms\n")
        assert on("check") == (DONE, f"{database}: no difference\n")

    def test_the_variable_names_the_server(self, docsession, monkeypatch, url_of, database):
        monkeypatch.setenv("DOCSESSION_URL", url_of().replace("postgresql://", "postgresql+psycopg://"))
        assert docsession("upgrade", "-d", database)[0] == DONE

    def test_without_a_url_it_is_the_embedded_server(self, docsession, monkeypatch, tmp_path_factory):
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        code, output = docsession("upgrade")
        assert code == DONE
        assert "the embedded PostgreSQL in " in output
        assert output.endswith(f"docsession: {HEAD_REVISION}, the newest\n")


class TestDifferences:
    def test_each_is_a_line_and_the_exit_code_says_so(self, on, run, database):
        on("upgrade")
        run([f"DROP TABLE {qualified(database, 'docsession_hilo')}"])
        repair = f"run `docsession upgrade --database '{database}'`"
        assert on("check") == (DIFFERENT, f"{database}: table docsession_hilo: is missing; {repair}\n")

    @pytest.mark.parametrize("database", [None, *HOSTILE_NAMES], indirect=True)
    def test_what_is_missing_of_a_database_without_documents_is_made_by_upgrade(self, on, run, database):
        on("upgrade")
        run(
            [
                f"DROP TABLE {', '.join(qualified(database, name) for name in build_metadata().tables)}",
                f"DROP FUNCTION {qualified(database, 'docsession_instant')}(jsonb)",
            ]
        )
        names = (*build_metadata().tables, "docsession_instant")
        made = "".join(f"{database}: made {name}, which was missing\n" for name in names)
        assert on("check")[0] == DIFFERENT
        assert on("upgrade") == (DONE, f"{made}{database}: {HEAD_REVISION}, the newest\n")
        assert on("check") == (DONE, f"{database}: no difference\n")

    @pytest.mark.parametrize("table", sorted(build_metadata().tables.keys() - {QUERY_SHAPES_TABLE}))
    def test_a_system_table_that_documents_rely_on_is_not_made_anew(self, on, run, database, table):
        on("upgrade", "-c", "Companies")
        run([f"DROP TABLE {qualified(database, table)}"])
        code, output = on("upgrade")
        assert code == FAILED
        for part in (table, "companies", "restore it from a backup", "[ds410]"):
            assert part in output

    def test_the_shapes_of_queries_are_made_anew_in_any_database(self, on, run, database):
        on("upgrade", "-c", "Companies")
        run([f"DROP TABLE {qualified(database, QUERY_SHAPES_TABLE)}"])
        assert on("upgrade")[1].startswith(f"{database}: made docsession_query_shapes, which was missing\n")
        assert on("check")[0] == DONE

    def test_the_function_is_made_anew_in_any_database(self, on, run, database):
        on("upgrade", "-c", "Companies")
        run([f"DROP FUNCTION {qualified(database, 'docsession_instant')}"])
        assert on("upgrade")[1].startswith(f"{database}: made docsession_instant, which was missing\n")
        assert on("check")[0] == DONE

    def test_one_database_that_differs_is_enough(self, docsession, url_of, new_database, target_of):
        good, bad = new_database(), new_database()
        upgrade(target_of(good))
        code, output = docsession("check", "--url", url_of(), "-d", bad, "-d", good)
        assert code == DIFFERENT
        assert output.endswith(f"{good}: no difference\n")


class TestRefusals:
    def refused(self, result, *parts, code="ds"):
        exit_code, output = result
        assert exit_code == FAILED
        assert f"[{code}" in output
        for part in parts:
            assert part in output

    def test_a_database_of_a_newer_docsession(self, on, run, database):
        on("upgrade")
        run([f"UPDATE {qualified(database, VERSION_TABLE)} SET version_num = '9999'"])
        for command in (["upgrade"], ["downgrade", "base"]):
            self.refused(on(*command), "9999", "a newer docsession made it", code="ds410")

    def test_documents_are_not_orphaned(self, on, run, database):
        on("upgrade")
        run(
            [
                *create_collection_statements(database, "companies"),
                f"INSERT INTO {qualified(database, 'docsession_collections')} VALUES ('c', 'Companies', 'companies')",
            ]
        )
        self.refused(on("downgrade", "base"), "Companies", code="ds410")
        on("upgrade")
        assert on("check")[0] == DONE

    @pytest.mark.parametrize(
        ("table", "row", "things"),
        [
            ("docsession_compare_exchange", "('k', 1)", "1 compare-exchange values"),
            ("docsession_identities", "('invoices|', 1)", "1 identities"),
        ],
    )
    def test_what_the_older_schema_has_no_place_for_is_not_lost(self, on, run, database, table, row, things):
        on("upgrade")
        run([f"INSERT INTO {qualified(database, table)} VALUES {row}"])
        self.refused(on("downgrade", "0001"), things, table, code="ds410")
        on("upgrade")
        assert on("check")[0] == DONE

    def test_a_table_without_documents_is_no_orphan_either(self, on, run, database):
        on("upgrade", "-c", "Companies", "-c", "Orders")
        self.refused(on("downgrade", "base"), "companies, orders", "drop those tables first", code="ds410")
        on("upgrade")
        assert on("check")[0] == DONE
        run([f"DROP TABLE {qualified(database, name)}" for name in ("companies", "orders")])
        assert on("downgrade", "base")[0] == DONE

    def test_a_collection_whose_table_is_another_ones(self, on, run, database):
        on("upgrade")
        run([f"INSERT INTO {qualified(database, 'docsession_collections')} VALUES ('c', 'Firms', 'companies')"])
        self.refused(on("upgrade", "-c", "Companies"), "'companies', which is that of 'Firms'", code="ds220")
        self.refused(on("upgrade", "-c", "OrderLines", "-c", "order_lines"), "that of 'OrderLines'", code="ds220")

    def test_a_collection_that_would_take_a_system_table(self, on):
        self.refused(on("upgrade", "-c", "DocsessionHilo"), "docsession_hilo", code="ds220")

    def test_a_downgrade_of_nothing(self, on):
        self.refused(on("downgrade", "base"), "does not exist", code="ds410")

    def test_a_revision_that_there_is_not(self, on):
        revisions = f"the revisions are base (nothing at all), 0001, 0002, 0003 (head: {HEAD_REVISION})"
        self.refused(on("upgrade", "abcd"), f"no upgrade leads from base to 'abcd'; {revisions}", code="ds410")
        on("upgrade")
        self.refused(on("upgrade", "0007"), f"no upgrade leads from 0003 to '0007'; {revisions}", code="ds410")
        self.refused(on("upgrade", "+2"), f"no upgrade leads from 0003 to '+2'; {revisions}", code="ds410")
        self.refused(on("downgrade", "-4"), f"no downgrade leads from 0003 to '-4'; {revisions}", code="ds410")
        on("downgrade", "base")
        self.refused(on("downgrade", "-1"), f"no downgrade leads from base to '-1'; {revisions}", code="ds410")

    def test_a_role_that_may_not_make_schemas(self, docsession, url_of, role, database):
        result = docsession("upgrade", "--url", url_of(**role), "-d", database)
        self.refused(result, "permission denied", code="ds123")
        assert role["password"] not in result[1]

    def test_a_role_that_may_not_make_tables(self, docsession, url_of, role, database, run):
        run([f"CREATE SCHEMA {quote_identifier(database)}"])
        run([f"GRANT USAGE ON SCHEMA {quote_identifier(database)} TO {role['user']}"])
        result = docsession("upgrade", "--url", url_of(**role), "-d", database)
        self.refused(result, "permission denied", code="ds123")

    def test_a_role_that_may_only_read_can_check(self, docsession, url_of, role, database, run, target_of):
        upgrade(target_of(database))
        name = quote_identifier(database)
        run(
            [
                f"GRANT USAGE ON SCHEMA {name} TO {role['user']}",
                f"GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {role['user']}",
            ]
        )
        assert docsession("check", "--url", url_of(**role), "-d", database) == (DONE, f"{database}: no difference\n")

    def test_a_server_that_is_not_there(self, docsession):
        result = docsession("current", "--url", "postgresql://me:secret@127.0.0.1:1/x")
        self.refused(result, "127.0.0.1", code="ds130")
        assert "secret" not in result[1]

    def test_a_postgresql_database_that_does_not_exist(self, docsession, url_of):
        self.refused(docsession("current", "--url", url_of(dbname="no such")), "no such", code="ds120")

    @pytest.mark.parametrize(
        "url",
        [
            "mysql://me:secret@localhost/x",
            "postgresql+psycopg2://me:secret@localhost/x",
            "postgresql://me:secret@localhost:port/x",
            "postgresql://me:secret@localhost/x?nonsense=1",
            "me:secret@localhost",
            "host=localhost password=secret nonsense",
        ],
    )
    def test_a_url_that_cannot_be_read_is_shown_without_its_password(self, docsession, url):
        code, output = docsession("current", "--url", url)
        assert code == FAILED
        assert "secret" not in output

    @pytest.mark.parametrize("name", ["", "x" * 64, "pg_temp", "information_schema", "a\0b"])
    def test_a_name_that_no_schema_can_have(self, docsession, url_of, name):
        self.refused(docsession("upgrade", "--url", url_of(), f"--database={name}"), code="ds220")

    def test_an_empty_url_is_no_embedded_server(self, docsession, monkeypatch):
        assert docsession("current", "--url", "")[0] == USAGE
        monkeypatch.setenv("DOCSESSION_URL", "")
        assert docsession("current")[0] == USAGE

    def test_a_lock_that_another_process_holds(self, on, server, database):
        with server.transaction():
            server.execute(f"SELECT pg_advisory_xact_lock({lock_key(database)})".encode())
            result = on("upgrade", "--lock-timeout", "0.2")
        self.refused(result, "waiting for another process", "0.2 seconds", code="ds410")

    def test_a_missing_revision_to_go_back_to(self, docsession):
        assert docsession("downgrade")[0] == USAGE


class TestProgram:
    def test_the_installed_command_answers(self):
        program = Path(sys.executable).with_name("docsession")
        shown = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
        assert [name for name in ("upgrade", "downgrade", "current", "check") if f"  {name} " in shown.stdout] == [
            "upgrade",
            "downgrade",
            "current",
            "check",
        ]

    def test_python_runs_it_as_a_module(self):
        shown = subprocess.run(
            [sys.executable, "-m", "docsession", "--help"], capture_output=True, text=True, check=True
        )
        assert shown.stdout.startswith("Usage: docsession [OPTIONS] COMMAND")

    def test_a_failure_prints_no_traceback(self):
        program = Path(sys.executable).with_name("docsession")
        environment = os.environ | {"DOCSESSION_URL": "postgresql://me:secret@127.0.0.1:1/x"}
        shown = subprocess.run([program, "check"], capture_output=True, text=True, check=False, env=environment)
        assert shown.returncode == FAILED
        assert "Traceback" not in shown.stderr
        assert "secret" not in shown.stderr
