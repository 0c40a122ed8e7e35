"""Time stands still and ids are counted, and everything made of them is the same each time."""

import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pytest

from docsession import DocumentConventions, InvalidArgumentException, InvalidArgumentTypeException, uuid7, uuid7_ids
from docsession.testing import frozen_clock, numbered_ids

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@dataclasses.dataclass
class Note:
    text: str = ""
    Id: str | None = None


@dataclasses.dataclass
class Page:
    Id: str | None = None


class TestClock:
    async def saved(self, store):
        with frozen_clock(NOON) as clock:
            async with store.open_session() as session:
                note = Note("a")
                await session.store(note, "notes/1")
                await session.save_changes()
                first = session.advanced.get_change_vector_for(note)
                assert session.advanced.get_last_modified_for(note) == NOON
                clock.tick(1.5)
                note.text = "b"
                await session.save_changes()
                assert session.advanced.get_last_modified_for(note) == NOON + timedelta(seconds=1.5)
                return first, session.advanced.get_change_vector_for(note)

    async def test_versions_and_times_are_the_same_each_time(self, make_store, request):
        first, second = make_store(), make_store(database=request.getfixturevalue("database") + "_2")
        try:
            vectors = await self.saved(first)
            assert await self.saved(second) == vectors
            assert len(set(vectors)) == 2
        finally:
            await second.maintenance.delete_database(second.database)

    async def test_versions_differ_while_time_stands(self, store):
        with frozen_clock():
            vectors = []
            for text in "abcd":
                async with store.open_session() as session:
                    note = Note(text)
                    await session.store(note, "notes/1")
                    await session.save_changes()
                    vectors.append(int(session.advanced.get_change_vector_for(note)))
        assert vectors == sorted(set(vectors))

    async def test_a_deleted_document_does_not_come_back_in_an_old_version(self, store):
        with frozen_clock():
            vectors = set()
            for _ in range(3):
                async with store.open_session() as session:
                    note = Note()
                    await session.store(note, "notes/1")
                    await session.save_changes()
                    vectors.add(session.advanced.get_change_vector_for(note))
                    session.delete("notes/1")
                    await session.save_changes()
        assert len(vectors) == 3

    def test_time_ordered_ids_are_the_same_and_in_order(self):
        def made():
            with frozen_clock(NOON) as clock:
                ids = [uuid7(), uuid7()]
                clock.tick(timedelta(milliseconds=1))
                return [*ids, uuid7()]

        assert made() == made() == sorted(set(made()))
        assert made()[0] == "019de368-f600-7000-8000-000000000000"

    def test_afterwards_the_clock_goes_on(self):
        before = uuid7()
        with frozen_clock(NOON):
            uuid7()
        assert before < uuid7()

    def test_it_may_be_moved_forward_only(self):
        with frozen_clock(NOON) as clock:
            assert clock.now == NOON
            assert clock.move_to(datetime(2026, 5, 1, 15, tzinfo=timezone(timedelta(hours=2)))) == clock.now
            assert clock.now == NOON + timedelta(hours=1)
            assert "2026-05-01T13:00:00" in repr(clock)
            with pytest.raises(InvalidArgumentException, match="forward only"):
                clock.tick(-1)

    def test_a_moment_has_a_time_zone(self):
        with pytest.raises(InvalidArgumentException, match="has no time zone"), frozen_clock(NOON.replace(tzinfo=None)):
            pass
        with pytest.raises(InvalidArgumentTypeException, match="a clock shows a datetime"), frozen_clock("2026-05-01"):
            pass


class TestNumberedIds:
    async def test_they_are_counted_without_a_range(self, make_store):
        conventions = DocumentConventions()
        conventions.document_id_generator = numbered_ids(node_tag="T")
        store = make_store(conventions=conventions)
        async with store.open_session() as session:
            entities = [Note(), Note(), Page()]
            for entity in entities:
                await session.store(entity)
            await session.save_changes()
        assert [each.Id for each in entities] == ["notes/1-T", "notes/2-T", "pages/3-T"]

    async def test_time_ordered_ids_of_documents_can_be_frozen_too(self, make_store):
        conventions = DocumentConventions()
        conventions.document_id_generator = uuid7_ids
        store = make_store(conventions=conventions)
        with frozen_clock(NOON):
            async with store.open_session() as session:
                note = Note()
                await session.store(note)
        assert note.Id == "notes/019de368-f600-7000-8000-000000000000"
