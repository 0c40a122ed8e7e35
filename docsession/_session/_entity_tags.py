"""Entity tags of HTTP, RFC 9110, as clients send them back."""

from __future__ import annotations

import re
from typing import Final

from docsession._errors import InvalidArgumentTypeException

_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')

_BETWEEN: Final = re.compile(r"[ \t]*(?:,[ \t]*)+|[ \t]*$")
"""A list may have empty elements."""


def tags_in(header: str) -> tuple[str, ...]:
    """Return the tags that a header lists, each with its quotes; none where a part of it cannot be read."""
    text = header.strip(" \t")
    found: list[str] = []
    start = re.match(r"[ \t,]*", text)
    position = start.end() if start else 0
    while position < len(text):
        tag = _TAG.match(text, position)
        between = _BETWEEN.match(text, tag.end()) if tag else None
        if tag is None or between is None:
            return ()
        found.append(tag.group())
        position = between.end()
    return tuple(found)


def known_tags(if_none_match: object) -> frozenset[str]:
    """Return the tags of what a client has already, compared weakly: without what marks them as weak.

    Args:
        if_none_match: The header of that name, or one tag; None: the request has none.

    Raises:
        InvalidArgumentTypeException: It is no text.
    """
    if if_none_match is None:
        return frozenset()
    if not isinstance(if_none_match, str):
        raise InvalidArgumentTypeException(
            "json(if_none_match=…) takes the header of that name, or an etag, as a str, not "
            f"{type(if_none_match).__qualname__}"
        )
    return frozenset(tag.removeprefix("W/") for tag in tags_in(if_none_match))
