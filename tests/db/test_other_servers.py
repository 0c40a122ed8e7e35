"""A session on the server of another store: `SessionOptions(request_executor=…)`."""

import uuid
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from docsession import (
    AsyncDocumentStore,
    DocumentStore,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    SessionOptions,
    StoreClosedException,
)
from docsession._executors._url import parse_url
from tests.support.documents import read, save


@dataclass
class Item:
    value: int
    id: str | None = None


@pytest.fixture
def other_url(postgres_url):
    """A PostgreSQL database of its own, as far from the tests' as another server's."""
    name = f"docsession_test_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield psycopg.conninfo.make_conninfo(postgres_url, dbname=name)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def as_url(conninfo):
    """Return libpq's parameters as a URL."""
    info = psycopg.conninfo.conninfo_to_dict(conninfo)
    password = info.get("password", "")
    user = info["user"]
    where = f"host={info['host']}&port={info['port']}"
    return f"postgresql://{user}:{password}@/{info['dbname']}?{where}"


@pytest.fixture
def other(make_store, other_url):
    return make_store(as_url(other_url))


async def test_everything_of_the_session_goes_there(store, other):
    await save(store, Item(1, id="items/1"))
    options = SessionOptions(request_executor=other.get_request_executor())
    async with store.open_session(session_options=options) as session:
        assert await session.load("items/1", Item) is None
        await session.store(made := Item(7))
        await session.store(Item(2), "items/1")
        await session.save_changes()
        assert made.id == "items/1-A"
        assert await session.advanced.exists("items/1")
    assert (await read(other, "items/1", Item)).value == 2
    assert (await read(other, "items/1-A", Item)).value == 7
    assert (await read(store, "items/1", Item)).value == 1
    assert await read(store, "items/1-A", Item) is None


async def test_the_ranges_of_ids_are_those_of_that_server(store, other):
    await save(other, Item(1))
    options = SessionOptions(request_executor=other.get_request_executor())
    async with store.open_session(session_options=options) as session:
        await session.store(made := Item(2))
        await session.save_changes()
    assert made.id != "items/1-A"
    assert (await read(other, made.id, Item)).value == 2


async def test_its_database_is_that_of_the_executor_unless_one_is_named(make_store, postgres_url, database, other_url):
    store, other = make_store(), make_store(as_url(other_url), database="elsewhere")
    executor = other.get_request_executor()
    async with store.open_session(session_options=SessionOptions(request_executor=executor)) as session:
        await session.store(Item(1), "items/1")
        await session.save_changes()
    assert (await read(other, "items/1", Item)).value == 1
    async with store.open_session("third", SessionOptions(request_executor=executor)) as session:
        assert await session.load("items/1", Item) is None
    fourth = other.get_request_executor("fourth")
    async with store.open_session(session_options=SessionOptions(request_executor=fourth)) as session:
        assert await session.load("items/1", Item) is None


async def test_a_transaction_of_the_session_is_one_there(store, other):
    options = SessionOptions(request_executor=other.get_request_executor(), isolation_level="serializable")
    async with store.open_session(session_options=options) as session:
        async with session.advanced.transaction():
            await session.store(Item(1), "items/1")
            await session.save_changes()
            assert await read(other, "items/1", Item) is None
        assert (await read(other, "items/1", Item)).value == 1


async def test_a_closed_store_serves_nobody(store, other):
    options = SessionOptions(request_executor=other.get_request_executor())
    await save(other, Item(1, id="items/1"))
    await other.close()
    async with store.open_session(session_options=options) as session:
        with pytest.raises(StoreClosedException):
            await session.load("items/1", Item)


@pytest.mark.parametrize("wrong", ["postgresql://localhost/x", 5, object(), {"host": "x"}])
async def test_what_is_no_executor_is_refused(store, wrong):
    with pytest.raises(InvalidArgumentTypeException, match="request_executor"):
        store.open_session(session_options=SessionOptions(request_executor=wrong))


async def test_one_of_the_other_face_is_refused(store, face, postgres_url, database):
    if face.is_async:
        other = DocumentStore(postgres_url, database)
        executor = other.get_request_executor()
        other.close()
    else:
        other = AsyncDocumentStore(postgres_url, database)
        executor = other.get_request_executor()
        await other.close()
    with pytest.raises(InvalidArgumentException, match="session cannot use"):
        store.open_session(session_options=SessionOptions(request_executor=executor))


async def test_its_repr_has_no_password(other, other_url):
    password = parse_url(as_url(other_url)).get("password")
    assert password
    assert password not in repr(other.get_request_executor())
