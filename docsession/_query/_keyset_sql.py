"""Pages by keys, as SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from docsession._query._compilation import Compilation
from docsession._query._paging import Key, Position, bound, ranges
from docsession._query._statements import COLUMNS, DOCUMENT


def keyset_page(
    to: Compilation,
    table: str,
    where: str,
    columns: Sequence[str],
    keys: Sequence[Key],
    position: Position | None,
    *,
    counted: bool,
) -> str:
    """Return the SQL of a page by keys, whose values to take are the number of rows and the position.

    Args:
        to: The compilation.
        table: The table.
        where: The WHERE of the documents, or "".
        columns: Those of a projection; none: the documents.
        keys: What it goes on by.
        position: What it comes after; None: the beginning.
        counted: True: with how many there are on all pages.
    """
    take, where_from = to.take(), to.take()
    limit = to.bind(take, _same)
    own = tuple(f"c{number}" for number in range(len(columns))) or DOCUMENT
    own_keys = tuple(f"k{number}" for number in range(len(keys)))
    selected = ", ".join(f"{column} AS c{number}" for number, column in enumerate(columns)) or COLUMNS
    texts = ", ".join(f"{key.text} AS k{number}" for number, key in enumerate(keys))
    rows = f"SELECT {selected}, {texts} FROM {table} AS t"
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
        total = f"SELECT count(*) AS total FROM {table} AS t{where}"
        page = f"SELECT {names} FROM ({total}) AS n LEFT JOIN ({page}) AS p ON true"
    return page


def _same(value: Any) -> Any:
    return value
