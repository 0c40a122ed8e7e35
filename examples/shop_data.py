"""What the shops begin with on an empty database; plain data, the same for all of them."""

from __future__ import annotations

from typing import Final, TypedDict


class CustomerData(TypedDict):
    """A customer as its document has it, with its id."""

    id: str
    name: str
    city: str
    notes: str
    tags: list[str]
    email: str | None


class LineData(TypedDict):
    """A line of an order; the price is a text, so that no digit is lost on the way into a Decimal."""

    product: str
    quantity: int
    price: str


class OrderData(TypedDict):
    """An order as its document has it, with its id; `ordered_at` is a text of RFC 3339."""

    id: str
    customer: str
    ordered_at: str
    lines: list[LineData]


CUSTOMERS: Final[tuple[CustomerData, ...]] = (
    {
        "id": "customers/ada",
        "name": "Ada's Teahouse",
        "city": "Bremen",
        "notes": "Drinks nothing but tea. Green tea in the morning, black tea at night.",
        "tags": ["tea", "regular"],
        "email": "ada@teahouse.example",
    },
    {
        "id": "customers/bruno",
        "name": "Bruno & Sons",
        "city": "Bremen",
        "notes": "Orders coffee by the sack, pays late, always friendly on the phone.",
        "tags": ["coffee", "wholesale"],
        "email": "office@bruno.example",
    },
    {
        "id": "customers/chiara",
        "name": "Caffè Chiara",
        "city": "Torino",
        "notes": "Roasts coffee herself; asks for samples of every new harvest.",
        "tags": ["coffee"],
        "email": "chiara@caffe.example",
    },
    {
        "id": "customers/dario",
        "name": "Dario's Chocolate",
        "city": "Torino",
        "notes": "Cocoa only, and of that the best. Deliver to the back door.",
        "tags": ["cocoa", "regular"],
        "email": None,
    },
    {
        "id": "customers/elif",
        "name": "Elif Çay",
        "city": "İzmir",
        "notes": "Tea for three shops, to be delivered to each of them.",
        "tags": ["tea", "wholesale"],
        "email": "elif@cay.example",
    },
    {
        "id": "customers/finn",
        "name": "Finn's Corner",
        "city": "Cork",
        "notes": "",
        "tags": [],
        "email": None,
    },
)

ORDERS: Final[tuple[OrderData, ...]] = (
    {
        "id": "orders/first",
        "customer": "customers/ada",
        "ordered_at": "2026-01-05T09:00:00+00:00",
        "lines": [
            {"product": "green-tea", "quantity": 2, "price": "4.50"},
            {"product": "black-tea", "quantity": 1, "price": "3.90"},
        ],
    },
    {
        "id": "orders/second",
        "customer": "customers/bruno",
        "ordered_at": "2026-01-06T15:30:00+00:00",
        "lines": [{"product": "coffee", "quantity": 30, "price": "11.25"}],
    },
    {
        "id": "orders/third",
        "customer": "customers/ada",
        "ordered_at": "2026-02-01T08:15:00+00:00",
        "lines": [{"product": "green-tea", "quantity": 1, "price": "4.60"}],
    },
)

STOCK: Final[dict[str, int]] = {"green-tea": 120, "black-tea": 80, "coffee": 500, "cocoa": 40}
