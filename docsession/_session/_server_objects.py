"""What queries rely on in one database: promoted columns and extensions, and the compilers that know of them."""

from __future__ import annotations

from docsession._errors import RavenException
from docsession._port import Request
from docsession._query._access import Extension
from docsession._query._compile import QueryCompiler
from docsession._session._beside import Beside
from docsession._sql._definitions import Kind
from docsession._sql._objects import extensions_named, found_of, objects_of
from docsession._sql._tables import TableStatements


class ServerObjects:
    """What is known of them.

    Attributes:
        columns: The promoted columns that tables are known to have.
        extensions: The extensions that queries have asked for.
        compilers: For (table, class) what compiles queries.
    """

    def __init__(self, database: str, beside: Beside) -> None:
        self._database = database
        self._beside = beside
        self.columns: dict[TableStatements, frozenset[tuple[str, str]]] = {}
        self.extensions: dict[str, Extension] = {}
        self.compilers: dict[tuple[TableStatements, type], QueryCompiler] = {}

    async def find_extension(self, name: str) -> None:
        """Find out where an extension is, and which version; not counted as a request.

        Raises:
            RavenException: It is not installed.
        """
        (rows,) = await self._beside.run_apart("find_extension", Request([extensions_named([name])]))
        if not rows:
            raise RavenException(
                f"the query needs PostgreSQL's extension {name!r}, which is not installed: run "
                f"`CREATE EXTENSION {name}` as a role that may"
            )
        _, schema, version = rows[0]
        self.extensions[name] = Extension.read(schema, version)

    async def columns_of(self, table: TableStatements) -> frozenset[tuple[str, str]]:
        """Return the promoted columns that a table has, each with the digest of its definition; asked once."""
        known = self.columns.get(table)
        if known is None:
            request = Request([objects_of(self._database, [table.table])])
            request.collections = (table.collection,)
            (rows,) = await self._beside.run_apart("find_columns", request)
            found = found_of(rows)
            known = frozenset((each.name, each.digest) for each in found if each.kind is Kind.COLUMN and each.digest)
            self.columns[table] = known
        return known

    @property
    def has_columns(self) -> bool:
        """True where a query may have been written with a promoted column."""
        return any(self.columns.values())

    def forget_columns(self) -> None:
        """Look anew which promoted columns there are: some were made, or dropped."""
        self.columns = {}
        self.compilers = {}

    def forget(self) -> None:
        """Look anew for everything."""
        self.extensions.clear()
        self.forget_columns()
