"""Events of queries: handlers see a query before it is asked, and may ask for less."""

import pytest

from docsession import (
    DocSessionError,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    Query,
    count,
    matches,
)
from tests.support.documents import save
from tests.support.events import Entry, Refusal, User, told

KINDS = ["all", "first", "first_or_none", "one", "one_or_none", "count", "any", "page"]


async def numbered(store, count=3):
    await save(store, *((User(f"name {i}"), f"users/{i}") for i in range(count)))


class TestBeforeQuery:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_each_query_is_told_of_once(self, store, kind):
        await numbered(store, 1)
        seen = []
        async with store.open_session() as session:
            session.add_before_query(lambda args: seen.append((args.session, args.query_customization.query)))
            await getattr(session.query(User).where(name="name 0"), kind)()
            ((given, query),) = seen
            assert given is getattr(session, "wrapped", session)
        assert isinstance(query, Query)
        assert query.object_type is User

    async def test_it_may_ask_for_less(self, store):
        await numbered(store)

        @store.add_before_query
        def narrow(args):
            customization = args.query_customization
            if customization.query.object_type is User:
                customization.query = customization.query.where(name="name 1")

        await save(store, (Entry("a"), "entries/1"))
        async with store.open_session() as session:
            assert [user.id for user in await session.query(User).all()] == ["users/1"]
            assert await session.query(User).count() == 1
            assert await session.query(User).where(name="name 2").all() == []
            assert await session.query(Entry).count() == 1
            # It is no query.
            assert len(await session.advanced.load_starting_with("users/", User)) == 3

    async def test_it_may_ask_for_less_of_what_is_computed(self, store, face):
        await numbered(store)

        @store.add_before_query
        def narrow(args):
            customization = args.query_customization
            customization.query = customization.query.where(lambda user: user.name != "name 1")

        async with store.open_session() as session:
            query = session.query(User)
            assert await query.order_by("name").select(lambda user: user.name).all() == ["name 0", "name 2"]
            assert await query.max_(lambda user: user.name) == "name 2"
            assert await query.group_by(lambda user: user.stamp).select(lambda user: count()).all() == [2]
            stream = query.order_by("name").select(lambda user: (user.name, user.stamp)).stream()
            rows = [row async for row in stream] if face.is_async else list(stream)
            assert rows == [("name 0", ""), ("name 2", "")]

    async def test_it_may_leave_what_is_found_untracked(self, store):
        await numbered(store, 1)
        store.add_before_query(lambda args: args.query_customization.no_tracking())
        async with store.open_session() as session:
            (user,) = await session.query(User).all()
            assert session.advanced.get_document_id(user) is None

    async def test_it_cannot_ask_for_something_else(self, store):
        await numbered(store, 1)
        async with store.open_session() as session:
            handler = session.add_before_query(lambda args: setattr(args.query_customization, "query", Query(Entry)))
            with pytest.raises(InvalidArgumentException, match="cannot ask for other documents"):
                await session.query(User).all()
            session.remove_before_query(handler)
            session.add_before_query(lambda args: setattr(args.query_customization, "query", User))
            with pytest.raises(InvalidArgumentTypeException, match="query is a Query"):
                await session.query(User).all()

    async def test_what_it_raises_stops_the_query(self, store):
        await numbered(store, 1)

        def refuse(args):
            raise Refusal

        async with store.open_session() as session:
            session.add_before_query(refuse)
            with pytest.raises(Refusal):
                await session.query(User).all()
            assert session.advanced.number_of_requests == 0

    async def test_it_may_use_the_session_and_be_awaited(self, store, face):
        await numbered(store)

        @store.add_before_query
        @face.handler
        async def only_the_users_own(args):
            user = await args.session.load("users/2", User)
            args.query_customization.query = args.query_customization.query.where(name=user.name)

        async with store.open_session() as session:
            assert [user.id for user in await session.query(User).all()] == ["users/2"]


class TestWhatIsFound:
    async def test_it_becomes_entities_as_what_is_loaded_does(self, store):
        await numbered(store, 2)
        store.add_before_conversion_to_entity(lambda args: args.document.update(stamp="seen"))
        log = told(store, "before_conversion_to_entity", "after_conversion_to_entity")
        async with store.open_session() as session:
            await session.load("users/0", User)
            log.clear()
            users = await session.query(User).order_by("name").all()
            assert [user.stamp for user in users] == ["seen", "seen"]
            assert not session.advanced.has_changes()
        assert log == [("before_conversion_to_entity", "users/1"), ("after_conversion_to_entity", "users/1")]

    async def test_what_is_not_tracked_does_each_time(self, store):
        await numbered(store, 1)
        log = told(store, "after_conversion_to_entity")
        async with store.open_session() as session:
            tracked = await session.load("users/0", User)
            (user,) = await session.query(User).no_tracking().all()
            assert user is not tracked
            assert not session.advanced.has_changes()
        assert len(log) == 2


class TestStreams:
    async def test_they_are_queries_and_requests(self, store, face):
        await numbered(store, 2)
        log = told(store, "after_conversion_to_entity")
        store.add_before_query(lambda args: log.append("query"))
        store.add_on_before_request(lambda args: log.append(("before", args.request.operation)))
        store.add_on_succeed_request(lambda args: log.append(("succeed", args.request.operation, args.rows)))
        async with store.open_session() as session:
            stream = session.query(User).order_by("name").stream()
            names = [user.name async for user in stream] if face.is_async else [user.name for user in stream]
        assert names == ["name 0", "name 1"]
        entities = [("after_conversion_to_entity", f"users/{i}") for i in range(2)]
        assert log == ["query", ("before", "stream"), *entities, ("succeed", "stream", 2)]

    async def test_one_that_fails_is_a_failed_request(self, store, face):
        await numbered(store, 1)
        log = []
        store.add_on_succeed_request(lambda args: log.append(("succeed", args.request.operation)))
        store.add_on_failed_request(lambda args: log.append(("failed", args.request.operation, args.attempt_number)))
        async with store.open_session() as session:
            stream = session.query(User).where(lambda user: matches(user.name, "(")).stream()
            with pytest.raises(DocSessionError):
                [user async for user in stream] if face.is_async else list(stream)
        assert log == [("failed", "stream", 1)]
