"""What a migration asks a server of the indexes, generated columns, statistics and foreign keys of tables.

The texts have placeholders of SQLAlchemy's, since they run on the connection of whoever migrates.
"""

from __future__ import annotations

import re
from typing import Final

from docsession._sql._definitions import COMMENT_PREFIX, Definition, Kind, escaped, render
from docsession._sql._quoting import quote_identifier, quote_literal

_TABLES: Final = """
WITH t AS (
    SELECT c.oid, c.relname
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relname IN :tables AND c.relkind IN ('r', 'p')
)"""

KEPT: Final = f"""{_TABLES}, d AS (
    SELECT t.oid AS table_oid, d.classid, d.objid, pg_catalog.json_agg(DISTINCT a.attname::text)::text AS needs
    FROM t JOIN pg_catalog.pg_depend d ON d.refobjid = t.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
    JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
    WHERE d.refobjsubid > 0 GROUP BY t.oid, d.classid, d.objid
)
SELECT 'COLUMN' AS kind, t.relname::text AS "table", a.attname::text AS name,
    pg_catalog.col_description(t.oid, a.attnum) AS comment, true AS is_valid, '[]' AS needs,
    pg_catalog.format_type(a.atttypid, a.atttypmod)
    || coalesce(' COLLATE ' || o.collnamespace::pg_catalog.regnamespace::text
        || '.' || pg_catalog.quote_ident(o.collname), '')
    || ' GENERATED ALWAYS AS (' || pg_catalog.pg_get_expr(e.adbin, e.adrelid) || ') STORED' AS definition
FROM t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid
JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
JOIN pg_catalog.pg_attrdef e ON e.adrelid = t.oid AND e.adnum = a.attnum
LEFT JOIN pg_catalog.pg_collation o ON o.oid = a.attcollation AND a.attcollation <> y.typcollation
WHERE a.attgenerated = 's' AND NOT a.attisdropped
UNION ALL
SELECT 'INDEX', t.relname::text, i.relname::text, pg_catalog.obj_description(i.oid, 'pg_class'), x.indisvalid,
    coalesce(d.needs, '[]'), pg_catalog.pg_get_indexdef(i.oid)
FROM t JOIN pg_catalog.pg_index x ON x.indrelid = t.oid JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
LEFT JOIN d ON d.table_oid = t.oid AND d.objid = i.oid AND d.classid = 'pg_catalog.pg_class'::regclass
WHERE NOT x.indisprimary
UNION ALL
SELECT 'STATISTICS', t.relname::text, s.stxname::text, pg_catalog.obj_description(s.oid, 'pg_statistic_ext'), true,
    coalesce(d.needs, '[]'), pg_catalog.pg_get_statisticsobjdef(s.oid)
FROM t JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid = t.oid
LEFT JOIN d ON d.table_oid = t.oid AND d.objid = s.oid AND d.classid = 'pg_catalog.pg_statistic_ext'::regclass
UNION ALL
SELECT 'CONSTRAINT', t.relname::text, k.conname::text, pg_catalog.obj_description(k.oid, 'pg_constraint'),
    k.convalidated, coalesce(d.needs, '[]'), pg_catalog.pg_get_constraintdef(k.oid)
FROM t JOIN pg_catalog.pg_constraint k ON k.conrelid = t.oid
LEFT JOIN d ON d.table_oid = t.oid AND d.objid = k.oid AND d.classid = 'pg_catalog.pg_constraint'::regclass
WHERE k.contype = 'f'
"""
"""What the tables have. The texts of definitions are qualified where `search_path` is empty."""

ROWS: Final = f"""{_TABLES}
SELECT t.relname::text, c.reltuples::bigint FROM t JOIN pg_catalog.pg_class c ON c.oid = t.oid
"""
"""About how many rows the tables have; -1 where nobody has counted."""

EXTENSIONS: Final = (
    "SELECT e.extname::text, n.nspname::text FROM pg_catalog.pg_extension e "
    "JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname IN :names"
)
"""In which schema each extension is."""

VECTOR_SCHEMA: Final = (
    "SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension e "
    "JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
)
"""In which schema pgvector is, quoted."""

_TOKEN: Final = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[^\W\d][\w$]*|.""", re.DOTALL)
_NAME: Final = r"""(?:"(?:[^"]|"")*"|\S+?)"""
_HEADS: Final = {
    Kind.INDEX: re.compile(rf"CREATE (?:UNIQUE )?INDEX {_NAME} (?=ON )"),
    Kind.STATISTICS: re.compile(rf"CREATE STATISTICS {_NAME}\.{_NAME} "),
}


def body_of(kind: Kind, definition: str, schema: str) -> str:
    """Return the body of a `Definition` that makes what PostgreSQL has described, as a template.

    Args:
        kind: What it is.
        definition: PostgreSQL's description, with an empty `search_path`.
        schema: The database.
    """
    head = _HEADS.get(kind)
    text = definition if head is None else head.sub("", definition, count=1)
    if kind is Kind.FOREIGN_KEY:
        text = text.removesuffix(" NOT VALID")
    names = {quote_identifier(schema), schema}
    tokens = _TOKEN.findall(text)
    following = [*tokens[1:], ""]
    return "".join(
        "{schema}" if token in names and after == "." else escaped(token)
        for token, after in zip(tokens, following, strict=True)
    )


def make_way_statement(definition: Definition, schema: str) -> str:
    """Return the `DO` block for scripts that drops what an index replaces: an invalid one, or one declared otherwise.

    A valid index of that name that is not docsession's is refused.
    """
    name = quote_literal(f"{quote_identifier(schema)}.{quote_identifier(definition.name)}")
    comment = "pg_catalog.obj_description(indexrelid, 'pg_class')"
    found = f"SELECT FROM pg_catalog.pg_index WHERE indexrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass({name})"
    is_ours = f"coalesce(pg_catalog.starts_with({comment}, {quote_literal(COMMENT_PREFIX)}), false)"
    differs = f"{comment} IS DISTINCT FROM {quote_literal(definition.comment)}"
    message = quote_literal(
        f"there is an index {definition.name} already that is not one of docsession".replace("%", "%%")
    )
    body = (
        "BEGIN\n"
        f"IF EXISTS ({found} AND indisvalid AND NOT {is_ours}) THEN\n"
        f"RAISE EXCEPTION {message} USING ERRCODE = 'duplicate_object';\n"
        "END IF;\n"
        f"IF EXISTS ({found} AND (NOT indisvalid OR {differs})) THEN\n"
        f"{definition.drop(schema)};\n"
        "END IF;\n"
        "END"
    )
    return f"DO {quote_literal(body)}"


def make_statement(definition: Definition, schema: str, extensions: dict[str, str]) -> str:
    """Return what makes an index without keeping writers out; one that is there stays as it is."""
    words = "CREATE UNIQUE INDEX" if definition.is_unique else "CREATE INDEX"
    name = quote_identifier(definition.name)
    return f"{words} CONCURRENTLY IF NOT EXISTS {name} {render(definition.body, schema, extensions)}"


def analyze_statement(schema: str, table: str) -> str:
    """Return what lets the planner know the values of new indexes."""
    return f"ANALYZE {quote_identifier(schema)}.{quote_identifier(table)}"


def validate_statement(definition: Definition, schema: str) -> str:
    """Return what checks a foreign key that was made without."""
    table = f"{quote_identifier(schema)}.{quote_identifier(definition.table)}"
    return f"ALTER TABLE {table} VALIDATE CONSTRAINT {quote_identifier(definition.name)}"
