import asyncio

import pytest

from docsession._errors import InvalidOperationException, StoreClosedException, UnknownOutcomeException
from docsession._executors._scripted import Recorded, ScriptedExecutor
from docsession._faces._run import run
from docsession._port import Request, Statement

ONE = Statement(b"SELECT $1", ["x"])
TWO = Statement(b"SELECT 2")


def test_it_answers_in_order_and_keeps_what_it_was_asked():
    executor = ScriptedExecutor([[[(1,)], []], lambda request: [[(len(request.statements),)]]])
    request = Request([ONE, TWO], transaction=True, write=True)
    assert run(executor.run(request)) == [[(1,)], []]
    assert request.sent
    assert run(executor.run_apart(lambda: Request([TWO]))) == [[(1,)]]
    assert executor.requests == [
        Recorded((("SELECT $1", ("x",)), ("SELECT 2", ())), transaction=True, write=True, apart=False),
        Recorded((("SELECT 2", ()),), transaction=False, write=False, apart=True),
    ]
    assert executor.requests[0].sql == ["SELECT $1", "SELECT 2"]
    assert executor.requests[0].params == [("x",), ()]
    executor.assert_all_answered()


def test_an_error_is_raised_after_the_request_was_sent():
    executor = ScriptedExecutor([UnknownOutcomeException("lost")])
    request = Request([ONE], write=True)
    with pytest.raises(UnknownOutcomeException, match="lost"):
        run(executor.run(request))
    assert request.sent


def test_a_request_beyond_the_script_shows_itself():
    with pytest.raises(AssertionError, match=r"no answer left for Recorded.*SELECT \$1"):
        run(ScriptedExecutor().run(Request([ONE])))


def test_beyond_the_script_a_rule_may_answer():
    executor = ScriptedExecutor([[[("script",)]]], otherwise=lambda statement: [(statement.sql,)])
    assert run(executor.run(Request([ONE]))) == [[("script",)]]
    assert run(executor.run(Request([ONE, TWO]))) == [[(b"SELECT $1",)], [(b"SELECT 2",)]]


def test_an_answer_for_another_number_of_statements_is_a_mistake_of_the_script():
    with pytest.raises(AssertionError, match="more or less"):
        run(ScriptedExecutor([[[]]]).run(Request([ONE, TWO])))


def test_answers_that_nobody_asked_for():
    executor = ScriptedExecutor()
    executor.add([[]])
    with pytest.raises(AssertionError, match="1 answers"):
        executor.assert_all_answered()


def test_nothing_to_do_apart_is_no_request():
    executor = ScriptedExecutor()
    assert run(executor.run_apart(lambda: None)) == []
    assert executor.requests == []


def test_a_stream_is_one_answer():
    executor = ScriptedExecutor([[[(1,), (2,)]]])

    async def collect():
        return [row async for row in executor.stream(TWO, 10)]

    assert asyncio.run(collect()) == [(1,), (2,)]


def test_after_close_nothing_is_answered():
    executor = ScriptedExecutor([[[]]])
    run(executor.close())
    run(executor.close())
    with pytest.raises(StoreClosedException):
        run(executor.run(Request([ONE])))


def test_one_that_suspends_is_noticed_by_the_blocking_face():
    with pytest.raises(InvalidOperationException, match="suspends"):
        run(ScriptedExecutor([[[]]], suspends=True).run(Request([ONE])))
    assert asyncio.run(ScriptedExecutor([[[]]], suspends=True).run(Request([ONE]))) == [[]]
