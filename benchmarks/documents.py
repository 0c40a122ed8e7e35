"""The document that everything is measured with: an order, in each kind of class.

0.83 kB of canonical JSON (0.92 kB as PostgreSQL writes it), twelve nested objects: an address, a contact
and ten lines. Strings, integers, floats and a bool.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import attrs
import msgspec
import pydantic


def content(i: int) -> dict[str, Any]:
    """Return what order number *i* says."""
    return {
        "company": f"companies/{i % 91}-A",
        "employee": f"employees/{i % 9}-A",
        "ordered_at": "1998-05-06T00:00:00",
        "freight": 32.5 + i,
        "paid": i % 2 == 0,
        "shipped_with": "Federal Shipping",
        "ship_to": {"street": "59 rue de l'Abbaye", "city": "Reims", "country": "France"},
        "contact": {"name": "Paul Henriot", "phone": "26.47.15.10"},
        "lines": [
            {"product": f"products/{10 + line}-A", "quantity": 5 + i % 7, "price": 14.5 + line} for line in range(10)
        ],
    }


@dataclass
class Address:
    street: str
    city: str
    country: str


@dataclass
class Contact:
    name: str
    phone: str


@dataclass
class Line:
    product: str
    quantity: int
    price: float


@dataclass
class Order:
    company: str
    employee: str
    ordered_at: str
    freight: float
    paid: bool
    shipped_with: str
    ship_to: Address
    contact: Contact
    lines: list[Line]
    Id: str | None = None


def make_order(i: int) -> Order:
    """Return a new order without an id."""
    return msgspec.convert(content(i), Order)


class AddressStruct(msgspec.Struct):
    street: str
    city: str
    country: str


class ContactStruct(msgspec.Struct):
    name: str
    phone: str


class LineStruct(msgspec.Struct):
    product: str
    quantity: int
    price: float


class OrderStruct(msgspec.Struct):
    company: str
    employee: str
    ordered_at: str
    freight: float
    paid: bool
    shipped_with: str
    ship_to: AddressStruct
    contact: ContactStruct
    lines: list[LineStruct]
    Id: str | None = None


@attrs.define
class AddressAttrs:
    street: str
    city: str
    country: str


@attrs.define
class ContactAttrs:
    name: str
    phone: str


@attrs.define
class LineAttrs:
    product: str
    quantity: int
    price: float


@attrs.define
class OrderAttrs:
    company: str
    employee: str
    ordered_at: str
    freight: float
    paid: bool
    shipped_with: str
    ship_to: AddressAttrs
    contact: ContactAttrs
    lines: list[LineAttrs]
    Id: str | None = None


class AddressModel(pydantic.BaseModel):
    street: str
    city: str
    country: str


class ContactModel(pydantic.BaseModel):
    name: str
    phone: str


class LineModel(pydantic.BaseModel):
    product: str
    quantity: int
    price: float


class OrderModel(pydantic.BaseModel):
    company: str
    employee: str
    ordered_at: str
    freight: float
    paid: bool
    shipped_with: str
    ship_to: AddressModel
    contact: ContactModel
    lines: list[LineModel]
    Id: str | None = None


class AddressPlain:
    def __init__(self, street: str, city: str, country: str) -> None:
        self.street = street
        self.city = city
        self.country = country


class ContactPlain:
    def __init__(self, name: str, phone: str) -> None:
        self.name = name
        self.phone = phone


class LinePlain:
    def __init__(self, product: str, quantity: int, price: float) -> None:
        self.product = product
        self.quantity = quantity
        self.price = price


class OrderPlain:
    """Annotated, so that the nested objects are known; it has no `Id` until it is stored or loaded."""

    company: str
    employee: str
    ordered_at: str
    freight: float
    paid: bool
    shipped_with: str
    ship_to: AddressPlain
    contact: ContactPlain
    lines: list[LinePlain]

    def __init__(
        self,
        company: str,
        employee: str,
        ordered_at: str,
        freight: float,
        paid: bool,
        shipped_with: str,
        ship_to: AddressPlain,
        contact: ContactPlain,
        lines: list[LinePlain],
    ) -> None:
        self.company = company
        self.employee = employee
        self.ordered_at = ordered_at
        self.freight = freight
        self.paid = paid
        self.shipped_with = shipped_with
        self.ship_to = ship_to
        self.contact = contact
        self.lines = lines


def plain_order(document: dict[str, Any]) -> OrderPlain:
    """Return the plain object of a decoded document, as one would write it by hand."""
    return OrderPlain(
        document["company"],
        document["employee"],
        document["ordered_at"],
        document["freight"],
        document["paid"],
        document["shipped_with"],
        AddressPlain(**document["ship_to"]),
        ContactPlain(**document["contact"]),
        [LinePlain(**line) for line in document["lines"]],
    )
