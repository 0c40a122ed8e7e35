"""The shop in Flask, with Flask-SQLAlchemy."""

from examples.flask_shop.app import create_app

__all__ = ["create_app"]
