"""What clients send, as JSON, and how it is read."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, TypeVar

import msgspec
from django.http import HttpRequest

from examples.django_shop.problems import Refused

T = TypeVar("T")

_NO_NUL = r"^[^\x00]*$"
Text = Annotated[str, msgspec.Meta(pattern=_NO_NUL)]
Name = Annotated[str, msgspec.Meta(pattern=_NO_NUL, min_length=1)]


class CustomerBody(msgspec.Struct, rename="camel"):
    """What a client says of a customer, and the version that it has seen, if it says so."""

    name: Name
    city: Name
    notes: Text = ""
    tags: list[Text] = msgspec.field(default_factory=list)
    email: Text | None = None
    change_vector: Text | None = None


class LineBody(msgspec.Struct):
    """A line of an order."""

    product: Name
    quantity: Annotated[int, msgspec.Meta(gt=0)]
    price: Decimal

    def __post_init__(self) -> None:
        if not self.price.is_finite() or self.price < 0:
            raise ValueError("a price is not negative")


class OrderBody(msgspec.Struct):
    """What a client orders."""

    customer: str
    lines: Annotated[list[LineBody], msgspec.Meta(min_length=1)]


class StockBody(msgspec.Struct):
    """How much there is to be of a product."""

    quantity: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


def body_of(request: HttpRequest, kind: type[T]) -> T:
    """Return what a client has sent.

    Raises:
        Refused: It is not JSON, or not what it has to be.
    """
    try:
        return msgspec.json.decode(request.body, type=kind)
    except msgspec.DecodeError as error:
        raise Refused(422, str(error)) from error


def text_of(request: HttpRequest, name: str, default: str = "") -> str:
    """Return a parameter of the URL.

    Raises:
        Refused: It is no text that PostgreSQL could hold.
    """
    value = request.GET.get(name, default)
    if "\0" in value:
        raise Refused(422, f"{name} holds the character NUL")
    return value


def size_of(request: HttpRequest) -> int:
    """Return how long a page is to be.

    Raises:
        Refused: It is no number from 1 to 100.
    """
    try:
        size: int = msgspec.convert(
            request.GET.get("size", "20"), Annotated[int, msgspec.Meta(ge=1, le=100)], strict=False
        )
    except msgspec.ValidationError as error:
        raise Refused(422, f"size: {error}") from error
    return size
