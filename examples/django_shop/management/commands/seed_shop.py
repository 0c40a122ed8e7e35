"""`manage.py seed_shop`: fill an empty database."""

from __future__ import annotations

from typing import Any

import msgspec
from django.core.management.base import BaseCommand
from django.db import transaction
from typing_extensions import override

from docsession.contrib.django import document_session
from examples.django_shop.documents import Customer, Order
from examples.django_shop.models import Stock
from examples.shop_data import CUSTOMERS, ORDERS, STOCK


class Command(BaseCommand):
    """Documents and rows are written in one transaction."""

    help = "Fills an empty database with a few customers, orders and products."

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        with document_session() as session, transaction.atomic():
            if session.query(Customer).any():
                return
            for customer in CUSTOMERS:
                session.store(Customer(**customer))
            for order in ORDERS:
                session.store(msgspec.convert(order, Order))
            Stock.objects.bulk_create(Stock(product=name, quantity=count) for name, count in STOCK.items())
            session.save_changes()
