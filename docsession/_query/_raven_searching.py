"""The words of RavenDB's query builder for searches, and for how well documents fit them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Self, TypeVar

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException, InvalidOperationException
from docsession._query._builder import RavenBuilding
from docsession._query._clauses import SearchOperator
from docsession._query._conditions import searching
from docsession._query._fields import field_of
from docsession._query._full_text import Search
from docsession._query._query import MAX_COUNT, but
from docsession._query._recorder import Recorded
from docsession._query._scores import Score
from docsession._query._vectors import Nearest, Nearness, distance_of

T = TypeVar("T")

_CANDIDATES = 16
_LARGEST_BOOST = 1e9


class RavenSearching(RavenBuilding[T]):
    """The methods of RavenDB's `DocumentQuery` that search.

    What they find is sorted by how well it fits, the best first, unless an order is asked for.
    """

    __slots__ = ()

    def search(self, field_name: str, search_terms: str, operator: SearchOperator | None = None) -> Self:
        """Keep the documents whose text holds one of several words (RavenDB: search).

        Args:
            field_name: A text, or a list of texts; words are understood as the `FullText` index of the field says.
            search_terms: Words; `smi*` stands for all that begin so.
            operator: `SearchOperator.AND` asks for all of the words.
        """
        if operator is not None and not isinstance(operator, SearchOperator):
            raise InvalidArgumentTypeException(f"search() takes a SearchOperator, not {operator!r:.40}")
        joined = " & " if operator is SearchOperator.AND else " | "
        clauses = self._clauses("search")
        condition = self._on(field_name, searching(search_terms, joined))
        made = self._with_clauses(clauses.followed_by(condition))
        own = made.specification
        # What is not to be found has no rank; nor have the items of a list.
        if clauses.is_negating or not isinstance(condition, Search) or own.nearest is not None:
            return made
        score = next((each for each, _ in own.scores if isinstance(each, Score)), Score(()))
        return made._with(but(own, scores=((score.followed_by(condition), True),)))

    def boost(self, boost: float) -> Self:
        """Let the `search` before count for more, or for less, where documents are sorted by how well they fit.

        Args:
            boost: How many times as much, above 0; before the first search's is 1 (RavenDB: boost).

        Raises:
            InvalidOperationException: No search is directly before.
        """
        given: object = boost
        if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given <= _LARGEST_BOOST:
            raise InvalidArgumentException(f"boost() takes a number above 0, not {boost!r:.40}")
        own = self._unfinished("boost")
        last = self._clauses("boost").last
        score = next((each for each, _ in own.scores if isinstance(each, Score)), None)
        if score is None or score.parts[-1][0] is not last:
            raise InvalidOperationException(
                "boost() follows search(): other conditions hold or do not, and have no say in the order"
            )
        return self._with(but(own, scores=((score.boosted(float(boost)), True),)))

    def vector_search(
        self,
        embedding_field: str,
        vector: Iterable[float],
        minimum_similarity: float | None = None,
        number_of_candidates: int | None = None,
        is_exact: bool = False,
    ) -> Self:
        """Keep the documents whose vectors have nearly the direction of a given one (RavenDB: vector_search).

        It is about the documents that fulfil all other conditions, wherever it is called. A `VectorIndex` with the
        metric "cosine" serves it.

        Args:
            embedding_field: The field, a list of numbers.
            vector: Numbers, as many as the documents' vectors have.
            minimum_similarity: The least cosine of the angle, from -1 to 1, which is that of the same direction.
            number_of_candidates: How many documents are kept at most; None: 16, or all with *is_exact*.
            is_exact: True compares all vectors, whatever index there is.

        Raises:
            InvalidArgumentException: There is no such field, or a value cannot be used.
            InvalidOperationException: It cannot stand here: it always holds, and once.
        """
        own = self._unfinished("vector_search")
        unfinished = self._clauses("vector_search").unfinished
        if unfinished is not None or own.nearest is not None:
            raise InvalidOperationException(
                f"vector_search() follows {unfinished or 'another one'}: it holds in addition to all conditions, once"
            )
        farthest = None if minimum_similarity is None else 1 - _similarity(minimum_similarity)
        count = number_of_candidates
        if count is not None and (type(count) is not int or not 0 < count <= MAX_COUNT):
            raise InvalidArgumentException(
                f"vector_search(number_of_candidates={count!r:.40}): it is a number of documents, 1 or more"
            )
        if count is None and not is_exact:
            count = _CANDIDATES
        place = Recorded(field_of(self._documents, embedding_field))
        distance = distance_of(place, vector, "cosine", "vector_search")
        found = Nearest(distance, count, exact=is_exact, farthest=farthest)
        return self._with(but(own, nearest=found, scores=((Nearness(found), False),)))

    def order_by_score(self) -> Self:
        """Sort by how well documents fit the searches before, the best first (RavenDB: order_by_score).

        Raises:
            InvalidOperationException: There is no search.
        """
        return self._by_score("order_by_score", down=False)

    def order_by_score_descending(self) -> Self:
        """Sort the other way round, the best last (RavenDB: order_by_score_descending)."""
        return self._by_score("order_by_score_descending", down=True)

    def _by_score(self, method: str, *, down: bool) -> Self:
        own = self._unfinished(method)
        if not own.scores:
            raise InvalidOperationException(f"{method}() follows search() or vector_search(), which there is none of")
        added = [(operand, is_down is not down) for operand, is_down in own.scores]
        return self._with(but(own, orders=(*own.orders, *added)))


def _similarity(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.fabs(given) <= 1:
        raise InvalidArgumentException(
            f"vector_search(minimum_similarity={given!r:.40}): it is a number from -1 to 1, the cosine of an angle"
        )
    return float(given)
