"""The session's conformance suite, on the PostgreSQL of this run, as it is run on any other."""

import pytest

from docsession.testing import PostgresServer
from docsession.testing.conformance import SessionConformance


@pytest.fixture(scope="session")
def docsession_server(postgres_url):
    with PostgresServer(postgres_url, "url") as server:
        yield server


class TestSession(SessionConformance):
    """Each test over both faces."""
