"""What a data directory and the system tell of the server that runs there."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

# How long a process may be without a command line while it starts or ends; microseconds on an idle machine.
_CHANGE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts connections, as its postmaster.pid tells.

    Attributes:
        port: The number in the socket's name, and of 127.0.0.1 where *tcp* is true.
        intact: False where postmaster.pid was damaged: PostgreSQL then stops by itself within a minute.
        visible: False where its processes are those of another container that shares the directory.
    """

    pid: int
    port: int
    socket_directory: Path
    tcp: bool
    intact: bool = True
    visible: bool = True


def read_pid_file(data: Path) -> tuple[Running, str] | None:
    """Return the server that postmaster.pid names and its status; None where the file is missing or not whole."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        pid, port, directory, address = int(lines[0]), int(lines[3]), lines[4].strip(), lines[5].strip()
        status = lines[7].strip() if len(lines) > 7 else ""
    except (OSError, ValueError, IndexError):
        return None
    return Running(pid, port, Path(directory), bool(address)), status


def is_postmaster(pid: int, data: Path) -> bool:
    """Whether the process is a live postmaster of *data*, and not another one that got its number."""
    deadline = time.monotonic() + _CHANGE_SECONDS
    while time.monotonic() < deadline:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if command:
                return os.fsencode(data) in command.split(b"\0")
            # A zombie has no command line, and neither has a process in the middle of its exec or its exit.
            if Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] in b"ZX":
                return False
        except (FileNotFoundError, ProcessLookupError):
            return _is_signalable(pid)
        time.sleep(0.001)
    return False


def _is_signalable(pid: int) -> bool:
    """Whether a process without an entry in /proc lives: none does, but where there is no /proc at all."""
    if Path("/proc/self/cmdline").exists():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def answers(running: Running) -> bool:
    """Whether a server accepts connections on the socket, whoever and wherever its processes are."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(running.socket_directory / f".s.PGSQL.{running.port}"))
        except OSError:
            return False
    return True
