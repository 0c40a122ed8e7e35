"""What the session calls a change, and what it says of it."""

import dataclasses
import datetime as dt
import decimal
import enum
import json
import uuid
from typing import Any

import pytest

from docsession import (
    ChangeType,
    DocumentConventions,
    DocumentsChanges,
    InvalidOperationException,
    SessionBusyException,
)
from tests.support.documents import change, read, save
from tests.support.kinds import make_class

C = ChangeType


@dataclasses.dataclass
class User:
    name: str
    age: float = 0
    Id: str | None = None


@dataclasses.dataclass
class Bag:
    """A place for anything."""

    value: Any = None
    Id: str | None = None


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Everything:
    text: str
    number: int
    real: float
    flag: bool
    nothing: None
    amount: decimal.Decimal
    moment: dt.datetime
    local: dt.datetime
    day: dt.date
    hour: dt.time
    span: dt.timedelta
    key: uuid.UUID
    colour: Colour
    raw: bytes
    tags: set[str]
    frozen: frozenset[int]
    pair: tuple[int, str]
    either: int | str
    nested: dict[str, list[dict[str, float]]]
    Id: str | None = None


def everything():
    return Everything(
        text="Grüße, 世界 \U0001f600 \x01\u2028\"'\\",
        number=2**53 - 1,
        real=0.1,
        flag=True,
        nothing=None,
        amount=decimal.Decimal("1.50"),
        moment=dt.datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))),
        local=dt.datetime.fromisoformat("2024-02-29T12:00:00"),
        day=dt.date(2024, 2, 29),
        hour=dt.time(23, 59, 59, 999999),
        span=dt.timedelta(days=400, seconds=1, microseconds=1),
        key=uuid.UUID(int=1),
        colour=Colour.BLUE,
        raw=b"\x00\xff",
        tags={"b", "a", "c"},
        frozen=frozenset({3, 1, 2}),
        pair=(1, "x"),
        either="5",
        nested={"a": [{"b": 1.0, "c": 2.5}], "": [], "x.y": [{}]},
    )


# Values of untyped places that JSON has no form for.
SPECIAL = [
    None,
    1e16,
    2**70,
    (1, (2, [3])),
    [(1,), {"a": (2,)}],
    {"a.b": {"c": (1,)}, "": [decimal.Decimal("1.50")]},
    decimal.Decimal("1.50"),
    dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC),
    dt.date(2024, 2, 29),
    dt.time(12, 0),
    dt.timedelta(days=-1, microseconds=1),
    uuid.UUID(int=2**127),
    b"\x00\xff",
    {"b", "a"},
    frozenset({1, 2}),
]


def exact(value):
    """A form of *value* that tells 1 from 1.0 and Decimal("1.5") from Decimal("1.50"), at any depth."""
    if isinstance(value, dict):
        return {key: exact(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [exact(member) for member in value]
    return type(value), sorted(value) if isinstance(value, set | frozenset) else repr(value)


def told(changes):
    return [
        (each.change, each.field_path, each.field_name, each.field_old_value, each.field_new_value) for each in changes
    ]


# (before, now, what is told of it), of the member `value`.
TRAPS = [
    ({"a": "x"}, {"a": {"b": 1}}, [(C.FIELD_CHANGED, "value", "a", "x", {"b": 1})]),
    ({"a": [1]}, {"a": {"b": 1}}, [(C.FIELD_CHANGED, "value", "a", [1], {"b": 1})]),
    ({"a": {"b": 1}}, {"a": [1]}, [(C.FIELD_CHANGED, "value", "a", {"b": 1}, [1])]),
    (1, True, [(C.FIELD_CHANGED, "", "value", 1, True)]),
    (1, 1.0, [(C.FIELD_CHANGED, "", "value", 1, 1.0)]),
    (3, 3.0, [(C.FIELD_CHANGED, "", "value", 3, 3.0)]),
    (0, False, [(C.FIELD_CHANGED, "", "value", 0, False)]),
    ("1", 1, [(C.FIELD_CHANGED, "", "value", "1", 1)]),
    (None, "", [(C.FIELD_CHANGED, "", "value", None, "")]),
    ([1], ["1"], [(C.ARRAY_VALUE_CHANGED, "value[0]", "value", 1, "1")]),
    ([1, 2], [1, 2.0], [(C.ARRAY_VALUE_CHANGED, "value[1]", "value", 2, 2.0)]),
    ([[1]], [[1, 2]], [(C.ARRAY_VALUE_ADDED, "value[0][1]", "value", None, 2)]),
    ([{"a": 1}], [[1]], [(C.ARRAY_VALUE_CHANGED, "value[0]", "value", {"a": 1}, [1])]),
    ({"a": {"Id": 1}}, {"a": {"Id": 2}}, [(C.FIELD_CHANGED, "value.a", "Id", 1, 2)]),
    ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}, [(C.REMOVED_FIELD, "value.a", "b", 1, None)]),
    ({"a": {"b": 1}}, {"a": {}}, [(C.REMOVED_FIELD, "value.a", "b", 1, None)]),
    ({"a": None}, {}, [(C.REMOVED_FIELD, "value", "a", None, None)]),
    ({}, {"a": None}, [(C.NEW_FIELD, "value", "a", None, None)]),
    ({"a.b": {"c": 1}}, {"a.b": {"c": 2}}, [(C.FIELD_CHANGED, 'value["a.b"]', "c", 1, 2)]),
    ({"a": {"b": 1}}, {"a.b": 1}, [
        (C.REMOVED_FIELD, "value", "a", {"b": 1}, None),
        (C.NEW_FIELD, "value", "a.b", None, 1),
    ]),
    ([1, 2, 3], [], [
        (C.ARRAY_VALUE_REMOVED, "value[0]", "value", 1, None),
        (C.ARRAY_VALUE_REMOVED, "value[1]", "value", 2, None),
        (C.ARRAY_VALUE_REMOVED, "value[2]", "value", 3, None),
    ]),
]  # fmt: skip


class TestNothingChanged:
    async def test_a_document_of_every_type_is_written_once(self, store, rows):
        async with store.open_session() as session:
            entity = everything()
            await session.store(entity, "everything/1")
            await session.save_changes()
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
        async with store.open_session() as session:
            loaded = await session.load("everything/1", Everything)
            assert loaded == entity
            assert not session.advanced.has_changes()
            assert session.advanced.what_changed() == {}
            assert session.advanced.what_changed_for(loaded) == []
            assert not session.advanced.has_changed(loaded)
            await session.save_changes()
            assert session.advanced.number_of_requests == 1

    async def test_nor_is_any_in_any_kind_of_class(self, kind, store):
        annotations = {field.name: field.type for field in dataclasses.fields(Everything) if field.name != "Id"}
        cls = make_class(kind.name, "Everything", **annotations, anything=Any)
        values = {name: getattr(everything(), name) for name in annotations}
        for number, special in enumerate(SPECIAL):
            await save(store, (cls(**values, anything=special), f"everything/{number}"))
        async with store.open_session() as session:
            found = await session.load([f"everything/{number}" for number in range(len(SPECIAL))], cls)
            assert session.advanced.what_changed() == {}
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
            for special, entity in zip(SPECIAL, found.values(), strict=True):
                assert {name: getattr(entity, name) for name in annotations} == values
                assert (entity.anything, type(entity.anything)) == (special, type(special))
                assert exact(entity.anything) == exact(special)

    @pytest.mark.parametrize(
        "document",
        [
            {"a": 1e16, "b": -0.0, "c": 1e300, "d": 5e-324, "e": 1.0, "f": 100, "g": 2**80},
            {"": {"": {"": []}}, "a.b": {"c[0]": [[], [[]], {}]}, "ID": 5, "id": {"Id": 1}},
            {"a": None, "b": "", "c": [None, True, 1, 1.0, "1"], "zz": "\x7f\u2028\U0010ffff"},
        ],
    )
    async def test_nor_is_a_dict_of_any_shape(self, store, document):
        await save(store, ({**document, "@metadata": {"@collection": "Bags"}}, "bags/1"))
        async with store.open_session() as session:
            await session.load("bags/1")
            assert session.advanced.what_changed() == {}
            await session.save_changes()
            assert session.advanced.number_of_requests == 1

    async def test_what_another_program_wrote_is_not_changed_by_reading_it(self, store, rows):
        await save(store, (Bag(), "bags/1"))
        rows.write("bags", "bags/1", '{"value": [1.10, 1e2, 123456789012345678901234567890.5, {"z": 1, "a": 2}]}')
        async with store.open_session() as session:
            await session.load("bags/1", Bag)
            await session.save_changes()
            assert session.advanced.number_of_requests == 1

    async def test_changed_and_changed_back_is_no_change(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            user.name = "b"
            assert session.advanced.has_changes()
            user.name = "a"
            assert not session.advanced.has_changes()
            await session.save_changes()
            assert session.advanced.number_of_requests == 1

    async def test_equal_lists_and_dicts_put_in_place_are_no_change(self, store):
        await save(store, (Bag({"a": [1, {"b": 2}], "c": 3}), "bags/1"))
        async with store.open_session() as session:
            bag = await session.load("bags/1", Bag)
            bag.value = {"c": 3, "a": [1, {"b": 2}]}
            assert not session.advanced.has_changes()


class TestWhatChanged:
    async def test_a_field(self, kind, store):
        key = await save(store, kind.Company(name="a"))
        async with store.open_session() as session:
            company = await session.load(key, kind.Company)
            company.name = "b"
            expected = [DocumentsChanges("a", "b", C.FIELD_CHANGED, "name", "")]
            assert session.advanced.what_changed() == {key: expected}
            assert session.advanced.what_changed_for(company) == expected
            assert session.advanced.has_changed(company)
            assert session.advanced.number_of_requests == 1
            await session.save_changes()
            assert session.advanced.what_changed() == {}

    async def test_at_any_depth_list_items_by_position(self, kind, store):
        lines = [kind.Line("a", 1), kind.Line("b", 2), kind.Line("c", 3)]
        key = await save(store, kind.Order(company="x", address=kind.Address(city="k", street="s"), lines=lines))
        async with store.open_session() as session:
            order = await session.load(key, kind.Order)
            order.address.city = "l"
            del order.lines[0]
            order.lines[0].quantity = 7
            assert told(session.advanced.what_changed_for(order)) == [
                (C.FIELD_CHANGED, "address", "city", "k", "l"),
                (C.FIELD_CHANGED, "lines[0]", "product", "a", "b"),
                (C.FIELD_CHANGED, "lines[0]", "quantity", 1, 7),
                (C.FIELD_CHANGED, "lines[1]", "product", "b", "c"),
                (C.FIELD_CHANGED, "lines[1]", "quantity", 2, 3),
                (C.ARRAY_VALUE_REMOVED, "lines[2]", "lines", {"product": "c", "quantity": 3}, None),
            ]
            order.address = None
            order.lines = [kind.Line("a", 1), kind.Line("b", 2), kind.Line("c", 3), kind.Line("d", 4)]
            assert told(session.advanced.what_changed_for(order)) == [
                (C.FIELD_CHANGED, "", "address", {"city": "k", "street": "s"}, None),
                (C.ARRAY_VALUE_ADDED, "lines[3]", "lines", None, {"product": "d", "quantity": 4}),
            ]

    async def test_a_new_document_and_a_deleted_one(self, store):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            new = User("b")
            await session.store(new, "users/2")
            session.delete("users/1")
            changes = session.advanced.what_changed()
            assert {key: [each.change for each in found] for key, found in changes.items()} == {
                "users/2": [C.DOCUMENT_ADDED],
                "users/1": [C.DOCUMENT_DELETED],
            }
            assert [each.change for each in session.advanced.what_changed_for(new)] == [C.DOCUMENT_ADDED]
            assert session.advanced.has_changed(new)
            await session.save_changes()
            assert session.advanced.what_changed() == {}

    async def test_every_trap_is_told_and_saved(self, store):
        await save(store, *((Bag(before), f"bags/{i}") for i, (before, _, _) in enumerate(TRAPS)))
        async with store.open_session() as session:
            bags = await session.load([f"bags/{i}" for i in range(len(TRAPS))], Bag)
            assert session.advanced.what_changed() == {}
            for bag, (before, now, expected) in zip(bags.values(), TRAPS, strict=True):
                assert type(bag.value) is type(before)
                bag.value = now
                assert session.advanced.has_changed(bag), (before, now)
                changes = session.advanced.what_changed_for(bag)
                assert told(changes) == expected
                for each, (_, _, _, old, new) in zip(changes, expected, strict=True):
                    assert [type(each.field_old_value), type(each.field_new_value)] == [type(old), type(new)]
            assert session.advanced.what_changed().keys() == bags.keys()
            await session.save_changes()
        async with store.open_session() as session:
            bags = await session.load(list(bags), Bag)
            for bag, (_, now, _) in zip(bags.values(), TRAPS, strict=True):
                assert json.dumps(bag.value, sort_keys=True) == json.dumps(now, sort_keys=True)

    async def test_a_dict_in_place(self, store):
        await save(store, ({"a": {"b": [1, 2]}}, "bags/1"))
        async with store.open_session() as session:
            bag = await session.load("bags/1")
            bag["a"]["b"].clear()
            bag["c"] = 1
            assert told(session.advanced.what_changed()["bags/1"]) == [
                (C.ARRAY_VALUE_REMOVED, "a.b[0]", "b", 1, None),
                (C.ARRAY_VALUE_REMOVED, "a.b[1]", "b", 2, None),
                (C.NEW_FIELD, "", "c", None, 1),
            ]

    async def test_values_are_told_as_json(self, store):
        await save(store, (everything(), "everything/1"))
        async with store.open_session() as session:
            loaded = await session.load("everything/1", Everything)
            loaded.day = dt.date(2025, 1, 1)
            loaded.tags.add("d")
            loaded.colour = Colour.RED
            loaded.amount = decimal.Decimal("1.5")
            assert {
                each.field_full_name: each.field_new_value for each in session.advanced.what_changed_for(loaded)
            } == {
                "day": "2025-01-01",
                "tags[3]": "d",
                "colour": "red",
                "amount": 1.5,
            }
            await session.save_changes()
        assert str((await read(store, "everything/1", Everything)).amount) == "1.5"

    async def test_only_what_changed_is_listed(self, store):
        await save(store, *((User(str(i)), f"users/{i}") for i in range(10)))
        async with store.open_session() as session:
            users = await session.load([f"users/{i}" for i in range(10)], User)
            users["users/3"].name = "changed"
            users["users/7"].age = 9
            assert session.advanced.what_changed().keys() == {"users/3", "users/7"}
            assert session.advanced.what_changed_for(users["users/1"]) == []
            await session.save_changes()
            assert session.advanced.number_of_requests == 2

    async def test_of_an_entity_it_does_not_know(self, store):
        async with store.open_session() as session:
            stranger = User("a", Id="users/1")
            assert session.advanced.has_changed(stranger) is False
            with pytest.raises(InvalidOperationException):
                session.advanced.what_changed_for(stranger)

    async def test_only_changed_documents_are_written(self, store, rows):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        version = rows.version("users", "users/2")
        async with store.open_session() as session:
            users = await session.load(["users/1", "users/2"], User)
            users["users/1"].name = "c"
            await session.save_changes()
        assert rows.version("users", "users/2") == version


class TestIgnoredChanges:
    async def test_they_are_listed_but_not_saved(self, store, rows):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        async with store.open_session() as session:
            users = await session.load(["users/1", "users/2"], User)
            session.advanced.ignore_changes_for(users["users/1"])
            users["users/1"].name = "c"
            assert session.advanced.has_changes()
            assert session.advanced.has_changed(users["users/1"])
            assert session.advanced.what_changed().keys() == {"users/1"}
            await session.save_changes()
            assert session.advanced.number_of_requests == 1
            users["users/2"].name = "d"
            await session.save_changes()
        assert rows.data("users", "users/1")["name"] == "a"
        assert rows.data("users", "users/2")["name"] == "d"

    async def test_a_new_entity_is_not_stored(self, store):
        async with store.open_session() as session:
            user = User("a")
            await session.store(user, "users/1")
            session.advanced.ignore_changes_for(user)
            await session.save_changes()
            assert session.advanced.number_of_requests == 0

    async def test_an_unknown_entity_is_refused(self, store):
        async with store.open_session() as session:
            with pytest.raises(InvalidOperationException):
                session.advanced.ignore_changes_for(User("a"))

    async def test_a_rule_does_the_same(self, make_store, rows):
        asked = []

        class Rule:
            def check(self, session, entity, document_id):
                asked.append((session, entity, document_id))
                return document_id.endswith("1")

        conventions = DocumentConventions()
        conventions.should_ignore_entity_changes = Rule()
        store = make_store(conventions=conventions)
        await save(make_store(), (User("a"), "users/1"), (User("b"), "users/2"))
        async with store.open_session() as session:
            users = await session.load(["users/1", "users/2"], User)
            for user in users.values():
                user.name = "c"
            await session.save_changes()
            assert session.advanced.what_changed().keys() == {"users/1"}
            real = getattr(session, "wrapped", session)
            assert asked == [(real, users["users/1"], "users/1"), (real, users["users/2"], "users/2")]
        assert rows.data("users", "users/1")["name"] == "a"
        assert rows.data("users", "users/2")["name"] == "c"

    async def test_a_rule_may_look_at_the_session(self, make_store, rows):
        seen = []

        class Rule:
            def check(self, session, entity, document_id):
                seen.append((session.advanced.has_changed(entity), session.advanced.get_document_id(entity)))
                return not session.advanced.get_metadata_for(entity).get("wanted")

        conventions = DocumentConventions()
        conventions.should_ignore_entity_changes = Rule()
        store = make_store(conventions=conventions)
        async with store.open_session() as session:
            for i in (1, 2):
                user = User("a")
                await session.store(user, f"users/{i}")
                session.advanced.get_metadata_for(user)["wanted"] = i == 1
            await session.save_changes()
        assert seen == [(True, "users/1"), (True, "users/2")]
        assert rows.ids("users") == ["users/1"]

    async def test_a_rule_that_fails_leaves_the_session_usable(self, make_store, rows):
        class Rule:
            works = False

            def check(self, session, entity, document_id):
                if not self.works:
                    raise LookupError(document_id)
                return False

        conventions = DocumentConventions()
        conventions.should_ignore_entity_changes = rule = Rule()
        store = make_store(conventions=conventions)
        async with store.open_session() as session:
            await session.store(User("a"), "users/1")
            with pytest.raises(LookupError, match="users/1"):
                await session.save_changes()
            assert session.advanced.has_changes()
            rule.works = True
            await session.save_changes()
        assert rows.ids("users") == ["users/1"]

    @pytest.mark.parametrize("operation", ["save_changes", "close"])
    async def test_a_rule_neither_saves_nor_closes_the_session_that_asks_it(self, make_store, rows, operation):
        refused = []

        class Rule:
            def check(self, session, entity, document_id):
                with pytest.raises(SessionBusyException, match=rf"^{operation}\(\) .* should_ignore_entity_changes"):
                    getattr(session, operation)().send(None)
                refused.append(document_id)
                return False

        conventions = DocumentConventions()
        conventions.should_ignore_entity_changes = Rule()
        async with make_store(conventions=conventions).open_session() as session:
            await session.store(User("a"), "users/1")
            await session.save_changes()
            assert refused == ["users/1"]
            assert not session.advanced.has_changes()
        assert rows.ids("users") == ["users/1"]


class TestDocumentsChanges:
    async def test_they_become_plain_dicts(self):
        change = DocumentsChanges(1, 2, C.FIELD_CHANGED, "b", "a")
        assert change.to_json() == {
            "old_value": 1,
            "new_value": 2,
            "change": "field_changed",
            "field_name": "b",
            "field_path": "a",
        }
        assert change.field_full_name == "a.b"

    async def test_the_kinds_have_ravendbs_names(self):
        assert [kind.value for kind in ChangeType] == [
            "document_deleted",
            "document_added",
            "field_changed",
            "new_field",
            "removed_field",
            "array_value_changed",
            "array_value_added",
            "array_value_removed",
        ]
        assert DocumentsChanges.ChangeType is ChangeType


async def test_what_others_changed_is_no_change_here(store):
    await save(store, (User("a"), "users/1"))
    async with store.open_session() as session:
        await session.load("users/1", User)
        await change(store, "users/1", User, name="b")
        assert not session.advanced.has_changes()
