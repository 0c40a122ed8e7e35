"""The admin's pages for collections and documents."""

import html
import re

import pytest

from tests.contrib.django.project.documents import Customer

COLLECTIONS = "/admin/docsession/document/"
TEA = "customers/t&e"
"""An id that HTML and URLs would both have to escape."""


def page_of(key):
    """Where a document is; the admin escapes ids in a way of its own."""
    from django.contrib.admin.utils import quote

    return f"{COLLECTIONS}{quote(key)}/change/"


@pytest.fixture
def documents(project):
    """A few."""
    from docsession.contrib.django import get_store

    with get_store().open_session() as session:
        for number in range(60):
            session.store(Customer(f"Name {number:02}", "Oslo" if number % 2 else "Bergen"), f"customers/{number:02}")
        session.store(Customer("<script>alert(1)</script>"), TEA)
        session.store({"size": 5, "when": None, "@metadata": {"@collection": "Things", "note": "of mine"}}, "things/1")
        session.save_changes()


@pytest.fixture
def browser(client, documents):
    """Log somebody in: `browser("view")` is somebody who may view documents."""
    from django.contrib.auth.models import Permission, User

    def log_in(*permissions, **fields):
        user = User.objects.create_user("ada", is_staff=True, **fields)
        for name in permissions:
            user.user_permissions.add(Permission.objects.get(codename=f"{name}_document"))
        client.force_login(user)
        return client

    yield log_in
    User.objects.all().delete()


def ids(response):
    assert response.status_code == 200
    return re.findall(r'<th scope="row"><a href="[^"]*">(.*?)</a>', response.content.decode())


class TestCollections:
    """The first page."""

    def test_it_lists_them(self, browser, database):
        """With the numbers of their documents."""
        response = browser("view").get(COLLECTIONS)

        assert ids(response) == ["Customers", "Things"]
        assert re.findall(r"<td>(\d+)</td>", response.content.decode()) == ["61", "1"]
        assert database in response.content.decode()

    def test_the_index_leads_there(self, browser):
        """For those who may view documents."""
        assert COLLECTIONS in browser("view").get("/admin/").content.decode()

    @pytest.mark.parametrize("path", [COLLECTIONS, f"{COLLECTIONS}?collection=Customers", f"{COLLECTIONS}a/change/"])
    def test_others_see_nothing(self, browser, path):
        """Staff without the permission, and who is not logged in."""
        client = browser()
        assert client.get(path).status_code == 403
        assert COLLECTIONS not in client.get("/admin/").content.decode()
        client.logout()
        assert client.get(path).status_code == 302


class TestLists:
    """The documents of a collection."""

    def test_pages_follow_each_other(self, browser):
        """Fifty at a time."""
        client = browser("view")
        first = client.get(f"{COLLECTIONS}?collection=Customers")
        following = re.search(r'class="paginator"><a href="(.*?)"', first.content.decode())[1].replace("&amp;", "&")
        second = client.get(COLLECTIONS + following)

        assert len(ids(first)) == 50
        assert ids(first) + ids(second) == [*(f"customers/{n:02}" for n in range(60)), "customers/t&amp;e"]
        assert b"paginator" not in second.content

    @pytest.mark.parametrize(
        ("search", "expected"),
        [
            ("customers/1", [f"customers/1{n}" for n in range(10)]),
            ('name="name 07"', ["customers/07"]),
            ("customers/0 city=oslo", [f"customers/0{n}" for n in (1, 3, 5, 7, 9)]),
            ("nobody", []),
            ("city='", []),
            ("a.0=b", []),
            ('"a\'; DROP TABLE x --"=b', []),
        ],
    )
    def test_it_searches(self, browser, search, expected):
        """By the beginning of an id, and by values; what cannot be read is told."""
        response = browser("view").get(COLLECTIONS, {"collection": "Customers", "q": search})

        assert ids(response) == expected
        assert (b"cannot be read" in response.content) == (search == "city='")

    @pytest.mark.parametrize(("search", "count"), [("size=5", 1), ("when=null", 1), ("size=6", 0), ('size="5"', 1)])
    def test_it_searches_for_other_values_than_texts(self, browser, search, count):
        """As JSON writes them."""
        response = browser("view").get(COLLECTIONS, {"collection": "Things", "q": search})

        assert len(ids(response)) == count

    def test_whatever_is_in_a_document_is_text(self, browser):
        """No script."""
        page = browser("view").get(COLLECTIONS, {"collection": "Customers", "q": "customers/t"}).content

        assert b"<script>alert" not in page
        assert b"&lt;script&gt;alert" in page

    def test_a_token_of_another_list_is_told(self, browser):
        """No error of the server's."""
        response = browser("view").get(COLLECTIONS, {"collection": "Customers", "after": "nonsense"})

        assert (response.status_code, b"errorlist" in response.content or b"error" in response.content) == (200, True)


class TestDocuments:
    """One document."""

    def test_it_is_shown_as_json(self, browser):
        """With its metadata, and nothing to change it by."""
        response = browser("view", "change").get(page_of("things/1"))
        page = response.content.decode()

        text = re.search(r'<pre id="document-json">(.*?)</pre>', page, re.DOTALL)[1].replace("&quot;", '"')
        assert text == '{\n  "id": "things/1",\n  "size": 5,\n  "when": null\n}'
        assert "of mine" in page
        assert "textarea" not in page

    def test_its_id_may_be_anything(self, browser):
        """The list leads to it."""
        client = browser("view")
        listed = client.get(COLLECTIONS, {"collection": "Customers", "q": "customers/t"}).content.decode()
        path = re.search(r'<th scope="row"><a href="(.*?)"', listed)[1].replace("&amp;", "&")

        assert "t&amp;e" in client.get(path).content.decode()

    @pytest.mark.parametrize("key", ["things/2", "nothing", "a\0b", "x" * 600])
    def test_there_is_no_such_document(self, browser, key):
        """404, and no log of it either."""
        client = browser("view")
        assert client.get(page_of(key)).status_code == 404
        assert client.get(page_of(key).replace("/change/", "/history/")).status_code in {302, 404}

    @pytest.mark.parametrize("query", ["?store=nobody", "?store=nobody&collection=Customers"])
    def test_there_is_no_such_store(self, browser, query):
        """404."""
        client = browser("view")
        assert (
            client.get((page_of("things/1") if "collection" not in query else COLLECTIONS) + query).status_code == 404
        )

    def test_it_is_not_changed(self, browser):
        """Nor deleted, nor another one added."""
        client = browser(is_superuser=True)
        assert client.post(page_of("things/1"), {"content": "{}"}).status_code == 403
        assert client.post(page_of("things/1").replace("/change/", "/delete/")).status_code == 403
        assert client.get(f"{COLLECTIONS}add/").status_code == 403
        assert '"size": 5' in client.get(page_of("things/1")).content.decode().replace("&quot;", '"')


class TestChanges:
    """ADMIN_WRITES."""

    @pytest.fixture
    def options(self):
        return {"ADMIN_WRITES": True}

    def version(self, client, key):
        page = client.get(page_of(key)).content.decode()
        return re.search(r'name="change_vector" value="(\d+)"', page)[1]

    def test_a_document_is_changed(self, browser, rows):
        """By somebody who may, and the log says who."""
        client = browser("view", "change")
        data = {"content": '{"name": "New", "city": "Rome"}', "change_vector": self.version(client, "customers/00")}
        response = client.post(page_of("customers/00"), data)

        assert (response.status_code, response["Location"]) == (302, page_of("customers/00") + "?store=default")
        assert rows()["customers/00"] == "New"
        assert b"was changed" in client.get(response["Location"]).content
        history = client.get(page_of("customers/00").replace("/change/", "/history/"))
        assert b"Changed JSON" in history.content

    def test_not_by_somebody_who_may_only_look(self, browser, rows):
        """403."""
        client = browser("view")
        assert b"textarea" not in client.get(page_of("customers/00")).content
        assert client.post(page_of("customers/00"), {"content": "{}"}).status_code == 403

    def test_what_somebody_else_wrote_is_kept(self, browser, rows):
        """409."""
        client = browser("view", "change")
        data = {"content": '{"name": "New", "city": "Rome"}', "change_vector": self.version(client, "customers/00")}
        client.post(page_of("customers/00"), data)

        response = client.post(page_of("customers/00"), data | {"content": '{"name": "Newer", "city": "Rome"}'})

        assert response.status_code == 409
        assert b"changed by somebody else" in response.content
        assert rows()["customers/00"] == "New"

    @pytest.mark.parametrize(
        "content", ["", "{", "5", '{"name": 5}', '{"name": "a", "city": null}', '{"@metadata": {}}', '{"name": NaN}']
    )
    def test_what_the_class_could_not_load_is_refused(self, browser, rows, content):
        """And what is no document at all."""
        client = browser("view", "change")
        response = client.post(
            page_of("customers/00"), {"content": content, "change_vector": self.version(client, "customers/00")}
        )

        assert (response.status_code, b"errorlist" in response.content) == (200, True)
        assert rows()["customers/00"] == "Name 00"

    @pytest.mark.parametrize(
        "content",
        [
            r'{"a": "\u0000"}',
            r'{"a": "\ud800"}',
            '{"a": NaN}',
            '{"a": 1e999}',
            f'{{"a": {"9" * 5000}}}',
            f'{{"a": {"[" * 900}{"]" * 900}}}',
            "[" * 100_000,
        ],
        ids=lambda content: content[:16],
    )
    def test_what_no_document_can_hold_is_refused(self, browser, rows, content):
        """Also where no class says what it is to be; it is shown again as it was typed."""
        from docsession.contrib.django import get_store

        with get_store().open_session() as session:
            session.store({"a": 1, "@metadata": {"@collection": "Things"}}, "things/2")
            session.save_changes()
        client = browser("view", "change")
        response = client.post(
            page_of("things/2"), {"content": content, "change_vector": self.version(client, "things/2")}
        )

        assert (response.status_code, b"errorlist" in response.content) == (200, True)
        assert content[:9] in html.unescape(response.content.decode())
        with get_store().open_session() as session:
            assert session.load("things/2")["a"] == 1

    @pytest.mark.parametrize(
        "value",
        [r'"\u0000"', r'"\ud800"', "NaN", "1e999", f"{'[' * 900}{']' * 900}", "9" * 5000],
        ids=lambda value: value[:8],
    )
    def test_what_no_document_can_hold_is_refused_where_a_class_is_known(self, browser, rows, value):
        client = browser("view", "change")
        content = f'{{"name": "Newer", "city": "Rome", "more": {value}}}'
        response = client.post(
            page_of("customers/00"), {"content": content, "change_vector": self.version(client, "customers/00")}
        )

        assert (response.status_code, b"errorlist" in response.content) == (200, True)
        assert rows()["customers/00"] == "Name 00"

    def test_a_number_may_be_a_large_one(self, browser, rows):
        client = browser("view", "change")
        content = f'{{"name": "Newer", "city": "Rome", "more": {2**70}}}'
        response = client.post(
            page_of("customers/00"), {"content": content, "change_vector": self.version(client, "customers/00")}
        )

        assert response.status_code == 302
        assert rows()["customers/00"] == "Newer"

    def test_what_its_metadata_explain_is_only_shown(self, browser):
        """A subclass, a version of the class, types of values."""
        from datetime import date

        from docsession.contrib.django import get_store

        with get_store().open_session() as session:
            session.store({"at": date(2026, 1, 1), "@metadata": {"@collection": "Things"}}, "things/2")
            session.save_changes()
        client = browser("view", "change")

        assert b"only shown" in client.get(page_of("things/2")).content
        assert client.post(page_of("things/2"), {"content": "{}"}).status_code == 403
