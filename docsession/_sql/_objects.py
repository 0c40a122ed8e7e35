"""Questions about indexes, columns and statistics that a database has, and about documents that an index refuses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from docsession._port import Row, Statement, TextArray
from docsession._sql._definitions import COMMENT_PREFIX, Definition, Kind, render
from docsession._sql._quoting import quote_identifier
from docsession._sql._tables import TableStatements

_OBJECTS = b"""
WITH t AS (
    SELECT c.oid, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = ANY($2) AND c.relkind IN ('r', 'p')
)
SELECT 'COLUMN', t.relname::text, a.attname::text, pg_catalog.col_description(t.oid, a.attnum), true
FROM t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT IN ('id', 'data', 'metadata', 'version', 'last_modified')
UNION ALL
SELECT 'INDEX', t.relname::text, i.relname::text, pg_catalog.obj_description(i.oid, 'pg_class'), x.indisvalid
FROM t JOIN pg_catalog.pg_index x ON x.indrelid = t.oid JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
WHERE NOT x.indisprimary
UNION ALL
SELECT 'STATISTICS', t.relname::text, s.stxname::text, pg_catalog.obj_description(s.oid, 'pg_statistic_ext'), true
FROM t JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid = t.oid
UNION ALL
SELECT 'CONSTRAINT', t.relname::text, k.conname::text,
    pg_catalog.obj_description(k.oid, 'pg_constraint'), k.convalidated
FROM t JOIN pg_catalog.pg_constraint k ON k.conrelid = t.oid WHERE k.contype = 'f'
"""

_EXTENSIONS = (
    b"SELECT e.extname::text, n.nspname::text, e.extversion FROM pg_catalog.pg_extension e "
    b"JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = ANY($1)"
)

_IN_THE_WAY = b"""
SELECT given.pid FROM unnest($1) AS given(pid) LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid::text = given.pid
WHERE a.pid IS NULL OR a.datname = current_database() AND (a.backend_xmin IS NOT NULL OR EXISTS (
    SELECT 1 FROM pg_catalog.pg_locks l
    WHERE l.pid = a.pid AND l.locktype = 'relation' AND l.relation = pg_catalog.to_regclass($2)
))
"""


@dataclass(frozen=True, slots=True)
class Found:
    """An index, column, statistics object or foreign key that a table has.

    Attributes:
        digest: That of the definition it was made of; None: it is not docsession's.
        is_valid: False for an index whose making was interrupted, and a foreign key that was not checked.
    """

    kind: Kind
    table: str
    name: str
    digest: str | None
    is_valid: bool

    def is_made_of(self, definition: Definition) -> bool:
        """Return True where it is what *definition* makes."""
        return self.is_valid and self.digest == definition.digest


def objects_of(schema: str, tables: Iterable[str]) -> Statement:
    """Return the question which of them the tables of a database have; `found_of` reads the rows."""
    return Statement(_OBJECTS, (schema, TextArray(tables)))


def found_of(rows: Iterable[Row]) -> list[Found]:
    """Return what the rows of `objects_of` say."""
    return [
        Found(
            Kind(kind),
            table,
            name,
            comment.removeprefix(COMMENT_PREFIX) if (comment or "").startswith(COMMENT_PREFIX) else None,
            is_valid,
        )
        for kind, table, name, comment, is_valid in rows
    ]


def extensions_named(names: Iterable[str]) -> Statement:
    """Return the question in which schema each extension is, and its version; those without a row are missing."""
    return Statement(_EXTENSIONS, (TextArray(names),))


def transactions_in_the_way(table: TableStatements, pids: Iterable[int]) -> Statement:
    """Return the question which of the server's processes have a transaction that an index of *table* waits for.

    That is one that has a lock of the table, or a snapshot; or one with a number that a pooler has made up, of which
    the server cannot tell.
    """
    return Statement(_IN_THE_WAY, (TextArray(map(str, pids)), table.name))


def analyze(table: TableStatements) -> Statement:
    """Return what lets the planner know the values of new indexes."""
    return Statement(f"ANALYZE {table.name}".encode())


def equal_documents(table: TableStatements, definition: Definition, schema: str) -> bytes:
    """Return the question which documents of a flush have what a unique index knows already.

    $1 ids, $2 their data and $3 their metadata as JSON ("": none). Each row is the id of a document and
    that of another one, of the flush or of the table, with the same values.
    """
    given, keys = _given(definition, schema)
    given_too = " AND ".join(f"b.k{n} = o.k{n}" for n in range(len(keys)))
    stored = " AND ".join(f"({key}) = b.k{n}" for n, key in enumerate(keys))
    condition = "" if definition.condition is None else f" AND ({render(definition.condition, schema)})"
    return (
        f"WITH b AS MATERIALIZED ({given}) "
        f"SELECT o.id, b.id FROM b JOIN b AS o ON {given_too} AND o.id > b.id UNION ALL "
        f"SELECT b.id, s.id FROM b JOIN LATERAL (SELECT id FROM {table.name} WHERE {stored}{condition} "
        "AND NOT id = ANY($1) LIMIT 1) AS s ON true LIMIT 100"
    ).encode()


def unreferred_documents(definition: Definition, schema: str) -> bytes:
    """Return the question which documents of a flush refer to what is not there, by a foreign key.

    The parameters are those of `equal_documents`.
    """
    given, _ = _given(definition, schema)
    place, column = _referenced(definition)
    return (
        f"SELECT id FROM ({given}) AS b WHERE k0 IS NOT NULL "
        f"AND NOT EXISTS (SELECT 1 FROM {place} AS r WHERE r.{column} = b.k0) ORDER BY id LIMIT 100"
    ).encode()


def unreferred_stored_documents(table: TableStatements, definition: Definition, schema: str) -> bytes:
    """Return the same question of the documents that are stored."""
    place, column = _referenced(definition)
    stored = f"SELECT id, {render(definition.keys[0], schema)} AS k0 FROM {table.name}"
    return (
        f"SELECT id FROM ({stored}) AS b WHERE k0 IS NOT NULL "
        f"AND NOT EXISTS (SELECT 1 FROM {place} AS r WHERE r.{column} = b.k0) ORDER BY id LIMIT 100"
    ).encode()


def referred_documents(table: TableStatements, definition: Definition) -> bytes:
    """Return the question which documents that are to be deleted a foreign key refers to; $1 are their ids.

    Each row is the id of one, and that of a document of *table* that refers to it.
    """
    column = quote_identifier(definition.needs[0])
    return (
        f"SELECT d.id, r.id FROM unnest($1) AS d(id) JOIN LATERAL "
        f"(SELECT id FROM {table.name} WHERE {column} = d.id LIMIT 1) AS r ON true ORDER BY 1 LIMIT 100"
    ).encode()


def long_documents(definition: Definition, schema: str) -> bytes:
    """Return the question how many bytes the values of an index take of each document of a flush, the longest first.

    The parameters are those of `equal_documents`.
    """
    given, keys = _given(definition, schema)
    total = " + ".join(f"coalesce(pg_catalog.octet_length(k{n}::text), 0)" for n in range(len(keys)))
    return f"SELECT id, ({total})::bigint FROM ({given}) AS b ORDER BY 2 DESC LIMIT 1".encode()


def long_stored_document(table: TableStatements, definition: Definition, schema: str) -> bytes:
    """Return the same question of the documents that are stored."""
    total = " + ".join(
        f"coalesce(pg_catalog.octet_length(({render(key, schema)})::text), 0)" for key in definition.keys
    )
    return f"SELECT id, ({total})::bigint FROM {table.name} ORDER BY 2 DESC LIMIT 1".encode()


def sample_of_values(table: TableStatements, definition: Definition, schema: str, percent: float) -> str:
    """Return the question how many documents of a sample there are, and how many different values of an index's keys.

    Args:
        table: The table.
        definition: The index.
        schema: The database.
        percent: How much of the table is looked at.
    """
    keys = ", ".join(f"({render(key, schema)})" for key in definition.keys)
    sample = f"TABLESAMPLE SYSTEM ({min(percent, 100):.4f})" if percent < 100 else ""
    return f"SELECT count(*), count(DISTINCT ROW({keys})) FROM {table.name} {sample}"


def equal_stored_documents(table: TableStatements, definition: Definition, schema: str) -> bytes:
    """Return the question for two stored documents that cannot both be in a unique index."""
    keys = [f"({render(key, schema)})" for key in definition.keys]
    conditions = [f"{key} IS NOT NULL" for key in keys]
    if definition.condition is not None:
        conditions.append(f"({render(definition.condition, schema)})")
    return (
        f"SELECT min(id), max(id) FROM {table.name} WHERE {' AND '.join(conditions)} "
        f"GROUP BY {', '.join(keys)} HAVING count(*) > 1 LIMIT 1"
    ).encode()


def _referenced(definition: Definition) -> tuple[str, str]:
    """Return what a foreign key refers to: the table and the column."""
    assert definition.references is not None  # noqa: S101  # such a definition has them
    schema, table, column = map(quote_identifier, definition.references)
    return f"{schema}.{table}", column


def _given(definition: Definition, schema: str) -> tuple[str, Sequence[str]]:
    """Return the keys of documents that are parameters as rows (id, k0, k1, …), and the keys."""
    keys = [render(key, schema) for key in definition.keys]
    columns = ", ".join(f"({key}) AS k{n}" for n, key in enumerate(keys))
    where = "" if definition.condition is None else f" WHERE {render(definition.condition, schema)}"
    rows = (
        "SELECT u.id, u.data::jsonb AS data, nullif(u.metadata, '')::jsonb AS metadata "
        "FROM unnest($1, $2, $3) AS u(id, data, metadata)"
    )
    return f"SELECT id, {columns} FROM ({rows}) AS d{where}", keys
