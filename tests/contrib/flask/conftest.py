"""Applications of Flask on the test's database, and what they are made of."""

from dataclasses import dataclass, field

import pytest
from flask import Flask

from docsession import DocumentStore
from docsession.contrib.flask import DocSession


@dataclass
class Note:
    text: str = ""
    tags: list[str] = field(default_factory=list)
    id: str | None = None


@dataclass
class Visitor:
    """A note by its shape, and something else."""

    text: str = ""
    id: str | None = None


@pytest.fixture
def note():
    """The class of the documents."""
    return Note


@pytest.fixture
def visitor():
    """Another class."""
    return Visitor


@pytest.fixture
def store(postgres_url, database):
    """A store beside the application's."""
    with DocumentStore(postgres_url, database) as store:
        yield store


@pytest.fixture
def stored(store):
    """Store documents beside the application, and read them there: `stored(text="a")`, `stored.text("notes/1")`."""

    class Stored:
        def __call__(self, entity, key):
            with store.open_session() as session:
                session.store(entity, key)
                session.save_changes()

        @staticmethod
        def text(key):
            with store.open_session() as session:
                found = session.load(key, Note)
                return None if found is None else found.text

    return Stored()


@pytest.fixture
def make_app(postgres_url, database):
    """Make an application with the extension: `app, docs = make_app(autosave=True)`."""
    made = []

    def make(settings=None, *, config=None, prepare=None, **options):
        app = Flask("shop")
        app.config["DOCSESSION"] = {"URL": postgres_url, "DATABASE": database} if settings is None else settings
        app.config |= config or {}
        if prepare is not None:
            prepare(app)
        docs = DocSession(app, **options)
        made.append((app, docs))
        return app, docs

    yield make
    for app, docs in made:
        docs.close(app)
