"""Databases of the tests of the schema, and what the server's catalog says of them."""

import uuid
from urllib.parse import quote, urlencode

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from docsession._migrate import Target
from docsession._sql._quoting import quote_identifier

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
        found[part] = [
            tuple(value.replace(f" ON {shown}.", " ON ") if isinstance(value, str) else value for value in row)
            for row in rows
        ]
    return found


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
