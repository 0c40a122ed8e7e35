"""Documents that SQL of the user's own finds."""

import datetime as dt
import enum
import uuid
from dataclasses import dataclass
from decimal import Decimal

import psycopg
import pytest

from docsession import InvalidArgumentException, MultipleResultsException, NoResultException
from tests.support.documents import save


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Item:
    name: str
    size: int
    id: str | None = None


ITEMS = [Item("a", 1, "items/1"), Item("b", 2, "items/2"), Item("c%", 3, "items/3")]


async def test_the_name_of_the_table_is_no_place_for_values(make_store, database):
    store = make_store(database=f"50% %s %(name)s {{table}} {database}")
    await save(store, *ITEMS)
    async with store.open_session() as session:
        query = session.query_sql(Item, "SELECT * FROM {table} WHERE data ->> 'name' = %(name)s", name="b")
        assert [item.id for item in await query.all()] == ["items/2"]
    await store.maintenance.delete_database(store.database)


async def test_they_are_tracked_and_saved(store):
    await save(store, *ITEMS)
    async with store.open_session() as session:
        found = await session.query_sql(Item, "SELECT * FROM {table} WHERE data ->> 'name' = %(name)s", name="b").all()
        assert [item.id for item in found] == ["items/2"]
        assert found[0] is await session.load("items/2", Item)
        assert session.advanced.number_of_requests == 1
        found[0].size = 9
        await session.save_changes()
    async with store.open_session() as session:
        assert (await session.load("items/2", Item)).size == 9


async def test_joins_with_tables_of_the_application(store, postgres_url, database):
    await save(store, *ITEMS)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE TABLE "{database}".users (item text, name text)')
        connection.execute(f"INSERT INTO \"{database}\".users VALUES ('items/1', 'Ann'), ('items/3', 'Bob')")
    async with store.open_session() as session:
        sql = f'SELECT i.* FROM {{table}} i JOIN "{database}".users u ON u.item = i.id ORDER BY u.name DESC -- last'
        assert [item.name for item in await session.query_sql(Item, sql).all()] == ["c%", "a"]


VALUES = [
    ("data ->> 'name' = %(x)s", "a", 1),
    ("data ->> 'name' LIKE 'c%%' AND %(x)s = 1", 1, 1),
    ("(data ->> 'size')::int > %(x)s", 1, 2),
    ("(data ->> 'size')::numeric > %(x)s", Decimal("1.5"), 2),
    ("(data ->> 'size')::float8 > %(x)s", 1.5, 2),
    ("%(x)s", True, 3),
    ("%(x)s IS NULL", None, 3),
    ("last_modified > %(x)s", dt.datetime(2020, 1, 1, tzinfo=dt.UTC), 3),
    ("%(x)s > '2020-01-01 00:00'::timestamp", dt.datetime.fromisoformat("2021-01-01T00:00"), 3),
    ("%(x)s > '2020-01-01'::date", dt.date(2021, 1, 1), 3),
    ("%(x)s = '12:30'::time", dt.time(12, 30), 3),
    ("%(x)s = '00000000-0000-0000-0000-000000000001'::uuid", uuid.UUID(int=1), 3),
    ("%(x)s = 'red'", Colour.RED, 3),
    ("data @> %(x)s", {"size": 2}, 1),
    ("id = ANY(%(x)s)", ["items/1", "items/2"], 2),
    ("(data ->> 'size')::bigint = ANY(%(x)s)", [1, 3], 2),
    ("(data ->> 'size')::numeric = ANY(%(x)s)", [Decimal(1)], 1),
    ("id = ANY(%(x)s)", [], 0),
    ("%(x)s > 2::numeric", 10**30, 3),
    ("'%%' || %(x)s || %(x)s = '%%aa'", "a", 3),
]


@pytest.mark.parametrize(("condition", "value", "count"), VALUES, ids=range(len(VALUES)))
async def test_values_are_bound_as_what_they_are(store, condition, value, count):
    await save(store, *ITEMS)
    async with store.open_session() as session:
        found = await session.query_sql(Item, f"SELECT * FROM {{table}} WHERE {condition};", x=value).all()
        assert len(found) == count


async def test_hostile_values_are_only_values(store):
    await save(store, *ITEMS)
    async with store.open_session() as session:
        text = "'; DROP TABLE x; -- $1 {table} %(y)s %%"
        query = session.query_sql(Item, "SELECT * FROM {table} WHERE data ->> 'name' = %(x)s", x=text)
        assert await query.all() == []


async def test_raw_query_is_the_same_in_ravendbs_words(store):
    await save(store, *ITEMS)
    async with store.open_session() as session:
        query = session.advanced.raw_query("SELECT * FROM {table} WHERE id = %(key)s", Item)
        assert (await query.add_parameter("key", "items/3").single()).name == "c%"
        assert (await query.add_parameter("key", "items/1").first()).name == "a"
        assert await query.add_parameter("key", "items/9").first_or_none() is None
        with pytest.raises(NoResultException):
            await query.add_parameter("key", "items/9").one()


async def test_without_a_class_there_are_dicts(store, database):
    await save(store, *ITEMS)
    async with store.open_session() as session:
        sql = f'SELECT * FROM "{database}".items ORDER BY id'
        found = await session.advanced.raw_query(sql).all()
        assert (found[0]["name"], found[0]["@metadata"]["@collection"]) == ("a", "Items")
        again = await session.query_sql(dict, sql).all()
        assert again[0] is found[0]


async def test_untracked(store):
    await save(store, *ITEMS)
    async with store.open_session() as session:
        found = await session.query_sql(Item, "SELECT * FROM {table}").no_tracking().all()
        assert len(found) == 3
        assert not session.advanced.is_loaded("items/1")


async def test_in_a_transaction_it_sees_what_that_wrote(store):
    await save(store, *ITEMS)
    async with store.open_session() as session, session.advanced.transaction():
        await session.store(Item("d", 4), "items/4")
        await session.save_changes()
        assert len(await session.query_sql(Item, "SELECT * FROM {table}").no_tracking().all()) == 4


@pytest.mark.parametrize(
    ("sql", "values", "hint"),
    [
        ("SELECT * FROM {table} WHERE id = %s", {}, "name"),
        ("SELECT * FROM {table} WHERE id LIKE 'x%'", {}, "%%"),
        ("SELECT * FROM {table} WHERE id = %(x)s", {}, "no value 'x'"),
        ("SELECT * FROM {table}", {"x": 1}, "no %"),
        ("SELECT * FROM {table} WHERE id = %(x)s", {"x": object()}, "object"),
        ("SELECT * FROM {table} WHERE id = %(x)s", {"x": ["a", 1]}, "several types"),
        ("SELECT * FROM {table} WHERE id = %(x)s", {"x": "a\0"}, "NUL"),
        ("SELECT id FROM {table}", {}, "columns"),
        ("SELEC * FROM {table}", {}, "syntax"),
        ("SELECT * FROM {table} WHERE nothing = 1", {}, "nothing"),
        ("DELETE FROM {table} RETURNING *", {}, "syntax"),
        ("WITH d AS (DELETE FROM {table} RETURNING *) SELECT * FROM d", {}, r"one SELECT.*patch\(\)"),
        ("", {}, "SQL"),
    ],
)
async def test_what_is_wrong_is_told(store, sql, values, hint):
    await save(store, *ITEMS)
    async with store.open_session() as session:
        with pytest.raises(InvalidArgumentException, match=hint):
            await session.query_sql(Item, sql, **values).all()


async def test_some_of_them_and_how_many(store):
    await save(store, *ITEMS)
    async with store.open_session() as session:
        query = session.query_sql(Item, "SELECT * FROM {table} WHERE id <> %(x)s ORDER BY id DESC -- all", x="items/9")
        assert [each.size for each in await query.skip(1).take(1).all()] == [2]
        assert [each.size for each in await query.skip(2).all()] == [1]
        assert [each.size for each in await query.take(2).no_tracking().all()] == [3, 2]
        assert await query.take(0).all() == []
        assert (await query.first()).size == 3
        assert (await query.skip(2).one()).size == 1
        assert await query.take(1).count() == 3
        assert await query.any()
        assert session.advanced.number_of_requests == 8
        with pytest.raises(MultipleResultsException):
            await query.single_or_default()
        assert await query.skip(3).first_or_default() is None
        nothing = session.advanced.raw_query("SELECT * FROM {table} WHERE id = %(x)s", Item).add_parameter("x", "no")
        assert (await nothing.count(), await nothing.any()) == (0, False)
        assert await nothing.no_caching().wait_for_non_stale_results().all() == []
        for wrong in (-1, True, "1"):
            with pytest.raises(InvalidArgumentException, match="number of documents"):
                query.take(wrong)
            with pytest.raises(InvalidArgumentException, match="number of documents"):
                query.skip(wrong)


async def test_before_anything_was_stored(store):
    async with store.open_session() as session:
        query = session.query_sql(Item, "SELECT * FROM {table}")
        assert (await query.all(), await query.count(), await query.any()) == ([], 0, False)
        assert session.advanced.number_of_requests == 3
        with pytest.raises(InvalidArgumentException, match="no value"):
            await session.query_sql(Item, "SELECT * FROM {table} WHERE id = %(x)s").all()
