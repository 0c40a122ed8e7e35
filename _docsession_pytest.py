"""The pytest plugin of docsession: options and fixtures.

It is a module of its own, outside of the package, and imports docsession when a fixture is asked for: a run that needs
none of them starts as fast as before, and coverage of docsession and of what imports it begins in time.

PYTEST_DONT_REWRITE: it has no assertion to show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from docsession import AsyncDocumentStore, DocumentConventions, DocumentSession, DocumentStore
    from docsession.testing import DocumentDatabase, PostgresServer
    from docsession.testing._fixtures import Isolation

_ISOLATIONS = ("delete", "rollback")
_BACKENDS = ("embedded", "url", "testcontainers")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    # pytest compiles every module of a distribution that has a plugin anew, to show more of assertions that fail. There
    # are none in docsession, and that would take seconds where nothing can be written beside the modules.
    marked = getattr(getattr(pluginmanager, "rewrite_hook", None), "_must_rewrite", None)
    if isinstance(marked, set):
        marked.discard("docsession")
    group = parser.getgroup("docsession", "documents in PostgreSQL (docsession)")
    for name, choices, text in (
        ("backend", _BACKENDS, "where the PostgreSQL of the tests comes from; embedded, or url where one is given"),
        ("url", None, "the URL of a PostgreSQL for tests; never that of real data"),
        ("image", None, "the image of the container, postgres:18"),
        ("postgres", None, "the embedded server's major version, 18 or 16"),
        ("directory", None, "where the embedded server is kept between runs, so that it starts sooner"),
        ("isolation", _ISOLATIONS, "how each test begins without the documents of the one before; delete"),
    ):
        group.addoption(f"--docsession-{name}", dest=f"docsession_{name}", choices=choices, default=None, help=text)
        if name != "url":
            parser.addini(f"docsession_{name}", f"the same as --docsession-{name}", default=None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "docsession(isolation): how this test's documents are taken back: 'delete' empties the tables, 'rollback' runs "
        "the whole test in a transaction that is rolled back",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let the workers of pytest-xdist share one server, which this process starts or names the place of."""
    from docsession.testing._fixtures import share_with

    share_with(node)


def pytest_unconfigure(config: pytest.Config) -> None:
    from sys import modules

    fixtures = modules.get("docsession.testing._fixtures")
    if fixtures is not None:
        fixtures.end_sharing(config)


@pytest.fixture(scope="session")
def docsession_options() -> Mapping[str, Any]:
    """Options of a pool for all stores of the tests, as `DocumentStore` takes them. Override it to set some."""
    return {}


@pytest.fixture(scope="session")
def docsession_prepare() -> Callable[[DocumentDatabase], object] | None:
    """What is called with each new test database, before anything uses it. Override it to run migrations."""
    return None


@pytest.fixture
def docsession_conventions() -> DocumentConventions:
    """The conventions of the stores of one test. Override it to set some; a store freezes those it is given."""
    from docsession import DocumentConventions

    return DocumentConventions()


@pytest.fixture(scope="session")
def docsession_server(
    request: pytest.FixtureRequest, docsession_options: Mapping[str, Any]
) -> Iterator[PostgresServer]:
    """The PostgreSQL of the run: `--docsession-backend` says which."""
    from docsession.testing._fixtures import server_of

    with server_of(request.config, docsession_options) as server:
        yield server


@pytest.fixture(scope="session")
def docsession_database(
    docsession_server: PostgresServer, docsession_prepare: Callable[[DocumentDatabase], object] | None
) -> Iterator[DocumentDatabase]:
    """The database that the tests of this process share, each alone; with pytest-xdist every worker has its own."""
    from docsession.testing._fixtures import database_on

    with database_on(docsession_server, docsession_prepare) as database:
        yield database


@pytest.fixture
def document_database(
    docsession_server: PostgresServer, docsession_prepare: Callable[[DocumentDatabase], object] | None
) -> Iterator[DocumentDatabase]:
    """A new database for one test, dropped after it: for tests that make tables and indexes, or drop them.

    `document_store` and the others work on it where a test takes both.
    """
    from docsession.testing._fixtures import database_on

    with database_on(docsession_server, docsession_prepare) as database:
        yield database


@pytest.fixture
def docsession_isolation(request: pytest.FixtureRequest) -> Iterator[Isolation]:
    """What takes back the documents of a test; the other fixtures use it."""
    from docsession.testing._fixtures import isolation_of

    with isolation_of(request) as isolation:
        yield isolation


@pytest.fixture
def document_store(
    docsession_isolation: Isolation, docsession_conventions: DocumentConventions
) -> Iterator[DocumentStore]:
    """A `DocumentStore` for one test, on an empty database; ids begin at 1 again, nothing is cached."""
    with docsession_isolation.store(docsession_conventions) as store:
        yield store


@pytest.fixture
def document_session(document_store: DocumentStore) -> Iterator[DocumentSession]:
    """A session of `document_store`, closed after the test; nothing is saved by itself."""
    with document_store.open_session() as session:
        yield session


@pytest.fixture
def async_document_store(
    docsession_isolation: Isolation, docsession_conventions: DocumentConventions
) -> Iterator[AsyncDocumentStore]:
    """An `AsyncDocumentStore` for one test, on an empty database, for whatever event loop the test runs in.

    It is a plain fixture, so it works with pytest-asyncio, anyio's plugin, and `asyncio.run` inside the test.
    """
    with docsession_isolation.async_store(docsession_conventions) as store:
        yield store
