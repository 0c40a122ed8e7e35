"""What a type checker makes of an application in Flask; checked, never run."""

from dataclasses import dataclass
from typing import Any, assert_type

from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy_lite import SQLAlchemy as SQLAlchemyLite
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from docsession import (
    ConcurrencyException,
    DocumentSession,
    DocumentStore,
    OptimisticConcurrencyMode,
    RequestTimeoutException,
    SessionOptions,
    UniqueConstraintViolation,
)
from docsession.contrib.flask import (
    DocSession,
    Problem,
    ProblemMap,
    check_if_match,
    etag_of,
    expect_change_vector,
    json_response,
    problem_response,
)


@dataclass
class Customer:
    name: str
    id: str | None = None


class Base(DeclarativeBase):
    pass


class Stock(Base):
    __tablename__ = "stock"
    product: Mapped[str] = mapped_column(primary_key=True)
    quantity: Mapped[int]


def careful(store: str) -> SessionOptions | None:
    return SessionOptions(optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES) if store == "default" else None


def taken(error: UniqueConstraintViolation) -> Problem:
    return Problem(422, error.code, "Taken.")


problems = ProblemMap().with_(
    {RequestTimeoutException: 504, UniqueConstraintViolation: taken, ConcurrencyException: None}
)
db = SQLAlchemy(model_class=Base)
docs = DocSession(sqlalchemy=db, autosave=True, problems=problems, session_options=careful)


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["DOCSESSION"] = {"URL": "postgresql://localhost/shop"}
    db.init_app(app)
    docs.init_app(app)
    app.register_error_handler(UniqueConstraintViolation, answer)
    return app


app = create_app()
other = DocSession(app, sqlalchemy=SQLAlchemyLite(), problems=None)
third = DocSession(Flask("third"), sqlalchemy=scoped_session(sessionmaker(create_engine("postgresql+psycopg://"))))


def answer(error: UniqueConstraintViolation) -> ResponseReturnValue:
    return problem_response(taken(error))


@app.get("/customers/<path:key>")
def read(key: str) -> ResponseReturnValue:
    customer = docs.load_or_404(key, Customer)
    assert_type(customer, Customer)
    assert_type(docs.load_or_404(key), Any)
    docs.load_or_404(key, Customer, lambda include: include.include_documents("friend"), description="Nobody.")
    return jsonify(customer), 200, {"ETag": etag_of(docs.session, customer)}


@app.get("/customers")
def customers() -> Response:
    found = docs.session.query(Customer).where(lambda c: c.name == "a").json(20, after=request.args.get("after"))
    assert_type(json_response(found), Response)
    stored = docs.session.load_json("customers/1-A", Customer)
    return json_response(stored)


@app.put("/customers/<path:key>")
def change(key: str) -> ResponseReturnValue:
    customer = docs.load_or_404(key, Customer)
    check_if_match(docs.session, customer)
    expect_change_vector(docs.session, customer, request.form["version"])
    customer.name = request.form["name"]
    stock = db.session.get(Stock, "tea")
    assert_type(stock, Stock | None)
    docs.session.save_changes()
    db.session.commit()
    return "", 204


def sessions(owner: Session) -> None:
    assert_type(docs.session, DocumentSession)
    assert_type(docs.get_session("archive", database="tenant"), DocumentSession)
    assert_type(docs.store, DocumentStore)
    assert_type(docs.get_store("archive"), DocumentStore)
    docs.close(app)
    docs.close()


def mistakes(owner: Session, customer: Customer) -> None:
    customer.nmae = "a"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    docs.load_or_404("customers/1-A", Customer).nmae = "a"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    _ = docs.session.load("customers/1-A", Customer).name  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    docs.load_or_404(7, Customer)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    DocSession(app, sqlalchemy=owner)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    DocSession(app, db)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    DocSession(app, session_options=SessionOptions())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    docs.session = docs.store.open_session()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    json_response(b"{}")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    docs.get_session("archive", "tenant")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ProblemMap().with_({LookupError: 404})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
