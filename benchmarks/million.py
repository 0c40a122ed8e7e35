"""An indexed query on a million documents, against SQL and an index that somebody wrote by hand."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
from documents import Order, make_order
from environment import Server
from harness import Candidate, Effort, Result, compare, measure
from psycopg import sql
from raw import Raw, entity

from docsession import DocumentConventions, DocumentSession, DocumentStore, Index

GROUP = "million"
COUNT = 1_000_000
COMPANIES = 50_000

COPIES = """
INSERT INTO {table} (id, data, version, last_modified)
SELECT 'orders/' || n || '-A',
    data || jsonb_build_object('company', 'companies/' || n % {companies} || '-A', 'freight', n % 100000),
    version, now()
FROM {table}, generate_series(1, {count}) n WHERE id = 'orders/first'
"""

BY_HAND = """
SELECT id, data FROM {table} WHERE data ->> 'company' = $1 ORDER BY (data ->> 'freight')::numeric, id LIMIT 20
"""

INDEX_BY_HAND = "CREATE INDEX ON {table} ((data ->> 'company'), ((data ->> 'freight')::numeric), id)"


def run(server: Server, effort: Effort) -> Iterator[Result]:
    name = "million"
    conventions = DocumentConventions(indexes={Order: [Index(lambda o: (o.company, o.freight))]})
    with DocumentStore(server.url, name, conventions=conventions) as store, closing(Raw(server.url, name)) as raw:
        table = sql.Identifier(name, "orders")
        with psycopg.connect(server.url, autocommit=True) as connection:
            with store.open_session() as session:
                session.store(make_order(0), "orders/first")
                session.save_changes()
            connection.execute(
                sql.SQL(COPIES).format(table=table, count=sql.Literal(COUNT), companies=sql.Literal(COMPANIES))
            )
            connection.execute(sql.SQL(INDEX_BY_HAND).format(table=table))
            connection.execute(sql.SQL("VACUUM ANALYZE {table}").format(table=table))
            yield twenty(store, raw, sql.SQL(BY_HAND).format(table=table).as_bytes(connection), effort)
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


def twenty(store: DocumentStore, raw: Raw, text: bytes, effort: Effort) -> Result:
    def asked(session: DocumentSession, company: str) -> list[Order]:
        return session.query(Order).where(lambda o: o.company == company).order_by(lambda o: o.freight).take(20).all()

    def by_hand(company: str) -> list[Any]:
        with raw.pool.connection() as connection:
            rows = connection.execute(text, [company], binary=True, prepare=True).fetchall()
            return [entity(row) for row in rows]

    def ours(company: str) -> list[Order]:
        with store.open_session() as session:
            return asked(session, company)

    def company() -> str:
        return f"companies/{random.randrange(COMPANIES)}-A"

    samples = measure({"raw": Candidate(by_hand, company), "docsession": Candidate(ours, company)}, effort, calls=20)
    return compare(GROUP, "20 of one company, sorted, of 1,000,000", samples, target=1.2)
