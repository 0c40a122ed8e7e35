"""What `autosave` does to a session at the end of a request."""

import pytest

from docsession import UnknownOutcomeException
from docsession._executors._scripted import ScriptedExecutor
from docsession._faces._run import run
from docsession.contrib._http import save_session
from tests.core.test_events import CATALOGUE, ROW, Item, session_on
from tests.support.beside import settle
from tests.support.documents import read
from tests.support.events import User


async def ended(session):
    await settle(save_session(getattr(session, "wrapped", session)))


async def test_it_is_saved_and_committed(store):
    async with store.open_session() as session:
        await session.advanced.begin()
        await session.advanced.begin()
        await session.store(User("a"), "users/1")
        await ended(session)
        assert not session.advanced.in_transaction
    assert (await read(store, "users/1", User)).name == "a"


async def test_one_that_is_closed_is_left_alone(store):
    session = store.open_session()
    await session.store(User("a"), "users/1")
    await session.close()
    await ended(session)
    assert await read(store, "users/1", User) is None


def test_where_the_answer_is_lost_the_server_is_asked():
    """It says twice that the document is as it was; the third time is the last."""
    lost, unchanged = UnknownOutcomeException("lost"), [[("items/1", 7)]]
    executor = ScriptedExecutor([CATALOGUE, [[ROW]], lost, unchanged, lost, unchanged, lost])
    session = session_on(executor)
    session.load("items/1", Item).value = 2
    with pytest.raises(UnknownOutcomeException):
        run(save_session(session))
    executor.assert_all_answered()
