"""Databases of the tests of the schema, and what the server's catalog says of them."""

import json
import os
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict

from docsession._cli import main
from docsession._migrate import Target
from docsession._sql._quoting import quote_identifier

ROOT = Path(__file__).parents[2]
DONE, DIFFERENT, USAGE, FAILED = 0, 1, 2, 3
"""The exit codes."""

HOSTILE_NAMES = [
    'x"; drop table y; --',
    "é" * 31 + "x",
    "50%s %(a)s %%",
    "{} {0} {a}",
    "$q0$ $q1$ $$",
    "a:b \\' []",
    "--version",
    "__[SCHEMA__none]",
]

RELATIONS = """
    SELECT c.relname, c.relkind::text, c.relpersistence::text, c.reloptions, a.attnum, a.attname,
           format_type(a.atttypid, a.atttypmod), o.collname, a.attnotnull, a.attidentity::text, a.attgenerated::text,
           pg_get_expr(d.adbin, d.adrelid)
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_collation o ON o.oid = a.attcollation
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = %s::regnamespace ORDER BY c.relname, a.attnum
"""
CONSTRAINTS = """
    SELECT c.relname, k.conname, k.contype::text, pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE k.connamespace = %s::regnamespace ORDER BY 1, 2
"""
INDEXES = """
    SELECT c.relname, pg_get_indexdef(i.indexrelid), i.indisunique, i.indisprimary, i.indisvalid
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = %s::regnamespace ORDER BY 1, 2
"""
FUNCTIONS = """
    SELECT p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), l.lanname, p.provolatile::text,
           p.proisstrict, p.proparallel::text, p.prosecdef, p.proleakproof, p.proconfig, p.procost, p.prosrc
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
    WHERE p.pronamespace = %s::regnamespace ORDER BY 1, 2
"""


def catalog_of(connection, database):
    """Return everything that the server's catalog says of a schema, without the schema's name."""
    name = quote_identifier(database)
    shown = connection.execute("SELECT quote_ident(%s)", [database]).fetchone()[0]
    found = {}
    for part, query in [
        ("relations", RELATIONS),
        ("constraints", CONSTRAINTS),
        ("indexes", INDEXES),
        ("functions", FUNCTIONS),
    ]:
        rows = connection.execute(query, [name]).fetchall()
        found[part] = [tuple(_without(shown, value) for value in row) for row in rows]
    return found


def _without(schema, value):
    return value.replace(f"{schema}.", "") if isinstance(value, str) else value


@pytest.fixture
def server(postgres_url):
    """A connection to the server, in autocommit."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def forget(server):
    """Take names of schemas that are dropped when the test is over."""
    names = []
    yield names.append
    for name in names:
        server.execute(f"DROP SCHEMA IF EXISTS {quote_identifier(name)} CASCADE".encode())


@pytest.fixture
def new_database(forget):
    """Return a name that no other test uses, dropped afterwards."""

    def make():
        name = f"test {uuid.uuid4().hex}"
        forget(name)
        return name

    return make


@pytest.fixture
def database(request, new_database, forget):
    """A name that no other test uses, or the one that the test is parametrized with; dropped afterwards."""
    name = getattr(request, "param", None) or new_database()
    forget(name)
    return name


@pytest.fixture
def conninfo(postgres_url):
    return {name: str(value) for name, value in conninfo_to_dict(postgres_url).items()}


@pytest.fixture
def target_of(conninfo):
    return lambda database, **changes: Target(conninfo | changes, database)


@pytest.fixture
def role(server, conninfo):
    """A role that may connect and nothing else; returns what it needs to log in."""
    name = f"role_{uuid.uuid4().hex}"
    server.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'pass-{name}'".encode())
    yield {"user": name, "password": f"pass-{name}"}
    server.execute(f"DROP OWNED BY {name}".encode())
    server.execute(f"DROP ROLE {name}".encode())


@pytest.fixture
def url_of(conninfo):
    """Return the server's URL, with some of its parts changed."""

    def make(**changes):
        parts = conninfo | changes
        user, password, name = parts.pop("user"), parts.pop("password", ""), parts.pop("dbname")
        return f"postgresql://{quote(user)}:{quote(password)}@/{quote(name)}?{urlencode(parts)}"

    return make


@pytest.fixture
def run(server):
    """Run statements as the session does: each alone, outside a transaction, prepared."""

    def execute(statements, connection=server):
        for statement in statements:
            connection.execute(statement.encode(), prepare=True)

    return execute


MODELS = """
from dataclasses import dataclass

from docsession import document


@document()
@dataclass
class Order:
    id: str | None = None


@document(collection="Folk")
@dataclass
class Person:
    name: str = ""
    id: str | None = None
"""


# A revision with one of each kind of Alembic's operations, and the way back.
EVERYTHING = """
    op.create_table("tags", sa.Column("name", sa.Text(), primary_key=True), sa.Column("n", sa.Integer()))
    op.create_table("notes", sa.Column("id", sa.Text(), primary_key=True), sa.Column("tag", sa.Text()))
    op.create_collection_table("orders")
    op.add_column("tags", sa.Column("made", sa.DateTime(timezone=True)))
    op.add_column("tags", sa.Column("gone", sa.Integer()))
    op.drop_column("tags", "gone")
    op.alter_column("tags", "n", type_=sa.BigInteger(), nullable=False, server_default="0")
    op.alter_column("tags", "made", new_column_name="created", comment="when")
    op.create_foreign_key("notes_tag", "notes", "tags", ["tag"], ["name"])
    op.create_check_constraint("positive", "tags", "n >= 0")
    op.create_unique_constraint("one_n", "tags", ["n"])
    op.create_index("orders_total", "orders", [sa.text("((data -> 'total'))")])
    op.create_table_comment("tags", "said about orders")
    op.rename_table("notes", "remarks")
    tags = sa.table("tags", sa.column("name", sa.Text), sa.column("n", sa.Integer))
    op.bulk_insert(tags, [{"name": "a", "n": 1}])
    op.execute(f"INSERT INTO {op.qualified_name('tags')} (name, n) VALUES ('b', 2)")
    op.execute(tags.update().values(n=5).where(tags.c.name == "b"))
    short = tags.alias("t")
    op.execute(sa.select(short.c.n).where(short.c.n == 5))
    with op.batch_alter_table("tags") as batch:
        batch.add_column(sa.Column("kind", sa.Text()))
    with op.get_context().autocommit_block():
        op.create_index("orders_version", "orders", ["version"], postgresql_concurrently=True)
"""
NOTHING = """
    op.drop_index("orders_version", "orders")
    op.drop_index("orders_total", "orders")
    op.drop_constraint("notes_tag", "remarks")
    op.drop_table("remarks")
    op.drop_table("tags")
    op.drop_collection_table("orders")
"""


class Project:
    """A folder with a docsession.toml and a package of models, and the command run there.

    Attributes:
        folder: The folder.
        package: The package's name, which no other test uses.
        url: The server's URL.
    """

    def __init__(self, folder, url):
        self.folder = folder
        self.package = f"shop_{uuid.uuid4().hex}"
        self.url = url
        self.write(f"{self.package}/__init__.py", "")
        self.write(f"{self.package}/models.py", MODELS)

    def configure(self, *databases, **settings):
        """Write docsession.toml; a setting of None is left out."""
        settings = {"models": [f"{self.package}.models"], "databases": list(databases)} | settings
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items() if value is not None]
        self.write("docsession.toml", "".join(lines))

    def write(self, name, text):
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def revision(self, name, upgrade, downgrade="pass", down=None):
        """Write a revision by hand."""
        body = "import sqlalchemy as sa\nfrom alembic import op\n\n"
        body += f"revision = {name!r}\ndown_revision = {down!r}\n\n\n"
        for function, lines in (("upgrade", upgrade), ("downgrade", downgrade)):
            body += f"def {function}():\n{textwrap.indent(textwrap.dedent(lines).strip(), '    ')}\n\n\n"
        return self.write(f"docsession_migrations/{name}.py", body)

    @property
    def revisions(self):
        """The files of the project's revisions."""
        return sorted((self.folder / "docsession_migrations").glob("*.py"))

    def __call__(self, *arguments):
        """Run the command in this process and return its exit code and everything that it printed."""
        result = CliRunner().invoke(main, arguments, env={"DOCSESSION_URL": self.url})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result.exit_code, result.output

    def start(self, *arguments, environment=(), **options):
        """Start the command as a process of its own."""
        own = {"DOCSESSION_URL": self.url, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            [sys.executable, "-m", "docsession", *arguments],
            cwd=self.folder,
            env=os.environ | own | dict(environment),
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | options,
        )


@pytest.fixture
def project(tmp_path, monkeypatch, url_of):
    """A project of the test's own, in the working directory."""
    made = Project(tmp_path, url_of())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield made
    for module in [module for module in sys.modules if module.split(".")[0] == made.package]:
        del sys.modules[module]
