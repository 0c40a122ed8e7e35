"""Django's own tests: `manage.py test` of a project, in a process of its own, as its developers run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

ROOT = Path(__file__).parents[3]


@pytest.fixture
def manage(direct_url, database):
    """Run `python -m django …` and return what it printed."""
    name = f"test_{database}"

    def run(*arguments, code=0):
        settings = {"DJANGO_SETTINGS_MODULE": "tests.contrib.django.tested.settings", "TESTED_DATABASE": name}
        environment = os.environ | settings | {"TESTED_URL": direct_url, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "django", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    yield run
    with psycopg.connect(direct_url, autocommit=True) as connection:
        for each in [name, *(f"{name}_{i}" for i in range(1, 5))]:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(each)))


def databases(url, name):
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [name])
        return [row[0] for row in found.fetchall()]


@pytest.mark.parametrize("arguments", [[], ["--parallel=2"]], ids=["alone", "parallel"])
def test_documents_are_rolled_back_with_each_test(manage, direct_url, database, arguments):
    """And the database of the tests can be dropped at the end: no connection to it is left."""
    printed = manage("test", "tests.contrib.django.tested", "--shuffle", "--noinput", *arguments)

    assert re.search(r"Ran (\d+) tests", printed)[1] == "9", printed
    assert databases(direct_url, f"test_{database}") == []
