"""What a store tells the summary of an HTTP request."""

import asyncio

import pytest

from docsession import RavenException
from docsession.contrib._http import RequestSummary, watch_requests
from tests.support.documents import read, save
from tests.support.events import User


@pytest.fixture
def watched(store):
    watch_requests(getattr(store, "wrapped", store))
    return store


async def test_what_is_sent_inside_is_counted_and_nothing_else(watched):
    await save(watched, (User("a"), "users/1"), (User("b"), "users/2"))
    with RequestSummary.collect() as summary:
        async with watched.open_session() as session:
            await session.load(["users/1", "users/2"], User)
            await session.load("users/1", User)
            with pytest.raises(RavenException):
                await session.query_sql(User, "SELECT * FROM {table} WHERE 1 / 0 = 1").all()
    await read(watched, "users/1", User)
    assert (summary.count, summary.failed, summary.rows) == (2, 1, 2)
    assert 0 < summary.seconds < 60


async def test_a_loop_of_loads_is_named_with_its_line(watched):
    await save(watched, *((User("a"), f"users/{i}") for i in range(4)))
    with RequestSummary.collect() as summary:
        async with watched.open_session() as session:
            for i in range(4):
                await session.load(f"users/{i}", User)
    (repetition,) = summary.repetitions
    assert (repetition.operation, repetition.count) == ("load", 4)
    assert repetition.place.startswith(("test_summary.py:", "faces.py:"))


async def test_requests_of_several_tasks_keep_their_own_counts(watched):
    await save(watched, *((User("a"), f"users/{i}") for i in range(3)))

    async def answer(count):
        with RequestSummary.collect() as summary:
            for i in range(count):
                await asyncio.gather(read(watched, f"users/{i}", User))
        return summary.count

    assert await asyncio.gather(*map(answer, (1, 2, 3))) == [1, 2, 3]


async def test_a_store_that_is_watched_twice_counts_once(watched):
    watch_requests(getattr(watched, "wrapped", watched))
    with RequestSummary.collect() as summary:
        await save(watched, (User("a"), "users/1"))
    assert summary.count == 1
