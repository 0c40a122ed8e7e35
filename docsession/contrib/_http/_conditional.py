"""Conditional requests, RFC 9110: change vectors as entity tags, and the headers that name them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from docsession._errors import InvalidArgumentException
from docsession._session._entity_tags import tags_in

_OPAQUE: Final = re.compile(r"[\x21\x23-\x7e\x80-\xff]*")


def etag(change_vector: str, *, weak: bool = False) -> str:
    """Return the entity tag of a version, as in the header `ETag`.

    Args:
        change_vector: A document's change vector, or what else names one content and no other.
        weak: True where the same tag may stand for bytes that differ.

    Raises:
        InvalidArgumentException: It has characters that an entity tag cannot have.
    """
    if not _OPAQUE.fullmatch(change_vector):
        raise InvalidArgumentException(
            f"an entity tag is printable text without blanks and quotation marks, not {change_vector!r:.80}"
        )
    return f'{"W/" if weak else ""}"{change_vector}"'


def if_match(header: str | None, current: str | None) -> bool:
    """Return True where the condition `If-Match` holds, so that the request may go on; else the answer is 412.

    Tags are compared strongly: a weak one, as a compressing proxy makes, matches nothing.

    Args:
        header: The header's value, several of them joined by commas; None: the request has none.
        current: The present entity tag, as `etag` returns it; None where there is nothing yet.
    """
    if header is None:
        return True
    return current is not None and _names(header, lambda tag: not tag.startswith("W/") and tag == current)


def if_none_match(header: str | None, current: str | None) -> bool:
    """Return True where the condition `If-None-Match` holds, so that the request may go on.

    Else the answer is 304 to GET and HEAD, and 412 to all else. Tags are compared weakly.

    Args:
        header: The header's value, several of them joined by commas; None: the request has none.
        current: The present entity tag, as `etag` returns it; None where there is nothing yet.
    """
    if header is None or current is None:
        return True
    known = current.removeprefix("W/")
    return not _names(header, lambda tag: tag.removeprefix("W/") == known)


def _names(header: str, matches: Callable[[str], bool]) -> bool:
    """Return True where one tag of the list does, or the header is `*`; one that cannot be read names nothing."""
    return header.strip(" \t") == "*" or any(map(matches, tags_in(header)))
