"""The embedded server: real ones, in directories of their own."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from docsession._embedded import EmbeddedServer


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that does not exist yet, and that the server's user can reach also below root."""
    base = Path(tempfile.mkdtemp(prefix="ds-"))
    base.chmod(0o711)
    yield base / "pg"
    shutil.rmtree(base)


def ask(server: EmbeddedServer, question: str = "SELECT 1") -> object:
    with psycopg.connect(server.url) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def runs(directory: Path) -> bool:
    return (directory / "data" / "postmaster.pid").exists()


@pytest.mark.parametrize("major_version", [16, 18])
def test_starts_joins_and_stops(directory: Path, major_version: int) -> None:
    """The last of two holders in one process stops the server, and only the last."""
    first = EmbeddedServer.start(directory, major_version=major_version, durable=False)
    second = EmbeddedServer.start(directory, major_version=major_version, durable=False)
    first.stop()
    first.stop()
    assert ask(second, "SELECT current_setting('server_version_num')::int / 10000") == major_version
    second.stop()
    assert not runs(directory)


def test_repr_hides_the_password(directory: Path) -> None:
    with EmbeddedServer.start(directory, durable=False) as server:
        assert str(server.conninfo["password"]) not in repr(server)
        assert os.fspath(server.data_directory) in repr(server)
