"""What a type checker makes of the blocking face; checked, never run."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, assert_type

from docsession import (
    ConditionalLoadResult,
    DeleteCommandData,
    DocumentsChanges,
    DocumentSession,
    DocumentStore,
    PutCommandDataWithJson,
    Ref,
)


@dataclass
class Company:
    name: str
    id: str | None = None


@dataclass
class Order:
    company: Annotated[str, Ref(Company)]
    id: str | None = None


def loads(session: DocumentSession, company: Company, maybe: str | list[str]) -> None:
    assert_type(session.load("companies/1-A", Company), Company | None)
    assert_type(session.load(company.id, Company), Company | None)
    assert_type(session.load(None, Company), Company | None)
    assert_type(session.load(maybe, Company), Company | dict[str, Company | None] | None)
    assert_type(session.load("companies/1-A", object_type=Company), Company | None)
    assert_type(session.load(["companies/1-A"], Company), dict[str, Company | None])
    assert_type(session.load(("companies/1-A",), Company), dict[str, Company | None])
    assert_type(session.load(["companies/1-A"]), dict[str, Any])
    assert_type(
        session.load("orders/1-A", Order, includes=lambda include: include.include_documents("company")), Order | None
    )
    session.load("orders/1-A", Order, lambda include: include.include_documents(lambda order: order.company, Company))


def includes(session: DocumentSession) -> None:
    assert_type(session.include("company").load("orders/1-A", Order), dict[str, Order | None])
    assert_type(session.include("company", Company).include("lines[].product").load(["a/1"]), dict[str, Any])
    assert_type(session.include(lambda order: order.company).load("orders/1-A", Order), dict[str, Order | None])


def advanced(session: DocumentSession, company: Company) -> None:
    assert_type(session.advanced.refresh(company), Company)
    assert_type(session.advanced.exists("companies/1-A"), bool)
    assert_type(session.advanced.load_starting_with("companies/", Company), list[Company])
    assert_type(session.advanced.conditional_load("companies/1-A", "7", Company), ConditionalLoadResult[Company])
    assert_type(session.advanced.what_changed(), dict[str, list[DocumentsChanges]])
    assert_type(session.advanced.get_change_vector_for(company), str | None)
    assert_type(session.advanced.get_last_modified_for(company), datetime | None)
    assert_type(session.advanced.number_of_requests, int)
    assert_type(session.advanced.edit("companies/1-A", Company, rename), Company)
    assert_type(session.advanced.edit("companies/1-A", Company, lambda company: setattr(company, "name", "b")), Company)
    assert_type(session.advanced.edit("companies/1-A", None, print), Any)
    session.advanced.defer(PutCommandDataWithJson("a/1", "", {"name": "a"}), DeleteCommandData("a/2"))


def rename(company: Company) -> None:
    company.name = "b"


def name_of(session: DocumentSession) -> str | None:
    company = session.load("companies/1-A", Company)
    return None if company is None else company.name


def stores() -> None:
    with DocumentStore() as store:
        assert_type(store, DocumentStore)
        assert_type(store.initialize(), DocumentStore)
        with store.open_session() as session:
            assert_type(session, DocumentSession)
        assert_type(store.maintenance.get_collection_statistics(), dict[str, int])
        assert_type(store.maintenance.next_identity_for("invoices|"), int)
        assert_type(store.run(name_of, attempts=5), str | None)
        assert_type(store.set_request_timeout(timedelta(seconds=5)), Callable[[], None])


def mistakes(session: DocumentSession) -> None:
    session.load(1, Company)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    session.store(Company("a"), 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    company = session.load("companies/1-A", Company)
    print(company.name)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
