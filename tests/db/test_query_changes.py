"""Set-based operations: what a query finds is deleted or patched on the server."""

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from docsession import (
    InvalidArgumentException,
    InvalidOperationException,
    OptimisticConcurrencyMode,
    SessionOptions,
    append,
    increment,
    remove,
    rename,
    set_,
)
from tests.support.documents import Rows, save


@dataclass
class Inner:
    note: str = ""


@dataclass
class Job:
    state: str
    count: int = 0
    rate: Decimal | None = None
    tags: list[str] = field(default_factory=list)
    inner: Inner = field(default_factory=Inner)
    legacy: str | None = None
    extra: dict[str, int] = field(default_factory=dict)
    loose: dict[str, Any] = field(default_factory=dict)
    id: str | None = None


@dataclass
class Loose:
    held: dict
    other: Any = None
    id: str | None = None


def jobs(count):
    return [Job("open" if i % 2 == 0 else "done", i, id=f"jobs/{i:02}") for i in range(count)]


@pytest.fixture
def rows(postgres_url, database):
    rows = Rows(postgres_url, database)
    yield rows
    rows.close()


class TestDelete:
    async def test_what_is_found_is_gone(self, store):
        await save(store, *jobs(6))
        async with store.open_session() as session:
            assert await session.query(Job).where(state="open").delete() == 3
            assert session.advanced.number_of_requests == 1
            assert [job.id for job in await session.query(Job).all()] == ["jobs/01", "jobs/03", "jobs/05"]
            assert await session.query(Job).where(state="open").delete() == 0

    async def test_the_session_knows(self, store):
        await save(store, *jobs(3))
        async with store.open_session() as session:
            job = await session.load("jobs/00", Job)
            await session.query(Job).where(state="open").delete()
            sent = session.advanced.number_of_requests
            assert await session.load("jobs/00", Job) is None
            assert session.advanced.number_of_requests == sent
            assert session.advanced.get_document_id(job) is None

    async def test_they_can_be_returned_as_they_were(self, store):
        await save(store, *jobs(4))
        async with store.open_session() as session:
            gone = await session.query(Job).where(state="done").returning().delete()
            assert [(job.id, job.count) for job in gone] == [("jobs/01", 1), ("jobs/03", 3)]
            assert not session.advanced.has_changes()


class TestPatch:
    async def test_each_operation(self, store, rows):
        await save(store, *jobs(2))
        async with store.open_session() as session:
            changed = (
                await session.query(Job)
                .where(state="open")
                .patch(
                    lambda job: [
                        set_(job.state, "late"),
                        increment(job.count, 5),
                        increment(job.rate, Decimal("0.10")),
                        append(job.tags, "x"),
                        append(job.tags, "y"),
                        set_(job.inner.note, "n"),
                        remove(job.legacy),
                        set_(job.extra["k"], 1),
                    ]
                )
            )
            assert changed == 1
        assert rows.data("jobs", "jobs/00") == {
            "state": "late",
            "count": 5,
            "rate": 0.1,
            "tags": ["x", "y"],
            "inner": {"note": "n"},
            "extra": {"k": 1},
            "loose": {},
        }
        assert rows.data("jobs", "jobs/01")["state"] == "done"

    async def test_rename(self, store, rows):
        await save(store, *jobs(1))
        async with store.open_session() as session:
            assert await session.query(Job).patch(lambda job: rename(job.state, "status")) == 1
        data = rows.data("jobs", "jobs/00")
        assert data["status"] == "open"
        assert "state" not in data

    async def test_types_of_values_that_are_replaced_are_forgotten(self, store):
        moment = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
        held = {"at": moment, "as": moment, "a/b": moment, "list": [moment, {"at": moment}], "inner": {"at": moment}}
        await save(store, (Loose(dict(held), moment), "loose/1"))
        async with store.open_session() as session:
            loose = await session.load("loose/1", Loose)
            query = session.query(Loose)
            await query.patch(
                lambda each: [
                    set_(each.held["at"], "text"),
                    set_(each.held["a/b"], 5),
                    set_(each.held["list"][1], {"at": "text"}),
                    remove(each.held["inner"]),
                ]
            )
            expected = {"at": "text", "as": moment, "a/b": 5, "list": [moment, {"at": "text"}]}
            assert (loose.held, loose.other) == (expected, moment)
            await query.patch(lambda each: [rename(each.held["as"], "at"), remove(each.held["list"][0])])
            assert loose.held == {"at": "2026-01-02T00:00:00Z", "a/b": 5, "list": [{"at": "text"}]}
            await query.patch(lambda each: [set_(each.other, None), set_(each.held, {})])
        async with store.open_session() as session:
            assert (await session.load("loose/1", Loose)) == Loose({}, None, "loose/1")

    @pytest.mark.parametrize("value", [dt.date(2026, 1, 2), Decimal(1), {1, 2}, {"at": [dt.date(2026, 1, 2)]}])
    async def test_a_type_that_the_document_would_have_to_record_is_refused(self, store, value):
        await save(store, Loose({}))
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException, match="declares no type"):
                await session.query(Loose).patch(lambda each: set_(each.held["at"], value))

    async def test_what_does_not_fit_stays(self, store, rows):
        await save(store, *jobs(1))
        rows.write("jobs", "jobs/00", {"state": "open", "count": "many", "tags": "none", "inner": None})
        async with store.open_session() as session:
            await session.query(Job).patch(
                lambda job: [
                    increment(job.count),
                    append(job.tags, "x"),
                    set_(job.inner.note, "n"),
                    rename(job.rate, "r"),
                ]
            )
        assert rows.data("jobs", "jobs/00") == {"state": "open", "count": "many", "tags": "none", "inner": None}

    @pytest.mark.parametrize(
        "operation",
        [
            lambda job: set_(job.inner.note, "n"),
            lambda job: set_(job.extra["k"], 1),
            lambda job: set_(job.tags[0], "x"),
            lambda job: set_(job.loose["a"]["b"], 1),
            lambda job: increment(job.extra["k"]),
            lambda job: append(job.loose["k"], 1),
            lambda job: remove(job.inner.note),
            lambda job: remove(job.tags[0]),
            lambda job: rename(job.extra["0"], "k"),
        ],
    )
    async def test_what_has_no_place_for_it_stays(self, store, rows, operation):
        await save(store, *jobs(2))
        odd = [
            {"inner": [1], "extra": [{"k": 1}], "tags": {"a": 1}, "loose": {"a": [1], "k": "x"}},
            {"inner": "x", "extra": 5, "tags": [], "loose": []},
        ]
        for number, each in enumerate(odd):
            rows.write("jobs", f"jobs/0{number}", each)
        async with store.open_session() as session:
            assert await session.query(Job).patch(operation) == 2
        assert [rows.data("jobs", f"jobs/0{number}") for number in range(2)] == odd

    async def test_versions_grow_so_that_others_notice(self, store, rows):
        await save(store, *jobs(1))
        options = SessionOptions(optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES)
        async with store.open_session(session_options=options) as other, store.open_session() as session:
            job = await other.load("jobs/00", Job)
            before = rows.version("jobs", "jobs/00")
            await session.query(Job).patch(lambda job: set_(job.state, "late"))
            assert rows.version("jobs", "jobs/00") > before
            job.count = 7
            with pytest.raises(Exception, match="jobs/00"):
                await other.save_changes()

    async def test_tracked_documents_are_brought_up_to_date(self, store):
        await save(store, *jobs(2))
        async with store.open_session() as session:
            job = await session.load("jobs/00", Job)
            await session.query(Job).patch(lambda job: [increment(job.count, 3)])
            assert job.count == 3
            assert not session.advanced.has_changes()
            job.count += 1
            await session.save_changes()
        async with store.open_session() as session:
            assert (await session.load("jobs/00", Job)).count == 4

    async def test_unsaved_changes_stop_it(self, store, rows):
        await save(store, *jobs(2))
        async with store.open_session() as session:
            job = await session.load("jobs/01", Job)
            job.count = 50
            for change in (lambda q: q.delete(), lambda q: q.patch(lambda job: set_(job.state, "x"))):
                with pytest.raises(InvalidOperationException, match="jobs/01"):
                    await change(session.query(Job))
        assert rows.data("jobs", "jobs/00")["state"] == "open"

    async def test_they_can_be_returned(self, store):
        await save(store, *jobs(4))
        async with store.open_session() as session:
            changed = (
                await session.query(Job).where(state="done").returning().patch(lambda job: set_(job.state, "late"))
            )
            assert [(job.id, job.state) for job in changed] == [("jobs/01", "late"), ("jobs/03", "late")]
            changed[0].count = 9
            await session.save_changes()
        async with store.open_session() as session:
            assert (await session.load("jobs/01", Job)).count == 9

    async def test_in_a_transaction_it_is_rolled_back_with_it(self, store, rows):
        await save(store, *jobs(2))
        async with store.open_session() as session:
            job = await session.load("jobs/00", Job)
            version = session.advanced.get_change_vector_for(job)
            await session.advanced.begin()
            await session.query(Job).patch(lambda job: set_(job.state, "late"))
            await session.query(Job).where(id="jobs/01").delete()
            await session.advanced.rollback()
            assert session.advanced.get_change_vector_for(job) == version
            assert job.state == "open"
            assert not session.advanced.has_changes()
            assert await session.load("jobs/01", Job) is not None
        assert rows.data("jobs", "jobs/00")["state"] == "open"

    async def test_after_a_rollback_it_can_be_repeated(self, store, rows):
        await save(store, *jobs(1))
        async with store.open_session() as session:
            job = await session.load("jobs/00", Job)
            for _ in range(2):
                await session.advanced.begin()
                await session.query(Job).patch(lambda job: increment(job.count))
                await session.query(Job).patch(lambda job: increment(job.count))
                assert job.count == 2
                await session.advanced.rollback()
                assert job.count == 0
            await session.query(Job).patch(lambda job: increment(job.count))
        assert rows.data("jobs", "jobs/00")["count"] == 1

    async def test_after_a_rollback_what_the_user_changed_since_is_still_there(self, store, rows):
        await save(store, *jobs(1))
        async with store.open_session() as session:
            job = await session.load("jobs/00", Job)
            await session.advanced.begin()
            await session.query(Job).patch(lambda job: increment(job.count))
            job.state = "mine"
            await session.save_changes()
            await session.advanced.rollback()
            assert (job.state, job.count) == ("mine", 0), "what was patched is as it was before"
            await session.save_changes()
        stored = rows.data("jobs", "jobs/00")
        assert (stored["state"], stored["count"]) == ("mine", 0)

    async def test_after_a_rollback_what_cannot_be_stored_is_left_as_it_is(self, store):
        await save(store, *jobs(2))
        async with store.open_session() as session:
            first, second = (await session.load(["jobs/00", "jobs/01"], Job)).values()
            await session.advanced.begin()
            await session.query(Job).patch(lambda job: set_(job.state, "late"))
            first.count = second.count = object()
            await session.advanced.rollback()
            first.count, first.state = 7, "open"
            second.count, second.state = 8, "done"
            await session.save_changes()
        async with store.open_session() as session:
            assert [job.count for job in await session.query(Job).all()] == [7, 8]

    async def test_after_a_rollback_metadata_and_fields_that_the_user_changed_are_still_there(self, store, rows):
        await save(store, *jobs(1))
        async with store.open_session() as session:
            job = await session.load("jobs/00", Job)
            await session.advanced.begin()
            for _ in range(2):
                await session.query(Job).patch(lambda job: [increment(job.count), set_(job.state, "late")])
            job.count = 7
            session.advanced.get_metadata_for(job)["by"] = "me"
            await session.advanced.rollback()
            assert (job.state, job.count) == ("open", 7)
            changed = session.advanced.what_changed()["jobs/00"]
            assert sorted(each.field_name for each in changed) == ["by", "count"]
            await session.save_changes()
        async with store.open_session() as session:
            job = await session.load("jobs/00", Job)
            assert (job.state, job.count, session.advanced.get_metadata_for(job)["by"]) == ("open", 7, "me")

    async def test_deletions_that_are_not_saved_stop_it(self, store):
        await save(store, *jobs(2))
        async with store.open_session() as session:
            session.delete(await session.load("jobs/01", Job))
            with pytest.raises(InvalidOperationException, match="jobs/01"):
                await session.query(Job).patch(lambda job: set_(job.state, "x"))
            assert await session.query(Job).delete() == 2
            await session.save_changes()

    @pytest.mark.parametrize(
        "operations",
        [
            lambda job: [],
            lambda job: 5,
            lambda job: [job.state == "x"],
            lambda job: [set_(job.state, 5)],
            lambda job: [set_("state", "x")],
            lambda job: [increment(job.state, 1)],
            lambda job: [increment(job.count, "1")],
            lambda job: [append(job.state, "x")],
            lambda job: [append(job.tags, 1)],
            lambda job: [set_(job.id, "jobs/2")],
            lambda job: [rename(job.state, "")],
            lambda job: [rename(job.state, "a\0")],
            lambda job: [rename(job.state, "\ud800")],
            lambda job: [rename(job.state, job.legacy)],
            lambda job: [rename(job.legacy, "id")],
            lambda job: [set_(job.state, None)],
            lambda job: [set_(job.count, 1.5)],
            lambda job: [set_(job.count, job.rate)],
            lambda job: [set_(job.extra["k"], None)],
            lambda job: [set_(job.tags, ["x", None])],
            lambda job: [increment(job.count, 0.5)],
            lambda job: [increment(job.count, job.rate)],
            lambda job: [append(job.tags, None)],
            lambda job: [append(job.tags, job.state)],
            lambda job: [remove(job)],
        ],
    )
    async def test_what_is_no_change_is_refused(self, store, operations):
        """Where no document is stored, too: there the mistake would wait for the first one."""
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException):
                await session.query(Job).patch(operations)

    async def test_a_value_of_another_type_says_what_it_cannot_become(self, store):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException, match=r"count holds int, so it cannot become a str \('1'\)"):
                await session.query(Job).patch(lambda job: set_(job.count, "1"))

    async def test_pages_are_not_changed(self, store):
        async with store.open_session() as session:
            with pytest.raises(InvalidOperationException, match="take"):
                await session.query(Job).take(3).delete()
            assert await session.query(Job).delete() == 0
            assert await session.query(Job).patch(lambda job: set_(job.state, "x")) == 0
