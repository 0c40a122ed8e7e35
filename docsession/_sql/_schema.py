"""The tables of a database, as SQLAlchemy describes them and as PostgreSQL is told to make them.

A database is a schema. `build_metadata` and `collection_table` describe tables without naming one, as Alembic's
revisions do; whoever needs SQL for a given database gets it from the functions below, qualified and quoted.

What makes or drops something is one `DO` block that takes the database's lock itself, to be run alone and outside a
transaction. It waits by trying again and again, each time in a transaction of its own: a blocking wait holds a
snapshot, for which a migration's `CREATE INDEX CONCURRENTLY` waits, so that neither would ever end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

from sqlalchemy import BigInteger, Column, MetaData, PrimaryKeyConstraint, String, Table, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.elements import quoted_name

from docsession._sql._definitions import DEFINITIONS, Definition
from docsession._sql._instant import create_instant_statement
from docsession._sql._quoting import qualified, quote_identifier, quote_literal

SYSTEM_PREFIX = "docsession_"
COLLECTIONS_TABLE = "docsession_collections"
HILO_TABLE = "docsession_hilo"
COMPARE_EXCHANGE_TABLE = "docsession_compare_exchange"
IDENTITIES_TABLE = "docsession_identities"
QUERY_SHAPES_TABLE = "docsession_query_shapes"
VERSION_TABLE = "docsession_alembic_version"
"""Where Alembic records the revision of a database; no part of the MetaData, since Alembic makes it itself."""
PROJECT_VERSION_TABLE = "docsession_project_version"
"""Where Alembic records how far a project's own revisions have come, which follow docsession's."""

HEAD_REVISION = "0003"
"""The newest revision in `migrations/versions`: the one that `create_database_statements` builds."""

_ADDED_SINCE = {
    "0001": (COMPARE_EXCHANGE_TABLE, IDENTITIES_TABLE, QUERY_SHAPES_TABLE),
    "0002": (QUERY_SHAPES_TABLE,),
}
"""What the newest revision adds to older ones that lack nothing but system tables; they may be made on first use."""

COLLECTION_COLUMNS = ("id", "data", "metadata", "version", "last_modified")

LOCK_NOT_AVAILABLE = "55P03"
"""SQLSTATE when the lock of a database did not become free in time: nothing was done, try again later."""

LOCK_WAIT_SECONDS = 60

_DIALECT = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # SQLAlchemy does not annotate it


def _name(name: str) -> quoted_name:
    return quoted_name(name, quote=True)


def _key_text() -> Text:
    """The type of ids and names: compared by code point, so that no locale update disturbs an index."""
    return Text(collation="C")


def build_metadata() -> MetaData:
    """Return new MetaData with the system tables, without a schema."""
    metadata = MetaData()
    Table(
        COLLECTIONS_TABLE,
        metadata,
        Column("prefix", _key_text(), nullable=False),
        Column("collection", _key_text(), nullable=False),
        Column("table", _key_text(), nullable=False),
        PrimaryKeyConstraint("prefix", "collection"),
    )
    Table(
        HILO_TABLE,
        metadata,
        Column("collection", _key_text(), primary_key=True),
        Column("max", BigInteger, nullable=False),
    )
    Table(
        COMPARE_EXCHANGE_TABLE,
        metadata,
        Column("key", _key_text(), primary_key=True),
        Column("index", BigInteger, autoincrement=False, nullable=False),
        Column("value", postgresql.JSONB),
        Column("metadata", postgresql.JSONB),
    )
    Table(
        IDENTITIES_TABLE,
        metadata,
        Column("name", _key_text(), primary_key=True),
        Column("value", BigInteger, autoincrement=False, nullable=False),
    )
    Table(
        QUERY_SHAPES_TABLE,
        metadata,
        Column("digest", _key_text(), primary_key=True),
        Column("collection", _key_text(), nullable=False),
        Column("shape", postgresql.JSONB, nullable=False),
        Column("count", BigInteger, nullable=False),
        Column("microseconds", BigInteger, nullable=False),
        Column("last_seen", postgresql.TIMESTAMP(timezone=True), nullable=False),
    )
    return metadata


def collection_table(metadata: MetaData, table_name: str, definitions: Sequence[Definition] = ()) -> Table:
    """Return the table of a collection in *metadata*, adding it where it is not there yet.

    What else it has, indexes and the like, are texts (in `Table.info`, under the key `docsession_definitions`), since
    SQLAlchemy's own descriptions of expressions do not survive a comparison with those that PostgreSQL gives back.
    """
    known = metadata.tables.get(table_name)
    if known is None:
        known = _collection_table(metadata, table_name)
    if definitions:
        known.info[DEFINITIONS] = tuple(definitions)
    return known


def _collection_table(metadata: MetaData, table_name: str) -> Table:
    return Table(
        _name(table_name),
        metadata,
        Column("id", _key_text(), primary_key=True),
        Column("data", postgresql.JSONB, nullable=False),
        Column("metadata", postgresql.JSONB),
        Column("version", BigInteger, autoincrement=False, nullable=False),
        Column("last_modified", postgresql.TIMESTAMP(timezone=True), nullable=False),
    )


def version_table(metadata: MetaData, name: str = VERSION_TABLE) -> Table:
    """Return the table that Alembic keeps the revision in, exactly as Alembic makes it."""
    return Table(
        name,
        metadata,
        Column("version_num", String(32), nullable=False),
        PrimaryKeyConstraint("version_num", name=f"{name}_pkc"),
    )


def lock_key(database: str) -> int:
    """Return the key of the advisory lock that guards the schema *database*, a signed 64-bit number.

    PostgreSQL keeps advisory locks apart by server database, so the schema's name is enough.
    """
    digest = hashlib.sha256(b"docsession\0" + database.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def try_lock_statement(database: str) -> str:
    """Return the query that takes the lock of *database* until the end of the transaction, or answers false at once."""
    return f"SELECT pg_catalog.pg_try_advisory_xact_lock({lock_key(database)})"


def create_database_statements(database: str) -> list[str]:
    """Return what makes *database*: schema, system tables, function, Alembic's revision.

    Each statement is to be run alone, outside a transaction. They may be run by any number of processes at once, and
    again: a database that has a revision already, this one or another, is left as it is, because only the migrations
    know the way from one to the next.

    Raises:
        InvalidArgumentException: *database* cannot be a name.
    """
    version_name = qualified(database, VERSION_TABLE)
    tables = "".join(
        f"{create_system_table_statement(database, name)};\n" for name in _system_columns() if name != VERSION_TABLE
    )
    body = (
        f"missing := pg_catalog.to_regclass({quote_literal(version_name)}) IS NULL;\n"
        "IF NOT missing THEN\n"
        f"missing := NOT EXISTS (SELECT FROM {version_name});\n"
        "END IF;\n"
        "IF missing THEN\n"
        # CREATE SCHEMA IF NOT EXISTS wants the right to create schemas even where there is nothing to do.
        f"IF pg_catalog.to_regnamespace({quote_literal(quote_identifier(database))}) IS NULL THEN\n"
        f"CREATE SCHEMA {quote_identifier(database)};\n"
        "END IF;\n"
        f"{tables}"
        f"{create_instant_statement(database)};\n"
        f"{create_system_table_statement(database, VERSION_TABLE)};\n"
        f"INSERT INTO {version_name} (version_num) VALUES ('{HEAD_REVISION}');\n"
        "END IF;\n"
    )
    return [_locked(database, body, "missing pg_catalog.bool;\n")]


def complete_database_statements(database: str) -> list[str]:
    """Return what makes the system tables that a database made by an older docsession lacks, and records that.

    To be run as those of `create_database_statements`. Only revisions that differ from the newest one in nothing but
    missing system tables are brought there; all others are left to the migrations, as they are.

    Raises:
        InvalidArgumentException: *database* cannot be a name.
    """
    version_name = qualified(database, VERSION_TABLE)
    steps = "".join(
        f"IF pg_catalog.to_regclass({quote_literal(version_name)}) IS NOT NULL THEN\n"
        f"IF EXISTS (SELECT FROM {version_name} WHERE version_num OPERATOR(pg_catalog.=) '{revision}') THEN\n"
        + "".join(f"{create_system_table_statement(database, name)};\n" for name in added)
        + f"UPDATE {version_name} SET version_num = '{HEAD_REVISION}' "
        f"WHERE version_num OPERATOR(pg_catalog.=) '{revision}';\n"
        "END IF;\n"
        "END IF;\n"
        for revision, added in _ADDED_SINCE.items()
    )
    return [_locked(database, steps)]


def create_collection_statements(database: str, table: str, further: Sequence[str] = ()) -> list[str]:
    """Return what makes the table of a collection in *database*, which must exist.

    To be run as those of `create_database_statements`. Another table of that name is refused with SQLSTATE 42P07.

    Args:
        database: The database.
        table: The table.
        further: Statements that make its indexes and the like, run only where the table was not there.

    Raises:
        InvalidArgumentException: *database* or *table* cannot be a name.
    """
    return [_locked(database, _create_collection(database, table, further))]


def create_collection_statement(database: str, table: str) -> str:
    """Return the same for a migration, which holds the lock of *database* already."""
    return f"DO {quote_literal(f'BEGIN{chr(10)}{_create_collection(database, table)}END')}"


def _create_collection(database: str, table: str, further: Sequence[str] = ()) -> str:
    name = qualified(database, table)
    added = "".join(f"{statement};\n" for statement in further)
    return (
        # CREATE TABLE IF NOT EXISTS wants the right to make tables even where there is nothing to do.
        f"IF pg_catalog.to_regclass({quote_literal(name)}) IS NULL THEN\n"
        f"{_create_table(database, table, _collection_columns())};\n"
        f"{added}"
        "END IF;\n"
        f"IF NOT {_is_collection(f'{quote_literal(name)}::pg_catalog.regclass')} THEN\n"
        "RAISE EXCEPTION 'there is a table % already, and it is not one of docsession', "
        f"{quote_literal(name)} USING ERRCODE = 'duplicate_table';\n"
        "END IF;\n"
    )


def create_system_table_statement(database: str, name: str) -> str:
    """Return what makes one system table of *database*, whose lock must be held."""
    return _create_table(database, name, _system_columns()[name])


def collection_tables_query(database: str) -> str:
    """Return the query for the names of all tables in *database* that have the columns of a collection."""
    schema = quote_literal(quote_identifier(database))
    return (
        "SELECT relname::pg_catalog.text FROM pg_catalog.pg_class\n"
        f"WHERE relnamespace OPERATOR(pg_catalog.=) {schema}::pg_catalog.regnamespace\n"
        "AND relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog.\"char\"[])\n"
        f"AND {_is_collection('oid')} ORDER BY relname"
    )


def drop_database_statements(database: str) -> list[str]:
    """Return what drops *database* with all its documents.

    To be run as those of `create_database_statements`. SQLSTATE 3F000 says that there is no such database. A schema
    that is none of docsession's, or that holds tables beside docsession's own, is refused with SQLSTATE 2BP01 and left
    as it is.

    Raises:
        InvalidArgumentException: *database* cannot be a name.
    """
    schema = quote_identifier(database)
    catalogue = qualified(database, COLLECTIONS_TABLE)
    body = (
        f"IF pg_catalog.to_regnamespace({quote_literal(schema)}) IS NULL THEN\n"
        f"RAISE EXCEPTION 'there is no database %', {quote_literal(schema)} USING ERRCODE = 'invalid_schema_name';\n"
        "END IF;\n"
        f"IF pg_catalog.to_regclass({quote_literal(catalogue)}) IS NULL THEN\n"
        f"RAISE EXCEPTION 'the schema % is no database of docsession', {quote_literal(schema)} "
        "USING ERRCODE = 'dependent_objects_still_exist';\n"
        "END IF;\n"
        f"foreign_tables := (SELECT pg_catalog.string_agg(relname::pg_catalog.text, ', ' ORDER BY relname) "
        "FROM pg_catalog.pg_class\n"
        f"WHERE relnamespace OPERATOR(pg_catalog.=) {quote_literal(schema)}::pg_catalog.regnamespace\n"
        "AND relkind OPERATOR(pg_catalog.=) ANY ('{r,p,f}'::pg_catalog.\"char\"[])\n"
        f"AND NOT pg_catalog.starts_with(relname::pg_catalog.text, '{SYSTEM_PREFIX}')\n"
        f'AND NOT EXISTS (SELECT FROM {catalogue} AS c WHERE c."table" OPERATOR(pg_catalog.=) '
        "relname::pg_catalog.text)\n"
        # A collection whose first flush failed has a table and no entry in the catalogue.
        f"AND NOT {_is_collection('oid')});\n"
        "IF foreign_tables IS NOT NULL THEN\n"
        f"RAISE EXCEPTION 'the schema % holds tables that are not of docsession: %', {quote_literal(schema)}, "
        "foreign_tables USING ERRCODE = 'dependent_objects_still_exist';\n"
        "END IF;\n"
        f"DROP SCHEMA {schema} CASCADE;\n"
    )
    return [_locked(database, body, "foreign_tables pg_catalog.text;\n")]


def _is_collection(oid: str) -> str:
    """Return the condition that the table with *oid* has the columns of a collection."""
    columns = ", ".join(f"'{column}'" for column in COLLECTION_COLUMNS)
    return (
        "((SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute\n"
        f"WHERE attrelid OPERATOR(pg_catalog.=) {oid} AND attname OPERATOR(pg_catalog.=) "
        f"ANY (ARRAY[{columns}]::pg_catalog.name[])) OPERATOR(pg_catalog.=) {len(COLLECTION_COLUMNS)})"
    )


def _create_table(database: str, name: str, columns: str) -> str:
    return f"CREATE TABLE IF NOT EXISTS {qualified(database, name)} {columns}"


@cache
def _system_columns() -> dict[str, str]:
    """Return what follows the name in CREATE TABLE, for each system table; to compile it takes milliseconds."""
    metadata = build_metadata()
    version_table(metadata)
    return {table.name: _columns_of(table) for table in metadata.tables.values()}


@cache
def _collection_columns() -> str:
    """Return the same for the table of any collection."""
    return _columns_of(_collection_table(MetaData(), "collection"))


def _columns_of(table: Table) -> str:
    text = str(CreateTable(table).compile(dialect=_DIALECT)).strip()
    return text[text.index("(") :]


def _locked(database: str, body: str, declarations: str = "") -> str:
    """Return the `DO` block that waits for the lock of *database* and then runs *body*, in one transaction."""
    key = lock_key(database)
    block = (
        "DECLARE\n"
        f"give_up pg_catalog.timestamptz := pg_catalog.clock_timestamp() "
        f"OPERATOR(pg_catalog.+) '{LOCK_WAIT_SECONDS}s'::pg_catalog.interval;\n"
        f"{declarations}"
        "BEGIN\n"
        f"WHILE NOT pg_catalog.pg_try_advisory_xact_lock({key}) LOOP\n"
        "IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) give_up THEN\n"
        f"RAISE EXCEPTION 'another process has been changing the schema % for {LOCK_WAIT_SECONDS} seconds', "
        f"{quote_literal(quote_identifier(database))} USING ERRCODE = 'lock_not_available';\n"
        "END IF;\n"
        "COMMIT;\n"
        "PERFORM pg_catalog.pg_sleep(0.05);\n"
        "END LOOP;\n"
        f"{body}"
        "END"
    )
    return f"DO {quote_literal(block)}"
