"""A session for each request: when it is opened, what shares it, and when it is closed."""

import gc
import subprocess
import sys
import threading
import weakref

import pytest
from flask import Flask, stream_with_context

from docsession import InvalidArgumentException, InvalidOperationException, SessionOptions
from docsession.contrib.flask import DocSession


@pytest.fixture
def shop(make_app):
    return make_app()


class TestRequests:
    def test_a_request_has_one_session(self, shop):
        app, docs = shop
        seen = []

        @app.before_request
        def before():
            seen.append(docs.session)

        @app.get("/")
        def index():
            seen.append(docs.session)
            return "done"

        assert app.test_client().get("/").text == "done"
        assert seen[0] is seen[1]

    def test_a_view_that_closes_it_gets_another(self, shop, note, stored):
        """As one that is used to `with … as session:` does."""
        app, docs = shop
        stored(note("found"), "notes/1")

        @app.get("/")
        def index():
            texts = []
            for _ in range(2):
                with docs.session as session:
                    texts.append(session.load("notes/1", note).text)
            return texts

        assert app.test_client().get("/").json == ["found", "found"]

    def test_each_request_has_its_own(self, shop, note):
        app, docs = shop
        seen = []

        @app.get("/")
        def index():
            seen.append((docs.session, docs.session.load("notes/1", note)))
            return ""

        for _ in range(2):
            app.test_client().get("/")
        assert seen[0][0] is not seen[1][0]

    @pytest.mark.parametrize("fails", [False, True])
    def test_it_is_closed_with_the_request(self, shop, note, fails):
        app, docs = shop
        seen = []

        @app.get("/")
        def index():
            seen.append(docs.session)
            if fails:
                raise LookupError
            return ""

        app.test_client().get("/")
        with pytest.raises(InvalidOperationException, match="closed"):
            seen[0].load("notes/1", note)

    def test_nothing_is_saved_by_itself(self, shop, note, stored):
        app, docs = shop
        stored(note("before"), "notes/1")

        @app.get("/<save>")
        def index(save):
            docs.session.load("notes/1", note).text = save
            if save == "after":
                docs.session.save_changes()
            return ""

        app.test_client().get("/never")
        assert stored.text("notes/1") == "before"
        app.test_client().get("/after")
        assert stored.text("notes/1") == "after"

    def test_a_request_without_it_opens_nothing(self, make_app):
        app, _docs = make_app({"URL": "postgresql://nobody@127.0.0.1:1/nothing"})

        @app.get("/")
        def index():
            return "done"

        assert app.test_client().get("/").text == "done"

    def test_tests_may_keep_the_context_of_an_application(self, shop, note, stored):
        """Each request has its own session in it all the same, and the context has one, too."""
        app, docs = shop
        stored(note("old"), "notes/1")
        seen = []

        @app.get("/")
        def index():
            seen.append(docs.session)
            return docs.session.load("notes/1", note).text

        with app.app_context():
            outer = docs.session.load("notes/1", note)
            stored(note("new"), "notes/1")
            assert app.test_client().get("/").text == "new"
            stored(note("newer"), "notes/1")
            assert app.test_client().get("/").text == "newer"
            assert seen[0] is not seen[1]
            assert docs.session.load("notes/1", note) is outer

    def test_a_context_inside_a_request_has_its_own(self, shop):
        app, docs = shop
        seen = []

        @app.get("/")
        def index():
            seen.append(docs.session)
            with app.app_context():
                seen.append(docs.session)
            seen.append(docs.session)
            return str(docs.session.advanced.number_of_requests)

        assert app.test_client().get("/").text == "0"
        assert seen[0] is seen[2]
        assert seen[0] is not seen[1]

    def test_an_async_view_has_it_too(self, shop, note, stored):
        app, docs = shop
        stored(note("found"), "notes/1")

        @app.get("/")
        async def index():
            return docs.session.load("notes/1", note).text

        assert app.test_client().get("/").text == "found"

    def test_a_stream_in_the_context_of_its_request(self, shop, note, stored):
        """It has a session, whether Flask has kept the context (3.0) or begins it again (3.1); all are closed."""
        app, docs = shop
        stored(note("found"), "notes/1")
        seen = []

        @app.get("/")
        def index():
            seen.append(docs.session)

            def lines():
                seen.append(docs.session)
                yield docs.session.load("notes/1", note).text

            return stream_with_context(lines())

        assert app.test_client().get("/").text == "found"
        assert len(seen) == 2
        for session in seen:
            with pytest.raises(InvalidOperationException, match="closed"):
                session.load("notes/1", note)

    def test_a_session_that_a_thread_still_uses_does_not_spoil_the_end(self, shop, note, stored):
        """Other extensions clean up after it; the thread is told by its next call."""
        app, docs = shop
        stored(note(), "notes/1")
        inside, goes_on = threading.Event(), threading.Event()
        told, ended = [], []

        def hold(_args):
            inside.set()
            assert goes_on.wait(20)

        def work(session):
            session.load("notes/1", note)
            try:
                session.load("notes/2", note)
            except InvalidOperationException as error:
                told.append(error)

        @app.teardown_appcontext
        def other(_error):
            ended.append(True)

        @app.get("/")
        def index():
            docs.store.add_on_before_request(hold)
            session = docs.session
            threads.append(threading.Thread(target=work, args=[session]))
            threads[0].start()
            assert inside.wait(20)
            return "done"

        threads = []
        try:
            assert app.test_client().get("/").text == "done"
        finally:
            goes_on.set()
            threads[0].join()
        assert (len(told), ended) == (1, [True])

    def test_one_that_cannot_be_closed_does_not_either(self, shop, note, stored, caplog):
        """The application's log says why."""
        app, docs = shop
        stored(note("found"), "notes/1")
        ended = []

        def fail(_args):
            raise ZeroDivisionError("in a handler")

        @app.teardown_appcontext
        def other(_error):
            ended.append(True)

        @app.get("/")
        def index():
            docs.store.add_on_session_closing(fail)
            return docs.session.load("notes/1", note).text

        assert app.test_client().get("/").text == "found"
        assert ended == [True]
        assert [record.exc_info[0] for record in caplog.records if record.name == "shop"] == [ZeroDivisionError]

    def test_a_context_is_let_go(self, shop):
        app, docs = shop
        context = app.app_context()
        with context:
            known = weakref.ref(docs.session)
        del context
        gc.collect()
        assert known() is None


class TestContexts:
    def test_scripts_have_a_session_in_the_context_of_an_application(self, shop, note, stored):
        app, docs = shop
        with app.app_context():
            docs.session.store(note("made"), "notes/1")
            docs.session.save_changes()
            assert docs.session is docs.session
        assert stored.text("notes/1") == "made"

    def test_without_one_there_is_none(self, shop):
        _app, docs = shop
        for get in (lambda: docs.session, lambda: docs.store, docs.close):
            with pytest.raises(InvalidOperationException, match=r"with app[.]app_context"):
                get()

    def test_a_thread_takes_the_store_along(self, shop, note, stored):
        app, docs = shop
        stored(note("found"), "notes/1")
        found = []

        def work(store):
            with store.open_session() as session:
                found.append(session.load("notes/1", note).text)

        @app.get("/")
        def index():
            thread = threading.Thread(target=work, args=[docs.store])
            thread.start()
            thread.join()
            return ""

        app.test_client().get("/")
        assert found == ["found"]


class TestApplications:
    def test_a_factory_makes_several(self, postgres_url, database, note, stored):
        """Each has stores of its own."""
        stored(note("found"), "notes/1")
        docs = DocSession()
        apps = [Flask(name) for name in ("one", "two")]
        for app in apps:
            app.config["DOCSESSION"] = {"URL": postgres_url, "DATABASE": database}
            docs.init_app(app)
        stores = []
        for app in apps:
            with app.app_context():
                stores.append(docs.store)
                assert docs.session.load("notes/1", note).text == "found"
                assert docs.store is stores[-1]
        assert stores[0] is not stores[1]
        for app in apps:
            docs.close(app)
        assert [store.disposed for store in stores] == [True, True]

    def test_use_after_closing_makes_a_new_store(self, shop):
        app, docs = shop
        with app.app_context():
            first = docs.store
            docs.close()
            assert docs.store is not first
            docs.store.close()
            assert not docs.store.disposed

    def test_one_application_has_it_once(self, shop):
        app, _docs = shop
        with pytest.raises(InvalidOperationException, match="'shop' has a DocSession already"):
            DocSession(app)

    def test_it_has_to_be_given_to_the_application(self, shop):
        app, _docs = shop
        other = DocSession()
        with app.app_context():
            assert repr(other) == "<DocSession>"
            with pytest.raises(InvalidOperationException, match="does not have this DocSession"):
                _ = other.session
        bare = Flask("bare")
        with bare.app_context(), pytest.raises(InvalidOperationException, match=r"docs.init_app\(app\)"):
            _ = other.session

    def test_its_repr_holds_no_secrets(self, make_app):
        app, docs = make_app({"default": {"URL": "postgresql://me:secret@localhost/x"}, "other": {}})
        with app.app_context():
            assert repr(docs) == "<DocSession of 'shop': default, other>"


class TestStores:
    def test_without_settings_the_environment_says_where(self, postgres_url, monkeypatch):
        monkeypatch.setenv("DOCSESSION_URL", postgres_url)
        app = Flask("shop")
        docs = DocSession(app)
        with app.app_context():
            assert docs.session.load("nothing/1") is None
        docs.close(app)

    def test_settings_may_come_from_the_environment(self, postgres_url, monkeypatch):
        monkeypatch.setenv("FLASK_DOCSESSION__URL", postgres_url)
        monkeypatch.setenv("FLASK_DOCSESSION__MAX_SIZE", "2")
        app = Flask("shop")
        app.config.from_prefixed_env()
        docs = DocSession(app)
        with app.app_context():
            assert docs.session.load("nothing/1") is None
        docs.close(app)

    def test_there_may_be_several(self, make_app, postgres_url, database, note):
        settings = {
            "default": {"URL": postgres_url, "DATABASE": database},
            "archive": {"URL": postgres_url, "DATABASE": f"{database}_2"},
        }
        app, docs = make_app(settings)
        with app.app_context():
            archive = docs.get_session("archive")
            assert archive is docs.get_session("archive")
            assert archive is not docs.session
            archive.store(note("old"), "notes/1")
            archive.save_changes()
            assert docs.session.load("notes/1", note) is None
            assert docs.get_store("archive").database == f"{database}_2"
            docs.get_store("archive").maintenance.delete_database(f"{database}_2")

    def test_one_that_does_not_exist_is_told(self, shop):
        app, docs = shop
        with app.app_context(), pytest.raises(InvalidArgumentException, match="no store 'other'; there are: 'default'"):
            docs.get_session("other")

    def test_a_store_may_have_several_databases(self, shop, database, note):
        app, docs = shop
        with app.app_context():
            tenant = docs.get_session(database=f"{database}_t")
            assert tenant is docs.get_session(database=f"{database}_t")
            tenant.store(note("theirs"), "notes/1")
            tenant.save_changes()
            assert docs.session.load("notes/1", note) is None
            docs.store.maintenance.delete_database(f"{database}_t")

    @pytest.mark.parametrize(
        ("settings", "part"),
        [
            ({"URL": "postgresql://localhost/x", "DATBASE": "x"}, "DOCSESSION: there is no setting 'DATBASE'"),
            ({"URL": "mysql://localhost/x"}, "DOCSESSION: "),
            ({"BIND": "x"}, r"DOCSESSION: BIND needs DocSession\(sqlalchemy=db\)"),
            ("postgresql://localhost/x", "DOCSESSION is a dict of settings, not str"),
        ],
    )
    def test_settings_are_looked_at_at_once(self, make_app, settings, part):
        with pytest.raises(InvalidArgumentException, match=part):
            make_app(settings)

    def test_sessions_may_have_options(self, make_app, database, note):
        asked = []

        def options(name):
            asked.append(name)
            return SessionOptions(no_tracking=True)

        app, docs = make_app(session_options=options)
        with app.app_context():
            docs.session.load("notes/1", note)
            with pytest.raises(InvalidOperationException, match="no_tracking"):
                docs.session.store(note("x"))
        assert asked == ["default"]


def test_without_flask_the_error_names_the_extra():
    code = "import sys; sys.modules['flask'] = None; import docsession.contrib.flask"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingDependencyException: docsession.contrib.flask needs Flask" in done.stderr
    assert "docsession[flask]" in done.stderr
