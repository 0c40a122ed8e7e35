"""The fixtures of `docsession.testing` in the tests of an application."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

TESTS = """
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from docsession import Query
from docsession.contrib.fastapi import DocSession, JsonDocuments, Session
from docsession.testing import assert_requests
from tests.support.notes import Note

documents = DocSession(autosave=True)
app = FastAPI(lifespan=documents.lifespan)
documents.install(app)


@app.post("/{text}")
async def add(text: str, session: Session):
    await session.store(Note(text))


@app.get("/")
async def show():
    return JsonDocuments(Query(Note))


@pytest.fixture
def client(async_document_store):
    with documents.override(async_document_store), TestClient(app) as client:
        yield client


@pytest.mark.parametrize("text", ["a", "b"])
def test_each_begins_empty(client, document_store, text):
    with document_store.open_session() as session:
        session.store(Note("there before"))
        session.save_changes()
    with assert_requests(1):
        client.post(f"/{text}")
    with assert_requests(1):
        assert [each["text"] for each in client.get("/").json()] == ["there before", text]
"""


def test_an_application_starts_with_the_store_of_a_fixture(tmp_path, postgres_url):
    """On an empty database each time, and on its own event loop."""
    (tmp_path / "test_app.py").write_text(TESTS)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DOCSESSION_TEST_URL": postgres_url}
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:asyncio", "-p", "no:cacheprovider"]

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert "2 passed" in done.stdout, done.stdout + done.stderr
