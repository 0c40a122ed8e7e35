"""Short ways to put documents into a store and to look at them, and at their rows."""

import asyncio
import contextlib
import json

import psycopg
from psycopg import sql


async def save(store, *entities, **options):
    """Save *entities*, each an entity or (entity, id), in a session of its own; returns the first one's id."""
    async with store.open_session(**options) as session:
        for given in entities:
            entity, key = given if isinstance(given, tuple) else (given, None)
            await session.store(entity, key)
        first = entities[0][0] if isinstance(entities[0], tuple) else entities[0]
        await session.save_changes()
        return session.advanced.get_document_id(first)


async def read(store, key, object_type=None):
    """Load a document in a session of its own."""
    async with store.open_session() as session:
        return await session.load(key, object_type)


async def change(store, key, object_type, **attributes):
    """Change a document in a session of its own, as somebody else would."""
    async with store.open_session() as session:
        entity = await session.load(key, object_type)
        for name, value in attributes.items():
            setattr(entity, name, value)
        await session.save_changes()


async def remove(store, *keys):
    """Delete documents in a session of its own."""
    async with store.open_session() as session:
        for key in keys:
            session.delete(key)
        await session.save_changes()


class _Digits(str):
    """A number by its digits."""

    __slots__ = ()


class Rows:
    """The rows of one test's database, past the session."""

    def __init__(self, url, database):
        self._connection = psycopg.connect(url, autocommit=True)
        self._database = database

    def close(self):
        self._connection.close()

    def _run(self, text, table, *parameters):
        statement = sql.SQL(text).format(sql.Identifier(self._database, table))
        return self._connection.execute(statement, parameters)

    def data(self, table, key):
        """The document as stored; None where there is none."""
        row = self._run("SELECT data FROM {} WHERE id = %s", table, key).fetchone()
        return row[0] if row else None

    def text(self, table, key):
        """The same as PostgreSQL writes it, to the digit."""
        return self._run("SELECT data::text FROM {} WHERE id = %s", table, key).fetchone()[0]

    def metadata(self, table, key):
        return self._run("SELECT metadata FROM {} WHERE id = %s", table, key).fetchone()[0]

    def version(self, table, key):
        row = self._run("SELECT version FROM {} WHERE id = %s", table, key).fetchone()
        return row[0] if row else None

    def ids(self, table):
        return [row[0] for row in self._run("SELECT id FROM {} ORDER BY id", table)]

    def exact(self, table, key):
        """The document as stored, every number a Decimal of exactly its digits, in its text form."""
        return json.loads(self.text(table, key), parse_float=_Digits, parse_int=_Digits)

    def refuse(self, table, member, value, *, deferred=False):
        """Have the server refuse documents whose *member* is *value*: at once, or when they are committed."""
        if not deferred:
            self._run(f"ALTER TABLE {{}} ADD CONSTRAINT refused CHECK (data ->> '{member}' <> '{value}')", table)
            return
        function = sql.Identifier(self._database, "refuse")
        self._connection.execute(
            sql.SQL(
                "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS "
                "$$BEGIN IF NEW.data ->> {} = {} THEN RAISE 'refused'; END IF; RETURN NULL; END$$"
            ).format(function, sql.Literal(member), sql.Literal(value))
        )
        self._connection.execute(
            sql.SQL(
                "CREATE CONSTRAINT TRIGGER refused AFTER INSERT OR UPDATE ON {} DEFERRABLE INITIALLY DEFERRED "
                "FOR EACH ROW EXECUTE FUNCTION {}()"
            ).format(sql.Identifier(self._database, table), function)
        )

    def allow(self, table):
        """Take `refuse` back."""
        self._run("DROP TRIGGER IF EXISTS refused ON {}", table)
        self._run("ALTER TABLE {} DROP CONSTRAINT IF EXISTS refused", table)

    def analyze(self, table):
        """Let the planner know what there is."""
        self._run("VACUUM ANALYZE {}", table)

    def write(self, table, key, data):
        """Replace the document of a row that exists, as another program would."""
        text = data if isinstance(data, str) else json.dumps(data)
        self._run("UPDATE {} SET data = %s::jsonb, version = version + 1 WHERE id = %s", table, text, key)

    def write_old(self, table, key, data, metadata):
        """The same with the metadata, as an older program has left it; None is SQL's null."""
        self.write(table, key, data)
        self._run("UPDATE {} SET metadata = %s::jsonb WHERE id = %s", table, metadata, key)


@contextlib.contextmanager
def driven(face, url, database):
    """A store of a face, and a function that runs a coroutine on its loop: for Hypothesis, which calls functions."""
    with asyncio.Runner() as runner:
        store = face.store(url, database=database)
        try:
            yield store, runner.run
        finally:
            runner.run(store.close())
