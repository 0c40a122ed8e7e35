"""How well documents fit what the builder searches for, by which they are sorted where nothing else is said."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from typing_extensions import override

from docsession._query._compilation import Compilation
from docsession._query._full_text import Search
from docsession._query._operands import NUMBERS, Operand
from docsession._sql._values import Shape


class Score(Operand):
    """The sum of the ranks of searches.

    Attributes:
        parts: The searches, each with how much it counts.
    """

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[tuple[Search, float]]) -> None:
        self.parts = tuple(parts)
        self.form = NUMBERS
        self.label = "the score"

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(("score", *(factor for _, factor in self.parts)))
        for search, _ in self.parts:
            search.walk(key, values)

    @override
    def sql(self, to: Compilation, shape: Shape) -> str:
        ranks = []
        for search, factor in self.parts:
            rank = search.rank(to)
            ranks.append(rank if factor == 1 else f"{rank} * {Decimal(repr(factor)):f}")
        return ranks[0] if len(ranks) == 1 else f"({' + '.join(ranks)})"

    def followed_by(self, search: Search) -> Score:
        """Return the score with one more search."""
        return Score((*self.parts, (search, 1.0)))

    def boosted(self, factor: float) -> Score:
        """Return the score whose last search counts for more, or for less."""
        *others, (search, before) = self.parts
        return Score((*others, (search, before * factor)))
