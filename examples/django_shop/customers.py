"""Customers: list, detail, edit with conflict handling, search."""

from __future__ import annotations

import msgspec
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from docsession import desc, rank, search
from docsession.contrib.django import (
    check_if_match,
    etag_of,
    expect_change_vector,
    get_async_session,
    get_session,
    json_response,
    load_or_404,
)
from examples.django_shop.bodies import CustomerBody, body_of, size_of, text_of
from examples.django_shop.documents import Customer
from examples.django_shop.problems import Refused


def shown(document: object, status: int = 200) -> HttpResponse:
    """Return a document that the session has loaded, or saved, with its version."""
    response = HttpResponse(msgspec.json.encode(document), status=status, content_type="application/json")
    response["ETag"] = etag_of(document)
    return response


@method_decorator(csrf_exempt, name="dispatch")
class Customers(View):
    """All of them."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """List customers by name: JSON that PostgreSQL has, a page by keys, with an ETag."""
        query = get_session().query(Customer).order_by("name")
        if city := text_of(request, "city"):
            query = query.where(city=city)
        if name := text_of(request, "q"):
            query = query.where(name__istartswith=name)
        after, known = request.GET.get("after"), request.headers.get("If-None-Match")
        return json_response(request, query.json(size_of(request), after=after, if_none_match=known))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Add one."""
        customer = Customer("", "")
        change(customer, body_of(request, CustomerBody))
        session = get_session()
        session.store(customer)
        session.save_changes()
        response = shown(customer, 201)
        response["Location"] = request.build_absolute_uri(reverse("customer", args=[customer.id]))
        return response


@method_decorator(csrf_exempt, name="dispatch")
class OneCustomer(View):
    """One of them."""

    def get(self, request: HttpRequest, key: str) -> HttpResponse:
        """Show it, with its version as the ETag."""
        load_or_404(key, Customer)
        stored = get_session().load_json(key, Customer)
        if stored is None:
            raise Refused(404, "The customer was deleted just now.")
        return json_response(request, stored)

    def put(self, request: HttpRequest, key: str) -> HttpResponse:
        """Replace what is said of it, if it is still what the client has seen."""
        customer = load_or_404(key, Customer)
        body = body_of(request, CustomerBody)
        check_if_match(request, customer)
        if body.change_vector is not None:
            expect_change_vector(customer, body.change_vector)
        change(customer, body)
        get_session().save_changes()
        return shown(customer)


def change(customer: Customer, body: CustomerBody) -> None:
    """Bring what a client says into a document."""
    customer.name, customer.city, customer.notes = body.name, body.city, body.notes
    customer.tags, customer.email = body.tags, body.email


async def search_customers(request: HttpRequest) -> HttpResponse:
    """Search the notes of all customers, in English; the best come first. An async view has an async session."""
    if "q" not in request.GET:
        raise Refused(422, "q is missing: what is to be searched for?")
    terms = text_of(request, "q")
    found = (
        get_async_session()
        .query(Customer)
        .where(lambda c: search(c.notes, terms))
        .order_by(lambda c: desc(rank(c.notes, terms)))
        .take(50)
    )
    return HttpResponse(msgspec.json.encode({"items": await found.all()}), content_type="application/json")
