"""Hostile text as a name: of databases, collections, classes, prefixes, attributes, aliases and applications."""

from dataclasses import dataclass
from typing import Annotated

import pytest
from psycopg import sql

from docsession import (
    DocumentConventions,
    InvalidArgumentException,
    Ref,
    SessionOptions,
    document,
)
from docsession._documents._naming import table_of_collection
from tests.support.documents import read, save
from tests.support.hostile import (
    TEXTS,
    Links,
    Thing,
    may_be_database,
    may_be_id,
    may_be_named_so,
    outcome,
)

pytestmark = pytest.mark.usefixtures("nothing_else_is_touched")


class TestNames:
    async def test_of_databases(self, store, face, postgres_url):
        database = store.database
        names = [text for text in TEXTS if may_be_database(text) and text != "public"]
        assert len(names) > 90
        before = await store.maintenance.get_database_names()
        for name in names:
            await store.maintenance.create_database(name)
            try:
                assert name in await store.maintenance.get_database_names()
                key = await save(store, Thing(name), database=name)
                async with store.open_session(session_options=SessionOptions(database=name)) as session:
                    assert (await session.load(key)).items() >= {"name": name}.items()
                assert await store.maintenance.get_collection_statistics(name) == {"Things": 1}
            finally:
                await store.maintenance.delete_database(name)
        assert await store.maintenance.get_database_names() == before
        for name in TEXTS:
            if not may_be_database(name):
                for call in (
                    lambda name=name: store.open_session(name),
                    lambda name=name: store.open_session(None, SessionOptions(database=name)),
                    lambda name=name: store.maintenance.create_database(name),
                    lambda name=name: store.maintenance.delete_database(name),
                    lambda name=name: store.maintenance.get_collection_statistics(name),
                    lambda name=name: face.store(postgres_url, name),
                ):
                    assert isinstance(await outcome(call), InvalidArgumentException), name
        assert store.database == database

    async def test_of_collections(self, store, make_store):
        """Given in a dict, by the decorator, by the convention, as the name of a class, as a prefix of ids."""
        tables = {}
        for i, text in enumerate(TEXTS):
            came = await outcome(save(store, ({"n": i, "@metadata": {"@collection": text}}, f"c{i}/1")))
            if not may_be_named_so(text) or text.startswith("@"):
                assert isinstance(came, InvalidArgumentException), text
                with pytest.raises(InvalidArgumentException):
                    document(collection=text)
                continue
            try:
                table = table_of_collection(text)
            except InvalidArgumentException:
                assert isinstance(came, InvalidArgumentException)
                with pytest.raises(InvalidArgumentException):
                    document(collection=text)
                continue
            assert tables.setdefault(table, text) == text or "share the table" in str(came)
            if tables[table] != text:
                continue
            assert came is True, text
            entity = document(collection=text)(type("Entity", (), {}))
            key = await save(store, entity())
            prefix = text.lower() if sum(map(str.isupper, text)) <= 1 else text
            assert key == f"{prefix}/1-A"
            assert (await read(store, key, entity)).Id == key
            assert (await read(store, f"c{i}/1"))["@metadata"]["@collection"] == text
        assert len(tables) > 90
        assert await store.maintenance.get_collection_statistics() == dict.fromkeys(tables.values(), 2)
        other = make_store()
        for i, text in enumerate(TEXTS):
            if text in tables.values():
                assert (await read(other, f"c{i}/1"))["n"] == i
        assert set(tables) <= set(getattr(other, "wrapped", other).metadata.tables)

    async def test_of_classes(self, store):
        for text in TEXTS:
            try:
                entity = type(text, (), {"name": "x"})
            except (ValueError, UnicodeEncodeError):
                continue  # Python has no such class
            came = await outcome(save(store, (entity(), "things/1")))
            assert came is True or isinstance(came, InvalidArgumentException)
            if came is True:
                assert type(await read(store, "things/1", entity)) is entity
                async with store.open_session() as session:
                    session.delete("things/1")
                    await session.save_changes()

    async def test_of_collections_by_the_convention(self, make_store):
        conventions = DocumentConventions()
        conventions.find_collection_name = lambda cls: cls.named
        store = make_store(conventions=conventions)
        for text in TEXTS:
            came = await outcome(save(store, type("Entity", (), {"named": text})()))
            assert came is True or isinstance(came, InvalidArgumentException), text
            assert came is not True or may_be_named_so(text) or text == ""

    async def test_of_prefixes_by_the_convention(self, make_store):
        names = iter(TEXTS)
        conventions = DocumentConventions()
        conventions.transform_class_collection_name_to_document_id_prefix = lambda collection: next(names)
        store = make_store(conventions=conventions)
        for i, text in enumerate(TEXTS):
            entity = type(f"Entity{i}", (), {})
            came = await outcome(save(store, entity()))
            assert (came is True) == (may_be_id(text) and may_be_id(f"{text}/{2**63 - 1}-A")), text
            assert came is True or isinstance(came, InvalidArgumentException), text
            if came is True:
                assert (await read(store, f"{text}/1-A", entity)).Id == f"{text}/1-A"

    async def test_of_attributes_that_hold_the_id(self, store):
        for i, text in enumerate(TEXTS):
            try:
                entity = document(collection="Entities", id_attribute=text)(type("Entity", (), {}))
            except InvalidArgumentException:
                continue
            instance = entity()
            instance.n = i
            came = await outcome(save(store, (instance, f"entities/{i}")))
            assert came is True, text
            loaded = await read(store, f"entities/{i}", entity)
            assert (getattr(loaded, text), loaded.n) == (f"entities/{i}", i)

    async def test_of_aliases(self, make_store):
        conventions = DocumentConventions()
        parts = {}
        for i, text in enumerate(TEXTS):
            part = type(f"Part{i}", (), {})
            came = await outcome(lambda part=part, text=text: conventions.register(part, text))
            if came is True:
                parts.setdefault(text, part)
        store = make_store(conventions=conventions)
        async with store.open_session() as session:
            for i, part in enumerate(parts.values()):
                value = part()
                value.n = i
                await session.store(Links([], [value]), f"links/{i}")
            await session.save_changes()
        async with store.open_session() as session:
            loaded = await session.load([f"links/{i}" for i in range(len(parts))], Links)
            for i, (part, links) in enumerate(zip(parts.values(), loaded.values(), strict=True)):
                assert (type(links.things[0]), links.things[0].n) == (part, i)

    async def test_of_the_application(self, make_store):
        """What the server shows is cut off or changed by the server; it is never an error of anybody else's."""
        for text in TEXTS[::3]:
            try:
                store = make_store(application_name=text)
            except InvalidArgumentException:
                assert not text.isprintable()
                continue
            assert await read(store, "things/1") is None
            await store.close()


async def test_a_ref_may_name_a_collection_of_any_name(store):
    @document(collection='x"; drop table y; --')
    @dataclass
    class Target:
        name: str
        id: str | None = None

    @dataclass
    class Pointer:
        to: Annotated[str, Ref(Target)]
        id: str | None = None

    await save(store, (Target("x"), "a/1"), (Pointer("a/1"), "b/1"))
    async with store.open_session() as session:
        loaded = await session.include("to").load("b/1", Pointer)
        assert (await session.load(loaded["b/1"].to, Target)).name == "x"
        assert session.advanced.number_of_requests == 1


def test_nothing_was_left_behind(server):
    """The names of the databases that tests made are gone with them."""
    query = sql.SQL("SELECT nspname FROM pg_namespace WHERE nspname LIKE '%drop table%'")
    assert server.execute(query).fetchall() == []
