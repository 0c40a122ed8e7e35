"""An application in Starlette alone."""

import subprocess
import sys

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from docsession import AsyncDocumentStore, Query
from docsession._session import _raw_json
from docsession.contrib.starlette import DocSession, JsonDocument, JsonDocuments, check_if_match, etag_of
from tests.support.notes import Note


@pytest.fixture
def client(postgres_url, database):
    documents = DocSession(lambda: AsyncDocumentStore(postgres_url, database), autosave=True)

    async def notes(request):
        if request.method == "GET":
            return JsonDocuments(Query(Note))
        async with documents.session(request) as session:
            await session.store(Note((await request.body()).decode()), "notes/1")
        return JSONResponse({}, int(request.query_params.get("status", 201)))

    async def note(request):
        key = request.path_params["key"]
        if request.method == "GET":
            return JsonDocument(key, Note)
        async with documents.session(request) as session:
            found = await session.load(key, Note)
            check_if_match(request, session, found)
            found.text = (await request.body()).decode()
            await session.save_changes()
            return JSONResponse({}, headers={"ETag": etag_of(session, found)})

    async def fail(request):
        async with documents.session(request) as session:
            await session.store(Note("never"), "notes/1")
            raise ZeroDivisionError

    async def replace(request):
        try:
            async with documents.session(request) as session:
                found = await session.load("notes/none", Note)
                found.text = "there is none"
        except AttributeError:
            await session.store(Note("in its place"), "notes/2")
        return JSONResponse({})

    async def absorbed(request, error):
        return JSONResponse({})

    app = Starlette(
        routes=[
            Route("/notes", notes, methods=["GET", "POST"]),
            Route("/list", lambda _: JsonDocuments(Query(Note)), methods=["PUT"]),
            Route("/fail", fail),
            Route("/replace", replace),
            Route("/{key:path}", note, methods=["GET", "PUT"]),
        ],
        lifespan=documents.lifespan,
        exception_handlers={ZeroDivisionError: absorbed},
    )
    documents.install(app)
    with TestClient(app) as client:
        yield client


def test_a_session_is_saved_with_the_response(client):
    """After the block, if the response is one that saves."""
    assert client.post("/notes?status=409", content="lost").status_code == 409
    assert client.get("/notes").json() == []
    assert client.post("/notes", content="kept").status_code == 201
    assert client.get("/notes").json() == [{"id": "notes/1", "text": "kept"}]


def test_an_error_that_leaves_the_block_saves_nothing(client):
    """Also where a handler makes something good of it."""
    assert client.get("/fail").status_code == 200
    assert client.get("/notes").json() == []


def test_an_error_that_the_view_has_caught_is_none(client):
    """It has returned normally, so what it has done then is saved."""
    assert client.get("/replace").status_code == 200
    assert client.get("/notes").json() == [{"id": "notes/2", "text": "in its place"}]


def test_conditions(client):
    """304, 412, 404, as with FastAPI; HEAD is answered like GET."""
    client.post("/notes", content="x")
    tag = client.head("/notes/1").headers["etag"]

    assert client.get("/notes/1", headers={"If-None-Match": tag}).status_code == 304
    assert [client.put("/notes/1", content="y", headers={"If-Match": tag}).status_code for _ in range(2)] == [200, 412]
    assert client.get("/notes/2").json()["code"] == "ds124"


def test_a_list_that_the_client_has_is_not_read(client, monkeypatch):
    """PostgreSQL finds that out; only for a method that reads."""
    client.post("/notes", content="x")
    made = []
    monkeypatch.setattr(_raw_json, "spliced", lambda member, row: made.append(row[0]) or b"{}")
    tag = client.get("/notes").headers["etag"]
    assert made == ["notes/1"]
    known = client.get("/notes", headers=[("If-None-Match", '"x"'), ("If-None-Match", tag)])
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
    assert made == ["notes/1"]
    assert client.request("PUT", "/list", headers={"If-None-Match": tag}).content == b"[{}]"


@pytest.mark.parametrize(("package", "missing", "extra"), [("starlette", "starlette", "starlette"), ("fastapi",) * 3])
def test_without_the_framework(package, missing, extra):
    """The error names the extra; and Starlette alone needs no FastAPI."""
    code = f"import sys; sys.modules[{missing!r}] = None; import docsession.contrib.{package}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"MissingDependencyException: docsession.contrib.{package} needs" in done.stderr
    assert f"docsession[{extra}]" in done.stderr


def test_starlette_needs_no_fastapi_and_no_pydantic():
    """Each is imported by what needs it."""
    code = "import sys, docsession.contrib.starlette; print({'fastapi', 'pydantic'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
