"""What goes back: statements that remove tables, and refuse where documents would be lost.

Each is one `DO` block, whose database's lock must be held, and which may stand in a script for psql as well.
"""

from __future__ import annotations

from docsession._sql._quoting import qualified, quote_identifier, quote_literal
from docsession._sql._schema import COLLECTIONS_TABLE, collection_tables_query


def drop_collection_statement(database: str, table: str) -> str:
    """Return what drops the table of a collection, with its rows of the catalogue, where it is there and empty.

    One that holds documents is refused with SQLSTATE 2BP01.
    """
    name = qualified(database, table)
    catalogue = qualified(database, COLLECTIONS_TABLE)
    return _block(
        f"IF pg_catalog.to_regclass({quote_literal(name)}) IS NOT NULL THEN\n"
        f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE;\n"
        f"IF EXISTS (SELECT FROM {name}) THEN\n"
        "RAISE EXCEPTION 'the table % holds documents, which would be lost; delete them first', "
        f"{quote_literal(name)} USING ERRCODE = 'dependent_objects_still_exist';\n"
        "END IF;\n"
        f'DELETE FROM {catalogue} WHERE "table" OPERATOR(pg_catalog.=) {quote_literal(table)};\n'
        f"DROP TABLE {name};\n"
        "END IF;\n"
    )


def refuse_collections_statement(database: str) -> str:
    """Return what fails with SQLSTATE 2BP01 where *database* holds collections, or tables of some."""
    schema = quote_literal(quote_identifier(database))
    catalogue = qualified(database, COLLECTIONS_TABLE)
    return _block(
        f"found := (SELECT pg_catalog.string_agg(DISTINCT collection, ', ') FROM {catalogue});\n"
        "IF found IS NULL THEN\n"
        f"found := (SELECT pg_catalog.string_agg(relname, ', ') FROM ({collection_tables_query(database)}) AS t);\n"
        "END IF;\n"
        "IF found IS NOT NULL THEN\n"
        f"RAISE EXCEPTION 'the database % holds collections (%)', {schema}, found "
        "USING ERRCODE = 'dependent_objects_still_exist';\n"
        "END IF;\n",
        "found pg_catalog.text;\n",
    )


def refuse_rows_statement(database: str, table: str, things: str) -> str:
    """Return what fails with SQLSTATE 2BP01 where *table* has rows, each of which is one of *things*."""
    return _block(
        f"IF EXISTS (SELECT FROM {qualified(database, table)}) THEN\n"
        f"RAISE EXCEPTION 'the database % holds %', {quote_literal(quote_identifier(database))}, "
        f"{quote_literal(f'{things} in {table}')} USING ERRCODE = 'dependent_objects_still_exist';\n"
        "END IF;\n"
    )


def _block(body: str, declarations: str = "") -> str:
    declare = f"DECLARE\n{declarations}" if declarations else ""
    return f"DO {quote_literal(f'{declare}BEGIN{chr(10)}{body}END')}"
