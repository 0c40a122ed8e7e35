"""What users write in their tests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, assert_type

import pytest

from docsession import AsyncDocumentStore, DocumentConventions, DocumentSession, DocumentStore
from docsession.testing import (
    CapturedRequest,
    DocumentDatabase,
    FrozenClock,
    ScriptedExecutor,
    assert_requests,
    async_scripted_store,
    capture_requests,
    document_row,
    frozen_clock,
    numbered_ids,
    scripted_store,
    start_server,
)
from docsession.testing.conformance import SessionConformance


@dataclass
class Order:
    customer: str
    Id: str | None = None


@pytest.fixture(scope="session")
def docsession_options() -> Mapping[str, Any]:
    return {"prepare_threshold": None}


@pytest.fixture(scope="session")
def docsession_prepare() -> Callable[[DocumentDatabase], object]:
    return lambda database: database.upgrade("docsession.toml")


@pytest.fixture
def docsession_conventions() -> DocumentConventions:
    return DocumentConventions(document_id_generator=numbered_ids())


def test_requests(document_store: DocumentStore, document_session: DocumentSession) -> None:
    with assert_requests(1), capture_requests(of=document_session) as requests:
        document_session.load("orders/1", Order)
    assert_type(requests[0], CapturedRequest)
    assert_type(requests[:2], list[CapturedRequest])
    assert_type(requests.operations, list[str])
    with assert_requests(at_most=2):
        document_store.open_session()
    assert_requests("2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.docsession(isolation="rollback")
async def test_async(async_document_store: AsyncDocumentStore, document_database: DocumentDatabase) -> None:
    async with async_document_store.open_session() as session, document_database.async_store() as other:
        assert_type(await session.load("orders/1", Order), Order | None)
        assert_type(other, AsyncDocumentStore)
    with document_database.store(conventions=DocumentConventions()) as store:
        assert_type(store, DocumentStore)


def test_time() -> None:
    with frozen_clock(datetime(2026, 5, 1, tzinfo=UTC)) as clock:
        assert_type(clock, FrozenClock)
        assert_type(clock.tick(seconds=1.5), datetime)
    frozen_clock("2026-05-01")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_scripts() -> None:
    executor = ScriptedExecutor([[[document_row("orders/1", {"customer": "customers/1"}, version=2)]], TimeoutError()])
    assert_type(scripted_store(executor, Order), DocumentStore)
    assert_type(async_scripted_store(executor, Order), AsyncDocumentStore)


def test_servers() -> None:
    with start_server("testcontainers", image="postgres:15") as server:
        assert_type(server.make_database(), DocumentDatabase)
        assert_type(server.url, str)


class TestOurServer(SessionConformance):
    pass
