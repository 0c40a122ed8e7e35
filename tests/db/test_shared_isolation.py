"""Somebody else's transaction at a higher isolation level."""

from dataclasses import dataclass

import psycopg
import pytest

from docsession import DocumentStore, RequestExecutor, SessionOptions, TransactionRetryException


@dataclass
class Item:
    value: int
    id: str | None = None


@dataclass
class Other:
    value: int
    id: str | None = None


@pytest.fixture
def store(postgres_url, database):
    with DocumentStore(postgres_url, database) as store, store.open_session() as session:
        session.store(Item(1), "items/1")
        session.save_changes()
        yield store


@pytest.fixture(params=["set on the connection", "said in SQL"])
def connection(request, postgres_url):
    with psycopg.connect(postgres_url) as connection:
        if request.param == "set on the connection":
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SELECT 1 FROM pg_class LIMIT 1")
        else:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            connection.execute("SELECT 1 FROM pg_class LIMIT 1")
        yield connection


def open_on(store, connection):
    options = SessionOptions(request_executor=RequestExecutor.for_connection(connection))
    return store.open_session(session_options=options)


def put(store, entity, key):
    with store.open_session() as session:
        session.store(entity, key)
        session.save_changes()


def test_tables_that_are_newer_than_its_view_are_used(store, connection):
    with open_on(store, connection) as session:
        put(store, Other(5), "others/5")
        session.store(Other(1), "others/1")
        session.delete("items/1")
        session.delete("items/404")
        session.store(Item(2), "things/2")
        session.save_changes()
        session.delete("others/9")
        session.save_changes()
        connection.commit()
    with store.open_session() as session:
        assert session.load("others/1", Other).value == 1
        assert session.load("things/2", Item).value == 2
        assert session.load("items/1", Item) is None


def test_a_row_that_others_have_changed_is_an_error_that_may_be_repeated(store, connection):
    with open_on(store, connection) as session:
        item = session.load("items/1", Item)
        put(store, Item(7), "items/1")
        item.value = 2
        with pytest.raises(TransactionRetryException) as caught:
            session.save_changes()
        assert caught.value.retryable
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        connection.rollback()
        connection.execute("SELECT 1")
        session.advanced.refresh(item)
        assert item.value == 7
        item.value = 2
        session.save_changes()
        connection.commit()
    with store.open_session() as session:
        assert session.load("items/1", Item).value == 2
