"""What the fixtures of the pytest plugin do. Imported when one of them is asked for."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from docsession._conventions import DocumentConventions
from docsession._embedded import EmbeddedServer
from docsession._errors import InvalidArgumentException
from docsession._faces._async_store import AsyncDocumentStore
from docsession._faces._run import run
from docsession._faces._store import DocumentStore
from docsession.testing._backends import BACKENDS, DEFAULT_IMAGE, start_server
from docsession.testing._databases import DocumentDatabase, PostgresServer
from docsession.testing._lending import LentExecutor, close_async
from docsession.testing._rolled_back import RolledBackExecutor

ISOLATIONS: Final = ("delete", "rollback")

_SHARED: Final = "docsession"
"""The key of what pytest-xdist's main process tells its workers."""

_VARIABLES: Final = {
    "backend": "DOCSESSION_TEST_BACKEND",
    "url": "DOCSESSION_TEST_URL",
    "image": "DOCSESSION_TEST_IMAGE",
    "postgres": "DOCSESSION_TEST_MAJOR",
}

_shared_key: Final = pytest.StashKey["Shared"]()


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
        if self.backend not in BACKENDS:
            raise pytest.UsageError(f"there is no docsession backend {self.backend!r}; there are {', '.join(BACKENDS)}")
        if self.backend != "url":
            self.url = None
        elif not self.url:
            raise pytest.UsageError("the docsession backend 'url' needs --docsession-url or DOCSESSION_TEST_URL")
        self.image = self._value("image") or DEFAULT_IMAGE
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
        return start_server(
            self.backend,
            url=self.url,
            image=self.image,
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
            self._server = settings.start({})
        elif settings.backend == "embedded" and settings.directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="docsession-tests-"))

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
            if any(self._directory.rglob("postmaster.pid")):
                version = self._settings.postgres_version
                EmbeddedServer.start(self._directory, major_version=version, durable=False).stop()
            shutil.rmtree(self._directory, ignore_errors=True)


def share_with(node: Any) -> None:
    """Tell a worker of pytest-xdist which server to use."""
    config: pytest.Config = node.config
    shared = config.stash.get(_shared_key, None)
    if shared is None:
        shared = config.stash[_shared_key] = Shared(Settings(config))
    node.workerinput[_SHARED] = shared.told()


def end_sharing(config: pytest.Config) -> None:
    """Stop what was shared."""
    shared = config.stash.get(_shared_key, None)
    if shared is not None:
        del config.stash[_shared_key]
        shared.end()


@contextmanager
def server_of(config: pytest.Config, options: Mapping[str, Any]) -> Iterator[PostgresServer]:
    """The server of this process, for the whole run."""
    told: Mapping[str, str] = getattr(config, "workerinput", {}).get(_SHARED, {})
    if "url" in told:
        server = PostgresServer(told["url"], Settings(config).backend, options=options)
    else:
        directory = Path(told["directory"]) if "directory" in told else None
        server = Settings(config).start(options, directory)
    with server:
        yield server


@contextmanager
def database_on(
    server: PostgresServer, prepare: Callable[[DocumentDatabase], object] | None
) -> Iterator[DocumentDatabase]:
    """A new database on *server*, dropped afterwards."""
    database = server.make_database()
    try:
        if prepare is not None:
            prepare(database)
        yield database
    finally:
        database.drop()


class Isolation:
    """Makes the stores of one test, and takes back what they have written.

    Attributes:
        database: The database of the test.
        rolls_back: True where the test runs in a transaction that is rolled back.
    """

    def __init__(self, database: DocumentDatabase, *, rolls_back: bool) -> None:
        self.database = database
        self.rolls_back = rolls_back
        self._rolled_back: RolledBackExecutor | None = None

    @contextmanager
    def store(self, conventions: DocumentConventions) -> Iterator[DocumentStore]:
        """A blocking store."""
        inner: Any = self.database.server.executor
        if self.rolls_back:
            if self._rolled_back is None:
                self._rolled_back = RolledBackExecutor(inner, is_async=False)
            inner = self._rolled_back
        executor = LentExecutor(inner)
        store = self.database.store_over(executor, conventions)
        try:
            yield store
        finally:
            run(executor.end())
            if not self.rolls_back:
                self.database.forget()  # ranges that are about to be deleted need not be given back
            store.close()

    @contextmanager
    def async_store(self, conventions: DocumentConventions) -> Iterator[AsyncDocumentStore]:
        """An async store."""
        store = self.database.async_store(conventions=conventions)
        if self.rolls_back:
            make = store._make_executor
            store._make_executor = lambda settings: RolledBackExecutor(make(settings), is_async=True)
        try:
            yield store
        finally:
            if not self.rolls_back:
                self.database.forget()
            close_async(store)

    def end(self) -> None:
        """Take back what was written."""
        if self.rolls_back:
            if self._rolled_back is not None:
                run(self._rolled_back.undo())
        else:
            self.database.empty()


@contextmanager
def isolation_of(request: pytest.FixtureRequest) -> Iterator[Isolation]:
    """What isolates the test of *request*."""
    has_its_own = "document_database" in request.fixturenames
    name = "document_database" if has_its_own else "docsession_database"
    isolation = Isolation(request.getfixturevalue(name), rolls_back=_isolation_named(request) == "rollback")
    yield isolation
    if not has_its_own or isolation.rolls_back:
        isolation.end()


def _isolation_named(request: pytest.FixtureRequest) -> str:
    marker = request.node.get_closest_marker("docsession")
    given: Any = None
    if marker is not None:
        unknown = sorted(marker.kwargs.keys() - {"isolation"})
        if marker.args or unknown:
            raise InvalidArgumentException("the marker docsession takes isolation='delete' or 'rollback', by name")
        given = marker.kwargs.get("isolation")
    config = request.config
    given = given or config.getoption("docsession_isolation") or config.getini("docsession_isolation") or "delete"
    if given not in ISOLATIONS:
        raise InvalidArgumentException(f"there is no isolation {given!r:.40}; there are 'delete' and 'rollback'")
    return str(given)
