"""What a user would pick instead: SQLAlchemy's ORM, a JSONB column, and `version_id_col`.

In its favour: JSON goes through msgspec, straight from and to the typed document, and nothing expires on commit.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
from documents import Order
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Numeric, Text, cast, create_engine, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.attributes import flag_modified

numbers = itertools.count(1)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Order).decode


def to_json(order: Order) -> str:
    return _encode(order).decode()


def from_json(data: bytes | str) -> Order:
    return _decode(data)


class Base(DeclarativeBase):
    pass


class OrderRow(Base):
    __tablename__ = "orders_of_the_orm"

    id: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    data: Mapped[Any] = mapped_column(JSONB)
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  # SQLAlchemy's way


class Orm:
    """Sessions of SQLAlchemy over a pool of its own."""

    def __init__(self, url: str, database: str) -> None:
        self.engine = create_engine(
            "postgresql+psycopg://",
            json_serializer=to_json,
            json_deserializer=from_json,
            connect_args={**conninfo_to_dict(url), "options": f"-csearch_path={database}"},
        )
        Base.metadata.create_all(self.engine)

    def session(self) -> Session:
        return Session(self.engine, expire_on_commit=False)

    def load(self, key: str) -> Any:
        with self.session() as session:
            return session.get(OrderRow, key)

    def load_many(self, keys: list[str]) -> Any:
        with self.session() as session:
            return session.scalars(select(OrderRow).where(OrderRow.id.in_(keys))).all()

    def hundred(self, freight: int) -> Any:
        """Return a hundred documents above a freight, in its order."""
        number = cast(OrderRow.data["freight"].astext, Numeric)
        with self.session() as session:
            return session.scalars(select(OrderRow).where(number >= freight).order_by(number).limit(100)).all()

    def insert(self, order: Order) -> None:
        self.insert_many([order])

    def insert_many(self, orders: Sequence[Order]) -> None:
        with self.session() as session:
            session.add_all([OrderRow(id=f"orders/{next(numbers)}-A", data=order) for order in orders])
            session.commit()

    def change(self, session: Session, rows: Sequence[OrderRow]) -> None:
        """Save rows whose documents were changed, which the ORM does not notice by itself."""
        for row in rows:
            flag_modified(row, "data")
        session.commit()

    def close(self) -> None:
        self.engine.dispose()
