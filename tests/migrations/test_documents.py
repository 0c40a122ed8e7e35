"""`docsession documents migrate`: whole collections, beside other writers, interrupted and begun again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from psycopg.types.json import Jsonb

from docsession import DocumentStore
from docsession._cli import main
from docsession._migrate._documents import _Pause
from docsession._sql._quoting import qualified
from tests.support import shop

DONE, USAGE, FAILED, INTERRUPTED = 0, 2, 3, 130
OLD = [f"orders/{number}" for number in range(1, 8)]


@pytest.fixture
def table(database):
    return qualified(database, "shop_orders")


@pytest.fixture
def store(url_of, database):
    with DocumentStore(url_of(), database) as opened:
        yield opened


@pytest.fixture
def put(server, table, store):
    """Put documents into the table of orders as an older program has left them."""
    with store.open_session() as session:
        session.store(shop.ShopOrder("new"), "orders/new")
        session.save_changes()

    def insert(keys, data=None, metadata=None):
        rows = [(key, Jsonb(data or {"name": key, "more": 1.5}), metadata and Jsonb(metadata)) for key in keys]
        with server.cursor() as cursor:
            columns = "id, data, metadata, version, last_modified"
            cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES (%s, %s, %s, 1, now())".encode(), rows)

    return insert


@pytest.fixture
def stored(server, table):
    """Return {id: (data, version of its class, version of the row)}."""

    def read():
        rows = server.execute(f"SELECT id, data, metadata ->> '@schema-version', version FROM {table}".encode())
        return {key: tuple(rest) for key, *rest in rows}

    return read


@pytest.fixture
def migrate(url_of, database, monkeypatch):
    """Run the command; returns its exit code and what it printed."""
    monkeypatch.delenv("DOCSESSION_URL", raising=False)
    shop.HOOKS.clear()

    def call(*arguments, model="ShopOrder"):
        command = ["documents", "migrate", model, "--url", url_of(), "-d", database, "-m", "tests.support.shop"]
        result = CliRunner().invoke(main, [*command, *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result.exit_code, result.output

    return call


def process(url, database, *arguments):
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "docsession", "documents", "migrate", "ShopOrder", "--url", url, "-d", database]
    return subprocess.Popen(
        [*command, "-m", "tests.support.shop", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        start_new_session=True,
    )


class TestMigrate:
    def test_every_older_document_is_written_once(self, migrate, put, stored, database):
        put(OLD)
        before = stored()
        assert migrate("--batch", "3") == (DONE, f"{database}: ShopOrders: 7 documents brought up to date\n")
        after = stored()
        for key in OLD:
            data, of_class, version = after[key]
            assert (data, of_class) == ({"customer": key, "more": 1.5}, "2")
            assert version > before[key][2]
        assert after["orders/new"] == before["orders/new"]
        assert migrate() == (DONE, f"{database}: ShopOrders: 0 documents brought up to date\n")
        assert stored() == after

    def test_each_subclass_has_versions_of_its_own(self, migrate, put, stored, store):
        put(OLD[:2])
        put(["orders/g1"], {"name": "a"}, {"@type": "shop-gift", "mine": 1})
        put(["orders/g2"], {"customer": "b", "from": "c"}, {"@type": "shop-gift", "@schema-version": 2})
        put(["orders/g3"], {"customer": "b", "sender": "c"}, {"@type": "shop-gift", "@schema-version": 3})
        assert "4 documents brought" in migrate()[1]
        with store.open_session() as session:
            gifts = session.load(["orders/g1", "orders/g2", "orders/g3"], shop.ShopOrder)
            assert [(type(each), each.sender) for each in gifts.values()] == [
                (shop.Gift, "nobody"),
                (shop.Gift, "c"),
                (shop.Gift, "c"),
            ]
            assert session.advanced.get_metadata_for(gifts["orders/g1"])["mine"] == 1
        assert stored()["orders/g1"][1] == "3"

    def test_a_subclass_alone(self, migrate, put, stored):
        put(OLD[:2])
        put(["orders/g1"], {"name": "a"}, {"@type": "shop-gift"})
        assert "1 document brought" in migrate(model="Gift")[1]
        assert stored()["orders/1"][1] is None

    def test_documents_of_unknown_classes_are_left_and_told(self, migrate, put, stored):
        put(["orders/1"], None, {"@type": "no-such-alias"})
        code, output = migrate()
        assert code == DONE
        assert "1 document of subclasses that no model has" in output
        assert output.endswith("0 documents brought up to date\n")
        assert stored()["orders/1"][1] is None

    def test_a_class_by_its_module_or_collection(self, put, url_of, database, migrate):
        put(OLD[:1])
        where = ["--url", url_of(), "-d", database]
        result = CliRunner().invoke(main, ["documents", "migrate", "tests.support.shop:ShopOrder", *where])
        assert (result.exit_code, "1 document brought" in result.output) == (DONE, True)
        assert migrate(model="ShopOrders")[0] == DONE

    def test_a_collection_that_has_no_table(self, migrate, put, database):
        assert migrate(model="ShopLabel") == (DONE, f"{database}: ShopLabels: 0 documents brought up to date\n")

    def test_the_models_and_databases_of_the_project(self, put, url_of, database, tmp_path, monkeypatch, stored):
        put(OLD)
        monkeypatch.delenv("DOCSESSION_URL", raising=False)
        monkeypatch.chdir(tmp_path)
        settings = f'models = ["tests.support.shop"]\ndatabases = ["{database}"]\nurl = "{url_of()}"\n'
        (tmp_path / "docsession.toml").write_text(settings)
        result = CliRunner().invoke(main, ["documents", "migrate", "ShopOrder"])
        assert (result.exit_code, "7 documents brought" in result.output) == (DONE, True)

    def test_a_server_without_databases(self, url_of, migrate):
        where = ["--url", url_of(dbname="template1"), "--all-databases"]
        result = CliRunner().invoke(main, ["documents", "migrate", "tests.support.shop:ShopOrder", *where])
        assert (result.exit_code, "there is no database of docsession" in result.output) == (DONE, True)

    def test_wrong_usage(self, migrate):
        assert migrate(model="Nothing")[0] == FAILED
        for wrong in (["--rate", "0"], ["--batch", "0"], ["--sample", "-1"]):
            assert migrate(*wrong)[0] == USAGE


class TestDryRun:
    def test_it_shows_what_would_change_and_writes_nothing(self, migrate, put, stored, database):
        put(OLD)
        before = stored()
        code, output = migrate("--dry-run", "--sample", "1")
        assert (code, stored()) == (DONE, before)
        assert output == (
            "--- orders/1\n+++ orders/1\n@@ -1,5 +1,7 @@\n {\n"
            '-  "more": 1.5,\n-  "name": "orders/1"\n'
            '+  "customer": "orders/1",\n+  "more": 1.5\n'
            ' }\n-@metadata {}\n+@metadata {\n+  "@schema-version": 2\n+}\n'
            f"{database}: ShopOrders: 7 documents would be brought up to date\n"
        )

    def test_three_are_shown_by_default(self, migrate, put):
        put(OLD)
        assert migrate("--dry-run", "--batch", "2")[1].count("+++") == 3
        assert migrate("--sample", "2", "--batch", "1")[1].count("+++") == 2


class TestFailures:
    def test_the_others_are_done_and_the_command_fails(self, migrate, put, stored, database):
        put(OLD)
        put(["orders/bad"], {"nothing": 1})
        put(["orders/misfit"], {"name": 7})
        put(["orders/newer"], {"customer": "x"}, {"@schema-version": 9})
        code, output = migrate()
        assert code == FAILED
        assert f"3 documents of {database}: ShopOrders could not be brought up to date" in output
        assert "document 'orders/bad' cannot be read: the upcaster rename of ShopOrder from version 1 to 2" in output
        assert "document 'orders/misfit' does not fit ShopOrder: at customer: expected str" in output
        assert "document 'orders/newer' cannot be read: it is of version 9" in output
        assert "7 documents brought" in output
        after = stored()
        assert after["orders/bad"][:2] == ({"nothing": 1}, None)
        assert {after[key][1] for key in OLD} == {"2"}

    def test_ten_are_shown(self, migrate, put):
        put([f"orders/{number}" for number in range(12)], {"nothing": 1})
        code, output = migrate()
        assert (code, output.count("the upcaster rename")) == (FAILED, 10)
        assert "12 documents of " in output
        assert "  … and 2 more\n" in output


class TestOtherWriters:
    def test_what_others_write_meanwhile_is_not_lost_and_taken_up_again(self, migrate, put, stored, server, table):
        put(OLD)

        def write(_):
            server.execute(
                f"UPDATE {table} SET data = data || '{{\"new\": 1}}', version = version + 5 "
                "WHERE id IN ('orders/2', 'orders/5')".encode()
            )
            server.execute(f"DELETE FROM {table} WHERE id = 'orders/3'".encode())

        shop.HOOKS.append(write)
        code, output = migrate("--batch", "4")
        assert (code, "6 documents brought" in output) == (DONE, True)
        after = stored()
        assert "orders/3" not in after
        assert after["orders/2"][:2] == ({"customer": "orders/2", "more": 1.5, "new": 1}, "2")
        assert {after[key][1] for key in after} == {"2"}

    def test_a_document_that_is_written_all_the_time_is_told(self, migrate, put, stored, server, table):
        put(OLD[:1])
        bump = f"UPDATE {table} SET version = version + 1 WHERE id = 'orders/1'".encode()
        shop.HOOKS.extend([lambda _: server.execute(bump)] * 6)
        code, output = migrate()
        assert (code, "'orders/1' is written by others again and again" in output) == (FAILED, True)

    def test_a_run_inside_another(self, migrate, put, stored):
        put(OLD)
        inner = []
        shop.HOOKS.append(lambda _: inner.append(migrate("--batch", "3")))
        code, output = migrate("--batch", "3")
        assert (code, "0 documents brought" in output) == (DONE, True)
        assert "7 documents brought" in inner[0][1]
        assert {each[1] for each in stored().values()} == {"2"}

    def test_two_at_once(self, put, stored, url_of, database):
        put([f"orders/{number}" for number in range(300)])
        runs = [process(url_of(), database, "--batch", "7") for _ in range(2)]
        ended = [each.communicate(timeout=60) for each in runs]
        assert [each.returncode for each in runs] == [DONE, DONE], ended
        written = [int(output.rpartition(": ")[2].split()[0]) for output, _ in ended]
        assert sum(written) == 300
        assert {each[1] for each in stored().values()} == {"2"}


class TestInterruption:
    def test_it_says_how_to_go_on(self, migrate, put, stored, database):
        put(OLD)

        def interrupt(_):
            raise KeyboardInterrupt

        shop.HOOKS.extend([lambda _: None] * 3 + [interrupt])
        code, output = migrate("--batch", "2")
        assert code == INTERRUPTED
        assert "ShopOrders: 2 documents brought up to date, then interrupted\n" in output
        assert output.endswith("Run the command again to go on; --after 'orders/2' passes over what was looked at.\n")
        assert [key for key, each in sorted(stored().items()) if each[1]] == ["orders/1", "orders/2", "orders/new"]
        assert "5 documents brought" in migrate("--after", "orders/2")[1]
        assert {each[1] for each in stored().values()} == {"2"}

    def test_what_others_had_written_is_not_passed_over(self, migrate, put, server, table):
        put(OLD)

        def write(_):
            server.execute(f"UPDATE {table} SET version = version + 1 WHERE id = 'orders/1'".encode())

        def interrupt(_):
            raise KeyboardInterrupt

        shop.HOOKS.extend([write, lambda _: None, interrupt])
        code, output = migrate("--batch", "2")
        assert (code, output.splitlines()[-1]) == (INTERRUPTED, "Run the command again to go on.")

    def test_ctrl_c_in_the_middle(self, put, stored, url_of, database):
        put([f"orders/{number:03}" for number in range(100)])
        run = process(url_of(), database, "--batch", "2", "--rate", "20")
        # One was there before, and two batches are: so the first of them has been counted, too.
        while len([each for each in stored().values() if each[1]]) < 5:
            assert run.poll() is None, run.communicate()
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        output, errors = run.communicate(timeout=120)
        assert (run.returncode, output) == (INTERRUPTED, ""), errors
        assert "then interrupted\nRun the command again to go on; --after 'orders/" in errors
        assert 5 <= len([each for each in stored().values() if each[1]]) < 100

    def test_while_something_is_taken_up_again(self, migrate, put, stored, server, table):
        put(OLD)

        def write(_):
            server.execute(f"UPDATE {table} SET version = version + 1 WHERE id < 'orders/4'".encode())

        def interrupt(_):
            raise KeyboardInterrupt

        shop.HOOKS.extend([write, *[lambda _: None] * 8, interrupt])
        code, output = migrate("--batch", "7")
        assert (code, output.splitlines()[-1]) == (INTERRUPTED, "Run the command again to go on.")
        assert "4 documents brought up to date, then interrupted" in output
        assert "3 documents brought" in migrate()[1]

    def test_an_error_of_the_server_says_how_to_go_on_too(self, migrate, put, server, table):
        put(OLD)

        def take_away(_):
            server.execute(f"ALTER TABLE {table} RENAME TO elsewhere".encode())

        shop.HOOKS.extend([lambda _: None] * 2 + [take_away])
        code, output = migrate("--batch", "2")
        assert code == FAILED
        assert "2 documents brought up to date, then stopped\nRun the command again to go on; --after" in output


class TestPace:
    def test_a_bar_is_shown_where_it_is_wanted(self, migrate, put, database):
        put(OLD)
        assert f"{database}: ShopOrders" in migrate("--progress")[1]

    def test_a_rate_is_kept_over_all(self, monkeypatch):
        now, slept = [100.0], []
        monkeypatch.setattr(time, "monotonic", lambda: now[0])
        monkeypatch.setattr(time, "sleep", slept.append)
        pause = _Pause(10)
        pause.after(5)
        now[0] += 2
        pause.after(5)
        pause.after(15)
        assert slept == [0.5, 0.5]

    def test_batches_are_no_larger_than_what_a_second_allows(self, migrate, put):
        put(OLD)
        code, output = migrate("--rate", "1000000", "--batch", "2")
        assert (code, "7 documents" in output) == (DONE, True)
