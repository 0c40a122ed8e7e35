"""Models of a shop whose versions have gone on, as `docsession documents migrate` imports them."""

import dataclasses

from docsession import document, upcaster


@document(version=2, alias="shop-order")
@dataclasses.dataclass
class ShopOrder:
    """Version 1 had `name`."""

    customer: str
    total: float = 0.0
    Id: str | None = None


@document(base=ShopOrder, alias="shop-gift", version=3)
@dataclasses.dataclass
class Gift(ShopOrder):
    """Version 2 had `from`; version 1 nothing."""

    sender: str = ""


@document(version=1)
@dataclasses.dataclass
class ShopLabel:
    text: str


HOOKS = []
"""Functions that the next upcasts of orders call first, each once."""


@upcaster(ShopOrder, from_version=1)
def rename(order):
    if HOOKS:
        HOOKS.pop(0)(order)
    order["customer"] = order.pop("name")
    return order


@upcaster(Gift, from_version=1)
def name_nobody(gift):
    return {"customer": gift.pop("name"), "from": "nobody", **gift}


@upcaster(Gift, from_version=2)
def rename_sender(gift):
    return {"sender": gift.pop("from"), **gift}
