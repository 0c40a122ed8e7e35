"""Documents, the table beside them, and what clients send: msgspec's classes, and one of SQLAlchemy's."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct, field
from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from docsession import FullText, Index, desc, document
from examples.flask_shop.extensions import Base

Text = Annotated[str, Meta(pattern=r"^[^\0]*\Z")]
"""PostgreSQL has no place for the character NUL."""

Name = Annotated[str, Meta(pattern=r"^[^\0]+\Z")]


class CustomerData(Struct, kw_only=True):
    """What a client says of a customer."""

    name: Name
    city: Name
    notes: Text = ""
    tags: list[Text] = field(default_factory=list)
    email: Text | None = None


class CustomerChange(CustomerData, kw_only=True):
    """The same, and the version that the client has seen, if it says so."""

    change_vector: str | None = field(default=None, name="changeVector")


@document(
    collection="Customers",
    indexes=[
        Index(lambda c: c.city),
        Index(lambda c: c.name, ignore_case=True),
        Index(lambda c: c.email, unique=True),
        FullText(lambda c: c.notes, language="english"),
    ],
)
class Customer(CustomerData, kw_only=True):
    """A customer, as the document is."""

    id: str | None = None


class Line(Struct, kw_only=True):
    """A line of an order."""

    product: Name
    quantity: Annotated[int, Meta(gt=0, le=1_000_000)]
    price: Decimal

    def __post_init__(self) -> None:
        if not self.price.is_finite() or self.price < 0:
            raise ValueError("a price is a number, 0 or more")


class OrderData(Struct, kw_only=True):
    """What a client orders."""

    customer: str
    lines: Annotated[list[Line], Meta(min_length=1)]


@document(collection="Orders", indexes=[Index(lambda o: (o.customer, desc(o.ordered_at)))])
class Order(Struct, kw_only=True):
    """An order, as the document is."""

    customer: str
    ordered_at: datetime
    lines: list[Line]
    id: str | None = None


class OrderView(Struct, kw_only=True, rename="camel", omit_defaults=True):
    """An order as clients see it; among several with the name of its customer."""

    id: str
    customer: str
    ordered_at: datetime
    lines: list[Line]
    customer_name: str | None = None


class Found(Struct):
    """What a search has found of a customer."""

    id: str
    name: str
    notes: str


class StockData(Struct):
    """How much of a product there is to be."""

    quantity: Annotated[int, Meta(ge=0, le=1_000_000)]


class Stock(Base):
    """How much there is of each product."""

    __tablename__ = "stock"
    __table_args__ = (CheckConstraint("quantity >= 0"),)

    product: Mapped[str] = mapped_column(primary_key=True)
    quantity: Mapped[int]
