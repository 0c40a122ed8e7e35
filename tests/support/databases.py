"""Databases for tests that do not make their own: each is used by many tests, one after the other."""

import uuid

import psycopg
from psycopg import sql

from docsession._sql._schema import HEAD_REVISION, VERSION_TABLE, build_metadata, create_database_statements

_SYSTEM_TABLES = sorted(build_metadata().tables)

# All that is in a schema, each with the transaction that made or last altered it.
_CONTENTS = """\
WITH s AS (SELECT oid, xmin, nspname FROM pg_namespace WHERE nspname = %s),
r AS (SELECT c.oid, c.xmin, relname, relkind FROM pg_class c JOIN s ON relnamespace = s.oid)
SELECT 'schema', nspname::text, oid, xmin::text FROM s
UNION ALL SELECT relkind::text, relname::text, oid, xmin::text FROM r
UNION ALL SELECT 'column', attname::text, r.oid, a.xmin::text FROM pg_attribute a JOIN r ON attrelid = r.oid
  WHERE attnum > 0
UNION ALL SELECT 'constraint', conname::text, c.oid, c.xmin::text FROM pg_constraint c JOIN s ON connamespace = s.oid
UNION ALL SELECT 'trigger', tgname::text, t.oid, t.xmin::text FROM pg_trigger t JOIN r ON tgrelid = r.oid
UNION ALL SELECT 'function', proname::text, p.oid, p.xmin::text FROM pg_proc p JOIN s ON pronamespace = s.oid
UNION ALL SELECT 'type', typname::text, t.oid, t.xmin::text FROM pg_type t JOIN s ON typnamespace = s.oid
UNION ALL SELECT 'statistics', stxname::text, x.oid, x.xmin::text FROM pg_statistic_ext x JOIN s ON stxnamespace = s.oid
"""


class Databases:
    """Empty databases of a server, made when there is no free one.

    What a test has written is deleted and the tables of its collections are dropped. Where anything beside that is not
    as it was made (an altered table, a right that was granted), the database is dropped.
    """

    def __init__(self, url):
        self._url = url
        self._connection = None
        self._free = []

    def close(self):
        for name, _ in self._free:
            self.drop(name)
        if self._connection is not None:
            self._connection.close()

    def take(self):
        """Return a database, as `create_database` leaves one: its name, and what is to be given back with it."""
        if self._free:
            return self._free.pop()
        name = f"test_{uuid.uuid4().hex[:12]}"
        for statement in create_database_statements(name):
            self._execute(statement)
        return name, self._contents(name)

    def give_back(self, name, contents):
        """Take a database back, after the stores that used it were closed."""
        tables = [row[1] for row in self._contents(name) - contents if row[0] in {"r", "p"}]
        try:
            with self._connection.transaction():
                if tables:
                    self._run(name, "DROP TABLE {} CASCADE", *tables)
                for table in _SYSTEM_TABLES:
                    self._run(name, "DELETE FROM {}", table)
                revisions = self._run(name, "SELECT version_num FROM {}", VERSION_TABLE).fetchall()
                is_clean = revisions == [(HEAD_REVISION,)] and self._contents(name) == contents
        except psycopg.Error:  # a table of the system's is not there any more, or has a trigger
            is_clean = False
        if is_clean:
            self._free.append((name, contents))
        else:
            self.drop(name)

    def drop(self, name):
        """Drop a database with all that is in it, where there is one."""
        self._execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))

    def _contents(self, name):
        return set(self._execute(_CONTENTS, (name,)).fetchall())

    def _run(self, name, text, *tables):
        tables = sql.SQL(", ").join(sql.Identifier(name, table) for table in tables)
        return self._execute(sql.SQL(text).format(tables))

    def _execute(self, statement, parameters=None):
        if self._connection is None or self._connection.closed:  # a test may have ended it
            self._connection = psycopg.connect(self._url, autocommit=True)
            self._connection.execute("SET lock_timeout = '60s'")  # for what a test has left open
        return self._connection.execute(statement, parameters)
