"""Customers: list, detail, edit with conflict handling, search."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from docsession import desc, rank, search
from docsession.contrib.fastapi import (
    IfMatch,
    JsonDocument,
    JsonDocuments,
    JsonPage,
    Session,
    etag_of,
    expect_change_vector,
    load_or_404,
    problem_responses,
)
from examples.fastapi_shop.models import Customer, CustomerChange, CustomerData, Found, SearchResults, Text

router = APIRouter()


@router.get("/customers", response_model=JsonPage[Customer])
async def customers(
    session: Session,
    q: Annotated[Text, Query(description="How the name begins.")] = "",
    city: Text = "",
    after: Annotated[str | None, Query(description="`next` of the page before.")] = None,
    size: Annotated[int, Query(ge=1, le=100)] = 20,
) -> JsonDocuments:
    """List customers by name: JSON that PostgreSQL has, a page by keys, with an ETag."""
    query = session.query(Customer).order_by("name")
    if city:
        query = query.where(city=city)
    if q:
        query = query.where(name__istartswith=q)
    return JsonDocuments(query, size=size, after=after)


@router.post("/customers", status_code=201, responses=problem_responses(409))
async def add_customer(body: CustomerData, session: Session, request: Request, response: Response) -> Customer:
    """Add a customer."""
    customer = Customer(**body.model_dump())
    await session.store(customer)
    await session.save_changes()
    response.headers["Location"] = str(request.url_for("customer", key=customer.id))
    response.headers["ETag"] = etag_of(session, customer)
    return customer


@router.get("/customers/{key:path}", response_model=Customer, responses=problem_responses(404))
async def customer(key: str) -> JsonDocument:
    """Show a customer: JSON that PostgreSQL has, with its version as the ETag."""
    return JsonDocument(key, Customer)


@router.put("/customers/{key:path}", responses=problem_responses(404, 409, 412))
async def change_customer(
    key: str, body: CustomerChange, session: Session, if_match: IfMatch, response: Response
) -> Customer:
    """Replace what is said of a customer, if it is still what the client has seen."""
    customer = await load_or_404(session, key, Customer)
    if_match.check(session, customer)
    if body.change_vector is not None:
        expect_change_vector(session, customer, body.change_vector)
    for name in CustomerData.model_fields:
        setattr(customer, name, getattr(body, name))
    await session.save_changes()
    response.headers["ETag"] = etag_of(session, customer)
    return customer


@router.get("/search")
async def search_customers(q: Text, session: Session) -> SearchResults:
    """Search the notes of all customers, in English; the best come first."""
    found = (
        session.query(Customer)
        .where(lambda c: search(c.notes, q))
        .order_by(lambda c: desc(rank(c.notes, q)))
        .select(into=Found)
        .take(50)
    )
    return SearchResults(items=await found.all())
