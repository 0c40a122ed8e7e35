"""PostgreSQL in containers that a test may kill and start again."""

import contextlib
import os
import secrets
import socket
import time

import psycopg
from testcontainers.core.container import DockerContainer

from docsession.testing._backends import DEFAULT_IMAGE, wait_until_ready

IMAGE = os.environ.get("DOCSESSION_TEST_IMAGE", DEFAULT_IMAGE)


class PostgresContainer:
    """One container, which keeps its data and its port from one start to the next.

    Attributes:
        url: The server's URL.
    """

    def __init__(self):
        password = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._container = DockerContainer(IMAGE).with_bind_ports(5432, port)
        for name, value in (("USER", "me"), ("PASSWORD", password), ("DB", "me")):
            self._container.with_env(f"POSTGRES_{name}", value)
        self._container.with_command("-c full_page_writes=off -c log_min_messages=fatal")
        self._container.start()
        self.url = f"postgresql://me:{password}@{self._container.get_container_host_ip()}:{port}/me"
        self.wait()

    def wait(self):
        """Return when it answers, after a recovery too."""
        wait_until_ready(self.url, what="the container")

    def kill(self):
        """End all its processes at once, as a failing machine does."""
        self._container.get_wrapped_container().kill()

    def start(self):
        """Start it again, on the same data."""
        self._container.get_wrapped_container().start()
        self.wait()

    def stop(self):
        self._container.stop()


@contextlib.contextmanager
def held(url, table, key):
    """Let a transaction of somebody else hold a row, so that whoever writes it waits."""
    connection = psycopg.connect(url)
    try:
        connection.execute(f"SELECT FROM {table} WHERE id = %s FOR UPDATE", (key,))
        yield
    finally:
        with contextlib.suppress(psycopg.OperationalError):
            connection.close()


def wait_for_waiting(url):
    """Return when a statement of the server's waits for a lock."""
    deadline = time.monotonic() + 20
    with psycopg.connect(url, autocommit=True) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while connection.execute(query).fetchone() == (0,):
            assert time.monotonic() < deadline, "nobody waits"
            time.sleep(0.01)
