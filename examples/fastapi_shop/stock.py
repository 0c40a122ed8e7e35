"""The stock: an ordinary table, in SQLAlchemy, in the same PostgreSQL database as the documents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from sqlalchemy import CheckConstraint, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from examples.shop_data import STOCK


class Base(DeclarativeBase):
    """The tables of the shop."""


class Stock(Base):
    """How much there is of each product."""

    __tablename__ = "stock"
    __table_args__ = (CheckConstraint("quantity >= 0"),)

    product: Mapped[str] = mapped_column(primary_key=True)
    quantity: Mapped[int]


@asynccontextmanager
async def tables(url: str) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """Make the table where it is missing, with what is in stock at first, and yield what makes SQL sessions."""
    engine = create_async_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    try:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            seeds = [{"product": product, "quantity": quantity} for product, quantity in STOCK.items()]
            await connection.execute(insert(Stock).on_conflict_do_nothing(), seeds)
        yield async_sessionmaker(engine, expire_on_commit=False)
    finally:
        await engine.dispose()


async def sql_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Yield a SQL session for the request; the view commits."""
    make: async_sessionmaker[AsyncSession] = request.app.state.sql
    async with make() as session:
        yield session


Sql = Annotated[AsyncSession, Depends(sql_session, scope="function")]


async def take(sql: AsyncSession, product: str, quantity: int) -> None:
    """Take some of a product out of the stock, if there is enough."""
    enough = update(Stock).where(Stock.product == product, Stock.quantity >= quantity)
    taken = await sql.execute(enough.values(quantity=Stock.quantity - quantity).returning(Stock.product))
    if taken.first() is None:
        raise HTTPException(409, f"There is too little of {product}; nothing was ordered.")
