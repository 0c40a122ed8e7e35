"""The SQL of the conditions of RavenDB's builder."""

from dataclasses import dataclass
from decimal import Decimal

from docsession._query._clauses import Clauses, QueryOperator
from docsession._query._compilation import Compilation
from docsession._query._conditions import between, compared, ending_with, equal_to, existing, one_of, starting_with
from docsession._query._fields import Documents, condition_on
from docsession._query._recorder import root_of


@dataclass
class Line:
    product: str
    quantity: int


@dataclass
class Order:
    name: str
    freight: Decimal | None
    tags: list[str]
    marks: list[int]
    lines: list[Line]
    id: str | None = None


ORDERS = Documents(root_of(Order), "id")
THINGS = Documents(root_of(dict), None)
NAME = "(lower((t.data ->> 'name')) COLLATE \"C\")"
FREIGHT = "(CASE WHEN jsonb_typeof((t.data -> 'freight')) = 'number' THEN ((t.data -> 'freight'))::numeric END)"
ITEMS = "jsonb_array_elements(CASE WHEN jsonb_typeof({0}) = 'array' THEN {0} ELSE '[]' END)"
VALUES = (
    "jsonb_array_elements(CASE WHEN jsonb_typeof({0}) = 'array' THEN {0} WHEN {0} IS NOT NULL "
    "THEN jsonb_build_array({0}) ELSE '[]' END)"
)


def sql(condition, *, negated=False):
    """The SQL of a condition, and what it binds."""
    key, values = [], []
    condition.walk(key, values)
    to = Compilation("s", "id")
    text = condition.sql(to, negated=negated)
    return text, [convert(values[number]) for number, convert in to.binds]


def of(name, leaf, documents=ORDERS, *, negated=False):
    return sql(condition_on(documents, name, leaf), negated=negated)


def test_a_text_has_the_folded_form_unless_it_is_exact():
    assert of("name", equal_to("Ann", exact=False)) == (f"{NAME} = lower($1)", ["Ann"])
    assert of("name", equal_to("Ann", exact=True)) == ("((t.data ->> 'name') COLLATE \"C\") = $1", ["Ann"])
    assert of("name", equal_to("Ann", exact=False), negated=True) == (
        f"({NAME} <> lower($1) OR {NAME} IS NULL)",
        ["Ann"],
    )
    assert of("name", one_of(["Ann", "Bob"], exact=False)) == (
        f"({NAME} = ANY(ARRAY(SELECT lower(v) FROM unnest($1) AS v)))",
        [("Ann", "Bob")],
    )
    assert of("name", ending_with("50%", exact=False)) == (f"{NAME} LIKE lower($1)", ["%50\\%"])


def test_a_beginning_is_a_range_between_texts_that_the_server_lowers():
    high = "(left(lower($2), -1) || chr(CASE ascii(right(lower($2), 1)) WHEN 55295 THEN 57344 "
    high += "ELSE ascii(right(lower($2), 1)) + 1 END))"
    assert of("name", starting_with("Ann", exact=False)) == (
        f"({NAME} >= lower($1) AND {NAME} < {high})",
        ["Ann", "Ann"],
    )
    assert of("name", starting_with("", exact=False)) == (f"{NAME} >= lower($1)", [""])
    assert of("name", starting_with("a\U0010ffff", exact=False))[1] == ["a\U0010ffff", "a"]


def test_a_number_has_the_form_of_numbers_however_it_is_written():
    assert of("freight", equal_to("20", exact=False)) == (f"{FREIGHT} = $1::numeric", ["20"])
    assert of("freight", between(1, Decimal("2.50"), exact=False)) == (
        f"({FREIGHT} >= $1::numeric AND {FREIGHT} <= $2::numeric)",
        ["1", "2.50"],
    )
    assert of("freight", equal_to(None, exact=False)) == ("(t.data -> 'freight') = 'null'", [])


def test_of_a_list_one_item_is_meant():
    tags = ITEMS.format("(t.data -> 'tags')")
    folded = "(lower((e1.value #>> '{}')) COLLATE \"C\")"
    assert of("tags", equal_to("Red", exact=False)) == (
        f"EXISTS (SELECT 1 FROM {tags} AS e1(value) WHERE {folded} = lower($1))",
        ["Red"],
    )
    # What an index of the list serves.
    assert of("tags", equal_to("Red", exact=True)) == ("((t.data -> 'tags') @> $1)", [b'\x01["Red"]'])
    assert of("marks", equal_to("3", exact=False)) == ("((t.data -> 'marks') @> $1)", [b"\x01[3]"])
    lines = ITEMS.format("(t.data -> 'lines')")
    quantity = "(e1.value -> 'quantity')"
    number = f"(CASE WHEN jsonb_typeof({quantity}) = 'number' THEN ({quantity})::numeric END)"
    for name in ("lines[].quantity", "lines.quantity"):
        assert of(name, compared(">", 5, exact=False)) == (
            f"EXISTS (SELECT 1 FROM {lines} AS e1(value) WHERE {number} > $1::numeric)",
            ["5"],
        )


def test_where_nothing_is_declared_a_value_may_be_a_list_or_not():
    names = VALUES.format("(t.data -> 'name')")
    text = (
        "(lower(CASE WHEN jsonb_typeof(e1.value) IN ('string', 'number', 'boolean') THEN (e1.value #>> '{}') END) "
        'COLLATE "C")'
    )
    assert of("name", equal_to("Ann", exact=False), THINGS) == (
        f"EXISTS (SELECT 1 FROM {names} AS e1(value) WHERE {text} = lower($1))",
        ["Ann"],
    )
    assert of("name", existing(), THINGS) == ("(t.data -> 'name') IS NOT NULL", [])
    above = VALUES.format("(t.data -> 'a')")
    assert of("a.b", existing(), THINGS) == (
        f"EXISTS (SELECT 1 FROM {above} AS e1(value) WHERE (e1.value -> 'b') IS NOT NULL)",
        [],
    )


def test_the_id_is_the_column():
    for name in ("id", "Id", "id()"):
        assert of(name, equal_to("orders/1-A", exact=False)) == ("t.id = $1", ["orders/1-A"])


def test_and_binds_more_tightly_than_or():
    def said(number):
        return condition_on(ORDERS, "freight", equal_to(number, exact=False))

    clauses = Clauses().followed_by(said(1)).joined(QueryOperator.OR).followed_by(said(2)).followed_by(said(3))
    text, values = sql(clauses)
    assert text == f"({FREIGHT} = $1::numeric OR ({FREIGHT} = $2::numeric AND {FREIGHT} = $3::numeric))"
    assert values == ["1", "2", "3"]
    grouped = clauses.joined(QueryOperator.AND, wrap=True).negating().opened().followed_by(said(4)).closed()
    assert sql(grouped)[0] == f"({text} AND ({FREIGHT} <> $4::numeric OR {FREIGHT} IS NULL))"


def test_one_form_has_one_key():
    def key_of(leaf):
        key = []
        condition_on(ORDERS, "name", leaf).walk(key, [])
        return key

    assert key_of(one_of(["a"], exact=False)) == key_of(one_of(["b", "c"], exact=False))
    assert key_of(equal_to("a", exact=False)) != key_of(equal_to("a", exact=True))
    assert key_of(starting_with("a", exact=False)) != key_of(starting_with("", exact=False))


def test_names_that_nobody_declared_are_not_kept():
    """They may come from the users of a program, and a root lives as long as it does."""
    root = root_of(dict)
    before = len(vars(root))
    for number in range(10):
        condition_on(THINGS, f"made_up_{number}.below", equal_to(1, exact=True))
        assert getattr(root, f"made_up_{number}") is not None
    assert len(vars(root)) == before
    assert root_of(Order).name is root_of(Order).name
