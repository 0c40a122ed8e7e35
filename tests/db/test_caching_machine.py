"""Any order of reads and writes: a session that caches sees what one that does not sees, to the byte.

The bound is small and everything pays, so that documents come into the cache and give way all the time.
"""

import dataclasses
import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from docsession import SessionOptions
from docsession._session import _cache, _reading
from tests.support.documents import driven, save
from tests.unit.test_cache import check

NUMBERS = st.integers(0, 4)
TEXTS = st.tuples(st.sampled_from(["a", "ü", "\U0001f600"]), st.sampled_from([0, 10, 300, 2000])).map(
    lambda t: t[0] * t[1]
)


@dataclasses.dataclass
class Page:
    text: str
    link: str | None = None
    Id: str | None = None


@dataclasses.dataclass
class Remark(Page):
    pass


class CachingMachine(RuleBasedStateMachine):
    """Writes come from another store; every read is made by a session of each kind."""

    examples = itertools.count()

    def __init__(self, store, run, other, run_other, rows):
        super().__init__()
        self.store = store
        self.run = run
        self.other = other
        self.run_other = run_other
        self.rows = rows
        self.cache = getattr(store, "wrapped", store)._cache
        self.name = f"run{next(self.examples)}-"

    def key(self, number):
        return f"{'pages' if number % 2 else 'remarks'}/{self.name}{number}"

    def keys(self, numbers):
        return [self.key(number) for number in numbers]

    @initialize(limit=st.sampled_from([3000, 10_000, 10**6]))
    def begin(self, limit):
        self.store.conventions.max_cache_size = limit
        self.cache.clear()
        for number in range(5):
            self.write(number, "a" * 300, (number + 1) % 5, noted=False)

    @rule(number=NUMBERS, text=TEXTS, link=st.none() | NUMBERS, noted=st.booleans())
    def somebody_writes(self, number, text, link, noted):
        self.write(number, text, link, noted=noted)

    def write(self, number, text, link, *, noted):
        async def act():
            async with self.other.open_session() as session:
                cls = Page if number % 2 else Remark
                page = cls(text, None if link is None else self.key(link))
                await session.store(page, self.key(number))
                if noted:
                    session.advanced.get_metadata_for(page)["noted"] = text[:500]
                await session.save_changes()

        self.run_other(act())

    @rule(number=NUMBERS, text=TEXTS)
    def write_by_sql(self, number, text):
        table = "pages" if number % 2 else "remarks"
        self.rows.write(table, self.key(number), {"text": text, "link": None, "extra": 1.50})

    @rule(number=NUMBERS)
    def delete(self, number):
        async def act():
            async with self.other.open_session() as session:
                session.delete(self.key(number))
                await session.save_changes()

        self.run_other(act())

    def compare(self, act):
        seen = []
        for no_caching in (True, False):

            async def read(no_caching=no_caching):
                async with self.store.open_session(session_options=SessionOptions(no_caching=no_caching)) as session:
                    found = await act(session)
                    context = getattr(session, "wrapped", session)._core.context
                    tracked = {
                        key: (each.raw, each.stored_metadata, each.version, each.last_modified, each.entity)
                        for key, each in context.map.by_id.items()
                    }
                    included = {key: row[:5] for key, (row, _) in context.map.included.items()}
                    return found, tracked, included, context.map.missing, session.advanced.number_of_requests

            seen.append(self.run(read()))
        assert seen[0] == seen[1]

    @rule(number=NUMBERS)
    def load(self, number):
        self.compare(lambda session: session.load(self.key(number)))

    @rule(numbers=st.lists(NUMBERS, min_size=2, max_size=5, unique=True))
    def load_many(self, numbers):
        self.compare(lambda session: session.load(self.keys(numbers)))

    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=4, unique=True))
    def include(self, numbers):
        async def act(session):
            found = await session.include("link").load(self.keys(numbers))
            return [found, *[await session.load(each["link"]) for each in found.values() if each is not None]]

        self.compare(act)

    @rule(prefix=st.sampled_from(["pages/", "remarks/"]), page_size=st.none() | st.integers(1, 3))
    def by_prefix(self, prefix, page_size):
        self.compare(lambda session: session.advanced.load_starting_with(prefix + self.name, page_size=page_size))

    @rule(number=NUMBERS)
    def refresh(self, number):
        async def act(session):
            page = await session.load(self.key(number))
            return page and await session.advanced.refresh(page)

        self.compare(act)

    @rule(number=NUMBERS, version=st.sampled_from(["1", None]))
    def load_conditionally(self, number, version):
        async def act(session):
            page = await session.load(self.key(number))
            if page is None:
                return None
            vector = version or session.advanced.get_change_vector_for(page)
            session.advanced.clear()
            return await session.advanced.conditional_load(self.key(number), vector)

        self.compare(act)

    @invariant()
    def it_is_in_its_bound(self):
        check(self.cache)


@pytest.fixture
def everything_pays(monkeypatch):
    """Let the smallest document be worth it."""
    monkeypatch.setattr(_reading, "WORTH_ALONE", 0)
    for name, value in (("WORTH_ALONE", 0), ("WORTH_TOGETHER", 1), ("COST_OF_EACH", 0)):
        monkeypatch.setattr(_cache, name, value)


@pytest.mark.usefixtures("everything_pays")
def test_a_session_that_caches_sees_what_one_that_does_not_sees(face, postgres_url, database, rows):
    with (
        driven(face, postgres_url, database) as (store, run),
        driven(face, postgres_url, database) as (other, run_other),
    ):
        run_other(save(other, (Page(""), "pages/first"), (Remark(""), "remarks/first")))
        run(store.initialize())
        run_state_machine_as_test(
            lambda: CachingMachine(store, run, other, run_other, rows),
            settings=settings(
                max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
        assert store.statistics.cache_hits > 20
