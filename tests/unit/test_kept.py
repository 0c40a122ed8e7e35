"""PostgreSQL's descriptions of indexes and their like, as templates that name no schema."""

import pytest

from docsession._sql._definitions import Kind
from docsession._sql._kept import body_of

DESCRIPTIONS = [
    (
        Kind.INDEX,
        "CREATE INDEX i ON shop.orders USING btree (shop.docsession_instant((data -> 'shop.at'::text)), id)",
        "shop",
        "ON {schema}.orders USING btree ({schema}.docsession_instant((data -> 'shop.at'::text)), id)",
    ),
    (
        Kind.INDEX,
        """CREATE UNIQUE INDEX "a ON b" ON "x""y".orders USING btree (version) WHERE ("x""y" <> '{it''s "x""y".z}')""",
        'x"y',
        """ON {schema}.orders USING btree (version) WHERE ("x""y" <> '{{it''s "x""y".z}}')""",
    ),
    (
        Kind.STATISTICS,
        "CREATE STATISTICS shop.s ON (data ->> 'a'::text), (data ->> 'b'::text) FROM shop.orders",
        "shop",
        "ON (data ->> 'a'::text), (data ->> 'b'::text) FROM {schema}.orders",
    ),
    (
        Kind.FOREIGN_KEY,
        "FOREIGN KEY (firm) REFERENCES public.firms(id) DEFERRABLE INITIALLY DEFERRED NOT VALID",
        "shop",
        "FOREIGN KEY (firm) REFERENCES public.firms(id) DEFERRABLE INITIALLY DEFERRED",
    ),
]


@pytest.mark.parametrize(("kind", "description", "schema", "body"), DESCRIPTIONS)
def test_the_schema_is_found_where_it_is_one(kind, description, schema, body):
    assert body_of(kind, description, schema) == body
