"""The application's factory."""

from __future__ import annotations

import os

import msgspec
from flask import Flask
from sqlalchemy.dialects.postgresql import insert
from werkzeug.exceptions import HTTPException

from docsession import EmbeddedServer
from examples.flask_shop.customers import customers
from examples.flask_shop.extensions import db, docs
from examples.flask_shop.models import Customer, Order, Stock
from examples.flask_shop.orders import orders
from examples.flask_shop.web import MsgspecJson, refused
from examples.shop_data import CUSTOMERS, ORDERS, STOCK


def create_app() -> Flask:
    """Make the application, on the PostgreSQL of DOCSESSION_URL, else on an embedded one."""
    url = os.environ.get("DOCSESSION_URL") or EmbeddedServer.start().url
    app = Flask(__name__)
    app.json = MsgspecJson(app)
    app.config["SQLALCHEMY_DATABASE_URI"] = url.replace("postgresql://", "postgresql+psycopg://", 1)
    app.config["DOCSESSION"] = {"MODELS": ["examples.flask_shop.models"]}
    db.init_app(app)
    docs.init_app(app)
    app.register_error_handler(HTTPException, refused)
    app.register_blueprint(customers)
    app.register_blueprint(orders)
    with app.app_context():
        seed()
        db.engine.dispose()  # a worker that is forked from here begins with connections of its own
    return app


def seed() -> None:
    """Make the table where it is missing, and fill an empty database."""
    db.create_all()
    seeds = [{"product": product, "quantity": quantity} for product, quantity in STOCK.items()]
    db.session.execute(insert(Stock).on_conflict_do_nothing(), seeds)
    if not docs.session.query(Customer).any():
        for customer in CUSTOMERS:
            docs.session.store(Customer(**customer))
        for order in ORDERS:
            docs.session.store(msgspec.convert(order, Order, strict=False))
        docs.session.save_changes()
    db.session.commit()
