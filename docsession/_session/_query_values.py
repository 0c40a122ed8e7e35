"""What queries return besides documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from typing_extensions import override

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of the results of a query.

    Attributes:
        items: The results of this page.
        total: How many there are on all pages; None for a page by keys, which does not count them.
        next: A token for the page after this one, by keys; None where there is none.
        previous: A token for the page before this one, likewise.
    """

    items: list[T]
    total: int | None = None
    next: str | None = None
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class QuerySql:
    """The statement of a query.

    Attributes:
        text: The SQL, `$1` style; "" where there is no table to ask yet.
        parameters: What is bound, as it is sent: numbers as text, times as microseconds since 2000.
    """

    text: str
    parameters: tuple[object, ...]

    @override
    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """How the server finds what a query asks for.

    Attributes:
        text: The plan as psql shows it; "" where there is no table to ask yet.
        plan: The same as PostgreSQL's JSON has it: the topmost node.
    """

    text: str
    plan: dict[str, Any]

    @override
    def __str__(self) -> str:
        return self.text
