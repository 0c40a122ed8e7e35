"""The session's main path, on both faces."""

from datetime import date
from typing import NotRequired, TypedDict

import pytest

from docsession import InvalidArgumentTypeException, OptimisticConcurrencyMode


class Company:
    def __init__(self, name):
        self.name = name


async def test_a_stored_entity_is_loaded_changed_and_saved(store):
    async with store.open_session() as session:
        entity = Company("Company")
        await session.store(entity)
        await session.save_changes()
        company_id = entity.Id
    async with store.open_session() as session:
        entity = await session.load(company_id, object_type=Company)
        assert await session.load(company_id, object_type=Company) is entity
        entity.name = "Another Company"
        await session.save_changes()
        assert session.advanced.number_of_requests == 2
    async with store.open_session() as session:
        assert (await session.load(company_id, object_type=Company)).name == "Another Company"


async def test_a_dict_joins_the_documents_that_have_ids_like_its_key(store):
    async with store.open_session() as session:
        await session.store(Company("a"), "companies/1")
        await session.save_changes()
    async with store.open_session() as session:
        await session.store({"name": "b"}, "companies/2")
        await session.save_changes()
    assert await store.maintenance.get_collection_statistics() == {"Companies": 2}


async def test_the_key_id_of_a_dict_names_the_document_and_is_no_part_of_it(store):
    entity = {"Id": "companies/7", "name": "a"}
    async with store.open_session() as session:
        await session.store(entity)
        await session.save_changes()
        assert session.advanced.get_document_id(entity) == "companies/7"
    async with store.open_session() as session:
        loaded = await session.load("companies/7", dict)
        assert set(loaded) == {"name", "@metadata"}


async def test_another_value_under_the_key_id_of_a_dict_is_refused_rather_than_lost(store):
    async with store.open_session() as session:
        with pytest.raises(InvalidArgumentTypeException, match="id is a str"):
            await session.store({"Id": 5, "name": "a"}, "companies/7")


async def test_a_key_wins_over_the_id_that_a_dict_names(store):
    entity = {"Id": "companies/7", "name": "a"}
    async with store.open_session() as session:
        await session.store(entity, "companies/8")
        assert entity["Id"] == "companies/8"


async def test_a_value_of_another_type_with_the_same_json_is_a_change_that_is_told(store):
    async with store.open_session() as session:
        await session.store({"on": "2024-01-01"}, "days/1")
        await session.save_changes()
    async with store.open_session() as session:
        day = await session.load("days/1", dict)
        day["on"] = date(2024, 1, 1)
        (change,) = session.advanced.what_changed()["days/1"]
        assert ("@types", "/on", "date") == (change.field_path, change.field_name, change.field_new_value)


async def test_optimistic_concurrency_of_reads_too_is_not_lowered_by_its_older_name(store):
    async with store.open_session() as session:
        session.advanced.optimistic_concurrency_mode = OptimisticConcurrencyMode.WRITES_AND_READS
        session.advanced.use_optimistic_concurrency = True
        assert OptimisticConcurrencyMode.WRITES_AND_READS is session.advanced.optimistic_concurrency_mode


class Settings(TypedDict):
    colour: str
    Id: NotRequired[str]


async def test_a_typed_dict_may_name_its_id(store):
    async with store.open_session() as session:
        await session.store({"colour": "red", "Id": "settings/1"})
        await session.save_changes()
    async with store.open_session() as session:
        loaded = await session.load("settings/1", Settings)
        assert "red" == loaded["colour"]
