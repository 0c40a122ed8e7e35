"""A store whose server is a script: what a test of a program without a database sees."""

import dataclasses
from datetime import UTC, datetime

import pytest

from docsession import ConnectionLostException, DocumentConventions, InvalidArgumentTypeException
from docsession.testing import (
    ScriptedExecutor,
    assert_requests,
    async_scripted_store,
    document_row,
    frozen_clock,
    numbered_ids,
    scripted_store,
)

MAY = datetime(2026, 5, 1, tzinfo=UTC)


@dataclasses.dataclass
class Company:
    name: str
    Id: str | None = None


def test_a_load_is_answered_by_the_script():
    row = document_row("companies/1-A", {"name": "Ayende"}, version=7, metadata={"by": "me"}, last_modified=MAY)
    executor = ScriptedExecutor([[[row]]])
    with scripted_store(executor, Company) as store, store.open_session() as session:
        with assert_requests(1):
            company = session.load("companies/1-A", Company)
        assert company == Company("Ayende", "companies/1-A")
        assert session.advanced.get_change_vector_for(company) == "7"
        assert session.advanced.get_last_modified_for(company) == MAY
        assert session.advanced.get_metadata_for(company)["by"] == "me"
    executor.assert_all_answered()


def test_a_save_shows_its_exact_statements():
    executor = ScriptedExecutor([[[(9,)]]])
    conventions = DocumentConventions()
    conventions.document_id_generator = numbered_ids()
    with (
        frozen_clock(MAY),
        scripted_store(executor, Company, database="shop", conventions=conventions) as store,
        store.open_session() as session,
    ):
        session.store(Company("Ayende"))
        session.save_changes()
    (request,) = executor.requests
    assert request.write
    assert [sql.partition(" (")[0] for sql in request.sql] == ['INSERT INTO "shop"."companies"']
    assert request.params[0][:2] == ("companies/1-A", b'\x01{"name":"Ayende"}')


def test_failures_of_a_server_are_played():
    executor = ScriptedExecutor([ConnectionLostException("cut")])
    with (
        scripted_store(executor, Company) as store,
        store.open_session() as session,
        pytest.raises(ConnectionLostException, match="cut"),
    ):
        session.load("companies/1-A", Company)


def test_more_than_the_script_has_is_shown():
    with (
        scripted_store(ScriptedExecutor(), Company) as store,
        store.open_session() as session,
        pytest.raises(AssertionError, match=r"no answer left for Recorded.*companies/1-A"),
    ):
        session.load("companies/1-A", Company)


async def test_the_async_face_has_one_too():
    executor = ScriptedExecutor([[[document_row("companies/1-A", {"name": "Ayende"})]]], suspends=True)
    async with async_scripted_store(executor, Company) as store, store.open_session() as session:
        assert await session.load("companies/1-A", Company) == Company("Ayende", "companies/1-A")
    executor.assert_all_answered()


def test_something_else_is_no_script():
    with pytest.raises(InvalidArgumentTypeException, match="takes a ScriptedExecutor"):
        scripted_store([])
