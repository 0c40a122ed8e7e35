import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL for the whole run: DOCSESSION_TEST_URL, else an embedded one that forgets."""
    given = os.environ.get("DOCSESSION_TEST_URL")
    if given:
        yield given
        return
    from docsession._embedded import EmbeddedServer

    directory = tempfile.mkdtemp(prefix="docsession-tests-")
    server = EmbeddedServer.start(
        directory,
        major_version=int(os.environ.get("DOCSESSION_TEST_MAJOR", "18")),
        durable=False,
        settings={"max_connections": "200"},
    )
    try:
        yield server.url
    finally:
        server.stop()
        shutil.rmtree(directory)
