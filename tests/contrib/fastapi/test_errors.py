"""Errors of docsession over HTTP, and the summary of a request."""

import logging

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient

from docsession import (
    AsyncDocumentStore,
    DocSessionError,
    DocumentDoesNotExistException,
    InvalidOperationException,
    NoResultException,
    TooManyRequestsException,
)
from docsession.contrib.fastapi import DocSession, Problem, ProblemMap, ProblemResponse, Session
from tests.support.notes import Note


@pytest.fixture
def make_app(make_documents):
    """An application whose view fails as its path says."""

    def make(**options):
        documents = make_documents(**options)
        app = FastAPI(lifespan=documents.lifespan)
        documents.install(app)

        @app.get("/first")
        async def first(session: Session):
            return await session.query(Note).first()

        @app.get("/many")
        async def many(session: Session):
            for at in range(40):
                await session.load(f"notes/{at}", Note)

        return app

    return make


class TestErrors:
    def test_they_are_problems(self, make_app, serve):
        """Of the client's, in words that tell nothing of the server; all else stays a 500."""
        client = serve(make_app())

        answer = client.get("/first")

        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert answer.json() == {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "There is no such document.",
            "code": "ds230",
        }
        assert (client.get("/many").status_code, client.get("/many").text) == (500, "Internal Server Error")

    def test_a_full_pool_is_a_503(self, postgres_url, database, serve, write):
        """And says when to come back."""
        write("notes/1", "x")
        documents = DocSession(lambda: AsyncDocumentStore(postgres_url, database, max_size=1, timeout=0.1))
        app = FastAPI(lifespan=documents.lifespan)
        documents.install(app)

        @app.get("/")
        async def view(session: Session):
            async with documents.open_session() as other, other.advanced.transaction():
                await other.load("notes/1", Note)
                await session.load("notes/1", Note)

        answer = serve(app).get("/")

        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "ds132", "5")

    def test_a_map_of_the_applications_own(self, make_app, serve):
        """Statuses and functions, by class of error."""
        problems = ProblemMap().with_(
            {NoResultException: 410, TooManyRequestsException: lambda e: Problem(508, e.code, "A loop.")}
        )
        client = serve(make_app(problems=problems))

        assert [client.get(path).status_code for path in ("/first", "/many")] == [410, 508]

    def test_a_handler_of_the_applications_own(self, make_app, serve):
        """For one class, or for all of them, whether it is there before or comes later."""
        app = make_app()

        @app.exception_handler(NoResultException)
        async def gone(request, error):
            return ProblemResponse(Problem(410, "gone", "It is gone."))

        assert serve(app).get("/first").json()["code"] == "gone"

    def test_a_handler_that_was_there_stays(self, make_documents, serve):
        """`install` takes nothing away."""
        documents = make_documents()

        def mine(request, error):
            return ProblemResponse(Problem(418, error.code, "mine"))

        app = FastAPI(lifespan=documents.lifespan, exception_handlers={DocSessionError: mine})
        documents.install(app)

        @app.get("/")
        async def view(session: Session):
            raise DocumentDoesNotExistException("x")

        assert serve(app).get("/").status_code == 418

    def test_a_websocket_gets_no_problem(self, make_documents):
        """It has no such answer: the connection ends with the error."""
        documents = make_documents()
        app = FastAPI(lifespan=documents.lifespan)
        documents.install(app)

        @app.websocket("/")
        async def talk(websocket: WebSocket, session: Session):
            await websocket.accept()
            raise InvalidOperationException("x")

        with (
            TestClient(app) as client,
            pytest.raises(InvalidOperationException),
            client.websocket_connect("/") as socket,
        ):
            socket.receive_text()


class TestTheSummary:
    def test_of_a_request(self, make_app, serve, write, caplog):
        """A header for the browser, and a line for the log that names the loop."""
        write("notes/1", "x")
        client = serve(make_app(summary=True))

        with caplog.at_level(logging.DEBUG, "docsession.http"):
            one, loop, nothing = client.get("/first"), client.get("/many"), client.get("/docs")

        lines = [record.getMessage() for record in caplog.records if record.name == "docsession.http"]
        assert "1 request" in one.headers["server-timing"]
        assert [each.status_code for each in (one, loop, nothing)] == [200, 500, 200]
        assert "server-timing" not in nothing.headers
        assert lines[0].startswith("GET /first -> 200: 1 request in ")
        assert "30 x load from test_errors.py:" in lines[1]
        assert len(lines) == 2

    @pytest.mark.parametrize(
        ("debug", "summary", "expected"), [(1, None, 1), (0, None, 0), (1, False, 0), (0, True, 1)]
    )
    def test_when_it_is_there(self, make_documents, write, debug, summary, expected):
        """In debug mode, unless something else was said."""
        write("notes/1", "x")
        documents = make_documents(summary=summary)
        app = FastAPI(lifespan=documents.lifespan, debug=bool(debug))
        documents.install(app)

        @app.get("/")
        async def view(session: Session):
            await session.load("notes/1", Note)

        with TestClient(app) as client:
            assert ("server-timing" in client.get("/").headers) == bool(expected)
