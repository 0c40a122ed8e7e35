"""Events of saves that fail or succeed, and what handlers cannot do."""

import psycopg
import pytest

from docsession import (
    ConcurrencyException,
    OptimisticConcurrencyMode,
    RequestExecutor,
    SessionBusyException,
    SessionOptions,
)
from tests.support.beside import settle
from tests.support.documents import read, save
from tests.support.events import Entry, Refusal, User, told

TRANSACTIONS = ("begin", "commit", "rollback")


class TestRaising:
    @pytest.mark.parametrize(
        "event",
        ["before_store", "before_delete", "before_conversion_to_document", "after_conversion_to_document"],
    )
    async def test_a_handler_that_raises_stops_the_save(self, store, rows, event):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))

        def refuse(args):
            raise Refusal(event)

        async with store.open_session() as session:
            getattr(session, f"add_{event}")(refuse)
            users = await session.load(["users/1", "users/2"], User)
            users["users/1"].name = "c"
            session.delete(users["users/2"])
            with pytest.raises(Refusal, match=event):
                await session.save_changes()
            assert session.advanced.number_of_requests == 1
            assert rows.ids("users") == ["users/1", "users/2"]
            assert rows.data("users", "users/1")["name"] == "a"
            assert set(session.advanced.what_changed()) == {"users/1", "users/2"}
            getattr(session, f"remove_{event}")(refuse)
            await session.save_changes()
        assert rows.ids("users") == ["users/1"]
        assert rows.data("users", "users/1")["name"] == "c"

    async def test_what_handlers_did_before_stays_in_the_session(self, store, face, rows):
        async with store.open_session() as session:

            @session.add_before_store
            @face.handler
            async def refuse(args):
                if isinstance(args.entity, User):
                    args.entity.stamp = "looked at"
                    await args.session.store(Entry("kept"), "entries/1")
                    raise Refusal

            await session.store(user := User("a"), "users/1")
            with pytest.raises(Refusal):
                await session.save_changes()
            assert user.stamp == "looked at"
            session.remove_before_store(refuse)
            await session.save_changes()
        assert rows.data("users", "users/1") == {"name": "a", "stamp": "looked at"}
        assert rows.ids("entries") == ["entries/1"]

    async def test_after_the_save_it_has_been_saved(self, store, rows):
        log = []

        def fail(args):
            log.append(args.document_id)
            raise Refusal

        async with store.open_session() as session:
            session.add_after_save_changes(fail)
            await session.store(User("a"), "users/1")
            await session.store(User("b"), "users/2")
            with pytest.raises(Refusal):
                await session.save_changes()
            assert not session.advanced.has_changes()
            await session.save_changes()
        assert log == ["users/1"]
        assert rows.ids("users") == ["users/1", "users/2"]

    async def test_a_refused_save_tells_nobody_of_its_success(self, store):
        await save(store, (User("a"), "users/1"))
        log = told(store, "before_store", "after_save_changes")
        options = SessionOptions(optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES)
        async with store.open_session(session_options=options) as session:
            user = await session.load("users/1", User)
            user.name = "b"
            async with store.open_session() as other:
                (await other.load("users/1", User)).name = "c"
                await other.save_changes()
            log.clear()
            for _ in range(2):
                with pytest.raises(ConcurrencyException):
                    await session.save_changes()
            assert log == [("before_store", "users/1")] * 2


class TestAfterSaveChanges:
    async def test_the_new_state_is_there(self, store, rows):
        seen = []

        @store.add_after_save_changes
        def look(args):
            advanced = args.session.advanced
            seen.append((args.document_id, args.entity, advanced.has_changes()))
            seen.append((args.document_metadata["@change-vector"], advanced.get_change_vector_for(args.entity)))

        await save(store, (user := User("a"), "users/1"))
        version = str(rows.version("users", "users/1"))
        assert seen == [("users/1", user, False), (version, version)]

    async def test_it_is_not_called_for_deletions(self, store):
        await save(store, (User("a"), "users/1"))
        log = told(store, "after_save_changes")
        async with store.open_session() as session:
            session.delete("users/1")
            await session.save_changes()
        assert log == []

    async def test_what_it_stores_waits_for_the_next_save(self, store, face):
        async with store.open_session() as session:

            @session.add_after_save_changes
            @face.handler
            async def follow(args):
                if isinstance(args.entity, User):
                    await args.session.store(Entry("later"), "entries/1")

            await session.store(User("a"), "users/1")
            await session.save_changes()
            assert session.advanced.has_changes()
            await session.save_changes()
            assert not session.advanced.has_changes()
        assert await read(store, "entries/1", Entry) == Entry("later", "entries/1")

    async def test_in_a_transaction_it_follows_the_save(self, store):
        log = told(store, "before_store", "after_save_changes")
        async with store.open_session() as session:
            await session.advanced.begin()
            await session.store(user := User("a"), "users/1")
            await session.save_changes()
            assert log == [("before_store", "users/1"), ("after_save_changes", "users/1")]
            await session.advanced.rollback()
            await session.save_changes()
            assert log == [("before_store", "users/1"), ("after_save_changes", "users/1")] * 2
        assert await read(store, "users/1", User) == user

    async def test_what_somebody_elses_rollback_has_undone_is_told_of_again(self, store, face, postgres_url):
        """The session finds out in the middle of the next save, whose own documents are told of once."""
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        if face.is_async:
            connection = await psycopg.AsyncConnection.connect(postgres_url)
        else:
            connection = psycopg.connect(postgres_url)
        options = SessionOptions(request_executor=RequestExecutor.for_connection(connection))
        async with store.open_session(session_options=options) as session:
            users = await session.load(["users/1", "users/2"], User)
            log = told(session, "before_store", "after_save_changes")
            session.add_after_conversion_to_document(lambda args: args.document.update(shown=args.document["name"]))
            users["users/1"].name = "c"
            await session.save_changes()
            await settle(connection.rollback())
            users["users/2"].name = "d"
            log.clear()
            await session.save_changes()
            await settle(connection.commit())
        await settle(connection.close())
        assert sorted(log) == [
            (event, f"users/{i}") for event in ("after_save_changes", "before_store") for i in (1, 2)
        ]
        assert (await read(store, "users/1"))["shown"] == "c"
        assert (await read(store, "users/2"))["shown"] == "d"

    async def test_with_an_isolation_level(self, store, face, rows):
        await save(store, (User("total 0"), "users/total"))
        log = told(store, "before_store", "after_save_changes")

        @store.add_before_store
        @face.handler
        async def count(args):
            if isinstance(args.entity, Entry):
                (await args.session.load("users/total", User)).name = "total 1"

        options = SessionOptions(isolation_level="repeatable read")
        async with store.open_session(session_options=options) as session:
            await session.store(Entry("a"), "entries/1")
            await session.save_changes()
        assert rows.data("users", "users/total")["name"] == "total 1"
        assert len(log) == 4


class TestInsideAHandler:
    @pytest.mark.parametrize("event", ["before_store", "after_save_changes", "after_conversion_to_document"])
    async def test_the_session_is_neither_saved_nor_closed(self, store, face, rows, event):
        refused = []

        @face.handler
        async def handler(args):
            session = args.session
            for owner, operations in ((session, ("save_changes", "close")), (session.advanced, TRANSACTIONS)):
                for name in operations:
                    words = rf"^{name}\(\) .* in the middle of save_changes\(\), where handlers of {event} are called"
                    with pytest.raises(SessionBusyException, match=words):
                        await getattr(owner, name)()
                    refused.append(name)

        getattr(store, f"add_{event}")(handler)
        await save(store, (User("a"), "users/1"))
        assert refused[:5] == ["save_changes", "close", *TRANSACTIONS]
        assert rows.ids("users") == ["users/1"]

    async def test_handlers_of_loads_inside_it_are_called(self, store, face):
        await save(store, (Entry("a"), "entries/1"))
        log = told(store, "before_store", "after_conversion_to_entity")

        @store.add_before_store
        @face.handler
        async def look(args):
            await args.session.load("entries/1", Entry)

        await save(store, (User("a"), "users/1"))
        assert log == [("before_store", "users/1"), ("after_conversion_to_entity", "entries/1")]

    async def test_another_session_of_the_store_saves(self, store, face, rows):
        @store.add_before_store
        @face.handler
        async def beside(args):
            if isinstance(args.entity, User):
                await save(store, (Entry("beside"), "entries/1"))

        await save(store, (User("a"), "users/1"))
        assert rows.ids("entries") == ["entries/1"]

    async def test_it_may_take_the_last_one_out(self, store, rows):
        async with store.open_session() as session:

            @session.add_before_store
            def once(args):
                args.session.remove_before_store(once)

            await session.store(User("a"), "users/1")
            await session.store(User("b"), "users/2")
            await session.save_changes()
        assert rows.ids("users") == ["users/1", "users/2"]

    async def test_it_may_add_and_remove_handlers(self, store):
        log = []

        def once(args):
            log.append(args.document_id)
            args.session.remove_before_store(once)
            args.session.add_after_save_changes(lambda after: log.append(f"saved {after.document_id}"))

        async with store.open_session() as session:
            session.add_before_store(once)
            await session.store(User("a"), "users/1")
            await session.store(User("b"), "users/2")
            await session.save_changes()
        assert log == ["users/1", "saved users/1", "saved users/2"]
