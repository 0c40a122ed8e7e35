"""The documents of the shop."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from docsession import FullText, Index, desc, document


@document(
    indexes=[
        Index(lambda c: c.city),
        Index(lambda c: c.name, ignore_case=True),
        Index(lambda c: c.email, unique=True),
        FullText(lambda c: c.notes, language="english"),
    ],
)
@dataclass
class Customer:
    """Somebody who orders."""

    name: str
    city: str
    notes: str = ""
    tags: list[str] = field(default_factory=list)
    email: str | None = None
    id: str | None = None


@dataclass
class Line:
    """A line of an order."""

    product: str
    quantity: int
    price: Decimal


@document(indexes=[Index(lambda o: (o.customer, desc(o.ordered_at)))])
@dataclass
class Order:
    """What a customer has ordered."""

    customer: str
    ordered_at: datetime
    lines: list[Line]
    id: str | None = None
