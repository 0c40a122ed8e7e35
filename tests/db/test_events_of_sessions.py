"""Handlers of stores and sessions: how they are added and removed, and when sessions and stores begin and end."""

import asyncio
import functools
import gc
import threading

import pytest

from docsession import (
    DocumentConventions,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    SessionBusyException,
    StoreClosedException,
)
from tests.support.documents import read, save
from tests.support.events import EVENTS, Entry, Refusal, User, told
from tests.support.operations import SESSION_EVENTS

STORE_EVENTS = (
    *EVENTS,
    "on_session_creation",
    "on_session_closing",
    "on_before_request",
    "on_succeed_request",
    "on_failed_request",
    "before_close",
    "after_close",
)
AT_ONCE = ("on_session_creation", "before_conversion_to_entity", "after_conversion_to_entity")


async def coroutine_function(*args):
    raise AssertionError("nobody awaits it")


class Callable:
    async def __call__(self, args):
        raise AssertionError


def real(session):
    return getattr(session, "wrapped", session)


class TestAdding:
    async def test_a_handler_of_the_store_is_one_of_the_sessions_opened_from_then_on(self, store):
        before = store.open_session()
        log = told(store, "before_store")
        after = store.open_session()
        handler = store.add_before_store(lambda args: log.append("later"))
        store.remove_before_store(handler)
        for session, key in ((before, "users/1"), (after, "users/2")):
            await session.store(User("a"), key)
            await session.save_changes()
            await session.close()
        assert log == [("before_store", "users/2")]

    async def test_a_handler_of_a_session_is_its_alone(self, store):
        async with store.open_session() as session, store.open_session() as other:
            log = told(session)
            for each, key in ((session, "users/1"), (other, "users/2")):
                await each.store(User("a"), key)
                await each.save_changes()
        assert {key for _, key in log} == {"users/1"}

    async def test_a_session_and_its_advanced_part_have_the_same_handlers(self, store):
        async with store.open_session() as session:
            log = told(session.advanced, "before_store")
            handler = session.advanced.add_before_store(lambda args: log.append(args.session))
            await session.store(User("a"), "users/1")
            await session.save_changes()
            assert log == [("before_store", "users/1"), real(session)]
            session.remove_before_store(handler)
            await session.store(User("a"), "users/2")
            await session.save_changes()
        assert log[2:] == [("before_store", "users/2")]

    async def test_every_handler_can_be_taken_out_again(self, store):
        def refuse(*args):
            raise Refusal

        session = store.open_session()
        for owner, events in ((store, STORE_EVENTS), (session, SESSION_EVENTS)):
            for event in events:
                remove = getattr(owner, f"remove_{event}")
                assert getattr(owner, f"add_{event}")(refuse) is refuse
                remove(refuse)
                with pytest.raises(InvalidArgumentException, match=rf"refuse is no handler of \w*{event}"):
                    remove(refuse)
        await session.store(User("a"), "users/1")
        await session.save_changes()
        await session.close()
        assert await read(store, "users/1", User)
        await store.close()

    async def test_a_handler_that_was_added_twice_is_called_twice(self, store):
        log = []

        class Keeper:
            def keep(self, args):
                log.append(args.document_id)

        keeper = Keeper()
        async with store.open_session() as session:
            session.add_before_store(keeper.keep)
            session.add_before_store(keeper.keep)
            await session.store(User("a"), "users/1")
            await session.save_changes()
            session.remove_before_store(keeper.keep)
            await session.store(User("a"), "users/2")
            await session.save_changes()
        assert log == ["users/1", "users/1", "users/2"]

    async def test_what_cannot_be_called_is_refused(self, store):
        with pytest.raises(InvalidArgumentTypeException, match=r"handler of before_store is a function of one"):
            store.add_before_store("name")
        with pytest.raises(InvalidArgumentTypeException, match=r"handler of on_session_closing"):
            store.open_session().add_session_closing(None)

    async def test_threads_add_and_open_at_once(self, store):
        store.open_session()
        log = []

        def work():
            for _ in range(50):
                store.remove_before_store(store.add_before_store(log.append))
                store.open_session()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        await save(store, (User("a"), "users/1"))
        assert log == []


class TestCoroutineFunctions:
    @pytest.mark.parametrize("handler", [coroutine_function, functools.partial(coroutine_function, 1), Callable()])
    async def test_they_are_refused_where_nothing_awaits_them(self, store, face, handler):
        words = "plain function on both faces" if face.is_async else "which AsyncDocumentStore awaits"
        for event in STORE_EVENTS:
            add = getattr(store, f"add_{event}")
            if face.is_async and event not in AT_ONCE:
                add(handler)
                getattr(store, f"remove_{event}")(handler)
            else:
                with pytest.raises(InvalidArgumentTypeException, match=rf"handler of {event} .*{words}"):
                    add(handler)

    async def test_they_are_awaited_on_the_async_face(self, store, face):
        if not face.is_async:
            return
        log = []

        def handler(event):
            async def handle(*args):
                await asyncio.sleep(0)
                log.append(event)

            return handle

        for event in STORE_EVENTS:
            if event not in AT_ONCE:
                getattr(store, f"add_{event}")(handler(event))
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.delete(await session.load("users/1", User))
            await session.save_changes()
        await store.close()
        assert set(STORE_EVENTS) - set(log) == {*AT_ONCE, "on_failed_request"}

    @pytest.mark.parametrize("event", ["before_store", "before_conversion_to_entity"])
    async def test_what_returns_something_to_await_is_refused_where_nothing_awaits_it(self, store, face, event):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            getattr(session, f"add_{event}")(lambda args: coroutine_function())
            if face.is_async and event == "before_store":
                expected, words = AssertionError, "^nobody awaits it$"
            else:
                expected, words = InvalidArgumentTypeException, f"handler of {event}, returned something to await"
            with pytest.raises(expected, match=words):
                await session.load("users/1", User)
                await session.store(User("a"), "users/2")
                await session.save_changes()


class TestTheSessionThatHandlersAreGiven:
    async def test_it_is_the_one_that_the_user_has(self, store):
        seen = []
        store.add_on_session_creation(lambda args: seen.append(args.session))
        store.add_before_store(lambda args: seen.append(args.session))
        store.add_on_session_closing(lambda args: seen.append(args.session))
        async with store.open_session() as session:
            await session.store(User("a"), "users/1")
            await session.save_changes()
        assert seen == [real(session)] * 3

    async def test_it_is_there_where_nobody_holds_it_any_more(self, store, face):
        await save(store, (User("users/2"), "users/1"), (User("b"), "users/2"))
        seen = []
        store.add_after_conversion_to_entity(lambda args: seen.append(args.session.advanced.number_of_requests))
        assert await store.open_session().include("name").load("users/1", User)
        advanced = store.open_session().advanced
        gc.collect()
        assert len(await advanced.load_starting_with("users/", User)) == 2
        assert seen == [1, 1, 1]

    async def test_handlers_do_not_keep_sessions_alive(self, store):
        """A session that nobody holds is gone at once, as one without handlers."""
        told(store)
        gc.disable()
        try:
            session = store.open_session()
            assert not session.advanced.has_changes()
            core = real(session)._core
            reference = real(core.context.face)._reference
            del session, core
            assert reference() is None
        finally:
            gc.enable()

    async def test_nobody_else_uses_it_meanwhile(self, store, face):
        """The handler's own thread and task alone may use the session in the middle of an operation."""
        refused = []

        def from_elsewhere(session):
            call = session.load("users/1", User)
            if face.is_async:
                call.send(None)

        @store.add_before_store
        def use_elsewhere(args):
            def work():
                with pytest.raises(SessionBusyException, match=r"^load\(\) was called while save_changes\(\)"):
                    from_elsewhere(args.session)
                refused.append(True)

            thread = threading.Thread(target=work)
            thread.start()
            thread.join()

        await save(store, (User("a"), "users/1"))
        assert refused == [True]

    async def test_a_task_that_a_handler_begins_does_not(self, store, face):
        if not face.is_async:
            return
        outcomes = []

        @store.add_before_store
        async def gather(args):
            outcomes.extend(await asyncio.gather(args.session.load("users/9", User), return_exceptions=True))
            assert await args.session.load("users/9", User) is None

        await save(store, (User("a"), "users/1"))
        assert [type(each) for each in outcomes] == [SessionBusyException]


class TestOpening:
    async def test_handlers_may_add_handlers_to_the_session(self, store):
        log = []

        @store.add_on_session_creation
        def prepare(args):
            args.session.add_before_store(lambda before: log.append(before.document_id))
            args.session.advanced.max_number_of_requests_per_session = 5

        async with store.open_session() as session:
            assert session.advanced.max_number_of_requests_per_session == 5
            await session.store(User("a"), "users/1")
            await session.save_changes()
        assert log == ["users/1"]

    async def test_what_they_raise_comes_out(self, store):
        def refuse(args):
            raise Refusal

        store.add_on_session_creation(refuse)
        with pytest.raises(Refusal):
            store.open_session()


class TestClosing:
    async def test_once_however_the_session_is_closed(self, store):
        log = []
        store.add_on_session_closing(lambda args: log.append("store"))
        async with store.open_session() as session:
            session.add_session_closing(lambda args: log.append("session"))
            await session.close()
            await session.close()
        assert log == ["store", "session"]
        with pytest.raises(ZeroDivisionError):
            async with store.open_session():
                raise ZeroDivisionError
        assert log == ["store", "session", "store"]

    async def test_a_handler_may_save(self, store, face, rows):
        @store.add_on_session_closing
        @face.handler
        async def save_all(args):
            await args.session.store(Entry("closing"), "entries/1")
            await args.session.save_changes()

        async with store.open_session() as session:
            await session.store(User("a"), "users/1")
        assert rows.ids("users") == ["users/1"]
        assert rows.ids("entries") == ["entries/1"]

    async def test_a_handler_may_commit(self, store, face, rows):
        @store.add_on_session_closing
        @face.handler
        async def commit(args):
            await args.session.advanced.commit()

        async with store.open_session() as session:
            await session.advanced.begin()
            await session.store(User("a"), "users/1")
            await session.save_changes()
        assert rows.ids("users") == ["users/1"]

    async def test_a_session_is_closed_whatever_its_handlers_raise(self, store):
        def refuse(args):
            raise Refusal

        store.add_on_session_closing(refuse)
        session = store.open_session()
        with pytest.raises(Refusal):
            await session.close()
        assert "closed" in repr(real(session))
        await session.close()

    async def test_a_store(self, make_store):
        store = make_store()
        log = []
        store.add_before_close(lambda: log.append(("before", store.disposed)))
        store.add_after_close(lambda: log.append(("after", store.disposed)))
        await save(store, (User("a"), "users/1"))
        await store.close()
        await store.close()
        assert log == [("before", False), ("after", True)]

    async def test_a_store_that_was_never_used(self, make_store):
        store = make_store(conventions=DocumentConventions())
        log = []
        store.add_before_close(lambda: log.append("before"))
        store.add_after_close(lambda: log.append("after"))
        async with store:
            pass
        assert log == ["before", "after"]

    async def test_before_a_store_is_closed_it_can_be_used(self, store, face, rows):
        @store.add_before_close
        @face.handler
        async def last():
            await save(store, (Entry("last"), "entries/1"))

        await save(store, (User("a"), "users/1"))
        await store.close()
        assert rows.ids("entries") == ["entries/1"]

    async def test_a_store_is_closed_whatever_its_handlers_raise(self, store):
        log = []

        def refuse():
            raise Refusal

        store.add_before_close(refuse)
        store.add_after_close(lambda: log.append(store.disposed))
        with pytest.raises(Refusal):
            await store.close()
        assert log == [True]
        with pytest.raises(StoreClosedException):
            store.open_session()
