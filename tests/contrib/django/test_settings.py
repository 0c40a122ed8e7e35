"""DOCSESSION, and where it leads."""

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.contrib.django.conftest import connection_settings, installed
from tests.contrib.django.project.documents import Customer

SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}


def placed(name="default"):
    """Where the store would connect to, by libpq's names."""
    from docsession.contrib.django._stores import STORES

    return conninfo_to_dict(STORES.settings_of(name).placed().options["url"])


class TestPlaces:
    """The database of Django's connection, unless there is a URL."""

    def test_the_store_is_where_djangos_connection_is(self, project, project_url):
        """By the same parameters."""
        info = conninfo_to_dict(project_url)

        assert {name: placed()[name] for name in ("dbname", "user", "host", "port")} == {
            name: info[name] for name in ("dbname", "user", "host", "port")
        }

    def test_options_of_the_connection_are_taken_along(self, project_url, database):
        """Those that libpq knows, and the role that Django takes on."""
        options = {"sslmode": "prefer", "assume_role": "a role", "server_side_binding": True, "isolation_level": 3}
        other = connection_settings(project_url, OPTIONS=options)
        with installed(project_url, databases={"other": other}, DATABASE=database, USING="other"):
            known = placed()

        assert (known["sslmode"], known["options"]) == ("prefer", "-c role=a\\ role")
        assert not known.keys() & {"assume_role", "server_side_binding", "isolation_level"}

    def test_the_role_holds_for_the_stores_connections(self, project_url, database, direct_url):
        """Tables that it makes belong to that role, as those of Django's migrations do."""
        role = f"role_{database}"
        with psycopg.connect(project_url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {role}")
            connection.execute(f"GRANT CREATE ON DATABASE {conninfo_to_dict(project_url)['dbname']} TO {role}")
        other = connection_settings(project_url, OPTIONS={"assume_role": role})
        try:
            with installed(project_url, databases={"other": other}, DATABASE=database, USING="other"):
                from docsession.contrib.django import document_session

                with document_session() as session:
                    session.store(Customer("Ada"))
                    session.save_changes()
            with psycopg.connect(project_url) as connection:
                query = "SELECT tableowner FROM pg_tables WHERE schemaname = %s AND tablename = 'customers'"
                assert connection.execute(query, [database]).fetchall() == [(role,)]
        finally:
            with psycopg.connect(project_url, autocommit=True) as connection:
                connection.execute(f"DROP OWNED BY {role} CASCADE")
                connection.execute(f"DROP ROLE {role}")

    def test_a_pool_of_djangos_serves_as_well(self, project_url, database):
        """OPTIONS = {"pool": True}."""
        pooled = connection_settings(project_url, OPTIONS={"pool": {"min_size": 1, "max_size": 2}})
        with installed(project_url, databases={"pooled": pooled}, DATABASE=database, USING="pooled"):
            from django.db import connections, transaction

            from docsession.contrib.django import document_session

            with document_session() as session, transaction.atomic(using="pooled"):
                session.store(Customer("Ada"), "customers/1")
                session.save_changes()
            with document_session() as session:
                assert session.load("customers/1", Customer) == Customer("Ada", id="customers/1")
            connections["pooled"].close()
            connections["pooled"].close_pool()

    def test_with_a_url_nothing_is_joined(self, project_url, database, tmp_path):
        """A project whose models are elsewhere."""
        elsewhere = SQLITE | {"NAME": tmp_path / "models.sqlite3"}
        with installed(project_url, databases={"default": elsewhere}, URL=project_url, DATABASE=database):
            from django.db import transaction

            from docsession.contrib.django import document_session

            with pytest.raises(ZeroDivisionError), transaction.atomic(), document_session() as session:
                session.store(Customer("Ada"), "customers/1")
                session.save_changes()
                raise ZeroDivisionError
            with document_session() as session:
                assert session.load("customers/1", Customer).name == "Ada"

    def test_but_may_be(self, project_url, database):
        """A URL for the store's own connections, past a pooler, say."""
        with installed(project_url, URL=project_url, USING="default", DATABASE=database):
            from django.db import transaction

            from docsession.contrib.django import document_session

            with pytest.raises(ZeroDivisionError), transaction.atomic(), document_session() as session:
                session.store(Customer("Ada"), "customers/1")
                session.save_changes()
                raise ZeroDivisionError
            with document_session() as session:
                assert session.load("customers/1", Customer) is None

    def test_it_follows_a_changed_connection(self, project, new_database):
        """As the one of Django's tests, which have a database of their own."""
        from django.db import connection

        from docsession.contrib.django import get_store

        before = get_store()
        assert get_store() is before
        kept = connection.settings_dict["NAME"]
        connection.settings_dict["NAME"] = conninfo_to_dict(new_database())["dbname"]
        try:
            assert get_store() is not before
            assert before.disposed
        finally:
            connection.settings_dict["NAME"] = kept

    def test_a_store_that_somebody_closed_is_made_anew(self, project):
        """It is not theirs to close, but nothing breaks."""
        from docsession.contrib.django import get_store

        get_store().close()

        assert not get_store().disposed


class TestPreparing:
    """PREPARE, for handlers of events and for OpenTelemetry."""

    def test_each_store_is_prepared(self, project_url, database):
        """That of the process, and those of event loops."""
        import asyncio

        from docsession import AsyncDocumentStore, DocumentStore

        prepared = []
        with installed(project_url, DATABASE=database, PREPARE=prepared.append):
            from docsession.contrib.django import get_async_store, get_store

            async def ask():
                get_async_store()

            get_store()
            get_store()
            asyncio.run(ask())

        assert [type(store) for store in prepared] == [DocumentStore, AsyncDocumentStore]


class TestMistakes:
    """ImproperlyConfigured, and an error of manage.py check."""

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"DATABSE": "x"}, ["DOCSESSION", "'DATABSE'", "AUTOSAVE", "DATABASE", "USING"]),
            ({"DATABASE": "pg_x"}, ["DOCSESSION", "pg_x"]),
            ({"USING": 5}, ["USING", "5"]),
            ({"USING": None}, ["USING = None needs a URL"]),
            ({"USING": "nobody"}, ["nobody"]),
            ({"USING": "lite"}, ["PostgreSQL", "'lite'", "'sqlite'"]),
            ({"AUTOSAVE": "yes"}, ["AUTOSAVE is True or False", "'yes'"]),
            ({"CONVENTIONS": {"no_such": 1}}, ["CONVENTIONS", "no_such"]),
            ({"PROBLEMS": 5}, ["PROBLEMS", "5"]),
            ({"PROBLEMS": "no.such.path"}, ["PROBLEMS", "no"]),
            ({"PROBLEMS": {ValueError: 400}}, ["PROBLEMS", "ValueError"]),
            ({"default": {}, "other": {"PROBLEMS": {}}}, ["DOCSESSION['other']", "default"]),
            ({"other": {}, "more": {}}, ["'default'"]),
        ],
        ids=str,
    )
    def test_a_setting_that_cannot_be(self, project_url, options, words):
        """The message names the place and what there is."""
        with installed(project_url, databases={"lite": SQLITE}, **options):
            from django.core.checks import run_checks
            from django.core.exceptions import ImproperlyConfigured

            from docsession.contrib.django import get_store

            with pytest.raises(ImproperlyConfigured) as caught:
                get_store()
            (found,) = [each for each in run_checks() if each.id == "docsession.E001"]

        assert found.msg == str(caught.value)
        assert all(word in found.msg for word in words), found.msg

    def test_a_store_that_is_not_there(self, project):
        """The message names those there are."""
        from django.core.exceptions import ImproperlyConfigured

        from docsession.contrib.django import get_store

        with pytest.raises(ImproperlyConfigured, match=r"'nobody'.*'default'"):
            get_store("nobody")

    def test_settings_that_are_right(self, project):
        """Nothing is found."""
        from django.core.checks import run_checks

        assert [each for each in run_checks() if "docsession" in each.id] == []

    def test_passwords_are_not_shown(self, project_url):
        """Neither by errors nor by what the settings look like."""
        with installed(project_url, URL="postgresql://ada:sesame@127.0.0.1:1/x", MAX_SIZE="many"):
            from django.core.exceptions import ImproperlyConfigured

            from docsession.contrib.django import get_store

            with pytest.raises(ImproperlyConfigured) as caught:
                get_store()

        assert "sesame" not in f"{caught.value!r} {caught.value.__cause__!r}"


class TestDocuments:
    """The modules called `documents` of all apps."""

    def test_they_are_found(self, project):
        """And imported when Django starts."""
        from docsession.contrib.django._stores import STORES

        assert STORES.settings_of("default").models() == ("tests.contrib.django.project.documents",)

    def test_others_may_be_named(self, project_url):
        """MODELS."""
        with installed(project_url, MODELS=["tests.support.shop"]):
            from docsession.contrib.django._stores import STORES

            assert STORES.settings_of("default").models() == ("tests.support.shop",)
