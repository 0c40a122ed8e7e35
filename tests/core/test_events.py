"""What handlers of events are told where the answer to a save is lost or late; no server."""

import asyncio
from dataclasses import dataclass

import pytest

from docsession import DocumentConventions, DocumentSession, OptimisticConcurrencyMode, UnknownOutcomeException
from docsession._documents._mapping import Mappings
from docsession._executors._scripted import ScriptedExecutor
from docsession._port import JSONB_VERSION, NULL_JSONB
from docsession._session._context import SessionContext
from docsession._session._database import Database
from docsession._session._events import Handlers
from docsession._session._observing import Observer
from docsession._sql._schema import HEAD_REVISION

CATALOGUE = [[("items", "Items", "items")], [(HEAD_REVISION,)]]
ROW = ("items/1", JSONB_VERSION + b'{"value":1}', NULL_JSONB, 7, 0)


@dataclass
class Item:
    value: int
    id: str | None = None


def session_on(executor, handlers=None):
    conventions = DocumentConventions()
    context = SessionContext(
        Database("db", executor, conventions),
        Mappings(conventions),
        conventions,
        mode=OptimisticConcurrencyMode.NONE,
        no_tracking=False,
    )
    if handlers is not None:
        context.observer = Observer(handlers, "db", "postgresql://", awaits=False)
    return DocumentSession(context)


def watched(executor, **options):
    session, log = session_on(executor, **options), []
    session.add_before_store(lambda args: log.append("before"))
    session.add_after_save_changes(lambda args: log.append("after"))
    return session, log


class TestALostAnswer:
    def test_what_turns_out_to_be_saved_is_told_of_then(self):
        executor = ScriptedExecutor([CATALOGUE, [[ROW]], UnknownOutcomeException("lost")])
        session, log = watched(executor)
        session.load("items/1", Item).value = 2
        with pytest.raises(UnknownOutcomeException):
            session.save_changes()
        assert log == ["before"]
        version = executor.requests[-1].params[0][3]
        executor.add([[("items/1", version)]])
        session.save_changes()
        assert log == ["before", "after"]
        assert not session.advanced.has_changes()
        executor.assert_all_answered()

    def test_what_turns_out_not_to_be_is_told_of_again(self):
        executor = ScriptedExecutor([CATALOGUE, [[ROW]], UnknownOutcomeException("lost")])
        session, log = watched(executor)
        session.load("items/1", Item).value = 2
        with pytest.raises(UnknownOutcomeException):
            session.save_changes()
        executor.add([[("items/1", 7)]], [[(9,)]])
        session.save_changes()
        assert log == ["before", "before", "after"]

    def test_what_was_saved_is_told_of_though_the_next_save_is_stopped(self):
        executor = ScriptedExecutor([CATALOGUE, [[ROW]], UnknownOutcomeException("lost")])
        session, log = watched(executor)
        item = session.load("items/1", Item)
        item.value = 2
        with pytest.raises(UnknownOutcomeException):
            session.save_changes()

        def stop(args):
            raise ZeroDivisionError

        executor.add([[("items/1", executor.requests[-1].params[0][3])]])
        item.value = 3
        session_handlers = session._core.context
        session_handlers.handlers = Handlers(
            before_store=(stop,), after_save_changes=session_handlers.handlers.after_save_changes
        )
        with pytest.raises(ZeroDivisionError):
            session.save_changes()
        assert log == ["before", "after"]
        assert session.advanced.has_changes()


class TestACancelledSave:
    def answer(self, request):
        request.cancelled = asyncio.CancelledError()
        return [[(9,)]]

    def test_what_was_saved_is_told_of(self):
        session, log = watched(ScriptedExecutor([CATALOGUE, [[ROW]], self.answer]))
        session.load("items/1", Item).value = 2
        with pytest.raises(asyncio.CancelledError):
            session.save_changes()
        assert log == ["before", "after"]
        assert not session.advanced.has_changes()

    def test_the_cancellation_comes_before_what_handlers_raise(self):
        def fail(args):
            raise ZeroDivisionError("late")

        handlers = Handlers(on_succeed_request=(fail,))
        session, _ = watched(ScriptedExecutor([CATALOGUE, [[ROW]], self.answer]))
        session.load("items/1", Item).value = 2
        session._core.context.observer = Observer(handlers, "db", "postgresql://", awaits=False)
        session.add_after_save_changes(fail)
        with pytest.raises(asyncio.CancelledError) as caught:
            session.save_changes()
        assert caught.value.__notes__ == ["a handler of after_save_changes raised ZeroDivisionError: late"]
        assert not session.advanced.has_changes()


class TestTheStatements:
    def test_are_those_of_a_save_without_handlers(self):
        sent = []
        for prepare in (session_on, lambda executor: watched(executor)[0]):
            executor = ScriptedExecutor([CATALOGUE, [[ROW]], [[(9,)]]])
            session = prepare(executor)
            session.load("items/1", Item).value = 2
            session.save_changes()
            sent.append([request.sql for request in executor.requests])
        assert sent[0] == sent[1]

    def test_a_connection_that_breaks_before_anything_is_sent(self):
        log = []
        handlers = Handlers(on_failed_request=(lambda args: log.append((args.attempt_number, str(args.exception))),))
        session = session_on(ScriptedExecutor([CATALOGUE, ZeroDivisionError("no network")]), handlers)
        with pytest.raises(ZeroDivisionError):
            session.load("items/1", Item)
        assert log == [(1, "no network")]
