"""The guide to migrations: its files are written, its commands run, and print what the page says."""

import doctest
import os
import re
import shlex
import subprocess
import sys
import uuid

import psycopg
import pytest
from click.testing import CliRunner

from docsession._cli import main
from tests.migrations.conftest import ROOT

PAGE = ROOT / "docs" / "migrations.md"
BLOCKS = re.compile(r"^```(toml|py|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


def blocks():
    """Yield (kind, text) of each block of the page."""
    for match in BLOCKS.finditer(PAGE.read_text(encoding="utf-8")):
        yield match.groups()


@pytest.fixture
def url(server, url_of):
    """The URL of a PostgreSQL database of the test's own, in which names and the schema public are free."""
    name = f"guide_{uuid.uuid4().hex}"
    server.execute(f"CREATE DATABASE {name}".encode())
    yield url_of(dbname=name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def docsession(tmp_path, url, monkeypatch):
    """Run the command in the project's folder and return what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("DOCSESSION_URL", url)
    yield lambda *arguments: CliRunner().invoke(main, arguments).output
    for module in [module for module in sys.modules if module.split(".")[0] == "shop"]:
        del sys.modules[module]


@pytest.fixture
def alembic(tmp_path, url):
    """Run Alembic in the project's folder and return its exit code and what it printed."""

    def call(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=tmp_path,
            env=os.environ
            | {"DOCSESSION_URL": url, "PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    return call


def write(folder, text):
    """Write a file whose first line is a comment with its name; anything else is for reading."""
    name = re.match(r"# (\S+[.]py)\n", text)
    if name is not None:
        file = folder / name[1]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text[name.end() :], encoding="utf-8")


def test_its_commands_print_what_the_page_says(tmp_path, docsession):
    checker, flags = doctest.OutputChecker(), doctest.ELLIPSIS | doctest.DONT_ACCEPT_BLANKLINE
    commands = 0
    for kind, text in blocks():
        if kind == "toml":
            (tmp_path / "docsession.toml").write_text(text, encoding="utf-8")
        elif kind == "py":
            write(tmp_path, text)
        else:
            for line, expected in COMMAND.findall(text):
                program, *arguments = shlex.split(line)
                assert program == "docsession"
                actual = docsession(*arguments)
                assert checker.check_output(expected, actual, flags), f"$ {line}\n{actual}"
                commands += 1
    assert commands > 10


ALEMBIC_INI = "[alembic]\nscript_location = %(here)s/alembic\npath_separator = os\n"
TEMPLATE = """\
${imports or ""}
import sqlalchemy as sa
from alembic import op
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
def upgrade():
    ${upgrades or "pass"}
def downgrade():
    ${downgrades or "pass"}
"""


@pytest.fixture
def own_environment(tmp_path, docsession, alembic, url):
    """The page's Alembic environment of an application, over a database with tables of docsession and of others."""
    for kind, text in blocks():
        if kind == "py":
            write(tmp_path, text)
    (tmp_path / "alembic.ini").write_text(ALEMBIC_INI, encoding="utf-8")
    (tmp_path / "alembic" / "script.py.mako").write_text(TEMPLATE, encoding="utf-8")
    (tmp_path / "alembic" / "versions").mkdir()
    docsession("upgrade", "-d", "shop", "-c", "Companies", "-c", "Orders", "-c", "Others")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE shop.theirs (id int)")
        connection.execute("INSERT INTO shop.docsession_collections VALUES ('others', 'Others', 'others')")
    return alembic


def test_an_environment_of_ones_own_sees_no_difference_where_there_is_none(own_environment, tmp_path, url):
    code, output = own_environment("revision", "--autogenerate", "-m", "invoices", "--rev-id", "i1")
    assert code == 0, output
    [file] = (tmp_path / "alembic" / "versions").glob("*.py")
    text = file.read_text(encoding="utf-8")
    assert re.findall(r"^ *op[.](\w+)\('(\w+)'", text, re.MULTILINE) == [
        ("create_table", "invoices"),
        ("drop_table", "invoices"),
    ]
    assert "['shop.companies.id']" in text
    for command in (["upgrade", "head"], ["check"], ["downgrade", "base"]):
        code, output = own_environment(*command)
        assert code == 0, output
    with psycopg.connect(url) as connection:
        tables = {name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'shop'")}
    assert {"companies", "orders", "others", "theirs", "docsession_hilo", "docsession_alembic_version"} <= tables
