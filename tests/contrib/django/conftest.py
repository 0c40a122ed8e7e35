"""A Django project in this process: its settings, its tables, and clients of it."""

import uuid
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.support.hosts import django_settings

INSTALLED = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "docsession.contrib.django",
    "tests.contrib.django.project",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "docsession.contrib.django.DocumentSessionMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def connection_settings(url, **others):
    """One of DATABASES."""
    info = conninfo_to_dict(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": info["dbname"],
        "USER": info["user"],
        "PASSWORD": info["password"],
        "HOST": info["host"],
        "PORT": info["port"],
    } | others


@pytest.fixture(scope="session")
def new_database(direct_url):
    """Make a PostgreSQL database; `new_database()` is its URL."""
    names = []

    def make():
        names.append(f"django_{uuid.uuid4().hex[:12]}")
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(names[-1])))
        return urlsplit(direct_url)._replace(path=f"/{names[-1]}").geturl()

    with psycopg.connect(direct_url, autocommit=True) as connection:
        yield make
        for name in names:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def project_url(new_database):
    """A database with the tables of the project's models."""
    from django.core.management import call_command

    url = new_database()
    with installed(url, DATABASE="unused"):
        call_command("migrate", verbosity=0)
    return url


def installed(url, *, databases=None, settings=None, **docsession):
    """Configure Django with the project."""
    return _Installed({"default": connection_settings(url)} | (databases or {}), settings or {}, docsession)


class _Installed:
    def __init__(self, databases, settings, docsession):
        self._of_hosts = django_settings(**databases)
        self._settings = settings
        self._docsession = docsession

    def __enter__(self):
        settings = self._of_hosts.__enter__()
        from django.test import override_settings

        given = {
            "ALLOWED_HOSTS": ["testserver"],
            "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
            "DOCSESSION": self._docsession,
            "INSTALLED_APPS": INSTALLED,
            "MIDDLEWARE": MIDDLEWARE,
            "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
            "ROOT_URLCONF": "tests.contrib.django.project.urls",
            "TEMPLATES": TEMPLATES,
        }
        self._override = override_settings(**given | self._settings)
        self._override.__enter__()
        return settings

    def __exit__(self, *error):
        from docsession.contrib.django._stores import STORES

        STORES.close()
        STORES.forget_settings()
        self._override.__exit__(*error)
        self._of_hosts.__exit__(*error)
        STORES.forget_settings()


@pytest.fixture
def options():
    """What DOCSESSION says beside the database; a test's class or module may say otherwise."""
    return {}


@pytest.fixture
def project(project_url, database, options):
    """The project, configured, with a database of docsession of the test's own."""
    with installed(project_url, DATABASE=database, **options) as settings:
        yield settings
    with psycopg.connect(project_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(database)))
        connection.execute("TRUNCATE project_stock")


@pytest.fixture
def client(project):
    """A client of the project, as WSGI would call it; errors that nobody handles are raised."""
    from django.test import Client

    return Client()


@pytest.fixture
def rows(project, project_url, database):
    """The customers that are committed, seen from beside: `rows()` is name by id."""

    def committed():
        place = sql.Identifier(database, "customers")
        with psycopg.connect(project_url) as connection:
            (found,) = connection.execute("SELECT to_regclass(%s)", [f"{database}.customers"]).fetchone()
            query = sql.SQL("SELECT id, data ->> 'name' FROM {} ORDER BY id").format(place)
            return dict(connection.execute(query).fetchall()) if found else {}

    return committed


@pytest.fixture
def serve(project):
    """Let a client ask a view: `serve(view).get("/")`; `settings` are further ones of Django."""
    from django.test import Client, override_settings
    from django.urls import path

    overrides = []

    def make(view, client_class=Client, **settings):
        override = override_settings(ROOT_URLCONF=(path("", view),), **settings)
        override.enable()
        overrides.append(override)
        return client_class()

    yield make
    while overrides:
        overrides.pop().disable()
