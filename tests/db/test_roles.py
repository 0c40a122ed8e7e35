"""Everything but migrations works for a role that may make nothing: `USAGE` on the schema, and to read and write rows.

The tests of sessions in other modules run here once more, as such a role.
"""

import inspect
import uuid
from dataclasses import dataclass

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql
from psycopg.conninfo import make_conninfo

from docsession import (
    DatabaseDoesNotExistException,
    DocumentConventions,
    PermissionDeniedException,
    TableDoesNotExistException,
)
from docsession._cli import main
from docsession._documents._naming import table_of_collection
from docsession._sql._schema import create_collection_statements, create_database_statements
from tests.conftest import STORES
from tests.db import test_concurrency, test_session_basics, test_transactions
from tests.support.documents import save

PASSWORD = "secret"
COLLECTIONS = ["Companies", "Items", "Orders", "Settings", "Users", "days"]
LEFT_OUT = {"TestOwnSql": "makes a table of its own"}
GRANTS = """
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};
"""

for _module in (test_concurrency, test_session_basics, test_transactions):
    _suffix = _module.__name__.rpartition(".test")[2]
    for _name, _value in list(vars(_module).items()):
        if (
            _name.startswith(("Test", "test_"))
            and _name not in LEFT_OUT
            and (inspect.isclass(_value) or inspect.isfunction(_value))
        ):
            globals()[_name + _suffix] = _value


@pytest.fixture(scope="module")
def role_url(postgres_url):
    """The URL of a role that may connect and nothing else."""
    name = f"role_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        role = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(PASSWORD)))
        yield make_conninfo(postgres_url, user=name, password=PASSWORD)
        connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))


@pytest.fixture
def grant(postgres_url, role_url, database):
    """Grant the role what the documentation says."""

    def run(grants=GRANTS):
        name = psycopg.conninfo.conninfo_to_dict(role_url)["user"]
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            statements = sql.SQL(grants).format(schema=sql.Identifier(database), role=sql.Identifier(name))
            connection.execute(statements)

    return run


@pytest.fixture
def upgraded(postgres_url, database, grant):
    """The database, with tables that an owner has made, and the grants."""
    statements = create_database_statements(database)
    for name in COLLECTIONS:
        statements += create_collection_statements(database, table_of_collection(name))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
    grant()


@pytest.fixture
def auto_create(face, request):
    """On for one face and off for the other, but where a test is about it."""
    return getattr(request, "param", not face.is_async)


@pytest.fixture
def make_store(face, upgraded, role_url, database, auto_create, request):
    """Make stores of the role that may make nothing."""
    stores = request.node.stash.setdefault(STORES, [])

    def make(*urls, conventions=None, **options):
        if conventions is None:
            conventions = DocumentConventions(auto_create=auto_create)
        store = face.store(*(urls or (role_url,)), **{"database": database, "conventions": conventions} | options)
        stores.append(store)
        return store

    return make


@dataclass
class Company:
    name: str
    id: str | None = None


@pytest.mark.parametrize("auto_create", [True, False], indirect=True)
class TestMissing:
    """What is missing cannot be made: the error names the command that an owner runs."""

    async def test_a_table(self, make_store, auto_create, database):
        @dataclass
        class Robot:
            name: str
            id: str | None = None

        command = f"docsession upgrade --database {database} --collection Robots"
        with pytest.raises(
            PermissionDeniedException if auto_create else TableDoesNotExistException, match=command
        ) as caught:
            await save(make_store(), (Robot("x"), "robots/1"))
        assert caught.value.sqlstate == ("42501" if auto_create else None)

    async def test_a_database(self, make_store, auto_create, database):
        store = make_store(database=f"{database}_not")
        kind = PermissionDeniedException if auto_create else DatabaseDoesNotExistException
        with pytest.raises(kind, match=f"docsession upgrade --database {database}_not"):
            await save(store, (Company("x"), "companies/1"))


async def test_the_documented_grants_after_an_upgrade(
    make_store, face, role_url, postgres_url, grant, database, request
):
    """By the command line, as an owner; tables that are made later are covered, too."""
    name = f"{database}_later"

    def upgrade(*collections):
        options = [f"--collection={each}" for each in collections]
        done = CliRunner().invoke(main, ["upgrade", "--url", postgres_url, "--database", name, *options])
        assert done.exit_code == 0, done.output

    try:
        upgrade()
        grant(GRANTS.replace("{schema}", sql.Identifier(name).as_string(None)))
        upgrade("Companies")
        store = make_store(database=name)
        await save(store, Company("x"))
        assert await store.maintenance.get_collection_statistics() == {"Companies": 1}
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))
