"""Which calls are requests, and what a session is told that has sent too many."""

import dataclasses
import inspect

import pytest

from docsession import (
    AsyncDocumentStore,
    ConcurrencyException,
    DocSessionError,
    DocumentConventions,
    DocumentStore,
    InvalidArgumentException,
    TooManyRequestsException,
    UnsupportedValueException,
)
from tests.support.documents import change, save
from tests.support.proxy import CountingProxy

pytestmark = pytest.mark.usefixtures("database")  # one that nobody has made yet


@dataclasses.dataclass
class User:
    name: str
    friend: str | None = None
    Id: str | None = None


@dataclasses.dataclass
class Company:
    name: str
    Id: str | None = None


@pytest.fixture
def conventions():
    return DocumentConventions()


class TestWhatCounts:
    async def test_loads_and_saves_count_one_each(self, store):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"), (Company("c"), "companies/1"))
        async with store.open_session() as session:
            steps = []

            async def step(call):
                before = session.advanced.number_of_requests
                result = await call
                steps.append(session.advanced.number_of_requests - before)
                return result

            user = await step(session.load("users/1", User))
            await step(session.load(["users/1", "users/2", "companies/1", "none/1"]))
            await step(session.load("users/9", User))
            await step(session.include("friend").load("users/8", User))
            await step(session.advanced.load_starting_with("users/", User))
            await step(session.advanced.conditional_load("users/7", "123", User))
            await step(session.advanced.refresh(user))
            user.name = "changed"
            await step(session.store(Company("new")))
            await step(session.save_changes())
            assert steps == [1, 1, 1, 1, 1, 1, 1, 0, 1]
            assert session.advanced.number_of_requests == 8

    async def test_these_do_not(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            before = session.advanced.number_of_requests
            for i in range(100):
                await session.store(User(str(i)))  # takes ranges of ids
            assert await session.advanced.exists("users/99") is False
            assert await session.load("users/1", User) is user
            assert await session.load(["users/1", "users/1-A"], User)
            assert await session.load(None) is None
            await session.advanced.conditional_load("users/1", "123", User)
            session.advanced.what_changed()
            session.advanced.has_changes()
            session.advanced.get_metadata_for(user)
            session.advanced.is_loaded("users/7")
            session.advanced.evict(user)
            session.advanced.clear()
            await session.save_changes()
            assert session.advanced.number_of_requests == before

    async def test_making_a_database_and_tables_does_not(self, store):
        async with store.open_session() as session:
            await session.store(User("a"))
            await session.store(Company("a"))
            await session.save_changes()
            assert session.advanced.number_of_requests == 1

    async def test_a_failed_save_does_and_the_look_after_it_does_not(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            user = await session.load("users/1", User)
            await change(store, "users/1", User, name="theirs")
            user.name = "mine"
            for expected in (2, 3):
                with pytest.raises(ConcurrencyException):
                    await session.save_changes()
                assert session.advanced.number_of_requests == expected

    async def test_a_save_that_is_refused_before_it_is_sent_does_not(self, store):
        async with store.open_session() as session:
            await session.store(User("\ud800"), "users/1")
            with pytest.raises(UnsupportedValueException):
                await session.save_changes()
            assert session.advanced.number_of_requests == 0

    async def test_each_session_counts_for_itself(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as one, store.open_session() as other:
            await one.load("users/1", User)
            assert (one.advanced.number_of_requests, other.advanced.number_of_requests) == (1, 0)


class TestOnTheWire:
    """The count is what a proxy in front of the server sees."""

    @pytest.fixture
    def proxy(self, postgres_url):
        with CountingProxy(postgres_url) as proxy:
            yield proxy

    async def test_a_request_is_a_round_trip(self, make_store, proxy):
        store = make_store(proxy.url)
        await save(
            store,
            *((User(str(i), f"users/{i + 1}"), f"users/{i}") for i in range(20)),
            (Company("c"), "companies/1"),
        )
        async with store.open_session() as session:
            proxy.reset()

            async def trips(call):
                before = proxy.round_trips
                await call
                return proxy.round_trips - before

            assert await trips(session.load("users/1", User)) == 1
            assert await trips(session.load("users/1", User)) == 0
            assert await trips(session.load("users/99", User)) == 1
            assert await trips(session.load(["users/99", "users/1"], User)) == 0
            assert await trips(session.load([f"users/{i}" for i in range(5)], User)) == 1
            assert await trips(session.include("friend").load("users/10", User)) == 1
            assert await trips(session.load("users/11", User)) == 0
            assert await trips(session.advanced.load_starting_with("users/1", User)) == 1
            assert await trips(session.save_changes()) == 0
            users = await session.load([f"users/{i}" for i in range(20)], User)
            for i, user in enumerate(users.values()):
                if i % 2:
                    user.name += "!"
                elif i % 4:
                    session.delete(user)
            await session.store(User("new"), "users/new")
            await session.store(Company("new"), "companies/new")
            session.delete("companies/1")
            session.advanced.register_for_concurrency_check(
                "users/0", session.advanced.get_change_vector_for(users["users/0"])
            )
            assert await trips(session.save_changes()) == 1
            assert await trips(session.save_changes()) == 0
            session.advanced.use_optimistic_concurrency = True
            users["users/1"].name += "!"
            users["users/3"].name += "!"
            assert await trips(session.save_changes()) == 1

    async def test_a_missing_document_that_was_included_is_not_asked_for_again(self, make_store, proxy):
        store = make_store(proxy.url)
        await save(store, (User("a", "users/none"), "users/1"))
        async with store.open_session() as session:
            await session.include("friend", User).load("users/1", User)
            proxy.reset()
            assert await session.load("users/none", User) is None
            assert proxy.round_trips == 0


class TestTheLimit:
    async def test_the_31st_request_raises(self, store):
        await save(store, *((User(str(i)), f"users/{i}") for i in range(31)))
        async with store.open_session() as session:
            for i in range(30):
                await session.load(f"users/{i}", User)
            assert session.advanced.number_of_requests == 30
            with pytest.raises(TooManyRequestsException):
                await session.load("users/30", User)
            assert session.advanced.number_of_requests == 31
            assert issubclass(TooManyRequestsException, ValueError)
            assert issubclass(TooManyRequestsException, DocSessionError)

    async def test_what_needs_no_request_still_works(self, store):
        await save(store, *((User(str(i)), f"users/{i}") for i in range(31)))
        async with store.open_session() as session:
            session.advanced.max_number_of_requests_per_session = 1
            user = await session.load("users/0", User)
            with pytest.raises(TooManyRequestsException):
                await session.load("users/1", User)
            assert await session.load("users/0", User) is user
            assert not session.advanced.is_loaded("users/1")
            assert await session.advanced.exists("users/1")

    @pytest.mark.parametrize("call", ["load", "load_many", "include", "starting", "conditional", "refresh", "save"])
    async def test_it_holds_for_every_request(self, store, call):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.advanced.max_number_of_requests_per_session = 1
            user = await session.load("users/1", User)
            user.name = "b"
            calls = {
                "load": lambda: session.load("users/2", User),
                "load_many": lambda: session.load(["users/2", "users/3"], User),
                "include": lambda: session.include("friend").load("users/2", User),
                "starting": lambda: session.advanced.load_starting_with("users/", User),
                "conditional": lambda: session.advanced.conditional_load("users/2", "123", User),
                "refresh": lambda: session.advanced.refresh(user),
                "save": session.save_changes,
            }
            with pytest.raises(TooManyRequestsException):
                await calls[call]()
            assert user.name == "b"
            assert session.advanced.has_changed(user)
            session.advanced.max_number_of_requests_per_session = 5
            await calls[call]()

    async def test_it_is_a_convention(self, make_store, conventions):
        conventions.max_number_of_requests_per_session = 2
        store = make_store(conventions=conventions)
        async with store.open_session() as session:
            assert session.advanced.max_number_of_requests_per_session == 2
            await session.load("a/1")
            await session.load("a/2")
            with pytest.raises(TooManyRequestsException, match="2 requests"):
                await session.load("a/3")
        store.conventions.max_number_of_requests_per_session = 5
        async with store.open_session() as session:
            assert session.advanced.max_number_of_requests_per_session == 5

    @pytest.mark.parametrize("limit", [0, -1, None, "30", 1.5])
    async def test_what_is_no_limit_is_refused(self, store, limit):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException):
                session.advanced.max_number_of_requests_per_session = limit
            assert session.advanced.max_number_of_requests_per_session == 30


class TestTheErrorExplainsItself:
    """The session is used directly here, because the lines that use it are what the error shows."""

    def test_on_the_blocking_face(self, postgres_url, database):
        def find(session, i):
            return session.load(f"users/{i}", User)

        with DocumentStore(postgres_url, database) as store, store.open_session() as session:
            session.load(["users/0", "users/1"], User)
            line = inspect.currentframe().f_lineno - 1
            for i in range(2, 31):
                find(session, i)
            with pytest.raises(TooManyRequestsException) as caught:
                session.advanced.load_starting_with("users/")
            self.check(str(caught.value), find, line, "test_on_the_blocking_face")

    async def test_on_the_async_face(self, postgres_url, database):
        async def find(session, i):
            return await session.load(f"users/{i}", User)

        async with AsyncDocumentStore(postgres_url, database) as store, store.open_session() as session:
            await session.load(["users/0", "users/1"], User)
            line = inspect.currentframe().f_lineno - 1
            for i in range(2, 31):
                await find(session, i)
            with pytest.raises(TooManyRequestsException) as caught:
                await session.advanced.load_starting_with("users/")
            self.check(str(caught.value), find, line, "test_on_the_async_face")

    def check(self, text, find, line, caller):
        assert "30 requests" in text
        assert f"29 x {__file__}:{find.__code__.co_firstlineno + 1} in find (load)" in text
        assert f"1 x {__file__}:{line} in {caller} (load)" in text
        assert f"in {caller} (load_starting_with) asked for one more" in text
        assert "select N+1" in text
        assert "include" in text

    def test_requests_from_everywhere_are_no_select_n_plus_1(self, postgres_url, database):
        with DocumentStore(postgres_url, database) as store, store.open_session() as session:
            session.advanced.max_number_of_requests_per_session = 3
            session.load("a/1")
            session.load("b/1")
            session.load("c/1")
            with pytest.raises(TooManyRequestsException) as caught:
                session.load("d/1")
        assert "select N+1" not in str(caught.value)
        assert "3 requests" in str(caught.value)
