"""What a project says in docsession.toml or pyproject.toml (no database)."""

import sys
import textwrap
import uuid

import pytest

from docsession import AsyncDocumentStore, DocumentConventions, DocumentStore, InvalidArgumentException
from docsession._documents._mapping import Mappings
from docsession._migrate._project import (
    Project,
    collections_of,
    find_project,
    find_server,
    load_models,
    load_store,
    unmarked_of,
)

VARIABLE = "DOCSESSION_URL"


@pytest.fixture
def write(tmp_path):
    """Write a file below the test's folder and return its path."""

    def make(name, text):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        return file

    return make


@pytest.fixture
def package(write, monkeypatch):
    """Write modules of a package that no other test has, and return its name."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    name = f"shop_{uuid.uuid4().hex}"

    def make(**modules):
        for module, text in modules.items():
            write(f"{name}/{module}.py", text.replace("PACKAGE", name))
        return name

    yield make
    for module in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
        del sys.modules[module]


class TestFiles:
    def test_the_nearest_file_counts(self, tmp_path, write):
        write("pyproject.toml", '[tool.docsession]\ndatabases = "outer"\n')
        write("a/pyproject.toml", "[project]\nname = 'without a section'\n")
        (tmp_path / "a" / "b").mkdir()
        assert find_project(tmp_path / "a" / "b").databases == ("outer",)
        write("a/docsession.toml", 'databases = ["inner", "other"]\n')
        assert find_project(tmp_path / "a" / "b").databases == ("inner", "other")

    def test_its_own_file_comes_before_pyproject(self, tmp_path, write):
        write("pyproject.toml", '[tool.docsession]\ndatabases = "theirs"\n')
        file = write("docsession.toml", 'databases = "*"\n')
        project = find_project(tmp_path)
        assert (project.databases, project.file) == (("*",), file)

    def test_without_a_file_nothing_is_said(self, tmp_path):
        assert find_project(tmp_path, None) == Project()

    def test_folders_are_relative_to_the_file(self, tmp_path, write):
        write("docsession.toml", 'migrations = "db/revisions"\npython_path = ["src"]\n')
        project = find_project(tmp_path)
        assert project.migrations == tmp_path / "db" / "revisions"
        assert project.python_path == (tmp_path / "src",)

    def test_folders_have_defaults(self, tmp_path, write):
        write("docsession.toml", "")
        project = find_project(tmp_path)
        assert (project.migrations, project.python_path) == (tmp_path / "docsession_migrations", (tmp_path / ".",))

    @pytest.mark.parametrize(
        ("text", "part"),
        [
            ("database = 'x'", "there is no setting 'database'; there are databases, migrations, models"),
            ("databases = 3", "databases is a text or a list of texts, not 3"),
            ("databases = ['*', 'x']", 'a list of names, or "*" alone'),
            ("databases = 'pg_x'", "belongs to PostgreSQL itself"),
            ("url = 3", "url is a text, not a int"),
            ("url_variable = ''", "url_variable is a text"),
            ("store = 'shop.db'", "store is like 'package.module:name'"),
            ("store = 'shop.db:'", "store is like 'package.module:name'"),
            ("models = [1]", "models is a text or a list of texts"),
            ("this is no toml", "cannot be read"),
        ],
    )
    def test_what_cannot_be_is_told(self, tmp_path, write, text, part):
        write("docsession.toml", text)
        with pytest.raises(InvalidArgumentException) as caught:
            find_project(tmp_path)
        assert part in str(caught.value)
        assert "docsession.toml" in str(caught.value)

    def test_a_named_file_needs_the_section(self, tmp_path, write):
        file = write("pyproject.toml", "[project]\n")
        with pytest.raises(InvalidArgumentException, match=r"has no section \[tool.docsession\]"):
            find_project(tmp_path, file)

    def test_a_named_file_may_have_any_name(self, tmp_path, write):
        assert find_project(tmp_path, write("other.toml", 'databases = "x"')).databases == ("x",)


class TestServers:
    def source(self, project=None, store=None, url=None):
        return find_server(project or Project(), store, url, VARIABLE).source

    @pytest.fixture(autouse=True)
    def _clean(self, monkeypatch):
        monkeypatch.delenv(VARIABLE, raising=False)
        monkeypatch.delenv("SHOP_URL", raising=False)

    def test_what_is_said_nearer_counts(self, monkeypatch):
        url = "postgresql://localhost/x"
        store = DocumentStore(url)
        assert self.source() == "the embedded server"
        monkeypatch.setenv(VARIABLE, url)
        assert self.source() == "the variable DOCSESSION_URL"
        assert self.source(store=DocumentStore()) == "the variable DOCSESSION_URL"
        assert self.source(Project(store="shop.db:store"), store) == "the store shop.db:store"
        assert self.source(Project(url=url), store) == "no configuration"
        assert self.source(Project(url=url, url_variable="SHOP_URL"), store) == "no configuration"
        monkeypatch.setenv("SHOP_URL", url)
        assert self.source(Project(url=url, url_variable="SHOP_URL"), store) == "the variable SHOP_URL"
        assert self.source(Project(url=url, url_variable="SHOP_URL"), store, url) == "--url"

    @pytest.mark.parametrize("value", [None, ""])
    def test_a_variable_that_is_named_has_to_be_set(self, monkeypatch, value):
        if value is not None:
            monkeypatch.setenv("SHOP_URL", value)
        with pytest.raises(InvalidArgumentException, match=r"the variable SHOP_URL, .* is not set or empty"):
            self.source(Project(url_variable="SHOP_URL"))

    def test_a_variable_that_holds_no_url_is_named_without_its_password(self, monkeypatch):
        monkeypatch.setenv("SHOP_URL", "mysql://me:secret@localhost/x")
        with pytest.raises(InvalidArgumentException, match="the variable SHOP_URL cannot be used") as caught:
            self.source(Project(url_variable="SHOP_URL"))
        assert "secret" not in str(caught.value)


MODELS = """
    from dataclasses import dataclass
    from docsession import document
    from PACKAGE.lines import Line

    @document()
    @dataclass
    class Order:
        id: str | None = None

    @document(collection="Persons")
    class Person:
        pass

    class Plain:
        pass

    number = 1
"""
LINES = """
    from docsession import document

    @document()
    class Line:
        pass

    class Unmarked:
        pass
"""


class TestModels:
    def names(self, tmp_path, *models):
        return [cls.__name__ for cls in load_models(Project(models=models, python_path=(tmp_path,)))]

    def test_they_are_the_marked_classes_of_the_modules(self, tmp_path, package):
        name = package(__init__="", models=MODELS, lines=LINES)
        assert self.names(tmp_path, f"{name}.models") == ["Line", "Order", "Person"]
        assert self.names(tmp_path, f"{name}.lines") == ["Line"]

    def test_a_package_has_those_of_the_modules_that_it_imports(self, tmp_path, package):
        name = package(__init__="from PACKAGE import models as _", models=MODELS, lines=LINES)
        assert self.names(tmp_path, name) == ["Line", "Order", "Person"]

    def test_a_single_class_needs_no_mark(self, tmp_path, package):
        name = package(__init__="", models=MODELS, lines=LINES)
        assert self.names(tmp_path, f"{name}.models:Plain", f"{name}.lines") == ["Line", "Plain"]

    @pytest.mark.parametrize("model", ["{}.model", "{}.models:Ordr", "{}.models:number", "."])
    def test_a_misspelt_one_is_told(self, tmp_path, package, model):
        name = package(__init__="", models=MODELS, lines=LINES)
        with pytest.raises(InvalidArgumentException, match="models: '"):
            self.names(tmp_path, model.format(name))

    def test_those_that_have_an_id_and_no_mark_are_told(self, tmp_path, package):
        """An ORM's classes have one, too, and what is imported belongs to another module."""
        name = package(
            __init__="",
            models="""
                from dataclasses import dataclass
                from docsession import document
                from PACKAGE.others import Imported
                @document
                class Marked:
                    id: str | None = None
                class Below(Marked):
                    pass
                class Forgotten:
                    Id: str | None = None
                class Address:
                    street: str
                class Row:
                    __table__ = "rows"
                    id: int
                class Named:
                    id: str
            """,
            others="class Imported:\n    id: str\n",
        )
        project = Project(models=(f"{name}.models", f"{name}.models:Named"), python_path=(tmp_path,))
        assert [cls.__name__ for cls in unmarked_of(project)] == ["Below", "Forgotten"]

    def test_their_collections_follow_the_conventions(self, tmp_path, package):
        name = package(__init__="", models=MODELS, lines=LINES)
        models = load_models(Project(models=(f"{name}.models",), python_path=(tmp_path,)))
        plain = collections_of(models, Mappings(DocumentConventions()))
        assert plain == {"Lines": "lines", "Orders": "orders", "Persons": "persons"}
        named = DocumentConventions(find_collection_name=lambda cls: f"My{cls.__name__}")
        assert collections_of(models, Mappings(named)) == {
            "MyLine": "my_line",
            "MyOrder": "my_order",
            "Persons": "persons",
        }


class TestStores:
    STORES = """
        from docsession import AsyncDocumentStore, DocumentStore
        store = DocumentStore("postgresql://localhost/x", "shop")
        def make():
            return AsyncDocumentStore("postgresql://localhost/x")
        def broken():
            return 3
    """

    def load(self, tmp_path, reference):
        return load_store(Project(store=reference, python_path=(tmp_path,)))

    def test_it_is_a_store_or_a_function_that_makes_one(self, tmp_path, package):
        name = package(__init__="", db=self.STORES)
        assert isinstance(self.load(tmp_path, f"{name}.db:store"), DocumentStore)
        assert isinstance(self.load(tmp_path, f"{name}.db:make"), AsyncDocumentStore)

    @pytest.mark.parametrize("reference", ["{}.db:broken", "{}.db:missing", "{}.dc:store", "{}.db:store.nothing"])
    def test_anything_else_is_told(self, tmp_path, package, reference):
        name = package(__init__="", db=self.STORES)
        with pytest.raises(InvalidArgumentException, match="store"):
            self.load(tmp_path, reference.format(name))

    def test_a_project_without_a_store_has_none(self):
        assert load_store(Project()) is None
