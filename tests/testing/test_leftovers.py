"""What a run that was killed leaves behind, and what the next one makes of it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from docsession._embedded import EmbeddedServer, _abandoned, _holders
from docsession._embedded._abandoned import remove_abandoned
from docsession._embedded._account import server_account
from docsession._embedded._places import find_place
from docsession.testing import start_server
from docsession.testing._leftovers import Owner, remove_abandoned_directories
from tests.support.servers import eventually, is_alive, server_directory, server_pid

ROOT = Path(__file__).parents[2]

RUN = """
import sys
from docsession._embedded import _holders
from docsession._embedded._account import server_account
from docsession._embedded._places import find_place
from docsession.testing import start_server

server = start_server(*sys.argv[1:2], url=sys.argv[2] if len(sys.argv) > 2 else None)
print(server.make_database().name, server.url, flush=True)
sys.stdin.readline()
server.stop()
"""


@contextmanager
def a_run(*arguments):
    """A process with a server and a database; yields it, the database's name and the URL, and kills it in the end."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    ) as process:
        try:
            name, url = process.stdout.readline().split()
            yield process, name, url
        finally:
            process.kill()


@pytest.fixture
def server(direct_url):
    with start_server("url", url=direct_url) as started:
        yield started


@pytest.fixture
def schema(direct_url):
    """Make schemas with a comment, which are dropped in the end: `schema(name, comment)`."""
    made = []

    def make(name, comment):
        made.append(sql.Identifier(name))
        with psycopg.connect(direct_url) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(made[-1]))
            connection.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(made[-1], sql.Literal(comment)))
        return name

    yield make
    with psycopg.connect(direct_url) as connection:
        for name in made:
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(name))


@pytest.fixture
def role_url(direct_url):
    """The URL for a role that may make schemas and nothing else."""
    name = f"docsession_{uuid.uuid4().hex[:12]}"
    parts = conninfo_to_dict(direct_url)
    with psycopg.connect(direct_url, autocommit=True) as connection:
        role, database = sql.Identifier(name), sql.Identifier(parts["dbname"])
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, name))
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, role))
        host = "".join(f"&{key}={quote(str(parts[key]), safe='')}" for key in ("host", "port") if key in parts)
        yield f"postgresql://{name}:{name}@/{parts['dbname']}?{host[1:]}"
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def schemas(url):
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("SELECT nspname FROM pg_namespace")}


class TestDirectories:
    def test_a_server_that_nobody_has_any_more_is_ended_and_removed(self):
        with a_run() as (process, _, url):
            directory = Path(url.partition("host=")[2].partition("&")[0].replace("%2F", "/")).parent
            postmaster = server_pid(directory)
            remove_abandoned_directories()
            psycopg.connect(url).close()
            process.kill()
            process.wait()
            remove_abandoned_directories()
        assert not directory.exists()
        assert eventually(lambda: not is_alive(postmaster))

    def test_what_only_looks_like_one_stays(self):
        """A directory that the user has named, one with files that no server has, and one that is just begun."""
        with tempfile.TemporaryDirectory(prefix="docsession-tests.") as named:
            filled, begun, old = (Path(named).with_name(f"docsession-tests.{os.urandom(6).hex()}") for _ in range(3))
            for each in (filled, begun, old):
                each.mkdir()
            os.utime(old, (0, 0))
            (filled / "notes.txt").touch()
            try:
                remove_abandoned_directories()
                assert Path(named).exists()
                assert (filled / "notes.txt").exists()
                assert begun.exists()
                assert not old.exists()
            finally:
                (filled / "notes.txt").unlink()
                filled.rmdir()
                begun.rmdir()

    def test_one_that_is_removed_just_before_it_is_used_is_made_again(self, monkeypatch):
        found = []

        def find_and_remove(*arguments):
            found.append(place := find_place(*arguments))
            if len(found) == 1:
                place.directory.rmdir()
            return place

        monkeypatch.setattr(_holders, "find_place", find_and_remove)
        with server_directory() as directory, _holders._starting(directory, 18, server_account()) as place:
            assert place.start_lock.exists()
        assert len(found) == 2

    def test_one_that_was_removed_and_made_anew_meanwhile_stays(self, monkeypatch):
        with server_directory() as directory:
            place = find_place(directory, 18, server_account())
            place.start_lock.touch()
            open_lock = _abandoned.open_lock

            def come_too_late(path):
                opened = open_lock(path)
                if path == place.start_lock:
                    path.unlink()
                    path.touch()
                return opened

            monkeypatch.setattr(_abandoned, "open_lock", come_too_late)
            assert not remove_abandoned(directory)
            assert place.start_lock.exists()

    def test_one_that_the_user_has_named_is_left_alone_where_its_server_is_elsewhere(self, monkeypatch, tmp_path):
        """As that of root is, which the server's user cannot enter."""
        there = SimpleNamespace(url="postgresql:///postgres", data_directory=tmp_path / "there", stop=lambda: None)
        monkeypatch.setattr(EmbeddedServer, "start", lambda *_, **__: there)
        start_server("embedded", directory=tmp_path / "named").stop()
        assert list(tmp_path.iterdir()) == []


class TestDatabases:
    def test_those_of_a_run_that_was_killed_are_dropped_by_the_next(self, server, direct_url):
        with a_run("url", direct_url) as (killed, abandoned, _):
            own, named = server.make_database(), server.make_database(f"named {os.urandom(6).hex()}")
            assert {abandoned, own.name} < schemas(direct_url)
            killed.kill()
            killed.wait()
        with start_server("url", url=direct_url) as following:
            following.make_database().drop()
        assert abandoned not in schemas(direct_url)
        assert {own.name, named.name} < schemas(direct_url)
        server.stop()  # the end of a run that drops nothing
        with start_server("url", url=direct_url) as following:
            following.make_database().drop()
        assert own.name not in schemas(direct_url)
        assert named.name in schemas(direct_url)
        named.drop()

    def test_those_of_other_machines_are_after_a_week(self, server, schema, direct_url):
        def since(seconds):
            comment = f"docsession tests: place 0123456789ab, owner 0123456789ab, since {int(time.time() - seconds)}"
            return schema(f"test_{os.urandom(6).hex()}", comment)

        old, young = since(8 * 24 * 3600), since(6 * 24 * 3600)
        server.make_database().drop()
        assert schemas(direct_url) & {old, young} == {young}

    def test_those_of_a_copy_of_this_machine_are_those_of_another(self, monkeypatch, tmp_path):
        """As of an image with a directory of temporary files that runs in several containers at once."""
        name = f"test_{os.urandom(6).hex()}"
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "one"))
        (tmp_path / "one").mkdir()
        owner, neighbour = Owner.claim(), Owner.claim()
        shutil.copytree(tmp_path / "one", tmp_path / "other")
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "other"))
        copied = Owner.claim()
        assert not copied.has_abandoned(name, owner.comment)
        owner.end()
        assert neighbour.has_abandoned(name, owner.comment)
        for each in (neighbour, copied):
            each.end()

    def test_no_others_are(self, server, schema, direct_url):
        comment = "docsession tests: place 0123456789ab, owner 0123456789ab, since 7"
        others = {
            schema(f"shop_{os.urandom(6).hex()}", comment),
            schema(f"test_{os.urandom(6).hex()}", "docsession tests: a good idea"),
        }
        server.make_database().drop()
        assert others < schemas(direct_url)

    def test_without_a_place_for_locks_they_say_nothing_and_stay(self, monkeypatch, tmp_path, direct_url):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
        assert Owner.claim() is None
        with start_server("url", url=direct_url) as server:
            left = server.make_database()
        monkeypatch.undo()
        with start_server("url", url=direct_url) as server:
            server.make_database().drop()
            assert left.name in schemas(direct_url)
            left.drop()

    def test_a_role_that_may_not_drop_them_goes_on(self, schema, direct_url, role_url):
        old = schema(f"test_{os.urandom(6).hex()}", "docsession tests: place 0123456789ab, owner 0123456789ab, since 7")
        with start_server("url", url=role_url) as server:
            server.make_database().drop()
        assert old in schemas(direct_url)
