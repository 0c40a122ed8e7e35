"""Ids: numbered, time-ordered, made by a convention or given; where an entity carries its own; collections."""

import asyncio
import dataclasses
import re
import threading

import attrs
import msgspec
import psycopg
import pydantic
import pytest

from docsession import (
    DocumentConventions,
    DocumentStore,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    document,
    uuid7_ids,
)
from tests.support.documents import read, remove, save
from tests.support.proxy import CountingProxy

UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


class Company:
    def __init__(self, name="a"):
        self.name = name


@dataclasses.dataclass
class User:
    name: str = "a"
    Id: str | None = None


@dataclasses.dataclass
class Person:
    name: str = "a"


@dataclasses.dataclass
class OrderLine:
    name: str = "a"


@pytest.fixture
def conventions():
    return DocumentConventions()


async def stored_id(session, entity, key=None):
    await session.store(entity, key)
    return session.advanced.get_document_id(entity)


class TestNumbered:
    async def test_they_count_for_each_collection(self, store):
        async with store.open_session() as session:
            entities = [Company(), Company(), User(), Company(), Person(), OrderLine(), User()]
            assert [await stored_id(session, entity) for entity in entities] == [
                "companies/1-A",
                "companies/2-A",
                "users/1-A",
                "companies/3-A",
                "people/1-A",
                "OrderLines/1-A",
                "users/2-A",
            ]
            assert session.advanced.number_of_requests == 0
            await session.save_changes()
        assert await store.maintenance.get_collection_statistics() == {
            "Companies": 3,
            "OrderLines": 1,
            "People": 1,
            "Users": 2,
        }

    async def test_a_number_is_never_given_twice_whatever_becomes_of_it(self, store):
        async with store.open_session() as session:
            assert await stored_id(session, User()) == "users/1-A"
        async with store.open_session() as session:
            user = User()
            assert await stored_id(session, user) == "users/2-A"
            await session.save_changes()
            session.delete(user)
            await session.save_changes()
            assert await stored_id(session, User()) == "users/3-A"

    async def test_two_stores_have_ranges_of_their_own(self, make_store):
        one, other = make_store(), make_store()
        found = set()
        async with one.open_session() as first, other.open_session() as second:
            for _ in range(100):
                found.add(await stored_id(first, User()))
                found.add(await stored_id(second, User()))
        assert len(found) == 200

    async def test_a_close_gives_back_what_was_not_used(self, make_store):
        for expected in (1, 2, 3):
            store = make_store()
            async with store.open_session() as session:
                assert await stored_id(session, User()) == f"users/{expected}-A"
                assert await stored_id(session, Company()) == f"companies/{expected}-A"
            await store.close()

    async def test_unless_somebody_has_taken_a_later_range(self, make_store):
        one, other = make_store(), make_store()
        async with one.open_session() as first, other.open_session() as second:
            found = [await stored_id(first, User()), await stored_id(second, User())]
            await one.close()
            found += [await stored_id(second, User()) for _ in range(100)]
        third = make_store()
        async with third.open_session() as session:
            found += [await stored_id(session, User()) for _ in range(100)]
        assert len(set(found)) == len(found)

    async def test_ranges_grow_so_that_the_server_is_asked_seldom(self, make_store, postgres_url):
        with CountingProxy(postgres_url) as proxy:
            store = make_store(proxy.url)
            await save(store, User())
            proxy.reset()
            async with store.open_session() as session:
                for _ in range(2000):
                    await session.store(User())
            assert proxy.round_trips <= 7
            await store.close()

    def test_threads_never_share_one(self, postgres_url, database):
        found = []
        with DocumentStore(postgres_url, database) as store:

            def work():
                with store.open_session() as session:
                    for _ in range(100):
                        user = User()
                        session.store(user)
                        found.append(user.Id)

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(set(found)) == 800

    async def test_nor_do_tasks(self, make_store):
        store = make_store()

        async def work():
            async with store.open_session() as session:
                return [await stored_id(session, User()) for _ in range(100)]

        found = [key for keys in await asyncio.gather(*(work() for _ in range(8))) for key in keys]
        assert len(set(found)) == 800

    async def test_a_node_tag_and_a_separator_are_conventions(self, make_store, conventions):
        conventions.node_tag = "B7"
        conventions.identity_parts_separator = "-"
        store = make_store(conventions=conventions)
        assert await save(store, User()) == "users-1-B7"
        assert (await read(store, "users-1-B7"))["name"] == "a"

    async def test_so_is_the_prefix(self, make_store, conventions, rows):
        conventions.transform_class_collection_name_to_document_id_prefix = lambda collection: collection[0]
        store = make_store(conventions=conventions)
        assert await save(store, User()) == "U/1-A"
        assert rows.ids("users") == ["U/1-A"]


class TestTimeOrdered:
    async def test_made_at_once_and_in_order(self, store, rows):
        async with store.open_session() as session:
            found = [await stored_id(session, Company(), "companies/") for _ in range(50)]
            assert all(re.fullmatch(f"companies/{UUID7}", key) for key in found)
            assert found == sorted(set(found))
            assert session.advanced.number_of_requests == 0
            await session.save_changes()
        assert rows.ids("companies") == found

    async def test_below_any_prefix(self, store):
        async with store.open_session() as session:
            key = await stored_id(session, Company(), "users/1/companies/")
            assert re.fullmatch(f"users/1/companies/{UUID7}", key)

    async def test_by_the_entitys_own_id(self, store):
        user = User(Id="users/")
        key = await save(store, user)
        assert re.fullmatch(f"users/{UUID7}", key)
        assert user.Id == key

    async def test_the_same_key_for_two_entities_is_two_documents(self, store):
        async with store.open_session() as session:
            one, other = User(), User()
            await session.store(one, "users/")
            await session.store(other, "users/")
            assert one.Id != other.Id


class TestByConvention:
    async def test_a_callable_makes_them(self, make_store, conventions, database):
        asked = []

        def generate(name, entity):
            asked.append((name, entity))
            return f"people/{entity.name}"

        conventions.document_id_generator = generate
        store = make_store(conventions=conventions)
        user = User("ann")
        assert await save(store, user) == "people/ann"
        assert user.Id == "people/ann"
        assert asked == [(database, user)]

    async def test_it_is_not_asked_where_the_id_is_known(self, make_store, conventions):
        conventions.document_id_generator = lambda name, entity: pytest.fail("asked")
        store = make_store(conventions=conventions)
        assert await save(store, (User(), "users/1"), User(Id="users/2")) == "users/1"

    @pytest.mark.parametrize(
        ("made", "expected"), [("7", "users/7"), ("x/7", "x/7"), ("users/", f"users/{UUID7}"), ("a b", "users/a b")]
    )
    async def test_what_it_makes_is_completed(self, make_store, conventions, made, expected):
        conventions.document_id_generator = lambda name, entity: made
        assert re.fullmatch(expected, await save(make_store(conventions=conventions), User()))

    @pytest.mark.parametrize("made", [None, 5, "", "\0", "x" * 1025])
    async def test_what_cannot_be_an_id_is_refused(self, make_store, conventions, made):
        conventions.document_id_generator = lambda name, entity: made
        store = make_store(conventions=conventions)
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException):
                await session.store(User())
            assert session.advanced.get_tracked_entities() == {}

    async def test_uuids_come_ready_made(self, make_store, conventions):
        conventions.document_id_generator = uuid7_ids
        store = make_store(conventions=conventions)
        async with store.open_session() as session:
            found = [await stored_id(session, entity) for entity in (User(), User(), User())]
            company = await stored_id(session, Company())
            await session.save_changes()
        assert all(re.fullmatch(f"users/{UUID7}", key) for key in found)
        assert found == sorted(found)
        assert re.fullmatch(f"companies/{UUID7}", company)
        assert (await read(store, found[0]))["name"] == "a"


ODD_IDS = [
    "x",
    "ayende",
    "users/1",
    "users//1",
    "/users/1",
    "users/1/",
    "users/a b+c",
    "users/%41",
    "users/?x=1&y=2#z",
    "users/ünïcödé/世界/\U0001f600",
    "users/e\u0301",
    "users/\u200b\u202e",
    "users/'; DROP TABLE users; --",
    'users/"',
    "users/\\",
    "users/$1",
    "users/%s",
    "users/{}",
    "users/NULL",
    "users/*?",
    "USERS/1",
    " users/1",
    "users/1 ",
    "users\u00a0/1",
    "users/" + "x" * 1018,
    "users/" + "\U0001f600" * 254,
]

IMPOSSIBLE_IDS = ["", " ", "\t", "users/\0", "users/\n", "users/\x7f", "users/\x85", "users/\u2028", "users/\ud800"]
IMPOSSIBLE_IDS += ["x" * 1025, "\U0001f600" * 257]


class TestGiven:
    async def test_any_printable_one_up_to_a_kibibyte(self, store):
        keys = [key for key in ODD_IDS if not key.endswith("/")]
        await save(store, *((User(key), key) for key in keys))
        async with store.open_session() as session:
            found = await session.load(keys, User)
            assert [user.Id for user in found.values()] == keys
            assert [user.name for user in found.values()] == keys
        for key in keys:
            async with store.open_session() as session:
                assert (await session.load(key, User)).name == key
                assert await session.advanced.exists(key)
                assert [each.Id for each in await session.advanced.load_starting_with(key, User, page_size=1)] == [key]
        async with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            for user in (await session.load(keys, User)).values():
                user.name += "!"
            await session.save_changes()
        await remove(store, *keys)
        async with store.open_session() as session:
            assert set((await session.load(keys, User)).values()) == {None}

    async def test_others_are_refused_everywhere(self, store):
        async with store.open_session() as session:
            await session.store(User(), "users/1")
            for key in IMPOSSIBLE_IDS:
                await self.check_refused(session, key)
            assert session.advanced.number_of_requests == 0
            assert session.advanced.get_tracked_entities().keys() == {"users/1"}

    async def check_refused(self, session, key):
        calls = [
            lambda: session.store(User(), key),
            lambda: session.advanced.exists(key),
            lambda: session.advanced.conditional_load(key, "123", User),
            lambda: session.advanced.load_starting_with(key, User),
        ]
        if key.strip():
            calls += [
                lambda: session.store(User(Id=key)),
                lambda: session.load(key, User),
                lambda: session.load(["users/1", key], User),
                lambda: session.include("friend").load(key, User),
            ]
        for call in calls:
            with pytest.raises(InvalidArgumentException):
                await call()
        for call in (
            lambda: session.delete(key),
            lambda: session.advanced.register_for_concurrency_check(key, "123"),
        ):
            with pytest.raises(InvalidArgumentException):
                call()

    @pytest.mark.parametrize("key", [5, 1.5, b"users/1", ["users/1"], ("users/1",), object(), True])
    async def test_those_of_another_type_too(self, store, key):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentTypeException):
                await session.store(User(), key)
            if not isinstance(key, list | tuple):
                with pytest.raises(InvalidArgumentTypeException):
                    await session.store(User(Id=key))
            assert session.advanced.get_tracked_entities() == {}

    async def test_an_entitys_own_must_not_begin_with_a_slash_but_a_key_may(self, store):
        async with store.open_session() as session:
            with pytest.raises(ValueError, match="begins with '/'"):
                await session.store(User(Id="/1"))
            await session.store(User("a"), "/1")
            await session.save_changes()
        assert (await read(store, "/1", User)).name == "a"

    async def test_an_empty_one_of_its_own_is_none(self, store):
        assert await save(store, User(Id="")) == "users/1-A"


class TestTheAttribute:
    async def test_id_where_the_class_declares_it(self, store):
        @dataclasses.dataclass
        class User:
            name: str
            id: str | None = None

        key = await save(store, User("a"))
        loaded = await read(store, key, User)
        assert loaded == User("a", key)
        assert not hasattr(loaded, "Id")

    async def test_id_with_a_capital_wins(self, store, rows):
        @dataclasses.dataclass
        class User:
            name: str
            id: int = 5
            Id: str | None = None

        key = await save(store, User("a"))
        assert await read(store, key, User) == User("a", 5, key)
        assert rows.data("users", key) == {"name": "a", "id": 5}

    async def test_set_in_the_constructor(self, store):
        class User:
            def __init__(self, name):
                self.name = name
                self.id = None

        key = await save(store, User("a"))
        loaded = await read(store, key, User)
        assert vars(loaded) == {"name": "a", "id": key}

    async def test_set_on_instances_that_take_it(self, store, rows):
        @dataclasses.dataclass
        class Dataclass:
            name: str

        @attrs.define(slots=False)
        class Attrs:
            name: str

        class Plain:
            def __init__(self, name):
                self.name = name

        for cls in (Dataclass, Attrs, Plain):
            entity = cls("a")
            key = await save(store, entity)
            assert entity.Id == key
            assert (await read(store, key, cls)).Id == key

    async def test_nowhere_on_those_that_do_not(self, store):
        @dataclasses.dataclass(slots=True)
        class Slots:
            name: str

        @dataclasses.dataclass(frozen=True)
        class Frozen:
            name: str

        class Model(pydantic.BaseModel):
            name: str

        class Struct(msgspec.Struct):
            name: str

        @attrs.define
        class Attrs:
            name: str

        for cls in (Slots, Frozen, Model, Struct, Attrs):
            entity = cls(name="a")
            key = await save(store, entity)
            async with store.open_session() as session:
                loaded = await session.load(key, cls)
                assert loaded == entity
                assert not hasattr(loaded, "Id")
                assert session.advanced.get_document_id(loaded) == key

    async def test_a_required_one_of_a_frozen_class(self, store):
        @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
        class Frozen:
            id: str
            name: str

        class Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
            id: str
            name: str

        class Model(pydantic.BaseModel, frozen=True, extra="forbid"):
            id: str
            name: str

        for cls in (Frozen, Struct, Model):
            key = await save(store, cls(id="", name="a"))
            assert await read(store, key, cls) == cls(id=key, name="a")

    async def test_named_by_the_decorator(self, store, rows):
        @document(id_attribute="code")
        @dataclasses.dataclass
        class Country:
            name: str
            code: str | None = None

        await save(store, Country("Ukraine", "countries/UA"))
        assert await read(store, "countries/UA", Country) == Country("Ukraine", "countries/UA")
        assert rows.data("countries", "countries/UA") == {"name": "Ukraine"}

    async def test_named_by_a_convention(self, make_store, conventions):
        conventions.find_identity_property_name = lambda cls: "key" if cls is Keyed else None

        @dataclasses.dataclass
        class Keyed:
            name: str
            key: str | None = None

        store = make_store(conventions=conventions)
        key = await save(store, Keyed("a"), User("b"))
        assert await read(store, key, Keyed) == Keyed("a", key)
        assert (await read(store, "users/1-A", User)).Id == "users/1-A"

    async def test_one_that_holds_no_text_is_refused(self, store):
        @dataclasses.dataclass
        class Numbered:
            id: int

        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException, match="id_attribute"):
                await session.store(Numbered(5))
            with pytest.raises(InvalidArgumentException):
                await session.load("numbereds/5", Numbered)


class TestCollections:
    async def test_they_are_plurals_and_their_tables_in_snake_case(self, store, rows):
        await save(store, Company(), Person(), OrderLine())
        assert (await store.maintenance.get_collection_statistics()).keys() == {"Companies", "People", "OrderLines"}
        assert rows.ids("companies") == ["companies/1-A"]
        assert rows.ids("people") == ["people/1-A"]
        assert rows.ids("order_lines") == ["OrderLines/1-A"]

    async def test_the_decorator_names_another(self, store, rows):
        @document(collection="Kunden")
        @dataclasses.dataclass
        class Customer:
            name: str

        assert await save(store, Customer("a")) == "kunden/1-A"
        assert rows.data("kunden", "kunden/1-A") == {"name": "a"}

    async def test_so_does_a_convention(self, make_store, conventions, rows):
        conventions.find_collection_name = lambda cls: "Folk" if cls is Person else None
        store = make_store(conventions=conventions)
        assert await save(store, Person(), User()) == "folk/1-A"
        assert rows.ids("folk") == ["folk/1-A"]
        assert rows.ids("users") == ["users/1-A"]

    async def test_any_name_is_only_a_name(self, store):
        odd = ['x"; drop table y; --', "Größe", "a b", "$1", "%s", "日本", "select", "user", "a.b", "'", "\\"]
        for name in odd:
            cls = document(collection=name)(dataclasses.make_dataclass("Odd", [("value", int)]))
            keys = [
                await save(store, cls(1), (cls(2), f"odd/{name}"), (cls(3), f"{name}/x")),
                f"odd/{name}",
                f"{name}/x",
            ]
            async with store.open_session() as session:
                session.advanced.use_optimistic_concurrency = True
                first, second, third = (await session.load(keys, cls)).values()
                assert [first.value, second.value, third.value] == [1, 2, 3]
                session.delete(first)
                second.value = 4
                session.advanced.register_for_concurrency_check(keys[2], session.advanced.get_change_vector_for(third))
                await session.save_changes()
            assert (await read(store, keys[1]))["@metadata"]["@collection"] == name
        assert await store.maintenance.get_collection_statistics() == dict.fromkeys(odd, 2)

    @pytest.mark.parametrize("name", ["", " ", "@hilo", "x" * 64, "docsession_x", "DocsessionHilo", "a\0b", "\ud800"])
    async def test_one_that_cannot_be_is_refused(self, name):
        with pytest.raises(InvalidArgumentException):
            document(collection=name)

    async def test_two_that_would_share_a_table_are_refused(self, store):
        @document(collection="order_lines")
        @dataclasses.dataclass
        class Other:
            name: str

        await save(store, OrderLine())
        async with store.open_session() as session:
            await session.store(Other("a"))
            with pytest.raises(InvalidArgumentException, match="order_lines"):
                await session.save_changes()

    async def test_a_name_is_kept_as_it_was_first_recorded(self, store, postgres_url, database):
        await save(store, User(), (User(), "people/1"), (User(), "ayende"))
        await save(store, (Company(), "users/1/company"))
        with psycopg.connect(postgres_url) as connection:
            recorded = connection.execute(
                f'SELECT prefix, collection, "table" FROM "{database}".docsession_collections ORDER BY 1, 2'
            ).fetchall()
        assert recorded == [
            ("", "Users", "users"),
            ("people", "Users", "users"),
            ("users", "Companies", "companies"),
            ("users", "Users", "users"),
        ]
