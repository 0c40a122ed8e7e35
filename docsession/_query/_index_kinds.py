"""What every kind of index is, and what kinds share: each makes definitions for the table that it is declared for.

A further kind is a frozen dataclass that inherits `IndexKind` and has `define`.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from docsession._declarations import IndexDeclaration
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._index_ddl import TYPES, IndexTarget, Key
from docsession._sql._definitions import Definition, escaped
from docsession._sql._quoting import quote_identifier

Keys = Callable[[Any], object]


class IndexKind(IndexDeclaration):
    """A kind of index."""

    __slots__ = ()

    comes_first = False
    """True for what others are defined after, because queries, and so their conditions, are written otherwise."""

    @abstractmethod
    def define(self, target: IndexTarget) -> Sequence[Definition]:
        """Return what it makes in a table.

        Raises:
            InvalidArgumentException: It names what cannot be indexed so.
        """


def check_declaration(given: Any, what: str) -> None:
    """Refuse what no declaration can have."""
    for attribute in ("keys", "key", "where"):
        function: object = getattr(given, attribute, None)
        if function is not None and not callable(function):
            raise InvalidArgumentTypeException(
                f"{what}() takes functions, as in lambda o: o.name, not {function!r:.60}"
            )
    name: object = given.name
    if name is not None:
        if not isinstance(name, str):
            raise InvalidArgumentTypeException(f"{what}(name=…) takes a str, not {name!r:.60}")
        quote_identifier(name)


def check_type(what: str, given: object, known: Iterable[str]) -> None:
    if given is not None and given not in set(known):
        raise InvalidArgumentException(f"{what}(type={given!r:.40}): there are {', '.join(map(repr, known))}")


def index_body(
    table: str, method: str, columns: Iterable[str], condition: str | None, options: Sequence[str] = ()
) -> str:
    """Return the template of what stands behind the name of an index."""
    given = f" WITH ({', '.join(options)})" if options else ""
    where = "" if condition is None else f" WHERE {condition}"
    return f"ON {{schema}}.{escaped(quote_identifier(table))} USING {method} ({', '.join(columns)}){given}{where}"


def words_of(key: Key, type_: str | None) -> list[str]:
    """Return what a name says of a key."""
    path = key.path
    words = [str(part) for part in path] if path is not None else [key.label]
    if key.is_descending:
        words.append("desc")
    if type_ is not None and key.shapes == (TYPES[type_],):
        words.append(type_)
    return words


def words_of_condition(condition: str | None) -> list[str]:
    """Return what a name says of a condition."""
    return [] if condition is None else [hashlib.sha256(condition.encode()).hexdigest()[:8]]
