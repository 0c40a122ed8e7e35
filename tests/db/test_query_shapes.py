"""What queries look like is counted, and kept in the database."""

import json
import logging
import uuid
from dataclasses import dataclass, field

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from docsession import DocumentConventions, append, contains
from docsession._query._shapes import shape_from
from docsession._session import _query_shapes
from docsession._sql import _query_shapes as statements
from tests.support.beside import settle
from tests.support.documents import save

SECRET = "s3cret"


@dataclass
class Note:
    title: str
    author: str | None = None
    tags: list[str] = field(default_factory=list)
    id: str | None = None


@pytest.fixture
def kept(postgres_url, database):
    """The rows of the table: what is asked of the first condition, how often, in how many microseconds."""

    def read():
        query = sql.SQL("SELECT digest, collection, shape::text, count, microseconds, last_seen FROM {}").format(
            sql.Identifier(database, "docsession_query_shapes")
        )
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            rows = connection.execute(query).fetchall()
        found = {}
        for digest, collection, text, count, microseconds, _ in rows:
            assert SECRET not in text
            shape = shape_from(text)
            assert (shape.digest, shape.collection) == (digest, collection) == (digest, "Notes")
            key = (
                *(f"{each.of.name} {getattr(each, 'how', 'holds')}" for each in shape.where),
                *(f"by {each.of.name}" for each in shape.order or ()),
                *(["limited"] if shape.is_limited else []),
            )
            found[key] = (count, microseconds)
        return found

    return read


async def ask(store, *queries):
    async with store.open_session() as session:
        for query in queries:
            await query(session.query(Note))


async def test_they_are_counted_whatever_is_asked_and_written_when_the_store_closes(make_store, kept):
    store = make_store()
    await save(store, Note(SECRET, SECRET, [SECRET], "notes/1"))
    titled = lambda q, title: q.where(lambda n: n.title == title)
    await ask(
        store,
        lambda q: titled(q, SECRET).all(),
        lambda q: titled(q, "other").all(),
        lambda q: titled(q, SECRET).count(),
        lambda q: titled(q, SECRET).any(),
        lambda q: titled(q, SECRET).include("author", Note).all(),
        lambda q: titled(q, SECRET).facets(author=lambda n: n.author),
        lambda q: titled(q, SECRET).json(),
        lambda q: titled(q, SECRET).max_(lambda n: n.author),
        lambda q: titled(q, SECRET).group_by(lambda n: n.author).select(lambda n: n.author).all(),
        lambda q: titled(q, SECRET).patch(lambda n: [append(n.tags, SECRET)]),
        lambda q: q.where(lambda n: contains(n.tags, SECRET)).delete(),
    )
    async with store.open_session() as session:
        titled(session.query(Note), SECRET).lazily()
        await session.advanced.eagerly.execute_all_pending_lazy_operations()
        stream = titled(session.query(Note), SECRET).stream()
        assert ([each async for each in stream] if hasattr(stream, "__aiter__") else list(stream)) == []
    await ask(
        store,
        lambda q: titled(q, SECRET).order_by("author").first_or_none(),
        lambda q: titled(q, SECRET).order_by("author").page(10),
        lambda q: titled(q, SECRET).explain(),
        lambda q: titled(q, SECRET).sql(),
    )
    await store.close()
    found = kept()
    assert {key: count for key, (count, _) in found.items()} == {
        ("title equal",): 12,
        ("tags holds",): 1,
        ("title equal", "by author", "limited"): 2,
    }
    assert all(microseconds > 0 for _, microseconds in found.values())


async def test_several_stores_add_up(make_store, kept):
    for number in range(3):
        store = make_store()
        if number == 0:
            await save(store, Note("a", None, [], "notes/1"))
        await ask(store, lambda q: q.where(title="a").all())
        await store.close()
    assert kept()["title equal",][0] == 3


async def test_they_are_written_from_time_to_time_too(make_store, kept, monkeypatch):
    monkeypatch.setattr(_query_shapes, "INTERVAL", 0.0)
    store = make_store()
    await save(store, Note("a", None, [], "notes/1"))
    async with store.open_session() as session:
        assert len(await session.query(Note).where(title="a").all()) == 1
        assert kept() == {("title equal",): pytest.approx((1, 0), abs=10**9)}
        assert session.advanced.number_of_requests == 1
        await session.query(Note).where(title="b").all()
        await session.query(Note).where(title="b").patch(lambda n: [append(n.tags, "x")])
    assert kept()["title equal",][0] == 2  # nobody waits for it in the middle of a change
    await store.close()
    assert kept()["title equal",][0] == 3


@pytest.mark.parametrize(
    ("settings", "is_kept"),
    [
        ({"record_query_shapes": False}, False),
        ({"auto_create": False}, False),
        ({"auto_create": False, "record_query_shapes": True}, True),
    ],
)
async def test_the_convention_says_whether(make_store, kept, settings, is_kept):
    await save(make_store(), Note("a", None, [], "notes/1"))
    store = make_store(conventions=DocumentConventions(**settings))
    await ask(store, lambda q: q.where(title="a").all())
    await store.close()
    assert bool(kept()) is is_kept


@pytest.fixture
def reader(postgres_url, database):
    """The URL of a role that may read the documents; called once the database is there."""
    name = f"role_{uuid.uuid4().hex[:10]}"
    role, schema = sql.Identifier(name), sql.Identifier(database)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(role))

        def grant():
            for statement in ("GRANT USAGE ON SCHEMA {} TO {}", "GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}"):
                connection.execute(sql.SQL(statement).format(schema, role))
            return make_conninfo(postgres_url, user=name, password="secret")

        yield grant
        connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))


async def test_a_role_without_the_right_goes_on_with_one_warning(make_store, kept, monkeypatch, caplog, reader):
    monkeypatch.setattr(_query_shapes, "INTERVAL", 0.0)
    await save(make_store(), Note("a", None, [], "notes/1"))
    store = make_store(reader())
    with caplog.at_level(logging.DEBUG, logger="docsession"):
        for _ in range(3):
            await ask(store, lambda q: q.where(title="a").all())
        await store.close()
    [warning] = [record.getMessage() for record in caplog.records]
    assert "docsession_query_shapes" in warning
    assert "record_query_shapes" in warning
    assert kept() == {}


async def test_an_older_database_goes_on_with_one_warning(make_store, target, caplog):
    target("0002")
    store = make_store()
    await save(store, Note("a", None, [], "notes/1"))
    await ask(store, lambda q: q.where(title="a").all())
    caplog.clear()
    await store.close()
    [warning] = [record.getMessage() for record in caplog.records]
    assert "docsession upgrade" in warning
    assert target() == "0002"


async def test_a_database_that_is_gone_is_no_trouble(make_store, caplog):
    store = make_store()
    await save(store, Note("a", None, [], "notes/1"))
    await ask(store, lambda q: q.where(title="a").all())
    await store.maintenance.delete_database(store.database)
    await store.close()
    assert not caplog.records


async def test_nor_is_one_that_was_dropped_beside_the_store(make_store, caplog, postgres_url):
    store = make_store()
    await save(store, Note("a", None, [], "notes/1"))
    await ask(store, lambda q: q.where(title="a").all())
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(store.database)))
    await store.close()
    assert not caplog.records


async def test_a_database_keeps_so_many_and_the_last_that_were_seen(make_store, kept, monkeypatch):
    monkeypatch.setattr(statements, "MOST_SHAPES", 2)
    store = make_store()
    await save(store, Note("a", None, [], "notes/1"))
    await ask(store, lambda q: q.where(title="a").all(), lambda q: q.where(author="a").all())
    await store.close()
    store = make_store()
    await ask(store, lambda q: q.where(title="a").all(), lambda q: q.where(lambda n: contains(n.tags, "a")).all())
    await store.close()
    assert {key: count for key, (count, _) in kept().items()} == {("title equal",): 2, ("tags holds",): 1}


async def test_no_more_are_counted_than_a_database_keeps(make_store, kept, monkeypatch):
    monkeypatch.setattr(_query_shapes, "MOST_SHAPES", 1)
    store = make_store()
    await save(store, Note("a", None, [], "notes/1"))
    await ask(store, *[lambda q: q.where(title="a").all(), lambda q: q.where(author="a").all()] * 2)
    await store.close()
    assert {key: count for key, (count, _) in kept().items()} == {("title equal",): 2}


async def test_keys_of_a_dict_are_a_part_of_it_whatever_they_are(make_store, rows, postgres_url, database):
    store = make_store()
    await save(store, ({"@metadata": {"@collection": "Notes"}, "a\"'\\ é": 1}, "notes/1"))
    async with store.open_session() as session:
        query = session.query(dict, "Notes").where(lambda n: n["a\"'\\ é"] == 1)
        assert len(await query.all()) == 1
    await store.close()
    with psycopg.connect(postgres_url) as connection:
        query = sql.SQL("SELECT shape::text FROM {}").format(sql.Identifier(database, "docsession_query_shapes"))
        [(text,)] = connection.execute(query).fetchall()
    assert json.loads(text)["where"][0]["of"]["path"] == ["a\"'\\ é"]


async def test_a_forked_child_leaves_what_the_parent_has_counted_to_the_parent(make_store, kept):
    store = make_store()
    await save(store, Note("a", None, [], "notes/1"))
    await ask(store, lambda q: q.where(title="a").all())
    getattr(store, "wrapped", store).renew_lock()  # what the child does
    await ask(store, lambda q: q.where(author="a").all())
    await store.close()
    assert list(kept()) == [("author equal",)]


async def test_a_handler_that_stops_writes_stops_no_query(monkeypatch, make_store, kept, caplog):
    await save(make_store(), Note("a", id="notes/1"))
    monkeypatch.setattr(_query_shapes, "INTERVAL", 0.0)
    store = make_store(conventions=DocumentConventions(record_query_shapes=True))

    @store.add_on_before_request
    def read_only(args):
        if args.request.is_write:
            raise PermissionError

    await ask(store, lambda q: q.where(lambda n: n.title == "a").all())
    await settle(store.close())
    assert kept() == {}
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    caplog.clear()
