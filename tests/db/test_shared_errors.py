"""Somebody else's connection that cannot be used, and what a session there does not do."""

import sqlite3
import types
from dataclasses import dataclass

import psycopg
import psycopg_pool
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.orm import sessionmaker

from docsession import (
    AsyncDocumentStore,
    ConnectionFailedException,
    ConnectionLostException,
    DocumentStore,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    RequestExecutor,
    SessionOptions,
    UnknownOutcomeException,
)
from tests.support.documents import read, save
from tests.support.hosts import finished, session_on, sqlalchemy_url
from tests.support.proxy import Stage
from tests.support.refusals import refused


@dataclass
class Item:
    value: int
    id: str | None = None


@pytest.fixture
def store(host_store):
    return host_store


def foreign(module, name="Connection"):
    """An object of a class of another driver, which is not installed here."""
    return type(name, (), {"__module__": module})()


class TestWrongConnections:
    @pytest.mark.parametrize(
        ("module", "words"),
        [
            ("psycopg2.extensions", ["psycopg2", "postgresql+psycopg://"]),
            ("asyncpg.connection", ["asyncpg", "postgresql+psycopg://", "create_async_engine"]),
            ("aiopg.connection", ["aiopg", "postgresql+psycopg://"]),
            ("pg8000.dbapi", ["pg8000", "postgresql+psycopg://"]),
        ],
    )
    def test_another_driver_is_refused_with_the_url_to_use(self, module, words):
        with refused(InvalidArgumentException, "psycopg 3", *words):
            RequestExecutor.for_connection(foreign(module, "connection"))

    def test_so_is_sqlite(self):
        connection = sqlite3.connect(":memory:")
        with refused(InvalidArgumentException, "PostgreSQL", "postgresql+psycopg://"):
            RequestExecutor.for_connection(connection)
        connection.close()

    @pytest.mark.parametrize("driver", ["psycopg2", "pg8000", "asyncpg"])
    def test_so_is_sqlalchemy_on_another_driver(self, driver):
        connection = sqlalchemy.Connection.__new__(sqlalchemy.Connection)
        connection.dialect = types.SimpleNamespace(name="postgresql", driver=driver)
        with refused(InvalidArgumentException, driver, "postgresql+psycopg://"):
            RequestExecutor.for_connection(connection)

    def test_so_is_sqlalchemy_on_sqlite(self):
        engine = sqlalchemy.create_engine("sqlite://")
        with engine.connect() as connection, refused(InvalidArgumentException, "sqlite", "postgresql+psycopg://"):
            RequestExecutor.for_connection(connection)
        engine.dispose()

    def test_a_session_of_sqlalchemy_on_sqlite_is_refused_at_its_first_use(self, postgres_url):
        engine = sqlalchemy.create_engine("sqlite://")
        with sqlalchemy.orm.Session(engine) as owner, DocumentStore(postgres_url) as store:
            options = SessionOptions(request_executor=RequestExecutor.for_connection(owner))
            with refused(InvalidArgumentException, "sqlite"):
                store.open_session(session_options=options).load("items/1", Item)
        engine.dispose()

    def test_what_is_no_connection_is_refused_with_what_to_hand_in(self, postgres_url):
        engine = sqlalchemy.create_engine(sqlalchemy_url(postgres_url))
        pool = psycopg_pool.ConnectionPool(postgres_url, open=False)
        with psycopg.connect(postgres_url) as connection:
            for given, words in [
                (engine, ["engine.connect()"]),
                (create_async_engine(sqlalchemy_url(postgres_url)), ["engine.connect()"]),
                (sessionmaker(engine), ["make_session()"]),
                (pool, ["pool.connection()"]),
                (connection.cursor(), ["cursor.connection"]),
                (postgres_url, ["DocumentStore(url)"]),
                (None, ["psycopg connection", "Django"]),
                (5, []),
            ]:
                with refused(InvalidArgumentTypeException, "for_connection() takes", *words):
                    RequestExecutor.for_connection(given)
        engine.dispose()

    async def test_a_bare_connection_is_no_option(self, host, store, postgres_url):
        await host.open(postgres_url)
        with refused(InvalidArgumentTypeException, "RequestExecutor.for_connection(connection)"):
            store.open_session(session_options=SessionOptions(request_executor=host.given))

    async def test_the_connection_belongs_to_one_face(self, host, postgres_url, database):
        from tests.support.faces import Face

        await host.open(postgres_url)
        other = Face("async" if host.face == "blocking" else "blocking").store(postgres_url, database=database)
        with refused(InvalidArgumentException, "DocumentStore", "open it from"):
            session_on(other, host)
        await other.close()

    async def test_an_async_engine_inside_run_sync_is_told_from_a_blocking_one(self, postgres_url, database):
        engine = create_async_engine(sqlalchemy_url(postgres_url))
        with DocumentStore(postgres_url, database) as store:
            async with engine.connect() as connection:

                def use(inner):
                    executor = RequestExecutor.for_connection(inner)
                    session = store.open_session(session_options=SessionOptions(request_executor=executor))
                    with refused(InvalidArgumentException, "AsyncConnection"):
                        session.load("items/1", Item)

                await connection.run_sync(use)
        await engine.dispose()

    async def test_a_connection_of_sqlalchemy_that_was_not_started_is_told(self, postgres_url):
        engine = create_async_engine(sqlalchemy_url(postgres_url))
        executor = RequestExecutor.for_connection(AsyncConnection(engine))
        async with AsyncDocumentStore(postgres_url) as store:
            session = store.open_session(session_options=SessionOptions(request_executor=executor))
            with refused(InvalidOperationException, "was not started"):
                await session.load("items/1", Item)
        await engine.dispose()


class TestConnectionsThatCannotBeUsedNow:
    async def test_one_that_is_closed(self, host, store, postgres_url):
        await host.open(postgres_url)
        session = session_on(store, host)
        await session.store(Item(1), "items/1")
        if "Session" in type(host.given).__name__ or host.given.__class__.__name__ == "ConnectionProxy":
            # These open another one.
            await host.end()
            await finished(host.given.close())
            await host.begin()
            await session.save_changes()
            await host.commit()
            assert (await read(store, "items/1", Item)).value == 1
        else:
            await finished(host.given.close())
            with refused(InvalidOperationException, "closed", "nothing was sent"):
                await session.save_changes()
            assert session.advanced.has_changes()
        await session.close()

    async def test_one_whose_transaction_has_failed(self, host, store, host_table, postgres_url):
        await host.open(postgres_url)
        session = session_on(store, host)
        await session.load("items/1", Item)
        with pytest.raises(Exception, match="division"):
            await host.execute("SELECT 1 / 0")
        await session.store(Item(1), "items/1")
        with refused(InvalidOperationException):
            await session.save_changes()
        assert session.advanced.has_changes()
        await host.rollback()
        await session.save_changes()
        await host.commit()
        assert (await read(store, "items/1", Item)).value == 1
        await session.close()

    async def test_one_in_pipeline_mode(self, host, store, postgres_url):
        await host.open(postgres_url)
        driver = await host.driver()
        session = session_on(store, host)
        if host.face == "async":
            async with driver.pipeline():
                with refused(InvalidOperationException, "pipeline mode"):
                    await session.load("items/1", Item)
        else:
            with driver.pipeline(), refused(InvalidOperationException, "pipeline mode"):
                await session.load("items/1", Item)
        assert await session.load("items/1", Item) is None
        await session.close()

    async def test_one_that_is_in_the_middle_of_a_stream(self, host, store, postgres_url):
        await host.open(postgres_url)
        driver = await host.driver()
        session = session_on(store, host)
        rows = driver.cursor().stream("SELECT generate_series(1, 10)")
        await anext(rows) if host.face == "async" else next(rows)
        with refused(InvalidOperationException, "busy", "stream"):
            await session.load("items/1", Item)
        await rows.aclose() if host.face == "async" else rows.close()
        await session.load("items/1", Item)
        await session.close()

    async def test_one_that_another_thread_or_task_is_using(self, host, store, postgres_url):
        await host.open(postgres_url)
        driver = await host.driver()
        session = session_on(store, host)
        await session.load("items/1", Item)
        await save(store, (Item(2), "items/2"))
        await driver.lock.acquire() if host.face == "async" else driver.lock.acquire()
        with refused(InvalidOperationException, "busy", "another thread or task"):
            await session.load("items/2", Item)
        driver.lock.release()
        assert (await session.load("items/2", Item)).value == 2
        await session.close()

    async def test_one_whose_encoding_would_garble_documents(self, host, store, postgres_url):
        await host.open(postgres_url)
        await host.execute("SET client_encoding = 'LATIN1'")
        session = session_on(store, host)
        with refused(InvalidOperationException, "client_encoding", "utf8"):
            await session.load("items/1", Item)
        await host.execute("SET client_encoding = 'UTF8'")
        await session.load("items/1", Item)
        await session.close()


class TestTheirTransactionIsTheirs:
    async def test_the_session_does_not_begin_or_end_it(self, host, store, postgres_url):
        await host.open(postgres_url)
        async with session_on(store, host) as session:
            for call in (session.advanced.begin, session.advanced.transaction().__aenter__):
                with refused(InvalidOperationException, "the transaction of this session is that of"):
                    await call()
            for call in (session.advanced.commit, session.advanced.rollback):
                with refused(InvalidOperationException, "begin"):
                    await call()
            with refused(InvalidOperationException, "that you handed in"):
                session.advanced.connection  # noqa: B018  # what it raises is asked

    async def test_nor_does_it_choose_its_isolation_level(self, host, store, postgres_url):
        await host.open(postgres_url)
        with refused(InvalidArgumentException, "isolation_level", "the transaction is theirs"):
            session_on(store, host, isolation_level="serializable")

    async def test_rolled_back_is_for_such_sessions_alone(self, store):
        async with store.open_session() as session:
            with refused(InvalidOperationException, "somebody else owns"):
                await session.advanced.rolled_back()


class TestLostConnections:
    async def test_nothing_of_their_transaction_is_committed(self, host, store, proxy, postgres_url):
        await save(store, (Item(1), "items/1"))
        await host.open(proxy.url)
        session = session_on(store, host)
        session.advanced.use_optimistic_concurrency = True
        item = await session.load("items/1", Item)
        vector = session.advanced.get_change_vector_for(item)
        item.value = 2
        await session.save_changes()
        new = Item(3)
        await session.store(new, "items/3")
        proxy.cut_next(Stage.BEFORE_ANSWER, 0)
        with refused(ConnectionLostException, "rolled back") as caught:
            await session.save_changes()
        assert caught.value.retryable
        assert session.advanced.get_change_vector_for(item) == vector
        assert sorted(session.advanced.what_changed()) == ["items/1", "items/3"]
        assert (await read(store, "items/1", Item)).value == 1
        await session.close()

    async def test_what_was_committed_before_stays_saved(self, host, store, proxy, postgres_url):
        await host.open(proxy.url)
        session = session_on(store, host)
        item = Item(1)
        await session.store(item, "items/1")
        await session.save_changes()
        await host.commit()
        item.value = 2
        proxy.cut_next(Stage.BEFORE_ANSWER, 0)
        with pytest.raises(ConnectionLostException):
            await session.save_changes()
        assert [change.field_new_value for change in session.advanced.what_changed()["items/1"]] == [2]
        assert (await read(store, "items/1", Item)).value == 1
        await session.close()

    async def test_in_autocommit_the_outcome_is_not_known(self, host, store, proxy, postgres_url):
        await save(store, (Item(1), "items/1"))
        await host.open(proxy.url, autocommit=True)
        session = session_on(store, host)
        item = await session.load("items/1", Item)
        item.value = 2
        proxy.cut_next(Stage.BEFORE_ANSWER, 0)
        with refused(UnknownOutcomeException, "save_changes()"):
            await session.save_changes()
        await session.close()

    async def test_the_connection_is_found_broken_at_the_next_use(self, host, store, proxy, postgres_url):
        await save(store, (Item(1), "items/1"))
        await host.open(proxy.url)
        session = session_on(store, host)
        await session.load("items/1", Item)
        proxy.cut_next(Stage.BEFORE_ANSWER, 0)
        with pytest.raises(ConnectionLostException):
            await session.load("items/2", Item)
        with pytest.raises((ConnectionFailedException, InvalidOperationException), match="nothing was sent"):
            await session.load("items/2", Item)
        await session.close()
