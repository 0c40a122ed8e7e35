"""What the application is extended by; the views import it from here."""

from __future__ import annotations

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase

from docsession.contrib.flask import DocSession


class Base(DeclarativeBase):
    """The tables of the shop."""


db = SQLAlchemy(model_class=Base)

docs = DocSession(sqlalchemy=db, autosave=True)
"""Its sessions are in the transactions of `db.session`. After each view, documents and rows are committed together."""
