"""Requests are counted in a test as a session counts them, with the line of code and the SQL of each."""

import dataclasses
from pathlib import Path

import pytest

from docsession import AsyncDocumentStore, InvalidArgumentException, InvalidArgumentTypeException
from docsession.testing import assert_requests, capture_requests


@dataclasses.dataclass
class Parcel:
    place: str = ""
    next: str | None = None
    Id: str | None = None


@pytest.fixture
def plain(face):
    """What a face's session or store is to functions that take it as it is."""
    return lambda given: given if face.is_async else given.wrapped


async def filled(store):
    async with store.open_session() as session:
        for number in range(1, 4):
            await session.store(Parcel(f"place {number}", f"parcels/{number + 1}"), f"parcels/{number}")
        await session.save_changes()


class TestWhatIsCaptured:
    async def test_each_request_comes_with_its_method_its_line_and_its_sql(self, store, face):
        await filled(store)
        with capture_requests() as requests:
            async with store.open_session() as session:
                parcel = await session.load("parcels/1", Parcel)
                parcel.place = "elsewhere"
                await session.save_changes()
        assert requests.operations == ["load", "save_changes"]
        load, save = requests
        assert Path(load.file).name == ("test_capturing.py" if face.is_async else "faces.py")  # where the test awaits
        assert load.line > 0
        assert [sql.split()[0] for sql in load.statements] == ["SELECT"]
        assert [sql.split()[0] for sql in save.statements] == ["INSERT"]
        assert requests.statements == [*load.statements, *save.statements]
        assert "elsewhere" not in repr(requests) + requests.describe() + str(list(requests))

    async def test_ranges_of_ids_and_new_tables_do_not_count(self, store):
        with capture_requests() as requests:
            async with store.open_session() as session:
                await session.store(Parcel())
                await session.save_changes()
        assert requests.operations == ["save_changes"]

    async def test_what_is_answered_from_the_session_is_no_request(self, store):
        await filled(store)
        async with store.open_session() as session:
            await session.load("parcels/1", Parcel)
            with capture_requests() as requests:
                await session.load("parcels/1", Parcel)
        assert list(requests) == []

    async def test_a_stream_is_one(self, store):
        await filled(store)
        with capture_requests() as requests:
            async with store.open_session() as session:
                found = session.query(Parcel).stream()
                rows = [each async for each in found] if hasattr(found, "__aiter__") else list(found)
        assert len(rows) == 3
        assert requests.operations == ["stream"]
        assert "parcels" in requests[0].statements[0]

    async def test_all_sessions_of_all_stores_count(self, make_store):
        first, second = make_store(), make_store()
        await filled(first)
        with capture_requests() as requests:
            async with first.open_session() as one, second.open_session() as other:
                await one.load("parcels/1", Parcel)
                await other.load("parcels/2", Parcel)
                await one.load("parcels/3", Parcel)
        assert len(requests) == 3
        assert [len(each.statements) for each in requests] == [1, 1, 1]

    async def test_those_of_one_session_if_that_is_asked(self, store, plain):
        await filled(store)
        async with store.open_session() as one, store.open_session() as other:
            with capture_requests(of=plain(one)) as requests:
                await one.load("parcels/1", Parcel)
                await other.load(["parcels/1", "parcels/2"], Parcel)
                assert len(requests) == 1
                await one.load("parcels/2", Parcel)
        assert requests.operations == ["load", "load"]

    async def test_nothing_is_captured_outside_the_block(self, store):
        await filled(store)
        async with store.open_session() as session:
            with capture_requests() as outer:
                with capture_requests() as inner:
                    await session.load("parcels/1", Parcel)
                await session.load("parcels/2", Parcel)
            await session.load("parcels/3", Parcel)
        assert (len(inner), len(outer)) == (1, 2)
        assert outer[:1] == list(inner)

    async def test_what_follows_a_conflict_belongs_to_the_save(self, store):
        await filled(store)
        async with store.open_session() as session, store.open_session() as other:
            session.advanced.use_optimistic_concurrency = True
            mine, theirs = await session.load("parcels/1", Parcel), await other.load("parcels/1", Parcel)
            mine.place = theirs.place = "both"
            await other.save_changes()
            with capture_requests() as requests, pytest.raises(Exception, match="parcels/1"):
                await session.save_changes()
        assert requests.operations == ["save_changes"]
        assert [sql.split()[0] for sql in requests[0].statements] == ["UPDATE", "SELECT"]


class TestAsserting:
    async def test_the_right_number_passes(self, store):
        await filled(store)
        with assert_requests(2), assert_requests(at_most=2), assert_requests(at_most=5):
            async with store.open_session() as session:
                await session.load("parcels/1", Parcel)
                await session.load("parcels/2", Parcel)

    async def test_an_n_plus_1_is_explained(self, store):
        await filled(store)
        with pytest.raises(AssertionError) as caught, assert_requests(1):
            async with store.open_session() as session:
                for number in range(1, 4):
                    await session.load(f"parcels/{number}", Parcel)
        message = str(caught.value)
        assert message.startswith("3 requests were sent, not 1:\n  1. ")
        assert message.count("(load): SELECT id, data") == 3
        assert "3 of them came from" in message
        assert "parcels/1" not in message  # values are not shown

    @pytest.mark.parametrize("wanted", [{"number": 0}, {"number": 2}, {"at_most": 0}])
    async def test_more_or_fewer_fail(self, store, wanted):
        await filled(store)
        with pytest.raises(AssertionError, match="1 request was sent, not"), assert_requests(**wanted):
            async with store.open_session() as session:
                await session.load("parcels/1", Parcel)

    def test_nothing_sent_is_said_in_one_line(self):
        with pytest.raises(AssertionError) as caught, assert_requests(1):
            pass
        assert str(caught.value) == "0 requests were sent, not 1"

    def test_the_blocks_own_failure_goes_first(self):
        with pytest.raises(ZeroDivisionError), assert_requests(1):
            1 / 0  # noqa: B018  # what it raises is asked


class TestArguments:
    @pytest.mark.parametrize(
        "given",
        [{}, {"number": 1, "at_most": 2}, {"number": -1}, {"at_most": True}, {"number": "2"}],
        ids=str,
    )
    def test_one_number_is_given(self, given):
        with pytest.raises(InvalidArgumentException, match=r"assert_requests\(\) takes"), assert_requests(**given):
            pass

    def test_only_a_session_sends_requests(self):
        with (
            pytest.raises(InvalidArgumentTypeException, match="of a DocumentSession"),
            capture_requests(AsyncDocumentStore),
        ):
            pass
