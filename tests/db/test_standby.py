"""The harness for tests with a standby does what it says."""

from pathlib import Path

import psycopg
import pytest

from tests.support.servers import eventually
from tests.support.standby import replicated_cluster

COUNT = "SELECT count(*) FROM t"


@pytest.fixture
def with_table(cluster):
    cluster.primary.ask("CREATE TABLE t (n int)")
    cluster.wait_for_standby()
    yield cluster
    if not cluster.primary.is_running:
        cluster.start_primary()
    cluster.primary.ask("DROP TABLE t")


def test_what_is_written_arrives_at_the_standby(with_table):
    with_table.primary.ask("INSERT INTO t VALUES (1)")
    with_table.wait_for_standby()
    assert with_table.standby.ask(COUNT) == 1
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        with_table.standby.ask("INSERT INTO t VALUES (1)")


def test_a_paused_standby_applies_nothing_until_it_is_resumed(with_table):
    with_table.pause_replay()
    with_table.primary.ask("INSERT INTO t VALUES (1)")
    assert with_table.standby.ask(COUNT) == 0
    with_table.resume_replay()
    assert with_table.standby.ask(COUNT) == 1


def test_a_transaction_that_asks_for_it_waits_for_a_synchronous_standby(with_table):
    with_table.set_synchronous(True)
    with psycopg.connect(with_table.primary_url) as connection:
        connection.execute("SET LOCAL synchronous_commit = remote_apply")
        connection.execute("INSERT INTO t VALUES (1)")
    assert with_table.standby.ask(COUNT) == 1


def test_the_standby_comes_back_and_catches_up(with_table):
    with_table.stop_standby()
    with_table.primary.ask("INSERT INTO t VALUES (1)")
    with_table.start_standby()
    with_table.wait_for_standby()
    assert with_table.standby.ask(COUNT) == 1


def test_after_a_promotion_the_old_primary_follows(own_cluster):
    own_cluster.primary.ask("CREATE TABLE t (n int)")
    own_cluster.stop_primary()
    own_cluster.promote()
    own_cluster.standby.ask("INSERT INTO t VALUES (1)")
    own_cluster.start_primary(as_standby=True)
    assert eventually(lambda: own_cluster.primary.ask(COUNT) == 1)


def test_nothing_is_left_after_a_failure():
    with pytest.raises(ZeroDivisionError), replicated_cluster() as started:
        folder = started.primary.data.parent.parent
        pids = [
            int((server.data / "postmaster.pid").read_text().split()[0])
            for server in (started.primary, started.standby)
        ]
        raise ZeroDivisionError
    assert not folder.exists()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
