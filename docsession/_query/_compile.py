"""Queries -> statements; the text of each form of a query is written once for a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from docsession._port import TextArray
from docsession._query._access import NOTHING_DECLARED, Access
from docsession._query._change_sql import deletion, patching
from docsession._query._compilation import Compilation
from docsession._query._facets import Facet
from docsession._query._keyset_sql import keyset_page
from docsession._query._paging import Position, reversed_keys
from docsession._query._patches import PatchOperation
from docsession._query._projection import group_sql
from docsession._query._query import Specification
from docsession._query._shape_of import shape_of
from docsession._query._sorting import keys_of, order_by
from docsession._query._statements import COLUMNS, DOCUMENT, Compiled, PageStatement, QueryStatement
from docsession._sql._load import Include, include_params, page_with_includes
from docsession._sql._tables import TableStatements

_PAGE_COLUMNS: Final = tuple(f"p.{name}" for name in DOCUMENT)
_MOST: Final = 512
"""Texts kept for a table; a program has a handful, one that makes queries of everything it is asked may have more."""


class QueryCompiler:
    """Compiles the queries of one table.

    Args:
        table: The table.
        schema: The schema that it is in.
        id_key: The key under which the class has its id; it is no part of the documents.
        aliases: What the metadata calls the classes that are asked for; None: all that the table holds.
        access: The indexes of the table.
    """

    __slots__ = ("_access", "_aliases", "_compiled", "_id_key", "_schema", "table")

    def __init__(
        self,
        table: TableStatements,
        schema: str,
        id_key: str | None,
        aliases: tuple[str, ...] | None = None,
        access: Access = NOTHING_DECLARED,
    ) -> None:
        self.table = table
        self._access = access
        self._schema = schema
        self._id_key = id_key
        self._aliases = None if aliases is None else TextArray(aliases)
        self._compiled: dict[tuple[object, ...], Compiled] = {}

    def documents(self, asked: Specification) -> QueryStatement:
        """Return the statement for the documents, as rows of a load."""
        return self._compile("documents", asked, ordered=True, limited=True)

    def streamed(self, asked: Specification) -> QueryStatement:
        """Return the same for a stream, which can tell the server nothing that an index for vectors needs to know."""
        return self._compile("documents", asked, ordered=True, limited=True, exact=True)

    def including(
        self, page: PageStatement, includes: Sequence[Include], separator: str, tracked: Sequence[str]
    ) -> tuple[QueryStatement, list[TableStatements]]:
        """Return the statement for the documents of a page and what they refer to, and its tables.

        Args:
            page: The documents alone.
            includes: What is included.
            separator: What ends the prefix of an id.
            tracked: Ids that need not come.
        """
        own, first = page.statement, page.first
        text, tables = page_with_includes(
            own.sql.decode(), self.table, len(own.params), includes, page.further, limited=first is not None
        )
        params = [*own.params, *include_params(includes, separator, tracked)]
        params = params if first is None else [*params, first]
        return QueryStatement(text.encode(), params, own.shape, own.settings), tables

    def count(self, asked: Specification) -> QueryStatement:
        """Return the statement for how many there are, whatever `skip` and `take` say."""
        return self._compile("count", asked, ordered=False, limited=False)

    def any(self, asked: Specification) -> QueryStatement:
        """Return the statement that finds out whether there is one."""
        return self._compile("any", asked, ordered=False, limited=False)

    def page(self, asked: Specification) -> QueryStatement:
        """Return the statement for the documents of a page, each row with the total behind it; one row at least."""
        return self._compile("page", asked, ordered=True, limited=True)

    def counted(self, asked: Specification) -> PageStatement:
        """Return the same with the names of what stands behind each document."""
        return PageStatement(self.page(asked), ("found", "total"))

    def aggregate(self, asked: Specification) -> QueryStatement:
        """Return the statement for what the projection computes over all documents, whatever their order."""
        return self._compile("aggregate", asked, ordered=False, limited=False)

    def keyset(
        self,
        asked: Specification,
        size: int,
        position: Position | None,
        *,
        backwards: bool,
        counted: bool = False,
    ) -> PageStatement:
        """Return the statement for a page by keys, each row with its keys behind it.

        It has one document too many, which tells whether another page follows. Where all are *counted*, the total comes
        before the keys, and there is one row at least.

        Args:
            asked: What is asked for.
            size: How many documents the page has.
            position: What it comes after, or before; None: the beginning, or the end.
            backwards: True: what comes before, the nearest first.
            counted: True: with how many there are on all pages.
        """
        key: list[object] = ["keyset", backwards, counted, position and tuple(each is None for each in position)]
        values: list[Any] = []
        self._walk_rows(asked, key, values)
        values += [size + 1, position]
        compiled = self._known(
            tuple(key), lambda: self._write_keyset(asked, position, backwards=backwards, counted=counted)
        )
        names = [f"k{number}" for number in range(self.count_keys(asked))]
        return PageStatement(compiled.statement(values), ("total", *names) if counted else tuple(names), size)

    def form_of(self, asked: Specification) -> tuple[object, ...]:
        """Return what tells the rows and order of a query from those of others, whatever its constants are."""
        key: list[object] = [self.table.collection]
        self._walk_rows(asked, key, [])
        return tuple(key)

    def count_keys(self, asked: Specification) -> int:
        """Return how many keys a position of the query has."""
        return len(keys_of(Compilation(self._schema, self._id_key, self._access), asked))

    def _walk_rows(self, asked: Specification, key: list[object], values: list[Any]) -> None:
        for condition in asked.conditions:
            condition.walk(key, values)
        if self._aliases is not None:
            values.append(self._aliases)
        if asked.projection is not None:
            _walk_results(asked, key, values)
        for operand, down in asked.sorting:
            operand.walk(key, values)
            key.append(down)

    def _write_keyset(
        self, asked: Specification, position: Position | None, *, backwards: bool, counted: bool
    ) -> Compiled:
        to = Compilation(self._schema, self._id_key, self._access)
        where = self._where(to, asked)
        columns, _ = self._results(to, asked)
        keys = keys_of(to, asked)
        if backwards:
            keys = reversed_keys(keys)
        sql = keyset_page(to, self.table.name, where, columns, keys, position, counted=counted)
        return self._compiled_to(sql, to, asked, paged=True)

    def delete(self, asked: Specification, *, returning: bool) -> QueryStatement:
        """Return the statement that deletes the documents; it returns their rows, or their ids alone."""
        return self._change("delete", asked, (), [None] if returning else [])

    def patch(self, asked: Specification, operations: Sequence[PatchOperation], last: Sequence[Any]) -> QueryStatement:
        """Return the statement that patches the documents.

        It returns their ids and, of those that *last* names, or of all, the row.

        Args:
            asked: Which.
            operations: What is done to each, in order.
            last: The version, the step, the moment, and the ids whose row is wanted; None: of all.
        """
        return self._change("patch", asked, operations, last)

    def _change(
        self, kind: str, asked: Specification, operations: Sequence[PatchOperation], last: Sequence[Any]
    ) -> QueryStatement:
        key: list[object] = [kind, len(operations)]
        values: list[Any] = []
        for condition in asked.conditions:
            condition.walk(key, values)
        if self._aliases is not None:
            values.append(self._aliases)
        for operation in operations:
            operation.walk(key, values)
        values += last
        key.append(bool(last) and last[-1] is None)
        return self._known(tuple(key), lambda: self._write_change(kind, asked, operations, last)).statement(values)

    def _write_change(
        self, kind: str, asked: Specification, operations: Sequence[PatchOperation], last: Sequence[Any]
    ) -> Compiled:
        to = Compilation(self._schema, self._id_key, self._access)
        where = self._where(to, asked)
        if kind == "delete":
            sql = deletion(self.table.name, where, returning=bool(last))
        else:
            sql = patching(to, self.table.name, where, operations, returning_all=last[-1] is None)
        return self._compiled_to(sql, to, asked)

    def facets(self, asked: Specification, facets: Sequence[Facet]) -> QueryStatement:
        """Return the statement for how many documents have which values, as `Facet.rows_sql` says."""
        key: list[object] = ["facets"]
        values: list[Any] = []
        self._walk_source(asked, key, values, exact=False)
        for facet in facets:
            facet.walk(key, values)
        compiled = self._known(tuple(key), lambda: self._write_facets(asked, facets))
        return self._told(compiled.statement(values), asked)

    def _write_facets(self, asked: Specification, facets: Sequence[Facet]) -> Compiled:
        to = Compilation(self._schema, self._id_key, self._access)
        source = self._source(to, asked, exact=False)
        columns, rows = [], []
        for number, facet in enumerate(facets):
            columns.append(f"{facet.value_sql(to)} AS f{number}")
            rows.append(facet.rows_sql(to, number))
        found = f"SELECT {', '.join(columns)} {source}"
        return self._compiled_to(f"WITH m AS MATERIALIZED ({found}) {' UNION ALL '.join(rows)}", to, asked)

    def _known(self, form: tuple[object, ...], write: Callable[[], Compiled]) -> Compiled:
        compiled = self._compiled.get(form)
        if compiled is None:
            if len(self._compiled) >= _MOST:
                self._compiled.clear()
            compiled = self._compiled[form] = write()
        return compiled

    def _compile(
        self, kind: str, asked: Specification, *, ordered: bool, limited: bool, exact: bool = False
    ) -> QueryStatement:
        key: list[object] = [kind, asked.distinct]
        values: list[Any] = []
        self._walk_source(asked, key, values, exact=exact)
        if asked.groups or asked.projection is not None:
            _walk_results(asked, key, values)
        if ordered:
            key.append("order")
            for operand, down in asked.sorting:
                operand.walk(key, values)
                key.append(down)
        if limited:
            key += ("limit", asked.take is None, asked.skip == 0)
            values += (asked.take, asked.skip)
        compiled = self._known(
            tuple(key), lambda: self._write(kind, asked, ordered=ordered, limited=limited, exact=exact)
        )
        statement = compiled.statement(values)
        return statement if asked.nearest is None or exact else self._told(statement, asked)

    def _told(self, statement: QueryStatement, asked: Specification) -> QueryStatement:
        if asked.nearest is not None:
            statement.settings = asked.nearest.settings(self._access)
        return statement

    def _walk_source(self, asked: Specification, key: list[object], values: list[Any], *, exact: bool) -> None:
        for condition in asked.conditions:
            condition.walk(key, values)
        if self._aliases is not None:
            values.append(self._aliases)
        if asked.nearest is not None:
            asked.nearest.walk(key, values, exact=exact)

    def _source(self, to: Compilation, asked: Specification, *, exact: bool) -> str:
        """Return FROM, and WHERE behind it."""
        where = self._where(to, asked)
        if asked.nearest is not None:
            return f"FROM {asked.nearest.source(to, self.table.name, where, exact=exact)}"
        return f"FROM {self.table.name} AS t{where}"

    def _write(self, kind: str, asked: Specification, *, ordered: bool, limited: bool, exact: bool) -> Compiled:
        # In the order in which `_compile` walks.
        to = Compilation(self._schema, self._id_key, self._access)
        source = self._source(to, asked, exact=exact)
        columns, grouping = self._results(to, asked)
        orders = order_by(to, asked, columns) if ordered else ""
        limits = self._limits(to, asked) if limited else ""
        selected = ", ".join(f"{column} AS c{number}" for number, column in enumerate(columns)) or COLUMNS
        rows = f"SELECT {selected} {source}{grouping}"
        match kind:
            case "documents" | "aggregate":
                sql = f"{rows}{orders}{limits}"
            case "count":
                sql = (
                    f"SELECT count(*) FROM (SELECT 1 {source}{grouping}) AS g"
                    if grouping
                    else f"SELECT count(*) {source}"
                )
            case "any":
                sql = f"SELECT EXISTS (SELECT 1 {source}{grouping})"
            case _:
                names = [f"p.c{number}" for number in range(len(columns))] or _PAGE_COLUMNS
                total = f"SELECT count(*) AS total {f'FROM (SELECT 1 {source}{grouping}) AS g' if grouping else source}"
                page = f"(SELECT true AS found, r.* FROM ({rows}{orders}{limits}) AS r) AS p"
                sql = f"SELECT {', '.join(names)}, p.found, n.total FROM ({total}) AS n LEFT JOIN {page} ON true"
        return self._compiled_to(sql, to, asked, ordered=ordered)

    def _compiled_to(
        self, sql: str, to: Compilation, asked: Specification, *, ordered: bool = False, paged: bool = False
    ) -> Compiled:
        is_limited = paged or (ordered and asked.take is not None)
        shape = shape_of(self.table.collection, asked, self._id_key, ordered=ordered or paged, limited=is_limited)
        return Compiled(sql, to.binds, shape)

    def _where(self, to: Compilation, asked: Specification) -> str:
        conditions = [condition.sql(to) for condition in asked.conditions]
        if self._aliases is not None:
            conditions.append(f"(t.metadata ->> '@type') = ANY({to.bind(to.take(), _same)})")
        return f" WHERE {' AND '.join(conditions)}" if conditions else ""

    @staticmethod
    def _results(to: Compilation, asked: Specification) -> tuple[list[str], str]:
        """Return the columns of a projection, and what makes one row of several documents."""
        groups = [group_sql(place, to) for place in asked.groups]
        having = [condition.sql(to) for condition in asked.having]
        columns: list[str] = []
        if asked.projection is not None:
            columns = [column.sql(to, asked.groups) for column in asked.projection.columns]
        grouping = groups or (columns if asked.distinct else [])
        sql = f" GROUP BY {', '.join(grouping)}" if grouping else ""
        return columns, sql + (f" HAVING {' AND '.join(having)}" if having else "")

    @staticmethod
    def _limits(to: Compilation, asked: Specification) -> str:
        take, skip = to.take(), to.take()
        limit = "" if asked.take is None else f" LIMIT {to.bind(take, _same)}"
        return limit + ("" if asked.skip == 0 else f" OFFSET {to.bind(skip, _same)}")


def _walk_results(asked: Specification, key: list[object], values: list[Any]) -> None:
    key.append(("groups", len(asked.groups)))
    for place in asked.groups:
        place.walk(key, values)
    for condition in asked.having:
        condition.walk(key, values)
    if asked.projection is not None:
        key.append(("columns", len(asked.projection.columns)))
        for column in asked.projection.columns:
            column.operand.walk(key, values)


def _same(value: Any) -> Any:
    return value
