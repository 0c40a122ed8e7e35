"""Orders, each written in one transaction with what it takes from the stock; and the stock."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from fastapi import APIRouter, HTTPException, Request, Response
from sqlalchemy.dialects.postgresql import insert

from docsession import RequestExecutor, SessionOptions
from docsession.contrib.fastapi import Session, etag_of, load_or_404, problem_responses
from examples.fastapi_shop.documents import documents
from examples.fastapi_shop.models import (
    Customer,
    Order,
    OrderData,
    OrderItem,
    Orders,
    OrderView,
    StockData,
    StockLevel,
    Text,
)
from examples.fastapi_shop.stock import Sql, Stock, take

router = APIRouter()


@router.get("/orders")
async def orders(session: Session, customer: Text | None = None) -> Orders:
    """List the newest orders, of one customer or of all; the customers come along in the same request."""
    query = session.query(Order).order_by("-ordered_at").include(lambda o: o.customer, Customer).take(100)
    found = await (query if customer is None else query.where(customer=customer)).all()
    customers = await session.load({order.customer for order in found}, Customer)
    return Orders(items=[OrderItem.of(order, customer_name=name_of(customers[order.customer])) for order in found])


def name_of(customer: Customer | None) -> str:
    """Return the name of a customer; one who is gone has none."""
    return "" if customer is None else customer.name


@router.get("/orders/{key:path}", responses=problem_responses(404))
async def order(key: str, session: Session, response: Response) -> OrderView:
    """Show an order."""
    found = await load_or_404(session, key, Order)
    response.headers["ETag"] = etag_of(session, found)
    return OrderView.of(found)


@router.post("/orders", status_code=201, responses=problem_responses(404, 409))
async def add_order(body: OrderData, sql: Sql, request: Request, response: Response) -> OrderView:
    """Order something: the document and the rows of the stock are written together, or neither is."""
    options = SessionOptions(request_executor=RequestExecutor.for_connection(sql))
    async with documents.open_session(request, options) as session:
        await load_or_404(session, body.customer, Customer)
        wanted = Counter[str]()
        for line in body.lines:
            wanted[line.product] += line.quantity
        for product, quantity in sorted(wanted.items()):  # all in one order, so that nobody waits for each other
            await take(sql, product, quantity)
        made = Order(customer=body.customer, ordered_at=datetime.now(UTC), lines=body.lines)
        await session.store(made)
        await session.save_changes()
        await sql.commit()
        response.headers["Location"] = str(request.url_for("order", key=made.id))
        response.headers["ETag"] = etag_of(session, made)
        return OrderView.of(made)


@router.get("/stock/{product}", responses=problem_responses(404))
async def stock(product: Text, sql: Sql) -> StockLevel:
    """Show how much there is of a product."""
    found = await sql.get(Stock, product)
    if found is None:
        raise HTTPException(404, "There is no such product.")
    return StockLevel(product=found.product, quantity=found.quantity)


@router.put("/stock/{product}")
async def fill(product: Text, body: StockData, sql: Sql) -> StockLevel:
    """Say how much there is of a product."""
    level = insert(Stock).values(product=product, quantity=body.quantity)
    await sql.execute(level.on_conflict_do_update(index_elements=["product"], set_={"quantity": body.quantity}))
    await sql.commit()
    return StockLevel(product=product, quantity=body.quantity)
