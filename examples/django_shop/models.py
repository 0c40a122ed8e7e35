"""The stock, a table of Django's."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from typing_extensions import override


class Stock(models.Model):
    """How much there is of a product."""

    product: models.TextField[str, str] = models.TextField(primary_key=True)
    quantity: models.IntegerField[int, int] = models.IntegerField()

    class Meta:
        """The table, called as Django calls it; the other shops have one of their own, perhaps on the same server."""

        constraints = (models.CheckConstraint(condition=Q(quantity__gte=0), name="stock_is_not_negative"),)

    @override
    def __str__(self) -> str:
        return f"{self.quantity} {self.product}"


def take(product: str, quantity: int) -> bool:
    """Take something out of the stock; return False where there is too little."""
    enough = Stock.objects.filter(product=product, quantity__gte=quantity)
    return enough.update(quantity=F("quantity") - quantity) == 1
