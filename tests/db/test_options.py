"""Opening a session: which database, which options, and which of them are refused."""

import dataclasses

import pytest

from docsession import (
    DocumentConventions,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    OptimisticConcurrencyMode,
    SessionOptions,
    StoreClosedException,
)
from tests.support.documents import read, save


@dataclasses.dataclass
class User:
    name: str
    Id: str | None = None


@pytest.fixture
def other(database, store):
    """The name of a second database."""
    return f"{database}_other"


async def drop(store, name):
    if name in await store.maintenance.get_database_names():
        await store.maintenance.delete_database(name)


class TestTheDatabase:
    async def test_every_form_names_it(self, store, database, other):
        try:
            for form in (
                lambda: store.open_session(other),
                lambda: store.open_session(database=other),
                lambda: store.open_session(session_options=SessionOptions(database=other)),
                lambda: store.open_session(None, SessionOptions(other)),
                lambda: store.open_session(other, SessionOptions()),
                lambda: store.open_session(other, SessionOptions(database=other)),
            ):
                async with form() as session:
                    await session.store(User("a"))
                    await session.save_changes()
            async with store.open_session(other) as session:
                assert len(await session.advanced.load_starting_with("users/", User)) == 6
            async with store.open_session() as session:
                assert await session.advanced.load_starting_with("users/", User) == []
            assert store.database == database
        finally:
            await drop(store, other)

    async def test_two_different_ones_are_an_error(self, store):
        with pytest.raises(InvalidArgumentException, match="two databases"):
            store.open_session("a", SessionOptions(database="b"))

    async def test_databases_share_nothing(self, store, other):
        try:
            await save(store, (User("here"), "users/1"))
            await save(store, (User("there"), "users/1"), database=other)
            assert (await read(store, "users/1", User)).name == "here"
            async with store.open_session(other) as session:
                assert (await session.load("users/1", User)).name == "there"
                one = User("first")
                await session.store(one)
                assert one.Id == "users/1-A"
        finally:
            await drop(store, other)

    async def test_it_defaults_to_the_stores(self, face, postgres_url):
        assert face.store(postgres_url).database == "docsession"

    @pytest.mark.parametrize(
        "name", ['x"; drop table y; --', "Ünï cödé \U0001f600", "a.b", "public.x", "$1", "%s", "'"]
    )
    async def test_any_name_is_only_a_name(self, store, database, name):
        unique = f"{database} {name}"
        try:
            await save(store, (User("a"), "users/1"), database=unique)
            async with store.open_session(unique) as session:
                assert (await session.load("users/1", User)).name == "a"
            assert unique in await store.maintenance.get_database_names()
            assert await store.maintenance.get_collection_statistics(unique) == {"Users": 1}
        finally:
            await drop(store, unique)
        assert unique not in await store.maintenance.get_database_names()

    @pytest.mark.parametrize(
        "name", ["", " ", "x" * 64, "é" * 32, "pg_x", "information_schema", "a\0b", "a\nb", "\ud800"]
    )
    async def test_one_that_cannot_be_is_refused(self, store, name):
        for form in (
            lambda: store.open_session(name),
            lambda: store.open_session(session_options=SessionOptions(database=name)),
        ):
            with pytest.raises(InvalidArgumentException):
                form()

    async def test_what_is_no_name_is_refused(self, store):
        for wrong in (5, b"x", ["x"], SessionOptions()):
            with pytest.raises(InvalidArgumentTypeException):
                store.open_session(wrong)

    async def test_opening_a_session_sends_nothing(self, face):
        store = face.store("postgresql://nobody@127.0.0.1:1/nowhere")
        session = store.open_session("anything")
        assert session.advanced.number_of_requests == 0
        await store.close()


class TestTheOptions:
    async def test_these_are_supported(self, store, database):
        options = SessionOptions(
            database=database, no_tracking=False, optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES
        )
        async with store.open_session(session_options=options) as session:
            assert session.advanced.use_optimistic_concurrency is True

    async def test_what_are_no_options_is_refused(self, store):
        for wrong in ({"database": "x"}, "x", 5):
            with pytest.raises(InvalidArgumentTypeException):
                store.open_session(session_options=wrong)

    @pytest.mark.parametrize("mode", ["Writes", True, 5])
    async def test_what_is_no_mode_is_refused(self, store, mode):
        with pytest.raises(InvalidArgumentTypeException):
            store.open_session(session_options=SessionOptions(optimistic_concurrency_mode=mode))

    @pytest.mark.parametrize("mode", ["WritesAndReads", "NONE", True, 1, None])
    async def test_nor_is_it_accepted_by_the_conventions(self, mode):
        conventions = DocumentConventions()
        with pytest.raises(InvalidArgumentTypeException, match="is an OptimisticConcurrencyMode, not "):
            conventions.optimistic_concurrency_mode = mode
        assert conventions.optimistic_concurrency_mode is OptimisticConcurrencyMode.NONE
        assert not conventions.use_optimistic_concurrency

    async def test_they_are_those_of_ravendb(self):
        assert [field.name for field in dataclasses.fields(SessionOptions)][:7] == [
            "database",
            "no_tracking",
            "no_caching",
            "request_executor",
            "transaction_mode",
            "disable_atomic_document_writes_in_cluster_wide_transaction",
            "optimistic_concurrency_mode",
        ]


class TestTheStore:
    async def test_initialisation_is_implied_idempotent_and_returns_the_store(self, make_store):
        store = make_store()
        real = getattr(store, "wrapped", store)
        for _ in range(2):
            initialized = await store.initialize()
            assert getattr(initialized, "wrapped", initialized) is real
        await save(store, User("a"))
        await store.initialize()

    async def test_conventions_that_shape_data_are_frozen_by_it_and_limits_are_not(self, make_store):
        conventions = DocumentConventions()
        store = make_store(conventions=conventions)
        conventions.node_tag = "B"
        assert not conventions.is_frozen()
        await store.initialize()
        assert conventions.is_frozen()
        assert store.conventions is conventions
        with pytest.raises(InvalidOperationException, match="node_tag"):
            conventions.node_tag = "C"
        with pytest.raises(InvalidOperationException):
            store.conventions = DocumentConventions()
        conventions.max_number_of_requests_per_session = 3
        conventions.verify_on_save = False

    async def test_a_closed_store_opens_no_session(self, make_store):
        store = make_store()
        session = store.open_session()
        await save(store, (User("a"), "users/1"))
        await store.close()
        await store.close()
        assert store.disposed
        with pytest.raises(StoreClosedException):
            store.open_session()
        with pytest.raises(StoreClosedException):
            await store.initialize()
        with pytest.raises(StoreClosedException):
            await session.load("users/1", User)

    async def test_with_closes_it(self, face, postgres_url, database):
        async with face.store(postgres_url, database=database) as store:
            await save(store, User("a"))
            assert not store.disposed
        assert store.disposed

    @pytest.mark.parametrize("urls", [None, "", " ", [], [""], 5, "http://localhost", "mysql://x/y"])
    async def test_what_is_no_url_is_refused(self, face, urls):
        with pytest.raises(ValueError, match=r".") as caught:
            face.store(urls)
        assert isinstance(caught.value, InvalidArgumentException)

    async def test_maintenance_creates_lists_and_drops(self, store, other):
        await store.maintenance.create_database(other)
        await store.maintenance.create_database(other)
        assert other in await store.maintenance.get_database_names()
        assert await store.maintenance.get_collection_statistics(other) == {}
        await save(store, (User("a"), "users/1"), database=other)
        await store.maintenance.delete_database(other)
        assert other not in await store.maintenance.get_database_names()
        with pytest.raises(InvalidArgumentException, match=other):
            await store.maintenance.delete_database(other)
        await save(store, (User("b"), "users/2"), database=other)
        assert await store.maintenance.get_collection_statistics(other) == {"Users": 1}
        await store.maintenance.delete_database(other)
