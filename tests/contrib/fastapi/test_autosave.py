"""When a request saves: if asked for, after a view that went well, and before the client hears of it."""

import asyncio
import json
from http.client import HTTPConnection

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware

from docsession import ConcurrencyException, SessionOptions
from docsession.contrib._http import Problem
from docsession.contrib.fastapi import JsonDocument, Session, document_session
from docsession.contrib.starlette import ProblemResponse
from tests.support.notes import Note


@pytest.fixture
def documents(make_documents):
    return make_documents(autosave=True)


@pytest.fixture
def app(documents):
    app = FastAPI(lifespan=documents.lifespan)
    documents.install(app)
    return app


class TestNobodySavesUnasked:
    def test_without_autosave(self, make_documents, serve, note):
        """A change that the view does not save is gone."""
        documents = make_documents()
        app = FastAPI(lifespan=documents.lifespan)
        documents.install(app)

        @app.post("/{text}")
        async def put(text: str, session: Session, save: bool = False):
            await session.store(Note(text), f"notes/{text}")
            if save:
                await session.save_changes()

        client = serve(app)

        assert [client.post("/lost").status_code, client.post("/kept?save=1").status_code] == [200, 200]
        assert (note("notes/lost"), note("notes/kept")) == (None, "kept")


class TestWhichAnswersSave:
    def test_the_status_decides(self, app, serve, note):
        """Whoever says it: the route, the view's own response, an exception."""

        @app.post("/plain/{code}")
        async def plain(code: int, session: Session, response: Response):
            await session.store(Note("x"), f"notes/plain{code}")
            response.status_code = code

        @app.post("/own/{code}")
        async def own(code: int, session: Session):
            await session.store(Note("x"), f"notes/own{code}")
            return JSONResponse({}, code)

        @app.post("/raised/{code}")
        async def raised(code: int, session: Session):
            await session.store(Note("x"), f"notes/raised{code}")
            raise HTTPException(code)

        client = serve(app)
        answers = [(how, code) for how in ("plain", "own", "raised") for code in (201, 303, 404)]

        assert [client.post(f"/{how}/{code}").status_code for how, code in answers] == [code for _, code in answers]
        saved = [(how, code) for how, code in answers if note(f"notes/{how}{code}")]
        assert saved == [("plain", 201), ("plain", 303), ("own", 201), ("own", 303)]

    def test_an_exception_that_becomes_a_redirect(self, app, serve, note):
        """The view did not return normally, whatever the client gets."""

        class LoginNeeded(Exception):
            pass

        @app.exception_handler(LoginNeeded)
        async def to_login(request, error):
            return RedirectResponse("/login", 303)

        @app.post("/")
        async def fail(session: Session):
            await session.store(Note("x"), "notes/1")
            raise LoginNeeded

        assert serve(app).post("/").status_code == 303
        assert note("notes/1") is None

    def test_an_error_is_a_500_and_saves_nothing(self, app, serve, note):
        """As without docsession."""

        @app.post("/")
        async def fail(session: Session):
            await session.store(Note("x"), "notes/1")
            raise ZeroDivisionError

        assert serve(app).post("/").status_code == 500
        assert note("notes/1") is None

    @pytest.mark.parametrize("scope", ["function", "request"])
    def test_whatever_the_scope_of_the_dependency(self, app, serve, note, scope):
        """FastAPI's default scope ends after the response was sent; the save does not wait for it."""

        @app.post("/")
        async def put(session=Depends(document_session, scope=scope)):
            await session.store(Note("x"), "notes/1")

        assert serve(app).post("/").status_code == 200
        assert note("notes/1") == "x"

    def test_a_transaction_is_committed(self, app, serve, note):
        """One that the view has begun and not ended, with what it saved in it."""

        @app.post("/")
        async def put(session: Session):
            await session.advanced.begin()
            await session.store(Note("1"), "notes/1")
            await session.save_changes()
            await session.advanced.begin()
            await session.store(Note("2"), "notes/2")

        assert serve(app).post("/").status_code == 200
        assert (note("notes/1"), note("notes/2")) == ("1", "2")

    def test_a_session_that_the_view_has_closed(self, app, serve, note):
        """Closing never saves, so there is nothing to be saved."""

        @app.post("/")
        async def put(session: Session):
            async with session:
                await session.store(Note("1"), "notes/1")

        assert serve(app).post("/").status_code == 200
        assert note("notes/1") is None


class TestASaveThatIsRefused:
    @pytest.fixture
    def documents(self, make_documents):
        """Everything that is written is checked."""
        from docsession import OptimisticConcurrencyMode

        options = SessionOptions(optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES)
        return make_documents(autosave=True, session_options=options)

    @pytest.fixture
    def done(self):
        return []

    @pytest.fixture
    def client(self, app, serve, write, done):
        """An application in which somebody is faster between reading and saving."""
        write("notes/1", "old")

        @app.put("/{kind}")
        async def change(kind: str, session: Session, tasks: BackgroundTasks):
            found = await session.load("notes/1", Note)
            await asyncio.to_thread(write, "notes/1", "theirs")
            found.text = "mine"
            tasks.add_task(done.append, kind)
            if kind == "stream":
                return StreamingResponse(iter(["a", "b"]))
            return {} if kind == "model" else JSONResponse({}, 201, {"x-mine": "1"})

        return serve(app)

    @pytest.mark.parametrize("kind", ["model", "response", "stream"])
    def test_it_becomes_a_conflict(self, client, note, done, kind):
        """The client learns of it, in place of the answer that was prepared; nothing of that is done."""
        answer = client.put(f"/{kind}")

        assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
        assert (answer.json()["code"], "x-mine" in answer.headers) == ("ds111", False)
        assert (note("notes/1"), done) == ("theirs", [])

    def test_a_conditional_request_gets_412(self, client):
        """The condition did not hold to the end."""
        assert client.put("/model", headers={"If-Match": "*"}).status_code == 412

    def test_the_connection_goes_on(self, client):
        """One more request on it, and one more."""
        one = HTTPConnection(client.base_url.host, client.base_url.port)
        one.connect()
        one.auto_open = False

        for _ in range(3):
            one.request("PUT", "/model")
            answer = one.getresponse()
            assert (answer.status, json.loads(answer.read())["code"]) == (409, "ds111")
        one.close()

    def test_the_applications_own_handler_is_asked(self, app, client):
        """That of the nearest class, blocking or not."""

        @app.exception_handler(ConcurrencyException)
        def mine(request, error):
            return ProblemResponse(Problem(423, "mine", error.conflicts[0].id), {"x-path": request.url.path})

        answer = client.put("/model")

        assert (answer.status_code, answer.json()["detail"], answer.headers["x-path"]) == (423, "notes/1", "/model")

    def test_an_error_without_an_answer_is_a_500(self, app, client):
        """As anywhere else."""
        app.exception_handlers.clear()

        assert client.put("/model").status_code == 500

    def test_other_middleware_sees_an_ordinary_response(self, app, client):
        """It lies around the one that saves."""

        async def stamp(request, call_next):
            response = await call_next(request)
            response.headers["x-stamp"] = str(response.status_code)
            return response

        app.middleware_stack = None
        app.add_middleware(BaseHTTPMiddleware, dispatch=stamp)

        answer = client.put("/model")

        assert (answer.status_code, answer.headers["x-stamp"]) == (409, "409")

    def test_in_a_mounted_application(self, app, documents, serve, write, note):
        """The one that is mounted answers as the one around it says."""
        write("notes/1", "old")
        inner = FastAPI()

        @inner.put("/")
        async def change(session: Session):
            found = await session.load("notes/1", Note)
            await asyncio.to_thread(write, "notes/1", "theirs")
            found.text = "mine"

        app.mount("/inner", inner)

        assert serve(app).put("/inner/").status_code == 409
        assert note("notes/1") == "theirs"


def test_stored_json_is_not_read_before_the_save(app, serve, note):
    """It would show what was there before; the view has to save first."""

    @app.put("/")
    async def change(session: Session, save: bool = False):
        await session.store(Note("new"), "notes/1")
        if save:
            await session.save_changes()
        return JsonDocument("notes/1")

    client = serve(app)

    assert client.put("/").status_code == 500
    assert note("notes/1") is None
    assert client.put("/?save=1").json() == {"id": "notes/1", "text": "new"}
