"""Full text search, as SQL: the same text in queries, indexes and generated columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from docsession._errors import InvalidArgumentException
from docsession._sql._values import Path, json_at, text_at

_LANGUAGE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?", re.ASCII)
_LONGEST: Final = 100_000
"""Characters of a document that are searched: whatever they are, PostgreSQL's 1 MB for a tsvector hold their words."""


def check_language(language: object, function: str) -> str:
    """Return the name of a text search configuration.

    Raises:
        InvalidArgumentException: It is no name.
    """
    if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):
        raise InvalidArgumentException(
            f"{function}(language={language!r:.60}): a language is the name of a text search configuration, as "
            "'english', 'german' or 'simple'; one of your own with its schema, as 'public.mine'"
        )
    return language


def regconfig(language: str) -> str:
    """Return a language as SQL: PostgreSQL's own, where no schema is named."""
    return f"'{language if '.' in language else f'pg_catalog.{language}'}'::regconfig"


def text_vector(document: str, paths: Sequence[Path], language: str, weights: str | None) -> str:
    """Return the tsvector of the texts at *paths*: of strings, and of the strings in lists.

    Null where a single path leads to neither. Never an error, whatever the document holds: of a string its beginning
    is taken, and a list that is too long is left out.

    Args:
        document: An SQL expression of type jsonb.
        paths: Where in it.
        language: The text search configuration.
        weights: A letter from A to D for each path; None: all are the same.
    """
    longest = _LONGEST // len(paths)
    parts = []
    for number, path in enumerate(paths):
        part = _text_vector(document, path, language, longest)
        if len(paths) > 1 or weights is not None:
            part = f"coalesce({part}, ''::tsvector)"
        parts.append(part if weights is None else f"setweight({part}, '{weights[number]}')")
    return parts[0] if len(parts) == 1 else f"({' || '.join(parts)})"


def text_query(language: str, asked: str, function: str = "websearch_to_tsquery") -> str:
    """Return the tsquery of words as people write them into a search box, or as another function reads them."""
    return f"{function}({regconfig(language)}, {asked})"


def any_of_words(words: str, joined: str) -> str:
    """Return words, of which those with `*` behind them stand for all that begin so, as `to_tsquery` reads them."""
    terms = []
    for word in words.split():
        stem = word.rstrip("*")
        quoted = stem.replace("\\", "\\\\").replace("'", "''")
        if stem:
            terms.append(f"'{quoted}'{':*' if stem != word else ''}")
    return joined.join(terms)


def headline(document: str, path: Path, language: str, query: str, options: str) -> str:
    """Return the text at *path* with what was found marked; null for anything but a string."""
    marked = f"ts_headline({regconfig(language)}, {text_at(document, path)}, {query}, {options})"
    return f"(CASE WHEN jsonb_typeof({json_at(document, path)}) = 'string' THEN {marked} END)"


def _text_vector(document: str, path: Path, language: str, longest: int) -> str:
    json, text, config = json_at(document, path), text_at(document, path), regconfig(language)
    return (
        f"(CASE jsonb_typeof({json}) WHEN 'string' THEN to_tsvector({config}, left({text}, {longest})) "
        f"WHEN 'array' THEN CASE WHEN length({text}) <= {longest} "
        f"THEN jsonb_to_tsvector({config}, {json}, '[\"string\"]') END END)"
    )
