"""`manage.py migrate` and `manage.py docsession`: two ways to one schema."""

import io

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from docsession._migrate import Target
from docsession._migrate import upgrade as upgrade_database
from docsession._migrate._scripts import scripts
from tests.contrib.django.conftest import connection_settings, installed


@pytest.fixture(scope="module")
def url(new_database):
    """A PostgreSQL database in which nothing is migrated yet."""
    return new_database()


@pytest.fixture
def migrating(url, database):
    """Django on that database, as it was before any migration."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    with installed(url, DATABASE=database) as settings:
        yield settings
    with psycopg.connect(url, autocommit=True) as connection:
        for name in (database, f"{database}_b"):
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


def manage(*command_line):
    """Run `manage.py …` and return its exit code and what it printed."""
    from django.core.management import call_command

    printed = io.StringIO()
    try:
        call_command(*command_line, stdout=printed, stderr=printed)
    except SystemExit as exit_:
        return exit_.code, printed.getvalue()
    return 0, printed.getvalue()


def migrate(*arguments):
    return manage("migrate", "docsession", *arguments, "--verbosity=0")


def objects(url, database):
    """Everything that makes up a database of docsession, in words, without its name."""
    query = """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, collname,
               pg_get_expr(d.adbin, d.adrelid)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d
        ON d.adrelid = c.oid AND d.adnum = a.attnum LEFT JOIN pg_collation o ON o.oid = a.attcollation
        WHERE c.relnamespace = to_regnamespace(%(name)s) AND a.attnum > 0
        UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), NULL, NULL, NULL
        FROM pg_constraint WHERE connamespace = to_regnamespace(%(name)s)
        UNION ALL SELECT proname, prosrc, provolatile::text, proisstrict, proparallel::text, NULL
        FROM pg_proc WHERE pronamespace = to_regnamespace(%(name)s)
    """
    with psycopg.connect(url) as connection:
        found = connection.execute(query, {"name": sql.Identifier(database).as_string(connection)}).fetchall()
        version = sql.Identifier(database, "docsession_alembic_version")
        exists = any(row[0] == "docsession_alembic_version" for row in found)
        revision = connection.execute(sql.SQL("SELECT * FROM {}").format(version)).fetchall() if exists else []
    return {tuple(str(each).replace(database, "…") for each in row) for row in found}, revision


class TestMigrate:
    """Django migrations that run docsession's revisions."""

    def test_both_ways_make_the_same(self, migrating, url, database):
        """`manage.py migrate`, and `docsession upgrade`."""
        other = f"{database}_b"
        upgrade_database(Target(conninfo_to_dict(url), other))

        migrate()

        assert objects(url, database) == objects(url, other)
        assert objects(url, database)[0]

    def test_so_do_they_step_by_step(self, migrating, url, database):
        """There and back, each migration is the revision of its number."""
        other = f"{database}_b"
        for number in [*(each.revision for each in reversed(revisions())), "0001"]:
            upgrade_database(Target(conninfo_to_dict(url), other), number)
            migrate(number)
            if number == "0001" and objects(url, database)[1] != [("0001",)]:
                continue
            assert objects(url, database)[1] == [(number,)]
        migrate("zero")
        assert not any(name == "docsession_hilo" for name, *_ in objects(url, database)[0])

    def test_every_revision_has_a_migration(self, migrating):
        """So that none is forgotten."""
        from django.db.migrations.loader import MigrationLoader

        from docsession.contrib.django import RunRevision

        found = {
            operation.revision: name
            for (app, name), migration in MigrationLoader(None).disk_migrations.items()
            for operation in migration.operations
            if app == "docsession" and isinstance(operation, RunRevision)
        }

        assert found == {each.revision: each.module.__name__.removesuffix("_py") for each in revisions()}

    def test_django_finds_nothing_to_add(self, migrating):
        """`makemigrations --check` of a project that uses docsession."""
        assert manage("makemigrations", "--check", "--dry-run")[0] == 0

    def test_a_database_that_has_it_stays_as_it_is(self, migrating, url, database):
        """Whoever has upgraded it, or made it on first use, before."""
        from docsession.contrib.django import get_store

        with get_store().open_session() as session:
            session.store({"@metadata": {"@collection": "Things"}}, "things/1")
            session.save_changes()

        migrate()

        with get_store().open_session() as session:
            assert session.load("things/1") is not None

    def test_documents_are_not_given_up(self, migrating):
        """The way back is closed while there are collections."""
        from docsession import MigrationException
        from docsession.contrib.django import get_store

        migrate()
        with get_store().open_session() as session:
            session.store({"@metadata": {"@collection": "Things"}}, "things/1")
            session.save_changes()

        with pytest.raises(MigrationException, match="Things"):
            migrate("zero")

    def test_the_sql_is_shown(self, migrating, url, database):
        """`manage.py sqlmigrate`; run by hand it makes the same."""
        other = f"{database}_b"
        upgrade_database(Target(conninfo_to_dict(url), other))
        for each in reversed(revisions()):
            code, script = manage("sqlmigrate", "docsession", each.revision)
            assert code == 0
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(script)
        assert objects(url, database) == objects(url, other)

        for each in revisions():
            code, script = manage("sqlmigrate", "docsession", each.revision, "--backwards")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(script)
        assert not any(name == "docsession_hilo" for name, *_ in objects(url, database)[0])

    def test_only_the_connection_that_sessions_join(self, migrating, url, database, new_database):
        """Not another database of the project's, and none of a store with a URL of its own."""
        elsewhere = new_database()
        with installed(url, databases={"other": connection_settings(elsewhere)}, DATABASE=database, USING="other"):
            migrate()
            assert objects(elsewhere, database) == (set(), [])
            migrate("--database=other")
            assert objects(elsewhere, database)[0]
            assert objects(url, database) == (set(), [])
        with installed(url, DATABASE=database, URL=url):
            migrate("zero", "--fake")
            migrate()
            assert objects(url, database) == (set(), [])


class TestCommand:
    """`manage.py docsession`."""

    def test_upgrade_and_check(self, migrating, url, database):
        """On the stores of the settings, with the documents of the apps."""
        code, printed = manage("docsession", "check")
        assert code == 1
        assert f"run `manage.py docsession upgrade --database {database}" in printed.replace("'", "")
        code, printed = manage("docsession", "upgrade", "--all-collections")
        assert code == 0
        assert f"{database}: the collection Customers is in the table customers" in printed
        assert manage("docsession", "check") == (0, f"{database}: no difference\n")
        assert ("customers", "city") not in {row[:2] for row in objects(url, database)[0]}

    def test_revisions_of_the_project(self, migrating, url, database, tmp_path):
        """Written into a folder beside the settings, run by `upgrade`, or by a migration of Django's."""
        from django.db import connection
        from django.test import override_settings

        from docsession.contrib.django import RunRevision

        operation = RunRevision("project@a1")
        with override_settings(BASE_DIR=tmp_path):
            manage("docsession", "upgrade")
            code, printed = manage("docsession", "revision", "--autogenerate", "-m", "customers", "--rev-id", "a1")
            assert code == 0, printed
            assert (tmp_path / "docsession_migrations" / "a1_customers.py").is_file()
            with connection.schema_editor(atomic=False) as editor:
                operation.database_forwards("docsession", editor, None, None)
                assert any(row[0] == "customers" for row in objects(url, database)[0])
                assert manage("docsession", "current")[1].endswith("project: a1, the newest\n")
                operation.database_backwards("docsession", editor, None, None)
            assert not any(row[0] == "customers" for row in objects(url, database)[0])
            assert operation.describe() == "Run docsession's revision project@a1"

    def test_another_store(self, url, database):
        """--store."""
        with installed(url, default={"DATABASE": database}, other={"DATABASE": f"{database}_b"}):
            assert manage("docsession", "--store", "other", "upgrade")[1].startswith(f"{database}_b: upgraded")

    def test_djangos_own_options_may_follow(self, migrating):
        """As people write them."""
        assert manage("docsession", "history", "--no-color", "--settings=project.settings")[0] == 0

    def test_without_a_command_they_are_listed(self, migrating):
        """With what they do."""
        code, printed = manage("docsession")
        assert (code, "upgrade" in printed, "check" in printed) == (0, True, True)
        assert "--config" not in manage("docsession", "upgrade", "--help")[1]

    @pytest.mark.parametrize(
        ("command_line", "code", "words"),
        [
            (["no-such-command"], 2, "no-such-command"),
            (["downgrade", "0009"], 3, "does not exist"),
            (["--store", "nobody", "current"], 3, "'nobody'"),
        ],
        ids=str,
    )
    def test_what_goes_wrong_is_a_command_error(self, migrating, command_line, code, words):
        """With the exit codes of `docsession`."""
        from django.core.management import CommandError

        with pytest.raises(CommandError, match=words) as caught:
            manage("docsession", *command_line)
        assert caught.value.returncode == code


def revisions():
    """Docsession's revisions, the newest first."""
    return list(scripts().walk_revisions())
