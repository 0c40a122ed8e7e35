"""Documents, and what clients send: pydantic models."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from docsession import FullText, Index, desc, document


def _is_text(value: str) -> str:
    if "\0" in value:
        raise ValueError("a text cannot hold the character NUL")
    return value


Text = Annotated[str, AfterValidator(_is_text)]
Name = Annotated[Text, Field(min_length=1)]


class CustomerData(BaseModel):
    """What a client says of a customer."""

    name: Name
    city: Name
    notes: Text = ""
    tags: list[Text] = Field(default_factory=list)
    email: Text | None = None


class CustomerChange(CustomerData):
    """The same, and the version that the client has seen, if it says so."""

    model_config = ConfigDict(alias_generator=to_camel)

    change_vector: str | None = None


@document(
    collection="Customers",
    indexes=[
        Index(lambda c: c.city),
        Index(lambda c: c.name, ignore_case=True),
        Index(lambda c: c.email, unique=True),
        FullText(lambda c: c.notes, language="english"),
    ],
)
class Customer(CustomerData):
    """A customer, as the document is."""

    id: str | None = None


class Line(BaseModel):
    """A line of an order."""

    product: Name
    quantity: Annotated[int, Field(gt=0)]
    price: Annotated[Decimal, Field(ge=0)]


class OrderData(BaseModel):
    """What a client orders."""

    customer: str
    lines: Annotated[list[Line], Field(min_length=1)]


@document(collection="Orders", indexes=[Index(lambda o: (o.customer, desc(o.ordered_at)))])
class Order(BaseModel):
    """An order, as the document is."""

    id: str | None = None
    customer: str
    ordered_at: datetime
    lines: list[Line]


class OrderView(BaseModel):
    """An order as clients see it."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    id: str
    customer: str
    ordered_at: datetime
    lines: list[Line]

    @classmethod
    def of(cls, order: Order, **more: Any) -> Self:
        """Return what a client sees of *order*."""
        return cls.model_validate({**order.model_dump(), **more})


class OrderItem(OrderView):
    """One of several orders, with the name of its customer."""

    customer_name: str


class Orders(BaseModel):
    """Several orders."""

    items: list[OrderItem]


class Found(BaseModel):
    """What a search has found of a customer."""

    id: str
    name: str
    notes: str


class SearchResults(BaseModel):
    """What a search has found, the best first."""

    items: list[Found]


class StockLevel(BaseModel):
    """How much there is of a product."""

    product: str
    quantity: int


class StockData(BaseModel):
    """How much there is to be."""

    quantity: Annotated[int, Field(ge=0, le=1_000_000)]
