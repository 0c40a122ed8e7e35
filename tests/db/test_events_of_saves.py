"""Events before a save: what handlers are told, in which order, and what they may do."""

import pytest

from docsession import (
    DocumentConventions,
    InvalidOperationException,
    UnsupportedValueException,
)
from tests.support.documents import read, save
from tests.support.events import EVENTS, Entry, User, told


class TestOrder:
    async def test_of_a_save_with_an_edit_a_deletion_and_a_new_document(self, store):
        """RavenDB's, as it was measured."""
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        log = told(store)
        store.add_on_session_creation(lambda args: log.append("created"))
        store.add_on_session_closing(lambda args: log.append("closing"))
        async with store.open_session() as session:
            users = await session.load(["users/1", "users/2"], User)
            users["users/1"].name = "c"
            session.delete(users["users/2"])
            await session.store(User("new"), "users/3")
            await session.save_changes()

        def stored(key):
            conversion = [("before_conversion_to_document", key), ("after_conversion_to_document", key)]
            return [*conversion, ("before_store", key), *conversion]

        assert log == [
            "created",
            ("before_conversion_to_entity", "users/1"),
            ("after_conversion_to_entity", "users/1"),
            ("before_conversion_to_entity", "users/2"),
            ("after_conversion_to_entity", "users/2"),
            ("before_delete", "users/2"),
            *stored("users/1"),
            *stored("users/3"),
            ("after_save_changes", "users/1"),
            ("after_save_changes", "users/3"),
            "closing",
        ]

    async def test_without_handlers_of_before_store_a_document_is_converted_once(self, store):
        log = told(store, "before_conversion_to_document", "after_conversion_to_document")
        await save(store, (User("a"), "users/1"))
        assert log == [("before_conversion_to_document", "users/1"), ("after_conversion_to_document", "users/1")]

    async def test_handlers_of_the_store_come_before_those_of_the_session(self, store):
        log = []
        store.add_before_store(lambda args: log.append("store"))
        store.add_before_store(lambda args: log.append("store, too"))
        async with store.open_session() as session:
            session.add_before_store(lambda args: log.append("session"))
            await session.store(User("a"), "users/1")
            await session.save_changes()
        assert log == ["store", "store, too", "session"]

    async def test_no_repr_shows_a_document(self, store):
        shown = []
        for event in EVENTS:
            getattr(store, f"add_{event}")(lambda args: shown.append(repr(args)))
        await save(store, (User("hush"), "users/1"))
        await read(store, "users/1", User)
        assert len(shown) == 8
        assert not any("hush" in text for text in shown)


class TestBeforeStore:
    async def test_it_may_edit_the_entity(self, store, rows):
        @store.add_before_store
        def stamp(args):
            args.entity.stamp = f"by {args.document_id}"

        async with store.open_session() as session:
            user = User("a")
            await session.store(user, "users/1")
            await session.save_changes()
            assert user.stamp == "by users/1"
            assert not session.advanced.has_changes()
            assert session.advanced.number_of_requests == 1
            user.name, user.stamp = "b", ""
            await session.save_changes()
        assert rows.data("users", "users/1") == {"name": "b", "stamp": "by users/1"}

    async def test_it_is_called_for_what_is_written_alone(self, store):
        await save(store, *((User("a"), f"users/{i}") for i in range(5)))
        log = told(store, "before_store")
        async with store.open_session() as session:
            users = await session.load([f"users/{i}" for i in range(5)], User)
            users["users/1"].name = "b"
            users["users/3"].id = "changed"  # no part of the document
            await session.save_changes()
            assert log == [("before_store", "users/1")]
            await session.save_changes()
        assert log == [("before_store", "users/1")]

    async def test_it_may_edit_the_metadata(self, store, rows):
        accessed = []

        @store.add_before_store
        def tag(args):
            accessed.append(args.is_metadata_accessed)
            args.document_metadata["by"] = "ann"
            accessed.append(args.is_metadata_accessed)

        async with store.open_session() as session:
            user = User("a")
            await session.store(user, "users/1")
            await session.save_changes()
            assert session.advanced.get_metadata_for(user)["by"] == "ann"
            assert not session.advanced.has_changes()
        assert rows.metadata("users", "users/1") == {"by": "ann"}
        assert accessed == [False, True]

    async def test_a_change_of_the_metadata_alone_counts(self, store):
        await save(store, (User("a"), "users/1"))
        log = told(store, "before_store")
        async with store.open_session() as session:
            session.advanced.get_metadata_for(await session.load("users/1", User))["by"] = "ann"
            await session.save_changes()
        assert log == [("before_store", "users/1")]

    async def test_what_it_stores_joins_the_save_and_is_told_of(self, store, face, rows):
        log = told(store, "before_store", "after_save_changes")

        @store.add_before_store
        @face.handler
        async def audit(args):
            if not isinstance(args.entity, Entry):
                await args.session.store(Entry(f"saves {args.document_id}"), f"entries/{args.document_id[-1]}")

        async with store.open_session() as session:
            for i in range(3):
                await session.store(User("a"), f"users/{i}")
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
            assert not session.advanced.has_changes()
        assert rows.ids("entries") == ["entries/0", "entries/1", "entries/2"]
        ids = ["users/0", "users/1", "users/2", "entries/0", "entries/1", "entries/2"]
        assert log == [("before_store", key) for key in ids] + [("after_save_changes", key) for key in ids]

    async def test_what_it_stores_may_lead_to_more(self, store, face, rows):
        @store.add_before_store
        @face.handler
        async def count_down(args):
            number = int(args.document_id.partition("/")[2])
            if number:
                await args.session.store(User("a"), f"users/{number - 1}")

        await save(store, (User("a"), "users/5"))
        assert rows.ids("users") == [f"users/{i}" for i in range(6)]

    @pytest.mark.parametrize("each", [1, 3])
    async def test_storing_without_end_is_refused(self, store, face, each):
        @store.add_before_store
        @face.handler
        async def endless(args):
            for _ in range(each):
                await args.session.store(Entry("and on"))

        async with store.open_session() as session:
            await session.store(User("a"), "users/1")
            with pytest.raises(InvalidOperationException, match=r"go on adding .* Entries; nothing was written"):
                await session.save_changes()
        assert await read(store, "users/1", User) is None

    async def test_what_it_edits_elsewhere_is_saved_and_told_of(self, store, face, rows):
        await save(store, (User("total 0"), "users/total"))
        log = told(store, "before_store")

        @store.add_before_store
        @face.handler
        async def count(args):
            if args.document_id != "users/total":
                total = await args.session.load("users/total", User)
                total.name = f"total {int(total.name.split()[1]) + 1}"

        async with store.open_session() as session:
            await session.store(User("a"), "users/1")
            await session.store(User("b"), "users/2")
            await session.save_changes()
            # The one load of a handler, and the save.
            assert session.advanced.number_of_requests == 2
        assert rows.data("users", "users/total")["name"] == "total 2"
        assert log == [("before_store", key) for key in ("users/1", "users/2", "users/total")]

    async def test_what_is_undone_again_is_not_written(self, store, rows):
        await save(store, (User("a"), "users/1"))
        version = rows.version("users", "users/1")
        store.add_before_store(lambda args: setattr(args.entity, "name", "a"))
        async with store.open_session() as session:
            (await session.load("users/1", User)).name = "b"
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
        assert rows.version("users", "users/1") == version

    async def test_it_may_delete(self, store, rows):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        log = told(store, "before_store", "before_delete")

        @store.add_before_store
        def remove(args):
            args.session.delete(args.entity)

        async with store.open_session() as session:
            (await session.load("users/1", User)).name = "c"
            await session.store(User("new"), "users/3")
            await session.store(User("new"))
            await session.save_changes()
            assert not session.advanced.has_changes()
        assert rows.ids("users") == ["users/2"]
        assert log[:3] == [("before_store", "users/1"), ("before_store", "users/3"), log[2]]
        # What was made here and never saved is not deleted anywhere.
        assert log[3:] == [("before_delete", "users/1"), ("before_delete", "users/3")]

    @pytest.mark.parametrize("forget", ["evict", "clear"])
    async def test_it_may_let_a_document_go(self, store, rows, forget):
        @store.add_before_store
        def let_go(args):
            if args.entity.name == "unwanted":
                args.session.advanced.clear() if forget == "clear" else args.session.advanced.evict(args.entity)

        async with store.open_session() as session:
            await session.store(User("unwanted"), "users/1")
            await session.store(User("wanted"), "users/2")
            await session.save_changes()
            assert not session.advanced.has_changes()
        assert rows.ids("users") == ["users/2"] if forget == "evict" else await read(store, "users/2") is None

    async def test_what_is_ignored_is_not_told_of(self, make_store):
        class Rule:
            def check(self, session, entity, document_id):
                return document_id == "users/1"

        store = make_store(conventions=DocumentConventions(should_ignore_entity_changes=Rule()))
        log = told(store, "before_store")
        async with store.open_session() as session:
            for i in range(1, 4):
                await session.store(user := User("a"), f"users/{i}")
            session.advanced.ignore_changes_for(user)
            await session.save_changes()
        assert log == [("before_store", "users/2")]

    async def test_what_it_makes_unstorable_is_refused(self, store):
        store.add_before_store(lambda args: setattr(args.entity, "name", 5))
        async with store.open_session() as session:
            await session.store(User("a"), "users/1")
            with pytest.raises(UnsupportedValueException, match=r"users/1.*name"):
                await session.save_changes()

    async def test_many_documents_are_told_of_once_each(self, store, face, rows):
        log = told(store, "before_store", "after_save_changes")

        @store.add_before_store
        @face.handler
        async def audit(args):
            if isinstance(args.entity, User):
                await args.session.store(Entry(args.document_id))

        async with store.open_session() as session:
            for i in range(500):
                await session.store(User("a"), f"users/{i}")
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
        assert len(log) == len(set(log)) == 2000
        assert len(rows.ids("entries")) == 500

    async def test_a_plan_that_is_made_twice_tells_once(self, make_store, rows):
        """Another store has put ids of a deleted document's prefix into a further table meanwhile."""
        store, other = make_store(), make_store()
        await save(store, (User("a"), "users/1"))
        log = told(store, "before_store", "before_delete")
        async with store.open_session() as session:
            await session.store(User("b"), "users/2")
            session.delete("users/3")
            await save(other, (Entry("of the prefix"), "users/3"))
            await session.save_changes()
        assert rows.ids("entries") == []
        assert log == [("before_store", "users/2")]


class TestBeforeDelete:
    async def test_it_is_called_for_what_was_loaded(self, store):
        await save(store, *((User("a"), f"users/{i}") for i in range(4)))
        log = []
        store.add_before_delete(lambda args: log.append((args.key, args.entity)))
        async with store.open_session() as session:
            users = await session.load(["users/0", "users/1"], User)
            session.delete(users["users/0"])
            session.delete("users/1")
            session.delete("users/2")
            await session.store(new := User("never saved"))
            session.delete(new)
            await session.save_changes()
        assert log == [("users/0", users["users/0"]), ("users/1", users["users/1"])]

    async def test_it_may_take_the_deletion_back(self, store, face, rows):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))

        @store.add_before_delete
        @face.handler
        async def keep(args):
            if args.entity.name == "a":
                args.entity.stamp = "deleted"
                await args.session.store(args.entity)

        async with store.open_session() as session:
            for user in (await session.load(["users/1", "users/2"], User)).values():
                session.delete(user)
            await session.save_changes()
        assert rows.ids("users") == ["users/1"]
        assert rows.data("users", "users/1")["stamp"] == "deleted"

    async def test_it_may_store_and_delete_further(self, store, face, rows):
        await save(store, (User("a"), "users/1"), (Entry("of a"), "entries/1"))
        log = told(store, "before_delete", "before_store")

        @store.add_before_delete
        @face.handler
        async def cascade(args):
            if isinstance(args.entity, User):
                session = args.session
                session.delete(await session.load("entries/1", Entry))
                await session.store(Entry("gone: a"), "entries/2")

        async with store.open_session() as session:
            session.delete(await session.load("users/1", User))
            await session.save_changes()
        assert rows.ids("users") == []
        assert rows.ids("entries") == ["entries/2"]
        assert log == [("before_delete", "users/1"), ("before_store", "entries/2"), ("before_delete", "entries/1")]
