"""The session's main path, on both faces."""


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
