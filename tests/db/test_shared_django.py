"""Documents and rows of Django in one transaction, and what its `on_commit` tells."""

import threading
from dataclasses import dataclass

import psycopg
import pytest

from docsession import (
    ConnectionFailedException,
    ConnectionLostException,
    DocumentStore,
    InvalidArgumentException,
    InvalidOperationException,
    RequestExecutor,
    SessionOptions,
    TransactionRetryException,
)
from tests.support.hosts import DjangoHost, django_settings
from tests.support.refusals import refused


@dataclass
class Order:
    lines: list[str]
    id: str | None = None


@pytest.fixture
def connection(postgres_url):
    with django_settings(default={"ENGINE": "django.db.backends.postgresql"}):
        DjangoHost.configure(postgres_url)
        from django.db import connection

        yield connection
        connection.close()


@pytest.fixture
def store(postgres_url, database):
    with DocumentStore(postgres_url, database) as store:
        yield store


@pytest.fixture
def session(store, connection):
    options = SessionOptions(request_executor=RequestExecutor.for_connection(connection))
    with store.open_session(session_options=options) as session:
        yield session


@pytest.fixture
def atomic(connection):
    from django.db import transaction

    return transaction.atomic


def is_stored(store, key="orders/1"):
    with store.open_session() as session:
        return session.load(key, Order) is not None


def put(session, key="orders/1"):
    order = Order(["a"])
    session.store(order, key)
    session.save_changes()
    return order


class TestAtomic:
    def test_a_block_commits_documents_and_rows(self, session, store, connection, atomic, host_table):
        with atomic():
            with connection.cursor() as cursor:
                cursor.execute(host_table.insert(1))
            order = put(session)
            assert not is_stored(store)
        assert is_stored(store)
        assert host_table.committed() == [1]
        assert not session.advanced.has_changed(order)

    def test_an_error_takes_both_back(self, session, store, connection, atomic, host_table):
        with pytest.raises(ZeroDivisionError), atomic():
            with connection.cursor() as cursor:
                cursor.execute(host_table.insert(1))
            order = put(session)
            raise ZeroDivisionError
        assert session.advanced.has_changed(order)
        assert host_table.committed() == []
        with atomic():
            session.save_changes()
        assert is_stored(store)

    def test_an_inner_block_takes_back_its_own(self, session, store, atomic):
        with atomic():
            outer = put(session, "orders/1")
            with pytest.raises(ZeroDivisionError), atomic():
                inner = put(session, "orders/2")
                with atomic():
                    innermost = put(session, "orders/3")
                raise ZeroDivisionError
            changed = session.advanced.has_changed
            assert [changed(each) for each in (outer, inner, innermost)] == [False, True, True]
        assert [is_stored(store, f"orders/{i}") for i in (1, 2, 3)] == [True, False, False]

    def test_a_block_without_a_savepoint_that_failed_is_respected(self, session, store, atomic):
        with atomic():
            with pytest.raises(ZeroDivisionError), atomic(savepoint=False):
                raise ZeroDivisionError
            with refused(InvalidOperationException, "nothing was sent", "atomic"):
                session.load("orders/1", Order)
            from django.db import transaction

            transaction.set_rollback(False)
            put(session)
        assert is_stored(store)

    def test_a_savepoint_of_the_low_level_functions_has_to_be_told(self, session, store, atomic):
        from django.db import transaction

        with atomic():
            outer = put(session, "orders/1")
            # Django 6.1 calls it otherwise.
            create = getattr(transaction, "savepoint_create", None) or transaction.savepoint
            savepoint = create()
            inner = put(session, "orders/2")
            transaction.savepoint_rollback(savepoint)
            session.advanced.rolled_back()
            assert [session.advanced.has_changed(each) for each in (outer, inner)] == [False, True]
        assert [is_stored(store, f"orders/{i}") for i in (1, 2)] == [True, False]

    def test_outside_a_block_every_save_commits_by_itself(self, session, store):
        order = put(session)
        assert is_stored(store)
        assert not session.advanced.has_changed(order)

    def test_the_first_statement_of_a_block_may_be_a_save(self, session, store, atomic):
        with pytest.raises(ZeroDivisionError), atomic():
            put(session)
            raise ZeroDivisionError
        assert not is_stored(store)


class TestOnCommit:
    def test_those_that_run_before_ours_may_use_the_session(self, session, store, connection, atomic):
        seen = []

        def look():
            seen.append((session.advanced.has_changes(), session.load("orders/1", Order).lines))
            put(session, "orders/2")
            raise ZeroDivisionError  # and takes ours along, which never runs

        with pytest.raises(ZeroDivisionError), atomic():
            connection.on_commit(look)
            order = put(session)
        assert seen == [(False, ["a"])]
        session.save_changes()
        assert not session.advanced.has_changed(order)
        assert [is_stored(store, f"orders/{i}") for i in (1, 2)] == [True, True]
        with pytest.raises(ZeroDivisionError), atomic():
            order.lines.append("b")
            session.save_changes()
            raise ZeroDivisionError
        session.save_changes()
        with store.open_session() as other:
            assert other.load("orders/1", Order).lines == ["a", "b"]

    def test_the_order_of_theirs_is_kept(self, session, connection, atomic):
        called = []
        with atomic():
            connection.on_commit(lambda: called.append(1))
            put(session)
            connection.on_commit(lambda: called.append(2))
        assert called == [1, 2]

    def test_ours_are_captured_like_theirs(self, session, connection, atomic):
        from django.test import TestCase

        with atomic():
            connection.on_commit(lambda: None)
            with TestCase.captureOnCommitCallbacks() as callbacks:
                put(session)
                connection.on_commit(lambda: None)
            assert [each.__name__ for each in callbacks] == ["docsession_is_committed", "<lambda>"]


class TestManualTransactions:
    def test_they_are_found_out_by_asking_the_server(self, session, store, connection):
        connection.set_autocommit(False)
        order = put(session)
        assert not is_stored(store)
        connection.rollback()
        session.save_changes()
        connection.commit()
        assert is_stored(store)
        order.lines.append("b")
        session.save_changes()
        connection.commit()
        connection.set_autocommit(True)
        session.save_changes()
        with store.open_session() as other:
            assert other.load("orders/1", Order).lines == ["a", "b"]


class TestConnections:
    def test_a_connection_that_is_opened_and_replaced_by_django_is_looked_up_at_each_use(
        self, session, store, connection, atomic
    ):
        assert connection.connection is None
        put(session, "orders/1")
        connection.close()
        put(session, "orders/2")
        first = connection.connection
        connection.close()
        with atomic():
            put(session, "orders/3")
        assert connection.connection is not first
        assert [is_stored(store, f"orders/{i}") for i in (1, 2, 3)] == [True, True, True]

    def test_closing_it_inside_a_block_takes_back_what_was_saved(self, session, store, connection, atomic):
        with pytest.raises(Exception, match="closed"), atomic():
            order = put(session)
            connection.close()
            assert session.advanced.has_changed(order)
            with refused(InvalidOperationException, "nothing was sent"):
                session.save_changes()
            connection.cursor()
        assert not is_stored(store)

    def test_the_wrapper_itself_and_another_alias_are_taken_too(self, store, connection):
        from django.db import connections

        for given in (connections["default"], connections["default"].copy()):
            executor = RequestExecutor.for_connection(given)
            with store.open_session(session_options=SessionOptions(request_executor=executor)) as session:
                put(session, f"orders/{id(given)}")
            given.close()
            assert is_stored(store, f"orders/{id(given)}")

    def test_another_thread_has_a_connection_of_its_own(self, session, store, connection, atomic):
        """`django.db.connection` stands for the thread's own."""

        def work():
            options = SessionOptions(request_executor=executor)
            with store.open_session(session_options=options) as other:
                put(other, "orders/2")
            connection.close()

        executor = RequestExecutor.for_connection(connection)

        with pytest.raises(ZeroDivisionError), atomic():
            put(session, "orders/1")
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            raise ZeroDivisionError
        assert [is_stored(store, f"orders/{i}") for i in (1, 2)] == [False, True]

    def test_a_session_that_goes_to_another_thread_in_mid_transaction_is_refused(
        self, session, store, connection, atomic
    ):
        """Its save stands in the transaction of the first thread's connection: nothing is built on it elsewhere."""
        errors = []

        def work():
            try:
                put(session, "orders/2")
            except TransactionRetryException as error:
                errors.append(str(error))
            session.advanced.clear()
            connection.close()

        with atomic():
            put(session, "orders/1")
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert "goes on at the server" in errors[0]
        assert [is_stored(store, f"orders/{i}") for i in (1, 2)] == [True, False]

    def test_a_wrapper_of_another_thread_is_refused_as_django_does(self, store, connection):
        from django.db import connections

        wrapper = connections["default"]
        executor = RequestExecutor.for_connection(wrapper)
        errors = []

        def work():
            with store.open_session(session_options=SessionOptions(request_executor=executor)) as session:
                try:
                    session.load("orders/1", Order)
                except InvalidOperationException as error:
                    errors.append(str(error))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert "same thread" in errors[0]

    @pytest.mark.direct("ends a connection to the server")
    def test_one_that_broke_is_replaced_by_django_after_its_request(self, session, store, connection, postgres_url):
        put(session)
        pid = connection.connection.info.backend_pid
        with psycopg.connect(postgres_url, autocommit=True) as beside:
            beside.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
        with pytest.raises((ConnectionLostException, ConnectionFailedException)):
            session.load("orders/2", Order)
        connection.close_if_unusable_or_obsolete()
        assert session.load("orders/2", Order) is None

    def test_a_server_that_cannot_be_reached_is_told(self, session, connection):
        connection.settings_dict["PORT"] = "1"
        with refused(ConnectionFailedException, "Django's connection cannot be used now"):
            session.load("orders/1", Order)

    def test_inside_an_event_loop_django_says_no(self, session, connection):
        import asyncio

        async def use():
            session.load("orders/1", Order)

        with refused(InvalidOperationException, "async"):
            asyncio.run(use())

    def test_another_backend_is_refused(self):
        settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        with django_settings(default=settings):
            from django.db import connection

            with refused(InvalidArgumentException, "'sqlite'", "django.db.backends.postgresql"):
                RequestExecutor.for_connection(connection)

    def test_so_is_psycopg2(self, connection, monkeypatch):
        import types

        monkeypatch.setattr(
            type(connection._connections["default"]), "Database", types.SimpleNamespace(__name__="psycopg2")
        )
        with refused(InvalidArgumentException, "'psycopg2'", "install psycopg (3)"):
            RequestExecutor.for_connection(connection)
