"""Events of conversions: documents that become entities, and entities that become documents."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pytest

from docsession import (
    DocumentMismatchException,
    InvalidOperationException,
    SessionBusyException,
    SessionOptions,
    UnsupportedValueException,
    document,
)
from tests.support.documents import change, read, save
from tests.support.events import Entry, Loose, Refusal, User, told


@dataclass
class Line:
    product: str


@dataclass
class Order:
    lines: list[Line]
    id: str | None = None


@document(collection="Users", alias="admin")
@dataclass
class Admin(User):
    level: int = 0


class TestDocumentsAsTheyAreWritten:
    """Handlers of `after_conversion_to_document` have the last word."""

    async def test_what_is_left_is_what_is_written(self, store, rows):
        @store.add_after_conversion_to_document
        def shout(args):
            args.document["name"] = args.document["name"].upper()
            args.document["folded"] = args.document["name"].lower()
            del args.document["stamp"]

        async with store.open_session() as session:
            user = User("Ann")
            await session.store(user, "users/1")
            await session.save_changes()
            assert user == User("Ann", "", "users/1")
            assert not session.advanced.has_changes()
            assert rows.data("users", "users/1") == {"name": "ANN", "folded": "ann"}
            user.stamp = "changed"
            await session.save_changes()
            assert rows.data("users", "users/1") == {"name": "ANN", "folded": "ann"}
            assert not session.advanced.has_changes()
        assert await read(store, "users/1", User) == User("ANN", "", "users/1")

    async def test_what_is_hidden_on_the_way_out_comes_back_on_the_way_in(self, store, rows):
        """A field that is stored turned around, over several saves of one session and of others."""

        @store.add_after_conversion_to_document
        def hide(args):
            args.document["name"] = args.document["name"][::-1]

        @store.add_before_conversion_to_entity
        def show(args):
            args.document["name"] = args.document["name"][::-1]

        async with store.open_session() as session:
            await session.store(user := User("abc"), "users/1")
            await session.save_changes()
            for stamp in ("1", "2"):
                user.stamp = stamp
                await session.save_changes()
                assert rows.data("users", "users/1") == {"name": "cba", "stamp": stamp}
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            assert user.name == "abc"
            assert not session.advanced.has_changes()
            user.stamp = "3"
            await session.save_changes()
            assert rows.data("users", "users/1") == {"name": "cba", "stamp": "3"}
            await session.advanced.refresh(user)
            assert user.name == "abc"
            assert not session.advanced.has_changes()

    async def test_the_rest_stays_to_the_digit(self, store, rows):
        await save(store, ({"name": "a", "stamp": ""}, "Users/1"))
        rows.write("users", "Users/1", '{"name": "a", "stamp": "", "unknown": {"n": [1.50, 1e30]}, "big": 1e400}')
        store.add_after_conversion_to_document(lambda args: args.document.update(added=True))
        async with store.open_session() as session:
            (await session.load("Users/1", User)).name = "b"
            await session.save_changes()
        before = {"unknown": {"n": ["1.50", "1" + "0" * 30]}, "big": "1" + "0" * 400}
        assert rows.exact("users", "Users/1") == {"name": "b", "stamp": "", "added": True} | before

    async def test_they_see_the_whole_document_and_its_metadata(self, store, rows):
        await save(store, (User("a"), "users/1"))
        rows.write("users", "users/1", {"name": "a", "stamp": "", "unknown": 1})
        seen = []
        store.add_after_conversion_to_document(lambda args: seen.append(args.document))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            session.advanced.get_metadata_for(user)["by"] = "ann"
            await session.save_changes()
        (document,) = seen
        metadata = document.pop("@metadata")
        assert document == {"name": "a", "stamp": "", "unknown": 1}
        assert metadata["@id"] == "users/1"
        assert metadata["by"] == "ann"

    async def test_its_metadata_is_not_changed_there(self, store):
        store.add_after_conversion_to_document(lambda args: args.document["@metadata"].update(by="ann"))
        async with store.open_session() as session:
            await session.store(User("a"), "users/1")
            with pytest.raises(InvalidOperationException, match=r"'users/1'.*before_store.*document_metadata"):
                await session.save_changes()

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            (float("nan"), "nan"),
            (date(2024, 1, 2), "left a date in 'users/1', at 'name'"),
            ({1: 2}, "key 1"),
            ("a\0b", "users/1"),
            (object(), "object"),
        ],
    )
    async def test_what_is_not_json_is_refused(self, store, value, words):
        store.add_after_conversion_to_document(lambda args: args.document.update(name=value))
        async with store.open_session() as session:
            await session.store(User("a"), "users/1")
            with pytest.raises(UnsupportedValueException, match=f"(?i){words}"):
                await session.save_changes()
            assert session.advanced.number_of_requests == 0

    async def test_a_value_in_an_untyped_place_loses_its_type_with_its_value(self, store, rows):
        @store.add_after_conversion_to_document
        def replace(args):
            args.document["value"]["replaced"] = "soon"

        value = {"kept": date(2024, 1, 2), "replaced": date(2024, 1, 3)}
        await save(store, (Loose(value), "looses/1"))
        assert rows.data("looses", "looses/1") == {"value": {"kept": "2024-01-02", "replaced": "soon"}}
        loaded = await read(store, "looses/1", Loose)
        assert loaded.value == {"kept": date(2024, 1, 2), "replaced": "soon"}

    async def test_values_in_lists_of_untyped_places(self, store):
        days = [date(2024, 1, day) for day in (1, 2, 3)]
        store.add_after_conversion_to_document(lambda args: args.document["value"].pop())
        store.add_after_conversion_to_document(lambda args: args.document["value"].__setitem__(0, "soon"))
        await save(store, (Loose(days), "looses/1"), (Loose([date(2024, 1, 1), 5]), "looses/2"))
        assert (await read(store, "looses/1", Loose)).value == ["soon", date(2024, 1, 2)]
        assert (await read(store, "looses/2", Loose)).value == ["soon"]

    async def test_what_the_entity_becomes_before_it_is_converted_is_written(self, store, rows):
        store.add_before_conversion_to_document(lambda args: setattr(args.entity, "stamp", args.key))
        async with store.open_session() as session:
            await session.store(User("a"), "users/1")
            await session.save_changes()
            assert not session.advanced.has_changes()
        assert rows.data("users", "users/1") == {"name": "a", "stamp": "users/1"}

    async def test_a_document_that_another_handler_changes_is_converted_again(self, store, rows):
        store.add_after_conversion_to_document(lambda args: args.document.update(folded=args.document["name"].lower()))
        async with store.open_session() as session:
            await session.store(first := User("A"), "users/1")
            await session.store(User("B"), "users/2")

            @session.add_before_store
            def rename(args):
                if args.document_id == "users/2":
                    first.name = "C"

            await session.save_changes()
        assert rows.data("users", "users/1") == {"name": "C", "stamp": "", "folded": "c"}

    async def test_plain_dicts(self, store, rows):
        store.add_after_conversion_to_document(lambda args: args.document.update(folded=args.document["name"].lower()))
        async with store.open_session() as session:
            await session.store({"name": "A"}, "users/1")
            await session.save_changes()
            assert not session.advanced.has_changes()
        assert rows.data("users", "users/1") == {"name": "A", "folded": "a"}

    async def test_somebody_elses_change_does_not_bring_it_back(self, store, rows):
        await save(store, (User("a"), "users/1"))
        store.add_after_conversion_to_document(lambda args: args.document.pop("stamp"))
        await change(store, "users/1", User, name="b")
        assert rows.data("users", "users/1") == {"name": "b"}


class TestBeforeConversionToEntity:
    async def test_the_entity_is_made_of_what_is_left(self, store, rows):
        """A document of an older shape, which becomes one of the new with its next change."""
        await save(store, (User("a"), "users/1"))
        rows.write("users", "users/1", '{"full": "Ann", "stamp": "x", "unknown": 1.50}')

        @store.add_before_conversion_to_entity
        def rename(args):
            if "full" in args.document:
                args.document["name"] = args.document.pop("full")

        async with store.open_session() as session:
            user = await session.load("users/1", User)
            assert user == User("Ann", "x", "users/1")
            assert not session.advanced.has_changes()
            user.stamp = "y"
            await session.save_changes()
        assert rows.exact("users", "users/1") == {"name": "Ann", "stamp": "y", "unknown": "1.50"}

    async def test_a_document_that_is_left_alone_is_loaded_as_it_is(self, store, rows):
        await save(store, (User("a"), "users/1"))
        rows.write("users", "users/1", '{"name": "a", "stamp": "", "unknown": 1.50}')
        seen = []
        store.add_before_conversion_to_entity(lambda args: seen.append((args.object_type, args.document)))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            assert not session.advanced.has_changes()
            user.name = "b"
            await session.save_changes()
        ((object_type, document),) = seen
        metadata = document.pop("@metadata")
        assert object_type is User
        assert document == {"name": "a", "stamp": "", "unknown": 1.5}
        assert metadata["@id"] == "users/1"
        assert metadata["@collection"] == "Users"
        assert rows.exact("users", "users/1") == {"name": "b", "stamp": "", "unknown": "1.50"}

    async def test_its_metadata_is_not_changed_there(self, store):
        await save(store, (User("a"), "users/1"))
        store.add_before_conversion_to_entity(lambda args: args.document["@metadata"].clear())
        with pytest.raises(InvalidOperationException, match="can only be read there"):
            await read(store, "users/1", User)

    async def test_a_misfit_is_told_as_ever(self, store):
        await save(store, (User("a"), "users/1"))
        store.add_before_conversion_to_entity(lambda args: args.document.update(name=5))
        with pytest.raises(DocumentMismatchException, match=r"'users/1' does not fit User: at name"):
            await read(store, "users/1", User)

    async def test_a_value_in_an_untyped_place_loses_its_type_with_its_value(self, store, rows):
        value = {"kept": date(2024, 1, 2), "replaced": date(2024, 1, 3), "removed": date(2024, 1, 4)}
        await save(store, (Loose(value), "looses/1"))

        def replace(args):
            args.document["value"]["replaced"] = "soon"
            args.document["value"].pop("removed", None)

        async with store.open_session() as session:
            session.add_before_conversion_to_entity(replace)
            loose = await session.load("looses/1", Loose)
            assert loose.value == {"kept": date(2024, 1, 2), "replaced": "soon"}
            assert not session.advanced.has_changes()
            loose.value["added"] = date(2024, 1, 5)
            await session.save_changes()
        expected = {"kept": date(2024, 1, 2), "replaced": "soon", "added": date(2024, 1, 5)}
        assert (await read(store, "looses/1", Loose)).value == expected
        assert rows.data("looses", "looses/1")["value"]["replaced"] == "soon"

    async def test_what_the_store_caches_is_the_document_as_it_is_stored(self, store):
        await save(store, (User("a"), "users/1"), (User("b" * 5000), "users/2"))
        store.add_before_conversion_to_entity(lambda args: args.document.update(name=args.document["name"] + "!"))
        for _ in range(3):
            async with store.open_session() as session:
                users = await session.load(["users/1", "users/2", "users/404"], User)
                assert users["users/1"].name == "a!"
                await session.advanced.refresh(users["users/1"])
                assert users["users/1"].name == "a!"
                assert not session.advanced.has_changes()

    async def test_a_number_that_no_float_holds(self, store, rows):
        await save(store, (User("a"), "users/1"))
        number = "9" * 400 + ".5"
        rows.write("users", "users/1", f'{{"name": "a", "stamp": "", "big": {number}}}')
        seen = []
        store.add_before_conversion_to_entity(lambda args: seen.append(str(args.document["big"])))
        store.add_after_conversion_to_document(lambda args: seen.append(str(args.document["big"])))
        store.add_after_conversion_to_document(lambda args: args.document.update(price=Decimal("1.50")))
        async with store.open_session() as session:
            (await session.load("users/1", User)).name = "b"
            await session.save_changes()
        assert seen == [number, number]
        assert rows.exact("users", "users/1") == {"name": "b", "stamp": "", "big": number, "price": "1.50"}

    async def test_one_that_loads_the_same_document_gets_the_one_instance(self, make_store, face):
        store = make_store()
        await save(store, (User("a"), "users/1"))
        if face.is_async:
            return  # nothing can be awaited here
        inside = []

        def load(args):
            if not inside:
                inside.append(None)
                inside[0] = args.session.load("users/1", User)

        async with store.open_session() as session:
            session.add_before_conversion_to_entity(load)
            assert await session.load("users/1", User) is inside[0]


class TestAfterConversionToEntity:
    async def test_what_it_changes_is_no_change_of_the_document(self, store, rows):
        await save(store, (User("a"), "users/1"))
        version = rows.version("users", "users/1")

        @store.add_after_conversion_to_entity
        def take_version(args):
            args.entity.stamp = args.document["@metadata"]["@change-vector"]

        async with store.open_session() as session:
            user = await session.load("users/1", User)
            assert user.stamp == str(version)
            assert not session.advanced.has_changes()
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
        assert rows.version("users", "users/1") == version

    async def test_the_session_knows_the_entity_already(self, store):
        await save(store, (User("a"), "users/1"))
        known = []

        @store.add_after_conversion_to_entity
        def ask(args):
            advanced = args.session.advanced
            known.append((advanced.get_document_id(args.entity), advanced.is_loaded(args.key), args.document["name"]))

        await read(store, "users/1", User)
        assert known == [("users/1", True, "a")]

    async def test_its_arguments_are_not_swapped(self, store):
        await save(store, (User("a"), "users/1"))
        seen = []
        store.add_after_conversion_to_entity(lambda args: seen.append((type(args.document), type(args.entity))))
        await read(store, "users/1", User)
        assert seen == [(dict, User)]

    async def test_lists_that_it_rebuilds_keep_what_their_class_does_not_know(self, store, rows):
        await save(store, (Order([Line("a"), Line("b")]), "orders/1"))
        rows.write("orders", "orders/1", {"lines": [{"product": "a", "unknown": 1}, {"product": "b", "unknown": 2}]})
        store.add_after_conversion_to_entity(lambda args: args.entity.lines.reverse())
        async with store.open_session() as session:
            order = await session.load("orders/1", Order)
            assert not session.advanced.has_changes()
            order.lines[0].product = "c"
            await session.save_changes()
        assert {(each["product"], each["unknown"]) for each in rows.data("orders", "orders/1")["lines"]} == {
            ("a", 1),
            ("c", 2),
        }

    async def test_a_value_that_it_replaces_in_an_untyped_place_loses_its_type(self, store, rows):
        value = {"kept": date(2024, 1, 2), "replaced": date(2024, 1, 3)}
        await save(store, (Loose(value), "looses/1"))
        async with store.open_session() as session:
            session.add_after_conversion_to_entity(lambda args: args.entity.value.update(replaced="soon"))
            loose = await session.load("looses/1", Loose)
            assert not session.advanced.has_changes()
            loose.value["added"] = 1
            await session.save_changes()
        assert (await read(store, "looses/1", Loose)).value == {
            "kept": date(2024, 1, 2),
            "replaced": "soon",
            "added": 1,
        }


class TestWhereDocumentsBecomeEntities:
    """Each new entity is told of once, whatever way it came."""

    async def test_loads_of_all_kinds(self, store):
        await save(store, *((User("a"), f"users/{i}") for i in range(5)), (Entry("users/4"), "entries/1"))
        log = []
        store.add_before_conversion_to_entity(lambda args: log.append(args.key))
        store.add_after_conversion_to_entity(lambda args: log.append(args.key))
        async with store.open_session() as session:
            await session.load("users/0", User)
            await session.load(["users/0", "users/1", "users/404"], User)
            await session.advanced.load_starting_with("users/", User, page_size=3)
            await session.advanced.conditional_load("users/3", "1", User)
            await session.include("text", User).load("entries/1", Entry)
            assert log == [key for key in (*(f"users/{i}" for i in range(4)), "entries/1") for _ in "12"]
            await session.load("users/4", User)
            assert log[-2:] == ["users/4", "users/4"]
            await session.load("users/4", User)
            assert len(log) == 12

    async def test_a_refresh(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            log = told(session, "before_conversion_to_entity", "after_conversion_to_entity")
            session.add_after_conversion_to_entity(lambda args: setattr(args.entity, "stamp", args.entity.name))
            user = await session.load("users/1", User)
            await change(store, "users/1", User, name="b")
            await session.advanced.refresh(user)
            assert user == User("b", "b", "users/1")
            assert not session.advanced.has_changes()
        assert log == [("before_conversion_to_entity", "users/1"), ("after_conversion_to_entity", "users/1")] * 2

    async def test_a_session_that_tracks_nothing(self, store):
        await save(store, (User("a"), "users/1"))
        store.add_before_conversion_to_entity(lambda args: args.document.update(name="b"))
        store.add_after_conversion_to_entity(lambda args: setattr(args.entity, "stamp", "c"))
        async with store.open_session(session_options=SessionOptions(no_tracking=True)) as session:
            for _ in range(2):
                assert await session.load("users/1", User) == User("b", "c", "users/1")

    async def test_plain_dicts(self, store):
        await save(store, (User("a"), "users/1"))
        kinds = []
        store.add_before_conversion_to_entity(lambda args: kinds.append(args.object_type))
        store.add_before_conversion_to_entity(lambda args: args.document.update(name="b"))
        async with store.open_session() as session:
            document = await session.load("users/1")
            assert document["name"] == "b"
            assert document["@metadata"]["@id"] == "users/1"
            assert not session.advanced.has_changes()
        assert kinds == [dict]

    async def test_subclasses(self, make_store):
        """The class that the document names is told."""
        store = make_store()
        async with store.open_session() as session:
            await session.store(Admin("a", level=3), "users/1")
            await session.save_changes()
        seen = []
        store.add_before_conversion_to_entity(lambda args: seen.append(args.object_type))
        store.add_after_conversion_to_entity(lambda args: seen.append(type(args.entity)))
        assert (await read(store, "users/1", User)).level == 3
        assert seen == [Admin, Admin]

    @pytest.mark.parametrize("event", ["before_conversion_to_entity", "after_conversion_to_entity"])
    async def test_a_handler_that_raises_leaves_nothing_behind(self, store, event):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))

        def refuse(args):
            if args.key == "users/2":
                raise Refusal(event)

        async with store.open_session() as session:
            getattr(session, f"add_{event}")(refuse)
            with pytest.raises(Refusal, match=event):
                await session.load(["users/1", "users/2"], User)
            assert session.advanced.is_loaded("users/1")
            assert not session.advanced.is_loaded("users/2")
            getattr(session, f"remove_{event}")(refuse)
            assert await session.load("users/2", User) == User("b", "", "users/2")
            assert not session.advanced.has_changes()

    @pytest.mark.parametrize("operation", ["save_changes", "close"])
    async def test_they_neither_save_nor_close(self, store, face, operation):
        await save(store, (User("a"), "users/1"))
        refused = []

        def handler(args):
            call = getattr(args.session, operation)
            with pytest.raises(
                SessionBusyException, match=rf"^{operation}\(\) .* load\(\), where handlers of after_conversion"
            ):
                call().send(None) if face.is_async else call()
            refused.append(operation)

        store.add_after_conversion_to_entity(handler)
        await read(store, "users/1", User)
        assert refused == [operation]
