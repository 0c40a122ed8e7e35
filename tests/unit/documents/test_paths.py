"""Paths of includes: what is walked, what is refused at once, and with which words."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import attrs
import msgspec
import pydantic
import pytest

from docsession import InvalidArgumentException, InvalidArgumentTypeException, Ref
from docsession._documents._paths import attributes_of, check_attributes, json_keys_of


@dataclasses.dataclass
class Company:
    name: str


@dataclasses.dataclass
class Line:
    product: str


@dataclasses.dataclass
class Service:
    staff: str


class Address(msgspec.Struct, rename="camel"):
    home_city: str


@attrs.define
class Note:
    author: str


class Model(pydantic.BaseModel):
    city: str


class OpenModel(pydantic.BaseModel, extra="allow"):
    city: str


class Plain:
    company: str


@dataclasses.dataclass
class Order:
    company: Annotated[str | None, Ref(Company)]
    lines: list[Line]
    parts: tuple[Line | Service, ...]
    address: Address | None
    note: Note
    model: Model
    open_model: OpenModel
    plain: Plain
    more: Any
    by_name: dict[str, Line]


@dataclasses.dataclass
class Unresolved:
    other: Nowhere  # noqa: F821  # the point of the test


class TestFunctions:
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            (lambda o: o.company, ("company",)),
            (lambda o: o.lines[0].product, ("lines", "product")),
            (lambda o: o.lines[-1].product, ("lines", "product")),
            (lambda o: o.lines.product, ("lines", "product")),
            (lambda o: o["x[]"]["a.b"], ("x[]", "a.b")),
            (lambda o: o[0].company, ("company",)),
        ],
    )
    def test_they_walk(self, path, expected):
        assert attributes_of(path) == expected

    @pytest.mark.parametrize(
        "path",
        [
            lambda o: [line.product for line in o.lines],
            lambda o: list(o.products),
            lambda o: [*o.products],
            lambda o: "x" in o.products,
            lambda o: len(o.products),
            lambda o: o.products or o.id,
            lambda o: not o.product,
            lambda o: o.product == "x",
            lambda o: o.product != "x",
            lambda o: o.count < 3,
            lambda o: max(o.a, o.b),
            lambda o: o.lines.first(),
            lambda o: o.lines[0:2].product,
        ],
    )
    def test_whatever_else_they_do_is_refused_at_once(self, path):
        with pytest.raises(InvalidArgumentException, match=r"only walks attributes.*lines\[\]\.product"):
            attributes_of(path)

    @pytest.mark.parametrize("path", [lambda o: None, lambda o: o, lambda o: {o.a}, lambda o: o.a + 1, lambda: None])
    def test_so_is_a_result_that_is_no_path(self, path):
        with pytest.raises(InvalidArgumentException, match="function of a path"):
            attributes_of(path)

    @pytest.mark.parametrize("path", [None, 5, ["company"], b"company"])
    def test_nothing_else_is_a_path(self, path):
        with pytest.raises(InvalidArgumentTypeException, match="a path is a str or a function"):
            attributes_of(path)


class TestTexts:
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("company", ("company",)),
            ("lines[].product", ("lines", "product")),
            ("lines.product", ("lines", "product")),
            ("$1", ("$1",)),
            ("a b", ("a b",)),
        ],
    )
    def test_they_are_cut_at_dots(self, path, expected):
        assert attributes_of(path) == expected

    @pytest.mark.parametrize(
        ("path", "meant"),
        [
            ("lines[*].product", "lines[].product"),
            ("lines[0].product", "lines[].product"),
            ("lines[-1:].product", "lines[].product"),
            ("lines[", "lines[]"),
            ("$.company", "company"),
            ("$.lines[*].product", "lines[].product"),
            ("/lines/product", "lines.product"),
            (" company", "company"),
            ("lines[].product ", "lines[].product"),
            ("lines[] . product", "lines[].product"),
        ],
    )
    def test_another_language_is_refused_with_the_right_spelling(self, path, meant):
        with pytest.raises(InvalidArgumentException) as caught:
            attributes_of(path)
        assert f"write '{meant}';" in str(caught.value)

    @pytest.mark.parametrize("path", ["", " ", ".", "a.", "a..b", "[]", "a[][]", "a['b']", "]", "/", "$.", "a\nb"])
    def test_what_is_none_is_refused(self, path):
        with pytest.raises(InvalidArgumentException, match=r"is no path; write"):
            attributes_of(path)


class TestFieldsOfTheClass:
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            (lambda o: o.compny, "Order has no field 'compny'"),
            (lambda o: o.lines[0].prodct, "Line has no field 'prodct'.*it has product"),
            (lambda o: o.parts[0].prodct, "Line or Service has no field 'prodct'"),
            (lambda o: o.address.homeCity, "Address has no field 'homeCity'.*it has home_city"),
            (lambda o: o.note.authr, "Note has no field"),
            (lambda o: o.model.cty, "Model has no field"),
        ],
    )
    def test_one_that_it_has_not_is_refused_with_those_it_has(self, path, expected):
        with pytest.raises(InvalidArgumentException, match=expected):
            check_attributes(Order, attributes_of(path))

    @pytest.mark.parametrize(
        "path",
        [
            lambda o: o.company,
            lambda o: o.lines.product,
            lambda o: o.parts[0].staff,
            lambda o: o.address.home_city,
            lambda o: o.note.author,
            lambda o: o.open_model.anything,
            lambda o: o.plain.anything,
            lambda o: o.more.anything,
            lambda o: o.by_name.anything,
            lambda o: o["anything"],
            "compny",
            "lines[].prodct",
        ],
    )
    def test_what_it_has_or_may_have_is_taken(self, path):
        check_attributes(Order, attributes_of(path))

    @pytest.mark.parametrize("cls", [None, Plain, dict, Unresolved, 5, Company("not a class")])
    def test_a_class_whose_fields_are_not_known_has_any(self, cls):
        check_attributes(cls, attributes_of(lambda o: o.anything))

    def test_keys_are_plain_text(self):
        assert [type(key) for key in json_keys_of(Order, attributes_of("address.home_city"))] == [str, str]
        assert json_keys_of(Order, attributes_of("address.home_city")) == ("address", "homeCity")
