"""`flask docsession …`: the commands on the settings of the application."""

import importlib
import os
import subprocess
import sys
import uuid

import pytest
from flask import Flask

from docsession._sql._schema import HEAD_REVISION


@pytest.fixture
def command(make_app, monkeypatch, tmp_path):
    """Run a command of an application, and return its exit code and what it printed."""
    monkeypatch.delenv("DOCSESSION_URL", raising=False)

    def call(*arguments, settings=None, prepare=None):
        app, _docs = make_app(settings, prepare=prepare)
        result = app.test_cli_runner().invoke(args=["docsession", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result.exit_code, result.output

    return call


def test_they_work_on_the_applications_store(command, database):
    assert command("upgrade")[1].endswith(f"{database}: {HEAD_REVISION}, the newest\n")
    assert command("check") == (0, f"{database}: no difference\n")


def test_of_several_stores_one_is_named(command, postgres_url, database):
    settings = {name: {"URL": postgres_url, "DATABASE": f"{database}{name}"} for name in ("default", "other")}
    assert command("current", settings=settings)[1].startswith(f"{database}default: does not exist")
    assert command("--store", "other", "current", settings=settings)[1].startswith(f"{database}other: does not exist")
    code, output = command("--store", "x", "current", settings=settings)
    assert (code, output) == (3, "Error: DOCSESSION has no store 'x'; there are: 'default', 'other' [ds220]\n")


def test_what_is_to_be_run_is_said_in_the_applications_words(command, postgres_url, database):
    """`docsession upgrade` itself knows nothing of its settings. (Flask's test runner takes the application's name.)"""
    settings = {name: {"URL": postgres_url, "DATABASE": database} for name in ("default", "other")}
    _, of_the_default = command("current", settings=settings)
    assert "docsession --store other upgrade" not in of_the_default
    assert f"run `shop docsession upgrade --database {database}`" in of_the_default.replace("'", "")
    _, of_another = command("--store", "other", "current", settings=settings)
    assert f"run `shop docsession --store other upgrade --database {database}`" in of_another.replace("'", "")


def test_the_store_of_the_application_stays_open(make_app):
    app, docs = make_app()
    with app.app_context():
        store = docs.store
        result = app.test_cli_runner().invoke(args=["docsession", "shell", "-c", "print(store.database)"])
        assert (result.exit_code, result.output) == (0, f"{store.database}\n")
        assert not store.disposed


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a package with an application's factory and a model, and return its name and folder."""
    name = f"shop_{uuid.uuid4().hex}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text(PACKAGE.replace("NAME", name), encoding="utf-8")
    (folder / "models.py").write_text(MODELS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return name, folder


PACKAGE = """
import os
from flask import Flask
from docsession.contrib.flask import DocSession

docs = DocSession()

def create_app():
    app = Flask(__name__)
    app.config["DOCSESSION"] = {
        "URL": os.environ["SHOP_URL"], "DATABASE": os.environ["SHOP_DATABASE"], "MODELS": ["NAME.models"],
    }
    docs.init_app(app)
    return app
"""
MODELS = """
from dataclasses import dataclass
from docsession import Index, document

@document(indexes=[Index(lambda company: company.city)])
@dataclass
class Company:
    city: str
    id: str | None = None
"""


def test_from_a_model_to_its_index_by_a_revision(package, postgres_url, database, monkeypatch):
    """Revisions are in the application's folder, whatever the working directory."""
    name, folder = package
    monkeypatch.setenv("SHOP_URL", postgres_url)
    monkeypatch.setenv("SHOP_DATABASE", database)
    app = importlib.import_module(name).create_app()

    def run(*arguments):
        result = app.test_cli_runner().invoke(args=["docsession", *arguments])
        return result.exit_code, result.output

    assert run("upgrade")[0] == 0
    code, output = run("check")
    assert (code, "the collection Companies of the models" in output) == (1, True)
    assert run("revision", "--autogenerate", "-m", "companies")[0] == 0
    assert len(list((folder / "docsession_migrations").glob("*_companies.py"))) == 1
    assert run("upgrade")[0] == 0
    assert run("check") == (0, f"{database}: no difference\n")


def test_the_flask_command_has_them(package, postgres_url, database):
    """By the application's factory, in a process of its own."""
    name, folder = package
    result = subprocess.run(
        [sys.executable, "-m", "flask", "--app", name, "docsession", "current"],
        cwd=folder.parent,
        env=os.environ | {"SHOP_URL": postgres_url, "SHOP_DATABASE": database},
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert (result.returncode, result.stdout.startswith(f"{database}: does not exist")) == (1, True), result.stderr


def test_help_needs_no_server(make_app):
    app = Flask("bare")
    assert "docsession" not in app.cli.commands
    app, _docs = make_app({"URL": "postgresql://nobody@127.0.0.1:1/nothing"})
    result = app.test_cli_runner().invoke(args=["docsession", "--help"])
    assert (result.exit_code, "upgrade" in result.output, "--store NAME" in result.output) == (0, True, True)
