"""Orders, each written in one transaction with what it takes from the stock; and the stock."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import msgspec
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from docsession.contrib.django import get_session, load_or_404
from examples.django_shop.bodies import OrderBody, StockBody, body_of, text_of
from examples.django_shop.customers import shown
from examples.django_shop.documents import Customer, Line, Order
from examples.django_shop.models import Stock, take
from examples.django_shop.problems import Refused


@method_decorator(csrf_exempt, name="dispatch")
class Orders(View):
    """All of them."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """List the newest orders, of one customer or of all; the customers come along in the same request."""
        session = get_session()
        query = session.query(Order).order_by("-ordered_at").include(lambda o: o.customer, Customer).take(100)
        if "customer" in request.GET:
            query = query.where(customer=text_of(request, "customer"))
        found = query.all()
        customers = session.load({order.customer for order in found}, Customer)
        items = [{**msgspec.to_builtins(order), "customerName": _name_of(customers[order.customer])} for order in found]
        return HttpResponse(msgspec.json.encode({"items": items}), content_type="application/json")

    @method_decorator(transaction.atomic)
    def post(self, request: HttpRequest) -> HttpResponse:
        """Order something: the document and the rows of the stock are written together, or neither is."""
        body = body_of(request, OrderBody)
        load_or_404(body.customer, Customer)
        wanted = Counter[str]()
        for line in body.lines:
            wanted[line.product] += line.quantity
        for product, quantity in sorted(wanted.items()):  # all in one order, so that nobody waits for each other
            if not take(product, quantity):
                raise Refused(409, f"There is too little {product}.")
        lines = [Line(each.product, each.quantity, each.price) for each in body.lines]
        order = Order(body.customer, datetime.now(UTC), lines)
        session = get_session()
        session.store(order)
        session.save_changes()
        response = shown(order, 201)
        response["Location"] = request.build_absolute_uri(reverse("order", args=[order.id]))
        return response


def one_order(_request: HttpRequest, key: str) -> HttpResponse:
    """Show an order."""
    return shown(load_or_404(key, Order))


@method_decorator(csrf_exempt, name="dispatch")
class StockOf(View):
    """How much there is of a product."""

    def get(self, _request: HttpRequest, product: str) -> HttpResponse:
        """Show it."""
        if "\0" in product:
            raise Http404
        found = Stock.objects.filter(product=product).first()
        if found is None:
            raise Http404
        return JsonResponse({"product": found.product, "quantity": found.quantity})

    def put(self, request: HttpRequest, product: str) -> HttpResponse:
        """Fill it up."""
        if "\0" in product:
            raise Http404
        body = body_of(request, StockBody)
        Stock.objects.update_or_create(product=product, defaults={"quantity": body.quantity})
        return JsonResponse({"product": product, "quantity": body.quantity})


def _name_of(customer: Customer | None) -> str:
    """Return the name of a customer; one who is gone has none."""
    return "" if customer is None else customer.name
