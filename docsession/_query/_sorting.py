"""What queries sort by, as SQL."""

from __future__ import annotations

from collections.abc import Sequence

from docsession._errors import InvalidArgumentException
from docsession._query._compilation import Compilation
from docsession._query._kinds import is_datetime, shapes_to_sort
from docsession._query._operands import Arithmetic, Column, Operand, Place
from docsession._query._paging import Key
from docsession._query._projection import Aggregate, group_sql, is_of_groups
from docsession._query._query import Specification
from docsession._sql._values import Shape


def order_by(to: Compilation, asked: Specification, columns: Sequence[str]) -> str:
    """Return ORDER BY; *columns* are those of a projection."""
    parts: list[str] = []
    down = False
    has_id = False
    for operand, down in asked.sorting:
        word = " DESC" if down else ""
        has_id = has_id or (isinstance(operand, Place) and operand.is_id(to))
        for sql in _order(to, asked, operand):
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


def _order(to: Compilation, asked: Specification, operand: Operand) -> list[str]:
    if isinstance(operand, Column):
        return [operand.sql(to, operand.shape)]
    if isinstance(operand, Aggregate):
        shapes = shapes_to_sort(operand.form) if is_datetime(operand.form) else (Shape.NUMBER,)
        return [operand.sql(to, shape) for shape in shapes]
    if asked.groups:
        if isinstance(operand, Arithmetic) and is_of_groups(operand, asked.groups):
            return [operand.sql(to, Shape.NUMBER)]
        if isinstance(operand, Place) and any(each.is_same(operand) for each in asked.groups):
            return [group_sql(operand, to)]
        raise InvalidArgumentException(
            f"order_by(): {operand.label} differs inside a group; sort by what is grouped by, or by count()"
        )
    if isinstance(operand, Place) and operand.is_id(to):
        return ["t.id"]
    return [operand.sql(to, shape) for shape in shapes_to_sort(operand.form)]


def keys_of(to: Compilation, asked: Specification) -> list[Key]:
    """Return what a page by keys goes on by."""
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
