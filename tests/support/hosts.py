"""Owners of connections that sessions join: psycopg, SQLAlchemy and Django, under one set of words.

Each has the face it belongs to. Everything is awaited, also where nothing waits.
"""

import contextlib
import inspect

import psycopg
import sqlalchemy
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from docsession import RequestExecutor, SessionOptions

UNENCRYPTED = ("sslmode", "gssencmode")
"""What a proxy that reads the conversation asks for."""


def sqlalchemy_url(url):
    info = conninfo_to_dict(url)
    query = {name: info[name] for name in ("host", "port", *UNENCRYPTED) if name in info}
    return sqlalchemy.URL.create(
        "postgresql+psycopg", info["user"], info["password"], database=info["dbname"], query=query
    )


def session_on(store, host, **options):
    """A session of *store* on the connection of *host*."""
    given = RequestExecutor.for_connection(host.given)
    return store.open_session(session_options=SessionOptions(request_executor=given, **options))


async def finished(value):
    """Await *value* where it is to be awaited."""
    return await value if inspect.isawaitable(value) else value


class PsycopgHost:
    """A bare connection; savepoints are SQL, which docsession cannot see."""

    face = "blocking"
    tells_savepoints = False
    connection_class = psycopg.Connection

    async def open(self, url, *, autocommit=False):
        self.owner = await finished(self.connection_class.connect(url, autocommit=autocommit))

    @property
    def given(self):
        return self.owner

    async def driver(self):
        return self.owner

    async def execute(self, text, *params):
        cursor = await finished(self.owner.execute(text, params))
        return await finished(cursor.fetchall()) if cursor.description else None

    async def begin(self):
        """The first statement begins."""

    async def end(self):
        """Roll back, and begin nothing new."""
        await self.rollback()

    async def commit(self):
        await finished(self.owner.commit())

    async def rollback(self):
        await finished(self.owner.rollback())

    async def savepoint(self):
        await self.execute("SAVEPOINT theirs")

    async def release(self):
        await self.execute("RELEASE SAVEPOINT theirs")

    async def rollback_to(self):
        await self.execute("ROLLBACK TO SAVEPOINT theirs")
        await self.execute("RELEASE SAVEPOINT theirs")

    async def close(self):
        if hasattr(self, "owner"):
            await finished(self.owner.close())


class AsyncPsycopgHost(PsycopgHost):
    face = "async"
    connection_class = psycopg.AsyncConnection


class SqlalchemyConnectionHost:
    """SQLAlchemy's Connection; or, below, what else gives one."""

    face = "blocking"
    tells_savepoints = True
    create_engine = staticmethod(sqlalchemy.create_engine)

    async def open(self, url, *, autocommit=False, **options):
        level = {"isolation_level": "AUTOCOMMIT"} if autocommit else {}
        self.engine = self.create_engine(sqlalchemy_url(url), **level, **options)
        self.owner = await self.make_owner()
        self.nested = []

    async def make_owner(self):
        return await finished(self.engine.connect())

    @property
    def given(self):
        return self.owner

    async def driver(self):
        return self.owner.connection.driver_connection

    async def execute(self, text, *params):
        names = [f"p{i}" for i in range(len(params))]
        for name in names:
            text = text.replace("%s", f":{name}", 1)
        result = await finished(self.owner.execute(sqlalchemy.text(text), dict(zip(names, params, strict=True))))
        return [tuple(row) for row in result] if result.returns_rows else None

    async def begin(self):
        await finished(self.owner.begin())

    async def end(self):
        await self.rollback()

    async def commit(self):
        await finished(self.owner.commit())

    async def rollback(self):
        await finished(self.owner.rollback())

    async def savepoint(self):
        self.nested.append(await finished(self.owner.begin_nested()))

    async def release(self):
        await finished(self.nested.pop().commit())

    async def rollback_to(self):
        await finished(self.nested.pop().rollback())

    async def close(self):
        if hasattr(self, "owner"):
            with contextlib.suppress(sqlalchemy.exc.OperationalError):
                await finished(self.owner.close())
            await finished(self.engine.dispose())


class SqlalchemySessionHost(SqlalchemyConnectionHost):
    async def make_owner(self):
        return Session(self.engine)

    async def driver(self):
        return self.owner.connection().connection.driver_connection


class AsyncSqlalchemyConnectionHost(SqlalchemyConnectionHost):
    face = "async"
    create_engine = staticmethod(create_async_engine)

    async def driver(self):
        return (await self.owner.get_raw_connection()).driver_connection


class AsyncSqlalchemySessionHost(AsyncSqlalchemyConnectionHost):
    async def make_owner(self):
        return AsyncSession(self.engine)

    async def driver(self):
        return (await (await self.owner.connection()).get_raw_connection()).driver_connection


class DjangoHost:
    """Django's connection; its transactions are those of `atomic()`, one after another."""

    face = "blocking"
    tells_savepoints = True

    @staticmethod
    def configure(url):
        from django.db import connections

        info = conninfo_to_dict(url)
        connections.databases["default"].update(
            NAME=info["dbname"], USER=info["user"], PASSWORD=info["password"], HOST=info["host"], PORT=info["port"]
        )
        options = connections.databases["default"].setdefault("OPTIONS", {})
        for name in UNENCRYPTED:
            options.pop(name, None)
        options |= {name: info[name] for name in UNENCRYPTED if name in info}

    async def open(self, url, *, autocommit=False):
        from django.db import connection

        self.configure(url)
        self.owner = connection
        self.blocks = contextlib.ExitStack()
        self.autocommit = autocommit
        self.savepoints = []
        await self.begin()

    @property
    def given(self):
        return self.owner

    async def driver(self):
        self.owner.ensure_connection()
        return self.owner.connection

    async def execute(self, text, *params):
        with self.owner.cursor() as cursor:
            cursor.execute(text, params or None)
            return cursor.fetchall() if cursor.description else None

    async def begin(self):
        from django.db import transaction

        if not self.autocommit and not self.owner.in_atomic_block:
            self.blocks.enter_context(transaction.atomic())

    async def commit(self):
        self.blocks.close()
        await self.begin()

    async def rollback(self):
        await self.end()
        await self.begin()

    async def end(self):
        if self.owner.in_atomic_block:
            self.owner.set_rollback(True)
        self.blocks.close()

    async def savepoint(self):
        from django.db import transaction

        inner = transaction.atomic()
        inner.__enter__()
        self.savepoints.append(inner)

    async def release(self):
        self.savepoints.pop().__exit__(None, None, None)

    async def rollback_to(self):
        self.owner.set_rollback(True)
        self.savepoints.pop().__exit__(None, None, None)

    async def close(self):
        if hasattr(self, "owner"):
            await self.end()
            self.owner.close()


class HostTable:
    """A table of the application's, seen from beside."""

    def __init__(self, url, name):
        self.url = url
        self.name = name

    def insert(self, n):
        return f"INSERT INTO {self.name} VALUES ({n})"

    def committed(self):
        with psycopg.connect(self.url) as connection:
            return [n for (n,) in connection.execute(f"SELECT n FROM {self.name} ORDER BY n")]


HOSTS = {
    "psycopg": PsycopgHost,
    "psycopg-async": AsyncPsycopgHost,
    "sqlalchemy-connection": SqlalchemyConnectionHost,
    "sqlalchemy-session": SqlalchemySessionHost,
    "sqlalchemy-async-connection": AsyncSqlalchemyConnectionHost,
    "sqlalchemy-async-session": AsyncSqlalchemySessionHost,
    "django": DjangoHost,
}


@contextlib.contextmanager
def django_settings(**databases):
    """Let Django be configured anew, whatever it was before, and leave it as it was."""
    from django.apps import apps
    from django.conf import settings
    from django.db import connections
    from django.utils.functional import empty

    before = settings._wrapped
    kept = {name: connections.__dict__.pop(name) for name in ("settings",) if name in connections.__dict__}
    settings._wrapped, connections._settings = empty, None
    if databases:
        settings.configure(DATABASES=databases, SECRET_KEY="of tests", USE_TZ=True)
        apps.populate([])
    try:
        yield settings
    finally:
        for alias in list(connections.settings) if settings.configured else []:
            if hasattr(connections._connections, alias):
                getattr(connections._connections, alias).close()
                delattr(connections._connections, alias)
        connections.__dict__.pop("settings", None)
        connections.__dict__.update(kept)
        connections._settings = None
        settings._wrapped = before
