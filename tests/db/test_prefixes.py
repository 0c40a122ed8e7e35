"""From an id to its table: prefixes that collections share, ids without one, and catalogues that others change."""

from dataclasses import dataclass
from typing import Annotated

import psycopg
import pytest
from psycopg import sql

from docsession import (
    CollectionMismatchException,
    ConcurrencyException,
    DocumentConventions,
    InvalidArgumentException,
    RavenException,
    Ref,
    document,
)
from tests.support.documents import change, read, remove, save
from tests.support.proxy import CountingProxy


@dataclass
class User:
    name: str
    id: str | None = None


@dataclass
class Settings:
    theme: str
    id: str | None = None


@dataclass
class Page:
    """Refers to documents without saying of which collection."""

    refers: list[str]
    settings: Annotated[str, Ref(Settings)] = ""
    id: str | None = None


async def catalogue(rows):
    """The catalogue as it is stored."""
    query = 'SELECT prefix, collection, "table" FROM {} ORDER BY 1, 2'
    return rows._run(query, "docsession_collections").fetchall()


class TestSharedPrefixes:
    async def test_a_document_of_another_collection_lives_under_a_prefix(self, store, rows):
        await save(store, (User("ann"), "users/1"))
        await save(store, (Settings("dark"), "users/1/settings"))
        assert await catalogue(rows) == [("users", "Settings", "settings"), ("users", "Users", "users")]
        assert rows.ids("users") == ["users/1"]
        assert rows.ids("settings") == ["users/1/settings"]

    async def test_both_are_loaded_with_and_without_a_class(self, store):
        await save(store, (User("ann"), "users/1"), (Settings("dark"), "users/1/settings"))
        async with store.open_session() as session:
            assert (await session.load("users/1", User)).name == "ann"
            assert (await session.load("users/1/settings", Settings)).theme == "dark"
        async with store.open_session() as session:
            assert (await session.load("users/1"))["name"] == "ann"
            settings = await session.load("users/1/settings")
            assert (settings["theme"], settings["@metadata"]["@collection"]) == ("dark", "Settings")
        async with store.open_session() as session:
            loaded = await session.load(["users/1/settings", "users/2", "users/1"])
            collections = [each and each["@metadata"]["@collection"] for each in loaded.values()]
            assert collections == ["Settings", None, "Users"]
            assert session.advanced.number_of_requests == 1

    async def test_a_prefix_that_another_collection_had_first(self, store, rows):
        await save(store, (Settings("dark"), "users/1/settings"))
        key = await save(store, User("ann"))
        assert key == "users/1-A"
        assert rows.ids("users") == ["users/1-A"]
        assert (await read(store, key)).items() >= {"name": "ann"}.items()

    async def test_they_are_found_by_what_their_ids_begin_with(self, store):
        await save(store, (User("ann"), "users/1"), (User("bob"), "users/2"), (Settings("dark"), "users/1/settings"))
        async with store.open_session() as session:
            everything = await session.advanced.load_starting_with("users/")
            assert [each["@metadata"]["@id"] for each in everything] == ["users/1", "users/1/settings", "users/2"]
            (below,) = await session.advanced.load_starting_with("users/1/")
            assert below["theme"] == "dark"

    async def test_each_is_changed_and_deleted_where_it_lies(self, store, rows):
        await save(store, (User("ann"), "users/1"), (Settings("dark"), "users/1/settings"))
        await change(store, "users/1/settings", Settings, theme="light")
        assert rows.data("settings", "users/1/settings") == {"theme": "light"}
        await remove(store, "users/1/settings")
        assert (rows.ids("users"), rows.ids("settings")) == (["users/1"], [])
        await remove(store, "users/1", "users/1/settings")
        assert rows.ids("users") == []

    async def test_one_save_writes_both(self, store, rows):
        async with store.open_session() as session:
            user = User("ann")
            await session.store(user)
            await session.store(Settings("dark"), user.id + "/settings")
            await session.save_changes()
        assert rows.ids("settings") == [f"{user.id}/settings"]

    async def test_exists_and_checks_find_them(self, store):
        await save(store, (User("ann"), "users/1"), (Settings("dark"), "users/1/settings"))
        async with store.open_session() as session:
            assert await session.advanced.exists("users/1/settings")
            assert not await session.advanced.exists("users/2/settings")
            settings = await session.load("users/1/settings", Settings)
            vector = session.advanced.get_change_vector_for(settings)
        async with store.open_session() as session:
            result = await session.advanced.conditional_load("users/1/settings", vector, Settings)
            assert (result.entity, result.change_vector) == (None, vector)
            session.advanced.register_for_concurrency_check("users/1/settings", vector)
            await session.save_changes()
            session.delete("users/1/settings", expected_change_vector=vector)
            await session.save_changes()
            assert not await session.advanced.exists("users/1/settings")

    async def test_a_prefix_is_taken_as_it_is_written(self, store, rows):
        await save(store, (User("ann"), "Users/1"), (User("bob"), "users/1"), (User("cy"), "users"))
        prefixes = [row[0] for row in await catalogue(rows)]
        assert prefixes == ["", "Users", "users"]
        for key, name in (("Users/1", "ann"), ("users/1", "bob"), ("users", "cy")):
            assert (await read(store, key, User)).name == name

    async def test_another_separator(self, make_store, rows):
        conventions = DocumentConventions()
        conventions.identity_parts_separator = ":"
        store = make_store(conventions=conventions)
        key = await save(store, User("ann"))
        await save(store, (Settings("dark"), f"{key}:settings"), (Settings("light"), "a/b"))
        assert key == "users:1-A"
        recorded = [row[:2] for row in await catalogue(rows)]
        assert recorded == [("", "Settings"), ("users", "Settings"), ("users", "Users")]
        assert (await read(store, "users:1-A:settings"))["theme"] == "dark"


class TestMismatches:
    async def test_an_id_of_another_collection_is_refused(self, store, rows):
        await save(store, (User("ann"), "users/1"), (User("bob"), "users/2"))
        for keys in (["users/1"], ["users/1", "users/2", "users/3"]):
            async with store.open_session() as session:
                for key in keys:
                    await session.store(Settings("dark"), key)
                with pytest.raises(CollectionMismatchException, match=r"'users/1' \(a document of 'Users'\)") as caught:
                    await session.save_changes()
                assert ("'users/2'" in str(caught.value)) == ("users/2" in keys)
                assert "'users/3'" not in str(caught.value)
                assert session.advanced.has_changes()
        assert rows.data("users", "users/1") == {"name": "ann"}
        # Nothing was recorded either.
        assert [row[:2] for row in await catalogue(rows)] == [("users", "Users")]

    async def test_the_other_way_round(self, store, rows):
        await save(store, (User("ann"), "users/1"))
        await save(store, (Settings("dark"), "users/1/settings"))
        with pytest.raises(CollectionMismatchException, match="Settings"):
            await save(store, (User("bob"), "users/1/settings"))
        assert rows.ids("users") == ["users/1"]

    async def test_after_a_delete_the_id_is_free(self, store, rows):
        await save(store, (User("ann"), "users/1"))
        await remove(store, "users/1")
        await save(store, (Settings("dark"), "users/1"))
        assert (rows.ids("users"), rows.ids("settings")) == ([], ["users/1"])

    async def test_the_repaired_session_saves(self, store, rows):
        await save(store, (User("ann"), "users/1"))
        async with store.open_session() as session:
            settings = Settings("dark")
            await session.store(settings, "users/1")
            await session.store(User("bob"), "users/2")
            with pytest.raises(CollectionMismatchException):
                await session.save_changes()
            session.advanced.evict(settings)
            await session.store(settings, "users/1/settings")
            await session.save_changes()
        assert (rows.ids("users"), rows.ids("settings")) == (["users/1", "users/2"], ["users/1/settings"])

    async def test_ids_without_a_prefix_too(self, store):
        await save(store, (User("ann"), "ann"))
        with pytest.raises(CollectionMismatchException, match="'ann'"):
            await save(store, (Settings("dark"), "ann"))


class TestIdsWithoutAPrefix:
    async def test_they_belong_to_the_class_they_are_used_with(self, store, rows):
        await save(store, (User("Ayende"), "ayende"), (Settings("dark"), "defaults"))
        assert (rows.ids("users"), rows.ids("settings")) == (["ayende"], ["defaults"])
        assert (await read(store, "ayende", User)).name == "Ayende"
        assert (await read(store, "defaults", Settings)).theme == "dark"

    async def test_without_a_class_one_request_looks_through_the_tables_that_hold_such(self, make_store, postgres_url):
        with CountingProxy(postgres_url) as proxy:
            store = make_store(proxy.url)
            await save(store, (User("Ayende"), "ayende"), (Settings("dark"), "defaults"), (Page([]), "pages/1"))
            proxy.reset()
            async with store.open_session() as session:
                assert (await session.load("ayende"))["name"] == "Ayende"
                assert (await session.load("defaults"))["theme"] == "dark"
                assert session.advanced.number_of_requests == proxy.round_trips == 2
            proxy.reset()
            async with store.open_session() as session:
                loaded = await session.load(["defaults", "ayende", "pages/1"])
                assert all(loaded.values())
                assert session.advanced.number_of_requests == proxy.round_trips == 1

    async def test_they_are_deleted_and_looked_for_without_a_class(self, store, rows):
        await save(store, (User("Ayende"), "ayende"), (Settings("dark"), "defaults"))
        async with store.open_session() as session:
            assert await session.advanced.exists("defaults")
            found = await session.advanced.load_starting_with("de")
            assert [each["theme"] for each in found] == ["dark"]
        await remove(store, "ayende", "defaults", "nothing")
        assert (rows.ids("users"), rows.ids("settings")) == ([], [])

    async def test_an_id_that_begins_with_the_separator(self, store):
        await save(store, (User("ann"), "/users/1"))
        assert (await read(store, "/users/1", User)).name == "ann"
        assert (await read(store, "/users/1"))["name"] == "ann"


class TestMissingTables:
    async def test_a_load_finds_nothing_and_creates_nothing(self, store, postgres_url, database):
        async with store.open_session() as session:
            assert await session.load("users/1", User) is None
            assert await session.load("users/2") is None
            assert not any((await session.load(["users/3", "ann", "orders/1"])).values())
            assert not await session.advanced.exists("users/4")
            assert await session.advanced.load_starting_with("users/", User) == []
            result = await session.advanced.conditional_load("users/5", "1", User)
            assert (result.entity, result.change_vector) == (None, None)
            assert await session.include("refers").load("pages/1", Page) == {"pages/1": None}
            assert await session.load("users/1", User) is None
            assert session.advanced.number_of_requests == 6
        assert await store.maintenance.get_collection_statistics() == {}
        await remove(store, "users/1")
        with psycopg.connect(postgres_url) as connection:
            query = "SELECT count(*) FROM pg_namespace WHERE nspname = %s"
            assert connection.execute(query, (database,)).fetchone() == (0,)

    async def test_in_a_database_that_is_there_neither(self, store, postgres_url, database):
        await save(store, (User("ann"), "users/1"))
        async with store.open_session() as session:
            assert await session.load("settings/1", Settings) is None
            assert await session.load("users/1/settings", Settings) is None
            assert await session.load("settings/2") is None
            assert await session.advanced.load_starting_with("settings/", Settings) == []
            await session.include("settings").load("users/1")
        with psycopg.connect(postgres_url) as connection:
            query = "SELECT to_regclass(%s)"
            name = sql.Identifier(database, "settings").as_string(connection)
            assert connection.execute(query, (name,)).fetchone() == (None,)

    async def test_many_unknown_prefixes_are_one_look_into_the_catalogue(self, make_store, postgres_url):
        with CountingProxy(postgres_url) as proxy:
            store = make_store(proxy.url)
            await save(store, (User("ann"), "users/1"))
            proxy.reset()
            async with store.open_session() as session:
                assert not any((await session.load([f"p{i}/1" for i in range(50)])).values())
                assert proxy.round_trips == 1
                proxy.reset()
                loaded = await session.load(["users/1", *(f"q{i}/1" for i in range(50))])
                assert loaded["users/1"]["name"] == "ann"
                assert proxy.round_trips <= 3


class TestASecondStore:
    """Another process, whose catalogue does not know what this one has begun to store."""

    async def prepared(self, make_store, *, shared):
        """A store that knows users and pages, and what another one has stored since: below a user, or elsewhere."""
        stale, other = make_store(), make_store()
        await save(other, (User("ann"), "users/1"), (Page([]), "pages/1"))
        assert (await read(stale, "users/1"))["name"] == "ann"
        key = "users/1/settings" if shared else "settings/1"
        await save(other, (Settings("dark"), key))
        return stale, other, key

    @pytest.mark.parametrize("shared", [False, True])
    async def test_loads(self, make_store, shared):
        for ask in (
            lambda session, key: session.load(key, Settings),
            lambda session, key: session.load(key),
            lambda session, key: session.load([key], Settings),
            lambda session, key: session.load([key, "users/1"]),
            lambda session, key: session.load([key, "users/404", "other/1"]),
            lambda session, key: session.include("theme").load(key),
            lambda session, key: session.include("theme").load([key, "users/1"]),
        ):
            stale, _, key = await self.prepared(make_store, shared=shared)
            async with stale.open_session() as session:
                found = await ask(session, key)
                if isinstance(found, dict) and key in found:
                    found = found[key]
                assert found == Settings("dark", key) or found["theme"] == "dark"

    @pytest.mark.parametrize("shared", [False, True])
    async def test_exists(self, make_store, shared):
        stale, _, key = await self.prepared(make_store, shared=shared)
        async with stale.open_session() as session:
            assert await session.advanced.exists(key)

    @pytest.mark.parametrize("shared", [False, True])
    async def test_deletes_by_id(self, make_store, rows, shared):
        stale, _, key = await self.prepared(make_store, shared=shared)
        await remove(stale, key)
        assert rows.ids("settings") == []

    @pytest.mark.parametrize("shared", [False, True])
    async def test_deletes_with_an_expected_version(self, make_store, rows, shared):
        stale, _, key = await self.prepared(make_store, shared=shared)
        async with stale.open_session() as session:
            session.delete(key, expected_change_vector=str(rows.version("settings", key)))
            await session.save_changes()
        assert rows.ids("settings") == []

    @pytest.mark.parametrize("shared", [False, True])
    async def test_checks(self, make_store, rows, shared):
        stale, _, key = await self.prepared(make_store, shared=shared)
        async with stale.open_session() as session:
            session.advanced.register_for_concurrency_check(key, str(rows.version("settings", key)))
            await session.save_changes()
            session.advanced.register_for_concurrency_check(key, "5")
            with pytest.raises(ConcurrencyException, match="changed meanwhile"):
                await session.save_changes()

    @pytest.mark.parametrize("shared", [False, True])
    async def test_loads_by_prefix(self, make_store, shared):
        for start in ("users/1/", "users/", "us") if shared else ("settings/", "set"):
            stale, _, key = await self.prepared(make_store, shared=shared)
            async with stale.open_session() as session:
                found = await session.advanced.load_starting_with(start)
                assert key in [each["@metadata"]["@id"] for each in found]
                assert session.advanced.number_of_requests == 1

    @pytest.mark.parametrize("shared", [False, True])
    async def test_loads_on_condition(self, make_store, rows, shared):
        stale, _, key = await self.prepared(make_store, shared=shared)
        async with stale.open_session() as session:
            vector = str(rows.version("settings", key))
            result = await session.advanced.conditional_load(key, vector, Settings)
            assert (result.entity, result.change_vector) == (None, vector)
            result = await session.advanced.conditional_load(key, "5", Settings)
            assert (result.entity.theme, result.change_vector) == ("dark", vector)

    @pytest.mark.parametrize("shared", [False, True])
    async def test_includes(self, make_store, shared):
        """What a document refers to is there, or at least found by a load: never taken for missing."""
        for path in ("refers", "settings"):
            stale, other, key = await self.prepared(make_store, shared=shared)
            await save(other, (Page([key], key), "pages/1"))
            async with stale.open_session() as session:
                await session.include(path).load("pages/1", Page)
                sent = session.advanced.number_of_requests
                assert (await session.load(key, Settings)).theme == "dark"
                assert session.advanced.number_of_requests == sent

    async def test_stores_more_of_it(self, make_store, rows):
        stale, _, _ = await self.prepared(make_store, shared=True)
        await save(stale, (Settings("light"), "users/2/settings"), (User("bob"), "users/2"))
        assert (rows.ids("users"), rows.ids("settings")) == (
            ["users/1", "users/2"], ["users/1/settings", "users/2/settings"],
        )  # fmt: skip
        assert len(await catalogue(rows)) == 3

    async def test_one_id_stays_one_document(self, make_store, rows):
        """Neither store knows of the other's table; the catalogue that the server has does."""
        for checked in (False, True):
            stale, _, key = await self.prepared(make_store, shared=True)
            async with stale.open_session() as session:
                session.advanced.use_optimistic_concurrency = checked
                await session.store(User("eve"), key)
                await session.store(User("bob"), "users/2")
                with pytest.raises(CollectionMismatchException, match=f"'{key}'"):
                    await session.save_changes()
            stale, _, key = await self.prepared(make_store, shared=True)
            with pytest.raises(CollectionMismatchException, match=f"'{key}'"):
                await save(stale, (User("eve"), key))
        assert rows.ids("users") == ["users/1"]

    async def test_a_database_that_another_process_dropped(self, make_store, database, rows):
        for ask in (
            lambda session: session.load("users/1", User),
            lambda session: session.load("users/1"),
            lambda session: session.advanced.exists("users/1"),
        ):
            stale, other, _ = await self.prepared(make_store, shared=True)
            await other.maintenance.delete_database(database)
            async with stale.open_session() as session:
                assert not await ask(session)
        stale, other, _ = await self.prepared(make_store, shared=True)
        await other.maintenance.delete_database(database)
        async with stale.open_session() as session:
            assert await session.load(["users/1", "users/1/settings"]) == {"users/1": None, "users/1/settings": None}
            assert await session.include("name").load("users/2") == {"users/2": None}
            assert await session.advanced.load_starting_with("users/") == []
            result = await session.advanced.conditional_load("users/3", "5", User)
            assert result.change_vector is None
        assert await stale.maintenance.get_collection_statistics() == {}
        for use in (
            lambda: remove(stale, "users/1"),
            lambda: save(stale, (User("bob"), "users/2")),
            lambda: save(stale, User("bob")),
        ):
            await save(stale, (User("bob"), "users/1"))
            await other.maintenance.delete_database(database)
            await use()


class TestIncludes:
    async def test_a_prefix_that_a_path_never_led_to_before(self, store):
        """The tables are known from earlier loads, and the prefix lies in one of them."""
        await save(
            store, (User("ann"), "users/1"), (Settings("dark"), "settings/1"), (User("bob"), "people/1"),
            (Page(["users/1", "settings/1"]), "pages/1"), (Page(["people/1"]), "pages/2"),
        )  # fmt: skip
        for page in ("pages/1", "pages/1", "pages/2"):
            async with store.open_session() as session:
                loaded = await session.include("refers").load(page, Page)
                for key in loaded[page].refers:
                    assert await session.load(key) is not None
                assert session.advanced.number_of_requests == 1


class TestTableNames:
    @pytest.mark.parametrize(
        ("one", "other"),
        [("OrderLines", "Order_Lines"), ("OrderLines", "orderLines"), ("OrderLines", "order lines"), ("Us", "us")],
    )
    async def test_a_table_belongs_to_one_collection(self, store, rows, one, other):
        first = {"n": 1, "@metadata": {"@collection": one}}
        second = {"n": 2, "@metadata": {"@collection": other}}
        message = rf"{one}.*{other}.*share the table|{other}.*{one}.*share the table"
        with pytest.raises(InvalidArgumentException, match=message):
            await save(store, (first, "a/1"), (second, "b/1"))
        await save(store, (first, "a/1"))
        for key in ("a/2", "b/1"):
            with pytest.raises(InvalidArgumentException, match=message):
                await save(store, (second, key))
        assert len(await catalogue(rows)) == 1

    async def test_the_index_of_a_table_is_no_table(self, store):
        await save(store, ({"n": 1, "@metadata": {"@collection": "Users"}}, "users/1"))
        with pytest.raises(RavenException, match=r"users_pkey.*not one of docsession"):
            await save(store, ({"n": 1, "@metadata": {"@collection": "UsersPkey"}}, "keys/1"))

    @pytest.mark.parametrize("name", ["docsession_hilo", "DocsessionCollections", "docsession things", "Docsession-X"])
    async def test_names_of_docsession_are_refused(self, store, name):
        with pytest.raises(InvalidArgumentException, match="belong to docsession"):
            await save(store, ({"@metadata": {"@collection": name}}, "x/1"))
        with pytest.raises(InvalidArgumentException, match="belong to docsession"):
            document(collection=name)

    async def test_a_name_of_63_bytes_is_the_longest(self, store, rows):
        longest, too_long = "ä" * 31 + "s", "ä" * 32
        await save(store, ({"n": 1, "@metadata": {"@collection": longest}}, "x/1"))
        assert await catalogue(rows) == [("x", longest, longest)]
        with pytest.raises(InvalidArgumentException, match="64 bytes"):
            await save(store, ({"n": 1, "@metadata": {"@collection": too_long}}, "y/1"))

    async def test_a_collection_keeps_the_table_that_is_recorded(self, store, make_store, rows, postgres_url, database):
        """The name is never computed again: another version of the rule finds the documents where they are."""
        await save(store, (User("ann"), "users/1"))
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            schema = sql.Identifier(database)
            connection.execute(sql.SQL("ALTER TABLE {}.users RENAME TO people").format(schema))
            connection.execute(sql.SQL('UPDATE {}.docsession_collections SET "table" = {}').format(schema, "people"))
        later = make_store()
        assert (await read(later, "users/1", User)).name == "ann"
        await save(later, (User("bob"), "users/2"))
        assert rows.ids("people") == ["users/1", "users/2"]
