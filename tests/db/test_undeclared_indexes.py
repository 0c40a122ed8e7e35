"""Dropping what is declared no more, and making indexes with a pool of one connection."""

from dataclasses import dataclass, field

import psycopg
import pytest
from psycopg import sql

from docsession import (
    DocumentConventions,
    FullText,
    GinIndex,
    Index,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    Promoted,
    RavenException,
    Statistics,
    document,
)
from tests.support.documents import save


@dataclass
class Box:
    town: str
    owner: str = ""
    note: str = ""
    tags: list[str] = field(default_factory=list)
    id: str | None = None


@dataclass
class Sack:
    weight: int = 0
    id: str | None = None


@document(base=Sack, indexes=[Index(lambda s: s.height, name="by_height")])
@dataclass
class BigSack(Sack):
    height: int = 0


OLD = [
    Index(lambda b: b.town, name="by_town"),
    GinIndex(lambda b: b.tags, name="by_tags"),
    Promoted(lambda b: b.owner),
    FullText(lambda b: b.note, stored=True, name="by_note"),
    Statistics(lambda b: (b.town, b.owner), name="together"),
]


def declaring(*indexes):
    return DocumentConventions(indexes={Box: indexes})


@pytest.fixture
def execute(postgres_url, database):
    """Run SQL in which {} stands for the table, and return the names of what the table has."""

    def run(*statements):
        table = sql.Identifier(database, "boxes")
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(sql.SQL(statement).format(table))
            found = connection.execute(
                "SELECT indexname FROM pg_indexes WHERE schemaname = %(name)s AND tablename = 'boxes' "
                "UNION ALL SELECT stxname FROM pg_statistic_ext WHERE stxnamespace = %(schema)s::regnamespace "
                "UNION ALL SELECT attname FROM pg_attribute WHERE attgenerated = 's' AND NOT attisdropped "
                "AND attrelid = (SELECT oid FROM pg_class WHERE relname = 'boxes' "
                "AND relnamespace = %(schema)s::regnamespace)",
                {"name": database, "schema": f'"{database}"'},
            ).fetchall()
        return {name for (name,) in found} - {"boxes_pkey"}

    return run


async def test_what_is_declared_no_more_is_dropped_and_nothing_else(make_store, execute):
    before = make_store(conventions=declaring(*OLD))
    await save(before, Box("a", "b", "c", ["d"], "boxes/1"))
    execute("CREATE INDEX theirs ON {} (version)", "ALTER TABLE {} ADD theirs_too int")
    after = make_store(conventions=declaring(OLD[0], Index(lambda b: b.note, name="by_tags")))
    assert await after.maintenance.create_indexes(Box) == ["by_tags"]
    assert execute() >= {"by_town", "by_note", "by_tags", "together", "owner", "theirs"}
    dropped = await after.maintenance.drop_undeclared_indexes(Box)
    assert dropped == ["boxes_owner_promoted_idx", "by_note", "together", "note_simple_fts", "owner"]
    assert execute() == {"by_town", "by_tags", "theirs"}
    assert await after.maintenance.drop_undeclared_indexes() == []
    async with before.open_session() as session:
        found = await session.query(Box).where(owner="b").all()  # it knew the column, and does without it
        assert [box.id for box in found] == ["boxes/1"]


async def test_all_collections_whose_classes_are_known(make_store, execute):
    await save(make_store(conventions=declaring(*OLD[:2])), Box("a", "b", "c", ["d"], "boxes/1"))
    store = make_store()
    assert await store.maintenance.drop_undeclared_indexes() == []
    async with store.open_session() as session:
        await session.query(dict, "Boxes").all()
    assert await store.maintenance.drop_undeclared_indexes() == []
    with pytest.raises(InvalidArgumentException, match="knows no class of 'Boxes'"):
        await store.maintenance.drop_undeclared_indexes("Boxes")
    async with store.open_session() as session:
        await session.query(Box).all()
    assert await store.maintenance.drop_undeclared_indexes("Boxes") == ["by_tags", "by_town"]
    assert execute() == set()
    with pytest.raises(InvalidArgumentTypeException, match="drop_undeclared_indexes"):
        await store.maintenance.drop_undeclared_indexes(3)


async def test_documents_without_a_class_have_the_indexes_of_the_conventions(make_store, execute):
    declared = {"Boxes": [Index(lambda b: b["town"], type="text", name="by_town")]}
    store = make_store(conventions=DocumentConventions(indexes=declared))
    await save(store, ({"town": "a", "@metadata": {"@collection": "Boxes"}}, "boxes/1"))
    assert execute() == {"by_town"}
    assert await store.maintenance.drop_undeclared_indexes("Boxes") == []
    assert await store.maintenance.drop_undeclared_indexes() == []
    declared = {"Boxes": []}
    store = make_store(conventions=DocumentConventions(indexes=declared))
    assert await store.maintenance.drop_undeclared_indexes() == ["by_town"]


async def test_a_subclass_keeps_its_own(make_store, rows):
    store = make_store()
    await save(store, BigSack(3, "sacks/1", 4))
    assert await store.maintenance.drop_undeclared_indexes(Sack) == []
    assert await store.maintenance.create_indexes(Sack) == []


async def test_a_column_that_somebody_needs_stays(make_store, execute, database):
    store = make_store(conventions=declaring(*OLD[2:3]))
    await save(store, Box("a", "b", "c", ["d"], "boxes/1"))
    execute(f'CREATE VIEW "{database}".seen AS SELECT owner FROM {{}}')
    store = make_store(conventions=declaring())
    with pytest.raises(RavenException, match="owner"):
        await store.maintenance.drop_undeclared_indexes(Box)
    assert execute() == {"owner"}


async def test_they_are_made_and_dropped_with_a_pool_of_one_connection(make_store, execute):
    await save(make_store(), Box("a", "b", "c", ["d"], "boxes/1"))
    store = make_store(conventions=declaring(*OLD), max_size=1, timeout=30)
    assert set(await store.maintenance.create_indexes(Box)) >= {"by_town", "by_tags", "owner", "by_note", "together"}
    store = make_store(max_size=1, timeout=30)
    assert "by_town" in await store.maintenance.drop_undeclared_indexes(Box)
    assert execute() == set()
