"""The statements that read documents: by id, by prefix, and with what they refer to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import msgspec

from docsession._port import JSONB_VERSION, Row, Statement, TextArray
from docsession._sql._tables import COLUMNS, TableStatements


@dataclass(frozen=True, slots=True)
class Include:
    """Documents to bring along: those that the strings at a path name.

    Attributes:
        path: JSON keys; a list on the way stands for each of its items.
        tables: Where those documents are looked for.
        prefixes: With more than one table: which ids are looked for in each.
    """

    path: tuple[str, ...]
    tables: tuple[TableStatements, ...]
    prefixes: tuple[tuple[str, ...], ...] = ()

    def covers(self, table: TableStatements, prefix: str) -> bool:
        """Return True where ids of *prefix* were looked for in *table*."""
        if table not in self.tables:
            return False
        return not self.prefixes or prefix in self.prefixes[self.tables.index(table)]


def load_one(table: TableStatements, key: str) -> Statement:
    """Rows (id, data, metadata, version, last_modified)."""
    return Statement(table.load_one, (key,))


def load_many(parts: Sequence[tuple[TableStatements, Sequence[str]]]) -> Statement:
    """The same for ids of one or more tables; with more than one the table's position comes sixth."""
    if len(parts) == 1:
        table, keys = parts[0]
        return Statement(table.load_many, (TextArray(keys),))
    return Statement(_union(tuple(table.name for table, _ in parts)), [TextArray(keys) for _, keys in parts])


def load_one_known(table: TableStatements, known: Row) -> Statement:
    """As `load_one`, without data and metadata where the document is as in the row *known*."""
    return Statement(table.load_changed, (known[0], known[3]))


def load_many_known(parts: Sequence[tuple[TableStatements, Sequence[str]]], known: Mapping[str, Row]) -> Statement:
    """As `load_many`, without the data of the documents that are as in the rows *known*."""
    text = _union_known(tuple(table.name for table, _ in parts))
    return Statement(text, [*(TextArray(keys) for _, keys in parts), _versions(known)])


def _versions(known: Mapping[str, Row]) -> bytes:
    """Return the versions of rows as a parameter: a jsonb object by id.

    Looking into it needs no join, whose plan costs more than it saves for a few documents, and one
    parameter does for all tables.
    """
    return JSONB_VERSION + msgspec.json.encode({key: str(row[3]) for key, row in known.items()})


def _unless_known(parameter: int) -> str:
    """`COLUMNS` without the data of the documents whose versions are in the parameter."""
    data = f"CASE WHEN version = (${parameter} ->> id)::bigint THEN NULL ELSE data END"
    return f"id, {data}, metadata, version, last_modified"


def load_with_includes(
    parts: Sequence[tuple[TableStatements, Sequence[str]]],
    includes: Sequence[Include],
    separator: str,
    tracked: Sequence[str],
    known: Mapping[str, Row] = MappingProxyType({}),
) -> tuple[Statement, list[TableStatements]]:
    """Return the statement that loads ids and what they refer to in one request, and its tables.

    Rows as in `load_many`, the sixth column being the position of the row's table in that list; the
    first `len(parts)` positions are the ids asked for. Documents with an id in *tracked* are left out
    of the included ones, and the data of those that are as in the rows *known* out of all.
    """
    text, tables = _including(
        tuple(table for table, _ in parts),
        tuple((len(include.path), include.tables, bool(include.prefixes)) for include in includes),
        with_known=bool(known),
    )
    params: list[object] = [TextArray(keys) for _, keys in parts]
    params += include_params(includes, separator, tracked)
    if known:
        params.append(_versions(known))
    return Statement(text, params), list(tables)


@lru_cache(1024)
def _union(names: tuple[str, ...]) -> bytes:
    branches = (f"SELECT {COLUMNS}, {i} FROM {name} WHERE id = ANY(${i + 1})" for i, name in enumerate(names))
    return " UNION ALL ".join(branches).encode()


@lru_cache(1024)
def _union_known(names: tuple[str, ...]) -> bytes:
    columns = _unless_known(len(names) + 1)
    position = ", {}" if len(names) > 1 else ""
    branches = (
        f"SELECT {columns}{position.format(i)} FROM {name} WHERE id = ANY(${i + 1})" for i, name in enumerate(names)
    )
    return " UNION ALL ".join(branches).encode()


@lru_cache(1024)
def _including(
    tables: tuple[TableStatements, ...],
    includes: tuple[tuple[int, tuple[TableStatements, ...], bool], ...],
    *,
    with_known: bool,
) -> tuple[bytes, tuple[TableStatements, ...]]:
    page = " UNION ALL ".join(
        f"SELECT {COLUMNS}, {i} AS part FROM {table.name} WHERE id = ANY(${i + 1})" for i, table in enumerate(tables)
    )
    return _with_referred(page, tables, len(tables), includes, (), with_known=with_known)


def page_with_includes(
    page: str,
    table: TableStatements,
    count: int,
    includes: Sequence[Include],
    further: Sequence[str] = (),
    *,
    limited: bool = False,
) -> tuple[str, list[TableStatements]]:
    """Return the text that loads what a query finds and what that refers to, and its tables, as `load_with_includes`.

    Args:
        page: The query, whose columns are those of a load.
        table: Where it looks.
        count: How many parameters it has; those of `include_params` follow.
        includes: What is included.
        further: Columns that the query has besides; they come last.
        limited: True where only the first documents bring theirs along; how many is one more parameter, the last.
    """
    shapes = tuple((len(include.path), include.tables, bool(include.prefixes)) for include in includes)
    more = "".join(f", {name}" for name in further)
    numbered = f"SELECT {COLUMNS}, 0 AS part{more} FROM ({page}) AS found"
    text, tables = _with_referred(numbered, (table,), count, shapes, tuple(further), limited=limited)
    return text.decode(), list(tables)


def include_params(includes: Sequence[Include], separator: str, tracked: Sequence[str]) -> list[object]:
    """Return the parameters of the included part of a statement, of which the documents *tracked* are left out."""
    params: list[object] = []
    if any(include.tables for include in includes):
        params.append(TextArray(tracked))
    for include in includes:
        params += include.path
        for prefixes in include.prefixes:
            params += (separator, TextArray(prefixes))
    return params


def _with_referred(
    page: str,
    tables: tuple[TableStatements, ...],
    count: int,
    includes: tuple[tuple[int, tuple[TableStatements, ...], bool], ...],
    further: tuple[str, ...],
    *,
    with_known: bool = False,
    limited: bool = False,
) -> tuple[bytes, tuple[TableStatements, ...]]:
    """Return the statement for *page*, which has *count* parameters, and what its documents refer to."""
    more, none = "".join(f", {name}" for name in further), ", NULL" * len(further)
    tracked = parameter = count + any(targets for _, targets, _ in includes)
    ctes = [f"page AS MATERIALIZED ({page})"]
    source_of_refs = "page"
    if limited:
        source_of_refs = "first"
        own = sum(depth + 2 * len(targets) * filtered for depth, targets, filtered in includes)
        ctes.append(f"first AS (SELECT data FROM page LIMIT ${parameter + own + 1})")
    wanted: dict[TableStatements, list[str]] = {}
    for number, (depth, targets, filtered) in enumerate(includes):
        keys = [f"${parameter + 1 + i}" for i in range(depth)]
        parameter += depth
        ctes.append(f"refs{number} AS MATERIALIZED ({_references(source_of_refs, keys)})")
        for target in targets:
            source = f"SELECT id FROM refs{number}"
            if filtered:
                parameter += 2
                # split_part of an id without a separator is the whole id, where its prefix is "".
                found = (
                    f"CASE WHEN strpos(id, ${parameter - 1}) > 0 THEN split_part(id, ${parameter - 1}, 1) ELSE '' END"
                )
                source += f" WHERE {found} = ANY(${parameter})"
            wanted.setdefault(target, []).append(source)
    columns = _unless_known(parameter + 1) if with_known else COLUMNS
    branches = [f"SELECT {columns}, part{more} FROM page"]
    for position, (target, sources) in enumerate(wanted.items(), len(tables)):
        inner = " UNION ALL ".join(sources)
        branches.append(
            f"SELECT {columns}, {position}{none} FROM {target.name} WHERE id IN ({inner}) AND NOT id = ANY(${tracked})"
        )
    return f"WITH {', '.join(ctes)} {' UNION ALL '.join(branches)}".encode(), tables + tuple(wanted)


def _references(page: str, keys: Sequence[str]) -> str:
    """The distinct strings at a path of the documents of *page*, through lists on the way."""
    laterals = []
    value = f"{page}.data"
    for i, key in enumerate(keys):
        item = f"{value} -> {key}"
        laterals.append(
            f"CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof({item}) WHEN 'array' THEN {item} "
            f"ELSE jsonb_build_array({item}) END) AS v{i}(value)"
        )
        value = f"v{i}.value"
    return (
        f"SELECT DISTINCT ({value} #>> '{{}}') COLLATE \"C\" AS id FROM {page} {' '.join(laterals)} "
        f"WHERE jsonb_typeof({value}) = 'string'"
    )


def load_starting_with(
    tables: Sequence[TableStatements],
    prefix: str,
    *,
    matches: str | None,
    exclude: str | None,
    start: int,
    page_size: int | None,
    start_after: str | None,
    known: Mapping[str, Row] = MappingProxyType({}),
) -> Statement:
    """Documents whose id begins with *prefix*, in the order of their ids; see `load_with_includes` for *known*.

    *matches* and *exclude* are regular expressions on the whole rest of the id.
    """
    params: list[object] = []
    conditions = begins_with("id", prefix, params)
    if start_after is not None:
        params.append(start_after)
        conditions.append(f"id > ${len(params)}")
    for pattern, operator in ((matches, "~"), (exclude, "!~")):
        if pattern is not None:
            params += (len(prefix) + 1, pattern)
            conditions.append(f"substr(id, ${len(params) - 1}::int) {operator} ${len(params)}")
    where = " AND ".join(conditions)
    branches = (f"SELECT {COLUMNS}, {i} AS part FROM {table.name} WHERE {where}" for i, table in enumerate(tables))
    page = page_end(start, page_size, params)
    columns = COLUMNS
    if known:
        params.append(_versions(known))
        columns = _unless_known(len(params))
    sql = f"SELECT {columns}, part FROM ({' UNION ALL '.join(branches)}) AS found ORDER BY id{page}"
    return Statement(sql.encode(), params)


def begins_with(column: str, prefix: str, params: list[object]) -> list[str]:
    """Return the conditions of texts that begin with *prefix*, whose values they add to *params*."""
    params.append(prefix)
    conditions = [f"{column} >= ${len(params)}"]
    end = next_prefix(prefix)
    if end is not None:
        params.append(end)
        conditions.append(f"{column} < ${len(params)}")
    return conditions


def page_end(start: int, page_size: int | None, params: list[object]) -> str:
    """Return what bounds a statement to a page, whose values it adds to *params*."""
    end = ""
    if page_size is not None:
        params.append(page_size)
        end += f" LIMIT ${len(params)}"
    if start:
        params.append(start)
        end += f" OFFSET ${len(params)}"
    return end


def next_prefix(prefix: str) -> str | None:
    """Return the first string, in code point order, after all that begin with *prefix*; None if none is."""
    for i in range(len(prefix) - 1, -1, -1):
        point = ord(prefix[i])
        if point < 0x10FFFF:
            following = 0xE000 if point == 0xD7FF else point + 1  # surrogates are no characters
            return prefix[:i] + chr(following)
    return None
