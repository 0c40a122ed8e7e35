"""What both faces make of the documents that a query found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from docsession._errors import MultipleResultsException, NoResultException
from docsession._query._query import Specification

T = TypeVar("T")


def described(asked: Specification) -> str:
    """Return what an error calls the documents that were asked for."""
    return repr(asked.collection) if asked.object_type is dict else asked.object_type.__qualname__


def first_of(found: Sequence[T], query: object) -> T:
    """Return the first document.

    Raises:
        NoResultException: There is none.
    """
    if not found:
        raise NoResultException(f"{query!r} found no document; first_or_none() and one_or_none() return None then")
    return found[0]


def one_of(found: Sequence[T], query: object) -> T:
    """Return the only document.

    Raises:
        NoResultException: There is none.
        MultipleResultsException: There are several.
    """
    if len(found) > 1:
        raise MultipleResultsException(f"{query!r} found more than one document; first() returns one of them")
    return first_of(found, query)
