"""One session for each request, and the store behind them."""

import asyncio
import contextlib
import queue
import threading
from typing import Annotated

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from starlette.requests import HTTPConnection

from docsession import (
    AsyncDocumentSession,
    AsyncDocumentStore,
    DocumentStore,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    SessionClosedException,
    SessionOptions,
)
from docsession.contrib.fastapi import DocSession, Session, Store, document_session
from tests.support.notes import Note


@pytest.fixture
def documents(make_documents):
    return make_documents()


@pytest.fixture
def app(documents):
    app = FastAPI(lifespan=documents.lifespan)
    documents.install(app)
    return app


class TestTheSessionOfARequest:
    def test_all_who_ask_for_it_get_the_same_one(self, app, documents, serve):
        """Dependencies of either scope, the view, and code that has the request alone."""

        async def whole(session=Depends(document_session)):
            return session

        async def user(session: Session):
            return session

        @app.get("/")
        async def view(request: Request, session: Session, user=Depends(user), whole=Depends(whole)):
            async with documents.session(request) as another:
                return session is user is whole is another

        assert serve(app).get("/").json() is True

    def test_another_request_has_another_one(self, app, serve):
        """Nothing is left over."""
        seen = []

        @app.get("/")
        async def view(session: Session):
            seen.append(session)
            return session.advanced.number_of_requests

        client = serve(app)
        assert [client.get("/").json(), client.get("/").json()] == [0, 0]
        assert seen[0] is not seen[1]

    def test_it_is_closed_when_the_response_starts(self, app, documents, serve):
        """Who goes on with it learns that at once, as a background task does."""
        seen = queue.SimpleQueue()

        async def later(session, request):
            for asked in session.load("notes/1", Note), documents.session(request).__aenter__():
                try:
                    seen.put(await asked)
                except SessionClosedException as error:
                    seen.put(str(error))

        @app.get("/")
        async def view(session: Session, request: Request, tasks: BackgroundTasks):
            tasks.add_task(later, session, request)

        assert serve(app).get("/").status_code == 200
        assert "on a closed session" in seen.get(timeout=30)
        assert "async with documents.open_session(request)" in seen.get(timeout=30)

    def test_it_is_closed_after_an_error(self, app, serve):
        """Whatever the view has left behind."""
        seen = []

        @app.get("/")
        async def view(session: Session):
            seen.append(session)
            await session.advanced.begin()
            raise ZeroDivisionError

        assert serve(app).get("/").status_code == 500
        assert not seen[0].advanced.in_transaction
        with pytest.raises(SessionClosedException):
            asyncio.run(seen[0].load("notes/1", Note))

    def test_a_view_that_leaves_a_task_inside(self, app, serve):
        """It is told so, and the next request is not disturbed."""
        tasks = []

        @app.get("/")
        async def view(session: Session, leave: bool = False):
            if leave:
                tasks.append(asyncio.create_task(session.load("notes/1", Note)))
                await asyncio.sleep(0)
            return "ok"

        client = serve(app)

        assert client.get("/?leave=1").status_code == 500
        assert client.get("/").json() == "ok"

    def test_options_may_depend_on_the_request(self, make_documents, serve, database, write):
        """As the database of a tenant does; nobody gets one without being known."""

        def of(connection: HTTPConnection) -> SessionOptions:
            tenant = connection.headers.get("x-tenant")
            if tenant is None:
                raise HTTPException(401)
            return SessionOptions(database=database if tenant == "a" else f"{database}_{tenant}")

        documents = make_documents(session_options=of)
        app = FastAPI(lifespan=documents.lifespan)
        documents.install(app)
        write("notes/1", "a's")

        @app.get("/")
        async def view(request: Request, session: Session):
            async with documents.open_session(request, SessionOptions(no_tracking=True)) as own:
                return [(await each.load("notes/1", Note)) is not None for each in (session, own)]

        client = serve(app)
        assert client.get("/", headers={"x-tenant": "a"}).json() == [True, True]
        assert client.get("/", headers={"x-tenant": "b"}).json() == [False, False]
        assert client.get("/").status_code == 401
        with pytest.raises(InvalidArgumentException, match=r"open_session\(request\)"):
            documents.open_session()


class TestSessionsOfTheirOwn:
    def test_a_stream_and_a_background_task(self, app, documents, serve, write, note):
        """They outlive the request's session, and open theirs."""
        saved = threading.Event()
        for at in range(3):
            write(f"notes/{at}", str(at))

        async def lines(request):
            async with documents.open_session(request) as session:
                async for found in session.query(Note).order_by("text").stream():
                    yield found.text

        async def count(store):
            async with store.open_session() as session:
                await session.store(Note("seen"), "notes/seen")
                await session.save_changes()
            saved.set()

        @app.get("/")
        async def view(request: Request, session: Session, store: Store, tasks: BackgroundTasks):
            tasks.add_task(count, store)
            await session.load("notes/1", Note)
            return StreamingResponse(lines(request))

        assert serve(app).get("/").text == "012"
        assert saved.wait(30)
        assert note("notes/seen") == "seen"

    def test_a_websocket_saves_what_it_saves(self, make_documents, note):
        """There is no response that a save could come before, so `autosave` changes nothing there."""
        documents = make_documents(autosave=True)
        app = FastAPI(lifespan=documents.lifespan)
        documents.install(app)

        @app.websocket("/")
        async def talk(websocket: WebSocket, session: Session):
            await websocket.accept()
            async for text in websocket.iter_text():
                await session.store(Note(text), f"notes/{text}")
                if text == "kept":
                    await session.save_changes()
                await websocket.send_text("ok")

        with TestClient(app) as client, client.websocket_connect("/") as socket:
            for text in "kept", "lost":
                socket.send_text(text)
                assert socket.receive_text() == "ok"

        assert (note("notes/kept"), note("notes/lost")) == ("kept", None)


class TestTheStore:
    def test_it_lives_as_long_as_the_application(self, app, documents):
        """And is made anew, on another event loop, where the application starts again, as in tests."""
        stores = []
        for _ in range(2):
            with TestClient(app) as client:
                stores.append(documents.store)
                assert client.get("/nothing").status_code == 404
            with pytest.raises(InvalidOperationException, match="has not started, or has ended"):
                documents.store.open_session()

        assert stores[0] is not stores[1]

    def test_one_that_was_made_already(self, postgres_url, database):
        """It serves one run, and is closed after it."""
        store = AsyncDocumentStore(postgres_url, database)
        documents = DocSession(store)
        app = FastAPI(lifespan=documents.lifespan)
        documents.install(app)

        @app.get("/")
        async def view(store: Store):
            return "nothing" in await store.maintenance.get_database_names()

        with TestClient(app) as client:
            assert (documents.store is store, client.get("/").json()) == (True, False)

    def test_another_one_for_a_test(self, app, documents, postgres_url, database, write):
        """Until the block ends; and not while the application runs with one already."""

        @app.get("/")
        async def view(session: Session):
            return await session.query(Note).count()

        write("notes/1", "x")
        with documents.override(AsyncDocumentStore(postgres_url, f"{database}_other")), TestClient(app) as client:
            assert client.get("/").json() == 0
        with TestClient(app) as client:
            assert client.get("/").json() == 1
            with pytest.raises(InvalidOperationException, match="before the application starts"):
                documents.override(AsyncDocumentStore).__enter__()
        with pytest.raises(InvalidArgumentTypeException, match="AsyncDocumentStore"):
            documents.override(DocumentStore(postgres_url)).__enter__()

    def test_several(self, make_documents, serve):
        """Each by its name."""
        documents, archive = make_documents(), make_documents(name="archive")

        @contextlib.asynccontextmanager
        async def lifespan(app):
            async with documents.lifespan(app), archive.lifespan(app):
                yield

        app = FastAPI(lifespan=lifespan)
        documents.install(app)
        archive.install(app)

        @app.get("/")
        async def view(
            session: Session,
            store: Store,
            old: Annotated[AsyncDocumentSession, Depends(archive.document_session, scope="function")],
            its_store: Annotated[AsyncDocumentStore, Depends(archive.document_store)],
        ):
            return [session is old, store is documents.store, its_store is archive.store]

        assert serve(app).get("/").json() == [False, True, True]


class TestWhatIsMissing:
    def test_install(self, documents, serve):
        """The error says what to call."""
        app = FastAPI(lifespan=documents.lifespan)
        seen = []

        @app.exception_handler(InvalidOperationException)
        async def answer(request, error):
            seen.append(str(error))
            raise error

        @app.get("/")
        async def view(session: Session): ...

        assert serve(app).get("/").status_code == 500
        assert "call DocSession(…).install(app)" in seen[0]

    def test_lifespan(self, documents):
        """So does that of an application which was not started, or by a test client without `with`."""
        app = FastAPI()
        documents.install(app)

        @app.get("/")
        async def view(session: Session): ...

        with pytest.raises(InvalidOperationException, match=r"FastAPI\(lifespan=documents.lifespan\)"):
            TestClient(app).get("/")

    def test_install_after_the_start(self, app, documents):
        """It would come too late, and says so."""
        with TestClient(app), pytest.raises(InvalidOperationException, match="before the application starts"):
            documents.install(app)

    def test_one_store_for_two_applications(self, app, documents):
        """The second would take it away from the first."""
        other = FastAPI(lifespan=documents.lifespan)

        with TestClient(app), pytest.raises(InvalidOperationException, match="runs already"), TestClient(other):
            pass

    @pytest.mark.parametrize("given", ["postgresql://x/y", DocumentStore("postgresql://x/y"), None], ids=type)
    def test_a_store(self, given):
        """A blocking store, or a URL, is none."""
        with pytest.raises(InvalidArgumentTypeException, match="AsyncDocumentStore"):
            DocSession(given)

    def test_an_async_store(self):
        """A function that makes something else is found out when it is called."""
        documents = DocSession(lambda: DocumentStore("postgresql://x/y"))

        with (
            pytest.raises(InvalidArgumentTypeException, match="AsyncDocumentStore"),
            TestClient(FastAPI(lifespan=documents.lifespan)),
        ):
            pass
