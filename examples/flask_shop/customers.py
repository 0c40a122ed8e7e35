"""Customers: list, detail, edit with conflict handling, search."""

from __future__ import annotations

import re

from flask import Blueprint, Response, abort, jsonify, request, url_for

from docsession import desc, rank, search
from docsession.contrib.flask import check_if_match, expect_change_vector, json_response
from examples.flask_shop.extensions import docs
from examples.flask_shop.models import Customer, CustomerChange, CustomerData, Found
from examples.flask_shop.web import argument, body_of, document_response

customers = Blueprint("customers", __name__)


@customers.get("/customers")
def listing() -> Response:
    """List customers by name: JSON that PostgreSQL has, a page by keys, with an ETag."""
    size = request.args.get("size", "20")
    if not re.fullmatch("[1-9][0-9]?|100", size):
        abort(422, "size is a number from 1 to 100")
    query = docs.session.query(Customer).order_by("name")
    if city := argument("city"):
        query = query.where(city=city)
    if beginning := argument("q"):
        query = query.where(name__istartswith=beginning)
    known = request.headers.get("If-None-Match")
    return json_response(query.json(int(size), after=argument("after"), if_none_match=known))


@customers.post("/customers")
def add() -> Response:
    """Add a customer."""
    data = body_of(CustomerData)
    customer = Customer(name=data.name, city=data.city, notes=data.notes, tags=data.tags, email=data.email)
    docs.session.store(customer)
    docs.session.save_changes()
    return document_response(customer, customer, url_for("customers.detail", key=customer.id))


@customers.get("/customers/<path:key>")
def detail(key: str) -> Response:
    """Show a customer, with the version as the ETag."""
    customer = docs.load_or_404(key, Customer)
    return document_response(customer, customer)


@customers.put("/customers/<path:key>")
def change(key: str) -> Response:
    """Replace what is said of a customer, if it is still what the client has seen."""
    customer = docs.load_or_404(key, Customer)
    data = body_of(CustomerChange)
    check_if_match(docs.session, customer)
    if data.change_vector is not None:
        expect_change_vector(docs.session, customer, data.change_vector)
    for name in CustomerData.__struct_fields__:
        setattr(customer, name, getattr(data, name))
    docs.session.save_changes()
    return document_response(customer, customer)


@customers.get("/search")
def results() -> Response:
    """Search the notes of all customers, in English; the best come first."""
    words = argument("q")
    if words is None:
        abort(422, "q is missing: what is to be searched for")
    found = (
        docs.session.query(Customer)
        .where(lambda c: search(c.notes, words))
        .order_by(lambda c: desc(rank(c.notes, words)))
        .select(into=Found)
        .take(50)
    )
    return jsonify({"items": found.all()})
