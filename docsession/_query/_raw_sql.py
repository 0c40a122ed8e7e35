"""SQL of the user's own that returns documents: named parameters become bound ones."""

from __future__ import annotations

import datetime as dt
import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from docsession._documents._untyped import LOOSE
from docsession._documents._values import write_json
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._port import JSONB_VERSION, Statement, TextArray, Timestamp
from docsession._query._listening import Listeners

_PLACEHOLDER: Final = re.compile(r"\{table\}|%(?:%|\(([^)]*)\)s|(.))", re.DOTALL)
_TABLE: Final = "{table}"
_COLUMNS: Final = ("id", "data", "metadata", "version", "last_modified")
_EPOCH: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


class RawStatement(Statement):
    """The statement of a query in SQL of a user's own."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class RawQuery:
    """SQL of a user's own that finds documents.

    Attributes:
        object_type: The class of the documents; None: dicts, whose collection follows from their ids.
        sql: A SELECT with `%(name)s` for values, `%%` for a percent sign and `{table}` for the class's table; its
            result has the columns `id`, `data`, `metadata`, `version` and `last_modified`, among others.
        values: The values by name.
        no_tracking: True where the session does not track what is found.
        skip: How many documents are left out first.
        take: How many are returned at most; None: all.
        listeners: Who is told of each executing.
    """

    object_type: type[Any] | None
    sql: str
    values: Mapping[str, Any]
    no_tracking: bool = False
    skip: int = 0
    take: int | None = None
    listeners: Listeners | None = None

    def documents(self, table: str) -> RawStatement:
        """Return the statement for the documents, as rows of a load, from a table, qualified and quoted.

        Raises:
            InvalidArgumentException: A name has no value, a value no place, or something else stands behind a percent
                sign.
        """
        found, params = self._found(table)
        columns = ", ".join(f"q.{name}" for name in _COLUMNS)
        return RawStatement(f"SELECT {columns} FROM {found} AS q{self._limits(params)}".encode(), params)

    def counted(self, table: str) -> RawStatement:
        """Return the same with True and the total behind each row; where there are no rows, one with the total."""
        found, params = self._found(table)
        columns = ", ".join(f"q.{name}" for name in _COLUMNS)
        page = f"SELECT {columns}, true AS found FROM q{self._limits(params)}"
        return RawStatement(
            f"WITH q AS MATERIALIZED {found} SELECT page.*, counted.total "
            f"FROM (SELECT count(*) AS total FROM q) AS counted LEFT JOIN ({page}) AS page ON true".encode(),
            params,
        )

    def _limits(self, params: list[object]) -> str:
        limits = ""
        if self.take is not None:
            params.append(self.take)
            limits += f" LIMIT ${len(params)}"
        if self.skip:
            params.append(self.skip)
            limits += f" OFFSET ${len(params)}"
        return limits

    def count(self, table: str) -> RawStatement:
        """Return the statement for how many there are, whatever `skip` and `take` say."""
        found, params = self._found(table)
        return RawStatement(f"SELECT count(*) FROM {found} AS q".encode(), params)

    def any(self, table: str) -> RawStatement:
        """Return the statement that finds out whether there is one."""
        found, params = self._found(table)
        return RawStatement(f"SELECT EXISTS (SELECT 1 FROM {found} AS q)".encode(), params)

    def _found(self, table: str) -> tuple[str, list[object]]:
        given: object = self.sql
        if not isinstance(given, str) or not given.strip():
            raise InvalidArgumentTypeException(f"query_sql() takes SQL as a str, not {given!r:.60}")
        if "\0" in given:
            raise InvalidArgumentException("SQL holds no NUL character")
        params: list[object] = []
        places: dict[str, str] = {}
        values = self.values

        def place(match: re.Match[str]) -> str:
            name = match[1]
            if match[0] == _TABLE:
                return table
            if match[0] == "%%":
                return "%"
            if name is None:
                raise InvalidArgumentException(
                    f"{match[0]!r} in the SQL: a value is written %(name)s, and a percent sign %%"
                )
            if name not in values:
                raise InvalidArgumentException(f"the SQL has %({name})s, and there is no value {name!r}")
            if name not in places:
                places[name] = _bind(name, values[name], params)
            return places[name]

        text = _PLACEHOLDER.sub(place, given.strip().rstrip(";"))
        unused = values.keys() - places.keys()
        if unused:
            raise InvalidArgumentException(f"the SQL has no %({min(unused)})s for the value {min(unused)!r}")
        # A line of its own, because the SQL may end with a comment.
        return f"(\n{text}\n)", params


def _bind(name: str, value: Any, params: list[object]) -> str:
    if value is None:
        return "NULL"
    bound, cast = _parameter(name, value)
    params.append(bound)
    return f"${len(params)}{cast}"


def _parameter(name: str, value: Any) -> tuple[object, str]:
    """Return a value as it is sent, and the cast that makes it what PostgreSQL's users expect."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, bool):
        return ("true" if value else "false"), "::boolean"
    if isinstance(value, str):
        return _text(name, str(value)), ""
    if isinstance(value, int):
        return (int(value), "") if -(2**63) <= value < 2**63 else (str(value), "::numeric")
    if isinstance(value, float):
        return repr(float(value)), "::float8"
    if isinstance(value, Decimal):
        return str(value), "::numeric"
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            return value.isoformat(), "::timestamp"
        return Timestamp((value - _EPOCH) // _MICROSECOND), ""
    for kind, cast in ((dt.date, "::date"), (dt.time, "::time"), (UUID, "::uuid")):
        if isinstance(value, kind):
            return str(value), cast
    if isinstance(value, dict):
        return JSONB_VERSION + write_json(LOOSE.encode(value, None, None)), ""
    if isinstance(value, (list, tuple, set, frozenset)):
        return _array(name, list(value))
    raise InvalidArgumentTypeException(
        f"the value {name!r} is a {type(value).__qualname__}, which cannot be sent; use str, int, float, Decimal, "
        "bool, datetime, date, time, UUID, a dict for jsonb, or a list of them for an array"
    )


def _array(name: str, values: list[Any]) -> tuple[object, str]:
    texts, casts = [], set()
    for each in values:
        if each is None or isinstance(each, (dict, list, tuple)):
            raise InvalidArgumentTypeException(f"the array {name!r} holds {each!r:.40}; it takes single values")
        bound, cast = _parameter(name, each)
        if isinstance(bound, Timestamp):
            bound, cast = each.isoformat(), "::timestamptz"
        casts.add("::bigint" if type(bound) is int else cast)
        texts.append(str(bound))
    if len(casts) > 1:
        raise InvalidArgumentTypeException(f"the array {name!r} holds values of several types")
    cast = casts.pop() if casts else ""
    return TextArray(texts), f"{cast}[]" if cast else ""


def _text(name: str, value: str) -> str:
    if "\0" in value:
        raise InvalidArgumentException(f"the value {name!r} holds a NUL character, which no text of PostgreSQL does")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidArgumentException(f"the value {name!r} holds a lone surrogate") from None
    return value
