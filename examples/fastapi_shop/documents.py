"""The documents of the shop."""

from __future__ import annotations

from docsession import AsyncDocumentStore
from docsession.contrib.fastapi import DocSession
from examples.fastapi_shop.models import Customer, Order
from examples.shop_data import CUSTOMERS, ORDERS

documents = DocSession(AsyncDocumentStore)
"""The store is that of DOCSESSION_URL, else an embedded one."""


async def seed(store: AsyncDocumentStore) -> None:
    """Fill an empty database."""
    async with store.open_session() as session:
        if await session.query(Customer).any():
            return
        for customer in CUSTOMERS:
            await session.store(Customer.model_validate(customer))
        for order in ORDERS:
            await session.store(Order.model_validate(order))
        await session.save_changes()
