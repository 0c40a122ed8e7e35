"""Which databases a command works on, and what is said where one of them fails."""

import contextlib
import os
import pty
import signal
import subprocess

import pytest

from docsession import DocumentStore
from docsession._sql._quoting import qualified, quote_identifier
from docsession._sql._schema import HEAD_REVISION, PROJECT_VERSION_TABLE, VERSION_TABLE
from tests.migrations.conftest import DIFFERENT, DONE, FAILED, ROOT, USAGE


@pytest.fixture
def own_server(server, url_of, project):
    """A PostgreSQL database of the test's own, in which no others are; its URL."""
    name = f"own_{project.package}"
    server.execute(f"CREATE DATABASE {name}".encode())
    project.url = url_of(dbname=name)
    yield project.url
    server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


class TestWhich:
    def test_all_that_exist(self, project, own_server):
        code, output = project("upgrade", "--all-databases")
        assert (code, output) == (
            DONE,
            "there is no database of docsession on this server yet; name one: --database NAME\n",
        )
        project("upgrade", "-d", "b", "-d", "a")
        assert project("current", "-A") == (DONE, f"a: {HEAD_REVISION}, the newest\nb: {HEAD_REVISION}, the newest\n")
        project.configure("*")
        assert project("upgrade", "docsession@head")[1].splitlines()[-1] == f"b: {HEAD_REVISION}, the newest"

    def test_those_of_the_command_line_come_before_those_of_the_file(self, project, database, new_database):
        other = new_database()
        project.configure(database)
        assert project("upgrade", "-d", other, "-d", other)[0] == DONE
        assert project("current", "-d", other)[0] == DONE
        assert project("current")[0] == DIFFERENT

    def test_that_of_the_store(self, project, database):
        project.write(
            f"{project.package}/db.py",
            f"from docsession import AsyncDocumentStore\nstore = AsyncDocumentStore({project.url!r}, {database!r})\n",
        )
        project.configure(store=f"{project.package}.db:store", databases=None)
        assert project("upgrade")[0] == DONE
        assert project("current") == (DONE, f"{database}: {HEAD_REVISION}, the newest\n")

    def test_a_file_that_is_named(self, project, database, tmp_path_factory):
        file = tmp_path_factory.mktemp("elsewhere") / "settings.toml"
        file.write_text(f'databases = "{database}"\n', encoding="utf-8")
        assert project("upgrade", "--config", str(file))[0] == DONE
        assert project("history", "--config", str(file))[0] == DONE
        assert project("current", "--config", "missing.toml")[0] == USAGE

    def test_a_section_of_pyproject(self, project, database):
        project.write("pyproject.toml", f'[tool.docsession]\ndatabases = ["{database}"]\nurl_variable = "SHOP_URL"\n')
        code, output = project("upgrade")
        assert code == FAILED
        assert "the variable SHOP_URL, which pyproject.toml names, is not set" in output

    def test_both_ways_at_once_are_refused(self, project):
        assert project("current", "-A", "-d", "x")[0] == USAGE


class TestFailures:
    def test_one_of_several_stops_the_rest_and_says_so(self, project, new_database, run, server):
        names = sorted(new_database() for _ in range(3))
        project.configure(*names)
        project("upgrade", "-d", names[1])
        run([f"UPDATE {qualified(names[1], VERSION_TABLE)} SET version_num = '9901'"])
        code, output = project("upgrade")
        assert code == FAILED
        assert f"stopped at {names[1]}; done: {names[0]}; not begun: {names[2]}\n" in output
        assert output.splitlines()[-1].startswith(f"Error: {names[1]}: 9901, which docsession ")
        made = server.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", [names[2]]).fetchone()
        assert made == (0,)

    def test_a_revision_that_fails_leaves_its_database_at_the_one_before(self, project, new_database, run):
        names = sorted(new_database() for _ in range(2))
        project.configure(*names)
        project.revision("a1", 'op.create_table("tags", sa.Column("n", sa.Integer()))', 'op.drop_table("tags")')
        project.revision("a2", 'op.execute("SELECT 1 / 0")', down="a1")
        code, output = project("upgrade")
        assert code == FAILED
        assert "division by zero" in output
        assert f"stopped at {names[0]}; done: none; not begun: {names[1]}\n" in output
        assert f"{names[0]}: project: a1, older than a2" in project("current")[1]

    def test_a_database_that_a_newer_docsession_has_added_to_is_left_as_it_is(self, project, database, run):
        """After going back to the older version of an application its deployment runs the command again."""
        project("upgrade", "-d", database)
        run([f"UPDATE {qualified(database, VERSION_TABLE)} SET version_num = '0099'"])
        code, output = project("upgrade", "-d", database)
        assert code == DONE
        assert "it only added to the schema, so this one works with it" in output
        assert project("current", "-d", database)[0] == DONE
        assert project("current", "-d", database, "--check-heads")[0] == DIFFERENT
        assert project("downgrade", "-d", database, "0001")[0] == FAILED


class TestCollections:
    def test_those_of_the_models_are_made(self, project, database, server):
        project.configure(database)
        code, output = project("upgrade", "--all-collections")
        assert code == DONE
        assert f"{database}: the collection Folk is in the table folk\n" in output
        assert project("check") == (DONE, f"{database}: no difference\n")

    def test_a_class_that_is_not_marked_is_told(self, project, database):
        project.write(f"{project.package}/plain.py", "class Bill:\n    id: str | None = None\n")
        project.configure(database, models=[f"{project.package}.plain"])
        code, output = project("upgrade", "--all-collections")
        assert code == DONE
        bill = f"{project.package}.plain:Bill"
        assert f"warning: {bill} has an id, and is not marked as a document, so it was passed over" in output
        assert f"warning: no class of the models ({project.package}.plain) is marked with @document" in output
        assert "warning: " + bill in project("check")[1]
        project.configure(database, models=[bill])
        code, output = project("upgrade", "--all-collections")
        assert (code, "warning" in output) == (DONE, False)
        assert f"{database}: the collection Bills is in the table bills\n" in output

    def test_a_missing_one_is_told_with_the_command(self, project, database):
        project.configure(database)
        project("upgrade")
        code, output = project("check")
        assert code == DIFFERENT
        command = f"docsession upgrade --database '{database}' --collection Folk"
        assert f"{database}: table folk: is missing, for the collection Folk of the models; run `{command}`\n" in output

    def test_one_that_no_model_has_is_told(self, project, database):
        project.configure(database)
        code, output = project("upgrade", "-c", "Ordres", "-c", "Orders")
        assert code == DONE
        assert "warning: no class of the models has the collection 'Ordres'; they have: Folk, Orders\n" in output
        assert output.count("warning") == 1

    def test_without_models_there_is_nothing_to_compare_with(self, project, database):
        assert "warning" not in project("upgrade", "-d", database, "-c", "Ordres")[1]
        assert project("upgrade", "-d", database, "--all-collections")[0] == USAGE

    def test_the_conventions_of_the_store_name_them(self, project, database):
        project.write(
            f"{project.package}/db.py",
            "from docsession import DocumentConventions, DocumentStore\n"
            "conventions = DocumentConventions(find_collection_name=lambda cls: 'All' + cls.__name__)\n"
            f"store = DocumentStore({project.url!r}, {database!r}, conventions=conventions)\n",
        )
        project.configure(store=f"{project.package}.db:store", databases=None)
        assert (
            f"{database}: the collection AllOrder is in the table all_order"
            in project("upgrade", "--all-collections")[1]
        )


class TestOverview:
    def test_databases_are_listed_with_what_they_hold(self, project, own_server):
        assert project("databases") == (DONE, "there is no database of docsession on this server\n")
        project("upgrade", "-d", "shop")
        project.configure("shop eu")
        project.revision("a1", "pass")
        project("upgrade")
        with DocumentStore(own_server, "shop eu") as store, store.open_session() as session:
            session.store({"@metadata": {"@collection": "Users"}}, "users/1")
            session.save_changes()
        project.configure(databases=None)
        lines = project("databases")[1].splitlines()
        assert [line.split("  ")[0] for line in lines] == ["database", "shop", "shop eu"]
        assert lines[0].split() == ["database", "revision", "project", "collections", "size"]
        assert lines[1].split()[1:4] == [HEAD_REVISION, "-", "0"]
        assert lines[2].split()[2:5] == [HEAD_REVISION, "a1", "1"]
        assert len(project("databases", "-d", "shop")[1].splitlines()) == 2

    def test_what_a_role_may_not_read_is_left_open(self, project, own_server, role, url_of):
        project("upgrade", "-d", "shop")
        name = f"own_{project.package}"
        line = project("databases", "--url", url_of(dbname=name, **role))[1].splitlines()[1]
        assert line.split()[:3] == ["shop", "-", "?"]

    def test_the_configuration_is_shown_without_secrets(self, project, database):
        project.configure(database, url="postgresql://me:secret@127.0.0.1:1/x")
        code, output = project("config")
        assert code == DONE
        assert "secret" not in output
        assert "server: 127.0.0.1:1, database 'x' as 'me' (from docsession.toml)\n" in output
        assert f"models: {project.package}.models:Order, {project.package}.models:Person\n" in output
        assert "collections: Folk -> folk, Orders -> orders\n" in output

    def test_an_empty_configuration_is_shown_too(self, project, monkeypatch):
        code, output = project("config")
        assert code == DONE
        assert "file: none\n" in output
        assert "(from the variable DOCSESSION_URL)" in output


class TestShell:
    def test_a_command_has_the_store_a_session_and_the_models(self, project, database):
        project.configure(database)
        code = "session.store(Order(), 'orders/1'); session.save_changes(); print(store.database)"
        assert project("shell", "--command", code) == (DONE, f"{database}\n")
        code = "print(session.load('orders/1', Order))"
        assert project("shell", "-c", code) == (DONE, "Order(id='orders/1')\n")

    def test_it_works_on_one_database(self, project, new_database):
        project.configure(new_database(), new_database())
        code, output = project("shell", "-c", "pass")
        assert code == FAILED
        assert "name it with --database" in output

    def test_without_a_terminal_it_says_so(self, project, database):
        assert project("shell", "-d", database)[0] == USAGE

    def test_the_store_of_the_project_is_the_one_that_is_opened(self, project, database, monkeypatch, url_of):
        project.write(
            f"{project.package}/db.py",
            f"from docsession import DocumentStore\nstore = DocumentStore({project.url!r}, 'other')\nstore.ours = 1\n",
        )
        project.configure(database, store=f"{project.package}.db:store")
        code = "print(hasattr(store, 'ours'), session.advanced.number_of_requests)"
        assert project("shell", "-c", code) == (DONE, "True 0\n")
        assert project("shell", "-c", code, "--url", url_of()) == (DONE, "False 0\n")

    def test_an_async_store_gives_its_conventions_to_a_blocking_one(self, project, database):
        project.write(
            f"{project.package}/db.py",
            "from docsession import AsyncDocumentStore, DocumentConventions\n"
            f"store = AsyncDocumentStore({project.url!r}, conventions=DocumentConventions(node_tag='Z'))\n",
        )
        project.configure(database, store=f"{project.package}.db:store")
        code = "print(type(store).__name__, store.database, store.conventions.node_tag)"
        assert project("shell", "-c", code) == (DONE, f"DocumentStore {database} Z\n")

    def test_ipython_is_taken_where_it_is_installed(self, project, database):
        project.write("IPython.py", "def start_ipython(argv, user_ns):\n    print(argv, sorted(user_ns))\n")
        project.configure(database)
        assert "[] ['Order', 'Person', 'session', 'store']" in self.typed(project, b"", PYTHONPATH=f".:{ROOT}")

    def test_on_a_terminal_it_is_python(self, project, database):
        project.configure(database)
        shown = self.typed(project, b"print('It', 'is', Order.__name__, session.advanced.number_of_requests)\nexit()\n")
        assert "There are: Order, Person, store, session" in shown
        assert "It is Order 0" in shown

    def typed(self, project, text, **environment):
        """Open the shell on a terminal, type *text*, and return what the terminal shows."""
        terminal, other_end = pty.openpty()
        try:
            process = project.start(
                "shell", stdin=other_end, stdout=other_end, stderr=other_end, environment=environment
            )
            os.close(other_end)
            os.write(terminal, text)
            shown = b""
            # Linux says by an error that the other end is closed.
            with contextlib.suppress(OSError):
                while chunk := os.read(terminal, 1024):
                    shown += chunk
            assert process.wait(60) == 0, shown.decode()
        finally:
            os.close(terminal)
        return shown.decode()


def test_the_project_s_version_table_goes_with_its_database(project, database, server):
    project.configure(database)
    project.revision("a1", "pass")
    project("upgrade")
    assert PROJECT_VERSION_TABLE in {
        name for (name,) in server.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [database])
    }
    with DocumentStore(project.url, database) as store:
        store.maintenance.delete_database(database)
    query = "SELECT pg_catalog.to_regnamespace(%s) IS NULL"
    assert server.execute(query, [quote_identifier(database)]).fetchone() == (True,)


def test_ctrl_c_says_which_databases_were_not_begun(project, new_database, server):
    names = sorted(new_database() for _ in range(2))
    project.configure(*names)
    project.revision("a1", "op.execute('SELECT pg_sleep(60)')")
    process = project.start("upgrade", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while server.execute("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'").fetchone() == (
        0,
    ):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 130
    assert f"stopped at {names[0]}; done: none; not begun: {names[1]}\n" in output
    assert "Aborted!" in output
