"""`store.maintenance` of both faces."""

from __future__ import annotations

from docsession._faces._run import run
from docsession._session._maintenance import MaintenanceCore


class Maintenance:
    """Creates, lists and drops the databases of a server, and keeps identities (RavenDB: store.maintenance)."""

    __slots__ = ("_core",)

    def __init__(self, core: MaintenanceCore) -> None:
        self._core = core

    def get_database_names(self) -> list[str]:
        """Return the databases of the server (schemas with docsession's system tables), sorted."""
        return run(self._core.names())

    def create_database(self, name: str) -> None:
        """Make a database; one that exists is left as it is.

        Args:
            name: Any text up to 63 bytes of UTF-8 that does not begin with `pg_`.

        Raises:
            InvalidArgumentException: The name cannot be used.
            PermissionDeniedException: The role may not create schemas.
        """
        run(self._core.create(name))

    def delete_database(self, name: str) -> None:
        """Drop a database and every document in it; there is no way back.

        Raises:
            InvalidArgumentException: There is no such database.
        """
        run(self._core.delete(name))

    def get_collection_statistics(self, database: str | None = None) -> dict[str, int]:
        """Return how many documents each collection has, by name.

        Args:
            database: The database; None is the store's.
        """
        return run(self._core.collection_counts(database))

    def create_indexes(self, object_type: type | str | None = None, database: str | None = None) -> list[str]:
        """Make the declared indexes that tables lack, and make anew those that are declared otherwise now.

        Indexes are built while others go on reading and writing (CONCURRENTLY), on two connections beside the pool. A
        promoted column keeps everybody out while its table is written anew. What is not declared any more stays; see
        `drop_undeclared_indexes`. A table that is made on first use has its indexes from the beginning.

        Args:
            object_type: The class, or the name of a collection; None is every class that the store knows.
            database: The database; None is the store's.

        Returns:
            The names of what was made, none where everything was there.

        Raises:
            UniqueConstraintViolation: Documents have the same values in the fields of a unique index.
            IndexedValueTooLongException: A value is too long for an index.
            ForeignKeyViolation: Documents refer to what is not there.
            InvalidOperationException: Something of that name is there which docsession has not made; or a transaction
                or stream of the caller's own has used the table, which this would wait for.
        """
        return run(self._core.create_indexes(object_type, database))

    def drop_undeclared_indexes(self, object_type: type | str | None = None, database: str | None = None) -> list[str]:
        """Drop the indexes that docsession has made and that are declared no more, and columns and statistics likewise.

        Declared is what the classes say that the store knows, and its conventions. So a class that shares the table,
        or a subclass with indexes of its own, has to be known, and no other program may declare more. What others have
        made stays. Nobody is kept out for long: indexes are dropped CONCURRENTLY, and a column is waited for five
        seconds.

        Args:
            object_type: The class, or the name of a collection; None is every collection with a class that the store
                knows.
            database: The database; None is the store's.

        Returns:
            The names of what was dropped.

        Raises:
            InvalidArgumentException: The store knows no class of the collection.
            InvalidOperationException: A transaction or stream of the caller's own has used the table.
            RavenException: Something that others have made, a view for instance, needs a column.
        """
        return run(self._core.drop_undeclared_indexes(object_type, database))

    def next_identity_for(self, name: str, database: str | None = None) -> int:
        """Take the next number of an identity, as `store(entity, "invoices|")` does (RavenDB: NextIdentityFor).

        Args:
            name: The identity's name, `"invoices|"` or `"invoices"`.
            database: The database; None is the store's.
        """
        return run(self._core.next_identity(name, database))

    def seed_identity_for(self, name: str, value: int, force_update: bool = False, database: str | None = None) -> int:
        """Let an identity go on after *value* (RavenDB: SeedIdentityForOperation).

        Args:
            name: The identity's name, `"invoices|"` or `"invoices"`.
            value: The next number is one more; 0 or more.
            force_update: True also takes it back to a lower value; otherwise one that is further stays there.
            database: The database; None is the store's.

        Returns:
            The number that the identity goes on after.
        """
        return run(self._core.seed_identity(name, value, database, forced=force_update))

    def get_identities(self, database: str | None = None) -> dict[str, int]:
        """Return the last number of each identity, by name (RavenDB: GetIdentitiesOperation).

        Args:
            database: The database; None is the store's.
        """
        return run(self._core.identities(database))


class AsyncMaintenance:
    """Creates, lists and drops the databases of a server; `Maintenance`, awaited."""

    __slots__ = ("_core",)

    def __init__(self, core: MaintenanceCore) -> None:
        self._core = core

    async def get_database_names(self) -> list[str]:
        """See `Maintenance.get_database_names`."""
        return await self._core.names()

    async def create_database(self, name: str) -> None:
        """See `Maintenance.create_database`."""
        await self._core.create(name)

    async def delete_database(self, name: str) -> None:
        """See `Maintenance.delete_database`."""
        await self._core.delete(name)

    async def get_collection_statistics(self, database: str | None = None) -> dict[str, int]:
        """See `Maintenance.get_collection_statistics`."""
        return await self._core.collection_counts(database)

    async def create_indexes(self, object_type: type | str | None = None, database: str | None = None) -> list[str]:
        """See `Maintenance.create_indexes`."""
        return await self._core.create_indexes(object_type, database)

    async def drop_undeclared_indexes(
        self, object_type: type | str | None = None, database: str | None = None
    ) -> list[str]:
        """See `Maintenance.drop_undeclared_indexes`."""
        return await self._core.drop_undeclared_indexes(object_type, database)

    async def next_identity_for(self, name: str, database: str | None = None) -> int:
        """See `Maintenance.next_identity_for`."""
        return await self._core.next_identity(name, database)

    async def seed_identity_for(
        self, name: str, value: int, force_update: bool = False, database: str | None = None
    ) -> int:
        """See `Maintenance.seed_identity_for`."""
        return await self._core.seed_identity(name, value, database, forced=force_update)

    async def get_identities(self, database: str | None = None) -> dict[str, int]:
        """See `Maintenance.get_identities`."""
        return await self._core.identities(database)
