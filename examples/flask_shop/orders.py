"""Orders, each written in one transaction with what it takes from the stock; and the stock."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import msgspec
from flask import Blueprint, Response, abort, jsonify, url_for
from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from examples.flask_shop.extensions import db, docs
from examples.flask_shop.models import Customer, Order, OrderData, OrderView, Stock, StockData
from examples.flask_shop.web import argument, body_of, document_response

orders = Blueprint("orders", __name__)


@orders.get("/orders")
def listing() -> Response:
    """List the newest orders, of one customer or of all; the customers come along in the same request."""
    query = docs.session.query(Order).order_by("-ordered_at").include(lambda o: o.customer, Customer).take(100)
    customer = argument("customer")
    found = (query if customer is None else query.where(customer=customer)).all()
    customers = docs.session.load({order.customer for order in found}, Customer)
    return jsonify({"items": [view_of(order, customer_name=name_of(customers[order.customer])) for order in found]})


def name_of(customer: Customer | None) -> str:
    """Return the name of a customer; one who is gone has none."""
    return "" if customer is None else customer.name


def view_of(order: Order, **more: Any) -> OrderView:
    """Return an order as clients see it."""
    view = msgspec.convert(order, OrderView, from_attributes=True)
    return msgspec.structs.replace(view, **more)


@orders.get("/orders/<path:key>")
def detail(key: str) -> Response:
    """Show an order."""
    order = docs.load_or_404(key, Order)
    return document_response(view_of(order), order)


@orders.post("/orders")
def add() -> Response:
    """Order something: the document and the rows of the stock are written together, or neither is."""
    data = body_of(OrderData)
    docs.load_or_404(data.customer, Customer, description="There is no such customer.")
    wanted = Counter[str]()
    for line in data.lines:
        wanted[line.product] += line.quantity
    for product, quantity in sorted(wanted.items()):  # all in one order, so that nobody waits for each other
        take(product, quantity)
    order = Order(customer=data.customer, ordered_at=datetime.now(UTC), lines=data.lines)
    docs.session.store(order)
    docs.session.save_changes()
    return document_response(view_of(order), order, url_for("orders.detail", key=order.id))


def take(product: str, quantity: int) -> None:
    """Take some of a product out of the stock, if there is enough."""
    enough = update(Stock).where(Stock.product == product, Stock.quantity >= quantity)
    taken = db.session.execute(enough.values(quantity=Stock.quantity - quantity).returning(Stock.product))
    if taken.first() is None:
        abort(409, f"There is too little of {product}; nothing was ordered.")


@orders.get("/stock/<product>")
def stock(product: str) -> Response:
    """Show how much there is of a product."""
    found = db.session.get(Stock, product)
    if found is None:
        abort(404, "There is no such product.")
    return jsonify({"product": found.product, "quantity": found.quantity})


@orders.put("/stock/<product>")
def fill(product: str) -> Response:
    """Say how much there is of a product; a view without documents commits by itself."""
    quantity = body_of(StockData).quantity
    level = insert(Stock).values(product=product, quantity=quantity)
    db.session.execute(level.on_conflict_do_update(index_elements=["product"], set_={"quantity": quantity}))
    db.session.commit()
    return jsonify({"product": product, "quantity": quantity})
