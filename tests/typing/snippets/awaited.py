"""What a type checker makes of the async face; checked, never run."""

from dataclasses import dataclass
from typing import Any, assert_type

from docsession import AsyncDocumentSession, AsyncDocumentStore, ConditionalLoadResult


@dataclass
class Company:
    name: str
    id: str | None = None


async def loads(session: AsyncDocumentSession, company: Company) -> None:
    assert_type(await session.load("companies/1-A", Company), Company | None)
    assert_type(await session.load(company.id, Company), Company | None)
    assert_type(await session.load(["companies/1-A"], Company), dict[str, Company | None])
    assert_type(await session.load(["companies/1-A"]), dict[str, Any])
    assert_type(await session.include("owner").load("companies/1-A", Company), dict[str, Company | None])


async def advanced(session: AsyncDocumentSession, company: Company) -> None:
    assert_type(await session.advanced.refresh(company), Company)
    assert_type(await session.advanced.exists("companies/1-A"), bool)
    assert_type(await session.advanced.load_starting_with("companies/", Company), list[Company])
    assert_type(await session.advanced.conditional_load("companies/1-A", "7", Company), ConditionalLoadResult[Company])
    assert_type(session.advanced.has_changes(), bool)
    assert_type(await session.advanced.edit("companies/1-A", Company, rename), Company)


async def rename(company: Company) -> None:
    company.name = "b"


async def name_of(session: AsyncDocumentSession) -> str | None:
    company = await session.load("companies/1-A", Company)
    return None if company is None else company.name


async def stores() -> None:
    async with AsyncDocumentStore() as store:
        assert_type(store, AsyncDocumentStore)
        async with store.open_session() as session:
            assert_type(session, AsyncDocumentSession)
            await session.store(Company("a"))
            await session.save_changes()
        assert_type(await store.run(name_of), str | None)
        assert_type(await store.maintenance.get_identities(), dict[str, int])


async def mistakes(session: AsyncDocumentSession) -> None:
    session.save_changes()  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    session.load("companies/1-A", Company)  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
