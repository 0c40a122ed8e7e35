"""Sessions in the transactions of Flask-SQLAlchemy: documents and rows are one unit of work."""

import uuid

import psycopg
import pytest
import sqlalchemy
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy_lite import SQLAlchemy as SqlalchemyLite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column, scoped_session, sessionmaker

from docsession import InvalidArgumentException, InvalidArgumentTypeException
from tests.support.hosts import sqlalchemy_url


@pytest.fixture
def url(postgres_url):
    return sqlalchemy_url(postgres_url)


@pytest.fixture
def table(postgres_url):
    """The name of a table with a row per product, and never fewer than none of it."""
    name = f"stock_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {name} (product text PRIMARY KEY, quantity int CHECK (quantity >= 0))")
        connection.execute(f"INSERT INTO {name} VALUES ('tea', 5)")
        yield name
        connection.execute(f"DROP TABLE {name}")


@pytest.fixture
def quantity(postgres_url, table):
    """What is committed."""

    def read():
        with psycopg.connect(postgres_url) as connection:
            return connection.execute(f"SELECT quantity FROM {table} WHERE product = 'tea'").fetchone()[0]

    return read


@pytest.fixture
def shop(make_app, database, url, table):
    """Make an application with both, and with a model: `app, docs, db, Stock = shop(autosave=True)`."""
    made = []

    def make(settings=None, bind=None, **options):
        db = SQLAlchemy()

        class Stock(db.Model):
            __tablename__ = table
            __bind_key__ = bind
            product = mapped_column(sqlalchemy.Text, primary_key=True)
            quantity = mapped_column(sqlalchemy.Integer)

        config = {"SQLALCHEMY_DATABASE_URI": url}
        if bind is not None:
            config = {"SQLALCHEMY_DATABASE_URI": "sqlite://", "SQLALCHEMY_BINDS": {bind: url}}
        settings = {"DATABASE": database} if settings is None else settings
        app, docs = make_app(settings, config=config, prepare=db.init_app, sqlalchemy=db, **options)
        made.append((app, db))
        return app, docs, db, Stock

    yield make
    for app, db in made:
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()


@pytest.fixture
def sell(note):
    """Take from the stock, and write a document, in the current request or context."""

    def sell(docs, db, stock, number=1):
        db.session.get(stock, "tea").quantity -= number
        docs.session.store(note(f"sold {number}"), "notes/sold")

    return sell


class TestJoining:
    def test_one_commit_is_for_both(self, shop, sell, stored, quantity):
        """The settings need no URL: it is that of the engine."""
        app, docs, db, stock = shop()

        @app.post("/")
        def index():
            sell(docs, db, stock)
            docs.session.save_changes()
            assert (stored.text("notes/sold"), quantity()) == (None, 5)
            db.session.commit()
            return ""

        assert app.test_client().post("/").status_code == 200
        assert (stored.text("notes/sold"), quantity()) == ("sold 1", 4)

    def test_without_a_commit_neither_is_written(self, shop, sell, stored, quantity):
        app, docs, db, stock = shop()

        @app.post("/")
        def index():
            sell(docs, db, stock)
            docs.session.save_changes()
            return ""

        app.test_client().post("/")
        assert (stored.text("notes/sold"), quantity()) == (None, 5)

    def test_what_the_rows_refuse_takes_the_documents_along(self, shop, sell, stored, quantity):
        app, docs, db, stock = shop()

        @app.post("/")
        def index():
            sell(docs, db, stock, 6)
            docs.session.save_changes()
            try:
                db.session.commit()
            except IntegrityError:
                db.session.rollback()
            assert docs.session.advanced.has_changes()
            return "too little", 409

        assert app.test_client().post("/").status_code == 409
        assert (stored.text("notes/sold"), quantity()) == (None, 5)

    def test_what_is_not_committed_is_read(self, shop, sell, note):
        app, docs, db, stock = shop()
        with app.app_context():
            sell(docs, db, stock)
            docs.session.save_changes()
            assert docs.session.query(note).count() == 1
            db.session.rollback()
            assert docs.session.query(note).count() == 0

    def test_each_request_joins_its_own(self, shop, sell, stored, quantity):
        app, docs, db, stock = shop()

        @app.post("/")
        def index():
            sell(docs, db, stock)
            docs.session.save_changes()
            db.session.commit()
            return ""

        client = app.test_client()
        assert [client.post("/").status_code for _ in range(3)] == [200, 200, 200]
        assert quantity() == 2

    def test_it_may_be_prepared_before_flask_sqlalchemy(self, make_app, url, database, note, stored):
        """Which then ends its session before the documents' is closed."""
        db = SQLAlchemy()
        app, docs = make_app({"DATABASE": database}, config={"SQLALCHEMY_DATABASE_URI": url}, sqlalchemy=db)
        db.init_app(app)
        for end in ("rollback", "commit"):
            with app.app_context():
                docs.session.store(note(end), f"notes/{end}")
                docs.session.save_changes()
                getattr(db.session, end)()
        with app.app_context():
            db.engine.dispose()
        assert [stored.text(f"notes/{end}") for end in ("rollback", "commit")] == [None, "commit"]

    def test_a_session_of_the_store_stands_apart(self, shop, note, stored):
        app, docs, db, _stock = shop()
        with app.app_context():
            with docs.store.open_session() as session:
                session.store(note("apart"), "notes/1")
                session.save_changes()
            db.session.rollback()
        assert stored.text("notes/1") == "apart"


class TestAutosave:
    def test_it_commits_both(self, shop, sell, stored, quantity):
        app, docs, db, stock = shop(autosave=True)

        @app.post("/")
        def index():
            sell(docs, db, stock)
            return ""

        assert app.test_client().post("/").status_code == 200
        assert (stored.text("notes/sold"), quantity()) == ("sold 1", 4)

    @pytest.mark.parametrize("reads", [False, True])
    def test_a_view_that_writes_no_documents_commits_itself(self, shop, note, quantity, reads):
        """Also where it reads some."""
        app, docs, db, stock = shop(autosave=True)

        @app.post("/")
        def index():
            db.session.get(stock, "tea").quantity = 0
            if reads:
                docs.session.load("notes/1", note)
            return ""

        app.test_client().post("/")
        assert quantity() == 5

    @pytest.mark.parametrize("commits", [False, True])
    def test_a_view_may_have_saved(self, shop, sell, stored, quantity, commits):
        """What it has saved and not committed is committed."""
        app, docs, db, stock = shop(autosave=True)

        @app.post("/")
        def index():
            sell(docs, db, stock)
            docs.session.save_changes()
            if commits:
                db.session.commit()
                db.session.get(stock, "tea").quantity = 0
            return ""

        app.test_client().post("/")
        assert (stored.text("notes/sold"), quantity()) == ("sold 1", 4)

    def test_a_view_may_have_closed_the_session(self, shop, sell, stored, quantity):
        app, docs, db, stock = shop(autosave=True)

        @app.post("/")
        def index():
            with docs.session as session:
                sell(docs, db, stock)
                session.save_changes()
            return ""

        assert app.test_client().post("/").status_code == 200
        assert (stored.text("notes/sold"), quantity()) == ("sold 1", 4)

    def test_what_the_documents_refuse_takes_the_rows_along(self, shop, note, stored, quantity):
        """The rows are rolled back before anybody answers the error."""
        app, docs, db, stock = shop(autosave=True)
        stored(note("theirs"), "notes/1")
        seen = []

        @app.errorhandler(409)
        def answer(error):
            seen.append(db.session.get(stock, "tea").quantity)
            return error

        @app.post("/")
        def index():
            db.session.get(stock, "tea").quantity = 0
            docs.session.store(note("mine"), "notes/1", "")
            return ""

        assert app.test_client().post("/").status_code == 409
        assert (stored.text("notes/1"), quantity(), seen) == ("theirs", 5, [5])

    def test_what_the_rows_refuse_takes_the_documents_along(self, shop, sell, stored, quantity):
        app, docs, db, stock = shop(autosave=True)
        app.register_error_handler(IntegrityError, lambda error: ("too little", 409))

        @app.post("/")
        def index():
            sell(docs, db, stock, 6)
            return ""

        assert app.test_client().post("/").text == "too little"
        assert (stored.text("notes/sold"), quantity()) == (None, 5)

    def test_a_refused_save_elsewhere_leaves_the_shared_transaction_uncommitted(
        self, shop, sell, note, stored, quantity, postgres_url, database
    ):
        """What can still be rolled back is committed last."""
        stored(note("theirs"), "notes/1")
        settings = {"default": {"DATABASE": database}, "apart": {"URL": postgres_url, "DATABASE": database}}
        app, docs, db, stock = shop(settings, autosave=True)

        @app.post("/")
        def index():
            docs.get_session("apart").store(note("mine"), "notes/1", "")
            sell(docs, db, stock)
            return ""

        assert app.test_client().post("/").status_code == 409
        assert (stored.text("notes/sold"), quantity()) == (None, 5)


class TestEngines:
    def test_a_store_may_join_another_engine_than_the_default(self, shop, sell, stored, quantity, database):
        app, docs, db, stock = shop({"DATABASE": database, "BIND": "postgres"}, bind="postgres")
        with app.app_context():
            sell(docs, db, stock)
            docs.session.save_changes()
            assert stored.text("notes/sold") is None
            db.session.commit()
        assert (stored.text("notes/sold"), quantity()) == ("sold 1", 4)

    def test_other_stores_join_nothing(self, shop, note, stored, postgres_url, database):
        settings = {"default": {"DATABASE": database}, "apart": {"URL": postgres_url, "DATABASE": database}}
        app, docs, db, _stock = shop(settings)
        with app.app_context():
            docs.get_session("apart").store(note("apart"), "notes/1")
            docs.get_session("apart").save_changes()
            db.session.rollback()
        assert stored.text("notes/1") == "apart"

    @pytest.mark.parametrize(
        ("settings", "part"),
        [
            ({"BIND": "nothing"}, r"DOCSESSION: BIND is the name of an engine .* 'nothing' is none; there are: 'pg'"),
            ({}, "sqlite"),
        ],
    )
    def test_an_engine_that_cannot_be_joined_is_told(self, shop, settings, part):
        app, docs, _db, _stock = shop(settings, bind="pg")
        with app.app_context(), pytest.raises(InvalidArgumentException, match=part):
            _ = docs.session

    def test_a_url_of_its_own_counts_before_the_engines(self, shop, postgres_url, database):
        app, docs, _db, _stock = shop({"URL": "postgresql://elsewhere.invalid/x", "DATABASE": database})
        with app.app_context():
            assert "elsewhere.invalid" in repr(docs.store)


class TestOtherExtensions:
    def test_flask_sqlalchemy_lite(self, make_app, url, database, note, stored):
        db = SqlalchemyLite()
        config = {"SQLALCHEMY_ENGINES": {"default": url}}
        app, docs = make_app({"DATABASE": database}, config=config, prepare=db.init_app, sqlalchemy=db)
        for end in ("rollback", "commit"):
            with app.app_context():
                docs.session.store(note(end), f"notes/{end}")
                docs.session.save_changes()
                getattr(db.session, end)()
        with app.app_context():
            db.engine.dispose()
        assert [stored.text(f"notes/{end}") for end in ("rollback", "commit")] == [None, "commit"]

    def test_a_scoped_session(self, make_app, url, database, note, stored):
        engine = sqlalchemy.create_engine(url)
        sessions = scoped_session(sessionmaker(engine))
        app, docs = make_app({"DATABASE": database}, sqlalchemy=sessions)
        app.teardown_appcontext(lambda _error: sessions.remove())
        for end in ("rollback", "commit"):
            with app.app_context():
                docs.session.store(note(end), f"notes/{end}")
                docs.session.save_changes()
                getattr(sessions, end)()
        engine.dispose()
        assert [stored.text(f"notes/{end}") for end in ("rollback", "commit")] == [None, "commit"]

    def test_anything_else_is_told(self, make_app):
        class Base(DeclarativeBase):
            pass

        for given in (Base, Session):
            with pytest.raises(InvalidArgumentTypeException, match="the SQLAlchemy\\(\\) of Flask-SQLAlchemy"):
                make_app(sqlalchemy=given)

    def test_the_extension_has_to_be_given_to_the_application(self, make_app):
        db = SQLAlchemy()
        app, docs = make_app({}, sqlalchemy=db)
        with app.app_context(), pytest.raises(RuntimeError, match="not registered"):
            _ = docs.session
