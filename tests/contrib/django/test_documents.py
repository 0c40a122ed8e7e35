"""Documents by the ids of clients, their versions, and JSON as it is stored."""

import asyncio
from dataclasses import dataclass

import pytest

from docsession import ConcurrencyException, DocumentMismatchException, InvalidArgumentException
from tests.contrib.django.project.documents import Customer


@dataclass
class Thing:
    size: int
    id: str | None = None


@pytest.fixture
def documents(project):
    from docsession.contrib.django import get_store

    with get_store().open_session() as session:
        session.store(Customer("Ada"), "customers/1")
        session.store(Thing(5), "things/1")
        session.store({"name": 5, "@metadata": {"@collection": "Customers"}}, "customers/broken")
        session.save_changes()


@pytest.fixture
def session(documents):
    from docsession.contrib.django import document_session

    with document_session() as session:
        yield session


@pytest.fixture
def load(documents, session):
    """load_or_404 and aload_or_404 in turn would need two sessions; this asks both, and compares."""
    from docsession.contrib.django import aload_or_404, async_document_session, load_or_404

    def both(key, object_type):
        async def awaited():
            async with async_document_session():
                return await aload_or_404(key, object_type)

        found, errors = [], []
        for call in (lambda: load_or_404(key, object_type), lambda: asyncio.run(awaited())):
            try:
                found.append(call())
            except Exception as error:
                errors.append(error)
        if errors:
            assert len({type(error) for error in errors}) == 1
            assert not found
            raise errors[0]
        assert found[0] == found[1]
        return found[0]

    return both


class TestLoadOr404:
    """As get_object_or_404, on both faces."""

    def test_it_loads(self, load):
        """What is there."""
        assert load("customers/1", Customer) == Customer("Ada", id="customers/1")
        assert load("things/1", dict)["size"] == 5

    @pytest.mark.parametrize("key", ["customers/2", "things/1", "nothing", "", "a\0b", "x" * 2000])
    def test_all_else_is_djangos_404(self, load, key):
        """No document, one of another kind, or no id."""
        from django.http import Http404

        with pytest.raises(Http404, match="Customer"):
            load(key, Customer)

    def test_a_document_that_does_not_fit_is_no_404(self, load):
        """It is there, and something is wrong with it."""
        with pytest.raises(DocumentMismatchException):
            load("customers/broken", Customer)


class TestVersions:
    """If-Match, and change vectors in bodies."""

    @pytest.fixture
    def customer(self, session):
        return session.load("customers/1", Customer)

    def request(self, **headers):
        from django.test import RequestFactory

        return RequestFactory().put("/", headers=headers)

    def write_beside(self):
        from docsession.contrib.django import get_store

        with get_store().open_session() as session:
            session.load("customers/1", Customer).name = "theirs"
            session.save_changes()

    def test_an_etag_is_the_change_vector(self, session, customer):
        """In quotes."""
        from docsession.contrib.django import etag_of

        assert (
            etag_of(customer) == etag_of(customer, session) == f'"{session.advanced.get_change_vector_for(customer)}"'
        )
        with pytest.raises(InvalidArgumentException):
            etag_of(Customer("new"))

    def test_if_match(self, customer):
        """The version, any, or no condition at all."""
        from docsession.contrib.django import check_if_match, etag_of

        for headers in ({}, {"If-Match": "*"}, {"If-Match": f'"1", {etag_of(customer)}'}):
            check_if_match(self.request(**headers), customer)
        for value in ('"1"', f"W/{etag_of(customer)}", "nonsense"):
            with pytest.raises(ConcurrencyException):
                check_if_match(self.request(**{"If-Match": value}), customer)

    def test_a_change_vector(self, session, customer):
        """That of a form, or a body."""
        from docsession.contrib.django import expect_change_vector

        expect_change_vector(customer, session.advanced.get_change_vector_for(customer))
        for value in ("", "1", "nonsense"):
            with pytest.raises(ConcurrencyException):
                expect_change_vector(customer, value)

    @pytest.mark.parametrize("way", ["header", "body"])
    def test_nobody_comes_between(self, session, customer, way, rows):
        """The save checks it again."""
        from docsession.contrib.django import check_if_match, etag_of, expect_change_vector

        if way == "header":
            check_if_match(self.request(**{"If-Match": etag_of(customer)}), customer)
        else:
            expect_change_vector(customer, session.advanced.get_change_vector_for(customer))
        customer.name = "mine"
        self.write_beside()

        with pytest.raises(ConcurrencyException):
            session.save_changes()
        assert rows()["customers/1"] == "theirs"


class TestJson:
    """json_response."""

    def view(self, request):
        from docsession.contrib.django import get_session, json_response

        session = get_session()
        if "known" in request.GET:
            known = request.headers.get("If-None-Match")
            return json_response(request, session.query(Thing).json(if_none_match=known))
        if "list" in request.GET:
            return json_response(request, session.query(Thing).json())
        return json_response(request, session.load_json(request.GET.get("id", "customers/1"), Customer))

    def test_what_is_not_there_is_not_found(self, serve, documents):
        """`load_json` gives None for it."""
        response = serve(self.view).get("/?id=customers/2", headers={"Accept": "application/json"})
        assert (response.status_code, response.json()["code"]) == (404, "ds124")

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/", {"id": "customers/1", "name": "Ada", "city": "Oslo"}),
            ("/?list", [{"id": "things/1", "size": 5}]),
            ("/?known", [{"id": "things/1", "size": 5}]),
        ],
    )
    def test_it_is_handed_on_as_it_is_stored(self, serve, documents, path, expected):
        """With an ETag, by which the client need not get it again."""
        client = serve(self.view)
        response = client.get(path)
        again = client.get(path, headers={"If-None-Match": response["ETag"]})

        assert (response.json(), response["Content-Type"]) == (expected, "application/json")
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", response["ETag"])
