"""What a type checker makes of RavenDB's query builder; checked, never run."""

from dataclasses import dataclass
from typing import Any, assert_type

from docsession import (
    AsyncDocumentQuery,
    AsyncDocumentSession,
    DocumentQuery,
    DocumentSession,
    GroupByDocumentQuery,
    GroupByField,
    NullsOrdering,
    OrderingType,
    Query,
    QueryOperator,
    QueryResult,
)


@dataclass
class Order:
    company: str
    freight: int | None
    id: str | None = None


@dataclass
class PerCompany:
    company: str
    total: int


def noted(result: QueryResult[Order]) -> None:
    print(result.results[0].company, result.total_results + 1)


def queries(session: DocumentSession) -> None:
    assert_type(session.query(object_type=Order), DocumentQuery[Order])
    assert_type(session.query(Order), DocumentQuery[Order])
    assert_type(session.query_collection("Orders"), DocumentQuery[dict[str, Any]])
    assert_type(session.query_collection("Orders", Order), DocumentQuery[Order])
    assert_type(session.advanced.document_query(object_type=Order), DocumentQuery[Order])
    query = session.query(Order).using_default_operator(QueryOperator.OR).where_equals("company", "x")
    query = query.or_else().not_().open_subclause().where_in("freight", [1, None]).close_subclause()
    query = query.and_also(wrap_previous_query_clauses=True).where_between("freight", 1, None).where_exists("company")
    assert_type(query, DocumentQuery[Order])
    assert_type(query.order_by("company", OrderingType.STRING, NullsOrdering.LAST), DocumentQuery[Order])
    assert_type(query.order_by(lambda o: o.company).order_by_descending("freight"), DocumentQuery[Order])
    assert_type(query.statistics(lambda told: print(told.total_results)).first(), Order)
    assert_type(query.get_query_result(), QueryResult[Order])
    heard = query.add_before_query_executed_listener(lambda args: print(args.query_customization.query))
    assert_type(heard.add_after_query_executed_listener(noted).all(), list[Order])
    assert_type(heard.add_after_stream_executed_listener(print), DocumentQuery[Order])
    heard.add_after_query_executed_listener(len)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(Query(Order).add_after_query_executed_listener(noted), Query[Order])
    raw = session.query_sql(Order, "SELECT * FROM {table}")
    raw = raw.add_before_query_executed_listener(lambda args: print(args.sql, args.values))
    assert_type(raw.first(), Order)
    assert_type(query.select_fields(str, "company").all(), list[str])
    assert_type(query.select_fields(PerCompany).first(), PerCompany)
    assert_type(query.group_by(lambda o: o.company), DocumentQuery[Order])
    groups = query.group_by("company").select_key()
    assert_type(groups, GroupByDocumentQuery[DocumentQuery[dict[str, Any]]])
    assert_type(groups.select_count().all(), list[dict[str, Any]])
    assert_type(groups.select_sum(GroupByField("freight", "total")).of_type(PerCompany).all(), list[PerCompany])


async def awaited(session: AsyncDocumentSession) -> None:
    query = session.query(object_type=Order).where_equals("company", "x")
    assert_type(query, AsyncDocumentQuery[Order])
    assert_type(await query.single(), Order)
    assert_type(await query.get_query_result(), QueryResult[Order])
    assert_type(await query.group_by("company").select_key().select_count().all(), list[dict[str, Any]])


def mistakes(session: DocumentSession) -> None:
    query = session.query(Order)
    query.where_starts_with("company", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    query.where_equals("company")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    query.where_in("company", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    query.using_default_operator("OR")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    query.statistics(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    query.add_order("company", True, "LONG")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
