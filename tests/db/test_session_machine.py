"""A session against a model of it: plain dicts, any order of calls, another session that writes in between."""

import copy
import dataclasses
import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from docsession import (
    ConcurrencyException,
    DocumentDoesNotExistException,
    InvalidOperationException,
    NonUniqueObjectException,
    OptimisticConcurrencyMode,
    SessionOptions,
)
from tests.support.documents import driven, save

NONE = OptimisticConcurrencyMode.NONE
WRITES_AND_READS = OptimisticConcurrencyMode.WRITES_AND_READS


@dataclasses.dataclass
class User:
    name: str = ""
    values: list[int] = dataclasses.field(default_factory=list)
    friend: str | None = None
    Id: str | None = None


@dataclasses.dataclass
class Note(User):
    pass


def body(entity):
    """The document of an entity, as far as the model knows it."""
    return {"name": entity.name, "values": list(entity.values), "friend": entity.friend}


@dataclasses.dataclass
class Known:
    """What the session knows of one entity: its document and version when it last agreed with the database."""

    entity: User
    base: dict | None = None
    version: int | None = None
    generated: bool = False
    is_unchecked: bool = False

    @property
    def is_changed(self):
        return body(self.entity) != self.base


NUMBERS = st.integers(0, 4)
NAMES = st.sampled_from(["a", "b", "ü"])
VALUES = st.lists(st.integers(0, 3), max_size=3)


class SessionMachine(RuleBasedStateMachine):
    """Runs the same calls on a session and on the model, and compares what comes back.

    The model's database is {id: (document, version)}; a version is the number of the write.
    """

    examples = itertools.count()

    def __init__(self, store, run, rows):
        super().__init__()
        self.store = store
        self.run = run
        self.rows = rows
        self.name = f"run{next(self.examples)}-"
        self.writes = itertools.count(1)
        self.stored = {}
        self.session = None

    # the model

    def key(self, number):
        """Two collections, and one id among them that may be referred to but is never stored."""
        prefix = "users" if number % 2 else "notes"
        return f"{prefix}/{self.name}{number}"

    @staticmethod
    def class_of(key):
        return User if key.startswith("users/") else Note

    def entity_of(self, key, name, values, friend):
        return self.class_of(key)(name, list(values), None if friend is None else self.key(friend))

    def learn(self, key, entity, document, version):
        """The session has just loaded *entity*."""
        assert type(entity) is self.class_of(key)
        assert entity.Id == key
        assert body(entity) == document
        self.known[key] = Known(entity, document, version)
        self.missing.discard(key)
        self.included.pop(key, None)

    def is_known(self, key):
        return key in self.known or key in self.missing or key in self.deleted or key in self.included

    def check_load(self, key, entity):
        """Compare what a load gave for *key* with the model, and let the model learn it."""
        if key in self.known:
            assert entity is self.known[key].entity
        elif key in self.deleted or key in self.missing:
            assert entity is None
        elif key in self.included:
            self.learn(key, entity, *self.included[key])
        elif key in self.stored:
            self.learn(key, entity, *self.stored[key])
        else:
            assert entity is None
            self.missing.add(key)

    # sessions

    @initialize(mode=st.sampled_from(OptimisticConcurrencyMode), numbers=st.sets(NUMBERS))
    def begin(self, mode, numbers):
        for number in numbers:
            self.somebody_writes(number, "a", [number], (number + 1) % 5)
        self.open(mode)

    @rule(mode=st.sampled_from(OptimisticConcurrencyMode))
    def another_session(self, mode):
        self.run(self.session.close())
        self.open(mode)

    def open(self, mode):
        self.session = self.store.open_session(session_options=SessionOptions(optimistic_concurrency_mode=mode))
        self.session.advanced.max_number_of_requests_per_session = 10_000
        self.mode = mode
        self.requests = 0
        self.forget()

    def forget(self):
        self.known = {}
        self.deleted = {}
        self.missing = set()
        self.included = {}

    # somebody else

    @rule(number=NUMBERS, name=NAMES, values=VALUES, friend=st.none() | NUMBERS)
    def somebody_writes(self, number, name, values, friend):
        key = self.key(number)
        entity = self.entity_of(key, name, values, friend)
        self.run(save(self.store, (entity, key)))
        self.stored[key] = body(entity), next(self.writes)

    @rule(number=NUMBERS)
    def somebody_deletes(self, number):
        async def delete():
            async with self.store.open_session() as session:
                session.delete(self.key(number))
                await session.save_changes()

        self.run(delete())
        self.stored.pop(self.key(number), None)

    # reading

    @rule(number=NUMBERS)
    def load(self, number):
        key = self.key(number)
        self.requests += not self.is_known(key)
        self.check_load(key, self.run(self.session.load(key, self.class_of(key))))

    @rule(numbers=st.lists(NUMBERS, max_size=5))
    def load_many(self, numbers):
        keys = [self.key(number) for number in numbers if number % 2]
        self.requests += not all(self.is_known(key) for key in keys)
        found = self.run(self.session.load(keys, User))
        assert list(found) == list(dict.fromkeys(keys))
        for key, entity in found.items():
            self.check_load(key, entity)

    @rule(number=NUMBERS)
    def load_with_friend(self, number):
        key = self.key(number)
        asked = not self.is_known(key)
        self.requests += asked
        found = self.run(self.session.include("friend").load(key, self.class_of(key)))
        assert list(found) == [key]
        self.check_load(key, found[key])
        friend = self.stored[key][0]["friend"] if asked and key in self.stored else None
        if friend is not None and not self.is_known(friend):
            if friend in self.stored:
                self.included[friend] = copy.deepcopy(self.stored[friend])
            else:
                self.missing.add(friend)

    @rule(prefix=st.sampled_from(["users/", "notes/"]))
    def load_by_prefix(self, prefix):
        cls = User if prefix == "users/" else Note
        found = self.run(self.session.advanced.load_starting_with(prefix + self.name, cls))
        self.requests += 1
        keys = sorted(key for key in self.stored if key.startswith(prefix + self.name) and key not in self.deleted)
        assert [entity.Id for entity in found] == keys
        for key, entity in zip(keys, found, strict=True):
            if key in self.known:
                assert entity is self.known[key].entity
            else:
                self.learn(key, entity, *self.stored[key])

    @rule(number=NUMBERS)
    def exists(self, number):
        key = self.key(number)
        expected = key in self.known or key in self.included
        if not expected and key not in self.missing and key not in self.deleted:
            expected = key in self.stored
        assert self.run(self.session.advanced.exists(key)) is expected

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def refresh(self, data):
        key, known = data.draw(st.sampled_from(sorted(self.known.items(), key=lambda item: item[0])))
        if known.base is None and known.version is not None:
            return  # it stands in for a document that the session has deleted
        if known.base is None:
            with pytest.raises(ValueError, match="never saved"):
                self.run(self.session.advanced.refresh(known.entity))
            return
        self.requests += 1
        if key not in self.stored:
            with pytest.raises(DocumentDoesNotExistException):
                self.run(self.session.advanced.refresh(known.entity))
            return
        assert self.run(self.session.advanced.refresh(known.entity)) is known.entity
        self.learn(key, known.entity, *self.stored[key])

    # changing

    @rule(number=NUMBERS, name=NAMES, values=VALUES, friend=st.none() | NUMBERS)
    def store_new(self, number, name, values, friend):
        key = self.key(number)
        earlier = self.deleted.get(key)
        # What was deleted unseen may be anything, and so may what the new one replaces.
        is_unchecked = key in self.deleted and (earlier is None or earlier.is_unchecked)
        entity = self.entity_of(key, name, values, friend)
        if key in self.known:
            with pytest.raises(NonUniqueObjectException):
                self.run(self.session.store(entity, key))
            assert entity.Id is None
            return
        self.run(self.session.store(entity, key))
        assert entity.Id == key
        self.deleted.pop(key, None)
        self.missing.discard(key)
        self.included.pop(key, None)
        self.known[key] = Known(entity, version=earlier.version if earlier else None, is_unchecked=is_unchecked)

    @rule(name=NAMES)
    def store_under_a_generated_id(self, name):
        entity = User(name)
        self.run(self.session.store(entity))
        key = entity.Id
        assert key.startswith("users/")
        assert key not in self.known
        self.known[key] = Known(entity, generated=True)

    @precondition(lambda self: self.known)
    @rule(data=st.data(), name=NAMES, values=VALUES)
    def change(self, data, name, values):
        entity = self.known[data.draw(st.sampled_from(sorted(self.known)))].entity
        entity.name = name
        if data.draw(st.booleans()):
            entity.values[:] = values
        else:
            entity.values.extend(values)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def delete(self, data):
        key = data.draw(st.sampled_from(sorted(self.known)))
        self.session.delete(self.known[key].entity)
        self.deleted[key] = self.known.pop(key)

    @rule(number=NUMBERS)
    def delete_by_id(self, number):
        key = self.key(number)
        known = self.known.get(key)
        if known is not None and known.base is not None and known.is_changed:
            with pytest.raises(InvalidOperationException):
                self.session.delete(key)
            return
        self.session.delete(key)
        self.included.pop(key, None)
        self.deleted[key] = self.known.pop(key, None) or self.deleted.get(key)

    @precondition(lambda self: any(self.deleted.values()))
    @rule(data=st.data())
    def store_again(self, data):
        key = data.draw(st.sampled_from(sorted(key for key, known in self.deleted.items() if known)))
        known = self.deleted.pop(key)
        self.run(self.session.store(known.entity))
        self.known[key] = known

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def replace(self, data):
        known = self.known[data.draw(st.sampled_from(sorted(self.known)))]
        new = dataclasses.replace(known.entity, name=known.entity.name + "!", Id=None)
        self.session.advanced.replace(known.entity, new)
        assert new.Id == known.entity.Id
        known.entity = new

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def evict(self, data):
        key = data.draw(st.sampled_from(sorted(self.known)))
        self.session.advanced.evict(self.known.pop(key).entity)

    @precondition(lambda self: any(self.deleted.values()))
    @rule(data=st.data())
    def evict_a_deleted_one(self, data):
        key = data.draw(st.sampled_from(sorted(key for key, known in self.deleted.items() if known)))
        self.session.advanced.evict(self.deleted.pop(key).entity)
        self.missing.add(key)

    @rule()
    def clear(self):
        self.session.advanced.clear()
        self.forget()

    # saving

    def expected_version(self, known):
        if known.generated:
            return 0
        if self.mode is NONE or known.is_unchecked:
            return None
        return known.version or 0

    def plan(self):
        """What a save writes and deletes, and {id: expected version} of what it checks."""
        written = [key for key, known in self.known.items() if known.is_changed]
        deleted = [key for key, known in self.deleted.items() if not (known and known.generated)]
        checks = {key: self.expected_version(self.known[key]) for key in written}
        if self.mode is not NONE:
            checks |= {key: self.deleted[key].version for key in deleted if self.deleted[key]}
        if self.mode is WRITES_AND_READS and (written or deleted):
            checks |= {key: known.version for key, known in self.known.items() if not known.is_changed}
        return written, deleted, {key: version for key, version in checks.items() if version is not None}

    @precondition(lambda self: any(known.is_changed for known in self.known.values()))
    @rule()
    def save_what_changed(self):
        self.save()

    @precondition(lambda self: self.deleted)
    @rule()
    def save_what_was_deleted(self):
        self.save()

    @rule()
    def save(self):
        written, deleted, checks = self.plan()
        self.requests += bool(written or deleted)
        conflicts = {key for key, version in checks.items() if self.stored.get(key, (None, 0))[1] != version}
        if conflicts:
            with pytest.raises(ConcurrencyException) as caught:
                self.run(self.session.save_changes())
            assert {conflict.id for conflict in caught.value.conflicts} == conflicts
            for conflict in caught.value.conflicts:
                assert (conflict.actual is None) is (conflict.id not in self.stored)
        else:
            self.run(self.session.save_changes())
            for key in written:
                known = self.known[key]
                known.base, known.version = body(known.entity), next(self.writes)
                known.generated = known.is_unchecked = False
                self.stored[key] = copy.deepcopy(known.base), known.version
            for key in deleted:
                self.stored.pop(key, None)
            self.missing.update(self.deleted)
            self.deleted.clear()
        self.compare_database()

    def compare_database(self):
        mine = set(self.stored)
        for table in ("users", "notes"):
            found = {key: self.rows.data(table, key) for key in mine if key.startswith(table)}
            assert found == {key: document for key, (document, _) in self.stored.items() if key.startswith(table)}
            there = {key for key in self.rows.ids(table) if key.partition("/")[2].startswith(self.name)}
            assert there == {key for key in mine if key.startswith(f"{table}/{self.name}")}

    # what must hold after every step

    @invariant()
    def it_says_what_changed(self):
        if self.session is None:
            return
        changed = {key for key, known in self.known.items() if known.is_changed} | self.deleted.keys()
        advanced = self.session.advanced
        assert advanced.what_changed().keys() == changed
        assert advanced.has_changes() is bool(changed)
        assert advanced.number_of_requests == self.requests

    @invariant()
    def it_knows_what_the_model_knows(self):
        if self.session is None:
            return
        tracked = self.session.advanced.get_tracked_entities()
        assert tracked.keys() == self.known.keys() | self.deleted.keys()
        for key, known in self.known.items():
            assert tracked[key]["entity"] is known.entity
            assert not tracked[key]["is_deleted"]
            assert self.session.advanced.get_document_id(known.entity) == key
            assert (self.session.advanced.get_change_vector_for(known.entity) is None) is (known.version is None)
        for number in range(5):
            assert self.session.advanced.is_loaded(self.key(number)) is self.is_known(self.key(number))

    def teardown(self):
        if self.session is not None:
            self.compare_database()
            self.run(self.session.close())


def test_a_session_does_what_its_model_says(face, postgres_url, database, rows):
    with driven(face, postgres_url, database) as (store, run):
        run(save(store, (User(), "users/first"), (Note(), "notes/first")))
        run_state_machine_as_test(
            lambda: SessionMachine(store, run, rows),
            settings=settings(
                max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
