"""What a mirror accepts, the class accepts: a document is verified with it before it is written."""

from dataclasses import InitVar, dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docsession._documents._mirror import mirror_decoder


@dataclass
class Line:
    product: str
    quantity: int
    price: Decimal | None = None


@dataclass
class Order:
    company: str
    lines: list[Line]
    kind: Literal["a", "b"] = "a"
    at: datetime | None = None
    days: tuple[date, ...] = ()
    by_name: dict[str, Line] = field(default_factory=dict)
    rate: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    id: str | None = None


@dataclass
class WithPostInit:
    name: str

    def __post_init__(self) -> None:
        self.name = self.name.strip()


@dataclass
class WithInitVar:
    name: str
    seed: InitVar[int] = 0


@dataclass
class Tree:
    children: list["Tree"] = field(default_factory=list)


scalars = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-1, 1) | st.sampled_from(["a", "b", "2020-01-01", "5"])
)
lines = st.fixed_dictionaries({}, optional={"product": scalars, "quantity": scalars, "price": scalars, "more": scalars})
orders = st.fixed_dictionaries(
    {},
    optional={
        "company": scalars,
        "lines": st.lists(lines, max_size=2) | scalars,
        "kind": scalars,
        "at": scalars,
        "days": st.lists(scalars, max_size=2),
        "by_name": st.dictionaries(st.sampled_from(["x", "y"]), lines, max_size=2),
        "rate": scalars,
        "other": scalars,
    },
)


@given(orders)
def test_what_the_mirror_accepts_the_class_accepts_and_the_other_way_round(document):
    body = msgspec.json.encode(document)
    mirrored = mirror_decoder(Order, "id")
    assert mirrored is not None
    assert accepts(mirrored, body) == accepts(msgspec.json.Decoder(Order).decode, body)


def test_a_required_id_is_not_asked_of_the_document():
    @dataclass
    class Named:
        id: str
        name: str

    mirrored = mirror_decoder(Named, "id")
    assert mirrored is not None
    assert accepts(mirrored, b'{"name": "a"}')
    assert not accepts(mirrored, b'{"id": "x"}')


@pytest.mark.parametrize("cls", [WithPostInit, WithInitVar, Tree, dict, msgspec.Struct])
def test_a_class_that_is_more_than_its_fields_has_no_mirror(cls):
    assert mirror_decoder(cls, None) is None


def accepts(decode, body):
    try:
        decode(body)
    except msgspec.ValidationError:
        return False
    return True
