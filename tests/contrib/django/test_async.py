"""Async views, under ASGI and WSGI, and the stores of event loops."""

import asyncio

import psycopg
import pytest

from docsession import InvalidOperationException, OptimisticConcurrencyMode, SessionClosedException
from tests.contrib.django.project.documents import Customer
from tests.support.refusals import refused


async def stored(name="Ada", key="customers/1"):
    from docsession.contrib.django import get_async_session

    await get_async_session().store(Customer(name), key)


def ask(serve, view, **settings):
    """Let an ASGI client ask *view* inside an event loop of its own, and return the response."""
    serve(view, **settings)
    return asyncio.run(answered())


async def answered():
    """Ask, with a thread of the request's own for what blocks, as Django's handler does."""
    from asgiref.sync import ThreadSensitiveContext, sync_to_async
    from django.db import connections
    from django.test import AsyncClient

    async with ThreadSensitiveContext():
        try:
            return await AsyncClient().get("/")
        finally:
            await sync_to_async(connections.close_all)()


@pytest.fixture
def ok():
    from django.http import HttpResponse

    return HttpResponse


class TestUnderAsgi:
    """An async view has an async session."""

    def test_a_request_has_one_session(self, serve, rows, ok):
        """On the store's own connections."""
        from docsession.contrib.django import get_async_session

        seen = []

        async def view(request):
            seen.append(get_async_session())
            await stored()
            await get_async_session().save_changes()
            assert get_async_session() is seen[0]
            return ok()

        ask(serve, view)

        assert rows() == {"customers/1": "Ada"}
        with pytest.raises(SessionClosedException):
            asyncio.run(seen[0].load("customers/2", Customer))

    def test_a_blocking_view_joins_django_as_ever(self, serve, rows, ok):
        """It runs in a thread, where Django's connection is."""
        from django.db import transaction

        from docsession.contrib.django import get_session

        def view(request):
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                get_session().store(Customer("Ada"), "customers/1")
                get_session().save_changes()
                raise ZeroDivisionError
            return ok()

        assert ask(serve, view).status_code == 200
        assert rows() == {}

    def test_requests_at_once_have_their_own(self, serve, ok):
        """On one event loop, and on one store."""
        from docsession.contrib.django import get_async_session, get_async_store

        seen, together = [], asyncio.Barrier(3)

        async def view(request):
            seen.append((get_async_session(), get_async_store()))
            await together.wait()
            return ok()

        serve(view)

        async def get():
            await asyncio.gather(*(answered() for _ in range(3)))

        asyncio.run(get())
        sessions, stores = zip(*seen, strict=True)
        assert (len(set(map(id, sessions))), len(set(map(id, stores)))) == (3, 1)

    def test_errors_are_answered(self, serve, ok):
        """Of a save, here."""

        async def view(request):
            await stale()
            return ok()

        response = ask(serve, view)

        assert (response.status_code, response.json()["code"]) == (409, "ds111")

    def test_a_block_has_its_own_session(self, project, rows, database):
        """For what is no request, or streamed."""
        from docsession.contrib.django import async_document_session, get_async_session

        async def work():
            async with async_document_session() as session:
                assert get_async_session() is session
                other = get_async_session(database=f"{database}_b")
                await stored()
                await session.save_changes()
            for each in (session, other):
                with pytest.raises(SessionClosedException):
                    await each.load("customers/2", Customer)
            with refused(InvalidOperationException, "async_document_session"):
                get_async_session()

        asyncio.run(work())

        assert rows() == {"customers/1": "Ada"}


def blocking(get_response):
    """A middleware that is not async."""

    def answer(request):
        return get_response(request)

    return answer


async def stale(*, save=True):
    """Save over somebody else's change; a conflict."""
    from docsession.contrib.django import get_async_session, get_async_store

    async def put(name):
        async with get_async_store().open_session() as other:
            await other.store(Customer(name), "customers/1")
            await other.save_changes()

    await put("Bea")
    session = get_async_session()
    session.advanced.optimistic_concurrency_mode = OptimisticConcurrencyMode.WRITES
    (await session.load("customers/1", Customer)).name = "mine"
    await put("theirs")
    if save:
        await session.save_changes()


class TestCancelling:
    """A client that hangs up."""

    def test_the_session_is_closed(self, serve):
        """Whatever the view was waiting for."""
        from docsession.contrib.django import get_async_session

        seen, waits = [], asyncio.Event()

        async def view(request):
            seen.append(get_async_session())
            waits.set()
            await asyncio.Event().wait()

        serve(view)

        async def hang_up():
            asking = asyncio.ensure_future(answered())
            await waits.wait()
            asking.cancel()
            await asyncio.wait([asking])
            with pytest.raises(SessionClosedException):
                await seen[0].load("customers/1", Customer)

        asyncio.run(hang_up())


class TestThreads:
    """Django calls in a thread what is not a coroutine function."""

    def test_an_async_request_needs_none(self, project):
        """Neither the middleware nor what it does before the view."""
        from asgiref.sync import iscoroutinefunction

        from docsession.contrib.django import DocumentSessionMiddleware

        async def answer(request):
            """Stands for all that comes behind."""

        for get_response in (answer, lambda request: None):
            middleware = DocumentSessionMiddleware(get_response)
            kinds = {iscoroutinefunction(each) for each in (middleware, middleware.process_view)}
            assert kinds == {get_response is answer}


class TestAutosave:
    """@autosave and AUTOSAVE."""

    @pytest.fixture(params=["decorator", "class", "setting"])
    def options(self, request):
        return {"AUTOSAVE": request.param == "setting"}

    @pytest.fixture
    def saving(self, request, options):
        """Make of a coroutine function a view that is saved."""
        from django.utils.decorators import method_decorator
        from django.views import View

        from docsession.contrib.django import autosave

        kind = request.node.callspec.params["options"]

        def make(function):
            if kind == "decorator":
                return autosave(function)
            if kind == "setting":
                return function

            @method_decorator(autosave, name="dispatch")
            class Saving(View):
                async def get(self, request):
                    return await function(request)

            return Saving.as_view()

        return make

    def test_it_is_saved(self, serve, rows, ok, saving):
        """By the loop of the view."""

        async def view(request):
            await stored()
            return ok()

        ask(serve, saving(view))

        assert rows() == {"customers/1": "Ada"}

    def test_nothing_is_saved_with_an_error_status(self, serve, rows, ok, saving):
        """As for blocking views."""

        async def view(request):
            await stored()
            return ok(status=404)

        ask(serve, saving(view))

        assert rows() == {}

    def test_a_conflict_is_the_answer(self, serve, rows, ok, saving):
        """As for blocking views."""

        async def view(request):
            await stale(save=False)
            return ok()

        assert ask(serve, saving(view)).status_code == 409
        assert rows() == {"customers/1": "theirs"}

    def test_what_a_thread_changed_is_saved_too(self, serve, rows, ok, saving):
        """A blocking session that an async view has used."""
        from asgiref.sync import sync_to_async

        from docsession.contrib.django import get_session

        async def view(request):
            await sync_to_async(lambda: get_session().store(Customer("Cem"), "customers/2"))()
            return ok()

        ask(serve, saving(view))

        assert rows() == {"customers/2": "Cem"}

    def test_a_view_that_says_no(self, serve, rows, ok, saving):
        """@no_autosave keeps it a coroutine function."""
        from docsession.contrib.django import no_autosave

        async def view(request):
            await stored()
            return ok()

        ask(serve, no_autosave(view))

        assert rows() == {}


class TestAtomicRequests:
    """A blocking view under ASGI, saved inside its transaction."""

    @pytest.fixture
    def options(self):
        return {"AUTOSAVE": True}

    def test_models_and_documents_commit_together(self, serve, rows, ok):
        """In the thread of the view."""
        from django.db import connection, transaction

        from docsession.contrib.django import get_session
        from tests.contrib.django.project.models import Stock

        seen = []
        connection.settings_dict["ATOMIC_REQUESTS"] = True

        def view(request):
            Stock.objects.create(product="tea", quantity=1)
            get_session().store(Customer("Ada"), "customers/1")
            transaction.on_commit(lambda: seen.append(rows()))
            return ok()

        assert ask(serve, view).status_code == 200
        assert seen == [{"customers/1": "Ada"}]


class TestUnderWsgi:
    """An async view has an event loop of its own, which ends with it."""

    def test_its_session_works(self, serve, rows, ok):
        """And its store is closed at the end."""
        from docsession.contrib.django import get_async_session, get_async_store

        seen = []

        async def view(request):
            await stored()
            await get_async_session().save_changes()
            seen.append(get_async_store())
            return ok()

        client = serve(view)
        client.get("/")
        client.get("/")

        assert rows() == {"customers/1": "Ada"}
        assert [store.disposed for store in seen] == [True, True]
        assert seen[0] is not seen[1]

    def test_it_may_be_saved_by_the_decorator(self, serve, rows, ok):
        """Which saves inside that loop."""
        from docsession.contrib.django import autosave

        @autosave
        async def view(request):
            await stored()
            return ok()

        serve(view).get("/")

        assert rows() == {"customers/1": "Ada"}


class TestSavedByTheSettingUnderWsgi:
    """When the view has returned its event loop has ended, so its session goes on with other connections."""

    @pytest.fixture
    def options(self):
        return {"AUTOSAVE": True}

    def test_it_is_saved(self, serve, rows, ok):
        """Also what comes with the first use of a database: tables, and ranges of ids."""
        from docsession.contrib.django import get_async_session, get_async_store

        seen = []

        async def view(request):
            customer = Customer("Bob")
            await get_async_session().store(customer)
            await stored()
            seen.extend([customer, get_async_store()])
            return ok()

        serve(view).get("/")

        customer, store = seen
        assert store.disposed
        assert rows() == {"customers/1": "Ada", customer.id: "Bob"}

    def test_what_was_loaded_is_saved(self, serve, rows, ok):
        """Its table is one that the store of the loop has looked up."""
        from docsession.contrib.django import get_async_session

        async def view(request):
            session = get_async_session()
            await stored()
            await session.save_changes()
            (await session.load("customers/1", Customer)).name = "Cem"
            return ok()

        serve(view).get("/")

        assert rows() == {"customers/1": "Cem"}

    def test_nothing_is_saved_with_an_error_status(self, serve, rows, ok):
        """As for blocking views."""

        async def view(request):
            await stored()
            return ok(status=404)

        serve(view).get("/")

        assert rows() == {}

    def test_a_conflict_is_the_answer(self, serve, rows, ok):
        """As for blocking views."""

        async def view(request):
            await stale(save=False)
            return ok()

        assert serve(view).get("/").status_code == 409
        assert rows() == {"customers/1": "theirs"}

    def test_coroutine_functions_are_awaited(self, serve, rows, ok):
        """Handlers of the session's events."""
        from docsession.contrib.django import get_async_session

        async def rename(args):
            await asyncio.sleep(0)
            args.entity.name += " of Oslo"

        async def view(request):
            get_async_session().add_before_store(rename)
            await stored()
            return ok()

        serve(view).get("/")

        assert rows() == {"customers/1": "Ada of Oslo"}

    def test_a_transaction_is_gone(self, serve, rows, ok):
        """With its connection. It is committed where the loop goes on."""
        from docsession.contrib.django import get_async_session

        async def view(request):
            await get_async_session().advanced.begin()
            await stored()
            await get_async_session().save_changes()
            await stored("Bob", "customers/2")
            return ok()

        client = serve(view)
        with refused(InvalidOperationException, "@autosave", "Commit it in the view", "ASGI"):
            client.get("/")
        assert rows() == {}
        assert ask(serve, view).status_code == 200
        assert rows() == {"customers/1": "Ada", "customers/2": "Bob"}

    def test_a_session_that_the_view_has_closed(self, serve, rows, ok):
        """It is left alone, in both."""
        from docsession.contrib.django import get_async_session

        async def view(request):
            await stored()
            await get_async_session().close()
            return ok()

        assert [serve(view).get("/").status_code, ask(serve, view).status_code] == [200, 200]
        assert rows() == {}

    def test_a_coroutine_of_a_blocking_view(self, serve, rows, ok):
        """It runs in an event loop of its own, too."""
        from asgiref.sync import async_to_sync

        def view(request):
            async_to_sync(stored)()
            return ok()

        serve(view).get("/")

        assert rows() == {"customers/1": "Ada"}

    def test_under_asgi_before_a_blocking_middleware(self, serve, rows, ok):
        """The loop of the server goes on, and saves it."""
        from docsession.contrib.django import get_async_session
        from tests.contrib.django.conftest import MIDDLEWARE

        loops = []

        async def note(args):
            loops.append(asyncio.get_running_loop())

        async def view(request):
            await note(None)
            get_async_session().add_before_store(note)
            await stored()
            return ok()

        assert ask(serve, view, MIDDLEWARE=[*MIDDLEWARE, f"{__name__}.blocking"]).status_code == 200
        assert rows() == {"customers/1": "Ada"}
        assert loops[0] is loops[1]


class TestLoops:
    """An event loop closes its stores when it ends."""

    def test_no_connection_is_left(self, project, project_url):
        """Django has no event for the end of a server."""
        from docsession.contrib.django import async_document_session, get_async_store

        seen = []

        async def work():
            async with async_document_session() as session:
                await session.store(Customer("Ada"))
                await session.save_changes()
                await session.query(Customer).count()
            seen.append(get_async_store())

        asyncio.run(work())

        assert seen[0].disposed
        with psycopg.connect(project_url, autocommit=True) as connection:
            query = (
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = 'docsession'"
            )
            for _ in range(200):  # the server takes a moment to notice
                if (left := connection.execute(query).fetchone()) == (0,):
                    break
                connection.execute("SELECT pg_sleep(0.01)")
        assert left == (0,)

    def test_one_that_was_not_shut_down_leaves_its_stores_to_the_process(self, project):
        """Which closes them with its own."""
        from docsession.contrib.django import get_async_store
        from docsession.contrib.django._stores import STORES

        async def work():
            async with get_async_store().open_session() as session:
                await session.query(Customer).count()
            return get_async_store()

        loop = asyncio.new_event_loop()
        store = loop.run_until_complete(work())
        loop.close()
        assert not store.disposed
        STORES.close()
        assert store.disposed

    def test_one_that_is_closed_is_made_anew(self, project):
        """As the blocking one."""
        from docsession.contrib.django import get_async_store

        async def work():
            store = get_async_store()
            await store.close()
            assert get_async_store() is not store
            assert get_async_store() is get_async_store()

        asyncio.run(work())
