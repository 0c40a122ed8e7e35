"""The session's conformance suite on PostgreSQL in a container, which the fixtures' own backend starts."""

import pytest

from docsession.testing import start_server
from docsession.testing.conformance import SessionConformance
from tests.support.containers import IMAGE

pytestmark = pytest.mark.containers


@pytest.fixture(scope="session")
def docsession_server():
    with start_server("testcontainers", image=IMAGE) as server:
        yield server


def test_the_container_is_fast_and_forgets(docsession_server, document_store):
    assert docsession_server.backend == "testcontainers"
    with document_store.open_session() as session, session.advanced.transaction():
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            assert session.advanced.connection.execute(f"SHOW {name}").fetchone() == ("off",)


class TestSession(SessionConformance):
    """Each test over both faces."""
