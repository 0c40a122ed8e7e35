"""The requests that a session's transaction consists of, in order; no server."""

from dataclasses import dataclass

import pytest

from docsession import DocumentConventions, OptimisticConcurrencyMode, TransactionRetryException
from docsession._documents._mapping import Mappings
from docsession._executors._scripted import ScriptedExecutor
from docsession._faces._run import run
from docsession._port import JSONB_VERSION, NULL_JSONB
from docsession._session._context import SessionContext
from docsession._session._core import SessionCore
from docsession._session._database import Database
from docsession._sql._schema import HEAD_REVISION

CATALOGUE = [[("items", "Items", "items")]]
FIRST_CATALOGUE = [*CATALOGUE, [(HEAD_REVISION,)]]
NUMBER = [("731",)]
"""That of the transaction, which its first write asks for."""
ROW = ("items/1", JSONB_VERSION + b'{"value":1}', NULL_JSONB, 7, 0)


@dataclass
class Item:
    value: int
    id: str | None = None


def session_on(executor, **options):
    conventions = DocumentConventions()
    context = SessionContext(
        Database("db", executor, conventions),
        Mappings(conventions),
        conventions,
        mode=OptimisticConcurrencyMode.NONE,
        no_tracking=False,
        **options,
    )
    return SessionCore(context)


def story(executor):
    """What was sent, each request as (kind, number of statements)."""
    told = []
    for request in executor.requests:
        kind = "apart" if request.apart else "within" if request.within else "alone"
        told.append((f"{kind} {request.verb}".rstrip(), len(request.statements)))
    return told


class TestBegin:
    def test_saves_are_parts_of_it_and_its_end_is_a_request_of_its_own(self):
        executor = ScriptedExecutor([FIRST_CATALOGUE, [[ROW]], [[(9,)], NUMBER], [[(10,)]]])
        session = session_on(executor)
        run(session.begin(None))
        item = run(session.loads.load("items/1", Item))
        for value in (2, 3):
            item.value = value
            run(session.save_changes(None))
        run(session.commit())
        assert story(executor) == [("apart", 2), ("within", 1), ("within", 2), ("within", 1), ("within commit", 0)]
        executor.assert_all_answered()

    def test_a_nested_one_is_a_savepoint(self):
        executor = ScriptedExecutor([FIRST_CATALOGUE, [[ROW]]])
        session = session_on(executor)
        run(session.begin(None))
        run(session.begin(None))
        run(session.loads.load("items/1", Item))
        run(session.rollback())
        run(session.begin(None))
        run(session.commit())
        run(session.commit())
        assert [kind for kind, _ in story(executor)] == [
            "within savepoint",
            "apart",
            "within",
            "within rollback to",
            "within savepoint",
            "within release",
            "within commit",
        ]

    def test_new_pairs_of_prefix_and_collection_are_recorded_beside_it(self):
        executor = ScriptedExecutor([FIRST_CATALOGUE, CATALOGUE, [[]], [[(1,)], [(9,)], NUMBER]])
        session = session_on(executor)
        run(session.begin(None))
        run(session.storing.store(Item(1), "others/1", ""))
        run(session.save_changes(None))
        assert [kind for kind, _ in story(executor)][:3] == ["apart", "apart", "apart"]
        assert "docsession_collections" in executor.requests[2].sql[0]
        assert executor.requests[2].write


class TestIsolationLevels:
    def test_the_flush_carries_the_commit(self):
        executor = ScriptedExecutor([FIRST_CATALOGUE, [[ROW]], [[(9,)]]])
        session = session_on(executor, isolation_level="serializable")
        item = run(session.loads.load("items/1", Item))
        item.value = 2
        run(session.save_changes(None))
        assert story(executor) == [("apart", 2), ("within", 1), ("within commit", 1)]

    def test_a_save_of_nothing_ends_it_too(self):
        executor = ScriptedExecutor([FIRST_CATALOGUE, [[ROW]]])
        session = session_on(executor, isolation_level="serializable")
        run(session.loads.load("items/1", Item))
        run(session.save_changes(None))
        assert story(executor) == [("apart", 2), ("within", 1), ("within commit", 0)]

    def test_a_refused_read_ends_it(self):
        executor = ScriptedExecutor([FIRST_CATALOGUE, TransactionRetryException("no"), [[ROW]]])
        session = session_on(executor, isolation_level="serializable")
        with pytest.raises(TransactionRetryException):
            run(session.loads.load("items/1", Item))
        run(session.loads.load("items/1", Item))
        assert [kind for kind, _ in story(executor)] == ["apart", "within", "within rollback", "within"]

    def test_closing_ends_it(self):
        executor = ScriptedExecutor([FIRST_CATALOGUE, [[ROW]]])
        session = session_on(executor, isolation_level="serializable")
        run(session.loads.load("items/1", Item))
        run(session.close())
        assert story(executor)[-1] == ("within rollback", 0)

    def test_without_a_request_nothing_is_sent(self):
        executor = ScriptedExecutor()
        session = session_on(executor, isolation_level="serializable")
        run(session.close())
        assert executor.requests == []
