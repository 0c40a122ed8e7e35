"""What is done to whole databases, written once for both faces. Not counted as requests of any session."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from docsession._documents._mapping import Mappings
from docsession._documents._naming import check_database
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException, RavenException
from docsession._port import Request, RequestExecutor, Statement
from docsession._session._database import Database
from docsession._session._identities import identities, next_identity, seed_identity
from docsession._session._index_building import CONNECTIONS, IndexBuilder
from docsession._sql._schema import drop_database_statements

NO_SUCH_SCHEMA = "3F000"

_DATABASES = (
    b"SELECT n.nspname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    b"WHERE c.relname = 'docsession_collections' AND c.relkind IN ('r', 'p') ORDER BY 1"
)


class MaintenanceCore:
    """Creates, lists and drops databases, and keeps their indexes and identities.

    Args:
        executor: What carries requests.
        database: The store's database.
        find: Returns what is known of a database.
        mappings: The classes that are known.
        open_executor: Opens a further executor with so many connections at most.
    """

    def __init__(
        self,
        executor: RequestExecutor,
        database: str,
        find: Callable[[str], Database],
        mappings: Mappings,
        open_executor: Callable[[int], RequestExecutor],
    ) -> None:
        self._executor = executor
        self._open_executor = open_executor
        self._mappings = mappings
        self._database = database
        self._find = find

    async def names(self) -> list[str]:
        """Return the databases of the server, sorted by name."""
        (rows,) = await self._named(None).beside.run("get_database_names", Request([Statement(_DATABASES)]))
        return [row[0] for row in rows]

    async def create(self, name: str) -> None:
        """Make a database with its system tables; one that exists is left as it is."""
        await self._find(check_database(name)).create()

    async def delete(self, name: str) -> None:
        """Drop a database with everything in it.

        Raises:
            InvalidArgumentException: There is none, or it is PostgreSQL's own schema `public`, in
                which other programs may keep theirs.
        """
        if name == "public":
            raise InvalidArgumentException(
                "the schema 'public' is not docsession's alone, so it is not dropped; drop its tables by SQL"
            )
        nothing = InvalidArgumentException(f"there is no database {name!r:.80} on this server, so it cannot be deleted")
        if name not in await self.names():
            raise nothing
        for sql in drop_database_statements(name):
            request = Request([Statement(sql.encode())], write=True)
            try:
                await self._find(name).beside.run_apart("delete_database", request, again=False)
            except RavenException as error:
                if error.sqlstate != NO_SUCH_SCHEMA:
                    raise
                # Somebody else has dropped it meanwhile.
                raise nothing from error
        self._find(name).reset()

    async def create_indexes(self, object_type: type | str | None, name: str | None) -> list[str]:
        """Make the declared indexes of tables that are there already."""
        async with self._builder("create_indexes", object_type, name) as builder:
            return await builder.create(object_type)

    async def drop_undeclared_indexes(self, object_type: type | str | None, name: str | None) -> list[str]:
        """Drop the indexes that nobody declares any more."""
        async with self._builder("drop_undeclared_indexes", object_type, name) as builder:
            return await builder.drop_undeclared(object_type)

    @asynccontextmanager
    async def _builder(self, method: str, object_type: object, name: str | None) -> AsyncIterator[IndexBuilder]:
        """Return who makes indexes, on connections of its own: sessions go on, however small their pool is."""
        if object_type is not None and not isinstance(object_type, (type, str)):
            raise InvalidArgumentTypeException(
                f"{method}() takes a class, or the name of a collection, not {object_type!r:.60}"
            )
        database = self._named(name)
        executor = self._open_executor(CONNECTIONS)
        try:
            yield IndexBuilder(executor, database, self._mappings, method)
        finally:
            if executor is not self._executor:  # as where a test lends one
                await executor.close()

    async def next_identity(self, identity: str, name: str | None) -> int:
        """Take the next number of an identity."""
        return await next_identity(self._named(name), identity)

    async def seed_identity(self, identity: str, value: int, name: str | None, *, forced: bool) -> int:
        """Let an identity go on after *value*."""
        return await seed_identity(self._named(name), identity, value, forced=forced)

    async def identities(self, name: str | None) -> dict[str, int]:
        """Return the last number of every identity; one request."""
        return await identities(self._named(name))

    def _named(self, name: str | None) -> Database:
        return self._find(self._database if name is None else name)

    async def collection_counts(self, name: str | None) -> dict[str, int]:
        """Return how many documents each collection has; one request."""
        database = self._named(name)
        catalogue = await database.refresh()
        tables = sorted(catalogue.by_collection.items())
        if not tables:
            return {}
        request = Request([Statement(table.count) for _, table in tables])
        request.collections = tuple(collection for collection, _ in tables)
        answers = await database.beside.run("get_collection_statistics", request)
        return {collection: rows[0][0] for (collection, _), rows in zip(tables, answers, strict=True)}
