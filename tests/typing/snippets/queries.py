"""What a type checker makes of queries, for each kind of class; checked, never run."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, assert_type

import attrs
import msgspec
import pydantic

from docsession import (
    AsyncDocumentQuery,
    AsyncDocumentSession,
    AsyncLazy,
    DocumentJson,
    DocumentQuery,
    DocumentSession,
    Lazy,
    Page,
    Query,
    QueryJson,
    all_,
    any_,
    between,
    contains,
    contains_all,
    count,
    desc,
    exists,
    given,
    id_,
    in_,
    increment,
    len_,
    matches,
    max_,
    not_,
    parameter,
    set_,
    starts_with,
    sum_,
    value,
)


@dataclass
class Line:
    product: str
    quantity: int = 1


@dataclass
class OfDataclass:
    company: str
    freight: int | None = None
    at: datetime | None = None
    tags: list[str] = field(default_factory=list[str])
    lines: list[Line] = field(default_factory=list[Line])
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    id: str | None = None


class OfPydantic(pydantic.BaseModel):
    company: str
    freight: int | None = None
    at: datetime | None = None
    tags: list[str] = []
    lines: list[Line] = []
    attributes: dict[str, str] = {}
    id: str | None = None


@attrs.define
class OfAttrs:
    company: str
    freight: int | None = None
    at: datetime | None = None
    tags: list[str] = attrs.field(factory=list[str])
    lines: list[Line] = attrs.field(factory=list[Line])
    attributes: dict[str, str] = attrs.field(factory=dict[str, str])
    id: str | None = None


class OfMsgspec(msgspec.Struct):
    company: str
    freight: int | None = None
    at: datetime | None = None
    tags: list[str] = []
    lines: list[Line] = []
    attributes: dict[str, str] = {}
    id: str | None = None


class OfPlain:
    id: str | None

    def __init__(self, company: str, freight: int | None = None, at: datetime | None = None) -> None:
        self.company = company
        self.freight = freight
        self.at = at
        self.tags: list[str] = []
        self.lines: list[Line] = []
        self.attributes: dict[str, str] = {}


def of_dataclass(session: DocumentSession) -> None:
    query = session.query(OfDataclass)
    query = query.where(lambda o: (o.company == "companies/1-A") & (given(o.freight) > 20))
    query = query.where(lambda o: any_(o.lines, lambda line: (line.quantity >= 10) & starts_with(line.product, "p")))
    query = query.where(lambda o: all_(o.lines, lambda line: line.quantity < 5) | not_(contains(o.tags, "x")))
    query = query.where(lambda o: in_(o.company, ["a", "b"]) & between(o.freight, 1, 5) & matches(o.company, "^c"))
    query = query.where(lambda o: value(o.freight).gt(5) | value(o.freight).is_null() | value(o.at).is_missing())
    query = query.where(lambda o: (len_(o.tags) == 2) & exists(o.at) & contains_all(o.tags, ["x"]))
    query = query.where(lambda o: (o.attributes["colour"] == "red") & (o.lines[0].quantity * 2 > 4))
    query = query.where(lambda o: id_(o) == "orders/1").where(lambda o: o.freight == None)
    query = query.where(company="x", freight__gt=5)
    query = query.order_by(lambda o: (desc(o.at), o.company)).include(lambda o: o.company, Line).skip(1).take(20)
    assert_type(query, DocumentQuery[OfDataclass])
    assert_type(query.all(), list[OfDataclass])
    assert_type(query.first_or_none(), OfDataclass | None)
    assert_type(list(query), list[OfDataclass])
    assert_type(query.select(lambda o: (o.company, o.freight)).all(), list[tuple[str, int | None]])
    assert_type(query.select(lambda o: o.lines).first(), list[Line])
    assert_type(query.select(into=Line), DocumentQuery[Line])
    assert_type(query.sum_(lambda o: given(o.freight)), int)
    query.where(lambda o: o.freight > 20)  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand, reportUnknownLambdaType]
    query.where(lambda o: ~(o.company == "x"))  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType, reportDeprecated]
    query.where(lambda o: o.company)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    query.where(lambda o: o.nothing == 1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]
    query.where(lambda o: o.company > 5)  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnknownLambdaType]
    query.where(lambda o: value(o.freight).gt("x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    query.where(lambda o: starts_with(o.freight, "x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    query.where(lambda o: any_(o.lines, lambda line: line.nothing == 1))  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]
    query.where(lambda o: any_(o.company, lambda line: line.quantity == 1))  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]


def of_pydantic(session: DocumentSession) -> None:
    query = session.query(OfPydantic)
    query = query.where(lambda o: (o.company == "companies/1-A") & (given(o.freight) > 20))
    query = query.where(lambda o: any_(o.lines, lambda line: (line.quantity >= 10) & starts_with(line.product, "p")))
    query = query.where(lambda o: all_(o.lines, lambda line: line.quantity < 5) | not_(contains(o.tags, "x")))
    query = query.where(lambda o: in_(o.company, ["a", "b"]) & between(o.freight, 1, 5) & matches(o.company, "^c"))
    query = query.where(lambda o: value(o.freight).gt(5) | value(o.freight).is_null() | value(o.at).is_missing())
    query = query.where(lambda o: (len_(o.tags) == 2) & exists(o.at) & contains_all(o.tags, ["x"]))
    query = query.where(lambda o: (o.attributes["colour"] == "red") & (o.lines[0].quantity * 2 > 4))
    query = query.where(lambda o: id_(o) == "orders/1").where(lambda o: o.freight == None)
    query = query.where(company="x", freight__gt=5)
    query = query.order_by(lambda o: (desc(o.at), o.company)).include(lambda o: o.company, Line).skip(1).take(20)
    assert_type(query, DocumentQuery[OfPydantic])
    assert_type(query.all(), list[OfPydantic])
    assert_type(query.first_or_none(), OfPydantic | None)
    assert_type(list(query), list[OfPydantic])
    assert_type(query.select(lambda o: (o.company, o.freight)).all(), list[tuple[str, int | None]])
    assert_type(query.select(lambda o: o.lines).first(), list[Line])
    assert_type(query.select(into=Line), DocumentQuery[Line])
    assert_type(query.sum_(lambda o: given(o.freight)), int)
    query.where(lambda o: o.freight > 20)  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand, reportUnknownLambdaType]
    query.where(lambda o: ~(o.company == "x"))  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType, reportDeprecated]
    query.where(lambda o: o.company)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    query.where(lambda o: o.nothing == 1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]
    query.where(lambda o: o.company > 5)  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnknownLambdaType]
    query.where(lambda o: value(o.freight).gt("x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    query.where(lambda o: starts_with(o.freight, "x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    query.where(lambda o: any_(o.lines, lambda line: line.nothing == 1))  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]
    query.where(lambda o: any_(o.company, lambda line: line.quantity == 1))  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]


def of_attrs(session: DocumentSession) -> None:
    query = session.query(OfAttrs)
    query = query.where(lambda o: (o.company == "companies/1-A") & (given(o.freight) > 20))
    query = query.where(lambda o: any_(o.lines, lambda line: (line.quantity >= 10) & starts_with(line.product, "p")))
    query = query.where(lambda o: all_(o.lines, lambda line: line.quantity < 5) | not_(contains(o.tags, "x")))
    query = query.where(lambda o: in_(o.company, ["a", "b"]) & between(o.freight, 1, 5) & matches(o.company, "^c"))
    query = query.where(lambda o: value(o.freight).gt(5) | value(o.freight).is_null() | value(o.at).is_missing())
    query = query.where(lambda o: (len_(o.tags) == 2) & exists(o.at) & contains_all(o.tags, ["x"]))
    query = query.where(lambda o: (o.attributes["colour"] == "red") & (o.lines[0].quantity * 2 > 4))
    query = query.where(lambda o: id_(o) == "orders/1").where(lambda o: o.freight == None)
    query = query.where(company="x", freight__gt=5)
    query = query.order_by(lambda o: (desc(o.at), o.company)).include(lambda o: o.company, Line).skip(1).take(20)
    assert_type(query, DocumentQuery[OfAttrs])
    assert_type(query.all(), list[OfAttrs])
    assert_type(query.first_or_none(), OfAttrs | None)
    assert_type(list(query), list[OfAttrs])
    assert_type(query.select(lambda o: (o.company, o.freight)).all(), list[tuple[str, int | None]])
    assert_type(query.select(lambda o: o.lines).first(), list[Line])
    assert_type(query.select(into=Line), DocumentQuery[Line])
    assert_type(query.sum_(lambda o: given(o.freight)), int)
    query.where(lambda o: o.freight > 20)  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand, reportUnknownLambdaType]
    query.where(lambda o: ~(o.company == "x"))  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType, reportDeprecated]
    query.where(lambda o: o.company)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    query.where(lambda o: o.nothing == 1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]
    query.where(lambda o: o.company > 5)  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnknownLambdaType]
    query.where(lambda o: value(o.freight).gt("x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    query.where(lambda o: starts_with(o.freight, "x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    query.where(lambda o: any_(o.lines, lambda line: line.nothing == 1))  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]
    query.where(lambda o: any_(o.company, lambda line: line.quantity == 1))  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]


def of_msgspec(session: DocumentSession) -> None:
    query = session.query(OfMsgspec)
    query = query.where(lambda o: (o.company == "companies/1-A") & (given(o.freight) > 20))
    query = query.where(lambda o: any_(o.lines, lambda line: (line.quantity >= 10) & starts_with(line.product, "p")))
    query = query.where(lambda o: all_(o.lines, lambda line: line.quantity < 5) | not_(contains(o.tags, "x")))
    query = query.where(lambda o: in_(o.company, ["a", "b"]) & between(o.freight, 1, 5) & matches(o.company, "^c"))
    query = query.where(lambda o: value(o.freight).gt(5) | value(o.freight).is_null() | value(o.at).is_missing())
    query = query.where(lambda o: (len_(o.tags) == 2) & exists(o.at) & contains_all(o.tags, ["x"]))
    query = query.where(lambda o: (o.attributes["colour"] == "red") & (o.lines[0].quantity * 2 > 4))
    query = query.where(lambda o: id_(o) == "orders/1").where(lambda o: o.freight == None)
    query = query.where(company="x", freight__gt=5)
    query = query.order_by(lambda o: (desc(o.at), o.company)).include(lambda o: o.company, Line).skip(1).take(20)
    assert_type(query, DocumentQuery[OfMsgspec])
    assert_type(query.all(), list[OfMsgspec])
    assert_type(query.first_or_none(), OfMsgspec | None)
    assert_type(list(query), list[OfMsgspec])
    assert_type(query.select(lambda o: (o.company, o.freight)).all(), list[tuple[str, int | None]])
    assert_type(query.select(lambda o: o.lines).first(), list[Line])
    assert_type(query.select(into=Line), DocumentQuery[Line])
    assert_type(query.sum_(lambda o: given(o.freight)), int)
    query.where(lambda o: o.freight > 20)  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand, reportUnknownLambdaType]
    query.where(lambda o: ~(o.company == "x"))  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType, reportDeprecated]
    query.where(lambda o: o.company)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    query.where(lambda o: o.nothing == 1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]
    query.where(lambda o: o.company > 5)  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnknownLambdaType]
    query.where(lambda o: value(o.freight).gt("x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    query.where(lambda o: starts_with(o.freight, "x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    query.where(lambda o: any_(o.lines, lambda line: line.nothing == 1))  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]
    query.where(lambda o: any_(o.company, lambda line: line.quantity == 1))  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]


def of_plain(session: DocumentSession) -> None:
    query = session.query(OfPlain)
    query = query.where(lambda o: (o.company == "companies/1-A") & (given(o.freight) > 20))
    query = query.where(lambda o: any_(o.lines, lambda line: (line.quantity >= 10) & starts_with(line.product, "p")))
    query = query.where(lambda o: all_(o.lines, lambda line: line.quantity < 5) | not_(contains(o.tags, "x")))
    query = query.where(lambda o: in_(o.company, ["a", "b"]) & between(o.freight, 1, 5) & matches(o.company, "^c"))
    query = query.where(lambda o: value(o.freight).gt(5) | value(o.freight).is_null() | value(o.at).is_missing())
    query = query.where(lambda o: (len_(o.tags) == 2) & exists(o.at) & contains_all(o.tags, ["x"]))
    query = query.where(lambda o: (o.attributes["colour"] == "red") & (o.lines[0].quantity * 2 > 4))
    query = query.where(lambda o: id_(o) == "orders/1").where(lambda o: o.freight == None)
    query = query.where(company="x", freight__gt=5)
    query = query.order_by(lambda o: (desc(o.at), o.company)).include(lambda o: o.company, Line).skip(1).take(20)
    assert_type(query, DocumentQuery[OfPlain])
    assert_type(query.all(), list[OfPlain])
    assert_type(query.first_or_none(), OfPlain | None)
    assert_type(list(query), list[OfPlain])
    assert_type(query.select(lambda o: (o.company, o.freight)).all(), list[tuple[str, int | None]])
    assert_type(query.select(lambda o: o.lines).first(), list[Line])
    assert_type(query.select(into=Line), DocumentQuery[Line])
    assert_type(query.sum_(lambda o: given(o.freight)), int)
    query.where(lambda o: o.freight > 20)  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand, reportUnknownLambdaType]
    query.where(lambda o: ~(o.company == "x"))  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType, reportDeprecated]
    query.where(lambda o: o.company)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    query.where(lambda o: o.nothing == 1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]
    query.where(lambda o: o.company > 5)  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnknownLambdaType]
    query.where(lambda o: value(o.freight).gt("x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    query.where(lambda o: starts_with(o.freight, "x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    query.where(lambda o: any_(o.lines, lambda line: line.nothing == 1))  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]
    query.where(lambda o: any_(o.company, lambda line: line.quantity == 1))  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]


large = Query(OfDataclass).where(lambda o: given(o.freight) >= 70).order_by("-freight")


def values(session: DocumentSession) -> None:
    assert_type(large, Query[OfDataclass])
    assert_type(session.query(large), DocumentQuery[OfDataclass])
    assert_type(session.query(dict, "Orders"), DocumentQuery[dict[str, Any]])
    assert_type(session.query(large).page(), Page[OfDataclass])
    assert_type(session.query(large).page(20, after="token").items, list[OfDataclass])
    assert_type(session.query(large).count(), int)


def parameters(session: DocumentSession) -> None:
    assert_type(parameter("tags", list[str]), list[str])
    of_company = Query(OfDataclass).where(lambda o: o.company == parameter("company", str))
    of_company = of_company.where(lambda o: (given(o.freight) > parameter("least", int)) & in_(o.company, ["x"]))
    assert_type(session.query(of_company).add_parameter("company", "x"), DocumentQuery[OfDataclass])


def groups(session: DocumentSession) -> None:
    query = session.query(OfDataclass).group_by(lambda o: o.company).having(lambda o: count() > 1)
    rows = query.select(lambda o: {"company": o.company, "orders": count(), "freight": sum_(o.freight)}).all()
    assert_type(query.select(lambda o: (o.company, count(), max_(o.freight))).first()[1], int)
    print(rows)


def changes(session: DocumentSession) -> None:
    assert_type(session.query(OfPydantic).patch(lambda o: [set_(o.company, "x"), increment(o.freight, 1)]), int)
    assert_type(session.query(OfPydantic).returning().delete(), list[OfPydantic])


def raw(session: DocumentSession) -> None:
    page = session.query(OfAttrs).json(20, envelope=True)
    assert_type(page, QueryJson)
    assert_type((page.etag, page.total, page.next), tuple[str, int | None, str | None])
    assert_type(session.load_json("orders/1", OfAttrs), DocumentJson | None)
    body: bytes = page
    print(body)


def later(session: DocumentSession) -> None:
    assert_type(session.query(OfMsgspec).lazily(), Lazy[list[OfMsgspec]])
    assert_type(session.query(OfMsgspec).lazily(lambda found: print(found[0].company)).value, list[OfMsgspec])
    lazily = session.advanced.lazily
    assert_type(
        lazily.load("orders/1", OfMsgspec, lambda found: print(found and found.company)).value, OfMsgspec | None
    )
    assert_type(lazily.include("company").load(["orders/1"], OfMsgspec).value, dict[str, OfMsgspec | None])
    assert_type(lazily.conditional_load("orders/1", "5", OfMsgspec).value.entity, OfMsgspec | None)


async def awaited(session: AsyncDocumentSession) -> None:
    query = session.query(OfPlain).where(lambda o: (o.company == "x") & (given(o.freight) > 20))
    assert_type(query, AsyncDocumentQuery[OfPlain])
    assert_type(await query.all(), list[OfPlain])
    assert_type([each async for each in query], list[OfPlain])
    assert_type(await query.json(20), QueryJson)
    assert_type(await session.load_json("orders/1"), DocumentJson | None)
    assert_type(await session.query(OfPlain).lazily().value, list[OfPlain])
    assert_type(session.query(OfPlain).lazily(), AsyncLazy[list[OfPlain]])
    query.where(lambda o: o.freight > 20)  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand, reportUnknownLambdaType]
