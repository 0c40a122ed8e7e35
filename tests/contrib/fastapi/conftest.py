import contextlib
from collections.abc import Callable, Iterator

import httpx
import pytest

from docsession import AsyncDocumentStore, DocumentStore
from docsession.contrib.fastapi import DocSession
from tests.support.http_servers import serving_app
from tests.support.notes import Note


@pytest.fixture
def make_documents(postgres_url, database) -> Callable[..., DocSession]:
    """Make a `DocSession` on the test's database."""

    def make(**kwargs):
        return DocSession(lambda: AsyncDocumentStore(postgres_url, database), **kwargs)

    return make


@pytest.fixture
def serve() -> Iterator[Callable[..., httpx.Client]]:
    """Serve an application over HTTP until the test ends, and return a client of it.

    Each request has a connection of its own, because uvicorn closes those on which an application has failed.
    """
    limits = httpx.Limits(max_keepalive_connections=0)
    with contextlib.ExitStack() as stack:

        def start(app):
            url = stack.enter_context(serving_app(app))
            return stack.enter_context(httpx.Client(base_url=url, timeout=30, limits=limits))

        yield start


@pytest.fixture
def beside(postgres_url, database) -> Iterator[DocumentStore]:
    """A store on the same database, to look at what the application has done, and to get in its way."""
    with DocumentStore(postgres_url, database) as store:
        yield store


@pytest.fixture
def note(beside) -> Callable[[str], str | None]:
    """Read what a note says; None where there is none."""

    def read(key):
        with beside.open_session() as session:
            found = session.load(key, Note)
            return None if found is None else found.text

    return read


@pytest.fixture
def write(beside) -> Callable[..., None]:
    """Write a note from elsewhere."""

    def put(key, text):
        with beside.open_session() as session:
            session.store(Note(text), key)
            session.save_changes()

    return put
