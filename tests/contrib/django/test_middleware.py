"""Errors as responses, saves after views, and what a request has cost."""

import logging

import pytest

from docsession import (
    ConcurrencyException,
    DocumentDoesNotExistException,
    InvalidOperationException,
    OptimisticConcurrencyMode,
    PoolTimeoutException,
)
from tests.contrib.django.project.documents import Customer
from tests.support.refusals import refused

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def ok():
    from django.http import HttpResponse

    return HttpResponse


def raising(error):
    def view(request):
        raise error

    return view


def stored(name="Ada", key="customers/1"):
    """Store a customer in the request's session, and leave it there."""
    from docsession.contrib.django import get_session

    customer = Customer(name)
    get_session().store(customer, key)
    return customer


def put_beside(name="Bea", key="customers/1"):
    """Let somebody else write a customer, and commit."""
    from docsession.contrib.django import get_store

    with get_store().open_session() as session:
        session.store(Customer(name), key)
        session.save_changes()


def stale():
    """Change a customer that somebody else changes, too; the save will be a conflict."""
    from docsession.contrib.django import get_session

    put_beside()
    session = get_session()
    session.advanced.optimistic_concurrency_mode = OptimisticConcurrencyMode.WRITES
    session.load("customers/1", Customer).name = "mine"
    put_beside("theirs")


class TestErrors:
    """What a view does not handle."""

    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (DocumentDoesNotExistException("secret"), 404, "ds116"),
            (ConcurrencyException("secret"), 409, "ds111"),
            (PoolTimeoutException("secret"), 503, "ds131"),
        ],
        ids=lambda each: type(each).__name__,
    )
    def test_a_client_gets_a_problem(self, serve, error, status, code):
        """In the form of RFC 9457, without the message, which may hold anything."""
        response = serve(raising(error)).get("/")

        assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
        assert (response.json()["status"], response.json()["code"]) == (status, type(error).code)
        assert b"secret" not in response.content
        assert response["Vary"] == "Accept"

    def test_a_busy_server_says_when_to_come_again(self, serve):
        """Retry-After."""
        assert int(serve(raising(PoolTimeoutException("secret"))).get("/")["Retry-After"]) > 0

    def test_a_conditional_request_has_failed_its_condition(self, serve):
        """412 where the client has named a version."""
        response = serve(raising(ConcurrencyException("secret"))).get("/", headers={"If-Match": '"1"'})

        assert response.status_code == 412

    def test_a_browser_gets_a_page(self, serve):
        """A plain one, where the project has no template."""
        response = serve(raising(ConcurrencyException("<b>"))).get("/", headers=HTML)

        assert (response.status_code, response["Content-Type"]) == (409, "text/html; charset=utf-8")
        assert b"<h1>Conflict</h1>" in response.content
        assert b"<b>" not in response.content

    def test_a_browser_gets_the_projects_page(self, serve):
        """The template named by the status."""
        templates = [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [("django.template.loaders.locmem.Loader", {"409.html": "{{ problem.code }} ours"})]
                },
            }
        ]
        view = raising(ConcurrencyException("secret"))

        assert serve(view, TEMPLATES=templates).get("/", headers=HTML).content == b"ds111 ours"

    def test_what_is_not_there_is_djangos_404(self, serve):
        """With the project's handler."""
        response = serve(raising(DocumentDoesNotExistException("secret"))).get("/", headers=HTML)

        assert (response.status_code, b"Not Found" in response.content) == (404, True)
        assert b"secret" not in response.content

    @pytest.mark.parametrize("error", [InvalidOperationException("a mistake"), ZeroDivisionError()])
    def test_mistakes_stay_djangos(self, serve, error):
        """They become its 500."""
        with pytest.raises(type(error)):
            serve(raising(error)).get("/")

    def test_problems_of_the_server_are_logged(self, serve, caplog):
        """With the error; those of clients as Django does."""
        error = PoolTimeoutException("why it is so")
        with caplog.at_level(logging.ERROR, "django.request"):
            serve(raising(error)).get("/")

        (record,) = caplog.records
        assert record.exc_info[1] is error

    def test_a_middleware_of_ones_own_answers_otherwise(self, serve, ok):
        """problem_response is there to be overridden."""
        view = raising(ConcurrencyException("secret"))
        middleware = [f"{__name__}.Answering"]

        response = serve(view, MIDDLEWARE=middleware).get("/")

        assert (response.status_code, response.content) == (418, b"ds111")


def __getattr__(name):
    """Django looks for a middleware here, which cannot be defined before Django is configured."""
    if name != "Answering":
        raise AttributeError(name)
    from django.http import HttpResponse

    from docsession.contrib.django import DocumentSessionMiddleware

    class Answering(DocumentSessionMiddleware):
        def problem_response(self, request, problem, error):
            return HttpResponse(problem.code, status=418)

    return Answering


OTHERS = {ConcurrencyException: 423, InvalidOperationException: 400}


class TestProblems:
    """DOCSESSION["PROBLEMS"]."""

    @pytest.fixture(params=["dict", "map", "path"])
    def options(self, request):
        from docsession.contrib.django import ProblemMap

        kinds = {"dict": OTHERS, "map": ProblemMap().with_(OTHERS), "path": f"{__name__}.OTHERS"}
        return {"PROBLEMS": kinds[request.param]}

    def test_other_statuses_may_be_given(self, serve):
        """For errors that have one, and for others."""
        assert serve(raising(ConcurrencyException("x"))).get("/").status_code == 423
        assert serve(raising(InvalidOperationException("x"))).get("/").status_code == 400


class TestDecorator:
    """@autosave."""

    def test_what_was_changed_is_saved(self, serve, rows, ok):
        """After the view has returned."""
        from docsession.contrib.django import autosave

        @autosave
        def view(request):
            stored()
            return ok(status=201)

        assert serve(view).get("/").status_code == 201
        assert rows() == {"customers/1": "Ada"}

    @pytest.mark.parametrize("status", [400, 404, 500])
    def test_nothing_is_saved_with_an_error_status(self, serve, rows, ok, status):
        """The view has said that it went wrong."""
        from docsession.contrib.django import autosave

        @autosave
        def view(request):
            stored()
            return ok(status=status)

        serve(view).get("/")

        assert rows() == {}

    def test_a_conflict_is_the_answer(self, serve, rows, ok):
        """Not a response that says it went well."""
        from docsession.contrib.django import autosave

        @autosave
        def view(request):
            stale()
            return ok()

        assert serve(view).get("/").status_code == 409
        assert rows() == {"customers/1": "theirs"}

    def test_a_conflict_takes_the_models_along(self, serve, rows, ok):
        """With ATOMIC_REQUESTS, whose transaction is around the save."""
        from django.db import connection

        from docsession.contrib.django import autosave
        from tests.contrib.django.project.models import Stock

        connection.settings_dict["ATOMIC_REQUESTS"] = True

        @autosave
        def view(request):
            Stock.objects.create(product="tea", quantity=1)
            stale()
            return ok()

        assert serve(view).get("/").status_code == 409
        assert (rows(), Stock.objects.count()) == ({"customers/1": "theirs"}, 0)

    def test_several_sessions_are_saved_together(self, serve, rows, ok, database):
        """Or none of them is: they are on one connection."""
        from docsession.contrib.django import autosave, get_session, get_store

        @autosave
        def view(request):
            tenant = get_session(database=f"{database}_t")
            tenant.store(Customer("Ada"), "customers/1")
            stale()
            return ok()

        assert serve(view).get("/").status_code == 409
        with get_store().open_session(f"{database}_t") as session:
            assert session.load("customers/1", Customer) is None
        get_store().maintenance.delete_database(f"{database}_t")

    def test_without_the_middleware_it_opens_the_sessions_itself(self, serve, rows, ok):
        """Errors then are Django's."""
        from docsession.contrib.django import autosave

        @autosave
        def view(request):
            stored()
            return ok()

        serve(view, MIDDLEWARE=[]).get("/")

        assert rows() == {"customers/1": "Ada"}

    def test_classes_are_decorated_as_django_does(self, serve, rows, ok):
        """By method_decorator."""
        from django.utils.decorators import method_decorator
        from django.views import View

        from docsession.contrib.django import autosave

        @method_decorator(autosave, name="dispatch")
        class Storing(View):
            def get(self, request):
                stored()
                return ok()

        serve(Storing.as_view()).get("/")

        assert rows() == {"customers/1": "Ada"}


class TestSetting:
    """DOCSESSION["AUTOSAVE"], with and without ATOMIC_REQUESTS."""

    @pytest.fixture
    def options(self):
        return {"AUTOSAVE": True}

    @pytest.fixture(params=[False, True], ids=["autocommit", "atomic"])
    def atomic_requests(self, request, project):
        from django.db import connection

        connection.settings_dict["ATOMIC_REQUESTS"] = request.param
        return request.param

    def test_every_view_is_saved(self, atomic_requests, serve, rows, ok):
        """Which has returned normally."""

        def view(request):
            stored()
            return ok()

        serve(view).get("/")

        assert rows() == {"customers/1": "Ada"}

    def test_but_not_one_that_says_no(self, atomic_requests, serve, rows, ok):
        """It saves itself, or not."""
        from docsession.contrib.django import no_autosave

        @no_autosave
        def view(request):
            stored()
            return ok()

        serve(view).get("/")

        assert rows() == {}

    @pytest.mark.parametrize("fails", ["status", "error"])
    def test_nothing_is_saved_where_it_went_wrong(self, atomic_requests, serve, rows, ok, fails):
        """By a status, or an error."""

        def view(request):
            stored()
            if fails == "error":
                raise ConcurrencyException("not the save's")
            return ok(status=400)

        assert serve(view).get("/").status_code in {400, 409}
        assert rows() == {}

    def test_a_conflict_takes_the_models_along(self, atomic_requests, serve, rows, ok):
        """Where the request is one transaction."""
        from tests.contrib.django.project.models import Stock

        def view(request):
            Stock.objects.create(product="tea", quantity=1)
            stale()
            return ok()

        response = serve(view).get("/")

        assert response.status_code == 409
        assert rows() == {"customers/1": "theirs"}
        assert Stock.objects.exists() is not atomic_requests

    def test_models_and_documents_commit_together(self, atomic_requests, serve, rows, ok):
        """What is to be done after the commit is done before the response is sent."""
        from django.db import transaction

        from tests.contrib.django.project.models import Stock

        seen = []

        def view(request):
            Stock.objects.create(product="tea", quantity=1)
            stored()
            transaction.on_commit(lambda: seen.append(rows()))
            return ok()

        serve(view).get("/")

        assert seen == [{"customers/1": "Ada"} if atomic_requests else {}]
        assert (rows(), Stock.objects.count()) == ({"customers/1": "Ada"}, 1)

    def test_an_error_of_the_view_takes_back_what_it_saved(self, atomic_requests, serve, rows, ok):
        """With ATOMIC_REQUESTS; otherwise a save of its own stays."""
        from docsession.contrib.django import get_session

        def view(request):
            stored()
            get_session().save_changes()
            raise ConcurrencyException("later")

        serve(view).get("/")

        assert bool(rows()) is not atomic_requests

    def test_a_view_may_be_exempt_from_the_transaction(self, atomic_requests, serve, rows, ok):
        """non_atomic_requests."""
        from django.db import connection, transaction

        seen = []

        @transaction.non_atomic_requests
        def view(request):
            seen.append(connection.in_atomic_block)
            stored()
            return ok()

        serve(view).get("/")

        assert seen == [False]
        assert rows() == {"customers/1": "Ada"}

    def test_an_error_of_another_middleware_ends_the_transaction(self, atomic_requests, serve, rows, ok):
        """Nothing stays open."""
        from django.db import connection

        client = serve(lambda request: stored() and None, DEBUG_PROPAGATE_EXCEPTIONS=True)
        with pytest.raises(ValueError, match="returned None"):
            client.get("/")

        assert not connection.in_atomic_block
        assert rows() == {}


class TestSummary:
    """What a request has asked of PostgreSQL."""

    def test_debug_tells_the_browser(self, serve, ok, rows):
        """Server-Timing."""
        from docsession.contrib.django import get_session

        def view(request):
            get_session().load("customers/1", Customer)
            return ok()

        client = serve(view, DEBUG=True)
        put_beside()
        timing = client.get("/")["Server-Timing"]

        assert timing.startswith("docsession;dur=")
        assert "1 request" in timing

    def test_a_log_line_names_what_is_repeated(self, serve, ok, caplog):
        """At INFO, since it is to be looked at."""
        from docsession.contrib.django import get_session

        def view(request):
            for i in range(5):
                get_session().load(f"customers/{i}", Customer)
            return ok()

        with caplog.at_level(logging.INFO, "docsession.http"):
            put_beside()
            serve(view).get("/?secret=1")

        (line,) = [record.getMessage() for record in caplog.records if record.name == "docsession.http"]
        assert line.startswith("GET / -> 200: 5 requests")
        assert "5 x load" in line
        assert "test_middleware.py" in line
        assert "secret" not in line

    def test_without_a_reader_nothing_is_counted(self, serve, ok):
        """Neither header nor cost."""
        from docsession.contrib.django import get_session, get_store

        def view(request):
            get_session().load("customers/1", Customer)
            return ok()

        put_beside()
        assert not serve(view).get("/").has_header("Server-Timing")
        assert get_store()._handlers is None


class TestClosing:
    """Handlers of the end of sessions that raise."""

    @pytest.mark.parametrize("is_async", [False, True], ids=["blocking", "async"])
    def test_the_response_is_sent_all_the_same(self, serve, ok, caplog, is_async):
        """The log says why a session could not be closed; the others are closed."""
        from docsession.contrib.django import get_async_session, get_async_store, get_session, get_store
        from tests.contrib.django.test_async import ask

        seen = []

        def fail(_args):
            raise ZeroDivisionError

        def view(request):
            get_store().add_on_session_closing(fail)
            seen.extend([get_session(), get_session(database="other")])
            return ok()

        async def async_view(request):
            get_async_store().add_on_session_closing(fail)
            seen.extend([get_async_session(), get_async_session(database="other")])
            return ok()

        response = ask(serve, async_view) if is_async else serve(view).get("/")

        assert response.status_code == 200
        assert "could not be closed" in caplog.text
        assert [each.exc_info[0] for each in caplog.records if each.exc_info] == [ZeroDivisionError]
        assert len(seen) == 2


class TestMessages:
    """What is said to whom forgets something."""

    def test_autosave_without_the_middleware_is_found(self, project_url, database):
        """By manage.py check."""
        from django.core.checks import run_checks
        from django.test import override_settings

        from tests.contrib.django.conftest import MIDDLEWARE, installed

        with installed(project_url, DATABASE=database, AUTOSAVE=True):
            assert [each.id for each in run_checks() if "docsession" in each.id] == []
            with override_settings(MIDDLEWARE=MIDDLEWARE[:-1]):
                assert [each.id for each in run_checks() if "docsession" in each.id] == ["docsession.E002"]

    def test_get_session_in_an_async_view(self, serve):
        """It would block the event loop."""
        import asyncio

        from django.core.exceptions import SynchronousOnlyOperation

        from docsession.contrib.django import get_session

        async def use():
            get_session()

        with pytest.raises(SynchronousOnlyOperation, match="get_async_session"):
            asyncio.run(use())

    def test_get_async_session_without_an_event_loop(self, project):
        """There is nothing that it could run on."""
        from docsession.contrib.django import document_session, get_async_session, get_async_store

        with document_session(), refused(InvalidOperationException, "get_session()"):
            get_async_session()
        with refused(InvalidOperationException, "no event loop"):
            get_async_store()
