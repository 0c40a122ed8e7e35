"""What a document holds that its class does not know survives a load, a change and a save, wherever items move."""

import copy
import dataclasses
import json

import attrs
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.documents import driven, save
from tests.support.kinds import make_class


@dataclasses.dataclass
class User:
    name: str
    age: int = 0
    Id: str | None = None


@pytest.fixture(scope="session")
def shelf_of(kind):
    """`Shelf` with boxes and a best one, each `Box` with items: classes of the kind in turn."""
    Item = make_class(kind.name, "Item", name=str, number=int)
    Box = make_class(kind.name, "Box", label=str, items=list[Item])
    Shelf = make_class(kind.name, "Shelf", name=str, best=Box | None, boxes=list[Box])
    return Shelf, Box, Item


def unknown_of(number):
    """Fields that no class knows, other ones for each number."""
    return {"unknown": number, "more": {"deep": [number, {"x": None}], "digits": 1.5}, "zz": [[]]}


class Numbering:
    """Gives each object of a new document unknown fields of its own."""

    def __init__(self):
        self.count = 0

    def __call__(self, **known):
        self.count += 1
        return known | unknown_of(self.count)


class TestOneDocument:
    DOCUMENT = {"name": "a", "age": 1, **unknown_of(1)}

    async def test_of_every_kind_of_class(self, kind, store, rows):
        unknown = unknown_of(7)
        document = {
            "company": "x",
            "address": {"city": "k", "street": "s", **unknown},
            "lines": [{"product": "a", "quantity": 1, **unknown}, {"product": "b", "quantity": 2, "other": [1]}],
            **unknown,
        }
        key = await save(store, kind.Order(company="x"))
        rows.write("orders", key, document)
        async with store.open_session() as session:
            order = await session.load(key, kind.Order)
            assert not session.advanced.has_changes()
            order.company = "y"
            order.address.city = "l"
            order.lines[1].quantity = 3
            order.lines.insert(0, kind.Line("new"))
            await session.save_changes()
            order.lines.reverse()
            await session.save_changes()
        document |= {"company": "y"}
        document["address"] |= {"city": "l"}
        document["lines"][1]["quantity"] = 3
        document["lines"] = [*reversed(document["lines"]), {"product": "new", "quantity": 1}]
        assert rows.data("orders", key) == document

    async def test_its_numbers_keep_their_digits(self, store, rows):
        await save(store, (User("a"), "users/1"))
        rows.write("users", "users/1", '{"name": "a", "age": 1, "u": [1.10, 1e2, 123456789012345678901.10, -0.00]}')
        before = rows.exact("users", "users/1")
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            user.age = 2
            await session.save_changes()
        assert rows.exact("users", "users/1") == before | {"age": "2"}

    async def test_and_so_do_known_ones_that_did_not_change(self, store, rows):
        @dataclasses.dataclass
        class Measure:
            values: list[float]
            unit: str

        await save(store, (Measure([], "m"), "measures/1"))
        text = '{"values": [1.10, 100, 0.1000000000000000055511151231257827], "unit": "m"}'
        rows.write("measures", "measures/1", text)
        before = rows.exact("measures", "measures/1")
        async with store.open_session() as session:
            measure = await session.load("measures/1", Measure)
            measure.unit = "km"
            await session.save_changes()
            assert rows.exact("measures", "measures/1") == before | {"unit": "km"}
            measure.values.append(2.0)
            await session.save_changes()
        values = rows.exact("measures", "measures/1")["values"]
        assert values[:3] == before["values"]
        assert float(values[3]) == 2.0

    async def test_what_the_document_lacks_takes_its_default_and_stays_out_until_a_change(self, store, rows):
        await save(store, (User("a"), "users/1"))
        rows.write("users", "users/1", {"name": "a", "u": 1})
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            assert user.age == 0
            assert not session.advanced.has_changes()
            user.name = "b"
            await session.save_changes()
        assert rows.data("users", "users/1") in ({"name": "b", "u": 1}, {"name": "b", "age": 0, "u": 1})

    async def test_a_member_called_like_the_id_is_no_trouble(self, store, rows):
        await save(store, (User("a"), "users/1"))
        rows.write("users", "users/1", {"name": "a", "age": 1, "id": "x", "@metadata": {"a": 1}})
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            assert user == User("a", 1, "users/1")
            user.age = 2
            await session.save_changes()
        assert rows.data("users", "users/1") == {"name": "a", "age": 2, "id": "x", "@metadata": {"a": 1}}

    async def test_over_many_saves(self, store, rows):
        await save(store, (User("a"), "users/1"))
        rows.write("users", "users/1", self.DOCUMENT)
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            for age in range(2, 6):
                user.age = age
                await session.save_changes()
                assert rows.data("users", "users/1") == self.DOCUMENT | {"age": age}

    async def test_through_a_refresh_too(self, store, rows):
        await save(store, (User("a"), "users/1"))
        async with store.open_session() as session:
            user = await session.load("users/1", User)
            rows.write("users", "users/1", self.DOCUMENT)
            await session.advanced.refresh(user)
            user.age = 9
            await session.save_changes()
        assert rows.data("users", "users/1") == self.DOCUMENT | {"age": 9}

    async def test_another_class_for_a_subclass_object_takes_nothing_over(self, store, rows):
        @dataclasses.dataclass
        class Cat:
            name: str

        @dataclasses.dataclass
        class Dog:
            name: str

        @dataclasses.dataclass
        class Home:
            pet: Cat | Dog
            size: int = 1

        await save(store, (Home(Cat("a")), "homes/1"))
        document = rows.data("homes", "homes/1")
        document["pet"]["claws"] = 18
        rows.write("homes", "homes/1", document)
        async with store.open_session() as session:
            home = await session.load("homes/1", Home)
            home.pet.name = "b"
            await session.save_changes()
            assert rows.data("homes", "homes/1")["pet"]["claws"] == 18
            home.pet = Dog("c")
            await session.save_changes()
        assert "claws" not in rows.data("homes", "homes/1")["pet"]
        async with store.open_session() as session:
            assert await session.load("homes/1", Home) == Home(Dog("c"))

    async def test_in_values_of_a_dict_of_objects(self, store, rows):
        @dataclasses.dataclass
        class Team:
            members: dict[str, User]

        await save(store, (Team({"x": User("a"), "y": User("b")}), "teams/1"))
        document = rows.data("teams", "teams/1")
        for number, member in enumerate(document["members"].values()):
            member.update(unknown_of(number))
        rows.write("teams", "teams/1", document)
        async with store.open_session() as session:
            team = await session.load("teams/1", Team)
            team.members["x"].age = 5
            team.members["new"] = User("c")
            del team.members["y"]
            await session.save_changes()
        members = rows.data("teams", "teams/1")["members"]
        assert members["x"] == document["members"]["x"] | {"age": 5}
        assert members.keys() == {"x", "new"}
        assert "unknown" not in members["new"]


class TestImmutableItems:
    """Items that cannot be changed are replaced: the equal one, else the one at the same place."""

    @pytest.mark.parametrize("frozen", ["dataclass", "attrs", "msgspec"])
    async def test_they_keep_what_is_unknown(self, store, rows, frozen):
        if frozen == "dataclass":
            Item = dataclasses.make_dataclass("Item", [("name", str), ("number", int)], frozen=True)
        elif frozen == "attrs":
            Item = attrs.make_class(
                "Item", {"name": attrs.field(type=str), "number": attrs.field(type=int)}, frozen=True
            )
        else:
            Item = msgspec.defstruct("Item", [("name", str), ("number", int)], frozen=True)
        Bag = dataclasses.make_dataclass("Bag", [("items", list[Item])])
        await save(store, (Bag([Item("a", 1), Item("b", 2), Item("c", 3)]), "bags/1"))
        document = rows.data("bags", "bags/1")
        for number, item in enumerate(document["items"]):
            item["unknown"] = number
        rows.write("bags", "bags/1", document)
        a, b, c = document["items"]
        async with store.open_session() as session:
            bag = await session.load("bags/1", Bag)
            bag.items = [bag.items[2], Item("b", 2), Item("a", 9)]
            await session.save_changes()
            assert rows.data("bags", "bags/1")["items"][:2] == [c, b]
            bag.items = [Item("b", 2), Item("c", 3)]
            await session.save_changes()
            assert rows.data("bags", "bags/1")["items"] == [b, c]
            bag.items = [Item("b", 5), Item("c", 3)]
            await session.save_changes()
            assert rows.data("bags", "bags/1")["items"] == [b | {"number": 5}, c]
        assert a["unknown"] == 0


class Edits:
    """Draws edits of a loaded shelf and makes them; knows of every object what it was loaded with."""

    def __init__(self, draw, classes, shelf, document):
        self.draw = draw
        self.Shelf, self.Box, self.Item = classes
        self.new = 0
        self.origins = {}
        self.homes = {}
        self.kept = []  # keeps objects alive, so that an id stays theirs
        self.learn(shelf, document)
        for box, stored in zip(shelf.boxes, document["boxes"], strict=True):
            self.learn(box, stored)
            for item, inner in zip(box.items, stored["items"], strict=True):
                self.learn(item, inner)
            self.homes[id(box)] = "boxes", None
        self.learn(shelf.best, document["best"])
        for item, inner in zip(shelf.best.items, document["best"]["items"], strict=True):
            self.learn(item, inner)

    def learn(self, entity, stored):
        self.origins[id(entity)] = stored
        self.kept.append(entity)

    def fresh_item(self):
        self.new += 1
        item = self.Item(name=f"new {self.new}", number=self.new)
        self.kept.append(item)
        return item

    def fresh_box(self, items=()):
        self.new += 1
        box = self.Box(label=f"new {self.new}", items=list(items))
        self.kept.append(box)
        return box

    def make(self, shelf):
        for _ in range(self.draw(st.integers(1, 6))):
            boxes = [*shelf.boxes, *([shelf.best] if shelf.best is not None else [])]
            lists = [shelf.boxes, *(box.items for box in boxes)]
            match self.draw(st.sampled_from(EDITS)):
                case "item field" if any(box.items for box in boxes):
                    box = self.draw(st.sampled_from([box for box in boxes if box.items]))
                    self.draw(st.sampled_from(box.items)).number += 100
                case "box field" if boxes:
                    self.draw(st.sampled_from(boxes)).label += "!"
                case "shuffle":
                    chosen = self.draw(st.sampled_from(lists))
                    chosen[:] = self.draw(st.permutations(chosen))
                case "remove":
                    chosen = self.draw(st.sampled_from(lists))
                    if chosen:
                        del chosen[self.draw(st.integers(0, len(chosen) - 1))]
                case "insert box":
                    shelf.boxes.insert(self.draw(st.integers(0, len(shelf.boxes))), self.fresh_box())
                case "insert item" if boxes:
                    items = self.draw(st.sampled_from(boxes)).items
                    items.insert(self.draw(st.integers(0, len(items))), self.fresh_item())
                case "repeat":
                    chosen = self.draw(st.sampled_from(lists))
                    if chosen:
                        chosen.append(self.draw(st.sampled_from(chosen)))
                case "new list of the same objects":
                    shelf.boxes = list(shelf.boxes)
                case "move item" if len(boxes) > 1:
                    source = self.draw(st.sampled_from(boxes)).items
                    if source:
                        moved = source.pop(self.draw(st.integers(0, len(source) - 1)))
                        self.draw(st.sampled_from(boxes)).items.append(moved)
                case "no best":
                    shelf.best = None

    def expected(self, entity):
        """The document that has to be stored: what is known of *entity*, and what it was loaded with besides."""
        known = {}
        for name, annotated in (("name", 0), ("number", 0), ("label", 0), ("best", 1), ("boxes", 2), ("items", 2)):
            if not hasattr(entity, name):
                continue
            value = getattr(entity, name)
            if annotated == 2:
                value = [self.expected(each) for each in value]
            elif annotated == 1 and value is not None:
                value = self.expected(value)
            known[name] = value
        origin = self.origins.get(id(entity), {})
        return {key: value for key, value in origin.items() if key not in known} | known


EDITS = (
    "item field",
    "box field",
    "shuffle",
    "remove",
    "insert box",
    "insert item",
    "repeat",
    "new list of the same objects",
    "move item",
    "no best",
)


def shelves():
    """Documents of a shelf, in which every object holds unknown fields of its own."""
    number = st.integers(0, 3)
    item = st.builds(lambda name, number: ("item", name, number), st.sampled_from("ab"), number)
    box = st.tuples(st.sampled_from("xy"), st.lists(item, max_size=3))

    def build(name, best, boxes):
        fields = Numbering()

        def box_of(label, items):
            inner = [fields(name=name, number=number) for _, name, number in items]
            return fields(label=label, items=inner)

        return fields(name=name, best=box_of(*best), boxes=[box_of(*each) for each in boxes])

    return st.builds(build, st.sampled_from("st"), box, st.lists(box, max_size=4))


def still_holds_its_own(edits, original, now):
    """Where a list holds nothing of what it held, its items may be the old ones rebuilt: nobody can tell."""
    own = {id(each) for each in original}
    return (
        not original or any(id(each) in own for each in now) or not any(id(each) not in edits.origins for each in now)
    )


def test_wherever_items_move_they_keep_their_own(face, shelf_of, postgres_url, database, rows):
    """Known fields end as in the entity; unknown ones stay with the object that they were loaded with."""
    Shelf = shelf_of[0]
    with driven(face, postgres_url, database) as (store, run):
        run(save(store, (Shelf(name="", best=None, boxes=[]), "shelves/1")))

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(document=shelves(), data=st.data())
        def check(document, data):
            run(example(document, data.draw))

        async def example(document, draw):
            rows.write("shelves", "shelves/1", document)
            async with store.open_session() as session:
                shelf = await session.load("shelves/1", Shelf)
                assert not session.advanced.has_changes()
                edits = Edits(draw, shelf_of, shelf, copy.deepcopy(document))
                originals = {id(box): list(box.items) for box in (*shelf.boxes, shelf.best)}
                boxes = list(shelf.boxes)
                # Equal items that change places are no change by themselves, and so nothing is written then.
                shelf.name += "!"
                edits.make(shelf)
                keep_to_what_can_be_told(edits, shelf, boxes, originals)
                await session.save_changes()
                assert rows.data("shelves", "shelves/1") == edits.expected(shelf)
                await session.save_changes()
                assert session.advanced.number_of_requests <= 2
                # What was saved is what the next save of the same session starts from.
                shelf.name += "?"
                shelf.boxes.reverse()
                await session.save_changes()
                assert rows.data("shelves", "shelves/1") == edits.expected(shelf)

        check()


def keep_to_what_can_be_told(edits, shelf, boxes, originals):
    """Take new items out of lists that hold nothing of what they held."""
    if not still_holds_its_own(edits, boxes, shelf.boxes):
        shelf.boxes = [box for box in shelf.boxes if id(box) in edits.origins]
    for box in (*shelf.boxes, *([shelf.best] if shelf.best else [])):
        original = originals.get(id(box), [])
        if not still_holds_its_own(edits, original, box.items):
            box.items[:] = [item for item in box.items if id(item) in edits.origins]


# Plain JSON without a class: everything is known, and a change is what it looks like. PostgreSQL has no -0.0.
TEXT = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
KEYS = st.text(TEXT, max_size=4)
NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(TEXT, max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def plain(value):
    return json.dumps(value, sort_keys=True)


def test_a_dict_is_stored_as_it_is_whatever_it_was(face, postgres_url, database):
    """Any JSON over any JSON: the second one is there afterwards, value for value and type for type."""
    documents = st.dictionaries(KEYS.filter(lambda key: key not in {"Id", "@metadata"}), JSON, max_size=4)
    with driven(face, postgres_url, database) as (store, run):

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(before=documents, now=documents)
        def check(before, now):
            run(example(before, now))

        async def example(before, now):
            await save(store, (copy.deepcopy(before), "things/1"))
            async with store.open_session() as session:
                thing = await session.load("things/1")
                metadata = thing.pop("@metadata")
                assert plain(thing) == plain(before)
                thing["@metadata"] = metadata
                assert not session.advanced.has_changes()
                for key in before:
                    del thing[key]
                thing.update(copy.deepcopy(now))
                same = plain(before) == plain(now)
                assert session.advanced.has_changes() is not same
                assert bool(session.advanced.what_changed()) is not same
                await session.save_changes()
                assert session.advanced.number_of_requests == (1 if same else 2)
            async with store.open_session() as session:
                thing = await session.load("things/1")
                del thing["@metadata"]
                assert plain(thing) == plain(now)

        check()
