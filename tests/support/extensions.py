"""Extensions of PostgreSQL, which not every server of the tests has."""

import psycopg

SCHEMAS = {"vector": "pgvector", "pg_trgm": "trigrams"}
"""Where they are made: schemas that no search path has."""


def made(url, name):
    """Return True where the server has the extension, which is then made."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = %s", [name]).fetchone()
        if found:
            # Two at once would get into each other's way.
            connection.execute("SELECT pg_advisory_lock(hashtext('docsession tests: extensions'))")
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMAS[name]}")
            connection.execute(f"CREATE EXTENSION IF NOT EXISTS {name} SCHEMA {SCHEMAS[name]}")
    return found is not None
