"""Compare-exchange values: what the type checkers infer."""

from typing import Any, assert_type

from docsession import (
    AsyncDocumentSession,
    AsyncDocumentStore,
    CompareExchangeResult,
    CompareExchangeValue,
    DeleteCompareExchangeValueOperation,
    DocumentSession,
    DocumentStore,
    GetCompareExchangeValuesOperation,
    Lazy,
    PutCompareExchangeValueOperation,
)


class Company:
    name: str


def blocking(session: DocumentSession, store: DocumentStore) -> None:
    values = session.advanced.cluster_transaction
    assert_type(values.create_compare_exchange_value("a", 1), CompareExchangeValue[int])
    found = values.get_compare_exchange_value("a", Company)
    assert_type(found, CompareExchangeValue[Company] | None)
    assert_type(values.get_compare_exchange_value("a", list[int]), CompareExchangeValue[list[int]] | None)
    assert_type(values.get_compare_exchange_value("a"), CompareExchangeValue[Any] | None)
    assert_type(values.get_compare_exchange_values(["a"], str), dict[str, CompareExchangeValue[str] | None])
    assert_type(
        values.get_compare_exchange_values_starting_with("a", object_type=int), dict[str, CompareExchangeValue[int]]
    )
    lazy = values.lazily.get_compare_exchange_value("a", int)
    assert_type(lazy, Lazy[CompareExchangeValue[int] | None])
    assert_type(lazy.value, CompareExchangeValue[int] | None)
    assert_type(store.operations.send(PutCompareExchangeValueOperation("a", 1, 0)), CompareExchangeResult[int])
    assert_type(store.operations.send(DeleteCompareExchangeValueOperation("a", 1)), CompareExchangeResult[Any])
    assert_type(store.operations.send(GetCompareExchangeValuesOperation(["a"])), dict[str, CompareExchangeValue[Any]])


async def awaited(session: AsyncDocumentSession, store: AsyncDocumentStore) -> None:
    values = session.cluster_transaction
    assert_type(await values.get_compare_exchange_value("a", int), CompareExchangeValue[int] | None)
    lazy = values.lazily.get_compare_exchange_value("a", int)
    assert_type(await lazy.value, CompareExchangeValue[int] | None)
    assert_type(await store.operations.send(PutCompareExchangeValueOperation("a", "b", 0)), CompareExchangeResult[str])
