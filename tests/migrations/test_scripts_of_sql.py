"""`docsession sql`: what psql makes of its script is what an upgrade makes."""

import os
import subprocess
import sys

import pytest

from docsession._embedded._binaries import find_binaries
from docsession._sql._quoting import qualified
from docsession._sql._schema import HEAD_REVISION, VERSION_TABLE
from tests.migrations.conftest import DONE, EVERYTHING, FAILED, HOSTILE_NAMES, NOTHING, ROOT, catalog_of


@pytest.fixture
def psql(postgres_url, tmp_path):
    """Run a script with psql, which stops at the first error, and return its exit code and what it printed."""
    program = find_binaries(18).install / "bin" / "psql"

    def run(script):
        file = tmp_path / "script.sql"
        file.write_text(script, encoding="utf-8")
        done = subprocess.run(
            [program, "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", file, postgres_url],
            env=os.environ | {"PGCLIENTENCODING": "UTF8"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def script(project):
    """Return the script of a command, which asks no server."""

    def write(*arguments):
        code, output = project("sql", "--url", "postgresql://nobody@127.0.0.1:1/nothing", *arguments)
        assert code == DONE, output
        return output

    return write


@pytest.fixture
def both(project, database, new_database):
    """Two databases of a project: one for scripts, one that is upgraded; and how to compare them."""
    other = new_database()
    project.configure(database, other)
    project.revision("a1", EVERYTHING, NOTHING)
    project.revision("a2", 'op.create_collection_table("folk")', 'op.drop_collection_table("folk")', down="a1")
    return database, other


def differences(one, other):
    return {part: set(map(str, one[part])) ^ set(map(str, other[part])) for part in one if one[part] != other[part]}


@pytest.mark.parametrize("database", [None, *HOSTILE_NAMES[3:7]], indirect=True)
def test_there_and_back_it_makes_what_the_commands_make(project, script, psql, both, server):
    scripted, migrated = both
    assert psql(script("-d", scripted))[0] == 0
    assert project("upgrade", "-d", migrated)[0] == DONE
    assert differences(catalog_of(server, scripted), catalog_of(server, migrated)) == {}
    assert project("check", "-d", scripted)[1] == project("check", "-d", migrated)[1].replace(migrated, scripted)
    assert project("current", "--check-heads", "-d", scripted)[0] == DONE
    for_both = [
        (("a2:a1", "--downgrade"), ("downgrade", "a1")),
        (("a1:head",), ("upgrade",)),
        (("project@a2:base", "--downgrade"), ("downgrade", "project@base")),
        ((f"{HEAD_REVISION}:0001", "--downgrade"), ("downgrade", "0001")),
        (("0001:head",), ("upgrade", "docsession@head")),
        ((f"docsession@{HEAD_REVISION}:base", "-D"), ("downgrade", "docsession@base")),
    ]
    for written, run in for_both:
        code, output = psql(script(*written, "-d", scripted))
        assert code == 0, output
        code, output = project(*run, "-d", migrated)
        assert code == DONE, output
        assert differences(catalog_of(server, scripted), catalog_of(server, migrated)) == {}


def test_a_script_without_a_project_is_docsession_alone(script, psql, project, database):
    output = script("-d", database)
    assert output.startswith(f"-- The database {database}.\n\nCREATE SCHEMA IF NOT EXISTS ")
    assert "project" not in output
    assert psql(output)[0] == 0
    assert project("check", "-d", database)[0] == DONE


def test_a_part_of_the_way_makes_no_schema(script, database):
    assert "CREATE SCHEMA" not in script("0001:head", "-d", database)


def test_several_databases_are_written_one_after_another(project, script, psql, new_database):
    names = [new_database(), new_database()]
    project.configure(*names)
    assert psql(script())[0] == 0
    assert project("check")[0] == 1  # the tables of the models
    assert project("current", "--check-heads")[0] == DONE


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ("docsession_collections VALUES ('c', 'Companies', 'companies')", "holds collections (Companies)"),
        ("docsession_identities VALUES ('i|', 1)", "identities in docsession_identities"),
    ],
)
def test_what_a_downgrade_refuses_its_script_refuses_too(script, psql, project, run, server, database, row, part):
    project("upgrade", "-d", database)
    table, rest = row.split(" ", 1)
    run([f"INSERT INTO {qualified(database, table)} {rest}"])
    code, output = psql(script("head:base", "-D", "-d", database))
    assert code == 3
    assert part in output
    assert server.execute(f"SELECT count(*) FROM {qualified(database, VERSION_TABLE)}".encode()).fetchone() == (1,)


def test_tables_of_collections_are_refused_too(script, psql, project, database):
    project("upgrade", "-d", database, "-c", "Companies")
    code, output = psql(script("head:base", "-D", "-d", database))
    assert code == 3
    assert "holds collections (companies)" in output


@pytest.mark.parametrize("given", ["0007", "0001:0007", "head:base", "ours@head", "zz:head"])
def test_a_way_that_there_is_not_is_told(project, database, given):
    project.configure(database)
    code, output = project("sql", given)
    assert code == FAILED
    assert "[ds410]" in output


def test_it_starts_no_embedded_server(database, tmp_path):
    program = [sys.executable, "-m", "docsession", "sql", "-d", database]
    environment = {name: value for name, value in os.environ.items() if name != "DOCSESSION_URL"}
    environment |= {"XDG_DATA_HOME": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert not (tmp_path / "data").exists()
