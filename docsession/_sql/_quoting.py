"""Names and texts as they stand in SQL that is not sent as a bound value.

This is the only place that turns a name into SQL. `search_path` is never used: whatever belongs to a
database is written with its schema.
"""

from __future__ import annotations

from docsession._errors import InvalidArgumentException

MAX_NAME_BYTES = 63
"""PostgreSQL cuts longer names off without a word, so that two of them could become one."""


def quote_identifier(name: str) -> str:
    """Return *name* as a quoted SQL identifier, whatever characters it holds.

    Raises:
        InvalidArgumentException: *name* is empty, longer than 63 bytes of UTF-8, or holds a character
            that PostgreSQL cannot store in a name (NUL, lone surrogates).
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise InvalidArgumentException(f"{name!r} holds a lone surrogate, which no SQL name can hold") from error
    if not name or "\0" in name:
        raise InvalidArgumentException(f"{name!r} cannot be an SQL name: it is empty or holds a NUL character")
    if size > MAX_NAME_BYTES:
        raise InvalidArgumentException(f"{name!r} has {size} bytes; PostgreSQL's names have {MAX_NAME_BYTES} at most")
    return '"' + name.replace('"', '""') + '"'


def qualified(schema: str, name: str) -> str:
    """Return `"schema"."name"`.

    Raises:
        InvalidArgumentException: As `quote_identifier`.
    """
    return f"{quote_identifier(schema)}.{quote_identifier(name)}"


def quote_literal(text: str) -> str:
    """Return *text* as an SQL string that means the same under every server setting.

    Dollar quotes, because a backslash in single quotes depends on `standard_conforming_strings`.
    For the places that take no bound value (the body of `DO`); everything else binds its values.
    """
    number = 0
    while (tag := f"$q{number}$") in text + "$":
        number += 1
    return f"{tag}{text}{tag}"
