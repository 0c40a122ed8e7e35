"""What index declarations compile to: names, texts without a schema, digests."""

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest

from docsession import (
    GinIndex,
    Index,
    InvalidArgumentTypeException,
    Promoted,
    Statistics,
    contains,
    desc,
    document,
    id_,
    in_,
    len_,
    meta,
    starts_with,
)
from docsession._conventions import DocumentConventions
from docsession._documents._mapping import Mappings
from docsession._query._index_ddl import IndexTarget
from docsession._query._index_definitions import define_all
from docsession._query._recorder import root_of
from docsession._session._declared import DeclaredIndexes
from docsession._sql._definitions import COMMENT_PREFIX, Kind, object_name, render


@dataclass
class Order:
    company: str
    status: str
    freight: Decimal | None
    ordered_at: dt.datetime
    key: UUID
    schema: str
    tags: list[str] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    paid: bool = False
    id: str | None = None


def define(*indexes, cls=Order, table="orders"):
    target = IndexTarget(table, root_of(cls), "id")
    return define_all([(index, target) for index in indexes])[0]


def text_of(index, **options):
    (definition,) = define(index)
    return definition.create("shop", **options)[0]


TEXT = """((data ->> 'company') COLLATE "C")"""

STATEMENTS = [
    (
        Index(lambda o: o.company),
        f'CREATE INDEX "orders_company_idx" ON "shop"."orders" USING btree (({TEXT}), id)',
    ),
    (
        Index(lambda o: o.company, unique=True),
        f'CREATE UNIQUE INDEX "orders_company_key" ON "shop"."orders" USING btree (({TEXT}))',
    ),
    (
        Index(lambda o: (o.company, desc(o.status))),
        (
            f'CREATE INDEX "orders_company_status_desc_idx" ON "shop"."orders" USING btree (({TEXT}), '
            """(((data ->> 'status') COLLATE "C")) DESC, id DESC)"""
        ),
    ),
    (
        Index(lambda o: o.company, ignore_case=True),
        (
            """CREATE INDEX "orders_company_ci_idx" ON "shop"."orders" USING btree (((lower((data ->> 'company')) """
            """COLLATE "C")), id)"""
        ),
    ),
    (
        Index(lambda o: o.ordered_at, unique=True),
        (
            """CREATE UNIQUE INDEX "orders_ordered_at_key" ON "shop"."orders" USING btree """
            """(("shop"."docsession_instant"((data -> 'ordered_at'))))"""
        ),
    ),
    (
        Index(lambda o: o.schema),
        """CREATE INDEX "orders_schema_idx" ON "shop"."orders" USING btree ((((data ->> 'schema') COLLATE "C")), id)""",
    ),
    (
        Index(lambda o: (meta("@last-modified"), id_(o)), name="Mine"),
        'CREATE INDEX "Mine" ON "shop"."orders" USING btree ((last_modified), (id))',
    ),
    (
        GinIndex(),
        'CREATE INDEX "orders_gin" ON "shop"."orders" USING gin (data jsonb_path_ops)',
    ),
    (
        GinIndex(lambda o: o.tags),
        """CREATE INDEX "orders_tags_gin" ON "shop"."orders" USING gin (((data -> 'tags')) jsonb_path_ops)""",
    ),
    (
        Statistics(lambda o: (o.company, o.freight)),
        (
            """CREATE STATISTICS "shop"."orders_company_freight_stx" ON ((data ->> 'company')), """
            """((CASE WHEN jsonb_typeof((data -> 'freight')) = 'number' THEN ((data -> 'freight'))::numeric END)) """
            """FROM "shop"."orders\""""
        ),
    ),
]


@pytest.mark.parametrize(("index", "expected"), STATEMENTS, ids=range(len(STATEMENTS)))
def test_a_declaration_has_its_statement(index, expected):
    assert text_of(index) == expected


CONDITIONS = [
    (lambda o: o.status == "a'b\\c", """((data ->> 'status') COLLATE "C") = $q0$a'b\\c$q0$"""),
    (lambda o: o.freight > 20, "::numeric END) > '20'::numeric"),
    (lambda o: o.ordered_at < dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "< '2026-01-02 00:00:00+00:00'::timestamptz"),
    (lambda o: in_(o.status, ["a", 'b"c']), """= ANY($q0${"a","b\\"c"}$q0$::text[])"""),
    (lambda o: in_(o.freight, [1, 2]), """= ANY('{"1","2"}'::numeric[])"""),
    (lambda o: contains(o.tags, "x"), """(data -> 'tags') @> '["x"]'::jsonb"""),
    (lambda o: starts_with(o.status, "a"), ">= 'a' AND "),
    (lambda o: o.paid, "= 'true'"),
    (lambda o: len_(o.tags) > 1, "jsonb_array_length"),
    (lambda o: o.attributes["{x}"] == "{schema}", """'{"attributes","{x}"}') COLLATE "C") = '{schema}'"""),
]


@pytest.mark.parametrize(("condition", "expected"), CONDITIONS, ids=range(len(CONDITIONS)))
def test_a_condition_is_written_with_its_constants(condition, expected):
    text = text_of(Index(lambda o: o.company, where=condition))

    assert expected in text


def test_a_template_names_no_schema():
    """Revisions carry it; whatever fields are called, only what stands for the schema is replaced."""
    (index,) = define(Index(lambda o: (o.ordered_at, o.attributes["{schema}"]), where=lambda o: o.schema == "schema"))

    assert """'{{"attributes","{{schema}}"}}'""" in index.template
    assert index.template.endswith("""WHERE ((data ->> 'schema') COLLATE "C") = 'schema'""")
    assert render(index.template, 'a"b').count('"a""b"') == 2


def test_a_foreign_key_is_checked_later_where_the_table_is_in_use():
    *_, key = define(Promoted(lambda o: o.key, type="uuid", references="shop.auth user.id"))

    reference = 'FOREIGN KEY ("key") REFERENCES "shop"."auth user" ("id") DEFERRABLE INITIALLY DEFERRED'
    assert key.create("s") == [f'ALTER TABLE "s"."orders" ADD CONSTRAINT "orders_key_fkey" {reference}']
    assert key.create("s", concurrently=True) == [
        f'ALTER TABLE "s"."orders" ADD CONSTRAINT "orders_key_fkey" {reference} NOT VALID',
        'ALTER TABLE "s"."orders" VALIDATE CONSTRAINT "orders_key_fkey"',
    ]
    assert key.drop("s") == 'ALTER TABLE "s"."orders" DROP CONSTRAINT IF EXISTS "orders_key_fkey"'
    assert key.comment_on("s").startswith(
        'COMMENT ON CONSTRAINT "orders_key_fkey" ON "s"."orders" IS $q0$' + COMMENT_PREFIX
    )


def test_columns_come_before_what_is_built_on_them():
    found = define(Index(lambda o: (o.company, o.status)), Promoted(lambda o: o.company))

    assert [(each.kind, each.name) for each in found] == [
        (Kind.COLUMN, "company"),
        (Kind.INDEX, "orders_company_promoted_idx"),
        (Kind.INDEX, "orders_company_status_idx"),
    ]
    assert '("company"), (' in found[2].template


SAME = {
    "keys": Index(lambda o: o.company, name="x"),
    "other keys": Index(lambda o: o.status, name="x"),
    "direction": Index(lambda o: desc(o.company), name="x"),
    "case": Index(lambda o: o.company, name="x", ignore_case=True),
    "condition": Index(lambda o: o.company, name="x", where=lambda o: o.status == "a"),
    "constant": Index(lambda o: o.company, name="x", where=lambda o: o.status == "b"),
    "unique": Index(lambda o: o.company, name="x", unique=True),
    "more keys": Index(lambda o: (o.company, o.status), name="x"),
    "method": GinIndex(lambda o: o.tags, name="x"),
    "name": Index(lambda o: o.company, name="y"),
}


def test_every_property_changes_the_digest():
    digests = {what: define(index)[0].digest for what, index in SAME.items()}

    assert len(set(digests.values())) == len(SAME)
    assert define(SAME["keys"], table="others")[0].digest not in digests.values()
    assert define(Index(lambda x: x.company, name="x"))[0].digest == digests["keys"]


@pytest.mark.parametrize(
    ("words", "ending"),
    [
        (["company"], "idx"),
        (["a b"], "idx"),
        (["a-b"], "idx"),
        (["x" * 80], "idx"),
        (["x" * 81], "idx"),
        (["ü" * 40], "key"),
        (["日" * 40], "gin"),
    ],
)
def test_names_fit_and_differ(words, ending):
    name = object_name("orders", words, ending)

    assert len(name.encode()) <= 63
    assert name.endswith(f"_{ending}")
    assert name == object_name("orders", words, ending)
    assert name != object_name("orders", [f"{words[0]}'"], ending)


class Plain:
    name: str

    class Settings:
        indexes = (Index(lambda o: o.name),)


@dataclass
class Data:
    name: str

    class Settings:
        indexes = (Index(lambda o: o.name),)


class Model(pydantic.BaseModel):
    name: str

    class Settings:
        indexes = (Index(lambda o: o.name),)


class Struct(msgspec.Struct):
    name: str

    class Settings:
        indexes = (Index(lambda o: o.name),)


@attrs.define
class Attrs:
    name: str

    class Settings:
        indexes = (Index(lambda o: o.name),)


@pytest.mark.parametrize("cls", [Plain, Data, Model, Struct, Attrs], ids=lambda cls: cls.__name__)
def test_a_nested_class_declares_whatever_the_kind_of_class(cls):
    conventions = DocumentConventions(indexes={cls: [Index(lambda o: o.name, unique=True)]})
    mappings = Mappings(conventions)
    mapping = mappings.for_class(cls)

    found = DeclaredIndexes(conventions).of_collection(mapping.collection, "t", mappings).definitions

    assert [each.name for each in found] == ["t_name_idx", "t_name_key"]


def test_what_is_no_declaration_is_refused():
    with pytest.raises(InvalidArgumentTypeException, match="Index"):
        document(indexes=["company"])
    with pytest.raises(InvalidArgumentTypeException, match="Index"):
        DocumentConventions(indexes={Order: ["company"]})
    with pytest.raises(InvalidArgumentTypeException, match="by class or collection"):
        DocumentConventions(indexes=[Index(lambda o: o.company)])
