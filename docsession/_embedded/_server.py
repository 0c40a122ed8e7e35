"""EmbeddedServer, and who holds which server in this process."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from typing_extensions import override

from docsession._embedded._account import server_account
from docsession._embedded._binaries import find_binaries
from docsession._embedded._cluster import SUPERUSER, Cluster, Running, Wish
from docsession._embedded._locks import exclusive, open_lock, release, try_lock
from docsession._embedded._places import find_place, system_base
from docsession._errors import EmbeddedServerException

_log = logging.getLogger("docsession.embedded")
_DATABASE = "postgres"
# Longer than a start and a stop by another process may take.
_LOCK_SECONDS = 240.0
# What this module decides by itself.
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


class _Hold:
    """The share of this process in one server, whatever the number of its holders here."""

    def __init__(self, cluster: Cluster, descriptor: int) -> None:
        self.cluster = cluster
        self.descriptor = descriptor
        self.for_child = -1
        self.holders = 0
        self.running: Running | None = None
        self.password = ""


_lock = threading.RLock()
_holds: dict[Path, _Hold] = {}


class EmbeddedServer:
    """A PostgreSQL server of one's own, shared by all who ask for its directory; make one with `start`.

    Attributes:
        data_directory: The server's directory; PostgreSQL's own data directory is `data` in it.
        socket_directory: Where its Unix socket is.
        port: The number in the socket's name, and the port on 127.0.0.1 of a server that listens there.
        tcp: Whether it listens on 127.0.0.1.
        major_version: 16 or 18.
    """

    def __init__(self, hold: _Hold, major_version: int) -> None:
        self._hold = hold
        self._stopped = False
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
            EmbeddedServerException: The server cannot be started or joined; the message says why and what to do.
        """
        wish = Wish(tcp, durable, {name: str(value) for name, value in (settings or {}).items()})
        own = sorted(_OWN_SETTINGS.intersection(name.lower() for name in wish.settings))
        if own:
            raise EmbeddedServerException(f"{', '.join(own)}: set by docsession itself, leave out of settings.")
        try:
            return cls(_join(data_directory, major_version, wish), major_version)
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
        with _lock:
            if self._stopped:
                return
            self._stopped = True
            self._hold.holders -= 1
            if self._hold.holders <= 0:
                _leave(self._hold)

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
        if self._stopped or self._hold.running is None:
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
        state = "left" if self._stopped else "on TCP too" if self.tcp else "on its socket"
        return f"<EmbeddedServer PostgreSQL {self.major_version} {state}, {str(self.data_directory)!r}>"


def _join(data_directory: str | os.PathLike[str] | None, major_version: int, wish: Wish) -> _Hold:
    """Start or join under the start lock, and count one holder more."""
    binaries = find_binaries(major_version)
    account = server_account()
    place = find_place(data_directory, major_version, account)
    with _lock, exclusive(place.start_lock, _LOCK_SECONDS):
        hold = _holds.get(place.directory)
        if hold is None:
            if not binaries.reachable_by(account):
                binaries = binaries.copy_for(account, system_base(account))
            hold = _Hold(Cluster(place, binaries, account), open_lock(place.holders_lock))
            if not try_lock(hold.descriptor, shared=True):
                release(hold.descriptor)
                raise EmbeddedServerException(f"{place.holders_lock} is held by another program. End it, try again.")
        try:
            said = _run(hold, wish)
        except BaseException:
            if hold.holders == 0:
                release(hold.descriptor)
            raise
        if hold.holders == 0:
            _holds[place.directory] = hold
        hold.holders += 1
    _log.info(
        "PostgreSQL %d %s in %s%s", major_version, said, place.directory, f" ({place.note})" if place.note else ""
    )
    return hold


def _run(hold: _Hold, wish: Wish) -> str:
    """See that a server runs that *wish* fits; returns what was done."""
    cluster = hold.cluster
    cluster.make(durable=wish.durable)
    hold.password = cluster.place.password()
    running = cluster.running()
    if running is not None:
        why = cluster.fits(running, wish)
        if not why:
            hold.running = running
            return "joined"
        alone = hold.holders == 0 and try_lock(hold.descriptor, shared=False)
        # Also after a refusal: a change of a lock gives the old one up first.
        try_lock(hold.descriptor, shared=True)
        if not alone:
            raise EmbeddedServerException(
                f"The server of {cluster.place.directory} is in use, and {why}. "
                "Ask for the same everywhere, end the other users of the server, or give another data_directory."
            )
        cluster.stop(running)
    hold.running = cluster.start(wish)
    return "started"


def _leave(hold: _Hold) -> None:
    """Give up this process's share; the last process stops the server."""
    place = hold.cluster.place
    _holds.pop(place.directory, None)
    try:
        with exclusive(place.start_lock, _LOCK_SECONDS):
            if try_lock(hold.descriptor, shared=False):
                running = hold.cluster.running()
                if running is not None:
                    hold.cluster.stop(running)
    except OSError as error:
        raise EmbeddedServerException(f"The server of {place.directory} cannot be stopped: {error}.") from error
    finally:
        release(hold.descriptor)


@atexit.register
def _leave_all() -> None:
    with _lock:
        for hold in list(_holds.values()):
            try:
                _leave(hold)
            except EmbeddedServerException:
                _log.exception("The embedded server could not be stopped")
