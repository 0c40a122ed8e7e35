"""The sessions of a request and of a block."""

import threading

import pytest

from docsession import InvalidOperationException, SessionClosedException, SessionOptions
from tests.contrib.django.project.documents import Customer
from tests.support.refusals import refused


class TestInRequests:
    """The middleware's."""

    def test_a_request_has_one_session(self, serve, rows):
        """Wherever it is asked for."""
        from django.http import HttpResponse

        from docsession.contrib.django import get_session

        seen = []

        def view(request):
            seen.append(get_session() is get_session("default"))
            get_session().store(Customer("Ada"), "customers/1")
            get_session().save_changes()
            return HttpResponse()

        serve(view).get("/")

        assert seen == [True]
        assert rows() == {"customers/1": "Ada"}

    def test_nothing_is_saved_by_itself(self, serve, rows):
        """A view that does not save has not saved."""
        from django.http import HttpResponse

        from docsession.contrib.django import get_session

        def view(request):
            get_session().store(Customer("Ada"), "customers/1")
            return HttpResponse()

        serve(view).get("/")

        assert rows() == {}

    def test_the_next_request_has_another_one(self, serve):
        """The first is closed when the response is made."""
        from django.http import HttpResponse

        from docsession.contrib.django import get_session

        seen = []

        def view(request):
            seen.append(get_session())
            return HttpResponse()

        client = serve(view)
        client.get("/")
        client.get("/")

        first, second = seen
        assert first is not second
        with pytest.raises(SessionClosedException):
            first.load("customers/1", Customer)

    def test_it_is_closed_after_an_error(self, serve):
        """A view that raises leaves nothing open."""
        from docsession.contrib.django import get_session

        seen = []

        def view(request):
            seen.append(get_session())
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            serve(view).get("/")

        with pytest.raises(SessionClosedException):
            seen[0].load("customers/1", Customer)

    def test_a_streamed_response_needs_a_session_of_its_own(self, serve, rows):
        """The request is over when the first part is sent."""
        from django.http import StreamingHttpResponse

        from docsession.contrib.django import document_session, get_session

        def parts():
            with refused(InvalidOperationException, "document_session"):
                get_session()
            with document_session() as session:
                yield session.load("customers/1", Customer).name

        def view(request):
            get_session().store(Customer("Ada"), "customers/1")
            get_session().save_changes()
            return StreamingHttpResponse(parts())

        assert b"".join(serve(view).get("/").streaming_content) == b"Ada"

    def test_a_template_that_is_rendered_later_may_use_it(self, serve):
        """It is rendered inside the middleware."""
        from django.template.response import TemplateResponse

        from docsession.contrib.django import get_session

        class Later(TemplateResponse):
            @property
            def rendered_content(self):
                return str(get_session().load("customers/1", Customer))

        assert serve(lambda request: Later(request, "unused.html")).get("/").content == b"None"

    def test_each_thread_has_its_own_request(self, serve, rows):
        """Two at once do not see each other's sessions."""
        from django.db import connection
        from django.http import HttpResponse
        from django.test import Client

        from docsession.contrib.django import get_session

        both, seen = threading.Barrier(2, timeout=30), []

        def view(request):
            seen.append(get_session())
            both.wait()
            connection.close()
            return HttpResponse()

        serve(view)
        threads = [threading.Thread(target=lambda: Client().get("/")) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(set(map(id, seen))) == 2


class TestInBlocks:
    """document_session()."""

    def test_it_takes_part_in_djangos_transaction(self, project, rows):
        """Documents and models alike."""
        from django.db import transaction

        from docsession.contrib.django import document_session
        from tests.contrib.django.project.models import Stock

        with document_session() as session:
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                Stock.objects.create(product="tea", quantity=1)
                session.store(Customer("Ada"), "customers/1")
                session.save_changes()
                raise ZeroDivisionError
            assert (rows(), Stock.objects.count()) == ({}, 0)
            with transaction.atomic():
                Stock.objects.create(product="tea", quantity=1)
                session.save_changes()

        assert (rows(), Stock.objects.count()) == ({"customers/1": "Ada"}, 1)

    def test_get_session_returns_it_inside(self, project):
        """So what serves views serves commands, too; and a block inside a block has another one."""
        from docsession.contrib.django import document_session, get_session

        with document_session() as outer:
            assert get_session() is outer
            with document_session() as inner:
                assert get_session() is inner
            assert get_session() is outer

    def test_it_decorates_a_task(self, project, rows):
        """Each call has a session of its own."""
        from docsession.contrib.django import document_session, get_session

        @document_session()
        def task(name):
            get_session().store(Customer(name), f"customers/{name}")
            get_session().save_changes()
            return get_session()

        assert task("a") is not task("b")
        assert rows() == {"customers/a": "a", "customers/b": "b"}

    def test_it_takes_options(self, project):
        """Those of sessions."""
        from docsession.contrib.django import document_session

        with document_session(session_options=SessionOptions(no_tracking=True)) as session:
            session.advanced.number_of_requests  # noqa: B018  # it is open
            with refused(InvalidOperationException, "no_tracking"):
                session.store(Customer("Ada"), "customers/1")

    def test_outside_of_both_there_is_none(self, project):
        """The message says what to add."""
        from docsession.contrib.django import get_session

        with refused(InvalidOperationException, "DocumentSessionMiddleware", "document_session()"):
            get_session()

    def test_another_place_may_be_named(self, project, rows):
        """A session of the store's own connections is no part of Django's transaction."""
        from django.db import transaction

        from docsession.contrib.django import document_session, get_store

        options = SessionOptions(request_executor=get_store().get_request_executor())
        with (
            pytest.raises(ZeroDivisionError),
            transaction.atomic(),
            document_session(session_options=options) as session,
        ):
            session.store(Customer("Ada"), "customers/1")
            session.save_changes()
            raise ZeroDivisionError

        assert rows() == {"customers/1": "Ada"}


class TestSeveralStores:
    """DOCSESSION = {"default": …, "other": …}."""

    @pytest.fixture
    def options(self):
        return {}

    def test_each_has_its_sessions(self, project_url, database):
        """And its database."""
        from docsession.contrib.django import document_session, get_session, get_store
        from tests.contrib.django.conftest import installed

        stores = {"default": {"DATABASE": database}, "other": {"DATABASE": f"{database}_b"}}
        with installed(project_url, **stores):
            with document_session("other") as other, document_session() as default:
                assert get_session() is default
                other.store(Customer("Ada"), "customers/1")
                other.save_changes()
                assert default.load("customers/1", Customer) is None
            assert [get_store(name).database for name in stores] == [database, f"{database}_b"]
            get_store().maintenance.delete_database(f"{database}_b")

    def test_a_store_has_several_databases(self, project, database):
        """One for each tenant, say; each has a session of its own, on the same connection."""
        from docsession.contrib.django import document_session, get_session, get_store

        with document_session() as own:
            tenant = get_session(database=f"{database}_t")
            assert tenant is get_session(database=f"{database}_t") is not get_session()
            tenant.store(Customer("Ada"), "customers/1")
            tenant.save_changes()
            assert get_session().load("customers/1", Customer) is None
        for session in (own, tenant):
            with pytest.raises(SessionClosedException):
                session.load("customers/2", Customer)
        get_store().maintenance.delete_database(f"{database}_t")
