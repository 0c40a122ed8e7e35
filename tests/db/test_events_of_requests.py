"""Events of the requests that sessions send."""

from dataclasses import dataclass
from urllib.parse import quote

import psycopg
import pytest

from docsession import (
    ConcurrencyException,
    DocumentConventions,
    Index,
    InvalidArgumentException,
    OptimisticConcurrencyMode,
    PutCompareExchangeValueOperation,
    RavenException,
    RequestDescription,
    RequestExecutor,
    SessionBusyException,
    SessionOptions,
    StoreClosedException,
    TableDoesNotExistException,
    TransactionMode,
    document,
)
from tests.support.beside import begin, outsider, settle
from tests.support.documents import change, read, save
from tests.support.events import Entry, Refusal, User


@document(indexes=[Index(lambda each: each.name)])
@dataclass
class Indexed:
    name: str
    id: str | None = None


def watch(store, *, by_store=False):
    """Keep what is told of the requests of sessions, or of those that the store sends beside them."""
    log = []

    def listen(kind):
        return lambda args: log.append((kind, args)) if args.request.by_store is by_store else None

    store.add_on_before_request(listen("before"))
    store.add_on_succeed_request(listen("succeed"))
    store.add_on_failed_request(listen("failed"))
    return log


def shown_url(url):
    """The URL without its password, as handlers are given it."""
    info = psycopg.conninfo.conninfo_to_dict(url)
    return f"postgresql://{info['user']}@{quote(info['host'], safe='')}:{info['port']}/{info['dbname']}"


def kinds(log):
    return [(kind, args.request.operation) for kind, args in log]


class TestWhatTheyTell:
    async def test_each_request_of_a_session_is_told_of_before_and_after(self, store, database):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        log = watch(store)
        async with store.open_session() as session:
            users = await session.load(["users/1", "users/2"], User)
            await session.load("users/1", User)
            await session.advanced.exists("users/3")
            users["users/1"].name = "c"
            await session.save_changes()
        assert kinds(log) == [
            (kind, name) for name in ("load", "exists", "save_changes") for kind in ("before", "succeed")
        ]
        (_, before), (_, after), *_, (_, saved) = log
        assert before.request is after.request
        assert before.request == RequestDescription("load", 1, is_write=False, collections=("Users",))
        assert saved.request == RequestDescription("save_changes", 1, is_write=True, collections=("Users",))
        assert (before.database, before.attempt_number, after.attempt_number, after.rows) == (database, 1, 1, 2)
        assert 0 < after.seconds < 10

    async def test_how_much_a_request_carries(self, store, face, database):
        text = "ä" * 1000
        watched = watch(store)
        await save(store, (User(text), "users/1"), (User("b"), "users/2"), (Entry("c"), "entries/1"))
        async with store.open_session() as session:
            await session.load("users/1", User)
            assert await session.query(User).count() == 2
            stream = session.query(Entry).stream()
            assert len([each async for each in stream] if face.is_async else list(stream)) == 1
            session.delete("entries/1")
            await session.save_changes()
        log = [args for kind, args in watched if kind == "succeed"]
        counts = [(args.request.operation, args.request.collections, args.documents, args.rows) for args in log]
        assert counts == [
            ("save_changes", ("Entries", "Users"), 3, 0),
            ("load", ("Users",), 1, 1),
            ("count", ("Users",), 0, 1),
            ("stream", ("Entries",), 1, 1),
            ("save_changes", ("Entries",), 1, 1),
        ]
        saved, loaded, counted, *_ = log
        assert 2000 < saved.bytes_sent < 2300
        assert saved.bytes_received == 0
        assert 2000 < loaded.bytes_received < 2200
        assert 0 < loaded.bytes_sent < 20
        assert 0 < counted.bytes_received < 20

    async def test_compare_exchange_values_are_no_documents(self, store):
        options = SessionOptions(transaction_mode=TransactionMode.CLUSTER_WIDE)
        await save(store, (User("a"), "users/1"))
        log = []
        store.add_on_succeed_request(log.append)
        async with store.open_session(session_options=options) as session:
            session.cluster_transaction.create_compare_exchange_value("names/a", "users/1")
            await session.store(User("b"), "users/2")
            await session.save_changes()
        saved = log[-1]
        assert (saved.request.operation, saved.request.collections, saved.documents) == ("save_changes", ("Users",), 1)

    async def test_collections_are_not_taken_from_what_a_query_holds(self, store, database):
        """A literal that looks like a table is content: only names that are known get out."""
        await save(store, (User("a"), "users/1"))
        log = []
        store.add_on_before_request(log.append)
        async with store.open_session() as session:
            literal = f"""'"{database}"."secret"'"""
            query = session.advanced.raw_query(f"SELECT * FROM {{table}} WHERE data ->> 'name' <> {literal}", User)
            assert len(await query.all()) == 1
        assert [args.request.collections for args in log] == [("Users",)]

    async def test_a_save_of_several_statements_is_one_request(self, store):
        log = watch(store)
        await save(store, *((User("a"), f"users/{i}") for i in range(100)))
        writes = [args.request for kind, args in log if kind == "succeed" and args.request.is_write]
        (write,) = writes
        assert write.operation == "save_changes"
        assert write.statements > 1

    async def test_neither_documents_nor_passwords_are_shown(self, make_store, postgres_url):
        store = make_store(application_name="hush")
        log = watch(store)
        await save(store, (User("confidential"), "users/1"))
        password = psycopg.conninfo.conninfo_to_dict(postgres_url).get("password", "nothing")
        for _, args in log:
            assert "confidential" not in repr(args)
            assert args.url.startswith("postgresql://")
            assert password not in repr(args)
        assert log

    async def test_those_on_the_server_of_another_store(self, make_store, postgres_url):
        store, other = make_store(), make_store(application_name="other")
        await save(store, (User("a"), "users/1"))
        log = watch(store)
        executor = other.get_request_executor()
        async with store.open_session(session_options=SessionOptions(request_executor=executor)) as session:
            assert await session.load("users/1", User)
        assert {args.url for _, args in log} == {shown_url(postgres_url)}

    async def test_those_on_a_connection_that_somebody_else_owns(self, make_store, face, postgres_url):
        store = make_store()
        await save(store, (User("a"), "users/1"))
        log = watch(store)
        if face.is_async:
            connection = await psycopg.AsyncConnection.connect(postgres_url)
        else:
            connection = psycopg.connect(postgres_url)
        options = SessionOptions(request_executor=RequestExecutor.for_connection(connection))
        async with store.open_session(session_options=options) as session:
            assert await session.load("users/1", User)
        await settle(connection.close())
        assert kinds(log) == [("before", "load"), ("succeed", "load")]
        assert {args.url for _, args in log} == {""}

    async def test_those_in_transactions(self, store):
        log = watch(store)
        async with store.open_session() as session:
            await session.advanced.begin()
            await session.store(User("a"), "users/1")
            await session.save_changes()
            await session.advanced.commit()
            await session.load("users/1", User)
            await session.advanced.begin()
            await session.advanced.begin()
            await session.advanced.rollback()
            await session.advanced.begin()
            await session.advanced.commit()
            await session.load("users/2", User)
            await session.advanced.rollback()
        told = [args.request for kind, args in log if kind == "succeed"]
        names = ["save_changes", "commit", "begin", "rollback", "begin", "commit", "load", "rollback"]
        assert [request.operation for request in told] == names
        assert told[1] == RequestDescription("commit", 1, is_write=True, collections=("Users",))
        assert {args.attempt_number for _, args in log} == {1}

    @pytest.mark.parametrize("level", ["repeatable read", "serializable"])
    async def test_the_end_of_one_that_has_only_read(self, store, level):
        await save(store, (User("a"), "users/1"))
        log = watch(store)
        async with store.open_session(session_options=SessionOptions(isolation_level=level)) as session:
            await session.load("users/1", User)
            await session.save_changes()
            await session.load("users/2", User)
        assert kinds(log)[1::2] == [("succeed", name) for name in ("load", "save_changes", "load", "close")]

    async def test_a_read_that_is_sent_again(self, store, face, postgres_url, database):
        """Its connection is cut while it waits."""
        await save(store, (User("a"), "users/1"))
        log = watch(store)
        session = store.open_session()
        with outsider(postgres_url, database) as program:
            program.hold_table("users")
            loading = begin(face, lambda: session.load("users/1", User))
            await program.until_others_wait()
            with psycopg.connect(postgres_url, autocommit=True) as connection:
                query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                connection.execute(query + "AND query LIKE %s", (f"%{database}%",))
            await program.until_others_wait()
            program.let_go()
            assert await loading == User("a", "", "users/1")
        assert [(kind, args.attempt_number) for kind, args in log] == [("before", 1), ("succeed", 2)]


class TestThoseOfTheStore:
    """Ids, tables, the catalogue, maintenance and operations."""

    async def test_what_first_use_takes(self, store, database):
        log = watch(store, by_store=True)
        await save(store, (User("a"), None), (User("b"), None))
        told = [args for kind, args in log if kind == "succeed"]
        assert kinds(log)[::2] == [("before", args.request.operation) for args in told]
        assert {args.request.operation for args in told} == {"read_catalogue", "create_tables", "take_ids"}
        assert {args.database for args in told} == {database}
        assert ("Users",) in {args.request.collections for args in told if args.request.operation == "create_tables"}
        ranges = [args for args in told if args.request.operation == "take_ids"]
        assert ranges[-1].request == RequestDescription("take_ids", 1, True, ("Users",), by_store=True)
        assert ranges[-1].rows == 1
        log.clear()
        await settle(store.close())
        assert kinds(log)[:2] == [("before", "give_back_ids"), ("succeed", "give_back_ids")]

    async def test_maintenance(self, store, database):
        await save(store, (User("a"), "users/1"))
        log = watch(store, by_store=True)
        await store.maintenance.get_database_names()
        await store.maintenance.get_collection_statistics()
        await store.maintenance.next_identity_for("invoices")
        await store.maintenance.seed_identity_for("invoices", 5)
        await store.maintenance.get_identities()
        await store.maintenance.create_database(f"{database} 2")
        await store.maintenance.delete_database(f"{database} 2")
        told = {(args.request.operation, args.request.collections) for kind, args in log if kind == "succeed"}
        assert told == {
            ("get_database_names", ()),
            ("read_catalogue", ()),
            ("get_collection_statistics", ("Users",)),
            ("next_identity_for", ()),
            ("seed_identity_for", ()),
            ("get_identities", ()),
            ("create_tables", ()),
            ("delete_database", ()),
        }

    async def test_indexes(self, store):
        await save(store, (Indexed("a"), "indexeds/1"))
        await store.maintenance.create_indexes(Indexed)
        log = watch(store, by_store=True)
        await store.maintenance.create_indexes(Indexed)
        assert {name for _, name in kinds(log)} == {"read_catalogue", "create_indexes"}

    async def test_operations(self, store):
        await save(store, (User("a"), "users/1"))
        log = watch(store, by_store=True)
        await store.operations.send(PutCompareExchangeValueOperation("names/a", "users/1", 0))
        assert kinds(log)[-2:] == [
            ("before", "PutCompareExchangeValueOperation"),
            ("succeed", "PutCompareExchangeValueOperation"),
        ]

    async def test_a_refusal(self, store):
        log = watch(store, by_store=True)
        with pytest.raises(InvalidArgumentException, match="no database"):
            await store.maintenance.delete_database("none of this name")
        assert kinds(log) == [("before", "get_database_names"), ("succeed", "get_database_names")]
        assert log[-1][1].request.is_write is False

    async def test_a_handler_may_stop_them(self, store):
        def refuse(args):
            if args.request.operation == "take_ids":
                raise Refusal

        store.add_on_before_request(refuse)
        async with store.open_session() as session:
            with pytest.raises(Refusal):
                await session.store(User("a"))
        store.remove_on_before_request(refuse)
        await save(store, (User("a"), None))

    async def test_what_a_handler_raises_afterwards_comes_out(self, store):
        await save(store, (User("a"), "users/1"))

        @store.add_on_succeed_request
        def refuse(args):
            raise Refusal

        with pytest.raises(Refusal):
            await store.maintenance.next_identity_for("invoices")
        store.remove_on_succeed_request(refuse)
        assert await store.maintenance.get_identities() == {"invoices|": 1}

    @pytest.mark.parametrize("event", ["add_on_before_request", "add_on_succeed_request"])
    async def test_an_index_that_a_handler_cuts_short_is_known_the_next_time(self, make_store, event):
        await save(make_store(), (User("a"), "users/1"))
        conventions = DocumentConventions(indexes={User: [Index(lambda user: user.name)]})
        store = make_store(conventions=conventions)
        writes = []

        def refuse(args):
            writes.extend([args] * args.request.is_write)
            if len(writes) == (2 if event == "add_on_before_request" else 1):  # between the index and its mark
                raise Refusal

        getattr(store, event)(refuse)
        with pytest.raises(Refusal):
            await store.maintenance.create_indexes(User)
        assert await make_store(conventions=conventions).maintenance.create_indexes(User) == []

    async def test_the_store_is_closed_all_the_same(self, make_store, face):
        store = make_store()
        await save(store, (User("a"), None))

        @store.add_on_before_request
        def refuse(args):
            raise Refusal

        with pytest.raises(Refusal):
            await settle(store.close())
        with pytest.raises(StoreClosedException):
            store.open_session()


class TestTransactionsAndHandlers:
    async def test_a_commit_that_is_stopped_may_be_asked_for_again(self, store, rows):
        def refuse(args):
            if args.request.operation == "commit":
                raise Refusal

        await save(store, (User("a"), "users/1"))
        store.add_on_before_request(refuse)
        async with store.open_session() as session:
            await session.advanced.begin()
            user = await session.load("users/1", User)
            user.name = "b"
            await session.save_changes()
            for _ in range(2):
                with pytest.raises(Refusal):
                    await session.advanced.commit()
            store.remove_on_before_request(refuse)
            with pytest.raises(Refusal):
                await session.advanced.commit()  # the session has the handlers that it was opened with
            await session.advanced.rollback()
            assert session.advanced.has_changes()
            await session.save_changes()
        assert rows.data("users", "users/1")["name"] == "b"

    async def test_after_a_commit_it_is_committed(self, store, rows):
        @store.add_on_succeed_request
        def refuse(args):
            if args.request.operation in {"commit", "rollback"}:
                raise Refusal

        async with store.open_session() as session:
            await session.advanced.begin()
            await session.store(User("a"), "users/1")
            await session.save_changes()
            with pytest.raises(Refusal):
                await session.advanced.commit()
            assert not session.advanced.has_changes()
            await session.advanced.begin()
            await session.store(User("b"), "users/2")
            await session.save_changes()
            with pytest.raises(Refusal):
                await session.advanced.rollback()
            assert session.advanced.has_changes()
        assert rows.data("users", "users/1")["name"] == "a"

    async def test_a_rollback_is_never_stopped(self, store, rows):
        @store.add_on_before_request
        def refuse(args):
            if args.request.operation == "rollback":
                raise Refusal

        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            await session.advanced.begin()
            user = await session.load("users/1", User)
            user.name = "b"
            await session.save_changes()
            with pytest.raises(Refusal):
                await session.advanced.rollback()
            await session.load("users/2", User)
            await session.save_changes()
        assert rows.data("users", "users/1")["name"] == "b"

    async def test_nor_that_of_a_nested_transaction(self, store, rows):
        await save(store, (User("a"), "users/1"), (User("a"), "users/2"))

        @store.add_on_before_request
        def refuse(args):
            if args.request.operation == "rollback":
                raise Refusal

        async with store.open_session() as session:
            outer, inner = (await session.load(["users/1", "users/2"], User)).values()
            async with session.advanced.transaction():
                outer.name = "b"
                await session.save_changes()
                with pytest.raises(Refusal):
                    async with session.advanced.transaction():
                        inner.name = "c"
                        await session.save_changes()
                        raise KeyError
            assert session.advanced.has_changed(inner)
        assert rows.data("users", "users/1")["name"] == "b"
        assert rows.data("users", "users/2")["name"] == "a"

    async def test_a_block_whose_commit_is_stopped_is_rolled_back(self, store, rows):
        """Nobody is left who would end what the block has begun."""
        stops = [True]

        @store.add_on_before_request
        def refuse(args):
            if args.request.operation == "commit" and stops:
                raise Refusal

        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            user.name = "b"
            with pytest.raises(Refusal):
                async with session.advanced.transaction():
                    await session.save_changes()
            stops.clear()
            assert rows.data("users", "users/1")["name"] == "a"
            await session.save_changes()
            assert rows.data("users", "users/1")["name"] == "b"

    async def test_one_that_is_left_open_is_rolled_back_with_the_session(self, store, rows):
        @store.add_on_before_request
        def refuse(args):
            if args.request.operation == "close":
                raise Refusal

        await save(store, (User("a"), "users/1"))
        session = store.open_session()
        await session.advanced.begin()
        (await session.load("users/1", User)).name = "b"
        await session.save_changes()
        with pytest.raises(Refusal):
            await session.close()
        await change(store, "users/1", User, name="c")  # nobody holds the row
        assert rows.data("users", "users/1")["name"] == "c"


class TestFailures:
    async def test_a_refused_request(self, store, rows):
        await save(store, (User("a"), "users/1"))
        rows.refuse("users", "name", "b")
        log = watch(store)
        with pytest.raises(RavenException) as caught:
            await change(store, "users/1", User, name="b")
        (_, failed) = log[-1]
        assert kinds(log)[-2:] == [("before", "save_changes"), ("failed", "save_changes")]
        assert failed.exception is caught.value
        assert failed.attempt_number == 1

    async def test_a_conflict(self, store):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        log = watch(store)
        options = SessionOptions(optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES)
        async with store.open_session(session_options=options) as session:
            users = await session.load(["users/1", "users/2"], User)
            await change(store, "users/1", User, name="c")
            for user in users.values():
                user.name = "d"
            log.clear()
            with pytest.raises(ConcurrencyException, match="users/1"):
                await session.save_changes()
        assert [kind for kind, _ in log] == ["before", "failed", "before", "succeed"]

    async def test_what_their_handlers_raise_is_a_note_of_the_error(self, store, rows):
        await save(store, (User("a"), "users/1"))
        rows.refuse("users", "name", "b")

        def fail(args):
            raise Refusal("no disk")

        store.add_on_failed_request(fail)
        with pytest.raises(RavenException) as caught:
            await change(store, "users/1", User, name="b")
        assert caught.value.__notes__ == ["a handler of on_failed_request raised Refusal: no disk"]


class TestHandlersThatRaise:
    async def test_before_a_request_it_is_not_sent(self, store, rows):
        await save(store, (User("a"), "users/1"))

        @store.add_on_before_request
        def refuse(args):
            if args.request.is_write:
                raise Refusal

        async with store.open_session() as session:
            user = await session.load("users/1", User)
            user.name = "b"
            with pytest.raises(Refusal):
                await session.save_changes()
            assert session.advanced.has_changes()
        assert rows.data("users", "users/1")["name"] == "a"

    async def test_after_a_read_it_is_as_if_it_had_failed(self, store):
        await save(store, (User("a"), "users/1"))

        def refuse(args):
            raise Refusal

        store.add_on_succeed_request(refuse)
        session = store.open_session()
        with pytest.raises(Refusal):
            await session.load("users/1", User)
        assert not session.advanced.is_loaded("users/1")
        await session.close()

    async def test_after_a_save_it_has_been_saved(self, store, rows):
        await save(store, (User("a"), "users/1"))

        @store.add_on_succeed_request
        def refuse(args):
            if args.request.is_write:
                raise Refusal

        async with store.open_session() as session:
            (await session.load("users/1", User)).name = "b"
            with pytest.raises(Refusal):
                await session.save_changes()
            assert not session.advanced.has_changes()
            assert await session.load("users/2", User) is None
        assert rows.data("users", "users/1")["name"] == "b"

    async def test_a_conflict_matters_more(self, store):
        await save(store, (User("a"), "users/1"))

        @store.add_on_succeed_request
        def refuse(args):
            if args.request.is_write:
                raise Refusal("no disk")

        async with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            (await session.load("users/1", User)).name = "b"
            with pytest.raises(Refusal):
                await change(store, "users/1", User, name="c")
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
        assert caught.value.__notes__ == ["a handler of on_succeed_request raised Refusal: no disk"]

    async def test_they_cannot_use_the_session(self, store):
        await save(store, (User("a"), "users/1"))
        sessions, refused = [], []

        @store.add_on_before_request
        def use(args):
            with pytest.raises(SessionBusyException):
                sessions[0].advanced.has_changes()
            refused.append(args.request.operation)

        async with store.open_session() as session:
            sessions.append(session)
            await session.load("users/1", User)
        assert refused == ["load"]


class TestTables:
    async def test_a_table_that_somebody_dropped_is_a_failed_request_and_another(
        self, make_store, postgres_url, database
    ):
        store = make_store()
        await save(store, (User("a"), "users/1"))
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f'DROP TABLE "{database}".users')
            connection.execute(f'DELETE FROM "{database}".docsession_collections')
        log = watch(store)
        assert await read(store, "users/1", User) is None
        assert isinstance(log[1][1].exception, TableDoesNotExistException)

    async def test_a_session_has_no_handlers_of_its_own_for_them(self, store):
        assert not hasattr(store.open_session(), "add_on_before_request")
        with pytest.raises(InvalidArgumentException):
            store.remove_on_before_request(print)
