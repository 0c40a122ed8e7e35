"""Pages by key: where one ends, as a token, and the statement for what comes after it or before.

The documents after a position are several ranges, one after the other: those with the same keys but the
last, those with the same keys but the last two, and so on, and each of these first with a value, then
without. A range never asks for `x > v OR x IS NULL`, which no index answers in order. Each takes as many
documents as the ones before have left, so that one statement reads a page and not more.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from docsession._errors import InvalidArgumentException, InvalidPageTokenException
from docsession._port import Timestamp
from docsession._query._kinds import CASTS
from docsession._sql._values import Shape

VERSION: Final = 1
_SIGNATURE: Final = 16
_EPOCH: Final = 946_684_800_000_000
_FIRST_MOMENT: Final = -211_813_488_000_000_000
_END_OF_MOMENTS: Final = 9_223_371_331_200_000_000
"""What a timestamptz holds, in microseconds since 2000."""
_NUMBER: Final = re.compile(r"-?[0-9]{1,131072}(\.[0-9]{1,16383})?(e[+-][0-9]{1,3})?|NaN|-?Infinity")
"""What a numeric, or a float, is as text."""

Bind: TypeAlias = Callable[[int], str]
"""Returns the SQL of a key of the position, by its number."""


@dataclass(frozen=True, slots=True)
class Key:
    """One of the expressions that a query is sorted by.

    Attributes:
        sql: The expression.
        shape: What it is compared as.
        down: True where from the greatest to the least.
        nullable: False for the id.
    """

    sql: str
    shape: Shape
    down: bool
    nullable: bool = True

    @property
    def text(self) -> str:
        """Its value as a text that is read back exactly, in SQL."""
        if self.shape is Shape.INSTANT:
            return f"((extract(epoch FROM {self.sql}) * 1000000)::bigint)::text"
        return f"({self.sql})::text" if self.shape is Shape.NUMBER else self.sql

    @property
    def order(self) -> str:
        """What stands behind ORDER BY."""
        return f"{self.sql} DESC" if self.down else self.sql

    @property
    def cast(self) -> str:
        """What stands behind a bound value."""
        return CASTS[self.shape]


Position: TypeAlias = tuple[str | None, ...]
"""The keys of a document, as `Key.text` has them."""


def ranges(keys: Sequence[Key], nulls: Sequence[bool], bind: Bind) -> list[tuple[list[str], int]]:
    """Return what comes after a position, in order: the conditions of each range, and its first key that differs.

    Args:
        keys: What is sorted by; the last is the id.
        nulls: For each key whether the position has no value there.
        bind: See `Bind`.
    """
    found: list[tuple[list[str], int]] = []
    for last in range(len(keys) - 1, -1, -1):
        key = keys[last]
        same = [
            f"{each.sql} IS NULL" if null else f"{each.sql} = {bind(number)}"
            for number, (each, null) in enumerate(zip(keys[:last], nulls, strict=False))
        ]
        operator = "<" if key.down else ">"
        if nulls[last]:
            # Without a value: the first from the greatest to the least, the last the other way.
            if key.down:
                found.append(([*same, f"{key.sql} IS NOT NULL"], last))
            continue
        found.append(([*same, f"{key.sql} {operator} {bind(last)}"], last))
        if key.nullable and not key.down:
            found.append(([*same, f"{key.sql} IS NULL"], last + 1))
    return found


def bound(key: Key, value: str | None) -> object:
    """Return a key of a position as it is bound.

    Raises:
        InvalidPageTokenException: It is none: somebody has made it up, and PostgreSQL would refuse the whole query.
    """
    if value is None:
        return None
    if key.shape is Shape.INSTANT:
        try:
            moment = Timestamp(int(value) - _EPOCH)
        except ValueError:
            raise _stranger() from None
        if not _FIRST_MOMENT <= moment < _END_OF_MOMENTS:
            raise _stranger()
        return moment
    if key.shape is Shape.NUMBER and not _NUMBER.fullmatch(value):
        raise _stranger()
    return value


class _Token(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    version: int
    query: str
    keys: list[str | None]


def digest_of(form: Sequence[object]) -> str:
    """Return a short name for the form of a query; the same in every process."""
    return hashlib.blake2b(repr(form).encode(), digest_size=9).hexdigest()


def write_token(digest: str, position: Position, secret: bytes | None) -> str:
    """Return a position as a token for users to carry."""
    payload = msgspec.json.encode(_Token(VERSION, digest, list(position)))
    if secret is not None:
        payload = hmac.digest(secret, payload, "sha256")[:_SIGNATURE] + payload
    return base64.urlsafe_b64encode(payload).rstrip(b"=").decode()


def read_token(token: object, digest: str, count: int, secret: bytes | None) -> Position:
    """Return the position of a token.

    Raises:
        InvalidPageTokenException: It is none, of another query, or not signed with the key of the conventions.
        InvalidArgumentException: It is no str.
    """
    if not isinstance(token, str):
        raise InvalidArgumentException(f"a page token is a str, as page.next is, not {type(token).__qualname__}")
    try:
        payload = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _stranger() from None
    if secret is not None:
        signature, payload = payload[:_SIGNATURE], payload[_SIGNATURE:]
        if not hmac.compare_digest(signature, hmac.digest(secret, payload, "sha256")[:_SIGNATURE]):
            raise _stranger()
    try:
        found = msgspec.json.decode(payload, type=_Token)
    except msgspec.DecodeError:
        raise _stranger() from None
    if found.version != VERSION or found.query != digest or len(found.keys) != count or found.keys[-1] is None:
        raise _stranger()
    if any(key is not None and "\0" in key for key in found.keys):
        raise _stranger()
    return tuple(found.keys)


def _stranger() -> InvalidPageTokenException:
    return InvalidPageTokenException(
        "this is no page token of this query: pass on page.next or page.previous of a page of the same query, with the "
        "same conditions and order, and the same page_token_key in the conventions"
    )


def reversed_keys(keys: Sequence[Key]) -> list[Key]:
    """Return the same keys in the opposite direction, which is how the page before a position is read."""
    return [Key(key.sql, key.shape, not key.down, key.nullable) for key in keys]


def last_of(row: Sequence[Any], count: int) -> Position:
    """Return the position of a row, whose last columns are its keys."""
    return tuple(row[-count:])
