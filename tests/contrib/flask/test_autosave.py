"""`autosave=True`: what is saved after a view, when, and what becomes of errors."""

import pytest
from flask import Response, abort, redirect
from flask.views import MethodView

from docsession import ConcurrencyException, OptimisticConcurrencyMode, SessionOptions


@pytest.fixture
def shop(make_app, stored, note):
    """An application that saves, and a document."""
    stored(note("before"), "notes/1")

    def checked(_name):
        return SessionOptions(optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES)

    return make_app(autosave=True, session_options=checked)


@pytest.fixture
def change(shop, note):
    """Change the document in the current request."""
    _app, docs = shop

    def change(text="after"):
        docs.session.load("notes/1", note).text = text

    return change


class TestWhatIsSaved:
    @pytest.mark.parametrize(
        ("answer", "saved"),
        [
            ("done", True),
            (("made", 201), True),
            (("", 204), True),
            ({"a": 1}, True),
            (Response("see there", 303), True),
            (("no", 400), False),
            (Response("no", 404), False),
            (("broken", 500), False),
        ],
        ids=str,
    )
    def test_the_status_decides(self, shop, change, stored, answer, saved):
        app, _docs = shop

        @app.get("/")
        def index():
            change()
            return answer

        app.test_client().get("/")
        assert stored.text("notes/1") == ("after" if saved else "before")

    @pytest.mark.parametrize("error", [LookupError(), KeyError("x")], ids=repr)
    def test_a_view_that_raises_saves_nothing(self, shop, change, stored, error):
        """Also where the error is answered with 200."""
        app, _docs = shop
        app.register_error_handler(KeyError, lambda error: ("well", 200))

        @app.get("/")
        def index():
            change()
            raise error

        app.test_client().get("/")
        assert stored.text("notes/1") == "before"

    @pytest.mark.parametrize("how", [lambda: abort(404), lambda: abort(redirect("/elsewhere"))], ids=["404", "302"])
    def test_a_view_that_aborts_saves_nothing(self, shop, change, stored, how):
        app, _docs = shop

        @app.get("/")
        def index():
            change()
            how()

        app.test_client().get("/")
        assert stored.text("notes/1") == "before"

    def test_views_of_all_kinds(self, shop, note, stored):
        app, docs = shop

        class View(MethodView):
            def post(self, key):
                docs.session.store(note("class"), key)
                return ""

        @app.post("/async/<path:key>")
        async def view(key):
            docs.session.store(note("async"), key)
            return ""

        app.add_url_rule("/class/<path:key>", view_func=View.as_view("view_of_class"))
        for kind in ("class", "async"):
            assert app.test_client().post(f"/{kind}/notes/{kind}").status_code == 200
            assert stored.text(f"notes/{kind}") == kind

    def test_what_was_changed_before_the_view_counts(self, shop, change, stored):
        app, _docs = shop
        app.before_request(change)

        @app.get("/")
        def index():
            return ""

        app.test_client().get("/")
        assert stored.text("notes/1") == "after"

    def test_a_transaction_of_the_view_is_committed(self, shop, change, stored):
        app, docs = shop

        @app.get("/")
        def index():
            docs.session.advanced.begin()
            change()
            return ""

        app.test_client().get("/")
        assert stored.text("notes/1") == "after"

    def test_a_session_that_the_view_has_closed_is_left_alone(self, shop, change, stored, note):
        app, docs = shop

        @app.get("/")
        def index():
            with docs.session:
                change()
            docs.session.store(note("later"), "notes/2")
            return ""

        assert app.test_client().get("/").status_code == 200
        assert [stored.text(key) for key in ("notes/1", "notes/2")] == ["before", "later"]

    def test_all_sessions_of_the_request_are_saved(self, make_app, postgres_url, database, note, stored):
        settings = {"URL": postgres_url, "DATABASE": database}
        app, docs = make_app({"default": settings, "other": settings}, autosave=True)

        @app.get("/")
        def index():
            docs.session.store(note("one"), "notes/one")
            docs.get_session("other").store(note("two"), "notes/two")
            return ""

        app.test_client().get("/")
        assert [stored.text(key) for key in ("notes/one", "notes/two")] == ["one", "two"]

    def test_scripts_save_themselves(self, shop, change, stored):
        app, _docs = shop
        with app.app_context():
            change()
        assert stored.text("notes/1") == "before"

    def test_a_view_is_known_by_its_name(self, shop):
        """Other extensions look at the functions of views."""
        app, _docs = shop

        @app.get("/")
        def index():
            return app.view_functions["index"].__name__

        client = app.test_client()
        assert [client.get("/").text for _ in range(2)] == ["index", "index"]
        assert app.view_functions["index"].__wrapped__ is index


class TestConflicts:
    @pytest.fixture
    def lose(self, shop, change, stored, note):
        """Ask a view that loses against another write."""
        app, _docs = shop

        @app.get("/")
        def index():
            change("mine")
            stored(note("theirs"), "notes/1")
            return "done"

        return lambda **options: app.test_client().get("/", **options)

    def test_a_conflict_is_409(self, lose, stored):
        answer = lose()
        assert (answer.status_code, answer.json["code"]) == (409, "ds111")
        assert stored.text("notes/1") == "theirs"

    def test_or_412(self, lose):
        assert lose(headers={"If-Match": '"1"'}).status_code == 412

    def test_the_applications_handlers_answer(self, shop, lose):
        app, _docs = shop
        app.register_error_handler(ConcurrencyException, lambda error: (f"sorry: {error.id}", 409))
        assert lose().text == "sorry: notes/1"

    def test_what_others_do_after_requests_is_done_to_the_answer(self, shop, lose):
        """Browsers need such headers to read the answer at all."""
        app, _docs = shop
        seen = []

        @app.after_request
        def allow(response):
            seen.append(response.status_code)
            response.headers["Access-Control-Allow-Origin"] = "*"
            return response

        assert lose().headers["Access-Control-Allow-Origin"] == "*"
        assert seen == [409]

    def test_the_save_comes_before_the_response(self, shop, change, stored, note):
        """Nothing of a stream has been sent when it is refused."""
        app, _docs = shop
        begun = []

        @app.get("/")
        def index():
            change("mine")
            stored(note("theirs"), "notes/1")

            def lines():
                begun.append(True)
                yield "a line"

            return lines()

        assert (app.test_client().get("/").status_code, begun) == (409, [])

    def test_a_second_mistake_is_not_saved_either(self, shop, change, stored):
        """An application's own 500 page goes through no view."""
        app, _docs = shop

        @app.errorhandler(500)
        def broken(_error):
            change("from the handler")
            return "sorry", 200

        @app.get("/")
        def index():
            raise LookupError

        assert app.test_client().get("/").text == "sorry"
        assert stored.text("notes/1") == "before"
