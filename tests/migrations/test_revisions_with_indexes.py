"""A project's revisions with declared indexes, from the command line, and in an Alembic environment of one's own."""

import os
import re
import subprocess
import sys
import threading

import psycopg
import pytest

from docsession._sql._quoting import quote_identifier
from docsession._sql._schema import create_collection_statements
from tests.migrations.conftest import DIFFERENT, DONE, HOSTILE_NAMES, ROOT, catalog_of
from tests.support.extensions import made

MODELS = """
from dataclasses import dataclass

from docsession import GinIndex, Index, Promoted, Statistics, desc, document


@document(indexes=[
    Index(lambda o: (o.status, desc(o.ordered_at)), where=lambda o: o.status != "it's {{done}} at 50%:now"),
    Index(lambda o: o.number, unique=True),
    Promoted(lambda o: o.company),
    GinIndex(lambda o: o.tags),
    Statistics(lambda o: (o.status, o.company)),
])
@dataclass
class Order:
    company: str
    status: str = ""
    number: str = ""
    ordered_at: str = ""
    tags: list[str] | None = None
    id: str | None = None
"""


@pytest.fixture
def shop(project, database, new_database):
    """A project with two databases at docsession's newest revision, and indexes on its model."""
    project.write(f"{project.package}/models.py", MODELS)
    project.names = [database, new_database()]
    project.configure(*project.names)
    assert project("upgrade")[0] == DONE
    return project


def written(shop):
    return shop.revisions[-1].read_text(encoding="utf-8")


def change(shop, old, new):
    """Change the models, as the next run of the command will see them."""
    text = (shop.folder / shop.package / "models.py").read_text(encoding="utf-8")
    assert old in text
    shop.write(f"{shop.package}/models.py", text.replace(old, new))
    for module in [module for module in sys.modules if module.split(".")[0] == shop.package]:
        del sys.modules[module]


class TestFromTheModels:
    @pytest.mark.parametrize("database", [None, HOSTILE_NAMES[0], HOSTILE_NAMES[3]], indirect=True)
    def test_a_revision_makes_them_in_every_database_and_takes_them_back(self, shop, server, database):
        before = [catalog_of(server, name) for name in shop.names]
        assert shop("revision", "--autogenerate", "-m", "orders", "--rev-id", "a1")[0] == DONE
        text = written(shop)
        assert re.findall(r"op\.(\w+)\(", text) == [
            "create_collection_table",
            "docsession_add_column",
            *["docsession_create_index"] * 4,
            "docsession_create_statistics",
            "docsession_drop_statistics",
            *["docsession_drop_index"] * 4,
            "docsession_drop_column",
            "drop_collection_table",
        ]
        assert "schema=" not in text
        assert database not in text
        compile(text, "revision", "exec")
        code, output = shop("upgrade")
        assert code == DONE, output
        assert shop("revision", "--autogenerate", "-m", "more") == (
            DONE,
            f"{database}: has all that the models need; nothing was written\n",
        )
        assert shop("check") == (DONE, "".join(f"{name}: no difference\n" for name in shop.names))
        made = [catalog_of(server, name) for name in shop.names]
        assert made[0] == made[1]
        assert len(made[0]["indexes"]) == len(before[0]["indexes"]) + 6
        code, output = shop("downgrade", "project@base")
        assert code == DONE, output
        server.execute(f"DROP TABLE {quote_identifier(database)}.docsession_project_version".encode())
        assert catalog_of(server, database) == before[0]

    def test_a_change_is_one_revision_with_a_way_back(self, shop, server, database):
        shop("revision", "--autogenerate", "-m", "first", "--rev-id", "a1")
        shop("upgrade")
        before = catalog_of(server, database)
        change(shop, "o.number, unique=True", "o.number, unique=False")
        code, output = shop("check", "-d", database)
        assert code == DIFFERENT
        advice = "run `docsession revision --autogenerate`"
        assert output.splitlines() == [
            f"{database}: table orders: the index orders_number_key is declared no longer; {advice}",
            f"{database}: table orders: the index orders_number_idx is missing; {advice}",
        ]
        shop("revision", "--autogenerate", "-m", "second", "--rev-id", "a2")
        assert re.findall(r"op\.(\w+)\(", written(shop)) == ["docsession_drop_index", "docsession_create_index"] * 2
        assert "digest=" in written(shop).split("def downgrade")[1]
        assert shop("upgrade")[0] == DONE
        assert "nothing was written" in shop("revision", "--autogenerate", "-m", "third")[1]
        assert shop("downgrade", "project@a1")[0] == DONE
        assert catalog_of(server, database) == before
        change(shop, "unique=False", "unique=True")
        [line] = shop("check", "-d", database)[1].splitlines()
        assert "project: a1, older than a2" in line

    def test_a_column_of_a_table_with_documents_says_what_it_costs(self, shop, run, database):
        change(shop, "    Promoted(lambda o: o.company),\n", "")
        shop("revision", "--autogenerate", "-m", "first", "--rev-id", "a1")
        shop("upgrade")
        orders = f"{quote_identifier(database)}.orders"
        run([f"INSERT INTO {orders} SELECT 'o/' || n, '{{}}', NULL, 1, now() FROM generate_series(1, 1234) AS n"])
        run([f"ANALYZE {orders}"])
        change(shop, "    GinIndex", "    Promoted(lambda o: o.company),\n    GinIndex")
        shop("revision", "--autogenerate", "-m", "second", "--rev-id", "a2")
        text = written(shop)
        assert "# This writes the whole table orders anew (1,234 rows where it was compared); meanwhile nobody" in text
        assert 'lock_timeout="5s"' in text
        assert shop("upgrade")[0] == DONE
        assert shop("check")[0] == DONE

    def test_vectors_have_their_extension(self, shop, server, database, postgres_url):
        change(shop, "GinIndex(lambda o: o.tags)", "VectorIndex(lambda o: o.place, dimensions=3)")
        change(shop, "import GinIndex", "import VectorIndex")
        change(shop, "    tags: list[str] | None = None", "    place: list[float] | None = None")
        shop("revision", "--autogenerate", "-m", "first", "--rev-id", "a1")
        assert written(shop).count('extensions=["vector"]') == 2
        before = catalog_of(server, database)
        has_vector = made(postgres_url, "vector")
        code, output = shop("upgrade")
        assert (code == DONE) is has_vector, output
        if not has_vector:
            assert "CREATE EXTENSION vector" in output
            return
        assert shop("check") == (DONE, "".join(f"{name}: no difference\n" for name in shop.names))
        assert "nothing was written" in shop("revision", "--autogenerate", "-m", "second")[1]
        assert shop("downgrade", "project@base")[0] == DONE
        server.execute(f"DROP TABLE {quote_identifier(database)}.docsession_project_version".encode())
        assert catalog_of(server, database) == before

    def test_a_script_for_psql_makes_the_same_and_takes_it_back(self, shop, server, psql, database):
        shop("revision", "--autogenerate", "-m", "first", "--rev-id", "a1")
        before = catalog_of(server, database)
        code, script = shop("sql", "-d", database, "project@base:a1")
        assert code == DONE
        assert script.count("CREATE INDEX CONCURRENTLY") == 3
        psql(script)
        assert shop("check", "-d", database) == (DONE, f"{database}: no difference\n")
        orders = f"{quote_identifier(database)}"
        server.execute(
            f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{orders}.orders_tags_gin'::regclass".encode()
        )
        # A script that was interrupted: what is there stays, what is invalid is made anew.
        again = script[script.index("COMMIT;") :]
        psql("BEGIN;\n" + again[: again.index("CREATE STATISTICS")] + "COMMIT;")
        assert shop("check", "-d", database) == (DONE, f"{database}: no difference\n")
        code, script = shop("sql", "-d", database, "--downgrade", "project@a1:base")
        assert code == DONE
        psql(script)
        server.execute(f"DROP TABLE {quote_identifier(database)}.docsession_project_version".encode())
        assert catalog_of(server, database) == before

    def test_tables_that_upgrade_makes_have_them(self, shop, database):
        assert shop("upgrade", "--all-collections", "-d", database)[0] == DONE
        assert shop("check", "-d", database) == (DONE, f"{database}: no difference\n")
        assert "nothing was written" in shop("revision", "--autogenerate", "-m", "first")[1]
        assert shop("upgrade", "--all-collections", "-d", database)[0] == DONE

    def test_two_upgrades_at_once_make_them_once(self, shop, server):
        shop("revision", "--autogenerate", "-m", "first", "--rev-id", "a1")
        processes = [shop.start("upgrade") for _ in range(2)]
        outputs = []
        readers = [threading.Thread(target=lambda p=p: outputs.append(p.communicate()[0])) for p in processes]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        assert [process.returncode for process in processes] == [DONE, DONE], outputs
        assert sum(output.count("project: upgraded to a1") for output in outputs) == len(shop.names)
        assert shop("check")[0] == DONE


@pytest.fixture
def psql(url_of):
    """Run a script as psql does: statement by statement, outside a transaction but for those of the script."""

    def execute(script):
        with psycopg.connect(url_of(), autocommit=True) as connection:
            for statement in statements_of(script):
                connection.execute(statement.encode())

    return execute


def statements_of(script):
    """Return the statements of a script, with its comments; those in dollar quotes hold semicolons."""
    pattern = re.compile(r"""(?:--[^\n]*|'(?:[^']|'')*'|"(?:[^"]|"")*"|(\$\w*\$).*?\1|[^;])+;""", re.DOTALL)
    return [match[0] for match in pattern.finditer(script)]


ENV = """
from alembic import context
from sqlalchemy import MetaData, create_engine

from docsession import DocumentStore
from {package}.models import Order

store = DocumentStore({url!r}, database={database!r})
metadata = store.metadata_of(Order)


def include_name(name, kind, parents):
    if kind == "schema":
        return name == store.database
    return kind != "table" or parents["schema_qualified_table_name"] in metadata.tables


with create_engine("postgresql+psycopg://", connect_args={connect}).connect() as connection:
    context.configure(
        connection=connection, target_metadata=metadata, include_schemas=True, include_name=include_name,
        version_table={version!r},
    )
    with context.begin_transaction():
        context.run_migrations()
"""
MAKO = """
from alembic import op
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
def upgrade():
    ${upgrades or "pass"}
def downgrade():
    ${downgrades or "pass"}
"""


def test_an_environment_of_ones_own_needs_no_change(shop, database, conninfo, url_of, server, run):
    """The entry point brings comparison and operations to whoever imports Alembic."""
    run(create_collection_statements(database, "orders"))
    version = f"own_{shop.package}"
    shop.write(
        "own/env.py",
        ENV.format(package=shop.package, url=url_of(), database=database, connect=conninfo, version=version),
    )
    shop.write("own/script.py.mako", MAKO)
    (shop.folder / "own/versions").mkdir()
    shop.write("alembic.ini", "[alembic]\nscript_location = own\nprepend_sys_path = .\n")
    # The entry point as pyproject.toml declares it, for a checkout that was installed before.
    shop.write("x-1.dist-info/METADATA", "Name: x\nVersion: 1\n")
    declared = re.search(r'plugins"]\n"(\S+)" = "(\S+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    installed = "import importlib.metadata as m; print(len(m.entry_points(group='alembic.plugins')))"
    if subprocess.check_output([sys.executable, "-c", installed]).strip() == b"0":
        shop.write("x-1.dist-info/entry_points.txt", f"[alembic.plugins]\n{declared[1]} = {declared[2]}\n")

    def alembic(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=shop.folder,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{shop.folder}"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    before = catalog_of(server, database)
    try:
        code, output = alembic("revision", "--autogenerate", "-m", "indexes", "--rev-id", "i1")
        assert code == 0, output
        [file] = (shop.folder / "own" / "versions").glob("*.py")
        operations = re.findall(r"op\.(\w+)\(", file.read_text(encoding="utf-8"))
        assert operations[:2] == ["docsession_add_column", "docsession_create_index"]
        assert all(operation.startswith("docsession_") for operation in operations)
        assert f"schema={database!r}".replace("'", '"') in file.read_text(encoding="utf-8")
        for arguments in (["upgrade", "head"], ["check"], ["downgrade", "base"], ["upgrade", "head"], ["check"]):
            code, output = alembic(*arguments)
            assert code == 0, output
        assert shop("check", "-d", database) == (DONE, f"{database}: no difference\n")
        assert alembic("downgrade", "base")[0] == 0
        assert catalog_of(server, database) == before
    finally:
        server.execute(f"DROP TABLE IF EXISTS {version}".encode())
