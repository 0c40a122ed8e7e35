"""Queries -> statements; the text of each form of a query is written once for a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from docsession._errors import InvalidArgumentException
from docsession._port import Settings, Statement, TextArray
from docsession._query._access import NOTHING_DECLARED, Access
from docsession._query._compilation import Compilation, Convert
from docsession._query._facets import Facet
from docsession._query._kinds import shapes_to_sort
from docsession._query._operands import Column, Operand, Place
from docsession._query._paging import Key, Position, bound, ranges, reversed_keys
from docsession._query._patches import PatchOperation
from docsession._query._projection import Aggregate, group_sql
from docsession._query._query import Specification
from docsession._query._shape_of import shape_of
from docsession._query._shapes import QueryShape
from docsession._sql._load import Include, include_params, page_with_includes
from docsession._sql._tables import TableStatements
from docsession._sql._values import Shape

COLUMNS: Final = "t.id, t.data, t.metadata, t.version, t.last_modified"
_DOCUMENT: Final = ("id", "data", "metadata", "version", "last_modified")
_PAGE_COLUMNS: Final = tuple(f"p.{name}" for name in _DOCUMENT)
_MOST: Final = 512
"""Texts kept for a table; a program has a handful, one that makes queries of everything it is asked may have more."""


class QueryStatement(Statement):
    """The statement of a query.

    Attributes:
        shape: What the query asks for, without its values.
    """

    __slots__ = ("shape",)

    def __init__(self, sql: bytes, params: Sequence[object], shape: QueryShape, settings: Settings = ()) -> None:
        self.sql = sql
        self.params = params
        self.settings = settings
        self.shape = shape


@dataclass(frozen=True, slots=True)
class PageStatement:
    """A statement whose rows begin with those of a load.

    Attributes:
        statement: The statement.
        further: The names of the columns behind.
        first: How many of the documents, from the beginning, are wanted; None: all.
    """

    statement: QueryStatement
    further: tuple[str, ...] = ()
    first: int | None = None


class Compiled:
    """A statement's text, and what becomes of the values of a query in it."""

    __slots__ = ("_binds", "_shape", "sql")

    def __init__(self, sql: str, binds: Sequence[tuple[int, Convert]], shape: QueryShape) -> None:
        self.sql = sql.encode()
        self._binds = tuple(binds)
        self._shape = shape

    def statement(self, values: Sequence[Any]) -> QueryStatement:
        """Return the statement with its values bound."""
        return QueryStatement(self.sql, [convert(values[number]) for number, convert in self._binds], self._shape)


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
        return len(self._keys(Compilation(self._schema, self._id_key, self._access), asked))

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

    def _keys(self, to: Compilation, asked: Specification) -> list[Key]:
        keys = []
        down = False
        for operand, down in asked.sorting:
            if isinstance(operand, Column):
                keys.append(Key(operand.sql(to, operand.shape), operand.shape, down))
            elif isinstance(operand, Place) and operand.is_id(to):
                keys.append(Key("t.id", Shape.TEXT, down, nullable=False))
                return keys
            else:
                keys += [Key(operand.sql(to, shape), shape, down) for shape in shapes_to_sort(operand.form)]
        return [*keys, Key("t.id", Shape.TEXT, down, nullable=False)]

    def _write_keyset(
        self, asked: Specification, position: Position | None, *, backwards: bool, counted: bool
    ) -> Compiled:
        to = Compilation(self._schema, self._id_key, self._access)
        where = self._where(to, asked)
        columns, _ = self._results(to, asked)
        keys = self._keys(to, asked)
        if backwards:
            keys = reversed_keys(keys)
        take, where_from = to.take(), to.take()
        limit = to.bind(take, _same)
        own = tuple(f"c{number}" for number in range(len(columns))) or _DOCUMENT
        own_keys = tuple(f"k{number}" for number in range(len(keys)))
        selected = ", ".join(f"{column} AS c{number}" for number, column in enumerate(columns)) or COLUMNS
        texts = ", ".join(f"{key.text} AS k{number}" for number, key in enumerate(keys))
        rows = f"SELECT {selected}, {texts} FROM {self.table.name} AS t"
        if position is None:
            page = f"{rows}{where} ORDER BY {', '.join(key.order for key in keys)} LIMIT {limit}"
        else:
            bounds: dict[int, str] = {}

            def bind(number: int) -> str:
                if number not in bounds:
                    key = keys[number]
                    bounds[number] = to.bind(where_from, lambda position: bound(key, position[number]), key.cast)
                return bounds[number]

            parts = []
            for number, (conditions, first) in enumerate(ranges(keys, [each is None for each in position], bind)):
                further = f"{where} AND " if where else " WHERE "
                orders = ", ".join(key.order for key in keys[min(first, len(keys) - 1) :])
                left = "".join(f" - (SELECT count(*) FROM r{earlier})" for earlier in range(number))
                part = f"{rows}{further}{' AND '.join(conditions)} ORDER BY {orders} LIMIT {limit}{left}"
                parts.append(f"r{number} AS MATERIALIZED ({part})")
            names = ", ".join(own + own_keys)
            together = " UNION ALL ".join(f"SELECT {names} FROM r{number}" for number in range(len(parts)))
            page = f"WITH {', '.join(parts)} {together}"
        if counted:
            names = ", ".join([*(f"p.{name}" for name in own), "n.total", *(f"p.{name}" for name in own_keys)])
            total = f"SELECT count(*) AS total FROM {self.table.name} AS t{where}"
            page = f"SELECT {names} FROM ({total}) AS n LEFT JOIN ({page}) AS p ON true"
        return self._compiled_to(page, to, asked, paged=True)

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
        table = self.table.name
        where = self._where(to, asked)
        # Locked in the order of the ids, as every flush does it, so that two of them never wait for each other.
        locked = f"SELECT t.id, t.data AS d0 FROM {table} AS t{where} ORDER BY t.id FOR UPDATE OF t"
        if kind == "delete":
            gone = f"DELETE FROM {table} AS t USING p0 WHERE t.id = p0.id RETURNING {COLUMNS if last else 't.id'}"
            return self._compiled_to(f"WITH p0 AS MATERIALIZED ({locked}) {gone}", to, asked)
        steps = [f"p0 AS MATERIALIZED ({locked})"]
        for number, operation in enumerate(operations):
            changed = operation.sql(to, f"d{number}")
            steps.append(f"p{number + 1} AS (SELECT id, {changed} AS d{number + 1} FROM p{number})")
        count = len(operations)
        version, step, moment = (to.bind(to.take(), _same) for _ in range(3))
        wanted = to.take()
        row = [f"t.{name}" for name in ("data", "metadata", "version", "last_modified")]
        if last[-1] is not None:
            asked_for = to.bind(wanted, _same)
            row = [f"CASE WHEN t.id = ANY({asked_for}) THEN {column} END" for column in row]
        sql = (
            f"WITH {', '.join(steps)} UPDATE {table} AS t SET data = p.d{count}, "
            f"version = greatest(t.version + {step}, {version}), last_modified = {moment} "
            f"FROM p{count} AS p WHERE t.id = p.id RETURNING t.id, {', '.join(row)}"
        )
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
        orders = self._orders(to, asked, columns) if ordered else ""
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

    def _orders(self, to: Compilation, asked: Specification, columns: Sequence[str]) -> str:
        parts: list[str] = []
        down = False
        has_id = False
        for operand, down in asked.sorting:
            word = " DESC" if down else ""
            has_id = has_id or (isinstance(operand, Place) and operand.is_id(to))
            for sql in self._order(to, asked, operand):
                # Of equal results the least or the greatest counts.
                of_many = f"{'max' if down else 'min'}({sql})" if asked.distinct and not asked.groups else sql
                parts.append(f"{of_many}{word}")
        if asked.groups:
            parts += [group_sql(place, to) for place in asked.groups]
        elif asked.distinct:
            parts += columns
        elif not has_id:
            parts.append("t.id DESC" if down else "t.id")
        return f" ORDER BY {', '.join(parts)}"

    @staticmethod
    def _order(to: Compilation, asked: Specification, operand: Operand) -> list[str]:
        if isinstance(operand, Column):
            return [operand.sql(to, operand.shape)]
        if isinstance(operand, Aggregate):
            return [operand.sql(to, Shape.NUMBER)]
        if asked.groups:
            if isinstance(operand, Place) and any(each.is_same(operand) for each in asked.groups):
                return [group_sql(operand, to)]
            raise InvalidArgumentException(
                f"order_by(): {operand.label} differs inside a group; sort by what is grouped by, or by count()"
            )
        if isinstance(operand, Place) and operand.is_id(to):
            return ["t.id"]
        return [operand.sql(to, shape) for shape in shapes_to_sort(operand.form)]


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
