"""Listeners of one query: they are told of each executing of it, once, or refused."""

import pytest

from docsession import (
    AsyncDocumentSession,
    DocumentSession,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    Query,
    QueryResult,
    SessionBusyException,
    count,
    set_,
)
from tests.support.documents import save
from tests.support.events import Entry, Refusal, User

RESULTS = {
    "all": (2, 3),
    "first": (1, 3),
    "first_or_none": (1, 3),
    "page": (2, 3),
    "get_query_result": (2, 3),
    "count": (0, 3),
    "any": (0, 3),
}
"""What executes a query for two of three documents: how many results listeners are told of, and the total."""


async def numbered(store, count=3):
    await save(store, *((User(f"name {i}"), f"users/{i}") for i in range(count)))


async def listed(face, stream):
    return [each async for each in stream] if face.is_async else list(stream)


def shown(result):
    assert type(result) is QueryResult
    assert result.duration_in_ms > 0
    assert result.timestamp.tzinfo is not None
    return len(result.results), result.total_results


class TestBefore:
    async def test_it_is_told_of_each_executing_once_after_the_handlers_of_the_session(self, store, face):
        await numbered(store)
        told = []
        async with store.open_session() as session:
            session.add_before_query(lambda args: told.append("handler"))
            query = session.query(User).add_before_query_executed_listener(told.append)
            for kind in RESULTS:
                await getattr(query, kind)()
            await query.page(2)
            await query.json()
            await query.max_(lambda user: user.name)
            await query.facets(name=lambda user: user.name)
            await query.patch(lambda user: [set_(user.stamp, "x")])
            await listed(face, query.stream())
            await query.lazily().value
            await query.count_lazily().value
            await query.delete()
            executed = len(RESULTS) + 9
            assert told[::2] == ["handler"] * executed
            assert len(told) == 2 * executed
            assert told[1].session is getattr(session, "wrapped", session)
            assert isinstance(told[1].query_customization.query, Query)
            # It belongs to that query alone.
            await session.query(User).all()
            assert told[2 * executed :] == ["handler"]

    async def test_it_may_ask_for_less_and_use_the_session(self, store, face):
        await numbered(store)

        @face.handler
        async def narrow(args):
            user = await args.session.load("users/2", User)
            customization = args.query_customization
            # Asked anew it does not tell this listener again.
            assert await args.session.query(customization.query).count() == 3
            customization.query = customization.query.where(name=user.name)

        async with store.open_session() as session:
            query = session.query(User).add_before_query_executed_listener(narrow)
            assert [user.id for user in await query.all()] == ["users/2"]

    async def test_it_cannot_save_in_the_middle_of_a_query(self, store, face):
        await numbered(store, 1)

        @face.handler
        async def save_all(args):
            await args.session.save_changes()

        async with store.open_session() as session:
            with pytest.raises(SessionBusyException, match="before_query_executed"):
                await session.query(User).add_before_query_executed_listener(save_all).all()

    async def test_it_adds_no_listeners(self, store):
        def add(args):
            customization = args.query_customization
            customization.query = customization.query.add_after_query_executed_listener(print)

        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException, match="adds no listeners"):
                await session.query(User).add_before_query_executed_listener(add).all()

    async def test_what_it_raises_stops_the_query(self, store):
        await numbered(store, 1)

        def refuse(args):
            raise Refusal

        async with store.open_session() as session:
            query = session.query(User).add_before_query_executed_listener(refuse)
            with pytest.raises(Refusal):
                await query.all()
            lazy, other = query.lazily(), session.query(User).lazily()
            assert len(await other.value) == 1
            with pytest.raises(Refusal):
                await lazy.value
            assert session.advanced.number_of_requests == 1

    async def test_it_sees_the_query_whose_session_nobody_holds(self, store):
        await numbered(store, 1)
        told = []
        query = store.open_session().query(User)
        await query.add_before_query_executed_listener(lambda args: told.append(args.session)).all()
        assert isinstance(told[0], DocumentSession | AsyncDocumentSession)


class TestAfter:
    @pytest.mark.parametrize("kind", RESULTS)
    async def test_it_is_given_results_and_total(self, store, kind):
        await numbered(store)
        told = []
        async with store.open_session() as session:
            query = session.query(User).take(2).add_after_query_executed_listener(told.append)
            found = await getattr(query, kind)()
            assert [shown(each) for each in told] == [RESULTS[kind]]
            assert session.advanced.number_of_requests == 1
        if kind == "all":
            assert told[0].results == found
        if kind == "any":
            assert found is True

    async def test_it_is_told_of_nothing_where_nothing_was_ever_stored(self, store):
        told = []
        async with store.open_session() as session:
            query = session.query(User).add_after_query_executed_listener(lambda result: told.append(shown(result)))
            assert await query.any() is False
            assert await query.all() == []
            assert (await query.page(2)).items == []
            assert await query.lazily().value == []
            assert await query.count_lazily().value == 0
        assert told == [(0, 0)] * 5

    async def test_pages_by_keys_are_counted_and_their_tokens_are_the_same(self, store):
        await save(
            store, *((User(f"name {i}", "entries/1"), f"users/{i}") for i in range(3)), (Entry("a"), "entries/1")
        )
        told = []
        async with store.open_session() as session:
            plain = session.query(User).order_by("name").include("stamp", Entry)
            query = plain.add_after_query_executed_listener(lambda result: told.append(shown(result)))
            page = await query.page(2)
            assert page == await plain.page(2)
            assert session.advanced.is_loaded("entries/1")
            assert [user.id for user in (await query.page(2, after=page.next)).items] == ["users/2"]
            last = await plain.page(2, after=page.next)
            assert [user.id for user in (await query.page(2, before=last.previous)).items] == ["users/0", "users/1"]
            assert (await query.where(name="none").page(2)).items == []
        assert told == [(2, 3), (1, 3), (2, 3), (0, 0)]

    async def test_lazy_ones_are_told_of_when_they_are_asked(self, store):
        await numbered(store)
        told = []
        async with store.open_session() as session:
            query = (
                session.query(User)
                .take(2)
                .add_after_query_executed_listener(
                    lambda result: told.append((shown(result), session.advanced.has_changes()))
                )
            )
            lazy, total = query.lazily(lambda users: told.append(len(users))), query.count_lazily()
            assert told == []
            assert len(await lazy.value) == 2
            assert await total.value == 3
            assert await lazy.value == await lazy.value
            assert session.advanced.number_of_requests == 1
        assert told == [((2, 3), False), 2, ((0, 3), False)]

    async def test_results_of_select_are_results(self, store):
        await numbered(store)
        told = []
        async with store.open_session() as session:
            query = session.query(User).add_after_query_executed_listener(told.append)
            await query.order_by("name").select(lambda user: user.name).take(1).all()
            await query.group_by(lambda user: user.stamp).select(lambda user: count()).all()
        assert [(each.results, each.total_results) for each in told] == [(["name 0"], 3), ([3], 1)]

    async def test_it_may_use_and_save_the_session_and_be_awaited(self, store, face):
        await numbered(store, 1)
        async with store.open_session() as session:

            @face.handler
            async def keep(result):
                await session.store(Entry(str(result.total_results)), "entries/1")
                await session.save_changes()

            await session.query(User).add_after_query_executed_listener(keep).all()
            assert (await session.load("entries/1", Entry)).text == "1"
        async with store.open_session() as session:
            assert await session.advanced.exists("entries/1")

    async def test_what_it_raises_comes_out(self, store):
        await numbered(store, 1)

        def refuse(result):
            raise Refusal

        async with store.open_session() as session:
            query = session.query(User).add_after_query_executed_listener(refuse)
            with pytest.raises(Refusal):
                await query.all()
            assert session.advanced.is_loaded("users/0")
            lazy = query.lazily(lambda users: pytest.fail("it has no value"))
            with pytest.raises(Refusal):
                await lazy.value

    async def test_where_there_is_no_result_it_is_refused_before_anything_is_sent(self, store, face):
        async with store.open_session() as session:
            query = session.query(User).add_after_query_executed_listener(print)
            for execute in (
                query.delete,
                query.returning().delete,
                lambda: query.patch(lambda user: [set_(user.stamp, "x")]),
                query.json,
                lambda: query.json(2),
                lambda: query.json(envelope=True),
                lambda: query.max_(lambda user: user.name),
                lambda: query.facets(name=lambda user: user.name),
                lambda: listed(face, query.stream()),
            ):
                with pytest.raises(InvalidOperationException, match="listener of after_query_executed"):
                    await execute()
            assert session.advanced.number_of_requests == 0

    async def test_what_executes_nothing_tells_nobody(self, store):
        await numbered(store, 1)
        told = []
        async with store.open_session() as session:
            query = session.query(User).add_after_query_executed_listener(told.append)
            assert "SELECT" in (await query.sql()).text
            assert (await query.explain()).text
        assert told == []


class TestStreams:
    async def test_it_is_given_each_result_before_it_is_handed_out(self, store, face):
        await numbered(store)
        told = []
        async with store.open_session() as session:
            query = session.query(User).order_by("name").add_after_stream_executed_listener(told.append)
            users = await listed(face, query.stream())
            assert [user.id for user in users] == ["users/0", "users/1", "users/2"]
            assert told == users
            assert all(one is other for one, other in zip(told, users, strict=True))
            told.clear()
            assert await listed(face, query.select(lambda user: user.name).stream()) == told

    async def test_it_may_use_the_session_be_awaited_and_end_the_stream(self, store, face):
        await numbered(store)
        async with store.open_session() as session:

            @face.handler
            async def stop(user):
                await session.load("users/2", User)
                raise Refusal

            with pytest.raises(Refusal):
                await listed(face, session.query(User).add_after_stream_executed_listener(stop).stream())
            assert session.advanced.is_loaded("users/2")
            assert await session.query(User).count() == 3

    async def test_elsewhere_it_is_refused_unless_another_one_is_told(self, store, face):
        await numbered(store, 1)
        told = []
        async with store.open_session() as session:
            query = session.query(User).add_after_stream_executed_listener(told.append)
            for execute in (query.all, query.count, query.delete, query.json, lambda: query.page(2)):
                with pytest.raises(InvalidOperationException, match="listener of after_stream_executed"):
                    await execute()
            with pytest.raises(InvalidOperationException, match="listener of after_stream_executed"):
                query.lazily()
            both = query.add_after_query_executed_listener(told.append)
            (user,) = await both.all()
            assert [shown(each) for each in told] == [(1, 1)]
            assert len(await listed(face, both.stream())) == 1
            assert told[1].id == user.id


class TestRawQueries:
    async def test_they_are_told_of_each_executing(self, store, face):
        await numbered(store)
        before, after = [], []
        async with store.open_session() as session:
            sql = "SELECT * FROM {table} WHERE data ->> 'name' <> %(not)s ORDER BY id DESC"
            query = (
                session.advanced.raw_query(sql, User)
                .add_parameter("not", "name 0")
                .add_before_query_executed_listener(before.append)
                .add_after_query_executed_listener(lambda result: after.append(shown(result)))
            )
            assert [user.id for user in await query.all()] == ["users/2", "users/1"]
            assert (await query.first()).id == "users/2"
            assert [user.id for user in await query.skip(1).all()] == ["users/1"]
            assert await query.skip(9).take(2).all() == []
            assert await query.count() == 2
            assert await query.any() is True
            assert session.advanced.number_of_requests == 6
            assert before[0].session is getattr(session, "wrapped", session)
        assert after == [(2, 2), (1, 2), (1, 2), (0, 2), (0, 2), (0, 2)]
        assert [(each.sql, dict(each.values)) for each in before] == [(sql, {"not": "name 0"})] * 6
        assert "name 0" not in repr(before[0])

    async def test_what_they_raise_stops_the_query(self, store):
        def refuse(args):
            raise Refusal

        async with store.open_session() as session:
            query = session.query_sql(User, "SELECT * FROM {table}")
            with pytest.raises(Refusal):
                await query.add_before_query_executed_listener(refuse).all()
            assert session.advanced.number_of_requests == 0
            told = []
            told_of = query.add_after_query_executed_listener(lambda result: told.append(shown(result)))
            assert await told_of.all() == []
            assert told == [(0, 0)]
            assert await told_of.remove_after_query_executed_listener(told_of._asked.listeners.after[0]).all() == []
            assert len(told) == 1


class TestAddingAndRemoving:
    @pytest.mark.parametrize("name", ["before_query_executed", "after_query_executed", "after_stream_executed"])
    async def test_each_makes_a_new_query(self, store, name):
        async with store.open_session() as session:
            query = session.query(User)
            listening = getattr(query, f"add_{name}_listener")(print)
            assert query.specification.listeners is None
            twice = getattr(listening, f"add_{name}_listener")(print)
            once = getattr(twice, f"remove_{name}_listener")(print)
            assert getattr(once, f"remove_{name}_listener")(print).specification.listeners is None
            with pytest.raises(InvalidArgumentException, match=f"print is no listener of {name}"):
                getattr(query, f"remove_{name}_listener")(print)
            with pytest.raises(InvalidArgumentTypeException, match="is a function of one argument"):
                getattr(query, f"add_{name}_listener")("print")

    async def test_the_last_of_equal_ones_goes(self, store):
        await numbered(store, 1)
        told = []

        def first(args):
            told.append(1)

        def second(args):
            told.append(2)

        async with store.open_session() as session:
            query = session.query(User)
            for each in (first, second, first):
                query = query.add_before_query_executed_listener(each)
            await query.remove_before_query_executed_listener(first).all()
        assert told == [1, 2]

    async def test_a_query_as_a_value_has_them_in_every_session(self, store):
        await numbered(store, 1)
        told = []
        query = Query(User).add_after_query_executed_listener(lambda result: told.append(shown(result)))
        for _ in range(2):
            async with store.open_session() as session:
                await session.query(query).where(name="name 0").all()
        assert told == [(1, 1)] * 2

    async def test_coroutine_functions_are_refused_where_nobody_awaits_them(self, store, face):
        await numbered(store, 1)
        told = []

        async def listen(given):
            told.append(given)

        async with store.open_session() as session:
            if face.is_async:
                await session.query(User).add_before_query_executed_listener(listen).all()
                assert len(told) == 1
                return
            for query in (session.query(User), session.query_sql(User, "SELECT * FROM {table}")):
                with pytest.raises(InvalidArgumentTypeException, match="is a coroutine function"):
                    query.add_before_query_executed_listener(listen)
            # A value does not know where it will be asked.
            query = session.query(Query(User).add_after_query_executed_listener(listen))
            with pytest.raises(InvalidArgumentTypeException, match="returned something to await"):
                await query.all()
        assert told == []
