"""The pytest plugin of docsession: options and fixtures.

It is a module of its own, outside of the package, and imports docsession when a fixture is asked for: a run that needs
none of them starts as fast as before, and coverage of docsession and of what imports it begins in time.

PYTEST_DONT_REWRITE: it has no assertion to show.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from docsession import AsyncDocumentStore, DocumentConventions, DocumentSession, DocumentStore
    from docsession.testing import DocumentDatabase, PostgresServer
    from docsession.testing._fixtures import Isolation

_ISOLATIONS = ("delete", "rollback")
_BACKENDS = ("embedded", "url", "testcontainers")


_SHARED = "docsession"
"""The key of what pytest-xdist's main process tells its workers."""

_VARIABLES = {
    "backend": "DOCSESSION_TEST_BACKEND",
    "url": "DOCSESSION_TEST_URL",
    "image": "DOCSESSION_TEST_IMAGE",
    "postgres": "DOCSESSION_TEST_MAJOR",
}


class Settings:
    """What the command line, the environment and the ini file say, in this order.

    Attributes:
        backend, url, image, postgres_version, directory: As `start_server` takes them.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.url = self._value("url")
        backend = self._value("backend")
        self.backend = backend or ("url" if self.url else "embedded")
        if self.backend not in _BACKENDS:
            raise pytest.UsageError(
                f"there is no docsession backend {self.backend!r}; there are {', '.join(_BACKENDS)}"
            )
        if self.backend != "url":
            self.url = None
        elif not self.url:
            raise pytest.UsageError("the docsession backend 'url' needs --docsession-url or DOCSESSION_TEST_URL")
        self.image = self._value("image")
        version = self._value("postgres") or "18"
        if not version.isdecimal():
            raise pytest.UsageError(f"docsession_postgres is a major version like 18, not {version!r}")
        self.postgres_version = int(version)
        directory = self._value("directory")
        self.directory = None if directory is None else self._config.rootpath / directory

    def _value(self, name: str) -> str | None:
        given: str | None = self._config.getoption(f"docsession_{name}")
        if given is None and name in _VARIABLES:
            given = os.environ.get(_VARIABLES[name]) or None
        if given is None and name != "url":
            given = self._config.getini(f"docsession_{name}") or None
        return given

    def start(self, options: Mapping[str, Any], directory: Path | None = None) -> PostgresServer:
        """Start the server, or use the one that is named."""
        from docsession.testing import start_server

        return start_server(
            self.backend,
            url=self.url,
            **({} if self.image is None else {"image": self.image}),
            postgres_version=self.postgres_version,
            directory=directory or self.directory,
            options=options,
        )


class Shared:
    """What pytest-xdist's main process keeps for its workers: a container, or the place of an embedded server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server: PostgresServer | None = None
        self._directory: Path | None = None
        if settings.backend == "testcontainers":
            # Here, and not in the first worker that needs one: its end would take the container away from the others.
            from docsession import DocSessionError

            try:
                self._server = settings.start({})
            except DocSessionError as error:
                raise pytest.UsageError(str(error)) from error
        elif settings.backend == "embedded" and settings.directory is None:
            # Named as `docsession.testing` names its own, so that a later run removes it if this one is killed.
            self._directory = Path(tempfile.gettempdir()) / f"docsession-tests.{secrets.token_hex(6)}"
            self._directory.mkdir(mode=0o700)

    def told(self) -> dict[str, str]:
        """What a worker has to know."""
        if self._server is not None:
            return {"url": self._server.url}
        return {} if self._directory is None else {"directory": str(self._directory)}

    def end(self) -> None:
        """Stop the server; an embedded one has ended with the last worker, unless that was killed."""
        if self._server is not None:
            self._server.stop()
        if self._directory is not None:
            try:
                self._directory.rmdir()
            except OSError:  # it was used; only now docsession is imported
                from docsession._embedded._abandoned import remove_abandoned

                remove_abandoned(self._directory)


_shared = pytest.StashKey[Shared]()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    # pytest compiles every module of a distribution that has a plugin anew, to show more of assertions that fail. There
    # are none but in the conformance suite, and it would take seconds where nothing can be written beside the modules.
    marked = getattr(getattr(pluginmanager, "rewrite_hook", None), "_must_rewrite", None)
    if isinstance(marked, set):
        marked.discard("docsession")
    pytest.register_assert_rewrite("docsession.testing.conformance")
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
    stash = node.config.stash
    if _shared not in stash:
        stash[_shared] = Shared(Settings(node.config))
    node.workerinput[_SHARED] = stash[_shared].told()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _shared in config.stash:
        config.stash[_shared].end()
        del config.stash[_shared]


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
    from docsession.testing import PostgresServer

    settings = Settings(request.config)
    told: Mapping[str, str] = getattr(request.config, "workerinput", {}).get(_SHARED, {})
    if "url" in told:
        server = PostgresServer(told["url"], settings.backend, options=docsession_options)
    else:
        server = settings.start(docsession_options, Path(told["directory"]) if "directory" in told else None)
    with server:
        yield server


@pytest.fixture(scope="session")
def docsession_database(
    docsession_server: PostgresServer, docsession_prepare: Callable[[DocumentDatabase], object] | None
) -> Iterator[DocumentDatabase]:
    """The database that the tests of this process take turns with; with pytest-xdist every worker has its own."""
    from docsession.testing._fixtures import database_on

    with database_on(docsession_server, docsession_prepare) as database:
        yield database


@pytest.fixture(scope="session")
def docsession_seed_database(
    docsession_server: PostgresServer, docsession_prepare: Callable[[DocumentDatabase], object] | None
) -> Iterator[DocumentDatabase]:
    """The database of the tests that are rolled back: what fixtures of scope "session" write to it stays."""
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
