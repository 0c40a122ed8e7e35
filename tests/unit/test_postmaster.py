"""What /proc tells of a server's process, asked at the moments at which it tells nothing."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docsession._embedded._postmaster import is_postmaster

# As the server is started: a shell that leaves at once, and the process that it was asked for.
SPAWN = '"$@" >/dev/null 2>&1 & echo $!; read -r end; kill $!; wait $!'


class Started:
    """A process that lives until it is told to end, known by its number from its first moment on."""

    def __init__(self, data: Path) -> None:
        program = [sys.executable, "-S", "-c", "import time; time.sleep(600)", str(data)]
        self.shell = subprocess.Popen(
            ["/bin/sh", "-c", SPAWN, "sh", *program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.shell.stdout is not None
        self.pid = int(self.shell.stdout.readline())

    def end(self) -> None:
        """End it, and wait until it is gone; nothing where it has ended."""
        if self.shell.poll() is None:
            self.shell.communicate("\n")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def started(data: Path) -> Iterator[Started]:
    process = Started(data)
    yield process
    process.end()


def test_a_process_that_has_not_yet_become_the_server_lives(data: Path) -> None:
    """In the middle of its exec it has no command line: with so many starts some are met there."""
    for _ in range(20):
        process = Started(data)
        try:
            assert [is_postmaster(process.pid, data) for _ in range(300)] == [True] * 300
        finally:
            process.end()


def test_a_process_that_ended_is_none(started: Started, data: Path) -> None:
    started.end()
    assert not is_postmaster(started.pid, data)


def test_a_zombie_is_none(data: Path) -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "", str(data)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read()
        while Path(f"/proc/{process.pid}/stat").read_bytes().rpartition(b") ")[2][:1] != b"Z":
            pass
        assert not is_postmaster(process.pid, data)


def test_another_process_is_none(started: Started, data: Path) -> None:
    assert not is_postmaster(started.pid, data.with_name("other"))
