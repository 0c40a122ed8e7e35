"""Two processes of `docsession upgrade` at once, with an index that is built concurrently."""

import threading
from contextlib import closing

import psycopg
import pytest

from docsession._sql._quoting import qualified
from docsession._sql._schema import create_collection_statements, try_lock_statement
from tests.migrations.conftest import DONE, FAILED

WAITING = "waiting for another docsession that is migrating databases"
INDEXES = """
    SELECT n.nspname FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = 'orders_version' AND i.indisvalid AND n.nspname = ANY (%s) ORDER BY 1
"""
BUILDING = """
    SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'
"""


@pytest.fixture
def databases(project, new_database):
    """Three databases of a project whose second revision builds an index concurrently."""
    names = sorted(new_database() for _ in range(3))
    project.configure(*names)
    project.revision("a1", 'op.create_collection_table("orders")', 'op.drop_collection_table("orders")')
    project.revision(
        "a2",
        """
        with op.get_context().autocommit_block():
            op.create_index("orders_version", "orders", ["version"], postgresql_concurrently=True)
        """,
        """
        with op.get_context().autocommit_block():
            op.drop_index("orders_version", "orders", postgresql_concurrently=True)
        """,
        down="a1",
    )
    return names


@pytest.fixture
def start(project):
    """Start the command; what still runs when the test ends is ended."""
    started = []

    def begin(*arguments):
        process = project.start(*arguments)
        started.append(process)
        return process

    yield begin
    for process in started:
        with process:
            process.kill()


def read_until(process, text):
    """Return the lines of a process up to the first that holds *text*; fails where it ends without one."""
    watch = threading.Timer(60, process.kill)
    watch.start()
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if text in line:
                return lines
    finally:
        watch.cancel()
    raise AssertionError("".join(lines))


def test_the_second_waits_for_the_first_and_finds_nothing_to_do(project, databases, start, server, postgres_url):
    first_database = databases[0]
    assert project("upgrade", "-d", first_database, "a1")[0] == FAILED  # docsession's own come first
    assert project("upgrade", "-d", first_database, "docsession@head")[0] == DONE
    assert project("upgrade", "-d", first_database, "a1")[0] == DONE
    with closing(psycopg.connect(postgres_url)) as reader:
        # CREATE INDEX CONCURRENTLY waits until this has ended.
        reader.execute(f"LOCK TABLE {qualified(first_database, 'orders')} IN ROW EXCLUSIVE MODE".encode())
        first = start("upgrade")
        read_until(first, f"{first_database}: ")
        while server.execute(BUILDING).fetchone() == (0,):
            assert first.poll() is None
        second = start("upgrade")
        read_until(second, WAITING)
        assert first.poll() is None
        reader.rollback()
    outputs = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [DONE, DONE], outputs
    assert "upgraded to" not in outputs[1]
    assert [name for (name,) in server.execute(INDEXES, [databases])] == databases
    assert project("current", "--check-heads")[0] == DONE


def test_many_at_once_do_it_once(project, databases, start, server):
    processes = [start("upgrade") for _ in range(3)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [DONE] * 3, outputs
    for name in databases:
        assert "".join(outputs).count(f"{name}: project: upgraded to a2") == 1
    assert [name for (name,) in server.execute(INDEXES, [databases])] == databases
    assert project("downgrade", "project@base")[0] == DONE
    assert server.execute(INDEXES, [databases]).fetchall() == []


def test_a_run_that_does_not_end_is_told(project, databases, server):
    with server.transaction():
        server.execute(try_lock_statement("").encode())
        code, output = project("upgrade", "--lock-timeout", "0.2")
    assert code == FAILED
    assert WAITING in output
    assert "another process has been migrating databases of this server for 0.2 seconds" in output


def test_tables_are_made_on_first_use_meanwhile(project, databases, server, run):
    with server.transaction():
        server.execute(try_lock_statement("").encode())
        with closing(psycopg.connect(project.url, autocommit=True)) as other:
            other.execute(f'CREATE SCHEMA "{databases[0]}"'.encode())
            run(create_collection_statements(databases[0], "orders"), other)
