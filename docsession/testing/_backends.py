"""Where the PostgreSQL of a test run comes from."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg

from docsession._embedded import EmbeddedServer
from docsession._embedded._abandoned import remove_abandoned
from docsession._errors import (
    ConnectionFailedException,
    EmbeddedServerException,
    InvalidArgumentException,
    MissingDependencyException,
)
from docsession._executors._url import parse_url
from docsession.testing._databases import PostgresServer
from docsession.testing._leftovers import is_temporary, remove_abandoned_directories, temporary_directory

BACKENDS: Final = ("embedded", "url", "testcontainers")

DEFAULT_IMAGE: Final = "postgres:18"

_NOT_DURABLE: Final = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=200")
_USER: Final = "docsession"
_PORT: Final = 5432
_READY_SECONDS: Final = 120.0


def start_server(
    backend: str = "embedded",
    *,
    url: str | None = None,
    image: str = DEFAULT_IMAGE,
    postgres_version: int = 18,
    directory: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> PostgresServer:
    """Start a PostgreSQL for tests, or use one that is there. With pytest the fixtures do it.

    What is started gives up the safety of its data in a crash for speed, and is gone when it is stopped::

        with start_server() as server:
            database = server.make_database()
            with database.store() as store:
                ...

    Args:
        backend: `"embedded"` takes the server that `docsession[embedded]` brings along, `"url"` one that runs, and
            `"testcontainers"` starts a container, with `docsession[testcontainers]`.
        url: That of the server, for `"url"`.
        image: The container's image, `postgres:18`; for `"testcontainers"`.
        postgres_version: The embedded server's, 18 or 16.
        directory: Where the embedded server keeps its data, which stay then; processes that name the same directory
            share the server. None is a directory that is removed afterwards.
        options: Options of a pool, as `DocumentStore` takes them, for all stores: `{"prepare_threshold": None}`.

    Raises:
        InvalidArgumentException: There is no such backend, or it needs a URL.
        EmbeddedServerException: The embedded server cannot be started.
        ConnectionFailedException: The container cannot be started.
        MissingDependencyException: The extra that the backend needs is not installed.
    """
    if backend == "url":
        if not url:
            raise InvalidArgumentException("the backend 'url' needs the URL of a PostgreSQL for tests")
        parse_url(url)
        return PostgresServer(url, backend, options=options)
    if url:
        raise InvalidArgumentException(f"the backend {backend!r} takes no URL; with one it is 'url'")
    if backend == "embedded":
        return _embedded(postgres_version, directory, options)
    if backend == "testcontainers":
        return _container(image, options)
    raise InvalidArgumentException(f"there is no backend {backend!r:.40}; there are {', '.join(map(repr, BACKENDS))}")


def _embedded(version: int, directory: str | Path | None, options: Mapping[str, Any] | None) -> PostgresServer:
    remove_abandoned_directories()
    place = temporary_directory() if directory is None else Path(directory)

    def remove() -> None:
        if directory is None:
            remove_abandoned(place)

    try:
        server = EmbeddedServer.start(place, major_version=version, durable=False)
    except EmbeddedServerException:
        remove()
        raise
    if server.data_directory != place.resolve() and is_temporary(place):
        (place / "elsewhere").touch()  # where the server's user can enter; not empty, so that it is looked for

    def stop() -> None:
        server.stop()
        remove()

    return PostgresServer(server.url, "embedded", stop, options)


def _container(image: str, options: Mapping[str, Any] | None) -> PostgresServer:
    try:
        from testcontainers.core.container import DockerContainer
    except ImportError as error:
        raise MissingDependencyException(
            "the backend 'testcontainers' needs the package of that name: install docsession[testcontainers]"
        ) from error
    password = secrets.token_hex(16)
    container: DockerContainer | None = None
    try:
        container = DockerContainer(image).with_exposed_ports(_PORT)
        for name, value in (("POSTGRES_USER", _USER), ("POSTGRES_PASSWORD", password), ("POSTGRES_DB", _USER)):
            container = container.with_env(name, value)
        container = container.with_command(" ".join(f"-c {setting}" for setting in _NOT_DURABLE))
        container.start()
        host, port = container.get_container_host_ip(), container.get_exposed_port(_PORT)
        url = f"postgresql://{_USER}:{password}@{quote(host, safe='')}:{port}/{_USER}"
        wait_until_ready(url, what="the server in it")
    except Exception as error:
        # Whatever the engine's client raises: there are many libraries under it, each with errors of its own.
        said = _stop_failed(container)
        raise ConnectionFailedException(
            f"PostgreSQL cannot be run in a container of {image!r}: {_first_line(error)}. Is a container engine "
            f"running, and does DOCKER_HOST name it?{said}"
        ) from error
    return PostgresServer(url, "testcontainers", container.stop, options)


def wait_until_ready(url: str, *, what: str, seconds: float = _READY_SECONDS) -> None:
    """Return when the server of *url* answers.

    Raises:
        ConnectionFailedException: It does not within *seconds*.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise ConnectionFailedException(
                    f"{what} did not answer within {seconds:g} s: {_first_line(error)}"
                ) from error
            time.sleep(0.05)
        else:
            return


def _stop_failed(container: Any) -> str:
    """Stop a container that does not serve, and return the end of what it said."""
    if container is None:
        return ""
    try:
        said = b"\n".join(container.get_logs()).decode(errors="replace").strip().splitlines()[-5:]
        container.stop()
    except Exception:
        return ""  # it was never there
    return "\n" + "\n".join(said) if said else ""


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__qualname__])[0][:300]
