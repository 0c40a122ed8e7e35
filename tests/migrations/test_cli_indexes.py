"""`docsession indexes`: which are there, which are used, and which are not."""

import re

import pytest

from docsession._sql._quoting import quote_identifier
from tests.migrations.conftest import DONE
from tests.migrations.test_revisions_with_indexes import change, shop

__all__ = ["shop"]


@pytest.fixture
def listed(shop, database):
    """Return what is said of each index: its use and origin."""

    def call():
        code, output = shop("indexes", "-d", database)
        assert code == DONE, output
        lines = [line.removeprefix(f"{database}: ").split("  ") for line in output.splitlines()]
        assert {line[0] for line in lines[1:]} == {"orders"}
        cells = [[cell.strip() for cell in line if cell.strip()] for line in lines[1:]]
        return {name: (use, origin) for _, name, use, _, _, origin in cells}

    return call


def test_it_shows_use_and_origin(shop, database, server, listed, run):
    shop("revision", "--autogenerate", "-m", "first")
    shop("upgrade")
    schema = quote_identifier(database)
    run([f"CREATE INDEX theirs ON {schema}.orders (version)", f"CREATE INDEX bad ON {schema}.orders (last_modified)"])
    run([f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{schema}.bad'::regclass"])
    found = listed()
    assert found["theirs"] == ("unused", "not docsession's")
    assert found["bad"] == ("invalid", "not docsession's")
    assert found["orders_tags_gin"] == ("unused", "declared")
    assert found["orders_number_key"] == ("used", "declared")
    with server.transaction():
        server.execute("SET LOCAL enable_seqscan = off")
        server.execute(f"SELECT FROM {schema}.orders WHERE version = 3".encode())
    server.execute("SELECT pg_stat_force_next_flush()")
    server.execute("SELECT 1")
    assert listed()["theirs"] == ("used", "not docsession's")
    change(shop, "GinIndex(lambda o: o.tags)", "GinIndex()")
    found = listed()
    assert found["orders_tags_gin"] == ("unused", "not declared")
    assert found["orders_gin"] == ("missing", "declared")
    change(shop, "GinIndex()", "GinIndex(lambda o: o.tags, where=lambda o: o.status == 'x', name='orders_tags_gin')")
    assert listed()["orders_tags_gin"] == ("unused", "declared otherwise")


def test_without_models_only_whose_they_are(shop, database, server, listed):
    shop("upgrade", "--all-collections")
    catalogue = f"{quote_identifier(database)}.docsession_collections"
    server.execute(f"INSERT INTO {catalogue} VALUES ('x', 'Orders', 'orders')".encode())
    shop.configure(database, models=None)
    assert listed()["orders_tags_gin"] == ("unused", "docsession's")


def test_a_database_without_any_says_so(project, database):
    project.configure(database, models=None)
    project("upgrade")
    assert project("indexes") == (DONE, f"{database}: no indexes but those of the ids\n")


QUERIES = """
from docsession import len_
session.store(Order("companies/1"))
session.save_changes()
for number in range(3):
    list(session.query(Order).where(lambda o: len_(o.tags) > number))
"""


def test_it_advises_what_queries_lack(shop, database):
    shop("upgrade", "--all-collections")
    code, output = shop("shell", "-d", database, "--command", QUERIES)
    assert code == DONE, output
    code, output = shop("indexes", "-d", database)
    assert code == DONE, output
    *_, header, advice = [line.removeprefix(f"{database}: ") for line in output.splitlines()]
    assert header.startswith("queries that no index serves")
    expected = (
        r"Orders: Index\(lambda o: len_\(o.tags\)\),  # 3 queries of [0-9.]+ ms on 1 document; a table as small .*"
    )
    assert re.fullmatch(expected, advice)
    shop.configure(database, models=None)
    assert "queries" not in shop("indexes", "-d", database)[1]


@pytest.mark.parametrize("readable", [["collections"], ["collections", "query_shapes"]])
def test_a_role_that_may_not_look_is_told_so(shop, database, server, url_of, role, readable):
    shop("upgrade", "--all-collections")
    shop("shell", "-d", database, "--command", QUERIES)
    schema = quote_identifier(database)
    server.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role['user']}".encode())
    for table in readable:
        server.execute(f"GRANT SELECT ON {schema}.docsession_{table} TO {role['user']}".encode())
    code, output = shop("indexes", "-d", database, "--url", url_of(**role))
    assert code == DONE, output
    assert "orders_number_key" in output
    assert f"{database}: which indexes queries lack cannot be told: " in output.splitlines()[-1]
