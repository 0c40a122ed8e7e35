"""Raw commands in the flush of a session."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docsession import (
    CollectionMismatchException,
    ConcurrencyException,
    DeleteCommandData,
    DocumentMismatchException,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    OptimisticConcurrencyMode,
    PutCommandDataWithJson,
    SessionClosedException,
    SessionOptions,
    UnknownOutcomeException,
    UnsupportedValueException,
)
from tests.support.answers import Answers
from tests.support.documents import change, driven, read, remove, save
from tests.support.proxy import CountingProxy


@dataclass
class User:
    name: str
    tags: list[str] = field(default_factory=list)
    id: str | None = None


@dataclass
class Company:
    name: str
    id: str | None = None


def put(key, document, change_vector=None):
    return PutCommandDataWithJson(key, change_vector, document)


USERS = {"@collection": "Users"}
"""The metadata of a document that nothing else says the collection of."""


async def test_commands_are_written_with_the_entities_in_one_request(make_store, postgres_url, rows):
    with CountingProxy(postgres_url) as proxy:
        store = make_store(proxy.url, min_size=1)
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"), (Company("c"), "companies/1"))
        proxy.reset()
        async with store.open_session() as session:
            await session.store(User("new"), "users/3")
            session.defer(put("users/1", {"name": "put", "extra": [1, 2.50]}), DeleteCommandData("users/2"))
            session.advanced.defer(put("companies/9", {"name": "made"}))
            await session.save_changes()
            assert proxy.round_trips == 1
            assert session.advanced.number_of_requests == 1
            assert not session.advanced.has_changes()
            await session.save_changes()
            assert proxy.round_trips == 1
    assert rows.ids("users") == ["users/1", "users/3"]
    assert rows.data("users", "users/1") == {"name": "put", "extra": [1, 2.5]}
    assert rows.data("companies", "companies/9") == {"name": "made"}


class TestPut:
    async def test_the_prefix_says_the_collection(self, store, rows):
        async with store.open_session() as session:
            session.defer(put("users/1", {"name": "a"}))
            await session.save_changes()
        assert rows.data("users", "users/1") == {"name": "a"}
        assert await store.maintenance.get_collection_statistics() == {"users": 1}

    async def test_a_known_prefix_belongs_to_its_collection(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.defer(put("users/2", {"name": "b"}))
            await session.save_changes()
        assert await store.maintenance.get_collection_statistics() == {"Users": 2}
        assert await read(store, "users/2", User) == User("b", [], "users/2")

    async def test_the_metadata_names_the_collection_and_holds_what_is_kept(self, store, rows):
        async with store.open_session() as session:
            metadata = USERS | {"reviewed": True, "@change-vector": "7", "@id": "other/1"}
            session.defer(put("ayende", {"name": "a", "@metadata": metadata}))
            await session.save_changes()
            user = await session.load("ayende", User)
            assert user == User("a", [], "ayende")
            assert session.advanced.get_metadata_for(user)["reviewed"] is True
        assert rows.metadata("users", "ayende") == {"reviewed": True}
        assert rows.data("users", "ayende") == {"name": "a"}

    async def test_what_becomes_of_the_dict_afterwards_does_not_matter(self, store, rows):
        document = {"name": "a", "tags": ["x"], "@metadata": USERS | {"k": [1]}}
        async with store.open_session() as session:
            session.defer(put("users/1", document))
            document["tags"].append("y")
            document["@metadata"]["k"].append(2)
            document["name"] = object()
            await session.save_changes()
        assert document["@metadata"] == USERS | {"k": [1, 2]}
        assert rows.data("users", "users/1") == {"name": "a", "tags": ["x"]}
        assert rows.metadata("users", "users/1") == {"k": [1]}

    async def test_an_unchecked_one_overwrites_whatever_the_mode(self, store, rows):
        await save(store, (User("a"), "users/1"))
        for mode in OptimisticConcurrencyMode:
            async with store.open_session(session_options=SessionOptions(optimistic_concurrency_mode=mode)) as session:
                session.defer(put("users/1", {"name": mode.value}))
                await session.save_changes()
            assert rows.data("users", "users/1") == {"name": mode.value}

    @pytest.mark.parametrize("count", [1, 2])
    async def test_a_change_vector_is_checked(self, store, rows, count):
        await save(store, (User("a"), "users/1"), (User("a"), "users/2"))
        old = str(rows.version("users", "users/1"))
        async with store.open_session() as session:
            session.defer(*(put(f"users/{n + 1}", {"name": "b"}, old if n == 0 else None) for n in range(count)))
            await session.save_changes()
        assert rows.version("users", "users/1") > int(old)
        async with store.open_session() as session:
            session.defer(*(put(f"users/{n + 1}", {"name": "c"}, old if n == 0 else None) for n in range(count)))
            with pytest.raises(ConcurrencyException) as caught:
                await session.save_changes()
            assert [(each.id, each.expected) for each in caught.value.conflicts] == [("users/1", old)]
            assert session.advanced.has_changes()
        assert [rows.data("users", f"users/{n + 1}")["name"] for n in range(2)] == ["b", "b" if count == 2 else "a"]

    async def test_an_empty_change_vector_means_that_it_must_be_new(self, store, rows):
        async with store.open_session() as session:
            session.defer(put("users/1", {"name": "a"}, ""))
            await session.save_changes()
            session.defer(put("users/1", {"name": "b"}, ""))
            with pytest.raises(ConcurrencyException, match="exists already"):
                await session.save_changes()
        assert rows.data("users", "users/1") == {"name": "a"}

    async def test_an_id_of_another_collection_is_refused(self, store, rows):
        await save(store, (User("a"), "users/1"), (Company("c"), "users/1/company"))
        async with store.open_session() as session:
            session.defer(put("users/1", {"name": "b", "@metadata": {"@collection": "Companies"}}))
            with pytest.raises(CollectionMismatchException, match="'users/1'"):
                await session.save_changes()
        assert rows.ids("companies") == ["users/1/company"]


class TestDelete:
    async def test_what_is_not_there_is_fine(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.defer(DeleteCommandData("users/1"), DeleteCommandData("users/2", None), DeleteCommandData("none/1"))
            await session.save_changes()
            assert await session.load("users/1", User) is None
            assert session.advanced.number_of_requests == 1
        assert rows.ids("users") == []

    async def test_a_change_vector_is_checked(self, store, rows):
        await save(store, (User("a"), "users/1"))
        old = str(rows.version("users", "users/1"))
        await change(store, "users/1", User, name="b")
        async with store.open_session() as session:
            session.defer(DeleteCommandData("users/1", old))
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
            session.advanced.clear()
            assert not session.advanced.has_changes()
            session.defer(DeleteCommandData("users/1", str(rows.version("users", "users/1"))))
            await session.save_changes()
        assert rows.ids("users") == []


class TestTheSessionAfterwards:
    async def test_a_tracked_entity_is_brought_up_to_date(self, store):
        await save(store, (User("a", ["x"]), "users/1"))
        async with store.open_session() as session:
            session.advanced.use_optimistic_concurrency = True
            user = await session.load("users/1", User)
            metadata = session.advanced.get_metadata_for(user)
            before = session.advanced.get_change_vector_for(user)
            session.defer(put("users/1", {"name": "b", "unknown": 1, "@metadata": {"k": 1}}))
            assert user.name == "a"
            await session.save_changes()
            assert (user.name, user.tags, user.id) == ("b", [], "users/1")
            assert metadata["k"] == 1
            assert session.advanced.get_change_vector_for(user) != before
            assert not session.advanced.has_changes()
            assert await session.load("users/1", User) is user
            user.name = "c"
            await session.save_changes()
        stored = await read(store, "users/1")
        assert stored | {"@metadata": 0} == {"name": "c", "tags": [], "unknown": 1, "@metadata": 0}

    async def test_a_tracked_dict_too(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1")
            session.defer(put("users/1", {"name": "b"}))
            await session.save_changes()
            assert {key: value for key, value in user.items() if key != "@metadata"} == {"name": "b"}
            assert user["@metadata"]["@change-vector"] == session.advanced.get_change_vector_for(user)
            assert not session.advanced.has_changes()

    async def test_a_document_that_does_not_fit_the_tracked_class_is_refused_before_anything_is_sent(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.defer(put("users/1", {"name": ["no", "text"]}))
            with pytest.raises(DocumentMismatchException, match="users/1"):
                await session.save_changes()
            assert user.name == "a"
        assert (await read(store, "users/1", User)).name == "a"

    async def test_an_id_that_was_missing_is_found(self, store):
        async with store.open_session() as session:
            assert await session.load("users/1", User) is None
            session.defer(put("users/1", {"name": "a", "@metadata": USERS}))
            assert await session.load("users/1", User) is None
            await session.save_changes()
            assert (await session.load("users/1", User)).name == "a"

    async def test_an_included_document_is_loaded_anew(self, store):
        await save(store, (Company("c"), "companies/1"), (User("companies/1"), "users/1"))
        async with store.open_session() as session:
            await session.include("name", Company).load("users/1", User)
            session.defer(put("companies/1", {"name": "d"}))
            await session.save_changes()
            assert (await session.load("companies/1", Company)).name == "d"

    async def test_a_deleted_entity_is_forgotten(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.defer(DeleteCommandData("users/1"))
            await session.save_changes()
            assert session.advanced.get_document_id(user) is None
            assert await session.load("users/1", User) is None
            await session.store(User("b"), "users/1")
            await session.save_changes()
        assert (await read(store, "users/1", User)).name == "b"

    async def test_a_tracked_entity_is_checked_where_reads_are(self, store):
        options = SessionOptions(optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES_AND_READS)
        for command in (put("users/1", {"name": "mine"}), DeleteCommandData("users/1")):
            await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
            async with store.open_session(session_options=options) as session:
                await session.load(["users/1", "users/2"], User)
                await change(store, "users/1", User, name="theirs")
                session.defer(command)
                with pytest.raises(ConcurrencyException) as caught:
                    await session.save_changes()
                assert [each.id for each in caught.value.conflicts] == ["users/1"]
            assert (await read(store, "users/1", User)).name == "theirs"

    async def test_a_registered_check_holds_for_the_command(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.advanced.register_for_concurrency_check("users/1", "1")
            session.defer(put("users/1", {"name": "b"}))
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
            session.advanced.register_for_concurrency_check("users/1", None)
            await session.save_changes()
        assert (await read(store, "users/1", User)).name == "b"

    @pytest.mark.parametrize("fate", ["lost", "late"])
    async def test_a_lost_answer_is_resolved(self, store, rows, fate):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        answers = Answers(store)
        async with store.open_session() as session:
            users = await session.load(["users/1", "users/2"], User)
            session.defer(put("users/1", {"name": "put"}), DeleteCommandData("users/2"))
            answers.writes = [fate]
            with pytest.raises(UnknownOutcomeException):
                await session.save_changes()
            await session.save_changes()
            assert users["users/1"].name == "put"
            assert session.advanced.get_change_vector_for(users["users/1"]) == str(rows.version("users", "users/1"))
            assert not session.advanced.has_changes()
        assert rows.ids("users") == ["users/1"]


class TestTransactions:
    """What a rollback undoes is pending again, and what was tracked is as it was."""

    async def test_a_rollback_makes_commands_pending_again(self, store, rows):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with store.open_session() as session:
            users = await session.load(["users/1", "users/2"], User)
            before = session.advanced.get_change_vector_for(users["users/1"])
            await session.advanced.begin()
            session.defer(put("users/1", {"name": "put"}), DeleteCommandData("users/2"), put("users/3", {"name": "c"}))
            await session.save_changes()
            assert users["users/1"].name == "put"
            assert (await session.load("users/3", User)).name == "c"
            assert not session.advanced.has_changes()
            await session.advanced.rollback()
            assert users["users/1"].name == "a"
            assert session.advanced.get_change_vector_for(users["users/1"]) == before
            assert await session.load("users/2", User) is users["users/2"]
            assert await session.load("users/3", User) is None
            assert session.advanced.has_changes()
            await session.save_changes()
            assert users["users/1"].name == "put"
        assert rows.ids("users") == ["users/1", "users/3"]

    async def test_what_was_edited_on_top_stays(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            async with session.advanced.transaction():
                await session.advanced.begin()
                session.defer(put("users/1", {"name": "put"}))
                await session.save_changes()
                user.name += "!"
                await session.advanced.rollback()
                await session.save_changes()
        assert rows.data("users", "users/1")["name"] == "put!"

    async def test_a_commit_keeps_them(self, store, rows):
        async with store.open_session() as session:
            async with session.advanced.transaction():
                session.defer(put("users/1", {"name": "a"}))
                await session.save_changes()
            assert not session.advanced.has_changes()
        assert rows.data("users", "users/1") == {"name": "a"}


class TestOneOperationForEachDocument:
    async def test_store_and_delete_are_refused_while_a_command_is_pending(self, store):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.defer(DeleteCommandData("users/1"), put("users/3", {"name": "c"}))
            for call in (
                lambda: session.store(User("x"), "users/3"),
                lambda: session.store(User("x", id="users/3")),
                lambda: session.store(User("x"), "users/1"),
            ):
                with pytest.raises(InvalidOperationException, match="deferred command"):
                    await call()
            for what in ("users/1", "users/3", user):
                with pytest.raises(InvalidOperationException, match="deferred command"):
                    session.delete(what)
            assert session.advanced.get_document_id(user) == "users/1"
            session.advanced.clear()
            session.delete("users/1")
            await session.store(User("x"), "users/3")
            await session.save_changes()
        assert await read(store, "users/1") is None

    @pytest.mark.parametrize("command", [put("users/1", {"name": "put"}), DeleteCommandData("users/1")])
    async def test_what_the_session_has_changed_itself_stops_the_save(self, store, command):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with store.open_session() as session:
            users = await session.load(["users/1", "users/2"], User)
            users["users/1"].name = "mine"
            users["users/2"].name = "mine"
            session.defer(command)
            with pytest.raises(InvalidOperationException, match="'users/1' was changed by the session"):
                await session.save_changes()
            assert session.advanced.number_of_requests == 1
            session.advanced.ignore_changes_for(users["users/1"])
            with pytest.raises(InvalidOperationException, match="'users/1' was changed by the session"):
                await session.save_changes()
            session.advanced.evict(users["users/1"])
            await session.save_changes()
        assert (await read(store, "users/2", User)).name == "mine"

    async def test_what_the_session_deletes_or_makes_does_too(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            session.delete("users/1")
            session.defer(put("users/1", {"name": "put"}))
            with pytest.raises(InvalidOperationException, match="was changed by the session"):
                await session.save_changes()
            session.advanced.clear()
            await session.store(User("new"), "users/2")
            session.defer(put("users/2", {"name": "put"}))
            with pytest.raises(InvalidOperationException, match="was changed by the session"):
                await session.save_changes()
        assert (await read(store, "users/1", User)).name == "a"
        assert await read(store, "users/2") is None

    async def test_two_commands_for_one_document_are_refused(self, store):
        async with store.open_session() as session:
            session.defer(DeleteCommandData("users/1"))
            with pytest.raises(InvalidOperationException, match="already"):
                session.defer(put("users/2", {"name": "a"}), put("users/1", {"name": "a"}))
            session.defer(put("users/2", {"name": "a"}))
            with pytest.raises(InvalidOperationException, match="already"):
                session.defer(DeleteCommandData("users/4"), DeleteCommandData("users/4"))
            session.defer(DeleteCommandData("users/4"))


class TestRefusals:
    @pytest.mark.parametrize(
        ("command", "error", "words"),
        [
            (put("users/1", User("a")), InvalidArgumentTypeException, "is a dict, not User"),
            (put("users/1", {"name": object()}), UnsupportedValueException, "name"),
            (put("users/1", {"name": "a", "Id": "users/2"}), InvalidArgumentException, "another id"),
            (put("users/1", {"name": "a", "@metadata": 1}), InvalidArgumentTypeException, "@metadata"),
            (put("ayende", {"name": "a"}), InvalidArgumentException, "collection"),
            (put("users/", {"name": "a"}), InvalidArgumentException, "names its document"),
            (put("users|", {"name": "a"}), InvalidArgumentException, "names its document"),
            (put("", {"name": "a"}), InvalidArgumentException, "blank"),
            (put(1, {"name": "a"}), InvalidArgumentTypeException, "id is a str"),
            (put("users/1", {"name": "a"}, "new"), InvalidArgumentException, "change vector"),
            (DeleteCommandData("users/1", ""), InvalidArgumentException, "nothing to delete"),
            ({"name": "a"}, InvalidArgumentTypeException, "PutCommandDataWithJson"),
        ],
    )
    async def test_a_command_that_cannot_be_run_is_refused_at_once(self, store, command, error, words):
        async with store.open_session() as session:
            with pytest.raises(error, match=words):
                session.defer(DeleteCommandData("users/9"), command)
            assert not session.advanced.has_changes()

    async def test_a_session_that_tracks_nothing_takes_none(self, store):
        async with store.open_session(session_options=SessionOptions(no_tracking=True)) as session:
            with pytest.raises(InvalidOperationException, match="tracks nothing"):
                session.defer(DeleteCommandData("users/1"))

    async def test_a_closed_session_takes_none(self, store):
        session = store.open_session()
        await session.close()
        with pytest.raises(SessionClosedException):
            session.defer(DeleteCommandData("users/1"))


async def test_a_failed_save_keeps_its_commands(store, rows):
    await save(store, (User("a"), "users/1"))
    rows.refuse("users", "name", "bad")
    async with store.open_session() as session:
        session.defer(put("users/1", {"name": "bad"}), put("users/2", {"name": "good"}))
        for _ in range(2):
            with pytest.raises(Exception, match="refused"):
                await session.save_changes()
            assert session.advanced.has_changes()
        rows.allow("users")
        await session.save_changes()
        assert not session.advanced.has_changes()
    assert [rows.data("users", key)["name"] for key in rows.ids("users")] == ["bad", "good"]


async def test_overlapping_flushes_do_not_deadlock(store):
    """Commands are sorted among the rest, whatever the order in which they were deferred."""
    await save(store, *[(User("a"), f"users/{n}") for n in range(8)])

    async def write(turn):
        async with store.open_session() as session:
            keys = [f"users/{n}" for n in range(8)]
            users = await session.load(keys[turn % 2 :: 2], User)
            for user in users.values():
                user.name = f"{turn}"
            session.defer(*(put(key, {"name": f"{turn}"}) for key in reversed(keys) if key not in users))
            await session.save_changes()

    await asyncio.gather(*(write(turn) for turn in range(10)))
    await remove(store, "users/0")


KEYS = [f"users/{n}" for n in range(4)] + [f"companies/{n}" for n in range(2)]
CLASSES = {"users": User, "companies": Company}


@st.composite
def scenarios(draw):
    """What there is, what the session has loaded, which commands it defers, and what it does about a transaction."""
    there = draw(st.sets(st.sampled_from(KEYS)))
    loaded = draw(st.lists(st.sampled_from(KEYS), unique=True))
    commands = draw(st.dictionaries(st.sampled_from(KEYS), st.none() | st.text("ab", max_size=2), max_size=5))
    checked = draw(st.sets(st.sampled_from(KEYS)))
    return there, loaded, commands, checked, draw(st.sampled_from(["none", "commit", "rollback", "rollback, again"]))


def test_commands_do_to_database_and_session_what_they_say(face, postgres_url, database, rows):
    """Any documents, any of them loaded, any commands, saved by themselves or in a transaction."""

    async def play(store, scenario):
        there, loaded, commands, checked, transaction = scenario
        async with store.open_session() as cleaner:
            for key in KEYS:
                cleaner.delete(key)
            await cleaner.save_changes()
        before = {key: f"old {key}" for key in there}
        if before:
            await save(store, *((CLASSES[key.partition("/")[0]](name), key) for key, name in before.items()))
        async with store.open_session() as session:
            session.advanced.max_number_of_requests_per_session = 1000
            entities = {key: await session.load(key, CLASSES[key.partition("/")[0]]) for key in loaded}
            if transaction != "none":
                await session.advanced.begin()
            for key, name in commands.items():
                table = key.partition("/")[0]
                vector = str(rows.version(table, key)) if key in there else ""
                vector = vector if key in checked and (vector or name is not None) else None
                session.defer(
                    DeleteCommandData(key, vector) if name is None else put(key, {"name": name}, vector)
                )  # fmt: skip
            await session.save_changes()
            after = {key: name for key, name in (before | commands).items() if name is not None}
            await compare(session, after, entities)
            if transaction.startswith("rollback"):
                await session.advanced.rollback()
                assert session.advanced.has_changes() is bool(commands)
                await compare(session, before, entities)
                if transaction == "rollback, again":
                    await session.save_changes()
                    await compare(session, after, entities)
                else:
                    after = before
            elif transaction == "commit":
                await session.advanced.commit()
        async with store.open_session() as fresh:
            await compare(fresh, after, {})

    async def compare(session, expected, entities):
        """Each document is as expected, and an entity that was tracked is the one that is there."""
        for key in KEYS:
            found = await session.load(key, CLASSES[key.partition("/")[0]])
            assert (None if found is None else found.name) == expected.get(key), key
            if found is not None and entities.get(key) is not None:
                assert found is entities[key]

    with driven(face, postgres_url, database) as (store, run):
        run(save(store, (User(""), "users/first"), (Company(""), "companies/first")))

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(scenarios())
        def check(scenario):
            run(play(store, scenario))

        check()
