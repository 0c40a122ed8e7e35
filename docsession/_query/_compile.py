"""Queries -> statements; the text of each form of a query is written once for a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from docsession._port import Statement, TextArray
from docsession._query._compilation import Compilation, Convert
from docsession._query._kinds import is_datetime, shape_of_form
from docsession._query._operands import Column, Operand, Place
from docsession._query._query import Specification
from docsession._sql._tables import TableStatements
from docsession._sql._values import Shape

COLUMNS: Final = "t.id, t.data, t.metadata, t.version, t.last_modified"
_MOST: Final = 512
"""Texts kept for a table; a program has a handful, one that makes queries of everything it is asked may have more."""


class Compiled:
    """A statement's text, and what becomes of the values of a query in it."""

    __slots__ = ("_binds", "sql")

    def __init__(self, sql: str, binds: Sequence[tuple[int, Convert]]) -> None:
        self.sql = sql.encode()
        self._binds = tuple(binds)

    def statement(self, values: Sequence[Any]) -> Statement:
        """Return the statement with its values bound."""
        return Statement(self.sql, [convert(values[number]) for number, convert in self._binds])


class QueryCompiler:
    """Compiles the queries of one table.

    Args:
        table: The table.
        schema: The schema that it is in.
        id_key: The key under which the class has its id; it is no part of the documents.
        aliases: What the metadata calls the classes that are asked for; None: all that the table holds.
    """

    __slots__ = ("_aliases", "_compiled", "_id_key", "_schema", "table")

    def __init__(
        self, table: TableStatements, schema: str, id_key: str | None, aliases: tuple[str, ...] | None = None
    ) -> None:
        self.table = table
        self._schema = schema
        self._id_key = id_key
        self._aliases = None if aliases is None else TextArray(aliases)
        self._compiled: dict[tuple[object, ...], Compiled] = {}

    def documents(self, asked: Specification) -> Statement:
        """Return the statement for the documents, as rows of a load."""
        return self._compile("documents", asked, ordered=True, limited=True)

    def count(self, asked: Specification) -> Statement:
        """Return the statement for how many there are, whatever `skip` and `take` say."""
        return self._compile("count", asked, ordered=False, limited=False)

    def any(self, asked: Specification) -> Statement:
        """Return the statement that finds out whether there is one."""
        return self._compile("any", asked, ordered=False, limited=False)

    def page(self, asked: Specification) -> Statement:
        """Return the statement for the documents of a page, each row with the total behind it; one row at least."""
        return self._compile("page", asked, ordered=True, limited=True)

    def _compile(self, kind: str, asked: Specification, *, ordered: bool, limited: bool) -> Statement:
        key: list[object] = [kind]
        values: list[Any] = []
        for condition in asked.conditions:
            condition.walk(key, values)
        if ordered:
            key.append("order")
            for operand, down in asked.orders:
                operand.walk(key, values)
                key.append(down)
        if limited:
            key += ("limit", asked.take is None, asked.skip == 0)
            values += (asked.take, asked.skip)
        if self._aliases is not None:
            values.append(self._aliases)
        form = tuple(key)
        compiled = self._compiled.get(form)
        if compiled is None:
            if len(self._compiled) >= _MOST:
                self._compiled.clear()
            compiled = self._compiled[form] = self._write(kind, asked, ordered=ordered, limited=limited)
        return compiled.statement(values)

    def _write(self, kind: str, asked: Specification, *, ordered: bool, limited: bool) -> Compiled:
        to = Compilation(self._schema, self._id_key)
        conditions = [condition.sql(to) for condition in asked.conditions]
        orders = self._orders(to, asked.orders) if ordered else ""
        limits = ""
        if limited:
            take, skip = to.take(), to.take()
            limits += "" if asked.take is None else f" LIMIT {to.bind(take, _same)}"
            limits += "" if asked.skip == 0 else f" OFFSET {to.bind(skip, _same)}"
        if self._aliases is not None:
            conditions.append(f"(t.metadata ->> '@type') = ANY({to.bind(to.take(), _same)})")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        source = f"FROM {self.table.name} AS t{where}"
        documents = f"SELECT {COLUMNS} {source}{orders}{limits}"
        match kind:
            case "documents":
                sql = documents
            case "count":
                sql = f"SELECT count(*) {source}"
            case "any":
                sql = f"SELECT EXISTS (SELECT 1 {source})"
            case _:
                columns = "p.id, p.data, p.metadata, p.version, p.last_modified, n.total"
                total = f"(SELECT count(*) AS total {source}) AS n"
                sql = f"SELECT {columns} FROM {total} LEFT JOIN ({documents}) AS p ON true"
        return Compiled(sql, to.binds)

    def _orders(self, to: Compilation, orders: Sequence[tuple[Operand, bool]]) -> str:
        parts = []
        down = False
        has_id = False
        for operand, down in orders:
            word = " DESC" if down else ""
            if isinstance(operand, Column):
                parts.append(f"{operand.sql(to, operand.shape)}{word}")
                continue
            is_id = isinstance(operand, Place) and operand.is_id(to)
            has_id = has_id or is_id
            shapes = _shapes_to_sort(operand)
            parts += [f"{operand.sql(to, shape)}{word}" for shape in (shapes[:1] if is_id else shapes)]
        if not has_id:
            parts.append("t.id DESC" if down else "t.id")
        return f" ORDER BY {', '.join(parts)}"


def _shapes_to_sort(operand: Operand) -> tuple[Shape, ...]:
    """Return what the values of an operand are sorted as: where nothing is declared numbers come before texts."""
    shape = shape_of_form(operand.form)
    if shape is not None and shape is not Shape.JSON:
        return (shape,)
    # One with an offset has a place in time; one without has its text.
    return (Shape.INSTANT if is_datetime(operand.form) else Shape.NUMBER, Shape.TEXT)


def _same(value: Any) -> Any:
    return value
