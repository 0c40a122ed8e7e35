"""A million documents through a stream, in bounded memory."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from docsession import DocumentStore
from tests.support.streaming import Reading

ROOT = Path(__file__).parents[2]
NUMBER = 1_000_000

pytestmark = pytest.mark.soak


@pytest.fixture
def readings(postgres_url, database):
    """A million documents in the test's database, made by the server."""
    with DocumentStore(postgres_url, database) as store, store.open_session() as session:
        session.store(Reading("x", 0, []), "readings/0")
        session.save_changes()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL(
                "INSERT INTO {} (id, data, version, last_modified) SELECT 'readings/' || i, jsonb_build_object("
                "'place', 'place ' || i %% 1000, 'value', i, 'notes', jsonb_build_array(repeat('x', 200))), i, now() "
                "FROM generate_series(1, %s) AS i"
            ).format(sql.Identifier(database, "readings")),
            (NUMBER - 1,),
        )


@pytest.mark.parametrize("face", ["blocking", "async"])
def test_a_million_documents_take_less_than_100_megabytes(postgres_url, database, readings, face):
    """More than the same process has before it begins, at its peak."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.streaming", face, postgres_url, database],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    number, total, grown = map(int, done.stdout.split())
    print(f"{face}: {grown / 1024:,.0f} kB for {number:,} documents")
    assert (number, total) == (NUMBER, sum(range(NUMBER)))
    assert grown < 100 * 2**20
