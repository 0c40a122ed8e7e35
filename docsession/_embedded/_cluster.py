"""One PostgreSQL in one directory: made, found running, started, stopped. Its callers hold the start lock."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from docsession._embedded._account import Account
from docsession._embedded._binaries import Binaries
from docsession._embedded._locks import is_free, open_lock, try_lock
from docsession._embedded._places import Place, write_private
from docsession._embedded._postmaster import Running, answers, is_postmaster, read_pid_file
from docsession._errors import EmbeddedServerException

_log = logging.getLogger("docsession.embedded")
SUPERUSER = "postgres"
_LOCALE = "C.UTF-8"
_SOCKET_PORT = 5432
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
_DEFAULTS = {"max_connections": "200"}
# The server's own lines are in the log before it says that it is ready; sessions that outlive a killed postmaster
# end at their next wait; a fast shutdown writes what is still in memory.
_READY = frozenset({"ready", "standby"})
_START_SECONDS = 120.0
_ORPHAN_SECONDS = 20.0
_STOP_SECONDS = 60.0
_QUIT_SECONDS = 10.0
_LOG_BYTES = 10_000_000
_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller wants of a server."""

    tcp: bool
    durable: bool
    settings: Mapping[str, str]

    def command_line(self) -> dict[str, str]:
        """The settings that a server is started with."""
        return _DEFAULTS | ({} if self.durable else _NOT_DURABLE) | dict(self.settings)


class Cluster:
    """The server of one place. Every method but the constructor needs the start lock."""

    def __init__(self, place: Place, binaries: Binaries, account: Account) -> None:
        self.place = place
        self.account = account
        self._binaries = binaries

    def make(self, *, durable: bool) -> None:
        """Make the data directory where there is none: beside its place, then renamed, so never half.

        Raises:
            EmbeddedServerException: It cannot be made, or is of another major version.
        """
        self._sweep()
        data = self.place.data
        if data.exists():
            self._check_version()
            return
        if not self.account.is_known:
            raise EmbeddedServerException(
                f"PostgreSQL makes no data directory for {self.account.name}, which has no entry in /etc/passwd, as in "
                "a container that was started with a bare number. Add one, or give the store the URL of a server."
            )
        password = self.place.password()
        fresh = Path(tempfile.mkdtemp(prefix="data.new-", dir=self.place.directory))
        try:
            word = fresh / "password"
            write_private(word, password)
            self.account.give(word)
            self.account.give(fresh)
            self._initdb(fresh / "data", word, durable=durable)
            (fresh / "data").rename(data)
            if durable:
                _sync(self.place.directory)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def running(self) -> Running | None:
        """Return the server that runs here, waiting for one that is just starting or ending; None where there is none.

        Raises:
            EmbeddedServerException: It does not become ready, or sessions of a killed one do not end.
        """
        begin, since = self._log_size(), time.monotonic()
        while True:
            found = read_pid_file(self.place.data)
            if found is not None and is_postmaster(found[0].pid, self.place.data):
                if found[1] in _READY:
                    return found[0]
                if time.monotonic() - since > _START_SECONDS:
                    raise self._failure(f"did not become ready within {_START_SECONDS:.0f} s", begin)
            elif is_free(self.place.server_lock):
                return None
            else:  # its processes live, but postmaster.pid is gone, not whole, or names another one
                other = self._recorded()
                if other is not None:
                    return other
                if found is not None and answers(found[0]):
                    return replace(found[0], visible=False)
                if time.monotonic() - since > _ORPHAN_SECONDS:
                    raise EmbeddedServerException(
                        f"The server of {self.place.directory} was killed, and a session of it is still at work after "
                        f"{_ORPHAN_SECONDS:.0f} s. See who holds {self.place.server_lock} (fuser, lsof), end it, and "
                        "try again."
                    )
            time.sleep(0.005)

    def fits(self, running: Running, wish: Wish) -> str:
        """Return why *running* is not what *wish* asks for; "" where it is."""
        if not running.intact:
            return "its postmaster.pid is damaged, so it is about to stop by itself"
        if wish.tcp and not running.tcp:
            return "it listens on its socket only, and tcp=True is asked"
        record = self._record()
        recorded = record.get("settings") if record.get("pid") == running.pid else None
        has = recorded if isinstance(recorded, dict) else {}
        if wish.durable and "fsync" not in wish.settings and has.get("fsync") == "off":
            return "it was started with durable=False"
        other = {name: has.get(name) for name, value in wish.settings.items() if has.get(name) != value}
        if other:
            return "its settings are others: " + ", ".join(f"{name} = {value}" for name, value in other.items())
        return ""

    def start(self, wish: Wish) -> Running:
        """Start the server and return it once it accepts connections.

        Raises:
            EmbeddedServerException: It does not start; the message has the end of its log.
        """
        directory = self.place.socket_directory(self.account)
        taken: set[int] = set()
        while True:
            port = self._choose_port(taken) if wish.tcp else _SOCKET_PORT
            # No process of a server lives, so these are stale; PostgreSQL looks at process numbers only.
            for stale in (self.place.data / "postmaster.pid", *directory.glob(".s.PGSQL.*")):
                stale.unlink(missing_ok=True)
            begin = self._rotate_log()
            try:
                running = self._launch(wish, port, directory, begin)
            except EmbeddedServerException:
                # Another program took the port between the choice and the start.
                if wish.tcp and len(taken) < 5 and "could not bind IPv4" in self._log_tail(begin):
                    taken.add(port)
                    continue
                raise
            record = {
                "pid": running.pid,
                "port": running.port,
                "socket": str(running.socket_directory),
                "tcp": running.tcp,
                "settings": wish.command_line(),
            }
            write_private(self.place.record, json.dumps(record, indent=2))
            return running

    def stop(self, running: Running) -> None:
        """Stop *running* as PostgreSQL's fast shutdown does: sessions are ended, nothing is lost.

        Raises:
            EmbeddedServerException: It does not stop.
        """
        if not running.visible:
            _log.warning("%s: its server runs in another container, and is left running", self.place.directory)
            return
        begin = self._log_size()
        for sent, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, _QUIT_SECONDS)):
            if is_postmaster(running.pid, self.place.data):
                try:
                    os.kill(running.pid, sent)
                except ProcessLookupError:
                    pass
                except PermissionError as error:
                    raise self._failure(f"may not be stopped by uid {os.geteuid()}", begin) from error
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if not is_postmaster(running.pid, self.place.data) and is_free(self.place.server_lock):
                    self._leave_socket_directory(running)
                    return
                time.sleep(0.005)
        raise self._failure(f"did not stop within {_STOP_SECONDS + _QUIT_SECONDS:.0f} s (process {running.pid})", begin)

    def kill(self, pid: int) -> None:
        """End a server that nobody will use again, without waiting."""
        with contextlib.suppress(OSError):
            if is_postmaster(pid, self.place.data):
                os.kill(pid, signal.SIGQUIT)

    def _initdb(self, data: Path, password_file: Path, *, durable: bool) -> None:
        # From 17 on PostgreSQL has a C.UTF-8 of its own, the same on every machine.
        provider = ["--locale-provider=builtin"] if self._binaries.major_version >= 17 else []
        command: list[str | Path] = [
            self._binaries.initdb,
            f"--pgdata={data}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            f"--locale={_LOCALE}",
            *provider,
            "--no-instructions",
            # The iterations make a weak password hard to guess, which takes each new connection milliseconds; this one
            # is drawn at random.
            *([] if durable else ["--no-sync", "--set=scram_iterations=1"]),
        ]
        done = self.account.run(command, environment={"TZ": "UTC"})
        if done.returncode != 0:
            said = done.stdout.decode(errors="replace").strip().splitlines()
            raise EmbeddedServerException(
                f"The data directory {self.place.data} cannot be made (initdb ended with {done.returncode}). "
                "See what initdb said below; is there room, and may the user "
                f"{self.account.name} write there?\n" + "\n".join(said[-_TAIL_LINES:])
            )

    def _check_version(self) -> None:
        try:
            found = (self.place.data / "PG_VERSION").read_text(encoding="ascii").strip()
        except OSError as error:
            raise EmbeddedServerException(
                f"{self.place.data} is no data directory of PostgreSQL: {error}. Give another data_directory."
            ) from error
        if found != str(self._binaries.major_version):
            raise EmbeddedServerException(
                f"{self.place.directory} holds data of PostgreSQL {found}, and major_version is "
                f"{self._binaries.major_version}. Give major_version={found}, or another data_directory and move the "
                "data with pg_dump and pg_restore."
            )

    def _leave_socket_directory(self, running: Running) -> None:
        if not running.socket_directory.is_relative_to(self.place.directory):
            with contextlib.suppress(OSError):
                running.socket_directory.rmdir()

    def _sweep(self) -> None:
        """Remove what a killed start left: nobody else starts one while the start lock is held."""
        for left in self.place.directory.glob("data.new-*"):
            shutil.rmtree(left, ignore_errors=True)

    def _launch(self, wish: Wish, port: int, directory: Path, begin: int) -> Running:
        settings = wish.command_line() | {
            "listen_addresses": "127.0.0.1" if wish.tcp else "",
            "port": str(port),
            "unix_socket_directories": f'"{directory}"',
            "unix_socket_permissions": "0700",
        }
        # The shell leaves at once, so that the server is nobody's child here and leaves no zombie behind.
        command: list[str | Path] = ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh"]
        command += [self._binaries.postgres, "-D", self.place.data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        lock = open_lock(self.place.server_lock)
        log = os.open(self.place.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if not try_lock(lock, shared=False):
                raise self._failure("is still running", begin)
            done = self.account.run(command, errors=log, keep=lock)
        finally:
            os.close(log)
            os.close(lock)  # the server's processes keep it: the lock ends with the last of them
        pid = int(done.stdout)
        try:
            return self._ready(pid, begin)
        except BaseException:  # a Ctrl-C too: nobody would hold this server
            self.kill(pid)
            raise

    def _ready(self, pid: int, begin: int) -> Running:
        """Wait until the server accepts connections."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            ended = not is_postmaster(pid, self.place.data)  # asked first: it may end between two looks
            found = read_pid_file(self.place.data)
            if found is not None and found[0].pid == pid and found[1] in _READY:
                return found[0]
            if ended:
                raise self._failure("ended while it was starting", begin)
            time.sleep(0.005)
        raise self._failure(f"did not accept connections within {_START_SECONDS:.0f} s", begin)

    def _record(self) -> dict[str, object]:
        """What `start` noted of the last server."""
        try:
            read = json.loads(self.place.record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return read if isinstance(read, dict) else {}

    def _recorded(self) -> Running | None:
        """The last server where it lives, whatever its postmaster.pid says."""
        match self._record():
            case {"pid": int(pid), "port": int(port), "socket": str(directory), "tcp": bool(tcp)}:
                if is_postmaster(pid, self.place.data):
                    return Running(pid, port, Path(directory), tcp, intact=False)
        return None

    def _choose_port(self, taken: set[int]) -> int:
        """The port of the last time where it is still free, else any free one."""
        wanted = [0]
        match self._record():
            case {"tcp": True, "port": int(last)} if last not in taken:
                wanted.insert(0, last)
        for port in wanted:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
        raise EmbeddedServerException("127.0.0.1 has no free port. Start without tcp=True.")

    def _rotate_log(self) -> int:
        """Keep the log small; returns where the next start's lines begin."""
        size = self._log_size()
        if size > _LOG_BYTES:
            self.place.log.replace(self.place.log.with_suffix(".log.1"))
            return 0
        return size

    def _log_size(self) -> int:
        try:
            return self.place.log.stat().st_size
        except OSError:
            return 0

    def _log_tail(self, begin: int) -> str:
        try:
            with self.place.log.open("rb") as log:
                log.seek(begin)
                lines = log.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_TAIL_LINES:])

    def _failure(self, what: str, begin: int) -> EmbeddedServerException:
        tail = self._log_tail(begin) or "(nothing)"
        return EmbeddedServerException(
            f"The PostgreSQL {self._binaries.major_version} of {self.place.directory} {what}. "
            f"See the end of its log, {self.place.log}, remove the cause and try again:\n{tail}"
        )


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
