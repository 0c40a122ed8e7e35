"""The project of docs/django.md, file by file, works as the page says."""

import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "django.md"
FILE = re.compile(r"^```(?:py|html)\n(?:#|<!--) (\S+)(?:, continued)?(?: -->)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)

SETTINGS = """
    INSTALLED_APPS = ["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
                      "django.contrib.messages", "django.contrib.sessions"]
    MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware",
                  "django.contrib.auth.middleware.AuthenticationMiddleware",
                  "django.contrib.messages.middleware.MessageMiddleware"]
    TEMPLATES = [{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request",
                                           "django.contrib.auth.context_processors.auth",
                                           "django.contrib.messages.context_processors.messages"]},
    }]
    DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
    ROOT_URLCONF = "shop_site.urls"
    SECRET_KEY = "of tests"
"""

URLS = """
    from django.urls import path

    from shop import api, async_views, views

    urlpatterns = [
        path("customers", views.customers),
        path("customers/<path:key>/move", views.move),
        path("customers/<path:key>/rename", views.rename),
        path("customers/<path:key>/edit", views.edit, name="edit"),
        path("api/customers", api.customers),
        path("api/customers/<path:key>", api.customer),
        path("add", async_views.add),
    ]
"""

MORE_TESTS = """
    import re

    from django.core.management import call_command
    from django.test import TransactionTestCase


    class Guide(Shopping):
        def test_renaming_and_editing(self):
            path = "/customers/customers/ada"
            page = self.client.get(path + "/edit").content.decode()
            version = re.search(r'name="change_vector" value="(\\d+)"', page)
            self.assertEqual(self.client.post(path + "/rename", {"name": "Bea"}).status_code, 200)
            data = {"name": "Cem", "city": "Rome", "change_vector": version[1]}
            self.assertEqual(self.client.post(path + "/edit", data).status_code, 409)
            self.assertEqual(self.client.get("/api/customers").json()["items"][0]["name"], "Bea")

        def test_the_api(self):
            path = "/api/customers/customers/ada"
            tag = self.client.get(path)["ETag"]
            self.assertEqual(self.client.get(path, headers={"If-None-Match": tag}).status_code, 304)
            put = lambda: self.client.put(path, {"name": "Bea"}, "application/json", headers={"If-Match": tag})
            self.assertEqual([put().status_code, put().status_code], [200, 412])
            self.assertEqual(self.client.get("/api/customers/customers/bob").status_code, 404)

        def test_the_command(self):
            call_command("count_customers")


    class AsyncGuide(TransactionTestCase):
        def test_adding(self):
            self.assertEqual(self.client.post("/add", {"name": "Dora", "city": "Rome"}).json()["before"], 0)
            self.assertEqual(self.client.get("/customers?city=Rome").json(), {"names": ["Dora"]})
"""


@pytest.fixture
def folder(tmp_path, direct_url, database):
    """The project's folder; its tests have a database of their own, which they drop."""
    info = conninfo_to_dict(direct_url)
    name = f"test_{database}"
    default = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": info["dbname"],
        "USER": info["user"],
        "PASSWORD": info["password"],
        "HOST": info["host"],
        "PORT": info["port"],
        "TEST": {"NAME": name},
    }
    files = {"shop_site/settings.py": dedent(SETTINGS) + f"DATABASES = {{'default': {default!r}}}\n"}
    for path, content in FILE.findall(PAGE.read_text(encoding="utf-8")):
        files[path] = files.get(path, "") + content
    files["shop_site/urls.py"] = dedent(URLS)
    files["shop/tests.py"] += dedent(MORE_TESTS)
    for package in ("shop", "shop_site", "shop/management", "shop/management/commands"):
        files[f"{package}/__init__.py"] = ""
    for path, content in files.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    yield tmp_path
    with psycopg.connect(direct_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def test_the_project_of_the_guide_passes_its_tests(folder):
    """Its own, and some more that ask every view."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "shop_site.settings",
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    done = subprocess.run(
        [sys.executable, "-m", "django", "test", "shop", "--noinput"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ran 8 tests" in done.stderr, done.stderr
