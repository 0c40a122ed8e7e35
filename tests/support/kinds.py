"""The same model in every kind of class: `KINDS["pydantic"].Order(…)` and so on.

`Company` has a name; `Order` refers to a company and holds an address and lines. Each declares `Id`,
but for the plain kinds, on whose instances it is set.
"""

import dataclasses
from types import SimpleNamespace
from typing import Any

import attrs
import msgspec
import pydantic


def _plain():
    class Company:
        def __init__(self, name):
            self.name = name

    class Address:
        city: str
        street: str

        def __init__(self, city: str, street: str):
            self.city = city
            self.street = street

    class Line:
        product: str
        quantity: int

        def __init__(self, product: str, quantity: int = 1):
            self.product = product
            self.quantity = quantity

    class Order:
        company: str
        address: Address | None
        lines: list[Line]

        def __init__(self, company: str, address: Address | None = None, lines: list[Line] | None = None):
            self.company = company
            self.address = address
            self.lines = lines or []

    return Company, Address, Line, Order


def _dataclass(**options):
    @dataclasses.dataclass(**options)
    class Company:
        name: str
        Id: str | None = None

    @dataclasses.dataclass(**options)
    class Address:
        city: str
        street: str

    @dataclasses.dataclass(**options)
    class Line:
        product: str
        quantity: int = 1

    @dataclasses.dataclass(**options)
    class Order:
        company: str
        address: Address | None = None
        lines: list[Line] = dataclasses.field(default_factory=list)
        Id: str | None = None

    return Company, Address, Line, Order


def _attrs():
    @attrs.define
    class Company:
        name: str
        Id: str | None = None

    @attrs.define
    class Address:
        city: str
        street: str

    @attrs.define
    class Line:
        product: str
        quantity: int = 1

    @attrs.define
    class Order:
        company: str
        address: Address | None = None
        lines: list[Line] = attrs.field(factory=list)
        Id: str | None = None

    return Company, Address, Line, Order


def _pydantic():
    class Company(pydantic.BaseModel):
        name: str
        Id: str | None = None

    class Address(pydantic.BaseModel):
        city: str
        street: str

    class Line(pydantic.BaseModel):
        product: str
        quantity: int = 1

        def __init__(self, product: str, quantity: int = 1, **more: Any):
            super().__init__(product=product, quantity=quantity, **more)

    class Order(pydantic.BaseModel):
        company: str
        address: Address | None = None
        lines: list[Line] = []
        Id: str | None = None

    return Company, Address, Line, Order


def _struct():
    class Company(msgspec.Struct):
        name: str
        Id: str | None = None

    class Address(msgspec.Struct):
        city: str
        street: str

    class Line(msgspec.Struct):
        product: str
        quantity: int = 1

    class Order(msgspec.Struct):
        company: str
        address: Address | None = None
        lines: list[Line] = []
        Id: str | None = None

    return Company, Address, Line, Order


def _kind(name, classes):
    company, address, line, order = classes
    return SimpleNamespace(name=name, Company=company, Address=address, Line=line, Order=order)


KINDS = {
    name: _kind(name, classes)
    for name, classes in {
        "plain": _plain(),
        "dataclass": _dataclass(),
        "dataclass-slots": _dataclass(slots=True),
        "attrs": _attrs(),
        "pydantic": _pydantic(),
        "msgspec": _struct(),
    }.items()
}


def make_class(kind, name, /, **annotations):
    """A class of a kind with these fields, all of them given by name, and the id where the kind declares it."""
    match kind:
        case "plain":

            def init(self, **values):
                vars(self).update(values)

            return type(name, (), {"__annotations__": annotations, "__init__": init})
        case "dataclass" | "dataclass-slots":
            return dataclasses.make_dataclass(name, annotations.items(), kw_only=True, slots=kind != "dataclass")
        case "attrs":
            return attrs.make_class(
                name,
                {field: attrs.field(type=annotation, kw_only=True) for field, annotation in annotations.items()},
                slots=True,
            )
        case "pydantic":
            return pydantic.create_model(name, **annotations)
        case "msgspec":
            return msgspec.defstruct(name, annotations.items(), kw_only=True)
    raise AssertionError(kind)
