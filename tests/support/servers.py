"""Embedded servers in tests: directories that any server's user reaches, and holders in processes of their own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

ROOT = Path(__file__).parents[2]
# Not in /etc/passwd, so that it is nobody's.
STRANGER = 54321

# Everything is imported before the user changes: another user need not be able to read the interpreter's files.
# Of docsession only the embedded server is, which takes a fifth of the time.
_PRELUDE = """
import codecs, json, logging, os, signal, sys, tempfile, time, traceback, types
package = sys.modules["docsession"] = types.ModuleType("docsession")
package.__path__ = [os.environ["PYTHONPATH"] + "/docsession"]
import multiprocessing, multiprocessing.process, multiprocessing.util, platformdirs, platformdirs.unix, psycopg
import docsession._errors
from docsession._embedded import EmbeddedServer
from docsession._embedded._binaries import find_binaries
find_binaries(18)
for name in ("ascii", "idna", "latin-1", "utf-8"):
    codecs.lookup(name)
uid = int(os.environ.pop("TEST_UID", "-1"))
if uid >= 0:
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)

def say(**values):
    print(json.dumps(values), flush=True)

def wait():
    return sys.stdin.readline()

def ask(server, question="SELECT 1"):
    with psycopg.connect(**server.conninfo) as connection:
        return connection.execute(question).fetchone()[0]
"""


class Worker:
    """A Python process that runs *code* after the prelude, and talks in lines of JSON."""

    def __init__(
        self, code: str, *arguments: object, uid: int | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        env = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
        if uid is not None:
            env["TEST_UID"] = str(uid)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            text=True,
            start_new_session=True,
        )

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, errors = self.process.communicate()
            raise AssertionError(errors)
        heard: dict[str, Any] = json.loads(line)
        return heard

    def tell(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def finish(self) -> str:
        """Let the process go on to its end; returns what it wrote to stderr."""
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        return errors

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()


@contextmanager
def server_directory() -> Iterator[Path]:
    """A path that does not exist yet, below one that every user can traverse; afterwards no server runs there."""
    base = Path(tempfile.mkdtemp(prefix="ds-"))
    base.chmod(0o711)
    try:
        yield base / "pg"
    finally:
        for found in base.rglob("postmaster.pid"):
            end_server(found.parent.parent)
        shutil.rmtree(base)


def server_pid(directory: Path) -> int | None:
    """The process number that postmaster.pid names; None without one."""
    try:
        return int((directory / "data" / "postmaster.pid").read_text().split("\n")[0])
    except (FileNotFoundError, ValueError):
        return None


def is_alive(pid: int) -> bool:
    """Whether the process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] not in b"ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(condition: Callable[[], bool], seconds: float = 60) -> bool:
    """Wait until *condition* holds; False where it does not within *seconds*."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.002)
    return False


def end_server(directory: Path) -> None:
    """Kill what a failed test left."""
    pid = server_pid(directory)
    if pid is not None and is_alive(pid) and str(directory).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
        os.kill(pid, signal.SIGQUIT)
        eventually(lambda: not is_alive(pid))


def ask(url: str, question: str = "SELECT 1") -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


# Starts or joins, says the URL, and leaves by its exit once its stdin is closed.
HOLD = """
server = EmbeddedServer.start(sys.argv[1], durable=False)
say(url=server.url, one=ask(server))
wait()
"""
