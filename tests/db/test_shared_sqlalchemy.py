"""Documents and rows of SQLAlchemy in one transaction, and what its events tell."""

from dataclasses import dataclass

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from docsession import (
    AsyncDocumentStore,
    ConcurrencyException,
    DocumentStore,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    RequestExecutor,
    SessionOptions,
)
from tests.conftest import STORES
from tests.support.hosts import sqlalchemy_url
from tests.support.refusals import refused


@dataclass
class Order:
    lines: list[str]
    id: str | None = None


class Base(DeclarativeBase):
    pass


class Invoice(Base):
    __tablename__ = "shared_invoices"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(unique=True)


@pytest.fixture
def engine(postgres_url):
    engine = sqlalchemy.create_engine(sqlalchemy_url(postgres_url))
    Base.metadata.create_all(engine)
    yield engine
    Base.metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture
def store(postgres_url, database):
    with DocumentStore(postgres_url, database) as store:
        yield store


@pytest.fixture
def async_store(postgres_url, database, request):
    store = AsyncDocumentStore(postgres_url, database)
    request.node.stash.setdefault(STORES, []).append(store)
    return store


def on(connection, bind=None):
    return SessionOptions(request_executor=RequestExecutor.for_connection(connection, bind=bind))


def order_of(store, key):
    with store.open_session() as session:
        return session.load(key, Order)


def invoices(engine):
    with Session(engine) as owner:
        return list(owner.scalars(sqlalchemy.select(Invoice.order_id).order_by(Invoice.id)))


class TestTheOrm:
    def test_objects_and_documents_are_one_unit_of_work(self, store, engine):
        with Session(engine) as owner, store.open_session(session_options=on(owner)) as session:
            order = Order(["a"])
            session.store(order)
            session.save_changes()
            owner.add(Invoice(id=1, order_id=order.id))
            assert order_of(store, order.id) is None
            owner.commit()
        assert order_of(store, order.id).lines == ["a"]
        assert invoices(engine) == [order.id]

    def test_a_failed_flush_of_theirs_takes_the_document_along(self, store, engine):
        with Session(engine) as owner, store.open_session(session_options=on(owner)) as session:
            owner.add(Invoice(id=1, order_id="orders/1-A"))
            owner.commit()
            order = Order(["a"])
            session.store(order)
            session.save_changes()
            owner.add(Invoice(id=2, order_id="orders/1-A"))
            with pytest.raises(sqlalchemy.exc.IntegrityError):
                owner.commit()
            assert session.advanced.has_changed(order)
            with refused(InvalidOperationException, "rolled back"):
                session.save_changes()
            owner.rollback()
            session.save_changes()
            owner.commit()
        assert order_of(store, order.id).lines == ["a"]
        assert invoices(engine) == ["orders/1-A"]

    def test_a_conflict_of_ours_leaves_their_objects_to_be_committed(self, store, engine):
        with store.open_session() as other:
            other.store(Order(["a"]), "orders/1")
            other.save_changes()
        with Session(engine) as owner, store.open_session(session_options=on(owner)) as session:
            session.advanced.use_optimistic_concurrency = True
            order = session.load("orders/1", Order)
            with store.open_session() as other:
                other.load("orders/1", Order).lines.append("theirs")
                other.save_changes()
            owner.add(Invoice(id=1, order_id="orders/1"))
            owner.flush()
            order.lines.append("mine")
            with pytest.raises(ConcurrencyException):
                session.save_changes()
            owner.commit()
        assert invoices(engine) == ["orders/1"]
        assert order_of(store, "orders/1").lines == ["a", "theirs"]

    def test_begin_blocks_commit_and_roll_back(self, store, engine):
        with Session(engine) as owner, store.open_session(session_options=on(owner)) as session:
            with owner.begin():
                session.store(Order(["a"]), "orders/1")
                session.save_changes()
            assert order_of(store, "orders/1") is not None
            with pytest.raises(ZeroDivisionError), owner.begin():
                session.store(late := Order(["b"]), "orders/2")
                session.save_changes()
                raise ZeroDivisionError
            assert session.advanced.has_changed(late)
            assert order_of(store, "orders/2") is None

    def test_nested_blocks_take_back_what_was_saved_in_them(self, store, engine):
        with Session(engine) as owner, store.open_session(session_options=on(owner)) as session:
            session.store(outer := Order(["a"]), "orders/1")
            session.save_changes()
            with pytest.raises(ZeroDivisionError), owner.begin_nested():
                session.store(inner := Order(["b"]), "orders/2")
                session.save_changes()
                with owner.begin_nested():
                    session.store(innermost := Order(["c"]), "orders/3")
                    session.save_changes()
                raise ZeroDivisionError
            changed = session.advanced.has_changed
            assert [changed(each) for each in (outer, inner, innermost)] == [False, True, True]
            owner.commit()
        assert [order_of(store, f"orders/{i}") is not None for i in (1, 2, 3)] == [True, False, False]

    def test_a_scoped_session_is_asked_for_the_one_in_scope(self, store, engine):
        scoped = scoped_session(sessionmaker(engine))
        with store.open_session(session_options=on(scoped)) as session:
            session.store(Order(["a"]), "orders/1")
            session.save_changes()
            scoped.commit()
            scoped.remove()
            session.store(Order(["b"]), "orders/2")
            session.save_changes()
            scoped.rollback()
            assert "orders/2" in session.advanced.what_changed()
            scoped.remove()
        assert [order_of(store, f"orders/{i}") is not None for i in (1, 2)] == [True, False]

    def test_a_session_inside_a_transaction_that_a_test_rolls_back(self, store, engine):
        """The usual fixture: everything is committed to a savepoint, and undone with the outer transaction."""
        with engine.connect() as outer:
            transaction = outer.begin()
            with (
                Session(outer, join_transaction_mode="create_savepoint") as owner,
                store.open_session(session_options=on(owner)) as session,
            ):
                session.store(kept := Order(["a"]), "orders/1")
                session.save_changes()
                owner.commit()
                session.store(dropped := Order(["b"]), "orders/2")
                session.save_changes()
                owner.rollback()
                assert [session.advanced.has_changed(each) for each in (kept, dropped)] == [False, True]
                with store.open_session(session_options=on(owner)) as other:
                    assert other.load("orders/1", Order).lines == ["a"]
                transaction.rollback()
                assert session.advanced.has_changed(kept)
        assert order_of(store, "orders/1") is None

    def test_a_session_that_begins_only_when_told_is_respected(self, store, engine):
        with (
            Session(engine, autobegin=False) as owner,
            store.open_session(session_options=on(owner)) as session,
        ):
            session_id = "orders/1"
            with refused(InvalidOperationException, "gives no connection"):
                session.load(session_id, Order)
            with owner.begin():
                session.store(Order(["a"]), session_id)
                session.save_changes()
        assert order_of(store, session_id) is not None


class TestSeveralEngines:
    def test_one_is_chosen(self, store, engine):
        """Of a session whose other engine is not even PostgreSQL."""
        elsewhere = sqlalchemy.create_engine("sqlite://")
        with (
            Session(elsewhere, binds={Invoice: engine}) as owner,
            store.open_session(session_options=on(owner, engine)) as session,
        ):
            for key in ("orders/1", "orders/2"):
                session.store(Order(["a"]), key)
                session.save_changes()
                owner.add(Invoice(order_id=key))
                owner.flush()
                (owner.commit if key == "orders/1" else owner.rollback)()
            assert session.advanced.has_changes()
        elsewhere.dispose()
        assert invoices(engine) == ["orders/1"]
        assert [order_of(store, key) is None for key in ("orders/1", "orders/2")] == [False, True]

    def test_what_cannot_be_chosen_is_told(self, engine, postgres_url):
        with engine.connect() as connection, psycopg.connect(postgres_url) as bare:
            for given in (connection, bare):
                with refused(InvalidArgumentException, "bind chooses among the engines", "leave it out"):
                    RequestExecutor.for_connection(given, bind=engine)
        with Session(engine) as owner, refused(InvalidArgumentTypeException, "bind is an Engine", "not str"):
            RequestExecutor.for_connection(owner, bind="default")


class TestConnections:
    def test_savepoints_that_were_there_before_the_first_save_count(self, store, engine):
        with engine.connect() as owner, store.open_session(session_options=on(owner)) as session:
            owner.execute(sqlalchemy.text("SELECT 1"))
            with owner.begin_nested():
                pass
            before = owner.begin_nested()
            session.store(order := Order(["a"]), "orders/1")
            session.save_changes()
            before.rollback()
            assert session.advanced.has_changed(order)

    def test_an_outer_savepoint_takes_the_inner_ones_along(self, store, engine):
        with engine.connect() as owner, store.open_session(session_options=on(owner)) as session:
            session.store(first := Order(["1"]), "orders/1")
            session.save_changes()
            outer = owner.begin_nested()
            session.store(second := Order(["2"]), "orders/2")
            session.save_changes()
            inner = owner.begin_nested()
            session.store(third := Order(["3"]), "orders/3")
            session.save_changes()
            inner.commit()
            outer.rollback()
            changed = session.advanced.has_changed
            assert [changed(each) for each in (first, second, third)] == [False, True, True]
            owner.commit()
        assert [order_of(store, f"orders/{i}") is not None for i in (1, 2, 3)] == [True, False, False]

    def test_a_commit_that_fails_is_no_commit(self, store, engine):
        with engine.connect() as owner, store.open_session(session_options=on(owner)) as session:
            owner.execute(sqlalchemy.text("CREATE TEMP TABLE late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
            owner.commit()
            session.store(order := Order(["a"]), "orders/1")
            session.save_changes()
            owner.execute(sqlalchemy.text("INSERT INTO late VALUES (1), (1)"))
            with pytest.raises(sqlalchemy.exc.IntegrityError):
                owner.commit()
            owner.rollback()
            session.save_changes()
            owner.commit()
            assert not session.advanced.has_changed(order)
        assert order_of(store, "orders/1") is not None

    def test_a_rollback_past_sqlalchemy_is_found_out_too(self, store, engine):
        with engine.connect() as owner, store.open_session(session_options=on(owner)) as session:
            session.store(Order(["a"]), "orders/1")
            session.save_changes()
            owner.connection.driver_connection.rollback()
            session.save_changes()
            owner.commit()
        assert order_of(store, "orders/1") is not None

    def test_closing_one_rolls_back(self, store, engine):
        with store.open_session() as reader:
            with engine.connect() as owner:
                session = store.open_session(session_options=on(owner))
                session.store(order := Order(["a"]), "orders/1")
                session.save_changes()
            assert session.advanced.has_changed(order)
            assert reader.load("orders/1") is None

    @pytest.mark.direct("ends a connection to the server")
    def test_one_that_was_lost_is_made_anew_by_sqlalchemy(self, store, engine, postgres_url):
        with engine.connect() as owner, store.open_session(session_options=on(owner)) as session:
            session.store(Order(["a"]), "orders/1")
            session.save_changes()
            pid = owner.connection.driver_connection.info.backend_pid
            with psycopg.connect(postgres_url, autocommit=True) as beside:
                beside.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
            with pytest.raises(Exception, match=r"rolled back|broken"):
                session.load("orders/2", Order)
            owner.rollback()
            session.save_changes()
            owner.commit()
        assert order_of(store, "orders/1") is not None

    def test_one_that_is_prepared_for_a_commit_in_two_phases_is_still_open(self, store, engine):
        with engine.connect() as owner, store.open_session(session_options=on(owner)) as session:
            transaction = owner.begin_twophase()
            session.store(order := Order(["a"]), "orders/1")
            session.save_changes()
            transaction.rollback()
            assert session.advanced.has_changed(order)

    def test_nothing_listens_twice(self, store, engine):
        with engine.connect() as owner:
            for i in range(3):
                with store.open_session(session_options=on(owner)) as session:
                    session.store(Order(["a"]), f"orders/{i}")
                    session.save_changes()
            assert len(list(owner.dispatch.rollback)) == 1
            owner.commit()

    def test_a_connection_is_not_kept_alive(self, store, engine):
        import gc
        import weakref

        with engine.connect() as owner, store.open_session(session_options=on(owner)) as session:
            session.store(Order(["a"]), "orders/1")
            session.save_changes()
            owner.rollback()
            reference = weakref.ref(owner)
        del owner, session
        gc.collect()
        assert reference() is None


class TestTheAsyncOrm:
    async def test_objects_and_documents_are_one_unit_of_work(self, async_store, engine, postgres_url):
        store = async_store
        async_engine = create_async_engine(sqlalchemy_url(postgres_url))
        async with AsyncSession(async_engine) as owner, store.open_session(session_options=on(owner)) as session:
            async with owner.begin():
                order = Order(["a"])
                await session.store(order)
                await session.save_changes()
                owner.add(Invoice(id=1, order_id=order.id))
            with pytest.raises(ZeroDivisionError):
                async with owner.begin():
                    await session.store(late := Order(["b"]))
                    await session.save_changes()
                    raise ZeroDivisionError
            assert session.advanced.has_changed(late)
            with pytest.raises(ZeroDivisionError):
                async with owner.begin():
                    order.lines.append("b")
                    async with owner.begin_nested():
                        await session.save_changes()
                        raise ZeroDivisionError
            assert session.advanced.has_changed(order)
        await async_engine.dispose()
        assert invoices(engine) == [order.id]
        async with store.open_session() as session:
            assert (await session.load(order.id, Order)).lines == ["a"]
            assert await session.load(late.id, Order) is None

    async def test_one_of_several_engines_is_chosen(self, async_store, engine, postgres_url):
        store = async_store
        elsewhere = create_async_engine("postgresql+psycopg://elsewhere.invalid/x")
        chosen = create_async_engine(sqlalchemy_url(postgres_url))
        async with AsyncSession(elsewhere) as owner:
            for end in (owner.rollback, owner.commit):
                async with store.open_session(session_options=on(owner, chosen)) as session:
                    assert await session.load("orders/1", Order) is None
                    await session.store(Order(["a"]), "orders/1")
                    await session.save_changes()
                    await end()
        await chosen.dispose()
        async with store.open_session() as session:
            assert await session.load("orders/1", Order) is not None

    async def test_a_scoped_session_is_asked_for_the_one_in_scope(self, async_store, postgres_url):
        store = async_store
        async_engine = create_async_engine(sqlalchemy_url(postgres_url))
        scoped = async_scoped_session(async_sessionmaker(async_engine), scopefunc=lambda: 1)
        async with store.open_session(session_options=on(scoped)) as session:
            await session.store(Order(["a"]), "orders/1")
            await session.save_changes()
            await scoped.commit()
            await scoped.remove()
        await async_engine.dispose()
        async with store.open_session() as session:
            assert await session.load("orders/1", Order) is not None
