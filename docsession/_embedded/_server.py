"""EmbeddedServer, what a store sees of the embedded PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from typing_extensions import override

from docsession._embedded._cluster import SUPERUSER, Wish
from docsession._embedded._holders import Hold, join, leave
from docsession._embedded._postmaster import Running
from docsession._errors import EmbeddedServerException

_DATABASE = "postgres"
# What is decided here, not by the caller.
_OWN_SETTINGS = frozenset(
    {
        "config_file",
        "data_directory",
        "external_pid_file",
        "hba_file",
        "listen_addresses",
        "log_destination",
        "logging_collector",
        "port",
        "unix_socket_directories",
        "unix_socket_group",
        "unix_socket_permissions",
    }
)


class EmbeddedServer:
    """A PostgreSQL server of one's own, shared by all who ask for its directory; make one with `start`.

    Attributes:
        data_directory: The server's directory; PostgreSQL's own data directory is `data` in it.
        socket_directory: Where its Unix socket is.
        port: The number in the socket's name, and the port on 127.0.0.1 of a server that listens there.
        tcp: Whether it listens on 127.0.0.1.
        major_version: 16 or 18.
    """

    def __init__(self, hold: Hold, token: object, major_version: int) -> None:
        self._hold = hold
        self._token = token
        self.major_version = major_version

    @classmethod
    def start(
        cls,
        data_directory: str | os.PathLike[str] | None = None,
        *,
        major_version: int = 18,
        tcp: bool = False,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> Self:
        """Start the server of a directory, or join the one that runs there.

        Args:
            data_directory: Made where it is missing; by default `docsession/postgres-<major_version>` in the user's
                data directory.
            major_version: PostgreSQL's version, 16 or 18.
            tcp: Listen on 127.0.0.1 too, on a free port, as psql, pgAdmin and BI tools want it.
            durable: False gives up the safety of the data at a crash for speed, as tests do.
            settings: Further settings of PostgreSQL. Where a server runs already that was started otherwise it is
                started again if nobody else uses it, else this is an error.

        Raises:
            MissingDependencyException: The extra `embedded` is not installed.
            InvalidArgumentTypeException: *data_directory* is no path.
            EmbeddedServerException: The server cannot be started or joined; the message says why and what to do.
        """
        wish = Wish(tcp, durable, {_setting(name): str(value) for name, value in (settings or {}).items()})
        own = sorted(_OWN_SETTINGS.intersection(wish.settings))
        if own:
            raise EmbeddedServerException(f"{', '.join(own)}: set by docsession itself, leave out of settings.")
        try:
            return cls(*join(data_directory, major_version, wish), major_version)
        except OSError as error:
            raise EmbeddedServerException(
                f"The embedded PostgreSQL {major_version} cannot be started: {error}. "
                "See that its directory can be written and has room."
            ) from error

    def stop(self) -> None:
        """Leave the server; the last one to leave, over all processes, stops it. A second call does nothing.

        Raises:
            EmbeddedServerException: It was the last and the server did not stop.
        """
        leave(self._hold, self._token)

    @property
    def conninfo(self) -> dict[str, str | int]:
        """Keyword arguments for `psycopg.connect`."""
        running = self._running
        return {
            "host": str(running.socket_directory),
            "port": running.port,
            "user": SUPERUSER,
            "password": self._hold.password,
            "dbname": _DATABASE,
        }

    @property
    def url(self) -> str:
        """The URL of the server over its Unix socket, with the password."""
        host = quote(str(self.socket_directory), safe="")
        return f"postgresql://{SUPERUSER}:{self._hold.password}@/{_DATABASE}?host={host}&port={self.port}"

    @property
    def tcp_url(self) -> str:
        """The URL of the server on 127.0.0.1, with the password, for other programs.

        Raises:
            EmbeddedServerException: The server does not listen there.
        """
        if not self.tcp:
            raise EmbeddedServerException("The server listens on its socket only. Start it with tcp=True.")
        return f"postgresql://{SUPERUSER}:{self._hold.password}@127.0.0.1:{self.port}/{_DATABASE}"

    @property
    def data_directory(self) -> Path:
        return self._hold.cluster.place.directory

    @property
    def socket_directory(self) -> Path:
        return self._running.socket_directory

    @property
    def port(self) -> int:
        return self._running.port

    @property
    def tcp(self) -> bool:
        return self._running.tcp

    @property
    def _running(self) -> Running:
        if self._token not in self._hold.holders or self._hold.running is None:
            raise EmbeddedServerException(f"The server of {self.data_directory} was left. Start it again.")
        return self._hold.running

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @override
    def __repr__(self) -> str:
        state = "held" if self._token in self._hold.holders else "left"
        return f"<EmbeddedServer PostgreSQL {self.major_version} in {str(self.data_directory)!r}, {state}>"

    @override
    def __reduce__(self) -> str:
        raise TypeError("An EmbeddedServer is held by one process: start it in the other process too.")


def _setting(name: str) -> str:
    return name.lower().replace("-", "_")
