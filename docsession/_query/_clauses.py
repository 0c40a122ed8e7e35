"""What RavenDB's builder says of the documents: conditions joined by AND and OR, in groups.

AND binds more tightly than OR, and a negation belongs to the condition or group that follows.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from typing_extensions import override

from docsession._errors import InvalidOperationException
from docsession._query._compilation import Compilation
from docsession._query._predicates import All, Any_, Constant, Not, Predicate


class QueryOperator(enum.Enum):
    """What joins two conditions of a query (RavenDB: QueryOperator)."""

    AND = "AND"
    OR = "OR"


class SearchOperator(enum.Enum):
    """What joins the words of `search` (RavenDB: SearchOperator)."""

    OR = "OR"
    AND = "AND"


@dataclass(frozen=True, slots=True)
class _Level:
    """Conditions that stand beside each other.

    Attributes:
        terms: The conditions, each with what joins it to the one before.
        joined_by: What joins the next one; None: the default.
        negated: True: the next one is negated.
    """

    terms: tuple[tuple[QueryOperator, Predicate], ...] = ()
    joined_by: QueryOperator | None = None
    negated: bool = False


class Clauses(Predicate):
    """The conditions of the builder as one; a value, of which each step makes another.

    Args:
        levels: The outermost conditions, and those of the groups that are open.
        default: What joins two conditions between which nothing is said.
    """

    __slots__ = ("_default", "_levels", "_tree")

    def __init__(self, levels: tuple[_Level, ...] = (_Level(),), default: QueryOperator = QueryOperator.AND) -> None:
        self._levels = levels
        self._default = default
        self._tree: Predicate | None = None

    @property
    def unfinished(self) -> str | None:
        """What a condition has to follow, or a group has to end; None where nothing is missing."""
        last = self._levels[-1]
        if last.negated:
            return "not_()"
        if last.joined_by is not None:
            return "or_else()" if last.joined_by is QueryOperator.OR else "and_also()"
        return "open_subclause()" if len(self._levels) > 1 else None

    def check_finished(self, before: str) -> None:
        """Refuse *before* where something is missing.

        Raises:
            InvalidOperationException: A condition or `close_subclause()` has to follow first.
        """
        word = self.unfinished
        if word is not None:
            missing = "close_subclause()" if word == "open_subclause()" else "a condition of the builder"
            raise InvalidOperationException(f"{before} comes after {word}, which {missing} has to follow first")

    @property
    def is_negating(self) -> bool:
        """True where the next condition is one that documents must not fulfil."""
        return sum(level.negated for level in self._levels) % 2 == 1

    @property
    def last(self) -> Predicate | None:
        """The last condition; None before the first, and where something stands behind it."""
        level = self._levels[-1]
        if level.joined_by is not None or level.negated or not level.terms:
            return None
        return level.terms[-1][1]

    @property
    def is_empty(self) -> bool:
        """True before the first condition."""
        level = self._levels[0]
        return len(self._levels) == 1 and not level.terms and not level.negated

    @staticmethod
    def refuse_joining_where() -> NoReturn:
        """Refuse to join conditions of `where`.

        Raises:
            InvalidOperationException: Always.
        """
        _refuse(
            "or_else() follows a condition of the builder, as where_equals() is; what where() says always holds. In a "
            "function of where(), | stands for `or`"
        )

    def followed_by(self, condition: Predicate) -> Clauses:
        """Return these with one more condition."""
        level = self._levels[-1]
        joined_by = level.joined_by or self._default
        term = (joined_by, Not(condition) if level.negated else condition)
        return self._on_last(_Level((*level.terms, term)))

    def joined(self, operator: QueryOperator, *, wrap: bool = False) -> Clauses:
        """Return these with what joins the next condition; at the beginning there is nothing to join.

        Args:
            operator: What joins it.
            wrap: True puts the conditions before into a group.
        """
        level = self._levels[-1]
        if level.joined_by is not None or level.negated:
            _refuse(f"{operator.value} follows {self.unfinished}, which a condition has to follow first")
        if not level.terms:
            return self
        if wrap:
            level = _Level(((QueryOperator.AND, _tree_of(level.terms)),))
        return self._on_last(replace(level, joined_by=operator))

    def negating(self) -> Clauses:
        """Return these with the next condition negated; twice is not at all."""
        level = self._levels[-1]
        return self._on_last(replace(level, negated=not level.negated))

    def opened(self) -> Clauses:
        """Return these with a group that the next conditions belong to."""
        return Clauses((*self._levels, _Level()), self._default)

    def closed(self) -> Clauses:
        """Return these with the group complete."""
        if len(self._levels) == 1:
            _refuse("close_subclause() was called without an open_subclause() before")
        level = self._levels[-1]
        if level.joined_by is not None or level.negated:
            _refuse(f"close_subclause() follows {self.unfinished}, which a condition has to follow first")
        if not level.terms:
            _refuse("close_subclause() was called on a group without conditions")
        return Clauses(self._levels[:-1], self._default).followed_by(_tree_of(level.terms))

    def defaulting_to(self, operator: QueryOperator) -> Clauses:
        """Return these with what joins conditions between which nothing is said."""
        if not self.is_empty:
            _refuse("using_default_operator() comes before the first condition of the builder")
        return Clauses(self._levels, operator)

    def _on_last(self, level: _Level) -> Clauses:
        return Clauses((*self._levels[:-1], level), self._default)

    @override
    def with_values(self, bind: Callable[[Callable[[], Predicate]], Predicate]) -> Predicate:
        levels = [
            replace(level, terms=tuple((joined_by, each.with_values(bind)) for joined_by, each in level.terms))
            for level in self._levels
        ]
        return Clauses(tuple(levels), self._default)

    def _whole(self) -> Predicate:
        if self._tree is None:
            self.check_finished("the end of the query")
            terms = self._levels[0].terms
            self._tree = _tree_of(terms) if terms else Constant(True)
        return self._tree

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        self._whole().walk(key, values)

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        return self._whole().sql(to, negated=negated)


def _tree_of(terms: tuple[tuple[QueryOperator, Predicate], ...]) -> Predicate:
    alternatives: list[list[Predicate]] = [[]]
    for joined_by, condition in terms:
        if joined_by is QueryOperator.OR and alternatives[-1]:
            alternatives.append([])
        alternatives[-1].append(condition)
    parts = [each[0] if len(each) == 1 else All(each) for each in alternatives]
    return parts[0] if len(parts) == 1 else Any_(parts)


def _refuse(message: str) -> NoReturn:
    raise InvalidOperationException(message)
