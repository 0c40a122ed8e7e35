"""Alembic's own command line, with the alembic.ini of the project."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docsession._migrate import drift, upgrade
from docsession._sql._quoting import qualified, quote_identifier
from docsession._sql._schema import create_collection_statements
from tests.migrations.conftest import HOSTILE_NAMES

ROOT = Path(__file__).parents[2]


@pytest.fixture
def alembic(url_of, database):
    """Run Alembic on the test's database and return its exit code and what it printed."""

    def call(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "alembic", "-x", f"database={database}", *arguments],
            cwd=ROOT,
            env=os.environ | {"DOCSESSION_URL": url_of(), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return call


@pytest.mark.parametrize("database", [None, HOSTILE_NAMES[0]], indirect=True)
def test_it_brings_a_database_to_the_newest_revision_and_back(alembic, database, target_of):
    code, output = alembic("upgrade", "head")
    assert code == 0, output
    assert drift(target_of(database)) == []
    code, output = alembic("downgrade", "base")
    assert code == 0, output


def test_autogenerate_sees_the_collections_and_drops_nothing(alembic, database, target_of, run):
    """Neither tables that the catalogue names, nor others in the schema or elsewhere on the server."""
    upgrade(target_of(database))
    run(
        [
            *create_collection_statements(database, "companies"),
            f"INSERT INTO {qualified(database, 'docsession_collections')} VALUES ('c', 'Companies', 'companies')",
            f"CREATE TABLE {qualified(database, 'others')} (id int)",
        ]
    )
    code, output = alembic("check")
    assert code == 0, output
    assert "No new upgrade operations detected" in output
    run([f"ALTER TABLE {qualified(database, 'companies')} DROP metadata"])
    code, output = alembic("check")
    assert code != 0
    assert "add_column" in output
    assert "remove_table" not in output


def test_scripts_of_sql_name_the_database(alembic, database):
    code, output = alembic("upgrade", "head", "--sql")
    assert code == 0, output
    name = quote_identifier(database)
    assert f"CREATE TABLE {name}.docsession_hilo (" in output
    assert f"INSERT INTO {name}.docsession_alembic_version " in output


def test_a_revision_that_it_writes_names_no_schema(database, target_of, run, url_of, tmp_path):
    upgrade(target_of(database))
    run([f"DROP TABLE {qualified(database, 'docsession_hilo')}"])
    run([f"ALTER TABLE {qualified(database, 'docsession_identities')} ALTER value DROP NOT NULL"])
    shutil.copytree(ROOT / "migrations", tmp_path / "migrations")
    shutil.copy(ROOT / "alembic.ini", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-x", f"database={database}", "revision", "--autogenerate", "-m", "hilo"],
        cwd=tmp_path,
        env=os.environ | {"DOCSESSION_URL": url_of(), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [file] = (tmp_path / "migrations" / "versions").glob("*_hilo.py")
    text = file.read_text(encoding="utf-8")
    assert "op.create_table('docsession_hilo'" in text
    assert "op.alter_column('docsession_identities', 'value'" in text
    assert "schema" not in text
